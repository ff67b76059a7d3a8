# SPDX-License-Identifier: Apache-2.0
"""Packages: created, changed, shown, listed, deleted (api §4, §11.6; rules §8). How files travel is in
test_packages.py."""
import hashlib
import uuid

import pytest

from client import http_request, wait_until

F = "iot.firmware."
FORMAT = "iot.common.InvalidFormattedParameter"
CONTENT = b"firmware of the tests"
MD5, SHA256 = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()


def name():
    return "fw-" + uuid.uuid4().hex[:20]


@pytest.fixture(scope="module")
def pk(api):
    return api.product()


@pytest.fixture(scope="module")
def url(api):
    return api.upload(CONTENT)


@pytest.fixture
def good(pk, url):
    return {"ProductKey": pk, "FirmwareName": name(), "DestVersion": uuid.uuid4().hex[:16], "FirmwareUrl": url}


def show(api, fw):
    return api.must("QueryOTAFirmware", FirmwareId=fw)["FirmwareInfo"]


def create(api, params, **more):
    return api.must("CreateOTAFirmware", {**params, **more})["Data"]["FirmwareId"]


# ---- refusals, each with its good twin ----

REFUSALS = [
    ("MissingFirmwareName", {"FirmwareName": None}),
    ("MissingDestVersion", {"DestVersion": None}),
    ("InvalidType", {"Type": "one"}),
    ("InvalidFirmwareSize", {"FirmwareSize": "big"}),
    ("InvalidNeedToVerify", {"NeedToVerify": "maybe"}),
    (F + "InvalidProductKey", {"ProductKey": None}),
    ("iot.prod.NotExistedProduct", {"ProductKey": "a1nothere00"}),
    (F + "BlankFirmwareName", {"FirmwareName": "   "}),
    (F + "IncorrectFormattedFirmwareName", {"FirmwareName": "x" * 41}),
    (F + "IncorrectFormattedFirmwareName", {"FirmwareName": "_x"}),
    (F + "IncorrectFormattedFirmwareName", {"FirmwareName": "a b"}),
    (F + "IncorrectFormattedFirmwareVersion", {"DestVersion": "2 0"}),
    (F + "IncorrectFormattedFirmwareVersion", {"DestVersion": "v" * 65}),
    (F + "FirmwareDescriptionExceedMaxLength", {"FirmwareDesc": "中" * 101}),
    (FORMAT, {"Udi": "x" * 4097}),
    (F + "InvalidFirmwareType", {"Type": 2}),
    (F + "SrcVersionIsMandatory", {"Type": 1}),
    (F + "IncorrectFormattedSrcVersion", {"Type": 1, "SrcVersion": "1/0"}),
    (F + "IncorrectFormattedModuleName", {"ModuleName": "mod ule"}),
    ("iot.ota.OTAModuleNotExist", {"ModuleName": "nosuch"}),
    (F + "InvalidFirmwareSignMethod", {"SignMethod": "SHA1"}),
    (F + "NullFirmwareUrl", {"FirmwareUrl": None}),
    (F + "MalformedFirmwareUrl", {"FirmwareUrl": "not a url"}),
    (F + "MalformedFirmwareUrl", {"FirmwareUrl": "ftp://x/y"}),
    (F + "InvalidFirmwareUrl", {"FirmwareUrl": "https://elsewhere.example/ota/x.bin"}),
    (F + "InvalidFirmwareSize", {"FirmwareSize": len(CONTENT) + 1}),
    (F + "InvalidFirmwareSign", {"FirmwareSign": "0" * 32}),
    (F + "InvalidFirmwareSign", {"FirmwareSign": MD5, "SignMethod": "SHA256"}),
]


@pytest.mark.parametrize("code, bad", REFUSALS)
def test_refusals(stack, api, good, code, bad):
    def count():
        return stack.sql_one("select count(*) from firmware")

    before = count()
    api.refused("CreateOTAFirmware", code, {**good, **bad})
    assert count() == before
    create(api, good)
    assert count() == before + 1


def test_source_equals_destination(api, good):
    api.refused("CreateOTAFirmware", F + "SrcDestVersionMatched", {**good, "Type": 1, "SrcVersion": good["DestVersion"]})
    fw = create(api, good, Type=1, SrcVersion="1.0.0")
    assert (show(api, fw)["Type"], show(api, fw)["SrcVersion"]) == (1, "1.0.0")


def test_empty_file(api, good):
    api.refused("CreateOTAFirmware", F + "EmptyFirmwareFile", {**good, "FirmwareUrl": api.upload(b"")})


def test_file_that_was_never_uploaded(api, good):
    form = api.must("GenerateOTAUploadURL")["Data"]
    api.refused("CreateOTAFirmware", F + "InvalidFirmwareUrl", {**good, "FirmwareUrl": form["FirmwareUrl"]})
    device_list = api.name_list(["some-device"])
    api.refused("CreateOTAFirmware", F + "InvalidFirmwareUrl", {**good, "FirmwareUrl": device_list})


def test_upload_suffix(api):
    for suffix in ("bin", "dav", "apk", "tar", "gz", "tar.gz", "zip", "gzip"):
        form = api.must("GenerateOTAUploadURL", FileSuffix=suffix)["Data"]
        assert form["FirmwareUrl"].endswith("." + suffix) and form["ObjectStorage"] == "OSS"
        assert form["FirmwareUrl"] == form["Host"] + "/" + form["Key"]
    for bad in ("exe", "BIN", "../x"):
        api.refused("GenerateOTAUploadURL", F + "InvalidGenerateOTAUploadURLParam", FileSuffix=bad)
    assert api.must("GenerateOTAUploadURL")["Data"]["Key"].endswith(".bin")
    assert api.must("GenerateDeviceNameListURL")["Data"]["Key"].endswith(".csv")


# ---- uniqueness ----

def test_uniqueness(api, good, pk):
    create(api, good)
    api.refused("CreateOTAFirmware", F + "AlreadyExistedFirmwareName", {**good, "DestVersion": "other"})
    api.refused("CreateOTAFirmware", F + "AlreadyExistedFirmwareVersion", {**good, "FirmwareName": name()})
    api.refused("CreateOTAFirmware", F + "AlreadyExistedFirmwareVersion",
                {**good, "FirmwareName": name(), "SrcVersion": "0.1"})  # a full package has no source version
    # differential ones to the same version are several packages
    for src in ("1.0.0", "1.0.1"):
        create(api, good, FirmwareName=name(), Type=1, SrcVersion=src)
    api.refused("CreateOTAFirmware", F + "AlreadyExistedFirmwareVersion",
                {**good, "FirmwareName": name(), "Type": 1, "SrcVersion": "1.0.1"})
    # names are unique in the account, versions in the product
    create(api, good, FirmwareName=name(), ProductKey=api.product())
    api.refused("CreateOTAFirmware", F + "AlreadyExistedFirmwareName", {**good, "ProductKey": api.product()})


def test_limit(stack, api, good, otad_default):
    count = stack.sql_one("select count(*) from firmware where deleted_ms is null")
    stack.restart_otad(limit_firmwares=str(count + 1))
    create(api, good)
    api.refused("CreateOTAFirmware", F + "FirmwareCountExceedMax",
                {**good, "FirmwareName": name(), "DestVersion": "other"})


# ---- what is shown ----

def test_shown_as_created(api, pk, good):
    fw = create(api, good, FirmwareSize=len(CONTENT), FirmwareSign=MD5.upper(), FirmwareDesc="一" * 100, Udi="u" * 4096,
                FirmwareName="固件カナ(1)-_")
    info = show(api, fw)
    assert (info["FirmwareId"], info["ProductKey"], info["DestVersion"]) == (fw, pk, good["DestVersion"])
    assert (info["FirmwareName"], info["FirmwareDesc"], info["Udi"]) == ("固件カナ(1)-_", "一" * 100, "u" * 4096)
    assert (info["FirmwareSize"], info["FirmwareSign"], info["SignMethod"]) == (len(CONTENT), MD5, "MD5")
    assert (info["Type"], info["ModuleName"], info["Status"], info["VerifyProgress"]) == (0, "default", 0, 0)
    assert "SrcVersion" not in info and "MultiFiles" not in info and info["UtcCreate"] == info["UtcModified"]
    assert len(info["FirmwareUrl"]) < 250
    assert http_request("GET", info["FirmwareUrl"])[2] == CONTENT
    api.must("DeleteOTAFirmware", FirmwareId=fw)


@pytest.mark.parametrize("method", ["SHA256", "sha256"])
def test_sha256(api, good, method):
    info = show(api, create(api, good, SignMethod=method, FirmwareSign=SHA256, NeedToVerify=False))
    assert (info["SignMethod"], info["FirmwareSign"], info["Status"]) == ("SHA256", SHA256, -1)


def test_module(api, good, pk):
    api.must("CreateOTAModule", ProductKey=pk, ModuleName="mcu")
    assert show(api, create(api, good, ModuleName="mcu"))["ModuleName"] == "mcu"
    create(api, good, FirmwareName=name())  # the same version of another module


# ---- several files ----

def files(api, n=2, **more):
    return [{"Name": f"part{i}", "Url": api.upload(b"part %d" % i), **more} for i in range(1, n + 1)]


def test_several_files(api, good):
    base = {**good, "FirmwareUrl": None}
    two = files(api)
    api.refused("CreateOTAFirmware", FORMAT, {**good, "MultiFiles": two})
    api.refused("CreateOTAFirmware", FORMAT, {**base, "MultiFiles": two[:1]})
    api.refused("CreateOTAFirmware", F + "ParameterSizeExceedMax", {**base, "MultiFiles": two * 11})
    api.refused("CreateOTAFirmware", FORMAT, {**base, "MultiFiles": [two[0], {**two[1], "Name": "part1"}]})
    api.refused("CreateOTAFirmware", FORMAT, {**base, "MultiFiles": [two[0], {**two[1], "Name": "n" * 33}]})
    api.refused("CreateOTAFirmware", FORMAT, {**base, "MultiFiles": [two[0], {**two[1], "Name": None}]})
    api.refused("CreateOTAFirmware", F + "NullFirmwareUrl", {**base, "MultiFiles": [two[0], {**two[1], "Url": None}]})
    api.refused("CreateOTAFirmware", F + "InvalidFirmwareSize", {**base, "MultiFiles": [two[0], {**two[1], "Size": 99}]})
    api.refused("CreateOTAFirmware", F + "InvalidFirmwareSign",
                {**base, "MultiFiles": [two[0], {**two[1], "FileMd5": "0" * 32}]})
    api.refused("CreateOTAFirmware", F + "InvalidFirmwareSign", {**base, "MultiFiles": two, "FirmwareSign": MD5})
    info = show(api, create(api, base, MultiFiles=[{**two[0], "Size": 6}, two[1]]))
    assert "FirmwareUrl" not in info and "FirmwareSign" not in info and "FirmwareSize" not in info
    assert [f["Name"] for f in info["MultiFiles"]] == ["part1", "part2"]
    for i, f in enumerate(info["MultiFiles"], 1):
        content = b"part %d" % i
        assert (f["Size"], f["FileMd5"]) == (6, hashlib.md5(content).hexdigest()) and f["SignValue"] == f["FileMd5"]
        assert http_request("GET", f["Url"])[2] == content


# ---- other stores ----

def test_other_store(stack, api, good, otad_default, fleet):
    stack.restart_otad(store_external="https://cdn.example/fw/ https://other.example/")
    external = {**good, "FirmwareUrl": "https://cdn.example/fw/a.bin", "FirmwareSize": 123, "FirmwareSign": "AB" * 16}
    api.refused("CreateOTAFirmware", F + "InvalidFirmwareUrl",
                {**external, "FirmwareUrl": "https://cdn.example/elsewhere/a.bin"})
    api.refused("CreateOTAFirmware", F + "InvalidFirmwareUrl",
                {**external, "FirmwareUrl": "https://cdn.example/fw/" + "a" * 230})
    api.refused("CreateOTAFirmware", F + "InvalidFirmwareSize", {**external, "FirmwareSize": None})
    api.refused("CreateOTAFirmware", F + "InvalidFirmwareSign", {**external, "FirmwareSign": None})
    api.refused("CreateOTAFirmware", F + "InvalidFirmwareSign", {**external, "FirmwareSign": "AB"})
    info = show(api, create(api, external))
    assert (info["FirmwareUrl"], info["FirmwareSize"]) == (external["FirmwareUrl"], 123)
    assert info["FirmwareSign"].lower() == "ab" * 16
    f = fleet(1, "1.0.0")
    fw = create(api, {**external, "ProductKey": f.pk, "FirmwareName": "external", "NeedToVerify": False})
    api.must("CreateOTAStaticUpgradeJob", FirmwareId=fw, ProductKey=f.pk, TargetSelection="ALL")
    assert f.devices[0].wait_push()["data"]["url"] == external["FirmwareUrl"]


# ---- changing ----

def test_modify(stack, api, pk, good):
    fw = create(api, good, FirmwareDesc="old", Udi="text")
    before = show(api, fw)
    stack.advance(2)
    params = {"ProductKey": pk, "FirmwareId": fw}
    assert set(api.must("ModifyOTAFirmware", params, FirmwareDesc="新" * 100)) == {"RequestId", "Success"}
    after = show(api, fw)
    assert after["UtcModified"] > before["UtcModified"]
    volatile = ("UtcModified", "FirmwareUrl")
    assert {k: v for k, v in after.items() if k not in volatile} == \
        {**{k: v for k, v in before.items() if k not in volatile}, "FirmwareDesc": "新" * 100}
    new = name()
    api.must("ModifyOTAFirmware", params, FirmwareName=new, FirmwareUdi="u" * 4096)
    assert (show(api, fw)["FirmwareName"], show(api, fw)["Udi"]) == (new, "u" * 4096)
    api.must("ModifyOTAFirmware", params, FirmwareName=new, Udi="by its other name")  # its own name is not taken
    assert show(api, fw)["Udi"] == "by its other name"
    api.must("ModifyOTAFirmware", params)  # nothing to change
    create(api, good, DestVersion="free")  # the old name is free again
    answer = api.call("ModifyOTAFirmware", params, FirmwareName=good["FirmwareName"])
    assert (answer.status, answer.code) == (200, F + "AlreadyExistedFirmwareName")
    assert show(api, fw)["FirmwareName"] == new


def test_later_pushes_carry_the_new_text(api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    fw = api.firmware(f.pk, Udi="old")
    api.job(fw, Tag=[{"Key": "a", "Value": "b"}])
    assert d.wait_push()["data"]["extData"] == {"a": "b", "_package_udi": "old"}
    api.must("ModifyOTAFirmware", ProductKey=f.pk, FirmwareId=fw.id, FirmwareUdi="new")
    d.disconnect()
    d.connect()
    assert d.wait_push(2)["data"]["extData"] == {"a": "b", "_package_udi": "new"}


@pytest.mark.parametrize("code, bad", [
    ("MissingProductKey", {"ProductKey": None}), ("MissingFirmwareId", {"FirmwareId": None}),
    ("iot.ota.FirmwareNotFound", {"FirmwareId": "x" * 26}), ("iot.prod.NotExistedProduct", {"ProductKey": "a1nothere00"}),
    (F + "BlankFirmwareName", {"FirmwareName": " "}), (F + "IncorrectFormattedFirmwareName", {"FirmwareName": "x" * 41}),
    (F + "IncorrectFormattedFirmwareName", {"FirmwareName": "(x)"}),
    (F + "FirmwareDescriptionExceedMaxLength", {"FirmwareDesc": "x" * 101}), (FORMAT, {"FirmwareUdi": "x" * 4097})])
def test_modify_refused(api, pk, good, code, bad):
    fw = create(api, good, FirmwareDesc="old", Udi="text")
    before = show(api, fw)
    api.refused("ModifyOTAFirmware", code, {"ProductKey": pk, "FirmwareId": fw, "FirmwareName": name(), **bad})
    after = show(api, fw)
    assert {**after, "FirmwareUrl": ""} == {**before, "FirmwareUrl": ""}


def test_modify_needs_the_packages_product_and_a_package(api, pk, good):
    fw = create(api, good)
    api.refused("ModifyOTAFirmware", F + "FirmwareAndProductKeyMismatch", ProductKey=api.product(), FirmwareId=fw)
    api.must("DeleteOTAFirmware", FirmwareId=fw)
    api.refused("ModifyOTAFirmware", "iot.ota.FirmwareNotFound", ProductKey=pk, FirmwareId=fw, FirmwareDesc="x")


# ---- lists ----

def test_list(api, url):
    pk, other = api.product(), api.product()
    made = [create(api, {"ProductKey": pk, "FirmwareName": name(), "DestVersion": f"{i}.0", "FirmwareUrl": url})
            for i in range(5)]
    elsewhere = create(api, {"ProductKey": other, "FirmwareName": name(), "DestVersion": "3.0", "FirmwareUrl": url})
    seen = []
    for page, want in ((1, 2), (2, 2), (3, 1), (4, 0)):
        body = api.must("ListOTAFirmware", ProductKey=pk, CurrentPage=page, PageSize=2)
        assert (body["CurrentPage"], body["PageSize"], body["PageCount"], body["Total"]) == (page, 2, 3, 5)
        assert list(body["FirmwareInfo"]) == ["SimpleFirmwareInfo"]
        seen += [f["FirmwareId"] for f in body["FirmwareInfo"]["SimpleFirmwareInfo"]]
        assert len(body["FirmwareInfo"]["SimpleFirmwareInfo"]) == want
    assert seen == made[::-1]  # newest first

    def listed(**filters):
        body = api.must("ListOTAFirmware", CurrentPage=1, PageSize=100, **filters)
        return body["Total"], [f["FirmwareId"] for f in body["FirmwareInfo"]["SimpleFirmwareInfo"]]
    assert listed(ProductKey=pk, DestVersion="3.0") == (1, [made[3]])
    assert listed(ProductKey=pk, DestVersion="3") == (0, [])
    assert listed(ProductKey=other) == (1, [elsewhere])
    everywhere = listed(DestVersion="3.0")[1]
    assert {made[3], elsewhere} <= set(everywhere)
    api.must("DeleteOTAFirmware", FirmwareId=made[0])
    assert listed(ProductKey=pk)[1] == made[:0:-1]


def test_list_members(api, url):
    pk = api.product()
    api.must("CreateOTAModule", ProductKey=pk, ModuleName="mcu")
    base = {"ProductKey": pk, "DestVersion": "2.0"}
    create(api, base, FirmwareName="several-" + pk, MultiFiles=files(api), NeedToVerify=False)
    create(api, base, FirmwareName="one-" + pk, FirmwareUrl=url, Type=1, SrcVersion="1.0", ModuleName="mcu",
           FirmwareDesc="text", Udi="u")
    one, several = api.must("ListOTAFirmware", ProductKey=pk, CurrentPage=1,
                            PageSize=2)["FirmwareInfo"]["SimpleFirmwareInfo"]
    shown = show(api, one["FirmwareId"])
    assert one == {k: v for k, v in shown.items() if k not in ("FirmwareUrl", "VerifyProgress", "Udi")}
    assert (one["FirmwareSize"], one["FirmwareSign"], one["SrcVersion"], one["Status"]) == (len(CONTENT), MD5, "1.0", 0)
    assert (several["FirmwareSize"], several["Status"]) == (12, -1)
    assert not {"FirmwareSign", "SrcVersion", "FirmwareDesc", "MultiFiles"} & set(several)
    assert several["ProductName"] == shown["ProductName"]


def test_list_refused(api):
    for n in ("CurrentPage", "PageSize"):
        api.refused("ListOTAFirmware", "Missing" + n, {"CurrentPage": 1, "PageSize": 1, n: None})
    for page, size in ((0, 10), (1, 0), (1, 101)):
        api.refused("ListOTAFirmware", "iot.common.InvalidPageParams", CurrentPage=page, PageSize=size)
    api.refused("ListOTAFirmware", "iot.prod.NotExistedProduct", CurrentPage=1, PageSize=1, ProductKey="a1nothere00")


# ---- deleting ----

def test_delete(api, fleet):
    f = fleet(1, online=False)
    fw = api.firmware(f.pk)
    job = api.job(fw)
    api.wait_task(job, f.rows[0], "QUEUED")
    api.refused("DeleteOTAFirmware", F + "DeleteFirmwareFailure", FirmwareId=fw.id)
    assert show(api, fw.id)["Status"] == -1
    api.must("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True)
    api.must("DeleteOTAFirmware", FirmwareId=fw.id)
    for action in ("QueryOTAFirmware", "DeleteOTAFirmware"):
        api.refused(action, F + "FirmwareNotFound", FirmwareId=fw.id)
    api.refused("CreateOTAStaticUpgradeJob", F + "FirmwareNotFound",
                {"FirmwareId": fw.id, "ProductKey": f.pk, "TargetSelection": "ALL"})
    # its jobs stay readable
    assert api.job_info(job)["JobStatus"] == "CANCELED"
    assert api.must("ListOTAJobByFirmware", FirmwareId=fw.id, CurrentPage=1, PageSize=10)["Total"] == 1
    assert len(api.tasks(job)) == 1
    api.firmware(f.pk)  # the version is free again


def test_delete_while_verifying(api, fleet):
    f = fleet(1, online=False)
    fw = api.firmware(f.pk, NeedToVerify=True)
    job = api.must("CreateOTAVerifyJob", FirmwareId=fw.id, ProductKey=f.pk,
                   TargetDeviceName=[f.rows[0]["DeviceName"]])["Data"]["JobId"]
    api.refused("DeleteOTAFirmware", F + "DeleteFirmwareFailure", FirmwareId=fw.id)
    wait_until(lambda: api.tasks(job))
    api.must("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True)
    api.must("DeleteOTAFirmware", FirmwareId=fw.id)


def test_unknown(api):
    for action in ("QueryOTAFirmware", "DeleteOTAFirmware"):
        api.refused(action, "MissingFirmwareId")
        api.refused(action, F + "FirmwareNotFound", FirmwareId="x" * 26)
