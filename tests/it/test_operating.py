# SPDX-License-Identifier: Apache-2.0
"""otad as a process: configuration, signals, health, metrics, logs."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time
import uuid

import psycopg2
import pytest

from client import Client, http_request, wait_until
from conftest import ROOT, build_dir


def run_otad(stack, *words, **env):
    return subprocess.run([str(stack.bin / "otad"), *words], capture_output=True, text=True, timeout=60,
                          env={**stack.env, **env})


def run_otactl(stack, *words, **env):
    return subprocess.run([str(stack.bin / "otactl"), *words], capture_output=True, text=True, timeout=60,
                          env={**stack.env, **env})


@pytest.fixture
def conf(stack, tmp_path):
    """A copy of the stack's configuration that a test may spoil."""
    def write(*lines, drop=()):
        text = [x for x in stack.config.read_text().splitlines() if x.split(" = ")[0] not in drop]
        path = tmp_path / "otad.conf"
        path.write_text("\n".join([*text, *lines]) + "\n")
        return str(path)
    return write


# ---- starting ----

def test_unknown_key_is_refused_with_its_line(stack, conf):
    r = run_otad(stack, "--config", conf("no_such_key = 1"))
    assert r.returncode == 1 and re.search(r'otad\.conf:\d+: unknown key "no_such_key"', r.stderr)
    assert any('"event":"config_bad"' in line for line in r.stderr.splitlines())


def test_check_only_reads_the_configuration(stack, conf):
    assert run_otad(stack, "--config", conf(), "--check").returncode == 0
    r = run_otad(stack, "--config", conf("api_workers = 0", drop=("api_workers",)), "--check")
    assert r.returncode == 1 and "api_workers must be a number from 1 to 64" in r.stderr


@pytest.mark.parametrize("words", [["--nonsense"], ["extra"], ["--config"]])
def test_wrong_usage_ends_with_2(stack, words):
    assert run_otad(stack, *words).returncode == 2


def test_missing_migrations_are_said(stack, conf):
    name = "empty_" + uuid.uuid4().hex[:8]
    c = psycopg2.connect(stack.pg)
    c.autocommit = True
    c.cursor().execute(f"create database {name}")
    c.close()
    r = run_otad(stack, "--config", conf(f"database = {stack.pg} dbname={name}", "api_listen = 127.0.0.1:0",
                                         "store_listen = 127.0.0.1:0", drop=("database", "api_listen", "store_listen")))
    assert r.returncode == 1 and "run otactl migrate" in r.stderr


def test_master_key_that_everybody_can_read_is_refused(stack, conf, tmp_path):
    key = tmp_path / "master.key"
    key.write_text("0" * 64)
    key.chmod(0o644)
    r = run_otad(stack, "--config", conf(f"master_key_file = {key}", drop=("master_key_file",)))
    assert r.returncode == 1 and "master.key" in r.stderr and "0" * 64 not in r.stderr
    key.chmod(0o600)
    key.write_text("not hex")
    r = run_otad(stack, "--config", conf(f"master_key_file = {key}", drop=("master_key_file",)))
    assert r.returncode == 1 and "not hex" not in r.stderr


WRONG_KEY = "not the one that the secrets in the database are sealed under"


def test_a_wrong_master_key_is_found_at_the_start(stack, conf, tmp_path):
    key = tmp_path / "master.key"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    path = conf(f"master_key_file = {key}", drop=("master_key_file",))
    r = run_otad(stack, "--config", path)
    assert r.returncode == 1 and WRONG_KEY in r.stderr and "ab" * 32 not in r.stderr
    assert any('"event":"config_bad"' in line for line in r.stderr.splitlines())
    before = stack.sql_one("select count(*) from access_key")
    r = run_otactl(stack, "--config", path, "key", "create", "--name", "x", "--role", "viewer")
    assert r.returncode == 1 and WRONG_KEY in r.stderr and "AccessKeySecret" not in r.stdout
    assert stack.sql_one("select count(*) from access_key") == before
    assert run_otactl(stack, "--config", path, "key", "list").returncode == 0  # needs no secret


def test_a_new_database_takes_the_first_key(stack, conf, tmp_path):
    name = "first_" + uuid.uuid4().hex[:8]
    c = psycopg2.connect(stack.pg)
    c.autocommit = True
    c.cursor().execute(f"create database {name}")
    c.close()
    path = conf(f"database = {stack.pg} dbname={name}", drop=("database",))

    def create(key):
        return run_otactl(stack, "--config", path, "key", "create", "--name", "x", "--role", "viewer",
                          OTAD_MASTER_KEY=key).returncode
    assert run_otactl(stack, "--config", path, "migrate").returncode == 0
    assert [create(key) for key in ("ab" * 32, "cd" * 32, "ab" * 32)] == [0, 1, 0]


def test_a_taken_port_is_said(stack, conf):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        r = run_otad(stack, "--config", conf(f"store_listen = 127.0.0.1:{s.getsockname()[1]}",
                                             f"state_dir = {stack.dir}/otherstate", drop=("store_listen", "state_dir")))
    assert r.returncode == 1 and "start_failed" in r.stderr


def test_what_the_service_names_is_installed(tmp_path):
    subprocess.run(["cmake", "--install", str(build_dir()), "--prefix", str(tmp_path)], check=True, capture_output=True)
    named = re.findall(r"=(?:file:)?/usr/(\S+)", (ROOT / "deploy/otad.service").read_text())
    assert len(named) == 2
    for path in [*named, "bin/otactl", "lib/otad/otad_mosquitto.so", "share/doc/otad/LICENSE"]:
        assert (tmp_path / path).is_file(), path


# ---- reload ----

def test_sighup_takes_a_new_configuration_whole_or_not_at_all(stack, otad_default):
    before = len(stack.log())
    text = stack.config.read_text()
    try:
        stack.config.write_text(text + "log_level = debug\n")
        stack.signal_otad(signal.SIGHUP)
        stack.wait_log("config_reloaded", after=before)
        before = len(stack.log())
        stack.expect_errors("config_bad")
        stack.config.write_text(text + "log_level = warn\nno_such_key = 1\n")
        stack.signal_otad(signal.SIGHUP)
        assert "no_such_key" in stack.wait_log("config_bad", after=before)["why"]
        before = len(stack.log())
        stack.config.write_text(text + "api_workers = 3\n")
        stack.signal_otad(signal.SIGHUP)
        assert "api_workers cannot change" in stack.wait_log("config_bad", after=before)["why"]
        assert stack.running("otad")
    finally:
        stack.config.write_text(text)


# ---- stopping ----

def test_sigterm_finishes_accepted_calls(stack, otad_default):
    """Under load: every call is answered or refused at the door; none is cut off in the middle."""
    stop, good, cut = threading.Event(), [], []
    ak, sk = stack.ak, stack.sk

    def work():
        c = Client(stack.endpoint, ak, sk)
        while not stop.is_set():
            try:
                a = c.call("CreateProduct", ProductName="p" + uuid.uuid4().hex[:16], NodeType=0)
                good.append(a.body["Data"]["ProductKey"] if a.ok else a.code)
            except ConnectionRefusedError:
                return
            except Exception as e:
                cut.append(repr(e))
                return
    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    wait_until(lambda: len(good) >= 16)
    rc = stack.stop_otad()
    stop.set()
    for t in threads:
        t.join()
    assert rc == 0
    stack.start_otad()
    keys = {k for k in good if k and not k[0].isupper()}
    assert keys
    # A cut connection carried either nothing or a call that was never accepted: no product without its answer.
    made = {r[0] for r in stack.sql("select product_key from product where product_key = any(%s)", list(keys))}
    assert made == keys
    assert len(cut) <= 8
    events = [e["event"] for e in stack.log()]
    assert "stopping" in events and "stopped" in events


def test_sigterm_under_pushes_is_quick(stack, api, fleet, otad_default):
    f = fleet(20, "1.0.0")
    api.job(api.firmware(f.pk), MaximumPerMinute=60)
    wait_until(lambda: any(d.pushes for d in f.devices))
    assert stack.stop_otad() == 0  # 3 when it takes 9 s
    assert stack.sql_one("select count(*) from push_batch where acked_ms is null and claimed_ms > 0") == 0


def test_slow_client_does_not_hold_up_the_end(stack, otad_default):
    host, port = stack.endpoint.split(":")
    with socket.create_connection((host, int(port))) as s:
        s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        assert stack.stop_otad() == 0


def test_a_second_signal_ends_it_at_once(stack, otad_default):
    pid = stack.otad_pid
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not stack.running("otad"), 10)


# ---- health, metrics ----

def test_health_and_readiness(stack):
    status, _, body = http_request("GET", f"http://{stack.endpoint}/healthz")
    assert status == 200 and body.strip()
    wait_until(lambda: http_request("GET", f"http://{stack.endpoint}/readyz")[0] == 200, 20)


def test_every_answer_comes_at_once(stack):
    """Whichever event of a connection comes first; new connections and kept ones."""
    host, port = stack.endpoint.split(":")
    for _ in range(40):
        with socket.create_connection((host, int(port)), timeout=60) as s:  # a lost event is answered by a close, after 8 s
            for _ in range(3):
                s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
                time.sleep(0.002)


def test_not_ready_without_the_broker(stack):
    stack.stop("broker")
    try:
        def unready():
            status, _, body = http_request("GET", f"http://{stack.endpoint}/readyz")
            return status == 503 and body.strip()
        wait_until(unready, 20)
        assert http_request("GET", f"http://{stack.endpoint}/healthz")[0] == 200
    finally:
        stack.start("broker")
    wait_until(lambda: http_request("GET", f"http://{stack.endpoint}/readyz")[0] == 200, 40)


def test_metrics_page(stack, api):
    before = stack.metric("otad_api_calls_total", action="CreateProduct")
    errors = stack.metric("otad_api_errors_total", code="ERR_MISSING_PARAM")
    api.product()
    assert api.call("CreateProduct", NodeType=0).code == "MissingProductName"
    assert stack.metric("otad_api_calls_total", action="CreateProduct") >= before + 1
    assert stack.metric("otad_api_errors_total", code="ERR_MISSING_PARAM") == errors + 1
    _, headers, body = http_request("GET", f"http://{stack.endpoint}/metrics")
    assert {k.lower(): v for k, v in dict(headers).items()}["content-type"].startswith("text/plain")
    for line in body.decode().splitlines():
        assert re.match(r'#|[a-z_]+(\{[a-z]+="[^"]*"(,le="[^"]*")?\})? -?[0-9.e+]+$', line), line


def test_ready_env_names_the_real_ports(stack):
    text = (stack.config.parent / "state/ready.env").read_text()
    values = dict(line.split("=") for line in text.splitlines())
    assert values["api_port"] == stack.endpoint.split(":")[1]
    assert values["store_port"] == stack.store.split(":")[1]


def test_a_full_disk_for_ready_env_does_not_stop_the_start(stack, otad_default):
    """Stands for any reason why it cannot be written."""
    new = stack.config.parent / "state/ready.env.new"
    stack.stop_otad()
    new.mkdir()
    try:
        lines = len(stack.log())
        stack.start_otad()
        assert "ready.env" in stack.wait_log("ready_file_failed", after=lines)["file"]
        assert not (new.parent / "ready.env").exists()  # nobody takes the ports of the last time for these
    finally:
        new.rmdir()
    stack.restart_otad()
    assert (new.parent / "ready.env").exists()


# ---- logs, secrets ----

def test_log_lines_are_json_with_time_level_event(stack, api):
    api.product()
    seen = 0
    for line in (stack.dir / "otad.err").read_text().splitlines():
        if not line.startswith("{"):
            continue
        e = json.loads(line)
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", e["time"])
        assert e["level"] in ("debug", "info", "warn", "error") and e["event"]
        seen += 1
    assert seen


def test_no_secret_in_logs_or_the_process_list(stack, api, device):
    pk = api.product()
    row = api.device(pk)
    d = device(row)
    d.inform("1.0.0")
    wait_until(lambda: api.version_of(pk, row["DeviceName"]) == "1.0.0")
    bad = Client(stack.endpoint, stack.ak, "wrong" + uuid.uuid4().hex)
    assert bad.call("CreateProduct", ProductName="xxxx", NodeType=0).code == "SignatureDoesNotMatch"
    product_secret = api.must("CreateProduct", ProductName="p" + uuid.uuid4().hex[:16], NodeType=0)["Data"].get("ProductSecret")
    data = stack.config.parent
    secrets = [stack.sk, row["DeviceSecret"], product_secret, (data / "master.key").read_text().strip(),
               (data / "broker.secret").read_text().strip()]
    texts = {p.name: p.read_text(errors="replace") for p in stack.dir.iterdir()
             if p.is_file() and p.suffix in (".err", ".log")}
    texts["ps"] = pathlib.Path(f"/proc/{stack.otad_pid}/cmdline").read_text()
    for secret in filter(None, secrets):
        for name, text in texts.items():
            assert secret not in text, name


def test_no_secret_in_the_database(stack, api):
    pk = api.product()
    row = api.device(pk)
    sealed = stack.sql_one("select secret from device where name = %s", row["DeviceName"])
    assert row["DeviceSecret"].encode() not in bytes(sealed)
    dump = stack.sql("select encode(secret, 'escape') from access_key")
    assert all(stack.sk not in r[0] for r in dump)
