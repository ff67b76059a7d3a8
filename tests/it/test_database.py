# SPDX-License-Identifier: Apache-2.0
"""otad and its database: maintenance, and a database that is slow to answer."""
import http.client
import threading
import time
import uuid

import psycopg2
import pytest

from client import wait_until


def connect(stack, autocommit=False):
    c = psycopg2.connect(stack.pg)
    c.autocommit = autocommit
    return c


# ---- maintenance ----

def partitions(stack, parent):
    return {r[0] for r in stack.sql("select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass",
                                    parent)}


def test_maintenance_goes_on_after_a_vacuum(stack, otad_default):
    """With the planner's statistics of the catalogues as a grown database has them."""
    c = connect(stack, autocommit=True)
    c.cursor().execute("vacuum analyze")
    c.close()
    stack.otactl("migrate", "--owner", stack.pg_owner)
    old = {"task_event": {"task_event_2001_11", "task_event_2001_12"}, "nonce": {"nonce_2001_12_31_23"}}
    stack.sql("""select partition_make('task_event', 'task_event_2001_11', 1004572800000, 1007164800000),
                        partition_make('task_event', 'task_event_2001_12', 1007164800000, 1009843200000),
                        partition_make('nonce', 'nonce_2001_12_31_23', 1009839600000, 1009843200000)""")
    for parent, names in old.items():
        assert names <= partitions(stack, parent)
    lines = len(stack.log())
    stack.restart_otad(log_level="debug")
    assert stack.wait_log("housekeeping", after=lines, within=30)["partitions"] >= 3
    assert not [e for e in stack.log()[lines:] if e["event"] in ("housekeeping_failed", "db_refused")]
    for parent, names in old.items():
        left = partitions(stack, parent)
        assert not names & left
        assert f"{parent}_rest" in left and len(left) > 1


def test_default_partitions_stay_whatever_the_time(stack):
    """A hundred years on everything is old; what the default partitions hold is removed, they are not."""
    c = connect(stack)

    def maintained():
        with c.cursor() as cursor:
            cursor.execute("""insert into nonce_rest (key_id, nonce, at_ms) values (0, 'old', 1)""")
            cursor.execute("select partitions_maintain((extract(epoch from now()) * 1000)::bigint + 3155760000000, 400)")
            n = cursor.fetchone()[0]
            cursor.execute("select inhparent::regclass::text, inhrelid::regclass::text from pg_inherits "
                           "where inhparent in ('nonce'::regclass, 'task_event'::regclass)")
            left = cursor.fetchall()
            cursor.execute("select count(*) from nonce_rest where nonce = 'old'")
            rest = cursor.fetchone()[0]
        c.rollback()  # the stack goes on in its own time
        return n and (left, rest)

    # 0: a lock was not to be had, or otad is at it
    left, rest = wait_until(maintained, 60)
    c.close()
    assert ("nonce", "nonce_rest") in left and ("task_event", "task_event_rest") in left
    assert len(left) == 2 + 4 + 2 and rest == 0  # and the hours and months of that time


# ---- what reads does not write ----

def test_call_that_reads_cannot_write(stack, api, fleet):
    """Not even what a function in the database would do behind its statement's back."""
    f = fleet(1, online=False)
    asked = {"ProductKey": f.pk, "DeviceName": f.rows[0]["DeviceName"]}
    was = stack.sql_one("select pg_get_functiondef('device_status'::regproc)")
    stack.sql("""create or replace function device_status(disabled boolean, active_ms bigint, online boolean) returns text
        language plpgsql as $$ begin
            insert into audit (at_ms, account_id, key_id, action, request_id, target, result)
            values (0, 0, '', 'behind its back', '', '', '');
            return 'ONLINE';
        end $$""")
    try:
        answer = api.call("QueryDeviceDetail", **asked)
        assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    finally:
        stack.sql(was)
    assert stack.sql_one("select count(*) from audit where action = 'behind its back'") == 0
    api.must("QueryDeviceDetail", **asked)


# ---- deadlines ----

def waiting(stack):
    """Backends of otad's API that wait for a lock, or are still in the transaction that did."""
    return stack.sql_one("""select count(*) from pg_stat_activity where application_name = 'otad api'
                            and (wait_event_type = 'Lock' or state like 'idle in transaction%%')""")


@pytest.fixture
def locked_audit(stack, otad_default):
    """Every changing call waits for this table, and nothing else of otad does."""
    holder = connect(stack)

    def lock():
        holder.cursor().execute("lock table audit in access exclusive mode")
        return holder.rollback
    yield lock
    holder.close()


@pytest.mark.parametrize("prepared", [False, True])
def test_locked_table_costs_its_call_only(stack, api, locked_audit, prepared):
    """A call that waits for a lock is answered when its time is up; the server ends the statement itself, so no
    connection is lost and nothing is left behind that waits on. A worker's first call waits while it prepares."""
    stack.restart_otad(database_timeout_ms=1000, api_answer_ms=9000, api_workers=2)
    lines, name = len(stack.log()), "p" + uuid.uuid4().hex[:16]
    if prepared:
        for _ in range(4):
            api.product()
    unlock = locked_audit()
    answers = []

    def call():
        began = time.monotonic()
        answers.append((api.call("CreateProduct", ProductName=name, NodeType=0), time.monotonic() - began))
    for _ in range(2):
        calls = [threading.Thread(target=call) for _ in range(2)]
        for t in calls:
            t.start()
        wait_until(lambda: waiting(stack) >= 1)
        for t in calls:
            t.join()
        wait_until(lambda: waiting(stack) == 0)
    assert len(answers) == 4
    for answer, took in answers:
        assert (answer.status, answer.code) == (503, "ServiceUnavailable")
        assert 0.9 < took, took
    assert [e for e in stack.log()[lines:] if e["event"] == "db_lost"] == []
    assert stack.sql_one("select count(*) from product where name = %s", name) == 0
    unlock()
    api.must("CreateProduct", ProductName=name, NodeType=0)


def test_call_is_answered_in_its_time(stack, api, locked_audit):
    """However long its statements may take: the client would be gone and never know. What it did is undone."""
    stack.restart_otad(database_timeout_ms=600_000, api_answer_ms=1500)
    name = "p" + uuid.uuid4().hex[:16]
    api.product()
    unlock = locked_audit()
    began = time.monotonic()
    answer = api.call("CreateProduct", ProductName=name, NodeType=0)
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert time.monotonic() - began > 1
    wait_until(lambda: waiting(stack) == 0, 30)
    unlock()
    assert stack.sql_one("select count(*) from product where name = %s", name) == 0
    api.must("CreateProduct", ProductName=name, NodeType=0)


def test_statement_ends_with_its_client(stack, api, locked_audit):
    """Killed while it waits: PostgreSQL does not go on for a client that is gone."""
    stack.restart_otad(database_timeout_ms=600_000, api_answer_ms=600_000)
    name = "p" + uuid.uuid4().hex[:16]
    locked_audit()
    call = threading.Thread(target=lambda: gone.append(call_cut(api, name)))
    gone = []
    call.start()
    wait_until(lambda: waiting(stack) == 1)
    stack.kill_otad()
    call.join()
    assert gone == [True]
    wait_until(lambda: waiting(stack) == 0, 30)


def call_cut(api, name):
    """True when the connection broke before an answer."""
    try:
        api.call("CreateProduct", ProductName=name, NodeType=0)
    except (OSError, http.client.HTTPException):
        return True
    return False


# ---- calls that ask for the same kind of row at the same time (storage/gather.h) ----

class Alike:
    """Calls of QueryOTAJob, of which the first waits for a lock in PostgreSQL and all others for the first."""

    def __init__(self, stack, api, jobs):
        self.stack, self.api, self.jobs, self.answers, self.holder = stack, api, jobs, [], connect(stack)

    def start(self, jobs):
        calls = [threading.Thread(target=lambda j=j: self.answers.append((j, self.api.call("QueryOTAJob", JobId=j))))
                 for j in jobs]
        for t in calls:
            t.start()
        return calls

    def ask(self):
        self.holder.cursor().execute("lock table device_group in access exclusive mode")
        self.calls = self.start(self.jobs[:1])
        wait_until(lambda: waiting(self.stack) == 1)
        self.calls += self.start(self.jobs[1:])
        wait_until(lambda: self.stack.metric("otad_db_in_line") == 7)

    def end(self):
        self.holder.rollback()
        for t in self.calls:
            t.join()
        return self.answers

    def statements(self):
        return self.stack.metric("otad_db_statement_duration_seconds_count", statement="job_get")


@pytest.fixture
def alike(stack, api, stranger, fleet, otad_default):
    stack.restart_otad(database_timeout_ms=600_000, api_answer_ms=600_000, api_workers=8)
    f = fleet(1, online=False)
    versions = [f"2.{n}" for n in range(5)]
    jobs = [api.job(api.firmware(f.pk, v), OverwriteMode=2) for v in versions]
    foreign = stranger.job(stranger.firmware(stranger.device(stranger.product())["ProductKey"]))
    a = Alike(stack, api, [jobs[0], jobs[1], foreign, jobs[2], jobs[1], jobs[3], jobs[4], jobs[0]])
    yield a, dict(zip(jobs, versions))
    a.holder.close()


def check_alike(answers, jobs):
    assert len(answers) == 8
    for job, answer in answers:
        if job in jobs:
            assert (answer.body["Data"]["JobId"], answer.body["Data"]["DestVersion"]) == (job, jobs[job])
        else:
            assert answer.code == "iot.firmware.InvalidOTAJobId"


def test_calls_that_wait_ask_together(stack, alike):
    calls, jobs = alike
    statements, gathered = calls.statements(), stack.metric("otad_db_gathered_total")
    calls.ask()
    check_alike(calls.end(), jobs)
    assert calls.statements() == statements + 2
    assert stack.metric("otad_db_gathered_total") == gathered + 6
    assert stack.metric("otad_db_in_line") == 0


def test_who_asked_for_all_is_cut_off(stack, alike):
    """The next asks for all; when it is cut off as well, the others ask for themselves. Those who were cut off come to the
    line once more."""
    calls, jobs = alike

    def cut():
        assert stack.sql("""select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'otad api'
                            and wait_event_type = 'Lock' and query like '%%with ordinality%%'""") == [(True,)]
    calls.ask()
    cut()
    wait_until(lambda: stack.metric("otad_db_in_line") == 7 and waiting(stack) == 1)
    cut()
    # The first may have come back in time to be among those for whom the next asked.
    wait_until(lambda: stack.metric("otad_db_in_line") <= 1 and stack.metric("otad_db_in_line") + waiting(stack) == 8)
    check_alike(calls.end(), jobs)
