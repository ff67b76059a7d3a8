# SPDX-License-Identifier: Apache-2.0
"""Ranges of 1 MiB out of a package of 64 MiB over 64 connections, against nginx with the same file and client."""
import os
import time

from client import http_request
from rig import wrk

from . import QUICK, Sample

NAME, UNIT, LIMIT = "download", "requests/s", "dl.nginx.range1m"
RANGE = ("-H", "Range: bytes=1048576-2097151")
SECONDS = 2 if QUICK else 10
urls = {}


def prepare(stack, limits):
    content = os.urandom(64 << 20)
    pk = stack.api.product()
    urls["product"] = stack.api.must("QueryOTAFirmware", FirmwareId=stack.api.firmware(pk, content=content).id)[
        "FirmwareInfo"]["FirmwareUrl"]
    if not limits.there:
        return
    www, place = limits.dir / "root/www", limits.dir / "root/nginx"
    www.mkdir(exist_ok=True)
    place.mkdir(exist_ok=True)
    (www / "64m.bin").write_bytes(content)
    conf = (limits.src / "nginx.conf.in").read_text()
    for name, value in (("ROOT", limits.dir / "root"), ("WORKERS", 1), ("SFMAX", "2m")):
        conf = conf.replace(name, str(value))
    (place / "nginx.conf").write_text(("user root;\n" if os.getuid() == 0 else "") + conf)
    limits.serve("/usr/sbin/nginx", "-c", place / "nginx.conf")
    urls["limit"] = "http://127.0.0.1:18080/64m.bin"
    for _ in range(100):
        try:
            http_request("HEAD", urls["limit"])
            return
        except OSError:
            time.sleep(0.1)


def limit(_stack, _limits):
    return wrk(urls["limit"], *RANGE, seconds=SECONDS)[0]


def product(stack, _limits):
    with stack.account() as a:
        rate, n = wrk(urls["product"], *RANGE, seconds=SECONDS)
    return Sample.of(a, n, rate)
