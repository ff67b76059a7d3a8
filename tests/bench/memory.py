# SPDX-License-Identifier: Apache-2.0
"""The measurement of tests/bench/memory, on a stack with default settings but for the quotas."""
import argparse
import collections
import itertools
import pathlib
import re
import selectors
import signal
import socket
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "contract")]
from rig import Stack, memory_kib  # noqa: E402
import campaign  # noqa: E402
import refusals  # noqa: E402

ROUNDS = 20
WARM = 4           # rounds until every buffer, cache and table was used; the table of nonces alone has 32 MiB
GROWTH_KIB = 2048  # at most, over the rounds after these
CONNECTIONS = 32
WAYS = [{"scheme": "rpc"}, {"scheme": "rpc", "method": "GET"}, {"scheme": "rpc", "format": "XML"},
        {"scheme": "rpc", "place": "mixed"}, {"scheme": "acs3"}, {"scheme": "acs3", "place": "form"},
        {"scheme": "acs3", "format": "XML"}, {"scheme": "rpc", "sk": "another"}, {"scheme": "acs3", "version": "2001-01-01"}]
# What would make one more thing every time is refused here, and succeeds in the lives between.
REFUSED = {"RegisterDevice": {"DeviceName": "first"}, "BatchRegisterDevice": {"Count": 0},
           "BatchCheckDeviceNames": {"ProductKey": "a1nobody000"}, "ReupgradeOTATask": {"JobId": "nobody"},
           **{a: {"FirmwareId": "nobody"} for a in ("CreateOTAVerifyJob", "CreateOTAStaticUpgradeJob",
                                                    "CreateOTADynamicUpgradeJob")}}


def signed(api, good):
    """Requests without end, as bytes: every action in every way in turn, signed when it is taken."""
    for way, (action, params) in itertools.cycle(itertools.product(WAYS, good.items())):
        method, target, headers, body = api.request(action, {**params, **REFUSED.get(action, {})}, **way)
        head = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        yield f"{method} {target} HTTP/1.1\r\n{head}content-length: {len(body)}\r\n\r\n".encode() + body


class Connection:
    """A kept-alive connection with at most one request on its way."""

    def __init__(self, endpoint):
        host, port = endpoint.split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.got = b""

    def ask(self, request):
        self.got = b""
        self.socket.sendall(request)

    def answer(self):
        """Reads what is there -> the status once all of an answer is."""
        more = self.socket.recv(1 << 20)
        if not more:
            raise RuntimeError(f"the connection was closed, having answered {self.got[:200]!r}")
        self.got += more
        head, end, body = self.got.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I) if end else None
        return int(self.got[9:12]) if length and len(body) >= int(length.group(1)) else None


def send(endpoint, requests):
    """-> how many answers of each status"""
    statuses, busy = collections.Counter(), selectors.DefaultSelector()
    for request in itertools.islice(requests, CONNECTIONS):
        c = Connection(endpoint)
        c.ask(request)
        busy.register(c.socket, selectors.EVENT_READ, c)
    while busy.get_map():
        ready = busy.select(timeout=60)
        if not ready:
            raise RuntimeError("no answer for a minute")
        for key, _ in ready:
            status = key.data.answer()
            if status is None:
                continue
            statuses[status] += 1
            request = next(requests, None)
            if request:
                key.data.ask(request)
            else:
                busy.unregister(key.fileobj)
                key.fileobj.close()
    return statuses


def life(stack, instance):
    """Every action with every parameter, and what it makes is deleted."""
    def call(action, **params):
        return stack.api.must(action, {**params, "IotInstanceId": instance})
    campaign.play(call, stack.api, stack.broker)


def main():
    p = argparse.ArgumentParser(prog="tests/bench/memory")
    p.add_argument("--requests", type=int, default=1_000_000)
    o = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped
    each, rss, statuses = o.requests // ROUNDS, [], collections.Counter()
    with Stack(limit_products="0") as stack:
        instance = stack.one("select instance_id from instance where is_default")
        requests = signed(stack.api, refusals.good(refusals.World(stack, stack.api, instance)))
        print(f"{'requests':>10}{'answers/s':>11}{'otad RSS KiB':>14}{'200':>10}{'4xx':>10}", flush=True)
        for n in range(1, ROUNDS + 1):
            began = time.monotonic()
            statuses += send(stack.endpoint, itertools.islice(requests, each))
            took = time.monotonic() - began
            life(stack, instance)
            rss.append(memory_kib(stack.pid("otad")))
            print(f"{n * each:>10,}{each / took:>11,.0f}{rss[-1]:>14,}{statuses[200]:>10,}"
                  f"{sum(v for k, v in statuses.items() if 400 <= k < 500):>10,}", flush=True)
        odd = {k: v for k, v in statuses.items() if k != 200 and not 400 <= k < 500}
        growth = max(rss[WARM:]) - rss[WARM - 1]
        print(f"otad grew by {growth:,} KiB from request {WARM * each:,} on (at most {GROWTH_KIB:,}); arena peak "
              f"{stack.metric('otad_arena_peak_bytes') / 1024:,.0f} KiB")
        if odd:
            print(f"answers that must not be: {odd}")
    sys.exit(1 if odd or growth > GROWTH_KIB or sum(statuses.values()) != each * ROUNDS else 0)


main()
