# SPDX-License-Identifier: Apache-2.0
"""A fleet from its registration over the API to the new version, over real connections to a broker with our plugin: in
waves, each device leaves when it is done. Nothing is there to compare with: devices a second of the whole set, the
simulated fleet on the same cores, and CPU seconds of every process for 1,000 devices."""
import json
import os
import resource
import subprocess

from . import QUICK, Sample

NAME, UNIT, LIMIT, ONCE = "end_to_end", "devices/s", None, True
SETTINGS = {"limit_max_per_minute_hard": 0, "limit_max_per_minute_max": 1_000_000_000}
DEVICES, WAVE = (5_000, 2_000) if QUICK else (100_000, 15_000)
SCENARIO = {
    "title": f"{DEVICES} devices in waves of {WAVE}", "duration_s": 3000,
    "devices": {"count": DEVICES, "online": [[0, WAVE]], "logins_per_s": 100_000, "leave_when_done": True,
                "downloads_at_once": 1000, "flash_ms": 100},
    "campaigns": [{"at_s": 0, "package_kib": 16, "per_minute": 1_000_000}]}


def prepare(_stack, _limits):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def product(stack, _limits):
    scenario, report = stack.dir / "scenario.json", stack.dir / "report.json"
    scenario.write_text(json.dumps(SCENARIO))
    fleet_before = children()
    with stack.account() as a:
        run = subprocess.run([f"{stack.bin}/otasim", "--scenario", scenario, "--report", report],
                             env={**os.environ, **stack.env}, capture_output=True, text=True, timeout=3600)
    fleet = children() - fleet_before
    # 3: done, but something came slower than a scenario wants it.
    assert run.returncode in (0, 3), f"otasim: {run.returncode}: {run.stderr[-2000:]}"
    played = json.loads(report.read_text())
    assert played["digest_errors"] == 0 and played["push_unusable"] == 0, played
    succeeded = stack.one("select n_succeeded from job_run where job_id = (select max(job_id) from job_run)")
    assert succeeded == DEVICES, f"{succeeded} of {DEVICES} SUCCEEDED"
    each = {**a.cpu, "otasim": fleet}
    return Sample.of(a, DEVICES, notes=["CPU s for 1,000 devices: " + ", ".join(
        f"{name} {1000 * s / DEVICES:.2f}" for name, s in each.items()),
        f"from push to new version: p50 {played['update_ms_p50']} ms, p99 {played['update_ms_p99']} ms; "
        f"{played['push_duplicates']} pushes came twice"])
