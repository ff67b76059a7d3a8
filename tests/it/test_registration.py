# SPDX-License-Identifier: Apache-2.0
"""Dynamic registration (device §1.5): devices that hold only their product's secret, over HTTPS and MQTT."""
import hmac
import json
import os
import socket
import subprocess
import time
import uuid
from urllib.parse import urlencode

import pytest

from client import Client, at_once, http_request, stays, wait_until
from conftest import ROOT
from mqtt_device import DIGESTS, ConnectRefused, MqttDevice

PATH = "/auth/register/device"
RANDOM = "8Ygb7ULYh53B6OA"


@pytest.fixture(scope="module")
def stack(tls_stack):
    return tls_stack


@pytest.fixture(scope="module")
def api(stack):
    return Client(stack.endpoint, stack.ak, stack.sk, tls=stack.tls)


class Product:
    def __init__(self, stack, api, mode):
        data = api.must("CreateProduct", ProductName="p" + uuid.uuid4().hex[:16], NodeType=0)["Data"]
        self.stack, self.api, self.pk, self.secret = stack, api, data["ProductKey"], data["ProductSecret"]
        if mode != "off":
            self.let(mode)

    def let(self, mode):
        """Returns when the broker knows."""
        self.stack.otactl("product", "register", self.pk, mode)
        wait_until(lambda: self.stack.sql_one("select count(*) from credential_change where device_name = %s",
                                              self.pk) == 0, 10)

    def device(self):
        return self.api.device(self.pk)["DeviceName"]

    def row(self, name, secret=""):
        return {"ProductKey": self.pk, "DeviceName": name, "DeviceSecret": secret}

    def sign(self, name, random=RANDOM, method="hmacsha256", secret=None):
        text = f"deviceName{name}productKey{self.pk}random{random}"
        return hmac.new((secret or self.secret).encode(), text.encode(), DIGESTS[method]).hexdigest()

    def form(self, name, method="hmacsha256", **changes):
        fields = {"productKey": self.pk, "deviceName": name, "random": RANDOM,
                  "sign": self.sign(name, method=method), "signMethod": method}
        return {k: v for k, v in {**fields, **changes}.items() if v is not None}

    def post(self, name, method="hmacsha256", **changes):
        """-> the decoded answer."""
        return post(self.stack, urlencode(self.form(name, method, **changes)))

    def login(self, name, kind="register", random=RANDOM, method="hmacsha256", sign=None, cid=None, extra=""):
        """(client id, user name, password) of a registration over MQTT."""
        cid = f"{self.pk}.{name}" if cid is None else cid
        options = f"authType={kind},random={random},signmethod={method},securemode={-2 if kind == 'regnwl' else 2}{extra}"
        return f"{cid}|{options}|", f"{name}&{self.pk}", sign or self.sign(name, random, method)

    def connect(self, name, broker=None, tls=True, login=None, **options):
        d = MqttDevice(broker or self.stack.broker, self.row(name), tls=self.stack.tls if tls else None)
        return d.connect(subscribe=False, login=login or self.login(name, **options))

    def ask(self, name, kind="register", **options):
        """Registers over MQTT -> the payload, as it came without a subscription."""
        d = self.connect(name, kind=kind, **options)
        try:
            d._wait(lambda: d.others, 10, "no answer to the registration")
            assert d.others[0].topic == f"/ext/{kind}"
            return d.others[0].json
        finally:
            d.disconnect()

    def logs_in(self, name, secret, tls=True):
        d = MqttDevice(self.stack.broker if tls else self.stack.broker_plain, self.row(name, secret),
                       tls=self.stack.tls if tls else None)
        try:
            d.connect()
        except ConnectRefused as refused:
            assert refused.rc == 5
            return False
        d.disconnect()
        return True

    def activate(self, name, secret):
        """A real login, until the platform knows of it."""
        def online():
            return self.stack.sql_one(
                "select coalesce(max(s.online_ms), 0) from device d join device_session s on s.device_id = d.id"
                " join product p on p.id = d.product_id where p.product_key = %s and d.name = %s", self.pk, name)
        before = online()
        assert self.logs_in(name, secret)
        wait_until(lambda: online() > before, 10)

    def status(self, name):
        return self.api.must("QueryDeviceDetail", ProductKey=self.pk, DeviceName=name)["Data"]["Status"]

    def secret_of(self, name):
        return self.api.must("QueryDeviceDetail", ProductKey=self.pk, DeviceName=name)["Data"]["DeviceSecret"]


def post(stack, body, kind="application/x-www-form-urlencoded", method="POST"):
    status, headers, raw = http_request(method, f"https://{stack.endpoint}{PATH}", {"Content-Type": kind} if kind else {},
                                        body, tls=stack.tls)
    assert status == 200 and headers["content-type"].startswith("application/json")
    assert int(headers["content-length"]) == len(raw) < 256
    return json.loads(raw)


@pytest.fixture
def product(stack, api):
    return lambda mode="registered": Product(stack, api, mode)


# ---- over HTTPS ----

@pytest.mark.parametrize("method", list(DIGESTS))
def test_a_registered_device_gets_a_secret(product, method):
    p = product()
    name = p.device()
    answer = p.post(name, method)
    assert answer["code"] == 200 and answer["message"] == "success"
    assert answer["data"].keys() == {"productKey", "deviceName", "deviceSecret"}
    assert (answer["data"]["productKey"], answer["data"]["deviceName"]) == (p.pk, name)
    secret = answer["data"]["deviceSecret"]
    assert len(secret) == 32 and secret == p.secret_of(name)
    # from the moment of the answer, over TLS and without
    assert p.logs_in(name, secret) and p.logs_in(name, secret, tls=False)


def test_the_answer_to_the_byte(product, stack):
    """What SDK 3.2 sends, and an answer that its scanner reads: code first, no blanks, below 256 bytes."""
    p = product()
    name = p.device()
    body = (f"productKey={p.pk}&deviceName={name}&random={RANDOM}&sign={p.sign(name).upper()}"
            "&signMethod=hmacsha256").encode()
    request = (f"POST {PATH} HTTP/1.1\r\nHost: iot-auth.cn-shanghai.aliyuncs.com\r\n"
               "Accept: text/xml,text/javascript,text/html,application/json\r\n"
               f"Content-Length: {len(body)}\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n").encode() + body
    host, port = stack.endpoint.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as s, \
            stack.tls.wrap_socket(s, server_hostname=host) as t:
        t.sendall(request)
        got = b""
        while not got.endswith(b"}"):
            piece = t.recv(65536)
            assert piece, got
            got += piece
    head, _, payload = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and len(head) < 1024
    assert f"\r\nContent-Length: {len(payload)}".encode() in head
    assert payload == (f'{{"code":200,"data":{{"productKey":"{p.pk}","deviceName":"{name}",'
                       f'"deviceSecret":"{p.secret_of(name)}"}},"message":"success"}}').encode()


def test_until_it_has_logged_in_the_last_secret_wins(product, api):
    p = product()
    name = p.device()
    first, second = (p.post(name)["data"]["deviceSecret"] for _ in range(2))
    assert first != second
    assert not p.logs_in(name, first)
    p.activate(name, second)
    assert p.post(name) == {"code": 409, "message": "device is activated already"}
    assert p.secret_of(name) == second and p.logs_in(name, second)
    # the owner lets it come again; nothing changes before it does
    api.must("ResetThing", ProductKey=p.pk, DeviceName=name)
    p.activate(name, second)  # once more: that was a login
    assert p.post(name)["code"] == 409
    api.must("ResetThing", IotId=api.must("QueryDeviceDetail", ProductKey=p.pk, DeviceName=name)["Data"]["IotId"])
    third = p.post(name)["data"]["deviceSecret"]
    assert not p.logs_in(name, second)
    p.activate(name, third)


def test_a_reset_device_that_is_online_is_cut_off_by_its_new_secret(product, api, stack):
    p = product()
    name = p.device()
    secret = p.post(name)["data"]["deviceSecret"]
    d = MqttDevice(stack.broker, p.row(name, secret), tls=stack.tls).connect()
    wait_until(lambda: p.status(name) == "ONLINE", 10)
    assert p.post(name)["code"] == 409
    api.must("ResetThing", ProductKey=p.pk, DeviceName=name)
    assert p.post(name)["code"] == 200
    d.wait_closed()
    d._end()


def test_reset_of_nobody(api, product):
    p = product()
    api.refused("ResetThing", "iot.device.NotExistedDevice", ProductKey=p.pk, DeviceName="nobody")


def test_the_products_switch(product, stack):
    p = product("off")
    name = p.device()
    before = p.secret_of(name)
    refused = {"code": 403, "message": "dynamic registration is not allowed for the product"}
    assert p.post(name) == refused
    p.let("registered")
    assert p.post(name)["code"] == 200
    p.let("any")
    assert p.post(name)["code"] == 200
    p.let("off")
    assert p.post(name) == refused
    assert p.secret_of(name) != before
    assert stack.sql_one("select count(*) from audit where action like 'product register %%' and target = %s", p.pk) == 3


def test_who_is_refused(product, api):
    p = product("any")
    name = p.device()
    secret = p.secret_of(name)
    assert p.post("unknown-1") == {"code": 6100, "message": "device not found"}  # HTTP wants it registered
    assert p.post(name, sign=p.sign(name, secret="another")) == {"code": 401, "message": "invalid sign"}
    assert p.post(name, sign=p.sign("other")) == {"code": 401, "message": "invalid sign"}
    assert p.post(name, random="x")["code"] == 401
    assert p.post(name, sign="0" * 64)["code"] == 401
    assert p.post(name, productKey="a1Unknown99") == {"code": 6250, "message": "product not found"}
    # nor does the device's own secret sign for it
    assert p.post(name, sign=p.sign(name, secret=secret))["code"] == 401
    api.must("DisableThing", ProductKey=p.pk, DeviceName=name)
    assert p.post(name) == {"code": 6204, "message": "device is disabled"}
    api.must("EnableThing", ProductKey=p.pk, DeviceName=name)
    assert p.secret_of(name) == secret
    api.must("DeleteDevice", ProductKey=p.pk, DeviceName=name)
    assert p.post(name)["code"] == 6100


@pytest.mark.parametrize("field", ["productKey", "deviceName", "random", "sign", "signMethod"])
def test_a_missing_or_malformed_field_is_named(product, field):
    p = product()
    name = p.device()
    bad = {"productKey": ["", "a b", "a" * 65], "deviceName": ["", "abc", "a" * 33, "dev/1", "dev+"],
           "random": ["", "r" * 257], "sign": ["", "0" * 129], "signMethod": ["", "md5", "hmacsha512"]}
    for value in [None, *bad[field]]:
        assert p.post(name, **{field: value}) == {"code": 460, "message": f"request parameter error: {field}"}, value


def test_what_is_no_form(product, stack):
    p = product()
    name = p.device()
    wrong = {"code": 460, "message": "request parameter error: a form is to be posted"}
    assert post(stack, None, method="GET", kind=None) == wrong
    assert post(stack, "productKey=%zz") == wrong
    assert post(stack, b"productKey=\xff\xfe&deviceName=x") == wrong
    form = urlencode(p.form(name))
    assert post(stack, form + "&random=other") == wrong  # a name given twice
    assert post(stack, json.dumps(p.form(name)), kind="application/json")["code"] == 460
    assert post(stack, form)["code"] == 200


def test_counted_audited_and_without_secrets_in_the_log(product, stack):
    p = product()
    name = p.device()
    before = {r: stack.metric("otad_registrations_total", result=r) for r in ("done", "bad_sign", "no_device")}
    lines = len(stack.log())
    secret = p.post(name)["data"]["deviceSecret"]
    p.post(name, sign="0" * 64)
    p.post("unknown-1")
    assert {r: stack.metric("otad_registrations_total", result=r) - n for r, n in before.items()} == \
        {"done": 1, "bad_sign": 1, "no_device": 1}
    entry = stack.wait_log("device_registered", after=lines, device_name=name)
    assert entry["product_key"] == p.pk and entry["way"] == "http"
    assert stack.sql("select key_id, action, result from audit where target = %s and action like 'device %%'",
                     f"{p.pk}/{name}") == [("device:", "device register", "OK")]
    for log in ("otad.err", "broker.err", "broker.log"):
        text = (stack.dir / log).read_text(errors="replace") if (stack.dir / log).exists() else ""
        assert secret not in text and p.secret not in text


def test_no_more_than_allowed_in_a_second(product, stack):
    p = product()
    name = p.device()
    stack.restart_otad(register_per_second="2")
    try:
        def one_too_many():
            began = time.monotonic()
            codes = at_once(lambda: p.post(name)["code"])
            assert codes.count(200) <= 2 * (int(time.monotonic() - began) + 1) and set(codes) <= {200, 429}
            return 429 in codes
        wait_until(one_too_many)
    finally:
        stack.restart_otad()


def test_at_once_on_many_connections(product):
    """Each gets an answer; the secret that holds is one of those given out."""
    p = product()
    name = p.device()
    got = at_once(lambda: p.post(name))
    secrets = [a["data"]["deviceSecret"] for a in got if a["code"] == 200]
    assert {a["code"] for a in got} <= {200, 429}
    assert len(set(secrets)) == len(secrets) >= 1 and p.secret_of(name) in secrets
    assert p.logs_in(name, p.secret_of(name))


def test_the_vendors_node_sdk(product, stack, tmp_path):
    sdk = ROOT / "build/sdk-npm"
    p = product()
    name = p.device()
    script = tmp_path / "register.cjs"
    script.write_text("""
        const iot = require(process.env.SDK + '/node_modules/alibabacloud-iot-device-sdk');
        iot.register({ productKey: process.env.PK, productSecret: process.env.PS, deviceName: process.env.DN,
                       registerURL: process.env.URL }, (answer) => { console.log(JSON.stringify(answer)); process.exit(0); });
    """)

    def run(secret):
        env = {**os.environ, "SDK": str(sdk), "PK": p.pk, "PS": secret, "DN": name,
               "URL": f"https://{stack.endpoint}{PATH}", "NODE_EXTRA_CA_CERTS": stack.ca}
        r = subprocess.run(["node", str(script)], env=env, capture_output=True, text=True, timeout=60, check=False)
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout)
    answer = run(p.secret)
    assert answer["code"] == 200 and p.logs_in(name, answer["data"]["deviceSecret"])
    assert run("another")["code"] in (401, 409)


# ---- over MQTT ----

@pytest.mark.parametrize("method", list(DIGESTS))
def test_mqtt_a_registered_device_gets_a_secret(product, method):
    p = product()
    name = p.device()
    answer = p.ask(name, method=method)
    assert answer.keys() == {"productKey", "deviceName", "deviceSecret"}
    assert (answer["productKey"], answer["deviceName"]) == (p.pk, name)
    assert answer["deviceSecret"] == p.secret_of(name)
    assert p.logs_in(name, answer["deviceSecret"]) and p.logs_in(name, answer["deviceSecret"], tls=False)


@pytest.mark.parametrize("cid,extra", [("", ""), ("dev-x", ",_v=sdk-c-4.2.0,_ss=1"), ("任意", ",instanceId=iot-1")])
def test_mqtt_any_client_id(product, cid, extra):
    p = product()
    name = p.device()
    assert p.ask(name, cid=cid, extra=extra)["deviceSecret"] == p.secret_of(name)


def test_mqtt_without_registration_before(product, api, stack):
    """regnwl makes the device; its token is then its password (connwl), over TLS as without."""
    p = product("any")
    name = "SN-" + uuid.uuid4().hex[:12]
    answer = p.ask(name, kind="regnwl")
    assert list(answer) == ["clientId", "productKey", "deviceName", "deviceToken"]
    assert p.status(name) == "UNACTIVE"

    def login(token):
        return f"{answer['clientId']}|authType=connwl,securemode=-2,_ss=1,ext=3,_v=sdk-c-4.2.0|", f"{name}&{p.pk}", token
    for broker, tls in ((stack.broker, stack.tls), (stack.broker_plain, None)):
        d = MqttDevice(broker, p.row(name), tls=tls)
        with pytest.raises(ConnectRefused) as refused:
            d.connect(login=login("0" * 32))
        assert refused.value.rc == 5
        d.connect(login=login(answer["deviceToken"]))
        d.inform("1.0.0")
        wait_until(lambda: api.version_of(p.pk, name) == "1.0.0", 10)
        d.disconnect()
    # it is a device like any other
    d = MqttDevice(stack.broker, p.row(name), tls=stack.tls).connect(login=login(answer["deviceToken"]))
    job = api.job(api.firmware(p.pk, "2.0.0"))
    assert d.wait_push()["data"]["version"] == "2.0.0"
    d.upgrade("2.0.0")
    api.wait_task(job, name, "SUCCEEDED")
    d.disconnect()


def test_mqtt_the_last_token_wins_until_it_has_logged_in(product, api):
    p = product("any")
    name = "SN-" + uuid.uuid4().hex[:12]
    first, second = (p.ask(name, kind="regnwl")["deviceToken"] for _ in range(2))
    assert first != second and not p.logs_in(name, first)
    p.activate(name, second)
    closed_without_an_answer(p, name, "regnwl")
    p.activate(name, second)
    api.must("ResetThing", ProductKey=p.pk, DeviceName=name)
    assert p.ask(name, kind="regnwl")["deviceToken"] == p.secret_of(name)


def closed_without_an_answer(p, name, kind="register", within=8):
    d = p.connect(name, kind=kind)
    d.wait_closed(within)
    assert not d.others and not d.pushes
    d._end()


def test_mqtt_an_activated_device_is_refused(product, stack):
    p = product()
    name = p.device()
    secret = p.ask(name)["deviceSecret"]
    p.activate(name, secret)
    before = stack.metric("otad_registrations_total", result="activated")
    closed_without_an_answer(p, name)
    assert stack.metric("otad_registrations_total", result="activated") == before + 1
    assert p.logs_in(name, secret)


def test_mqtt_regnwl_where_devices_have_to_be_registered(product):
    p = product("registered")
    closed_without_an_answer(p, "SN-unknown-1", "regnwl")
    p.api.refused("QueryDeviceDetail", "iot.device.NotExistedDevice", ProductKey=p.pk, DeviceName="SN-unknown-1")
    name = p.device()
    before = p.secret_of(name)
    closed_without_an_answer(p, name, "regnwl")
    assert p.secret_of(name) == before


def refused(p, name, **options):
    with pytest.raises(ConnectRefused) as e:
        p.connect(name, **options)
    assert e.value.rc == 5, e.value.rc


def test_mqtt_who_is_turned_away_at_the_door(product, api, stack):
    p = product("any")
    name = p.device()
    secret = p.secret_of(name)
    refused(p, name, sign="0" * 64)
    refused(p, name, sign=p.sign(name, secret="another"))
    refused(p, name, sign=p.sign(name, secret=secret))
    refused(p, name, sign=p.sign(name), random="other")
    refused(p, "unknown-1")  # not registered
    refused(p, "abc", kind="regnwl")  # no DeviceName
    refused(p, "a/b+c#", kind="regnwl")
    refused(p, name, login=(f"x|authType=register,signmethod=hmacsha256|", f"{name}&{p.pk}", p.sign(name, random="")))
    refused(p, name, login=p.login(name)[:1] + (f"{name}&a1Unknown99",) + p.login(name)[2:])
    api.must("DisableThing", ProductKey=p.pk, DeviceName=name)
    refused(p, name)
    api.must("EnableThing", ProductKey=p.pk, DeviceName=name)
    assert p.secret_of(name) == secret
    off = product("off")
    refused(off, off.device())
    # the product itself is nobody who could log in
    for user in (f"{p.pk}&$register", f"&{p.pk}"):
        refused(p, name, login=("x|authType=connwl|", user, p.secret))


def test_mqtt_only_over_tls(product, stack):
    p = product("any")
    name = p.device()
    secret = p.secret_of(name)
    for kind in ("register", "regnwl"):
        refused(p, name, kind=kind, broker=stack.broker_plain, tls=False)
    assert "not on a port of register_ports" in (stack.dir / "broker.err").read_text()
    assert p.secret_of(name) == secret


def test_mqtt_the_products_switch(product):
    p = product("off")
    name = p.device()
    refused(p, name)
    p.let("registered")
    assert p.ask(name)["deviceSecret"]
    p.let("off")
    refused(p, name)


def test_mqtt_a_registering_connection_may_do_nothing(product, stack, api):
    p = product("any")
    name = "SN-" + uuid.uuid4().hex[:12]
    online = stack.metric("otad_devices_online")
    d = p.connect(name, kind="regnwl")
    d._wait(lambda: d.others, 10, "no answer")
    assert d.subscribe(d.topic("upgrade")) == 128
    assert d.subscribe("/ext/regnwl") == 128
    d.publish(d.topic("inform"), {"id": "1", "params": {"version": "9.9.9"}})
    assert p.status(name) == "UNACTIVE" and stack.metric("otad_devices_online") == online
    stays(lambda: api.version_of(p.pk, name) is None, 1)
    # it stays no longer than it has to
    d.wait_closed(within=20)
    d._end()


def test_mqtt_the_answer_goes_to_who_asked(product, stack):
    """Also when the device is connected otherwise, or another asks at the same time."""
    p = product("any")
    names = ["SN-" + uuid.uuid4().hex[:12] for _ in range(20)]
    asking = [p.connect(n, kind="regnwl") for n in names]
    for d in asking:
        d._wait(lambda d=d: d.others, 20, "no answer")
    assert [d.others[0]["deviceName"] for d in asking] == names
    assert len({d.others[0]["deviceToken"] for d in asking}) == 20
    assert all(len(d.others) == 1 for d in asking)
    for d in asking:
        d.disconnect()
    assert all(p.logs_in(d.name, d.others[0]["deviceToken"]) for d in asking[:3])


def test_mqtt_no_more_than_allowed_in_a_second(product, stack):
    p = product("any")
    stack.restart_otad(register_per_second="1")
    try:
        before = stack.metric("otad_registrations_total", result="too_many")

        def one_closed():
            asking = [p.connect("SN-" + uuid.uuid4().hex[:12], kind="regnwl") for _ in range(6)]
            wait_until(lambda: all(d.others or not d.connected for d in asking), 20)
            answered = sum(bool(d.others) for d in asking)
            for d in asking:
                d.disconnect() if d.connected else d._end()
            return answered >= 1 and stack.metric("otad_registrations_total", result="too_many") > before
        wait_until(one_closed, 30)
    finally:
        stack.restart_otad()


def test_mqtt_after_a_restart_of_the_broker(product, stack):
    """It keeps the product's secret in its file, and otad brings it up to date."""
    p = product()
    q = product()
    name = p.device()
    other = q.device()
    stack.stop_otad()
    try:
        stack.kill("broker")
        stack.start("broker")
        refused(p, name, sign="0" * 64)
        d = p.connect(name)  # signed well: let in, and nobody there to answer
        d.wait_closed(within=30)
        assert not d.others
        d._end()
        stack.otactl("product", "register", q.pk, "off")
    finally:
        stack.start_otad()
    wait_until(lambda: stack.sql_one("select count(*) from credential_change where device_name = %s", q.pk) == 0, 10)
    assert p.ask(name)["deviceSecret"] == p.secret_of(name)
    refused(q, other)


def test_mqtt_a_broker_without_credentials_gets_the_products_too(product, stack):
    p = product()
    name = p.device()
    stack.stop("broker")
    for f in stack.config.parent.joinpath("broker").iterdir():
        f.unlink()
    stack.start("broker")
    wait_until(lambda: http_request("GET", f"https://{stack.endpoint}/readyz", tls=stack.tls)[0] == 200, 30)

    def registers():
        try:
            return p.ask(name)
        except ConnectRefused:
            return None
    assert wait_until(registers, 20)["deviceSecret"] == p.secret_of(name)


# ---- otactl ----

def test_otactl_says_what_is_wrong(product, stack):
    p = product("off")
    for words, why in ((("product", "register", p.pk, "on"), "must be off, registered or any"),
                       (("product", "register", "a1Unknown99", "any"), "does not exist"),
                       (("product", "register", p.pk), "argument is missing")):
        r = stack.otactl(*words, check=False)
        assert r.returncode != 0 and why in r.stderr, r.stderr
    out = stack.otactl("product", "register", p.pk, "any").stdout
    assert out == f"ProductKey={p.pk}\nDynamicRegistration=any\n"
    assert stack.otactl("product", "register", p.pk, "any").stdout == out  # again: nothing to do
    assert stack.sql_one("select count(*) from audit where target = %s and action like 'product register%%'", p.pk) == 1
