# SPDX-License-Identifier: Apache-2.0
"""Every SDK generation through whole updates, played by otasim (test_otasim_wire.py shows that it plays them to
the byte): tasks end in the right state, by the right events. Package URLs name no port, as in a deployment on port
80: C Link SDK 3.2 can read no other."""
from collections import Counter

import pytest
from client import wait_until

PROFILES = ["c-link-3.2", "c-link-4", "node", "paho"]
each = pytest.mark.parametrize("profile", PROFILES)
WHY = {1: "made", 3: "push", 4: "pull", 5: "progress", 6: "success", 7: "failure"}


@pytest.fixture(scope="module", autouse=True)
def http_port(stack):
    """Links name no port; otasim is told where that port 80 really is."""
    stack.restart_otad(store_device_listen="127.0.0.1:0", store_device_url="http://127.0.0.1")
    yield str([e for e in stack.log() if e["event"] == "ready"][-1]["store_device_port"])
    if stack.running("otad"):
        stack.stop_otad()
    stack.start_otad()


@pytest.fixture
def live(stack, api, simulate, http_port):
    """live(profile, option...) -> (row, end): one device that has reported 1.0.0; row: the same device again."""
    def make(profile, *options, module=None, row=None):
        if not row:
            row = api.device(api.product())
        if module:
            api.must("CreateOTAModule", ProductKey=row["ProductKey"], ModuleName=module)
            options += ("--module", module)
        end = simulate([row], "--profile", profile, "--http-port", http_port, "--delay", "100", *options)
        wait_until(lambda: version(stack, row, module or "default") == "1.0.0", 30)
        return row, end
    return make


def version(stack, row, module="default"):
    found = stack.sql("""select m.version from device_module m join device d on d.id = m.device_id
        where d.name = %s and m.module = %s""", row["DeviceName"], module)
    return found[0][0] if found else None


def events(stack, row):
    """Why the device's only task moved, in the order in which it did."""
    rows = stack.sql("""select e.why from task_event e join task t on t.job_id = e.job_id and t.seq between e.seq and
        e.to_seq join device d on d.id = t.device_id where d.name = %s order by e.no""",
                     row["DeviceName"])
    return [WHY.get(why, why) for why, in rows]


def detail(stack, row, why):
    return stack.sql_one("""select e.detail from task_event e join task t using (job_id, seq) join device d on
        d.id = t.device_id where d.name = %s and e.why = %s""", row["DeviceName"],
                         next(n for n, name in WHY.items() if name == why))


def ended(api, job, row, status, progress, desc=""):
    t = api.wait_task(job, row, status, 60)
    assert (t["Progress"], t["TaskDesc"], t["DestVersion"]) == (progress, desc, "2.0.0")


@each
def test_first_push(stack, api, live, profile):
    row, end = live(profile, "--reboot")
    job = api.job(api.firmware(row["ProductKey"], content=b"x" * 100000))
    ended(api, job, row, "SUCCEEDED", "100.00")
    assert events(stack, row) == ["made", "push", "progress", "success"]
    assert detail(stack, row, "progress") == ("Enter in downloading state" if profile == "c-link-3.2" else "")
    api.wait_job(job, "COMPLETED")
    report, log = end()
    assert (report["pushes"], report["successes"], report["bytes"], len(log)) == (1, 1, 100000, 1)
    assert version(stack, row) == "2.0.0"


@each
def test_push_after_reconnect(stack, api, live, profile):
    """The broker comes back without its sessions: nobody subscribes or reports again, and everybody is pushed to."""
    row, end = live(profile, "--fail-rate", "100", "--fail-kinds", "stall", "--fail-first", "1")
    job = api.job(api.firmware(row["ProductKey"]))
    wait_until(lambda: (api.task(job, row) or {}).get("Progress") == "100.00", 30)
    stack.stop("broker")
    stack.start("broker")
    ended(api, job, row, "SUCCEEDED", "100.00")
    assert events(stack, row) == ["made", "push", "progress", "push", "success"]
    report, log = end()
    assert (report["connects"], report["pushes"], report["downloads"], report["stalls"]) == (2, 2, 2, 1)


@each
def test_push_to_who_was_offline(stack, api, live, profile):
    row, end = live(profile)
    end()
    wait_until(lambda: api.must("QueryDeviceDetail", ProductKey=row["ProductKey"],
                                DeviceName=row["DeviceName"])["Data"]["Status"] == "OFFLINE")
    job = api.job(api.firmware(row["ProductKey"]))
    assert api.wait_task(job, row, "QUEUED")["SrcVersion"] == "1.0.0"
    live(profile, row=row)
    ended(api, job, row, "SUCCEEDED", "100.00")
    assert events(stack, row) == ["made", "push", "progress", "success"]


@each
def test_pull(stack, api, live, profile):
    row, end = live(profile, "--pull-every", "1")
    job = api.job(api.firmware(row["ProductKey"]), NeedPush=False)
    ended(api, job, row, "SUCCEEDED", "100.00")
    made, pull, *pulls, progress, success = events(stack, row)  # a slow answer makes it ask again
    assert (made, progress, success) == ("made", "progress", "success") and {pull, *pulls} == {"pull"}
    report, _ = end()
    assert (report["pulls"] >= 1, report["pushes"], report["push_unusable"]) == (True, 0, 0)


def stored(stack, content):
    """The package's file in the store."""
    found = [p for p in (stack.config.parent / "packages").rglob("*") if p.is_file() and p.read_bytes() == content]
    assert len(found) == 1
    return found[0]


@each
def test_failed_download(stack, api, live, profile):
    row, end = live(profile)
    fw = api.firmware(row["ProductKey"])
    stored(stack, fw.content).unlink()
    job = api.job(fw)
    ended(api, job, row, "FAILED", "0.00", "download failed")
    assert events(stack, row) == ["made", "push", "progress", "failure"]
    report, _ = end()
    assert (report["downloads_failed"], report["downloads"]) == (1, 0)


@each
def test_wrong_digest(stack, api, live, profile):
    row, end = live(profile, "--steps", "2")
    fw = api.firmware(row["ProductKey"], SignMethod="SHA256")
    stored(stack, fw.content).write_bytes(fw.content[:-1] + bytes([fw.content[-1] ^ 1]))
    job = api.job(fw)
    ended(api, job, row, "FAILED", "50.00", "verification failed")
    assert events(stack, row) == ["made", "push", "progress", "failure"]
    report, _ = end()
    assert (report["digest_errors"], report["successes"]) == (1, 0)


def ignored(stack, api, job, row, end):
    """The SDK does not know such pushes and says nothing: the task waits until another package takes its place."""
    api.wait_task(job, row, "NOTIFIED")
    assert events(stack, row) == ["made", "push"]
    other = api.job(api.firmware(row["ProductKey"], "3.0.0"), OverwriteMode=2)
    assert other in api.wait_task(job, row, "CANCELED")["TaskDesc"]
    api.wait_task(other, row, "SUCCEEDED", 60)
    report, _ = end()
    assert (report["pushes"], report["push_unusable"], report["successes"]) == (2, 1, 1)


@each
def test_several_files(stack, api, live, profile):
    row, end = live(profile)
    files = [{"Name": f"part{i}.bin", "Url": api.upload(b"part %d" % i * 1000)} for i in range(20)]
    fw = api.must("CreateOTAFirmware", ProductKey=row["ProductKey"], FirmwareName="several-" + row["ProductKey"],
                  DestVersion="2.0.0", NeedToVerify=False, MultiFiles=files)["Data"]["FirmwareId"]
    job = api.must("CreateOTAStaticUpgradeJob", {
        "FirmwareId": fw, "ProductKey": row["ProductKey"], "TargetSelection": "ALL",
        "Tag": [{"Key": "site", "Value": "{7}"}]})["Data"]["JobId"]
    if profile == "c-link-3.2":
        ignored(stack, api, job, row, end)
        return
    ended(api, job, row, "SUCCEEDED", "100.00")
    assert events(stack, row) == ["made", "push", "progress", "success"]
    report, _ = end()
    assert (report["downloads"], report["bytes"]) == (20, sum(len(b"part %d" % i) for i in range(20)) * 1000)


@each
def test_mqtt_blocks(stack, api, live, profile):
    row, end = live(profile)
    job = api.job(api.firmware(row["ProductKey"], content=b"block" * 10000), DownloadProtocol="MQTT",
                  Tag=[{"Key": "version", "Value": "tag"}])
    if profile != "c-link-4":
        ignored(stack, api, job, row, end)
        return
    ended(api, job, row, "SUCCEEDED", "100.00")
    assert events(stack, row) == ["made", "push", "progress", "success"]
    report, _ = end()
    assert (report["blocks"], report["bytes"], report["digest_errors"]) == (10, 50000, 0)


@each
def test_module(stack, api, live, profile):
    row, end = live(profile, module="MCU")
    job = api.job(api.firmware(row["ProductKey"], ModuleName="MCU"))
    ended(api, job, row, "SUCCEEDED", "100.00")
    assert events(stack, row) == ["made", "push", "progress", "success"]
    assert version(stack, row, "MCU") == "2.0.0"
    # The SDK's own report at its start names no module.
    assert version(stack, row) == ("app-1.0.0-20180101.1000" if profile == "c-link-3.2" else None)
    assert end()[0]["successes"] == 1


def test_mixed_fleet(stack, api, simulate, http_port):
    """All of them at once: reboots, repeated reports, lost connections, failures with retries."""
    pk = api.product()
    rows = api.devices(pk, 40)
    end = simulate(rows, "--profile", "c-link-3.2:40,c-link-4:40,node:15,paho:5", "--reboot", "--delay", "500",
                   "--http-port", http_port, "--duplicates", "30", "--flap", "50", "--flap-every", "4",
                   "--fail-rate", "50", "--fail-kinds=-1,-2,-3,-4,version,stall", "--fail-first", "1")
    wait_until(lambda: all(version(stack, r) == "1.0.0" for r in rows), 60)
    job = api.job(api.firmware(pk, content=b"z" * 50000), RetryInterval=0, RetryCount=5)
    wait_until(lambda: Counter(t["TaskStatus"] for t in api.tasks(job))["SUCCEEDED"] >= 30, 120)
    stack.stop("broker")
    stack.start("broker")
    wait_until(lambda: Counter(t["TaskStatus"] for t in api.tasks(job)) == {"SUCCEEDED": 40}, 120,
               lambda: Counter((t["TaskStatus"], t["TaskDesc"]) for t in api.tasks(job)))
    report, _ = end()
    assert report["digest_errors"] == 0 and report["failures"] > 0


def test_url_with_a_port_fails_on_who_cannot_read_it(stack, api, simulate):
    stack.restart_otad()
    pk = api.product()
    rows = [api.device(pk) for _ in range(4)]
    end = simulate(rows, "--profile", ",".join(PROFILES), "--delay", "100")
    wait_until(lambda: all(version(stack, r) == "1.0.0" for r in rows), 30)
    job = api.job(api.firmware(pk))
    api.wait_job(job, "COMPLETED", 60)
    assert [api.task(job, r)["TaskStatus"] for r in rows] == ["FAILED"] + ["SUCCEEDED"] * 3
    end()
