# SPDX-License-Identifier: Apache-2.0
"""The measurements of tests/bench/storm, against the stack that the environment names."""
import json
import os
import pathlib
import re
import secrets
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "it"))
from client import Client, http_request, wait_until  # noqa: E402
from mqtt_device import MqttDevice  # noqa: E402

DEVICES, SECONDS, PROFILES = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
OTHERS = 50  # devices that were there before and ask for their firmware all the while
DIR, BIN = pathlib.Path(os.environ["OTA_DIR"]), pathlib.Path(os.environ["OTA_BIN"])
api = Client(os.environ["OTA_ENDPOINT"], os.environ["OTA_AK"], os.environ["OTA_SK"], timeout=60)


def rss_kib(part):
    pid = (DIR / f"{part}.pid").read_text().split()[0]
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))


def online():
    page = http_request("GET", f"http://{os.environ['OTA_ENDPOINT']}/metrics")[2].decode()
    return int(float(re.search(r"^otad_devices_online (\S+)$", page, re.M).group(1)))


class Load:
    """Every device asks again when half a second has passed since its answer; how long each answer took, in s."""

    def __init__(self, devices):
        self.took, self.stop = [], threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(d,)) for d in devices]
        for t in self.threads:
            t.start()

    def ask(self, device):
        first = True
        while not self.stop.wait(0.5):
            began = time.monotonic()
            device.get_firmware(within=60, subscribe=first)
            self.took.append(time.monotonic() - began)
            device.others.clear()
            first = False

    def result(self):
        self.stop.set()
        for t in self.threads:
            t.join()
        took = sorted(self.took)
        return (f"{len(took)} requests, p50 {took[len(took) // 2] * 1000:.0f} ms, "
                f"p99 {took[len(took) * 99 // 100] * 1000:.0f} ms, worst {took[-1] * 1000:.0f} ms")


pk = api.product()
others = [MqttDevice(os.environ["OTA_BROKER"], row).connect() for row in api.devices(pk, OTHERS)]
empty = rss_kib("broker")
fleet, names = DIR / "fleet.csv", DIR / "devices.csv"
rows = [(f"storm{i:06d}", secrets.token_hex(16)) for i in range(DEVICES)]
names.write_text("".join(f"{name},{secret}\n" for name, secret in rows))
fleet.write_text("".join(f"{pk},{name},{secret}\n" for name, secret in rows))
subprocess.run([BIN / "otactl", "--config", os.environ["OTA_CONFIG"], "device", "import", pk, str(names)], check=True,
               stdout=subprocess.DEVNULL)
probe = MqttDevice(os.environ["OTA_BROKER"], {"ProductKey": pk, "DeviceName": rows[-1][0], "DeviceSecret": rows[-1][1]})


def known():
    try:
        probe.connect(subscribe=False)
    except Exception:
        return False
    probe.client.disconnect()
    return True


wait_until(known, 120)
wait_until(lambda: online() == OTHERS, 30)
loaded = rss_kib("broker")

quiet = Load(others)
time.sleep(10)
print(f"before the storm     {quiet.result()}", flush=True)

load = Load(others)
report = DIR / "storm.json"
began = time.monotonic()
sim = subprocess.Popen([BIN / "otasim", "--broker", os.environ["OTA_BROKER"], "--devices", fleet, "--no-download",
                        "--profile", PROFILES, "--connect-rate", str(max(1, DEVICES // SECONDS)),
                        "--duration", "900", "--report", report])
try:
    wait_until(lambda: online() >= DEVICES + OTHERS, 600)
    print(f"storm                {DEVICES} devices online after {time.monotonic() - began:.1f} s, {SECONDS} s wanted")
    print(f"during the storm     {load.result()}", flush=True)
    connected = rss_kib("broker")
    load = Load(others)
    time.sleep(30)
    print(f"after the storm      {load.result()}")
    still = online()
finally:
    sim.send_signal(signal.SIGTERM)
    sim.wait(60)
result = json.loads(report.read_text())
print(f"half a minute later  {still - OTHERS} of {DEVICES} online; {result['connects']} logins, "
      f"{result['connects_refused']} refused")
print(f"broker               {(loaded - empty) * 1024 / DEVICES:.0f} bytes a device known, "
      f"{(connected - loaded) * 1024 / DEVICES:.0f} more when connected; otad {rss_kib('otad') / 1024:.1f} MB")
for d in others:
    d.client.disconnect()
