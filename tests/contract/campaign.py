# SPDX-License-Identifier: Apache-2.0
"""Every action with every parameter that it has, in one life of a product. What a full request cannot have at once comes
in several."""
import hashlib
import os
import uuid

from client import now_ms, wait_until
from mqtt_device import MqttDevice

HOUR = 3_600_000


def name(prefix):
    return prefix + uuid.uuid4().hex[:12]


def devices_of(call, pk):
    row = call("RegisterDevice", ProductKey=pk, DeviceName="first", Nickname="the_first", LoraNodeType="ALIYUNDEFINED",
               DevEui="d896e0efff000001", PinCode="123456")["Data"]
    call("RegisterDevice", ProductKey=pk, DeviceName="lora", LoraNodeType="USERDEFINED", DevEui="d896e0efff000002",
         JoinEui="d896e0ff00000001", AppKey="0" * 32)
    random = call("BatchRegisterDevice", ProductKey=pk, Count=1)["Data"]["ApplyId"]
    named = call("BatchCheckDeviceNames", ProductKey=pk, DeviceNameList=[
        {"DeviceName": "named-1", "DeviceNickname": "nick_1"}])["Data"]["ApplyId"]
    call("BatchCheckDeviceNames", ProductKey=pk, DeviceName=["named-2"])
    call("BatchRegisterDeviceWithApplyId", ProductKey=pk, ApplyId=named)
    for order in (random, named):
        wait_until(lambda order=order: call("QueryBatchRegisterDeviceStatus", ProductKey=pk, ApplyId=order)
                   ["Data"]["Status"] == "CREATE_SUCCESS", 30)
    assert call("QueryPageByApplyId", ApplyId=named, CurrentPage=1, PageSize=50)["ApplyDeviceList"]["ApplyDeviceInfo"]
    return row


def look_at_devices(call, pk, row):
    address = {"ProductKey": pk, "DeviceName": row["DeviceName"]}
    for at in (address, {"IotId": row["IotId"]}):
        for action in ("QueryDeviceDetail", "QueryDeviceInfo", "GetDeviceStatus", "DisableThing", "EnableThing",
                       "ResetThing"):
            call(action, **at)
        call("SaveDeviceProp", **at, Props='{"room":"7"}')
        assert "room" in call("QueryDeviceProp", **at)["Props"]
        call("DeleteDeviceProp", **at, PropKey="room")
        call("BatchUpdateDeviceNickname", DeviceNicknameInfo=[{**at, "Nickname": "again_1"}])
        call("ListOTAModuleVersionsByDevice", **at, CurrentPage=1, PageSize=10)
    assert call("BatchQueryDeviceDetail", ProductKey=pk, DeviceName=["first"])["Data"]["Data"]
    assert call("BatchGetDeviceState", IotId=[row["IotId"]])["DeviceStatusList"]["DeviceStatus"]
    assert call("BatchGetDeviceState", ProductKey=pk, DeviceName=["first"])["DeviceStatusList"]["DeviceStatus"]
    more = call("QueryDevice", ProductKey=pk, CurrentPage=1, PageSize=1)["NextToken"]
    assert call("QueryDevice", ProductKey=pk, PageSize=1, NextToken=more)["Data"]["DeviceInfo"]
    call("QueryDeviceByStatus", Status=0, ProductKey=pk, CurrentPage=1, PageSize=10, ResourceGroupId="rg-1")
    call("SaveDeviceProp", **address, Props=f'{{"site":"{pk}"}}')
    assert call("QueryDeviceByTags", Tag=[{"TagKey": "site", "TagValue": pk}], CurrentPage=1,
                PageSize=10)["Data"]["SimpleDeviceInfo"]


def groups(call, pk):
    """-> a static group with the first device, a dynamic one"""
    top = call("CreateDeviceGroup", GroupName=name("top_"), GroupDesc="d")["Data"]["GroupId"]
    low = name("low_")
    group = call("CreateDeviceGroup", GroupName=low, SuperGroupId=top)["Data"]["GroupId"]
    static = {"GroupId": group, "GroupType": "LINK_PLATFORM"}
    first = [{"ProductKey": pk, "DeviceName": "first"}]
    call("UpdateDeviceGroup", **static, GroupDesc="other")
    call("QueryDeviceGroupInfo", **static)
    found = call("QueryDeviceGroupList", SuperGroupId=top, GroupName=low, GroupTypes=["LINK_PLATFORM"], CurrentPage=1,
                 PageSize=10)
    assert found["Data"]["GroupInfo"]
    call("QuerySuperDeviceGroup", GroupId=group)
    call("BatchAddDeviceGroupRelations", GroupId=group, Device=first)
    assert call("QueryDeviceListByDeviceGroup", GroupId=group, CurrentPage=1, PageSize=10)["Data"]["SimpleDeviceInfo"]
    assert call("QueryDeviceGroupByDevice", **first[0])["GroupInfos"]["GroupInfo"]
    call("SetDeviceGroupTags", **static, TagString=f'[{{"tagKey":"site","tagValue":"{pk}"}}]')
    assert call("QueryDeviceGroupTagList", **static)["Data"]["GroupTagInfo"]
    assert call("QueryDeviceGroupByTags", Tag=[{"TagKey": "site", "TagValue": pk}], CurrentPage=1,
                PageSize=10)["Data"]["DeviceGroup"]
    call("QueryDeviceStatistics", ProductKey=pk, GroupId=group)
    moving = call("CreateDeviceDynamicGroup", GroupName=name("dyn_"), GroupDesc="d",
                  DynamicGroupExpression=f'product_key = "{pk}"')["Data"]["GroupId"]
    seen = call("QueryDynamicGroupDevices", GroupId=moving, ProductKey=pk, DeviceName="named", FuzzyName=True,
                Status="UNACTIVE", CurrentPage=1, PageSize=1)
    more = call("QueryDynamicGroupDevices", GroupId=moving, PageSize=1)["NextToken"]
    assert call("QueryDynamicGroupDevices", GroupId=moving, PageSize=1, NextToken=more)["Data"] and seen["Data"]
    return group, moving


def packages(call, api, pk):
    """-> package -> FirmwareId: full (unverified), delta from 1.0.0, several files"""
    made = {}
    content = os.urandom(200)
    md5 = hashlib.md5(content).hexdigest()
    call("GenerateOTAUploadURL", FileSuffix="bin")
    call("GenerateDeviceNameListURL")
    call("CreateOTAModule", ProductKey=pk, ModuleName="mcu", AliasName="MCU", Desc="d")
    call("UpdateOTAModule", ProductKey=pk, ModuleName="mcu", AliasName="MCU2", Desc="e")
    assert call("ListOTAModuleByProduct", ProductKey=pk)["Data"]
    common = {"ProductKey": pk, "FirmwareDesc": "d", "NeedToVerify": False}
    made["full"] = call("CreateOTAFirmware", **{
        **common, "FirmwareName": name("full-"), "DestVersion": "2.0.0", "FirmwareUrl": api.upload(content),
        "FirmwareSign": md5, "SignMethod": "MD5", "FirmwareSize": len(content), "Type": 0, "ModuleName": "default",
        "Udi": '{"a":1}', "NeedToVerify": True})["Data"]["FirmwareId"]
    made["delta"] = call("CreateOTAFirmware", **common, FirmwareName=name("delta-"), DestVersion="2.0.0", Type=1,
                         SrcVersion="1.0.0", FirmwareUrl=api.upload(content))["Data"]["FirmwareId"]
    made["files"] = call("CreateOTAFirmware", **common, FirmwareName=name("files-"), DestVersion="3.0.0", MultiFiles=[
        {"Name": f"part{i}", "Url": api.upload(content), "Size": len(content), "FileMd5": md5, "SignValue": md5}
        for i in range(2)])["Data"]["FirmwareId"]
    call("ModifyOTAFirmware", ProductKey=pk, FirmwareId=made["files"], FirmwareName=name("new-"), FirmwareDesc="f",
         FirmwareUdi='{"a":2}')
    call("QueryOTAFirmware", FirmwareId=made["files"])
    assert call("ListOTAFirmware", ProductKey=pk, DestVersion="3.0.0", CurrentPage=1,
                PageSize=10)["FirmwareInfo"]["SimpleFirmwareInfo"]
    return made


def upgrade(call, api, pk, row, made, group, moving):
    """Jobs of every kind; the device of `row` has reported 1.0.0."""
    device = {"ProductKey": pk, "DeviceName": row["DeviceName"]}
    delivery = {"NeedPush": False, "NeedConfirm": True, "DownloadProtocol": "HTTPS",
                "Tag": [{"Key": "site", "Value": "p & q"}, {"Key": "ring", "Value": "1"}]}
    how = {**delivery, "RetryInterval": 10, "RetryCount": 1, "TimeoutInMinutes": 60, "MaximumPerMinute": 100,
           "OverwriteMode": 1, "MultiModuleMode": False}
    verify = call("CreateOTAVerifyJob", FirmwareId=made["full"], ProductKey=pk, TargetDeviceName=["first"],
                  TimeoutInMinutes=60, **delivery)["Data"]["JobId"]
    api.wait_task(verify, "first", "CONFIRM")
    call("CancelOTATaskByDevice", FirmwareId=made["full"], ProductKey=pk, DeviceName=["first"], JobId=verify)
    at = now_ms() + HOUR
    job = {"FirmwareId": made["files"], "ProductKey": pk}
    scheduled = call("CreateOTAStaticUpgradeJob", **job, **how, TargetSelection="SPECIFIC", TargetDeviceName=["first"],
                     ScheduleTime=at, ScheduleFinishTime=at + 2 * HOUR)["Data"]["JobId"]
    wait_until(lambda: api.tasks(scheduled))
    call("CancelOTATaskByJob", JobId=scheduled, CancelScheduledTask=True, CancelQueuedTask=True, CancelNotifiedTask=True,
         CancelInProgressTask=True, CancelUnconfirmedTask=True)
    for targets in ({"TargetSelection": "SPECIFIC", "DnListFileUrl": api.name_list(["first"])},
                    {"TargetSelection": "GRAY", "GrayPercent": "50.5", "SrcVersion": ["1.0.0"]},
                    {"TargetSelection": "GROUP", "GroupId": group, "GroupType": "LINK_PLATFORM"}):
        static = call("CreateOTAStaticUpgradeJob", **job, **targets, NeedConfirm=True)["Data"]["JobId"]
        task = api.wait_task(static, "first", "CONFIRM")["TaskId"]
        for more in ({"TaskStatus": "CONFIRM"}, {"TaskStatusList": ["CONFIRM", "QUEUED"]}):
            assert call("ListOTAUnfinishedTaskByDevice", **device, ModuleName="default",
                        **more)["Data"]["SimpleOTATaskInfo"]
        assert call("ListOTAUnfinishedTaskByDevice", IotId=row["IotId"])["Data"]["SimpleOTATaskInfo"]
        assert call("ListOTATaskByJob", JobId=static, TaskStatus="CONFIRM", DeviceNames=["first"], CurrentPage=1,
                    PageSize=10)["Data"]["SimpleOTATaskInfo"]
        call("ConfirmOTATask", TaskId=[task])
        call("CancelOTATaskByDevice", FirmwareId=made["files"], ProductKey=pk, DeviceName=["first"])
        call("ReupgradeOTATask", JobId=static, TaskId=[task])
        call("CancelOTATaskByJob", JobId=static, CancelQueuedTask=True, CancelNotifiedTask=True,
             CancelUnconfirmedTask=True)
    assert call("QueryOTAJob", JobId=static)["Data"]["JobStatus"]
    assert call("ListOTAJobByFirmware", FirmwareId=made["files"], CurrentPage=1, PageSize=10)["Data"]["SimpleOTAJobInfo"]
    assert call("ListOTAJobByDevice", FirmwareId=made["files"], **device, CurrentPage=1,
                PageSize=10)["Data"]["SimpleOTAJobInfo"]
    for package, targets in (("files", {"TargetSelection": "ALL", "SrcVersion": ["1.0.0"], "DynamicMode": 1}),
                             ("delta", {"GroupId": moving, "GroupType": "LINK_PLATFORM_DYNAMIC"})):
        dynamic = call("CreateOTADynamicUpgradeJob", FirmwareId=made[package], ProductKey=pk, **how,
                       **targets)["Data"]["JobId"]
        api.wait_task(dynamic, "first", "CONFIRM")
        more = {"SrcVersionList": ["1.0.0", "1.1.0"]} if "SrcVersion" in targets else {}
        call("UpdateOTAJob", JobId=dynamic, UpgradeType="DYNAMIC", TargetSelection="ALL", MaximumPerMinute=50,
             TimeoutInMinutes=30, Tags=[{"Key": "site", "Value": "r"}], **more)
        call("CancelOTAStrategyByJob", JobId=dynamic)
        call("CancelOTATaskByJob", JobId=dynamic, CancelUnconfirmedTask=True, CancelQueuedTask=True)


def update(call, api, pk, firmware, device):
    """A device gets a package and says that it runs it."""
    job = call("CreateOTAStaticUpgradeJob", FirmwareId=firmware, ProductKey=pk, TargetSelection="SPECIFIC",
               TargetDeviceName=[device.name])["Data"]["JobId"]
    api.wait_task(job, device.name, "NOTIFIED")  # a push may also be one of the jobs before
    device.upgrade("3.0.0")
    api.wait_job(job, "COMPLETED")
    task = call("ListOTATaskByJob", JobId=job, PageSize=10, CurrentPage=1)["Data"]["SimpleOTATaskInfo"][0]
    assert (task["TaskStatus"], task["Progress"], task["DestVersion"]) == ("SUCCEEDED", "100.00", "3.0.0")
    assert call("QueryDeviceDetail", ProductKey=pk, DeviceName=device.name)["Data"]["FirmwareVersion"] == "3.0.0"


def play(call, api, broker):
    """call(action, **params) -> the body of a success."""
    pk = call("CreateProduct", ProductName=name("all_"), NodeType=0, AliyunCommodityCode="iothub_senior", DataFormat=1,
              Description="Wärme & 水", ProtocolType="zigbee", NetType="WIFI", AuthType="secret", Id2=False,
              CategoryKey="Lighting", PublishAuto=True, ValidateType=1, JoinPermissionId="1",
              ResourceGroupId="rg-1")["Data"]["ProductKey"]
    call("UpdateProduct", ProductKey=pk, ProductName=name("all_"), Description="second (!)")
    assert call("QueryProduct", ProductKey=pk)["Data"]["Description"] == "second (!)"
    call("QueryProductList", CurrentPage=1, PageSize=10, AliyunCommodityCode="iothub_senior", ResourceGroupId="rg-1")
    row = devices_of(call, pk)
    look_at_devices(call, pk, row)
    group, moving = groups(call, pk)
    made = packages(call, api, pk)
    device = MqttDevice(broker, row).connect()
    device.inform("1.0.0")
    wait_until(lambda: api.version_of(pk, "first") == "1.0.0")
    upgrade(call, api, pk, row, made, group, moving)
    update(call, api, pk, made["files"], device)
    device.disconnect()
    for firmware in made.values():
        call("DeleteOTAFirmware", FirmwareId=firmware)
    call("DeleteOTAModule", ProductKey=pk, ModuleName="mcu")
    call("BatchDeleteDeviceGroupRelations", GroupId=group, Device=[{"ProductKey": pk, "DeviceName": "first"}])
    call("DeleteDeviceDynamicGroup", GroupId=moving)
    call("DeleteDeviceGroup", GroupId=group)
    for i, d in enumerate(call("QueryDevice", ProductKey=pk, PageSize=50)["Data"]["DeviceInfo"]):
        call("DeleteDevice", **({"IotId": d["IotId"]} if i else {"ProductKey": pk, "DeviceName": d["DeviceName"]}))
    call("DeleteProduct", ProductKey=pk)
