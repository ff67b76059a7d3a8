# SPDX-License-Identifier: Apache-2.0
"""A transaction that somebody holds open keeps PostgreSQL from forgetting rows that are gone: what the engine asks again
and again may not read its way through them."""
import contextlib
import time

import psycopg2
import pytest

from client import wait_until
from statements import Database

DEVICES = 3000


@pytest.fixture
def db(stack):
    d = Database(stack)
    yield d
    d.connection.close()


@contextlib.contextmanager
def snapshot(stack):
    with contextlib.closing(psycopg2.connect(stack.pg)) as c, c.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read; select count(*) from job")
        yield


def test_making_tasks_reads_what_is_in_their_way(api, stack, db, tmp_path):
    """Devices that an ended job held are free; a chunk of the next one looks at its own devices only."""
    pk, names = api.product(), tmp_path / "names.csv"
    names.write_text("".join(f"d{i:07d},{i:032x},1.0.0\n" for i in range(DEVICES)))
    stack.otactl("device", "import", pk, str(names))
    job = api.job(api.firmware(pk, "2.0.0"), MaximumPerMinute=1)
    key = db.one("select max(job_id) from job_run")
    wait_until(lambda: db.one("select making = 3 from job_run where job_id = %s", key), 60)
    with snapshot(stack):
        assert db.run("making_between", key, 0, 10) == [(True,)]
        api.must("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True)
        wait_until(lambda: not db.one("select count(*) from active_task where job_id = %s", key), 60)
        assert db.run("making_between", key, 0, 10) == [(False,)]
        assert db.fetches("making_between", key, 0, DEVICES) == DEVICES  # they are there
        assert db.fetches("making_between", key, 0, 10) == 10


def test_timers_that_fired_are_passed_over_once(stack, db):
    far = int(time.time() * 1000) + 10**9
    db.ask("insert into timer select %s + n, 0, n, 1 from generate_series(1, 1000) n", far)
    with snapshot(stack):
        assert [seq for _, _, seq, _ in db.run("tick_timers", far, far + 2000, 3)] == [1, 2, 3]
        db.ask("delete from timer where due_ms > %s and due_ms <= %s", far, far + 990)
        assert [seq for _, _, seq, _ in db.run("tick_timers", far + 980, far + 2000, 3)] == [991, 992, 993]
        assert db.fetches("tick_timers", far, far + 2000, 3) > 900  # they are there
        assert db.fetches("tick_timers", far + 980, far + 2000, 3) < 50
    db.ask("delete from timer where due_ms > %s", far)


@pytest.mark.parametrize("holds", ["select count(*) from job", "select txid_current()"])
def test_who_holds_rows_is_seen(stack, db, holds):
    """With a snapshot, or with a number of its own because it has written."""
    with contextlib.closing(psycopg2.connect(stack.pg)) as c, c.cursor() as cursor:
        c.set_session(isolation_level="REPEATABLE READ" if "count" in holds else "READ COMMITTED")
        cursor.execute(holds)
        wait_until(lambda: db.run("tick_oldest_snapshot")[0][0] >= 1, 10)
    wait_until(lambda: db.run("tick_oldest_snapshot")[0][0] == 0, 10)
