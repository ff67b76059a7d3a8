# SPDX-License-Identifier: Apache-2.0
"""Who is connected, as otad sees it: over takeovers, restarts, kills and freezes it ends in the truth."""
import os
import signal
import threading
from contextlib import closing

import psycopg2
import pytest
from client import stays, wait_until
from mqtt_device import ConnectRefused, MqttDevice, credentials


def status(api, d):
    return api.must("QueryDeviceDetail", ProductKey=d.pk, DeviceName=d.name)["Data"]["Status"]


def wait_status(api, devices, wanted, within=20):
    wait_until(lambda: {status(api, d) for d in devices} == {wanted}, within,
               lambda: {d.name: status(api, d) for d in devices})


def events(stack, pk):
    return stack.sql_one("select count(*) from task_event e join job j on j.id = e.job_id join product p on "
                         "p.id = j.product_id where p.product_key = %s", pk)


@pytest.mark.parametrize("ids", [("one", "one"), ("one", "two")], ids=["same id", "another id"])
def test_takeover(api, fleet, device, ids):
    f = fleet(1, online=False)
    old, new = f.devices[0], device(f.rows[0], connect=False)
    old.connect(cid=ids[0], subscribe=False)
    wait_status(api, [old], "ONLINE")
    new.connect(cid=ids[1], subscribe=False)
    old.wait_closed(20)
    stays(lambda: status(api, new) == "ONLINE", 1)
    api.job(api.firmware(f.pk))
    new.wait_push()
    assert not old.pushes
    new.drop()
    wait_status(api, [new], "OFFLINE")


def test_storm_of_wrong_passwords(stack, api, fleet):
    """As the devices, under their own clientIds and others, while they are connected and while they are not."""
    f = fleet(6, "1.0.0")
    on, off = f.devices[:4], f.devices[4:]
    for d in off:
        d.disconnect()
    wait_status(api, off, "OFFLINE")
    job = api.job(api.firmware(f.pk))
    for d in on:
        d.wait_push()
    before = events(stack, f.pk), stack.sql("select * from device_session order by device_id")

    def storm(row, cid):
        d = MqttDevice(stack.broker, row)
        for _ in range(8):
            with pytest.raises(ConnectRefused):
                d.connect(secret="0" * 32, cid=cid)
    threads = [threading.Thread(target=storm, args=(row, cid)) for row in f.rows for cid in (None, "other")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(d.connected for d in on)
    assert [status(api, d) for d in f.devices] == ["ONLINE"] * 4 + ["OFFLINE"] * 2
    assert (events(stack, f.pk), stack.sql("select * from device_session order by device_id")) == before
    assert not any(d.pushes for d in off) and {len(d.pushes) for d in on} == {1}
    for d in on:
        d.upgrade("2.0.0")
        api.wait_task(job, d.name, "SUCCEEDED")


def test_otad_restart(stack, api, fleet, otad_default):
    """What changed while it was away: who came, who left, who came back, and who was there all the time."""
    f = fleet(4, "1.0.0")
    stayed, left, returned, came = f.devices
    came.disconnect()
    wait_status(api, [came], "OFFLINE")
    job = api.job(api.firmware(f.pk))
    for d in (stayed, left, returned):
        d.wait_push()
    for end in (stack.stop_otad, stack.kill_otad):
        end()
        left.disconnect() if left.connected else left.connect()
        came.disconnect() if came.connected else came.connect()
        returned.disconnect()
        returned.connect()
        stack.start_otad()
        for d in f.devices:
            wait_status(api, [d], "ONLINE" if d.connected else "OFFLINE")
    came.connect()
    came.wait_push(within=20)
    returned.wait_push(2, 90)  # further ones are a minute apart
    for d in (stayed, came, returned, left):
        d.upgrade("2.0.0")
        api.wait_task(job, d.name, "SUCCEEDED")
    assert len(stayed.pushes) == 1


def test_reports_at_qos_0_wait_for_otad(stack, api, fleet, otad_default):
    """C Link SDK 4 and the Python SDK say what they are at QoS 0, once."""
    f = fleet(1, "1.0.0")
    d = f.devices[0]
    job = api.job(api.firmware(f.pk))
    d.wait_push()
    d.progress(50)
    api.wait_task(job, d.name, "IN_PROGRESS")
    stack.stop_otad()
    d.progress(100, qos=0)
    d.inform("2.0.0", qos=0)
    d.publish(d.topic("progress"), "nonsense")  # at QoS 1, so that the others are at the broker
    stack.start_otad()
    api.wait_task(job, d.name, "SUCCEEDED", 30)


def test_broker_restarts(stack, api, fleet):
    """Again and again, so that snapshots break off; some never come back."""
    f = fleet(6, "1.0.0")
    back, gone = f.devices[:3], f.devices[3:]
    for again in range(3):
        stack.kill("broker")
        for d in f.devices:
            d.wait_closed(20)
        stack.start("broker")
        for d in back:
            d.connect()
    wait_status(api, back, "ONLINE")
    wait_status(api, gone, "OFFLINE")
    job = api.job(api.firmware(f.pk))
    for d in back:
        d.wait_push(within=20)
        d.upgrade("2.0.0")
        api.wait_task(job, d.name, "SUCCEEDED")
    assert {api.task(job, d.name)["TaskStatus"] for d in gone} == {"QUEUED"}
    gone[0].connect()
    gone[0].wait_push()


def test_frozen_broker_makes_nobody_offline(stack, api, fleet):
    f = fleet(2, "1.0.0")
    os.kill(stack.pid("broker"), signal.SIGSTOP)
    try:
        # Longer than it may be silent; what comes after is not known, so nothing is pushed, and nobody has gone.
        stays(lambda: {status(api, d) for d in f.devices} == {"ONLINE"}, 7)
        job = api.job(api.firmware(f.pk))
        wait_until(lambda: len(api.tasks(job)) == 2)
        stays(lambda: {t["TaskStatus"] for t in api.tasks(job)} == {"QUEUED"}, 1)
    finally:
        os.kill(stack.pid("broker"), signal.SIGCONT)
    for d in f.devices:
        assert d.connected
        d.wait_push(within=20)
    wait_status(api, f.devices, "ONLINE")


def test_left_during_a_freeze_of_otad(stack, api, fleet):
    """Nothing is lost, and the last line of each device counts."""
    f = fleet(3, "1.0.0")
    os.kill(stack.otad_pid, signal.SIGSTOP)
    try:
        for _ in range(5):
            for d in f.devices:
                d.drop()
                d.connect(subscribe=False)
        f.devices[0].drop()
    finally:
        os.kill(stack.otad_pid, signal.SIGCONT)
    wait_status(api, f.devices[:1], "OFFLINE")
    wait_status(api, f.devices[1:], "ONLINE")
    api.job(api.firmware(f.pk))
    for d in f.devices[1:]:
        d.wait_push()
    assert not f.devices[0].pushes


def test_credentials_of_nobody(stack):
    """A login that is not a device's at all is nobody's, before and after the others."""
    d = MqttDevice(stack.broker, {"ProductKey": "a1NoSuchPk", "DeviceName": "nobody", "DeviceSecret": "x"})
    with pytest.raises(ConnectRefused):
        d.connect()
    with pytest.raises(ConnectRefused):
        d.connect(login=credentials("", "", "x"))
    assert stack.sql_one("select count(*) from device_session s left join device d on d.id = s.device_id where "
                         "d.id is null") == 0


def test_no_session_outlives_its_device(stack, api, fleet, device):
    """A device that connects while it is being deleted leaves no row behind: the engine passes over it."""
    f = fleet(2, online=False)
    gone, witness = f.devices
    with closing(psycopg2.connect(stack.pg)) as holder, holder.cursor() as cursor:
        cursor.execute("select d.id from device d join product p on p.id = d.product_id where p.product_key = %s and "
                       "d.name = %s for update", (f.pk, gone.name))
        gone_id = cursor.fetchone()[0]
        gone.connect()
        witness.connect()
        wait_status(api, [witness], "ONLINE")
        assert stack.sql_one("select count(*) from device_session where device_id = %s", gone_id) == 0
    api.must("DeleteDevice", ProductKey=f.pk, DeviceName=gone.name)
    gone.wait_closed(20)
    assert stack.sql_one("select count(*) from device_session where device_id = %s", gone_id) == 0
