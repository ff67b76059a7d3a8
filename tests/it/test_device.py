# SPDX-License-Identifier: Apache-2.0
"""Devices after their registration: shown, listed, counted, tagged, given nicknames."""
import json
import re
import threading
import time
import uuid

import pytest

from client import let_through, now_ms, wait_until

NONE_OF_OURS = "Wq2eRt4yUi6oPa8sDf0g000100"  # an IotId by its shape
NO_PRODUCT = "a1aaaaaaaaa"
GMT = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d GMT"
LOCAL = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
UTC = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def name(prefix="n"):
    return prefix + uuid.uuid4().hex[:12]


@pytest.fixture(scope="module")
def pk(api):
    return api.product()


def address(row):
    return {"ProductKey": row["ProductKey"], "DeviceName": row["DeviceName"]}


def wait_status(api, row, status):
    wait_until(lambda: api.must("GetDeviceStatus", IotId=row["IotId"])["Data"]["Status"] == status, 10)


@pytest.fixture(scope="module")
def zoo(api, stack):
    """A product with a device in each status -> {status: row}."""
    from mqtt_device import MqttDevice
    pk = api.product()
    rows = {s: api.device(pk, f"dev-{s.lower()}") for s in ("UNACTIVE", "ONLINE", "OFFLINE", "DISABLE")}
    live = MqttDevice(stack.broker, rows["ONLINE"]).connect()
    MqttDevice(stack.broker, rows["OFFLINE"]).connect().disconnect()
    api.must("DisableThing", IotId=rows["DISABLE"]["IotId"])
    for status in ("ONLINE", "OFFLINE"):
        wait_status(api, rows[status], status)
    yield rows
    live.disconnect()


# ---- one device ----

BY_ADDRESS = {"QueryDeviceInfo": {}, "GetDeviceStatus": {}, "SaveDeviceProp": {"Props": '{"a":"b"}'},
              "QueryDeviceProp": {}, "DeleteDeviceProp": {"PropKey": "a"}}


@pytest.mark.parametrize("action", BY_ADDRESS)
@pytest.mark.parametrize("code, params", [
    ("iot.prod.NullProductKey", {}),
    ("iot.prod.NullProductKey", {"DeviceName": "abcd"}),
    ("iot.device.NullDeviceName", {"ProductKey": "PK"}),
    ("iot.device.NotExistedDevice", {"ProductKey": "PK", "DeviceName": "nobody"}),
    ("iot.device.NotExistedDevice", {"ProductKey": NO_PRODUCT, "DeviceName": "nobody"}),
    ("iot.device.NotExistedDevice", {"IotId": NONE_OF_OURS}),
    ("iot.device.InvalidIoTId", {"IotId": "abc"}),
    ("iot.system.InstanceNotFound", {"ProductKey": "PK", "DeviceName": "nobody", "IotInstanceId": "iot-none"}),
])
def test_address_refused(api, pk, action, code, params):
    api.refused(action, code, {**BY_ADDRESS[action], **{k: pk if v == "PK" else v for k, v in params.items()}})


@pytest.mark.parametrize("action", BY_ADDRESS)
def test_foreign_devices_look_absent(api, stranger, pk, action):
    row = api.device(pk)
    unknown = api.refused(action, "iot.device.NotExistedDevice", {**BY_ADDRESS[action], "IotId": NONE_OF_OURS})
    for how in (address(row), {"IotId": row["IotId"]}):
        foreign = stranger.refused(action, "iot.device.NotExistedDevice", {**BY_ADDRESS[action], **how})
        assert foreign.message == unknown.message


def test_info(api, pk):
    row = api.must("RegisterDevice", ProductKey=pk, Nickname="nick")["Data"]
    for how in (address(row), {"IotId": row["IotId"]}, {"IotId": row["IotId"], "ProductKey": "x", "DeviceName": "y"}):
        assert api.must("QueryDeviceInfo", how)["Data"] == row
    row = api.device(pk)
    assert api.must("QueryDeviceInfo", address(row))["Data"] == row and "Nickname" not in row


def test_status(api, zoo):
    for status, row in zoo.items():
        data = api.must("GetDeviceStatus", address(row))["Data"]
        assert data["Status"] == status
        assert data == api.must("GetDeviceStatus", IotId=row["IotId"])["Data"]
        if status == "UNACTIVE":
            assert set(data) == {"Status"}
        else:
            assert abs(data["Timestamp"] - now_ms()) < 3 * 3600_000


def test_status_time_follows(api, device, pk):
    row = api.device(pk)

    def now():
        return api.must("GetDeviceStatus", IotId=row["IotId"])["Data"]
    d = device(row)
    wait_status(api, row, "ONLINE")
    online = now()["Timestamp"]
    d.disconnect()
    wait_status(api, row, "OFFLINE")
    offline = now()["Timestamp"]
    api.must("DisableThing", IotId=row["IotId"])
    disabled = now()["Timestamp"]
    assert online <= offline <= disabled
    detail = api.must("QueryDeviceDetail", IotId=row["IotId"])["Data"]
    assert re.fullmatch(UTC, detail["UtcTimestamp"]) and detail["UtcTimestamp"][:-1].endswith(f"{disabled % 1000:03}")


# ---- several devices ----

def test_batch_detail(api, device, zoo):
    pk = zoo["ONLINE"]["ProductKey"]
    names = [zoo[s]["DeviceName"] for s in ("OFFLINE", "ONLINE", "DISABLE", "UNACTIVE")]
    body = api.must("BatchQueryDeviceDetail", ProductKey=pk, DeviceName=[names[0], "nobody", *names[1:]])
    rows = body["Data"]["Data"]
    assert [r["DeviceName"] for r in rows] == names
    assert [r["Status"] for r in rows] == ["OFFLINE", "ONLINE", "DISABLE", "UNACTIVE"]
    shared = ("IotId", "ProductKey", "ProductName", "DeviceName", "DeviceSecret", "Status", "Region", "NodeType",
              "GmtCreate", "UtcCreate")
    detail = api.must("QueryDeviceDetail", IotId=zoo["ONLINE"]["IotId"])["Data"]
    assert rows[1] == {k: detail[k] for k in (*shared, "GmtActive", "UtcActive")}
    assert set(rows[3]) == set(shared)
    assert re.fullmatch(LOCAL, rows[1]["GmtCreate"]) and re.fullmatch(UTC, rows[1]["UtcCreate"])
    assert len(api.must("BatchQueryDeviceDetail", ProductKey=pk, DeviceName=["nobody"])["Data"]["Data"]) == 0


@pytest.mark.parametrize("code, change", [
    ("MissingProductKey", {"ProductKey": None}),
    ("MissingDeviceName", {"DeviceName": None}),
    ("iot.prod.InvalidFormattedProductkey", {"ProductKey": "a1/x"}),
    ("iot.prod.NotExistedProduct", {"ProductKey": NO_PRODUCT}),
    ("iot.firmware.ParameterSizeExceedMax", {"DeviceName": [f"dev-{i}" for i in range(101)]}),
    ("InvalidDeviceName", {"DeviceName": "without a number"}),
])
def test_batch_detail_refused(api, pk, code, change):
    api.refused("BatchQueryDeviceDetail", code, {"ProductKey": pk, "DeviceName": ["abcd"], **change})


def test_batch_detail_of_a_foreign_product(api, stranger, pk):
    row = api.device(pk)
    stranger.refused("BatchQueryDeviceDetail", "iot.prod.NotExistedProduct", ProductKey=pk,
                     DeviceName=[row["DeviceName"]])
    assert len(api.must("BatchQueryDeviceDetail", ProductKey=pk, DeviceName=[row["DeviceName"]] * 100)
               ["Data"]["Data"]) == 100


def test_batch_state(api, stranger, zoo):
    pk = zoo["ONLINE"]["ProductKey"]
    order = ["OFFLINE", "UNACTIVE", "ONLINE", "DISABLE"]
    by_name = api.must("BatchGetDeviceState", ProductKey=pk,
                       DeviceName=[zoo[s]["DeviceName"] for s in order] + ["nobody"])["DeviceStatusList"]
    by_id = api.must("BatchGetDeviceState", IotId=[zoo[s]["IotId"] for s in order] + [NONE_OF_OURS],
                     ProductKey=NO_PRODUCT, DeviceName=["ignored"])["DeviceStatusList"]
    assert by_name == by_id
    rows = by_name["DeviceStatus"]
    assert [r["Status"] for r in rows] == order
    assert all(r["IotId"] == zoo[s]["IotId"] and r["DeviceName"] == r["DeviceId"] == zoo[s]["DeviceName"]
               for s, r in zip(order, rows))
    assert set(rows[1]) == {"IotId", "DeviceName", "DeviceId", "Status"}
    assert rows[2]["AsAddress"].startswith("127.") and re.fullmatch(LOCAL, rows[2]["LastOnlineTime"])
    assert rows[2]["Timestamp"] == api.must("GetDeviceStatus", IotId=zoo["ONLINE"]["IotId"])["Data"]["Timestamp"]
    assert stranger.must("BatchGetDeviceState", IotId=[zoo["ONLINE"]["IotId"]])["DeviceStatusList"] == {
        "DeviceStatus": []}
    stranger.refused("BatchGetDeviceState", "iot.prod.NotExistedProduct", ProductKey=pk, DeviceName=["dev-online"])
    assert len(api.must("BatchGetDeviceState", IotId=[zoo["ONLINE"]["IotId"]] * 50)
               ["DeviceStatusList"]["DeviceStatus"]) == 50


@pytest.mark.parametrize("code, params", [
    ("iot.prod.NullProductKey", {}),
    ("iot.prod.NullProductKey", {"DeviceName": ["abcd"]}),
    ("iot.device.NullDeviceName", {"ProductKey": "PK"}),
    ("iot.prod.NotExistedProduct", {"ProductKey": NO_PRODUCT, "DeviceName": ["abcd"]}),
    ("iot.device.InvalidIoTId", {"IotId": [NONE_OF_OURS, "abc"]}),
    ("iot.firmware.ParameterSizeExceedMax", {"IotId": [NONE_OF_OURS] * 51}),
    ("iot.firmware.ParameterSizeExceedMax", {"ProductKey": "PK", "DeviceName": ["abcd"] * 51}),
])
def test_batch_state_refused(api, pk, code, params):
    api.refused("BatchGetDeviceState", code, {k: pk if v == "PK" else v for k, v in params.items()})


# ---- QueryDevice ----

@pytest.fixture(scope="module")
def shelf(api):
    """A product with 63 devices, in the order of their making."""
    pk = api.product()
    return pk, [api.must("RegisterDevice", ProductKey=pk, Nickname=f"nick_{i}" if i % 2 else None)["Data"]
                for i in range(63)]


def test_list(api, shelf):
    pk, rows = shelf
    got = []
    for page in range(1, 9):
        body = api.must("QueryDevice", ProductKey=pk, CurrentPage=page)
        assert (body["Page"], body["PageSize"], body["PageCount"], body["Total"]) == (page, 10, 7, 63)
        got += body["Data"]["DeviceInfo"]
    assert [d["IotId"] for d in got] == [r["IotId"] for r in reversed(rows)]
    first = got[0]
    assert {k: first[k] for k in ("ProductKey", "DeviceName", "DeviceSecret")} == {
        k: rows[62][k] for k in ("ProductKey", "DeviceName", "DeviceSecret")}
    assert first["DeviceStatus"] == "UNACTIVE" and first["DeviceId"] == first["DeviceName"]
    assert "Nickname" not in first and got[1]["Nickname"] == "nick_61"
    assert re.fullmatch(GMT, first["GmtCreate"]) and re.fullmatch(UTC, first["UtcCreate"])
    assert first["GmtModified"] == first["GmtCreate"] and first["UtcModified"] == first["UtcCreate"]
    parsed = time.strptime(first["GmtCreate"], "%a, %d-%b-%Y %H:%M:%S GMT")
    assert time.strftime("%Y-%m-%dT%H:%M:%S", parsed) == first["UtcCreate"][:19]


def test_list_by_token(api, shelf):
    pk, rows = shelf
    got, token, pages = [], None, 0
    while token != "":
        body = api.must("QueryDevice", ProductKey=pk, PageSize=20, NextToken=token)
        got += body["Data"]["DeviceInfo"]
        token, pages = body["NextToken"], pages + 1
        assert body["Total"] == 63
    assert pages == 4 and [d["IotId"] for d in got] == [r["IotId"] for r in reversed(rows)]


@pytest.mark.parametrize("code, change", [
    ("MissingProductKey", {"ProductKey": None}),
    ("iot.prod.InvalidFormattedProductkey", {"ProductKey": "a1/x"}),
    ("iot.prod.NotExistedProduct", {"ProductKey": NO_PRODUCT}),
    ("iot.common.InvalidPageParams", {"CurrentPage": 0}),
    ("iot.common.InvalidPageParams", {"PageSize": 51}),
    ("InvalidPageSize", {"PageSize": "many"}),
    ("iot.common.InvalidFormattedParameter", {"NextToken": "x"}),
    ("iot.system.InstanceNotFound", {"IotInstanceId": "iot-none"}),
])
def test_list_refused(api, pk, code, change):
    api.refused("QueryDevice", code, {"ProductKey": pk, **change})


def test_list_of_a_foreign_product(stranger, pk):
    stranger.refused("QueryDevice", "iot.prod.NotExistedProduct", ProductKey=pk)


def test_deep_pages_have_a_quota_of_their_own(stack, api, shelf, otad_default):
    stack.restart_otad(quota="QueryDevice=3")
    deep = {"ProductKey": shelf[0], "CurrentPage": 2000, "PageSize": 50}
    let_through(3, lambda: api.call("QueryDevice", deep))
    stack.restart_otad(quota="")
    let_through(2, lambda: api.call("QueryDevice", deep))


# ---- QueryDeviceByStatus, QueryDeviceStatistics ----

@pytest.mark.parametrize("number, status", [(0, "UNACTIVE"), (1, "ONLINE"), (3, "OFFLINE"), (8, "DISABLE")])
def test_by_status(api, zoo, number, status):
    body = api.must("QueryDeviceByStatus", Status=number, ProductKey=zoo["ONLINE"]["ProductKey"], ResourceGroupId="x")
    assert (body["Page"], body["PageSize"], body["PageCount"], body["Total"]) == (1, 10, 1, 1)
    row = body["Data"]["SimpleDeviceInfo"][0]
    assert (row["IotId"], row["DeviceSecret"], row["Status"]) == (
        zoo[status]["IotId"], zoo[status]["DeviceSecret"], status)
    assert re.fullmatch(LOCAL, row["GmtCreate"]) and re.fullmatch(LOCAL, row["GmtModified"])
    assert re.fullmatch(UTC, row["UtcCreate"]) and re.fullmatch(UTC, row["UtcModified"])
    assert set(row) == {"IotId", "ProductKey", "DeviceName", "DeviceSecret", "Status", "GmtCreate", "GmtModified",
                        "UtcCreate", "UtcModified"}
    everywhere = api.must("QueryDeviceByStatus", Status=number, PageSize=50)
    assert everywhere["Total"] >= 1
    assert all(d["Status"] == status for d in everywhere["Data"]["SimpleDeviceInfo"])


def test_by_status_pages(api, stranger, shelf):
    pk, rows = shelf
    got = []
    for page in (1, 2):
        body = api.must("QueryDeviceByStatus", Status=0, ProductKey=pk, CurrentPage=page, PageSize=50)
        assert body["Total"] == 63 and body["PageCount"] == 2
        got += [d["IotId"] for d in body["Data"]["SimpleDeviceInfo"]]
    assert got == [r["IotId"] for r in reversed(rows)]
    assert api.must("QueryDeviceByStatus", Status=1, ProductKey=pk)["Data"] == {"SimpleDeviceInfo": []}
    stranger.refused("QueryDeviceByStatus", "iot.prod.NotExistedProduct", Status=0, ProductKey=pk)
    theirs = stranger.must("QueryDeviceByStatus", Status=0, PageSize=50)["Data"]["SimpleDeviceInfo"]
    assert not {d["ProductKey"] for d in theirs} & {pk}


@pytest.mark.parametrize("code, change", [
    ("MissingStatus", {"Status": None}),
    ("InvalidStatus", {"Status": "ONLINE"}),
    ("iot.common.InvalidFormattedParameter", {"Status": 2}),
    ("iot.prod.InvalidFormattedProductkey", {"ProductKey": "a1/x"}),
    ("iot.prod.NotExistedProduct", {"ProductKey": NO_PRODUCT}),
    ("iot.common.InvalidPageParams", {"CurrentPage": -1}),
    ("iot.common.InvalidPageParams", {"PageSize": 51}),
])
def test_by_status_refused(api, code, change):
    api.refused("QueryDeviceByStatus", code, {"Status": 1, **change})


def statistics(client, **params):
    data = client.must("QueryDeviceStatistics", params)["Data"]
    assert set(data) == {"deviceCount", "activeCount", "onlineCount"}
    return data["deviceCount"], data["activeCount"], data["onlineCount"]


def test_statistics(api, stranger, stack, zoo):
    pk = zoo["ONLINE"]["ProductKey"]
    assert statistics(api, ProductKey=pk) == (4, 2, 1)
    all_of_them = statistics(api)
    assert all_of_them[0] > 4 and all_of_them[2] >= 1
    gid = api.must("CreateDeviceGroup", GroupName=name("g"))["Data"]["GroupId"]
    elsewhere = api.device(api.product())
    api.must("BatchAddDeviceGroupRelations", GroupId=gid,
             Device=[address(r) for r in (zoo["ONLINE"], zoo["UNACTIVE"], elsewhere)])
    assert statistics(api, GroupId=gid) == (3, 1, 1)
    assert statistics(api, GroupId=gid, ProductKey=pk) == (2, 1, 1)
    assert statistics(api, GroupId=gid, ProductKey=elsewhere["ProductKey"]) == (1, 0, 0)
    instance = stack.sql_one("select i.instance_id from instance i join product p on p.instance_id = i.id"
                             " where p.product_key = %s", pk)
    moving = api.must("CreateDeviceDynamicGroup", IotInstanceId=instance, GroupName=name("g"),
                      DynamicGroupExpression=f'product_key = "{pk}" and status = "ONLINE"')["Data"]["GroupId"]
    assert statistics(api, GroupId=moving) == (1, 1, 1)
    before = statistics(stranger)
    stranger.device(stranger.product())
    assert statistics(stranger)[0] == before[0] + 1
    stranger.refused("QueryDeviceStatistics", "iot.prod.NotExistedProduct", ProductKey=pk)
    stranger.refused("QueryDeviceStatistics", "iot.group.NotExistedGroup", GroupId=gid)


@pytest.mark.parametrize("code, params", [
    ("iot.prod.InvalidFormattedProductkey", {"ProductKey": "a1/x"}),
    ("iot.prod.NotExistedProduct", {"ProductKey": NO_PRODUCT}),
    ("iot.group.NotExistedGroup", {"GroupId": "HtMLECKbdJQLx7P2"}),
])
def test_statistics_refused(api, code, params):
    api.refused("QueryDeviceStatistics", code, params)


# ---- tags ----

def props(api, row):
    body = api.must("QueryDeviceProp", IotId=row["IotId"])
    assert isinstance(body["Props"], str)
    return json.loads(body["Props"])


def test_props(api, pk):
    row = api.device(pk)
    assert api.must("QueryDeviceProp", address(row))["Props"] == "{}"
    assert set(api.must("SaveDeviceProp", address(row), Props='{ "color": "red" }')) == {"RequestId", "Success"}
    assert api.must("QueryDeviceProp", IotId=row["IotId"])["Props"] == '{"color":"red"}'
    api.must("SaveDeviceProp", IotId=row["IotId"], Props='{"shape":"round","color":"blau \\" 水","n":7,"ok":true}')
    assert props(api, row) == {"color": 'blau " 水', "shape": "round", "n": "7", "ok": "true"}
    assert set(api.must("DeleteDeviceProp", IotId=row["IotId"], PropKey="color")) == {"RequestId", "Success"}
    api.must("DeleteDeviceProp", address(row), PropKey="never-there")
    assert props(api, row) == {"shape": "round", "n": "7", "ok": "true"}
    api.must("DeleteDevice", IotId=row["IotId"])


def test_props_limits(api, pk):
    row = api.device(pk)
    full = {f"k{i}": "v" * 30 for i in range(100)}
    assert len(json.dumps(full, separators=(",", ":"))) < 5120
    api.must("SaveDeviceProp", IotId=row["IotId"], Props=json.dumps(full, separators=(",", ":")))
    assert props(api, row) == full
    api.refused("SaveDeviceProp", "iot.device.SaveOrUpdateDevicePropertiesFailed", IotId=row["IotId"],
                Props='{"one-more":"x","k1":"changed"}')
    assert props(api, row) == full
    api.must("SaveDeviceProp", IotId=row["IotId"], Props='{"k1":"changed"}')
    assert props(api, row)["k1"] == "changed"
    long = {"k": "v" * (5120 - len('{"k":""}'))}
    row = api.device(pk)
    api.must("SaveDeviceProp", IotId=row["IotId"], Props=json.dumps(long, separators=(",", ":")))
    assert props(api, row) == long


@pytest.mark.parametrize("code, text", [
    ("MissingProps", ""),
    ("iot.device.NullDevicePropertiesString", "{}"),
    ("iot.device.InvalidFormattedDevicePropertiesString", "color=red"),
    ("iot.device.InvalidFormattedDevicePropertiesString", '["color"]'),
    ("iot.device.InvalidFormattedDevicePropertiesString", '"color"'),
    ("iot.device.InvalidFormattedDevicePropertiesString", '{"color":{"name":"red"}}'),
    ("iot.device.InvalidFormattedDevicePropertiesString", '{"color":null}'),
    ("iot.device.InvalidFormattedDevicePropertiesString", '{"color":"a\\u0000b"}'),
    ("iot.device.InvalidFormattedDevicePropertyKey", '{"":"red"}'),
    ("iot.device.LongDevicePropertiesString", json.dumps({"k": "v" * 5113}, separators=(",", ":"))),
    ("iot.device.TooManyDevicePropertiesPerTime", json.dumps({f"k{i}": "v" for i in range(101)})),
])
def test_props_refused(api, pk, code, text):
    row = api.device(pk)
    api.must("SaveDeviceProp", IotId=row["IotId"], Props='{"old":"one"}')
    api.refused("SaveDeviceProp", code, IotId=row["IotId"], Props=text)
    assert props(api, row) == {"old": "one"}
    api.refused("DeleteDeviceProp", "MissingPropKey", IotId=row["IotId"])


def test_props_saved_at_once(api, pk):
    """Calls that come together lose nothing, and never make more than 100 tags."""
    row = api.device(pk)
    answers = []

    def save(i):
        text = json.dumps({f"k{i}.{n}": "v" for n in range(15)})
        answers.append(api.call("SaveDeviceProp", IotId=row["IotId"], Props=text).code)
    threads = [threading.Thread(target=save, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(map(str, answers)) == ["None"] * 6 + ["iot.device.SaveOrUpdateDevicePropertiesFailed"] * 2
    assert len(props(api, row)) == 90


def by_tags(client, tags, **more):
    body = client.must("QueryDeviceByTags", Tag=[{"TagKey": k, "TagValue": v} for k, v in tags], **more)
    return [d["IotId"] for d in body["Data"]["SimpleDeviceInfo"]], body


def test_by_tags(api, stranger, pk):
    room, rows = name("room"), [api.device(pk) for _ in range(12)]
    for i, row in enumerate(rows):
        api.must("SaveDeviceProp", IotId=row["IotId"],
                 Props=json.dumps({"room": room, "even": str(i % 2 == 0), "no": str(i), "abc": room}))
    found, body = by_tags(api, [("room", room)])
    assert (body["Page"], body["PageSize"], body["PageCount"], body["Total"]) == (1, 10, 2, 12)
    assert found == [r["IotId"] for r in reversed(rows)][:10]
    first = body["Data"]["SimpleDeviceInfo"][0]
    assert first == {"IotId": rows[11]["IotId"], "ProductKey": pk, "ProductName": first["ProductName"],
                     "DeviceName": rows[11]["DeviceName"]}
    assert by_tags(api, [("room", room)], CurrentPage=2)[0] == [rows[1]["IotId"], rows[0]["IotId"]]
    assert by_tags(api, [("room", room), ("no", "7"), ("even", "False")])[0] == [rows[7]["IotId"]]
    assert by_tags(api, [("room", room), ("no", "7"), ("even", "True")])[1]["Total"] == 0
    assert by_tags(api, [("no", "7"), ("no", "8"), ("room", room)])[0] == []
    assert by_tags(api, [("no", "7"), ("no", "7"), ("room", room)])[0] == [rows[7]["IotId"]]
    assert by_tags(api, [("room", room[:-1])])[0] == []
    assert by_tags(api, [("abc", room)])[0] == []
    assert by_tags(stranger, [("room", room)])[0] == []
    api.must("DeleteDeviceProp", IotId=rows[3]["IotId"], PropKey="room")
    api.must("DeleteDevice", IotId=rows[4]["IotId"])
    assert by_tags(api, [("room", room)])[1]["Total"] == 10


@pytest.mark.parametrize("code, params", [
    ("MissingTag", {}),
    ("MissingTag.1.TagKey", {"Tag": [{"TagValue": "x"}]}),
    ("MissingTag.1.TagValue", {"Tag": [{"TagKey": "x"}]}),
    ("iot.firmware.ParameterSizeExceedMax", {"Tag": [{"TagKey": f"k{i}", "TagValue": "x"} for i in range(11)]}),
    ("iot.common.InvalidPageParams", {"Tag": [{"TagKey": "x", "TagValue": "x"}], "PageSize": 51}),
    ("iot.common.InvalidPageParams", {"Tag": [{"TagKey": "x", "TagValue": "x"}], "CurrentPage": 0}),
])
def test_by_tags_refused(api, code, params):
    api.refused("QueryDeviceByTags", code, params)


# ---- BatchUpdateDeviceNickname ----

def nickname(api, row):
    return api.must("QueryDeviceInfo", IotId=row["IotId"])["Data"].get("Nickname")


def test_nicknames(api, pk):
    rows = [api.must("RegisterDevice", ProductKey=pk, Nickname="first")["Data"] for _ in range(4)]
    body = api.must("BatchUpdateDeviceNickname", DeviceNicknameInfo=[
        {"IotId": rows[0]["IotId"], "Nickname": "hall_lamp"},
        {**address(rows[1]), "Nickname": "水" * 32},
        {"IotId": rows[2]["IotId"], "ProductKey": "x", "DeviceName": "y"},
        {"IotId": rows[3]["IotId"], "Nickname": "before"}, {"IotId": rows[3]["IotId"], "Nickname": "after"}])
    assert set(body) == {"RequestId", "Success"}
    assert [nickname(api, r) for r in rows] == ["hall_lamp", "水" * 32, None, "after"]
    shown = next(d for d in api.must("QueryDevice", ProductKey=pk, PageSize=50)["Data"]["DeviceInfo"]
                 if d["IotId"] == rows[0]["IotId"])
    assert shown["UtcModified"] > shown["UtcCreate"]


@pytest.mark.parametrize("code, item", [
    ("iot.device.InvalidDeviceNickNameExisted", {"Nickname": "abc"}),
    ("iot.device.InvalidDeviceNickNameExisted", {"Nickname": "水" * 33}),
    ("iot.device.InvalidDeviceNickNameExisted", {"Nickname": "a-bcd"}),
    ("iot.prod.NullProductKey", {"IotId": None, "Nickname": "good"}),
    ("iot.device.NullDeviceName", {"IotId": None, "ProductKey": "PK", "Nickname": "good"}),
    ("iot.device.NotExistedDevice", {"IotId": NONE_OF_OURS, "Nickname": "good"}),
    ("iot.device.NotExistedDevice", {"IotId": None, "ProductKey": "PK", "DeviceName": "nobody", "Nickname": "good"}),
    ("iot.device.InvalidIoTId", {"IotId": "abc", "Nickname": "good"}),
])
def test_nicknames_refused(api, stranger, pk, code, item):
    """One bad one, and nothing happens to the others."""
    row, other = (api.must("RegisterDevice", ProductKey=pk, Nickname="first")["Data"] for _ in range(2))
    bad = {"IotId": other["IotId"], **{k: pk if v == "PK" else v for k, v in item.items()}}
    api.refused("BatchUpdateDeviceNickname", code,
                DeviceNicknameInfo=[{"IotId": row["IotId"], "Nickname": "second"}, bad])
    assert (nickname(api, row), nickname(api, other)) == ("first", "first")
    stranger.refused("BatchUpdateDeviceNickname", "iot.device.NotExistedDevice",
                     DeviceNicknameInfo=[{"IotId": row["IotId"], "Nickname": "second"}])
    api.refused("BatchUpdateDeviceNickname", "MissingDeviceNicknameInfo")
