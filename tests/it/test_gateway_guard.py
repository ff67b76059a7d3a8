# SPDX-License-Identifier: Apache-2.0
"""The door of the management API from outside, byte by byte: smuggling, slow clients, sizes, pipelines, load."""
import json
import re
import socket
import threading
import time
import uuid
from collections import Counter

import psycopg2
import pytest

from client import Client, encode, flatten, raw_exchange, utc, wait_until

HOST = b"Host: otad\r\n"
GOOD = b"GET /healthz HTTP/1.1\r\nHost: otad\r\n\r\n"


def answers(raw):
    """Splits what came over one connection -> [(status, headers, body)]."""
    out = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v.strip() for k, v in (x.split(":", 1) for x in lines[1:])}
        length = int(headers["content-length"])
        out.append((int(lines[0].split()[1]), headers, rest[:length]))
        raw = rest[length:]
    return out


def connect(stack, timeout=12):
    host, port = stack.endpoint.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=timeout)


def to_the_end(s):
    """Everything until the other side closes."""
    out = b""
    try:
        while got := s.recv(65536):
            out += got
    except ConnectionResetError:
        pass
    return out


def message(api, action, **params):
    """A signed call as bytes; options as of Client.request."""
    options = {k: params.pop(k) for k in list(params) if k[0].islower()}
    method, target, headers, body = api.request(action, params, **options)
    lines = [f"{method} {target} HTTP/1.1"] + [f"{k}: {v}" for k, v in headers.items()]
    lines += [f"content-length: {len(body)}"] if method == "POST" else []
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


BAD = {
    "two lengths": b"Content-Length: 4\r\nContent-Length: 4\r\n",
    "two different lengths": b"Content-Length: 4\r\nContent-Length: 40\r\n",
    "signed length": b"Content-Length: +4\r\n",
    "negative length": b"Content-Length: -1\r\n",
    "list of lengths": b"Content-Length: 4,4\r\n",
    "length in hex": b"Content-Length: 0x4\r\n",
    "length and chunked": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n",
    "xchunked": b"Transfer-Encoding: xchunked\r\n",
    "two encodings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "blank before the colon": b"Content-Length : 4\r\n",
    "tab before the colon": b"Transfer-Encoding\t: chunked\r\n",
    "folded header": b"X: a\r\n b\r\n",
    "bare LF": b"X: a\nContent-Length: 4\r\n",
    "bare CR": b"X: a\rContent-Length: 4\r\n",
    "NUL": b"X: a\0b\r\n",
    "second host": b"Host: other\r\n",
}


@pytest.mark.parametrize("headers", BAD.values(), ids=BAD.keys())
def test_what_a_proxy_may_read_differently_is_refused(stack, headers):
    """One refusal, then the end: what follows is never run as a request."""
    raw = raw_exchange(stack.endpoint, b"POST / HTTP/1.1\r\n" + HOST + headers + b"\r\nabcd" + GOOD)
    got = answers(raw)
    assert len(got) == 1, raw
    status, head, body = got[0]
    assert status == 400 and head["connection"] == "close"
    assert head["content-type"] == "application/json;charset=utf-8"
    answer = json.loads(body)
    assert re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", answer["RequestId"])
    assert answer["Success"] is False and answer["HostId"] and answer["Code"]
    assert answer["Message"] == answer["ErrorMessage"] != ""


@pytest.mark.parametrize("line", [b"GET / HTTP/2.0", b"GET / HTTP/1.2", b"GET /", b"GET  / HTTP/1.1",
                                  b"GET /a b HTTP/1.1", b"GET http://h/ HTTP/1.1", b"\x16\x03\x01\x02\x00"])
def test_bad_request_lines(stack, line):
    got = answers(raw_exchange(stack.endpoint, line + b"\r\n" + HOST + b"\r\n"))
    assert [x[0] for x in got] == [400]


def test_other_methods(stack):
    for method in (b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"TRACE", b"BREW"):
        got = answers(raw_exchange(stack.endpoint, method + b" / HTTP/1.1\r\n" + HOST + b"\r\n"))
        assert [(x[0], json.loads(x[2])["Code"]) for x in got] == [(403, "UnsupportedHTTPMethod")]


def test_refusals_come_in_the_format_asked_for(stack):
    bad = HOST + b"Content-Length: +1\r\n\r\n"
    for target, kind in [(b"/?Action=QueryOTAJob&Format=XML", "text/xml;charset=utf-8"),
                         (b"/?Action=QueryOTAJob", "text/xml;charset=utf-8"),
                         (b"/?Action=QueryOTAJob&Format=json", "application/json;charset=utf-8")]:
        got = answers(raw_exchange(stack.endpoint, b"POST " + target + b" HTTP/1.1\r\n" + bad))
        assert [(x[0], x[1]["content-type"]) for x in got] == [(400, kind)]
        assert got[0][2].startswith(b"{" if "json" in kind else b"<?xml") and b"RequestId" in got[0][2]


# ---- sizes ----

def test_request_line_of_64_kib(stack, api):
    names = ["n" * 31 + "%04d" % i for i in range(1400)]
    answer = api.call("QueryOTAJob", JobId="x", Pad=names, method="GET")
    assert answer.code == "iot.firmware.InvalidOTAJobId", answer.text[:300]
    got = answers(raw_exchange(stack.endpoint, b"GET /?" + b"a" * 70000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"))
    assert [x[0] for x in got] == [400]


def test_headers_of_8_kib(stack):
    room = b"GET /healthz HTTP/1.1\r\n" + HOST
    fits = b"X: " + b"a" * (8192 - len(HOST) - 5 - 4) + b"\r\n"
    with connect(stack) as s:
        s.sendall(room + fits + b"\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 200")
    got = answers(raw_exchange(stack.endpoint, room + b"X: " + b"a" * 8300 + b"\r\n\r\n"))
    assert [x[0] for x in got] == [400]


@pytest.mark.parametrize("chunked", [False, True])
def test_body_of_8_mib(stack, api, chunked):
    fits = api.call("QueryOTAJob", JobId="x", Pad="p" * 8_300_000, chunked=chunked)
    assert fits.code == "iot.firmware.InvalidOTAJobId", fits.text[:300]
    body = b"a" * (8 * 1024 * 1024 + 1)
    if chunked:
        data = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    else:
        data = b"Content-Length: %d\r\n\r\n" % len(body) + body
    got = answers(raw_exchange(stack.endpoint, b"POST /?Format=JSON HTTP/1.1\r\n" + HOST + data))
    assert [(x[0], json.loads(x[2])["Code"]) for x in got] == [(413, "RequestEntityTooLarge")]


def test_chunks_are_limited_together(stack):
    """Refused with the chunk that is one byte too much in all, though the end of the body never comes."""
    sizes = [1024 * 1024] * 7 + [1024 * 1023, 1024]
    with connect(stack) as s:
        s.sendall(b"POST /?Format=JSON HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        for size in sizes:
            s.sendall(b"%x\r\n" % size + b"a" * size + b"\r\n")
        s.sendall(b"1\r\n")
        assert [(x[0], json.loads(x[2])["Code"]) for x in answers(to_the_end(s))] == [(413, "RequestEntityTooLarge")]


def test_too_large_is_said_before_the_body_is_sent(stack):
    with connect(stack) as s:
        s.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 9000000\r\n\r\n")
        assert [x[0] for x in answers(to_the_end(s))] == [413]


def test_continue_is_said_when_it_is_waited_for(stack, api):
    head, _, body = message(api, "QueryOTAJob", JobId="x").partition(b"\r\n\r\n")
    with connect(stack) as s:
        for _ in range(2):
            fresh, _, body = message(api, "QueryOTAJob", JobId="x").partition(b"\r\n\r\n")
            s.sendall(fresh + b"\r\nexpect: 100-continue\r\n\r\n")
            assert s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            s.sendall(body)
            assert s.recv(12) == b"HTTP/1.1 200"
            s.recv(65536)


@pytest.mark.parametrize("body", [b"5;a=b\r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n",
                                  b"0x5\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"\r\n0\r\n\r\n",
                                  b"0\r\nTrailer: 1\r\n\r\n", b"123456789\r\n"])
def test_bad_chunks(stack, body):
    got = answers(raw_exchange(stack.endpoint, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
                               + body))
    assert [x[0] for x in got] == [400]


# ---- one connection, many requests ----

def test_pipelined_requests_are_vetted_and_answered_in_order(stack, api):
    calls = [message(api, "QueryOTAJob", JobId=f"j{i}", method="GET" if i % 2 else "POST") for i in range(20)]
    bad = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length : 4\r\n\r\nabcd"
    got = answers(raw_exchange(stack.endpoint, b"".join(calls) + bad + GOOD))
    assert [x[0] for x in got] == [200] * 20 + [400]
    assert len({json.loads(x[2])["RequestId"] for x in got}) == 21


def test_however_it_is_cut(stack, api):
    """Also when the sender ends its side behind the last byte."""
    for step in (1, 7, 100, 300, 1000, 100000):
        fresh = message(api, "QueryOTAJob", JobId="x") + message(api, "QueryOTAJob", JobId="y")
        with connect(stack) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(0, len(fresh), step):
                s.sendall(fresh[i:i + step])
            s.shutdown(socket.SHUT_WR)
            assert [x[0] for x in answers(to_the_end(s))] == [200, 200]


def test_bytes_that_come_while_an_answer_is_made_are_vetted_too(stack, api):
    bad = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nabcd"
    for pause in (0, 0.0005, 0.001, 0.002, 0.005) * 8:
        with connect(stack) as s:
            s.sendall(message(api, "QueryOTAJob", JobId="x"))
            time.sleep(pause)
            s.sendall(bad + GOOD)
            assert [x[0] for x in answers(to_the_end(s))] == [200, 400]


# ---- slow, idle, gone, too many ----

def closed_after(s, send=None):
    """Seconds until the other side closes; meanwhile sends one byte of `send` every 100 ms."""
    start = time.monotonic()
    s.settimeout(0.1)
    while time.monotonic() - start < 60:
        try:
            if send:
                s.sendall(send)
            if s.recv(1) == b"":
                break
        except socket.timeout:
            continue
        except OSError:
            break
    return time.monotonic() - start


def test_slow_clients_are_closed(stack):
    taken = {}

    def run(name, first, drip):
        with connect(stack) as s:
            s.sendall(first)
            taken[name] = closed_after(s, drip)

    cases = {"nothing": (b"", None), "part of a line": (b"GET /?", None), "dripping line": (b"GET /?", b"a"),
             "dripping headers": (b"GET / HTTP/1.1\r\n" + HOST, b"X: 1\r\n"),
             "dripping body": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5000\r\n\r\n", b"a"),
             "dripping chunks": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n",
                                 b"1\r\na\r\n")}
    threads = [threading.Thread(target=run, args=(k, *v)) for k, v in cases.items()]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(taken) == set(cases)
    assert all(5 < x < 30 for x in taken.values()), taken  # 8 s, on a machine that has the time


def test_idle_connection_lives_longer_than_a_request_may_take(stack, api):
    with connect(stack) as s:
        for _ in range(2):
            s.sendall(GOOD)
            assert s.recv(1000).startswith(b"HTTP/1.1 200")
            time.sleep(9)
        s.sendall(message(api, "QueryOTAJob", JobId="x"))
        assert s.recv(12) == b"HTTP/1.1 200"


def test_who_does_not_read_is_closed(stack, api, otad_default):
    stack.restart_otad(api_request_ms=1000)
    before = stack.metric("otad_api_slow_clients_total") or 0
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect((stack.endpoint.rsplit(":", 1)[0], int(stack.endpoint.rsplit(":", 1)[1])))
        s.settimeout(0.3)
        try:
            while True:
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: otad\r\n\r\n" * 100)
        except OSError:
            pass
        wait_until(lambda: (stack.metric("otad_api_slow_clients_total") or 0) > before, 10)


def test_peers_that_leave_before_the_answer(stack, api):
    for _ in range(200):
        s = connect(stack)
        s.sendall(message(api, "QueryOTAJob", JobId="x"))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()
    assert api.call("QueryOTAJob", JobId="x").code == "iot.firmware.InvalidOTAJobId"
    wait_until(lambda: stack.metric("otad_api_connections") < 20, 5)


def test_connections_of_one_address_are_limited(stack, otad_default):
    stack.restart_otad(api_connections_per_source=30)
    sockets = [connect(stack) for _ in range(60)]
    try:
        def open_ones():
            n = 0
            for s in sockets:
                s.setblocking(False)
                try:
                    n += s.recv(1) != b""
                except BlockingIOError:
                    n += 1
                except OSError:
                    pass
            return n
        wait_until(lambda: open_ones() <= 30, 5)
        assert open_ones() >= 25
    finally:
        for s in sockets:
            s.close()

    def refused():
        try:
            return stack.metric("otad_api_connections_refused_total")
        except OSError:  # this connection was one too many
            return 0
    wait_until(lambda: refused() >= 30, 5)


def test_a_full_queue_answers_503_at_once(stack, otad_default):
    """One call with the only worker, one in the queue; four more are answered while these two wait."""
    stack.restart_otad(api_workers=1, api_queue=1, api_answer_ms=100_000, database_timeout_ms=100_000)
    got = []

    def one():
        answer = Client(stack.endpoint, stack.ak, stack.sk, timeout=120).call(
            "CreateProduct", ProductName="p" + uuid.uuid4().hex[:16], NodeType=0)
        got.append((answer.status, answer.code, answer.body.get("Message") is not None))
    threads = [threading.Thread(target=one) for _ in range(6)]
    holder = psycopg2.connect(stack.pg)
    try:
        holder.cursor().execute("lock table product in access exclusive mode")
        for t in threads:
            t.start()
        wait_until(lambda: len(got) == 4)
        assert set(got) == {(503, "ServiceUnavailable", True)}
    finally:
        holder.close()
        for t in threads:
            t.join()
    assert got[4:] == [(200, None, False)] * 2


# ---- rules at the door that need the whole gateway ----

@pytest.mark.parametrize("scheme", ["rpc", "acs3"])
def test_time_stamps(api, scheme):
    """Good for 15 minutes before and after the server's time."""
    def code(timestamp):
        answer = api.call("QueryOTAJob", JobId="x", scheme=scheme, timestamp=timestamp)
        assert answer.status == (400 if answer.code.startswith("InvalidTimeStamp") else 200)
        return answer.code
    for minutes in (-14, 14):
        assert code(utc(minutes * 60)) == "iot.firmware.InvalidOTAJobId"
    for minutes in (-16, -55, 16, 55):
        assert code(utc(minutes * 60)) == "InvalidTimeStamp.Expired"
    for text in (utc()[:-1], utc().replace("T", " "), "2026-13-01T00:00:00Z", "now", "1700000000"):
        assert code(text) == "InvalidTimeStamp.Format"


def test_nonce_is_good_once(stack, api, otad_default):
    pk = api.product()
    for action, params in [("QueryOTAJob", {"JobId": "x"}), ("RegisterDevice", {"ProductKey": pk})]:
        nonce = uuid.uuid4().hex
        first = api.call(action, params, nonce=nonce)
        assert first.code != "SignatureNonceUsed"
        assert api.call(action, params, nonce=nonce).code == "SignatureNonceUsed"
    # A changing call's nonce outlives the process.
    stack.restart_otad()
    assert api.call("RegisterDevice", ProductKey=pk, nonce=nonce).code == "SignatureNonceUsed"


def test_quota_counts_what_was_let_through(stack, otad_default):
    """20 in any second, as documented; who was refused does not count."""
    stack.restart_otad(quota="")
    api = Client(stack.endpoint, stack.ak, stack.sk)
    params = {"FirmwareId": "nosuchfirmware", "ProductKey": "a1nosuch", "TargetSelection": "ALL"}
    calls = [message(api, "CreateOTAStaticUpgradeJob", **params) for _ in range(99)]
    calls.append(message(api, "CreateOTAStaticUpgradeJob", **params, headers={"connection": "close"}))
    start = time.monotonic()
    got = [json.loads(x[2])["Code"] for x in answers(raw_exchange(stack.endpoint, b"".join(calls), timeout=60))]
    seconds = int(time.monotonic() - start) + 1  # one, unless the machine is slow
    assert len(got) == 100 and got[:20] == ["iot.firmware.FirmwareNotFound"] * 20
    assert got.count("Throttling.User") >= 100 - 20 * seconds, Counter(got)
    wait_until(lambda: api.call("CreateOTAStaticUpgradeJob", params).code != "Throttling.User")


def test_every_changing_call_has_an_audit_row(stack, api):
    pk = api.product()
    good = api.call("RegisterDevice", ProductKey=pk, DeviceName="audited")
    bad = [api.call("RegisterDevice", **params) for params in (
        {"ProductKey": pk, "DeviceName": "audited"}, {"ProductKey": pk, "DeviceName": "?"}, {"DeviceName": "audited"})]
    rows = stack.sql("select action, result from audit where request_id = any (%s) order by id",
                     [a.body["RequestId"] for a in (good, *bad)])
    assert [tuple(r) for r in rows] == [("RegisterDevice", "OK"), *(("RegisterDevice", a.code) for a in bad)]
    assert bad[0].code == "iot.device.AlreadyExistedDeviceName" and len({a.code for a in bad}) == 3


def test_parameters_from_query_and_form_are_merged_and_given_once(api):
    assert api.call("QueryOTAJob", JobId="x", place="mixed").code == "iot.firmware.InvalidOTAJobId"
    method, target, headers, body = api.request("QueryOTAJob", {"JobId": "x"})
    twice = api.send(method, target + "?" + encode(flatten({"JobId": "x"})), headers, body)
    assert (twice.status, twice.code) == (400, "InvalidParameter")
