# SPDX-License-Identifier: Apache-2.0
"""What the measurements of tests/bench/run stand on: a private stack of the release build with default durability,
the programs of the limits, and the accounts of CPU, WAL and memory."""
import json
import mmap
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import psycopg2

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/it"))
from client import Client, http_request, wait_until  # noqa: E402

from mq import Presence  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
TOUCHED = 0.7  # of the memory that is free
PARTS = ("otad", "broker", "postgres")
# As the limits' own cluster.
POSTGRES = {"shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "15min"}


def stat_of(pid):
    """-> (parent, CPU seconds of the process, of its children that ended)"""
    try:
        words = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0.0, 0.0
    return int(words[1]), (int(words[11]) + int(words[12])) / TICKS, (int(words[13]) + int(words[14])) / TICKS


def family_of(pid):
    """It and its children."""
    return [pid] + [int(p) for p in os.listdir("/proc") if p.isdigit() and stat_of(int(p))[0] == pid]


def cpu_of(pid, family=False):
    """CPU seconds of a process; family: with its children, running and ended."""
    _, own, ended = stat_of(pid)
    return own + ended + sum(stat_of(p)[1] for p in family_of(pid)[1:]) if family else own


def memory_kib(pid, key="VmRSS"):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{key}:\s+(\d+)", text).group(1))


def touch_memory():
    """A virtual machine gets a page of memory from its host when it is first touched, which takes four times as long as to
    use it: what writes new tables would be charged for that."""
    available = int(re.search(r"MemAvailable:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1)) * 1024
    piece = bytes(1 << 20)
    with mmap.mmap(-1, int(available * TOUCHED)) as m:
        for _ in range(len(m) // len(piece)):
            m.write(piece)


class Account:
    """with rig.account() as a: ...; then a.seconds, a.cpu[part] in s, a.wal in bytes, a.statements[name] in s, as otad
    waited for them."""

    def __init__(self, rig):
        self.rig, self.perf = rig, None

    def _read(self):
        page = http_request("GET", f"http://{self.rig.endpoint}/metrics")[2].decode()
        took = re.findall(r'^otad_db_statement_duration_seconds_sum\{statement="(\w+)"\} (\S+)$', page, re.M)
        return ({p: cpu_of(self.rig.pid(p), p == "postgres") for p in PARTS}, self.rig.wal(), time.monotonic(),
                {name: float(s) for name, s in took})

    def __enter__(self):
        if file := os.environ.get("OTAD_BENCH_PERF"):
            pids = [str(pid) for part in PARTS for pid in family_of(self.rig.pid(part))]
            self.perf = subprocess.Popen(["perf", "record", "-q", "-F", "1999", "-g", "-p", ",".join(pids), "-o", file],
                                         stdin=subprocess.DEVNULL)
        self.begin = self._read()
        return self

    def __exit__(self, *_):
        now = time.monotonic()
        cpu, wal, _, statements = self._read()
        if self.perf:
            self.perf.send_signal(signal.SIGINT)
            self.perf.wait(60)
        before = self.begin[3]
        self.statements = {name: s - before.get(name, 0) for name, s in statements.items()}
        self.cpu = {p: cpu[p] - self.begin[0][p] for p in PARTS}
        self.wal, self.seconds = wal - self.begin[1], now - self.begin[2]


class PlainBroker:
    """A broker without our plugin, with the settings of deploy/mosquitto.conf.in that matter for speed: whoever comes
    may say anything, so that a few connections do for many devices. presence says who is online."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="otad-broker."))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        conf = self.dir / "mosquitto.conf"
        conf.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
                        "max_inflight_messages 0\nmax_queued_messages 2000000\nlog_dest none\n"
                        + "user root\n" * (os.getuid() == 0))
        self.process = subprocess.Popen([shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", conf],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.presence = wait_until(self._reach, 20)

    def _reach(self):
        try:
            return Presence(self.port)
        except OSError:
            return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.presence.close()
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.dir, ignore_errors=True)


class Stack:
    """deploy/stack with a client, for as long as the `with` lasts. plain: a PlainBroker to use instead of the stack's
    own. postgres: settings of the cluster, those of the limits' by default. Settings: keys of otad.conf."""

    def __init__(self, plain=None, postgres=POSTGRES, **settings):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="otad-bench."))
        self.plain, self.settings = plain, {"quota": "*=0", "api_answer_ms": "60000", **settings}
        if plain:
            self.settings["broker"] = f"tcp://127.0.0.1:{plain.port}"
        self._stack("up", "--preset", os.environ.get("OTAD_BENCH_PRESET", "release"), *self._sets(),
                    *(w for k, v in postgres.items() for w in ("--postgres", f"{k}={v}")))
        words = dict(line.split("=", 1) for line in (self.dir / "env").read_text().splitlines())
        self.env = {k: v.strip("'") for k, v in words.items()}
        self.endpoint, self.broker, self.bin = self.env["OTA_ENDPOINT"], self.env["OTA_BROKER"], self.env["OTA_BIN"]
        self.api = Client(self.endpoint, self.env["OTA_AK"], self.env["OTA_SK"], timeout=120)
        self.connect()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.db.close()
        self._stack("remove")

    def _sets(self):
        return [word for k, v in self.settings.items() for word in ("--set", f"{k}={v}")]

    def _stack(self, verb, *words):
        subprocess.run([ROOT / "deploy/stack", verb, self.dir, *words], check=True, stdout=subprocess.DEVNULL,
                       stdin=subprocess.DEVNULL)

    def stop(self, part):
        self._stack("stop", part)

    def kill(self, part):
        """SIGKILL."""
        self._stack("kill", part)

    def start(self, part):
        self._stack("start", part, *self._sets() if part == "otad" else ())

    def pid(self, part):
        if part == "broker" and self.plain:
            return self.plain.process.pid
        return int((self.dir / f"{part}.pid").read_text().split()[0])

    def account(self):
        return Account(self)

    def connect(self):
        self.db = psycopg2.connect(self.env["OTA_PG"])
        self.db.autocommit = True

    def sql(self, text, *args):
        with self.db.cursor() as c:
            c.execute(text, args or None)
            return c.fetchall() if c.description else []

    def one(self, text, *args):
        return self.sql(text, *args)[0][0]

    def wal(self):
        return int(self.one("select pg_current_wal_lsn() - '0/0'::pg_lsn"))

    def metric(self, name):
        page = http_request("GET", f"http://{self.endpoint}/metrics")[2].decode()
        return sum(float(v) for v in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", page, re.M))

    def otactl(self, *words):
        return subprocess.run([f"{self.bin}/otactl", "--config", self.env["OTA_CONFIG"], *map(str, words)], check=True,
                              capture_output=True, text=True).stdout

    def fleet(self, count, version=None):
        """Imports devices of a new product -> its key."""
        pk, names = self.api.product(), self.dir / "fleet.csv"
        tail = f",{version}" if version else ""
        names.write_text("".join(f"d{i:07d},{i:032x}{tail}\n" for i in range(count)))
        self.otactl("device", "import", pk, names)
        return pk


class Limits:
    """The programs that measure what the machine can do, built from a copy; None-like when their folder is absent."""

    def __init__(self, source):
        self.there = source is not None and (source / "limits.sh").exists()
        if not self.there:
            return
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="otad-limits."))
        self.src, self.env = self.dir / "src", {**os.environ, "LIM_ROOT": str(self.dir / "root")}
        shutil.copytree(source, self.src)
        for p in [self.src, *self.src.iterdir()]:
            p.chmod(p.stat().st_mode | 0o200)
        self.dir.chmod(0o755)
        (self.dir / "root").mkdir()
        pathlib.Path("/tmp/ota-limits").mkdir(exist_ok=True)  # mqjournal's file is there wherever LIM_ROOT is
        subprocess.run(["make", "-s", "all"], cwd=self.src, check=True, stdout=sys.stderr)
        self.running, self.database = [], False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.there:
            return
        for p in self.running:
            p.terminate()
            p.wait(10)
        if self.database:
            self._tool("pgctl.sh", "stop")
        for port in ("18832", "18842"):
            self._tool("mqctl.sh", "stop", port)
        shutil.rmtree(self.dir, ignore_errors=True)

    def _tool(self, *words):
        subprocess.run(["bash", *words], cwd=self.src, env=self.env, check=True, stdout=subprocess.DEVNULL,
                       stdin=subprocess.DEVNULL)

    def need_database(self):
        if not self.database:
            self._tool("pgctl.sh", "start")
            self.database = True
        self.env["LIM_DSN"] = f"host={self.dir}/root/pg port=15432 user=bench dbname=bench"

    def need_broker(self, port, inflight):
        if not (self.dir / f"root/mosq/{port}.pid").exists():
            self._tool("mqctl.sh", "start", str(port), str(inflight))

    def serve(self, *words, env=None):
        """Starts a server of the limits (or any other) until the end."""
        p = subprocess.Popen([str(w) for w in words], cwd=self.src, env={**self.env, **(env or {})},
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.running.append(p)
        return p

    def figure(self, *words, env=None):
        """Runs one program -> the median of its (last) figure."""
        out = subprocess.run([str(w) for w in words], cwd=self.src, env={**self.env, **(env or {})}, check=True,
                             capture_output=True, text=True, timeout=600).stdout
        return [json.loads(line) for line in out.splitlines() if '"fig"' in line][-1]["median"]


def wrk(url, *more, connections=64, seconds=3):
    """-> (requests a second, requests); raises when any was refused."""
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", *map(str, more), url],
                         check=True, capture_output=True, text=True).stdout
    bad = re.search(r"Non-2xx.*|Socket errors.*", out)
    if bad:
        raise RuntimeError(f"wrk {url}: {bad.group(0)}")
    return float(re.search(r"Requests/sec:\s+(\S+)", out).group(1)), int(re.search(r"(\d+) requests in", out).group(1))
