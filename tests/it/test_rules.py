# SPDX-License-Identifier: Apache-2.0
"""The campaign rules, one by one, under a clock that the tests move: conflicts in every combination (api §10.8), push
and pull (§10.9), retries and time limits (§10.7), third versions, verifications, differential packages, the status of
jobs (§10.3), devices that go (rules §3, §5)."""
import itertools
import random
import threading

import psycopg2
import pytest

from client import now_ms, stays, wait_until

MINUTE, HOUR = 60, 3600
F = "iot.firmware."


@pytest.fixture(autouse=True)
def nothing_breaks(stack):
    yield
    wait_until(lambda: stack.broken() == [], 10, stack.broken)


def named(api, fw, devices, **more):
    """A SPECIFIC job for devices, names, or what RegisterDevice answered."""
    names = [d if isinstance(d, str) else getattr(d, "name", None) or d["DeviceName"] for d in devices]
    return api.job(fw, TargetSelection="SPECIFIC", TargetDeviceName=names, **more)


def states(api, job):
    return {t["DeviceName"]: t["TaskStatus"] for t in api.tasks(job)}


def made(api, job, n):
    wait_until(lambda: api.must("ListOTATaskByJob", JobId=job)["Total"] == n, 10)


def progressed(api, job, d, step):
    d.progress(step)
    wait_until(lambda: api.task(job, d.name)["Progress"] == f"{step}.00")


def pending(stack, n=1):
    """Waits until so many tasks have a retry pending."""
    wait_until(lambda: stack.sql_one("select count(*) from task where retry_ms is not null") == n)


# ---- conflicts ----

def conflict(new_multi, mode, old_multi, old_module, new_module, old_state):
    """api §10.8 and the mixed modes below it -> (state of the old task, state of the new one)."""
    if new_multi and old_multi and old_module != new_module:
        return old_state, "QUEUED"
    if new_multi:
        overwrites = old_multi  # a task that takes the whole device blocks every module
    else:
        overwrites = mode == 2
    if overwrites and old_state != "IN_PROGRESS":
        return "CANCELED", "QUEUED"
    return old_state, "FAILED"


def test_conflicts_in_every_combination(api, fleet, device):
    """Every old task (modes, state) against every new one (modes, module): one device each."""
    new = [(multi, mode, module) for multi, mode in ((False, 1), (False, 2), (True, 1)) for module in ("mcu", "wifi")]
    old = list(itertools.product((False, True), ("CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS")))
    pk = api.product()
    rows = iter(api.devices(pk, len(new) * len(old)))
    for module in ("mcu", "wifi"):
        api.must("CreateOTAModule", ProductKey=pk, ModuleName=module)
    cell = {key: next(rows) for key in itertools.product(old, new)}
    fw = api.firmware(pk, ModuleName="mcu")
    held = {}
    for multi, confirm in itertools.product((False, True), (False, True)):
        mine = [r for ((m, s), _), r in cell.items() if m == multi and (s == "CONFIRM") == confirm]
        held[multi, confirm] = named(api, fw, mine, MultiModuleMode=multi, NeedConfirm=confirm, NeedPush=False)
        made(api, held[multi, confirm], len(mine))
    for ((_, state), _), row in cell.items():
        if state in ("NOTIFIED", "IN_PROGRESS"):
            d = device(row)
            assert d.get_firmware(module="mcu")["data"]["version"] == "2.0.0"
            if state == "IN_PROGRESS":
                d.progress(1, module="mcu")
            d.disconnect()

    def old_states(multi):
        return {**states(api, held[multi, False]), **states(api, held[multi, True])}
    wait_until(lambda: all(old_states(m)[row["DeviceName"]] == s for ((m, s), _), row in cell.items()))
    jobs = {}
    for i, (multi, mode, module) in enumerate(new):
        mine = [r for (_, n), r in cell.items() if n == (multi, mode, module)]
        jobs[multi, mode, module] = named(api, api.firmware(pk, f"3.{i}", ModuleName=module), mine, NeedPush=False,
                                          MultiModuleMode=multi, OverwriteMode=mode)
        made(api, jobs[multi, mode, module], len(mine))
    before = {m: old_states(m) for m in (False, True)}
    wrong = []
    for ((old_multi, state), key), row in cell.items():
        name = row["DeviceName"]
        got = before[old_multi][name], states(api, jobs[key])[name]
        want = conflict(key[0], key[1], old_multi, "mcu", key[2], state)
        if got != want:
            wrong.append((f"old: MultiModuleMode={old_multi} {state}; new: MultiModuleMode={key[0]} "
                          f"OverwriteMode={key[1]} {key[2]}", got, want))
    assert wrong == []
    lost = next(t for t in api.tasks(jobs[False, 1, "mcu"]))
    assert lost["TaskDesc"].startswith("device has an unfinished upgrade task of job ")
    over = next(t for t in api.tasks(held[True, False]) if t["TaskStatus"] == "CANCELED")
    assert over["TaskDesc"].startswith("overwritten by job ")


def test_one_running_module_saves_the_others(api, fleet):
    f = fleet(2, "1.0.0")
    saved, lost = f.devices
    jobs = {}
    for module in ("mcu", "wifi"):
        api.must("CreateOTAModule", ProductKey=f.pk, ModuleName=module)
        jobs[module] = api.job(api.firmware(f.pk, ModuleName=module), MultiModuleMode=True)
        made(api, jobs[module], 2)
    for d in f.devices:
        assert {d.wait_push(1)["data"]["module"], d.wait_push(2)["data"]["module"]} == {"mcu", "wifi"}
    saved.progress(1, module="wifi")
    api.wait_task(jobs["wifi"], saved.name, "IN_PROGRESS")
    whole = api.job(api.firmware(f.pk, "9.0"), OverwriteMode=2)
    made(api, whole, 2)
    assert states(api, whole)[saved.name] == "FAILED" and states(api, whole)[lost.name] in ("QUEUED", "NOTIFIED")
    assert (states(api, jobs["mcu"])[saved.name], states(api, jobs["wifi"])[saved.name]) == ("NOTIFIED", "IN_PROGRESS")
    assert (states(api, jobs["mcu"])[lost.name], states(api, jobs["wifi"])[lost.name]) == ("CANCELED", "CANCELED")


def test_modules_are_updated_side_by_side(api, fleet):
    """Reports belong to the module that they name; one without a name is of the default module."""
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    api.must("CreateOTAModule", ProductKey=f.pk, ModuleName="mcu")
    jobs = {m: api.job(api.firmware(f.pk, v, ModuleName=m), MultiModuleMode=True)
            for m, v in (("default", "2.0.0"), ("mcu", "7"))}
    pushes = [d.wait_push(1)["data"], d.wait_push(2)["data"]]
    assert sorted(p.get("module", "default") for p in pushes) == ["default", "mcu"]
    assert d.get_firmware(module="mcu")["data"]["version"] == "7"
    assert d.get_firmware()["data"]["version"] == "2.0.0"
    d.progress(30, module="mcu")
    d.progress(60)
    wait_until(lambda: [api.task(jobs[m], d.name)["Progress"] for m in ("mcu", "default")] == ["30.00", "60.00"])
    d.inform("7", module="mcu")
    api.wait_job(jobs["mcu"], "COMPLETED")
    assert states(api, jobs["default"])[d.name] == "IN_PROGRESS"
    d.progress(-1, "broke")
    assert api.wait_task(jobs["default"], d.name, "FAILED")["TaskDesc"] == "broke"
    assert states(api, jobs["mcu"])[d.name] == "SUCCEEDED"


def test_overwritten_task_never_comes_back_to_life(api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    first = api.job(api.firmware(f.pk))
    d.wait_push()
    second = api.job(api.firmware(f.pk, "3.0.0"), OverwriteMode=2)
    assert d.wait_push(2)["data"]["version"] == "3.0.0"
    d.inform("2.0.0")  # it had started with the first one
    wait_until(lambda: api.version_of(f.pk, d.name) == "2.0.0")
    assert (states(api, first)[d.name], states(api, second)[d.name]) == ("CANCELED", "NOTIFIED")
    assert api.task(second, d.name)["SrcVersion"] == "2.0.0"
    d.upgrade("3.0.0")
    api.wait_task(second, d.name, "SUCCEEDED")
    assert states(api, first)[d.name] == "CANCELED" and api.job_info(first)["JobStatus"] == "CANCELED"


# ---- push and pull ----

def test_without_push_devices_get_the_task_only_by_asking(api, fleet):
    f = fleet(2, "1.0.0")
    d, silent = f.devices
    job = api.job(api.firmware(f.pk), NeedPush=False)
    made(api, job, 2)
    for x in f.devices:
        x.no_push(1.2)
    for _ in range(2):
        assert d.get_firmware()["data"]["version"] == "2.0.0"
    api.wait_task(job, d.name, "NOTIFIED")
    progressed(api, job, d, 10)
    d.disconnect()
    d.connect()
    d.no_push(6)  # nor again after it came back
    assert d.get_firmware()["data"]["version"] == "2.0.0"
    d.inform("2.0.0")
    api.wait_task(job, d.name, "SUCCEEDED")
    assert d.get_firmware()["data"] == {}
    assert states(api, job)[silent.name] == "QUEUED" and not silent.pushes and not d.pushes


def test_retry_without_push_is_fetched_when_it_is_due(stack, api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk), NeedPush=False, RetryInterval=10, RetryCount=1, TimeoutInMinutes=5)
    made(api, job, 1)
    d.get_firmware()
    d.progress(-2, "one")
    pending(stack)
    assert d.get_firmware()["data"] == {}
    stack.advance(11 * MINUTE)
    assert d.get_firmware()["data"]["version"] == "2.0.0"
    d.progress(-2, "two")
    assert api.wait_task(job, d.name, "FAILED")["TaskDesc"] == "two"


# ---- retries ----

@pytest.mark.parametrize("step", [-1, -2, -3, -4])
def test_every_failure_is_retried_as_often_as_asked(api, fleet, step):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk), RetryInterval=0, RetryCount=2)
    for n in (1, 2, 3):
        d.wait_push(n)
        assert states(api, job)[d.name] == "NOTIFIED"  # the shown state stays
        d.progress(step, f"attempt {n}")
    assert api.wait_task(job, d.name, "FAILED")["TaskDesc"] == "attempt 3"
    d.no_push(1.5)
    assert len(d.pushes) == 3


@pytest.mark.parametrize("step, text", [(-1, "upgrade failed"), (-2, "download failed"), (-3, "verification failed"),
                                        (-4, "flashing failed")])
def test_failure_without_words_gets_some(api, fleet, step, text):
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk))
    f.devices[0].wait_push()
    f.devices[0].progress(step)
    assert api.wait_task(job, f.devices[0].name, "FAILED")["TaskDesc"] == text


def test_third_version_is_retried(api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk), RetryInterval=0, RetryCount=1)
    d.wait_push()
    progressed(api, job, d, 50)
    d.inform("1.0.7")
    d.wait_push(2, within=15)
    t = api.task(job, d.name)
    assert (t["TaskStatus"], t["Progress"], t["TaskDesc"]) == ("IN_PROGRESS", "50.00", "")
    progressed(api, job, d, 60)
    d.inform("1.0.7")
    assert api.wait_task(job, d.name, "FAILED", 15)["TaskDesc"] == "report version is not conform"
    assert len(d.pushes) == 2


def test_failure_counts_once_per_push(stack, api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk), RetryInterval=10, RetryCount=2)
    d.wait_push()
    for _ in range(3):
        d.progress(-1, "same")
        d.progress(-2, "other")
    pending(stack)
    for n in (2, 3):
        stack.advance(11 * MINUTE)
        d.wait_push(n)
        d.progress(-1, f"attempt {n}")
        if n == 2:
            pending(stack)
    api.wait_task(job, d.name, "FAILED")
    assert stack.sql_one("select max(retries) from task where job_id = (select max(id) from job)") == 2


def test_clock_stands_still_while_a_retry_waits(stack, api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk), RetryInterval=60, RetryCount=1, TimeoutInMinutes=30)
    d.wait_push()
    progressed(api, job, d, 10)
    stack.advance(10 * MINUTE)
    d.progress(-2, "no space")
    pending(stack)
    stack.advance(40 * MINUTE)  # 50 minutes after the first report
    stays(lambda: states(api, job)[d.name] == "IN_PROGRESS", 1)
    d.disconnect()
    d.connect()
    d.no_push(6)  # neither reconnecting nor asking brings it forward
    d.progress(90)  # of the attempt that has failed
    assert d.get_firmware()["data"] == {}
    assert api.task(job, d.name)["Progress"] == "10.00"
    stack.advance(21 * MINUTE)
    d.wait_push(2)
    stack.advance(29 * MINUTE)  # starts anew with the first report, not with the push
    progressed(api, job, d, 20)
    stack.advance(29 * MINUTE)
    stays(lambda: states(api, job)[d.name] == "IN_PROGRESS", 1)
    stack.advance(2 * MINUTE)
    assert api.wait_task(job, d.name, "FAILED")["TaskDesc"] == "timeout"


def test_device_that_is_away_when_the_retry_is_due_gets_it_when_it_comes(stack, api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    api.job(api.firmware(f.pk), RetryInterval=10, RetryCount=1)
    d.wait_push()
    d.progress(-2, "no space")
    pending(stack)
    d.disconnect()
    stack.advance(11 * MINUTE)
    d.connect()
    d.wait_push(2)


def test_neither_a_timeout_nor_a_cancel_is_retried(stack, api, fleet):
    f = fleet(2, "1.0.0")
    slow, canceled = f.devices
    job = api.job(api.firmware(f.pk), RetryInterval=0, RetryCount=5, TimeoutInMinutes=1)
    for d in f.devices:
        d.wait_push()
    progressed(api, job, slow, 1)
    canceled.progress(-1, "once")
    canceled.wait_push(2)
    api.must("CancelOTATaskByDevice", FirmwareId=api.job_info(job)["FirmwareId"], ProductKey=f.pk,
             DeviceName=[canceled.name])
    stack.advance(2 * MINUTE)
    assert api.wait_task(job, slow.name, "FAILED")["TaskDesc"] == "timeout"
    canceled.progress(-1, "after the cancel")
    for d in f.devices:
        d.no_push(1.5)
    assert states(api, job) == {slow.name: "FAILED", canceled.name: "CANCELED"}


def test_cancel_ends_a_retry_that_waits(stack, api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk), RetryInterval=10, RetryCount=1)
    d.wait_push()
    d.progress(-1, "one")
    pending(stack)
    api.must("CancelOTATaskByJob", JobId=job, CancelNotifiedTask=True)  # the state that it shows
    stack.advance(11 * MINUTE)
    d.no_push(1.5)
    assert api.job_info(job)["JobStatus"] == "CANCELED"


# ---- time limits ----

def test_reconnecting_does_not_restart_the_clock(stack, api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk), TimeoutInMinutes=60)
    d.wait_push()
    progressed(api, job, d, 1)
    for n in (2, 3):
        stack.advance(25 * MINUTE)
        d.disconnect()
        d.connect()
        d.wait_push(n, within=15)
        progressed(api, job, d, n)
    stack.advance(11 * MINUTE)
    assert api.wait_task(job, d.name, "FAILED")["TaskDesc"] == "timeout"


def test_success_while_otad_is_away_counts(stack, api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk), TimeoutInMinutes=10)
    d.wait_push()
    progressed(api, job, d, 1)
    stack.stop_otad()
    d.inform("2.0.0")  # the broker keeps it; it comes, late, after the start
    stack.start_otad()
    assert api.wait_task(job, d.name, "SUCCEEDED")["TaskDesc"] == ""
    stack.advance(11 * MINUTE)
    stays(lambda: states(api, job)[d.name] == "SUCCEEDED", 1)


def test_success_in_the_journal_beats_the_timeout(stack, api, fleet):
    """A report is judged by the time of its receipt, however long the database keeps it waiting: the job's lock is
    held until the time limit has passed."""
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk), TimeoutInMinutes=10)
    d.wait_push()
    progressed(api, job, d, 1)
    holder = psycopg2.connect(stack.pg)
    with holder, holder.cursor() as cursor:
        cursor.execute("select from job_run where job_id = (select max(id) from job) for no key update")
        d.inform("2.0.0")
        wait_until(lambda: stack.sql_one("select count(*) from pg_stat_activity where application_name = 'otad engine' "
                                         "and wait_event_type = 'Lock'"))
        stack.advance(11 * MINUTE)
    holder.close()
    assert api.wait_task(job, d.name, ["SUCCEEDED", "FAILED"])["TaskStatus"] == "SUCCEEDED"


# ---- versions ----

def test_old_version_changes_nothing_and_causes_no_push(api, fleet):
    f = fleet(2, "1.0.0")
    notified, running = f.devices
    job = api.job(api.firmware(f.pk))
    for d in f.devices:
        d.wait_push()
    progressed(api, job, running, 30)
    before = api.tasks(job)
    for d in f.devices:
        d.inform("1.0.0")
    stays(lambda: api.tasks(job) == before, 6)
    assert len(notified.pushes) == len(running.pushes) == 1


def test_third_version_before_any_progress_is_the_new_source_version(api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk))
    d.wait_push()
    d.inform("1.5.0")
    wait_until(lambda: api.task(job, d.name)["SrcVersion"] == "1.5.0")
    stays(lambda: states(api, job)[d.name] == "NOTIFIED", 6)
    progressed(api, job, d, 5)
    d.inform("1.5.0")
    d.inform("2.0.0")
    api.wait_task(job, d.name, "SUCCEEDED")


def test_first_version_of_a_running_device_is_its_source_version(api, fleet):
    f = fleet(1)
    (d,) = f.devices
    job = api.job(api.firmware(f.pk))
    d.wait_push()
    assert api.task(job, d.name)["SrcVersion"] == ""
    progressed(api, job, d, 5)
    d.inform("0.9")
    wait_until(lambda: api.task(job, d.name)["SrcVersion"] == "0.9", 10)
    assert states(api, job)[d.name] == "IN_PROGRESS"
    d.inform("0.8")  # and this is a third one
    assert api.wait_task(job, d.name, "FAILED", 15)["TaskDesc"] == "report version is not conform"


def test_destination_version_is_success_in_every_state(api, fleet):
    f = fleet(4, "1.0.0")
    off, notified, running, confirm = f.devices
    off.disconnect()
    waits = named(api, api.firmware(f.pk), [confirm], NeedConfirm=True)
    made(api, waits, 1)
    job = named(api, api.firmware(f.pk, "3.0.0"), [off, notified, running], NeedPush=False)
    made(api, job, 3)
    notified.get_firmware()
    running.progress(1)
    api.wait_task(job, running.name, "IN_PROGRESS")
    off.connect()
    for d in (off, notified, running):
        d.inform("3.0.0")
    confirm.inform("2.0.0")
    api.wait_job(job, "COMPLETED")
    api.wait_job(waits, "COMPLETED")
    assert set(states(api, job).values()) == set(states(api, waits).values()) == {"SUCCEEDED"}
    assert {t["Progress"] for t in api.tasks(job)} == {"100.00"}


# ---- differential packages ----

def test_differential_package_is_for_its_source_version(api, fleet):
    f = fleet(3, "1.0.0")
    good, other, _ = f.devices
    silent = api.device(f.pk)
    other.inform("1.1.0")
    wait_until(lambda: api.version_of(f.pk, other.name) == "1.1.0")
    fw = api.firmware(f.pk, Type=1, SrcVersion="1.0.0")
    job = api.job(fw, TargetSelection="GRAY", GrayPercent="100")
    made(api, job, 2)
    assert set(states(api, job)) == {good.name, f.devices[2].name}
    data = good.wait_push()["data"]
    assert data["isDiff"] == 1 and list(data)[:3] == ["size", "version", "isDiff"]
    api.refused("CreateOTAStaticUpgradeJob", F + "NonVersionedDeviceInArray", FirmwareId=fw.id, ProductKey=f.pk,
                TargetSelection="SPECIFIC", TargetDeviceName=[good.name, silent["DeviceName"]])
    api.refused("CreateOTAStaticUpgradeJob", F + "SrcVersionMismatch", FirmwareId=fw.id, ProductKey=f.pk,
                TargetSelection="SPECIFIC", TargetDeviceName=[other.name])
    full = api.job(api.firmware(f.pk, "3.0.0"), TargetSelection="SPECIFIC", TargetDeviceName=[other.name])
    assert "isDiff" not in other.wait_push()["data"]
    assert api.job_info(full)["JobStatus"] == "IN_PROGRESS"


def test_list_file_for_a_differential_package_is_filtered(api, fleet):
    f = fleet(3, "1.0.0")
    good, other, done = f.devices
    other.inform("1.1.0")
    done.inform("2.0.0")
    wait_until(lambda: api.version_of(f.pk, done.name) == "2.0.0" and api.version_of(f.pk, other.name) == "1.1.0")
    job = api.job(api.firmware(f.pk, Type=1, SrcVersion="1.0.0"), TargetSelection="SPECIFIC",
                  DnListFileUrl=api.name_list([d.name for d in f.devices]))
    made(api, job, 1)
    assert list(states(api, job)) == [good.name]


@pytest.mark.parametrize("push", [True, False])
def test_difference_that_cannot_be_applied_any_more_fails(api, fleet, push):
    """Another version, NOTIFIED or QUEUED; no retry helps."""
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk, Type=1, SrcVersion="1.0.0"), NeedPush=push, RetryInterval=0, RetryCount=5)
    api.wait_task(job, d.name, "NOTIFIED" if push else "QUEUED")
    d.inform("1.0.7")
    assert api.wait_task(job, d.name, "FAILED", 15)["TaskDesc"] == "report version is not conform"
    d.no_push(1.5)
    api.wait_job(job, "COMPLETED")


# ---- verifications ----

def firmware(api, fw):
    info = api.must("QueryOTAFirmware", FirmwareId=fw.id)["FirmwareInfo"]
    return info["Status"], info["VerifyProgress"]


def verify(api, fw, devices, **more):
    return api.must("CreateOTAVerifyJob", {"FirmwareId": fw.id, "ProductKey": fw.pk,
                                           "TargetDeviceName": [d.name for d in devices], **more})["Data"]["JobId"]


def test_verification_needs_every_test_device(api, fleet):
    f = fleet(2, "1.0.0")
    good, bad = f.devices
    fw = api.firmware(f.pk, NeedToVerify=True)
    params = {"FirmwareId": fw.id, "ProductKey": f.pk, "TargetSelection": "ALL"}
    assert firmware(api, fw) == (0, 0)
    api.refused("CreateOTAStaticUpgradeJob", F + "FirmwareNotVerified", params)
    job = verify(api, fw, f.devices)
    info = api.job_info(job)
    assert (info["JobType"], info["SelectionType"], info["TargetSelection"]) == ("VERIFY_FIRMWARE", "STATIC", "SPECIFIC")
    assert firmware(api, fw) == (2, 0)
    api.refused("CreateOTAVerifyJob", F + "InProgressVerifyJobExisted", FirmwareId=fw.id, ProductKey=f.pk,
                TargetDeviceName=[good.name])
    api.refused("CreateOTAStaticUpgradeJob", F + "FirmwareNotVerified", params)
    for d in f.devices:
        d.wait_push()
    good.upgrade("2.0.0")
    api.wait_task(job, good.name, "SUCCEEDED")
    assert firmware(api, fw) == (2, 50)
    bad.progress(-4, "flash")
    api.wait_task(job, bad.name, "FAILED")
    assert firmware(api, fw) == (3, 100) and api.job_info(job)["JobStatus"] == "COMPLETED"
    api.refused("CreateOTAStaticUpgradeJob", F + "FirmwareNotVerified", params)
    again = verify(api, fw, [bad])  # a failed one may be verified again
    assert firmware(api, fw) == (2, 0)
    bad.wait_push(2)
    bad.upgrade("2.0.0")
    api.wait_task(again, bad.name, "SUCCEEDED")
    assert firmware(api, fw) == (1, 100)
    api.refused("CreateOTAVerifyJob", F + "VerifyFirmwareFailed", FirmwareId=fw.id, ProductKey=f.pk,
                TargetDeviceName=[good.name])
    api.refused("CreateOTAStaticUpgradeJob", F + "NoDeviceCanUpgrade", params)  # it may; everybody has it
    free = api.firmware(f.pk, "3.0.0")
    assert firmware(api, free) == (-1, 0)
    api.refused("CreateOTAVerifyJob", F + "VerifyFirmwareFailed", FirmwareId=free.id, ProductKey=f.pk,
                TargetDeviceName=[good.name])


def test_verification_times_out_and_loses_conflicts(stack, api, fleet):
    f = fleet(2, "1.0.0")
    slow, held = f.devices
    named(api, api.firmware(f.pk, "3.0.0"), [held], MaximumPerMinute=0)
    wait_until(lambda: stack.sql_one("select count(*) from active_task a join device d on d.id = a.device_id "
                                     "where d.name = %s", held.name))
    fw = api.firmware(f.pk, NeedToVerify=True)
    job = verify(api, fw, f.devices, TimeoutInMinutes=5)
    made(api, job, 2)
    assert states(api, job)[held.name] == "FAILED" and firmware(api, fw) == (2, 50)
    slow.wait_push()
    progressed(api, job, slow, 1)
    stack.advance(6 * MINUTE)
    assert api.wait_task(job, slow.name, "FAILED")["TaskDesc"] == "timeout"
    assert firmware(api, fw) == (3, 100)


def test_verification_of_a_difference(api, fleet):
    f = fleet(2, "1.0.0")
    good, other = f.devices
    silent = api.device(f.pk)
    other.inform("1.1.0")
    wait_until(lambda: api.version_of(f.pk, other.name) == "1.1.0")
    fw = api.firmware(f.pk, Type=1, SrcVersion="1.0.0", NeedToVerify=True)
    params = {"FirmwareId": fw.id, "ProductKey": f.pk}
    api.refused("CreateOTAVerifyJob", F + "SrcVersionMismatch", params, TargetDeviceName=[good.name, other.name])
    api.refused("CreateOTAVerifyJob", F + "NonVersionedDeviceInArray", params, TargetDeviceName=[silent["DeviceName"]])
    assert firmware(api, fw) == (0, 0)
    job = verify(api, fw, [good], NeedConfirm=True, NeedPush=False)
    ident = api.wait_task(job, good.name, "CONFIRM")["TaskId"]
    assert good.get_firmware()["data"] == {}
    api.must("ConfirmOTATask", TaskId=[ident])
    assert good.get_firmware()["data"]["isDiff"] == 1
    good.upgrade("2.0.0")
    api.wait_task(job, good.name, "SUCCEEDED")
    assert firmware(api, fw) == (1, 100)


# ---- status of jobs ----

def test_job_of_losers_is_completed_at_once(api, fleet):
    f = fleet(2, online=False)
    first = api.job(api.firmware(f.pk))
    made(api, first, 2)
    second = api.job(api.firmware(f.pk, "3.0.0"))
    info = api.wait_job(second, "COMPLETED")
    assert info["UtcEndTime"] >= info["UtcStartTime"] and set(states(api, second).values()) == {"FAILED"}


def test_planned_job_of_losers_waits_for_its_start(stack, api, fleet):
    f = fleet(1, online=False)
    made(api, api.job(api.firmware(f.pk)), 1)
    planned = api.job(api.firmware(f.pk, "3.0.0"), ScheduleTime=now_ms() + 10 * MINUTE * 1000)
    made(api, planned, 1)
    assert states(api, planned) == {f.rows[0]["DeviceName"]: "FAILED"}
    info = api.job_info(planned)
    assert info["JobStatus"] == "PLANNED" and "UtcStartTime" not in info and "UtcEndTime" not in info
    stack.advance(11 * MINUTE)
    info = api.wait_job(planned, "COMPLETED")
    assert info["UtcStartTime"] >= info["UtcScheduleTime"]


def test_planned_tasks_hold_their_devices(stack, api, fleet):
    """They are unfinished tasks like others: a later job loses, or overwrites them."""
    f = fleet(2, "1.0.0")
    planned = api.job(api.firmware(f.pk), ScheduleTime=now_ms() + 10 * MINUTE * 1000)
    made(api, planned, 2)
    one, two = f.devices
    loses = named(api, api.firmware(f.pk, "3.0.0"), [one])
    assert api.wait_task(loses, one.name, "FAILED")["TaskDesc"].endswith(planned)
    wins = named(api, api.firmware(f.pk, "4.0.0"), [two], OverwriteMode=2)
    two.wait_push()
    assert states(api, planned) == {one.name: "QUEUED", two.name: "CANCELED"}
    stack.advance(11 * MINUTE)
    one.wait_push()
    two.no_push(1)
    assert api.job_info(planned)["JobStatus"] == "IN_PROGRESS" and api.job_info(wins)["JobStatus"] == "IN_PROGRESS"


def test_finish_time_ends_every_state(stack, api, fleet):
    f = fleet(5, "1.0.0")
    off, notified, running, retrying, done = f.devices
    off.disconnect()
    finish = now_ms() + 61 * MINUTE * 1000
    fw = api.firmware(f.pk)
    job = api.job(fw, ScheduleFinishTime=finish, RetryInterval=1440, RetryCount=1)
    waits = fleet(1, online=False)
    other = api.job(api.firmware(waits.pk), ScheduleFinishTime=finish, NeedConfirm=True)
    made(api, other, 1)
    for d in (notified, running, retrying, done):
        d.wait_push()
    progressed(api, job, running, 10)
    retrying.progress(-1, "wait")
    pending(stack)
    done.upgrade("2.0.0")
    api.wait_task(job, done.name, "SUCCEEDED")
    stack.advance(62 * MINUTE)
    info = api.wait_job(job, "COMPLETED")
    assert info["UtcEndTime"] == info["UtcScheduleFinishTime"]
    assert states(api, job) == {off.name: "CANCELED", notified.name: "CANCELED", running.name: "CANCELED",
                                retrying.name: "CANCELED", done.name: "SUCCEEDED"}
    assert {t["TaskDesc"] for t in api.tasks(job) if t["TaskStatus"] == "CANCELED"} == {"finish time reached"}
    assert api.wait_job(other, "COMPLETED")["UtcEndTime"] == info["UtcEndTime"]  # though nothing was done
    assert set(states(api, other).values()) == {"CANCELED"}
    off.connect()
    stack.advance(1440 * MINUTE)
    for d in f.devices:
        d.no_push(1)
        assert d.get_firmware()["data"] == {}


def test_nothing_happens_before_the_start(stack, api, fleet):
    f = fleet(1, "1.0.0")
    (d,) = f.devices
    job = api.job(api.firmware(f.pk), ScheduleTime=now_ms() + 10 * MINUTE * 1000)
    made(api, job, 1)
    assert d.get_firmware()["data"] == {}
    d.disconnect()
    d.connect()
    d.no_push(1.5)
    d.inform("2.0.0")  # somebody else updated it
    api.wait_task(job, d.name, "SUCCEEDED")
    assert api.job_info(job)["JobStatus"] == "PLANNED"
    stack.advance(11 * MINUTE)
    api.wait_job(job, "COMPLETED")
    d.no_push(1)


# ---- devices that go ----

def test_disabled_devices_get_no_task(api, fleet):
    f = fleet(3, online=False)
    out, *_ = names = [r["DeviceName"] for r in f.rows]
    api.must("DisableThing", ProductKey=f.pk, DeviceName=out)
    fw = api.firmware(f.pk)
    job = api.job(fw, TargetSelection="SPECIFIC", TargetDeviceName=names)
    made(api, job, 2)
    assert out not in states(api, job)
    params = {"FirmwareId": fw.id, "ProductKey": f.pk}
    api.refused("CreateOTAStaticUpgradeJob", F + "NoDeviceCanUpgrade", params, TargetSelection="SPECIFIC",
                TargetDeviceName=[out])
    for name in names[1:]:
        api.must("DisableThing", ProductKey=f.pk, DeviceName=name)
    api.refused("CreateOTAStaticUpgradeJob", F + "NoDeviceCanUpgrade", params, TargetSelection="ALL")


def test_device_disabled_on_the_way_keeps_its_task(stack, api, fleet):
    f = fleet(2, "1.0.0")
    waits, running = f.devices
    waits.disconnect()
    job = api.job(api.firmware(f.pk), TimeoutInMinutes=10)
    running.wait_push()
    progressed(api, job, running, 10)
    for d in f.devices:
        api.must("DisableThing", ProductKey=f.pk, DeviceName=d.name)
    running.wait_closed()
    assert states(api, job) == {waits.name: "QUEUED", running.name: "IN_PROGRESS"}
    stack.advance(11 * MINUTE)  # the clock of the running one goes on
    assert api.wait_task(job, running.name, "FAILED")["TaskDesc"] == "timeout"
    api.must("EnableThing", ProductKey=f.pk, DeviceName=waits.name)
    waits.connect()
    waits.wait_push()


def test_deleted_device_loses_its_running_task_and_its_name_is_free(api, fleet, device):
    f = fleet(1, "1.0.0")
    (d,), (row,) = f.devices, f.rows
    job = api.job(api.firmware(f.pk), RetryInterval=0, RetryCount=5)
    d.wait_push()
    progressed(api, job, d, 10)
    api.must("DeleteDevice", IotId=row["IotId"])
    t = api.task(job, d.name)
    assert (t["TaskStatus"], t["TaskDesc"], t["IotId"]) == ("CANCELED", "device deleted", row["IotId"])
    assert api.job_info(job)["JobStatus"] == "CANCELED"
    namesake = device(api.device(f.pk, d.name))
    namesake.inform("1.0.0")
    namesake.no_push(1.5)
    assert namesake.get_firmware()["data"] == {}
    namesake.inform("2.0.0")
    wait_until(lambda: api.version_of(f.pk, d.name) == "2.0.0")
    assert states(api, job) == {d.name: "CANCELED"}


# ---- many at once ----

def test_calls_at_once_never_show_a_deadlock(api):
    """Overlapping jobs of all modes, cancels, confirmations and second lives over the same devices, from eight
    connections; what must always hold is checked afterwards."""
    pk = api.product()
    names = [r["DeviceName"] for r in api.devices(pk, 40)]
    api.must("CreateOTAModule", ProductKey=pk, ModuleName="mcu")
    fws = [api.firmware(pk, f"{v}.0", ModuleName=m) for m in ("default", "mcu") for v in (2, 3)]
    allowed = {None} | {F + c for c in ("InvalidTaskStatus", "IncorrectDeviceUpgradeJobStatus", "JobAlreadyCanceled",
                                        "DeviceUpgradeRecordNotFound", "SystemBusy")}
    jobs, seen, lock = [], {}, threading.Lock()

    def call(action, **params):
        a = api.call(action, params)
        with lock:
            seen.setdefault(a.code, f"{action} {a.text[:200]}")
        return a

    def some_tasks(rng):
        with lock:
            job = rng.choice(jobs)
        rows = call("ListOTATaskByJob", JobId=job, PageSize=100).body["Data"]["SimpleOTATaskInfo"]
        return job, [t["TaskId"] for t in rng.sample(rows, min(len(rows), 5))]

    def act(rng):
        what = rng.randrange(5)
        fw = rng.choice(fws)
        if what <= 1 or not jobs:
            multi = rng.random() < 0.5
            a = call("CreateOTAStaticUpgradeJob", FirmwareId=fw.id, ProductKey=pk, TargetSelection="SPECIFIC",
                     TargetDeviceName=rng.sample(names, 25), MultiModuleMode=multi, NeedConfirm=rng.random() < 0.3,
                     OverwriteMode=1 if multi else rng.choice((1, 2)))
            with lock:
                jobs.append(a.body["Data"]["JobId"])
            return
        job, ids = some_tasks(rng)
        if what == 2:
            call("CancelOTATaskByDevice", FirmwareId=fw.id, ProductKey=pk, DeviceName=rng.sample(names, 20))
        elif what == 3:
            call("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True)
        elif ids:
            call(rng.choice(("ReupgradeOTATask", "ConfirmOTATask")), TaskId=ids, JobId=job)

    def work(n):
        rng = random.Random(n)
        for _ in range(15):
            act(rng)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert {c: text for c, text in seen.items() if c not in allowed} == {}
    for job in jobs:
        wait_until(lambda job=job: api.must("ListOTATaskByJob", JobId=job)["Total"] == 25, 20)
