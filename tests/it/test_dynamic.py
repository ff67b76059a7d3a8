# SPDX-License-Identifier: Apache-2.0
"""Dynamic jobs (api §5.3, §10.3, §10.6, §10.7): who gets a task now and later, and how they end."""
import threading
import uuid

import pytest

from client import Client, stays, wait_until
from mqtt_device import settle

F = "iot.firmware."
FORMAT = "iot.common.InvalidFormattedParameter"
MINUTE = 60


def dynamic(api, fw, src="1.0.0", **more):
    params = {"FirmwareId": fw.id, "ProductKey": fw.pk, "SrcVersion": [src] if isinstance(src, str) else src, **more}
    return api.must("CreateOTADynamicUpgradeJob", params)["Data"]["JobId"]


def statuses(api, job, row):
    return [t["TaskStatus"] for t in api.tasks(job) if t["DeviceName"] == row["DeviceName"]]


def reported(api, d, version):
    d.inform(version)
    wait_until(lambda: api.version_of(d.pk, d.name) == version)


def looked_at(stack, fw):
    """Every report so far has been judged."""
    wait_until(lambda: stack.sql_one("select count(*) from strategy_check c join product p on p.id = c.product_id "
                                     "where p.product_key = %s", fw.pk) == 0)


# ---- the call ----

class World:
    def __init__(self, api):
        self.api = api
        self.pk = api.product()
        self.fw = api.firmware(self.pk)

    def params(self, **more):
        return {"FirmwareId": self.fw.id, "ProductKey": self.pk, "SrcVersion": ["1.0.0"], **more}

    def jobs(self, fw=None):
        return self.api.must("ListOTAJobByFirmware", FirmwareId=(fw or self.fw).id, CurrentPage=1, PageSize=200)["Total"]

    def refused(self, code, **more):
        before = self.jobs()
        answer = self.api.refused("CreateOTADynamicUpgradeJob", code, self.params(**more))
        assert answer.status == (200 if code.startswith("iot.") else 400)
        assert self.jobs() == before
        return answer

    def accepted(self, **more):
        """Created, shown, and its strategy ended again."""
        data = self.api.must("CreateOTADynamicUpgradeJob", self.params(**more))["Data"]
        info = self.api.job_info(data["JobId"])
        assert info["UtcCreate"] == data["UtcCreate"]
        self.api.must("CancelOTAStrategyByJob", JobId=data["JobId"])
        return info


@pytest.fixture(scope="module")
def w(api):
    return World(api)


@pytest.mark.parametrize("name", ["FirmwareId", "ProductKey"])
def test_mandatory(w, name):
    w.refused("Missing" + name, **{name: None})


@pytest.mark.parametrize("name", ["DynamicMode", "RetryInterval", "RetryCount", "TimeoutInMinutes", "MaximumPerMinute",
                                  "OverwriteMode", "NeedPush", "NeedConfirm", "MultiModuleMode"])
def test_conversion(w, name):
    w.refused("Invalid" + name, **{name: "x1"})


@pytest.mark.parametrize("params, code", [
    ({"FirmwareId": "x" * 26}, F + "FirmwareNotFound"),
    ({"ProductKey": "a1nothere00"}, "iot.prod.NotExistedProduct"),
    ({"SrcVersion": None}, F + "NullSrcVersions"),
    ({"GroupId": "g", "GroupType": "LINK_PLATFORM_DYNAMIC"}, F + "SrcVersionsNotAllowed"),
    ({"SrcVersion": [f"1.{i}" for i in range(11)]}, F + "SrcVersionsSizeExceedMax"),
    ({"SrcVersion": ["1 0"]}, F + "IncorrectFormattedSrcVersion"),
    ({"SrcVersion": ["1.0.0", "1.0.0"]}, FORMAT),
    ({"SrcVersion": ["2.0.0"]}, F + "SrcDestVersionMatched"),
    ({"SrcVersion": None, "GroupType": "LINK_PLATFORM_DYNAMIC"}, "iot.group.NullGroupId"),
    ({"SrcVersion": None, "GroupId": "g"}, FORMAT),
    ({"SrcVersion": None, "GroupId": "g", "GroupType": "LINK_PLATFORM"}, FORMAT),
    ({"SrcVersion": None, "GroupId": "g", "GroupType": "LINK_PLATFORM_DYNAMIC"}, "iot.group.NotExistedGroup"),
    ({"TargetSelection": "GRAY"}, F + "DynamicGrayNotSupported"),
    ({"TargetSelection": "SPECIFIC"}, F + "DynamicSpecificNotSupported"),
    ({"TargetSelection": "GROUP"}, F + "InvalidTargetSelection"),
    ({"RetryInterval": 60}, F + "InvalidRetryCount"),
    ({"RetryInterval": 7, "RetryCount": 1}, F + "InvalidRetryInterval"),
    ({"TimeoutInMinutes": 1441}, F + "InvalidTimeoutSetting"),
    ({"MaximumPerMinute": 1001}, F + "InvalidMaximumPerMinute"),
    ({"OverwriteMode": 3}, F + "InvalidOverwriteMode"),
    ({"OverwriteMode": 2, "MultiModuleMode": True}, F + "InvalidOverwriteMode"),
    ({"DynamicMode": 0}, F + "InvalidDynamicMode"),
    ({"DynamicMode": 3}, F + "InvalidDynamicMode"),
    ({"DownloadProtocol": "FTP"}, FORMAT),
    ({"Tag": [{"Key": "!", "Value": "v"}]}, FORMAT),
    ({"Tag": [{"Key": "k", "Value": "v"}, {"Key": "k", "Value": "w"}]}, "iot.ota.tag.KeyDuplicated"),
])
def test_refusals(w, params, code):
    w.refused(code, **params)


def test_first_offence_wins(w):
    bad = {"TargetSelection": "GRAY", "SrcVersion": ["2.0.0"], "RetryInterval": 7, "TimeoutInMinutes": 0,
           "MaximumPerMinute": -1, "OverwriteMode": 3, "DynamicMode": 3, "DownloadProtocol": "FTP"}
    for mended, code in [(None, F + "DynamicGrayNotSupported"), ("TargetSelection", F + "SrcDestVersionMatched"),
                         ("SrcVersion", F + "InvalidRetryInterval"), ("RetryInterval", F + "InvalidTimeoutSetting"),
                         ("TimeoutInMinutes", F + "InvalidMaximumPerMinute"),
                         ("MaximumPerMinute", F + "InvalidOverwriteMode"), ("OverwriteMode", F + "InvalidDynamicMode"),
                         ("DynamicMode", FORMAT), ("DownloadProtocol", None)]:
        bad.pop(mended, None)
        if code:
            w.refused(code, **bad)
        else:
            w.accepted(**bad)


def test_defaults_and_echo(w):
    info = w.accepted()
    assert (info["JobStatus"], info["JobType"], info["SelectionType"], info["TargetSelection"]) == (
        "IN_PROGRESS", "UPGRADE_FIRMWARE", "DYNAMIC", "ALL")
    assert (info["DynamicMode"], info["OverwriteMode"], info["MaximumPerMinute"]) == (1, 1, 1000)
    assert info["NeedPush"] is True and info["NeedConfirm"] is False and info["MultiModuleMode"] is False
    assert "GroupId" not in info and "UtcEndTime" not in info and info["UtcStartTime"] == info["UtcCreate"]
    more = {"SrcVersion": ["1.0.0", "1.0.1"], "DynamicMode": 2, "RetryInterval": 30, "RetryCount": 2,
            "TimeoutInMinutes": 60, "MaximumPerMinute": 7, "OverwriteMode": 2, "NeedPush": False, "NeedConfirm": True,
            "DownloadProtocol": "MQTT", "TargetSelection": "ALL", "Tag": [{"Key": "site", "Value": "7"}]}
    info = w.accepted(**more)
    for name, value in more.items():
        shown = {"SrcVersion": lambda: info["SrcVersions"]["SrcVersion"], "Tag": lambda: info["Tags"]["OtaTagDTO"]}
        assert shown.get(name, lambda name=name: info[name])() == value


def test_differential_takes_its_own_source_version(api):
    pk = api.product()
    fw = api.firmware(pk, Type=1, SrcVersion="1.0.0")
    for src, code in ((["1.0.0", "1.0.1"], "MoreThanOneSrcVersion"), (["1.0.1"], "UpgradeSrcVersionMismatch")):
        api.refused("CreateOTADynamicUpgradeJob", F + code, FirmwareId=fw.id, ProductKey=pk, SrcVersion=src)
    dynamic(api, fw)


def test_a_package_has_one_at_a_time(stack, api, w):
    fw = api.firmware(w.pk, "3.0.0")
    before = w.jobs(fw)
    answers = []

    def create():
        c = Client(stack.endpoint, stack.ak, stack.sk)
        answers.append(c.call("CreateOTADynamicUpgradeJob", FirmwareId=fw.id, ProductKey=w.pk, SrcVersion=["1.0.0"]))
    threads = [threading.Thread(target=create) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(a.code or "" for a in answers) == [""] + [F + "InProgressDynamicJobExisted"] * 5
    assert w.jobs(fw) == before + 1
    job = next(a for a in answers if a.ok).body["Data"]["JobId"]
    api.must("CancelOTAStrategyByJob", JobId=job)
    dynamic(api, fw)
    dynamic(api, api.firmware(w.pk, "3.0.1"))  # another package of the same source version is welcome
    api.refused("DeleteOTAFirmware", F + "DeleteFirmwareFailure", FirmwareId=fw.id)


# ---- who gets a task ----

def test_mode_1_takes_what_matches_now_and_what_matches_later(stack, api, fleet, device):
    f = fleet(3, "1.0.0")
    online, off, other = f.devices
    off.disconnect()
    reported(api, other, "0.9.0")
    fw = api.firmware(f.pk)
    job = dynamic(api, fw)
    assert online.wait_push()["data"]["version"] == "2.0.0"
    wait_until(lambda: len(api.tasks(job)) == 2)
    assert statuses(api, job, f.rows[1]) == ["QUEUED"]
    other.inform("1.0.0")
    other.wait_push()
    t = api.wait_task(job, f.rows[2], "NOTIFIED")
    assert (t["SrcVersion"], t["DestVersion"]) == ("1.0.0", "2.0.0")
    late = api.device(f.pk)
    d = device(late)
    d.inform("1.0.1")
    looked_at(stack, fw)
    assert statuses(api, job, late) == []
    d.inform("1.0.0")
    d.wait_push()
    d.upgrade("2.0.0")
    assert api.wait_task(job, late, "SUCCEEDED")["SrcVersion"] == "1.0.0"
    d.inform("2.0.0")
    looked_at(stack, fw)
    assert len(api.tasks(job)) == 4
    assert api.job_info(job)["JobStatus"] == "IN_PROGRESS"


def test_mode_2_takes_only_what_reports_later(stack, api, fleet):
    f = fleet(2, "1.0.0")
    fw = api.firmware(f.pk)
    job = dynamic(api, fw, DynamicMode=2)
    stack.advance(11 * MINUTE)  # no look at everybody brings the others in
    f.devices[0].inform("1.0.0")  # the same again is a report
    f.devices[0].wait_push()
    looked_at(stack, fw)
    f.devices[1].no_push(1)
    assert [t["DeviceName"] for t in api.tasks(job)] == [f.rows[0]["DeviceName"]]


def test_the_newest_strategy_wins(stack, api, fleet):
    f = fleet(1)
    old, new = api.firmware(f.pk, "2.0.0"), api.firmware(f.pk, "3.0.0")
    older, newer = dynamic(api, old), dynamic(api, new)
    f.devices[0].inform("1.0.0")
    assert f.devices[0].wait_push()["data"]["version"] == "3.0.0"
    looked_at(stack, old)
    assert api.tasks(older) == []
    api.must("CancelOTAStrategyByJob", JobId=newer)
    f.devices[0].progress(-1, "no")
    api.wait_task(newer, f.rows[0], "FAILED")
    f.devices[0].inform("1.0.0")
    assert f.devices[0].wait_push(2)["data"]["version"] == "2.0.0"


def test_strategies_chain(api, fleet):
    f = fleet(1, "1.0.0")
    first = dynamic(api, api.firmware(f.pk, "2.0.0"), "1.0.0")
    second = dynamic(api, api.firmware(f.pk, "3.0.0"), "2.0.0")
    d = f.devices[0]
    d.wait_push()
    d.upgrade("2.0.0")
    assert d.wait_push(2)["data"]["version"] == "3.0.0"
    d.upgrade("3.0.0")
    api.wait_task(second, f.rows[0], "SUCCEEDED")
    assert statuses(api, first, f.rows[0]) == ["SUCCEEDED"]


def test_a_device_is_matched_ten_times_at_most(stack, api, fleet):
    f = fleet(1, "1.0.0")
    fw = api.firmware(f.pk)
    job = dynamic(api, fw)
    d = f.devices[0]
    for n in range(1, 11):
        d.wait_push(n)
        d.progress(-2, f"number {n}")
        wait_until(lambda n=n: statuses(api, job, f.rows[0]) == ["FAILED"] * n)
        d.inform("1.0.0")
    looked_at(stack, fw)
    d.no_push(1)
    assert len(api.tasks(job)) == 10
    assert len({t["TaskId"] for t in api.tasks(job)}) == 10


def test_other_modules_do_not_matter(stack, api, fleet):
    f = fleet(1, "1.0.0")
    api.must("CreateOTAModule", ProductKey=f.pk, ModuleName="MCU")
    fw = api.firmware(f.pk, ModuleName="MCU")
    job = dynamic(api, fw)
    f.devices[0].inform("1.0.0")
    looked_at(stack, fw)
    assert api.tasks(job) == []
    f.devices[0].inform("1.0.0", module="MCU")
    assert f.devices[0].wait_push()["data"]["module"] == "MCU"


def test_an_unfinished_task_is_left_in_peace(stack, api, fleet):
    f = fleet(2, "1.0.0")
    holder = api.job(api.firmware(f.pk, "1.5.0"))
    for d in f.devices:
        d.wait_push()
    fw = api.firmware(f.pk)
    job = dynamic(api, fw, OverwriteMode=1)
    for row in f.rows:  # what matches at the creation is judged like the candidates of any job
        assert holder in api.wait_task(job, row, "FAILED")["TaskDesc"]
    f.devices[0].inform("1.0.0")
    looked_at(stack, fw)
    assert statuses(api, job, f.rows[0]) == ["FAILED"]
    assert statuses(api, holder, f.rows[0]) == ["NOTIFIED"]
    f.devices[0].progress(-1, "no")
    api.wait_task(holder, f.rows[0], "FAILED")
    f.devices[0].inform("1.0.0")
    wait_until(lambda: statuses(api, job, f.rows[0]) == ["FAILED", "NOTIFIED"])


def test_overwriting_at_the_creation(api, fleet):
    f = fleet(1, "1.0.0")
    holder = api.job(api.firmware(f.pk, "1.5.0"))
    f.devices[0].wait_push()
    job = dynamic(api, api.firmware(f.pk), OverwriteMode=2)
    assert f.devices[0].wait_push(2)["data"]["version"] == "2.0.0"
    assert job in api.wait_task(holder, f.rows[0], "CANCELED")["TaskDesc"]


def test_need_confirm_applies_to_later_tasks_too(stack, api, fleet):
    f = fleet(1)
    job = dynamic(api, api.firmware(f.pk), NeedConfirm=True)
    f.devices[0].inform("1.0.0")
    api.wait_task(job, f.rows[0], "CONFIRM")
    assert f.devices[0].get_firmware()["data"] == {}
    assert stack.sql_one("select n_confirm from job_run r join job j on j.id = r.job_id join product p on "
                         "p.id = j.product_id where p.product_key = %s", f.pk) == 1


def test_disabled_devices_get_none(stack, api, fleet, device):
    f = fleet(1, "1.0.0", online=False)
    api.must("DisableThing", ProductKey=f.pk, DeviceName=f.rows[0]["DeviceName"])
    fw = api.firmware(f.pk)
    job = dynamic(api, fw)
    wait_until(lambda: stack.sql_one("select making from job_run r join job j on j.id = r.job_id join product p on "
                                     "p.id = j.product_id where p.product_key = %s", f.pk) == 3)
    assert api.tasks(job) == []
    api.must("EnableThing", ProductKey=f.pk, DeviceName=f.rows[0]["DeviceName"])
    d = device(f.rows[0])
    d.inform("1.0.0")
    d.wait_push()


def test_what_came_without_a_report_is_found_by_and_by(stack, api, fleet):
    """An import brings devices with their versions."""
    f = fleet(1, online=False)
    job = dynamic(api, api.firmware(f.pk))
    stack.sql("insert into device_module select d.id, 'default', '1.0.0', 0, null, 0 from device d where name = %s",
              f.rows[0]["DeviceName"])
    stack.advance(11 * MINUTE)
    api.wait_task(job, f.rows[0], "QUEUED")
    stack.advance(11 * MINUTE)
    stack.advance(11 * MINUTE)
    stays(lambda: len(api.tasks(job)) == 1, 1)


def test_reports_that_were_taken_are_judged_after_a_kill(otad_default, api, fleet):
    stack = otad_default
    f = fleet(20)
    fw = api.firmware(f.pk)
    job = dynamic(api, fw, NeedPush=False)
    for d in f.devices:
        d.inform("1.0.0")
    stack.kill_otad()
    stack.start_otad()
    wait_until(lambda: len(api.tasks(job)) == 20, 30)
    looked_at(stack, fw)
    assert sorted(t["DeviceName"] for t in api.tasks(job)) == sorted(r["DeviceName"] for r in f.rows)


# ---- by group ----

@pytest.fixture(scope="module")
def group(stack, api):
    """Makes a dynamic group -> its GroupId."""
    instance = stack.sql_one("select i.instance_id from instance i join access_key k using (account_id) "
                             "where i.is_default and k.key_id = %s", api.ak)

    def make(expression):
        return api.must("CreateDeviceDynamicGroup", IotInstanceId=instance, GroupName="g" + uuid.uuid4().hex[:12],
                        DynamicGroupExpression=expression)["Data"]["GroupId"]
    return make


def by_group(api, fw, gid, **more):
    return dynamic(api, fw, None, GroupId=gid, GroupType="LINK_PLATFORM_DYNAMIC", **more)


def test_a_group_is_followed(stack, api, fleet, device, group):
    f = fleet(1, "1.0.0")
    first = device(api.device(f.pk, "meter-0001"))
    gid = group(f'product_key = "{f.pk}" and name LIKE "meter%"')
    fw = api.firmware(f.pk)
    job = by_group(api, fw, gid)
    info = api.job_info(job)
    assert (info["SelectionType"], info["TargetSelection"], info["GroupId"]) == ("DYNAMIC", "ALL", gid)
    assert info["GroupName"] and info["SrcVersions"]["SrcVersion"] == []
    first.wait_push()  # its version is not known, and need not be
    row = api.device(f.pk, "meter-0002")  # a member from its registration on
    api.wait_task(job, row, "QUEUED")
    device(row).wait_push()
    f.devices[0].inform("1.0.0")
    looked_at(stack, fw)
    assert {t["DeviceName"] for t in api.tasks(job)} == {"meter-0001", "meter-0002"}
    first.upgrade("2.0.0")
    api.wait_task(job, "meter-0001", "SUCCEEDED")
    reported(api, first, "1.5.0")  # a member that needs it again
    first.wait_push(2)


def test_members_by_tag_and_by_status(stack, api, fleet, device, group):
    f = fleet(2, "1.0.0", online=False)
    tagged = group(f'product_key = "{f.pk}" and tags.site = "p7"')
    fw = api.firmware(f.pk)
    job = by_group(api, fw, tagged)

    def tag(row, site):
        stack.sql("insert into device_tags select id, jsonb_build_object('site', %s::text) from device where name = %s "
                  "on conflict (device_id) do update set tags = excluded.tags", site, row["DeviceName"])
    tag(f.rows[0], "p8")
    looked_at(stack, fw)
    assert api.tasks(job) == []
    tag(f.rows[0], "p7")
    api.wait_task(job, f.rows[0], "QUEUED")
    tag(f.rows[0], "p8")  # leaving the group does not touch the task
    looked_at(stack, fw)
    assert statuses(api, job, f.rows[0]) == ["QUEUED"]
    api.must("CancelOTAStrategyByJob", JobId=job)
    online = by_group(api, fw, group(f'product_key = "{f.pk}" and status = "ONLINE"'))
    looked_at(stack, fw)
    assert api.tasks(online) == []
    d = device(f.rows[1])
    d.wait_push()
    assert statuses(api, online, f.rows[1]) == ["NOTIFIED"]


def test_mode_2_of_a_group_waits_for_reports(stack, api, fleet, device, group):
    f = fleet(2, "1.0.0")
    gid = group(f'product_key = "{f.pk}"')
    fw = api.firmware(f.pk)
    job = by_group(api, fw, gid, DynamicMode=2)
    new = device(api.device(f.pk))
    stack.advance(11 * MINUTE)
    f.devices[0].inform("1.0.0")
    f.devices[0].wait_push()
    looked_at(stack, fw)
    assert len(api.tasks(job)) == 1
    new.inform("1.0.0")
    new.wait_push()


def test_jobs_of_a_group_agree_about_their_modes(api, group):
    pk = api.product()
    gid, other = group(f'product_key = "{pk}"'), group(f'product_key = "{pk}" and name LIKE "a%"')
    by_group(api, api.firmware(pk, "2.0.0"), gid, OverwriteMode=2)
    fw = api.firmware(pk, "3.0.0")
    params = {"FirmwareId": fw.id, "ProductKey": pk, "GroupId": gid, "GroupType": "LINK_PLATFORM_DYNAMIC"}
    for more in ({}, {"OverwriteMode": 1}, {"MultiModuleMode": True}):
        api.refused("CreateOTADynamicUpgradeJob", F + "InvalidOverwriteMode", params, **more)
    by_group(api, fw, gid, OverwriteMode=2)
    by_group(api, api.firmware(pk, "4.0.0"), other, MultiModuleMode=True)
    job = by_group(api, api.firmware(pk, "5.0.0"), other, MultiModuleMode=True)
    api.refused("UpdateOTAJob", F + "SrcVersionsNotAllowed", change(job, SrcVersionList=["1.0.0"]))


def test_differential_package_for_a_group(stack, api, fleet, group):
    f = fleet(1)
    fw = api.firmware(f.pk, Type=1, SrcVersion="1.0.0")
    job = by_group(api, fw, group(f'product_key = "{f.pk}"'))
    f.devices[0].inform("0.9.0")
    looked_at(stack, fw)
    assert api.tasks(job) == []
    f.devices[0].inform("1.0.0")
    assert f.devices[0].wait_push()["data"]["isDiff"] == 1


# ---- the end ----

def test_ending_the_strategy_leaves_the_tasks(stack, api, fleet, device):
    f = fleet(3, "1.0.0")
    runs, waits, new = f.devices
    reported(api, new, "0.9.0")
    waits.disconnect()
    fw = api.firmware(f.pk)
    job = dynamic(api, fw)
    runs.wait_push()
    runs.progress(10)
    api.wait_task(job, f.rows[0], "IN_PROGRESS")
    api.must("CancelOTAStrategyByJob", JobId=job)
    info = api.job_info(job)
    assert info["JobStatus"] == "CANCELED" and info["UtcEndTime"]
    api.refused("CancelOTAStrategyByJob", F + "JobAlreadyCanceled", JobId=job)
    new.inform("1.0.0")
    runs.inform("2.0.0")
    api.wait_task(job, f.rows[0], "SUCCEEDED")
    again = device(f.rows[1])
    again.wait_push()  # what there was goes on
    looked_at(stack, fw)
    assert statuses(api, job, f.rows[2]) == []
    api.must("CancelOTATaskByJob", JobId=job, CancelNotifiedTask=True)
    api.wait_task(job, f.rows[1], "CANCELED")
    api.refused("CancelOTATaskByJob", F + "JobAlreadyCanceled", JobId=job, CancelNotifiedTask=True)
    after = api.job_info(job)
    assert (after["JobStatus"], after["UtcEndTime"]) == ("CANCELED", info["UtcEndTime"])
    listed = api.must("ListOTAJobByFirmware", FirmwareId=fw.id, CurrentPage=1, PageSize=10)["Data"]["SimpleOTAJobInfo"]
    assert [j["JobStatus"] for j in listed] == ["CANCELED"]
    assert stack.sql_one("select count(*) from live_job l join job j on j.id = l.job_id join product p on "
                         "p.id = j.product_id where p.product_key = %s", f.pk) == 0


def test_only_dynamic_jobs_have_a_strategy(api, fleet):
    f = fleet(1, online=False)
    api.refused("CancelOTAStrategyByJob", F + "NotDynamicJob", JobId=api.job(api.firmware(f.pk)))
    api.refused("CancelOTAStrategyByJob", F + "InvalidOTAJobId", JobId="x")


def test_cancelling_tasks_leaves_the_strategy(stack, api, fleet):
    f = fleet(2, "1.0.0", online=False)
    fw = api.firmware(f.pk)
    job = dynamic(api, fw)
    wait_until(lambda: len(api.tasks(job)) == 2)
    api.must("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True, CancelNotifiedTask=True, CancelInProgressTask=True)
    assert {t["TaskStatus"] for t in api.tasks(job)} == {"CANCELED"}
    assert api.job_info(job)["JobStatus"] == "IN_PROGRESS"
    d = f.devices[0].connect()
    d.inform("1.0.0")
    d.wait_push()
    assert statuses(api, job, f.rows[0]) == ["CANCELED", "NOTIFIED"]  # the old order does not concern it
    wait_until(lambda: stack.sql_one("select count(*) from job_order where not done") == 0, 30)
    assert statuses(api, job, f.rows[0]) == ["CANCELED", "NOTIFIED"]
    d.disconnect()


def test_the_tool_ends_both(stack, api, fleet):
    f = fleet(1, "1.0.0")
    job = dynamic(api, api.firmware(f.pk))
    f.devices[0].wait_push()
    stack.otactl("job", "cancel", job)
    assert api.job_info(job)["JobStatus"] == "CANCELED"
    api.wait_task(job, f.rows[0], "CANCELED")
    assert "CANCELED" in stack.otactl("job", "show", job).stdout
    api.refused("CancelOTAStrategyByJob", F + "JobAlreadyCanceled", JobId=job)


# ---- UpdateOTAJob ----

def change(job, **more):
    return {"JobId": job, "UpgradeType": "DYNAMIC", "TargetSelection": "ALL", "MaximumPerMinute": 1000, **more}


def test_update_refusals(api, fleet):
    f = fleet(1, online=False)
    fw = api.firmware(f.pk)
    job = dynamic(api, fw)
    static = api.job(api.firmware(f.pk, "3.0.0"), MaximumPerMinute=5)

    def refused(code, **more):
        api.refused("UpdateOTAJob", code, change(job, **more))
    for name in ("JobId", "UpgradeType", "TargetSelection", "MaximumPerMinute"):
        refused("Missing" + name, **{name: None})
    refused(F + "InvalidOTAJobId", JobId="x")
    refused(F + "InvalidSelectionType", UpgradeType="STATIC")
    refused(F + "InvalidSelectionType", JobId=static)
    refused(F + "InvalidTargetSelection", TargetSelection="GRAY")
    refused(F + "InvalidMaximumPerMinute", MaximumPerMinute=1001)
    refused(F + "InvalidTimeoutSetting", TimeoutInMinutes=0)
    refused(F + "SrcDestVersionMatched", SrcVersionList=["2.0.0"])
    refused(F + "SrcVersionsSizeExceedMax", SrcVersionList=[f"1.{i}" for i in range(11)])
    assert "SrcVersionList" in api.refused("UpdateOTAJob", FORMAT, change(job, SrcVersionList=["1", "1"])).message
    assert "Tags.1.Key" in api.refused("UpdateOTAJob", FORMAT, change(job, Tags=[{"Key": "!", "Value": "v"}])).message
    refused("iot.ota.tag.KeyDuplicated", Tags=[{"Key": "k", "Value": "v"}] * 2)
    refused(F + "SrcVersionsNotAllowed", JobId=static, UpgradeType="STATIC", SrcVersionList=["1.0.0"])
    assert api.job_info(job)["SrcVersions"]["SrcVersion"] == ["1.0.0"]
    api.must("CancelOTAStrategyByJob", JobId=job)
    refused(F + "JobAlreadyCanceled")
    api.must("UpdateOTAJob", change(static, UpgradeType="STATIC", MaximumPerMinute=7, TimeoutInMinutes=9))
    info = api.job_info(static)
    assert info["MaximumPerMinute"] == 7 and "TimeoutInMinutes" not in info  # a static job keeps its time limit


def test_update_applies_to_what_comes_after_it(stack, api, fleet):
    f = fleet(2)
    first, second = f.devices
    fw = api.firmware(f.pk)
    job = dynamic(api, fw, TimeoutInMinutes=60, Tag=[{"Key": "old", "Value": "1"}, {"Key": "both", "Value": "1"}])
    first.inform("1.0.0")
    assert first.wait_push()["data"]["extData"] == {"old": "1", "both": "1"}
    api.must("UpdateOTAJob", change(job, TimeoutInMinutes=10, MaximumPerMinute=77, SrcVersionList=["1.0.0", "1.0.1"],
                                    Tags=[{"Key": "new", "Value": "2"}]))
    info = api.job_info(job)
    assert (info["TimeoutInMinutes"], info["MaximumPerMinute"]) == (10, 77)
    assert info["SrcVersions"]["SrcVersion"] == ["1.0.0", "1.0.1"]
    assert info["Tags"]["OtaTagDTO"] == [{"Key": "new", "Value": "2"}]
    second.inform("1.0.1")
    assert second.wait_push()["data"]["extData"] == {"new": "2"}
    assert first.get_firmware()["data"]["extData"] == {"new": "2"}
    assert [api.task(job, row)["Timeout"] for row in f.rows] == ["60", "10"]
    for d in f.devices:
        d.progress(1)
    for row in f.rows:
        api.wait_task(job, row, "IN_PROGRESS")
    stack.advance(11 * MINUTE)
    assert api.wait_task(job, f.rows[1], "FAILED")["TaskDesc"] == "timeout"
    assert statuses(api, job, f.rows[0]) == ["IN_PROGRESS"]
    stack.advance(50 * MINUTE)
    api.wait_task(job, f.rows[0], "FAILED")
    api.must("UpdateOTAJob", change(job))
    info = api.job_info(job)
    assert info["TimeoutInMinutes"] == 10 and info["Tags"]["OtaTagDTO"] == []  # tags not sent again are gone


def test_new_source_versions_find_who_has_them(api, fleet):
    f = fleet(2, "1.0.1", online=False)
    job = dynamic(api, api.firmware(f.pk), "1.0.0")
    api.must("UpdateOTAJob", change(job, SrcVersionList=["1.0.1"]))
    wait_until(lambda: len(api.tasks(job)) == 2)


@pytest.mark.parametrize("kind", ["STATIC", "DYNAMIC"])
def test_a_lower_rate_holds_from_the_answer_on(api, fleet, kind):
    f = fleet(40, "1.0.0")
    fw = api.firmware(f.pk)
    job = api.job(fw, MaximumPerMinute=120) if kind == "STATIC" else dynamic(api, fw, MaximumPerMinute=120)

    def got():
        return sum(len(d.pushes) for d in f.devices)
    wait_until(lambda: got() >= 5, 20)
    api.must("UpdateOTAJob", change(job, UpgradeType=kind, MaximumPerMinute=1))
    n = settle(f.devices)
    stays(lambda: got() == n, 4)
    assert n < 40
    api.must("UpdateOTAJob", change(job, UpgradeType=kind, MaximumPerMinute=1000))
    wait_until(lambda: got() == 40, 20)


def test_raising_the_rate_from_zero_starts_the_pushes(api, fleet):
    f = fleet(2, "1.0.0")
    job = dynamic(api, api.firmware(f.pk), MaximumPerMinute=0)
    wait_until(lambda: len(api.tasks(job)) == 2)
    f.devices[0].no_push(1)
    api.must("UpdateOTAJob", change(job))
    for d in f.devices:
        d.wait_push()
