# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the outer rings (tests/it, tests/contract): a private stack per session, driven from outside.

  stack    session: endpoint, ak, sk, broker, pg (as superuser), pg_owner, pg_otad, store, dir, config, bin, otad_pid; start_otad(key=value...),
           stop_otad(), kill_otad(), restart_otad(...), the same for broker and postgres through start/stop/kill
           ("broker"); otactl(args...); sql(text, args...) -> rows; metric(name, **labels); expect_errors(event...)
           announces error-level log lines that a test provokes; advance(seconds) moves the server's clock. Quotas and
           the limit of products are lifted, so tests about them start_otad(quota="...").
  api      session: a Client (client.py) with an admin key
  stranger session: the same of another account
  device   function: device(row, connect=True, **options) -> MqttDevice, disconnected after the test
  fleet    function: fleet(n, version=None, online=True) -> Fleet(pk, rows, devices), the devices reported
           `version` and the server knows it
  simulate function: simulate(rows, option...) starts otasim with these devices -> end(), which stops it and gives
           (its report, the lines of its push log)
  fresh_stack  function: a stack of its own for tests that break things beyond a restart
  tls_stack    session: a stack that speaks TLS only; .tls is the clients' ssl.SSLContext, .ca its authority,
               .broker_plain the broker's port without TLS
  another  function: another(key=value...) -> Otad, a further otad on the session's database and broker with a
           journal and ports of its own: endpoint, api, start(), stop(), kill(), log(), metric(); ends with the test
  otad_default function: after the test otad runs again with the session's settings, however the test left it

Also importable: client.wait_until, client.stays, client.raw_exchange, mqtt_device.MqttDevice, ConnectRefused.

Environment: OTAD_BUILD (build directory, default build/asan, else build/dev), OTAD_KEEP=1 keeps the stack's
directory. At the end otad has to stop on SIGTERM with status 0, without a sanitizer report and without
error-level log lines that no test announced; otherwise the last test of the session fails."""
import atexit
import fnmatch
import functools
import json
import os
import pathlib
import re
import signal
import ssl
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass

import psycopg2
import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

import client  # noqa: E402
from client import Client, http_request, wait_until  # noqa: E402
from mqtt_device import ConnectRefused, MqttDevice  # noqa: E402

REPORT = re.compile(r"ERROR: (Address|Leak|Undefined|Thread)Sanitizer|runtime error:|WARNING: ThreadSanitizer")
DEFAULTS = {"quota": "*=0", "limit_products": "0", "api_answer_ms": "9000", "tick_ms": "10"}


def build_dir():
    if os.environ.get("OTAD_BUILD"):
        return pathlib.Path(os.environ["OTAD_BUILD"])
    asan = ROOT / "build/asan"
    return asan if (asan / "bin/otad").exists() else ROOT / "build/dev"


def log_lines(path):
    out = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        if line.startswith("{"):
            try:
                out.append(json.loads(line))
            except ValueError:
                pass  # cut off by a kill
    return out


def metric(url, name, tls=None, **labels):
    status, _, raw = http_request("GET", url + "/metrics", tls=tls)
    assert status == 200, f"/metrics answered {status}"
    total = 0.0
    for line in raw.decode().splitlines():
        m = re.match(r"([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)$", line)
        if m and m.group(1) == name and all(f'{k}="{v}"' in (m.group(2) or "") for k, v in labels.items()):
            total += float(m.group(3))
    return total


class Logged:
    def wait_log(self, event, within=10, after=0, **fields):
        """Waits for a log line -> it. after: number of lines to skip (len(x.log()) before the deed)."""
        def found():
            return next((e for e in self.log()[after:] if e.get("event") == event and
                         all(e.get(k) == v for k, v in fields.items())), None)
        return wait_until(found, within, lambda: f"no {event} {fields} in the log")


# Files whose tests wait long: they begin first, so that no process of the ring is left alone with one at the end.
LONG = ("test_takeover.py", "test_load.py", "test_pace.py", "test_rules.py", "test_task_moves.py", "test_tls.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda i: i.path.name not in LONG)


@functools.cache
def clock_file():
    """One for all stacks of the session: their clients share one idea of the time."""
    handle, name = tempfile.mkstemp(prefix="otad-it-clock.")
    os.write(handle, struct.pack("<q", 0))
    os.fchmod(handle, 0o644)
    os.close(handle)
    atexit.register(os.unlink, name)
    return pathlib.Path(name)


class Stack(Logged):
    def __init__(self, settings=None, tls=False):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="otad-it."))
        self.settings = {**DEFAULTS, **(settings or {})}
        self.announced = set()
        self.problems = []
        self.env = {**os.environ, "OTAD_BUILD": str(build_dir()), "OTAD_TEST_CLOCK": str(clock_file())}
        self.env.setdefault("ASAN_OPTIONS", "abort_on_error=0:exitcode=99:detect_leaks=1:strict_string_checks=1")
        self.env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=99")
        self.env.setdefault("TSAN_OPTIONS", "halt_on_error=1:exitcode=99")
        # The plugin is loaded by a broker that was not built with the sanitizer.
        try:
            self._run("up", str(self.dir), "--fast", *["--tls"] * tls, *self._sets(self.settings))
        except AssertionError:
            self.remove()
            raise
        self._read_env()

    def _sets(self, settings):
        return [word for k, v in settings.items() for word in ("--set", f"{k}={v}")]

    def _run(self, *words):
        r = subprocess.run([str(ROOT / "deploy/stack"), *words], env=self.env, stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=180)
        assert r.returncode == 0, f"deploy/stack {' '.join(words)}: {r.stdout}{r.stderr}{self.log_tail()}"
        return r.stdout

    def log_tail(self):
        out = ""
        for name in ("otad.err", "broker.err", "broker.log", "postgres.err"):
            path = self.dir / name
            if path.exists():
                lines = path.read_text(errors="replace").splitlines()[-15:]
                out += f"\n--- {name}\n" + "\n".join(lines)
        return out

    def _read_env(self):
        values = dict(line.split("=", 1) for line in (self.dir / "env").read_text().splitlines())
        values = {k: v.strip("'") for k, v in values.items()}
        self.endpoint, self.ak, self.sk = values["OTA_ENDPOINT"], values["OTA_AK"], values["OTA_SK"]
        self.broker, self.store = values["OTA_BROKER"], values["OTA_STORE"]
        self.pg, self.pg_owner = values["OTA_PG"], values["OTA_PG_OWNER"]
        self.protocol = values["OTA_PROTOCOL"]
        self.ca = values.get("OTA_CA")
        self.broker_plain = values.get("OTA_BROKER_PLAIN", self.broker)
        self.tls = ssl.create_default_context(cafile=self.ca) if self.ca else None
        self.config, self.bin = pathlib.Path(values["OTA_CONFIG"]), pathlib.Path(values["OTA_BIN"])

    # ---- processes ----

    def pid(self, part):
        return int((self.dir / f"{part}.pid").read_text().split()[0])

    @property
    def otad_pid(self):
        return self.pid("otad")

    @property
    def rss_kib(self):
        text = pathlib.Path(f"/proc/{self.otad_pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))

    def start(self, part, **settings):
        self._run("start", str(self.dir), part, *self._sets(settings))

    def stop(self, part):
        """SIGTERM and the wait for its end -> exit status."""
        return int(self._run("stop", str(self.dir), part).strip() or -1)

    def kill(self, part):
        """SIGKILL."""
        self._run("kill", str(self.dir), part)

    def running(self, part):
        try:
            pid = self.pid(part)
        except FileNotFoundError:
            return False
        return os.path.exists(f"/proc/{pid}") and not (self.dir / f"{part}.exit").exists()

    def start_otad(self, **settings):
        """Starts otad with the session's settings and these; ready when it returns. The ports stay."""
        self.start("otad", **{**self.settings, **settings})

    def stop_otad(self):
        rc = self.stop("otad")
        if rc != 0:
            self.problems.append(f"otad ended with status {rc} on SIGTERM")
        return rc

    def kill_otad(self):
        self.kill("otad")

    def restart_otad(self, **settings):
        self.stop_otad()
        self.start_otad(**settings)

    @property
    def pg_otad(self):
        """otad's own connection string."""
        return re.search(r"^database = (.*)$", self.config.read_text(), re.M).group(1)

    def signal_otad(self, number=signal.SIGHUP):
        os.kill(self.otad_pid, number)

    def advance(self, seconds):
        """Moves the clock of all servers ahead, and that of the clients: schedules, retries and time limits come
        without waiting. Durations (pace, grace after a connect) stay real."""
        client.ahead_s += seconds
        with clock_file().open("r+b") as f:
            f.write(struct.pack("<q", client.ahead_s * 1000))

    # ---- looking inside ----

    def otactl(self, *words, check=True, stdin=None):
        """-> CompletedProcess with text output."""
        r = subprocess.run([str(self.bin / "otactl"), "--config", str(self.config), *words], env=self.env,
                           input=stdin, capture_output=True, text=True, timeout=120)
        assert not REPORT.search(r.stderr), r.stderr
        if check:
            assert r.returncode == 0, f"otactl {' '.join(words)}: {r.stdout}{r.stderr}"
        return r

    def sql(self, text, *args):
        """Rows of a query (or None), in a connection and transaction of its own."""
        connection = psycopg2.connect(self.pg)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(text, args)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def sql_one(self, text, *args):
        return self.sql(text, *args)[0][0]

    def broken(self):
        """What must always hold, in SQL -> rows that break it: counters are the counted rows, an unfinished task
        holds its device and nothing else does, the last event of a task says its state, and it is found by its device."""
        return self.sql("""
            with counted as (
                select job_id, array_agg(n order by state) as states from (
                    select r.job_id, s.state, coalesce(n.n, 0) as n
                    from job_run r cross join generate_series(1, 7) as s(state)
                    left join (select job_id, state, count(*)::int as n from task_now group by 1, 2) n
                        on n.job_id = r.job_id and n.state = s.state) c group by 1
            ), told as (
                select distinct on (e.job_id, s.seq) e.job_id, s.seq, e.to_state
                from task_event e cross join generate_series(e.seq, e.to_seq) as s(seq)
                order by e.job_id, s.seq, e.no desc
            )
            select 'counters' as what, r.job_id, null::int as seq,
                   array[n_confirm, n_queued, n_notified, n_in_progress, n_succeeded, n_failed, n_canceled]::text
                   || ' counted ' || c.states::text as detail
            from job_run r join counted c on c.job_id = r.job_id
            where array[n_confirm, n_queued, n_notified, n_in_progress, n_succeeded, n_failed, n_canceled] <> c.states
            union all
            select 'holds nothing', n.job_id, n.seq, n.state::text from task_now n
            where n.state < 5 and not exists (select from active_task a where a.device_id = n.device_id
                and a.job_id = n.job_id and a.seq = n.seq)
            union all
            select 'held by an ended one', a.job_id, a.seq, t.state::text
            from active_task a left join task t on t.job_id = a.job_id and t.seq = a.seq
            where t.state is null or t.state >= 5
            union all
            select 'events', t.job_id, t.seq, t.state::text || ' last ' || coalesce(e.to_state::text, 'none')
            from task t join job_run r on r.job_id = t.job_id and t.seq <= r.made_seq
            left join told e on e.job_id = t.job_id and e.seq = t.seq
            where e.to_state is distinct from t.state
            union all
            select 'not found by its device', t.job_id, t.seq, t.device_id::text
            from task t join job_run r on r.job_id = t.job_id and t.seq <= r.made_seq
            where not exists (select from task_of(t.job_id, t.device_id) o where o.seq = t.seq)
            limit 20""")

    def log(self):
        """Every JSON log line of otad so far, over restarts."""
        return log_lines(self.dir / "otad.err")

    def metric(self, name, **labels):
        """Value of a metric, summed over what matches the labels; 0 when there is none."""
        return metric(f"{self.protocol}://{self.endpoint}", name, self.tls, **labels)

    def expect_errors(self, *events):
        """Error-level log events that this session's tests provoke; patterns as of fnmatch."""
        self.announced.update(events)

    # ---- the end ----

    def check(self):
        """-> list of what was wrong, after everything was stopped."""
        problems = list(self.problems)
        for path in [*self.dir.glob("otad*.err"), self.dir / "broker.err", self.dir / "broker.log"]:
            text = path.read_text(errors="replace") if path.exists() else ""
            found = REPORT.search(text)
            if found:
                problems.append(f"sanitizer report in {path.name}:\n{text[found.start():found.start() + 4000]}")
            for e in log_lines(path):
                name = e.get("event", "")
                if e.get("event") == "db_refused" and e.get("sqlstate") == "42501":
                    problems.append(f"otad's role lacks a right, in {path.name}: {e}")
                if e.get("level") == "error" and not any(fnmatch.fnmatch(name, p) for p in self.announced):
                    problems.append(f"unannounced error in {path.name}: {e}")
        return problems

    def end(self):
        if self.running("otad"):
            self.stop_otad()
        problems = self.check()
        self.remove(keep=bool(problems))
        assert not problems, f"{self.dir} (kept): " + "\n".join(problems[:20])

    def remove(self, keep=False):
        verb = "down" if keep or os.environ.get("OTAD_KEEP") else "remove"
        subprocess.run([str(ROOT / "deploy/stack"), verb, str(self.dir)], env=self.env, capture_output=True,
                       stdin=subprocess.DEVNULL, timeout=120, check=False)


class Otad(Logged):
    """A process beside the stack's own otad."""

    def __init__(self, stack, name, settings):
        self.stack, self.name, self.process = stack, name, None
        place = stack.dir / name
        place.mkdir(mode=0o700)
        self.config, self.err = place / "otad.conf", stack.dir / f"{name}.err"
        own = {"state_dir": place / "state", "api_listen": "127.0.0.1:0", "store_listen": "127.0.0.1:0", **settings}
        lines = [x for x in stack.config.read_text().splitlines() if x.split(" = ")[0] not in own]
        self.config.write_text("\n".join([*lines, *(f"{k} = {v}" for k, v in own.items())]) + "\n")

    def start(self):
        seen = len(self.log())
        with self.err.open("ab") as err:
            self.process = subprocess.Popen([str(self.stack.bin / "otad"), "--config", str(self.config)],
                                            env=self.stack.env, stdin=subprocess.DEVNULL, stdout=err, stderr=err)

        def ready():
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}"
            return next((e for e in self.log()[seen:] if e["event"] == "ready"), None)
        line = wait_until(ready, 60)
        self.endpoint = f"127.0.0.1:{line['api_port']}"
        self.api = Client(self.endpoint, self.stack.ak, self.stack.sk)

    @property
    def pid(self):
        return self.process.pid

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            rc = self.process.wait(30)
            if rc != 0:
                self.stack.problems.append(f"{self.name} ended with status {rc} on SIGTERM")

    def log(self):
        return log_lines(self.err)

    def metric(self, name, **labels):
        return metric(f"http://{self.endpoint}", name, **labels)


@pytest.fixture
def another(stack):
    made = []

    def make(**settings):
        name = f"otad-{len(list(stack.dir.glob('otad-*.err')))}"
        made.append(Otad(stack, name, {**stack.settings, **settings}))
        made[-1].start()
        return made[-1]
    yield make
    for otad in made:
        otad.stop()


@pytest.fixture(scope="session")
def stack():
    s = Stack()
    yield s
    s.end()


@pytest.fixture
def fresh_stack():
    s = Stack()
    yield s
    s.end()


@pytest.fixture
def otad_default(stack):
    yield stack
    if stack.running("otad"):
        stack.stop_otad()
    stack.start_otad()


@pytest.fixture(scope="session")
def tls_stack():
    s = Stack(tls=True)
    yield s
    s.end()


@pytest.fixture(scope="session")
def api(stack):
    return Client(stack.endpoint, stack.ak, stack.sk)


@pytest.fixture(scope="session")
def stranger(stack):
    stack.otactl("account", "create", "stranger")
    out = stack.otactl("key", "create", "--account", "stranger", "--name", "t", "--role", "admin").stdout
    ak, sk = (re.search(rf"{word}=(\S+)", out).group(1) for word in ("AccessKeyId", "AccessKeySecret"))
    return Client(stack.endpoint, ak, sk)


def let_in(device, options):
    try:
        return device.connect(**options)
    except ConnectRefused:
        return None


@pytest.fixture
def device(stack):
    made = []

    def make(row, connect=True, **options):
        d = MqttDevice(stack.broker, row)
        made.append(d)
        if connect:  # RegisterDevice waits a second for the broker, which may be slower
            wait_until(lambda: let_in(d, options))
        return d
    yield make
    for d in made:
        if d.client and d.connected:
            d.disconnect()
        elif d.client:
            d._end()


@dataclass
class Fleet:
    pk: str
    rows: list
    devices: list


@pytest.fixture
def fleet(api, device):
    def make(n=1, version=None, online=True):
        pk = api.product()
        rows = [api.device(pk) for _ in range(n)] if n <= 10 else api.devices(pk, n)
        devices = [device(r, connect=online or version is not None) for r in rows]
        if version is not None:
            for d in devices:
                d.inform(version)
            for d in devices:
                wait_until(lambda d=d: api.version_of(pk, d.name) == version, 10)
            if not online:
                for d in devices:
                    d.disconnect()
        return Fleet(pk, rows, devices)
    return make


@pytest.fixture
def simulate(stack, tmp_path):
    started = []

    def start(rows, *options, on=stack):
        csv = tmp_path / f"fleet{len(started)}.csv"
        csv.write_text("".join(f"{r['ProductKey']},{r['DeviceName']},{r['DeviceSecret']}\n" for r in rows))
        report, log = tmp_path / f"report{len(started)}.json", tmp_path / f"push{len(started)}.log"
        tls = ["--ca", on.ca] if on.ca else []
        sim = subprocess.Popen([on.bin / "otasim", "--broker", on.broker, *tls, "--devices", csv, "--report", report,
                                "--push-log", log, "--duration", "900", *options], env=on.env,
                               stderr=subprocess.PIPE, text=True)
        started.append(sim)

        def end():
            if sim.poll() is None:
                sim.send_signal(signal.SIGTERM)
            _, err = sim.communicate(timeout=30)
            assert sim.returncode == 0, err
            return json.loads(report.read_text()), log.read_text().splitlines()
        return end
    yield start
    for sim in started:
        if sim.poll() is None:
            sim.kill()
            sim.communicate()
