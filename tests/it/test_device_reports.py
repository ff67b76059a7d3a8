# SPDX-License-Identifier: Apache-2.0
"""Everything a device may send, in the spellings of real ones (device §2 to §5): lenient in, exact out."""
import json
import os
import threading
import time

import pytest
from client import now_ms, stays, wait_until
from test_mqtt_download import Blocks

PLACEHOLDER = "app-1.0.0-20180101.1000"


def stored(stack, name):
    return dict(stack.sql("""select m.module, m.version from device_module m join device d on d.id = m.device_id
                             where d.name = %s""", name))


# ---- versions ----

INFORMS = [  # $: the version
    '{"id":"1","params":{"version":"$"}}', '{"id":"0","params":{"version":"$"}}', '{"id":1, "params":{"version":"$"}}',
    '{"id": 1,"params": {"version":"$","module":"default"}}', '{"id":4294967295,"params":{"version":"$"}}',
    '{"params":{"version":"$"}}', '{"id":null,"params":{"version":"$","module":null}}',
    '{"id":{"a":[1]},"params":{"version":"$","module":""}}', '{"id":true,"params":{"version":"$"}}',
    '\r\n { "params" : { "version" : "$" , "more" : [ 1, 2 ] } , "id" : "x" } \n',
    '{"id":"1","version":"1.0","params":{"version":"$",},"method":"thing.ota.inform",}']
MODULES = ['{"id":"0","params":{"version":"$", "module":"MCU"}}', '{"id":1, "params":{"version":"$","module":"wifi"}}',
           '{"id":2,"params":{"module":7,"version":"$"}}', '{"params":{"version":"$","module":"扫描器"}}']


def test_versions_in_every_form(stack, fleet):
    d = fleet(1).devices[0]
    for n, text in enumerate(INFORMS):
        d.publish(d.topic("inform"), text.replace("$", f"1.{n}"), n % 2)
        wait_until(lambda n=n: stored(stack, d.name) == {"default": f"1.{n}"})
    for n, text in enumerate(MODULES):  # all at once
        d.publish(d.topic("inform"), text.replace("$", f"2.{n}"), n % 2)
    want = {"default": f"1.{len(INFORMS) - 1}", "MCU": "2.0", "wifi": "2.1", "7": "2.2", "扫描器": "2.3"}
    wait_until(lambda: stored(stack, d.name) == want, describe=lambda: stored(stack, d.name))


def test_each_module_has_its_task_and_its_reports(stack, api, fleet):
    f = fleet(1, "1.0.0")
    d = f.devices[0]
    jobs = {}
    for module in ("MCU", "wifi"):
        api.must("CreateOTAModule", ProductKey=f.pk, ModuleName=module)
        d.inform("1.0.0", module)
        wait_until(lambda m=module: stored(stack, d.name).get(m) == "1.0.0")
        fw = api.firmware(f.pk, ModuleName=module)
        jobs[module] = api.job(fw, MultiModuleMode=True, OverwriteMode=1)
    pushes = {d.wait_push(n)["data"]["module"] for n in (1, 2)}
    assert pushes == {"MCU", "wifi"}
    d.progress(40, module="MCU")
    api.wait_task(jobs["MCU"], d.name, "IN_PROGRESS")
    d.progress(30)  # whose it is nobody can tell
    d.progress(20, module="other")
    d.inform("9.9.9")
    d.inform("2.0.0", "other")
    d.inform("1.0.0", "MCU")
    d.inform("2.0.0", "wifi")
    api.wait_task(jobs["wifi"], d.name, "SUCCEEDED")
    t = api.task(jobs["MCU"], d.name)
    assert (t["TaskStatus"], t["Progress"]) == ("IN_PROGRESS", "40.00")
    d.progress(60)  # the only task left
    wait_until(lambda: api.task(jobs["MCU"], d.name)["Progress"] == "60.00")
    d.inform("2.0.0", "MCU")
    api.wait_task(jobs["MCU"], d.name, "SUCCEEDED")


def test_sdk_start_does_nothing_to_a_task_in_any_state(stack, api, fleet, device):
    """C Link SDK 3.2 after a restart of its process, in the middle of an update: placeholder, subscriptions, and
    much later the application's version."""
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk), SrcVersion=["1.0.0"])
    d = f.devices[0]
    d.wait_push()
    for status in ("NOTIFIED", "IN_PROGRESS"):
        d.disconnect()
        d.connect(subscribe=False, clean=False, timestamp="2524608000000", upper=True,
                  extra=("_v=sdk-c-3.2.0", "_ss=1"))
        d.publish(d.topic("inform"), '{"id":"1","params":{"version":"%s"}}' % PLACEHOLDER)
        for kind in ("request", "upgrade"):
            d.subscribe(d.topic(kind))
        assert api.task(job, d.name)["TaskStatus"] == status
        d.wait_push(len(d.pushes) + 1, 75)
        d.progress(30)
        api.wait_task(job, d.name, "IN_PROGRESS")
    stays(lambda: api.task(job, d.name)["TaskStatus"] == "IN_PROGRESS", 6)  # a third version would be judged now
    d.inform("1.0.0")
    d.inform("2.0.0")
    api.wait_task(job, d.name, "SUCCEEDED")
    # The version before the one that is known now is a real one: jobs that were made meanwhile select by it.
    assert stack.sql_one("select m.prev_version from device_module m join device d on d.id = m.device_id where "
                         "d.name = %s", d.name) == "1.0.0"


def test_placeholder_is_what_is_known_of_who_says_nothing_else(stack, fleet):
    d = fleet(1).devices[0]
    d.inform(PLACEHOLDER)
    wait_until(lambda: stored(stack, d.name) == {"default": PLACEHOLDER})
    d.inform("1.0.0")
    wait_until(lambda: stored(stack, d.name) == {"default": "1.0.0"})
    d.inform(PLACEHOLDER)
    d.inform("1", "last")
    wait_until(lambda: stored(stack, d.name) == {"default": "1.0.0", "last": "1"})


# ---- progress ----

# What the devices send, and what is shown then. Steps fall with every file, repeat after a resumed download.
STEPS = [('{"id":0,"params":{"step":"0","desc":"Enter in downloading state"}}', "0.00"),
         ('{"id":2, "params":{"step":"10","desc":""}}', "10.00"), ('{"id":3,"params":{"step":66}}', "66.00"),
         ('{"id":3,"params":{"step":66}}', "66.00"), ('{"id":"4","params":{"step":" 67\\t","desc":null}}', "67.00"),
         ('{"id": 2,"params": {"step":98.9,"desc":7}}', "98.00"), ('{"params":{"step":"0",},}', "0.00"),
         ('{"id":5,"params":{"step":"16.5","desc":"","module":""}}', "16.00"),
         ('{"id":5,"params":{"step":"17","desc":"", "module":"default"}}', "17.00"),
         ('{"id":5,"params":{"step":"18","module":"noSuchModule"}}', "18.00"),
         ('{"id":12, "params":{"step":"100","desc":"x"}}', "100.00"), ('{"id":12,"params":{"step":"+10"}}', "10.00")]


@pytest.mark.parametrize("slash", ["", "/"])
def test_progress_in_every_form(api, fleet, slash):
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk))
    d = f.devices[0]
    d.wait_push()
    for n, (text, shown) in enumerate(STEPS):
        d.publish(d.topic("progress") + slash, text, n % 2)
        wait_until(lambda shown=shown: (api.task(job, d.name)["TaskStatus"], api.task(job, d.name)["Progress"]) ==
                   ("IN_PROGRESS", shown), describe=lambda text=text: f"{text}: {api.task(job, d.name)}")
    d.publish(d.topic("progress") + slash, '{"id":0,"params":{"step":" -2 ","desc":"下载失败"}}', 0)
    assert api.wait_task(job, d.name, "FAILED")["TaskDesc"] == "下载失败"


# ---- questions ----

def ask(d, kind, text, reply):
    """-> the answer as it came, to the only question of this device without an answer."""
    topic = d.sys_topic(reply) if reply.startswith("thing/") else d.topic(reply)
    before = len([m for m in d.others if m.topic == topic])
    d.publish(d.sys_topic(kind) if kind.startswith("thing/") else d.topic(kind), text, 0)
    return wait_until(lambda: [m for m in d.others if m.topic == topic][before:])[0]


GETS = [('{"id":2, "params":{}}', "2"), ('{"id": 2, "params": {}}', "2"), ('{"params":{}}', ""),
        ('{"id":"123","version":"1.0","params":{"module":"default"},"method":"thing.ota.firmware.get"}', "123"),
        ('{"id":"a \\"b\\"","params":{"module":""},}', 'a "b"')]


@pytest.mark.parametrize("text, number", GETS)
def test_firmware_get(stack, api, fleet, text, number):
    """Without a subscription, as C Link SDK 4 has none."""
    f = fleet(1, "1.0.0", online=False)
    d = f.devices[0]
    d.connect(subscribe=False)
    none = json.dumps({"id": number, "code": 200, "data": {}}, separators=(",", ":"))
    get = ("thing/ota/firmware/get", text, "thing/ota/firmware/get_reply")
    assert ask(d, *get).payload.decode() == none
    fw = api.firmware(f.pk)
    job = api.job(fw, NeedPush=False, Tag=[{"Key": "k", "Value": "v"}])
    wait_until(lambda: api.task(job, d.name))
    d.no_push(1.5)
    answer = ask(d, *get)
    assert answer.payload.decode() == (
        '{"code":200,"data":{"size":300,"version":"2.0.0","url":"%s","md5":"%s","sign":"%s","signMethod":"Md5",'
        '"extData":{"k":"v"}},"id":%s,"message":"success"}'
        % (answer["data"]["url"], fw.md5, fw.md5, json.dumps(number)))
    assert answer.qos == 1 and not answer.retain
    api.wait_task(job, d.name, "NOTIFIED")
    assert ask(d, *get)["data"]["url"] != answer["data"]["url"]
    d.progress(5)
    api.wait_task(job, d.name, "IN_PROGRESS")
    assert ask(d, *get)["data"]["version"] == "2.0.0"
    assert api.task(job, d.name)["TaskStatus"] == "IN_PROGRESS"
    d.inform("2.0.0")
    api.wait_task(job, d.name, "SUCCEEDED")
    assert ask(d, *get).payload.decode() == none
    assert not d.pushes


def test_who_has_to_confirm_gets_nothing(api, fleet, device):
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk), NeedConfirm=True)
    d = f.devices[0]
    api.wait_task(job, d.name, "CONFIRM")
    assert d.get_firmware()["data"] == {}
    d.disconnect()
    d.connect()
    d.progress(10)
    d.no_push(2)
    assert api.task(job, d.name)["TaskStatus"] == "CONFIRM"


def test_not_before_the_schedule_nor_in_a_pause(stack, api, fleet):
    f = fleet(1, "1.0.0")
    d = f.devices[0]
    job = api.job(api.firmware(f.pk), ScheduleTime=now_ms() + 600_000)
    wait_until(lambda: api.task(job, d.name))
    assert d.get_firmware()["data"] == {}
    api.must("CancelOTATaskByJob", JobId=job, CancelScheduledTask=True)
    job = api.job(api.firmware(f.pk, "3.0.0"))
    d.wait_push()
    stack.otactl("job", "pause", job)
    assert d.get_firmware()["data"] == {}
    stack.otactl("job", "resume", job)
    assert d.get_firmware()["data"]["version"] == "3.0.0"


def test_legacy_request(stack, api, fleet):
    """Subscribed to and published on one topic; who has nothing to get hears nothing, not even himself."""
    f = fleet(1, "1.0.0")
    d = f.devices[0]
    d.subscribe(d.topic("request"))
    text = '{"id":"0","params":{"version":"1.0.0"}}'
    d.publish(d.topic("request"), text)
    assert d.get_firmware()["data"] == {}  # it was asked later, and answered
    assert not [m for m in d.others if m.topic == d.topic("request")]
    fw = api.firmware(f.pk)
    job = api.job(fw, NeedPush=False)
    wait_until(lambda: api.task(job, d.name))
    answer = ask(d, "request", text, "request")
    assert answer.payload.decode() == (
        '{"code":"1000","data":{"size":300,"version":"2.0.0","url":"%s","md5":"%s","sign":"%s","signMethod":"Md5"},'
        '"id":%d,"message":"success"}' % (answer["data"]["url"], fw.md5, fw.md5, answer["id"]))
    api.wait_task(job, d.name, "NOTIFIED")
    d.upgrade("2.0.0")
    api.wait_task(job, d.name, "SUCCEEDED")
    assert len([m for m in d.others if m.topic == d.topic("request")]) == 1 and not d.pushes


# ---- blocks ----

def test_block_requests_in_every_form(api, fleet):
    f = fleet(1, "1.0.0")
    content = bytes(range(256)) * 2000
    job = api.job(api.firmware(f.pk, content=content), DownloadProtocol="MQTT")
    d = f.devices[0]
    b = Blocks(d, d.wait_push()["data"])
    stream, file = b.stream, b.file

    def block(info, size, token=""):
        return b.send('{"id":"$","params":{%s"fileInfo":{%s},"fileBlock":{%s}}}' % (token, info, size))
    where = f'"streamId":{stream},"fileId":{file}'
    for info, size, want in (
            (where + ",", '"size":5120,"offset":0', (0, 5120)),  # with the comma that C Link SDK 4.2 sends
            (where, '"offset":5120', (5120, 5120)),  # the size is 5 KiB when none is named
            (f'"fileId":"{file}","streamId":"{stream}"', '"size":"131072","offset":"10240"', (10240, 131072)),
            (where, '"size":10240,"offset":511000', (511000, 1000)),  # what is left
            (where, '"size":1000000,"offset":0', (0, 262144))):  # more than one message carries
        head, got = block(info, size, '"fileToken":"t-1",')
        assert (head["code"], got) == (200, content[want[0]:want[0] + want[1]])
        assert head["data"] == {"fileToken": "t-1", "fileLength": len(content), "bOffset": want[0], "bSize": len(got)}
    assert "fileToken" not in block(where, '"size":1,"offset":0')[0]["data"]
    for info, size in ((f'"streamId":{stream + 1},"fileId":{file}', '"offset":0'),
                       (f'"streamId":{stream},"fileId":{file + 1}', '"offset":0'), (where, '"offset":512000'),
                       (where, '"size":0,"offset":0'), (where, '"size":-1,"offset":0'), (where, '"offset":-1')):
        head, _ = block(info, size, '"fileToken":"t-2",')
        assert head["code"] == 404 and head["data"] == {"fileToken": "t-2"}
    d.upgrade("2.0.0")
    api.wait_task(job, d.name, "SUCCEEDED")
    assert block(where, '"offset":0')[0]["code"] == 404  # nothing to load any more


def test_who_asks_for_blocks_without_end_holds_up_nobody(stack, api, fleet):
    f = fleet(2, "1.0.0")
    greedy, other = f.devices
    api.job(api.firmware(f.pk, content=os.urandom(1 << 20)), DownloadProtocol="MQTT", TargetSelection="SPECIFIC",
            TargetDeviceName=[greedy.name])
    data = greedy.wait_push()["data"]
    ask = json.dumps({"id": "1", "params": {"fileInfo": {"streamId": data["streamId"], "fileId": data["streamFileId"]},
                                            "fileBlock": {"size": 262144, "offset": 0}}})
    over = threading.Event()

    def flood():
        while not over.is_set():
            for _ in range(50):
                greedy.publish(greedy.sys_topic("thing/file/download"), ask, 0)
            over.wait(0.1)
    thread = threading.Thread(target=flood)
    dropped = stack.metric("otad_replies_dropped_total")
    thread.start()
    try:
        wait_until(lambda: stack.metric("otad_replies_dropped_total") > dropped, 60)
        for _ in range(10):
            assert other.get_firmware(within=60)["code"] in (200, "200")
    finally:
        over.set()
        thread.join()


# ---- pushed again ----

def reconnect(d, **options):
    """-> the time at which it began."""
    d.disconnect()
    began = time.monotonic()
    d.connect(**options)
    return began


def test_pushed_again_in_each_state_after_a_grace(stack, api, fleet):
    """1 s for SDKs that subscribe first; 5 s for who may be about to report success."""
    f = fleet(3, "1.0.0")
    queued, notified, running = f.devices
    queued.disconnect()
    job = api.job(api.firmware(f.pk))
    urls = {d.wait_push()["data"]["url"] for d in (notified, running)}
    running.progress(10)
    api.wait_task(job, running.name, "IN_PROGRESS")
    api.wait_task(job, queued.name, "QUEUED")
    for d, n, grace in ((queued, 1, 1), (notified, 2, 1), (running, 2, 5)):
        began = reconnect(d, subscribe=False)
        d.subscribe(d.topic("upgrade"))
        push = d.wait_push(n, 20)
        assert push.at - began >= grace
        urls.add(push["data"]["url"])
    assert len(urls) == 5
    assert {t["TaskStatus"] for t in api.tasks(job)} == {"NOTIFIED", "IN_PROGRESS"}
    for d in f.devices:
        d.no_push(1)
        d.upgrade("2.0.0")
        api.wait_task(job, d.name, "SUCCEEDED")
        reconnect(d)
        d.no_push(1.5)


def test_who_reports_success_within_the_grace_is_left_alone(api, fleet):
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk))
    d = f.devices[0]
    d.wait_push()
    d.progress(100)
    api.wait_task(job, d.name, "IN_PROGRESS")
    reconnect(d)
    d.inform("2.0.0")
    api.wait_task(job, d.name, "SUCCEEDED")
    d.no_push(6)
