# SPDX-License-Identifier: Apache-2.0
"""Every parameter rule of the calls that create jobs (api §5, §11.9): the bad request is refused with its code
and leaves nothing behind, then its good twin is accepted. The devices are offline: nothing is pushed."""
import uuid

import pytest

from client import Client, now_ms

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
F = "iot.firmware."
FORMAT = "iot.common.InvalidFormattedParameter"


class World:
    """A product with three devices and a package that needs no verification."""

    def __init__(self, api):
        self.api = api
        self.pk = api.product()
        self.names = [api.device(self.pk)["DeviceName"] for _ in range(3)]
        self.fw = api.firmware(self.pk)

    def params(self, **more):
        return {"FirmwareId": self.fw.id, "ProductKey": self.pk, "TargetSelection": "ALL", **more}

    def jobs(self):
        return self.api.must("ListOTAJobByFirmware", FirmwareId=self.fw.id, CurrentPage=1, PageSize=200)["Total"]

    def refused(self, code, **more):
        before = self.jobs()
        answer = self.api.refused("CreateOTAStaticUpgradeJob", code, self.params(**more))
        gateway = not code.startswith("iot.")
        assert answer.status == (400 if gateway else 200)
        assert self.jobs() == before
        return answer

    def accepted(self, **more):
        before = self.jobs()
        data = self.api.must("CreateOTAStaticUpgradeJob", self.params(**more))["Data"]
        assert self.jobs() == before + 1
        return self.api.job_info(data["JobId"])


@pytest.fixture(scope="module")
def w(api):
    return World(api)


# ---- presence and conversion come before everything else ----

@pytest.mark.parametrize("name", ["FirmwareId", "ProductKey", "TargetSelection"])
@pytest.mark.parametrize("value", [None, ""])
def test_mandatory(w, name, value):
    answer = w.refused("Missing" + name, **{name: value})
    assert answer.message == f"{name} is mandatory for this action."


@pytest.mark.parametrize("name", ["ScheduleTime", "ScheduleFinishTime", "RetryInterval", "RetryCount",
                                  "TimeoutInMinutes", "MaximumPerMinute", "OverwriteMode"])
@pytest.mark.parametrize("value", ["abc", "1.5", "1e3", " 5", "99999999999999999999"])
def test_numbers(w, name, value):
    w.refused("Invalid" + name, **{name: value})


@pytest.mark.parametrize("name", ["RetryInterval", "MaximumPerMinute", "TimeoutInMinutes"])
def test_integers_have_32_bits(w, name):
    w.refused("Invalid" + name, **{name: 2**31})


@pytest.mark.parametrize("name", ["NeedPush", "NeedConfirm", "MultiModuleMode"])
def test_booleans(w, name):
    w.refused("Invalid" + name, **{name: "yes"})
    assert w.accepted(**{name: "True"})[name] is True
    assert w.accepted(**{name: "FALSE"})[name] is False


# ---- package and product ----

def test_package_and_product(w, api):
    other = World(api)
    w.refused(F + "FirmwareNotFound", FirmwareId="x" * 26)
    w.refused("iot.prod.NotExistedProduct", ProductKey="a1nothere00")
    w.refused(F + "FirmwareAndProductKeyMismatch", ProductKey=other.pk)
    w.accepted()


def test_unverified_package(w, api):
    fw = api.firmware(w.pk, "3.0.0", NeedToVerify=True)
    w.refused(F + "FirmwareNotVerified", FirmwareId=fw.id)


def test_first_offence_wins(w):
    """Order of api §11.9."""
    bad = {"ScheduleTime": 1, "RetryInterval": 7, "TimeoutInMinutes": 0, "MaximumPerMinute": -1, "OverwriteMode": 3,
           "DownloadProtocol": "FTP", "Tag": [{"Key": "!", "Value": "v"}]}
    codes = [(None, F + "FireTimeMustLargeThanCurrentTime"), ("ScheduleTime", F + "InvalidRetryInterval"),
             ("RetryInterval", F + "InvalidTimeoutSetting"), ("TimeoutInMinutes", F + "InvalidMaximumPerMinute"),
             ("MaximumPerMinute", F + "InvalidOverwriteMode"), ("OverwriteMode", FORMAT), ("DownloadProtocol", FORMAT),
             ("Tag", None)]
    for mended, code in codes:
        bad.pop(mended, None)
        if code:
            w.refused(code, **bad)
        else:
            w.accepted(**bad)


# ---- who ----

@pytest.mark.parametrize("value", ["all", "EVERYBODY", "ALL "])
def test_selection(w, value):
    w.refused(F + "InvalidTargetSelection", TargetSelection=value)


def test_specific_needs_one_list(w, api):
    url = api.name_list(w.names)
    w.refused(F + "NullTargetDeviceNames", TargetSelection="SPECIFIC")
    w.refused(F + "TargetDeviceNamesNotAllowed", TargetSelection="SPECIFIC", TargetDeviceName=w.names,
              DnListFileUrl=url)
    for selection in ({"TargetSelection": "ALL"}, {"TargetSelection": "GRAY", "GrayPercent": "50"}):
        w.refused(F + "TargetDeviceNamesNotAllowed", TargetDeviceName=w.names, **selection)
        w.refused(F + "TargetDeviceNamesNotAllowed", DnListFileUrl=url, **selection)
    w.accepted(TargetSelection="SPECIFIC", TargetDeviceName=w.names)
    w.accepted(TargetSelection="SPECIFIC", DnListFileUrl=url)


def test_names(w):
    a, b, _ = w.names
    w.refused(FORMAT, TargetSelection="SPECIFIC", TargetDeviceName=[a, b, a])
    answer = w.refused("iot.device.NotExistedDevice", TargetSelection="SPECIFIC", TargetDeviceName=[a, "nobody"])
    assert "nobody" in answer.message
    w.refused("iot.device.NotExistedDevice", TargetSelection="SPECIFIC", TargetDeviceName=[a.upper()])
    w.refused(F + "ParameterSizeExceedMax", TargetSelection="SPECIFIC",
              TargetDeviceName=[f"name{i}" for i in range(201)])
    w.refused("iot.device.NotExistedDevice", TargetSelection="SPECIFIC",
              TargetDeviceName=[f"name{i}" for i in range(200)])
    w.accepted(TargetSelection="SPECIFIC", TargetDeviceName=[a, b])


def test_devices_of_another_product(w, api):
    other = World(api)
    w.refused("iot.device.NotExistedDevice", TargetSelection="SPECIFIC", TargetDeviceName=[other.names[0]])


@pytest.mark.parametrize("text", [b"%a\n%b\n", b"%a\r\n%b", b"%a,%b", b"\xef\xbb\xbf%a\n%b", b"DeviceName\n%a\n%b\n",
                                  b" %a ,\n\n%b\n%a\n"])
def test_list_file_forms(w, api, text):
    content = text.replace(b"%a", w.names[0].encode()).replace(b"%b", w.names[1].encode())
    w.accepted(TargetSelection="SPECIFIC", DnListFileUrl=api.upload(content, "GenerateDeviceNameListURL"))


def test_list_file_refusals(w, api):
    def upload(content):
        return api.upload(content, "GenerateDeviceNameListURL")

    def refused(code, url):
        w.refused(code, TargetSelection="SPECIFIC", DnListFileUrl=url)

    refused("iot.device.NotExistedDevice", upload(f"{w.names[0]}\nnobody\n".encode()))
    refused(FORMAT, upload(b"\n,\n"))
    refused(FORMAT, upload(b"abc\xff\xfe"))
    refused(F + "ParameterSizeExceedMax", upload("\n".join(f"n{i}" for i in range(10_001)).encode()))
    refused(FORMAT, "http://elsewhere.example/ota/x.csv")
    refused(FORMAT, "nonsense")
    refused(FORMAT, api.must("GenerateDeviceNameListURL")["Data"]["FileUrl"])  # never uploaded
    refused(FORMAT, api.upload(b"%s\n" % w.names[0].encode()))  # a package, not a list


def test_list_file_repeats_are_one(w, api):
    url = api.name_list([w.names[0]] * 10_005)
    w.accepted(TargetSelection="SPECIFIC", DnListFileUrl=url)


# ---- versions ----

def test_src_versions(w):
    for selection in ({"TargetSelection": "SPECIFIC", "TargetDeviceName": w.names},
                      {"TargetSelection": "GROUP", "GroupId": "x", "GroupType": "LINK_PLATFORM"}):
        w.refused(F + "SrcVersionsNotAllowed", SrcVersion=["1.0.0"], **selection)
    w.refused(F + "SrcVersionsSizeExceedMax", SrcVersion=[f"1.{i}" for i in range(11)])
    w.refused(FORMAT, SrcVersion=["1.0.0", "1.0.1", "1.0.0"])
    w.refused(F + "SrcDestVersionMatched", SrcVersion=["1.0.0", "2.0.0"])
    for bad in ("1 0", "1/0", "v" * 65, "版本"):
        w.refused(F + "IncorrectFormattedSrcVersion", SrcVersion=[bad])
    # nobody has reported a version
    w.refused(F + "NoDeviceCanUpgrade", SrcVersion=["1.0.0"])


def test_lists_need_their_indices(fleet, api):
    """SrcVersion=1.0.0 is no list: passed over, it would let the job reach everybody."""
    f = fleet(1, "1.0.0", online=False)
    fw = api.firmware(f.pk)
    params = {"FirmwareId": fw.id, "ProductKey": f.pk, "TargetSelection": "ALL"}
    for name, told in (("SrcVersion", "SrcVersion"), ("srcVersion", "SrcVersion"), ("Tag", "Tag"),
                       ("TargetDeviceName", "TargetDeviceName"), ("TargetDeviceNames", "TargetDeviceName")):
        answer = api.call("CreateOTAStaticUpgradeJob", {**params, name: "1.0.0"})
        assert (answer.status, answer.code) == (400, "Invalid" + told), answer.text
    assert api.must("ListOTAJobByFirmware", FirmwareId=fw.id, CurrentPage=1, PageSize=10)["Total"] == 0
    assert api.must("CreateOTAStaticUpgradeJob", {**params, "SrcVersion": ""})["Data"]["JobId"]


def test_src_versions_are_echoed(fleet, api):
    f = fleet(1, "1.0.0", online=False)
    ten = ["1.0.0"] + [f"1.{i}" for i in range(9)]
    job = api.job(api.firmware(f.pk), SrcVersion=ten)
    assert api.job_info(job)["SrcVersions"]["SrcVersion"] == ten


# ---- gray ----

@pytest.mark.parametrize("percent, code", [
    (None, "NullGrayPercent"), ("", "NullGrayPercent"), ("abc", "BadlyFormattedGrayPercent"),
    ("33.3333", "BadlyFormattedGrayPercent"), ("1e1", "BadlyFormattedGrayPercent"), ("50%", "BadlyFormattedGrayPercent"),
    (".5", "BadlyFormattedGrayPercent"), ("5.", "BadlyFormattedGrayPercent"), ("0", "InvalidGrayPercent"),
    ("0.000", "InvalidGrayPercent"), ("-5", "InvalidGrayPercent"), ("100.001", "InvalidGrayPercent"),
    ("1000", "InvalidGrayPercent")])
def test_gray_percent(w, percent, code):
    w.refused(F + code, TargetSelection="GRAY", GrayPercent=percent)


@pytest.mark.parametrize("percent", ["0.001", "33.33", "33.333", "50", "50.00", "100", "100.000"])
def test_gray_percent_is_echoed(w, percent):
    assert w.accepted(TargetSelection="GRAY", GrayPercent=percent)["GrayPercent"] == percent


# ---- groups ----

def test_group(w, stack, api):
    def group(members):
        gid = api.must("CreateDeviceGroup", GroupName="g" + uuid.uuid4().hex[:16])["Data"]["GroupId"]
        api.must("BatchAddDeviceGroupRelations", GroupId=gid,
                 Device=[{"ProductKey": w.pk, "DeviceName": n} for n in members])
        return gid

    good = group(w.names[:1])
    instance = stack.sql_one("select i.instance_id from instance i join product p on p.instance_id = i.id"
                             " where p.product_key = %s", w.pk)
    dynamic = api.must("CreateDeviceDynamicGroup", IotInstanceId=instance, GroupName="g" + uuid.uuid4().hex[:16],
                       DynamicGroupExpression=f'product_key = "{w.pk}"')["Data"]["GroupId"]
    w.refused("iot.group.NullGroupId", TargetSelection="GROUP")
    w.refused(FORMAT, TargetSelection="GROUP", GroupId=good)
    w.refused(FORMAT, TargetSelection="GROUP", GroupId=good, GroupType="LINK_PLATFORM_DYNAMIC")
    w.refused("iot.group.NotExistedGroup", TargetSelection="GROUP", GroupId="nothere", GroupType="LINK_PLATFORM")
    w.refused("iot.group.NotExistedGroup", TargetSelection="GROUP", GroupId=dynamic, GroupType="LINK_PLATFORM")
    w.refused(F + "NoDeviceCanUpgrade", TargetSelection="GROUP", GroupId=group([]), GroupType="LINK_PLATFORM")
    info = w.accepted(TargetSelection="GROUP", GroupId=good, GroupType="LINK_PLATFORM")
    assert (info["TargetSelection"], info["GroupId"]) == ("GROUP", good)


# ---- when ----

@pytest.mark.parametrize("ahead, code", [(-10 * MINUTE, "FireTimeMustLargeThanCurrentTime"),
                                         (4 * MINUTE, "FireTimeTooShort"), (7 * DAY + HOUR, "FireTimeTooLate")])
def test_schedule(w, ahead, code):
    w.refused(F + code, ScheduleTime=now_ms() + ahead)


def test_schedule_is_ms(w):
    w.refused(F + "FireTimeMustLargeThanCurrentTime", ScheduleTime=(now_ms() + HOUR) // 1000)
    w.refused(F + "FireTimeTooLate", ScheduleTime=(now_ms() + HOUR) * 10)


@pytest.mark.parametrize("ahead", [6 * MINUTE, 7 * DAY - MINUTE])
def test_schedule_good(w, ahead):
    info = w.accepted(ScheduleTime=now_ms() + ahead)
    assert info["JobStatus"] == "PLANNED" and "UtcStartTime" not in info


@pytest.mark.parametrize("after, code", [(-MINUTE, "ScheduleFinishTimeEarlierThanStartTime"),
                                         (0, "ScheduleFinishTimeEarlierThanStartTime"),
                                         (59 * MINUTE, "ScheduleFinishTimeTooEarly"),
                                         (30 * DAY + MINUTE, "ScheduleFinishTimeTooLate")])
def test_finish(w, after, code):
    start = now_ms() + HOUR
    w.refused(F + code, ScheduleTime=start, ScheduleFinishTime=start + after)
    if after:  # without a schedule it is counted from now
        w.refused(F + code, ScheduleFinishTime=now_ms() + after)


@pytest.mark.parametrize("after", [HOUR, 30 * DAY])
def test_finish_good(w, after):
    start = now_ms() + HOUR
    info = w.accepted(ScheduleTime=start, ScheduleFinishTime=start + after)
    assert info["UtcScheduleFinishTime"].endswith(f".{(start + after) % 1000:03}Z")
    slack = MINUTE if after == HOUR else -MINUTE
    info = w.accepted(ScheduleFinishTime=now_ms() + after + slack)
    assert info["JobStatus"] != "PLANNED" and "UtcScheduleTime" not in info


# ---- retries, time limit, pace, overwriting ----

@pytest.mark.parametrize("interval", [-1, 1, 5, 15, 61, 1441])
def test_retry_interval(w, interval):
    w.refused(F + "InvalidRetryInterval", RetryInterval=interval, RetryCount=1)


@pytest.mark.parametrize("count", [-1, 0, 3, 4, 6])
def test_retry_count(w, count):
    w.refused(F + "InvalidRetryCount", RetryInterval=10, RetryCount=count)


def test_retry_goes_in_pairs(w):
    w.refused(F + "InvalidRetryCount", RetryInterval=10)
    w.refused(F + "InvalidRetryInterval", RetryCount=1)
    info = w.accepted()
    assert "RetryInterval" not in info and "RetryCount" not in info and "TimeoutInMinutes" not in info


@pytest.mark.parametrize("interval", [0, 10, 30, 60, 1440])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_retry_good(w, interval, count):
    info = w.accepted(RetryInterval=interval, RetryCount=count, TimeoutInMinutes=1)
    assert (info["RetryInterval"], info["RetryCount"], info["TimeoutInMinutes"]) == (interval, count, 1)


@pytest.mark.parametrize("minutes", [-1, 0, 1441])
def test_timeout(w, minutes):
    w.refused(F + "InvalidTimeoutSetting", TimeoutInMinutes=minutes)


@pytest.mark.parametrize("minutes", [1, 1440])
def test_timeout_good(w, minutes):
    assert w.accepted(TimeoutInMinutes=minutes)["TimeoutInMinutes"] == minutes


@pytest.mark.parametrize("rate", [-1, 1001, 2147483647])
def test_rate(w, rate):
    w.refused(F + "InvalidMaximumPerMinute", MaximumPerMinute=rate)


@pytest.mark.parametrize("rate", [0, 1, 1000])
def test_rate_good(w, rate):
    assert w.accepted(MaximumPerMinute=rate)["MaximumPerMinute"] == rate


@pytest.mark.parametrize("mode", [-1, 0, 3])
def test_overwrite(w, mode):
    w.refused(F + "InvalidOverwriteMode", OverwriteMode=mode)


def test_overwrite_good(w):
    w.refused(F + "InvalidOverwriteMode", OverwriteMode=2, MultiModuleMode=True)
    assert w.accepted(OverwriteMode=2)["OverwriteMode"] == 2
    assert w.accepted(OverwriteMode=1, MultiModuleMode=True)["MultiModuleMode"] is True


def test_download_protocol(w, api):
    for bad in ("FTP", "mqtt", "HTTP"):
        w.refused(FORMAT, DownloadProtocol=bad)
    assert w.accepted(DownloadProtocol="MQTT")["DownloadProtocol"] == "MQTT"
    assert w.accepted(DownloadProtocol="HTTPS")["DownloadProtocol"] == "HTTPS"
    large = api.firmware(w.pk, "4.0.0", content=b"\0" * (16 * 1024 * 1024 + 1))
    w.refused(FORMAT, FirmwareId=large.id, DownloadProtocol="MQTT")


# ---- tags ----

def tags(*pairs):
    return [{"Key": k, "Value": v} for k, v in pairs]


@pytest.mark.parametrize("bad", [
    tags(("k" * 31, "v")), tags(("a b", "v")), tags(("a-b", "v")), tags(("a_b", "v")), tags(("键", "v")),
    [{"Key": "k"}], [{"Value": "v"}], tags(("good", "v"), ("k", "v" * 129)), tags(("k", "中" * 129)),
    tags(*[(f"k{i}", "v") for i in range(11)])])
def test_tags(w, bad):
    w.refused(FORMAT, Tag=bad)


def test_tag_twice(w):
    w.refused("iot.ota.tag.KeyDuplicated", Tag=tags(("k", "1"), ("k2", "2"), ("k", "3")))


@pytest.mark.parametrize("good", [tags(("k" * 30, "v" * 128)), tags(("a.b.1", "中" * 128)),
                                  tags(*[(f"k{i}", f"v {i}") for i in range(10)])])
def test_tags_good(w, good):
    assert w.accepted(Tag=good)["Tags"]["OtaTagDTO"] == good


def test_tag_name_is_reported(w):
    answer = w.refused(FORMAT, Tag=tags(("good", "v"), ("b!d", "v")))
    assert "Tag.2.Key" in answer.message


# ---- nobody is left ----

def test_no_device(api):
    pk = api.product()
    fw = api.firmware(pk)
    params = {"FirmwareId": fw.id, "ProductKey": pk, "TargetSelection": "ALL"}
    api.refused("CreateOTAStaticUpgradeJob", F + "NoDeviceCanUpgrade", params)
    api.device(pk)
    api.must("CreateOTAStaticUpgradeJob", params)


def test_everybody_is_there_already(api, fleet, stack):
    f = fleet(2, "2.0.0", online=False)
    fw = api.firmware(f.pk)
    names = [r["DeviceName"] for r in f.rows]
    params = {"FirmwareId": fw.id, "ProductKey": f.pk}
    api.refused("CreateOTAStaticUpgradeJob", F + "NoDeviceCanUpgrade", {**params, "TargetSelection": "ALL"})
    api.refused("CreateOTAStaticUpgradeJob", F + "NoDeviceCanUpgrade",
                {**params, "TargetSelection": "SPECIFIC", "TargetDeviceName": names})
    late = api.device(f.pk)["DeviceName"]
    stack.sql("update device set disabled = true where name = %s", late)
    api.refused("CreateOTAStaticUpgradeJob", F + "NoDeviceCanUpgrade", {**params, "TargetSelection": "ALL"})
    api.refused("CreateOTAStaticUpgradeJob", F + "NoDeviceCanUpgrade",
                {**params, "TargetSelection": "SPECIFIC", "TargetDeviceName": [late]})
    stack.sql("update device set disabled = false where name = %s", late)
    job = api.must("CreateOTAStaticUpgradeJob",
                   {**params, "TargetSelection": "SPECIFIC", "TargetDeviceName": [*names, late]})["Data"]["JobId"]
    assert api.wait_task(job, late, "QUEUED")["DeviceName"] == late
    assert len(api.tasks(job)) == 1


# ---- differential packages ----

def test_differential(api, fleet):
    f = fleet(2, "1.0.0", online=False)
    silent = api.device(f.pk)["DeviceName"]
    fw = api.firmware(f.pk, Type=1, SrcVersion="1.0.0")
    other = api.firmware(f.pk, Type=1, SrcVersion="0.9.0")
    name = f.rows[0]["DeviceName"]

    def refused(code, firmware=fw, **more):
        api.refused("CreateOTAStaticUpgradeJob", code, {"FirmwareId": firmware.id, "ProductKey": f.pk, **more})

    refused(F + "MoreThanOneSrcVersion", TargetSelection="ALL", SrcVersion=["1.0.0", "1.0.1"])
    refused(F + "UpgradeSrcVersionMismatch", TargetSelection="ALL", SrcVersion=["1.0.1"])
    refused(F + "NonVersionedDeviceInArray", TargetSelection="SPECIFIC", TargetDeviceName=[silent])
    refused(F + "SrcVersionMismatch", other, TargetSelection="SPECIFIC", TargetDeviceName=[name])
    refused(F + "NoDeviceCanUpgrade", other, TargetSelection="ALL")
    api.job(fw, SrcVersion=["1.0.0"])
    # a file is filtered instead
    api.job(fw, TargetSelection="SPECIFIC", DnListFileUrl=api.name_list([name, silent]))


# ---- the other profile ----

def test_current_profile(w, stack, otad_default):
    stack.restart_otad(limits_profile="current")
    w.refused(F + "InvalidMaximumPerMinute", MaximumPerMinute=9)
    w.refused(F + "InvalidMaximumPerMinute", MaximumPerMinute=10_001)
    assert w.accepted(MaximumPerMinute=10_000)["MaximumPerMinute"] == 10_000
    assert w.accepted()["MaximumPerMinute"] == 10_000
    w.refused(F + "InvalidRetryInterval", RetryInterval=60, RetryCount=1, TimeoutInMinutes=60)
    w.accepted(RetryInterval=30, RetryCount=1, TimeoutInMinutes=60)
    w.accepted(RetryInterval=60, RetryCount=1)
    w.refused(FORMAT, Tag=tags(("k", "v" * 1025)))
    w.accepted(Tag=tags(("k", "v" * 1024)))
    w.refused(FORMAT, Tag=tags(*[(f"k{i}", "v" * 1023) for i in range(4)]))  # 4,100 characters in all
    w.accepted(Tag=tags(*[(f"k{i}", "v" * 1022) for i in range(4)]))


# ---- what QueryOTAJob echoes ----

def test_defaults_are_echoed(w):
    info = w.accepted()
    assert info["JobType"] == "UPGRADE_FIRMWARE" and info["SelectionType"] == "STATIC"
    assert info["TargetSelection"] == "ALL"
    assert info["MaximumPerMinute"] == 1000 and info["OverwriteMode"] == 1
    assert info["NeedPush"] is True and info["NeedConfirm"] is False and info["MultiModuleMode"] is False
    assert info["DownloadProtocol"] == "HTTPS" and info["DestVersion"] == "2.0.0"
    assert info["ProductKey"] == w.pk and info["FirmwareId"] == w.fw.id
    assert info["Tags"] == {"OtaTagDTO": []} and info["SrcVersions"] == {"SrcVersion": []}
    assert info["UtcStartTime"] == info["UtcCreate"]
    assert not {"GrayPercent", "GroupId", "UtcScheduleTime", "UtcScheduleFinishTime"} & set(info)


# ---- verification ----

def test_verification_rules(api):
    w = World(api)  # devices that no other job holds: the verification stays open
    fw = api.firmware(w.pk, "5.0.0", NeedToVerify=True)
    # a device that is busy with no other job, so that the verification stays in progress
    names = [api.devices(w.pk, 1)[0]["DeviceName"]]

    def params(**more):
        return {"FirmwareId": fw.id, "ProductKey": w.pk, "TargetDeviceName": names, **more}

    def refused(code, **more):
        api.refused("CreateOTAVerifyJob", code, params(**more))
        assert api.must("ListOTAJobByFirmware", FirmwareId=fw.id, CurrentPage=1, PageSize=10)["Total"] == 0
        assert api.must("QueryOTAFirmware", FirmwareId=fw.id)["FirmwareInfo"]["Status"] == 0

    refused("MissingTargetDeviceName", TargetDeviceName=None)
    refused(F + "FirmwareNotFound", FirmwareId="x")
    refused("iot.prod.NotExistedProduct", ProductKey="a1nothere00")
    refused(F + "ParameterSizeExceedMax", TargetDeviceName=[f"name{i}" for i in range(11)])
    refused(FORMAT, TargetDeviceName=names * 2)
    refused("iot.device.NotExistedDevice", TargetDeviceName=["nobody"])
    refused(F + "InvalidTimeoutSetting", TimeoutInMinutes=0)
    refused(FORMAT, Tag=tags(("!", "v")))
    api.refused("CreateOTAVerifyJob", F + "VerifyFirmwareFailed",
                {"FirmwareId": w.fw.id, "ProductKey": w.pk, "TargetDeviceName": names})
    # the vendor's sample spells it TargetDeviceNames
    job = api.must("CreateOTAVerifyJob", params(TargetDeviceName=None, TargetDeviceNames=names,
                                                TimeoutInMinutes=60))["Data"]["JobId"]
    info = api.job_info(job)
    assert (info["JobType"], info["TargetSelection"], info["TimeoutInMinutes"]) == ("VERIFY_FIRMWARE", "SPECIFIC", 60)
    api.refused("CreateOTAVerifyJob", F + "InProgressVerifyJobExisted", params())
    w.refused(F + "FirmwareNotVerified", FirmwareId=fw.id)


def test_verification_of_devices_that_have_it(api, fleet):
    f = fleet(1, "2.0.0", online=False)
    fw = api.firmware(f.pk, NeedToVerify=True)
    api.refused("CreateOTAVerifyJob", F + "DeviceWithDestinationVersionInArray",
                {"FirmwareId": fw.id, "ProductKey": f.pk, "TargetDeviceName": [f.rows[0]["DeviceName"]]})


def test_foreign_objects_look_absent(w, stack):
    """Another account's key sees neither package nor product."""
    account = "other" + uuid.uuid4().hex[:8]
    stack.otactl("account", "create", account)
    out = stack.otactl("key", "create", "--account", account, "--name", "other", "--role", "admin").stdout
    key = dict(line.split("=", 1) for line in out.split() if "=" in line)
    stranger = Client(stack.endpoint, key["AccessKeyId"], key["AccessKeySecret"])
    stranger.refused("CreateOTAStaticUpgradeJob", F + "FirmwareNotFound", w.params())
    stranger.refused("QueryOTAFirmware", F + "FirmwareNotFound", FirmwareId=w.fw.id)
    job = w.accepted()["JobId"]
    for action in ("QueryOTAJob", "ListOTATaskByJob"):
        stranger.refused(action, F + "InvalidOTAJobId", JobId=job)
    stranger.refused("CancelOTATaskByJob", F + "InvalidOTAJobId", JobId=job, CancelQueuedTask=True)
    assert w.api.job_info(job)["JobId"] == job
