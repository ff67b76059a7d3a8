# SPDX-License-Identifier: Apache-2.0
"""Lists of large jobs read what they show, wherever the page is, and not all that is before it: counted in rows that
the statements of storage/sql take from their tables, because a time says nothing here. Both kinds of plans that
PostgreSQL may use for a prepared statement have to hold, and a job that is newer than the planner's statistics."""
import pathlib
import re

import psycopg2
import pytest

from client import wait_until

SQL = pathlib.Path(__file__).resolve().parents[2] / "storage/sql"
DEVICES = 10_000
BLOCK = 2048  # tasks of a row of task_tally
STATES = ("CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "CANCELED")
QUEUED, IN_PROGRESS, SUCCEEDED, FAILED, CANCELED = 2, 4, 5, 6, 7
RARE = (1, 3000, 7000, DEVICES)  # seqs of tasks that are FAILED
PLANS = ("force_custom_plan", "force_generic_plan")


def statement(name):
    """-> (types of its parameters, text)"""
    for path in SQL.glob("*.sql"):
        found = re.search(rf"^-- name: {name}\n-- in:([^\n]*)\n(.*?);\n", path.read_text(), re.M | re.S)
        if found:
            return found.group(1).split(), found.group(2)
    raise KeyError(name)


class Database:
    def __init__(self, stack):
        self.connection = psycopg2.connect(stack.pg, options="-c jit=off")
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.prepared = set()

    def ask(self, text, *args):
        self.cursor.execute(text, args or None)
        return self.cursor.fetchall() if self.cursor.description else []

    def one(self, text, *args):
        return self.ask(text, *args)[0][0]

    def _call(self, name, args):
        if name not in self.prepared:
            types, text = statement(name)
            self.cursor.execute(f"prepare {name} ({', '.join(types)}) as {text}")
            self.prepared.add(name)
        return f"execute {name} ({', '.join(['%s'] * len(args))})"

    def run(self, name, *args):
        return self.ask(self._call(name, args), *args)

    def rows_read(self, name, *args):
        """-> {table: the most rows that the statement took from it under any plan, also those that it threw away}"""
        worst = {}
        for mode in PLANS:
            self.ask(f"set plan_cache_mode = {mode}")
            plan = self.ask("explain (analyze, timing off, format json) " + self._call(name, args), *args)[0][0][0]
            for table, n in taken(plan["Plan"], {}).items():
                worst[table] = max(n, worst.get(table, 0))
        return worst


def taken(node, read):
    if "Relation Name" in node:
        rows = sum(node.get(k, 0) for k in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck",
                                            "Rows Removed by Join Filter"))
        read[node["Relation Name"]] = read.get(node["Relation Name"], 0) + rows * node["Actual Loops"]
    for below in node.get("Plans", ()):
        taken(below, read)
    return read


@pytest.fixture(scope="module")
def db(stack):
    d = Database(stack)
    yield d
    d.connection.close()


@pytest.fixture(scope="module")
def many(api, stack, tmp_path_factory):
    """-> ProductKey of DEVICES devices"""
    pk, names = api.product(), tmp_path_factory.mktemp("fleet") / "names.csv"
    names.write_text("".join(f"d{i:07d},{i:032x},1.0.0\n" for i in range(DEVICES)))
    stack.otactl("device", "import", pk, str(names))
    return pk


# ---- tasks of a job ----

def large_job(api, db, pk, version):
    """-> (JobId, key)"""
    shown = api.job(api.firmware(pk, version), MaximumPerMinute=0)
    key = db.one("select max(job_id) from job_run")
    wait_until(lambda: db.one("select making = 3 from job_run where job_id = %s", key), 60)
    return shown, key


def move(db, key, which, state):
    """As the tick writes moves; not in the past, where housekeeping would find events to drop."""
    counter = "n_" + STATES[state - 1].lower()
    db.ask(f"""with moved as materialized (
            select * from task t where t.job_id = {key} and {which}
        ), written as (
            update task t set state = {state} from moved m where t.job_id = m.job_id and t.seq = m.seq
        ), freed as (
            delete from active_task a using moved m
            where a.device_id = m.device_id and a.job_id = m.job_id and {state} >= 5
        ), logged as (
            insert into task_event (at_ms, job_id, seq, to_seq, from_state, to_state, why)
            select modified_ms, job_id, seq, seq, moved.state, {state}, 3 from moved)
        update job_run r set n_queued = n_queued - n, {counter} = {counter} + n
        from (select count(*) as n from moved) m where r.job_id = {key}""")


def spread(db, key):
    """Half of the tasks SUCCEEDED, a few FAILED, every 50th of the rest IN_PROGRESS."""
    move(db, key, f"t.state = {QUEUED} and t.seq in {RARE}", FAILED)
    move(db, key, f"t.state = {QUEUED} and t.seq <= {DEVICES // 2}", SUCCEEDED)
    move(db, key, f"t.state = {QUEUED} and t.seq % 50 = 0", IN_PROGRESS)


def cancel(api, db, shown, key):
    api.must("CancelOTATaskByJob", JobId=shown, CancelQueuedTask=True)
    wait_until(lambda: not db.one("select count(*) from job_order where job_id = %s and not done", key), 60)


@pytest.fixture(scope="module")
def jobs(api, db, many):
    """-> {whether the planner's statistics have seen it: (JobId, key)}"""
    seen = large_job(api, db, many, "2.0.0")
    spread(db, seen[1])
    cancel(api, db, *seen)
    db.ask("analyze task, task_tally, job_run, active_task, device")
    new = large_job(api, db, many, "3.0.0")
    spread(db, new[1])
    yield {True: seen, False: new}
    for shown, _ in (seen, new):
        api.call("CancelOTATaskByJob", JobId=shown, CancelQueuedTask=True, CancelInProgressTask=True)


@pytest.mark.parametrize("seen", [True, False])
def test_a_page_of_all_tasks_reads_the_page(db, jobs, seen):
    for after in (0, DEVICES // 2, DEVICES - 100):
        read = db.rows_read("task_page_all", jobs[seen][1], after, 100)
        assert read["task"] == 100 and read["device"] <= 100, (after, read)


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("state", [QUEUED, IN_PROGRESS, SUCCEEDED, FAILED, CANCELED])
def test_a_page_of_one_state_reads_its_blocks(db, jobs, seen, state):
    key = jobs[seen][1]
    seqs = [s for s, in db.ask("select seq from task where job_id = %s and state = %s order by seq", key, state)]
    for start in {0, len(seqs) // 2, max(0, len(seqs) - 100)}:
        page = seqs[start:start + 100]
        assert [r[0] for r in db.run("task_page_state", key, start, len(page), state)] == page
        read = db.rows_read("task_page_state", key, start, len(page), state)
        blocks = len({(s - 1) // BLOCK for s in page})
        assert read.get("task", 0) <= blocks * BLOCK and read.get("device", 0) <= len(page), (start, blocks, read)


@pytest.mark.parametrize("seen", [True, False])
def test_named_tasks_read_those(db, jobs, seen):
    key = jobs[seen][1]
    product = db.one("select product_id from job where id = %s", key)
    names = [f"d{i:07d}" for i in range(0, DEVICES, DEVICES // 50)]
    assert len(db.run("task_of_names", key, product, names)) == len(names)
    read = db.rows_read("task_of_names", key, product, names)
    assert read["task"] <= len(names) and read["device"] <= len(names), read


def test_counts_read_no_task(db, jobs):
    for _, key in jobs.values():
        assert set(db.rows_read("task_counts", key)) == {"job_run", "job_order"}


@pytest.mark.parametrize("seen", [True, False])
def test_the_api_says_the_same(api, db, jobs, seen):
    shown, key = jobs[seen]
    counts = dict(db.ask("select state, count(*) from task where job_id = %s group by 1", key))
    for state, count in counts.items():
        last = -(-count // 100)
        body = api.must("ListOTATaskByJob", JobId=shown, TaskStatus=STATES[state - 1], CurrentPage=last, PageSize=100)
        rows = body["Data"]["SimpleOTATaskInfo"]
        assert (body["Total"], body["PageCount"]) == (count, last)
        assert len(rows) == count - (last - 1) * 100 and {r["TaskStatus"] for r in rows} == {STATES[state - 1]}


def test_an_order_while_it_is_written(api, db, jobs):
    """Before its rows are written, while they are, and after that; by a plan that does not walk a job that the
    statistics have not seen for each of its rows, which would take minutes."""
    shown, key = jobs[False]
    queued = db.one("select n_queued from job_run where job_id = %s", key)
    api.must("CancelOTATaskByJob", JobId=shown, CancelQueuedTask=True)

    def done():
        assert api.must("ListOTATaskByJob", JobId=shown, TaskStatus="QUEUED")["Total"] == 0
        last = -(-queued // 100)
        body = api.must("ListOTATaskByJob", JobId=shown, TaskStatus="CANCELED", CurrentPage=last, PageSize=100)
        assert (body["Total"], len(body["Data"]["SimpleOTATaskInfo"])) == (queued, (queued - 1) % 100 + 1)
        return not db.one("select count(*) from job_order where job_id = %s and not done", key)
    wait_until(done, 60)
    assert db.one("select sum(n_canceled) from task_tally where job_id = %s", key) == queued
