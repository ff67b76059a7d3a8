# SPDX-License-Identifier: Apache-2.0
"""The broker plugin alone: Mosquitto with the shipped configuration, and a client in otad's role that speaks
engine/brokerlink.h. Logins, topics, delivery, presence, credentials."""
import json
import re
import signal
import socket
import threading
import time

import paho.mqtt.client as mqtt
import pytest

from client import PATIENCE_S, stays, wait_until
from mqtt_device import ConnectRefused, credentials
from plugin_broker import PASSWORD, PK, SECRET, TO_BROKER, Service, broker, join, service  # noqa: F401


def refused(device, **options):
    with pytest.raises(ConnectRefused) as e:
        device.connect(subscribe=False, **options)
    return e.value.rc


def raw_login(broker, *fields):
    """One CONNECT (client id, user name, password) on a socket of its own -> the CONNACK's code, -1 for none."""
    body = b"\0\4MQTT\4\xc2\0\x3c" + b"".join(len(f.encode()).to_bytes(2, "big") + f.encode() for f in fields)
    n, length = len(body), b""
    while True:
        n, byte = n >> 7, n & 0x7f
        length += bytes([byte | (0x80 if n else 0)])
        if not n:
            break
    with socket.create_connection(("127.0.0.1", broker.port), 5) as s:
        s.sendall(b"\x10" + length + body)
        answer = s.recv(4)
    return answer[3] if len(answer) == 4 else -1


def push(service, device, text):
    service.publish(device.topic("upgrade"), json.dumps({"id": text}))


# ---- login ----

@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("timestamp", [None, "2524608000000"])
@pytest.mark.parametrize("method,announce", [("hmacmd5", None), ("hmacsha1", None), ("hmacsha256", None),
                                             (None, None), ("hmacsha1", "hmacsha256"), ("hmacsha256", "sha256")])
def test_login(join, method, announce, timestamp, upper):
    d = join(method=method, announce=announce, timestamp=timestamp, upper=upper, extra=("_v=x", "lan=C"))
    assert d.connected


def test_login_refused(broker, join):
    row = broker.row()
    d = join(row, connect=False)
    good = credentials(PK, row["DeviceName"], SECRET)
    assert refused(d, secret="wrong") == 5
    assert refused(d, login=(good[0], good[1], "")) == 5
    assert refused(d, login=(good[0], good[1], None)) == 5
    assert refused(d, login=(good[0], f"nobody&{PK}", good[2])) == 5
    assert refused(d, login=(good[0], row["DeviceName"], good[2])) == 5
    # otad's clientIds are out of a device's reach, also while otad is away
    bare = credentials(PK, row["DeviceName"], SECRET, cid="otad-ingest-0", method=None)
    assert refused(d, login=("otad-ingest-0", bare[1], bare[2])) == 5
    d.connect(login=bare)
    d.disconnect()
    assert refused(d, login=("x", "otad", "guess")) == 5
    assert refused(d, login=("x|securemode=3|", "otad", PASSWORD)) == 5
    d.connect()


def test_mqtt5(broker, service):
    row = broker.row()
    cid, user, password = credentials(PK, row["DeviceName"], SECRET)
    seen, done = [], threading.Event()

    def attempt(pw):
        rc = []
        c = mqtt.Client(cid, protocol=mqtt.MQTTv5)
        c.username_pw_set(user, pw)
        c.on_connect = lambda _c, _d, _f, reason, _p: (rc.append(reason.value), done.set())
        c.on_message = lambda _c, _d, m: seen.append(m.payload)
        done.clear()
        c.connect("127.0.0.1", broker.port, 60)
        c.loop_start()
        assert done.wait(PATIENCE_S)
        return c, rc[0]
    c, rc = attempt("0" * 64)
    assert rc == 135  # not authorized
    c.loop_stop()
    c, rc = attempt(password)
    assert rc == 0
    service.publish(f"/ota/device/upgrade/{PK}/{row['DeviceName']}", "to five")
    wait_until(lambda: seen == [b"to five"], 5)
    service.say(("cred-del", PK, row["DeviceName"]))
    wait_until(lambda: not c.is_connected(), 2)
    c.loop_stop()


def test_service_secret_reloaded(broker):
    secret = broker.dir / "secret"
    try:
        secret.write_text("another one\n")
        assert raw_login(broker, "otad-x", "otad", "another one") == 5
        broker.process.send_signal(signal.SIGHUP)
        wait_until(lambda: raw_login(broker, "otad-x", "otad", "another one") == 0, 5)
        assert raw_login(broker, "otad-x", "otad", PASSWORD) == 5
        secret.write_text("")
        broker.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "no password in it" in broker.log.read_text(), 5)
        assert raw_login(broker, "otad-x", "otad", "another one") == 0
    finally:
        secret.write_text(PASSWORD + "\n")
        broker.process.send_signal(signal.SIGHUP)
        wait_until(lambda: raw_login(broker, "otad-x", "otad", PASSWORD) == 0, 5)


# ---- presence ----

def test_wrong_passwords_change_nothing(broker, service, join):
    start = len(service.lines)
    d = join()
    service.heard("on", d.name, after=start)
    before, after = len(service.lines), service.state()
    cid = d.client._client_id.decode()
    for i in range(1000):
        assert raw_login(broker, cid if i % 2 else f"x{i}|securemode=3|", f"{d.name}&{PK}", "0" * 64) == 5
    assert d.connected
    assert not [x for x in service.lines[before:] if x[0] in ("on", "off")]
    assert service.state()[3] == after[3]
    assert list(service.online()) .count(d.name) == 1


def broker_row(d):
    return {"ProductKey": d.pk, "DeviceName": d.name, "DeviceSecret": d.secret}


def test_on_and_off(service, join):
    after = len(service.lines)
    d = join()
    on = service.heard("on", d.name, after=after)
    boot, seq, conn = map(int, on[1:4])
    assert on[4:] == [PK, d.name, "127.0.0.1"]
    d.drop()
    off = service.heard("off", d.name, after=after)
    assert list(map(int, off[1:4])) == [boot, seq + 1, conn]
    beat = service.heard("beat", after=len(service.lines))
    assert int(beat[2]) == seq + 1 and int(beat[1]) == boot


@pytest.mark.parametrize("same_id", [True, False])
def test_takeover(broker, service, join, same_id):
    """The same identity again, with the same clientId or another: the older connection ends, and nothing says
    that the newer one did."""
    row = broker.row()
    first = join(row)
    second = join(row, cid=None if same_id else "elsewhere")
    first.wait_closed(2)
    stays(lambda: second.connected, 0.5)
    conns = {x[0] + x[3] for x in service.lines if x[0] in ("on", "off") and row["DeviceName"] in x}
    ons = [x[3] for x in service.lines if x[0] == "on" and row["DeviceName"] in x]
    service.heard("off", ons[0])
    assert len(ons) == 2 and "off" + ons[1] not in conns
    assert service.online()[second.name] == ons[1]
    push(service, second, "to the newer")
    second.wait_push()
    assert first.pushes == []


def test_foreign_client_id(broker, service, join):
    """A clientId that is live under another user name is refused, and its owner stays."""
    a = join(cid="shared")
    row = broker.row()
    b = join(row, connect=False)
    login = (a.client._client_id.decode(),) + credentials(PK, row["DeviceName"], SECRET, cid="shared")[1:]
    assert refused(b, login=login) == 5
    stays(lambda: a.connected, 0.3)
    assert service.presence(row["DeviceName"]) == []
    a.disconnect()
    service.heard("off", a.name)
    b.connect(login=login)


def test_snapshot(service, join):
    devices = [join() for _ in range(5)]
    gone = devices.pop()
    gone.disconnect()
    service.heard("off", gone.name)
    online = service.online()
    assert {d.name for d in devices} <= set(online) and gone.name not in online
    for d in devices:
        on = service.heard("on", d.name)
        assert online[d.name] == on[3]


# ---- topics (the matrix: test_acl.py) ----

def at(topic, pk, dn):
    return re.sub(r"(?<=/)D(?=/|$)", dn, re.sub(r"(?<=/)P(?=/|$)", pk, topic))


def test_retained_and_oversized(service, broker, join):
    d = join()
    d.publish(d.topic("inform"), "kept", retain=True)
    d.publish(d.topic("inform"), b"x" * 65537)
    d.publish(d.topic("inform"), b"x" * 65536)
    d.publish(d.topic("inform"), "last")
    wait_until(lambda: any(m[:2] == (d.topic("inform"), b"last") for m in service.messages), 5)
    got = [m for m in service.messages if m[0] == d.topic("inform")]
    assert [len(m[1]) for m in got] == [65536, 4]
    late = Service(broker, "otad-late")
    time.sleep(0.3)
    assert not [m for m in late.messages if m[2]]
    late.end()
    log = broker.log.read_text()
    assert "retained publish dropped" in log and "publish above the size limit dropped" in log


# ---- delivery ----

@pytest.mark.parametrize("subscribe", [False, True])
@pytest.mark.parametrize("kind", ["/ota/device/upgrade/P/D", "/ota/device/request/P/D",
                                  "/sys/P/D/thing/ota/firmware/get_reply", "/sys/P/D/thing/file/download_reply",
                                  "/sys/P/D/thing/config/push", "/sys/P/D/thing/config/get_reply"])
def test_delivered_once(service, join, kind, subscribe):
    d, other = join(subscribe=False), join(subscribe=False)
    topic = at(kind, PK, d.name)
    if subscribe:
        assert d.subscribe(topic, qos=0) == 0
    for qos in (0, 1):
        service.publish(topic, f"q{qos}", qos)
    wait_until(lambda: len(d.pushes + d.others) >= 2, 5)
    time.sleep(0.2)
    got = d.pushes + d.others
    assert [(m.topic, m.payload, m.qos, bool(m.retain)) for m in got] == \
        [(topic, b"q0", 0, False), (topic, b"q1", 1, False)]
    assert other.pushes + other.others == []
    assert not [m for m in service.messages if m[0] == topic], "otad hears its own downlink"


def test_no_echo(service, join):
    """request goes both ways on one topic: a device that subscribed does not hear itself."""
    d = join()
    assert d.subscribe(d.topic("request")) == 1
    d.publish(d.topic("request"), "question")
    service.got(d.topic("request"))
    time.sleep(0.2)
    assert d.others == []


@pytest.mark.parametrize("clean", [True, False])
def test_nothing_queued(broker, service, join, clean):
    row = broker.row()
    d = join(row, clean=clean)
    assert d.subscribe(f"/{PK}/{d.name}/user/x") == 1
    d.disconnect()
    service.heard("off", d.name)
    push(service, d, "while away")
    service.publish(f"/{PK}/{d.name}/user/x", "while away")
    d.connect(subscribe=False, clean=clean)
    push(service, d, "now")
    d.wait_push()
    time.sleep(0.2)
    assert [m["id"] for m in d.pushes] == ["now"]
    assert d.others == []
    service.publish(f"/ota/device/upgrade/{PK}/never-seen", "x")  # acknowledged, goes nowhere


# ---- credentials ----

def test_revoked(service, join):
    d = join()
    service.say(("cred-del", PK, d.name))
    d.wait_closed()
    service.heard("off", d.name)
    assert refused(d) == 5


def test_secret_changed(service, join):
    d = join()
    service.say(("cred", PK, d.name, SECRET))  # the same: nothing happens
    stays(lambda: d.connected, 0.3)
    service.say(("cred", PK, d.name, "another secret"))
    d.wait_closed(2)
    assert refused(d) == 5
    d.connect(secret="another secret")


def test_full_set(broker, service, join):
    kept, dropped, unsaid = join(), join(), broker.row()
    offline = broker.row()
    service.say(("cred-begin", 41))
    assert service.state()[2] == "0"
    service.say(("cred", PK, kept.name, SECRET), ("cred", PK, "new-in-set", SECRET))
    service.say(("cred", PK, offline["DeviceName"], SECRET))
    assert dropped.connected  # until the set is complete
    service.say(("cred-end", 42))
    dropped.wait_closed(2)
    assert kept.connected
    assert service.state()[2] == "42"
    for row in (unsaid, broker_row(dropped)):
        assert refused(join(row, connect=False)) == 5
    for dn in (offline["DeviceName"], "new-in-set"):
        join({"ProductKey": PK, "DeviceName": dn, "DeviceSecret": SECRET})
    service.say(("cred-pos", 43))
    assert service.state()[2] == "43"


def test_set_cut_off(service, join):
    """otad dies in the middle of a set: who was known stays known, and the position says that it is not whole."""
    d = join()
    service.say(("cred-begin", 50), ("cred", PK, "half", SECRET))
    d.disconnect()
    d.connect()
    assert service.state()[2] == "0"
    service.say(("cred-begin", 51), ("cred", PK, d.name, SECRET), ("cred-end", 51))
    assert service.state()[2] == "51"
    assert refused(join({"ProductKey": PK, "DeviceName": "half", "DeviceSecret": SECRET}, connect=False)) == 5


def test_only_otad_feeds(broker, service, join):
    d = join()
    d.publish(TO_BROKER, f"cred\t{PK}\tforged\t{SECRET}\n")
    service.say(("nonsense", 1), ("cred", PK), ("presence", "x"))  # acknowledged and ignored
    assert refused(join({"ProductKey": PK, "DeviceName": "forged", "DeviceSecret": SECRET}, connect=False)) == 5


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_restart(broker, join, sig):
    row, gone, changed = broker.row(), broker.row(), broker.row()
    broker.service.say(("cred-begin", 60), ("cred", PK, row["DeviceName"], SECRET),
                       ("cred", PK, gone["DeviceName"], SECRET), ("cred", PK, changed["DeviceName"], SECRET),
                       ("cred-end", 61))
    old = broker.service.state()
    wait_until(lambda: "cred-pos\t61" in broker.state_file.read_text(), 5)
    broker.service.say(("cred-del", PK, gone["DeviceName"]), ("cred", PK, changed["DeviceName"], "fresh"),
                       ("cred-pos", 62))
    broker.restart(sig)
    assert broker.state_file.stat().st_mode & 0o777 == 0o600
    new = broker.service.state()
    assert new[2] == "62" and new[1] != old[1]
    join(row)
    join(changed | {"DeviceSecret": "fresh"})
    assert refused(join(gone, connect=False)) == 5
    assert refused(join(changed, connect=False)) == 5


def test_kept_session(broker, join):
    """What devices report while otad is away reaches it later, also when the broker restarted meanwhile."""
    kept, d = Service(broker, "otad-kept", clean=False), join()
    kept.end()
    wait_until(lambda: not kept.client.is_connected(), 5)
    d.publish(d.topic("inform"), "before")
    broker.stop()
    broker.start()
    d.connect()
    d.publish(d.topic("inform"), "after")
    kept = Service(broker, "otad-kept", clean=False)
    try:
        wait_until(lambda: len([m for m in kept.messages if m[0] == d.topic("inform")]) >= 2, 5)
        assert [m[1] for m in kept.messages if m[0] == d.topic("inform")] == [b"before", b"after"]
    finally:
        kept.end()
        Service(broker, "otad-kept").end()  # a clean login: the session is gone


def test_damaged_file(broker, join):
    """A torn file: what can be read may log in, and otad is asked for the rest by position 0."""
    row = broker.row()
    broker.service.say(("cred-begin", 70), ("cred", PK, row["DeviceName"], SECRET), ("cred-end", 70))
    wait_until(lambda: "cred-pos\t70" in broker.state_file.read_text(), 5)
    broker.stop()
    broker.state_file.write_text(broker.state_file.read_text() + "cred\thalf a li")
    broker.start()
    assert broker.service.state()[2] == "0"
    join(row)
    broker.service.say(("cred-pos", 71))
    broker.restart()
    assert broker.service.state()[2] == "71"
    join(row)


def test_many(broker, join):
    """20,000 devices: handed over, written anew when the history outgrows them, dropped again piece by piece."""
    service, inode = broker.service, broker.state_file.stat().st_ino
    for turn in range(6):
        for start in range(0, 20000, 400):
            service.say(*[("cred", PK, f"many-{i:05}", f"secret-{turn}-{i}" + "x" * 20)
                          for i in range(start, start + 400)])
    service.say(("cred-pos", 80))
    wait_until(lambda: broker.state_file.stat().st_ino != inode, 20)
    wait_until(lambda: not broker.state_file.with_suffix(".new").exists(), 20)
    broker.restart(signal.SIGKILL)
    assert broker.service.state()[2] == "80"
    last = join({"ProductKey": PK, "DeviceName": "many-19999", "DeviceSecret": "secret-5-19999" + "x" * 20})
    row = {"ProductKey": PK, "DeviceName": "only", "DeviceSecret": SECRET}
    broker.service.say(("cred-begin", 90), ("cred", PK, "only", SECRET), ("cred-end", 90))
    last.wait_closed(2)
    join(row)
    wait_until(lambda: "cred-pos\t90" in broker.state_file.read_text(), 20)
    broker.restart(signal.SIGKILL)
    assert broker.service.state()[2] == "90"
    join(row)
    assert refused(join({"ProductKey": PK, "DeviceName": "many-00000", "DeviceSecret": "secret-5-0" + "x" * 20},
                        connect=False)) == 5
