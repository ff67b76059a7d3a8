# SPDX-License-Identifier: Apache-2.0
"""The measurements of tests/bench/orders, against the stack that the environment names."""
import json
import os
import pathlib
import re
import secrets
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "it"))
from client import Client, wait_until  # noqa: E402

DEVICES, ONLINE = int(sys.argv[1]), int(sys.argv[2])
RATE = 1000
DIR = pathlib.Path(os.environ["OTA_DIR"])
BIN = pathlib.Path(os.environ["OTA_BIN"])
api = Client(os.environ["OTA_ENDPOINT"], os.environ["OTA_AK"], os.environ["OTA_SK"], timeout=60)


def rss_mb():
    pid = (DIR / "otad.pid").read_text().split()[0]
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def otactl(*words):
    subprocess.run([BIN / "otactl", "--config", os.environ["OTA_CONFIG"], *words], check=True,
                   stdout=subprocess.DEVNULL)


def create(firmware, **more):
    begin = time.monotonic()
    job = api.job(firmware, **more)
    return job, begin, time.monotonic() - begin


def total(job, status=None):
    return api.must("ListOTATaskByJob", JobId=job, PageSize=1, CurrentPage=1, TaskStatus=status)["Total"]


print(f"idle                 {rss_mb():.1f} MB resident", flush=True)

big = api.product()
names = DIR / "devices.csv"
names.write_text("".join(f"bench{i:07d},{secrets.token_hex(16)}\n" for i in range(DEVICES)))
begin = time.monotonic()
otactl("device", "import", big, str(names))
print(f"import               {DEVICES} devices in {time.monotonic() - begin:.1f} s", flush=True)
firmware = api.firmware(big)
job, begin, answer = create(firmware, MaximumPerMinute=0)
wait_until(lambda: total(job) >= DEVICES, 120)
print(f"create ALL           answered in {answer * 1000:.0f} ms, {DEVICES} tasks after "
      f"{time.monotonic() - begin:.2f} s", flush=True)

small = api.product()
rows = api.devices(small, ONLINE)
fleet = DIR / "fleet.csv"
fleet.write_text("".join(f"{small},{r['DeviceName']},{r['DeviceSecret']}\n" for r in rows))
report, log = DIR / "bench.json", DIR / "bench.log"
sim = subprocess.Popen([BIN / "otasim", "--broker", os.environ["OTA_BROKER"], "--devices", fleet, "--no-download",
                        "--delay", "100", "--connect-rate", "500", "--duration", "900", "--push-log", log,
                        "--report", report])
wait_until(lambda: api.version_of(small, rows[-1]["DeviceName"]) == "1.0.0", 120)
time.sleep(2)
job, begin, _ = create(api.firmware(small), MaximumPerMinute=RATE)
wait_until(lambda: total(job, "SUCCEEDED") >= ONLINE, 60 + 2 * ONLINE * 60 / RATE)
time.sleep(1.2)
sim.send_signal(signal.SIGTERM)
sim.wait(30)
result = json.loads(report.read_text())
want, span = ONLINE * 60 / RATE, result["push_span_ms"] / 1000
print(f"pace                 {result['pushes']} pushes at {RATE} a minute in {span:.1f} s, devices / rate is "
      f"{want:.1f} s ({100 * (span - want) / want:+.1f} %), worst 60 s window {result['worst_minute_pushes']}")
print(f"update               push to new version p50 {result['update_ms_p50']} ms, p99 {result['update_ms_p99']} ms")
print(f"after that           {rss_mb():.1f} MB resident")
