# SPDX-License-Identifier: Apache-2.0
"""Dynamic registration at the broker plugin alone (device §1.5): what it asks otad, whose part the test plays, and
what it does with the answers."""
import hashlib
import hmac

import pytest

from client import PATIENCE_S, stays, wait_until
from mqtt_device import ConnectRefused, MqttDevice
from plugin_broker import PK, Service, broker, service  # noqa: F401

PS = "U5tW7i44uilcQ2dX"


class Registrar:
    """Connections that register, and otad's side of them."""

    def __init__(self, broker, told=False):
        self.broker, self.service, self.open = broker, broker.service, []
        if not told:
            self.service.say(("cred", "$register", PK, PS))

    def connect(self, dn, kind="register", secret=PS, cid=None):
        text = f"deviceName{dn}productKey{PK}random123"
        login = (f"{cid or dn}|authType={kind},random=123,signmethod=hmacsha1,securemode=2|", f"{dn}&{PK}",
                 hmac.new(secret.encode(), text.encode(), hashlib.sha1).hexdigest())
        d = MqttDevice(f"127.0.0.1:{self.broker.port}", {"ProductKey": PK, "DeviceName": dn, "DeviceSecret": ""})
        self.open.append(d)
        return d.connect(subscribe=False, login=login)

    def asked(self, dn, kind="register"):
        """The line about this device, once it is there -> the number of its connection."""
        def found():
            return next((line for topic, payload, _ in self.service.messages if topic == "/otad/register"
                         for line in [payload.decode().rstrip("\n").split("\t")] if line[0] == kind and line[3] == dn), None)
        with self.service.changed:
            assert self.service.changed.wait_for(lambda: found() is not None, PATIENCE_S), self.service.messages[-5:]
            line = found()
        assert line[2] == PK and line[4] == "127.0.0.1" and len(line) == 5
        return line[1]

    def end(self):
        for d in self.open:
            if d.client and d.connected:
                d.disconnect()
            elif d.client:
                d._end()


@pytest.fixture
def registrar(broker):
    r = Registrar(broker)
    yield r
    r.end()
    broker.service.say(("cred-del", "$register", PK))


def test_registration_is_asked_about_and_answered(broker, service, registrar):
    dn = broker.row()["DeviceName"]
    before = len(service.lines)
    d = registrar.connect(dn)
    conn = registrar.asked(dn)
    service.say(("cred", PK, dn, "new-secret"), ("reg-ok", conn, "new-secret"))
    d._wait(lambda: d.others, 5, "no answer")
    assert d.others[0].topic == "/ext/register"
    assert d.others[0].json == {"productKey": PK, "deviceName": dn, "deviceSecret": "new-secret"}
    # it is nobody's presence
    assert dn not in service.online() and not [x for x in service.lines[before:] if x[0] in ("on", "off") and dn in x]
    # and what it got is good
    d.disconnect()
    MqttDevice(f"127.0.0.1:{broker.port}", {"ProductKey": PK, "DeviceName": dn, "DeviceSecret": "new-secret"}).connect() \
        .disconnect()


def test_registration_refused_by_otad_is_closed(broker, service, registrar):
    d = registrar.connect("SN-refused", kind="regnwl")
    service.say(("reg-no", registrar.asked("SN-refused", "regnwl"), "off"))
    d.wait_closed()
    assert not d.others
    wait_until(lambda: "registration refused by otad: SN-refused&" in broker.log.read_text(), 5)


def test_nobody_is_asked_about_while_otad_is_away(broker, service, registrar):
    """The question would wait for it and come when the device has a newer secret."""
    other = Service(broker, "otad-publisher-0")
    service.end()
    registrar.service = other
    d = registrar.connect("SN-early", kind="regnwl")
    d.publish("/any/topic", "x")  # refused and acknowledged: the broker's loop has turned
    stays(lambda: not [m for m in other.messages if m[0] == "/otad/register"], 1)
    broker.service = Service(broker)
    registrar.asked("SN-early", "regnwl")
    other.end()


def test_an_answer_for_a_connection_that_is_gone_goes_nowhere(broker, service, registrar):
    d = registrar.connect("SN-gone", kind="regnwl")
    conn = registrar.asked("SN-gone", "regnwl")
    d.disconnect()
    other = registrar.connect("SN-other", kind="regnwl")
    registrar.asked("SN-other", "regnwl")
    service.say(("reg-ok", conn, "secret"), ("reg-ok", "1", "secret"), ("reg-no", conn, "off"), ("reg-ok", conn))
    stays(lambda: other.connected and not other.others, 1)


def test_a_registration_leaves_the_live_device_alone(broker, service, registrar):
    row = broker.row()
    live = MqttDevice(f"127.0.0.1:{broker.port}", row).connect()
    d = registrar.connect(row["DeviceName"], cid="another")
    conn = registrar.asked(row["DeviceName"])
    service.publish(f"/ota/device/upgrade/{PK}/{row['DeviceName']}", b"push")
    live._wait(lambda: live.pushes, 5, "no push")
    assert not d.others and not d.pushes
    service.say(("reg-no", conn, "activated"))
    d.wait_closed()
    assert live.connected
    live.disconnect()


def test_registrations_are_bounded(broker, service, registrar):
    """256 at a time; whoever leaves makes room."""
    many = []
    for i in range(256):
        many.append(registrar.connect(f"SN-many-{i}", kind="regnwl"))
    with pytest.raises(ConnectRefused):
        registrar.connect("SN-many-256", kind="regnwl")
    assert "too many at a time" in broker.log.read_text()
    many[7].disconnect()
    many[255].disconnect()

    def room():
        try:
            return registrar.connect("SN-many-257", kind="regnwl")
        except ConnectRefused:
            return None
    d = wait_until(room, 10)
    service.say(("reg-ok", registrar.asked("SN-many-257", "regnwl"), "token"))
    d._wait(lambda: d.others, 5, "no answer")
    assert d.others[0]["deviceToken"] == "token"


def test_products_of_an_older_set_are_dropped(broker, service, registrar):
    registrar.connect("SN-set-1", kind="regnwl").disconnect()
    service.say(("cred-begin", 1), ("cred-end", 1))
    with pytest.raises(ConnectRefused):
        registrar.connect("SN-set-1", kind="regnwl")


def test_the_products_secret_is_kept_over_a_restart(broker):
    broker.service.say(("cred-begin", 5), ("cred", "$register", PK, PS), ("cred-end", 5))
    assert f"cred\t$register\t{PK}\t{PS}\n" in wait_until(lambda: broker.state_file.exists() and broker.state_file.read_text(), 5)
    broker.restart()
    r = Registrar(broker, told=True)
    r.connect("SN-restart", kind="regnwl")
    r.asked("SN-restart", "regnwl")
    r.end()
    broker.service.say(("cred-del", "$register", PK))
