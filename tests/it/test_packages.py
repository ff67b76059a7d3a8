# SPDX-License-Identifier: Apache-2.0
"""Uploads and downloads of packages over real sockets (rules §8, api §4.1-4.2, device §5.1)."""
import hashlib
import json
import os
import pathlib
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from client import Client, form_body, form_fields, http_request, post_form, raw_exchange, wait_until

MIB = 1 << 20


def new_form(api, kind="GenerateOTAUploadURL", **params):
    return api.must(kind, **params)["Data"]


def place(url):
    """host:port and target of a URL."""
    u = urlsplit(url)
    return u.netloc, u.path + ("?" + u.query if u.query else "")


def raw_post(form, body, *headers, target="/", shut=False):
    head = "\r\n".join([f"POST {target} HTTP/1.1", f"Host: {urlsplit(form['Host']).netloc}", *headers, "", ""])
    return raw_exchange(urlsplit(form["Host"]).netloc, head.encode() + body, shut=shut)


def status_of(answer):
    line = answer.split(b"\r\n", 1)[0]
    assert line.startswith(b"HTTP/1.1 "), f"no answer: {answer[:200]!r}"
    return int(line.split(b" ")[1])


def stored_files(stack, form):
    """The object's files in the store."""
    name = form["Key"].rsplit("/", 1)[1]
    return sorted(p.name for p in pathlib.Path(store_dir(stack)).rglob(name + "*"))


def store_dir(stack):
    for line in stack.config.read_text().splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "store_dir":
            return value.strip()
    raise AssertionError("no store_dir in the configuration")


def half_written(stack):
    return list((pathlib.Path(store_dir(stack)) / "tmp").iterdir())


def usable(api, form, content, pk=None):
    """CreateOTAFirmware takes the object, with the digest of `content`."""
    answer = api.call("CreateOTAFirmware", ProductKey=pk or api.product(), FirmwareName="fw" + os.urandom(6).hex(),
                      DestVersion="9." + os.urandom(4).hex(), FirmwareUrl=form["FirmwareUrl"], SignMethod="MD5",
                      FirmwareSign=hashlib.md5(content).hexdigest(), FirmwareSize=len(content), NeedToVerify=False)
    return answer


class Link:
    def __init__(self, url, content):
        self.url, self.content = url, content
        self.hostport, self.target = place(url)

    def get(self, *headers, method="GET", close=True, target=None, extra=b""):
        lines = [f"{method} {target or self.target} HTTP/1.1", f"Host: {self.hostport}", *headers]
        if close:
            lines.append("Connection: close")
        return raw_exchange(self.hostport, "\r\n".join([*lines, "", ""]).encode() + extra)


def split(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode(), body


@pytest.fixture
def link(api, fleet):
    """A download link as a device gets it, of a package with the given content."""
    def make(content):
        f = fleet(1, version="1.0.0")
        api.job(api.firmware(f.pk, content=content))
        push = f.devices[0].wait_push()
        return Link(push["data"]["url"], content)
    return make


@pytest.fixture(scope="module")
def old_form(api):
    """A form that nobody uses for a minute; asked for by the first test so that the last one need not wait."""
    return new_form(api), time.monotonic()


# ---- uploads ----

def test_form_shape(api, old_form):
    form = new_form(api, FileSuffix="tar.gz")
    assert form["FirmwareUrl"] == form["Host"] + "/" + form["Key"] and form["Key"].endswith(".tar.gz")
    assert form["ObjectStorage"] == "OSS" and form["OSSAccessKeyId"]
    names = new_form(api, "GenerateDeviceNameListURL")
    assert names["FileUrl"] == names["Host"] + "/" + names["Key"] and names["Key"].endswith(".csv")
    assert names["AccessKeyId"]


@pytest.mark.parametrize("size", [0, 1, 300, 65536, 131072, 1000003])
def test_vendor_sample_form(api, size):
    form, content = new_form(api), os.urandom(size)
    status, headers, text = post_form(form, content)
    assert (status, text) == (200, "")
    assert headers["content-length"] == "0"
    if size:
        answer = usable(api, form, content)
        assert answer.ok, answer.text


def test_device_list_form(api):
    form = new_form(api, "GenerateDeviceNameListURL")
    assert post_form(form, b"dev1\ndev2\n")[0] == 200


@pytest.mark.parametrize("wanted,status", [("200", 200), ("201", 201), (None, 204), ("204", 204), ("302", 204)])
def test_success_status(api, wanted, status):
    form = new_form(api)
    fields = [f for f in form_fields(form) if f[0] != "success_action_status"]
    if wanted:
        fields.append(("success_action_status", wanted))
    got, _, text = post_form(form, b"x", fields)
    assert got == status
    assert ("<Key>" + form["Key"] in text) == (status == 201)


def test_fields_in_any_order_and_case(api):
    form = new_form(api)
    fields = [(k.upper(), v) for k, v in reversed(form_fields(form))] + [("x-more", "ignored")]
    assert post_form(form, b"abc", fields, filename="../../evil.bin")[0] == 200
    assert usable(api, form, b"abc").ok


def test_access_key_id_under_either_name(api):
    form = new_form(api)
    fields = [("AccessKeyId" if k == "OSSAccessKeyId" else k, v) for k, v in form_fields(form)]
    assert post_form(form, b"abc", fields)[0] == 200


def test_fields_after_the_file_are_ignored(api):
    form = new_form(api)
    kind, body = form_body(form_fields(form), b"abc", boundary="BB")
    extra = b'\r\n--BB\r\nContent-Disposition: form-data; name="key"\r\n\r\nevil\r\n--BB--\r\n'
    body = body[:-len(b"\r\n--BB--\r\n")] + extra
    assert http_request("POST", form["Host"], {"Content-Type": kind}, body)[0] == 200
    assert usable(api, form, b"abc").ok


def test_chunked_body_and_any_path(api):
    form = new_form(api)
    kind, body = form_body(form_fields(form), b"z" * 5000)
    chunks = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(body[i:i + 777]), body[i:i + 777])
                      for i in range(0, len(body), 777)) + b"0\r\nTrailer: 1\r\n\r\n"
    answer = raw_post(form, chunks, f"Content-Type: {kind}", "Transfer-Encoding: chunked", "Connection: close",
                      target="/some/where")
    assert status_of(answer) == 200
    assert usable(api, form, b"z" * 5000).ok


def test_expect_continue(api):
    form = new_form(api)
    kind, body = form_body(form_fields(form), b"abc")
    host, port = urlsplit(form["Host"]).netloc.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as s:
        s.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                  "Expect: 100-continue\r\n\r\n".encode())
        assert s.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(body)
        assert status_of(s.recv(1000)) == 200


def test_byte_by_byte(api):
    form = new_form(api)
    kind, body = form_body(form_fields(form), b"\r\n--\r\n" * 20)
    host, port = urlsplit(form["Host"]).netloc.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for b in f"POST / HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body:
            s.sendall(bytes([b]))
        assert status_of(s.recv(1000)) == 200
    assert usable(api, form, b"\r\n--\r\n" * 20).ok


def changed(form, name, change):
    return [(k, change(v) if k == name else v) for k, v in form_fields(form)]


@pytest.mark.parametrize("name,change,status,code", [
    ("signature", lambda v: ("B" if v[0] == "A" else "A") + v[1:], 403, "SignatureDoesNotMatch"),
    ("signature", lambda v: "", 403, "SignatureDoesNotMatch"),
    ("policy", lambda v: v[:20] + ("A" if v[20] != "A" else "B") + v[21:], 403, "SignatureDoesNotMatch"),
    ("key", lambda v: v + ".evil", 403, "AccessDenied"),
    ("key", lambda v: "../../../../etc/passwd", 403, "AccessDenied"),
    ("key", lambda v: v[:-8] + "%2e%2e/x", 403, "AccessDenied"),
    ("key", lambda v: v * 100, 400, "MalformedPOSTRequest"),
    ("OSSAccessKeyId", lambda v: "someone", 403, "InvalidAccessKeyId"),
])
def test_wrong_form_is_refused(api, stack, name, change, status, code):
    form = new_form(api)
    got, _, text = post_form(form, b"x" * 100000, changed(form, name, change))
    assert got == status and f"<Code>{code}</Code>" in text, text
    assert stored_files(stack, form) == []
    assert post_form(form, b"x")[0] == 200  # the untouched form


@pytest.mark.parametrize("missing", ["key", "policy", "OSSAccessKeyId", "signature"])
def test_missing_field(api, missing):
    form = new_form(api)
    got, _, text = post_form(form, b"x", [f for f in form_fields(form) if f[0] != missing])
    assert got == 400 and "<Code>InvalidArgument</Code>" in text


def test_form_of_another_object(api):
    one, two = new_form(api), new_form(api)
    fields = [("key", one["Key"])] + [f for f in form_fields(two) if f[0] != "key"]
    assert post_form(one, b"x", fields)[0] == 403


def test_large_refused_upload_sees_its_status(api, stack):
    """The client sends all before it reads: the refusal must not be lost in a reset."""
    form = new_form(api)
    got, _, text = post_form(form, bytes(16 * MIB), changed(form, "signature", lambda v: "A" * len(v)))
    assert got == 403 and "<Message>" in text
    assert half_written(stack) == []


@pytest.mark.parametrize("headers,body,status", [
    (["Content-Type: multipart/form-data; boundary=B"], b"", 411),
    (["Content-Type: multipart/form-data; boundary=B", "Content-Length: 99999999999"], b"", 413),
    (["Content-Type: text/plain", "Content-Length: 1"], b"x", 400),
    (["Content-Length: 1"], b"x", 400),
    (["Content-Type: multipart/form-data; boundary=B", "Content-Length: 5"], b"--B--", 400),
    (["Content-Type: multipart/form-data; boundary=B", "Content-Length: 7"], b"garbage", 400),
    (["Content-Type: multipart/form-data; boundary=B", "Content-Length: 5", "Content-Length: 6"], b"--B--", 400),
    (["Content-Type: multipart/form-data; boundary=B", "Content-Length: 5", "Transfer-Encoding: chunked"], b"", 400),
    (["Content-Type: multipart/form-data; boundary=B", "Transfer-Encoding: gzip, chunked"], b"", 400),
    (["Content-Type: multipart/form-data; boundary=B", "Transfer-Encoding: chunked"], b"xyz\r\n", 400),
    (["Content-Type: multipart/form-data; boundary=B", "Content-Length : 5"], b"--B--", 400),
    (["X: " + "y" * 9000, "Content-Length: 5"], b"--B--", 431),
], ids=range(12))
def test_malformed_posts(api, headers, body, status):
    assert status_of(raw_post(new_form(api), body, *headers, "Connection: close", shut=True)) == status


def test_truncated_and_aborted_uploads_leave_nothing(api, stack):
    form = new_form(api)
    kind, body = form_body(form_fields(form), bytes(3 * MIB))
    # the body is whole but for the closing boundary
    cut = body[:-10]
    assert status_of(raw_post(form, cut, f"Content-Type: {kind}", f"Content-Length: {len(cut)}",
                              "Connection: close")) == 400
    # the client goes away
    host, port = urlsplit(form["Host"]).netloc.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as s:
        s.sendall(f"POST / HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() +
                  body[:2 * MIB])
        wait_until(lambda: half_written(stack), 5)
    wait_until(lambda: not half_written(stack), 5, lambda: f"left behind: {half_written(stack)}")
    assert stored_files(stack, form) == []


def test_used_object_is_never_replaced(api, stack):
    form = new_form(api)
    assert post_form(form, b"first")[0] == 200
    assert post_form(form, b"second")[0] == 200  # a correction while the form is good
    assert usable(api, form, b"second").ok
    status, _, text = post_form(form, b"third!")
    assert status == 409 and "<Code>FileAlreadyExists</Code>" in text
    assert post_form(form, b"second")[0] == 200  # the same again: a client that lost the answer
    files = pathlib.Path(store_dir(stack), *form["Key"].split("/"))
    assert files.read_bytes() == b"second"
    assert usable(api, form, b"second").ok  # another product


@pytest.fixture
def lean_stack(monkeypatch, request):
    """A stack whose memory can be measured: AddressSanitizer keeps what was freed, 256 MB of it if not told."""
    monkeypatch.setenv("ASAN_OPTIONS", "exitcode=99:detect_leaks=1:quarantine_size_mb=4:"
                                       "thread_local_quarantine_size_kb=64")
    return request.getfixturevalue("fresh_stack")


def test_large_upload_in_bounded_memory(lean_stack):
    stack = lean_stack
    api = Client(stack.endpoint, stack.ak, stack.sk)
    form = new_form(api)
    kind, tail = form_body(form_fields(form), b"")
    cut = tail.rindex(b"\r\n--")
    head, end = tail[:cut], tail[cut:]
    size, digest, peak, stop = 64 * MIB, hashlib.md5(), [0], threading.Event()
    before = stack.rss_kib

    def watch():
        while not stop.wait(0.02):
            peak[0] = max(peak[0], stack.rss_kib)
    watcher = threading.Thread(target=watch)
    watcher.start()
    host, port = urlsplit(form["Host"]).netloc.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as s:
        s.sendall(f"POST / HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {len(head) + size + len(end)}\r\n"
                  "\r\n".encode() + head)
        for _ in range(size // MIB):
            block = os.urandom(MIB)
            digest.update(block)
            s.sendall(block)
        s.sendall(end)
        assert status_of(s.recv(1000)) == 200
    stop.set()
    watcher.join()
    assert peak[0] - before < 24 * 1024, f"{before} KiB before, {peak[0]} KiB at most"
    answer = api.call("CreateOTAFirmware", ProductKey=api.product(), FirmwareName="fw" + os.urandom(6).hex(),
                      DestVersion="2.0", FirmwareUrl=form["FirmwareUrl"], SignMethod="MD5",
                      FirmwareSign=digest.hexdigest(), FirmwareSize=size, NeedToVerify=False)
    assert answer.ok, answer.text


# ---- downloads ----

def test_download_is_exact(link):
    content = os.urandom(3 * MIB + 17)
    one = link(content)
    assert len(one.url) < 250
    head, body = split(one.get())
    lines = head.split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert f"Content-Length: {len(content)}" in lines
    assert len(head) < 1024 and "chunked" not in head and "Location" not in head and "ncoding" not in head
    assert body == content


def test_ranges(link):
    content = os.urandom(200000)
    one = link(content)
    n = len(content)
    for text, first, last in [("0-", 0, n - 1), ("100000-", 100000, n - 1), ("5-9", 5, 9), ("0-0", 0, 0),
                              ("-7", n - 7, n - 1), (f"-{n + 5}", 0, n - 1), (f"{n - 1}-{n + 100}", n - 1, n - 1)]:
        head, body = split(one.get(f"Range: bytes={text}"))
        lines = head.split("\r\n")
        assert lines[0] == "HTTP/1.1 206 Partial Content", (text, head)
        assert f"Content-Length: {last - first + 1}" in lines
        assert f"Content-Range: bytes {first}-{last}/{n}" in lines
        assert body == content[first:last + 1]
    for text in [f"{n}-", f"{n + 5}-{n + 9}", "-0"]:
        head, body = split(one.get(f"Range: bytes={text}"))
        assert head.startswith("HTTP/1.1 416 ") and f"Content-Range: bytes */{n}" in head and body == b""
    for text in ["bytes=9-5", "bytes=x-", "bytes=1", "lines=1-2", "bytes=0-1,5-6"]:
        head, body = split(one.get(f"Range: {text}"))
        assert head.startswith("HTTP/1.1 200 OK") and body == content


def test_a_range_of_another_version_is_not_given(link):
    content = os.urandom(1000)
    one = link(content)
    etag = next(x for x in split(one.get())[0].split("\r\n") if x.startswith("ETag: "))[6:]
    head, body = split(one.get("Range: bytes=5-9", f"If-Range: {etag}"))
    assert head.startswith("HTTP/1.1 206 ") and body == content[5:10]
    for other in ('"another"', "Tue, 01 Jul 2025 00:00:00 GMT"):
        head, body = split(one.get("Range: bytes=5-9", f"If-Range: {other}"))
        assert head.startswith("HTTP/1.1 200 ") and body == content and "Content-Range" not in head


def test_interrupted_download_resumes_exactly(link):
    content = os.urandom(5 * MIB)
    one = link(content)
    host, port = one.hostport.rsplit(":", 1)
    got = b""
    while len(got) < len(content):
        with socket.create_connection((host, int(port)), timeout=10) as s:
            s.sendall(f"GET {one.target} HTTP/1.1\r\nHost: x\r\nRange: bytes={len(got)}-\r\nContent-Length: 0\r\n"
                      "\r\n".encode())
            data, want = b"", min(1200000, len(content) - len(got))
            while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < want:
                piece = s.recv(65536)
                assert piece
                data += piece
            got += data.split(b"\r\n\r\n", 1)[1]
    assert got == content


def test_head(link):
    one = link(b"x" * 1000)
    head, body = split(one.get(method="HEAD"))
    assert head.startswith("HTTP/1.1 200 OK") and "Content-Length: 1000" in head.split("\r\n") and body == b""


def test_altered_link_is_refused(link):
    """Every byte of path and query (reliability R23)."""
    one = link(b"secret package")
    refused = 0
    host, port = one.hostport.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as s:  # all over one kept-alive connection
        for i in range(1, len(one.target)):
            bad = one.target[:i] + ("A" if one.target[i] != "A" else "B") + one.target[i + 1:]
            s.sendall(f"GET {bad} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            data = b""
            while b"\r\n\r\n" not in data:
                piece = s.recv(4096)
                assert piece, f"closed at byte {i}"
                data += piece
            assert data.startswith(b"HTTP/1.1 403 ") and b"\r\nContent-Length: 0\r\n" in data, (i, data)
            refused += 1
    assert refused == len(one.target) - 1
    for bad in [one.target + "&x=1", one.target[:-1], one.target.split("?")[0], "/", "/etc/passwd",
                "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/ota/"]:
        assert status_of(one.get(target=bad)) == 403
    assert split(one.get())[1] == b"secret package"


def test_keep_alive_and_pipelining(link):
    one = link(b"0123456789")
    request = f"GET {one.target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    last = f"GET {one.target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    answer = raw_exchange(one.hostport, request * 5 + last)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 6 and answer.count(b"\r\n\r\n0123456789") == 6
    assert answer.count(b"Connection: keep-alive\r\n") == 5 and answer.count(b"Connection: close\r\n") == 1


def test_half_closed_client_gets_all(link):
    content = os.urandom(2 * MIB)
    one = link(content)
    answer = raw_exchange(one.hostport, f"GET {one.target} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), shut=True)
    assert split(answer)[1] == content


@pytest.mark.parametrize("request_head,status", [
    (b"PUT / HTTP/1.1\r\n\r\n", 405), (b"GET / HTTP/2.0\r\n\r\n", 505), (b"GET /\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nHost: x\n\r\n\r\n", 400), (b"GET / HTTP/1.1\r\n folded: 1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400), (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 200),
    (b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 400), (b"\x00\x01\x02\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nX: " + b"y" * 9000, 431),
], ids=lambda v: v[:24].decode("latin1").encode("unicode_escape").decode() if isinstance(v, bytes) else None)
def test_odd_requests(api, request_head, status):
    hostport = urlsplit(new_form(api)["Host"]).netloc
    assert status_of(raw_exchange(hostport, request_head, shut=True)) == status


def test_slow_head_is_closed(api):
    host, port = urlsplit(new_form(api)["Host"]).netloc.rsplit(":", 1)
    begin = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=20) as s:
        s.settimeout(0.5)
        closed = False
        while not closed and time.monotonic() - begin < 60:
            try:
                s.sendall(b"G")
                closed = s.recv(10) == b""
            except TimeoutError:
                pass
            except OSError:
                closed = True
    assert closed and time.monotonic() - begin > 8


def test_slow_reader_does_not_hold_up_others(link):
    content = os.urandom(8 * MIB)
    one = link(content)
    host, port = one.hostport.rsplit(":", 1)
    slow = []
    for _ in range(200):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(20)
        s.connect((host, int(port)))
        s.sendall(f"GET {one.target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        slow.append(s)
    begin = time.monotonic()
    assert split(one.get())[1] == content
    assert time.monotonic() - begin < 30  # the slow ones are cut off after 60 s
    for s in slow[:3]:  # the patient ones get every byte
        data = b""
        while len(data) < len(content):
            piece = s.recv(65536)
            assert piece
            data += piece
        data += s.recv(65536) if len(data.split(b"\r\n\r\n", 1)[1]) < len(content) else b""
        assert data.split(b"\r\n\r\n", 1)[1] == content
    for s in slow:
        s.close()


def test_many_parallel_downloads(link, stack):
    content = os.urandom(MIB)
    one = link(content)
    wrong, lock = [], threading.Lock()
    before = stack.rss_kib

    def run():
        for _ in range(5):
            body = split(one.get())[1]
            if body != content:
                with lock:
                    wrong.append(len(body))
    threads = [threading.Thread(target=run) for _ in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert stack.rss_kib - before < 32 * 1024
    assert stack.metric("otad_store_downloads_total") >= 200
    assert stack.metric("otad_store_download_bytes_total") >= 200 * MIB


def test_metrics_count_refusals(api, stack):
    form = new_form(api)
    before = stack.metric("otad_store_refused_total", status="403")
    post_form(form, b"x", changed(form, "signature", lambda v: "A" * len(v)))
    assert stack.metric("otad_store_refused_total", status="403") == before + 1
    uploads = stack.metric("otad_store_uploads_total")
    assert post_form(form, b"x")[0] == 200
    assert stack.metric("otad_store_uploads_total") == uploads + 1


def made_older(stack, form, minutes):
    meta = pathlib.Path(store_dir(stack), *form["Key"].split("/"))
    meta = meta.with_name(meta.name + "-meta")
    doc = json.loads(meta.read_text())
    doc["uploaded_ms"] -= minutes * 60 * 1000
    meta.write_text(json.dumps(doc))


def test_sweep_removes_unused_uploads_only(api, stack):
    """The sweep runs at the start, at a reload, and every 10 minutes; the objects are made older than 60 minutes."""
    forms = [new_form(api) for _ in range(3)]
    for form in forms:
        assert post_form(form, b"content")[0] == 200
    unused, used, fresh = forms
    assert usable(api, used, b"content").ok
    for form in (unused, used):
        made_older(stack, form, 65)
    assert not usable(api, unused, b"content").ok  # too old to be used
    stack.restart_otad()
    wait_until(lambda: not stored_files(stack, unused), 10, "the unused upload was not removed")
    assert len(stored_files(stack, used)) == 2 and len(stored_files(stack, fresh)) == 2


def test_sweep_leaves_a_deleted_package_while_a_link_to_it_may_live(api, stack, otad_default):
    """Whatever store_url_hours says now: the links were made when it may have been 168, its maximum."""
    stack.restart_otad(store_url_hours="1")
    kept, gone = new_form(api), new_form(api)
    for form, hours in ((kept, 167), (gone, 169)):
        assert post_form(form, b"content")[0] == 200
        fw = usable(api, form, b"content").body["Data"]["FirmwareId"]
        api.must("DeleteOTAFirmware", FirmwareId=fw)
        stack.sql("""update firmware f set deleted_ms = deleted_ms - %s * 3600000::bigint from firmware_file x
                     where x.firmware_id = f.id and x.object_key = %s""", hours, form["Key"])
        made_older(stack, form, 65)
    stack.signal_otad()
    wait_until(lambda: not stored_files(stack, gone), 20, "the package that was deleted long ago was not removed")
    assert len(stored_files(stack, kept)) == 2


def test_form_of_a_minute_ago_is_refused(api, stack, old_form):
    form, made = old_form
    time.sleep(max(0, made + 61 - time.monotonic()))
    status, _, text = post_form(form, b"x")
    assert status == 403 and "<Code>AccessDenied</Code>" in text and "expired" in text
    assert stored_files(stack, form) == []
