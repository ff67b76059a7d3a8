# SPDX-License-Identifier: Apache-2.0
"""A transaction that somebody holds open keeps PostgreSQL from forgetting rows that are gone: what the engine asks again
and again may not read its way through them."""
import contextlib

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
