# SPDX-License-Identifier: Apache-2.0
"""A broker with the shipped configuration and our plugin, and a client in otad's role that speaks engine/brokerlink.h:
what the tests of the plugin alone stand on. Fixtures: broker (module), service, join; import them by name."""
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import paho.mqtt.client as mqtt
import pytest

from client import PATIENCE_S, wait_until
from conftest import REPORT, ROOT, build_dir
from mqtt_device import MqttDevice

PK = "a1PluginPk1"
SECRET = "0123456789abcdef0123456789abcdef"
TO_BROKER, FROM_BROKER = "$CONTROL/otad/v1", "/otad/broker"
PASSWORD = "otad's own password"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Service:
    """otad's side: hands over credentials, hears presence, sees every device's publish."""

    def __init__(self, broker, cid="otad-ingest-0", clean=True):
        self.broker, self.cid = broker, cid
        self.lines, self.messages = [], []
        self.changed = threading.Condition()
        self.acked, self.subscribed, self.connected = set(), False, False
        c = self.client = mqtt.Client(cid, clean_session=clean)
        c.username_pw_set("otad", PASSWORD)
        c.on_connect, c.on_message, c.on_publish = self._on_connect, self._on_message, self._on_publish
        c.on_subscribe = self._on_subscribe
        c.max_inflight_messages_set(1000)
        c.connect("127.0.0.1", broker.port, 60)
        c.loop_start()
        wait_until(lambda: self.subscribed, 10)

    def _on_connect(self, client, _data, _flags, rc):
        assert rc == 0, rc
        client.subscribe([("#", 1), ("/otad/broker", 1)])

    def _on_subscribe(self, *_):
        self.subscribed = True

    def _on_publish(self, _client, _data, mid):
        with self.changed:
            self.acked.add(mid)
            self.changed.notify_all()

    def _on_message(self, _client, _data, m):
        with self.changed:
            if m.topic == FROM_BROKER:
                self.lines += [line.split("\t") for line in m.payload.decode().split("\n") if line]
            else:
                self.messages.append((m.topic, bytes(m.payload), m.retain))
            self.changed.notify_all()

    def publish(self, topic, payload, qos=1):
        info = self.client.publish(topic, payload, qos)
        with self.changed:
            assert self.changed.wait_for(lambda: info.mid in self.acked, PATIENCE_S), f"no PUBACK for {topic}"

    def say(self, *lines):
        """Each a tuple of fields; returns when the broker has acknowledged."""
        self.publish(TO_BROKER, "".join("\t".join(map(str, line)) + "\n" for line in lines))

    def heard(self, verb, *fields, after=0):
        """The first line of this verb from `after` on whose fields behind boot contain the given ones."""
        def found():
            return next((x for x in self.lines[after:] if x[0] == verb and all(f in x for f in fields)), None)
        with self.changed:
            assert self.changed.wait_for(lambda: found() is not None, PATIENCE_S), \
                f"no {verb} {fields}: {self.lines[after:]}"
            return found()

    def got(self, topic):
        def found():
            return next((m for m in self.messages if m[0] == topic), None)
        with self.changed:
            assert self.changed.wait_for(lambda: found() is not None, PATIENCE_S), f"nothing on {topic}"
            return found()

    def presence(self, dn):
        return [x[0] for x in self.lines if x[0] in ("on", "off") and dn in x]

    def online(self):
        """Asks for a snapshot -> {dn: conn}."""
        after = len(self.lines)
        self.say(("presence",))
        self.heard("snap-end", after=after)
        lines = self.lines[after:]
        start = next(i for i, x in enumerate(lines) if x[0] == "snap-begin")
        end = next(i for i, x in enumerate(lines) if x[0] == "snap-end")
        named = {x[3]: x[1] for x in lines[start:end] if x[0] == "snap"}
        assert int(lines[end][3]) == len([x for x in lines[start:end] if x[0] == "snap"])
        return named

    def state(self):
        after = len(self.lines)
        self.say(("hello",))
        return self.heard("state", after=after)

    def end(self):
        self.client.disconnect()
        self.client.loop_stop()


class Broker:
    def __init__(self, directory):
        self.dir = directory
        self.owner = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        self.data = directory / "data"
        self.data.mkdir()
        (directory / "secret").write_text(PASSWORD + "\n")
        self.plugin = directory / "otad_mosquitto.so"
        shutil.copy(build_dir() / "bin/otad_mosquitto.so", self.plugin)
        self.state_file = self.data / "credentials"
        self.log = directory / "log"
        self.process = None
        if os.getuid() == 0:
            directory.chmod(0o755)
            subprocess.run(["chown", "-R", self.owner, str(directory)], check=True)
        self.port = free_port()
        self.service = None
        self.names = 0

    def start(self):
        text = (ROOT / "deploy/mosquitto.conf.in").read_text()
        for key, value in {"PORT": self.port, "ADDRESS": "127.0.0.1", "USER": self.owner, "PLUGIN": self.plugin,
                           "SECRET_FILE": self.dir / "secret", "DATA_DIR": f"{self.data}/"}.items():
            text = text.replace(f"@{key}@", str(value))
        # Registrations on this port, though it has no TLS: what it answers does not depend on that.
        text = text.replace("#TLS plugin_opt_register_ports @TLS_PORT@", f"plugin_opt_register_ports 1 {self.port}")
        (self.dir / "conf").write_text(text)
        runtime = re.findall(r"=> (\S*/lib[aut]\w*san\S*)", subprocess.run(["ldd", str(self.plugin)],
                             capture_output=True, text=True, check=True).stdout)
        env = dict(os.environ)
        if runtime:
            env |= {"LD_PRELOAD": ":".join(runtime), "ASAN_OPTIONS": "detect_leaks=0"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c",
                                             str(self.dir / "conf")], stdout=log, stderr=log, env=env)

        def answers():
            assert self.process.poll() is None, self.log.read_text()
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        wait_until(answers, 20)
        self.service = Service(self)

    def stop(self, sig=signal.SIGTERM):
        if self.service:
            self.service.end()
            self.service = None
        if self.process:
            self.process.send_signal(sig)
            self.process.wait(10)
            assert sig != signal.SIGTERM or self.process.returncode == 0, self.log.read_text()
            self.process = None

    def restart(self, sig=signal.SIGTERM):
        self.stop(sig)
        self.start()

    def row(self, dn=None, secret=SECRET):
        """A new device that may log in."""
        self.names += 1
        dn = dn or f"dev-{self.names}"
        self.service.say(("cred", PK, dn, secret))
        return {"ProductKey": PK, "DeviceName": dn, "DeviceSecret": secret}


@pytest.fixture(scope="module")
def broker():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="otad-plugin."))
    b = Broker(directory)
    b.start()
    yield b
    b.stop()
    log = b.log.read_text(errors="replace")
    assert not REPORT.search(log), log
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def service(broker):
    return broker.service


@pytest.fixture
def join(broker):
    made = []

    def make(row=None, connect=True, **options):
        d = MqttDevice(f"127.0.0.1:{broker.port}", row or broker.row())
        made.append(d)
        return d.connect(**options) if connect else d
    yield make
    for d in made:
        if d.client and d.connected:
            d.disconnect()
        elif d.client:
            d._end()
