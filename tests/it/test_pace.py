# SPDX-License-Identifier: Apache-2.0
"""The pace contract (rules §4), judged by the times at which devices got their pushes."""
import os
import signal
import time

import pace_check
from client import stays, wait_until
from mqtt_device import settle


# A minute, less what a busy machine may take to let a device see its push.
WINDOW_S = 54


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
    assert len(arrivals(jobs[5][0])) >= 5  # slots alone would have let out nine
    wait_until(lambda: time.monotonic() > first + 66, 80)
    for limit, (devices, job) in jobs.items():
        times = arrivals(devices)
        assert worst_window(times, WINDOW_S) <= limit, (limit, times)
        wait_until(lambda d=devices, n=limit: len(arrivals(d)) > n, 30)
        assert "more than" not in stack.otactl("job", "pace", job).stdout


def test_rate_is_used_and_spread(stack, api, fleet):
    f = fleet(60, "1.0.0")
    api.job(api.firmware(f.pk), MaximumPerMinute=600)
    wait_until(lambda: len(arrivals(f.devices)) == 60)
    claims = stack.sql("""select claimed_ms, count(*) from push_batch b, unnest(b.job_ids) as j(id) join job on job.id = j.id
                          join product p on p.id = job.product_id where p.product_key = %s group by b.id, 1 order by 1""",
                       f.pk)
    assert sum(n for _, n in claims) == 60
    first, sent = claims[0][0], 0
    for at, n in claims:
        sent += n
        assert sent <= (at - first) / 101 + 2, claims  # a slot each 101 ms, and none is used early
    assert claims[-1][0] - first < 30_000, claims


def test_cancel_holds_from_the_answer_on(stack, api, fleet):
    f = fleet(60, "1.0.0")
    job = api.job(api.firmware(f.pk), MaximumPerMinute=120)
    wait_until(lambda: len(arrivals(f.devices)) >= 5)
    api.must("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True, CancelNotifiedTask=True, CancelInProgressTask=True)
    n = settle(f.devices)
    stays(lambda: len(arrivals(f.devices)) == n, 3)
    assert n < 60
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
