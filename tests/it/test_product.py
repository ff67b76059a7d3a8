# SPDX-License-Identifier: Apache-2.0
"""Products after their creation: shown, listed, renamed, deleted."""
import re
import threading
import uuid

import pytest

from client import Client, let_through, wait_until

NO_PRODUCT = "a1aaaaaaaaa"


def name(prefix="p"):
    return prefix + uuid.uuid4().hex[:12]


def product(api, **more):
    return api.must("CreateProduct", {"ProductName": name(), "NodeType": 0, **more})["Data"]


# ---- QueryProduct ----

def test_query_answer(api):
    made = product(api, NodeType=1, AliyunCommodityCode="iothub_senior", DataFormat=1, Description="Wärme 水",
                   ProtocolType="zigbee", NetType="CELLULAR", AuthType="x509", CategoryKey="Lighting", ValidateType=2)
    before = api.must("QueryProduct", ProductKey=made["ProductKey"])["Data"]
    created = before.pop("GmtCreate")
    assert isinstance(created, int) and 1_600_000_000_000 < created < 4_000_000_000_000
    assert before == {**made, "NetType": 6, "CategoryKey": "Lighting", "ProductStatus": "DEVELOPMENT_STATUS",
                      "DeviceCount": 0, "Owner": True, "ValidateType": 2}
    api.device(made["ProductKey"])
    assert api.must("QueryProduct", ProductKey=made["ProductKey"])["Data"]["DeviceCount"] == 1


@pytest.mark.parametrize("net, number", [(None, 3), ("WIFI", 3), ("CELLULAR", 6), ("ETHERNET", 7), ("LORA", 8),
                                         ("OTHER", 8)])
def test_net_type_is_a_number(api, net, number):
    made = product(api, NetType=net)
    data = api.must("QueryProduct", ProductKey=made["ProductKey"])["Data"]
    assert data["NetType"] == number
    assert not {"Description", "DataFormat", "ProtocolType", "CategoryKey"} & set(data)


@pytest.mark.parametrize("action", ["QueryProduct", "UpdateProduct", "DeleteProduct"])
def test_no_such_product(api, stranger, action):
    pk = api.product()
    params = {"ProductName": name()} if action == "UpdateProduct" else {}
    api.refused(action, "MissingProductKey", params)
    api.refused(action, "iot.prod.InvalidFormattedProductkey", {**params, "ProductKey": "a1/x"})
    unknown = api.refused(action, "iot.prod.NotExistedProduct", {**params, "ProductKey": NO_PRODUCT})
    foreign = stranger.refused(action, "iot.prod.NotExistedProduct", {**params, "ProductKey": pk})
    assert unknown.message == foreign.message
    api.refused(action, "iot.system.InstanceNotFound", {**params, "ProductKey": pk, "IotInstanceId": "iot-none"})
    assert api.must("QueryProduct", ProductKey=pk)["Data"]["ProductKey"] == pk


# ---- QueryProductList ----

@pytest.fixture(scope="module")
def shelf(stack):
    """An account with 23 products, the first ones first."""
    account = name("acc")
    stack.otactl("account", "create", account)
    out = stack.otactl("key", "create", "--account", account, "--name", "t", "--role", "admin").stdout
    client = Client(stack.endpoint, *(re.search(rf"{w}=(\S+)", out).group(1) for w in
                                      ("AccessKeyId", "AccessKeySecret")))
    rows = [product(client, Description=f"no {i}" if i else None,
                    **({"AliyunCommodityCode": "iothub_senior", "DataFormat": 1} if i % 4 == 0 else {}))
            for i in range(23)]
    client.device(rows[22]["ProductKey"])
    return client, rows


def test_list(shelf):
    client, rows = shelf
    got = []
    for page, size in ((1, 10), (2, 10), (3, 3), (4, 0)):
        data = client.must("QueryProductList", CurrentPage=page, PageSize=10)["Data"]
        assert (data["CurrentPage"], data["PageSize"], data["PageCount"], data["Total"]) == (page, 10, 3, 23)
        assert len(data["List"]["ProductInfo"]) == size
        got += data["List"]["ProductInfo"]
    assert [p["ProductKey"] for p in got] == [r["ProductKey"] for r in reversed(rows)]
    first, last = got[0], got[-1]
    assert isinstance(first.pop("GmtCreate"), int)
    assert first == {"ProductKey": rows[22]["ProductKey"], "ProductName": rows[22]["ProductName"],
                     "Description": "no 22", "AuthType": "secret", "NodeType": 0, "DeviceCount": 1}
    assert last["DataFormat"] == 1 and last["DeviceCount"] == 0 and "Description" not in last
    assert len(client.must("QueryProductList", CurrentPage=1, PageSize=200)["Data"]["List"]["ProductInfo"]) == 23
    for commodity, n in (("iothub_senior", 6), ("iothub", 17)):
        data = client.must("QueryProductList", CurrentPage=1, PageSize=5, AliyunCommodityCode=commodity,
                           ResourceGroupId="rg")["Data"]
        assert data["Total"] == n and data["PageCount"] == (n + 4) // 5


def test_list_is_of_one_instance(shelf, stack):
    client, _ = shelf
    account = stack.sql_one("select a.name from account a join access_key k on k.account_id = a.id"
                            " where k.key_id = %s", client.ak)
    stack.otactl("instance", "create", "--account", account, "--id", "iot-" + account)
    one = {"CurrentPage": 1, "PageSize": 10, "IotInstanceId": "iot-" + account}
    assert client.must("QueryProductList", one)["Data"]["Total"] == 0
    made = product(client, IotInstanceId="iot-" + account)
    assert [p["ProductKey"] for p in client.must("QueryProductList", one)["Data"]["List"]["ProductInfo"]] == [
        made["ProductKey"]]
    api_list = client.must("QueryProductList", CurrentPage=1, PageSize=200)["Data"]["List"]["ProductInfo"]
    assert made["ProductKey"] not in [p["ProductKey"] for p in api_list]


@pytest.mark.parametrize("code, change", [
    ("MissingCurrentPage", {"CurrentPage": None}),
    ("MissingPageSize", {"PageSize": None}),
    ("InvalidCurrentPage", {"CurrentPage": "one"}),
    ("InvalidPageSize", {"PageSize": "1.5"}),
    ("iot.common.InvalidPageParams", {"CurrentPage": 0}),
    ("iot.common.InvalidPageParams", {"PageSize": 0}),
    ("iot.common.InvalidPageParams", {"PageSize": 201}),
    ("iot.prod.InvalidAliyunCommodityCode", {"AliyunCommodityCode": "iothub_junior"}),
    ("iot.system.InstanceNotFound", {"IotInstanceId": "iot-none"}),
])
def test_list_refused(api, code, change):
    api.refused("QueryProductList", code, {"CurrentPage": 1, "PageSize": 10, **change})


def test_deep_pages_have_a_quota_of_their_own(stack, shelf, otad_default):
    client, _ = shelf
    stack.restart_otad(quota="")
    deep = {"CurrentPage": 500, "PageSize": 200}
    let_through(2, lambda: client.call("QueryProductList", deep))
    client.must("QueryProductList", CurrentPage=499, PageSize=200)
    stack.restart_otad(quota="QueryProductList=0")
    assert [client.call("QueryProductList", deep).code for _ in range(4)] == [None] * 4


# ---- UpdateProduct ----

def test_update(api, stranger):
    made, other = product(api, Description="old"), product(api)
    pk, n = made["ProductKey"], name("水")
    assert set(api.must("UpdateProduct", ProductKey=pk, ProductName=n)) == {"RequestId", "Success"}
    data = api.must("QueryProduct", ProductKey=pk)["Data"]
    assert (data["ProductName"], data["Description"], data["ProductSecret"]) == (n, "old", made["ProductSecret"])
    api.must("UpdateProduct", ProductKey=pk, ProductName=n, Description="水" * 100)  # its own name
    assert api.must("QueryProduct", ProductKey=pk)["Data"]["Description"] == "水" * 100
    api.refused("UpdateProduct", "iot.prod.AlreadyExistedProductName", ProductKey=pk, ProductName=other["ProductName"])
    stranger.must("UpdateProduct", ProductKey=stranger.product(), ProductName=n)
    row = api.device(pk)
    assert api.must("QueryDeviceDetail", IotId=row["IotId"])["Data"]["ProductName"] == n


@pytest.mark.parametrize("code, change", [
    ("MissingProductName", {"ProductName": None}),
    ("iot.prod.InvalidFormattedProductName", {"ProductName": "abc"}),
    ("iot.prod.InvalidFormattedProductName", {"ProductName": "x" * 31}),
    ("iot.prod.InvalidFormattedProductName", {"ProductName": "a-bcd"}),
    ("iot.prod.LongProductDesc", {"Description": "x" * 101}),
])
def test_update_refused(api, code, change):
    made = product(api, Description="old")
    api.refused("UpdateProduct", code, {"ProductKey": made["ProductKey"], "ProductName": name(), **change})
    data = api.must("QueryProduct", ProductKey=made["ProductKey"])["Data"]
    assert (data["ProductName"], data["Description"]) == (made["ProductName"], "old")


# ---- DeleteProduct ----

def test_delete(api, stack):
    made = product(api)
    pk = made["ProductKey"]
    assert set(api.must("DeleteProduct", ProductKey=pk)) == {"RequestId", "Success"}
    for action, more in (("QueryProduct", {}), ("DeleteProduct", {}), ("RegisterDevice", {}),
                         ("UpdateProduct", {"ProductName": name()}), ("BatchRegisterDevice", {"Count": 1})):
        api.refused(action, "iot.prod.NotExistedProduct", ProductKey=pk, **more)
    assert pk not in [p["ProductKey"] for p in api.must("QueryProductList", CurrentPage=1, PageSize=200)["Data"]
                      ["List"]["ProductInfo"]]
    again = api.must("CreateProduct", ProductName=made["ProductName"], NodeType=0)["Data"]
    assert again["ProductKey"] != pk


def test_delete_is_refused_while_something_is_in_it(api):
    pk = api.product()
    row, fw = api.device(pk), api.firmware(pk)
    job = api.job(fw)
    api.refused("DeleteProduct", "iot.prod.DeleteProductFailed", ProductKey=pk)
    api.wait_task(job, row["DeviceName"], "QUEUED")
    api.must("DeleteDevice", IotId=row["IotId"])
    api.wait_job(job, "CANCELED")
    api.refused("DeleteProduct", "iot.prod.DeleteProductFailed", ProductKey=pk)
    api.must("DeleteOTAFirmware", FirmwareId=fw.id)
    api.must("DeleteProduct", ProductKey=pk)
    assert api.job_info(job)["ProductKey"] == pk  # what was, stays readable
    assert api.tasks(job)[0]["DeviceName"] == row["DeviceName"]


def test_delete_is_refused_while_devices_are_on_their_way(api):
    pk = api.product()
    apply_id = api.must("BatchRegisterDevice", ProductKey=pk, Count=3)["Data"]["ApplyId"]
    api.refused("DeleteProduct", "iot.prod.DeleteProductFailed", ProductKey=pk)
    wait_until(lambda: api.must("QueryBatchRegisterDeviceStatus", ProductKey=pk, ApplyId=apply_id)["Data"]["Status"]
               == "CREATE_SUCCESS", 15)
    for row in api.must("QueryPageByApplyId", ApplyId=apply_id)["ApplyDeviceList"]["ApplyDeviceInfo"]:
        api.must("DeleteDevice", IotId=row["IotId"])
    api.must("DeleteProduct", ProductKey=pk)


def test_delete_against_registrations(api, stack):
    """However the two calls meet, no device is left in a product that is gone."""
    for _ in range(20):
        pk, codes = api.product(), {}
        calls = [("DeleteProduct", {"ProductKey": pk})] + [("RegisterDevice", {"ProductKey": pk})] * 3

        def run(i, action, params, codes=codes):
            codes[i] = api.call(action, params).code
        threads = [threading.Thread(target=run, args=(i, *c)) for i, c in enumerate(calls)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        devices = stack.sql_one("select count(*) from device d join product p on p.id = d.product_id"
                                " where p.product_key = %s", pk)
        if codes[0] is None:
            assert devices == 0 and [codes[i] for i in (1, 2, 3)] == ["iot.prod.NotExistedProduct"] * 3
        else:
            assert codes[0] == "iot.prod.DeleteProductFailed" and devices == 3
