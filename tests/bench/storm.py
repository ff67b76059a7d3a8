# SPDX-License-Identifier: Apache-2.0
"""The measurements of tests/bench/storm, on a stack with default settings."""
import json
import pathlib
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from rig import Stack, memory_kib  # noqa: E402
from client import wait_until  # noqa: E402
from mqtt_device import MqttDevice  # noqa: E402

DEVICES, SECONDS, PROFILES = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
OTHERS = 50  # devices that were there before and ask for their firmware all the while


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


def main(stack):
    def online():
        return int(stack.metric("otad_devices_online"))

    def rss_kib(part):
        return memory_kib(stack.pid(part))

    def known(row):
        try:
            MqttDevice(stack.broker, row).connect(subscribe=False).disconnect()
        except Exception:
            return False
        return True
    others = [MqttDevice(stack.broker, row).connect() for row in stack.api.devices(stack.api.product(), OTHERS)]
    empty = rss_kib("broker")
    pk, names = stack.fleet(DEVICES), stack.dir / "fleet.csv"
    lines = names.read_text().split()
    names.write_text("".join(f"{pk},{line}\n" for line in lines))
    last, secret = lines[-1].split(",")
    wait_until(lambda: known({"ProductKey": pk, "DeviceName": last, "DeviceSecret": secret}), 120)
    wait_until(lambda: online() == OTHERS, 30)
    loaded = rss_kib("broker")

    quiet = Load(others)
    time.sleep(10)
    print(f"before the storm     {quiet.result()}", flush=True)

    load, report, began = Load(others), stack.dir / "storm.json", time.monotonic()
    sim = subprocess.Popen([f"{stack.bin}/otasim", "--broker", stack.broker, "--devices", names, "--no-download",
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
        d.disconnect()


with Stack(postgres={}) as s:
    main(s)
