# SPDX-License-Identifier: Apache-2.0
"""The load kit: what its report says has to be what the database and otad's own counters say, and what the scenario
asked for has to have happened."""
import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from client import Client, wait_until
from conftest import ROOT

MIX = {"c-link-3.2": 40, "c-link-4": 40, "node": 15, "paho": 5}
STATES = {2: "QUEUED", 3: "NOTIFIED", 4: "IN_PROGRESS", 5: "SUCCEEDED", 6: "FAILED", 7: "CANCELED"}


class Report(HTMLParser):
    """.data: the JSON inside; .page: the text; ids that are there."""

    def __init__(self, path):
        super().__init__()
        self.page, self.ids, self.open = path.read_text(), set(), []
        self.data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', self.page,
                                         re.S).group(1))
        self.feed(self.page)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.ids.update(v for k, v in attrs if k == "id")
        for name in ("src", "href"):
            assert name not in dict(attrs), f"<{tag} {name}>: the page must not need anything else"
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def run(stack, tmp_path):
    """run(scenario, option...) -> Report. meanwhile: a function that is called with the process while it goes on."""
    count = []

    def start(scenario, *options, on=stack, meanwhile=lambda process: None):
        count.append(1)
        file, page = tmp_path / f"{len(count)}.json", tmp_path / f"{len(count)}.html"
        file.write_text(json.dumps(scenario))
        env = {**on.env, "OTA_ENDPOINT": on.endpoint, "OTA_PROTOCOL": on.protocol, "OTA_BROKER": on.broker,
               "OTA_CA": on.ca or "", "OTA_AK": on.ak, "OTA_SK": on.sk, "OTA_PID_OTAD": str(on.dir / "otad.pid"),
               "OTA_PID_POSTGRES": str(on.dir / "postgres.pid"), "OTA_PID_BROKER": str(on.pid("broker"))}
        with subprocess.Popen([on.bin / "otasim", "--scenario", file, "--html", page, *map(str, options)], env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                meanwhile(process)
                out, err = process.communicate(timeout=400)
            finally:
                process.kill()
        assert process.returncode in (0, 3), out + err
        report = Report(page)
        assert process.returncode == (0 if report.data["verdict"] == "good" else 3)
        for v in report.data["verdicts"]:
            assert v["title"] in out
        assert on.sk not in report.page
        return report
    return start


def scenario(**more):
    return {"title": "a <test> & more", "duration_s": 300, "seed": 3, "expect": {}, **more}


def job_row(stack, campaign):
    """The number of the job in the database."""
    return stack.sql_one("select j.id from job j join firmware f on f.id = j.firmware_id where f.dest_version = %s",
                         campaign["version"])


def in_database(stack, campaign):
    rows = dict(stack.sql("select state, count(*) from task_now where job_id = %s group by 1", job_row(stack, campaign)))
    return {name: rows.get(number, 0) for number, name in STATES.items()}


def events(stack, campaign, why):
    return stack.sql_one("select count(*) from task_event where job_id = %s and why = %s", job_row(stack, campaign), why)


def failed_names(stack, campaign):
    return {n for n, in stack.sql("""select d.name from task_now t join device d on d.id = t.device_id
                                     where t.job_id = %s and t.state = 6""", job_row(stack, campaign))}


def test_report_is_the_truth(stack, api, run, tmp_path):
    """Failures and API load, no cuts: every number has to agree."""
    count, fleet = 60, tmp_path / "fleet.csv"
    plan = scenario(
        devices={"count": count, "profiles": MIX, "online": [[0, 0], [3, count]], "flash_ms": 200},
        failures={"upgrade": 5, "download": 10, "verify": 10, "burn": 5, "version": 5, "silent": 5},
        campaigns=[{"at_s": 5, "per_minute": 600, "package_kib": 100}],
        api={"connections": 50, "rate": [[0, 0], [5, 0], [5, 20]], "mix": [
            {"action": "QueryDeviceInfo", "percent": 75, "params": {"ProductKey": "$product", "DeviceName": "$device"}},
            {"action": "QueryOTAFirmware", "percent": 20, "params": {"FirmwareId": "$firmware"}},
            {"action": "QueryOTAFirmware", "percent": 5, "params": {"FirmwareId": "none"}}]})
    calls = stack.metric("otad_api_calls_total", action="QueryDeviceInfo")
    errors = stack.metric("otad_api_errors_total", code="iot.firmware.FirmwareNotFound")
    report = run(plan, "--keep-devices", fleet)
    data, campaign = report.data, report.data["campaigns"][0]

    assert data["verdict"] in ("good", "doubtful"), data["verdicts"]  # doubtful: this machine was too busy
    truth = in_database(stack, campaign)
    assert {s: campaign["tasks"][s] for s in truth} == truth and sum(truth.values()) == count
    assert campaign["pushes"] == events(stack, campaign, 3) - events(stack, campaign, 16)
    assert campaign["per_minute"] == 600 and campaign["worst_minute"] <= 600
    devices, failures = data["devices"], data["devices"]["failures"]
    assert devices["ever_online"] == count and devices["logins"] == count and devices["connections_lost"] == 0
    assert truth["SUCCEEDED"] == devices["successes"] == count - sum(f["devices"] for f in failures.values())
    assert truth["FAILED"] == devices["failed"]
    assert all(f["played"] == f["devices"] for f in failures.values()), failures
    assert devices["profiles"] == {name: {"devices": count * share // 100, "ever_online": count * share // 100}
                                   for name, share in MIX.items()}
    assert re.search(r"<td>c-link-4</td><td class=.n.>24</td><td class=.n.>24</td>", report.page)
    assert all(f["devices"] > 0 for f in failures.values()), "the seed gives every role to somebody"
    assert devices["unheard"] == failures["silent"]["devices"] == truth["IN_PROGRESS"]

    actions = {}
    for a in data["api"]["actions"]:
        actions[a["action"]] = actions.get(a["action"], 0) + a["latency"]["n"]
    assert actions["QueryDeviceInfo"] == stack.metric("otad_api_calls_total", action="QueryDeviceInfo") - calls
    wrong = stack.metric("otad_api_errors_total", code="iot.firmware.FirmwareNotFound") - errors
    assert data["api"]["codes"] == {"iot.firmware.FirmwareNotFound": wrong} and data["api"]["errors"] == wrong > 0
    total = sum(actions.values())
    assert actions["QueryDeviceInfo"] in range(total * 3 // 4 - 2, total * 3 // 4 + 3)

    columns = {name: [row[i] for row in data["samples"]] for i, name in enumerate(data["columns"])}
    assert sum(columns["logins"]) == count and sum(columns["calls"]) == data["api"]["calls"]
    assert sum(columns["campaign1_pushes"]) == campaign["pushes"] and sum(columns["bytes"]) == devices["bytes"]
    assert max(columns["online"]) == count and max(columns["campaign1_minute"]) <= campaign["worst_minute"]
    assert columns["campaign1_SUCCEEDED"][-1] == truth["SUCCEEDED"]
    assert {p["name"] for p in data["processes"]} == {"otad", "PostgreSQL", "broker", "otasim"}
    assert all(p["peak_rss_kib"] > 1000 and p["cpu_ms"] > 0 for p in data["processes"])

    # The same list and the same seed: the same devices fail, in another job.
    api.must("CancelOTATaskByJob", JobId=campaign["job"], CancelInProgressTask=True)
    plan.pop("api")
    again = run({**plan, "expect": {"done_s": 1}}, "--devices", fleet).data  # silent ones are never done
    assert failed_names(stack, again["campaigns"][0]) == failed_names(stack, campaign)
    assert again["devices"]["failures"] == failures

    for svg in re.findall(r"<svg.*?</svg>", report.page, re.S):
        ET.fromstring(svg)
    assert {"minute", "second", "states1", "online", "api", "calls", "cpu", "memory", "data"} <= report.ids
    assert "a &lt;test&gt; &amp; more" in report.page and "<test>" not in report.page


def test_cuts_and_disconnects_happen(stack, run):
    count = 40
    report = run(scenario(
        devices={"count": count, "profiles": {"c-link-4": 50, "paho": 50}, "online": [[0, count]], "flash_ms": 200,
                 "download_kib_s": 64},
        failures={"disconnect": 30, "disconnect_s": 2},
        cuts=[{"at_s": 10, "for_s": 8, "percent": 50}, {"at_s": 26, "for_s": 10, "percent": 100, "how": "silence"}],
        campaigns=[{"at_s": 20, "per_minute": 240, "package_kib": 256}]))
    data, campaign = report.data, report.data["campaigns"][0]
    broken, silent = data["cuts"]
    dropped = data["devices"]["disconnected_half_way"]

    assert data["verdict"] in ("good", "doubtful"), data["verdicts"]
    assert in_database(stack, campaign)["SUCCEEDED"] == count
    # Who was cut off has logged in again after the cut, and before the job, as the platform saw it.
    assert 0 < broken["devices"] < count and 0 < silent["devices"] <= count
    assert 0 < dropped < count and data["devices"]["downloads_resumed"] >= dropped
    assert data["devices"]["connections_lost"] == broken["devices"] + dropped
    assert data["devices"]["logins"] == count + broken["devices"] + dropped
    start = data["started_utc_ms"]
    again = stack.sql_one("""select count(*) from device_session s join device d on d.id = s.device_id
                             join product p on p.id = d.product_id
                             where p.product_key = %s and s.online_ms > %s""", data["product"], start + 14000)
    assert broken["devices"] <= again <= broken["devices"] + dropped
    # Nobody was heard of in the silence, and what was pushed meanwhile arrived afterwards.
    quiet = [dict(zip(data["columns"], row)) for row in data["samples"]]
    during = [s for s in quiet if 29000 <= s["at_ms"] <= 35000]
    assert during and all(s["campaign1_pushes"] == 0 and s["bytes"] == 0 for s in during), during
    moved = stack.sql_one("""select count(*) from task_event where job_id = %s and why in (5, 6)
                             and at_ms between %s and %s""", job_row(stack, campaign), start + 29000, start + 35000)
    assert moved == 0
    assert campaign["pushes"] >= count
    # What was pushed into the silence came in one burst: it is in no minute. All others are in one. Whose network is
    # mended is looked at once a second.
    sent = [stack.sql_one("select count(*) from task_event where job_id = %s and why = 3 and at_ms between %s and %s",
                          job_row(stack, campaign), start + 26000 + slack, start + 36000 - slack + late)
            for slack, late in ((200, 0), (-200, 1500))]
    assert 0 < sent[0] <= campaign["held_back"] <= sent[1], sent
    assert campaign["worst_minute"] == campaign["pushes"] - campaign["held_back"]
    assert "Pushes held back by a cut" in {v["title"] for v in data["verdicts"]}


def test_failures_of_those_who_lose_the_network(stack, run):
    """They fail while they are away: they say so when they are back, and do not lose it again."""
    count = 10
    report = run(scenario(
        duration_s=90,
        devices={"count": count, "profiles": {"paho": 100}, "online": [[0, count]], "flash_ms": 300,
                 "download_kib_s": 64},
        failures={"burn": 100, "disconnect": 100, "disconnect_s": 3},
        campaigns=[{"at_s": 1, "per_minute": 500, "package_kib": 64}]))
    data, campaign = report.data, report.data["campaigns"][0]

    assert data["verdict"] in ("good", "doubtful"), data["verdicts"]
    assert in_database(stack, campaign)["FAILED"] == count
    assert data["devices"]["disconnected_half_way"] == count


def test_waves(stack, run):
    """Three times as many devices as connections."""
    report = run(scenario(
        devices={"count": 45, "online": [[0, 15]], "leave_when_done": True, "download": False, "flash_ms": 100},
        failures={"upgrade": 10, "silent": 10},
        campaigns=[{"at_s": 2, "per_minute": 1000}]))
    data, campaign = report.data, report.data["campaigns"][0]
    truth = in_database(stack, campaign)
    at = data["columns"].index("online")

    assert data["devices"]["ever_online"] == 45 and max(row[at] for row in data["samples"]) <= 15
    assert truth["SUCCEEDED"] + truth["FAILED"] + truth["IN_PROGRESS"] == 45
    assert truth["FAILED"] == data["devices"]["failures"]["upgrade"]["devices"]
    assert truth["IN_PROGRESS"] == data["devices"]["failures"]["silent"]["devices"]


def test_over_tls_with_a_job_that_exists(tls_stack, run, tmp_path):
    api = Client(tls_stack.endpoint, tls_stack.ak, tls_stack.sk, tls=tls_stack.tls)
    pk = api.product()
    rows, fleet = api.devices(pk, 10), tmp_path / "fleet.csv"
    fleet.write_text("".join(f"{pk},{r['DeviceName']},{r['DeviceSecret']},1.0.0\n" for r in rows))
    job = api.job(api.firmware(pk, "2.0.0"), MaximumPerMinute=60)
    report = run(scenario(
        devices={"online": [[0, 10]], "flash_ms": 100},
        campaigns=[{"at_s": 0, "job": job}],
        api={"rate": [[0, 5]], "mix": [{"action": "QueryOTAJob", "percent": 100, "params": {"JobId": job}}]}),
        "--devices", fleet, on=tls_stack)
    campaign = report.data["campaigns"][0]
    assert campaign["job"] == job and campaign["version"] == "2.0.0" and campaign["per_minute"] == 60
    assert campaign["status"] == "COMPLETED" and campaign["tasks"]["SUCCEEDED"] == campaign["pushes"] == 10
    assert report.data["api"]["errors"] == 0 and report.data["api"]["calls"] > 0


def test_otad_is_killed_meanwhile(otad_default, run):
    """The rate is kept and everything ends; calls of the time without otad are errors, the broker goes on."""
    stack, hurt = otad_default, []

    def hurting(process):
        before = stack.metric("otad_pushes_total")
        wait_until(lambda: stack.metric("otad_pushes_total") >= before + 10 or process.poll() is not None, 120)
        stack.kill_otad()
        stack.start_otad()
        hurt.append(1)
    report = run(scenario(
        devices={"count": 60, "online": [[0, 60]], "flash_ms": 200, "download": False},
        campaigns=[{"at_s": 3, "per_minute": 120}],
        api={"rate": [[0, 20]], "mix": [{"action": "QueryDeviceInfo", "percent": 100,
                                         "params": {"ProductKey": "$product", "DeviceName": "$device"}}]}),
        meanwhile=hurting)
    data, campaign = report.data, report.data["campaigns"][0]
    assert hurt and data["verdict"] in ("good", "doubtful"), data["verdicts"]
    assert in_database(stack, campaign)["SUCCEEDED"] == campaign["tasks"]["SUCCEEDED"] == 60
    assert campaign["worst_minute"] <= 120
    assert data["api"]["codes"].get("(no connection)", 0) > 0


def test_a_signal_ends_it_with_a_report(stack, run):
    def stopping(process):
        assert any("the run begins" in line for line in iter(process.stderr.readline, ""))
        process.terminate()
    report = run(scenario(devices={"count": 5, "online": [[0, 5]]}, campaigns=[{"at_s": 100}]), meanwhile=stopping)
    assert report.data["verdict"] == "doubtful"
    assert "The run was broken off" in {v["title"] for v in report.data["verdicts"]}


def test_what_does_not_come_true_is_said(stack, run):
    """Nobody is there to take the pushes; the job takes too long; calls are refused."""
    report = run(scenario(
        duration_s=8, devices={"count": 3, "online": [[0, 0]]}, campaigns=[{"at_s": 1}],
        api={"rate": [[0, 10]], "mix": [{"action": "QueryOTAJob", "percent": 100, "params": {"JobId": "none"}}]},
        expect={"done_s": 5, "api_errors_percent": 1}))
    bad = {v["title"] for v in report.data["verdicts"] if v["verdict"] == "bad"}
    assert bad == {"Tasks are left", "API errors"} and report.data["verdict"] == "bad"


@pytest.mark.parametrize("options,error", [
    (["--fail-rate", "5"], "--fail-rate: the scenario says that"),
    (["--endpoint", "nowhere"], "the endpoint must be"),
    (["--devices", "/nowhere.csv"], "cannot be opened"),
    # Before the API is asked for anything: with this key it would refuse the first call.
    *[([option, "/nowhere/r"], "otasim: cannot write /nowhere/r: No such file or directory\n")
      for option in ("--html", "--report", "--keep-devices", "--push-log")],
])
def test_options_that_do_not_go_with_it(stack, tmp_path, options, error):
    file = tmp_path / "s.json"
    file.write_text(json.dumps(scenario(devices={"count": 3, "online": [[0, 3]]}, campaigns=[{"at_s": 1}])))
    env = {**stack.env, "OTA_ENDPOINT": stack.endpoint, "OTA_AK": "a", "OTA_SK": "b"}
    r = subprocess.run([stack.bin / "otasim", "--scenario", file, "--broker", stack.broker, *options], env=env,
                       capture_output=True, text=True, timeout=60)
    assert r.returncode in (1, 2) and error in r.stderr, r.stderr


def test_a_wrong_key_is_refused(stack, tmp_path):
    file = tmp_path / "s.json"
    file.write_text(json.dumps(scenario(devices={"count": 3, "online": [[0, 3]]})))
    env = {**stack.env, "OTA_ENDPOINT": stack.endpoint, "OTA_AK": stack.ak, "OTA_SK": "wrong"}
    r = subprocess.run([stack.bin / "otasim", "--scenario", file, "--broker", stack.broker], env=env,
                       capture_output=True, text=True, timeout=60)
    assert r.returncode == 1 and "CreateProduct: SignatureDoesNotMatch" in r.stderr, r.stderr


def test_loadtest_wants_to_write_its_report_before_anything_else(tmp_path):
    deploy = tmp_path / "deploy"
    deploy.mkdir()
    shutil.copy(ROOT / "deploy/loadtest", deploy)
    (deploy / "install").write_text("#!/bin/sh\necho begun\nexit 7\n")
    (deploy / "install").chmod(0o755)
    for report, status in ((tmp_path / "nowhere/r.html", 1), (tmp_path / "r.html", 7)):
        r = subprocess.run([deploy / "loadtest", "s.json", "--report", report], capture_output=True, text=True, timeout=60)
        assert r.returncode == status and ("begun" in r.stdout) == (status == 7)
        assert (f"cannot write the report {report}" in r.stderr) == (status == 1)


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "deploy/load").glob("*.json")))
def test_samples_are_good(stack, name):
    r = subprocess.run([stack.bin / "otasim", "--check", ROOT / "deploy/load" / name], capture_output=True, text=True,
                       timeout=60, env=os.environ)
    assert r.returncode == 0, r.stderr


def test_the_example_of_the_documents_is_good(stack, tmp_path):
    text = (ROOT / "docs/load-testing.md").read_text()
    example = re.search(r"\n    \{\n.*?\n    \}\n", text, re.S).group(0)
    file = tmp_path / "example.json"
    file.write_text(example)
    r = subprocess.run([stack.bin / "otasim", "--check", file], capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
