# SPDX-License-Identifier: Apache-2.0
"""Lists of jobs and tasks: pages, filters, members, order (api §2.4, §5.6, §5.7, §6.1, §6.2)."""
import re

import pytest

from client import now_ms, wait_until

F = "iot.firmware."
N = 25
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


class World:
    def __init__(self, api):
        self.api = api
        self.pk = api.product()
        self.rows = api.devices(self.pk, N)
        self.fw = api.firmware(self.pk)
        self.job = api.job(self.fw, TimeoutInMinutes=90)
        wait_until(lambda: api.must("ListOTATaskByJob", JobId=self.job)["Total"] == N)
        # the devices are held: every task of the second job fails at once
        self.lost = api.job(api.firmware(self.pk, "3.0.0"))
        api.wait_job(self.lost, "COMPLETED")


@pytest.fixture(scope="module")
def w(api):
    return World(api)


def rows(body):
    return body["Data"]["SimpleOTATaskInfo"]


# ---- tasks ----

def test_pages_hold_every_task_once_in_order_of_creation(w, api):
    seen = []
    for page, want in ((1, 10), (2, 10), (3, 5), (4, 0)):
        body = api.must("ListOTATaskByJob", JobId=w.job, CurrentPage=page, PageSize=10)
        assert (body["CurrentPage"], body["PageSize"], body["PageCount"], body["Total"]) == (page, 10, 3, N)
        assert len(rows(body)) == want
        seen += [t["DeviceName"] for t in rows(body)]
    assert sorted(seen) == sorted(r["DeviceName"] for r in w.rows)
    one = api.must("ListOTATaskByJob", JobId=w.job, PageSize=100)
    assert [t["DeviceName"] for t in rows(one)] == seen


def test_pages_by_default(w, api):
    body = api.must("ListOTATaskByJob", JobId=w.job)
    assert (body["CurrentPage"], body["PageSize"], len(rows(body))) == (1, 10, 10)


@pytest.mark.parametrize("page, size", [(0, 10), (-1, 10), (1, 0), (1, -5), (1, 101), (1001, 100), (100_001, 1)])
def test_pages_out_of_range(w, api, page, size):
    api.refused("ListOTATaskByJob", "iot.common.InvalidPageParams", JobId=w.job, CurrentPage=page, PageSize=size)


def test_last_page_allowed(w, api):
    assert rows(api.must("ListOTATaskByJob", JobId=w.job, CurrentPage=1000, PageSize=100)) == []


def test_members(w, api):
    t = rows(api.must("ListOTATaskByJob", JobId=w.job, PageSize=1))[0]
    device = next(r for r in w.rows if r["DeviceName"] == t["DeviceName"])
    assert (t["TaskStatus"], t["TaskDesc"], t["Progress"], t["Timeout"]) == ("QUEUED", "", "0.00", "90")
    assert (t["SrcVersion"], t["DestVersion"], t["JobId"], t["FirmwareId"]) == ("", "2.0.0", w.job, w.fw.id)
    assert (t["ProductKey"], t["IotId"]) == (w.pk, device["IotId"])
    assert t["ProductName"] and UTC.match(t["UtcCreate"]) and UTC.match(t["UtcModified"])
    assert re.fullmatch(r"[0-9A-Za-z]{20}01\d{4}", t["TaskId"])
    assert set(t) == {"TaskId", "TaskStatus", "TaskDesc", "Progress", "Timeout", "SrcVersion", "DestVersion", "JobId",
                      "FirmwareId", "ProductKey", "ProductName", "DeviceName", "IotId", "UtcCreate", "UtcModified"}
    ids = [t["TaskId"] for t in api.tasks(w.job)]
    assert len(set(ids)) == N
    assert rows(api.must("ListOTATaskByJob", JobId=w.lost, PageSize=1))[0]["Timeout"] == ""


def test_status_filter(w, api):
    failed = api.must("ListOTATaskByJob", JobId=w.lost, TaskStatus="FAILED", CurrentPage=2, PageSize=20)
    assert (failed["Total"], failed["PageCount"], len(rows(failed))) == (N, 2, N - 20)
    assert all(w.job in t["TaskDesc"] for t in rows(failed))
    first = api.must("ListOTATaskByJob", JobId=w.lost, TaskStatus="FAILED", PageSize=20)
    everybody = {r["DeviceName"] for r in w.rows}
    assert {t["DeviceName"] for t in rows(first) + rows(failed)} == everybody
    for status in ("CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS", "SUCCEEDED", "CANCELED"):
        none = api.must("ListOTATaskByJob", JobId=w.lost, TaskStatus=status)
        assert (none["Total"], none["PageCount"], rows(none)) == (0, 0, [])
    for bad in ("queued", "DONE"):
        api.refused("ListOTATaskByJob", F + "InvalidTaskStatus", JobId=w.job, TaskStatus=bad)


def test_status_filter_sees_a_bulk_order_at_once(api):
    pk = api.product()
    api.devices(pk, 30)
    job = api.job(api.firmware(pk))
    wait_until(lambda: api.must("ListOTATaskByJob", JobId=job)["Total"] == 30)
    api.must("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True)
    assert api.must("ListOTATaskByJob", JobId=job, TaskStatus="QUEUED")["Total"] == 0
    body = api.must("ListOTATaskByJob", JobId=job, TaskStatus="CANCELED", CurrentPage=3, PageSize=10)
    assert body["Total"] == 30 and len(rows(body)) == 10


def test_names(w, api):
    names = [r["DeviceName"] for r in w.rows[:12]]
    body = api.must("ListOTATaskByJob", JobId=w.job, DeviceNames=[*names, "stranger"], CurrentPage=9, PageSize=1)
    assert sorted(t["DeviceName"] for t in rows(body)) == sorted(names)
    assert body["Total"] == 12 and body["PageCount"] == 1
    api.refused("ListOTATaskByJob", F + "ParameterSizeExceedMax", JobId=w.job,
                DeviceNames=[f"name{i}" for i in range(51)])
    none = api.must("ListOTATaskByJob", JobId=w.job, DeviceNames=names, TaskStatus="FAILED")
    assert (none["Total"], rows(none)) == (0, [])
    lost = api.must("ListOTATaskByJob", JobId=w.lost, DeviceNames=names, TaskStatus="FAILED")
    assert lost["Total"] == 12


def test_unknown_job(api):
    for action in ("ListOTATaskByJob", "QueryOTAJob"):
        api.refused(action, "MissingJobId")
        api.refused(action, F + "InvalidOTAJobId", JobId="x" * 26)


def test_xml(w, api):
    answer = api.call("ListOTATaskByJob", JobId=w.job, PageSize=2, format="XML")
    assert answer.xml.tag == "ListOTATaskByJobResponse"
    assert [e.tag for e in answer.xml.find("Data")] == ["SimpleOTATaskInfo"] * 2


# ---- jobs ----

def test_jobs_of_a_package(api, fleet):
    f = fleet(1, online=False)
    fw = api.firmware(f.pk)
    made = [api.job(fw, Tag=[{"Key": "n", "Value": str(i)}]) for i in range(5)]
    listed = []
    for page, want in ((1, 2), (2, 2), (3, 1), (4, 0)):
        body = api.must("ListOTAJobByFirmware", FirmwareId=fw.id, CurrentPage=page, PageSize=2)
        assert (body["CurrentPage"], body["PageSize"], body["PageCount"], body["Total"]) == (page, 2, 3, 5)
        got = body["Data"]["SimpleOTAJobInfo"]
        assert len(got) == want
        listed += got
    assert [j["JobId"] for j in listed] == made[::-1]  # newest first
    j = listed[-1]
    assert (j["JobType"], j["SelectionType"], j["TargetSelection"]) == ("UPGRADE_FIRMWARE", "STATIC", "ALL")
    assert (j["FirmwareId"], j["ProductKey"], j["Tags"]) == (fw.id, f.pk, {"OtaTagDTO": [{"Key": "n", "Value": "0"}]})
    assert UTC.match(j["UtcCreate"]) and UTC.match(j["UtcModified"]) and UTC.match(j["UtcStartTime"])
    assert "UtcEndTime" not in j and "MaximumPerMinute" not in j


@pytest.mark.parametrize("page, size", [(0, 10), (1, 0), (1, 201)])
def test_jobs_pages_out_of_range(w, api, page, size):
    api.refused("ListOTAJobByFirmware", "iot.common.InvalidPageParams", FirmwareId=w.fw.id, CurrentPage=page,
                PageSize=size)


def test_jobs_refusals(w, api):
    for name in ("FirmwareId", "CurrentPage", "PageSize"):
        params = {"FirmwareId": w.fw.id, "CurrentPage": 1, "PageSize": 10, name: None}
        api.refused("ListOTAJobByFirmware", "Missing" + name, params)
    api.refused("ListOTAJobByFirmware", F + "FirmwareNotFound", FirmwareId="x" * 26, CurrentPage=1, PageSize=10)
    other = api.firmware(w.pk, "9.9.9")
    body = api.must("ListOTAJobByFirmware", FirmwareId=other.id, CurrentPage=1, PageSize=10)
    assert (body["Total"], body["PageCount"], body["Data"]) == (0, 0, {"SimpleOTAJobInfo": []})


# ---- by device ----

def jobs_of(api, fw, pk, name, page=1, size=100):
    return api.must("ListOTAJobByDevice", FirmwareId=fw.id, ProductKey=pk, DeviceName=name, CurrentPage=page,
                    PageSize=size)


def test_jobs_of_a_device(api, fleet):
    f = fleet(2, online=False)
    one, other = [r["DeviceName"] for r in f.rows]
    fw = api.firmware(f.pk)
    made = [api.job(fw, TargetSelection="SPECIFIC", TargetDeviceName=[one], Tag=[{"Key": "n", "Value": str(i)}])
            for i in range(3)]
    both = api.job(fw, ScheduleTime=now_ms() + 3_600_000)
    elsewhere = api.job(api.firmware(f.pk, "3.0.0"))
    for job in (*made, both, elsewhere):
        wait_until(lambda job=job: api.must("ListOTATaskByJob", JobId=job)["Total"] > 0)
    listed = []
    for page, want in ((1, 3), (2, 1), (3, 0)):
        body = jobs_of(api, fw, f.pk, one, page, 3)
        assert (body["CurrentPage"], body["PageSize"], body["PageCount"], body["Total"]) == (page, 3, 2, 4)
        got = body["Data"]["SimpleOTAJobInfo"]
        assert len(got) == want
        listed += got
    assert [j["JobId"] for j in listed] == [both, *made[::-1]]  # newest first
    assert listed[0]["JobStatus"] == "PLANNED"
    everything = {j["JobId"]: j for j in api.must("ListOTAJobByFirmware", FirmwareId=fw.id, CurrentPage=1,
                                                  PageSize=200)["Data"]["SimpleOTAJobInfo"]}
    assert all(j == everything[j["JobId"]] for j in listed)
    assert [j["JobId"] for j in jobs_of(api, fw, f.pk, other)["Data"]["SimpleOTAJobInfo"]] == [both]
    empty = jobs_of(api, api.firmware(f.pk, "4.0.0"), f.pk, one)
    assert (empty["Total"], empty["PageCount"], empty["Data"]) == (0, 0, {"SimpleOTAJobInfo": []})


def test_jobs_of_a_device_refused(w, api):
    good = {"FirmwareId": w.fw.id, "ProductKey": w.pk, "DeviceName": w.rows[0]["DeviceName"], "CurrentPage": 1,
            "PageSize": 10}
    for n in good:
        api.refused("ListOTAJobByDevice", "Missing" + n, {**good, n: None})
    for bad in ({"CurrentPage": 0}, {"PageSize": 0}, {"PageSize": 101}):
        api.refused("ListOTAJobByDevice", "iot.common.InvalidPageParams", {**good, **bad})
    api.refused("ListOTAJobByDevice", F + "FirmwareNotFound", {**good, "FirmwareId": "x" * 26})
    api.refused("ListOTAJobByDevice", "iot.prod.NotExistedProduct", {**good, "ProductKey": "a1nothere00"})
    api.refused("ListOTAJobByDevice", F + "FirmwareAndProductKeyMismatch", {**good, "ProductKey": api.product()})
    api.refused("ListOTAJobByDevice", "iot.device.NotExistedDevice", {**good, "DeviceName": "nothere"})
    api.must("ListOTAJobByDevice", good)


def unfinished(api, row, **filters):
    return api.must("ListOTAUnfinishedTaskByDevice", ProductKey=row["ProductKey"], DeviceName=row["DeviceName"],
                    **filters)["Data"]["SimpleOTATaskInfo"]


def test_unfinished_tasks_of_a_device(api, fleet):
    f = fleet(1, "1.0.0")
    (row,), (d,) = f.rows, f.devices
    assert unfinished(api, row) == []
    jobs = {}
    for module, more in (("default", {}), ("mcu", {"NeedConfirm": True}), ("wifi", {"NeedPush": False})):
        if module != "default":
            api.must("CreateOTAModule", ProductKey=f.pk, ModuleName=module)
        fw = api.firmware(f.pk, ModuleName=module)
        jobs[module] = (api.job(fw, MultiModuleMode=True, **more), fw)
    d.wait_push()
    d.progress(5)
    for module, status in (("default", "IN_PROGRESS"), ("mcu", "CONFIRM"), ("wifi", "QUEUED")):
        api.wait_task(jobs[module][0], row, status)
    listed = unfinished(api, row)
    assert [(t["ModuleName"], t["TaskStatus"]) for t in listed] == \
        [("wifi", "QUEUED"), ("mcu", "CONFIRM"), ("default", "IN_PROGRESS")]  # newest first
    for t in listed:
        job, fw = jobs[t["ModuleName"]]
        whole = api.task(job, row)
        assert {k: v for k, v in t.items() if k != "ModuleName"} == \
            {k: v for k, v in whole.items() if k not in ("Progress", "TaskDesc", "Timeout")}
        assert (t["JobId"], t["FirmwareId"]) == (job, fw.id)

    def modules(**filters):
        return {t["ModuleName"] for t in unfinished(api, row, **filters)}
    assert modules(ModuleName="mcu") == {"mcu"} and modules(ModuleName="other") == set()
    assert modules(TaskStatus="QUEUED") == {"wifi"} and modules(TaskStatus="NOTIFIED") == set()
    assert modules(TaskStatusList=["CONFIRM", "IN_PROGRESS"]) == {"mcu", "default"}
    assert modules(TaskStatusList=["CONFIRM"], TaskStatus="QUEUED") == {"mcu"}  # the list wins
    assert modules(TaskStatus="CONFIRM", ModuleName="wifi") == set()
    by_id = api.must("ListOTAUnfinishedTaskByDevice", IotId=row["IotId"], ProductKey="a1nothere00", DeviceName="x")
    assert by_id["Data"]["SimpleOTATaskInfo"] == listed and set(by_id) == {"RequestId", "Success", "Data"}
    d.inform("2.0.0")
    wait_until(lambda: modules() == {"mcu", "wifi"})
    api.must("CancelOTATaskByJob", JobId=jobs["mcu"][0], CancelUnconfirmedTask=True)
    assert modules() == {"wifi"}  # at once, before the order is written


def test_unfinished_tasks_refused(w, api):
    row = w.rows[0]
    for bad in ({"TaskStatus": "SUCCEEDED"}, {"TaskStatus": "queued"}, {"TaskStatusList": ["QUEUED", "FAILED"]}):
        api.refused("ListOTAUnfinishedTaskByDevice", F + "InvalidTaskStatus", {"IotId": row["IotId"], **bad})
    api.refused("ListOTAUnfinishedTaskByDevice", "iot.device.NotExistedDevice", ProductKey=w.pk, DeviceName="nothere")
    api.refused("ListOTAUnfinishedTaskByDevice", "iot.prod.NullProductKey")
    api.refused("ListOTAUnfinishedTaskByDevice", "iot.device.NullDeviceName", ProductKey=w.pk)
