# SPDX-License-Identifier: Apache-2.0
"""The vendor's unmodified device SDKs for Node.js and Python against the stack; only address, port and credentials
are set. (Their C SDKs are played by otasim.)"""
import json
import os
import queue
import subprocess
import sys
import threading

import pytest
from client import wait_until
from conftest import HERE, ROOT


class Node:
    """sdk/device.js in a process of its own; steps of one kind are waited for in their order."""

    def __init__(self, stack, row, **options):
        broker = f"mqtt://{stack.broker}/"
        options = {"productKey": row["ProductKey"], "deviceName": row["DeviceName"],
                   "deviceSecret": row["DeviceSecret"], "brokerUrl": broker, "version": "1.0.0", **options}
        self.process = subprocess.Popen(["node", str(HERE / "sdk/device.js"), json.dumps(options)], text=True,
                                        env={**os.environ, "SDK": str(ROOT / "build/sdk-npm")}, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.steps = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.steps.put(json.loads(line))

    def wait(self, step, within=30):
        while True:
            got = self.steps.get(timeout=within)
            if got["step"] == step:
                return got

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(20) == 0
        self.reader.join()
        self.process.stdout.close()


@pytest.fixture
def node(stack, api):
    made = []

    def make(**options):
        row = api.device(api.product())
        made.append(Node(stack, row, **options))
        wait_until(lambda: api.version_of(row["ProductKey"], row["DeviceName"]) == "1.0.0", 30)
        return row, made[-1]
    yield make
    for n in made:
        n.end()


# It announces the method that it is told and signs with SHA-1 all the same.
@pytest.mark.parametrize("options", [{}, {"signAlgorithm": "hmacsha256"}, {"clean": True, "keepalive": 30},
                                     {"clientId": "42"}], ids=["plain", "sha256", "clean", "id"])
def test_node_is_pushed_to(api, node, options):
    row, device = node(**options)
    job = api.job(api.firmware(row["ProductKey"], content=b"n" * 100000))
    assert device.wait("push")["data"]["size"] == 100000
    assert device.wait("installed")["version"] == "2.0.0"
    assert api.wait_task(job, row, "SUCCEEDED")["Progress"] == "100.00"


def test_node_asks(api, node):
    row, device = node(pull=True)
    assert device.wait("answer")["data"] == {}
    job = api.job(api.firmware(row["ProductKey"]), NeedPush=False)
    assert device.wait("installed")["version"] == "2.0.0"
    api.wait_task(job, row, "SUCCEEDED")


def test_node_is_pushed_to_again_after_a_reconnect(stack, api, node):
    """It neither subscribes nor reports again, and the broker has forgotten its session."""
    row, device = node(ignore=1)
    job = api.job(api.firmware(row["ProductKey"]))
    first = device.wait("push")["data"]["url"]
    api.wait_task(job, row, "NOTIFIED")
    stack.stop("broker")
    device.wait("close")
    stack.start("broker")
    device.wait("connect")
    assert device.wait("push")["data"]["url"] != first
    device.wait("installed")
    api.wait_task(job, row, "SUCCEEDED")


def test_node_with_a_wrong_secret_stays_out(stack, api):
    row = api.device(api.product())
    device = Node(stack, {**row, "DeviceSecret": "0" * 32})
    try:
        assert "Not authorized" in device.wait("error")["text"]
    finally:
        device.end()
    assert api.must("QueryDeviceDetail", ProductKey=row["ProductKey"],
                    DeviceName=row["DeviceName"])["Data"]["Status"] == "UNACTIVE"


@pytest.fixture
def linkkit(stack, api, tmp_path):
    """linkkit() -> (row, the SDK's object, its pushes and answers): connected over plain TCP."""
    sys.path.insert(0, str(ROOT / "build/sdk-python"))
    from linkkit import linkkit as sdk
    sys.path.pop(0)
    made = []

    def make():
        row = api.device(api.product())
        up, notices = threading.Event(), queue.Queue()
        host, port = stack.broker.split(":")
        kit = sdk.LinkKit(host_name="cn-shanghai", product_key=row["ProductKey"], device_name=row["DeviceName"],
                          device_secret=row["DeviceSecret"])
        kit.config_mqtt(port=int(port), secure="", endpoint=host)
        kit.on_connect = lambda flag, rc, _data: up.set() if rc == 0 else None
        kit.on_ota_message_arrived = lambda *fields: notices.put(fields)
        made.append(kit)
        kit.connect_async()
        assert up.wait(30)
        return row, kit, notices
    yield make
    for kit in made:
        kit.disconnect()
        kit.destruct()


def test_python(stack, api, linkkit, tmp_path):
    """Pushed to, and asking; it checks `sign` itself and reports no progress."""
    row, kit, notices = linkkit()
    kit.ota_report_version("default", "1.0.0")
    wait_until(lambda: api.version_of(row["ProductKey"], row["DeviceName"]) == "1.0.0", 30)
    fw = api.firmware(row["ProductKey"], content=b"p" * 100000)
    job = api.job(fw, Tag=[{"Key": "site", "Value": "7"}])
    kind, version, size, url, method, sign, module, extra = notices.get(timeout=30)
    assert (kind, version, size, method, sign, module, extra) == (1, "2.0.0", 100000, "Md5", fw.md5, "default",
                                                                  "{'site': '7'}")
    image = tmp_path / "image"
    assert kit.download_ota_firmware(url, str(image), method, sign).name == "SUCCESS"
    assert image.read_bytes() == fw.content
    kit.ota_report_version(None, version)
    api.wait_task(job, row, "SUCCEEDED")
    fw = api.firmware(row["ProductKey"], "3.0.0", SignMethod="SHA256")
    job = api.job(fw, NeedPush=False)
    wait_until(lambda: api.tasks(job))
    kit.query_ota_firmware()
    kind, version, size, url, method, sign, module, extra = notices.get(timeout=30)
    assert (kind, version, method, sign, extra) == (2, "3.0.0", "SHA256", fw.sha256, "")
    assert kit.download_ota_firmware(url, str(image), method, sign).name == "SUCCESS"
    kit.ota_report_version("default", version)
    api.wait_task(job, row, "SUCCEEDED")
