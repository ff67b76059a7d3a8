# SPDX-License-Identifier: Apache-2.0
"""Products and devices: parameter rules and codes, uniqueness, tenancy, batches, what may log in when."""
import re
import time
import uuid

import pytest

from client import wait_until
from mqtt_device import ConnectRefused, MqttDevice

NONE_OF_OURS = "Wq2eRt4yUi6oPa8sDf0g000100"  # an IotId by its shape


def name(prefix="n"):
    return prefix + uuid.uuid4().hex[:12]


@pytest.fixture(scope="module")
def pk(api):
    return api.product()


def products(stack):
    return stack.sql_one("select count(*) from product")


def devices(stack):
    return stack.sql_one("select count(*) from device")


def can_log_in(broker, row):
    d = MqttDevice(broker, row)
    try:
        d.connect(subscribe=False)
    except ConnectRefused:
        return False
    d.disconnect()
    return True


# ---- CreateProduct ----

def test_product_answer(api):
    n = name("meter_")
    body = api.must("CreateProduct", ProductName=n, NodeType=1, AliyunCommodityCode="iothub_senior", DataFormat=1,
                    Description="Wärme 水", ProtocolType="zigbee", NetType="CELLULAR", AuthType="x509",
                    CategoryKey="Lighting", PublishAuto=False, ValidateType=2, ResourceGroupId="rg")
    data = body["Data"]
    assert body["ProductKey"] == data["ProductKey"]
    assert re.fullmatch(r"a1[A-Za-z0-9]{9}", data["ProductKey"])
    assert re.fullmatch(r"[A-Za-z0-9]{16}", data["ProductSecret"])
    assert {k: data[k] for k in data if k not in ("ProductKey", "ProductSecret")} == {
        "ProductName": n, "NodeType": 1, "DataFormat": 1, "AliyunCommodityCode": "iothub_senior",
        "Description": "Wärme 水", "ProtocolType": "zigbee", "AuthType": "x509", "Id2": False}


def test_product_defaults(api):
    data = api.must("CreateProduct", ProductName=name(), NodeType=0)["Data"]
    assert (data["AliyunCommodityCode"], data["AuthType"], data["Id2"]) == ("iothub", "secret", False)
    assert "DataFormat" not in data and "Description" not in data
    data = api.must("CreateProduct", ProductName=name(), NodeType=0, Id2=True)["Data"]
    assert (data["AuthType"], data["Id2"]) == ("id2", True)
    data = api.must("CreateProduct", ProductName=name(), NodeType=0, Id2=True, AuthType="secret")["Data"]
    assert (data["AuthType"], data["Id2"]) == ("secret", False)


@pytest.mark.parametrize("code, change", [
    ("MissingProductName", {"ProductName": None}),
    ("MissingProductName", {"ProductName": ""}),
    ("MissingNodeType", {"NodeType": None}),
    ("iot.prod.InvalidFormattedProductName", {"ProductName": "abc"}),
    ("iot.prod.InvalidFormattedProductName", {"ProductName": "水a"}),
    ("iot.prod.InvalidFormattedProductName", {"ProductName": "x" * 31}),
    ("iot.prod.InvalidFormattedProductName", {"ProductName": "水" * 16}),
    ("iot.prod.InvalidFormattedProductName", {"ProductName": "meter-v1"}),
    ("iot.prod.InvalidFormattedProductName", {"ProductName": "カタカナ"}),
    ("iot.prod.InvalidNodeType", {"NodeType": 2}),
    ("iot.prod.InvalidNodeType", {"NodeType": -1}),
    ("InvalidNodeType", {"NodeType": "gateway"}),
    ("iot.prod.InvalidAliyunCommodityCode", {"AliyunCommodityCode": "iothub_junior"}),
    ("MissingDataFormat", {"AliyunCommodityCode": "iothub_senior"}),
    ("InvalidDataFormat", {"DataFormat": 2}),
    ("iot.prod.LongProductDesc", {"Description": "水" * 101}),
    ("InvalidProtocolType", {"ProtocolType": "smoke"}),
    ("InvalidNetType", {"NetType": "wifi"}),
    ("InvalidAuthType", {"AuthType": "none"}),
    ("InvalidId2", {"Id2": "perhaps"}),
    ("InvalidPublishAuto", {"PublishAuto": "2"}),
    ("InvalidValidateType", {"ValidateType": 3}),
    ("iot.system.InstanceNotFound", {"IotInstanceId": "iot-none"}),
])
def test_product_refused(api, stack, code, change):
    before = products(stack)
    api.refused("CreateProduct", code, {"ProductName": name(), "NodeType": 0, **change})
    assert products(stack) == before


def test_product_borders(api):
    rest = uuid.uuid4().hex
    for n in (rest[:4], "水表", ("x" * 30 + rest)[-30:], "水" * 13 + rest[:4], "_" + rest[:3]):
        assert api.must("CreateProduct", ProductName=n, NodeType=0)["Data"]["ProductName"] == n
    api.must("CreateProduct", ProductName=name(), NodeType=0, Description="水" * 100)


def test_product_name_is_unique_per_account(api, stranger):
    n = name()
    api.must("CreateProduct", ProductName=n, NodeType=0)
    api.refused("CreateProduct", "iot.prod.AlreadyExistedProductName", ProductName=n, NodeType=0)
    stranger.must("CreateProduct", ProductName=n, NodeType=0)


def test_product_count(stack, stranger, otad_default):
    have = stack.sql_one("select count(*) from product p join access_key k using (account_id)"
                         " where k.key_id = %s and p.deleted_ms is null", stranger.ak)
    stack.restart_otad(limit_products=str(have + 1))
    pk = stranger.product()
    stranger.refused("CreateProduct", "iot.prod.ProductCountExceedMax", ProductName=name(), NodeType=0)
    stranger.must("DeleteProduct", ProductKey=pk)
    stranger.product()


# ---- RegisterDevice ----

def test_device_answer(api, pk):
    n = name("d-_@.:")
    data = api.must("RegisterDevice", ProductKey=pk, DeviceName=n, Nickname="水表_1")["Data"]
    assert (data["ProductKey"], data["DeviceName"], data["Nickname"]) == (pk, n, "水表_1")
    assert re.fullmatch(r"[A-Za-z0-9]{32}", data["DeviceSecret"])
    assert re.fullmatch(r"[A-Za-z0-9]{20}000100", data["IotId"])


def test_device_random_name(api, pk):
    rows = [api.must("RegisterDevice", ProductKey=pk)["Data"] for _ in range(2)]
    assert all(re.fullmatch(r"[A-Za-z0-9]{20}", r["DeviceName"]) and "Nickname" not in r for r in rows)
    assert rows[0]["DeviceName"] != rows[1]["DeviceName"] and rows[0]["IotId"] != rows[1]["IotId"]


@pytest.mark.parametrize("code, change", [
    ("MissingProductKey", {"ProductKey": None}),
    ("iot.prod.NotExistedProduct", {"ProductKey": "a1aaaaaaaaa"}),
    ("iot.prod.InvalidFormattedProductkey", {"ProductKey": "a1/#"}),
    ("iot.device.InvalidFormattedDeviceName", {"DeviceName": "abc"}),
    ("iot.device.InvalidFormattedDeviceName", {"DeviceName": "d" * 33}),
    ("iot.device.InvalidFormattedDeviceName", {"DeviceName": "a/bcd"}),
    ("iot.device.InvalidFormattedDeviceName", {"DeviceName": "水表水表"}),
    ("iot.device.InvalidDeviceNickNameExisted", {"Nickname": "abc"}),
    ("iot.device.InvalidDeviceNickNameExisted", {"Nickname": "水" * 33}),
    ("iot.device.InvalidDeviceNickNameExisted", {"Nickname": "a-bcd"}),
    ("InvalidLoraNodeType", {"LoraNodeType": "OTHER"}),
    ("MissingDevEui", {"LoraNodeType": "USERDEFINED"}),
    ("MissingPinCode", {"LoraNodeType": "ALIYUNDEFINED", "DevEui": "0102030405060708"}),
    ("iot.system.InstanceNotFound", {"IotInstanceId": "iot-none"}),
])
def test_device_refused(api, stack, pk, code, change):
    before = devices(stack)
    api.refused("RegisterDevice", code, {"ProductKey": pk, "DeviceName": name(), **change})
    assert devices(stack) == before


def test_device_borders(api, pk):
    tail = uuid.uuid4().hex
    for n in (tail[:4], tail):
        assert api.must("RegisterDevice", ProductKey=pk, DeviceName=n)["Data"]["DeviceName"] == n
    api.must("RegisterDevice", ProductKey=pk, DeviceName=name(), Nickname="水" * 32)


def test_device_name_is_unique_in_its_product(api, pk):
    n = name()
    api.must("RegisterDevice", ProductKey=pk, DeviceName=n)
    api.refused("RegisterDevice", "iot.device.AlreadyExistedDeviceName", ProductKey=pk, DeviceName=n)
    api.must("RegisterDevice", ProductKey=pk, DeviceName=n.upper())
    api.must("RegisterDevice", ProductKey=api.product(), DeviceName=n)


def test_device_can_log_in_from_the_answer_on(api, stack, pk):
    for _ in range(10):
        assert can_log_in(stack.broker, api.device(pk))


def test_secrets_are_sealed_at_rest(api, stack, pk):
    row = api.device(pk)
    sealed = bytes(stack.sql_one("select secret from device where name = %s", row["DeviceName"]))
    assert row["DeviceSecret"].encode() not in sealed and len(sealed) == 32 + 29
    assert row["DeviceSecret"] not in (stack.dir / "otad.err").read_text()


# ---- QueryDeviceDetail ----

def test_detail_of_a_new_device(api, pk):
    row = api.must("RegisterDevice", ProductKey=pk, Nickname="nick")["Data"]
    by_name = api.must("QueryDeviceDetail", ProductKey=pk, DeviceName=row["DeviceName"])["Data"]
    assert by_name == api.must("QueryDeviceDetail", IotId=row["IotId"])["Data"]
    # IotId wins over the other two
    assert by_name == api.must("QueryDeviceDetail", IotId=row["IotId"], ProductKey="x", DeviceName="y")["Data"]
    for k in ("ProductKey", "DeviceName", "DeviceSecret", "IotId", "Nickname"):
        assert by_name[k] == row[k]
    assert (by_name["Status"], by_name["NodeType"], by_name["Owner"]) == ("UNACTIVE", 0, True)
    assert by_name["Region"] and by_name["ProductName"]
    assert not {"FirmwareVersion", "UtcActive", "GmtActive", "UtcOnline", "GmtOnline"} & set(by_name)
    utc = time.strptime(by_name["UtcCreate"][:19], "%Y-%m-%dT%H:%M:%S")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", by_name["UtcCreate"])
    local = time.strptime(by_name["GmtCreate"], "%Y-%m-%d %H:%M:%S")
    assert time.mktime(local) - time.mktime(utc) == 8 * 3600


def test_detail_follows_the_device(api, device, pk):
    row = api.device(pk)
    d = device(row)
    d.inform("1.0.7")

    def detail():
        return api.must("QueryDeviceDetail", IotId=row["IotId"])["Data"]
    wait_until(lambda: detail()["Status"] == "ONLINE" and detail().get("FirmwareVersion") == "1.0.7", 10, detail)
    online = detail()
    assert online["IpAddress"].startswith("127.") and online["UtcActive"] == online["UtcOnline"]
    assert len(online["GmtActive"]) == 19
    d.disconnect()
    wait_until(lambda: detail()["Status"] == "OFFLINE", 10, detail)
    assert detail()["UtcActive"] == online["UtcActive"] and detail()["FirmwareVersion"] == "1.0.7"


BY_ADDRESS = ["QueryDeviceDetail", "DeleteDevice", "DisableThing", "EnableThing"]


@pytest.mark.parametrize("action", BY_ADDRESS)
@pytest.mark.parametrize("code, params", [
    ("iot.prod.NullProductKey", {}),
    ("iot.prod.NullProductKey", {"DeviceName": "abcd"}),
    ("iot.device.NullDeviceName", {"ProductKey": "PK"}),
    ("iot.device.NotExistedDevice", {"ProductKey": "PK", "DeviceName": "nobody"}),
    ("iot.device.NotExistedDevice", {"ProductKey": "a1aaaaaaaaa", "DeviceName": "nobody"}),
    ("iot.device.NotExistedDevice", {"IotId": NONE_OF_OURS}),
    ("iot.device.InvalidIoTId", {"IotId": "abc"}),
    ("iot.device.InvalidIoTId", {"IotId": "Wq2eRt4yUi6oPa8sDf0g-00100"}),
    ("iot.system.InstanceNotFound", {"ProductKey": "PK", "DeviceName": "nobody", "IotInstanceId": "iot-none"}),
])
def test_address_refused(api, pk, action, code, params):
    api.refused(action, code, {k: pk if v == "PK" else v for k, v in params.items()})


def test_foreign_objects_look_absent(api, stranger, pk):
    row = api.device(pk)
    address = {"ProductKey": pk, "DeviceName": row["DeviceName"]}
    for action in BY_ADDRESS:
        stranger.refused(action, "iot.device.NotExistedDevice", address)
        stranger.refused(action, "iot.device.NotExistedDevice", IotId=row["IotId"])
    for action, more in (("RegisterDevice", {}), ("BatchRegisterDevice", {"Count": 1})):
        stranger.refused(action, "iot.prod.NotExistedProduct", ProductKey=pk, **more)
    apply_id = api.must("BatchRegisterDevice", ProductKey=pk, Count=1)["Data"]["ApplyId"]
    stranger.refused("QueryPageByApplyId", "iot.device.DeviceApplyIsNotFound", ApplyId=apply_id)
    stranger.refused("QueryBatchRegisterDeviceStatus", "iot.prod.NotExistedProduct", ProductKey=pk,
                     ApplyId=apply_id)
    own = stranger.product()
    stranger.refused("QueryBatchRegisterDeviceStatus", "iot.device.DeviceApplyIsNotFound", ProductKey=own,
                     ApplyId=apply_id)
    assert api.must("QueryDeviceDetail", address)["Data"]["Status"] == "UNACTIVE"


# ---- DeleteDevice ----

def test_deleted_device_is_gone(api, stack, device, pk):
    row = api.device(pk)
    d = device(row)
    d.inform("1.0.0")
    wait_until(lambda: api.version_of(pk, row["DeviceName"]) == "1.0.0", 10)
    body = api.must("DeleteDevice", IotId=row["IotId"])
    assert set(body) == {"RequestId", "Success"}
    d.wait_closed()
    assert not can_log_in(stack.broker, row)
    api.refused("QueryDeviceDetail", "iot.device.NotExistedDevice", IotId=row["IotId"])
    api.refused("DeleteDevice", "iot.device.NotExistedDevice", IotId=row["IotId"])
    assert stack.sql("select 1 from device_module m where not exists (select from device where id = m.device_id)"
                     " and m.version = '1.0.0'") == []


def test_name_of_a_deleted_device_is_free(api, stack, pk):
    old = api.device(pk)
    api.must("DeleteDevice", ProductKey=pk, DeviceName=old["DeviceName"])
    new = api.device(pk, old["DeviceName"])
    assert new["IotId"] != old["IotId"] and new["DeviceSecret"] != old["DeviceSecret"]
    assert can_log_in(stack.broker, new) and not can_log_in(stack.broker, old)


def test_deletion_cancels_the_task(api, fleet):
    f = fleet(2, "1.0.0")
    fw = api.firmware(f.pk)
    job = api.job(fw)
    api.wait_task(job, f.rows[0], "NOTIFIED")
    api.must("DeleteDevice", ProductKey=f.pk, DeviceName=f.rows[0]["DeviceName"])
    task = api.task(job, f.rows[0])
    assert (task["TaskStatus"], task["TaskDesc"]) == ("CANCELED", "device deleted")
    assert api.job_info(job)["JobStatus"] == "IN_PROGRESS"
    f.devices[1].wait_push()
    f.devices[1].upgrade(fw.version)
    api.wait_job(job, "COMPLETED")


# ---- DisableThing, EnableThing ----

def status_of(api, row):
    return api.must("QueryDeviceDetail", IotId=row["IotId"])["Data"]["Status"]


def changes_for(stack, row):
    return stack.sql_one("select count(*) from credential_change where device_name = %s", row["DeviceName"])


def test_disabled_device(api, stack, fleet, device):
    f = fleet(2, "1.0.0")
    row, d = f.rows[0], f.devices[0]
    job = api.job(api.firmware(f.pk), TargetSelection="SPECIFIC", TargetDeviceName=[row["DeviceName"]])
    api.wait_task(job, row, "NOTIFIED")
    assert set(api.must("DisableThing", ProductKey=f.pk, DeviceName=row["DeviceName"])) == {"RequestId", "Success"}
    d.wait_closed()
    assert not can_log_in(stack.broker, row)
    assert f.devices[1].connected
    assert status_of(api, row) == "DISABLE"
    wait_until(lambda: stack.sql_one("select not online from device_session s join device d on d.id = s.device_id"
                                     " where d.name = %s", row["DeviceName"]), 10)
    # its task waits for it, and there is no new one for it
    assert api.task(job, row)["TaskStatus"] == "NOTIFIED"
    other = api.job(api.firmware(f.pk, "3.0.0"))
    wait_until(lambda: len(api.tasks(other)) == 1, 10)
    assert api.tasks(other)[0]["DeviceName"] == f.rows[1]["DeviceName"]
    api.must("DisableThing", IotId=row["IotId"])  # once more: nothing to do
    assert changes_for(stack, row) == 0

    api.must("EnableThing", IotId=row["IotId"])
    assert status_of(api, row) == "OFFLINE"
    again = device(row)  # from the moment of the answer
    again.wait_push()
    again.upgrade("2.0.0")
    api.wait_task(job, row, "SUCCEEDED")
    assert status_of(api, row) == "ONLINE"


def test_disabled_before_it_ever_came(api, stack, pk):
    row = api.device(pk)
    api.must("DisableThing", IotId=row["IotId"])
    assert status_of(api, row) == "DISABLE" and not can_log_in(stack.broker, row)
    firmware = api.firmware(pk)
    api.refused("CreateOTAStaticUpgradeJob", "iot.firmware.NoDeviceCanUpgrade", FirmwareId=firmware.id,
                ProductKey=pk, TargetSelection="SPECIFIC", TargetDeviceName=[row["DeviceName"]])
    api.must("EnableThing", IotId=row["IotId"])
    assert status_of(api, row) == "UNACTIVE" and can_log_in(stack.broker, row)


def test_disabled_while_the_broker_is_down(api, stack, pk):
    row = api.device(pk)
    stack.stop("broker")
    try:
        api.must("DisableThing", IotId=row["IotId"])
    finally:
        stack.start("broker")
    wait_until(lambda: changes_for(stack, row) == 0, 15)
    assert not can_log_in(stack.broker, row)
    api.must("EnableThing", IotId=row["IotId"])
    assert can_log_in(stack.broker, row)


# ---- batches ----

def test_batch(api, stack, pk):
    body = api.must("BatchRegisterDevice", ProductKey=pk, Count=23)
    apply_id = body["Data"]["ApplyId"]
    assert isinstance(apply_id, int)

    def status():
        return api.must("QueryBatchRegisterDeviceStatus", ProductKey=pk, ApplyId=apply_id)["Data"]
    wait_until(lambda: status()["Status"] == "CREATE_SUCCESS", 15, status)
    assert status()["ValidList"] == {"Name": []} and status()["InvalidList"] == {"Name": []}
    rows = []
    for page, size in ((1, 10), (2, 10), (3, 3), (4, 0)):
        body = api.must("QueryPageByApplyId", ApplyId=apply_id, CurrentPage=page)
        assert (body["Page"], body["PageSize"], body["PageCount"], body["Total"]) == (page, 10, 3, 23)
        assert len(body["ApplyDeviceList"]["ApplyDeviceInfo"]) == size
        rows += body["ApplyDeviceList"]["ApplyDeviceInfo"]
    assert len({r["DeviceName"] for r in rows}) == len({r["IotId"] for r in rows}) == 23
    assert all(re.fullmatch(r"[A-Za-z0-9]{20}", r["DeviceName"]) and r["DeviceId"] == r["DeviceName"] for r in rows)
    assert len(api.must("QueryPageByApplyId", ApplyId=apply_id, PageSize=50)["ApplyDeviceList"]
               ["ApplyDeviceInfo"]) == 23
    detail = api.must("QueryDeviceDetail", IotId=rows[22]["IotId"])["Data"]
    assert (detail["DeviceName"], detail["DeviceSecret"]) == (rows[22]["DeviceName"], rows[22]["DeviceSecret"])
    assert all(can_log_in(stack.broker, {**r, "ProductKey": pk}) for r in (rows[0], rows[22]))


@pytest.mark.parametrize("action, code, change", [
    ("BatchRegisterDevice", "MissingProductKey", {"ProductKey": None}),
    ("BatchRegisterDevice", "MissingCount", {"Count": None}),
    ("BatchRegisterDevice", "InvalidCount", {"Count": "ten"}),
    ("BatchRegisterDevice", "iot.device.DeviceCountExceeded", {"Count": 0}),
    ("BatchRegisterDevice", "iot.device.DeviceCountExceeded", {"Count": 10001}),
    ("BatchRegisterDevice", "iot.prod.NotExistedProduct", {"ProductKey": "a1aaaaaaaaa"}),
    ("QueryBatchRegisterDeviceStatus", "MissingApplyId", {"ApplyId": None}),
    ("QueryBatchRegisterDeviceStatus", "MissingProductKey", {"ProductKey": None}),
    ("QueryBatchRegisterDeviceStatus", "InvalidApplyId", {"ApplyId": "x"}),
    ("QueryBatchRegisterDeviceStatus", "iot.device.InvalidFormattedApplyId", {"ApplyId": 0}),
    ("QueryBatchRegisterDeviceStatus", "iot.device.DeviceApplyIsNotFound", {"ApplyId": 999999}),
    ("QueryBatchRegisterDeviceStatus", "iot.prod.NotExistedProduct", {"ProductKey": "a1aaaaaaaaa"}),
    ("QueryPageByApplyId", "MissingApplyId", {"ApplyId": None}),
    ("QueryPageByApplyId", "iot.device.InvalidFormattedApplyId", {"ApplyId": -1}),
    ("QueryPageByApplyId", "iot.device.DeviceApplyIsNotFound", {"ApplyId": 999999}),
    ("QueryPageByApplyId", "iot.common.InvalidPageParams", {"CurrentPage": 0}),
    ("QueryPageByApplyId", "iot.common.InvalidPageParams", {"PageSize": 0}),
    ("QueryPageByApplyId", "iot.common.InvalidPageParams", {"PageSize": 51}),
])
def test_batch_refused(api, stack, pk, action, code, change):
    before = stack.sql_one("select count(*) from device_apply")
    api.refused(action, code, {"ProductKey": pk, "Count": 1, "ApplyId": 1000000, **change})
    assert stack.sql_one("select count(*) from device_apply") == before


def test_batch_of_another_product(api, pk):
    apply_id = api.must("BatchRegisterDevice", ProductKey=pk, Count=1)["Data"]["ApplyId"]
    api.refused("QueryBatchRegisterDeviceStatus", "iot.device.DeviceApplyIsNotFound", ProductKey=api.product(),
                ApplyId=apply_id)


def test_batch_survives_kill(api, stack, otad_default):
    pk = api.product()
    apply_id = api.must("BatchRegisterDevice", ProductKey=pk, Count=10000)["Data"]["ApplyId"]

    def made():
        return stack.sql_one("select made from device_apply where id = %s", apply_id)
    wait_until(lambda: made() >= 500, 20)
    stack.kill_otad()
    between = made()
    assert stack.sql_one("select count(*) from device where apply_id = %s", apply_id) == between
    assert stack.sql_one("select status from device_apply where id = %s", apply_id) == "CREATE" or between == 10000
    stack.start_otad()
    wait_until(lambda: api.must("QueryBatchRegisterDeviceStatus", ProductKey=pk,
                                ApplyId=apply_id)["Data"]["Status"] == "CREATE_SUCCESS", 60)
    body = api.must("QueryPageByApplyId", ApplyId=apply_id, PageSize=50, CurrentPage=200)
    rows = body["ApplyDeviceList"]["ApplyDeviceInfo"]
    assert body["Total"] == 10000 and body["PageCount"] == 200 and len(rows) == 50
    assert stack.sql_one("select count(*) from device where apply_id = %s", apply_id) == 10000
    assert can_log_in(stack.broker, {**rows[49], "ProductKey": pk})


def test_registered_while_the_broker_is_down(api, stack, pk):
    stack.stop("broker")
    try:
        row = api.device(pk)  # answered all the same
    finally:
        stack.start("broker")
    wait_until(lambda: can_log_in(stack.broker, row), 15)
