# SPDX-License-Identifier: Apache-2.0
"""Tasks moved by calls: ConfirmOTATask, ReupgradeOTATask, CancelOTATaskByDevice (api §6.3, §6.4, §6.6, §10.5)."""
import threading

import psycopg2
import pytest

from client import Client, now_ms, stays, wait_until
from mqtt_device import MqttDevice

MINUTE, HOUR = 60, 3600
F = "iot.firmware."


@pytest.fixture(autouse=True)
def nothing_breaks(stack):
    yield
    wait_until(lambda: stack.broken() == [], 10, stack.broken)


@pytest.fixture(scope="module")
def stranger(stack):
    """An admin of another account."""
    stack.otactl("account", "create", "stranger-of-moves")
    out = stack.otactl("key", "create", "--account", "stranger-of-moves", "--name", "t", "--role", "admin").stdout
    ak, sk = (next(w.split("=", 1)[1] for w in out.split() if w.startswith(word + "="))
              for word in ("AccessKeyId", "AccessKeySecret"))
    return Client(stack.endpoint, ak, sk)


def task_id(api, job, row):
    return api.task(job, row)["TaskId"]


def confirm(api, *ids):
    return api.must("ConfirmOTATask", TaskId=list(ids))


def again(api, job, *ids):
    return api.must("ReupgradeOTATask", JobId=job, TaskId=list(ids))


def states(api, job):
    return {t["DeviceName"]: t["TaskStatus"] for t in api.tasks(job)}


def made(api, job, n):
    wait_until(lambda: api.must("ListOTATaskByJob", JobId=job)["Total"] == n, 10)


def fail(api, job, d, words="no space"):
    d.progress(-1, words)
    api.wait_task(job, d.name, "FAILED")


# ---- ConfirmOTATask ----

def test_confirmed_tasks_are_pushed_and_others_wait(api, fleet):
    f = fleet(3, "1.0.0")
    job = api.job(api.firmware(f.pk), NeedConfirm=True)
    for row in f.rows:
        api.wait_task(job, row, "CONFIRM")
    first, second, waits = f.devices
    assert first.get_firmware()["data"] == {}  # can neither be pushed to nor pull
    for d in f.devices:
        d.no_push(1.2)
    assert set(confirm(api, *[task_id(api, job, r) for r in f.rows[:2]])) == {"RequestId", "Success"}
    first.wait_push()
    second.wait_push()
    first.upgrade("2.0.0")
    api.wait_task(job, first.name, "SUCCEEDED")
    waits.no_push(1)
    assert states(api, job)[waits.name] == "CONFIRM"
    assert waits.get_firmware()["data"] == {}


def test_reports_do_not_move_a_task_that_waits_for_confirmation(api, fleet):
    f = fleet(2, "1.0.0")
    job = api.job(api.firmware(f.pk), NeedConfirm=True)
    d, done = f.devices
    api.wait_task(job, d.name, "CONFIRM")
    for step in (10, -2):
        d.progress(step, "unasked")
    d.inform("1.5.0")
    wait_until(lambda: api.task(job, d.name)["SrcVersion"] == "1.5.0")
    assert states(api, job)[d.name] == "CONFIRM"
    done.inform("2.0.0")  # whatever the state, the version is what counts
    api.wait_task(job, done.name, "SUCCEEDED")


def test_without_push_a_confirmed_task_waits_to_be_asked_for(api, fleet):
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk), NeedConfirm=True, NeedPush=False)
    (d,) = f.devices
    api.wait_task(job, d.name, "CONFIRM")
    assert d.get_firmware()["data"] == {}
    confirm(api, task_id(api, job, d.name))
    api.wait_task(job, d.name, "QUEUED")
    d.no_push(1.5)
    assert d.get_firmware()["data"]["version"] == "2.0.0"
    api.wait_task(job, d.name, "NOTIFIED")
    d.upgrade("2.0.0")
    api.wait_job(job, "COMPLETED")


def test_offline_device_is_pushed_to_when_it_comes(api, fleet, device):
    f = fleet(1, online=False)
    job = api.job(api.firmware(f.pk), NeedConfirm=True)
    api.wait_task(job, f.rows[0], "CONFIRM")
    d = device(f.rows[0])
    d.no_push(1.5)
    d.disconnect()
    confirm(api, task_id(api, job, f.rows[0]))
    d.connect()
    d.wait_push()


def test_tasks_of_several_jobs_at_once(api, fleet):
    f, g = fleet(1, "1.0.0"), fleet(1, "1.0.0")
    jobs = [api.job(api.firmware(x.pk), NeedConfirm=True) for x in (f, g)]
    ids = [api.wait_task(job, x.rows[0], "CONFIRM")["TaskId"] for job, x in zip(jobs, (f, g))]
    confirm(api, *ids, ids[0])  # one may be named twice
    for x in (f, g):
        x.devices[0].wait_push()
        x.devices[0].no_push(1)


def test_confirm_is_all_or_nothing(api, fleet, stranger):
    f = fleet(3, online=False)
    fw = api.firmware(f.pk)
    job = api.job(fw, NeedConfirm=True)
    made(api, job, 3)
    ids = [task_id(api, job, r) for r in f.rows]
    unknown = ids[0][:-5] + ("x" if ids[0][-5] != "x" else "y") + ids[0][-4:]
    other = api.job(fw, TargetSelection="SPECIFIC", TargetDeviceName=[f.rows[0]["DeviceName"]])
    lost = api.wait_task(other, f.rows[0], "FAILED")["TaskId"]
    confirm(api, ids[2])
    for code, bad in ((F + "InvalidOTATaskId", unknown), (F + "InvalidOTATaskId", "x" * 26), (F + "InvalidOTATaskId", job),
                      (F + "InvalidTaskStatus", lost), (F + "InvalidTaskStatus", ids[2])):
        answer = api.refused("ConfirmOTATask", code, TaskId=[ids[0], bad])
        assert answer.status == 200
    api.refused("ConfirmOTATask", F + "ParameterSizeExceedMax", TaskId=[ids[0]] * 11)
    api.refused("ConfirmOTATask", "MissingTaskId")
    stranger.refused("ConfirmOTATask", F + "InvalidOTATaskId", TaskId=[ids[0]])
    assert sorted(states(api, job).values()) == ["CONFIRM", "CONFIRM", "QUEUED"]
    confirm(api, *ids[:2])
    assert set(states(api, job).values()) == {"QUEUED"}


def test_scheduled_tasks_are_confirmed_inside_the_window(stack, api, fleet):
    f = fleet(2, "1.0.0")
    start = now_ms() + 10 * MINUTE * 1000
    job = api.job(api.firmware(f.pk), NeedConfirm=True, ScheduleTime=start, ScheduleFinishTime=start + HOUR * 1000)
    made(api, job, 2)
    ids = [task_id(api, job, r) for r in f.rows]
    api.refused("ConfirmOTATask", F + "InvalidTaskStatus", TaskId=[ids[0]])
    stack.advance(11 * MINUTE)
    api.wait_job(job, "IN_PROGRESS")
    confirm(api, ids[0])
    f.devices[0].wait_push()
    stack.advance(HOUR)
    api.wait_job(job, "COMPLETED")
    assert set(states(api, job).values()) == {"CANCELED"}
    api.refused("ConfirmOTATask", F + "InvalidTaskStatus", TaskId=[ids[1]])


def test_canceled_before_it_is_confirmed(api, fleet):
    """The order counts before it is written into the row."""
    f = fleet(1, online=False)
    job = api.job(api.firmware(f.pk), NeedConfirm=True)
    row = api.wait_task(job, f.rows[0], "CONFIRM")
    api.must("CancelOTATaskByJob", JobId=job, CancelUnconfirmedTask=True)
    api.refused("ConfirmOTATask", F + "InvalidTaskStatus", TaskId=[row["TaskId"]])
    assert api.job_info(job)["JobStatus"] == "CANCELED"


# ---- ReupgradeOTATask ----

def test_failed_task_runs_again_under_its_id(stack, api, fleet):
    f = fleet(2, "1.0.0")
    d, other = f.devices
    job = api.job(api.firmware(f.pk), RetryInterval=0, RetryCount=1, TimeoutInMinutes=10)
    for x in f.devices:
        x.wait_push()
    d.progress(40)
    d.progress(-2, "first")
    d.wait_push(2)
    d.progress(-2, "second")
    before = api.wait_task(job, d.name, "FAILED")
    other.upgrade("2.0.0")
    ended = api.wait_job(job, "COMPLETED")
    assert "UtcEndTime" in ended
    stack.advance(1)
    assert set(again(api, job, before["TaskId"])) == {"RequestId", "Success"}
    info = api.job_info(job)
    assert info["JobStatus"] == "IN_PROGRESS" and "UtcEndTime" not in info
    assert info["UtcStartTime"] == ended["UtcStartTime"]
    after = api.wait_task(job, d.name, ["QUEUED", "NOTIFIED"])
    assert (after["TaskId"], after["Progress"], after["TaskDesc"]) == (before["TaskId"], "0.00", "")
    assert after["UtcCreate"] == before["UtcCreate"] and after["UtcModified"] > before["UtcModified"]
    d.wait_push(3)
    d.progress(10)
    d.progress(-2, "third")  # all its retries are there again
    d.wait_push(4)
    d.progress(20)
    wait_until(lambda: api.task(job, d.name)["Progress"] == "20.00")
    stack.advance(11 * MINUTE)  # and its time limit
    assert api.wait_task(job, d.name, "FAILED")["TaskDesc"] == "timeout"
    api.wait_job(job, "COMPLETED")
    again(api, job, before["TaskId"])
    d.wait_push(5)
    d.upgrade("2.0.0")
    api.wait_task(job, d.name, "SUCCEEDED")
    assert api.wait_job(job, "COMPLETED")["UtcEndTime"] > ended["UtcEndTime"]
    api.refused("ReupgradeOTATask", F + "InvalidTaskStatus", JobId=job, TaskId=[before["TaskId"]])


def test_canceled_job_runs_again(api, fleet):
    f = fleet(2, "1.0.0", online=False)
    job = api.job(api.firmware(f.pk))
    made(api, job, 2)
    ids = [task_id(api, job, r) for r in f.rows]
    api.must("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True)
    again(api, job, ids[0])  # whether the order is written into the rows or not
    assert api.job_info(job)["JobStatus"] == "IN_PROGRESS"
    assert states(api, job) == {f.rows[0]["DeviceName"]: "QUEUED", f.rows[1]["DeviceName"]: "CANCELED"}
    f.devices[0].connect()
    f.devices[0].wait_push()
    api.must("CancelOTATaskByJob", JobId=job, CancelNotifiedTask=True)
    api.wait_job(job, "CANCELED")
    again(api, job, *ids)
    api.wait_task(job, f.rows[0], "NOTIFIED")
    f.devices[0].upgrade("2.0.0")
    api.wait_task(job, f.rows[0], "SUCCEEDED")
    assert states(api, job)[f.rows[1]["DeviceName"]] == "QUEUED"


def test_tasks_of_a_job_with_confirmation_are_confirmed_again(api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk), NeedConfirm=True)
    ident = api.wait_task(job, d.name, "CONFIRM")["TaskId"]
    confirm(api, ident)
    d.wait_push()
    fail(api, job, d)
    again(api, job, ident)
    assert states(api, job)[d.name] == "CONFIRM"
    d.no_push(1.5)
    confirm(api, ident)
    d.wait_push(2)


def test_version_of_now_is_what_counts(api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk))
    d.wait_push()
    d.progress(10)
    d.inform("1.0.7")
    ident = api.wait_task(job, d.name, "FAILED", 12)["TaskId"]
    again(api, job, ident)
    assert api.task(job, d.name)["SrcVersion"] == "1.0.7"
    d.wait_push(2)
    d.progress(10)
    api.wait_task(job, d.name, "IN_PROGRESS")
    d.inform("1.0.7")  # rebooted into the old image, which is 1.0.7 now
    stays(lambda: states(api, job)[d.name] == "IN_PROGRESS", 6)
    api.must("CancelOTATaskByJob", JobId=job, CancelInProgressTask=True)
    d.inform("2.0.0")
    wait_until(lambda: api.version_of(f.pk, d.name) == "2.0.0")
    answer = api.refused("ReupgradeOTATask", F + "DeviceWithDestinationVersionInArray", JobId=job, TaskId=[ident])
    assert ident in answer.message
    assert states(api, job)[d.name] == "CANCELED" and api.job_info(job)["JobStatus"] == "CANCELED"


def test_differential_package_needs_its_source_version_again(api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk, Type=1, SrcVersion="1.0.0"))
    assert d.wait_push()["data"]["isDiff"] == 1
    fail(api, job, d)
    ident = task_id(api, job, d.name)
    d.inform("1.0.7")
    wait_until(lambda: api.version_of(f.pk, d.name) == "1.0.7")
    api.refused("ReupgradeOTATask", F + "SrcVersionMismatch", JobId=job, TaskId=[ident])
    d.inform("1.0.0")
    wait_until(lambda: api.version_of(f.pk, d.name) == "1.0.0")
    again(api, job, ident)
    d.wait_push(2)


@pytest.mark.parametrize("more, first, second, runs", [
    ({}, "QUEUED", "FAILED", False),
    ({"OverwriteMode": 2}, "CANCELED", "QUEUED", True),
    ({"MultiModuleMode": True}, "QUEUED", "FAILED", False)])
def test_conflicts_are_those_of_a_new_task(api, fleet, more, first, second, runs):
    """The device got another task meanwhile, of a job that takes the whole device."""
    f = fleet(1, online=False)
    (row,) = f.rows
    job = api.job(api.firmware(f.pk), **more)
    made(api, job, 1)
    ident = task_id(api, job, row)
    api.must("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True)
    rival = api.job(api.firmware(f.pk, "3.0.0"))
    api.wait_task(rival, row, "QUEUED")
    again(api, job, ident)
    assert (states(api, rival)[row["DeviceName"]], states(api, job)[row["DeviceName"]]) == (first, second)
    assert api.job_info(job)["JobStatus"] == ("IN_PROGRESS" if runs else "CANCELED")
    assert api.job_info(rival)["JobStatus"] == ("CANCELED" if runs else "IN_PROGRESS")
    words = api.task(rival if runs else job, row)["TaskDesc"]
    assert words == (f"overwritten by job {job}" if runs else f"device has an unfinished upgrade task of job {rival}")


def test_running_task_is_never_overwritten(api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk), OverwriteMode=2)
    d.wait_push()
    fail(api, job, d)
    rival = api.job(api.firmware(f.pk, "3.0.0"))
    d.wait_push(2)
    d.progress(1)
    api.wait_task(rival, d.name, "IN_PROGRESS")
    again(api, job, task_id(api, job, d.name))
    t = api.task(job, d.name)
    assert (t["TaskStatus"], t["TaskDesc"]) == ("FAILED", f"device has an unfinished upgrade task of job {rival}")
    assert api.job_info(job)["JobStatus"] == "COMPLETED" and states(api, rival)[d.name] == "IN_PROGRESS"


def test_schedule_still_holds(stack, api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    start = now_ms() + 10 * MINUTE * 1000
    job = api.job(api.firmware(f.pk), ScheduleTime=start, ScheduleFinishTime=start + HOUR * 1000)
    made(api, job, 1)
    ident = task_id(api, job, d.name)
    api.must("CancelOTATaskByJob", JobId=job, CancelScheduledTask=True)
    assert api.job_info(job)["JobStatus"] == "CANCELED"
    again(api, job, ident)
    info = api.job_info(job)
    assert info["JobStatus"] == "PLANNED" and "UtcStartTime" not in info
    d.no_push(1.5)
    stack.advance(11 * MINUTE)
    d.wait_push()
    assert api.job_info(job)["JobStatus"] == "IN_PROGRESS"
    fail(api, job, d)
    stack.advance(HOUR)
    api.refused("ReupgradeOTATask", F + "InvalidTaskStatus", JobId=job, TaskId=[ident])
    d.no_push(1)


def test_dynamic_jobs(api, fleet):
    """Tasks run again while the strategy lives, and after its end, which they do not undo."""
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    fw = api.firmware(f.pk)
    job = api.must("CreateOTADynamicUpgradeJob", FirmwareId=fw.id, ProductKey=f.pk, SrcVersion=["1.0.0"])["Data"]["JobId"]
    d.wait_push()
    fail(api, job, d)
    ident = api.tasks(job)[0]["TaskId"]
    again(api, job, ident)
    d.wait_push(2)
    fail(api, job, d)
    api.must("CancelOTAStrategyByJob", JobId=job)
    ended = api.job_info(job)
    assert ended["JobStatus"] == "CANCELED" and len(api.tasks(job)) == 1
    again(api, job, ident)
    d.wait_push(3)
    info = api.job_info(job)
    assert (info["JobStatus"], info["UtcEndTime"]) == ("CANCELED", ended["UtcEndTime"])
    d.upgrade("2.0.0")
    api.wait_task(job, d.name, "SUCCEEDED")
    assert api.job_info(job)["UtcEndTime"] == ended["UtcEndTime"]
    api.refused("CancelOTATaskByJob", F + "JobAlreadyCanceled", JobId=job, CancelInProgressTask=True)


def test_cancel_by_device_of_a_dynamic_job(api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    fw = api.firmware(f.pk)
    job = api.must("CreateOTADynamicUpgradeJob", FirmwareId=fw.id, ProductKey=f.pk, SrcVersion=["1.0.0"])["Data"]["JobId"]
    by_device(api, fw, d.name, JobId=job)
    assert set(states(api, job).values()) == {"CANCELED"} and api.job_info(job)["JobStatus"] == "IN_PROGRESS"


def test_reupgrade_is_all_or_nothing(api, fleet, stranger):
    f = fleet(3, online=False)
    fw = api.firmware(f.pk)
    job = api.job(fw)
    made(api, job, 3)
    ids = [task_id(api, job, r) for r in f.rows]
    api.must("CancelOTATaskByDevice", FirmwareId=fw.id, ProductKey=f.pk, DeviceName=[r["DeviceName"] for r in f.rows[:2]])
    other = api.job(fw, TargetSelection="SPECIFIC", TargetDeviceName=[f.rows[2]["DeviceName"]])
    lost = api.wait_task(other, f.rows[2], "FAILED")["TaskId"]
    for code, bad in ((F + "InvalidTaskStatus", ids[2]), (F + "InvalidOTATaskId", lost), (F + "InvalidOTATaskId", "x" * 26),
                      (F + "InvalidOTATaskId", job)):
        api.refused("ReupgradeOTATask", code, JobId=job, TaskId=[ids[0], bad])
    api.refused("ReupgradeOTATask", "MissingJobId", TaskId=[ids[0]])
    api.refused("ReupgradeOTATask", "MissingTaskId", JobId=job)
    api.refused("ReupgradeOTATask", F + "InvalidOTAJobId", JobId="x" * 26, TaskId=[ids[0]])
    api.refused("ReupgradeOTATask", F + "ParameterSizeExceedMax", JobId=job, TaskId=[ids[0]] * 11)
    stranger.refused("ReupgradeOTATask", F + "InvalidOTAJobId", JobId=job, TaskId=[ids[0]])
    assert sorted(states(api, job).values()) == ["CANCELED", "CANCELED", "QUEUED"]
    api.must("DeleteDevice", ProductKey=f.pk, DeviceName=f.rows[1]["DeviceName"])
    api.refused("ReupgradeOTATask", "iot.device.NotExistedDevice", JobId=job, TaskId=ids[:2])
    again(api, job, ids[0], ids[0])
    assert states(api, job)[f.rows[0]["DeviceName"]] == "QUEUED"


def test_package_must_be_there_and_verified(stack, api, fleet):
    f = fleet(1, online=False)
    fw = api.firmware(f.pk)
    job = api.job(fw)
    made(api, job, 1)
    ident = task_id(api, job, f.rows[0])
    api.must("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True)
    for status in (0, 2, 3):
        stack.sql("update firmware set status = %s where id = (select firmware_id from job order by id desc limit 1)", status)
        api.refused("ReupgradeOTATask", F + "ReUpgradeFailedFirmwareNotVerified", JobId=job, TaskId=[ident])
    stack.sql("update firmware set status = -1 where id = (select firmware_id from job order by id desc limit 1)")
    api.must("DeleteOTAFirmware", FirmwareId=fw.id)
    api.refused("ReupgradeOTATask", F + "FirmwareNotFound", JobId=job, TaskId=[ident])
    assert states(api, job)[f.rows[0]["DeviceName"]] == "CANCELED"


def test_verification_is_not_run_again(api, fleet):
    f = fleet(1, "1.0.0")
    fw = api.firmware(f.pk, NeedToVerify=True)
    job = api.must("CreateOTAVerifyJob", FirmwareId=fw.id, ProductKey=f.pk,
                   TargetDeviceName=[f.devices[0].name])["Data"]["JobId"]
    f.devices[0].wait_push()
    fail(api, job, f.devices[0])
    api.refused("ReupgradeOTATask", F + "InvalidOTAJobId", JobId=job, TaskId=[task_id(api, job, f.devices[0].name)])


# ---- CancelOTATaskByDevice ----

def by_device(api, fw, *names, **more):
    """On a busy machine a job just created may still be in the making after the call's own patience: asked again."""
    answers = []

    def done():
        answers.append(api.call("CancelOTATaskByDevice", FirmwareId=fw.id, ProductKey=fw.pk, DeviceName=list(names),
                                **more))
        return answers[-1].code != F + "SystemBusy"
    wait_until(done, 20)
    assert answers[-1].ok, answers[-1].text
    return answers[-1].body


def test_every_unfinished_state_can_be_canceled(api, fleet):
    f = fleet(5, "1.0.0")
    off, notified, busy, done, other = f.devices
    off.disconnect()
    fw = api.firmware(f.pk)
    job = api.job(fw)
    for d in (notified, busy, done, other):
        d.wait_push()
    busy.progress(10)
    done.upgrade("2.0.0")
    api.wait_task(job, busy.name, "IN_PROGRESS")
    api.wait_task(job, done.name, "SUCCEEDED")
    assert set(by_device(api, fw, off.name, notified.name, busy.name, done.name, "stranger")) == {"RequestId", "Success"}
    assert states(api, job) == {off.name: "CANCELED", notified.name: "CANCELED", busy.name: "CANCELED",
                                done.name: "SUCCEEDED", other.name: "NOTIFIED"}
    assert api.task(job, off.name)["TaskDesc"] == "canceled"
    busy.upgrade("2.0.0")  # never comes back to life; the version is recorded
    wait_until(lambda: api.version_of(f.pk, busy.name) == "2.0.0")
    off.connect()
    off.no_push(1.5)
    assert states(api, job)[busy.name] == "CANCELED"
    assert api.job_info(job)["JobStatus"] == "IN_PROGRESS"
    by_device(api, fw, other.name)
    assert api.job_info(job)["JobStatus"] == "COMPLETED"
    waits = api.job(fw, NeedConfirm=True, TargetSelection="SPECIFIC", TargetDeviceName=[off.name])
    api.wait_task(waits, off.name, "CONFIRM")
    by_device(api, fw, off.name)
    assert api.job_info(waits)["JobStatus"] == "CANCELED"


def test_only_tasks_of_the_package_and_the_job(api, fleet):
    f = fleet(2, online=False)
    one, two = [r["DeviceName"] for r in f.rows]
    fw, other = api.firmware(f.pk), api.firmware(f.pk, "3.0.0")
    job = api.job(fw, TargetSelection="SPECIFIC", TargetDeviceName=[one])
    made(api, job, 1)
    second = api.job(fw, TargetSelection="SPECIFIC", TargetDeviceName=[two])
    made(api, second, 1)
    params = {"FirmwareId": fw.id, "ProductKey": f.pk, "DeviceName": [one, two]}
    api.refused("CancelOTATaskByDevice", F + "DeviceUpgradeRecordNotFound", {**params, "FirmwareId": other.id})
    api.refused("CancelOTATaskByDevice", F + "DeviceUpgradeRecordNotFound", {**params, "DeviceName": [two], "JobId": job})
    api.must("CancelOTATaskByDevice", params, JobId=second)
    assert states(api, job)[one] == "QUEUED" and states(api, second)[two] == "CANCELED"
    api.must("CancelOTATaskByDevice", params)
    assert states(api, job)[one] == "CANCELED"
    api.refused("CancelOTATaskByDevice", F + "IncorrectDeviceUpgradeJobStatus", params)
    api.refused("CancelOTATaskByDevice", F + "DeviceUpgradeRecordNotFound", {**params, "DeviceName": ["stranger"]})


def test_by_device_before_the_tasks_are_made(api):
    """The tasks are the job's from its creation on (rules §2)."""
    pk = api.product()
    rows = api.devices(pk, 300)
    names = [r["DeviceName"] for r in rows]
    fw = api.firmware(pk)
    job = api.job(fw)
    by_device(api, fw, *names[:200])
    shown = states(api, job)
    assert {n for n, s in shown.items() if s == "CANCELED"} == set(names[:200]) and len(shown) == 300


def test_by_device_while_the_tasks_are_made(stack, api, fleet):
    """It waits for them for a moment, and says so when that is not enough: the maker is held by the product's lock."""
    f = fleet(1, online=False)
    fw = api.firmware(f.pk)
    holder = psycopg2.connect(stack.pg)
    with holder, holder.cursor() as cursor:
        cursor.execute("select id from product where product_key = %s for no key update", (f.pk,))
        job = api.job(fw)
        params = {"FirmwareId": fw.id, "ProductKey": f.pk, "DeviceName": [f.rows[0]["DeviceName"]]}
        api.refused("CancelOTATaskByDevice", F + "SystemBusy", params)
        api.refused("CancelOTATaskByDevice", F + "SystemBusy", params, JobId=job)
    holder.close()
    by_device(api, fw, f.rows[0]["DeviceName"])
    assert set(states(api, job).values()) == {"CANCELED"}


def test_scheduled_tasks_by_device(api, fleet):
    f = fleet(1, online=False)
    fw = api.firmware(f.pk)
    job = api.job(fw, ScheduleTime=now_ms() + HOUR * 1000)
    by_device(api, fw, f.rows[0]["DeviceName"])
    assert api.job_info(job)["JobStatus"] == "CANCELED"


def test_canceled_verification_by_device_has_failed(api, fleet):
    f = fleet(2, online=False)
    fw = api.firmware(f.pk, NeedToVerify=True)
    names = [r["DeviceName"] for r in f.rows]
    api.must("CreateOTAVerifyJob", FirmwareId=fw.id, ProductKey=f.pk, TargetDeviceName=names)
    by_device(api, fw, names[0])

    def info():
        shown = api.must("QueryOTAFirmware", FirmwareId=fw.id)["FirmwareInfo"]
        return shown["Status"], shown["VerifyProgress"]
    assert info() == (2, 50)
    by_device(api, fw, *names)
    assert info() == (3, 100)


def test_by_device_refused(api, fleet):
    f = fleet(1, online=False)
    fw, (row,) = api.firmware(f.pk), f.rows
    job = api.job(fw)
    made(api, job, 1)
    good = {"FirmwareId": fw.id, "ProductKey": f.pk, "DeviceName": [row["DeviceName"]], "JobId": job}
    for n in ("FirmwareId", "ProductKey", "DeviceName"):
        api.refused("CancelOTATaskByDevice", "Missing" + n, {**good, n: None})
    strange = api.job(api.firmware(f.pk, "3.0.0"))
    for code, bad in ((F + "FirmwareNotFound", {"FirmwareId": "x" * 26}),
                      ("iot.prod.NotExistedProduct", {"ProductKey": "a1nothere00"}),
                      (F + "FirmwareAndProductKeyMismatch", {"ProductKey": api.product()}),
                      (F + "InvalidOTAJobId", {"JobId": "x" * 26}), (F + "InvalidOTAJobId", {"JobId": strange}),
                      (F + "ParameterSizeExceedMax", {"DeviceName": [f"n{i}" for i in range(201)]}),
                      ("iot.common.InvalidFormattedParameter", {"DeviceName": [row["DeviceName"]] * 2})):
        api.refused("CancelOTATaskByDevice", code, {**good, **bad})
    assert states(api, job)[row["DeviceName"]] == "QUEUED"
    api.must("CancelOTATaskByDevice", good, DeviceName=[row["DeviceName"], *[f"n{i:04}" for i in range(199)]])
    assert api.job_info(job)["JobStatus"] == "CANCELED"


def test_nothing_is_pushed_after_the_answer(api, fleet):
    f = fleet(40, "1.0.0")
    fw = api.firmware(f.pk)
    job = api.job(fw, MaximumPerMinute=1000)
    wait_until(lambda: sum(len(d.pushes) for d in f.devices) >= 3)
    shown = states(api, job)
    by_device(api, fw, *[d.name for d in f.devices])
    pushed = {d.name: len(d.pushes) for d in f.devices}
    assert set(states(api, job).values()) == {"CANCELED"} and any(s == "QUEUED" for s in shown.values())
    stays(lambda: all(len(d.pushes) == pushed[d.name] for d in f.devices), 1.5)


# ---- at once ----

def test_calls_at_once_leave_one_life(api, fleet):
    """The same tasks run again and are canceled from four connections."""
    f = fleet(8, online=False)
    fw = api.firmware(f.pk)
    job = api.job(fw)
    made(api, job, 8)
    ids = [task_id(api, job, r) for r in f.rows]
    names = [r["DeviceName"] for r in f.rows]
    allowed = {None, F + "InvalidTaskStatus", F + "IncorrectDeviceUpgradeJobStatus"}
    codes, lock = set(), threading.Lock()

    def worker(n):
        for i in range(12):
            if (n + i) % 2:
                a = api.call("ReupgradeOTATask", JobId=job, TaskId=ids[::-1 if n % 2 else 1])
            else:
                a = api.call("CancelOTATaskByDevice", FirmwareId=fw.id, ProductKey=f.pk,
                             DeviceName=names[::1 if n % 2 else -1])
            with lock:
                codes.add(a.code)
    threads = [threading.Thread(target=worker, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert codes <= allowed
    assert len(set(states(api, job).values())) == 1


def test_many_confirmations_starve_nobody(fresh_stack):
    """Each makes the engine look through the job again; the last task of a large one has its turn all the same."""
    stack = fresh_stack
    api = Client(stack.endpoint, stack.ak, stack.sk)
    pk = api.product()
    stack.sql("insert into device (product_id, name, secret, created_ms) select (select id from product where "
              "product_key = %s), 'bulk' || g, '', 0 from generate_series(1, 30000) g", pk)
    d = MqttDevice(stack.broker, api.device(pk)).connect()
    job = api.job(api.firmware(pk), NeedConfirm=True)
    made(api, job, 30001)
    ids = [t["TaskId"] for page in range(1, 21)
           for t in api.must("ListOTATaskByJob", JobId=job, CurrentPage=page, PageSize=100)["Data"]["SimpleOTATaskInfo"]]
    last = api.must("ListOTATaskByJob", JobId=job, DeviceNames=[d.name])["Data"]["SimpleOTATaskInfo"][0]["TaskId"]
    stop = threading.Event()
    work = iter(ids)

    def confirm_on():
        for ident in work:
            if stop.is_set():
                return
            confirm(api, ident)
    threads = [threading.Thread(target=confirm_on) for _ in range(4)]
    for t in threads:
        t.start()
    confirm(api, last)
    try:
        d.wait_push(within=20)
        assert next(work, None), "all were confirmed before the push came: that showed nothing"
    finally:
        stop.set()
        for t in threads:
            t.join()
        d.disconnect()
