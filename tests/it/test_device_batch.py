# SPDX-License-Identifier: Apache-2.0
"""Batches of devices with names of their own: checked, ordered, made in the background. Random names: test_registry."""
import uuid

import psycopg2
import pytest

from client import wait_until
from mqtt_device import MqttDevice


def name(prefix="n"):
    return prefix + uuid.uuid4().hex[:12]


@pytest.fixture(scope="module")
def pk(api):
    return api.product()


def check(api, pk, names, nicknames=None, **options):
    params = ({"DeviceName": names} if nicknames is None else
              {"DeviceNameList": [{"DeviceName": n, "DeviceNickname": k} for n, k in zip(names, nicknames)]})
    return api.must("BatchCheckDeviceNames", {"ProductKey": pk, **params}, **options)["Data"]


def status(api, pk, apply_id):
    return api.must("QueryBatchRegisterDeviceStatus", ProductKey=pk, ApplyId=apply_id)["Data"]


def devices(api, apply_id):
    body = api.must("QueryPageByApplyId", ApplyId=apply_id, PageSize=50)
    return body["ApplyDeviceList"]["ApplyDeviceInfo"]


def make(api, pk, apply_id, want="CREATE_SUCCESS"):
    body = api.must("BatchRegisterDeviceWithApplyId", ProductKey=pk, ApplyId=apply_id)
    assert body["Data"] == {"ApplyId": apply_id}
    wait_until(lambda: status(api, pk, apply_id)["Status"] == want, 20, lambda: status(api, pk, apply_id))


def test_names(api, stack, pk):
    names = [name("d-_@.:") for _ in range(12)]
    data = check(api, pk, names)
    assert set(data) == {"ApplyId"} and isinstance(data["ApplyId"], int)
    apply_id = data["ApplyId"]
    assert status(api, pk, apply_id) == {
        "Status": "CHECK_SUCCESS", "ValidList": {"Name": names}, "InvalidList": {"Name": []},
        "InvalidDetailList": {"invalidDetailList": []}}
    assert devices(api, apply_id) == []
    make(api, pk, apply_id)
    rows = devices(api, apply_id)
    assert [r["DeviceName"] for r in rows] == names  # in the order of the call
    assert status(api, pk, apply_id)["ValidList"] == {"Name": names}
    row = api.must("QueryDeviceInfo", IotId=rows[3]["IotId"])["Data"]
    assert (row["DeviceName"], row["DeviceSecret"]) == (names[3], rows[3]["DeviceSecret"]) and "Nickname" not in row
    for r in (rows[0], rows[11]):
        MqttDevice(stack.broker, {**r, "ProductKey": pk}).connect().disconnect()


@pytest.mark.parametrize("place", ["form", "query", "mixed"])
def test_nicknames(api, pk, place):
    """The typed SDKs send the list in the form and the rest in the query; DeviceNameList wins."""
    names, nicknames = [name() for _ in range(3)], ["水表_1", None, "lamp_3"]
    params = {"ProductKey": pk, "DeviceName": ["not used"],
              "DeviceNameList": [{"DeviceName": n, "DeviceNickname": k} for n, k in zip(names, nicknames)]}
    apply_id = api.must("BatchCheckDeviceNames", params, place=place)["Data"]["ApplyId"]
    make(api, pk, apply_id)
    made = [api.must("QueryDeviceInfo", ProductKey=pk, DeviceName=n)["Data"].get("Nickname") for n in names]
    assert made == nicknames


def test_faults(api, stack, pk):
    """A refusal with the names that are at fault, in JSON and XML."""
    before = stack.sql_one("select count(*) from device_apply")
    entries = [("good-name", "good_nick"), ("bad", "good_nick"), ("also/bad", "x"), ("good-too", "b-a-d"),
               ("twice-1", None), ("twice-1", None)]
    params = {"ProductKey": pk, "DeviceNameList": [{"DeviceName": n, "DeviceNickname": k} for n, k in entries]}
    answer = api.refused("BatchCheckDeviceNames", "iot.device.InvalidFormattedDeviceName", params)
    data = answer.body["Data"]
    assert set(data) == {"InvalidDeviceNameList", "InvalidDeviceNicknameList", "RepeatedDeviceNameList",
                         "InvalidDetailList"}
    assert data["InvalidDeviceNameList"] == {"InvalidDeviceName": ["bad", "also/bad"]}
    assert data["InvalidDeviceNicknameList"] == {"InvalidDeviceNickname": ["x", "b-a-d"]}
    assert data["RepeatedDeviceNameList"] == {"RepeatDevieNameList": ["twice-1"]}
    details = data["InvalidDetailList"]["InvalidDetailList"]
    assert [(d["DeviceName"], d.get("NickName")) for d in details] == entries[1:]
    assert "|" in details[1]["ErrorMsg"] and "|" not in details[0]["ErrorMsg"]
    xml = api.call("BatchCheckDeviceNames", params, format="XML")
    assert xml.xml.tag == "BatchCheckDeviceNamesResponse"
    assert xml.body["Data"]["InvalidDeviceNameList"]["InvalidDeviceName"] == ["bad", "also/bad"]
    assert xml.body["Data"]["RepeatedDeviceNameList"]["RepeatDevieNameList"] == "twice-1"

    answer = api.refused("BatchCheckDeviceNames", "iot.device.InvalidDeviceNickNameExisted", ProductKey=pk,
                         DeviceNameList=[{"DeviceName": "good-name", "DeviceNickname": "abc"}])
    assert set(answer.body["Data"]) == {"InvalidDeviceNicknameList", "InvalidDetailList"}
    answer = api.refused("BatchCheckDeviceNames", "iot.common.InvalidFormattedParameter", ProductKey=pk,
                         DeviceName=["same-name", "other-name", "same-name", "same-name"])
    assert answer.body["Data"]["RepeatedDeviceNameList"] == {"RepeatDevieNameList": ["same-name"]}
    assert stack.sql_one("select count(*) from device_apply") == before


@pytest.mark.parametrize("code, change", [
    ("MissingProductKey", {"ProductKey": None}),
    ("iot.prod.InvalidFormattedProductkey", {"ProductKey": "a1/x"}),
    ("iot.prod.NotExistedProduct", {"ProductKey": "a1aaaaaaaaa"}),
    ("iot.device.NoneDeviceNameElement", {"DeviceName": None}),
    ("MissingDeviceNameList.1.DeviceName", {"DeviceNameList": [{"DeviceNickname": "nick"}]}),
    ("iot.device.DeviceCountExceeded", {"DeviceName": [f"dev-{i:05}" for i in range(10001)]}),
    ("iot.system.InstanceNotFound", {"IotInstanceId": "iot-none"}),
])
def test_check_refused(api, code, pk, change):
    api.refused("BatchCheckDeviceNames", code, {"ProductKey": pk, "DeviceName": ["some-name"], **change})


def test_names_that_are_taken(api, pk):
    taken, free = api.device(pk)["DeviceName"], name()
    apply_id = check(api, pk, [free, taken], ["nick_1", "nick_2"])["ApplyId"]
    data = status(api, pk, apply_id)
    assert (data["Status"], data["ValidList"], data["InvalidList"]) == (
        "CHECK_FAILED", {"Name": [free]}, {"Name": [taken]})
    detail, = data["InvalidDetailList"]["invalidDetailList"]
    assert (detail["DeviceName"], detail["NickName"]) == (taken, "nick_2") and detail["ErrorMsg"]
    api.refused("BatchRegisterDeviceWithApplyId", "iot.device.IncorrentDeviceApplyInfo", ProductKey=pk,
                ApplyId=apply_id)
    assert devices(api, apply_id) == []


def test_names_taken_after_the_check(api, pk):
    names = [name() for _ in range(5)]
    apply_id = check(api, pk, names)["ApplyId"]
    other = api.device(pk, names[2])
    make(api, pk, apply_id, "CREATE_FAILED")
    data = status(api, pk, apply_id)
    assert data["InvalidList"] == {"Name": [names[2]]}
    assert data["ValidList"] == {"Name": names[:2] + names[3:]}
    assert [r["DeviceName"] for r in devices(api, apply_id)] == names[:2] + names[3:]
    assert api.must("QueryDeviceInfo", ProductKey=pk, DeviceName=names[2])["Data"]["IotId"] == other["IotId"]


@pytest.mark.parametrize("code, change", [
    ("MissingProductKey", {"ProductKey": None}),
    ("MissingApplyId", {"ApplyId": None}),
    ("InvalidApplyId", {"ApplyId": "x"}),
    ("iot.device.InvalidFormattedApplyId", {"ApplyId": 0}),
    ("iot.device.DeviceApplyIsNotFound", {"ApplyId": 999999}),
    ("iot.prod.NotExistedProduct", {"ProductKey": "a1aaaaaaaaa"}),
])
def test_order_refused(api, pk, code, change):
    apply_id = check(api, pk, [name()])["ApplyId"]
    api.refused("BatchRegisterDeviceWithApplyId", code, {"ProductKey": pk, "ApplyId": apply_id, **change})
    assert status(api, pk, apply_id)["Status"] == "CHECK_SUCCESS"


def test_order_in_the_wrong_state(api, stranger, pk):
    apply_id = check(api, pk, [name()])["ApplyId"]
    own = stranger.product()
    stranger.refused("BatchRegisterDeviceWithApplyId", "iot.prod.NotExistedProduct", ProductKey=pk, ApplyId=apply_id)
    stranger.refused("BatchRegisterDeviceWithApplyId", "iot.device.DeviceApplyIsNotFound", ProductKey=own,
                     ApplyId=apply_id)
    stranger.refused("BatchCheckDeviceNames", "iot.prod.NotExistedProduct", ProductKey=pk, DeviceName=["some-name"])
    api.refused("BatchRegisterDeviceWithApplyId", "iot.device.IncorrentDeviceApplyInfo", ProductKey=api.product(),
                ApplyId=apply_id)
    random = api.must("BatchRegisterDevice", ProductKey=pk, Count=1)["Data"]["ApplyId"]
    api.refused("BatchRegisterDeviceWithApplyId", "iot.device.IncorrentDeviceApplyInfo", ProductKey=pk, ApplyId=random)
    make(api, pk, apply_id)
    api.refused("BatchRegisterDeviceWithApplyId", "iot.device.IncorrentDeviceApplyInfo", ProductKey=pk,
                ApplyId=apply_id)


def test_order_that_is_running(api, stack, pk):
    """The registrar is held up by a lock of the product."""
    apply_id = check(api, pk, [name()])["ApplyId"]
    holder = psycopg2.connect(stack.pg)
    try:
        holder.cursor().execute("select from product where product_key = %s for update", (pk,))
        stack.sql("update device_apply set status = 'CREATE' where id = %s", apply_id)
        api.refused("BatchRegisterDeviceWithApplyId", "iot.device.CreateDeviceTaskIsRunning", ProductKey=pk,
                    ApplyId=apply_id)
        assert status(api, pk, apply_id)["Status"] == "CREATE"
    finally:
        holder.close()
    wait_until(lambda: status(api, pk, apply_id)["Status"] == "CREATE_SUCCESS", 20)


def test_many_survive_a_kill(api, stack, otad_default):
    pk = api.product()
    names = [f"meter-{i:05}" for i in range(10000)]
    apply_id = check(api, pk, names, [f"nick_{i}" for i in range(10000)], place="form")["ApplyId"]
    assert status(api, pk, apply_id)["ValidList"]["Name"] == names
    taken = [api.device(pk, names[i]) for i in (7, 4321, 9999)]
    api.must("BatchRegisterDeviceWithApplyId", ProductKey=pk, ApplyId=apply_id)
    wait_until(lambda: stack.sql_one("select made from device_apply where id = %s", apply_id) >= 500, 20)
    stack.kill_otad()
    stack.start_otad()
    wait_until(lambda: status(api, pk, apply_id)["Status"] == "CREATE_FAILED", 60)
    assert status(api, pk, apply_id)["InvalidList"]["Name"] == [d["DeviceName"] for d in taken]
    assert stack.sql_one("select count(*) from device d join product p on p.id = d.product_id"
                         " where p.product_key = %s", pk) == 10000
    assert api.must("QueryPageByApplyId", ApplyId=apply_id)["Total"] == 9997
    assert api.must("QueryDeviceInfo", ProductKey=pk, DeviceName=names[5000])["Data"]["Nickname"] == "nick_5000"


def test_old_checks_are_forgotten(api, stack, pk, otad_default):
    old, made = check(api, pk, [name()])["ApplyId"], check(api, pk, [name()])["ApplyId"]
    make(api, pk, made)
    stack.sql("update device_apply set created_ms = created_ms - 8 * 86400000::bigint where id = any (%s)", [old, made])
    young = check(api, pk, [name()])["ApplyId"]
    stack.restart_otad()  # the housekeeper begins with a round
    wait_until(lambda: stack.sql_one("select count(*) from device_apply where id = %s", old) == 0, 20)
    assert status(api, pk, young)["Status"] == "CHECK_SUCCESS"
    assert status(api, pk, made)["Status"] == "CREATE_SUCCESS"
    api.refused("BatchRegisterDeviceWithApplyId", "iot.device.DeviceApplyIsNotFound", ProductKey=pk, ApplyId=old)
