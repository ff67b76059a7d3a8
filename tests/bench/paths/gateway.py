# SPDX-License-Identifier: Apache-2.0
"""Signed QueryOTAJob over 64 connections, every request with a nonce of its own, against a signed call with one
SELECT in a pipeline."""
import time

from rig import wrk

from . import QUICK, Sample

NAME, UNIT, LIMIT = "gateway", "requests/s", "http.rpcpgpipe.t1"
SECONDS = 2 if QUICK else 4
PER_SECOND = 60000  # requests signed beforehand; more than any machine of this kind answers
# wrk takes the next line for each request, and stops at the end rather than repeat a nonce.
SCRIPT = """
local lines, n = {}, 0
init = function(args)
    for line in io.lines("%s") do lines[#lines + 1] = wrk.format("GET", line) end
end
request = function()
    n = n + 1
    return lines[n]
end
"""
state = {}


def requests(stack, count):
    api = stack.api
    return [api.request("QueryOTAJob", {"JobId": state["job"]}, method="GET")[1] for _ in range(count)]


def prepare(stack, limits):
    api = stack.api
    pk = api.product()
    api.devices(pk, 1)
    state["job"] = api.job(api.firmware(pk))
    if limits.there:
        limits.need_database()
        limits.figure("./pgapply", "mode=unnest", "batch=1000", "idx=1", "secs=0.2", "reps=1", env={"LIM_KEEP": "1"})
        limits.serve("./httpd", 18091, 1, limits.dir, env={"LIM_NODELAY": "1", "LIM_PG": "1"})
        time.sleep(0.5)
        state["limit"] = "http://127.0.0.1:18091/rpcpg" + requests(stack, 1)[0][1:] + "&id=0"


def limit(_stack, _limits):
    return wrk(state["limit"], seconds=SECONDS)[0]


def product(stack, _limits):
    lines, script = stack.dir / "requests", stack.dir / "requests.lua"
    lines.write_text("\n".join(requests(stack, PER_SECOND * SECONDS)) + "\n")
    script.write_text(SCRIPT % lines)
    with stack.account() as a:
        rate, n = wrk(f"http://{stack.endpoint}/", "-s", script, seconds=SECONDS)
    return Sample.of(a, n, rate)
