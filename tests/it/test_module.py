# SPDX-License-Identifier: Apache-2.0
"""Modules of a product and the versions that devices report of theirs (api §7, §11.8)."""
import re
import threading

import pytest

from client import wait_until

F, O = "iot.firmware.", "iot.ota."
GMT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ$")


@pytest.fixture
def pk(api):
    return api.product()


def create(api, pk, name, **more):
    return api.must("CreateOTAModule", ProductKey=pk, ModuleName=name, **more)


def modules(api, pk, **options):
    return api.must("ListOTAModuleByProduct", ProductKey=pk, **options)["Data"]


def names(api, pk):
    return [m["ModuleName"] for m in modules(api, pk)]


def test_answers(api, pk):
    assert modules(api, pk) == []
    assert set(create(api, pk, "barcodeScanner", AliasName="扫描器 2".replace(" ", "-"), Desc="liest 码")) == \
        {"RequestId", "Success"}
    create(api, pk, "a" * 64)
    newest, first = modules(api, pk)  # an array, newest first; default is not in it
    assert set(first) == {"ProductKey", "ModuleName", "AliasName", "Desc", "GmtCreate", "GmtModified"}
    assert (first["ProductKey"], first["ModuleName"], first["AliasName"], first["Desc"]) == \
        (pk, "barcodeScanner", "扫描器-2", "liest 码")
    assert GMT.match(first["GmtCreate"]) and GMT.match(first["GmtModified"])
    assert (newest["ModuleName"], newest["AliasName"], newest["Desc"]) == ("a" * 64, "", "")


def test_xml_repeats_data_itself(api, pk):
    for n in ("one", "two"):
        create(api, pk, n)
    answer = api.call("ListOTAModuleByProduct", ProductKey=pk, format="XML", method="GET")
    assert answer.xml.tag == "ListOTAModuleByProductResponse"
    assert [e.find("ModuleName").text for e in answer.xml.findall("Data")] == ["two", "one"]
    assert api.call("CreateOTAModule", ProductKey=pk, ModuleName="three", format="XML").xml.tag == \
        "CreateOTAModuleResponse"


BAD_TEXTS = [{"AliasName": "a b"}, {"AliasName": "x" * 65}, {"AliasName": "カナ"}, {"Desc": "中" * 101}]


@pytest.mark.parametrize("code, more", [
    ("MissingModuleName", {"ModuleName": None}), ("MissingProductKey", {"ProductKey": None}),
    *[(O + "CreateOTAModuleParamError", {"ModuleName": n}) for n in ("a b", "a:b", "模块", "x" * 65)],
    *[(O + "CreateOTAModuleParamError", bad) for bad in BAD_TEXTS],
    *[(F + "ModuleNameReserved", {"ModuleName": n}) for n in ("default", "Default", "DEFAULT")],
    ("iot.prod.NotExistedProduct", {"ProductKey": "a1nothere00"})])
def test_creation_refused(api, pk, code, more):
    params = {"ProductKey": pk, "ModuleName": "m.1-_", "AliasName": "x" * 64, "Desc": "中" * 100}
    api.refused("CreateOTAModule", code, {**params, **more})
    assert names(api, pk) == []
    api.must("CreateOTAModule", params)


def test_names_are_unique_whatever_the_case(api, pk):
    create(api, pk, "Scanner")
    for same in ("Scanner", "scanner", "SCANNER"):
        api.refused("CreateOTAModule", O + "CreateOTAModuleNameExist", ProductKey=pk, ModuleName=same)
    create(api, api.product(), "scanner")  # per product


def test_ten_modules_also_when_created_at_once(api, pk):
    answers = []
    threads = [threading.Thread(target=lambda n=n: answers.append(
        api.call("CreateOTAModule", ProductKey=pk, ModuleName=f"m{n}"))) for n in range(13)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(a.code or "" for a in answers) == [""] * 10 + [O + "CreateOTAModuleExceedLimit"] * 3
    assert len(modules(api, pk)) == 10
    api.must("DeleteOTAModule", ProductKey=pk, ModuleName=names(api, pk)[3])
    create(api, pk, "again")


def test_update(stack, api, pk):
    create(api, pk, "m", AliasName="first", Desc="text")
    stack.advance(120)
    api.must("UpdateOTAModule", ProductKey=pk, ModuleName="m", AliasName="second")
    (m,) = modules(api, pk)
    assert (m["AliasName"], m["Desc"]) == ("second", "text") and m["GmtModified"] > m["GmtCreate"]
    api.must("UpdateOTAModule", ProductKey=pk, ModuleName="m", Desc="new")
    (m,) = modules(api, pk)
    assert (m["AliasName"], m["Desc"]) == ("second", "new")
    for bad in [*BAD_TEXTS, {"ModuleName": "a b"}]:
        api.refused("UpdateOTAModule", O + "UpdateOTAModuleParamError", {"ProductKey": pk, "ModuleName": "m", **bad})
    for n in ("nothere", "default", "M"):
        api.refused("UpdateOTAModule", O + "OTAModuleNotExist", ProductKey=pk, ModuleName=n, Desc="x")
    api.refused("UpdateOTAModule", "MissingModuleName", ProductKey=pk)
    assert modules(api, pk) == [m]


def test_delete(api, pk):
    create(api, pk, "m")
    fw = api.firmware(pk, ModuleName="m")
    for code, n in ((O + "DeleteOtaDefaultModule", "default"), (O + "OTAModuleNotExist", "nothere"),
                    (O + "DeleteOTAModuleParamError", "a b"), (O + "DeleteOTAModulePackageExist", "m")):
        api.refused("DeleteOTAModule", code, ProductKey=pk, ModuleName=n)
    assert names(api, pk) == ["m"]
    api.must("DeleteOTAFirmware", FirmwareId=fw.id)
    api.must("DeleteOTAModule", ProductKey=pk, ModuleName="m")
    assert names(api, pk) == []
    api.refused("DeleteOTAModule", O + "OTAModuleNotExist", ProductKey=pk, ModuleName="m")
    answer = api.call("CreateOTAFirmware", ProductKey=pk, FirmwareName="x", DestVersion="1", FirmwareUrl=fw.url,
                      ModuleName="m")
    assert answer.code == O + "OTAModuleNotExist"


def test_list_refused(api):
    api.refused("ListOTAModuleByProduct", "MissingProductKey")
    api.refused("ListOTAModuleByProduct", O + "ListOTAModuleParamError", ProductKey="a1/..")
    api.refused("ListOTAModuleByProduct", "iot.prod.NotExistedProduct", ProductKey="a1nothere00")


# ---- what devices report ----

def test_versions_of_a_device(api, fleet):
    f = fleet(1, "1.0.0")
    d = f.devices[0]
    for module, version in (("MCU", "7"), ("wifi", "8.1"), ("MCU", "7.1"), ("MCU", "7.1")):
        d.inform(version, module=module)

    def page(page, size, **by):
        return api.must("ListOTAModuleVersionsByDevice", CurrentPage=page, PageSize=size,
                        **(by or {"ProductKey": f.pk, "DeviceName": d.name}))

    def rows(body):
        return {r["ModuleName"]: r["ModuleVersion"] for r in body["Data"]["SimpleOTAModuleInfo"]}
    want = {"default": "1.0.0", "MCU": "7.1", "wifi": "8.1"}
    wait_until(lambda: rows(page(1, 200)) == want)
    body = page(1, 2)
    assert (body["CurrentPage"], body["PageSize"], body["PageCount"], body["Total"]) == (1, 2, 2, 3)
    assert {**rows(body), **rows(page(2, 2))} == want and rows(page(3, 2)) == {}
    row = body["Data"]["SimpleOTAModuleInfo"][0]
    assert set(row) == {"IotId", "ProductKey", "DeviceName", "ModuleName", "ModuleVersion"}
    assert (row["IotId"], row["ProductKey"], row["DeviceName"]) == (f.rows[0]["IotId"], f.pk, d.name)
    assert rows(page(1, 10, IotId=row["IotId"], ProductKey="a1nothere00", DeviceName="ignored")) == want
    silent = fleet(1, online=False)
    body = page(1, 10, IotId=silent.rows[0]["IotId"])
    assert (body["Total"], body["PageCount"], rows(body)) == (0, 0, {})


def test_versions_refused(api, pk):
    row = api.device(pk)
    good = {"CurrentPage": 1, "PageSize": 10, "IotId": row["IotId"]}
    for name in ("CurrentPage", "PageSize"):
        api.refused("ListOTAModuleVersionsByDevice", "Missing" + name, {**good, name: None})
    for bad in ({"CurrentPage": 0}, {"PageSize": 0}, {"PageSize": 201}):
        api.refused("ListOTAModuleVersionsByDevice", "iot.common.InvalidPageParams", {**good, **bad})
    api.refused("ListOTAModuleVersionsByDevice", "iot.device.NotExistedDevice", CurrentPage=1, PageSize=1,
                ProductKey=pk, DeviceName="nothere")
    api.refused("ListOTAModuleVersionsByDevice", "iot.device.NullDeviceName", CurrentPage=1, PageSize=1, ProductKey=pk)
    api.refused("ListOTAModuleVersionsByDevice", "iot.prod.NullProductKey", CurrentPage=1, PageSize=1)
