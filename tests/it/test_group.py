# SPDX-License-Identifier: Apache-2.0
"""Device groups: the static tree, members, tags, dynamic groups and their conditions, and what jobs make of them."""
import json
import re
import threading
import uuid

import pytest

from client import wait_until

NO_GROUP = "HtMLECKbdJQLx7P2"  # by its shape


def name(prefix="g"):
    return prefix + uuid.uuid4().hex[:12]


@pytest.fixture(scope="module")
def pk(api):
    return api.product()


@pytest.fixture(scope="module")
def instance(stack, api):
    """The default instance's id, which dynamic groups want to hear."""
    return stack.sql_one("select i.instance_id from instance i join access_key k using (account_id)"
                         " where i.is_default and k.key_id = %s", api.ak)


def group(api, above=None, **more):
    return api.must("CreateDeviceGroup", GroupName=name(), SuperGroupId=above, **more)["Data"]["GroupId"]


def dynamic(api, instance, expression, **more):
    return api.must("CreateDeviceDynamicGroup", IotInstanceId=instance, GroupName=name(),
                    DynamicGroupExpression=expression, **more)["Data"]["GroupId"]


def pairs(rows):
    return [{"ProductKey": r["ProductKey"], "DeviceName": r["DeviceName"]} for r in rows]


def add(api, gid, rows):
    return api.must("BatchAddDeviceGroupRelations", GroupId=gid, Device=pairs(rows))


def names_in(api, gid, **page):
    body = api.must("QueryDeviceListByDeviceGroup", GroupId=gid, PageSize=200, **page)
    return [d["DeviceName"] for d in body["Data"]["SimpleDeviceInfo"]]


def matched(api, instance, gid, **more):
    body = api.must("QueryDynamicGroupDevices", IotInstanceId=instance, GroupId=gid, **more)
    return {d["DeviceName"] for d in body["Data"]["SimpleDeviceInfo"]}


def info(api, gid, **more):
    return api.must("QueryDeviceGroupInfo", GroupId=gid, **more)["Data"]


# ---- the group itself ----

def test_group_answer(api):
    n = name("plant_")
    data = api.must("CreateDeviceGroup", GroupName=n)["Data"]
    assert re.fullmatch(r"[A-Za-z0-9]{16}", data["GroupId"])
    assert (data["GroupName"], data["GroupDesc"]) == (n, "")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", data["UtcCreate"])
    assert set(data) == {"GroupId", "GroupName", "GroupDesc", "UtcCreate"}
    shown = info(api, data["GroupId"])
    assert shown == {**data, "DeviceCount": 0, "DeviceActive": 0, "DeviceOnline": 0}
    assert shown == info(api, data["GroupId"], GroupType="LINK_PLATFORM")
    data = api.must("CreateDeviceGroup", GroupName="水表组" + name()[:4], GroupDesc="水" * 100)["Data"]
    assert data["GroupDesc"] == "水" * 100


@pytest.mark.parametrize("code, change", [
    ("MissingGroupName", {"GroupName": None}),
    ("iot.group.InvalidGroupName", {"GroupName": "abc"}),
    ("iot.group.InvalidGroupName", {"GroupName": "x" * 31}),
    ("iot.group.InvalidGroupName", {"GroupName": "水" * 16}),
    ("iot.group.InvalidGroupName", {"GroupName": "a-bcd"}),
    ("iot.group.LongGroupDescError", {"GroupDesc": "x" * 101}),
    ("iot.group.NotExistedGroup", {"SuperGroupId": NO_GROUP}),
    ("iot.system.InstanceNotFound", {"IotInstanceId": "iot-none"}),
])
def test_group_refused(api, stack, code, change):
    before = stack.sql_one("select count(*) from device_group")
    api.refused("CreateDeviceGroup", code, {"GroupName": name(), **change})
    assert stack.sql_one("select count(*) from device_group") == before


def test_group_name_is_unique_per_account(api, stranger, instance):
    n = name()
    gid = api.must("CreateDeviceGroup", GroupName=n)["Data"]["GroupId"]
    api.refused("CreateDeviceGroup", "iot.group.GroupNameExisted", GroupName=n)
    api.refused("CreateDeviceDynamicGroup", "iot.group.GroupNameExisted", IotInstanceId=instance, GroupName=n,
                DynamicGroupExpression='name = "x"')
    stranger.must("CreateDeviceGroup", GroupName=n)
    api.must("DeleteDeviceGroup", GroupId=gid)
    api.must("CreateDeviceGroup", GroupName=n)


def test_tree(api, stack):
    top = group(api)
    middle = group(api, top)
    bottom = group(api, middle)
    api.refused("CreateDeviceGroup", "iot.group.GroupLevelExceedingLimitError", GroupName=name(), SuperGroupId=bottom)
    above = api.must("QuerySuperDeviceGroup", GroupId=bottom)["Data"]["GroupInfo"]
    assert [set(g) for g in above] == [{"GroupId", "GroupName", "GroupDesc"}] and above[0]["GroupId"] == middle
    assert api.must("QuerySuperDeviceGroup", GroupId=top)["Data"] == {"GroupInfo": []}
    api.refused("DeleteDeviceGroup", "iot.group.SubGroupNotNull", GroupId=middle)
    for gid in (bottom, middle, top):
        assert set(api.must("DeleteDeviceGroup", GroupId=gid)) == {"RequestId", "Success"}
        api.refused("QueryDeviceGroupInfo", "iot.group.NotExistedGroup", GroupId=gid)
        api.refused("DeleteDeviceGroup", "iot.group.NotExistedGroup", GroupId=gid)


def test_100_groups_below_one(api, stack):
    top = group(api)
    for _ in range(100):
        last = group(api, top)
    api.refused("CreateDeviceGroup", "iot.group.GroupCountExceedMax", GroupName=name(), SuperGroupId=top)
    api.must("DeleteDeviceGroup", GroupId=last)
    group(api, top)


def test_groups_of_an_account(stack, api, stranger, otad_default):
    have = stack.sql_one("select count(*) from device_group g join access_key k using (account_id)"
                         " where k.key_id = %s and g.deleted_ms is null", stranger.ak)
    stack.restart_otad(limit_groups=str(have + 1))
    group(stranger)
    stranger.refused("CreateDeviceGroup", "iot.group.GroupCountExceedMax", GroupName=name())
    own = stack.sql_one("select i.instance_id from instance i join access_key k using (account_id)"
                        " where i.is_default and k.key_id = %s", stranger.ak)
    stranger.refused("CreateDeviceDynamicGroup", "iot.group.GroupCountExceedMax", GroupName=name(), IotInstanceId=own,
                     DynamicGroupExpression='name = "x"')


def test_describe(api, instance):
    gid = group(api, GroupDesc="first")
    assert set(api.must("UpdateDeviceGroup", GroupId=gid, GroupDesc="hall")) == {"RequestId", "Success"}
    assert info(api, gid)["GroupDesc"] == "hall"
    api.must("UpdateDeviceGroup", GroupId=gid)
    assert info(api, gid)["GroupDesc"] == "hall"
    api.refused("UpdateDeviceGroup", "iot.group.LongGroupDescError", GroupId=gid, GroupDesc="x" * 101)
    api.refused("UpdateDeviceGroup", "iot.common.InvalidFormattedParameter", GroupId=gid, GroupType="STATIC")
    moving = dynamic(api, instance, 'name = "x"')
    api.refused("UpdateDeviceGroup", "iot.group.NotExistedGroup", GroupId=moving, GroupDesc="x")
    api.must("UpdateDeviceGroup", GroupId=moving, GroupDesc="new", GroupType="LINK_PLATFORM_DYNAMIC")
    assert info(api, moving, GroupType="LINK_PLATFORM_DYNAMIC")["GroupDesc"] == "new"


def test_list(api, instance):
    top = group(api)
    rows = [api.must("CreateDeviceGroup", GroupName=name(), SuperGroupId=top, GroupDesc=str(i))["Data"]
            for i in range(12)]
    body = api.must("QueryDeviceGroupList", SuperGroupId=top)
    assert (body["CurrentPage"], body["PageSize"], body["PageCount"], body["Total"]) == (1, 10, 2, 12)
    first = body["Data"]["GroupInfo"]
    assert first == [{**r, "GroupType": "LINK_PLATFORM"} for r in reversed(rows[2:])]
    last = api.must("QueryDeviceGroupList", SuperGroupId=top, CurrentPage=2)["Data"]["GroupInfo"]
    assert [g["GroupId"] for g in last] == [rows[1]["GroupId"], rows[0]["GroupId"]]
    body = api.must("QueryDeviceGroupList", SuperGroupId=top, CurrentPage=3, PageSize=200)
    assert body["Data"] == {"GroupInfo": []} and body["Total"] == 12 and body["PageCount"] == 1
    body = api.must("QueryDeviceGroupList", GroupName=rows[3]["GroupName"])
    assert [g["GroupId"] for g in body["Data"]["GroupInfo"]] == [rows[3]["GroupId"]]
    moving = dynamic(api, instance, 'name = "x"')
    newest = api.must("QueryDeviceGroupList", GroupTypes=["LINK_PLATFORM_DYNAMIC"])["Data"]["GroupInfo"][0]
    assert (newest["GroupId"], newest["GroupType"]) == (moving, "LINK_PLATFORM_DYNAMIC")
    assert moving not in [g["GroupId"] for g in api.must("QueryDeviceGroupList", PageSize=200)["Data"]["GroupInfo"]]


@pytest.mark.parametrize("code, params", [
    ("iot.common.InvalidPageParams", {"CurrentPage": 0}),
    ("iot.common.InvalidPageParams", {"PageSize": 0}),
    ("iot.common.InvalidPageParams", {"PageSize": 201}),
    ("InvalidPageSize", {"PageSize": "x"}),
    ("iot.common.InvalidFormattedParameter", {"GroupTypes": ["ALL"]}),
    ("iot.firmware.ParameterSizeExceedMax", {"GroupTypes": ["LINK_PLATFORM_DYNAMIC", "LINK_PLATFORM"]}),
    ("iot.group.NotExistedGroup", {"SuperGroupId": NO_GROUP}),
])
def test_list_refused(api, code, params):
    api.refused("QueryDeviceGroupList", code, params)


STATIC_CALLS = {
    "UpdateDeviceGroup": {"GroupDesc": "x"}, "DeleteDeviceGroup": {}, "QueryDeviceGroupInfo": {},
    "QueryDeviceListByDeviceGroup": {}, "BatchAddDeviceGroupRelations": {}, "BatchDeleteDeviceGroupRelations": {},
    "QuerySuperDeviceGroup": {}, "SetDeviceGroupTags": {}, "QueryDeviceGroupTagList": {},
}
DYNAMIC_CALLS = {"DeleteDeviceDynamicGroup": {}, "QueryDynamicGroupDevices": {}}


@pytest.mark.parametrize("action", [*STATIC_CALLS, *DYNAMIC_CALLS])
def test_unknown_and_foreign_groups(api, stack, stranger, instance, action):
    if action in STATIC_CALLS:
        gid, params, theirs = group(api), STATIC_CALLS[action], STATIC_CALLS[action]
    else:
        gid, params = dynamic(api, instance, 'name = "x"'), {"IotInstanceId": instance}
        theirs = {"IotInstanceId": stack.sql_one(
            "select i.instance_id from instance i join access_key k using (account_id) where k.key_id = %s",
            stranger.ak)}
        api.refused(action, "MissingIotInstanceId", GroupId=gid)
        api.refused(action, "iot.system.InstanceNotFound", GroupId=gid, IotInstanceId="iot-none")
        stranger.refused(action, "iot.system.InstanceNotFound", GroupId=gid, IotInstanceId=instance)
    api.refused(action, "MissingGroupId", params)
    unknown = api.refused(action, "iot.group.NotExistedGroup", {**params, "GroupId": NO_GROUP})
    foreign = stranger.refused(action, "iot.group.NotExistedGroup", {**theirs, "GroupId": gid})
    assert unknown.message == foreign.message
    kind = "LINK_PLATFORM" if action in STATIC_CALLS else "LINK_PLATFORM_DYNAMIC"
    assert info(api, gid, GroupType=kind)["GroupDesc"] == ""


# ---- members ----

def test_members(api, device, pk):
    gid, rows = group(api), [api.device(pk) for _ in range(3)]
    elsewhere = api.device(api.product())
    body = add(api, gid, rows[:2] + [elsewhere])
    assert {k: body[k] for k in body if k != "RequestId"} == {
        "Success": True, "ValidDeviceCount": 3, "SuccessAddedDeviceCount": 3, "AlreadyRelatedGroupDeviceCount": 0,
        "ExceedTenGroupDeviceCount": 0,
        "ErrorMessage": "3 devices have been added, and 0 devices failed to be added."}
    body = api.must("BatchAddDeviceGroupRelations", GroupId=gid,
                    Device=pairs(rows) + pairs(rows[2:]) + [{"ProductKey": pk, "DeviceName": "nobody"}])
    assert (body["ValidDeviceCount"], body["SuccessAddedDeviceCount"], body["AlreadyRelatedGroupDeviceCount"]) == (3, 1, 2)
    page = api.must("QueryDeviceListByDeviceGroup", GroupId=gid)
    assert (page["Page"], page["PageSize"], page["PageCount"], page["Total"]) == (1, 10, 1, 4)
    shown = {d["DeviceName"]: d for d in page["Data"]["SimpleDeviceInfo"]}
    assert set(shown) == {r["DeviceName"] for r in rows + [elsewhere]}
    assert shown[rows[0]["DeviceName"]]["IotId"] == rows[0]["IotId"]
    assert set(shown[rows[0]["DeviceName"]]) == {"IotId", "ProductKey", "ProductName", "DeviceName"}
    d = device(rows[0])
    device(rows[1]).disconnect()
    wait_until(lambda: (lambda i: (i["DeviceCount"], i["DeviceActive"], i["DeviceOnline"]))(info(api, gid)) == (4, 2, 1),
               10, lambda: info(api, gid))
    d.disconnect()

    body = api.must("BatchDeleteDeviceGroupRelations", GroupId=gid, Device=pairs(rows[:2]) + pairs([api.device(pk)]))
    assert {k: body[k] for k in body if k != "RequestId"} == {
        "Success": True, "ValidDeviceCount": 3, "SuccessDeviceCount": 2, "AlreadyRelatedGroupDeviceCount": 2}
    assert set(names_in(api, gid)) == {rows[2]["DeviceName"], elsewhere["DeviceName"]}
    api.must("DeleteDevice", IotId=rows[2]["IotId"])
    assert names_in(api, gid) == [elsewhere["DeviceName"]]
    api.must("DeleteDeviceGroup", GroupId=gid)
    assert api.must("QueryDeviceDetail", IotId=elsewhere["IotId"])["Data"]["Status"] == "UNACTIVE"


def test_member_pages(api, pk):
    gid, rows = group(api), api.devices(pk, 23)
    add(api, gid, rows)
    got = []
    for page, size in ((1, 10), (2, 10), (3, 3), (4, 0)):
        body = api.must("QueryDeviceListByDeviceGroup", GroupId=gid, CurrentPage=page, PageSize=10)
        assert (body["Page"], body["PageCount"], body["Total"]) == (page, 3, 23)
        assert len(body["Data"]["SimpleDeviceInfo"]) == size
        got += [d["IotId"] for d in body["Data"]["SimpleDeviceInfo"]]
    assert set(got) == {r["IotId"] for r in rows} and len(got) == 23
    api.refused("QueryDeviceListByDeviceGroup", "iot.common.InvalidPageParams", GroupId=gid, PageSize=201)
    api.refused("QueryDeviceListByDeviceGroup", "iot.common.InvalidPageParams", GroupId=gid, CurrentPage=0)


@pytest.mark.parametrize("action", ["BatchAddDeviceGroupRelations", "BatchDeleteDeviceGroupRelations"])
def test_pairs_refused(api, stack, pk, action):
    gid, row = group(api), api.device(pk)
    good = pairs([row])
    api.refused(action, "MissingDevice.1.ProductKey", GroupId=gid, Device=[{"DeviceName": row["DeviceName"]}])
    api.refused(action, "MissingDevice.2.DeviceName", GroupId=gid, Device=good + [{"ProductKey": pk}])
    api.refused(action, "iot.firmware.ParameterSizeExceedMax", GroupId=gid, Device=good * 201)
    body = api.must(action, GroupId=gid, Device=good * 200)
    assert body["ValidDeviceCount"] == 1
    assert api.must(action, GroupId=gid)["ValidDeviceCount"] == 0


def test_foreign_devices_are_passed_over(api, stranger, pk):
    gid = group(stranger)
    body = add(stranger, gid, [api.device(pk)])
    assert (body["ValidDeviceCount"], body["SuccessAddedDeviceCount"]) == (0, 0)
    assert body["ErrorMessage"] == "0 devices have been added, and 1 devices failed to be added."
    assert names_in(stranger, gid) == []


def test_ten_groups_per_device(api, pk):
    row, other = api.device(pk), api.device(pk)
    groups = [group(api) for _ in range(11)]
    for gid in groups[:10]:
        add(api, gid, [row])
    body = add(api, groups[10], [row, other])
    assert (body["ValidDeviceCount"], body["SuccessAddedDeviceCount"], body["ExceedTenGroupDeviceCount"]) == (2, 1, 1)
    assert body["ErrorMessage"] == "1 devices have been added, and 1 devices failed to be added."
    body = add(api, groups[0], [row])
    assert (body["AlreadyRelatedGroupDeviceCount"], body["ExceedTenGroupDeviceCount"]) == (1, 0)
    found = api.must("QueryDeviceGroupByDevice", ProductKey=pk, DeviceName=row["DeviceName"])["GroupInfos"]["GroupInfo"]
    assert [g["GroupId"] for g in found] == groups[9::-1]
    assert set(found[0]) == {"GroupId", "GroupName", "GroupDesc", "GroupType", "UtcCreate"}
    api.must("BatchDeleteDeviceGroupRelations", GroupId=groups[3], Device=pairs([row]))
    assert add(api, groups[10], [row])["SuccessAddedDeviceCount"] == 1


def test_devices_of_a_group_are_limited(stack, api, pk, otad_default):
    gid, rows = group(api), api.devices(pk, 7)
    stack.restart_otad(limit_group_devices="5")
    add(api, gid, rows[:4])
    api.refused("BatchAddDeviceGroupRelations", "iot.group.BindGroupRelationFailed", GroupId=gid,
                Device=pairs(rows[3:6]))
    assert len(names_in(api, gid)) == 4
    assert add(api, gid, rows[:5])["SuccessAddedDeviceCount"] == 1


@pytest.mark.parametrize("code, params", [
    ("MissingProductKey", {"DeviceName": "abcd"}),
    ("MissingDeviceName", {"ProductKey": "PK"}),
    ("iot.device.NotExistedDevice", {"ProductKey": "PK", "DeviceName": "nobody"}),
])
def test_groups_of_device_refused(api, pk, code, params):
    api.refused("QueryDeviceGroupByDevice", code, {k: pk if v == "PK" else v for k, v in params.items()})


def test_groups_of_a_foreign_device(api, stranger, pk):
    stranger.refused("QueryDeviceGroupByDevice", "iot.device.NotExistedDevice", ProductKey=pk,
                     DeviceName=api.device(pk)["DeviceName"])


# ---- tags ----

def tag_text(**tags):
    return json.dumps([{"tagKey": k, "tagValue": v} for k, v in tags.items()])


def test_tags(api):
    gid = group(api)
    assert api.must("QueryDeviceGroupTagList", GroupId=gid)["Data"] == {"GroupTagInfo": []}
    api.must("SetDeviceGroupTags", GroupId=gid, TagString=tag_text(site="p7", zone="水" * 64))
    api.must("SetDeviceGroupTags", GroupId=gid, TagString=tag_text(site="p8", abc="kept"))
    assert api.must("QueryDeviceGroupTagList", GroupId=gid)["Data"]["GroupTagInfo"] == [
        {"TagKey": "abc", "TagValue": "kept"}, {"TagKey": "site", "TagValue": "p8"}]
    api.must("SetDeviceGroupTags", GroupId=gid)
    assert api.must("QueryDeviceGroupTagList", GroupId=gid)["Data"] == {"GroupTagInfo": []}
    api.must("SetDeviceGroupTags", GroupId=gid, TagString=tag_text(**{f"k.{i}": "v" * 128 for i in range(100)}))
    assert len(api.must("QueryDeviceGroupTagList", GroupId=gid)["Data"]["GroupTagInfo"]) == 100
    api.must("SetDeviceGroupTags", GroupId=gid, TagString="[]")
    assert api.must("QueryDeviceGroupTagList", GroupId=gid)["Data"] == {"GroupTagInfo": []}


@pytest.mark.parametrize("code, text", [
    ("iot.group.InvalidFormattedTagString", "site"),
    ("iot.group.InvalidFormattedTagString", "{}"),
    ("iot.group.InvalidFormattedTagString", '["site"]'),
    ("iot.group.InvalidFormattedTagString", '[{"tagKey":"site"}]'),
    ("iot.group.InvalidFormattedTagString", '[{"tagValue":"p7"}]'),
    ("iot.group.InvalidFormattedTagString", '[{"tagKey":"site","tagValue":7}]'),
    ("iot.group.InvalidFormattedTagString", tag_text(s="p7")),
    ("iot.group.InvalidFormattedTagString", tag_text(**{"k" * 31: "p7"})),
    ("iot.group.InvalidFormattedTagString", tag_text(**{"a_b": "p7"})),
    ("iot.group.InvalidFormattedTagString", tag_text(site="")),
    ("iot.group.InvalidFormattedTagString", tag_text(site="v" * 129)),
    ("iot.group.InvalidFormattedTagString", tag_text(site="水" * 65)),
    ("iot.group.InvalidFormattedTagString", '[{"tagKey":"aa","tagValue":"1"},{"tagKey":"aa","tagValue":"2"}]'),
    ("iot.group.InvalidFormattedTagString", tag_text(site="v" * 70000)),
    ("iot.group.TagCountExceedMax", tag_text(**{f"k{i}": "v" for i in range(101)})),
])
def test_tags_refused(api, code, text):
    gid = group(api)
    api.must("SetDeviceGroupTags", GroupId=gid, TagString=tag_text(old="one"))
    api.refused("SetDeviceGroupTags", code, GroupId=gid, TagString=text)
    assert api.must("QueryDeviceGroupTagList", GroupId=gid)["Data"]["GroupTagInfo"] == [
        {"TagKey": "old", "TagValue": "one"}]


def test_groups_by_tags(api, stranger, instance):
    site, groups = name(), [group(api) for _ in range(3)]
    moving = dynamic(api, instance, 'name = "x"')
    for i, gid in enumerate(groups):
        api.must("SetDeviceGroupTags", GroupId=gid, TagString=tag_text(site=site, no=str(i), abc=site))
    api.refused("SetDeviceGroupTags", "iot.group.NotExistedGroup", GroupId=moving, TagString=tag_text(site=site))
    api.must("SetDeviceGroupTags", GroupId=moving, GroupType="LINK_PLATFORM_DYNAMIC", TagString=tag_text(site=site))

    def find(client=api, **params):
        tags = [{"TagKey": k, "TagValue": v} for k, v in params.pop("tags").items()]
        body = client.must("QueryDeviceGroupByTags", Tag=tags, **params)
        return [g["GroupId"] for g in body["Data"]["DeviceGroup"]], body
    found, body = find(tags={"site": site})
    assert found == [moving, *reversed(groups)]
    assert (body["Page"], body["PageSize"], body["PageCount"], body["Total"]) == (1, 10, 1, 4)
    assert set(body["Data"]["DeviceGroup"][0]) == {"GroupId", "GroupName"}
    assert find(tags={"site": site}, PageSize=3, CurrentPage=2)[0] == [groups[0]]
    assert find(tags={"site": site, "no": "1"})[0] == [groups[1]]
    assert find(tags={"site": site, "no": "9"})[0] == []
    assert find(tags={"abc": site})[0] == []
    assert find(stranger, tags={"site": site})[0] == []
    api.must("DeleteDeviceGroup", GroupId=groups[0])
    assert len(find(tags={"site": site})[0]) == 3


@pytest.mark.parametrize("code, params", [
    ("MissingTag", {}),
    ("MissingTag.1.TagKey", {"Tag": [{"TagValue": "x"}]}),
    ("MissingTag.1.TagValue", {"Tag": [{"TagKey": "x"}]}),
    ("iot.firmware.ParameterSizeExceedMax", {"Tag": [{"TagKey": f"k{i}", "TagValue": "x"} for i in range(11)]}),
    ("iot.common.InvalidPageParams", {"Tag": [{"TagKey": "x", "TagValue": "x"}], "PageSize": 201}),
    ("iot.common.InvalidPageParams", {"Tag": [{"TagKey": "x", "TagValue": "x"}], "CurrentPage": 0}),
])
def test_groups_by_tags_refused(api, code, params):
    api.refused("QueryDeviceGroupByTags", code, params)


# ---- dynamic groups ----

def test_dynamic_answer(api, instance, pk):
    n, expression = name(), f'product_key = "{pk}" and name LIKE "meter%"'
    data = api.must("CreateDeviceDynamicGroup", IotInstanceId=instance, GroupName=n, GroupDesc="d",
                    DynamicGroupExpression=expression)["Data"]
    assert (data["GroupName"], data["GroupDesc"], data["DynamicGroupExpression"]) == (n, "d", expression)
    assert set(data) == {"GroupId", "GroupName", "GroupDesc", "DynamicGroupExpression", "UtcCreate"}
    assert info(api, data["GroupId"], GroupType="LINK_PLATFORM_DYNAMIC") == {
        **data, "DeviceCount": 0, "DeviceActive": 0, "DeviceOnline": 0}
    api.refused("QueryDeviceGroupInfo", "iot.group.NotExistedGroup", GroupId=data["GroupId"])
    api.refused("DeleteDeviceGroup", "iot.group.NotExistedGroup", GroupId=data["GroupId"])
    api.must("DeleteDeviceDynamicGroup", IotInstanceId=instance, GroupId=data["GroupId"])
    api.refused("DeleteDeviceDynamicGroup", "iot.group.NotExistedGroup", IotInstanceId=instance,
                GroupId=data["GroupId"])


@pytest.mark.parametrize("code, change", [
    ("MissingIotInstanceId", {"IotInstanceId": None}),
    ("MissingGroupName", {"GroupName": None}),
    ("MissingDynamicGroupExpression", {"DynamicGroupExpression": None}),
    ("iot.group.InvalidGroupName", {"GroupName": "abc"}),
    ("iot.group.LongGroupDescError", {"GroupDesc": "x" * 101}),
    ("iot.devicesearch.InvalidSQLError", {"DynamicGroupExpression": "name"}),
    ("iot.devicesearch.InvalidSQLError", {"DynamicGroupExpression": 'name = "x'}),
    ("iot.devicesearch.InvalidSQLFieldError", {"DynamicGroupExpression": 'color = "x"'}),
    ("iot.devicesearch.InvalidSQLOperatorTypeError", {"DynamicGroupExpression": 'status LIKE "O%"'}),
    ("iot.devicesearch.InvalidSQLParamError", {"DynamicGroupExpression": 'name = "x" or name = "y"'}),
    ("iot.devicesearch.InvalidSQLConditionError", {"DynamicGroupExpression": " and ".join(['name = "x"'] * 11)}),
])
def test_dynamic_refused(api, stack, instance, code, change):
    before = stack.sql_one("select count(*) from device_group")
    api.refused("CreateDeviceDynamicGroup", code, {"IotInstanceId": instance, "GroupName": name(),
                                                   "DynamicGroupExpression": 'name = "x"', **change})
    assert stack.sql_one("select count(*) from device_group") == before


def test_dynamic_conditions(api, stack, device, instance):
    """One product with devices of every kind; what each condition lets in, by the list, the info and the device."""
    pk, other = api.product(), api.product()
    made = {n: api.device(pk, n) for n in ("meter_1", "meter_2", "meter%x", "meter-online", "lamp_1")
            if "%" not in n}
    api.device(other, "meter_1")
    stack.sql("insert into device_tags select id, %s from device d where name = any (%s) and product_id ="
              " (select id from product where product_key = %s)", '{"site": "p7", "abc": "x", "n": "100%"}',
              ["meter_1", "lamp_1"], pk)
    device(made["meter-online"])
    device(made["meter_2"]).disconnect()
    api.must("DisableThing", IotId=made["lamp_1"]["IotId"])
    wait_until(lambda: api.must("QueryDeviceDetail", IotId=made["meter-online"]["IotId"])["Data"]["Status"] == "ONLINE"
               and api.must("QueryDeviceDetail", IotId=made["meter_2"]["IotId"])["Data"]["Status"] == "OFFLINE", 10)
    own = f'product_key = "{pk}"'
    rows = [
        (own, {"meter_1", "meter_2", "meter-online", "lamp_1"}),
        (f'product_key LIKE "{pk[:8]}%" and {own}', {"meter_1", "meter_2", "meter-online", "lamp_1"}),
        (f'{own} and product_key = "{other}"', set()),
        (own + ' and name LIKE "meter%"', {"meter_1", "meter_2", "meter-online"}),
        (own + ' and name LIKE "meter_%"', {"meter_1", "meter_2"}),  # _ means itself
        (own + ' and name = "meter_1"', {"meter_1"}),
        (own + ' and name = "Meter_1"', set()),
        (own + ' and name LIKE "meter%" and name LIKE "meter_1%"', {"meter_1"}),
        (own + ' and status = "ONLINE"', {"meter-online"}),
        (own + ' and status = "OFFLINE"', {"meter_2"}),
        (own + ' and status = "UNACTIVE"', {"meter_1"}),
        (own + ' and status = "DISABLE"', {"lamp_1"}),
        (own + ' and tag.tag_name = "site" and tag.tag_value = "p7"', {"meter_1", "lamp_1"}),
        (own + ' and tag.tag_name = "site"', {"meter_1", "lamp_1"}),
        (own + ' and tag.tag_name = "other"', set()),
        (own + ' and tags.site LIKE "p%" and name LIKE "meter%"', {"meter_1"}),
        (own + ' and tags.site = "p"', set()),
        (own + ' and tags.n = "100%"', {"meter_1", "lamp_1"}),
        (own + ' and tags.n = "1%"', set()),
        (own + ' and tags.abc = "x"', set()),
        ('name = "meter_1" and product_key LIKE "a1%" and status = "UNACTIVE"', {"meter_1"}),
    ]
    for expression, want in rows:
        gid = dynamic(api, instance, expression)
        assert matched(api, instance, gid, ProductKey=pk) == want, expression
        if own in expression:
            assert info(api, gid, GroupType="LINK_PLATFORM_DYNAMIC")["DeviceCount"] == len(want), expression
        for n, row in made.items():
            of = api.must("QueryDeviceGroupByDevice", ProductKey=pk, DeviceName=n)["GroupInfos"]["GroupInfo"]
            assert (gid in [g["GroupId"] for g in of]) == (n in want), (expression, n)
        api.must("DeleteDeviceDynamicGroup", IotInstanceId=instance, GroupId=gid)


def test_dynamic_group_follows(api, device, instance):
    pk = api.product()
    gid = dynamic(api, instance, f'product_key = "{pk}" and status = "ONLINE"')
    assert matched(api, instance, gid) == set()
    d = device(api.device(pk))
    wait_until(lambda: matched(api, instance, gid) == {d.name}, 10)
    d.disconnect()
    wait_until(lambda: matched(api, instance, gid) == set(), 10)


def test_dynamic_group_of_another_account(api, stranger, stack, instance):
    """Its condition sees only the devices of its own account and instance."""
    row = api.device(api.product(), name("secret-"))
    theirs = stack.sql_one("select i.instance_id from instance i join access_key k using (account_id)"
                           " where k.key_id = %s", stranger.ak)
    gid = dynamic(stranger, theirs, f'name = "{row["DeviceName"]}"')
    assert matched(stranger, theirs, gid) == set()
    assert matched(api, instance, dynamic(api, instance, f'name = "{row["DeviceName"]}"')) == {row["DeviceName"]}


def test_dynamic_devices(api, instance):
    pk = api.product(CategoryKey="Lighting")
    rows = [api.must("RegisterDevice", ProductKey=pk, DeviceName=f"meter-{i:02}", Nickname=f"nick_{i}")["Data"]
            for i in range(12)]
    gid = dynamic(api, instance, f'product_key = "{pk}"')

    def ask(**params):
        body = api.must("QueryDynamicGroupDevices", IotInstanceId=instance, GroupId=gid, **params)
        return [d["DeviceName"] for d in body["Data"]["SimpleDeviceInfo"]], body
    got, body = ask()
    assert got == [r["DeviceName"] for r in reversed(rows)][:10]
    assert (body["Page"], body["PageSize"], body["PageCount"], body["Total"]) == (1, 10, 2, 12)
    first = body["Data"]["SimpleDeviceInfo"][0]
    assert first == {"IotId": rows[11]["IotId"], "ProductKey": pk, "ProductName": first["ProductName"],
                     "DeviceName": "meter-11", "Nickname": "nick_11", "Status": "UNACTIVE",
                     "CategoryKey": "Lighting", "NodeType": 0}
    assert ask(CurrentPage=2)[0] == ["meter-01", "meter-00"]
    more, last = ask(NextToken=body["NextToken"])
    assert more == ["meter-01", "meter-00"] and last["NextToken"] == "" and last["Total"] == 12
    assert ask(DeviceName="meter-03")[0] == ["meter-03"]
    assert ask(DeviceName="meter-")[0] == []
    assert ask(DeviceName="meter-0", FuzzyName=True)[1]["Total"] == 10
    assert ask(Status="UNACTIVE")[1]["Total"] == 12 and ask(Status="ONLINE")[0] == []
    assert ask(ProductKey="a1aaaaaaaaa")[0] == []
    assert len(ask(PageSize=200)[0]) == 12


@pytest.mark.parametrize("code, params", [
    ("iot.common.InvalidPageParams", {"PageSize": 201}),
    ("iot.common.InvalidPageParams", {"CurrentPage": 0}),
    ("iot.common.InvalidFormattedParameter", {"NextToken": "x"}),
    ("iot.common.InvalidFormattedParameter", {"Status": "online"}),
    ("iot.common.InvalidFormattedParameter", {"FuzzyName": True}),
    ("iot.common.InvalidFormattedParameter", {"FuzzyName": True, "DeviceName": "mete"}),
    ("InvalidFuzzyName", {"FuzzyName": "perhaps"}),
])
def test_dynamic_devices_refused(api, instance, code, params):
    gid = dynamic(api, instance, 'name = "x"')
    api.refused("QueryDynamicGroupDevices", code, {"IotInstanceId": instance, "GroupId": gid, **params})


# ---- jobs ----

def test_group_job(api, fleet):
    """The devices of the group, of the groups above it and of those below it; none of another branch."""
    f = fleet(5, "1.0.0")
    top = group(api)
    middle, side = group(api, top), group(api, top)
    bottom = group(api, middle)
    for gid, row in zip((top, middle, side, bottom), f.rows):
        add(api, gid, [row])
    job = api.job(api.firmware(f.pk), TargetSelection="GROUP", GroupId=middle, GroupType="LINK_PLATFORM")
    want = {f.rows[i]["DeviceName"] for i in (0, 1, 3)}
    wait_until(lambda: {t["DeviceName"] for t in api.tasks(job)} == want, 10, lambda: api.tasks(job))
    shown = api.job_info(job)
    assert (shown["TargetSelection"], shown["GroupId"]) == ("GROUP", middle)
    # a group in use stays
    api.refused("DeleteDeviceGroup", "iot.group.SubGroupNotNull", GroupId=middle)
    api.must("DeleteDeviceGroup", GroupId=bottom)
    api.refused("DeleteDeviceGroup", "iot.group.DeleteGroupFailed", GroupId=middle)
    api.must("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True, CancelNotifiedTask=True)
    api.wait_job(job, "CANCELED")
    api.must("DeleteDeviceGroup", GroupId=middle)
    assert api.job_info(job)["GroupName"] == shown["GroupName"]  # the job goes on showing it
    api.refused("CreateOTAStaticUpgradeJob", "iot.group.NotExistedGroup", FirmwareId=shown["FirmwareId"],
                ProductKey=f.pk, TargetSelection="GROUP", GroupId=middle, GroupType="LINK_PLATFORM")


def test_deletion_against_a_job(api, stack, fleet):
    """However the two calls meet, no job is made of a group that is gone."""
    f = fleet(15, "1.0.0")  # one a round: a task that loses to the one before ends its job at once
    fw = api.firmware(f.pk)
    met = set()
    for row in f.rows:
        gid, codes = group(api), {}
        add(api, gid, [row])
        calls = [("DeleteDeviceGroup", {"GroupId": gid}),
                 ("CreateOTAStaticUpgradeJob", {"FirmwareId": fw.id, "ProductKey": f.pk, "TargetSelection": "GROUP",
                                                "GroupId": gid, "GroupType": "LINK_PLATFORM"})]

        def run(i, action, params, codes=codes):
            codes[i] = api.call(action, params).code
        threads = [threading.Thread(target=run, args=(i, *c)) for i, c in enumerate(calls)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        jobs = stack.sql_one("select count(*) from job j join device_group g on g.id = j.group_id"
                             " where g.group_id = %s", gid)
        met.add((codes[0], codes[1], jobs))
    assert met <= {(None, "iot.group.NotExistedGroup", 0), ("iot.group.DeleteGroupFailed", None, 1)}, met


def test_a_device_in_ten_groups_at_most(api, stack, pk):
    """Also when calls for many groups come at once."""
    row, groups = api.device(pk), [group(api) for _ in range(14)]
    threads = [threading.Thread(target=add, args=(api, gid, [row])) for gid in groups]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert stack.sql_one("select count(*) from device_group_member m join device d on d.id = m.device_id"
                         " where d.name = %s", row["DeviceName"]) == 10
