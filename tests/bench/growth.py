# SPDX-License-Identifier: Apache-2.0
"""What an item costs while the tables and the number of running jobs grow, in microseconds of time and of CPU (otad and
PostgreSQL), each as a ratio to the smallest; on a machine that others use the second says more. Then what 1,000 running
jobs cost whose devices are all offline, and what a transaction costs that somebody else holds open, as a ratio to the same
tables without it. What is measured leaves tasks behind as well: counted with the others."""
import contextlib
import statistics
import sys
import time

import psycopg2
from client import wait_until
from paths import ingest, make, pump
from rig import Limits, PlainBroker, Stack, touch_memory

SETTINGS = {**pump.SETTINGS, **ingest.SETTINGS, "limit_firmwares": 0}
REPEAT = 3
IDLE_S, HELD_S, HELD_FLEETS = 20, 120, 30
JOBS = (100, 1000)
FLEET = 1_000_000  # devices behind the tasks; more tasks are of several jobs, all but one over
make.DEVICES = 100_000


class Tables:
    """Tasks of offline devices: of one running job and, beyond FLEET, of jobs that failed them."""

    def __init__(self, stack):
        self.stack, self.fleets, self.tasks, self.jobs = stack, [], 0, 0

    def _make(self, pk, count):
        api = self.stack.api
        self.jobs += 1
        api.job(api.firmware(pk, f"9.0.{self.jobs}"), MaximumPerMinute=1)
        key = self.stack.one("select max(job_id) from job_run")
        wait_until(lambda: self.stack.one("select making = 3 from job_run where job_id = %s", key), 1800)
        self.tasks += count

    def grow(self, wanted):
        have = sum(n for _, n in self.fleets)
        if have < min(wanted, FLEET):
            more = min(wanted, FLEET) - have
            self.fleets.append((self.stack.fleet(more, "1.0.0"), more))
            self._make(*self.fleets[-1])
        while self.tasks < wanted:
            self._make(*self.fleets[-1])
        self.stack.sql("vacuum analyze")

    def __str__(self):
        return f"{self.stack.one('select count(*) from task'):,} tasks, {self.jobs} other jobs"

    def run_jobs(self, wanted):
        """So many jobs of ten offline devices each, besides the others."""
        api, more = self.stack.api, wanted - self.jobs
        firmware = api.firmware(self.stack.fleet(10 * more, "1.0.0"), "2.0.0")
        for j in range(more):
            api.job(firmware, TargetSelection="SPECIFIC", MaximumPerMinute=1000,
                    TargetDeviceName=[f"d{n:07d}" for n in range(10 * j, 10 * j + 10)])
        self.jobs = wanted
        wait_until(lambda: self.stack.one("select bool_and(making = 3) from job_run"), 600)
        self.stack.sql("vacuum analyze")


def settle(stack):
    """Until autovacuum has done what is to be done now: it is counted with PostgreSQL, and comes when it likes."""
    wait_until(lambda: not stack.one("select count(*) from pg_stat_activity where backend_type = 'autovacuum worker'"), 600)


def cost(stack, path, fleets=None):
    """fleets: one is taken for each measurement of ingest -> (us of time, us of CPU) an item, medians; what otad waited for most."""
    samples = []
    for _ in range(REPEAT):
        settle(stack)
        if fleets and path is ingest:
            ingest.state["pk"] = fleets.pop()
        samples.append(path.product(stack, None))
    waited = {name: sum(s.statements.get(name, 0) for s in samples) for name in samples[0].statements}
    most = sorted(waited, key=waited.get)[:-4:-1]
    return (statistics.median(1e6 / s.value for s in samples),
            statistics.median(1e6 * (s.cpu["otad"] + s.cpu["postgres"]) / s.items for s in samples),
            ", ".join(f"{name} {1e6 * waited[name] / sum(s.items for s in samples):.1f}" for name in most))


class Table:
    """Rows of measurements, each with its ratio to the first of its path."""

    def __init__(self):
        self.first, self.last, self.rows = {}, {}, []

    def restart(self):
        """From now on ratios are to the last of each path."""
        self.first = dict(self.last)

    def add(self, what, stack, path, fleets=None):
        took, cpu, most = cost(stack, path, fleets)
        base = self.first.setdefault(path.NAME, (took, cpu))
        self.last[path.NAME] = took, cpu
        self.rows.append({"path": path.NAME, "with": what, "us": took, "cpu_us": cpu, "ratio": took / base[0],
                          "cpu_ratio": cpu / base[1]})
        r = self.rows[-1]
        print(f"{r['path']:<8}{what:<44}{took:>8.1f} us ({r['ratio']:.2f}){cpu:>9.1f} us of CPU ({r['cpu_ratio']:.2f}); {most}",
              file=sys.stderr, flush=True)


def idle(stack):
    """-> share of a core that otad and PostgreSQL take while nothing is to be done, and what otad asked most in that time"""
    settle(stack)
    time.sleep(5)  # what was under way ends; nothing says when
    settle(stack)
    with stack.account() as a:
        time.sleep(IDLE_S)
    most = sorted(a.statements.items(), key=lambda s: -s[1])[:5]
    return ((a.cpu["otad"] + a.cpu["postgres"]) / a.seconds,
            ", ".join(f"{part} {100 * a.cpu[part] / a.seconds:.2f} %" for part in ("otad", "postgres"))
            + "; ms a second waited for " + ", ".join(f"{name} {1000 * s / a.seconds:.1f}" for name, s in most))


@contextlib.contextmanager
def held_transaction(stack):
    with contextlib.closing(psycopg2.connect(stack.env["OTA_PG"])) as c, c.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read; select count(*) from job")
        yield


def run(quick):
    """-> {"growth": rows, "idle_share": of a core}"""
    sizes = (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000, 10_000_000)
    out = Table()
    touch_memory()
    with PlainBroker() as plain, Stack(plain, **SETTINGS) as stack:
        tables = Tables(stack)
        for path in (pump, ingest, make):
            path.prepare(stack, Limits(None))
            path.product(stack, None)  # fills caches
        for size in sizes:
            tables.grow(size)
            for path in (pump, ingest) if size > FLEET else (pump, ingest, make):
                out.add(str(tables), stack, path)
        for jobs in JOBS:
            tables.run_jobs(jobs)
            for path in (pump, ingest):
                out.add(str(tables), stack, path)
        share, parts = idle(stack)
        print(f"{JOBS[-1]} running jobs, devices offline: {100 * share:.2f} % of a core ({parts})", file=sys.stderr, flush=True)
        # Other devices each time: nobody updates one twenty times in two minutes.
        fleets = [ingest.online_fleet(stack) for _ in range(HELD_FLEETS)]
        stack.sql("vacuum analyze")
        out.restart()
        with held_transaction(stack):
            begin = time.monotonic()
            while len(fleets) >= REPEAT and time.monotonic() - begin < HELD_S:
                for path in (pump, ingest):
                    out.add(f"a transaction open for {time.monotonic() - begin:.0f} s", stack, path, fleets)
    return {"growth": out.rows, "idle_share": share}
