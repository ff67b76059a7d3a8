# SPDX-License-Identifier: Apache-2.0
"""The answer to a COMMIT is lost: nobody knows whether it happened. Calls are answered ServiceUnavailable and never
repeated, so their change is there once or not at all; the tick finds out, and pushes neither twice nor never."""
import os
import tempfile
import threading
import uuid
from dataclasses import dataclass

import pytest

from client import wait_until
from pg_proxy import PgProxy
from test_pace import arrivals
from test_takeover import Fleet

HOWS = ["before", "after", "late"]


@pytest.fixture(scope="module")
def proxy(stack):
    directory = tempfile.mkdtemp(prefix="pg.", dir=stack.dir)
    os.chmod(directory, 0o755)
    p = PgProxy(stack.pg_otad, directory)
    stack.restart_otad(database=p.conninfo)
    yield p
    stack.restart_otad()
    p.close()


@pytest.fixture(autouse=True)
def whole(stack, proxy):
    """Whatever was cut: numbers, events and rows agree in the end."""
    yield
    wait_until(lambda: not stack.broken(), 30, stack.broken)


# ---- calls ----

@dataclass
class Write:
    """A changing call, and a query that counts what it changes."""
    action: str
    params: dict
    count: str
    args: tuple


def writes(stack, api, device):
    pk = api.product()
    row, name, listed = api.device(pk), "n" + uuid.uuid4().hex[:16], "n" + uuid.uuid4().hex[:16]
    off = api.device(pk)
    fw = api.firmware(pk)
    url = api.upload(b"x" * 200)
    job = api.job(fw, TargetSelection="SPECIFIC", TargetDeviceName=[off["DeviceName"]])
    api.wait_task(job, off, "QUEUED")
    number = stack.sql_one("select max(j.id) from job j join product p on p.id = j.product_id where product_key = %s", pk)
    jobs = "select count(*) from job j join product p on p.id = j.product_id where product_key = %s and j.id > %s"
    in_product = "join product p on p.id = x.product_id where p.product_key = %s"
    yield Write("CreateProduct", {"ProductName": name, "NodeType": 0}, "select count(*) from product where name = %s",
                (name,))
    yield Write("RegisterDevice", {"ProductKey": pk, "DeviceName": name},
                f"select count(*) from device x {in_product} and x.name = %s", (pk, name))
    yield Write("BatchRegisterDevice", {"ProductKey": pk, "Count": 20},
                f"select count(*) from device_apply x {in_product}", (pk,))
    yield Write("CreateOTAFirmware", {"ProductKey": pk, "FirmwareName": name, "DestVersion": "7.0", "FirmwareUrl": url,
                                      "NeedToVerify": False},
                f"select count(*) from firmware x {in_product} and x.name = %s", (pk, name))
    yield Write("CreateOTAStaticUpgradeJob", {"ProductKey": pk, "FirmwareId": fw.id, "TargetSelection": "SPECIFIC",
                                              "TargetDeviceName": [row["DeviceName"]]}, jobs, (pk, number))
    yield Write("CancelOTATaskByJob", {"JobId": job, "CancelQueuedTask": True},
                "select count(*) from job_order where job_id = %s", (number,))
    yield Write("DeleteDevice", {"ProductKey": pk, "DeviceName": off["DeviceName"]},
                f"select count(*) from device_deleted x {in_product} and x.name = %s", (pk, off["DeviceName"]))


@pytest.mark.parametrize("how", HOWS)
def test_call_happens_once_or_not_at_all(stack, proxy, api, device, how):
    for w in writes(stack, api, device):
        def counted(w=w):
            return stack.sql_one(w.count, *w.args)
        audit = "select count(*) from audit where action = %s and result = 'OK'"
        before, audited = counted(), stack.sql_one(audit, w.action)
        cut = proxy.cut("otad api", how)
        answer = api.call(w.action, w.params)
        assert (answer.status, answer.code) == (503, "ServiceUnavailable"), (w.action, answer.text)
        cut.wait()
        change = 0 if how == "before" else 1
        assert counted() == before + change, w.action
        assert stack.sql_one(audit, w.action) == audited + change, w.action
        # it is not done behind the caller's back either, and the next call finds a consistent state
        again = api.call(w.action, w.params)
        once = {"RegisterDevice", "CreateProduct", "CreateOTAFirmware", "CancelOTATaskByJob", "DeleteDevice"}
        if how == "before" or w.action == "BatchRegisterDevice":
            assert again.ok, (w.action, again.text)
            assert counted() == before + change + 1
        elif w.action in once:
            assert not again.ok and again.status != 503, (w.action, again.text)
            assert counted() == before + 1


@pytest.mark.parametrize("how", HOWS)
def test_what_a_lost_commit_began_goes_its_way(stack, proxy, api, device, how):
    """The parts that a call wakes after its commit look by themselves."""
    pk = api.product()
    rows = [api.device(pk) for _ in range(2)]
    devices = [device(r) for r in rows]
    for d in devices:
        d.inform("1.0.0")
    wait_until(lambda: all(api.version_of(pk, d.name) == "1.0.0" for d in devices))
    fw = api.firmware(pk)
    cut = proxy.cut("otad api", how)
    params = {"FirmwareId": fw.id, "ProductKey": pk, "TargetSelection": "ALL"}
    assert api.call("CreateOTAStaticUpgradeJob", params).code == "ServiceUnavailable"
    cut.wait()
    jobs = api.must("ListOTAJobByFirmware", FirmwareId=fw.id, CurrentPage=1, PageSize=10)
    if how == "before":
        assert jobs["Total"] == 0
        for d in devices:
            d.no_push(1)
        return
    job = jobs["Data"]["SimpleOTAJobInfo"][0]["JobId"]
    with Fleet(devices, "2.0.0"):
        api.wait_job(job, "COMPLETED", 30)
    assert [len(d.pushes) for d in devices] == [1, 1]


# ---- the parts behind the calls ----

@pytest.mark.parametrize("how", HOWS)
def test_tasks_are_made_once(stack, proxy, api, how):
    pk = api.product()
    api.devices(pk, 300)
    fw = api.firmware(pk)
    cut = proxy.cut("otad maker", how, 2)  # choosing the candidates, or making the chunk
    job = api.job(fw)
    cut.wait(30)
    wait_until(lambda: api.must("ListOTATaskByJob", JobId=job)["Total"] == 300, 30)
    assert len({t["DeviceName"] for t in api.tasks(job)}) == 300
    proxy.cut("otad maker", how)
    api.must("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True)
    wait_until(lambda: stack.sql_one("select count(*) from job_order where not done") == 0, 30)


@pytest.mark.parametrize("how", HOWS)
def test_batch_makes_the_devices_that_were_asked_for(stack, proxy, api, how):
    pk = api.product()
    cut = proxy.cut("otad registrar", how)
    assert len(api.devices(pk, 120)) == 120
    cut.wait()
    assert stack.sql_one("select count(*) from device d join product p on p.id = d.product_id "
                         "where product_key = %s", pk) == 120


@pytest.mark.parametrize("how", HOWS)
def test_report_counts_once(stack, proxy, api, fleet, how):
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk), RetryInterval=10, RetryCount=1)
    d = f.devices[0]
    d.wait_push()
    d.progress(10)
    api.wait_task(job, d.name, "IN_PROGRESS")
    cut = proxy.cut("otad engine", how)
    d.progress(-1, "no room")
    cut.wait()
    failures = """select count(*) from task_event e join job j on j.id = e.job_id join product p on p.id = j.product_id
                  where p.product_key = %s and e.detail = 'no room'"""
    wait_until(lambda: stack.sql_one(failures, f.pk) == 1, 30)
    d.inform("2.0.0")
    api.wait_task(job, d.name, "SUCCEEDED", 30)
    assert stack.sql_one(failures, f.pk) == 1


@pytest.mark.parametrize("how", HOWS)
def test_push_is_neither_lost_nor_doubled(stack, proxy, api, fleet, how):
    f = fleet(1, "1.0.0")
    fw = api.firmware(f.pk)
    cut = proxy.cut("otad engine", how, 2)
    job = api.job(fw)
    f.devices[0].wait_push(within=30)
    cut.wait()
    f.devices[0].upgrade("2.0.0")
    api.wait_task(job, f.rows[0], "SUCCEEDED", 30)
    f.devices[0].no_push(1)
    assert len(f.devices[0].pushes) == 1


def test_campaign_over_many_lost_commits(stack, proxy, api, fleet):
    f = fleet(24, "1.0.0")
    over, cuts = threading.Event(), []

    def disturb():
        while not over.is_set():
            cut = proxy.cut("otad engine", HOWS[len(cuts) % 3])
            while not cut.done and not over.is_set():
                over.wait(0.02)
            cuts.append(cut)
            over.wait(0.3)
    disturber = threading.Thread(target=disturb)
    with Fleet(f.devices, "2.0.0"):
        job = api.job(api.firmware(f.pk), MaximumPerMinute=60)
        disturber.start()
        wait_until(lambda: {t["TaskStatus"] for t in api.tasks(job)} == {"SUCCEEDED"}, 240,
                   lambda: [t["TaskStatus"] for t in api.tasks(job)])
        over.set()
        disturber.join()
    proxy.cuts.clear()
    api.wait_job(job, "COMPLETED")
    assert sum(c.done for c in cuts) > 10
    assert [len(d.pushes) for d in f.devices] == [1] * 24  # what was not committed for sure was not handed over
    times = arrivals(f.devices)
    assert times[-1] - times[0] > 15, times  # a slot a second, of which those of one second are made up
