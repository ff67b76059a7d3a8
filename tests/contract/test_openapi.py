# SPDX-License-Identifier: Apache-2.0
"""The printed OpenAPI document: whole, and true of what the server answers."""
import json
import os
import subprocess

import pytest


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
        QueryPageByApplyId QueryDeviceDetail DeleteDevice GenerateOTAUploadURL GenerateDeviceNameListURL
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


def test_answers_conform(document, api):
    found = operations(document)

    def call(action, **params):
        body = api.must(action, params)
        conforms(body, found[action]["responses"]["200"]["content"]["application/json"]["schema"], action)
        return body

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
