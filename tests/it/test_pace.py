# SPDX-License-Identifier: Apache-2.0
"""The pace contract (rules §4), judged by the times at which devices got their pushes."""
import os
import signal
import time

import pace_check
from client import wait_until


def arrivals(devices):
    return sorted(p.at for d in devices for p in d.pushes)


def worst_window(times, seconds):
    return pace_check.worst_window(times, seconds)[0]


def freeze(pid, seconds):
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)


def test_no_minute_is_too_full_over_kills_freezes_and_jumps(otad_default, api, fleet):
    """Every start begins with a slot at once; only the gates, rebuilt from what was pushed, hold the limits."""
    stack, jobs = otad_default, {}
    for limit in (1, 5, 30):
        f = fleet(limit + 8, "1.0.0")
        jobs[limit] = f.devices, api.job(api.firmware(f.pk), MaximumPerMinute=limit)
    wait_until(lambda: all(arrivals(devices) for devices, _ in jobs.values()), 20)
    first = time.monotonic()
    for i in range(12):
        if i % 4 == 1:
            freeze(stack.otad_pid, 2)
        elif i % 4 == 3:
            freeze(stack.pid("broker"), 3)
        else:
            stack.advance(3600)  # by the database's time, that was an hour ago
            stack.kill_otad()
            stack.start_otad()
        time.sleep(1.2)
    for limit, (devices, _) in jobs.items():
        assert len(arrivals(devices)) <= limit
    assert len(arrivals(jobs[5][0])) == 5  # slots alone would have let out nine
    wait_until(lambda: time.monotonic() > first + 66, 80)
    for limit, (devices, job) in jobs.items():
        times = arrivals(devices)
        assert worst_window(times, 59.5) <= limit, (limit, times)
        wait_until(lambda d=devices, n=limit: len(arrivals(d)) > n, 30)
        assert "more than" not in stack.otactl("job", "pace", job).stdout


def test_rate_is_used_and_spread(api, fleet):
    f = fleet(60, "1.0.0")
    api.job(api.firmware(f.pk), MaximumPerMinute=600)
    wait_until(lambda: len(arrivals(f.devices)) == 60, 20)
    times = arrivals(f.devices)
    assert 5.5 < times[-1] - times[0] < 6.8, times[-1] - times[0]  # 59 slots of 101 ms
    assert worst_window(times, 0.5) <= 8


def test_cancel_holds_from_the_answer_on(stack, api, fleet):
    f = fleet(60, "1.0.0")
    job = api.job(api.firmware(f.pk), MaximumPerMinute=600)
    wait_until(lambda: len(arrivals(f.devices)) >= 10, 20)
    api.must("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True, CancelNotifiedTask=True, CancelInProgressTask=True)
    answered = time.monotonic()
    time.sleep(3)
    assert all(t < answered + 1 for t in arrivals(f.devices))
    assert api.job_info(job)["JobStatus"] == "CANCELED"


def test_counters_and_events_agree_with_the_rows(stack):
    """Over everything that this session's tests did."""
    wait_until(lambda: stack.sql_one("select count(*) from job_order where not done") == 0, 30)
    assert stack.sql("""
        with counted as (
            select t.job_id, t.state, count(*) as n from task_now t group by 1, 2
        ), kept as (
            select r.job_id, k.state, k.n from job_run r, lateral (values (1, n_confirm), (2, n_queued), (3, n_notified),
                (4, n_in_progress), (5, n_succeeded), (6, n_failed), (7, n_canceled)) as k(state, n)
        )
        select k.job_id, k.state, k.n, c.n from kept k left join counted c using (job_id, state)
        where k.n <> coalesce(c.n, 0)""") == []
    assert stack.sql("""select t.job_id, t.seq from task t join job_run r using (job_id) where t.seq <= r.made_seq and
                        (t.state < 5) <> exists (select from active_task a where a.job_id = t.job_id and a.seq = t.seq)""") == []
