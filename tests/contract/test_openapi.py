# SPDX-License-Identifier: Apache-2.0
"""The printed OpenAPI document is whole. That it is true of what the server answers: test_every_action.py."""
import json
import re
import subprocess

import pytest

from client import Client


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
