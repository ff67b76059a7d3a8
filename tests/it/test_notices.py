# SPDX-License-Identifier: Apache-2.0
"""Forwarded notifications (api §A.3) and the service accounts that read them."""
import json
import re
import threading
import uuid

import paho.mqtt.client as mqtt
import pytest

from client import Client, now_ms, stays, wait_until
from mqtt_device import ConnectRefused, MqttDevice

MINUTE = 60
TOPICS = ("/+/+/ota/upgrade", "/+/+/ota/version/post", "/+/+/+/ota/job/status")


class Reader:
    """An MQTT client with a service account; everything that comes stands in .got as (topic, JSON)."""

    def __init__(self, stack, user, password, cid=None, clean=True):
        host, port = stack.broker.rsplit(":", 1)
        self.got, self.rc, self.connected, self.granted = [], None, False, {}
        self.changed = threading.Condition()
        c = self.client = mqtt.Client(cid or "reader-" + uuid.uuid4().hex[:12], clean_session=clean,
                                      protocol=mqtt.MQTTv311)
        c.username_pw_set(user, password)
        c.reconnect_delay_set(3600, 3600)
        c.on_connect, c.on_disconnect = self._on_connect, self._on_disconnect
        c.on_message, c.on_subscribe = self._on_message, self._on_subscribe
        c.connect(host, int(port))
        c.loop_start()
        wait_until(lambda: self.rc is not None, 10)
        if self.rc != 0:
            c.loop_stop()
            raise ConnectRefused(self.rc)

    def _on_connect(self, _c, _d, _f, rc):
        self.rc, self.connected = rc, rc == 0

    def _on_disconnect(self, _c, _d, _rc):
        self.connected = False

    def _on_message(self, _c, _d, m):
        assert m.qos == 1 and not m.retain
        with self.changed:
            self.got.append((m.topic, json.loads(m.payload)))

    def _on_subscribe(self, _c, _d, mid, granted):
        self.granted[mid] = granted[0]

    def subscribe(self, topic):
        _, mid = self.client.subscribe(topic, 1)
        return wait_until(lambda: str(self.granted.get(mid, "")), 10)

    def of(self, pk, ending):
        return [m for t, m in list(self.got) if t.startswith(f"/{pk}/") and t.endswith(ending)]

    def end(self, clean=True):
        if clean:
            self.client.disconnect()
        self.client.loop_stop()


def create(stack, *more):
    name = "svc-" + uuid.uuid4().hex[:10]
    out = stack.otactl("service", "create", name, *more)
    assert out.stderr == ""
    return name, re.fullmatch(rf"UserName={name}\nPassword=([A-Za-z0-9]{{32}})\n", out.stdout).group(1)


@pytest.fixture(scope="module")
def account(stack):
    return create(stack)


@pytest.fixture
def reader(stack, account):
    made = []

    def make(*topics, login=account, **more):
        r = Reader(stack, *login, **more)
        made.append(r)
        for t in topics or TOPICS:
            assert r.subscribe(t) == "1", t
        return r
    yield make
    for r in made:
        r.end()


# ---- what is told ----

def test_a_campaign_is_told_exactly(api, fleet, reader):
    r = reader()
    f = fleet(2, "1.0.0")
    good, bad = f.devices
    fw = api.firmware(f.pk)
    job = api.job(fw)
    for d in f.devices:
        d.wait_push()
    good.progress(10)
    good.inform("1.0.0")  # nothing has changed
    good.inform("2.0.0")
    bad.progress(-2, 'no "space" 空')
    api.wait_job(job, "COMPLETED")
    wait_until(lambda: len(r.of(f.pk, "/ota/upgrade")) == 2 and len(r.of(f.pk, "/job/status")) == 2)
    tasks = {t["DeviceName"]: t for t in api.tasks(job)}
    by_name = {m["deviceName"]: m for m in r.of(f.pk, "/ota/upgrade")}
    for d, row, status, desc in ((good, f.rows[0], "SUCCEEDED", "success"), (bad, f.rows[1], "FAILED", 'no "space" 空')):
        m = by_name[d.name]
        assert (f"/{f.pk}/{d.name}/ota/upgrade", m) in r.got
        assert list(m) == ["iotId", "productKey", "deviceName", "status", "messageCreateTime", "srcVersion",
                           "destVersion", "desc", "jobId", "taskId"]
        assert m == {"iotId": row["IotId"], "productKey": f.pk, "deviceName": d.name, "status": status,
                     "messageCreateTime": m["messageCreateTime"], "srcVersion": "1.0.0", "destVersion": "2.0.0",
                     "desc": desc, "jobId": job, "taskId": tasks[d.name]["TaskId"]}
        assert abs(m["messageCreateTime"] - now_ms()) < 60_000
    versions = [m for t, m in r.got if t == f"/{f.pk}/{good.name}/ota/version/post"]
    assert [list(m) for m in versions] == [["iotId", "productKey", "deviceName", "moduleName", "moduleVersion",
                                            "messageCreateTime"]] * 2
    assert [(m["iotId"], m["moduleName"], m["moduleVersion"]) for m in versions] == [
        (f.rows[0]["IotId"], "default", v) for v in ("1.0.0", "2.0.0")]
    statuses = r.of(f.pk, "/job/status")
    assert {t for t, _ in r.got if t.endswith("/job/status") and f.pk in t} == {f"/{f.pk}/{fw.id}/{job}/ota/job/status"}
    assert [list(m) for m in statuses] == [["productKey", "moduleName", "packageId", "jobId", "status",
                                            "messageCreateTime"]] * 2
    assert [m["status"] for m in statuses] == ["IN_PROGRESS", "COMPLETED"]
    assert {(m["productKey"], m["moduleName"], m["packageId"], m["jobId"]) for m in statuses} == {
        (f.pk, "default", fw.id, job)}


def test_every_status_of_a_job_is_told(stack, api, fleet, reader):
    r = reader("/+/+/+/ota/job/status")
    f = fleet(1, "1.0.0", online=False)
    start = now_ms() + 6 * MINUTE * 1000
    runs = api.job(api.firmware(f.pk, "2.0.0"), ScheduleTime=start)
    gone = api.job(api.firmware(f.pk, "3.0.0"), ScheduleTime=start)
    api.must("CancelOTATaskByJob", JobId=gone, CancelScheduledTask=True)
    dynamic = api.must("CreateOTADynamicUpgradeJob", FirmwareId=api.firmware(f.pk, "4.0.0").id, ProductKey=f.pk,
                       SrcVersion=["0.1"])["Data"]["JobId"]
    api.must("CancelOTAStrategyByJob", JobId=dynamic)
    stack.advance(6 * MINUTE + 1)
    api.wait_job(runs, "IN_PROGRESS")

    def told(job):
        return [m["status"] for m in r.of(f.pk, "/job/status") if m["jobId"] == job]
    wait_until(lambda: told(runs) == ["PLANNED", "IN_PROGRESS"], 10, lambda: told(runs))
    assert told(gone) == ["PLANNED", "CANCELED"]
    assert told(dynamic) == ["IN_PROGRESS", "CANCELED"]


def test_conflicts_and_cancels_are_not_told(stack, api, fleet, reader):
    r = reader()
    f = fleet(1, "1.0.0")
    first = api.job(api.firmware(f.pk))
    f.devices[0].wait_push()
    second = api.job(api.firmware(f.pk, "3.0.0"))
    api.wait_task(second, f.rows[0], "FAILED")
    api.must("CancelOTATaskByJob", JobId=first, CancelNotifiedTask=True)
    wait_until(lambda: len([m for m in r.of(f.pk, "/job/status") if m["status"] in ("COMPLETED", "CANCELED")]) == 2)
    wait_until(lambda: stack.sql_one("select count(*) from notice") == 0)
    assert r.of(f.pk, "/ota/upgrade") == []


def test_a_job_that_runs_again_is_told(stack, api, fleet, reader):
    """Its status is; a task that loses again is not."""
    r = reader()
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk))
    d.wait_push()
    d.progress(-1, "broke")
    ident = api.wait_task(job, d.name, "FAILED")["TaskId"]
    rival = api.job(api.firmware(f.pk, "3.0.0"))
    d.wait_push(2)
    api.must("ReupgradeOTATask", JobId=job, TaskId=[ident])
    assert api.task(job, d.name)["TaskDesc"].endswith(rival)
    api.must("CancelOTATaskByJob", JobId=rival, CancelNotifiedTask=True)
    api.must("ReupgradeOTATask", JobId=job, TaskId=[ident])
    d.wait_push(3)
    d.upgrade("2.0.0")
    api.wait_job(job, "COMPLETED")

    def told():
        return ([m["status"] for m in r.of(f.pk, "/job/status") if m["jobId"] == job],
                [(m["status"], m["desc"]) for m in r.of(f.pk, "/ota/upgrade") if m["jobId"] == job])
    wait_until(lambda: told() == (["IN_PROGRESS", "COMPLETED", "IN_PROGRESS", "COMPLETED"],
                                  [("FAILED", "broke"), ("SUCCEEDED", "success")]), 10, told)
    wait_until(lambda: stack.sql_one("select count(*) from notice") == 0)
    assert len(r.of(f.pk, "/ota/upgrade")) == 2


def test_time_limit_and_module_are_told(stack, api, fleet, reader):
    r = reader()
    f = fleet(1)
    api.must("CreateOTAModule", ProductKey=f.pk, ModuleName="MCU")
    f.devices[0].inform("0.1", module="MCU")
    job = api.job(api.firmware(f.pk, ModuleName="MCU"), TimeoutInMinutes=5)
    f.devices[0].wait_push()
    f.devices[0].progress(1, module="MCU")
    api.wait_task(job, f.rows[0], "IN_PROGRESS")
    stack.advance(6 * MINUTE)
    wait_until(lambda: [m["desc"] for m in r.of(f.pk, "/ota/upgrade")] == ["timeout"])
    assert [(m["moduleName"], m["moduleVersion"]) for m in r.of(f.pk, "/version/post")] == [("MCU", "0.1")]
    assert {m["moduleName"] for m in r.of(f.pk, "/job/status")} == {"MCU"}


def test_none_is_lost_by_kills_and_the_order_is_kept(otad_default, api, fleet, reader):
    stack = otad_default
    r = reader()
    f = fleet(40, "1.0.0")
    job = api.job(api.firmware(f.pk))
    for d in f.devices:
        d.wait_push()
    for i, d in enumerate(f.devices):
        d.inform("2.0.0")
        if i % 13 == 12:
            stack.kill_otad()
            stack.start_otad()
    api.wait_job(job, "COMPLETED", 30)
    wait_until(lambda: {m["deviceName"] for m in r.of(f.pk, "/ota/upgrade")} == {d.name for d in f.devices}, 20)
    wait_until(lambda: "COMPLETED" in [m["status"] for m in r.of(f.pk, "/job/status")])
    assert len(r.of(f.pk, "/ota/upgrade")) <= 40 + 3 * 100  # a batch may be repeated after each kill
    wait_until(lambda: stack.sql_one("select count(*) from notice") == 0)


def test_a_kept_session_gets_what_came_meanwhile(api, fleet, reader):
    first = reader(cid="keeper", clean=False)
    f = fleet(1, "1.0.0")
    first.end()
    f.devices[0].inform("1.0.1")
    wait_until(lambda: api.version_of(f.pk, f.devices[0].name) == "1.0.1")
    again = reader("/+/+/ota/upgrade", cid="keeper", clean=False)
    wait_until(lambda: [m["moduleVersion"] for m in again.of(f.pk, "/version/post")][-1:] == ["1.0.1"])


def lets_in(stack, row):
    d = MqttDevice(stack.broker, row)
    try:
        d.connect()
    except ConnectRefused:
        return False
    d.disconnect()
    return True


def test_nothing_is_kept_for_an_account_without_readers(stack):
    account = "acc" + uuid.uuid4().hex[:10]
    stack.otactl("account", "create", account)
    out = stack.otactl("key", "create", "--account", account, "--name", "t", "--role", "admin").stdout
    ak, sk = (re.search(rf"{word}=(\S+)", out).group(1) for word in ("AccessKeyId", "AccessKeySecret"))
    other = Client(stack.endpoint, ak, sk)
    pk = other.product()
    row = other.device(pk)
    stack.stop("broker")
    try:
        other.job(other.firmware(pk))
        assert stack.sql_one("select count(*) from notice n join account a on a.id = n.account_id where a.name = %s",
                             account) == 0
    finally:
        stack.start("broker")
        wait_until(lambda: lets_in(stack, row), 30)  # it has its devices again


# ---- who may read ----

@pytest.mark.parametrize("topic", [
    "#", "/#", "+", "/+/+/+/+", "/+/+/ota/#", "/+/+/ota/+", "/+/+/+/+/+/+", "/+/+/user/get", "/otad/broker", "$SYS/#",
    "$CONTROL/otad/v1", "/ota/device/upgrade/+/+", "/ota/device/inform/+/+", "$share/g/#", "$share/g//+/+/ota/+"])
def test_readers_may_subscribe_to_notifications_only(reader, topic):
    assert reader("/+/+/ota/upgrade").subscribe(topic) == "128"


def test_readers_publish_nothing(api, fleet, reader):
    f = fleet(1, "1.0.0")
    r = reader()
    listener = reader()
    for topic, payload in ((f"/ota/device/inform/{f.pk}/{f.devices[0].name}", '{"id":"1","params":{"version":"6.6.6"}}'),
                           (f"/ota/device/upgrade/{f.pk}/{f.devices[0].name}", "{}"),
                           (f"/{f.pk}/{f.devices[0].name}/ota/upgrade", '{"forged":1}'),
                           ("$CONTROL/otad/v1", f"cred-del\t{f.pk}\t{f.devices[0].name}\n")):
        r.client.publish(topic, payload, 1)
    f.devices[0].inform("1.0.1")
    wait_until(lambda: api.version_of(f.pk, f.devices[0].name) == "1.0.1")
    f.devices[0].no_push(1)
    assert f.devices[0].connected
    wait_until(lambda: listener.of(f.pk, "/version/post"))
    assert not [m for _, m in listener.got if "forged" in m]
    assert "6.6.6" not in [m["moduleVersion"] for m in listener.of(f.pk, "/version/post")]


def test_devices_have_no_part_in_it(api, fleet, device, reader):
    r = reader()
    f = fleet(2, "1.0.0")
    d = f.devices[0]
    for topic in (f"/{f.pk}/{d.name}/ota/upgrade", f"/{f.pk}/+/ota/upgrade", "/+/+/ota/upgrade",
                  f"/{f.pk}/{d.name}/ota/version/post"):
        assert d.subscribe(topic) == 128, topic
    d.publish(f"/{f.pk}/{d.name}/ota/upgrade", '{"forged":1}')
    f.devices[1].inform("1.0.1")
    wait_until(lambda: "1.0.1" in [m["moduleVersion"] for m in r.of(f.pk, "/version/post")])
    assert not [m for _, m in r.got if "forged" in m]


def test_accounts_are_apart(stack, api, fleet, reader):
    name = "acc" + uuid.uuid4().hex[:10]
    stack.otactl("account", "create", name)
    stranger = reader(login=create(stack, "--account", name))
    f = fleet(1, "1.0.0")
    assert stranger.subscribe(f"/{f.pk}/+/ota/upgrade") == "128"
    own = reader(f"/{f.pk}/+/ota/version/post")
    f.devices[0].inform("1.0.1")
    wait_until(lambda: "1.0.1" in [m["moduleVersion"] for _, m in own.got])
    stays(lambda: stranger.got == [], 1)


def test_shared_subscriptions_share(api, fleet, reader):
    topic = "$share/workers//+/+/ota/version/post"
    a, b = reader(topic), reader(topic)
    f = fleet(10, "1.0.0")
    wait_until(lambda: len(a.of(f.pk, "/post")) + len(b.of(f.pk, "/post")) == 10)
    assert a.of(f.pk, "/post") and b.of(f.pk, "/post")


def test_accounts_are_made_listed_disabled_and_enabled(stack, reader):
    name, password = create(stack)
    r = reader(login=(name, password))
    assert re.search(rf"^{name} +enabled +20", stack.otactl("service", "list").stdout, re.M)
    for user, secret in ((name, "x" * 32), (name, ""), (name, password[:-1]), ("nobody", password), ("$service", "1")):
        with pytest.raises(ConnectRefused):
            Reader(stack, user, secret)
    for cid in ("otad-ingest-0", "a|securemode=3|"):
        with pytest.raises(ConnectRefused):
            Reader(stack, name, password, cid=cid)
    assert stack.otactl("service", "create", name, check=False).returncode == 1
    for bad in ("", "a b", "a&b", "x" * 65, "$x", "otad"):
        assert stack.otactl("service", "create", bad, check=False).returncode != 0, bad
    assert "disabled" in stack.otactl("service", "disable", name).stdout
    wait_until(lambda: not r.connected, 5)
    with pytest.raises(ConnectRefused):
        Reader(stack, name, password)
    assert re.search(rf"^{name} +disabled", stack.otactl("service", "list").stdout, re.M)
    stack.otactl("service", "enable", name)
    Reader(stack, name, password).end()
    assert stack.otactl("service", "disable", "nobody", check=False).returncode == 1
    assert [a for (a,) in stack.sql("select action from audit where target = %s order by id", name)] == [
        "service create", "service disable", "service enable"]
    assert password not in str(stack.sql("select * from service_account"))


def test_the_broker_remembers_accounts_without_otad(otad_default, account):
    stack = otad_default
    stack.stop_otad()
    stack.stop("broker")
    stack.start("broker")
    Reader(stack, *account).end()
