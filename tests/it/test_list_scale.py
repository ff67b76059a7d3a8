# SPDX-License-Identifier: Apache-2.0
"""Lists of large jobs read what they show, wherever the page is, and not all that is before it: counted in rows that
the statements of storage/sql take from their tables, because a time says nothing here. Both kinds of plans that
PostgreSQL may use for a prepared statement have to hold, and a job that is newer than the planner's statistics."""
import threading

import psycopg2
import pytest

from client import wait_until
from statements import Database

DEVICES = 10_000
BLOCK = 2048  # tasks of a row of task_tally
STATES = ("CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "CANCELED")
QUEUED, IN_PROGRESS, SUCCEEDED, FAILED, CANCELED = 2, 4, 5, 6, 7
RARE = (1, 3000, 7000, DEVICES)  # seqs of tasks that are FAILED


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


# ---- devices ----

STATUSES = ("UNACTIVE", "OFFLINE", "ONLINE", "DISABLE")
TRULY = """
    with there as (
        select g.id as group_id, d.product_id, d.id / 2048 as block,
               count(*) filter (where not d.disabled and s.online is null) as n_unactive,
               count(*) filter (where not d.disabled and not s.online) as n_offline,
               count(*) filter (where not d.disabled and s.online) as n_online,
               count(*) filter (where d.disabled) as n_disabled,
               count(*) filter (where d.disabled and s.online is not null) as n_disabled_active
        from device d left join device_session s on s.device_id = d.id
        cross join lateral (
            select 0 as id union all select group_id from device_group_member where device_id = d.id) g
        group by 1, 2, 3)
    select * from there full join (
        select group_id, product_id, block, sum(n_unactive) as n_unactive, sum(n_offline) as n_offline,
               sum(n_online) as n_online, sum(n_disabled) as n_disabled, sum(n_disabled_active) as n_disabled_active
        from device_tally group by 1, 2, 3
        having (sum(n_unactive), sum(n_offline), sum(n_online), sum(n_disabled), sum(n_disabled_active)) <> (0, 0, 0, 0, 0)
    ) told
    using (group_id, product_id, block, n_unactive, n_offline, n_online, n_disabled, n_disabled_active)
    where there.group_id is null or told.group_id is null"""


class Fleet:
    """Devices of a product: of ten four are ONLINE, three OFFLINE, three UNACTIVE; a few are DISABLE. All have a tag site,
    of ten values, and a few a tag rare. Every third is in a static group; dynamic ones have the whole product, its devices
    that are ONLINE, a hundredth of it by name, and those with a tag."""

    def __init__(self, api, stack, db, names):
        self.pk = api.product()
        stack.otactl("device", "import", self.pk, str(names))
        self.account, self.instance, self.product = db.ask(
            "select account_id, instance_id, id from product where product_key = %s", self.pk)[0]
        self.ids = [i for i, in db.ask("select id from device where product_id = %s order by id desc", self.product)]
        db.ask("""insert into device_session (device_id, online, conn, active_ms, online_ms, changed_ms)
            select id, id %% 10 < 4, id, 1, 1, 1 from device where product_id = %s and id %% 10 < 7""", self.product)
        db.ask("update device set disabled = true where id = any (%s)", [self.ids[i] for i in (0, 4000, 4001, 9000, DEVICES - 1)])
        instance = db.one("select instance_id from instance where id = %s", self.instance)
        self.static = self.group(db, api.must("CreateDeviceGroup", GroupName="third" + self.pk[-6:])["Data"]["GroupId"])
        db.ask("insert into device_group_member select %s, id from device where product_id = %s and id %% 3 = 0", self.static,
               self.product)
        db.ask("""insert into device_tags select id, jsonb_build_object('site', 'p' || id %% 10)
            || case when id %% 1000 = 3 then '{"rare": "yes"}' else '{}' end::jsonb from device where product_id = %s""",
               self.product)
        self.whole, self.online, self.named, self.rare, self.rare_like = (
            self.group(db, api.must("CreateDeviceDynamicGroup", IotInstanceId=instance, GroupName=f"dyn{n}{self.pk[-6:]}",
                                    DynamicGroupExpression=f'product_key = "{self.pk}"{more}')["Data"]["GroupId"])
            for n, more in enumerate(("", ' and status = "ONLINE"', ' and name LIKE "e00001%"', ' and tags.rare = "yes"',
                                      ' and name LIKE "e%" and tags.rare LIKE "y%" and status = "ONLINE"')))
        db.ask("vacuum analyze device, device_session, device_tags, device_tally, device_group, device_group_member, product")

    @staticmethod
    def group(db, shown):
        return db.one("select id from device_group where group_id = %s", shown)


@pytest.fixture(scope="module")
def fleet(api, stack, db, tmp_path_factory):
    names = tmp_path_factory.mktemp("fleet") / "devices.csv"
    names.write_text("".join(f"e{i:07d},{i:032x},1.0.0\n" for i in range(DEVICES)))
    return Fleet(api, stack, db, names)


def of_status(db, fleet, status, group=None):
    """-> ids, newest first, found one by one"""
    return [i for i, in db.ask("""
        select d.id from device_shown d where d.product_id = %s and (%s::text is null or d.status = %s)
          and (%s::bigint is null or exists (select from device_group_device v where v.group_id = %s and v.device_id = d.id))
        order by d.id desc""", fleet.product, status, status, group, group)]


def test_numbers_of_devices_read_no_device(db, fleet):
    for name, args in (("device_counts", (fleet.account, fleet.product)), ("product_devices", (fleet.product,)),
                       ("device_status_count", (fleet.account, fleet.instance, fleet.product, "ONLINE"))):
        read = db.rows_read(name, *args)
        assert set(read) <= {"product", "device_tally"}, (name, read)
    for group in (fleet.static, fleet.whole, fleet.online):
        for name, args in (("group_counts", (group, None)), ("group_counts", (group, fleet.product)),
                           ("group_devices_count", (group, fleet.pk, None, None, "ONLINE"))):
            read = db.rows_read(name, *args)
            assert not {t for t in read if t.startswith("device") and read[t]} - {"device_tally", "device_group"}, (name, read)


@pytest.mark.parametrize("status", [None, *STATUSES])
def test_a_page_of_devices_reads_its_blocks(db, fleet, status):
    ids = of_status(db, fleet, status)
    assert ids and db.run("device_status_count", fleet.account, fleet.instance, fleet.product, status) == [(len(ids),)]
    for start in {0, len(ids) // 2, max(0, len(ids) - 50)}:
        page, args = ids[start:start + 50], (fleet.account, fleet.instance, fleet.product, status, start, 50)
        assert [r[0] for r in db.run("device_status_page", *args)] == page
        read, blocks = db.rows_read("device_status_page", *args), len({i // BLOCK for i in page})
        assert read["device"] <= blocks * BLOCK + len(page), (start, blocks, read)
        assert read.get("device_session", 0) <= blocks * BLOCK + len(page), (start, blocks, read)
    assert db.run("device_status_page", fleet.account, fleet.instance, fleet.product, status, len(ids), 50) == []


@pytest.mark.parametrize("which", ["static", "whole", "online"])
@pytest.mark.parametrize("status", [None, *STATUSES])
def test_a_page_of_a_group_reads_its_blocks(db, fleet, which, status):
    group = getattr(fleet, which)
    ids = of_status(db, fleet, status, group)
    assert db.run("group_devices_count", group, None, None, None, status) == [(len(ids), True)]
    for start in {0, len(ids) // 2, max(0, len(ids) - 200)}:
        page = ids[start:start + 200]
        for below, skip in ((2**63 - 1, start), (ids[start - 1] if start else 2**63 - 1, 0)):
            args = (group, None, None, None, status, below, skip, 200)
            assert [r[0] for r in db.run("group_devices_in_blocks", *args)] == page
            assert [r[0] for r in db.run("group_devices", *args)] == page
            read = db.rows_read("group_devices_in_blocks", *args)
            blocks = len({i // BLOCK for i in page}) + 1  # that of `below`, which may have nothing left
            for table in ("device", "device_session", "device_group_member"):
                assert read.get(table, 0) <= blocks * BLOCK + len(page), (start, below, blocks, read)


@pytest.mark.parametrize("filters", [("e0000123", None), (None, "e00004"), (None, "e0000"), (None, "zz")])
@pytest.mark.parametrize("which", ["whole", "static", "named"])
def test_devices_of_a_group_are_found_by_their_names(db, fleet, which, filters):
    group, (name, prefix) = getattr(fleet, which), filters
    ids = [i for i, in db.ask("""select d.id from device d join device_group_device v on v.device_id = d.id and v.group_id = %s
        where d.product_id = %s and (%s::text is null or d.name = %s) and (%s::text is null or left(d.name, length(%s)) = %s)
        order by d.id desc""", group, fleet.product, name, name, prefix, prefix, prefix)]
    assert db.run("group_devices_count", group, fleet.pk, name, prefix, None) == [(len(ids), False)]
    args = (group, None, name, prefix, None, 2**63 - 1, 0, 200)
    assert [r[0] for r in db.run("group_devices", *args)] == ids[:200]
    if which != "static":  # the members of a static group are looked at one by one
        for statement_, of in (("group_devices_count", args[:5]), ("group_devices", args)):
            read = db.rows_read(statement_, *of)
            assert read.get("device", 0) <= 3 * len(ids), read


@pytest.mark.parametrize("which", ["named", "rare", "rare_like"])
def test_groups_by_names_and_tags_are_found(db, fleet, which):
    group = getattr(fleet, which)
    there = {"named": "d.name like 'e00001%%'", "rare": "d.id %% 1000 = 3",
             "rare_like": "d.id %% 1000 = 3 and d.status = 'ONLINE'"}[which]
    ids = [i for i, in db.ask(f"select d.id from device_shown d where d.product_id = %s and {there} order by d.id desc",
                              fleet.product)]
    found = 100 if which == "named" else DEVICES // 1000
    active, online = db.ask("""select count(*) filter (where active_ms is not null), count(*) filter (where status = 'ONLINE')
        from device_shown where id = any (%s)""", ids)[0]
    assert db.run("group_counts", group, None) == [(len(ids), active, online)]
    assert [r[0] for r in db.run("group_devices", group, None, None, None, None, 2**63 - 1, 0, 200)] == ids
    for statement_, args in (("group_counts", (group, None)), ("group_devices_count", (group, None, None, None, "ONLINE")),
                             ("group_devices", (group, None, None, None, None, 2**63 - 1, 0, 200))):
        read = db.rows_read(statement_, *args)
        for table in ("device", "device_tags", "device_session"):
            assert read.get(table, 0) <= 3 * found, (statement_, read)


@pytest.mark.parametrize("tags, each", [('{"rare": "yes"}', 1000), ('{"site": "p3", "rare": "yes"}', 1000),
                                        ('{"site": "p7", "rare": "yes"}', None), ('{"site": "p3"}', 10)])
def test_devices_are_found_by_tags(db, fleet, tags, each):
    ids = [i for i, in db.ask("""select device_id from device_tags t join device d on d.id = t.device_id
        where d.product_id = %s and t.tags @> %s::jsonb order by 1 desc""", fleet.product, tags)]
    assert len(ids) == (DEVICES // each if each else 0)
    assert db.run("device_tags_count", fleet.instance, tags) == [(len(ids),)]
    assert db.run("device_tags_count", fleet.instance + 1, tags) == [(0,)]
    for page in ("device_tags_page", "device_tags_page_near"):
        assert [r[0] for r in db.run(page, fleet.instance, tags, 5, 50)] == ids[5:55]
    assert set(db.rows_read("device_tags_count", fleet.instance, tags)) == {"device_tags"}
    read = db.rows_read("device_tags_page", fleet.instance, tags, 5, 50)
    assert read.get("device", 0) <= 50 and (each == 10 or read["device_tags"] <= len(ids)), read
    if each == 10:
        read = db.rows_read("device_tags_page_near", fleet.instance, tags, 5, 50)
        assert read["device_tags"] <= 56 * each and read["device"] <= 50, read


def test_tallies_follow(api, db, fleet):
    """Every way in which a device comes, changes its status or its groups, and goes."""
    assert db.ask(TRULY) == []
    group = db.one("select group_id from device_group where id = %s", fleet.static)
    there = db.one("select count(*) from device_group_member where group_id = %s", fleet.static)
    name = api.device(fleet.pk)["DeviceName"]
    device = {"ProductKey": fleet.pk, "DeviceName": name}
    key = db.one("select max(id) from device where product_id = %s", fleet.product)

    def shows(active, online, members):
        assert db.ask(TRULY) == []
        of_group = api.must("QueryDeviceGroupInfo", GroupId=group)["Data"]
        of_all = api.must("QueryDeviceStatistics", ProductKey=fleet.pk)["Data"]
        assert of_group["DeviceCount"] == there + members and of_all["deviceCount"] == DEVICES + 1
        found = [d["DeviceName"] for d in api.must("QueryDeviceByStatus", ProductKey=fleet.pk,
                                                  Status=8 if active is None else 1 if online else 3 if active else 0)
                 ["Data"]["SimpleDeviceInfo"]]
        assert found[0] == name

    shows(False, False, 0)
    api.must("BatchAddDeviceGroupRelations", GroupId=group, Device=[device])
    shows(False, False, 1)
    for online in (True, False, True):
        db.ask("""insert into device_session as s (device_id, online, conn, active_ms, online_ms, changed_ms)
            values (%s, %s, 1, 1, 1, 1) on conflict (device_id) do update set online = excluded.online""", key, online)
        shows(True, online, 1)
    api.must("DisableThing", **device)
    shows(None, False, 1)
    db.ask("update device_session set online = false where device_id = %s", key)
    api.must("BatchDeleteDeviceGroupRelations", GroupId=group, Device=[device])
    shows(None, False, 0)
    api.must("EnableThing", **device)
    shows(True, False, 0)
    api.must("BatchAddDeviceGroupRelations", GroupId=group, Device=[device])
    db.ask("update device_session set online = not online")  # both ways at once, and all products
    assert db.ask(TRULY) == []
    api.must("DeleteDevice", **device)
    assert db.ask(TRULY) == []
    assert db.one("select count(*) from device_session where device_id = %s", key) == 0


def test_a_status_that_changes_twice_at_once_counts_once(stack, db, fleet):
    """Whoever is second sees what the first did: a device that is disabled while it connects."""
    first, second = (psycopg2.connect(stack.pg) for _ in range(2))
    connect = """insert into device_session (device_id, online, conn, active_ms, online_ms, changed_ms)
        select id, true, 1, 1, 1, 1 from device where id = %s"""
    disable = "update device set disabled = true where id = %s"
    fresh = [i for i, in db.ask("""select id from device d where product_id = %s and not disabled
        and not exists (select from device_session where device_id = d.id) limit 2""", fleet.product)]
    for key, one, other in ((fresh[0], connect, disable), (fresh[1], disable, connect)):
        first.cursor().execute(one, (key,))
        waits = threading.Thread(target=lambda c=second.cursor(): c.execute(other, (key,)))
        waits.start()
        wait_until(lambda: db.one("select count(*) from pg_stat_activity where pid = %s and wait_event_type = 'Lock'",
                                  second.get_backend_pid()))
        first.commit()
        waits.join()
        second.commit()
        assert db.ask(TRULY) == []
    first.close()
    second.close()


def test_registrations_at_the_same_time_do_not_wait(stack, db, api, fleet):
    """Each counts in a row of its own, and all of them are one number."""
    began = db.one("select count(*) from device where product_id = %s", fleet.product)
    sessions = [psycopg2.connect(stack.pg, options="-c lock_timeout=10s") for _ in range(4)]
    for turn in range(2):
        for n, s in enumerate(sessions):
            s.cursor().execute("""insert into device (product_id, name, secret, created_ms)
                select %s, 'wait_' || x || '_' || %s, '', 1 from generate_series(1, 3) as x""", (fleet.product, 10 * turn + n))
        for s in sessions:
            s.commit()
    for s in sessions:
        s.close()
    assert db.ask(TRULY) == []
    assert db.run("product_devices", fleet.product) == [(began + 24,)]
    assert db.one("select max(n) from (select count(*) as n from device_tally where group_id = 0 and product_id = %s "
                  "group by block) b", fleet.product) == 4
    page = db.run("device_status_page", fleet.account, fleet.instance, fleet.product, None, 20, 50)
    assert [r[0] for r in page] == [i for i, in db.ask(
        "select id from device where product_id = %s order by id desc offset 20 limit 50", fleet.product)]
    db.ask("delete from device where product_id = %s and name like 'wait_%%'", fleet.product)
    assert db.ask(TRULY) == []
    assert db.run("product_devices", fleet.product) == [(began,)]
