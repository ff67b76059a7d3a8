# SPDX-License-Identifier: Apache-2.0
"""The measurements of tests/bench/pace."""
import argparse
import itertools
import os
import pathlib
import signal
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from rig import Stack  # noqa: E402
from client import wait_until  # noqa: E402
import pace_check  # noqa: E402

USED_MIN = 0.98
DEVICES_MAX = 14000  # of one job: enough to overfill a minute of 10,000, and below what one process may open


class Faults(threading.Thread):
    """One after the other, until told to stop."""

    def __init__(self, stack, clock):
        super().__init__()
        self.stack, self.clock, self.over, self.done, self.ahead_ms = stack, clock, threading.Event(), [], 0

    def freeze(self, part, seconds):
        os.kill(self.stack.pid(part), signal.SIGSTOP)
        self.over.wait(seconds)
        os.kill(self.stack.pid(part), signal.SIGCONT)

    def jump(self, ms):
        self.ahead_ms += ms
        with self.clock.open("r+b") as f:
            f.write(struct.pack("<q", self.ahead_ms))

    def restart(self, part):
        self.stack.kill(part)
        self.stack.start(part)

    def run(self):
        faults = itertools.cycle([
            ("otad killed", lambda: self.restart("otad")), ("otad frozen for 3 s", lambda: self.freeze("otad", 3)),
            ("broker frozen for 5 s", lambda: self.freeze("broker", 5)), ("clock 1 h ahead", lambda: self.jump(3600_000)),
            ("otad killed", lambda: self.restart("otad")), ("clock 90 s back", lambda: self.jump(-90_000)),
            ("otad killed", lambda: self.restart("otad")), ("broker frozen for 20 s", lambda: self.freeze("broker", 20)),
            ("PostgreSQL frozen for 4 s", lambda: self.freeze("postgres", 4)), ("broker killed", lambda: self.restart("broker")),
        ])
        while not self.over.wait(4):
            what, do = next(faults)
            do()
            self.done.append(what)


def simulate(stack, limits, seconds):
    """A product and enough devices for each limit -> (the simulator, its push log, {limit: (product, version)})"""
    jobs, fleet, log = {}, stack.dir / "devices.csv", stack.dir / "pushes"
    with fleet.open("w") as out:
        for limit in limits:
            count = min(limit * (seconds + 60) // 60 + 2, DEVICES_MAX)
            pk = stack.fleet(count, "1.0.0")
            jobs[limit] = (pk, f"to-{limit}")
            out.writelines(f"{pk},d{i:07d},{i:032x},1.0.0\n" for i in range(count))
    online = sum(1 for _ in fleet.open())
    sim = subprocess.Popen([f"{stack.bin}/otasim", "--broker", stack.broker, "--devices", str(fleet), "--no-download",
                            "--steps", "1", "--connect-rate", "1000", "--push-log", str(log),
                            "--report", str(stack.dir / "report.json")])
    wait_until(lambda: sim.poll() is not None or stack.metric("otad_devices_online") >= online, 300,
               lambda: f"{stack.metric('otad_devices_online')} of {online} devices online")
    wait_out(sim, 0)
    return sim, log, jobs


def create(stack, jobs):
    ids = {}
    for limit, (pk, version) in jobs.items():
        fw = stack.api.firmware(pk, version)
        ids[limit] = stack.api.job(fw, MaximumPerMinute=limit)
    return ids


def wait_out(sim, seconds, going=lambda: True):
    end = time.monotonic() + seconds
    while sim.poll() is None and going() and time.monotonic() < end:
        time.sleep(0.2)
    if not going():
        raise RuntimeError("the faults have ended")
    if sim.poll() is not None:
        raise RuntimeError(f"the simulator ended with {sim.returncode}")


def main():
    p = argparse.ArgumentParser(prog="tests/bench/pace")
    p.add_argument("--seconds", type=int, default=150)
    p.add_argument("--limits", default="1,10,60,1000,10000")
    p.add_argument("--faults", action="store_true")
    o = p.parse_args()
    limits = [int(x) for x in o.limits.split(",")]
    clock = pathlib.Path(f"/tmp/otad-pace-clock.{os.getpid()}")
    clock.write_bytes(struct.pack("<q", 0))
    os.environ["OTAD_TEST_CLOCK"] = str(clock)
    with Stack(limit_max_per_minute_max=10000) as stack:
        sim, log, jobs = simulate(stack, limits, o.seconds)
        ids = create(stack, jobs)
        faults = Faults(stack, clock)
        if o.faults:
            faults.start()
        try:
            wait_out(sim, o.seconds, faults.is_alive if o.faults else lambda: True)
        finally:
            faults.over.set()
            if o.faults:
                faults.join()
            sim.send_signal(signal.SIGTERM)
            sim.wait(60)
        logged, bad = pace_check.read(log), False
        print(f"{'limit':>8}{'pushes':>9}{'worst minute':>14}{'used':>9}{'by the log':>12}")
        for limit, (_, version) in jobs.items():
            v = pace_check.judge(logged.get(version, []), limit)
            shown = next(x for x in stack.otactl("job", "pace", ids[limit]).splitlines() if x.startswith("At most"))
            used = "-" if v.used is None else f"{v.used:.1%}"
            full, idle = v.worst > limit, not o.faults and (v.used is None or v.used < USED_MIN)
            print(f"{limit:>8}{v.pushes:>9}{v.worst:>14}{used:>9}{shown.split()[-1]:>12}"
                  + ("  TOO FULL" if full else "") + ("  NOT USED" if idle else ""))
            bad |= full or idle
        if o.faults:
            print("faults: " + ", ".join(faults.done))
    clock.unlink()
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
