# SPDX-License-Identifier: Apache-2.0
"""CancelOTATaskByJob (api §6.7, §10.3, §10.11; rules §4), and what follows from the end of tasks."""
import threading

import psycopg2
import pytest

from client import now_ms, stays, wait_until

HOUR = 3_600_000
F = "iot.firmware."


def cancel(api, job, **options):
    return api.must("CancelOTATaskByJob", JobId=job, **options)


def states(api, job):
    return {t["DeviceName"]: t["TaskStatus"] for t in api.tasks(job)}


def counters(stack, job_text, api):
    """What job_run counts against what the view shows."""
    shown = {}
    for t in api.tasks(job_text):
        shown[t["TaskStatus"]] = shown.get(t["TaskStatus"], 0) + 1
    fw = api.job_info(job_text)["FirmwareId"]
    jobs = api.must("ListOTAJobByFirmware", FirmwareId=fw, CurrentPage=1, PageSize=200)["Data"]["SimpleOTAJobInfo"]
    place = [j["JobId"] for j in jobs].index(job_text)
    pk = jobs[place]["ProductKey"]
    row = stack.sql("""select n_confirm, n_queued, n_notified, n_in_progress, n_succeeded, n_failed, n_canceled
        from job_run r join job j on j.id = r.job_id join product p on p.id = j.product_id
        where p.product_key = %s order by r.job_id desc offset %s limit 1""", pk, place)[0]
    names = ["CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "CANCELED"]
    return {n: c for n, c in zip(names, row) if c}, shown


def making(stack, pk):
    """How far the tasks of a product's only job are: 1 to be chosen, 2 being made, 3 made."""
    return stack.sql_one("""select r.making from job_run r join job j on j.id = r.job_id
        join product p on p.id = j.product_id where p.product_key = %s""", pk)


def live(stack, pk):
    """Jobs of a product that otad still looks after."""
    return stack.sql_one("""select count(*) from live_job l join job j on j.id = l.job_id
        join product p on p.id = j.product_id where p.product_key = %s""", pk)


def made(api, job, n):
    wait_until(lambda: api.must("ListOTATaskByJob", JobId=job)["Total"] == n, 10)


# ---- refusals ----

def test_refusals(api, fleet):
    f = fleet(1, online=False)
    job = api.job(api.firmware(f.pk))
    made(api, job, 1)
    api.refused("CancelOTATaskByJob", "MissingJobId", CancelQueuedTask=True)
    api.refused("CancelOTATaskByJob", "InvalidCancelQueuedTask", JobId=job, CancelQueuedTask="maybe")
    api.refused("CancelOTATaskByJob", F + "InvalidOTAJobId", JobId="x" * 26, CancelQueuedTask=True)
    api.refused("CancelOTATaskByJob", F + "CancelOptionIsMandatory", JobId=job)
    api.refused("CancelOTATaskByJob", F + "CancelOptionIsMandatory", JobId=job, CancelQueuedTask=False,
                CancelNotifiedTask=False, CancelInProgressTask=False, CancelUnconfirmedTask=False,
                CancelScheduledTask=False)
    api.refused("CancelOTATaskByJob", F + "JobHasNoScheduleTime", JobId=job, CancelScheduledTask=True)
    assert list(states(api, job).values()) == ["QUEUED"]
    cancel(api, job, CancelQueuedTask=True)
    api.refused("CancelOTATaskByJob", F + "JobAlreadyCanceled", JobId=job, CancelQueuedTask=True)


# ---- by state ----

def test_each_state_by_itself(stack, api, fleet):
    f = fleet(4, "1.0.0")
    off, notified, busy, done = f.devices
    off.disconnect()
    job = api.job(api.firmware(f.pk))
    for d in (notified, busy, done):
        d.wait_push()
    busy.progress(10)
    done.inform("2.0.0")
    api.wait_task(job, busy.name, "IN_PROGRESS")
    api.wait_task(job, done.name, "SUCCEEDED")
    want = {off.name: "QUEUED", notified.name: "NOTIFIED", busy.name: "IN_PROGRESS", done.name: "SUCCEEDED"}
    assert states(api, job) == want
    for option, d in (("CancelQueuedTask", off), ("CancelNotifiedTask", notified), ("CancelInProgressTask", busy)):
        assert api.job_info(job)["JobStatus"] == "IN_PROGRESS"
        cancel(api, job, **{option: True})
        want[d.name] = "CANCELED"
        assert states(api, job) == want  # at once
        kept, shown = counters(stack, job, api)
        assert kept == shown
    info = api.job_info(job)
    assert info["JobStatus"] == "COMPLETED" and info["UtcEndTime"]  # one had succeeded
    assert api.task(job, off.name)["TaskDesc"] == "canceled"
    # it never comes back, and the version is recorded all the same
    busy.progress(50)
    busy.inform("2.0.0")
    wait_until(lambda: api.version_of(f.pk, busy.name) == "2.0.0")
    assert states(api, job) == want
    off.connect()
    off.inform("1.0.0")
    off.no_push(1.5)
    # the devices are free again, before and after the order is written into the rows
    again = api.job(api.firmware(f.pk, "3.0.0"), TargetSelection="SPECIFIC", TargetDeviceName=[off.name, busy.name])
    for d in (off, busy):
        api.wait_task(again, d.name, ["NOTIFIED", "QUEUED"])


def test_job_without_results_is_canceled(api, fleet):
    f = fleet(2, online=False)
    job = api.job(api.firmware(f.pk))
    made(api, job, 2)
    cancel(api, job, CancelQueuedTask=True)
    info = api.job_info(job)
    assert info["JobStatus"] == "CANCELED" and info["UtcEndTime"]


def test_completed_job_has_nothing_to_cancel(api, fleet):
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk))
    f.devices[0].wait_push()
    f.devices[0].inform("2.0.0")
    api.wait_job(job, "COMPLETED")
    cancel(api, job, CancelQueuedTask=True, CancelNotifiedTask=True)
    assert api.job_info(job)["JobStatus"] == "COMPLETED"


def test_options_that_concern_nobody_change_nothing(api, fleet):
    f = fleet(1, online=False)
    job = api.job(api.firmware(f.pk))
    made(api, job, 1)
    cancel(api, job, CancelNotifiedTask=True, CancelInProgressTask=True)
    assert list(states(api, job).values()) == ["QUEUED"]
    assert api.job_info(job)["JobStatus"] == "IN_PROGRESS"


@pytest.mark.parametrize("options, left", [
    ({"CancelQueuedTask": True}, "CANCELED"),
    ({"CancelQueuedTask": True, "CancelUnconfirmedTask": False}, "CONFIRM"),
    ({"CancelUnconfirmedTask": True}, "CANCELED"),
    ({"CancelNotifiedTask": True}, "CONFIRM")])
def test_tasks_that_wait_for_confirmation(api, fleet, options, left):
    f = fleet(1, online=False)
    job = api.job(api.firmware(f.pk), NeedConfirm=True)
    api.wait_task(job, f.rows[0], "CONFIRM")
    cancel(api, job, **options)
    assert api.task(job, f.rows[0])["TaskStatus"] == left


# ---- scheduled jobs ----

def test_scheduled_job_is_canceled_as_a_whole(stack, api, fleet):
    f = fleet(2, "1.0.0")
    job = api.job(api.firmware(f.pk), ScheduleTime=now_ms() + HOUR)
    made(api, job, 2)
    assert live(stack, f.pk) == 1
    cancel(api, job, CancelScheduledTask=True)
    assert live(stack, f.pk) == 0
    info = api.job_info(job)
    assert info["JobStatus"] == "CANCELED" and "UtcStartTime" not in info
    assert set(states(api, job).values()) == {"CANCELED"}
    kept, shown = counters(stack, job, api)
    assert kept == shown == {"CANCELED": 2}
    api.refused("CancelOTATaskByJob", F + "JobAlreadyCanceled", JobId=job, CancelScheduledTask=True)
    stack.advance(3700)
    for d in f.devices:
        d.no_push(1)
    assert api.job_info(job)["JobStatus"] == "CANCELED"


@pytest.mark.parametrize("confirm", [False, True])
@pytest.mark.parametrize("options", [{"CancelScheduledTask": True}, {"CancelQueuedTask": True}])
def test_scheduled_job_is_canceled_while_its_tasks_are_made(stack, api, options, confirm):
    """Its candidates are chosen, its tasks not made: held open by the product's lock. The answer holds at once, the
    tasks are made CANCELED, and then otad is done with the job."""
    pk = api.product()
    api.devices(pk, 5)
    fw = api.firmware(pk)
    holder = psycopg2.connect(stack.pg)
    with holder, holder.cursor() as cursor:
        cursor.execute("select id from product where product_key = %s for no key update", (pk,))
        job = api.job(fw, ScheduleTime=now_ms() + HOUR, NeedConfirm=confirm)
        wait_until(lambda: making(stack, pk) == 2)
        cancel(api, job, **options)
        assert making(stack, pk) == 2
        whole = "CancelScheduledTask" in options
        assert api.job_info(job)["JobStatus"] == ("CANCELED" if whole else "PLANNED")
        assert live(stack, pk) == 1
    holder.close()
    made(api, job, 5)
    wait_until(lambda: making(stack, pk) == 3)
    wait_until(lambda: live(stack, pk) == 0)
    assert set(states(api, job).values()) == {"CANCELED"}
    assert api.job_info(job)["JobStatus"] == "CANCELED"
    kept, shown = counters(stack, job, api)
    assert kept == shown == {"CANCELED": 5}


def test_scheduled_job_is_canceled_before_its_tasks_are_chosen(stack, api, otad_default):
    """A process that runs the API alone takes job and cancel; the engine comes later."""
    pk = api.product()
    api.devices(pk, 5)
    fw = api.firmware(pk)
    stack.restart_otad(role="api")
    job = api.job(fw, ScheduleTime=now_ms() + HOUR)
    cancel(api, job, CancelScheduledTask=True)
    assert (making(stack, pk), live(stack, pk)) == (1, 1)
    assert api.job_info(job)["JobStatus"] == "CANCELED" and states(api, job) == {}
    stack.restart_otad()
    made(api, job, 5)
    wait_until(lambda: live(stack, pk) == 0)
    assert set(states(api, job).values()) == {"CANCELED"}
    kept, shown = counters(stack, job, api)
    assert kept == shown == {"CANCELED": 5}


def test_schedule_of_a_job_that_has_started(stack, api, fleet):
    f = fleet(1, online=False)
    job = api.job(api.firmware(f.pk), ScheduleTime=now_ms() + HOUR)
    made(api, job, 1)
    stack.advance(3700)
    api.wait_job(job, "IN_PROGRESS")
    api.refused("CancelOTATaskByJob", F + "CancelOTATaskByJobFailed", JobId=job, CancelScheduledTask=True)
    assert list(states(api, job).values()) == ["QUEUED"]
    cancel(api, job, CancelScheduledTask=True, CancelQueuedTask=True)
    assert api.job_info(job)["JobStatus"] == "CANCELED"


def test_queued_tasks_of_a_scheduled_job(api, fleet):
    f = fleet(1, online=False)
    job = api.job(api.firmware(f.pk), ScheduleTime=now_ms() + HOUR)
    made(api, job, 1)
    cancel(api, job, CancelQueuedTask=True)
    assert api.job_info(job)["JobStatus"] == "CANCELED"


# ---- moments ----

def test_cancel_before_the_tasks_are_made(api):
    """The order also holds for tasks that are made after it."""
    pk = api.product()
    api.devices(pk, 500)
    for _ in range(5):
        job = api.job(api.firmware(pk, "2.0.0"))
        cancel(api, job, CancelQueuedTask=True)
        assert set(states(api, job).values()) <= {"CANCELED"}
        api.wait_job(job, "CANCELED")
        made(api, job, 500)
        assert set(states(api, job).values()) == {"CANCELED"}
        pk = api.product()
        api.devices(pk, 500)


def test_nothing_is_pushed_after_the_answer(api, fleet):
    """What the answer says is canceled was never pushed and never will be (rules §4)."""
    f = fleet(60, "1.0.0")
    job = api.job(api.firmware(f.pk), MaximumPerMinute=1000)
    wait_until(lambda: sum(len(d.pushes) for d in f.devices) >= 3)
    cancel(api, job, CancelQueuedTask=True)
    shown = states(api, job)
    canceled = [d for d in f.devices if shown[d.name] == "CANCELED"]
    assert canceled and set(shown.values()) == {"CANCELED", "NOTIFIED"}
    stays(lambda: not any(d.pushes for d in canceled), 1.5)
    assert all(d.pushes for d in f.devices if d not in canceled)


def test_two_cancels_at_once(stack, api, fleet):
    f = fleet(3, online=False)
    job = api.job(api.firmware(f.pk))
    made(api, job, 3)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(
        api.call("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(a.code or "" for a in answers) == ["", *[F + "JobAlreadyCanceled"] * 3]
    kept, shown = counters(stack, job, api)
    assert kept == shown == {"CANCELED": 3}


# ---- verification and deleted devices ----

def test_canceled_verification_has_failed(api, fleet):
    f = fleet(1, online=False)
    fw = api.firmware(f.pk, NeedToVerify=True)
    params = {"FirmwareId": fw.id, "ProductKey": f.pk, "TargetDeviceName": [f.rows[0]["DeviceName"]]}
    job = api.must("CreateOTAVerifyJob", params)["Data"]["JobId"]
    made(api, job, 1)

    def info():
        return api.must("QueryOTAFirmware", FirmwareId=fw.id)["FirmwareInfo"]

    assert (info()["Status"], info()["VerifyProgress"]) == (2, 0)
    cancel(api, job, CancelQueuedTask=True)
    assert (info()["Status"], info()["VerifyProgress"]) == (3, 100)
    api.must("CreateOTAVerifyJob", params)  # once more is allowed
    assert info()["Status"] == 2


def test_deleted_device_ends_its_task_and_keeps_its_name(stack, api, fleet):
    f = fleet(2, online=False)
    job = api.job(api.firmware(f.pk))
    made(api, job, 2)
    gone, other = f.rows
    api.must("DeleteDevice", ProductKey=f.pk, DeviceName=gone["DeviceName"])
    t = api.task(job, gone)
    assert (t["TaskStatus"], t["TaskDesc"], t["IotId"]) == ("CANCELED", "device deleted", gone["IotId"])
    assert api.task(job, other)["TaskStatus"] == "QUEUED"
    kept, shown = counters(stack, job, api)
    assert kept == shown
    named = api.must("ListOTATaskByJob", JobId=job, DeviceNames=[gone["DeviceName"]])
    assert [t["DeviceName"] for t in named["Data"]["SimpleOTATaskInfo"]] == [gone["DeviceName"]]
    api.must("DeleteDevice", ProductKey=f.pk, DeviceName=other["DeviceName"])
    assert api.job_info(job)["JobStatus"] == "CANCELED"


def test_devices_are_free_before_the_order_is_written(stack, api, fleet):
    """The maker is held at the product's lock between the choice of the next job's tasks and their conflicts, so that
    it cannot write the order first: the conflict does, event and all."""
    f = fleet(3, online=False)
    first = api.job(api.firmware(f.pk))
    made(api, first, 3)
    holder = psycopg2.connect(stack.pg)
    with holder, holder.cursor() as cursor:
        cursor.execute("select id from product where product_key = %s for no key update", (f.pk,))
        second = api.job(api.firmware(f.pk, "3.0.0"))
        wait_until(lambda: stack.sql_one("""select r.making = 2 from job_run r join job j on j.id = r.job_id
            join product p on p.id = j.product_id where p.product_key = %s order by j.id desc limit 1""", f.pk))
        cancel(api, first, CancelQueuedTask=True)
        assert stack.sql_one("select count(*) from job_order where not done") == 1
    holder.close()
    made(api, second, 3)
    assert set(states(api, second).values()) == {"QUEUED"} and set(states(api, first).values()) == {"CANCELED"}
    assert {t["TaskDesc"] for t in api.tasks(first)} == {"canceled"}
    wait_until(lambda: stack.sql_one("select count(*) from job_order where not done") == 0)
    assert stack.broken() == []


def test_device_deleted_while_the_tasks_are_made(stack, api):
    """Between the choice of the candidates and the chunk that makes its task: held open by the product's lock."""
    pk = api.product()
    rows = api.devices(pk, 5)
    gone = rows[2]
    fw = api.firmware(pk)
    holder = psycopg2.connect(stack.pg)
    with holder, holder.cursor() as cursor:
        cursor.execute("select id from product where product_key = %s for no key update", (pk,))
        job = api.job(fw)
        wait_until(lambda: making(stack, pk) == 2)
        cursor.execute("""with d as (delete from device d using product p where p.id = d.product_id
                and p.product_key = %s and d.name = %s returning d.id, d.product_id, d.name)
            insert into device_deleted select id, product_id, name, 0 from d""", (pk, gone["DeviceName"]))
    holder.close()
    made(api, job, 5)
    want = {r["DeviceName"]: "CANCELED" if r is gone else "QUEUED" for r in rows}
    assert states(api, job) == want
    assert api.task(job, gone)["TaskDesc"] == "device deleted"
    assert stack.broken() == []
    cancel(api, job, CancelQueuedTask=True)
    api.wait_job(job, "CANCELED")
