# SPDX-License-Identifier: Apache-2.0
"""What every action refuses: a world with an object for each case, a good request of every action in it, the values that
a parameter must not have, and the requests that provoke the documented errors."""
import uuid

from client import now_ms, wait_until
from mqtt_device import MqttDevice

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
FORMAT = "iot.common.InvalidFormattedParameter"
TOO_LONG = "iot.firmware.ParameterSizeExceedMax"
GARBLED = "InvalidParameter.Format"

# Errors whose making takes a stack, a clock or a moment of their own: the test that has them.
ELSEWHERE = {
    ("CreateProduct", "iot.prod.ProductCountExceedMax"): "test_registry.py::test_product_count",
    ("BatchRegisterDeviceWithApplyId", "iot.device.CreateDeviceTaskIsRunning"):
        "test_device_batch.py::test_order_in_the_wrong_state",
    ("CreateDeviceGroup", "iot.group.GroupCountExceedMax"): "test_group.py::test_groups_of_an_account",
    ("CreateDeviceDynamicGroup", "iot.group.GroupCountExceedMax"): "test_group.py::test_groups_of_an_account",
    ("BatchAddDeviceGroupRelations", "iot.group.BindGroupRelationFailed"): "test_group.py::test_devices_of_a_group_are_limited",
    ("CreateOTAFirmware", "iot.firmware.FirmwareCountExceedMax"): "test_firmware.py::test_limit",
    ("CancelOTATaskByJob", "iot.firmware.CancelOTATaskByJobFailed"):
        "test_cancel.py::test_schedule_of_a_job_that_has_started",
    ("CancelOTATaskByDevice", "iot.firmware.SystemBusy"): "test_task_moves.py::test_by_device_before_the_tasks_are_made",
    ("ReupgradeOTATask", "iot.firmware.ReUpgradeFailedFirmwareNotVerified"):
        "test_task_moves.py::test_package_must_be_there_and_verified",
    ("ReupgradeOTATask", "iot.firmware.DeviceWithDestinationVersionInArray"):
        "test_task_moves.py::test_version_of_now_is_what_counts",
    ("ReupgradeOTATask", "iot.firmware.SrcVersionMismatch"):
        "test_task_moves.py::test_differential_package_needs_its_source_version_again",
}


def new(prefix="new_"):
    return prefix + uuid.uuid4().hex[:12]


class World:
    def __init__(self, stack, api, instance):
        self.api, self.instance = api, instance
        self.pk, self.other, self.empty = api.product(), api.product(), api.product()
        self.first, self.second, self.third, self.disabled, self.gone, self.blank = (
            api.device(self.pk, n) for n in ("first", "second", "third", "disabled", "gone", "blank"))
        api.device(self.pk, "bare")
        for row, version in ((self.first, "1.0.0"), (self.second, "1.5.0"), (self.third, "2.1.0"),
                             (self.disabled, "1.0.0"), (self.gone, "1.0.0"), (self.blank, "1.0.0")):
            device = MqttDevice(stack.broker, row).connect()
            device.inform(version)
            wait_until(lambda row=row, version=version: api.version_of(self.pk, row["DeviceName"]) == version)
            device.disconnect()
        api.must("DisableThing", IotId=self.disabled["IotId"])
        self.url = api.upload(b"content")
        self._packages()
        self._groups()
        self._jobs(stack)
        self.order = api.must("BatchRegisterDevice", ProductKey=self.other, Count=1)["Data"]["ApplyId"]
        wait_until(lambda: api.must("QueryBatchRegisterDeviceStatus", ProductKey=self.other,
                                    ApplyId=self.order)["Data"]["Status"] == "CREATE_SUCCESS", 30)

    def _packages(self):
        api, pk = self.api, self.pk
        api.must("CreateOTAModule", ProductKey=pk, ModuleName="mcu")
        for i in range(10):
            api.must("CreateOTAModule", ProductKey=self.other, ModuleName=f"m{i}")
        self.fw = api.firmware(pk, "2.0.0").id
        self.named = api.must("QueryOTAFirmware", FirmwareId=self.fw)["FirmwareInfo"]["FirmwareName"]
        self.delta = api.firmware(pk, "3.0.0", Type=1, SrcVersion="1.0.0").id
        self.unverified = api.firmware(pk, "2.1.0", NeedToVerify=True).id
        self.verifying = api.firmware(pk, "2.2.0", NeedToVerify=True).id
        self.unverified_delta = api.firmware(pk, "2.3.0", Type=1, SrcVersion="1.0.0", NeedToVerify=True).id
        self.moved = api.firmware(pk, "4.0.0", ModuleName="mcu").id
        self.nobodys = api.firmware(self.empty).id

    def _groups(self):
        api = self.api
        ids = [None]
        for _ in range(3):
            ids.append(api.must("CreateDeviceGroup", GroupName=new(), SuperGroupId=ids[-1])["Data"]["GroupId"])
        self.top, self.middle, self.bottom = ids[1:]
        self.group_name = new()
        self.group = api.must("CreateDeviceGroup", GroupName=self.group_name)["Data"]["GroupId"]
        api.must("BatchAddDeviceGroupRelations", GroupId=self.group, Device=[
            {"ProductKey": self.pk, "DeviceName": "first"}])
        self.moving = api.must("CreateDeviceDynamicGroup", IotInstanceId=self.instance, GroupName=new(),
                               DynamicGroupExpression=f'product_key = "{self.pk}"')["Data"]["GroupId"]

    def _jobs(self, stack):
        api, pk = self.api, self.pk
        on = {"ProductKey": pk, "NeedConfirm": True}
        self.verify = api.must("CreateOTAVerifyJob", FirmwareId=self.verifying, TargetDeviceName=["second"], **on)
        self.job = self.static(self.fw, TargetSelection="GROUP", GroupId=self.group,
                               GroupType="LINK_PLATFORM", **on)
        self.task = api.wait_task(self.job, "first", "CONFIRM")["TaskId"]
        self.canceled = self.static(self.fw, TargetSelection="SPECIFIC", TargetDeviceName=["third"], **on)
        self.ended = api.wait_task(self.canceled, "third", "CONFIRM")["TaskId"]
        api.must("CancelOTATaskByJob", JobId=self.canceled, CancelUnconfirmedTask=True)
        self.dynamic = self.strategy(self.fw, SrcVersion=["0.9"])
        self.dynamic_delta = self.strategy(self.delta, SrcVersion=["1.0.0"])
        self.dynamic_canceled = self.strategy(self.moved, SrcVersion=["0.9"])
        api.must("CancelOTAStrategyByJob", JobId=self.dynamic_canceled)
        self.by_group = self.strategy(self.moved, GroupId=self.moving, GroupType="LINK_PLATFORM_DYNAMIC")
        # A device without a version any more: no call does that.
        self.blanked = self.static(self.delta, TargetSelection="SPECIFIC", TargetDeviceName=["blank"], **on)
        self.blank_task = api.wait_task(self.blanked, "blank", "CONFIRM")["TaskId"]
        api.must("CancelOTATaskByJob", JobId=self.blanked, CancelUnconfirmedTask=True)
        stack.sql("delete from device_module m using device d where d.id = m.device_id and d.name = 'blank'")
        # A package and a device that are not there any more.
        lost = api.firmware(pk, "5.0.0").id
        self.lost = self.static(lost, TargetSelection="SPECIFIC", TargetDeviceName=["gone"], **on)
        self.lost_task = api.wait_task(self.lost, "gone", "CONFIRM")["TaskId"]
        api.must("CancelOTATaskByJob", JobId=self.lost, CancelUnconfirmedTask=True)
        self.left = self.static(self.fw, TargetSelection="SPECIFIC", TargetDeviceName=["gone"], **on)
        self.left_task = api.wait_task(self.left, "gone", "CONFIRM")["TaskId"]
        api.must("DeleteDevice", IotId=self.gone["IotId"])
        api.must("DeleteOTAFirmware", FirmwareId=lost)

    def static(self, fw, **more):
        return self.api.must("CreateOTAStaticUpgradeJob", {"FirmwareId": fw, **more})["Data"]["JobId"]

    def strategy(self, fw, **more):
        return self.api.must("CreateOTADynamicUpgradeJob", {"FirmwareId": fw, "ProductKey": self.pk, "DynamicMode": 2,
                                                            **more})["Data"]["JobId"]


def good(w):
    """Action -> a request that would be accepted, as small as it may be."""
    pk, device = {"ProductKey": w.pk}, {"ProductKey": w.pk, "DeviceName": "bare"}
    page, group = {"CurrentPage": 1, "PageSize": 10}, {"GroupId": w.group}
    fw, job, tags = {"FirmwareId": w.fw}, {"JobId": w.job}, {"Tag": [{"TagKey": "a", "TagValue": "b"}]}
    out = {a: device for a in ("QueryDeviceDetail", "DeleteDevice", "DisableThing", "EnableThing", "ResetThing",
                               "QueryDeviceInfo", "GetDeviceStatus", "QueryDeviceProp", "QueryDeviceGroupByDevice",
                               "ListOTAUnfinishedTaskByDevice")}
    out |= {a: pk for a in ("QueryProduct", "DeleteProduct", "RegisterDevice", "QueryDevice", "QueryDeviceStatistics",
                            "ListOTAModuleByProduct")}
    out |= {a: group for a in ("UpdateDeviceGroup", "DeleteDeviceGroup", "QueryDeviceGroupInfo", "QuerySuperDeviceGroup",
                               "QueryDeviceListByDeviceGroup", "BatchAddDeviceGroupRelations", "QueryDeviceGroupTagList",
                               "BatchDeleteDeviceGroupRelations")}
    out |= {a: {"GroupId": w.moving, "IotInstanceId": w.instance}
            for a in ("DeleteDeviceDynamicGroup", "QueryDynamicGroupDevices")}
    return out | {
        "CreateProduct": {"ProductName": new(), "NodeType": 0},
        "QueryProductList": page,
        "UpdateProduct": {**pk, "ProductName": new()},
        "BatchRegisterDevice": {**pk, "Count": 1},
        "BatchCheckDeviceNames": {**pk, "DeviceName": ["checked"]},
        "BatchRegisterDeviceWithApplyId": {"ProductKey": w.other, "ApplyId": w.order},
        "QueryBatchRegisterDeviceStatus": {"ProductKey": w.other, "ApplyId": w.order},
        "QueryPageByApplyId": {"ApplyId": w.order},
        "BatchQueryDeviceDetail": {**pk, "DeviceName": ["bare"]},
        "BatchGetDeviceState": {"IotId": [w.first["IotId"]]},
        "QueryDeviceByStatus": {"Status": 0},
        "SaveDeviceProp": {**device, "Props": '{"a":"b"}'},
        "DeleteDeviceProp": {**device, "PropKey": "a"},
        "QueryDeviceByTags": tags, "QueryDeviceGroupByTags": tags,
        "BatchUpdateDeviceNickname": {"DeviceNicknameInfo": [{**device, "Nickname": "nick"}]},
        "CreateDeviceGroup": {"GroupName": new()},
        "QueryDeviceGroupList": {},
        "SetDeviceGroupTags": {**group, "TagString": "[]"},
        "CreateDeviceDynamicGroup": {"GroupName": new(), "DynamicGroupExpression": 'name = "x"',
                                     "IotInstanceId": w.instance},
        "CreateOTAVerifyJob": {**pk, "FirmwareId": w.unverified, "TargetDeviceName": ["bare"]},
        "CreateOTAStaticUpgradeJob": {**pk, **fw, "TargetSelection": "SPECIFIC", "TargetDeviceName": ["bare"],
                                      "RetryInterval": 10, "RetryCount": 1},
        "CreateOTADynamicUpgradeJob": {**pk, "FirmwareId": w.moved, "SrcVersion": ["0.8"], "RetryInterval": 10,
                                       "RetryCount": 1},
        "UpdateOTAJob": {"JobId": w.dynamic, "UpgradeType": "DYNAMIC", "TargetSelection": "ALL",
                         "MaximumPerMinute": 100},
        "CancelOTAStrategyByJob": {"JobId": w.dynamic},
        "QueryOTAJob": job,
        "ListOTAJobByFirmware": {**fw, **page},
        "ListOTAJobByDevice": {**fw, **device, **page},
        "ListOTATaskByJob": {**job, **page},
        "ConfirmOTATask": {"TaskId": [w.task]},
        "ReupgradeOTATask": {"JobId": w.canceled, "TaskId": [w.ended]},
        "CancelOTATaskByDevice": {**pk, **fw, "DeviceName": ["first"]},
        "CancelOTATaskByJob": {**job, "CancelQueuedTask": True},
        "CreateOTAModule": {**pk, "ModuleName": new()},
        "UpdateOTAModule": {**pk, "ModuleName": "mcu"},
        "DeleteOTAModule": {**pk, "ModuleName": "mcu"},
        "ListOTAModuleVersionsByDevice": {**device, **page},
        "GenerateOTAUploadURL": {}, "GenerateDeviceNameListURL": {},
        "CreateOTAFirmware": {**pk, "FirmwareName": new(), "DestVersion": "9.0.0", "FirmwareUrl": w.url,
                              "NeedToVerify": False},
        "ModifyOTAFirmware": {**pk, **fw, "FirmwareDesc": "d"},
        "QueryOTAFirmware": fw,
        "ListOTAFirmware": page,
        "DeleteOTAFirmware": {"FirmwareId": w.nobodys},
    }


def beyond(schema):
    """Values of the right type that are beyond the limits."""
    if "enum" in schema:
        yield 987 if schema["type"] == "integer" else "something_else"
    if "minimum" in schema:
        yield schema["minimum"] - 1
    if schema.get("maximum", 2**31 - 1) < 2**31 - 1:
        yield schema["maximum"] + 1
    if schema.get("minLength", 1) > 1:
        yield "x" * (schema["minLength"] - 1)
    if "maxLength" in schema:
        yield "x" * (schema["maxLength"] + 1)
    if "pattern" in schema:
        yield "a b 水"


def unreadable(schema, invalid):
    """Texts that no value of this type has -> (text, code)"""
    if schema["type"] == "string":
        yield "a\0b", GARBLED
    elif schema["type"] == "integer":
        for text in ("many", "1.5", "0x1", " 1", "9" * 20, "-" + "9" * 20, *[str(2**31)] * (schema["format"] == "int32")):
            yield text, invalid
    elif schema["type"] == "boolean":
        for text in ("maybe", "2"):
            yield text, invalid


def spoiled(p):
    """Every kind of value that a parameter must not have -> (parameters as they are sent, code). A value None takes the
    parameter away."""
    name, schema = p["name"], p["schema"]
    invalid = "Invalid" + name
    limit = p.get("x-ota-error", invalid)
    if p["required"]:
        yield {name: None}, "Missing" + name
        if schema["type"] != "array":
            yield {name: ""}, "Missing" + name
    for text, code in unreadable(schema, invalid):
        yield {name: text}, code
    if schema["type"] == "array":
        item = schema["items"]
        one = "x" if item["type"] == "string" else {
            k: 1 if v["type"] == "integer" else "x" for k, v in item["properties"].items()}
        for wrong, value in ((name, "x"), (name + ".0", "x"), (name + ".01", "x"), (name + ".x", "x")):
            yield {name: None, wrong: value}, "Invalid" + wrong
        yield {name: ["a\0b"]}, GARBLED
        if item["type"] == "object":
            yield {name: None, name + ".1": "x"}, f"Invalid{name}.1"
            for member, kind in item["properties"].items():
                for text, code in unreadable(kind, f"Invalid{name}.1.{member}"):
                    yield {name: None, f"{name}.1.{member}": text}, code
        if "maxItems" in schema:
            yield {name: [one] * (schema["maxItems"] + 1)}, TOO_LONG
        for value in beyond(item):
            yield {name: [value]}, limit
    for value in beyond(schema):
        yield {name: value}, limit


def strange(api, w):
    """Ids of objects of one account, by the parameters that name them."""
    return {"ProductKey": w.pk, "IotId": w.first["IotId"], "FirmwareId": w.fw, "JobId": w.job, "TaskId": w.task,
            "GroupId": w.group, "SuperGroupId": w.top, "ApplyId": w.order, "FirmwareUrl": w.url, "Url": w.url,
            "DnListFileUrl": api.name_list(["first"])}


def gone(stack, api, w):
    """Ids as good as those of strange(), of what an account had and has not any more."""
    pk, firmware = api.product(), api.firmware(w.pk, "7.0.0").id
    device = api.device(pk)
    job = w.static(firmware, ProductKey=w.pk, TargetSelection="SPECIFIC", TargetDeviceName=["third"], NeedConfirm=True)
    task = api.wait_task(job, "third", ("CONFIRM", "FAILED"))["TaskId"]
    api.must("CancelOTATaskByJob", JobId=job, CancelUnconfirmedTask=True)
    group = api.must("CreateDeviceGroup", GroupName=new())["Data"]["GroupId"]
    api.must("DeleteDevice", IotId=device["IotId"])
    api.must("DeleteProduct", ProductKey=pk)
    api.must("DeleteOTAFirmware", FirmwareId=firmware)
    api.must("DeleteDeviceGroup", GroupId=group)
    # No call deletes a job, nor what is left of its package.
    for table in ("task", "job_target", "job_order", "job_run"):
        stack.sql(f"delete from {table} where job_id = (select max(id) from job)")
    for table in ("job where id = (select max(id) from job)", "firmware_file where firmware_id = (select max(id) from firmware)",
                  "firmware where id = (select max(id) from firmware)"):
        stack.sql(f"delete from {table}")
    forms = [api.must(a)["Data"] for a in ("GenerateOTAUploadURL", "GenerateDeviceNameListURL")]
    return {"ProductKey": pk, "IotId": device["IotId"], "FirmwareId": firmware, "JobId": job, "TaskId": task,
            "GroupId": group, "SuperGroupId": group, "ApplyId": 2**50, "FirmwareUrl": forms[0]["FirmwareUrl"],
            "Url": forms[0]["FirmwareUrl"], "DnListFileUrl": forms[1]["FileUrl"]}


# What a good request needs beside such a parameter, so that it counts.
BESIDE = {
    ("CreateOTAStaticUpgradeJob", "GroupId"): {"TargetSelection": "GROUP", "TargetDeviceName": None,
                                               "GroupType": "LINK_PLATFORM"},
    ("CreateOTAStaticUpgradeJob", "DnListFileUrl"): {"TargetDeviceName": None},
    ("CreateOTADynamicUpgradeJob", "GroupId"): {"SrcVersion": None, "GroupType": "LINK_PLATFORM_DYNAMIC"},
    ("CreateOTAFirmware", "Url"): {"FirmwareUrl": None},
}


def naming(op, request, ids):
    """-> (name, value, request with it) for every parameter of an action that names one of these objects"""
    for p in op["parameters"]:
        name, schema = p["name"], p["schema"]
        fields = schema.get("items", {}).get("properties", {})
        for field in [f for f in fields if f in ids]:
            items = request.get(name) or [{f: "x" for f in fields if f not in ids}]
            yield field, ids[field], {**request, **BESIDE.get((op["operationId"], field), {}),
                                      name: [{**item, field: ids[field]} for item in items]}
        if name in ids:
            yield name, ids[name], {**request, **BESIDE.get((op["operationId"], name), {}),
                                    name: [ids[name]] if schema["type"] == "array" else ids[name]}


# An object that there is not: error -> parameter, value.
ABSENT = [
    ("iot.prod.NotExistedProduct", "ProductKey", "a1nobody000"),
    ("iot.device.NotExistedDevice", "DeviceName", "nobody"),
    ("iot.device.NotExistedDevice", "TargetDeviceName", ["nobody"]),
    ("iot.group.NotExistedGroup", "GroupId", "nobody"),
    ("iot.firmware.FirmwareNotFound", "FirmwareId", "nobody"),
    ("iot.ota.FirmwareNotFound", "FirmwareId", "nobody"),
    ("iot.firmware.InvalidOTAJobId", "JobId", "nobody"),
    ("iot.firmware.InvalidOTATaskId", "TaskId", ["nobody"]),
    ("iot.device.DeviceApplyIsNotFound", "ApplyId", 2**50),
    ("iot.ota.OTAModuleNotExist", "ModuleName", "nobody"),
    ("iot.prod.NullProductKey", "ProductKey", None),
    ("iot.device.NullDeviceName", "DeviceName", None),
    ("iot.device.InvalidIoTId", "IotId", "x"),
]


def absent(w, operations, base):
    """-> (action, code, changes to its good request), for every action that documents the code"""
    for action, op in operations.items():
        if action == "BatchGetDeviceState":
            continue  # has lists, of which the first wins: in registry_cases
        codes = {e["code"] for e in op["x-ota-errors"]}
        named = {p["name"]: p["schema"]["type"] for p in op["parameters"]}
        for code, parameter, value in [*ABSENT, ("iot.firmware.FirmwareAndProductKeyMismatch", "ProductKey", w.other)]:
            fits = parameter in named and isinstance(value, list) == (named[parameter] == "array")
            alone = parameter in base[action] or (value is not None and not action.startswith("CreateOTA"))
            if code in codes and fits and alone:
                yield action, code, {parameter: value}


def firmware_cases(w):
    action = "CreateOTAFirmware"
    f = "iot.firmware."
    file = {"Name": "a", "Url": w.url}
    for code, more in [
        ("InvalidProductKey", {"ProductKey": None}), ("BlankFirmwareName", {"FirmwareName": " "}),
        ("IncorrectFormattedFirmwareName", {"FirmwareName": "_a"}),
        ("IncorrectFormattedFirmwareVersion", {"DestVersion": "a b"}),
        ("IncorrectFormattedModuleName", {"ModuleName": "a b"}), ("SrcVersionIsMandatory", {"Type": 1}),
        ("IncorrectFormattedSrcVersion", {"Type": 1, "SrcVersion": "a b"}),
        ("SrcDestVersionMatched", {"Type": 1, "SrcVersion": "9.0.0"}),
        ("InvalidFirmwareSignMethod", {"SignMethod": "SHA1"}), ("NullFirmwareUrl", {"FirmwareUrl": None}),
        ("MalformedFirmwareUrl", {"FirmwareUrl": "x"}), ("InvalidFirmwareUrl", {"FirmwareUrl": "http://127.0.0.1/x"}),
        ("EmptyFirmwareFile", {"FirmwareUrl": w.api.upload(b"")}), ("InvalidFirmwareSize", {"FirmwareSize": 1}),
        ("InvalidFirmwareSign", {"FirmwareSign": "0" * 32}), ("AlreadyExistedFirmwareName", {"FirmwareName": w.named}),
        ("AlreadyExistedFirmwareVersion", {"DestVersion": "2.0.0"}),
    ]:
        yield action, f + code, more
    yield action, FORMAT, {"MultiFiles": [file]}
    yield action, "iot.ota.OTAModuleNotExist", {"ModuleName": "nobody"}
    action = "ModifyOTAFirmware"
    yield action, f + "BlankFirmwareName", {"FirmwareName": " "}
    yield action, f + "IncorrectFormattedFirmwareName", {"FirmwareName": "_a"}
    yield action, f + "AlreadyExistedFirmwareName", {"FirmwareId": w.delta, "FirmwareName": w.named}
    yield "DeleteOTAFirmware", f + "DeleteFirmwareFailure", {"FirmwareId": w.fw}
    o = "iot.ota."
    yield "CreateOTAModule", o + "CreateOTAModuleParamError", {"ModuleName": "a b"}
    yield "CreateOTAModule", f + "ModuleNameReserved", {"ModuleName": "default"}
    yield "CreateOTAModule", o + "CreateOTAModuleNameExist", {"ModuleName": "MCU"}
    yield "CreateOTAModule", o + "CreateOTAModuleExceedLimit", {"ProductKey": w.other}
    yield "UpdateOTAModule", o + "UpdateOTAModuleParamError", {"AliasName": "a b"}
    yield "DeleteOTAModule", o + "DeleteOTAModuleParamError", {"ModuleName": "a b"}
    yield "DeleteOTAModule", o + "DeleteOtaDefaultModule", {"ModuleName": "default"}
    yield "DeleteOTAModule", o + "DeleteOTAModulePackageExist", {}


def how_cases(w, action):
    """What the calls that create upgrade jobs have in common."""
    f = "iot.firmware."
    tag = {"Key": "a", "Value": "b"}
    selects = {"TargetSelection": "ALL", "TargetDeviceName": None} if "Static" in action else {}
    yield action, f + "FirmwareNotVerified", {"FirmwareId": w.unverified}
    yield action, f + "SrcVersionsSizeExceedMax", {**selects, "SrcVersion": [f"1.{i}" for i in range(11)]}
    yield action, f + "IncorrectFormattedSrcVersion", {**selects, "SrcVersion": ["a b"]}
    yield action, f + "SrcDestVersionMatched", {**selects, "FirmwareId": w.fw, "SrcVersion": ["2.0.0"]}
    yield action, f + "MoreThanOneSrcVersion", {**selects, "FirmwareId": w.delta, "SrcVersion": ["1.0.0", "1.1"]}
    yield action, f + "UpgradeSrcVersionMismatch", {**selects, "FirmwareId": w.delta, "SrcVersion": ["1.1"]}
    yield action, f + "InvalidRetryCount", {"RetryCount": None}
    yield action, f + "InvalidRetryInterval", {"RetryInterval": None}
    yield action, f + "InvalidMaximumPerMinute", {"MaximumPerMinute": -1}
    yield action, f + "InvalidOverwriteMode", {"OverwriteMode": 2, "MultiModuleMode": True}
    yield action, "iot.ota.tag.KeyDuplicated", {"Tag": [tag, tag]}
    yield action, FORMAT, {"Tag": [{**tag, "Key": "a b"}]}


def static_cases(w):
    action, f, now = "CreateOTAStaticUpgradeJob", "iot.firmware.", now_ms()
    unnamed = {"TargetDeviceName": None}
    gray, group = ({"TargetSelection": s, **unnamed} for s in ("GRAY", "GROUP"))
    yield from how_cases(w, action)
    for code, more in [
        ("NullTargetDeviceNames", unnamed), ("TargetDeviceNamesNotAllowed", {"TargetSelection": "ALL"}),
        ("SrcVersionsNotAllowed", {"SrcVersion": ["1.0.0"]}),
        ("NonVersionedDeviceInArray", {"FirmwareId": w.delta}),
        ("SrcVersionMismatch", {"FirmwareId": w.delta, "TargetDeviceName": ["second"]}),
        ("NullGrayPercent", gray), ("BadlyFormattedGrayPercent", {**gray, "GrayPercent": "x"}),
        ("InvalidGrayPercent", {**gray, "GrayPercent": "100.5"}),
        ("FireTimeMustLargeThanCurrentTime", {"ScheduleTime": 1}),
        ("FireTimeTooShort", {"ScheduleTime": now + 2 * MINUTE}), ("FireTimeTooLate", {"ScheduleTime": now + 8 * DAY}),
        ("ScheduleFinishTimeEarlierThanStartTime", {"ScheduleFinishTime": 1}),
        ("ScheduleFinishTimeTooEarly", {"ScheduleFinishTime": now + 30 * MINUTE}),
        ("ScheduleFinishTimeTooLate", {"ScheduleFinishTime": now + 31 * DAY}),
        ("NoDeviceCanUpgrade", {"ProductKey": w.empty, "FirmwareId": w.nobodys, "TargetSelection": "ALL", **unnamed}),
    ]:
        yield action, f + code, more
    yield action, TOO_LONG, {"TargetDeviceName": [f"name{i}" for i in range(201)]}
    yield action, FORMAT, {**unnamed, "DnListFileUrl": "x"}
    yield action, "iot.group.NullGroupId", group
    yield action, "iot.group.NotExistedGroup", {**group, "GroupId": "nobody", "GroupType": "LINK_PLATFORM"}


def job_cases(w):
    f = "iot.firmware."
    yield from static_cases(w)
    action = "CreateOTADynamicUpgradeJob"
    yield from how_cases(w, action)
    for code, more in [
        ("InvalidTargetSelection", {"TargetSelection": "SOME"}), ("DynamicGrayNotSupported", {"TargetSelection": "GRAY"}),
        ("DynamicSpecificNotSupported", {"TargetSelection": "SPECIFIC"}), ("NullSrcVersions", {"SrcVersion": None}),
        ("SrcVersionsNotAllowed", {"GroupId": w.moving, "GroupType": "LINK_PLATFORM_DYNAMIC"}),
        ("InProgressDynamicJobExisted", {"FirmwareId": w.fw}),
    ]:
        yield action, f + code, more
    yield action, "iot.group.NullGroupId", {"SrcVersion": None, "GroupType": "LINK_PLATFORM_DYNAMIC"}
    yield action, "iot.group.NotExistedGroup", {"SrcVersion": None, "GroupType": "LINK_PLATFORM_DYNAMIC",
                                                "GroupId": "nobody"}
    action, tag = "CreateOTAVerifyJob", {"Key": "a", "Value": "b"}
    for code, more in [
        ("InProgressVerifyJobExisted", {"FirmwareId": w.verifying}), ("VerifyFirmwareFailed", {"FirmwareId": w.fw}),
        ("NonVersionedDeviceInArray", {"FirmwareId": w.unverified_delta}),
        ("SrcVersionMismatch", {"FirmwareId": w.unverified_delta, "TargetDeviceName": ["second"]}),
        ("DeviceWithDestinationVersionInArray", {"TargetDeviceName": ["third"]}),
        ("NoDeviceCanUpgrade", {"TargetDeviceName": ["disabled"]}),
    ]:
        yield action, f + code, more
    yield action, FORMAT, {"TargetDeviceName": ["bare", "bare"]}
    yield action, "iot.ota.tag.KeyDuplicated", {"Tag": [tag, tag]}
    action = "UpdateOTAJob"
    static = {"JobId": w.job, "UpgradeType": "STATIC", "TargetSelection": "GROUP"}
    for code, more in [
        ("JobAlreadyCanceled", {"JobId": w.dynamic_canceled}), ("InvalidSelectionType", {"UpgradeType": "STATIC"}),
        ("InvalidTargetSelection", {"TargetSelection": "GRAY"}),
        ("SrcVersionsNotAllowed", {**static, "SrcVersionList": ["1.0.0"]}),
        ("SrcVersionsSizeExceedMax", {"SrcVersionList": [f"1.{i}" for i in range(11)]}),
        ("IncorrectFormattedSrcVersion", {"SrcVersionList": ["a b"]}),
        ("SrcDestVersionMatched", {"SrcVersionList": ["2.0.0"]}),
        ("MoreThanOneSrcVersion", {"JobId": w.dynamic_delta, "SrcVersionList": ["1.0.0", "1.1"]}),
        ("UpgradeSrcVersionMismatch", {"JobId": w.dynamic_delta, "SrcVersionList": ["1.1"]}),
        ("InvalidMaximumPerMinute", {"MaximumPerMinute": -1}),
    ]:
        yield action, f + code, more
    yield action, FORMAT, {"Tags": [{"Key": "a b", "Value": "b"}]}
    yield action, "iot.ota.tag.KeyDuplicated", {"Tags": [tag, tag]}
    yield "CancelOTAStrategyByJob", f + "NotDynamicJob", {"JobId": w.job}
    yield "CancelOTAStrategyByJob", f + "JobAlreadyCanceled", {"JobId": w.dynamic_canceled}
    yield "CancelOTATaskByJob", f + "CancelOptionIsMandatory", {"CancelQueuedTask": None}
    yield "CancelOTATaskByJob", f + "JobHasNoScheduleTime", {"CancelScheduledTask": True}
    yield "CancelOTATaskByJob", f + "JobAlreadyCanceled", {"JobId": w.canceled}


def task_cases(w):
    f = "iot.firmware."
    yield "ConfirmOTATask", f + "InvalidTaskStatus", {"TaskId": [w.ended]}
    yield "ReupgradeOTATask", f + "InvalidTaskStatus", {"JobId": w.job, "TaskId": [w.task]}
    yield "ReupgradeOTATask", f + "FirmwareNotFound", {"JobId": w.lost, "TaskId": [w.lost_task]}
    yield "ReupgradeOTATask", f + "NonVersionedDeviceInArray", {"JobId": w.blanked, "TaskId": [w.blank_task]}
    yield "ReupgradeOTATask", "iot.device.NotExistedDevice", {"JobId": w.left, "TaskId": [w.left_task]}
    action = "CancelOTATaskByDevice"
    yield action, FORMAT, {"DeviceName": ["first", "first"]}
    yield action, f + "InvalidOTAJobId", {"JobId": w.lost}
    yield action, f + "DeviceUpgradeRecordNotFound", {"DeviceName": ["bare"]}
    yield action, f + "IncorrectDeviceUpgradeJobStatus", {"DeviceName": ["third"]}


def registry_cases(w):
    p, d, g, s = "iot.prod.", "iot.device.", "iot.group.", "iot.devicesearch."
    for action in ("CreateProduct", "UpdateProduct"):
        yield action, p + "InvalidFormattedProductName", {"ProductName": "x"}
        yield action, p + "AlreadyExistedProductName", {"ProductName": w.api.must("QueryProduct", ProductKey=w.other)
                                                        ["Data"]["ProductName"]}
    yield "DeleteProduct", p + "DeleteProductFailed", {}
    yield "RegisterDevice", d + "InvalidDeviceNickNameExisted", {"Nickname": "x"}
    yield "RegisterDevice", d + "AlreadyExistedDeviceName", {"DeviceName": "first"}
    action = "BatchCheckDeviceNames"
    for code, names in [(d + "NoneDeviceNameElement", None), (d + "DeviceCountExceeded", ["n"] * 10001),
                        (d + "InvalidFormattedDeviceName", ["x"]), (FORMAT, ["same", "same"])]:
        yield action, code, {"DeviceName": names}
    yield action, d + "InvalidDeviceNickNameExisted", {
        "DeviceName": None, "DeviceNameList": [{"DeviceName": "named", "DeviceNickname": "x"}]}
    yield "BatchRegisterDeviceWithApplyId", d + "IncorrentDeviceApplyInfo", {}
    for code, more in [(p + "NullProductKey", {"DeviceName": ["bare"]}), (d + "NullDeviceName", {"ProductKey": w.pk}),
                       (p + "NotExistedProduct", {"ProductKey": "a1nobody000", "DeviceName": ["bare"]})]:
        yield "BatchGetDeviceState", code, {"IotId": None, **more}
    yield "BatchGetDeviceState", d + "InvalidIoTId", {"IotId": ["x"]}
    yield "QueryDevice", FORMAT, {"NextToken": "x"}
    for code, props in [("LongDevicePropertiesString", '{"a":"%s"}' % ("x" * 6000)),
                        ("InvalidFormattedDevicePropertiesString", "x"), ("NullDevicePropertiesString", "{}"),
                        ("TooManyDevicePropertiesPerTime", tags(101)), ("InvalidFormattedDevicePropertyKey", '{"":"v"}')]:
        yield "SaveDeviceProp", d + code, {"Props": props}
    w.api.must("SaveDeviceProp", ProductKey=w.pk, DeviceName="second", Props=tags(100))
    yield "SaveDeviceProp", d + "SaveOrUpdateDevicePropertiesFailed", {"DeviceName": "second"}
    item = {"ProductKey": w.pk, "DeviceName": "bare", "Nickname": "nick"}
    for code, more in [(d + "InvalidDeviceNickNameExisted", {"Nickname": "x"}), (p + "NullProductKey", {"ProductKey": None}),
                       (d + "NullDeviceName", {"DeviceName": None}), (d + "InvalidIoTId", {"IotId": "x"}),
                       (d + "NotExistedDevice", {"DeviceName": "nobody"})]:
        yield "BatchUpdateDeviceNickname", code, {"DeviceNicknameInfo": [{**item, **more}]}
    for action in ("CreateDeviceGroup", "CreateDeviceDynamicGroup"):
        yield action, g + "InvalidGroupName", {"GroupName": "x"}
        yield action, g + "GroupNameExisted", {"GroupName": w.group_name}
    yield "CreateDeviceGroup", g + "GroupLevelExceedingLimitError", {"SuperGroupId": w.bottom}
    for action in ("CreateDeviceGroup", "QueryDeviceGroupList"):
        yield action, g + "NotExistedGroup", {"SuperGroupId": "nobody"}
    yield "DeleteDeviceGroup", g + "SubGroupNotNull", {"GroupId": w.top}
    yield "DeleteDeviceGroup", g + "DeleteGroupFailed", {}
    yield "DeleteDeviceDynamicGroup", g + "DeleteGroupFailed", {}
    yield "SetDeviceGroupTags", g + "InvalidFormattedTagString", {"TagString": "x"}
    many = ",".join('{"tagKey":"k%d","tagValue":"v"}' % i for i in range(101))
    yield "SetDeviceGroupTags", g + "TagCountExceedMax", {"TagString": f"[{many}]"}
    for code, text in [("InvalidSQLError", "name"), ("InvalidSQLFieldError", 'color = "x"'),
                       ("InvalidSQLOperatorTypeError", 'status LIKE "O%"'),
                       ("InvalidSQLParamError", 'name = "x" or name = "y"'),
                       ("InvalidSQLConditionError", " and ".join(['name = "x"'] * 11))]:
        yield "CreateDeviceDynamicGroup", s + code, {"DynamicGroupExpression": text}
    yield "QueryDynamicGroupDevices", FORMAT, {"NextToken": "x"}


def tags(n):
    return "{" + ",".join(f'"k{i}":"v"' for i in range(n)) + "}"


def cases(w):
    """-> (action, code, changes to its good request): what each action documents and no single value provokes"""
    for part in (registry_cases, firmware_cases, job_cases, task_cases):
        yield from part(w)
