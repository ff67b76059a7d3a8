# SPDX-License-Identifier: Apache-2.0
"""A management client of our own, standard library only: both signatures, JSON and XML, and raw requests for
what no SDK can say. It is written from the vendor's documents, not from the server's code.

    api = Client(endpoint, ak, sk)
    answer = api.call("QueryOTAJob", JobId="x")          # any answer: .status .body .code .message .ok .headers
    body = api.must("CreateProduct", ProductName="p")    # the body of a success, AssertionError otherwise
    answer = api.refused("QueryOTAJob", "iot.firmware...", JobId="x")   # asserts the code

Parameters: str, int, bool; a list becomes Name.1, Name.2; a list of dicts becomes Name.1.Key and so on;
None is left out. call(..., scheme="acs3"|"rpc", method="GET"|"POST", place="query"|"form", format="XML", ...).
"""
import base64
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import socket
import threading
import time
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

HERE = pathlib.Path(__file__).resolve().parent
VERSION = "2018-01-20"


def pct(text):
    return quote(str(text), safe="-_.~")


ahead_s = 0  # how far Stack.advance() has moved the server's clock


def now_ms():
    """The server's idea of the time."""
    return int((time.time() + ahead_s) * 1000)


def node_env(**more):
    """Environment of an SDK's process that shares the server's idea of the time (sdk/ahead.cjs, sdk/ahead.py)."""
    return {**os.environ, "NODE_OPTIONS": f"--require {HERE}/sdk/ahead.cjs", "AHEAD_S": str(ahead_s), **more}


def utc(offset_s=0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + ahead_s + offset_s))


def flatten(params):
    """Nested parameters to (name, text) pairs."""
    out = []
    for name, value in params.items():
        if value is None:
            continue
        if isinstance(value, (list, tuple)):
            for i, item in enumerate(value, 1):
                if isinstance(item, dict):
                    out += [(f"{name}.{i}.{k}", v) for k, v in flatten(item)]
                else:
                    out.append((f"{name}.{i}", text_of(item)))
        else:
            out.append((name, text_of(value)))
    return out


def text_of(value):
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def encode(pairs):
    return "&".join(f"{pct(k)}={pct(v)}" for k, v in pairs)


def canonical(pairs):
    return "&".join(f"{pct(k)}={pct(v)}" for k, v in sorted(pairs, key=lambda p: (p[0].encode(), p[1].encode())))


def rpc_signature(secret, method, pairs):
    text = f"{method}&%2F&{pct(canonical(pairs))}"
    return base64.b64encode(hmac.new((secret + "&").encode(), text.encode(), hashlib.sha1).digest()).decode()


def acs3_authorization(ak, secret, method, pairs, headers, payload_hash):
    names = sorted(h for h in headers if h.startswith("x-acs-") or h in ("host", "content-type"))
    lines = "".join(f"{n}:{headers[n].strip()}\n" for n in names)
    request = "\n".join([method, "/", canonical(pairs), lines, ";".join(names), payload_hash])
    text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(request.encode()).hexdigest()
    mac = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"ACS3-HMAC-SHA256 Credential={ak},SignedHeaders={';'.join(names)},Signature={mac}"


@dataclass
class Answer:
    status: int
    headers: dict
    raw: bytes
    body: dict = field(default_factory=dict)
    xml: object = None  # the root element of an XML answer

    @property
    def text(self):
        return self.raw.decode("utf-8", "replace")

    @property
    def code(self):
        return self.body.get("Code")

    @property
    def message(self):
        return self.body.get("ErrorMessage") or self.body.get("Message")

    @property
    def ok(self):
        return self.status == 200 and self.body.get("Success") is True


def xml_value(element):
    """An element as str, or dict of its children (a repeated name becomes a list)."""
    if not len(element):
        return element.text or ""
    out = {}
    for child in element:
        value = xml_value(child)
        if child.tag in out:
            if not isinstance(out[child.tag], list):
                out[child.tag] = [out[child.tag]]
            out[child.tag].append(value)
        else:
            out[child.tag] = value
    return out


def parse(status, headers, raw):
    answer = Answer(status, headers, raw)
    kind = headers.get("content-type", "")
    if "json" in kind:
        answer.body = json.loads(raw)
    elif "xml" in kind and raw:
        answer.xml = ET.fromstring(raw)
        answer.body = xml_value(answer.xml) if len(answer.xml) else {}
        if answer.body.get("Success") in ("true", "false"):
            answer.body["Success"] = answer.body["Success"] == "true"
    return answer


class Client:
    """One access key at one endpoint. Any thread: each keeps a connection of its own."""

    def __init__(self, endpoint, ak, sk, timeout=10, tls=None):
        """tls: an ssl.SSLContext; None is plain HTTP."""
        self.endpoint, self.ak, self.sk, self.timeout, self.tls = endpoint, ak, sk, timeout, tls
        self.local = threading.local()

    # ---- signed calls ----

    def request(self, action, params=None, *, scheme="rpc", method="POST", place=None, format="JSON",
                ak=None, sk=None, timestamp=None, nonce=None, version=VERSION, common=None, headers=None):
        """A signed request as (method, target, headers, body), to be sent with send() or changed before.
        place: where the parameters are: query, form, or mixed. common: overrides of the common parameters of
        the RPC scheme (None leaves one out), e.g. {"Timestamp": None}. format None: none is asked for."""
        pairs = flatten(params or {})
        if scheme == "rpc":
            return self._rpc(action, pairs, method, place, format, ak, sk, timestamp, nonce, version, common,
                             headers)
        return self._acs3(action, pairs, method, place, format, ak, sk, timestamp, nonce, version, headers)

    def _rpc(self, action, pairs, method, place, format, ak, sk, timestamp, nonce, version, common, headers):
        shared = {"Action": action, "Version": version, "AccessKeyId": ak or self.ak,
                  "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
                  "SignatureNonce": nonce or uuid.uuid4().hex, "Timestamp": timestamp or utc(), "Format": format}
        shared.update(common or {})
        every = [(k, v) for k, v in shared.items() if v is not None] + pairs
        if "Signature" not in shared:
            every.append(("Signature", rpc_signature(sk or self.sk, method, every)))
        place = place or ("query" if method == "GET" else "form")
        query = {"query": every, "form": [], "mixed": every[0::2]}[place]
        form = {"query": [], "form": every, "mixed": every[1::2]}[place]
        out = {"host": self.endpoint}
        body = encode(form).encode()
        if form:
            out["content-type"] = "application/x-www-form-urlencoded"
        out.update(headers or {})
        return method, "/" + ("?" + encode(query) if query else ""), out, body

    def _acs3(self, action, pairs, method, place, format, ak, sk, timestamp, nonce, version, headers):
        out = {"host": self.endpoint, "x-acs-action": action, "x-acs-version": version,
               "x-acs-date": timestamp or utc(), "x-acs-signature-nonce": nonce or uuid.uuid4().hex}
        if format:
            out["accept"] = "application/" + format.lower()
        form = place == "form"
        body = encode(pairs).encode() if form else b""
        if form:
            out["content-type"] = "application/x-www-form-urlencoded"
        out["x-acs-content-sha256"] = hashlib.sha256(body).hexdigest()
        out.update(headers or {})
        query = [] if form else pairs
        out["authorization"] = acs3_authorization(ak or self.ak, sk or self.sk, method, query, out,
                                                  out["x-acs-content-sha256"])
        return method, "/" + ("?" + encode(query) if query else ""), out, body

    def send(self, method, target, headers, body=b"", chunked=False):
        """One request over this thread's kept-alive connection (opened anew when it broke) -> Answer."""
        for again in (True, False):
            connection = getattr(self.local, "connection", None)
            fresh = connection is None
            if fresh:
                connection = self.local.connection = http_connection(self.endpoint, self.tls, self.timeout)
            try:
                connection.putrequest(method, target, skip_host="host" in headers, skip_accept_encoding=True)
                for k, v in headers.items():
                    connection.putheader(k, v)
                if chunked:
                    connection.putheader("transfer-encoding", "chunked")
                    connection.endheaders(self._chunks(body), encode_chunked=True)
                else:
                    if body or method != "GET":
                        connection.putheader("content-length", str(len(body)))
                    connection.endheaders(body or None)
                r = connection.getresponse()
                raw = r.read()
                return parse(r.status, {k.lower(): v for k, v in r.getheaders()}, raw)
            except (http.client.HTTPException, OSError):
                connection.close()
                self.local.connection = None
                if fresh or not again:
                    raise

    @staticmethod
    def _chunks(body):
        half = len(body) // 2
        return [part for part in (body[:half], body[half:]) if part]

    def call(self, action, _params=None, *, chunked=False, **params):
        """Options of request() by their lower-case names; everything with a capital is a parameter."""
        options = {k: params.pop(k) for k in list(params) if k[0].islower()}
        return self.send(*self.request(action, {**(_params or {}), **params}, **options), chunked=chunked)

    def must(self, action, _params=None, **params):
        answer = self.call(action, _params, **params)
        assert answer.ok, f"{action} {params}: {answer.status} {answer.text[:400]}"
        assert "Code" not in answer.body, f"a success with a Code: {answer.text[:400]}"
        return answer.body

    def refused(self, action, code, _params=None, **params):
        answer = self.call(action, _params, **params)
        assert not answer.ok, f"{action} {params} was accepted, wanted {code}"
        assert answer.code == code, f"{action}: wanted {code}, got {answer.status} {answer.text[:400]}"
        assert answer.message and answer.body.get("Message") == answer.body.get("ErrorMessage")
        assert answer.body.get("RequestId") and answer.body.get("HostId") and answer.body["Success"] is False
        return answer

    # ---- what tests need again and again ----

    def product(self, **more):
        """A new product -> its ProductKey."""
        body = self.must("CreateProduct", ProductName="p" + uuid.uuid4().hex[:16], NodeType=0, **more)
        return body["Data"]["ProductKey"]

    def device(self, pk, name=None):
        """A new device -> {ProductKey, DeviceName, DeviceSecret, IotId, ...}."""
        return self.must("RegisterDevice", ProductKey=pk, DeviceName=name or "d" + uuid.uuid4().hex[:16])["Data"]

    def devices(self, pk, count):
        """A batch of new devices with random names -> list like device()."""
        apply_id = self.must("BatchRegisterDevice", ProductKey=pk, Count=count)["Data"]["ApplyId"]
        wait_until(lambda: self.must("QueryBatchRegisterDeviceStatus", ProductKey=pk,
                                     ApplyId=apply_id)["Data"]["Status"] == "CREATE_SUCCESS", 60)
        out, page = [], 1
        while len(out) < count:
            rows = self.must("QueryPageByApplyId", ApplyId=apply_id, PageSize=50,
                             CurrentPage=page)["ApplyDeviceList"]["ApplyDeviceInfo"]
            assert rows, f"only {len(out)} of {count} devices on the pages of the batch"
            out += [{**row, "ProductKey": pk} for row in rows]
            page += 1
        return out

    def upload(self, content, kind="GenerateOTAUploadURL", **params):
        """Uploads through the form -> the URL that the create call takes."""
        form = self.must(kind, **params)["Data"]
        status, _, text = post_form(form, content, tls=self.tls)
        assert status == 200, f"upload answered {status} {text[:200]}"
        return form.get("FirmwareUrl") or form["FileUrl"]

    def firmware(self, pk, version="2.0.0", content=None, **more):
        """A package that needs no verification -> Firmware(id, content, md5, sha256, version, url, pk)."""
        content = os.urandom(300) if content is None else content
        url = self.upload(content)
        params = {"ProductKey": pk, "FirmwareName": "fw-" + uuid.uuid4().hex[:20], "DestVersion": version,
                  "FirmwareUrl": url, "NeedToVerify": False, **more}
        body = self.must("CreateOTAFirmware", params)
        return Firmware(body["Data"]["FirmwareId"], pk, version, content, hashlib.md5(content).hexdigest(),
                        hashlib.sha256(content).hexdigest(), url)

    def name_list(self, names, separator="\n"):
        """Uploads a device list file -> DnListFileUrl."""
        return self.upload(separator.join(names).encode(), "GenerateDeviceNameListURL")

    def job(self, firmware, **params):
        """An upgrade job of that package, TargetSelection=ALL unless said otherwise -> JobId."""
        return self.must("CreateOTAStaticUpgradeJob", {"FirmwareId": firmware.id, "ProductKey": firmware.pk,
                                                       "TargetSelection": "ALL", **params})["Data"]["JobId"]

    def job_info(self, job):
        return self.must("QueryOTAJob", JobId=job)["Data"]

    def tasks(self, job, **filters):
        """All tasks of a job, over all pages -> list of rows."""
        rows, page = [], 1
        while True:
            body = self.must("ListOTATaskByJob", {"JobId": job, "PageSize": 100, "CurrentPage": page, **filters})
            got = (body.get("Data") or {}).get("SimpleOTATaskInfo") or []
            rows += got
            if not got or len(rows) >= body["Total"]:
                return rows
            page += 1

    def task(self, job, device):
        """The row of a device (name or what device() gave), or None."""
        name = device if isinstance(device, str) else device["DeviceName"]
        return next((t for t in self.tasks(job) if t["DeviceName"] == name), None)

    def wait_task(self, job, device, status, within=10):
        """Waits until the device's task has that status (or one of several) -> the row."""
        wanted = [status] if isinstance(status, str) else status
        last = []

        def there():
            last[:] = [self.task(job, device)]
            return last[0] is not None and last[0]["TaskStatus"] in wanted
        wait_until(there, within, lambda: f"task is {last}, wanted {wanted}")
        return last[0]

    def wait_job(self, job, status, within=15):
        last = []

        def there():
            last[:] = [self.job_info(job)]
            return last[0]["JobStatus"] == status
        wait_until(there, within, lambda: f"job is {last}, wanted {status}")
        return last[0]

    def version_of(self, pk, name):
        return self.must("QueryDeviceDetail", ProductKey=pk, DeviceName=name)["Data"].get("FirmwareVersion")


@dataclass
class Firmware:
    id: str
    pk: str
    version: str
    content: bytes
    md5: str
    sha256: str
    url: str


# ---- helpers without a key ----

# Whatever is waited for may take so long: a busy machine is slow, and only what is broken makes anybody wait.
PATIENCE_S = 60


def wait_until(condition, within=PATIENCE_S, describe=None, pause_max=0.2):
    """Polls until condition() is true, at last every pause_max seconds -> its value. AssertionError with describe() when time
    is up, after a minute at the earliest."""
    within = max(within, PATIENCE_S)
    end = time.monotonic() + within
    pause = 0.01
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            detail = describe() if callable(describe) else describe
            raise AssertionError(f"did not happen within {within} s" + (f": {detail}" if detail else ""))
        time.sleep(pause)
        pause = min(pause * 1.5, pause_max)


def at_once(call, n=8):
    """The results of n calls, asked for at the same time, each over a connection of its own."""
    got = []
    threads = [threading.Thread(target=lambda: got.append(call())) for _ in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(got) == n
    return got


def let_through(n, call):
    """Of n + 2 calls in a row the first n are let through and the others are over the quota. A row that took longer
    than the quota's second proves nothing and is made again."""
    row = [None] * n + ["Throttling.User"] * 2
    wait_until(lambda: [call().code for _ in row] == row)


def stays(condition, seconds, describe=None):
    """Asserts that condition() holds all the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not condition():
            raise AssertionError((describe() if callable(describe) else describe) or "did not stay so")
        time.sleep(0.1)


def form_body(fields, content, boundary="----otad" + "f" * 24, filename=None):
    """A multipart body as the vendor's Java sample makes it: the file part comes last and has no file name."""
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n'
             f"Content-Type: text/plain; charset=ISO-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{v}\r\n"
             for k, v in fields]
    name = f'; filename="{filename}"' if filename else ""
    parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"{name}\r\n'
                 "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n")
    body = "".join(parts).encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return f"multipart/form-data; boundary={boundary}", body


def form_fields(data):
    """The text fields of an upload form from what a Generate..URL call answered."""
    id_name = "OSSAccessKeyId" if "OSSAccessKeyId" in data else "AccessKeyId"
    return [("key", data["Key"]), ("policy", data["Policy"]), (id_name, data[id_name]),
            ("signature", data["Signature"]), ("success_action_status", "200")]


def post_form(data, content, fields=None, filename=None, tls=None):
    """-> (status, headers, text)"""
    kind, body = form_body(fields or form_fields(data), content, filename=filename)
    status, headers, raw = http_request("POST", data["Host"], {"Content-Type": kind}, body, tls=tls)
    return status, headers, raw.decode("utf-8", "replace")


def http_connection(hostport, tls, timeout):
    if tls:
        return http.client.HTTPSConnection(hostport, timeout=timeout, context=tls)
    return http.client.HTTPConnection(hostport, timeout=timeout)


def http_request(method, url, headers=None, body=None, timeout=30, tls=None):
    """-> (status, headers with lower-case names, bytes). https needs tls, an ssl.SSLContext."""
    u = urlsplit(url)
    assert (u.scheme == "https") == (tls is not None), url
    c = http_connection(u.netloc, tls, timeout)
    try:
        c.request(method, (u.path or "/") + ("?" + u.query if u.query else ""), body, headers or {})
        r = c.getresponse()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
    finally:
        c.close()


def raw_exchange(hostport, data, timeout=10, shut=False):
    """Sends bytes as they are and reads until the other side closes (or the time is over) -> bytes.
    shut: closes our sending side afterwards."""
    host, port = hostport.rsplit(":", 1)
    out = b""
    with socket.create_connection((host, int(port)), timeout=timeout) as s:
        try:
            for piece in [data] if isinstance(data, bytes) else data:
                s.sendall(piece)
            if shut:
                s.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # closed before it had all: the answer is there all the same
        try:
            while True:
                got = s.recv(65536)
                if not got:
                    break
                out += got
        except (socket.timeout, ConnectionResetError):
            pass
    return out
