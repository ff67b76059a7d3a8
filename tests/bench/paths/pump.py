# SPDX-License-Identifier: Apache-2.0
"""Due tasks of online devices over 50 jobs without a rate: found, claimed, committed, published, acknowledged; against
a publisher that does nothing but publish. The broker has no plugin and the devices no connections, on both sides."""
from client import wait_until

from . import QUICK, Sample

NAME, UNIT, LIMIT = "pump", "pushes/s", "mq.pub.async.q1.win100"
PLAIN_BROKER = True
SETTINGS = {"limit_max_per_minute_hard": 0, "limit_max_per_minute_max": 1_000_000_000, "limit_products": 0}
JOBS = 50
DEVICES = (40_000 if QUICK else 200_000) // JOBS  # of each
state = {"round": 0}


def prepare(stack, limits):
    state["pks"] = [stack.fleet(DEVICES, "1.0.0") for _ in range(JOBS)]
    stack.plain.presence.come((pk, f"d{i:07d}") for pk in state["pks"] for i in range(DEVICES))
    wait_until(lambda: stack.metric("otad_devices_online") == JOBS * DEVICES, 120)
    stack.plain.presence.repeat.clear()
    stack.sql("vacuum analyze")
    if limits.there:
        limits.need_broker(18842, 0)


def limit(_stack, limits):
    return limits.figure("./mqbench", LIMIT, "pub=async", "sub=none", "qos=1", "win=100", f"n={DEVICES * JOBS // 4}",
                         "reps=1", "port=18842")


def product(stack, _limits):
    api = stack.api
    state["round"] += 1
    before = stack.one("select coalesce(max(job_id), 0) from job_run")
    jobs = [api.job(api.firmware(pk, f"2.0.{state['round']}"), MaximumPerMinute=0) for pk in state["pks"]]
    keys = [k for k, in stack.sql("select job_id from live_job where job_id > %s order by 1", before)]
    wait_until(lambda: stack.one("select bool_and(making = 3) from job_run where job_id = any (%s)", keys), 300)
    sent, acked = stack.metric("otad_pushes_total"), stack.metric("otad_push_acks_total")
    unsent = stack.metric("otad_pushes_unsent_total")
    with stack.account() as a:
        # UpdateOTAJob for all of them in one moment; the last call wakes the engine.
        stack.sql("update job_run set max_per_minute = 1000000000 where job_id = any (%s)", keys)
        api.must("UpdateOTAJob", JobId=jobs[-1], UpgradeType="STATIC", TargetSelection="ALL",
                 MaximumPerMinute=1_000_000_000)
        wait_until(lambda: stack.metric("otad_push_acks_total") - acked >= JOBS * DEVICES, 600, pause_max=0.02)
    sent = stack.metric("otad_pushes_total") - sent
    assert sent == JOBS * DEVICES, f"{sent} pushes for {JOBS * DEVICES} tasks"
    wait_until(lambda: not stack.one("select count(*) from push_batch where acked_ms is null"), 60)
    pushed = stack.one("select count(*) from task where job_id = any (%s) and state = 3 and pushes = 1", keys)
    assert pushed == JOBS * DEVICES, f"{pushed} tasks NOTIFIED by one push"
    for job in jobs:
        api.must("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True, CancelNotifiedTask=True)
    wait_until(lambda: stack.one("select bool_and(done) from job_order where job_id = any (%s)", keys), 300)
    return Sample.of(a, JOBS * DEVICES, notes=[
        f"given back and pushed later: {stack.metric('otad_pushes_unsent_total') - unsent:.0f}"])
