# SPDX-License-Identifier: Apache-2.0
"""otasim against the stack: its count of what happened has to agree with the platform's."""
from collections import Counter

import pytest
from client import wait_until


def online(api, rows, version="1.0.0"):
    for r in rows:
        wait_until(lambda r=r: api.version_of(r["ProductKey"], r["DeviceName"]) == version, 30)


@pytest.mark.parametrize("profile", ["c-link-3.2", "c-link-4", "node", "paho"])
def test_every_profile_updates(api, simulate, profile):
    pk = api.product()
    rows = [api.device(pk) for _ in range(3)]
    end = simulate(rows, "--profile", profile, "--any-port", "--delay", "200", "--reboot")
    online(api, rows)
    fw = api.firmware(pk, content=b"x" * 200000)
    job = api.job(fw)
    wait_until(lambda: Counter(t["TaskStatus"] for t in api.tasks(job)) == {"SUCCEEDED": 3}, 60,
               lambda: [(t["TaskStatus"], t["TaskDesc"]) for t in api.tasks(job)])
    report, log = end()
    assert report["successes"] == 3 and report["downloads"] == 3 and report["digest_errors"] == 0
    assert report["bytes"] == 3 * 200000 and report["profiles"] == {profile: 3}
    assert {line.split()[1] for line in log} == {r["DeviceName"] for r in rows}


def test_played_failures_arrive(api, simulate):
    pk = api.product()
    rows = api.devices(pk, 20)
    end = simulate(rows, "--fail-rate", "100", "--fail-kinds=-1,-2,-3,-4", "--delay", "100", "--duplicates", "50")
    online(api, rows[-3:])
    job = api.job(api.firmware(pk))
    wait_until(lambda: Counter(t["TaskStatus"] for t in api.tasks(job)) == {"FAILED": 20}, 60)
    report, _ = end()
    assert report["failures"] == 20 and report["successes"] == 0 and report["reports_repeated"] > 0


def test_a_package_changed_on_disk_is_noticed(api, stack, simulate):
    pk = api.product()
    rows = [api.device(pk) for _ in range(2)]
    end = simulate(rows, "--delay", "100")
    online(api, rows)
    content = b"0123456789abcdef" * 4096
    fw = api.firmware(pk, content=content)
    changed = 0
    for path in (stack.config.parent / "packages").rglob("*"):
        if path.is_file() and path.read_bytes() == content:
            with path.open("r+b") as f:
                f.seek(30000)
                f.write(b"X")
            changed += 1
    assert changed == 1
    job = api.job(fw)
    wait_until(lambda: Counter(t["TaskStatus"] for t in api.tasks(job)) == {"FAILED": 2}, 60)
    report, _ = end()
    assert report["digest_errors"] == 2 and report["successes"] == 0


def test_offline_devices_come_later(api, simulate):
    pk = api.product()
    rows = api.devices(pk, 12)
    end = simulate(rows, "--offline", "100", "--offline-until", "8", "--delay", "100", "--exit-when-idle", "60")
    job = api.job(api.firmware(pk))
    wait_until(lambda: len(api.tasks(job)) == 12, 20)
    assert Counter(t["TaskStatus"] for t in api.tasks(job)) == {"QUEUED": 12}
    wait_until(lambda: Counter(t["TaskStatus"] for t in api.tasks(job)) == {"SUCCEEDED": 12}, 60)
    report, _ = end()
    assert report["ever_online"] == 12
