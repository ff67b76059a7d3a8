# SPDX-License-Identifier: Apache-2.0
"""Whatever comes in over HTTP and MQTT is answered or cut off, never with a 5xx (but 505, to a version of HTTP that there
is not), and otad lives on; a sanitizer's report ends the session's stack with a failure. OTAD_FUZZ_S: for how many
seconds (default 30; 600 for a long run). OTAD_FUZZ_SEED repeats the choices of a run: the seed stands in every failure."""
import json
import os
import random
import re
import subprocess
import time
from urllib.parse import urlsplit

import pytest
from client import encode, form_body, form_fields, raw_exchange
from conftest import MqttDevice, wait_until

SECONDS = float(os.environ.get("OTAD_FUZZ_S", "30"))
SEED = int(os.environ.get("OTAD_FUZZ_SEED", random.SystemRandom().getrandbits(32)))
TEXTS = ["", " ", "0", "-1", "1", "2147483648", "9223372036854775807", "9223372036854775808", "1e9", "true", "null", "undefined",
         "\0", "a\0b", "\x7f", "\ufeff", "\ud7ff", "\U0010ffff", "水" * 40, "é", "e\u0301", "%", "%00", "%zz", "+", "&", "=", "'",
         "';drop table job;--", "\\", "\\u0000", '"', "[]", "{}", "[" * 40, '{"a":' * 40, '{"":""}', '{"a":"\\u0000"}',
         '{"a":"\\ud800"}', '[{"tagKey":"k","tagValue":"\\u0000"}]', "../../etc/passwd", "http://127.0.0.1/x", "x" * 5000,
         'name = "x"', "name LIKE '%'", "2026-11-26T00:00:00Z"]


class Chance(random.Random):
    def text(self):
        kind = self.randrange(4)
        if kind < 2:
            return self.choice(TEXTS)
        if kind == 2:
            return "".join(chr(self.choice((self.randrange(128), self.randrange(0x2fff)))) for _ in range(self.randrange(40)))
        return self.choice(TEXTS) + self.choice(TEXTS)

    def spoil(self, data):
        """Bytes with some of them changed, doubled, moved or gone."""
        data = bytearray(data)
        for _ in range(self.choice((1, 1, 2, 3, 8))):
            at, n = self.randrange(len(data) + 1), self.choice((1, 1, 2, 5, 50))
            kind = self.randrange(5)
            if kind == 0:
                data[at:at + n] = self.randbytes(n)
            elif kind == 1:
                del data[at:at + n]
            elif kind == 2:
                data[at:at] = data[at:at + n]
            elif kind == 3:
                data[at:at] = self.choice((b"\r\n", b"\n", b"\0", b"\xff", b"%", b"&", b"=", b":", b" ", b"\r\n\r\n", b'"', b"--"))
            else:
                to = self.randrange(len(data) + 1)
                data[to:to] = data[at:at + n]
        return bytes(data)


@pytest.fixture(scope="module")
def operations(stack):
    text = subprocess.run([str(stack.bin / "otactl"), "openapi"], capture_output=True, text=True, timeout=60,
                          check=True).stdout
    return {p["post"]["operationId"]: p["post"] for p in json.loads(text)["paths"].values()}


class Throw:
    """One request of each kind -> (bytes that were sent, bytes that came back)."""

    def __init__(self, stack, api, operations, chance):
        self.stack, self.api, self.operations, self.chance = stack, api, operations, chance
        self.pk = api.product()
        self.row = api.device(self.pk)
        firmware = api.firmware(self.pk)
        device = MqttDevice(stack.broker, self.row).connect()
        job = api.job(firmware)
        self.url = device.wait_push().json["data"]["url"]
        device.disconnect()
        self.known = [self.pk, self.row["DeviceName"], self.row["IotId"], firmware.id, job,
                      api.task(job, self.row)["TaskId"],
                      api.must("CreateDeviceGroup", GroupName="g" + self.pk)["Data"]["GroupId"]]

    def parameters(self, action):
        r, out = self.chance, {}
        for p in self.operations[action]["parameters"]:
            if r.random() < 0.8:
                name, schema = p["name"], p["schema"]
                value = r.choice(self.known) if r.random() < 0.5 else r.text()
                if schema["type"] == "array" and r.random() < 0.8:
                    fields = schema["items"].get("properties")
                    value = [{f: r.text() for f in fields} if fields else r.text() for _ in range(r.randrange(4))]
                elif schema["type"] == "integer" and r.random() < 0.6:
                    value = r.choice((0, 1, 10, 2**31 - 1, 2**63 - 1, -2**63))
                out[name + r.choice(("", "", "", "", "", ".1", ".1.Key", ".99999999999"))] = value
        if r.random() < 0.2:
            out[r.text() or "x"] = r.text()
        return out

    def request(self):
        """A request whose signature is right, whatever stands in it."""
        r = self.chance
        action = r.choice(list(self.operations))
        way = r.choice(({"scheme": "rpc"}, {"scheme": "rpc", "method": "GET"}, {"scheme": "rpc", "place": "mixed"},
                        {"scheme": "acs3"}, {"scheme": "acs3", "place": "form"}))
        if r.random() < 0.1:
            way["format"] = r.choice(("XML", "", "x", None))
        return self.api.request(action, self.parameters(action), **way)

    @staticmethod
    def wire(method, target, headers, body):
        lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        return f"{method} {target} HTTP/1.1\r\n{lines}connection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body

    def signed(self):
        return self.send(self.stack.endpoint, self.wire(*self.request()))

    def signature(self):
        """The parts of a signature, each of them anything."""
        r = self.chance
        method, target, headers, body = self.request()
        for k in [k for k in headers if k.startswith("x-acs") or k == "authorization"]:
            if r.random() < 0.3:
                headers[k] = r.choice((headers[k][: r.randrange(len(headers[k]) + 1)], "Credential=,SignedHeaders=;;,Signature=",
                                       "ACS3-HMAC-SHA256 " + ",;=" * r.randrange(200), "x" * r.randrange(3000)))
        common = {k: r.text() for k in ("Signature", "SignatureNonce", "SignatureMethod", "SignatureVersion", "Timestamp",
                                        "AccessKeyId", "SecurityToken", "Version", "Format") if r.random() < 0.3}
        target += ("&" if "?" in target else "?") + encode(common.items())
        return self.send(self.stack.endpoint, self.wire(method, target, headers, body))

    def bytes(self):
        return self.send(self.stack.endpoint, self.chance.spoil(self.wire(*self.request())))

    def upload(self):
        r = self.chance
        form = self.api.must(r.choice(("GenerateOTAUploadURL", "GenerateDeviceNameListURL")))["Data"]
        fields = [(k, r.text() if r.random() < 0.2 else v) for k, v in form_fields(form) if r.random() < 0.95]
        kind, body = form_body(fields, r.randbytes(r.randrange(2000)), filename=r.choice((None, "a", "é", "x" * 300)))
        if r.random() < 0.7:
            body = r.spoil(body)
        url = urlsplit(form["Host"])
        data = self.wire("POST", url.path or "/", {"host": url.netloc, "content-type": kind}, body)
        return self.send(url.netloc, r.spoil(data) if r.random() < 0.3 else data)

    def register(self):
        """What a device asks without a secret of its own."""
        r, form = self.chance, {"productKey": self.pk, "deviceName": self.row["DeviceName"], "random": "r", "sign": "0" * 64,
                                "signMethod": "hmacsha256"}
        body = encode((k, r.text() if r.random() < 0.3 else v) for k, v in form.items() if r.random() < 0.95).encode()
        data = self.wire(r.choice(("POST", "POST", "GET")), "/auth/register/device",
                         {"host": self.stack.endpoint, "content-type": "application/x-www-form-urlencoded"}, body)
        return self.send(self.stack.endpoint, r.spoil(data) if r.random() < 0.3 else data)

    def download(self):
        r, url = self.chance, urlsplit(self.url)
        target, host = f"{url.path}?{url.query}", url.netloc
        if r.random() < 0.3:
            target = "/" + "".join(r.choice("/.%?&=ab0-") for _ in range(r.randrange(60)))
        elif r.random() < 0.6:
            target = r.spoil(target.encode()).decode("latin-1")
        data = self.wire("GET", target, {"host": host, "range": f"bytes={r.choice(TEXTS[:9])}-{r.choice(TEXTS[:9])}"}, b"")
        return self.send(host, r.spoil(data) if r.random() < 0.3 else data)

    @staticmethod
    def send(hostport, data):
        try:
            return data, raw_exchange(hostport, data, shut=True)
        except OSError:  # cut off while we still sent
            return data, b""


KINDS = ["signed", "signature", "bytes", "upload", "download", "register"]


@pytest.mark.parametrize("kind", KINDS)
def test_http(stack, api, operations, kind):
    chance = Chance(f"{SEED} {kind}")
    throw, pid, n, answers = Throw(stack, api, operations, chance), stack.otad_pid, 0, set()
    end = time.monotonic() + SECONDS * 0.8 / len(KINDS)
    while n < 10 or time.monotonic() < end:
        sent, got = getattr(throw, kind)()
        status = int(got[9:12]) if re.match(rb"HTTP/1\.[01] \d{3} ", got) else 0
        assert status < 500 or status == 505, f"seed {SEED}, request {n}: {sent[:6000]!r}\nanswered {got[:600]!r}"
        assert stack.running("otad") and stack.otad_pid == pid, f"seed {SEED}, request {n}: {sent[:6000]!r}"
        answers.add(status)
        n += 1
    assert answers - {0}
    api.product()


def test_reports(stack, api, device):
    """Over MQTT there is no answer: what comes after them still works."""
    chance, pid = Chance(f"{SEED} mqtt"), stack.otad_pid
    pk = api.product()
    d = device(api.device(pk))
    good = [(d.topic("inform"), b'{"id":"1","params":{"version":"1.0.0","module":"default"}}'),
            (d.topic("progress"), b'{"id":"1","params":{"step":"10","desc":"d","module":"default"}}'),
            (d.sys_topic("thing/ota/firmware/get"), b'{"id":"1","version":"1.0","params":{"module":"default"},"method":"x"}'),
            (d.sys_topic("thing/file/download"), b'{"id":"1","version":"1.0","params":{"fileToken":"x","fileInfo":{"streamId":1,'
             b'"fileId":1},"fileBlock":{"size":100,"offset":0}}}')]
    end = time.monotonic() + SECONDS * 0.2
    while time.monotonic() < end:
        topic, payload = chance.choice(good)
        kind = chance.randrange(3)
        text = payload.decode()
        if kind == 0:
            payload = chance.spoil(payload)
        elif kind == 1:
            payload = re.sub(r'"(1\.0\.0|default|10|d|x|1)"', lambda _: json.dumps(chance.text()), text).encode("utf-8", "replace")
        else:
            payload = chance.randbytes(chance.randrange(200))
        d.publish(topic, payload)
    d.inform("9.9.9")
    wait_until(lambda: api.version_of(pk, d.name) == "9.9.9", 60, f"seed {SEED}")
    assert stack.otad_pid == pid


def test_what_once_hurt(stack, api):
    """Bytes that are no text in headers that are shown or looked up, and a message that cut a character in two."""
    host = b"GET /?Format=XML HTTP/1.1\r\nHost: \xff\xfe\r\nConnection: close\r\n\r\n"
    assert re.match(rb"HTTP/1\.1 4\d\d .*<HostId>\?\?</HostId>", raw_exchange(stack.endpoint, host), re.S)
    method, target, headers, body = api.request("QueryProduct", {"ProductKey": "x"}, scheme="acs3")
    key = Throw.wire(method, target, headers, body).replace(api.ak.encode(), b"OTAK\xff")
    assert b'"Code":"InvalidParameter.Format"' in raw_exchange(stack.endpoint, key)
    api.refused("ConfirmOTATask", "iot.firmware.InvalidOTATaskId", TaskId=["水" * 40], format="XML")
