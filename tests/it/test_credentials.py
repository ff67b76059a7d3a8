# SPDX-License-Identifier: Apache-2.0
"""The feed of credentials: from the commit to the broker's plugin, whatever happens in between."""
import pytest

from client import wait_until
from mqtt_device import ConnectRefused, MqttDevice


def lets_in(stack, row):
    d = MqttDevice(stack.broker, row)
    try:
        d.connect(subscribe=False)
    except (ConnectRefused, OSError):
        return False
    d.disconnect()
    return True


def state_file(stack):
    found = [p for p in stack.dir.rglob("*") if p.name.startswith("credentials")]
    assert len(found) == 1, found
    return found[0]


def test_login_from_the_moment_of_the_answer(stack, api):
    pk = api.product()
    for _ in range(30):
        assert lets_in(stack, api.device(pk))
    for row in api.devices(pk, 40):
        assert lets_in(stack, row)


def test_deleted_device_is_closed_and_refused(stack, api, device):
    pk = api.product()
    row = api.device(pk)
    d = device(row)
    api.must("DeleteDevice", ProductKey=pk, DeviceName=row["DeviceName"])
    d.wait_closed()
    assert not lets_in(stack, row)


def test_changes_while_the_broker_is_away_arrive_later(stack, api):
    pk = api.product()
    gone, stays = api.device(pk), api.device(pk)
    stack.stop("broker")
    new = api.device(pk)  # registered all the same
    api.must("DeleteDevice", ProductKey=pk, DeviceName=gone["DeviceName"])
    stack.start("broker")
    wait_until(lambda: lets_in(stack, new), 15)
    wait_until(lambda: not lets_in(stack, gone), 5)
    assert lets_in(stack, stays)


def test_broker_without_its_file_gets_the_full_set(stack, api):
    pk = api.product()
    rows = [api.device(pk) for _ in range(3)]
    gone = api.device(pk)
    api.must("DeleteDevice", ProductKey=pk, DeviceName=gone["DeviceName"])
    stack.kill("broker")
    state_file(stack).unlink()
    before = len(stack.log())
    stack.start("broker")
    stack.wait_log("credentials_snapshot", 15, after=before)
    for row in rows:
        wait_until(lambda row=row: lets_in(stack, row), 5)
    assert not lets_in(stack, gone)


def test_an_import_does_not_hold_up_a_registration(stack, api, tmp_path):
    pk = api.product()
    file = tmp_path / "devices.csv"
    file.write_text("".join(f"bulk-{i:06},{'s' * 20}{i:012}\n" for i in range(30000)))
    stack.otactl("device", "import", pk, str(file))
    waiting = stack.sql_one("select count(*) from credential_change where bulk")
    assert lets_in(stack, api.device(pk))
    print(f"{waiting} changes of the import were waiting")
    last = {"ProductKey": pk, "DeviceName": "bulk-029999", "DeviceSecret": f"{'s' * 20}{29999:012}"}
    wait_until(lambda: lets_in(stack, last), 60)
    wait_until(lambda: stack.sql_one("select count(*) from credential_change") == 0, 60)


@pytest.mark.parametrize("kill", [True, False])
def test_otad_may_go_and_come(stack, api, kill, otad_default):
    pk = api.product()
    row = api.device(pk)
    if kill:
        stack.kill_otad()
    else:
        stack.stop_otad()
    assert lets_in(stack, row)  # the broker needs nobody for it
    stack.start_otad()
    assert lets_in(stack, api.device(pk))
