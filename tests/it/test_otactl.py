# SPDX-License-Identifier: Apache-2.0
"""The operator's tool against a running stack: keys, jobs, the way in for an existing fleet."""
import os
import pty
import re
import subprocess
import uuid
from contextlib import closing

import psycopg2
import pytest

from client import Client, wait_until


def lines(result):
    return dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)


def table(result):
    """Rows of a printed table -> list of dicts."""
    rows = result.stdout.splitlines()
    heads = rows[0].split()
    return [dict(zip(heads, re.split(r"\s{2,}", row))) for row in rows[1:]]


def fields(result):
    return dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in result.stdout.splitlines()
                if re.search(r"\S\s{2,}\S", line))


def key(stack, *more):
    made = lines(stack.otactl("key", "create", "--name", "k" + uuid.uuid4().hex[:8], *more))
    return made["AccessKeyId"], made["AccessKeySecret"]


# ---- usage ----

def test_help_says_for_every_command_what_it_talks_to(stack):
    text = stack.otactl("help").stdout
    for command in ("migrate", "key create", "key list", "key disable", "config check", "config print", "job list",
                    "job show", "job watch", "job pause", "job resume", "job cancel", "product import",
                    "device import", "device explain", "openapi"):
        assert re.search(rf"^  {command}( .*)?\n\s+\[(database|file|none|API)\] ", text, re.M), command
    assert "API" in text


def test_help_of_every_command_needs_nothing(stack):
    """Neither configuration, nor database, nor the arguments that the command wants."""
    def otactl(*words):
        return subprocess.run([str(stack.bin / "otactl"), *words], capture_output=True, text=True, timeout=30,
                              env={**os.environ, "OTAD_DATABASE": "host=/nonexistent dbname=x"})

    listed = re.findall(r"^  ([a-z-]+)( [a-z]+)?( .*)?\n {8}(\[\w+\] .*)$", otactl("help").stdout, re.M)
    assert len(listed) > 15
    for group, verb, usage, text in listed:
        words = [group, *verb.split()]
        for more in (["--help"], ["a", "--help"], ["--frob", "--help", "x"]):
            r = otactl("--config", "/nonexistent", *words, *more)
            assert (r.returncode, r.stdout, r.stderr) == (0, f"usage: otactl {group}{verb}{usage}\n        {text}\n", "")
    r = otactl("job", "--help")
    assert r.returncode == 0 and "usage: otactl job list" in r.stdout and "usage: otactl job pace" in r.stdout
    assert "otactl key" not in r.stdout
    for words in (["frob", "--help"], ["job", "frob", "--help"]):
        r = otactl(*words)
        assert r.returncode == 2 and "unknown command" in r.stderr and not r.stdout
    for words in (["--help"], ["--config", "/nonexistent", "--help"], ["help"]):
        assert otactl(*words).stdout == otactl("help").stdout
    for program in ("otad", "otasim"):
        r = subprocess.run([str(stack.bin / program), "--help"], capture_output=True, text=True, timeout=30)
        assert r.returncode == 0 and "usage" in r.stdout.lower() and not r.stderr


@pytest.mark.parametrize("words", [[], ["nonsense"], ["key"], ["key", "frob"], ["job", "show"], ["job", "show", "1", "2"],
                                   ["key", "create", "--nome", "x"], ["key", "create", "--name"],
                                   ["key", "create", "--name", "a", "--name", "b"], ["job", "show", "x!"],
                                   ["job", "list", "--limit", "0"], ["key", "create", "--name", "a", "--role", "god"]])
def test_wrong_usage_ends_with_2_and_a_reason(stack, words):
    r = stack.otactl(*words, check=False)
    assert r.returncode == 2 and r.stderr.startswith("otactl: ") and not r.stdout


def test_failures_end_with_1_and_a_reason(stack):
    for words in (["job", "show", "987654321"], ["job", "pause", "987654321"], ["key", "disable", "nosuchkey"],
                  ["device", "explain", "a1", "nobody"], ["account", "create", "default"],
                  ["key", "list", "--account", "nobody"]):
        r = stack.otactl(*words, check=False)
        assert r.returncode == 1 and r.stderr.startswith("otactl: "), words


def test_unreachable_database_is_said(stack):
    r = subprocess.run([str(stack.bin / "otactl"), "key", "list"], capture_output=True, text=True, timeout=30,
                       env={**os.environ, "OTAD_DATABASE": "host=/nonexistent dbname=x"})
    assert r.returncode == 1 and "nonexistent" in r.stderr


def test_database_without_migrations_is_said(stack):
    name = "empty_" + uuid.uuid4().hex[:8]
    import psycopg2
    c = psycopg2.connect(stack.pg)
    c.autocommit = True
    c.cursor().execute(f"create database {name}")
    c.close()
    env = {**os.environ, "OTAD_DATABASE": stack.pg + f" dbname={name}",
           "OTAD_MASTER_KEY": "0" * 64, "OTAD_STATE_DIR": "/nonexistent"}
    r = subprocess.run([str(stack.bin / "otactl"), "key", "list"], capture_output=True, text=True, timeout=30, env=env)
    assert r.returncode == 1 and "migrat" in r.stderr
    r = subprocess.run([str(stack.bin / "otactl"), "migrate"], capture_output=True, text=True, timeout=60, env=env)
    assert r.returncode == 0 and re.match(r"[1-9]\d* migrations? applied", r.stdout), r.stderr
    again = subprocess.run([str(stack.bin / "otactl"), "migrate"], capture_output=True, text=True, timeout=60, env=env)
    assert again.stdout.startswith("0 migrations applied")


# ---- keys, accounts ----

def test_a_key_works_until_it_is_disabled(stack):
    ak, sk = key(stack, "--role", "viewer")
    c = Client(stack.endpoint, ak, sk)
    assert c.call("QueryDeviceDetail", ProductKey="a1nosuch000", DeviceName="nobody").code != "Forbidden.RAM"
    assert c.call("CreateProduct", ProductName="nope_" + ak[-6:], NodeType=0).code == "Forbidden.RAM"
    row = next(r for r in table(stack.otactl("key", "list")) if r["ACCESSKEYID"] == ak)
    assert (row["ROLE"], row["STATE"]) == ("viewer", "enabled")
    assert sk not in stack.otactl("key", "list").stdout
    stack.otactl("key", "disable", ak)
    wait_until(lambda: c.call("QueryDeviceDetail", ProductKey="a1nosuch000",
                              DeviceName="nobody").code == "InvalidAccessKeyId.Inactive", 10)
    stack.otactl("key", "enable", ak)
    wait_until(lambda: c.call("QueryDeviceDetail", ProductKey="a1nosuch000",
                              DeviceName="nobody").code == "iot.prod.NotExistedProduct" or
               c.call("QueryDeviceDetail", ProductKey="a1nosuch000",
                      DeviceName="nobody").code == "iot.device.NotExistedDevice", 10)


def test_accounts_do_not_see_each_other(stack, api):
    name = "acct-" + uuid.uuid4().hex[:8]
    stack.otactl("account", "create", name)
    assert name in [r["ACCOUNT"] for r in table(stack.otactl("account", "list"))]
    other = Client(stack.endpoint, *key(stack, "--role", "admin", "--account", name))
    pk = api.product()
    assert not other.call("RegisterDevice", ProductKey=pk, DeviceName="dev-1").ok
    made = lines(stack.otactl("instance", "create", "--account", name))["IotInstanceId"]
    assert other.product(IotInstanceId=made)
    assert api.call("CreateProduct", ProductName="x" + uuid.uuid4().hex[:8], NodeType=0,
                    IotInstanceId=made).code == "iot.system.InstanceNotFound"


def test_changes_are_audited(stack):
    ak, _ = key(stack, "--role", "viewer")
    rows = stack.sql("select key_id, action, result from audit where target = %s", ak)
    assert len(rows) == 1 and rows[0][0].startswith("otactl:") and rows[0][1:] == ("key create", "OK")


# ---- configuration, documents ----

def test_config_check_and_print(stack, tmp_path):
    assert "good" in stack.otactl("config", "check").stdout
    bad = tmp_path / "otad.conf"
    bad.write_text("api_workers = 2\nno_such_key = 1\n")
    r = stack.otactl("config", "check", str(bad), check=False)
    assert r.returncode == 1 and "otad.conf:2: unknown key \"no_such_key\"" in r.stderr
    now = stack.otactl("config", "print", "--current").stdout
    assert "\nquota = *=0\n" in now and "\ndatabase = ***\n" in now and stack.pg not in now
    sample = tmp_path / "sample.conf"
    sample.write_text(stack.otactl("config", "print").stdout)
    stack.otactl("config", "check", str(sample))


# ---- jobs ----

def test_job_list_and_show(stack, api, fleet):
    f = fleet(3, "1.0.0")
    job = api.job(api.firmware(f.pk))
    for d in f.devices:
        d.wait_push()
    shown = fields(stack.otactl("job", "show", job))
    assert (shown["JobId"], shown["Status"], shown["ProductKey"], shown["DestVersion"]) == \
        (job, "IN_PROGRESS", f.pk, "2.0.0")
    wait_until(lambda: fields(stack.otactl("job", "show", job)).get("NOTIFIED") == "3", 5)
    row = next(r for r in table(stack.otactl("job", "list", "--live")) if r["JOBID"] == job)
    assert (row["TASKS"], row["OPEN"]) == ("3", "3")
    by_number = fields(stack.otactl("job", "show", shown["Number"]))
    assert by_number["JobId"] == job


def test_watch_prints_lines_until_the_job_ends(stack, api, fleet):
    f = fleet(2, "1.0.0")
    job = api.job(api.firmware(f.pk))
    p = subprocess.Popen([str(stack.bin / "otactl"), "--config", str(stack.config), "job", "watch", job],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=stack.env)
    for d in f.devices:
        d.wait_push()
        d.upgrade("2.0.0")
    out, err = p.communicate(timeout=20)
    assert p.returncode == 0, err
    assert "\r" not in out and "\033" not in out
    assert re.search(r"\] 100 %  COMPLETED, 2 succeeded", out.splitlines()[-1])


def test_watch_draws_a_bar_on_a_terminal(stack, api, fleet):
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk))
    f.devices[0].wait_push()
    f.devices[0].upgrade("2.0.0")
    api.wait_job(job, "COMPLETED")
    master, slave = pty.openpty()
    p = subprocess.Popen([str(stack.bin / "otactl"), "--config", str(stack.config), "job", "watch", job],
                         stdin=slave, stdout=slave, stderr=slave, env=stack.env)
    assert p.wait(timeout=60) == 0
    os.close(slave)
    out = os.read(master, 65536).decode()
    os.close(master)
    assert "\r\033[K[##########" in out and "100 %" in out


def test_paused_job_pushes_nothing_until_it_is_resumed(stack, api, fleet, device):
    f = fleet(2, "1.0.0", online=False)
    job = api.job(api.firmware(f.pk))
    wait_until(lambda: len(api.tasks(job)) == 2)
    assert "Paused" in stack.otactl("job", "pause", job).stdout
    assert "already" in stack.otactl("job", "pause", job).stdout
    assert api.job_info(job)["JobStatus"] == "IN_PROGRESS"
    assert fields(stack.otactl("job", "show", job))["Status"] == "IN_PROGRESS (paused)"
    d = device(f.rows[0])
    d.no_push(3)
    assert api.task(job, f.rows[0])["TaskStatus"] == "QUEUED"
    assert "the job is paused" in stack.otactl("device", "explain", f.pk, d.name).stdout
    assert "Resumed" in stack.otactl("job", "resume", job).stdout
    d.wait_push()
    assert [r[0] for r in stack.sql("select action from audit where target = %s and action like 'job %%' order by id", job)] == \
        ["job pause", "job resume"]


def test_running_devices_may_finish_in_a_paused_job(stack, api, fleet):
    f = fleet(1, "1.0.0")
    job = api.job(api.firmware(f.pk))
    f.devices[0].wait_push()
    f.devices[0].progress(10)
    api.wait_task(job, f.rows[0], "IN_PROGRESS")
    stack.otactl("job", "pause", job)
    f.devices[0].upgrade("2.0.0")
    api.wait_task(job, f.rows[0], "SUCCEEDED")


def test_cancel_ends_all_but_keep_running(stack, api, fleet):
    f = fleet(2, "1.0.0")
    job = api.job(api.firmware(f.pk))
    for d in f.devices:
        d.wait_push()
    f.devices[0].progress(10)
    api.wait_task(job, f.rows[0], "IN_PROGRESS")
    stack.otactl("job", "cancel", job, "--keep-running")
    assert api.task(job, f.rows[1])["TaskStatus"] == "CANCELED"
    assert api.task(job, f.rows[0])["TaskStatus"] == "IN_PROGRESS"
    stack.otactl("job", "cancel", job)
    t = api.task(job, f.rows[0])
    assert (t["TaskStatus"], t["TaskDesc"]) == ("CANCELED", "canceled by the operator")
    assert api.job_info(job)["JobStatus"] == "CANCELED"
    assert stack.otactl("job", "cancel", job, check=False).returncode == 1


def test_pace_shows_the_fullest_minute(stack, api, fleet):
    f = fleet(4, "1.0.0")
    job = api.job(api.firmware(f.pk), MaximumPerMinute=600)
    for d in f.devices:
        d.wait_push()
    shown = fields(stack.otactl("job", "pace", job))
    assert (shown["MaximumPerMinute"], shown["Pushes"], shown["At most in 60 seconds"]) == ("600", "4", "4")


def log_pushes(stack, job, rows):
    """Rows of (claimed, acknowledged, number, limit), in seconds."""
    key = re.search(r"^Number +(\d+)$", stack.otactl("job", "show", job).stdout, re.M).group(1)
    stack.sql("delete from push_log where job_id = %s", key)
    for claimed, acked, n, limit in rows:
        stack.sql("insert into push_log values (%s, %s, %s, %s, %s)", acked * 1000, key, claimed * 1000, n, limit)


@pytest.mark.parametrize("rows, worst, limit, over", [
    ([(0, 0, 5, 10), (30, 30, 5, 10), (59, 59, 5, 10)], 15, 10, 5),
    ([(0, 0, 5, 10), (30, 30, 5, 10), (60, 60, 5, 10)], 10, 10, 0),
    ([(0, 40, 5, 10), (30, 30, 5, 10), (99, 99, 5, 10)], 10, 10, 0),   # a broker that was slow to acknowledge
    ([(0, 45, 5, 10), (60, 61, 5, 10), (104, 104, 5, 10)], 15, 10, 5),
    ([(0, 0, 8, 10), (50, 50, 1, 1)], 9, 10, 0),                       # the limit was lowered in between
    ([(0, 0, 1, 1), (70, 70, 2, 1)], 2, 1, 1),
    ([], 0, None, 0)])
def test_pace_counts_what_may_have_been_in_a_minute(stack, api, fleet, rows, worst, limit, over):
    job = api.job(api.firmware(fleet(1, online=False).pk), MaximumPerMinute=10)
    log_pushes(stack, job, rows)
    out = stack.otactl("job", "pace", job)
    shown = fields(out)
    assert (shown["At most in 60 seconds"], shown.get("limit then")) == (str(worst), limit and str(limit))
    assert (f"had {over} more than" in out.stdout) == (over > 0)


# ---- an existing fleet ----

def imported_product(stack):
    pk = "b2" + uuid.uuid4().hex[:9]
    secret = uuid.uuid4().hex[:16]
    r = stack.otactl("product", "import", pk, "--name", "n" + pk, "--secret-file", "-", stdin=secret + "\n")
    assert lines(r)["ProductKey"] == pk
    return pk


def test_imported_devices_log_in_with_their_old_secrets(stack, api, device, tmp_path):
    pk = imported_product(stack)
    again = stack.otactl("product", "import", pk, "--name", "n" + pk, "--secret-file", "-", stdin="other\n")
    assert "there already" in again.stdout
    secrets = [uuid.uuid4().hex for _ in range(3)]
    csv = tmp_path / "fleet.csv"
    csv.write_text("name,secret,version\r\n" + "".join(f"old-{i},{s},1.0.{i}\r\n" for i, s in enumerate(secrets)))
    assert "3 lines: 3 added, 0 there already" in stack.otactl("device", "import", pk, str(csv)).stdout
    assert "3 lines: 0 added, 3 there already" in stack.otactl("device", "import", pk, str(csv)).stdout
    row = {"ProductKey": pk, "DeviceName": "old-1", "DeviceSecret": secrets[1]}

    def logs_in():
        try:
            return device(row)
        except Exception:  # not handed to the broker yet
            return None
    wait_until(logs_in, 10)
    assert api.version_of(pk, "old-1") == "1.0.1"
    job = api.job(api.firmware(pk))
    wait_until(lambda: len(api.tasks(job)) == 3)


def test_bad_lines_are_reported_and_cost_no_other(stack, api, tmp_path):
    pk = imported_product(stack)
    good = [f"dev-{i:05d},secret{i}\n" for i in range(7000)]
    text = good[:]
    text[10] = "x,short\n"
    text[4999] = "dev-bad secret\n"
    text[5001] = "dev-05001," + "s" * 700 + "\n"
    text[5003] = "dev-05003,sec\0ret\n"
    text[5005] = "\0\n"
    csv = tmp_path / "fleet.csv"
    csv.write_text("".join(text))
    r = stack.otactl("device", "import", pk, str(csv), check=False)
    assert r.returncode == 1 and "7000 lines: 6995 added, 0 there already, 0 given twice, 5 bad" in r.stdout
    assert [int(n) for n in re.findall(r"^line (\d+): ", r.stderr, re.M)] == [11, 5000, 5002, 5004, 5006]
    csv.write_text("".join(good))
    assert "7000 lines: 5 added, 6995 there already" in stack.otactl("device", "import", pk, str(csv)).stdout
    n = stack.sql_one("select count(*) from device d join product p on p.id = d.product_id where product_key = %s", pk)
    assert n == 7000


def test_a_broken_import_is_repeated(stack, tmp_path):
    pk = imported_product(stack)
    csv = tmp_path / "fleet.csv"
    csv.write_text("".join(f"dev-{i:06d},secret{i}\n" for i in range(60000)))
    p = subprocess.Popen([str(stack.bin / "otactl"), "--config", str(stack.config), "device", "import", pk, str(csv)],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=stack.env)
    count = "select count(*) from device d join product p on p.id = d.product_id where product_key = %s"
    wait_until(lambda: stack.sql_one(count, pk) > 0, 30)
    p.kill()
    p.wait()
    wait_until(lambda: stack.sql_one("select count(*) from pg_stat_activity where application_name = 'otactl'") == 0)
    before = stack.sql_one(count, pk)
    r = stack.otactl("device", "import", pk, str(csv))
    assert f"60000 lines: {60000 - before} added, {before} there already" in r.stdout
    assert stack.sql_one(count, pk) == 60000


def test_import_into_an_unknown_product_is_refused(stack, tmp_path):
    csv = tmp_path / "fleet.csv"
    csv.write_text("dev-1,secret\n")
    assert stack.otactl("device", "import", "a1nosuch", str(csv), check=False).returncode == 1
    pk = imported_product(stack)
    r = stack.otactl("device", "import", pk, str(tmp_path / "absent.csv"), check=False)
    assert r.returncode == 1 and "absent.csv" in r.stderr


# ---- explain ----

def test_explain_says_what_a_device_waits_for(stack, api, fleet):
    f = fleet(2, "1.0.0", online=False)
    name = f.rows[0]["DeviceName"]
    assert "No unfinished task" in stack.otactl("device", "explain", f.pk, name).stdout
    job = api.job(api.firmware(f.pk))
    wait_until(lambda: len(api.tasks(job)) == 2)
    shown = fields(stack.otactl("device", "explain", f.pk, name))
    assert shown["JobId"] == job and "offline" in shown["Connection"] and "offline" in shown["Waits for"]
    assert shown["Version of default"].startswith("1.0.0 since ")
    f.devices[0].connect()
    f.devices[0].wait_push()
    wait_until(lambda: "the current connection" in stack.otactl("device", "explain", f.pk, name).stdout)
    out = stack.otactl("device", "explain", f.pk, name).stdout
    assert "NOTIFIED" in out and "the device's next report" in out and re.search(r"NOTIFIED\s+push", out)


# ---- vacuum-check ----

def test_vacuum_check_of_a_database_that_keeps_up(stack, api):
    api.product()
    with closing(psycopg2.connect(stack.pg)) as c:
        c.autocommit = True
        c.cursor().execute("vacuum")
    r = stack.otactl("vacuum-check", check=False)
    assert r.returncode == 0, r.stdout + r.stderr
    shown = r.stdout.splitlines()
    assert shown[0].split() == ["TABLE", "ROWS", "DEAD", "AUTOVACUUM-AT", "LAST-VACUUM"]
    assert shown[-1] == "PostgreSQL keeps up."


@pytest.fixture
def option(stack):
    """Options of a table that are taken back after the test."""
    changed = []

    def set_(table, **options):
        changed.append((table, options))
        stack.sql(f"alter table {table} set ({', '.join(f'{k} = {v}' for k, v in options.items())})")
    yield set_
    for table, options in changed:
        stack.sql(f"alter table {table} reset ({', '.join(options)})")


def test_vacuum_check_of_a_table_without_autovacuum(stack, option):
    option("strategy_check", autovacuum_enabled="false")
    r = stack.otactl("vacuum-check", check=False)
    assert r.returncode == 1 and r.stderr.startswith("otactl: ")
    assert "WARNING: autovacuum is off for strategy_check" in r.stdout.splitlines()


def test_vacuum_check_of_a_table_that_autovacuum_is_behind_with(stack, option):
    """Its own settings count, not the server's."""
    stack.sql("create table heap_of_dead (n int) with (autovacuum_vacuum_threshold = 1000)")
    try:
        stack.sql("insert into heap_of_dead select generate_series(1, 600)")
        stack.sql("delete from heap_of_dead where n > 100")
        wait_until(lambda: stack.sql_one("select n_dead_tup >= 500 from pg_stat_user_tables where relname = 'heap_of_dead'"),
                   30)
        text = stack.otactl("vacuum-check", check=False).stdout
        assert "heap_of_dead" in text and "behind with heap_of_dead" not in text
        stack.sql("alter table heap_of_dead set (autovacuum_vacuum_threshold = 100, autovacuum_vacuum_scale_factor = 0)")
        r = stack.otactl("vacuum-check", check=False)
        assert r.returncode == 1
        assert "WARNING: autovacuum is behind with heap_of_dead: 500 dead rows, it should come at 100" in r.stdout
    finally:
        stack.sql("drop table heap_of_dead")


def test_vacuum_check_of_a_server_without_autovacuum(stack):
    def switch(to):
        with closing(psycopg2.connect(stack.pg)) as c:
            c.autocommit = True
            c.cursor().execute(f"alter system {to}")
            c.cursor().execute("select pg_reload_conf()")
        wait_until(lambda: stack.sql_one("show autovacuum") == ("off" if "off" in to else "on"), 10)
    switch("set autovacuum = off")
    try:
        r = stack.otactl("vacuum-check", check=False)
        assert r.returncode == 1 and "WARNING: autovacuum or track_counts is off in the server" in r.stdout
    finally:
        switch("reset autovacuum")


def test_tables_that_change_much_are_vacuumed_early(stack):
    """A job of ten million tasks may not leave two million dead rows before anybody comes."""
    of = dict(stack.sql("""
        select c.relname, (select option_value::float8 from pg_options_to_table(c.reloptions)
            where option_name = 'autovacuum_vacuum_scale_factor') from pg_class c
        where c.relname in ('task', 'active_task', 'timer', 'device_module', 'device_session', 'push_batch', 'job_run')"""))
    assert len(of) == 7 and all(f is not None and f <= 0.05 for f in of.values()), of
