# SPDX-License-Identifier: Apache-2.0
"""Reports of devices that the broker has acknowledged: none is lost, whatever dies. Every report names a module of
its own, so each leaves a row of its own."""
import threading
import time
import uuid

import pytest

from client import wait_until


class Load(threading.Thread):
    """Publishes version reports as fast as the window lets it, until told to stop."""

    def __init__(self, device, window=300):
        super().__init__()
        self.device, self.window = device, window
        self.module_of, self.stop = {}, threading.Event()

    def run(self):
        d = self.device
        while not self.stop.is_set() and len(self.module_of) < 8000:
            if len(self.module_of) - len(d.acked & self.module_of.keys()) >= self.window:
                time.sleep(0.005)
                continue
            for _ in range(20):
                module = f"m{len(self.module_of)}"
                info = d.client.publish(d.topic("inform"),
                                        '{"id":1,"params":{"version":"1.%s","module":"%s"}}' % (module, module), 1)
                self.module_of[info.mid] = module
            time.sleep(0.005)

    def acked(self):
        return {self.module_of[mid] for mid in self.device.acked & self.module_of.keys()}


def stored(stack, pk):
    rows = stack.sql("select d.name, m.module from device_module m join device d on d.id = m.device_id join product p "
                     "on p.id = d.product_id where p.product_key = %s", pk)
    return {(name, module) for name, module in rows}


def finish(stack, pk, loads):
    for load in loads:
        load.stop.set()
        load.join()
    wait_until(lambda: all(len(x.acked()) == len(x.module_of) for x in loads), 30)
    want = {(x.device.name, m) for x in loads for m in x.acked()}
    wait_until(lambda: want <= stored(stack, pk), 60,
               lambda: f"{len(want - stored(stack, pk))} of {len(want)} acknowledged reports are missing")
    return want


def test_kill_under_load_loses_no_report(stack, fleet):
    f = fleet(4)
    loads = [Load(d) for d in f.devices]
    for load in loads:
        load.start()
    for i in range(4):
        wait_until(lambda n=500 * (i + 1): sum(len(x.acked()) for x in loads) > n)
        stack.kill_otad()
        stack.start_otad()
    want = finish(stack, f.pk, loads)
    assert len(want) > 2000
    versions = stack.sql("select m.version, m.module from device_module m join device d on d.id = m.device_id join "
                         "product p on p.id = d.product_id where p.product_key = %s", f.pk)
    assert all(v == f"1.{m}" for v, m in versions)


def journalled(stack, text):
    return any(text in p.read_bytes() for p in (stack.config.parent / "state/journal").iterdir() if p.is_file())


@pytest.mark.parametrize("alone", [True, False])
def test_database_outage_loses_no_report_and_no_time(stack, api, fleet, alone):
    """The report is the only one that the first tick afterwards finds, or the first of more than one tick takes."""
    f, version = fleet(2, "1.0.0"), "2.0." + uuid.uuid4().hex
    job = api.job(api.firmware(f.pk, version), TimeoutInMinutes=1)
    d = f.devices[0]
    d.wait_push()
    d.progress(10)
    api.wait_task(job, f.rows[0], "IN_PROGRESS")
    stack.kill("postgres")
    d.inform(version)  # within the time limit; found in the journal long after it
    wait_until(lambda: journalled(stack, version.encode()))
    loads = [] if alone else [Load(f.devices[1])]
    for load in loads:
        load.start()
        wait_until(lambda x=load: len(x.acked()) > 2500, 60)
    stack.advance(5 * 60)
    stack.start("postgres")
    finish(stack, f.pk, loads)
    api.wait_task(job, f.rows[0], "SUCCEEDED", 30)


def test_backlog_of_a_restart_is_applied_as_ever(stack, api, fleet):
    """Progress after a request whose answer goes out only after the restart."""
    f, desc = fleet(1, "1.0.0"), uuid.uuid4().hex
    d = f.devices[0]
    job = api.job(api.firmware(f.pk))
    d.wait_push()
    stack.kill("postgres")
    d.publish(d.sys_topic("thing/ota/firmware/get"), {"id": "1", "params": {}})
    d.progress(40, desc)
    wait_until(lambda: journalled(stack, desc.encode()))
    stack.kill_otad()
    stack.start("postgres")
    stack.start_otad()
    assert api.wait_task(job, f.rows[0], "IN_PROGRESS", 30)["Progress"] == "40.00"


def test_one_poisoned_report_does_not_sink_the_others(stack, fleet):
    f = fleet(1)
    d = f.devices[0]
    before = stack.metric("otad_reports_nonsense_total", reason="poison")
    stack.sql("alter table device_module add constraint poison check (version <> 'poison')")
    try:
        for i in range(30):
            d.client.publish(d.topic("inform"), '{"params":{"version":"%s","module":"p%d"}}'
                             % ("poison" if i == 17 else "1.0.0", i), 1)
        want = {(d.name, f"p{i}") for i in range(30) if i != 17}
        wait_until(lambda: want <= stored(stack, f.pk), 20)
        assert (d.name, "p17") not in stored(stack, f.pk)
        assert stack.metric("otad_reports_nonsense_total", reason="poison") == before + 1
    finally:
        stack.sql("alter table device_module drop constraint poison")
    d.inform("1.0.1", module="after")
    wait_until(lambda: (d.name, "after") in stored(stack, f.pk))


def test_broker_that_goes_and_comes_back(stack, api, fleet, device):
    f = fleet(1, "1.0.0")
    stack.kill("broker")
    job = api.job(api.firmware(f.pk))
    stack.start("broker")
    d = device(f.rows[0])
    d.wait_push(within=20)
    d.upgrade("2.0.0")
    api.wait_task(job, f.rows[0], "SUCCEEDED", 20)
