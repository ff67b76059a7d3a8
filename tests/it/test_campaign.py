# SPDX-License-Identifier: Apache-2.0
"""The life of tasks as devices see it: push, reports, retries, time limits, schedules, conflicts, cohorts."""
import hashlib

import pytest

from client import now_ms, stays, wait_until

MINUTE = 60
HOUR = 3600


def names(rows):
    return [r["DeviceName"] for r in rows]


def specific(api, fw, rows, **more):
    return api.job(fw, TargetSelection="SPECIFIC", TargetDeviceName=names(rows), **more)


# ---- the push itself ----

def test_push_is_exactly_the_documented_text(api, fleet):
    f = fleet(1, "1.0.0")
    fw = api.firmware(f.pk, content=b"x" * 1234)
    api.job(fw, Tag=[{"Key": "site", "Value": "plant \"7\""}, {"Key": "a.b", "Value": "中"}])
    push = f.devices[0].wait_push()
    d = push["data"]
    want = ('{"code":"1000","data":{"size":1234,"version":"2.0.0","url":"%s","md5":"%s","sign":"%s",'
            '"signMethod":"Md5","extData":{"site":"plant \\"7\\"","a.b":"中"}},"id":%d,"message":"success"}'
            % (d["url"], fw.md5, fw.md5, push["id"]))
    assert push.payload.decode() == want
    assert push.qos == 1 and not push.retain and len(d["url"]) < 250


def test_sha256_package_carries_md5_too(api, fleet):
    f = fleet(1, "1.0.0")
    fw = api.firmware(f.pk, SignMethod="SHA256")
    api.job(fw)
    d = f.devices[0].wait_push()["data"]
    assert (d["signMethod"], d["sign"], d["md5"]) == ("SHA256", fw.sha256, fw.md5)


def test_device_that_never_subscribes_is_pushed(api, fleet, device):
    f = fleet(1, online=False)
    d = device(f.rows[0], subscribe=False)
    api.job(api.firmware(f.pk))
    d.wait_push()


# ---- success and failure ----

def test_hundred_percent_is_not_success_but_the_version_is(api, fleet):
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk))
    d = f.devices[0]
    d.wait_push()
    d.progress(100)
    t = api.wait_task(job, f.rows[0], "IN_PROGRESS")
    assert (t["Progress"], t["SrcVersion"], t["DestVersion"]) == ("100.00", "1.0.0", "2.0.0")
    d.inform("1.0.0")  # rebooted into the old image
    stays(lambda: api.task(job, f.rows[0])["TaskStatus"] == "IN_PROGRESS", 1)
    d.inform("2.0.0")
    assert api.wait_task(job, f.rows[0], "SUCCEEDED")["Progress"] == "100.00"
    api.wait_job(job, "COMPLETED")
    d.progress(50)
    d.progress(-1, "late")
    d.inform("1.0.0")
    wait_until(lambda: api.version_of(f.pk, d.name) == "1.0.0")
    assert api.task(job, f.rows[0])["TaskStatus"] == "SUCCEEDED"


@pytest.mark.parametrize("step", [-1, -2, -3, -4])
def test_negative_step_fails_with_the_devices_words(api, fleet, step):
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk))
    f.devices[0].wait_push()
    f.devices[0].progress(step, f"reason {step}")
    assert api.wait_task(job, f.rows[0], "FAILED")["TaskDesc"] == f"reason {step}"
    api.wait_job(job, "COMPLETED")


def test_third_version_fails_but_neither_the_sdks_placeholder_nor_one_taken_back(api, fleet):
    f = fleet(3, "1.0.0")
    job = api.job(api.firmware(f.pk))
    for d in f.devices:
        d.wait_push()
        d.progress(10)
    for row in f.rows:
        api.wait_task(job, row, "IN_PROGRESS")
    placeholder, corrected, stranger = f.devices
    placeholder.inform("app-1.0.0-20180101.1000")
    corrected.inform("1.0.7")
    corrected.inform("1.0.0")
    stranger.inform("1.0.7")
    t = api.wait_task(job, f.rows[2], "FAILED", 12)
    assert t["TaskDesc"] == "report version is not conform"
    for d in (placeholder, corrected):
        assert api.task(job, d.name)["TaskStatus"] == "IN_PROGRESS"
        assert api.version_of(f.pk, d.name) == "1.0.0"
        d.inform("2.0.0")
        api.wait_task(job, d.name, "SUCCEEDED")


def test_nonsense_changes_nothing_and_is_counted(stack, api, fleet):
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk))
    d = f.devices[0]
    d.wait_push()
    before = stack.metric("otad_reports_nonsense_total")
    for payload in ("{", "", "[]", "null", '{"id":"1"}', '{"params":{}}', '{"params":{"step":"101"}}',
                    '{"params":{"step":"-5"}}', '{"params":{"step":"abc"}}', '{"params":[1]}', "\x00", "{}" * 9000):
        d.publish(d.topic("progress"), payload)
    for payload in ('{"params":{"version":""}}', '{"params":{"version":{}}}', '{"params":'):
        d.publish(d.topic("inform"), payload)
    wait_until(lambda: stack.metric("otad_reports_nonsense_total") >= before + 15, 10,
               lambda: f"counted {stack.metric('otad_reports_nonsense_total') - before}")
    assert api.task(job, f.rows[0])["TaskStatus"] == "NOTIFIED"
    d.publish(d.topic("progress"), '{"id":7,"params":{"step": " 42 ",},}')  # lenient where devices are sloppy
    assert api.wait_task(job, f.rows[0], "IN_PROGRESS")["Progress"] == "42.00"
    d.publish(d.topic("progress") + "/", '{"params":{"step":43.7,"desc":"x"}}')
    wait_until(lambda: api.task(job, f.rows[0])["Progress"] == "43.00")
    assert api.version_of(f.pk, d.name) == "1.0.0"


def test_version_with_a_nul_is_no_version(stack, api, fleet):
    """What stands before the NUL is the job's version: cut short there, it would be a success."""
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk))
    d = f.devices[0]
    d.wait_push()
    before = stack.metric("otad_reports_nonsense_total", reason="json")
    d.publish(d.topic("inform"), r'{"id":"1","params":{"version":"2.0.0\u0000"}}')
    d.publish(d.topic("inform"), r'{"id":"1","params":{"version":"2.0.0","mod\u0000ule":"x"}}')
    d.publish(d.topic("inform"), b'{"id":"1","params":{"version":"2.0.0\x00"}}')
    wait_until(lambda: stack.metric("otad_reports_nonsense_total", reason="json") == before + 3)
    assert api.version_of(f.pk, d.name) == "1.0.0"
    assert api.task(job, d.name)["TaskStatus"] == "NOTIFIED"
    d.inform("2.0.0")
    api.wait_task(job, d.name, "SUCCEEDED")


def test_verification_goes_through_its_statuses(api, fleet):
    f = fleet(2, "1.0.0")
    fw = api.firmware(f.pk, NeedToVerify=True)
    api.refused("CreateOTAStaticUpgradeJob", "iot.firmware.FirmwareNotVerified", FirmwareId=fw.id, ProductKey=f.pk,
                TargetSelection="ALL")

    def verify(row):
        return api.must("CreateOTAVerifyJob", FirmwareId=fw.id, ProductKey=f.pk,
                        TargetDeviceName=[row["DeviceName"]])["Data"]["JobId"]

    def status():
        info = api.must("QueryOTAFirmware", FirmwareId=fw.id)["FirmwareInfo"]
        return info["Status"], info["VerifyProgress"]
    assert status() == (0, 0)
    job = verify(f.rows[0])
    assert status()[0] == 2
    f.devices[0].wait_push()
    f.devices[0].progress(-3, "bad digest")
    api.wait_task(job, f.rows[0], "FAILED")
    assert status() == (3, 100)
    job = verify(f.rows[1])
    f.devices[1].wait_push()
    f.devices[1].inform("2.0.0")
    api.wait_task(job, f.rows[1], "SUCCEEDED")
    assert status() == (1, 100)
    api.job(fw)


# ---- retries and time limits ----

def test_retry_waits_its_interval_and_is_not_pushed_meanwhile(stack, api, fleet, device):
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk), RetryInterval=10, RetryCount=1)
    d = f.devices[0]
    d.wait_push()
    d.progress(5)
    d.progress(-2, "no space")
    wait_until(lambda: stack.sql_one("select count(*) from task_event e join job j on j.id = e.job_id where why = 8 "
                                     "and j.product_id = (select id from product where product_key = %s)", f.pk) == 1)
    assert api.task(job, f.rows[0])["TaskStatus"] == "IN_PROGRESS"
    d.disconnect()
    again = device(f.rows[0])
    assert again.get_firmware()["data"] == {}
    again.no_push(3)
    stack.advance(11 * MINUTE)
    again.wait_push()
    again.progress(-2, "no space again")
    assert api.wait_task(job, f.rows[0], "FAILED")["TaskDesc"] == "no space again"


def test_time_limit_runs_from_the_first_report_and_is_not_retried(stack, api, fleet):
    f = fleet(2, "1.0.0")
    job = api.job(api.firmware(f.pk), TimeoutInMinutes=60, RetryInterval=0, RetryCount=5)
    reports, silent = f.devices
    for d in f.devices:
        d.wait_push()
    stack.advance(50 * MINUTE)
    reports.progress(1)
    api.wait_task(job, f.rows[0], "IN_PROGRESS")
    stack.advance(50 * MINUTE)
    reports.progress(90)
    wait_until(lambda: api.task(job, f.rows[0])["Progress"] == "90.00")
    stack.advance(11 * MINUTE)
    assert api.wait_task(job, f.rows[0], "FAILED")["TaskDesc"] == "timeout"
    reports.no_push(2)
    assert api.task(job, f.rows[1])["TaskStatus"] == "NOTIFIED"
    assert len(silent.pushes) == 1


# ---- schedules ----

def test_schedule_starts_and_finishes(stack, api, fleet):
    f = fleet(2, "1.0.0")
    start = now_ms() + 6 * MINUTE * 1000
    finish = start + 2 * HOUR * 1000
    job = api.job(api.firmware(f.pk), ScheduleTime=start, ScheduleFinishTime=finish)
    wait_until(lambda: len(api.tasks(job)) == 2)
    assert api.job_info(job)["JobStatus"] == "PLANNED"
    assert f.devices[0].get_firmware()["data"] == {}
    f.devices[1].no_push(2)
    stack.advance(6 * MINUTE + 1)
    for d in f.devices:
        d.wait_push()
    assert api.job_info(job)["JobStatus"] == "IN_PROGRESS"
    f.devices[0].inform("2.0.0")
    api.wait_task(job, f.rows[0], "SUCCEEDED")
    f.devices[1].progress(50)
    stack.advance(2 * HOUR)
    t = api.wait_task(job, f.rows[1], "CANCELED")
    assert t["TaskDesc"]
    info = api.wait_job(job, "COMPLETED")
    assert info["UtcStartTime"] >= info["UtcScheduleTime"] and info["UtcEndTime"] >= info["UtcScheduleFinishTime"]
    f.devices[1].inform("2.0.0")  # never comes back to life; the version is recorded
    wait_until(lambda: api.version_of(f.pk, f.devices[1].name) == "2.0.0")
    assert api.task(job, f.rows[1])["TaskStatus"] == "CANCELED"


def test_finish_time_without_schedule_is_counted_from_now(stack, api, fleet):
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk), ScheduleFinishTime=now_ms() + 61 * MINUTE * 1000)
    f.devices[0].wait_push()
    stack.advance(62 * MINUTE)
    api.wait_task(job, f.rows[0], "CANCELED")
    api.wait_job(job, "COMPLETED")


# ---- who gets a task ----

def test_gray_takes_the_smallest_hashes_exactly(api, fleet):
    f = fleet(40, online=False)
    fw = api.firmware(f.pk)
    ranked = sorted(names(f.rows), key=lambda n: (hashlib.sha256(f"{fw.id}\0{n}".encode()).digest()[:8], n))
    chosen = {}
    for percent, n in (("33.33", 13), ("2.4", 1), ("0.001", 1), ("99.999", 39)):
        job = api.job(fw, TargetSelection="GRAY", GrayPercent=percent, OverwriteMode=2)
        wait_until(lambda job=job, n=n: len(api.tasks(job)) == n)
        chosen[percent] = {t["DeviceName"] for t in api.tasks(job)}
        assert chosen[percent] == set(ranked[:n])
        assert api.job_info(job)["GrayPercent"] == percent
    assert chosen["2.4"] < chosen["33.33"] < chosen["99.999"]


def test_version_is_judged_at_the_creation_of_the_job(stack, api, fleet, device):
    f = fleet(2, "1.0.0")
    fw = api.firmware(f.pk)
    job = api.job(fw, SrcVersion=["1.0.0"], ScheduleTime=now_ms() + 10 * MINUTE * 1000)
    f.devices[0].inform("1.1.0")
    late = device(api.device(f.pk))
    late.inform("1.0.0")
    wait_until(lambda: len(api.tasks(job)) == 2)
    assert {t["DeviceName"] for t in api.tasks(job)} == set(names(f.rows))
    assert {t["SrcVersion"] for t in api.tasks(job)} <= {"1.0.0", "1.1.0"}


def test_devices_that_need_nothing_are_skipped(api, fleet):
    f = fleet(3, "1.0.0")
    f.devices[2].inform("2.0.0")
    wait_until(lambda: api.version_of(f.pk, f.devices[2].name) == "2.0.0")
    fw = api.firmware(f.pk)
    job = specific(api, fw, f.rows)
    wait_until(lambda: len(api.tasks(job)) == 2)
    api.refused("CreateOTAStaticUpgradeJob", "iot.firmware.NoDeviceCanUpgrade", FirmwareId=fw.id, ProductKey=f.pk,
                TargetSelection="SPECIFIC", TargetDeviceName=[f.devices[2].name])


def test_device_list_file(api, fleet):
    f = fleet(4, online=False)
    fw = api.firmware(f.pk)
    url = api.name_list([*names(f.rows[:2]), names(f.rows)[0]], "\r\n")
    job = api.job(fw, TargetSelection="SPECIFIC", DnListFileUrl=url)
    wait_until(lambda: len(api.tasks(job)) == 2)
    assert {t["DeviceName"] for t in api.tasks(job)} == set(names(f.rows[:2]))
    job = api.job(fw, TargetSelection="SPECIFIC", DnListFileUrl=api.name_list(names(f.rows[2:]), ","))
    wait_until(lambda: len(api.tasks(job)) == 2)


# ---- one unfinished task ----

def test_second_job_loses_without_overwriting(api, fleet):
    f = fleet(2, "1.0.0")
    first = api.job(api.firmware(f.pk))
    for d in f.devices:
        d.wait_push()
    second = api.job(api.firmware(f.pk, "3.0.0"))
    t = api.wait_task(second, f.rows[0], "FAILED")
    assert first in t["TaskDesc"]
    api.wait_job(second, "COMPLETED")
    assert {t["TaskStatus"] for t in api.tasks(first)} == {"NOTIFIED"}


def test_overwriting_replaces_what_waits_but_not_what_runs(stack, api, fleet):
    f = fleet(3, "1.0.0", online=True)
    waits, runs, off = f.devices
    off.disconnect()
    first = api.job(api.firmware(f.pk))
    waits.wait_push()
    runs.wait_push()
    runs.progress(10)
    api.wait_task(first, f.rows[1], "IN_PROGRESS")
    second = api.job(api.firmware(f.pk, "3.0.0"), OverwriteMode=2)
    assert waits.wait_push(2)["data"]["version"] == "3.0.0"
    assert second in api.wait_task(first, f.rows[0], "CANCELED")["TaskDesc"]
    api.wait_task(first, f.rows[2], "CANCELED")
    assert first in api.wait_task(second, f.rows[1], "FAILED")["TaskDesc"]
    api.wait_task(second, f.rows[2], "QUEUED")
    assert api.task(first, f.rows[1])["TaskStatus"] == "IN_PROGRESS"
    assert stack.sql("select a.device_id from active_task a join device d on d.id = a.device_id join product p on "
                     "p.id = d.product_id where p.product_key = %s group by 1 having count(*) > 1", f.pk) == []


# ---- offline devices, pulls, pace 0 ----

def test_reconnecting_devices_are_pushed_again_once(api, fleet, device):
    f = fleet(1, "1.0.0")
    fw = api.firmware(f.pk)
    job = api.job(fw)
    first = f.devices[0].wait_push()
    f.devices[0].disconnect()
    again = device(f.rows[0], clean=False)
    push = again.wait_push()
    assert push["data"]["url"] != first["data"]["url"]
    again.no_push(3)
    again.progress(30)
    api.wait_task(job, f.rows[0], "IN_PROGRESS")
    again.disconnect()
    third = device(f.rows[0])
    third.wait_push(within=15)
    third.inform("2.0.0")
    api.wait_task(job, f.rows[0], "SUCCEEDED")


def test_rate_zero_serves_only_who_asks(api, fleet):
    f = fleet(2, "1.0.0")
    fw = api.firmware(f.pk)
    job = api.job(fw, MaximumPerMinute=0)
    f.devices[0].no_push(3)
    answer = f.devices[0].get_firmware()
    assert answer["code"] == 200 and answer["data"]["version"] == "2.0.0" and answer["data"]["md5"] == fw.md5
    api.wait_task(job, f.rows[0], "NOTIFIED")
    assert api.task(job, f.rows[1])["TaskStatus"] == "QUEUED"
    assert f.devices[0].get_firmware(module="MCU")["data"] == {}


def test_deleted_device_loses_its_task(api, fleet):
    f = fleet(2, online=False)
    job = api.job(api.firmware(f.pk))
    wait_until(lambda: len(api.tasks(job)) == 2)
    api.must("DeleteDevice", ProductKey=f.pk, DeviceName=names(f.rows)[0])
    wait_until(lambda: [t["TaskStatus"] for t in api.tasks(job)].count("CANCELED") == 1)
    api.must("DeleteDevice", ProductKey=f.pk, DeviceName=names(f.rows)[1])
    wait_until(lambda: api.job_info(job)["JobStatus"] in ("CANCELED", "COMPLETED"))


# ---- making tasks ----

def test_making_resumes_after_a_kill(fresh_stack):
    from client import Client
    stack = fresh_stack
    api = Client(stack.endpoint, stack.ak, stack.sk)
    pk = api.product()
    stack.sql("insert into device (product_id, name, secret, created_ms) select (select id from product where "
              "product_key = %s), 'bulk' || g, '', 0 from generate_series(1, 60000) g", pk)
    fw = api.firmware(pk)
    job = api.job(fw)
    wait_until(lambda: stack.sql_one("select made_seq from job_run") > 0, 60)
    stack.kill_otad()
    made = stack.sql_one("select made_seq from job_run")
    stack.start_otad()
    wait_until(lambda: stack.sql_one("select making from job_run") == 3, 60)
    assert stack.sql("select made_seq, n_queued, chosen from job_run") == [(60000, 60000, 60000)]
    assert stack.sql_one("select count(*) from active_task") == 60000
    assert made <= 60000
    body = api.must("ListOTATaskByJob", JobId=job, PageSize=1)
    assert body["Total"] == 60000
    api.must("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True)
    assert api.must("ListOTATaskByJob", JobId=job, PageSize=1, TaskStatus="CANCELED")["Total"] == 60000
    assert api.job_info(job)["JobStatus"] == "CANCELED"
    wait_until(lambda: stack.sql_one("select count(*) from active_task") == 0, 60)
    assert stack.sql_one("select count(*) from task where state = 7") == 60000
