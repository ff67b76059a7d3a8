# SPDX-License-Identifier: Apache-2.0
"""What otasim's profiles put on the wire, byte for byte as captured from the SDKs they play (device §1, §2, §5),
against a broker and a download server that only listen. PK and DN are those of the captures."""
import hashlib
import hmac
import json
import queue
import re
import signal
import socket
import struct
import subprocess
import threading
from types import SimpleNamespace

import pytest
from conftest import build_dir

PK, DN, SECRET = "a1TestPk001", "dev-c3-01", "0123456789abcdef0123456789abcdef"
CONTENT = bytes(range(256)) * 40
MD5 = hashlib.md5(CONTENT).hexdigest()
OTA = "/ota/device/%s/" + f"{PK}/{DN}"
SYS = f"/sys/{PK}/{DN}/"


class Broker:
    """One device's other end. .seen: what it sent, in order; .connects: every CONNECT's fields."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.seen, self.connects, self.socket = queue.Queue(), queue.Queue(), None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                self.socket, _ = self.listener.accept()
            except OSError:
                return
            self._serve(self.socket.makefile("rb"))

    def _serve(self, stream):
        try:
            while True:
                head = stream.read(1)[0]
                size = shift = 0
                while True:
                    byte = stream.read(1)[0]
                    size |= (byte & 127) << shift
                    shift += 7
                    if byte < 128:
                        break
                self._packet(head >> 4, head & 15, stream.read(size))
        except (IndexError, OSError):
            pass

    def _packet(self, kind, flags, body):
        def text(at):
            n = struct.unpack_from(">H", body, at)[0]
            return body[at + 2:at + 2 + n].decode(), at + 2 + n
        if kind == 1:
            level, options, keepalive = body[6], body[7], struct.unpack_from(">H", body, 8)[0]
            cid, at = text(10)
            user, at = text(at)
            password, at = text(at)
            assert at == len(body)
            self.socket.sendall(b"\x20\x02\x00\x00")
            self.connects.put(SimpleNamespace(level=level, clean=bool(options & 2), options=options & ~2,
                                              keepalive=keepalive, cid=cid, user=user, password=password))
        elif kind == 3:
            topic, at = text(0)
            qos = flags >> 1 & 3
            if qos:
                self.socket.sendall(b"\x40\x02" + body[at:at + 2])
                at += 2
            self.seen.put((qos, topic, body[at:].decode()))
        elif kind in (8, 10):
            topic, at = text(2)
            self.socket.sendall(bytes([0x90 if kind == 8 else 0xb0, 2 + (kind == 8)]) + body[:2] +
                                (b"\x01" if kind == 8 else b""))
            self.seen.put(("SUB", topic, body[at]) if kind == 8 else ("UNSUB", topic))
        elif kind in (12, 14):
            self.seen.put("PINGREQ" if kind == 12 else "DISCONNECT")

    def next(self):
        return self.seen.get(timeout=20)

    def send(self, topic, payload):
        payload = payload if isinstance(payload, bytes) else payload.encode()
        body = struct.pack(">H", len(topic)) + topic.encode() + payload
        size, n = b"", len(body)
        while True:
            n, low = n >> 7, n & 127
            size += bytes([low | (128 if n else 0)])
            if not n:
                break
        self.socket.sendall(b"\x30" + size + body)

    def drop(self):
        self.socket.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.close()
        if self.socket:
            self.socket.close()


class Files:
    """Answers every request with the next of `answers` (a function of the offset asked for); .heads: the requests."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.heads, self.answers = queue.Queue(), []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    got = connection.recv(4096)
                    if not got:
                        return
                    head += got
                self.heads.put(head.decode())
                found = re.search(r"Range: bytes=(\d+)-", head.decode())
                answer = self.answers.pop(0) if self.answers else whole
                connection.sendall(answer(int(found.group(1)) if found else None))

    def head(self):
        return self.heads.get(timeout=20)


def part(start, body, end=None):
    status = "200 OK" if start is None else "206 Partial Content"
    body = body[start or 0:]
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:end]


def whole(start):
    return part(start, CONTENT)


@pytest.fixture
def play(tmp_path):
    """play(profile, options...) -> (broker, files, stop); stop() ends otasim and gives its report."""
    broker, files, sims = Broker(), Files(), []

    def start(profile, *options):
        csv, report = tmp_path / "fleet.csv", tmp_path / "report.json"
        csv.write_text(f"{PK},{DN},{SECRET}\n")
        sim = subprocess.Popen([build_dir() / "bin/otasim", "--broker", f"127.0.0.1:{broker.port}", "--devices", csv,
                                "--profile", profile, "--report", report, "--delay", "0", "--duration", "120",
                                "--http-port", str(files.port), *options], stderr=subprocess.PIPE, text=True)
        sims.append(sim)

        def stop():
            sim.send_signal(signal.SIGTERM)
            _, err = sim.communicate(timeout=20)
            assert sim.returncode == 0, err
            return json.loads(report.read_text())
        return broker, files, stop
    yield start
    for sim in sims:
        if sim.poll() is None:
            sim.kill()
            sim.communicate()
    broker.close()
    files.listener.close()


def push(**data):
    return json.dumps({"code": "1000", "data": {"size": len(CONTENT), "version": "2.0.0", **data}, "id": 1,
                       "message": "success"}, separators=(",", ":"))


def url(host):
    return f"http://{host}/ota/fw.bin?k=1"


def single(host="127.0.0.1", **more):
    return push(url=url(host), md5=MD5, sign=MD5, signMethod="Md5", **more)


def password(digest, content, upper):
    mac = hmac.new(SECRET.encode(), content.encode(), digest).hexdigest()
    return mac.upper() if upper else mac


# The captures. inform, progress, pull: what the device says of version 1.0.0, step 50 and its wish.
STAMP = "2524608000000"
V3 = dict(
    cid=f"{PK}.{DN}|timestamp={STAMP},_v=sdk-c-3.2.0,securemode=3,signmethod=hmacsha256,lan=C,_ss=1,gw=0,ext=0|",
    password="EDC7E4F25B947A16308836736EB5A92C867F64E10F363FFAAB6FCA51867F14EA",
    clean=False, keepalive=(120, 60),
    start=[(1, OTA % "inform", '{"id":"1","params":{"version":"app-1.0.0-20180101.1000"}}'),
           ("SUB", OTA % "request", 1), ("SUB", OTA % "upgrade", 1), ("SUB", SYS + "thing/config/get_reply", 0),
           ("SUB", SYS + "thing/config/push", 0), (1, OTA % "inform", '{"id":"0","params":{"version":"1.0.0"}}')],
    again=[],
    progress=[(0, '{"id":0,"params":{"step":"0","desc":"Enter in downloading state"}}'),
              (0, '{"id":0,"params":{"step":"50","desc":""}}'), (0, '{"id":0,"params":{"step":"100","desc":""}}')],
    done=(1, OTA % "inform", '{"id":"0","params":{"version":"2.0.0"}}'),
    lost='{"id":0,"params":{"step":"-2","desc":"download failed"}}',
    wrong='{"id":0,"params":{"step":"-3","desc":""}}',
    pull=(1, OTA % "request", '{"id":"0","params":{"version":"1.0.0"}}'),
    module=(1, OTA % "inform", '{"id":"0","params":{"version":"1.0.0", "module":"MCU"}}'),
    request="GET /ota/fw.bin?k=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
            "Accept-Encoding: gzip, deflate\r\nRange: bytes=0-\r\n\r\n")
V4 = dict(
    cid=f"{PK}.{DN}|timestamp={STAMP},_ss=1,_v=sdk-c-4.2.0,securemode=3,signmethod=hmacsha256,ext=3,_conn=tcp_0|",
    password=V3["password"], clean=True, keepalive=(1200, 1200),
    start=["PINGREQ", (0, OTA % "inform", '{"id":1, "params":{"version":"1.0.0"}}')],
    again=["PINGREQ"],
    progress=[(0, '{"id":2, "params":{"step":"0","desc":""}}'), (0, '{"id":3, "params":{"step":"50","desc":""}}'),
              (0, '{"id":4, "params":{"step":"100","desc":""}}')],
    done=(0, OTA % "inform", '{"id":5, "params":{"version":"2.0.0"}}'),
    lost='{"id":2, "params":{"step":"-2","desc":""}}',
    wrong='{"id":4, "params":{"step":"-3","desc":""}}',
    pull=(0, SYS + "thing/ota/firmware/get", '{"id":2, "params":{}}'),
    module=(0, OTA % "inform", '{"id":1, "params":{"version":"1.0.0","module":"MCU"}}'),
    request="GET /ota/fw.bin?k=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "Accept: text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8\r\n"
            "Range: bytes=0-\r\nContent-Length: 0\r\n\r\n")
NODE = dict(
    cid=f"{PK}&{DN}|securemode=3,signmethod=hmacsha1,timestamp=$t,lan=NodeJS,_v=1.2.8|",
    password=lambda t: password("sha1", f"clientId{PK}&{DN}deviceName{DN}productKey{PK}timestamp{t}", False),
    clean=False, keepalive=(60, 60),
    start=[*[("SUB", SYS + "thing/" + t, 1) for t in (
        "event/property/post_reply", "service/property/set", "event/+/post_reply", "deviceinfo/update_reply",
        "deviceinfo/delete_reply", "config/get_reply", "config/push", "config/push_reply", "topo/add_reply",
        "topo/delete_reply", "topo/get_reply", "sub/register_reply")],
        ("SUB", SYS + "rrpc/request/+", 1), ("SUB", f"/shadow/get/{PK}/{DN}", 1),
        ("SUB", f"/ext/session/{PK}/{DN}/combine/login_reply", 1),
        ("SUB", f"/ext/session/{PK}/{DN}/combine/logout_reply", 1),
        ("SUB", OTA % "upgrade", 1), ("SUB", SYS + "thing/ota/firmware/get_reply", 1),
        (0, OTA % "inform", '{"id":"1","params":{"version":"1.0.0"}}')],
    again=[],
    progress=[(0, '{"id":"2","params":{"step":"0","desc":""}}'), (0, '{"id":"3","params":{"step":"50","desc":""}}'),
              (0, '{"id":"4","params":{"step":"100","desc":""}}')],
    done=(0, OTA % "inform", '{"id":"5","params":{"version":"2.0.0"}}'),
    lost='{"id":"3","params":{"step":"-2","desc":"download failed"}}',
    wrong='{"id":"4","params":{"step":"-3","desc":""}}',
    pull=(0, SYS + "thing/ota/firmware/get",
          '{"id":"2","version":"1.0","params":{},"method":"thing.ota.firmware.get"}'),
    module=(0, OTA % "inform", '{"id":"1","params":{"version":"1.0.0","module":"MCU"}}'),
    request="GET /ota/fw.bin?k=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
PAHO = dict(
    cid=f"{PK}.{DN}|securemode=3,signmethod=hmacsha256|",
    password=password("sha256", f"clientId{PK}.{DN}deviceName{DN}productKey{PK}", False),
    clean=True, keepalive=(300, 300),
    start=[("SUB", OTA % "upgrade", 1), ("SUB", SYS + "thing/ota/firmware/get_reply", 1),
           (1, OTA % "inform", '{"id": 1,"params": {"version":"1.0.0"}}')],
    again=[("SUB", OTA % "upgrade", 1), ("SUB", SYS + "thing/ota/firmware/get_reply", 1)],
    progress=[(0, '{"id": 2,"params": {"step":0,"desc":""}}'), (0, '{"id": 3,"params": {"step":50,"desc":""}}'),
              (0, '{"id": 4,"params": {"step":100,"desc":""}}')],
    done=(1, OTA % "inform", '{"id": 5,"params": {"version":"2.0.0"}}'),
    lost='{"id": 3,"params": {"step":-2,"desc":"download failed"}}',
    wrong='{"id": 4,"params": {"step":-3,"desc":""}}',
    pull=(0, SYS + "thing/ota/firmware/get", '{"id": 2, "params": {}}'),
    module=(1, OTA % "inform", '{"id": 1,"params": {"version":"1.0.0","module":"MCU"}}'),
    request="GET /ota/fw.bin?k=1 HTTP/1.1\r\nAccept-Encoding: identity\r\nHost: 127.0.0.1\r\n"
            "User-Agent: Python-urllib/3.11\r\nConnection: close\r\n\r\n")
CAPTURES = {"c-link-3.2": V3, "c-link-4": V4, "node": NODE, "paho": PAHO}
each = pytest.mark.parametrize("profile", CAPTURES)


def start(broker, capture):
    for packet in capture["start"]:
        assert broker.next() == packet


def check_connect(connect, capture, nth):
    stamp = re.search(r"timestamp=(\d+)", connect.cid)
    stamp = stamp.group(1) if stamp else ""
    want = capture["password"]
    assert connect.cid == capture["cid"].replace("$t", stamp)
    assert connect.password == (want(stamp) if callable(want) else want)
    assert (connect.level, connect.options, connect.user) == (4, 0xc0, f"{DN}&{PK}")
    assert (connect.clean, connect.keepalive) == (capture["clean"], capture["keepalive"][nth])
    return stamp


@each
def test_login_and_first_packets_then_again_after_a_loss(play, profile):
    capture = CAPTURES[profile]
    broker, _, stop = play(profile)
    stamp = check_connect(broker.connects.get(timeout=20), capture, 0)
    start(broker, capture)
    broker.drop()
    assert check_connect(broker.connects.get(timeout=20), capture, 1) == stamp  # the same process
    for packet in capture["again"]:
        assert broker.next() == packet
    broker.send(OTA % "upgrade", single())
    qos, text = capture["progress"][0]
    assert broker.next() == (qos, OTA % "progress", text)  # neither subscriptions nor a version in between
    stop()


@each
def test_update(play, profile):
    capture = CAPTURES[profile]
    broker, files, stop = play(profile, "--steps", "2")
    start(broker, capture)
    broker.send(OTA % "upgrade", single())
    assert files.head() == capture["request"]
    for qos, text in capture["progress"]:
        assert broker.next() == (qos, OTA % "progress", text)
    assert broker.next() == capture["done"]
    assert stop()["successes"] == 1


@each
def test_reboot_is_a_new_process(play, profile):
    capture = CAPTURES[profile]
    broker, _, stop = play(profile, "--reboot", "--no-download")
    first = check_connect(broker.connects.get(timeout=20), capture, 0)
    start(broker, capture)
    broker.send(OTA % "upgrade", single())
    while broker.next() != "DISCONNECT":
        pass
    second = check_connect(broker.connects.get(timeout=20), capture, 0)
    assert (first != second) == (profile == "node")
    for packet in capture["start"][:-1]:
        assert broker.next() == packet
    assert json.loads(broker.next()[2])["params"] == {"version": "2.0.0"}
    stop()


@each
def test_break_is_resumed(play, profile):
    broker, files, stop = play(profile)
    start(broker, CAPTURES[profile])
    files.answers = [lambda at: part(at, CONTENT, 5000)]
    broker.send(OTA % "upgrade", single())
    assert "bytes=5000-" not in files.head()
    assert "\r\nRange: bytes=5000-\r\n" in files.head()
    while json.loads(broker.next()[2])["params"].get("version") != "2.0.0":
        pass
    report = stop()
    assert report["downloads_resumed"] == 1 and report["digest_errors"] == 0


@each
def test_wrong_digest(play, profile):
    capture = CAPTURES[profile]
    broker, files, stop = play(profile, "--steps", "2")
    start(broker, capture)
    files.answers = [lambda at: part(at, CONTENT[:-1] + b"?")]
    broker.send(OTA % "upgrade", single())
    for qos, text in capture["progress"][:2]:
        assert broker.next() == (qos, OTA % "progress", text)
    assert broker.next() == (0, OTA % "progress", capture["wrong"])
    assert stop()["digest_errors"] == 1


@each
def test_refused_download(play, profile):
    """Who does not look at the status takes every body for a part of the image, until he has enough of them."""
    broker, files, stop = play(profile)
    start(broker, CAPTURES[profile])
    files.answers = [lambda at: b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nDenied"] * 60
    broker.send(OTA % "upgrade", single())
    while True:
        _, topic, text = broker.next()
        if json.loads(text)["params"].get("step") in ("-2", -2):
            break
    assert topic == OTA % "progress"
    ranges = [re.search(r"bytes=(\d+)-", files.head()) for _ in range(files.heads.qsize())]
    offsets = [int(r.group(1)) if r else None for r in ranges]
    if profile == "c-link-3.2":
        assert offsets == list(range(0, 300, 6))
    else:
        assert offsets == {"c-link-4": [0]}.get(profile, [None] * 5)
    assert stop()["downloads_failed"] == 1


def test_ports_in_urls(play):
    broker, files, stop = play("c-link-3.2")
    start(broker, V3)
    broker.send(OTA % "upgrade", single(f"127.0.0.1:{files.port}"))
    assert broker.next() == (0, OTA % "progress", V3["lost"])
    assert stop()["downloads_failed"] == 1 and files.heads.empty()


@pytest.mark.parametrize("profile", ["c-link-4", "node", "paho"])
def test_host_names_the_port(play, profile):
    broker, files, _ = play(profile)
    start(broker, CAPTURES[profile])
    broker.send(OTA % "upgrade", single(f"127.0.0.1:{files.port}"))
    assert f"\r\nHost: 127.0.0.1:{files.port}\r\n" in files.head()


@each
def test_pull(play, profile):
    capture = CAPTURES[profile]
    broker, files, stop = play(profile, "--pull-every", "1")
    start(broker, capture)
    assert broker.next() == capture["pull"]
    reply = OTA % "request" if profile == "c-link-3.2" else SYS + "thing/ota/firmware/get_reply"
    broker.send(reply, '{"id":"2","code":200,"data":{}}')
    broker.send(reply, single())
    assert files.head() == capture["request"]
    while json.loads(broker.next()[2])["params"].get("version") != "2.0.0":
        pass
    report = stop()
    assert (report["pulls"], report["pushes"], report["push_unusable"], report["successes"]) == (1, 0, 0, 1)


@each
def test_module(play, profile):
    capture = CAPTURES[profile]
    broker, _, _ = play(profile, "--module", "MCU", "--no-download")
    for packet in capture["start"][:-1]:
        assert broker.next() == packet
    assert broker.next() == capture["module"]
    broker.send(OTA % "upgrade", single(module="MCU"))
    for version in (None, None, "2.0.0"):
        params = json.loads(broker.next()[2])["params"]
        assert params["module"] == "MCU" and params.get("version") == version


# What they do with pushes that stray from the documented form: the names of those that are updated by it; the others
# ignore it, or report -2 where LOST says so. Nobody ignores the last one: it shows that those before were seen.
OTHER_FORMS = {
    "no md5": (push(url=url("127.0.0.1"), sign=MD5, signMethod="Md5"), {"c-link-4", "node", "paho"}),
    "no success": (single().replace("success", "ok"), {"c-link-4", "node", "paho"}),
    "MD5": (single().replace('"signMethod":"Md5"', '"signMethod":"MD5"'), {"c-link-3.2", "node", "paho"}),
    "blanks": (json.dumps(json.loads(single())), {"c-link-3.2", "node", "paho"}),
    "blocks": (push(dProtocol="mqtt", streamId=7, streamFileId=1, md5=MD5, sign=MD5, signMethod="Md5"), set()),
    "SHA256": (push(url=url("127.0.0.1"), md5=MD5, sign=hashlib.sha256(CONTENT).hexdigest(), signMethod="SHA256"),
               set(CAPTURES)),
    "tags last": (single(extData={"version": "tag", "size": "tag"}), set(CAPTURES)),
    "tags first": (push(extData={"url": "tag"}, url=url("127.0.0.1"), md5=MD5, sign=MD5, signMethod="Md5"),
                   {"c-link-3.2", "node", "paho"}),
}
LOST = {("c-link-4", "tags first")}


@each
def test_who_takes_what(play, profile):
    broker, _, stop = play(profile)
    start(broker, CAPTURES[profile])
    ignored = 0
    for n, (name, (payload, takers)) in enumerate(OTHER_FORMS.items()):
        if (profile, name) == ("c-link-4", "blocks"):
            continue  # test_blocks
        version = f"2.0.{n}"
        broker.send(OTA % "upgrade", payload.replace("2.0.0", version))
        if profile not in takers and (profile, name) not in LOST:
            ignored += 1
            continue
        end = ("version", version) if profile in takers else ("step", "-2")
        while json.loads(broker.next()[2])["params"].get(end[0]) != end[1]:
            pass
    assert stop()["push_unusable"] == ignored


def several(**more):
    files = [{"fileSize": len(CONTENT), "fileName": f"f{i}", "fileUrl": f"http://127.0.0.1/f{i}", "fileMd5": MD5,
              "fileSign": MD5} for i in range(2)]
    return json.dumps({"code": "1000", "data": {**more, "version": "2.0.0", "signMethod": "Md5", "files": files},
                       "id": 1, "message": "success"}, separators=(",", ":"))


@each
def test_several_files(play, profile):
    broker, files, stop = play(profile, "--steps", "2")
    start(broker, CAPTURES[profile])
    broker.send(OTA % "upgrade", several(extData={"key1": "v1"}))
    if profile == "c-link-3.2":
        broker.send(OTA % "upgrade", single())
        assert files.head() == V3["request"]
        assert stop()["push_unusable"] == 1
        return
    assert [files.head().split(" ")[1] for _ in range(2)] == ["/f0", "/f1"]
    steps = []
    while not steps or steps[-1] is not None:
        step = json.loads(broker.next()[2])["params"].get("step")
        steps.append(None if step is None else int(step))
    assert steps == ([0, 50, 0, 50, 100, None] if profile == "c-link-4" else [0, 50, 50, 100, None])
    assert stop()["downloads"] == 2


def frame(number, offset, block, code=200):
    crc = 0
    for byte in block:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    head = json.dumps({"id": number, "code": code, "data": {"fileToken": "default", "fileLength": len(CONTENT),
                                                             "bOffset": offset, "bSize": len(block)}}).encode()
    return struct.pack(">H", len(head)) + head + block + struct.pack("<H", crc)


def test_blocks(play):
    broker, _, stop = play("c-link-4")
    start(broker, V4)
    broker.send(OTA % "upgrade", push(dProtocol="mqtt", streamId=1397345, streamFileId=1, md5=MD5, sign=MD5,
                                      signMethod="Md5"))
    reply = SYS + "thing/file/download_reply"
    assert broker.next() == ("SUB", reply, 0)
    assert broker.next() == (0, OTA % "progress", '{"id":2, "params":{"step":"0","desc":""}}')
    number = 3
    for offset, damage in ((0, False), (5120, True), (5120, False)):
        assert broker.next() == (0, SYS + "thing/file/download",
                                 '{"id":"%d","version":"1.0","params":{"fileToken":"default","fileInfo":{"streamId":'
                                 '1397345,"fileId":1,},"fileBlock":{"size":5120,"offset":%d}}}' % (number, offset))
        good = frame(str(number), offset, CONTENT[offset:offset + 5120])
        broker.send(reply, good[:-1] + bytes([good[-1] ^ damage]))
        number += 1
        if offset == 0:
            assert broker.next() == (0, OTA % "progress", '{"id":4, "params":{"step":"50","desc":""}}')
            number += 1
    assert broker.next() == ("UNSUB", reply)
    assert json.loads(broker.next()[2])["params"]["step"] == "100"
    assert json.loads(broker.next()[2])["params"] == {"version": "2.0.0"}
    report = stop()
    assert (report["blocks"], report["downloads"], report["successes"]) == (2, 1, 1)


def test_blocks_that_do_not_come(play):
    broker, _, stop = play("c-link-4")
    start(broker, V4)
    broker.send(OTA % "upgrade", push(dProtocol="mqtt", streamId=1, streamFileId=1, md5=MD5, sign=MD5,
                                      signMethod="Md5"))
    broker.next()
    broker.next()
    for _ in range(4):
        assert broker.next()[1] == SYS + "thing/file/download"
        broker.send(SYS + "thing/file/download_reply", frame("1", 0, b"", 404)[:-2])
    assert broker.next() == ("UNSUB", SYS + "thing/file/download_reply")
    assert json.loads(broker.next()[2])["params"]["step"] == "-4"
    assert stop()["downloads_failed"] == 1


def test_mix_is_exact(tmp_path):
    """40:40:15:5 of 100 devices, told apart by their client ids."""
    csv = tmp_path / "fleet.csv"
    csv.write_text("".join(f"{PK},d{i},{SECRET}\n" for i in range(100)))
    ids = []
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
        listener.settimeout(30)
        sim = subprocess.Popen([build_dir() / "bin/otasim", "--broker", f"127.0.0.1:{listener.getsockname()[1]}",
                                "--devices", csv, "--profile", "c-link-3.2:40,c-link-4:40,node:15,paho:5",
                                "--connect-rate", "1000", "--duration", "60"])
        try:
            connections = [listener.accept()[0] for _ in range(100)]
            for c in connections:
                c.settimeout(30)
                ids.append(c.recv(4096).decode("latin-1"))
                c.close()
        finally:
            sim.kill()
            sim.wait()
    marks = {"_v=sdk-c-3.2.0": 40, "_v=sdk-c-4.2.0": 40, "lan=NodeJS": 15, "hmacsha256|": 5}
    assert {m: sum(m in i for i in ids) for m in marks} == marks


@pytest.mark.parametrize("value", ["", "nobody", "paho:", "paho:0", "paho:x", "paho,", ",paho", "paho:1:2",
                                   ",".join(["paho"] * 9)])
def test_bad_mix_is_refused(tmp_path, value):
    r = subprocess.run([build_dir() / "bin/otasim", "--broker", "127.0.0.1:1", "--devices", tmp_path / "none",
                        "--profile", value], capture_output=True, text=True, timeout=20)
    assert r.returncode == 2 and "--profile" in r.stderr
