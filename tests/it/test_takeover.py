# SPDX-License-Identifier: Apache-2.0
"""Two otad processes on one database and one broker: one ticks, the other takes over when it dies or freezes, and
what was promised to devices and callers holds all the same."""
import contextlib
import os
import signal
import threading
import time

import psycopg2
import pytest

from client import Client, http_request, stays, wait_until
from mqtt_device import settle
from test_pace import WINDOW_S, arrivals, worst_window
from test_reports_survive_kill import Load, finish

TAKEOVER_S = 40  # a lease of 8 s, a transaction of 3 s, and a slow machine


@contextlib.contextmanager
def frozen(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def second(another):
    """A standby beside the stack's otad, which ticks."""
    return another()


@pytest.fixture(autouse=True)
def own_again(stack, otad_default):
    """Whoever ticks at the end of a test: for the others it is the stack's otad again."""
    yield
    wait_until(lambda: not stack.broken(), 30, stack.broken)
    if stack.running("otad"):
        stack.stop_otad()
    stack.sql("delete from engine_lease")


class Fleet(threading.Thread):
    """Devices that do what they are told, each push anew."""

    def __init__(self, devices, version):
        super().__init__()
        self.devices, self.version, self.done = devices, version, {d: 0 for d in devices}
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            for d, n in self.done.items():
                if len(d.pushes) > n:
                    self.done[d] = n + 1
                    d.upgrade(self.version)
            time.sleep(0.02)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


@contextlib.contextmanager
def load(devices):
    loads = [Load(d) for d in devices]
    for x in loads:
        x.start()
    wait_until(lambda: all(len(x.acked()) > 100 for x in loads), 20)
    yield loads
    for x in loads:
        x.stop.set()


def readiness(otad):
    status, _, why = http_request("GET", f"http://{otad.endpoint}/readyz")
    return status, why


def test_campaign_goes_on_whoever_dies_or_freezes(stack, api, fleet, second):
    limit, f, talkers = 15, fleet(18, "1.0.0"), fleet(6)
    assert readiness(second)[0] == 200  # it serves the API, and waits for the lease
    assert second.metric("otad_engine_owner") == 0
    with Fleet(f.devices, "2.0.0"):
        job = api.job(api.firmware(f.pk), MaximumPerMinute=limit)
        wait_until(lambda: len(arrivals(f.devices)) >= 2, 30)

        with load(talkers.devices[:2]) as first_load:
            stack.kill_otad()
            second.wait_log("lease_taken", TAKEOVER_S)
            n = len(arrivals(f.devices))
            wait_until(lambda: len(arrivals(f.devices)) > n, 60)

        stack.start_otad()  # it waits, and hands over what it had left
        assert stack.metric("otad_engine_owner") == 0
        lines = len(stack.log())
        with load(talkers.devices[2:4]) as second_load, frozen(second.pid):
            stack.wait_log("lease_taken", TAKEOVER_S, after=lines)
            n = len(arrivals(f.devices))
            wait_until(lambda: len(arrivals(f.devices)) > n, 60)
        second.wait_log("lease_lost", 30)

        lines = len(second.log())
        with load(talkers.devices[4:]) as third_load:
            with frozen(second.pid):
                stack.stop_otad()
                assert stack.sql_one("select until_ms from engine_lease") == 0  # handed on at once, in order
            second.wait_log("lease_taken", TAKEOVER_S, after=lines)
        stack.start_otad()

        finish(stack, talkers.pk, first_load + second_load + third_load)
        wait_until(lambda: {t["TaskStatus"] for t in second.api.tasks(job)} == {"SUCCEEDED"}, 180,
                   lambda: [t["TaskStatus"] for t in second.api.tasks(job)])
    assert second.api.job_info(job)["JobStatus"] == "COMPLETED"
    times = arrivals(f.devices)
    assert worst_window(times, WINDOW_S) <= limit, times
    assert len(times) <= 18 + 3  # once more only for a push whose outcome a fault hid


def test_frozen_owner_comes_back_as_standby(stack, api, fleet, second):
    f = fleet(12, "1.0.0")
    job = api.job(api.firmware(f.pk), MaximumPerMinute=60)
    wait_until(lambda: len(arrivals(f.devices)) >= 2, 30)
    lines = len(stack.log())
    with frozen(stack.otad_pid):
        second.wait_log("lease_taken", TAKEOVER_S)
        n = len(arrivals(f.devices))
        wait_until(lambda: len(arrivals(f.devices)) >= n + 2, 60)
        other = len(second.log())
    stack.wait_log("lease_lost", 30, after=lines)
    pushes = stack.metric("otad_pushes_total")
    wait_until(lambda: {t["TaskStatus"] for t in second.api.tasks(job)} == {"NOTIFIED"}, 60)
    assert stack.metric("otad_pushes_total") == pushes and stack.metric("otad_engine_owner") == 0
    assert readiness(stack)[0] == 200
    # it never came between the new owner and the broker
    assert not [e for e in second.log()[other:] if e["event"] in ("broker_lost", "lease_lost")]
    assert not [e for e in stack.log()[lines:] if e["event"] == "broker_connected"]
    # and is as good an owner as before
    lines = len(stack.log())
    second.kill()
    stack.wait_log("lease_taken", TAKEOVER_S, after=lines)
    for d in f.devices:
        d.upgrade("2.0.0")
    api.wait_job(job, "COMPLETED", 60)


def test_who_has_lost_the_lease_without_knowing_claims_nothing(stack, api, fleet):
    """As for a process that was frozen just before a tick: the tick's own transaction sees it."""
    f = fleet(80, "1.0.0")
    job = api.job(api.firmware(f.pk), MaximumPerMinute=1000)
    for _ in range(2):
        wait_until(lambda n=len(arrivals(f.devices)): len(arrivals(f.devices)) > n, 60)
        lines = len(stack.log())
        connection = psycopg2.connect(stack.pg)
        with connection, connection.cursor() as c:
            c.execute("""update engine_lease set owner = 'another', epoch = epoch + 1,
                         until_ms = (extract(epoch from clock_timestamp()) * 1000)::bigint + 3000""")
            c.execute("select coalesce(max(id), 0) from push_batch")
            last = c.fetchone()[0]
        connection.close()
        stack.wait_log("lease_lost", 30, after=lines)
        assert stack.sql_one("select count(*) from push_batch where id > %s", last) == 0
        stack.wait_log("lease_taken", TAKEOVER_S, after=lines)
    wait_until(lambda: {t["TaskStatus"] for t in api.tasks(job)} == {"NOTIFIED"}, 60)


def test_reports_of_a_dead_owner_are_applied_when_it_is_back(stack, api, fleet, second):
    """What the broker was told to forget and the database does not know yet is in the journal alone."""
    f = fleet(3, "1.0.0")
    job = api.job(api.firmware(f.pk))
    early, overtaken, broken = f.devices
    for d in f.devices:
        d.wait_push()
    broken.progress(10)
    api.wait_task(job, broken.name, "IN_PROGRESS")
    journal, position = stack.sql("select l.owner, p.position from engine_lease l join journal_position p "
                                  "on p.journal_id = l.owner")[0]
    holder = psycopg2.connect(stack.pg)
    holder.cursor().execute("lock table device_module in access exclusive mode")
    broken.progress(-1, "old news")
    early.inform("2.0.0")
    overtaken.inform("1.5.0")
    wait_until(lambda: stack.sql_one("""select count(*) from pg_stat_activity where application_name = 'otad engine'
                                        and wait_event_type = 'Lock'"""))
    stack.kill_otad()
    holder.rollback()
    holder.close()
    second.wait_log("lease_taken", TAKEOVER_S)
    overtaken.inform("1.7.0")
    wait_until(lambda: second.api.version_of(f.pk, overtaken.name) == "1.7.0")
    lines = len(stack.log())
    stack.start_otad()
    api.wait_task(job, early.name, "SUCCEEDED", 20)
    wait_until(lambda: stack.sql_one("select position from journal_position where journal_id = %s", journal) > position)
    assert api.version_of(f.pk, overtaken.name) == "1.7.0"
    t = api.task(job, broken.name)
    assert (t["TaskStatus"], t["TaskDesc"]) == ("FAILED", "old news")
    assert not [e for e in stack.log()[lines:] if e["event"] == "lease_taken"]


def cancel(otad, job):
    Client(otad.endpoint, otad.stack.ak, otad.stack.sk, timeout=90).must(
        "CancelOTATaskByJob", JobId=job, CancelQueuedTask=True, CancelNotifiedTask=True, CancelInProgressTask=True)
    assert otad.api.job_info(job)["JobStatus"] == "CANCELED"


def holds(f, pushes):
    stays(lambda: len(arrivals(f.devices)) == pushes, 2, lambda: (pushes, arrivals(f.devices)))
    assert pushes < len(f.devices)


@pytest.mark.parametrize("round", range(3))
def test_cancel_holds_though_the_owner_is_frozen(stack, api, fleet, another, round):
    second, f = another(api_answer_ms=60_000), fleet(60, "1.0.0")
    job = api.job(api.firmware(f.pk), MaximumPerMinute=300)
    wait_until(lambda: len(arrivals(f.devices)) >= 5 + 3 * round, 30)
    with frozen(stack.otad_pid):
        cancel(second, job)
        pushes = settle(f.devices)
    holds(f, pushes)


@contextlib.contextmanager
def frozen_with_pushes(stack, f):
    """The owner, frozen when it had handed pushes over and did not know yet whether they arrived -> the job."""
    api = Client(stack.endpoint, stack.ak, stack.sk)
    with contextlib.ExitStack() as thaw:
        with frozen(stack.pid("broker")):
            job = api.job(api.firmware(f.pk), MaximumPerMinute=300)
            wait_until(lambda: stack.sql_one("select count(*) from push_batch where acked_ms is null") > 0, 20)
            thaw.enter_context(frozen(stack.otad_pid))
        yield job


def test_cancel_waits_for_pushes_in_the_hands_of_a_frozen_owner(stack, fleet, another):
    """Their outcome is not known until it wakes up or another has cut it off from the broker."""
    second, f = another(api_answer_ms=60_000), fleet(60, "1.0.0")
    with frozen_with_pushes(stack, f) as job:
        lines = len(second.log())
        cancel(second, job)
        assert {"lease_taken", "broker_connected"} <= {e["event"] for e in second.log()[lines:]}
        pushes = settle(f.devices)
    holds(f, pushes)


def test_cancel_that_cannot_wait_does_not_say_that_it_holds(stack, fleet, another):
    second, f = another(api_answer_ms=2800), fleet(60, "1.0.0")
    with frozen_with_pushes(stack, f) as job:
        answer = second.api.call("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True, CancelNotifiedTask=True)
        assert (answer.status, answer.code) == (503, "ServiceUnavailable")
        assert second.api.job_info(job)["JobStatus"] == "CANCELED"
        second.wait_log("lease_taken", TAKEOVER_S)
        second.wait_log("broker_connected", TAKEOVER_S, client="publisher")
        pushes = settle(f.devices)
    holds(f, pushes)


def test_pause_waits_as_long_as_it_takes(stack, fleet, second):
    f = fleet(60, "1.0.0")
    with frozen_with_pushes(stack, f) as job:
        stack.otactl("job", "pause", job)
        assert {"lease_taken", "broker_connected"} <= {e["event"] for e in second.log()}
        pushes = settle(f.devices)
    holds(f, pushes)
    stack.otactl("job", "resume", job)
    wait_until(lambda: all(d.pushes for d in f.devices), 60)
