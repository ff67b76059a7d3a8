# SPDX-License-Identifier: Apache-2.0
"""The tasks of a job for ALL devices of a product, made with the rule "one unfinished task per device", against one
INSERT .. SELECT with a partial unique index. Devices are offline, so that nothing else happens."""
import time

from client import wait_until

from . import QUICK, Sample

NAME, UNIT, LIMIT = "make", "tasks/s", "pg.insert_select.base3"
DEVICES = 200_000 if QUICK else 1_000_000
state = {}


def prepare(stack, limits):
    api = stack.api
    state["pk"] = stack.fleet(DEVICES, "1.0.0")
    state["small"] = api.product()
    api.devices(state["small"], 10)
    state["fw"] = [api.firmware(state["pk"], f"2.0.{i}") for i in range(20)]
    stack.sql("vacuum analyze")
    if limits.there:
        limits.need_database()


def limit(_stack, limits):
    return limits.figure("./pgbulk", DEVICES, 1, "quick", "base3")


def create(api, firmware, **more):
    begin = time.monotonic()
    job = api.job(firmware, **more)
    return job, (time.monotonic() - begin) * 1000


def made(stack, target, expected):
    """A job for target (parameters of the create call), from its creation to its last task, which then is cancelled ->
    (account, notes)."""
    api = stack.api
    fw = state["fw"].pop()
    meanwhile = []
    with stack.account() as a:
        job, answer = create(api, fw, MaximumPerMinute=1, **target)
        key = stack.one("select max(job_id) from job_run")
        for i in range(3):
            meanwhile.append(create(api, api.firmware(state["small"], f"1.{time.monotonic_ns()}"))[1])
        wait_until(lambda: stack.one("select making = 3 from job_run where job_id = %s", key), 600, pause_max=0.02)
    count = stack.one("select n_queued from job_run where job_id = %s", key)
    assert count == expected, f"{count} tasks of {expected}"
    api.must("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True, CancelNotifiedTask=True)
    wait_until(lambda: stack.one("select bool_and(done) from job_order where job_id = %s", key), 600)
    stack.sql("vacuum analyze")
    return a, [f"create for {DEVICES}: {answer:.0f} ms; other create calls meanwhile: "
               + ", ".join(f"{m:.0f} ms" for m in meanwhile)]


def product(stack, _limits):
    a, notes = made(stack, {}, DEVICES)
    return Sample.of(a, DEVICES, notes=notes)
