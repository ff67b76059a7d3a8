# SPDX-License-Identifier: Apache-2.0
"""The printed OpenAPI document: whole, and true of what the server answers."""
import json
import os
import re
import subprocess

import pytest

from client import Client, wait_until


@pytest.fixture(scope="session")
def document(stack):
    text = subprocess.run([str(stack.bin / "otactl"), "openapi"], capture_output=True, text=True, timeout=60,
                          check=True).stdout
    return json.loads(text)


def operations(document):
    return {p["post"]["operationId"]: p["post"] for p in document["paths"].values()}


def test_every_action_is_described(document):
    assert document["openapi"] == "3.1.0"
    wanted = set("""CreateProduct RegisterDevice BatchRegisterDevice QueryBatchRegisterDeviceStatus
        BatchCheckDeviceNames BatchRegisterDeviceWithApplyId QueryPageByApplyId QueryDeviceDetail DeleteDevice
        QueryProduct QueryProductList UpdateProduct DeleteProduct QueryDevice BatchQueryDeviceDetail QueryDeviceInfo
        GetDeviceStatus BatchGetDeviceState QueryDeviceByStatus DisableThing EnableThing QueryDeviceStatistics
        SaveDeviceProp QueryDeviceProp DeleteDeviceProp QueryDeviceByTags BatchUpdateDeviceNickname CreateDeviceGroup
        UpdateDeviceGroup DeleteDeviceGroup QueryDeviceGroupInfo QueryDeviceGroupList QueryDeviceGroupByDevice
        QueryDeviceListByDeviceGroup BatchAddDeviceGroupRelations BatchDeleteDeviceGroupRelations QuerySuperDeviceGroup
        SetDeviceGroupTags QueryDeviceGroupTagList QueryDeviceGroupByTags CreateDeviceDynamicGroup
        DeleteDeviceDynamicGroup QueryDynamicGroupDevices GenerateOTAUploadURL GenerateDeviceNameListURL
        CreateOTAFirmware QueryOTAFirmware DeleteOTAFirmware CreateOTAVerifyJob CreateOTAStaticUpgradeJob QueryOTAJob
        ListOTAJobByFirmware ListOTATaskByJob CancelOTATaskByJob""".split())
    found = operations(document)
    assert wanted <= set(found)
    for name, op in found.items():
        assert op["description"], name
        assert op["x-ota-role"] in ("viewer", "operator", "admin"), name
        assert (op["x-ota-effect"] == "reads") == name.startswith(("Query", "List", "Get")) or \
            name.startswith(("Generate", "Batch")), name
        for p in op["parameters"]:
            assert p["schema"]["description"] and p["schema"]["type"], (name, p["name"])
        properties = op["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
        assert {"RequestId", "Success", "Code", "ErrorMessage"} <= set(properties), name
        for e in op["x-ota-errors"]:
            assert e["code"] and e["message"] and e["status"] in (200, 400, 403, 404), (name, e)


def test_required_parameters_are_missed_by_name(document, api):
    missed = 0
    for name, op in operations(document).items():
        first = next((p["name"] for p in op["parameters"] if p["required"]), None)
        if first is None:
            continue
        answer = api.call(name)
        assert (answer.status, answer.code) == (400, f"Missing{first}"), (name, answer.text[:300])
        assert answer.message == f"{first} is mandatory for this action."
        missed += 1
    assert missed > 5


def test_every_action_asks_for_its_role(document, stack, api):
    """A viewer looks, an operator changes, only an admin deletes (rules §7)."""
    def key(role):
        out = stack.otactl("key", "create", "--name", role, "--role", role).stdout
        return Client(stack.endpoint, *(re.search(rf"{w}=(\S+)", out).group(1) for w in
                                        ("AccessKeyId", "AccessKeySecret")))
    keys = {role: key(role) for role in ("viewer", "operator", "admin")}
    names = operations(document)
    for name in names:
        least = "viewer" if re.match("(Batch)?(Query|List|Get)", name) else \
            "admin" if re.match("(Batch)?Delete", name) else "operator"
        allowed = [role for role, client in keys.items() if client.call(name).code != "Forbidden.RAM"]
        assert allowed == list(keys)[list(keys).index(least):], name
    pk = api.product()
    keys["viewer"].refused("DeleteProduct", "Forbidden.RAM", ProductKey=pk)
    keys["operator"].refused("DeleteProduct", "Forbidden.RAM", ProductKey=pk)
    keys["viewer"].must("QueryProduct", ProductKey=pk)
    keys["admin"].must("DeleteProduct", ProductKey=pk)


def test_numbers_and_flags_are_refused_by_name(document, api):
    """With every required parameter there, so that the conversion is what fails."""
    refused = 0
    for name, op in operations(document).items():
        base = {p["name"]: {"string": "x", "integer": 1, "boolean": True, "array": ["x"]}[p["schema"]["type"]]
                for p in op["parameters"] if p["required"]}
        for p in op["parameters"]:
            if p["schema"]["type"] not in ("integer", "boolean"):
                continue
            answer = api.call(name, {**base, p["name"]: "many"})
            rules_before = [q for q in op["parameters"][:op["parameters"].index(p)] if q["required"]]
            if rules_before and answer.code != f"Invalid{p['name']}":
                continue  # a limit of an earlier parameter that "x" breaks wins
            assert (answer.status, answer.code) == (400, f"Invalid{p['name']}"), (name, p["name"], answer.text[:300])
            refused += 1
    assert refused > 10


def conforms(value, schema, where):
    """Every member of an answer is in the document, and of its type."""
    kind = schema["type"]
    if kind == "object":
        assert isinstance(value, dict), where
        for k, v in value.items():
            assert k in schema["properties"], f"{where}.{k} is not in the document"
            conforms(v, schema["properties"][k], f"{where}.{k}")
    elif kind == "array":
        assert isinstance(value, list), where
        for i, v in enumerate(value):
            conforms(v, schema["items"], f"{where}[{i}]")
    else:
        want = {"string": str, "integer": int, "boolean": bool}[kind]
        assert type(value) is want, f"{where} is {value!r}, not {kind}"


@pytest.fixture
def call(document, api):
    """call(action, ..) -> the answer of a success, which is as the document has it; .called: the actions so far."""
    found = operations(document)

    def run(action, **params):
        body = api.must(action, params)
        conforms(body, found[action]["responses"]["200"]["content"]["application/json"]["schema"], action)
        run.called.add(action)
        return body
    run.called = set()
    return run


def test_answers_conform(call, api):
    pk = call("CreateProduct", ProductName="conform" + os.urandom(4).hex(), NodeType=0)["Data"]["ProductKey"]
    names = [call("RegisterDevice", ProductKey=pk)["Data"]["DeviceName"] for _ in range(2)]
    call("QueryDeviceDetail", ProductKey=pk, DeviceName=names[0])
    fw = api.firmware(pk)
    call("QueryOTAFirmware", FirmwareId=fw.id)
    call("GenerateOTAUploadURL")
    call("GenerateDeviceNameListURL")
    job = call("CreateOTAStaticUpgradeJob", FirmwareId=fw.id, ProductKey=pk, TargetSelection="ALL",
               Tag=[{"Key": "a", "Value": "b"}])["Data"]["JobId"]
    call("QueryOTAJob", JobId=job)
    call("ListOTAJobByFirmware", FirmwareId=fw.id, PageSize=10, CurrentPage=1)
    call("ListOTATaskByJob", JobId=job, PageSize=10, CurrentPage=1)
    call("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True)
    device = {"ProductKey": pk, "DeviceName": names[0]}
    call("CreateOTAModule", ProductKey=pk, ModuleName="mcu", AliasName="MCU")
    call("UpdateOTAModule", ProductKey=pk, ModuleName="mcu", Desc="text")
    assert call("ListOTAModuleByProduct", ProductKey=pk)["Data"]
    call("ListOTAModuleVersionsByDevice", **device, CurrentPage=1, PageSize=10)
    call("DeleteOTAModule", ProductKey=pk, ModuleName="mcu")
    call("ModifyOTAFirmware", ProductKey=pk, FirmwareId=fw.id, FirmwareDesc="text")
    assert call("ListOTAFirmware", ProductKey=pk, CurrentPage=1, PageSize=10)["FirmwareInfo"]["SimpleFirmwareInfo"]
    waits = call("CreateOTAStaticUpgradeJob", FirmwareId=fw.id, ProductKey=pk, TargetSelection="SPECIFIC",
                 TargetDeviceName=names[:1], NeedConfirm=True)["Data"]["JobId"]
    call("ListOTAJobByDevice", FirmwareId=fw.id, **device, CurrentPage=1, PageSize=10)
    task = api.wait_task(waits, names[0], "CONFIRM")["TaskId"]
    assert call("ListOTAUnfinishedTaskByDevice", **device)["Data"]["SimpleOTATaskInfo"]
    call("ConfirmOTATask", TaskId=[task])
    call("CancelOTATaskByDevice", FirmwareId=fw.id, ProductKey=pk, DeviceName=names[:1])
    call("ReupgradeOTATask", JobId=waits, TaskId=[task])
    call("DeleteDevice", ProductKey=pk, DeviceName=names[1])


def test_registry_answers_conform(document, call, stack, api):
    """Products, devices, groups and tags: every action that there is."""
    instance = stack.sql_one("select i.instance_id from instance i join access_key k using (account_id)"
                             " where i.is_default and k.key_id = %s", api.ak)
    name = "conform" + os.urandom(4).hex()
    pk = call("CreateProduct", ProductName=name, NodeType=0, Description="d", CategoryKey="Lighting",
              ProtocolType="zigbee", DataFormat=1)["Data"]["ProductKey"]
    call("UpdateProduct", ProductKey=pk, ProductName=name + "x")
    call("QueryProduct", ProductKey=pk)
    call("QueryProductList", CurrentPage=1, PageSize=10)
    row = call("RegisterDevice", ProductKey=pk, DeviceName="conform-1", Nickname="nick")["Data"]
    device, address = {"IotId": row["IotId"]}, {"ProductKey": pk, "DeviceName": "conform-1"}
    orders = [call("BatchRegisterDevice", ProductKey=pk, Count=1)["Data"]["ApplyId"],
              call("BatchCheckDeviceNames", ProductKey=pk, DeviceName=["conform-2"])["Data"]["ApplyId"]]
    call("BatchRegisterDeviceWithApplyId", ProductKey=pk, ApplyId=orders[1])
    for order in orders:
        wait_until(lambda order=order: call("QueryBatchRegisterDeviceStatus", ProductKey=pk, ApplyId=order)
                   ["Data"]["Status"] == "CREATE_SUCCESS", 20)
    assert call("QueryPageByApplyId", ApplyId=orders[1])["ApplyDeviceList"]["ApplyDeviceInfo"]
    taken = call("BatchCheckDeviceNames", ProductKey=pk, DeviceName=["conform-2"])["Data"]["ApplyId"]
    assert call("QueryBatchRegisterDeviceStatus", ProductKey=pk, ApplyId=taken)["Data"]["InvalidDetailList"]
    for action in ("QueryDeviceDetail", "QueryDeviceInfo", "GetDeviceStatus", "DisableThing", "EnableThing"):
        call(action, **device)
    assert call("QueryDevice", ProductKey=pk)["Data"]["DeviceInfo"]
    assert call("BatchQueryDeviceDetail", ProductKey=pk, DeviceName=["conform-1"])["Data"]["Data"]
    assert call("BatchGetDeviceState", IotId=[row["IotId"]])["DeviceStatusList"]["DeviceStatus"]
    assert call("QueryDeviceByStatus", Status=0, ProductKey=pk)["Data"]["SimpleDeviceInfo"]
    call("QueryDeviceStatistics", ProductKey=pk)
    call("BatchUpdateDeviceNickname", DeviceNicknameInfo=[{**address, "Nickname": "other"}])
    call("SaveDeviceProp", **device, Props=f'{{"room":"{name}"}}')
    call("QueryDeviceProp", **device)
    assert call("QueryDeviceByTags", Tag=[{"TagKey": "room", "TagValue": name}])["Data"]["SimpleDeviceInfo"]
    call("DeleteDeviceProp", **device, PropKey="room")

    top = call("CreateDeviceGroup", GroupName=name)["Data"]["GroupId"]
    group = {"GroupId": call("CreateDeviceGroup", GroupName=name + "1", SuperGroupId=top)["Data"]["GroupId"]}
    call("UpdateDeviceGroup", **group, GroupDesc="d")
    call("BatchAddDeviceGroupRelations", **group, Device=[address])
    call("QueryDeviceGroupInfo", **group)
    assert call("QueryDeviceGroupList", SuperGroupId=top)["Data"]["GroupInfo"]
    assert call("QueryDeviceGroupByDevice", **address)["GroupInfos"]["GroupInfo"]
    assert call("QueryDeviceListByDeviceGroup", **group)["Data"]["SimpleDeviceInfo"]
    assert call("QuerySuperDeviceGroup", **group)["Data"]["GroupInfo"]
    call("SetDeviceGroupTags", **group, TagString=f'[{{"tagKey":"site","tagValue":"{name}"}}]')
    assert call("QueryDeviceGroupTagList", **group)["Data"]["GroupTagInfo"]
    assert call("QueryDeviceGroupByTags", Tag=[{"TagKey": "site", "TagValue": name}])["Data"]["DeviceGroup"]
    call("BatchDeleteDeviceGroupRelations", **group, Device=[address])
    moving = {"IotInstanceId": instance, "GroupId": call(
        "CreateDeviceDynamicGroup", IotInstanceId=instance, GroupName=name + "2",
        DynamicGroupExpression=f'product_key = "{pk}"')["Data"]["GroupId"]}
    assert call("QueryDynamicGroupDevices", **moving)["Data"]["SimpleDeviceInfo"]
    call("DeleteDeviceDynamicGroup", **moving)
    call("DeleteDeviceGroup", **group)
    for d in call("QueryDevice", ProductKey=pk)["Data"]["DeviceInfo"]:
        call("DeleteDevice", IotId=d["IotId"])
    call("DeleteProduct", ProductKey=pk)
    assert call.called >= {a for a in operations(document) if "OTA" not in a and not a.startswith("Generate")} - {
        "ResetThing"}  # about dynamic registration
