# SPDX-License-Identifier: Apache-2.0
"""Who may do what at the broker. The matrix: every topic of tests/device_acl.def, for the device's own names and for
others, published, published retained, subscribed and as a will. tests/unit checks the same table against the decisions
in engine/device_acl.c. Then logins on a whole stack: who is refused."""
import itertools
import re
import uuid

import pytest

from client import stays, wait_until
from conftest import ROOT
from mqtt_device import ConnectRefused, MqttDevice, credentials
from plugin_broker import PK, SECRET, Service, broker, service  # noqa: F401
from wire import Wire

TABLE = [(t, *(int(x) for x in flags)) for t, *flags in re.findall(
    r'^TOPIC\("([^"]*)",\s*([01]), ([01]), ([01])\)', (ROOT / "tests/device_acl.def").read_text(), re.M)]
NAMES = ["plain-1", "d.n_1:x@y-2"]
MARKS = itertools.count(1)

# Whose names stand in the topic, seen from the device PK, dn.
TARGETS = {
    "own": lambda dn: (PK, dn),
    "sibling": lambda dn: (PK, "sibling"),
    "other_product": lambda dn: ("a1OtherPk", dn),
    "longer": lambda dn: (PK, dn + "x"),
    "shorter": lambda dn: (PK, dn[:-1]),
    "case": lambda dn: (PK, dn.swapcase()),
    "product_case": lambda dn: (PK.swapcase(), dn),
    "any_name": lambda dn: (PK, "+"),
    "any_product": lambda dn: ("+", dn),
    "any": lambda dn: ("+", "+"),
    "everything": lambda dn: (PK, "#"),
    "no_name": lambda dn: (PK, ""),
    "no_product": lambda dn: ("", dn),
}
matrix = pytest.mark.parametrize("dn, who", [(NAMES[0], "own"), *((NAMES[1], who) for who in TARGETS)])


def topics(dn, who):
    """(topic, publish, subscribe, direct) as they have to be for the device PK, dn."""
    pk, name = TARGETS[who](dn)
    out = []
    for topic, *flags in TABLE:
        filled = re.sub(r"(?<=/)D(?=/|$)", lambda m: name, re.sub(r"(?<=/)P(?=/|$)", lambda m: pk, topic))
        if who == "own" or filled != topic:
            out.append((filled, *(flags if who == "own" else (0, 0, 0))))
    return out


def test_table():
    assert len(TABLE) > 100 and len({t for t, *_ in TABLE}) == len(TABLE)
    for column in (1, 2, 3):
        assert {row[column] for row in TABLE} == {0, 1}
    assert all(len(topics(NAMES[0], who)) > 50 for who in TARGETS)


@pytest.fixture(scope="module")
def watch(broker):
    """otad's place, with an ear for $SYS too."""
    s = Service(broker, "otad-watch")
    s.client.subscribe("$SYS/#", 1)
    yield s
    s.end()


@pytest.fixture
def wire(broker, watch):
    """wire(dn, will=..) -> the device's connection; the device may log in."""
    made = []

    def make(dn, **options):
        broker.row(dn)
        w = Wire(broker.port, *credentials(PK, dn, SECRET), **options)
        made.append(w)
        return w
    yield make
    for w in made:
        w.cut()


def heard(watch, prefix):
    """(topic, payload) of everything so far whose payload begins so; what went before is surely there."""
    mark = f"mark-{next(MARKS)}"
    watch.publish("/test/mark", mark)
    wait_until(lambda: any(m[1] == mark.encode() for m in list(watch.messages)), 10)
    return [(t, p.decode()) for t, p, _ in list(watch.messages) if p.startswith(prefix.encode())]


def kept(broker):
    """Retained messages that a newcomer gets, but for the broker's own."""
    late = Service(broker, "otad-late")
    late.client.subscribe("$SYS/#", 1)
    try:
        heard(late, "x")
        return [m for m in late.messages if m[2] and not m[0].startswith("$SYS/broker")]
    finally:
        late.end()


def publish_all(wire, dn, who, retain, prefix):
    w, n = wire(dn), 0
    for n, (topic, *_) in enumerate(topics(dn, who)):
        if not w.publish(topic, f"{prefix}{n}-", retain):  # not even a topic: the broker hangs up
            w = wire(dn)
    assert w.publish(f"/ota/device/inform/{PK}/{dn}", f"{prefix}last-")
    return n


@matrix
def test_publish(wire, watch, dn, who):
    prefix = f"p{next(MARKS)}-"
    publish_all(wire, dn, who, False, prefix)
    want = [(t, f"{prefix}{n}-") for n, (t, publish, *_) in enumerate(topics(dn, who)) if publish]
    assert heard(watch, prefix) == want + [(f"/ota/device/inform/{PK}/{dn}", f"{prefix}last-")]


@matrix
def test_retained(broker, wire, watch, dn, who):
    prefix = f"r{next(MARKS)}-"
    publish_all(wire, dn, who, True, prefix)
    assert heard(watch, prefix) == [(f"/ota/device/inform/{PK}/{dn}", f"{prefix}last-")]
    assert kept(broker) == []


@matrix
def test_subscribe(wire, watch, dn, who):
    """What is granted, and what then arrives when otad, or another device, publishes on every one of the topics."""
    w, wrong = wire(dn), []
    other = wire("publisher")
    for topic, _, subscribe, _ in topics(dn, who):
        granted = w.subscribe(topic)
        if granted is None:
            w = wire(dn)
        if (granted in (0, 1)) != bool(subscribe) or granted not in (None, 0, 1, 128):
            wrong.append((topic, granted))
    assert wrong == []
    prefix, want = f"s{next(MARKS)}-", set()
    for n, (topic, _, subscribe, direct) in enumerate(topics(dn, who)):
        if "+" in topic or "#" in topic or topic.startswith("$"):
            continue
        watch.publish(topic, f"{prefix}{n}-")
        assert other.publish(topic, f"{prefix}forged-")
        if subscribe or direct:
            want.add((topic, f"{prefix}{n}-".encode()))
    w.ping()
    assert set(w.messages) == want


@matrix
@pytest.mark.parametrize("retain", [False, True])
def test_will(broker, wire, watch, dn, who, retain):
    """No will of a device is ever sent, whatever it is about. One on a wildcard is no CONNECT at all."""
    prefix, before, opened = f"w{next(MARKS)}-", len(watch.lines), 0
    for n, (topic, *_) in enumerate(topics(dn, who)):
        w = wire(dn, will=(topic, f"{prefix}{n}-", retain))
        w.cut()
        assert w.code == (-1 if "+" in topic or "#" in topic else 0), topic
        opened += w.code == 0
    wait_until(lambda: len([x for x in watch.lines[before:] if x[0] == "off" and dn in x]) == opened, 20)
    assert heard(watch, prefix) == [] and kept(broker) == []


# ---- who may log in, on a whole stack ----

def attempt(stack, *login):
    """-> CONNACK code."""
    w = Wire(int(stack.broker.rsplit(":", 1)[1]), *login)
    w.cut()
    return w.code


def row_login(row, **options):
    return credentials(row["ProductKey"], row["DeviceName"], row["DeviceSecret"], **options)


def test_wrong_credentials(stack, api, device):
    pk, other_pk = api.product(), api.product()
    row, sibling = api.device(pk), api.device(pk)
    live = device(row)
    cid, user, password = row_login(row)
    twin = api.device(other_pk, row["DeviceName"])
    refused = {
        "wrong password": (cid, user, row_login({**row, "DeviceSecret": "x" * 32})[2]),
        "no password": (cid, user, ""),
        "cut password": (cid, user, password[:-2]),
        "a sibling's password": (cid, user, row_login(sibling)[2]),
        "a namesake's password": (cid, user, row_login(twin)[2]),
        "signed for another clientId": ("x" + cid, user, password),
        "unknown name": (cid, f"nobody&{pk}", password),
        "unknown product": (cid, f"{row['DeviceName']}&a1aaaaaaaaa", password),
        "no product": (cid, row["DeviceName"], password),
        "otad's name": ("otad-x", "otad", password),
    }
    assert {what: attempt(stack, *login) for what, login in refused.items()} == dict.fromkeys(refused, 5)
    assert live.connected
    assert api.must("QueryDeviceDetail", IotId=row["IotId"])["Data"]["Status"] == "ONLINE"
    assert attempt(stack, *row_login(sibling)) == 0


def test_client_id_that_is_live_under_another_name(stack, api, device):
    pk = api.product()
    owner, thief = api.device(pk), api.device(pk)
    cid = "c" + uuid.uuid4().hex[:12]
    live = device(owner, connect=False).connect(cid=cid)
    assert attempt(stack, *row_login(thief, cid=cid)) == 5
    stays(lambda: live.connected, 0.3)
    live.disconnect()
    wait_until(lambda: attempt(stack, *row_login(thief, cid=cid)) == 0, 5)


@pytest.mark.parametrize("how", ["deleted", "disabled"])
def test_gone_devices(stack, api, device, how):
    row = api.device(api.product())
    live = device(row)
    if how == "deleted":
        api.must("DeleteDevice", IotId=row["IotId"])
    else:
        api.must("DisableThing", IotId=row["IotId"])
    for method in ("hmacmd5", "hmacsha1", "hmacsha256"):
        assert attempt(stack, *row_login(row, method=method)) == 5
    live.wait_closed(2)
    with pytest.raises(ConnectRefused):
        MqttDevice(stack.broker, row).connect(subscribe=False)
