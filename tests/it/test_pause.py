# SPDX-License-Identifier: Apache-2.0
"""Pausing and resuming (rules §4): in force from the moment that the command returns."""
from client import now_ms, stays, wait_until
from mqtt_device import settle

MINUTE = 60


def got(f):
    return sum(len(d.pushes) for d in f.devices)


def test_pause_holds_from_its_return_on_and_resume_goes_on(stack, api, fleet):
    f = fleet(40, "1.0.0")
    job = api.job(api.firmware(f.pk), MaximumPerMinute=120)
    wait_until(lambda: got(f) >= 5, 20)
    stack.otactl("job", "pause", job)
    n = settle(f.devices)
    stays(lambda: got(f) == n, 3)
    assert n < 40 and api.job_info(job)["JobStatus"] == "IN_PROGRESS"
    waiting = next(d for d in f.devices if not d.pushes)
    pushed = next(d for d in f.devices if d.pushes)
    assert waiting.get_firmware()["data"] == {} and pushed.get_firmware()["data"] == {}
    stack.otactl("job", "resume", job)
    wait_until(lambda: got(f) == 40)
    assert all(len(d.pushes) == 1 for d in f.devices)


def test_a_pause_outlives_otad(otad_default, api, fleet):
    stack = otad_default
    f = fleet(2, "1.0.0")
    job = api.job(api.firmware(f.pk), MaximumPerMinute=1)
    wait_until(lambda: got(f) == 1, 20)
    stack.otactl("job", "pause", job)
    api.must("UpdateOTAJob", JobId=job, UpgradeType="STATIC", TargetSelection="ALL", MaximumPerMinute=1000)
    stack.kill_otad()
    stack.start_otad()
    stays(lambda: got(f) == 1, 3)
    stack.otactl("job", "resume", job)
    wait_until(lambda: got(f) == 2, 20)


def test_nothing_is_pulled_out_of_a_pause(stack, api, fleet):
    """Neither by a device that waits for its push nor by one that has had it; both may after the pause."""
    f = fleet(2, "1.0.0")
    job = api.job(api.firmware(f.pk), MaximumPerMinute=1)
    wait_until(lambda: got(f) == 1, 20)
    stack.otactl("job", "pause", job)
    states = {t["DeviceName"]: t["TaskStatus"] for t in api.tasks(job)}
    assert sorted(states.values()) == ["NOTIFIED", "QUEUED"]
    for d in f.devices:
        assert d.get_firmware()["data"] == {}
    assert {t["DeviceName"]: t["TaskStatus"] for t in api.tasks(job)} == states
    stack.otactl("job", "resume", job)
    for d in f.devices:
        wait_until(lambda d=d: d.get_firmware(subscribe=False)["data"] != {}, 20)


def test_retries_wait_for_the_end_of_a_pause(stack, api, fleet):
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk), RetryInterval=10, RetryCount=1)
    d = f.devices[0]
    d.wait_push()
    d.progress(-2, "no space")
    wait_until(lambda: stack.sql_one("select count(*) from task t join device d on d.id = t.device_id where d.name = %s "
                                     "and t.retry_ms is not null", d.name) == 1)
    stack.otactl("job", "pause", job)
    stack.advance(11 * MINUTE)
    d.no_push(2)
    assert d.get_firmware()["data"] == {}
    assert api.task(job, f.rows[0])["TaskStatus"] == "NOTIFIED"
    stack.otactl("job", "resume", job)
    d.wait_push(2)


def test_a_scheduled_job_may_be_paused_before_its_start(stack, api, fleet):
    f = fleet(1, "1.0.0")
    start = now_ms() + 6 * MINUTE * 1000
    job = api.job(api.firmware(f.pk), ScheduleTime=start, ScheduleFinishTime=start + 2 * 3600_000)
    stack.otactl("job", "pause", job)
    assert api.job_info(job)["JobStatus"] == "PLANNED"
    stack.advance(6 * MINUTE + 1)
    api.wait_job(job, "IN_PROGRESS")
    f.devices[0].no_push(2)
    stack.otactl("job", "resume", job)
    f.devices[0].wait_push()
    stack.otactl("job", "pause", job)
    stack.advance(2 * 3600)  # the finish time does not wait
    api.wait_job(job, "COMPLETED")
    assert stack.otactl("job", "resume", job, check=False).returncode == 1
