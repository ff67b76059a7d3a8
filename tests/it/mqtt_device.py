# SPDX-License-Identifier: Apache-2.0
"""A device with the vendor's credentials and topics, on paho-mqtt.

    d = MqttDevice(broker, row)          # row: ProductKey, DeviceName, DeviceSecret
    d.connect()                          # ConnectRefused with .rc when the broker says no
    d.inform("1.0.0"); push = d.wait_push(); d.progress(10); d.inform(push["data"]["version"])
"""
import hashlib
import hmac
import itertools
import json
import threading
import time

import paho.mqtt.client as mqtt

from client import PATIENCE_S, wait_until

DIGESTS = {"hmacmd5": hashlib.md5, "hmacsha1": hashlib.sha1, "hmacsha256": hashlib.sha256}


class ConnectRefused(Exception):
    def __init__(self, rc):
        super().__init__(f"the broker refused the connection: {rc}")
        self.rc = rc  # CONNACK code, or -1 when the connection closed without one


def credentials(pk, dn, secret, cid=None, method="hmacsha256", timestamp=None, extra=(), upper=False,
                announce=None):
    """-> (client id, user name, password). method None: none is announced and HMAC-MD5 is used; announce:
    the method that is announced when it is not the one used."""
    cid = f"{pk}.{dn}" if cid is None else cid
    content = f"clientId{cid}deviceName{dn}productKey{pk}"
    if timestamp is not None:
        content += f"timestamp{timestamp}"
    password = hmac.new(secret.encode(), content.encode(), DIGESTS[method or "hmacmd5"]).hexdigest()
    options = ["securemode=3"]
    if method:
        options.append(f"signmethod={announce or method}")
    if timestamp is not None:
        options.append(f"timestamp={timestamp}")
    options += extra
    return f"{cid}|{','.join(options)}|", f"{dn}&{pk}", password.upper() if upper else password


class Message:
    def __init__(self, topic, payload, qos, retain):
        self.at, self.topic, self.payload, self.qos, self.retain = time.monotonic(), topic, payload, qos, retain
        try:
            self.json = json.loads(payload)
        except ValueError:
            self.json = None

    def __getitem__(self, key):
        return self.json[key]

    def __repr__(self):
        return f"{self.topic} {self.payload[:200]!r}"


def settle(devices):
    """What the broker was given for them before, or within a second from now, is here. -> how many pushes they have"""
    time.sleep(1.1)
    for d in devices:
        for _ in range(2):  # answers come behind what was queued before
            d.subscribe(d.topic("upgrade"))
    return sum(len(d.pushes) for d in devices)


class MqttDevice:
    """Everything received stands in .pushes (the upgrade topic) and .others, oldest first."""

    def __init__(self, broker, row, tls=None):
        """tls: an ssl.SSLContext; None is plain TCP."""
        self.tls = tls
        self.host, port = broker.rsplit(":", 1)
        self.port = int(port)
        self.pk, self.name, self.secret = row["ProductKey"], row["DeviceName"], row["DeviceSecret"]
        self.pushes, self.others = [], []
        self.ids = itertools.count(1)
        self.client = None
        self.connected = False
        self.closed_at = None  # time.monotonic() of the last loss of the connection
        self.rc = None
        self.suback, self.acked = {}, set()
        self.changed = threading.Condition()

    def topic(self, kind):
        return f"/ota/device/{kind}/{self.pk}/{self.name}"

    def sys_topic(self, rest):
        return f"/sys/{self.pk}/{self.name}/{rest}"

    def connect(self, subscribe=True, secret=None, clean=True, keepalive=60, login=None, within=10, **options):
        """options: as credentials(); login: (client id, user name, password) as they are."""
        cid, user, password = login or credentials(self.pk, self.name, secret or self.secret, **options)
        c = mqtt.Client(cid, clean_session=clean, protocol=mqtt.MQTTv311)
        c.username_pw_set(user, password)
        c.on_connect, c.on_disconnect = self._on_connect, self._on_disconnect
        c.on_message, c.on_subscribe, c.on_publish = self._on_message, self._on_subscribe, self._on_publish
        c.max_inflight_messages_set(1000)
        if self.tls:
            c.tls_set_context(self.tls)
        self.client, self.rc = c, None
        c.reconnect_delay_set(3600, 3600)  # the test decides when to come back
        c.connect(self.host, self.port, keepalive)
        c.loop_start()
        self._wait(lambda: self.rc is not None, within, "no CONNACK")
        if self.rc != 0:
            rc = self.rc
            self._end()
            raise ConnectRefused(rc)
        if subscribe:
            granted = self.subscribe(self.topic("upgrade"))
            assert granted in (0, 1), f"subscription to the upgrade topic refused: {granted}"
        return self

    # paho's thread

    def _on_connect(self, client, _data, _flags, rc):
        with self.changed:
            self.rc, self.connected = rc, rc == 0
            self.changed.notify_all()

    def _on_disconnect(self, client, _data, _rc):
        with self.changed:
            if client is self.client:
                self.connected, self.closed_at = False, time.monotonic()
                if self.rc is None:
                    self.rc = -1
            self.changed.notify_all()

    def _on_message(self, _client, _data, m):
        message = Message(m.topic, m.payload, m.qos, m.retain)
        with self.changed:
            (self.pushes if m.topic == self.topic("upgrade") else self.others).append(message)
            self.changed.notify_all()

    def _on_subscribe(self, _client, _data, mid, granted):
        with self.changed:
            self.suback[mid] = granted[0]
            self.changed.notify_all()

    def _on_publish(self, _client, _data, mid):
        with self.changed:
            self.acked.add(mid)
            self.changed.notify_all()

    # the test's thread

    def _wait(self, condition, within, what):
        within = max(within, PATIENCE_S)
        with self.changed:
            if not self.changed.wait_for(condition, within):
                raise AssertionError(f"{self.name}: {what} within {within} s")

    def subscribe(self, topic, qos=1, within=10):
        """-> the granted QoS, 128 when refused."""
        _, mid = self.client.subscribe(topic, qos)
        self._wait(lambda: mid in self.suback, within, f"no SUBACK for {topic}")
        return self.suback[mid]

    def publish(self, topic, payload, qos=1, retain=False, within=10):
        """Waits for the PUBACK (QoS 1). payload: bytes, str, or something for json.dumps."""
        if not isinstance(payload, (bytes, str)):
            payload = json.dumps(payload, separators=(",", ":"))
        info = self.client.publish(topic, payload, qos, retain)
        if qos:
            self._wait(lambda: info.mid in self.acked, within, f"no PUBACK on {topic}")

    def inform(self, version, module=None, qos=1):
        params = {"version": version}
        if module is not None:
            params["module"] = module
        self.publish(self.topic("inform"), {"id": str(next(self.ids)), "params": params}, qos)

    def progress(self, step, desc="", qos=1, module=None):
        params = {"step": step if isinstance(step, int) and step >= 1000 else str(step), "desc": desc}
        if module is not None:
            params["module"] = module
        self.publish(self.topic("progress"), {"id": str(next(self.ids)), "params": params}, qos)

    def get_firmware(self, module=None, within=10, subscribe=True):
        """Asks on thing/ota/firmware/get -> the answer as Message."""
        reply = self.sys_topic("thing/ota/firmware/get_reply")
        if subscribe:
            self.subscribe(reply)
        number = str(next(self.ids))
        params = {} if module is None else {"module": module}
        self.publish(self.sys_topic("thing/ota/firmware/get"), {"id": number, "params": params})

        def found():
            return [m for m in self.others if m.topic == reply and m.json and str(m.json.get("id")) == number]
        self._wait(found, within, "no answer to firmware/get")
        return found()[0]

    def wait_push(self, n=1, within=10):
        """The n-th push of this object's life."""
        self._wait(lambda: len(self.pushes) >= n, within, f"push number {n} did not come ({len(self.pushes)} did)")
        return self.pushes[n - 1]

    def no_push(self, seconds):
        """Asserts that no further push comes for that time."""
        n = len(self.pushes)
        with self.changed:
            more = self.changed.wait_for(lambda: len(self.pushes) > n, seconds)
        assert not more, f"{self.name} got a push: {self.pushes[n]}"

    def wait_closed(self, within=5):
        self._wait(lambda: not self.connected, within, "connection was not closed")

    def upgrade(self, version, steps=(10, 60, 100)):
        """A whole update, as a good device does it."""
        for s in steps:
            self.progress(s)
        self.inform(version)

    def disconnect(self):
        """In order, with DISCONNECT. Harmless when not connected."""
        if self.client:
            self.client.disconnect()
            wait_until(lambda: not self.connected, 5)
            self._end()

    def drop(self):
        """The connection breaks, without DISCONNECT."""
        if self.client:
            sock = self.client.socket()
            if sock:
                sock.shutdown(2)
            self._wait(lambda: not self.connected, 5, "connection did not break")
            self._end()

    def _end(self):
        c, self.client = self.client, None
        c.loop_stop()
