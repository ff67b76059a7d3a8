# SPDX-License-Identifier: Apache-2.0
"""Reports of progress and version at full speed, from the device's socket to the committed row, against a journal with
a thread that updates one narrow table. Then: otad is killed again and again, and PostgreSQL is stopped, while reports
come in; whatever the broker acknowledged has to be there in the end."""
import threading
import time

from client import wait_until
from mq import Pour

from . import QUICK, Sample

NAME, UNIT, LIMIT = "ingest", "reports/s", "ingest.pg_durable"
PLAIN_BROKER = True
SETTINGS = {"limit_max_per_minute_hard": 0}
DEVICES = 10_000 if QUICK else 50_000
STEPS = (10, 55, 100)
CONNECTIONS = 4
KILLS = 2 if QUICK else 4
OUTAGE_S = 5 if QUICK else 30
state = {"round": 0}


def online_fleet(stack):
    """-> key of a new product whose devices are online"""
    pk = stack.fleet(DEVICES, "2.0.0")
    others = stack.metric("otad_devices_online")
    stack.plain.presence.come((pk, f"d{i:07d}") for i in range(DEVICES))
    wait_until(lambda: stack.metric("otad_devices_online") == others + DEVICES, 120)
    return pk


def prepare(stack, limits):
    state["pk"] = online_fleet(stack)
    stack.sql("vacuum analyze")
    if limits.there:
        limits.need_database()
        limits.need_broker(18842, 0)
        limits.figure("./pgapply", "mode=unnest", "batch=1000", "idx=1", "secs=0.2", "reps=1", env={"LIM_KEEP": "1"})


def limit(_stack, limits):
    return limits.figure("./mqjournal", f"fig={LIMIT}", "mode=pg", f"n={DEVICES}", "reps=1", "port=18842")


def new_job(stack):
    """A job that waits for nobody: its devices report by themselves -> its key, its version."""
    state["round"] += 1
    version = f"2.0.{state['round']}"
    stack.api.job(stack.api.firmware(state["pk"], version), MaximumPerMinute=0)
    key = stack.one("select max(job_id) from job_run")
    wait_until(lambda: stack.one("select making = 3 from job_run where job_id = %s", key), 120)
    assert stack.one("select n_queued from job_run where job_id = %s", key) == DEVICES
    return key, version


def progress(i, step):
    return (f"/ota/device/progress/{state['pk']}/d{i:07d}",
            b'{"id":"%d","params":{"step":"%d","desc":"downloading the package now","module":"default"}}' % (i, step))


def inform(i, version):
    return (f"/ota/device/inform/{state['pk']}/d{i:07d}",
            b'{"id":"%d","params":{"version":"%s","module":"default"}}' % (i, version.encode()))


def pour(stack, reports_of):
    """A Pour of what reports_of(device) gives, each round of all devices before the next."""
    shares = []
    for c in range(CONNECTIONS):
        each = [reports_of(i) for i in range(c, DEVICES, CONNECTIONS)]
        shares.append([reports[k] for k in range(len(each[0])) for reports in each])
    return Pour(stack.plain.port, shares)


def ended(stack, key):
    return stack.one("select n_succeeded from job_run where job_id = %s", key) == DEVICES


def product(stack, _limits):
    key, version = new_job(stack)
    p = pour(stack, lambda i: [*(progress(i, s) for s in STEPS), inform(i, version)])
    with stack.account() as a:
        p.run()
        wait_until(lambda: ended(stack, key), 600, pause_max=0.02)
    return Sample.of(a, DEVICES * (len(STEPS) + 1))


def applied(stack, key):
    return stack.one("select count(*) from task where job_id = %s and state = 4 and progress = 1 + seq %% 99", key)


def finish(stack, key, version):
    pour(stack, lambda i: [inform(i, version)]).run()
    wait_until(lambda: ended(stack, key), 300)


def under(stack, meanwhile):
    """One report of every device, while something goes wrong -> how many of those that the broker took are missing,
    and how long the last one was behind."""
    key, version = new_job(stack)
    seq = dict(stack.sql("select d.name, t.seq from task t join device d on d.id = t.device_id where t.job_id = %s", key))
    p = pour(stack, lambda i: [progress(i, 1 + seq[f"d{i:07d}"] % 99)])
    sender = threading.Thread(target=p.run)
    stack.plain.presence.repeat.set()
    sender.start()
    meanwhile(sender)
    sender.join()
    begin, last = time.monotonic(), -1
    while (now := applied(stack, key)) < DEVICES and (now > last or time.monotonic() < begin + 60):
        last = now
        time.sleep(0.5)
    behind = time.monotonic() - begin
    stack.plain.presence.repeat.clear()
    lost = DEVICES - applied(stack, key)
    finish(stack, key, version)
    return lost, behind


def kill_again_and_again(stack):
    def meanwhile(_sender):
        for _ in range(KILLS):
            time.sleep(0.3)
            stack.kill("otad")
            stack.start("otad")
    return meanwhile


def stop_database(stack):
    def meanwhile(_sender):
        stack.stop("postgres")
        time.sleep(OUTAGE_S)
        stack.start("postgres")
        stack.connect()
    return meanwhile


def after(stack, _limits):
    lost, behind = under(stack, kill_again_and_again(stack))
    notes = [f"otad killed {KILLS} times during {DEVICES} reports: {lost} lost, all applied {behind:.1f} s after the last"]
    assert lost == 0, notes[0]
    lost, behind = under(stack, stop_database(stack))
    notes.append(f"PostgreSQL stopped for {OUTAGE_S} s during {DEVICES} reports: {lost} lost, "
                 f"all applied {behind:.1f} s after it was back")
    assert lost == 0, notes[1]
    return notes
