# SPDX-License-Identifier: Apache-2.0
"""ListOTATaskByJob and ListOTAJobByFirmware: pages, filters, members, order (api §2.4, §5.6, §6.1)."""
import re

import pytest

from client import wait_until

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
