# SPDX-License-Identifier: Apache-2.0
"""Every key that docs/config.md calls reloadable: a SIGHUP changes what otad does, without a restart."""
import contextlib
import pathlib
import re
import signal
import uuid
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pytest

from client import at_once, http_request, post_form, wait_until

F = "iot.firmware."
FORMAT = "iot.common.InvalidFormattedParameter"
DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs/config.md"
HOUR = 3600


@pytest.fixture
def change(stack):
    """change(key=value...) writes them into the configuration and reloads it; the old values are back after the
    test."""
    before, changed = lines_of(stack), set()

    def reload(keys, new):
        kept = [x for x in lines_of(stack) if key_of(x) not in keys]
        seen = len(stack.log())
        stack.config.write_text("\n".join([*kept, *new]) + "\n")
        stack.signal_otad(signal.SIGHUP)
        stack.wait_log("config_reloaded", within=20, after=seen)

    def set_keys(**values):
        changed.update(values)
        reload(values, [f"{k} = {v}" for k, v in values.items()])
    yield set_keys
    reload(changed, [x for x in before if key_of(x) in changed])


def lines_of(stack):
    return stack.config.read_text().splitlines()


def key_of(line):
    return line.split(" = ")[0]


@pytest.fixture(scope="module")
def w(stack, api):
    return World(stack, api)


class World:
    def __init__(self, stack, api):
        self.stack, self.api = stack, api
        self.pk = api.product()
        self.names = [api.device(self.pk)["DeviceName"] for _ in range(3)]
        self.fw = api.firmware(self.pk)

    def count(self, table):
        """Rows of the account that count against its limit."""
        return self.stack.sql_one(f"select count(*) from {table} x join access_key k using (account_id)"
                                  " where k.key_id = %s and x.deleted_ms is null", self.stack.ak)

    def job(self, **params):
        return self.api.job_info(self.api.job(self.fw, **params))

    def no_job(self, code, **params):
        self.api.refused("CreateOTAStaticUpgradeJob", code, FirmwareId=self.fw.id, ProductKey=self.pk,
                         **{"TargetSelection": "ALL", **params})

    def named(self, count):
        return {"TargetSelection": "SPECIFIC", "TargetDeviceName": self.names[:count]}

    def listed(self, count):
        return {"TargetSelection": "SPECIFIC", "DnListFileUrl": self.api.name_list(self.names[:count])}


def end_of(url):
    """When a download link ends, in seconds since 1970."""
    return int(parse_qs(urlsplit(url).query)["e"][0], 36)


# ---- one function per key: what holds before, the change, what holds after ----

def log_level(w, change):
    lines = len(w.stack.log())
    change(log_level="debug")
    w.stack.wait_log("housekeeping", after=lines, level="debug")


@contextlib.contextmanager
def locked(stack, tables):
    holder = psycopg2.connect(stack.pg)
    try:
        holder.cursor().execute(f"lock table {tables} in access exclusive mode")
        yield
    finally:
        holder.close()


def call_given_up(w):
    """A call that would wait for longer than its client does."""
    w.api.refused("CreateProduct", "ServiceUnavailable", ProductName="p" + uuid.uuid4().hex[:16], NodeType=0)


def database_timeout_ms(w, change):
    """For the API's connections and for the engine's."""
    w.stack.restart_otad(database_timeout_ms="600000", api_answer_ms="600000")
    w.api.product()
    change(database_timeout_ms="200")
    lines = len(w.stack.log())
    with locked(w.stack, "engine_lease, product"):
        call_given_up(w)
        assert "timeout" in w.stack.wait_log("tick_failed", after=lines, within=60)["why"]


def api_answer_ms(w, change):
    w.stack.restart_otad(database_timeout_ms="600000", api_answer_ms="600000")
    w.api.product()
    change(api_answer_ms="500")
    with locked(w.stack, "product"):
        call_given_up(w)


def store_external(w, change):
    def create():
        return w.api.call("CreateOTAFirmware", ProductKey=w.pk, FirmwareName="fw" + uuid.uuid4().hex[:16],
                          DestVersion="elsewhere", FirmwareUrl="https://cdn.example/a.bin", FirmwareSize=123,
                          FirmwareSign="ab" * 16)
    assert create().code == F + "InvalidFirmwareUrl"
    change(store_external="https://cdn.example/")
    assert create().ok


def store_upload_bytes(w, change):
    def upload():
        return post_form(w.api.must("GenerateOTAUploadURL")["Data"], b"x" * 3000)[0]
    change(store_upload_bytes="3000")
    assert upload() == 200
    change(store_upload_bytes="2999")
    assert upload() == 413


def store_url_hours(w, change):
    """In links that the API shows, and in pushes."""
    change(store_url_hours="2")
    short = shown_and_pushed(w)
    change(store_url_hours="100")
    long = shown_and_pushed(w)
    for before, after in zip(short, long):
        assert 98 * HOUR <= after - before < 99 * HOUR, (before, after)


def shown_and_pushed(w):
    f = w.fleet(1, "1.0.0")
    fw = w.api.firmware(f.pk)
    shown = w.api.must("QueryOTAFirmware", FirmwareId=fw.id)["FirmwareInfo"]["FirmwareUrl"]
    w.api.job(fw)
    return end_of(shown), end_of(f.devices[0].wait_push(within=30)["data"]["url"])


def limits_profile(w, change):
    w.job(MaximumPerMinute=9)
    change(limits_profile="current")
    w.no_job(F + "InvalidMaximumPerMinute", MaximumPerMinute=9)


def limit_target_names(w, change):
    w.job(**w.named(3))
    change(limit_target_names="2")
    w.no_job(F + "ParameterSizeExceedMax", **w.named(3))
    w.job(**w.named(2))


def limit_list_names(w, change):
    w.job(**w.listed(3))
    change(limit_list_names="2")
    w.no_job(F + "ParameterSizeExceedMax", **w.listed(3))
    w.job(**w.listed(2))


def limit_list_bytes(w, change):
    bytes_of_two = len("\n".join(w.names[:2]))
    w.job(**w.listed(3))
    change(limit_list_bytes=str(bytes_of_two))
    w.no_job(F + "ParameterSizeExceedMax", **w.listed(3))
    w.job(**w.listed(2))


def limit_max_per_minute_min(w, change):
    w.job(MaximumPerMinute=49)
    change(limit_max_per_minute_min="50")
    w.no_job(F + "InvalidMaximumPerMinute", MaximumPerMinute=49)
    w.job(MaximumPerMinute=50)


def limit_max_per_minute_max(w, change):
    w.job(MaximumPerMinute=51)
    change(limit_max_per_minute_max="50")
    w.no_job(F + "InvalidMaximumPerMinute", MaximumPerMinute=51)
    w.job(MaximumPerMinute=50)


def limit_max_per_minute_default(w, change):
    change(limit_max_per_minute_default="77")
    assert w.job()["MaximumPerMinute"] == 77


def limit_max_per_minute_hard(w, change):
    w.job(MaximumPerMinute=51)
    change(limit_max_per_minute_hard="50")
    w.no_job(F + "InvalidMaximumPerMinute", MaximumPerMinute=51)
    assert w.job()["MaximumPerMinute"] == 50


def limit_tag_value(w, change):
    w.job(Tag=[{"Key": "k", "Value": "four"}])
    change(limit_tag_value="3")
    w.no_job(FORMAT, Tag=[{"Key": "k", "Value": "four"}])


def limit_products(w, change):
    w.api.product()
    change(limit_products=str(w.count("product")))
    w.api.refused("CreateProduct", "iot.prod.ProductCountExceedMax", ProductName="p" + uuid.uuid4().hex[:16],
                  NodeType=0)


def limit_firmwares(w, change):
    w.api.firmware(w.pk, "unlimited")
    change(limit_firmwares=str(w.count("firmware")))
    w.api.refused("CreateOTAFirmware", F + "FirmwareCountExceedMax", ProductKey=w.pk, DestVersion="limited",
                  FirmwareName="fw" + uuid.uuid4().hex[:16], FirmwareUrl=w.api.upload(b"content"))


def limit_modules(w, change):
    w.api.must("CreateOTAModule", ProductKey=w.pk, ModuleName="first")
    change(limit_modules="1")
    answer = w.api.call("CreateOTAModule", ProductKey=w.pk, ModuleName="second")
    assert answer.code == "iot.ota.CreateOTAModuleExceedLimit"


def limit_groups(w, change):
    w.api.must("CreateDeviceGroup", GroupName="g" + uuid.uuid4().hex[:16])
    change(limit_groups=str(w.count("device_group")))
    w.api.refused("CreateDeviceGroup", "iot.group.GroupCountExceedMax", GroupName="g" + uuid.uuid4().hex[:16])


def limit_group_devices(w, change):
    def add():
        group = w.api.must("CreateDeviceGroup", GroupName="g" + uuid.uuid4().hex[:16])["Data"]["GroupId"]
        return w.api.call("BatchAddDeviceGroupRelations", GroupId=group,
                          Device=[{"ProductKey": w.pk, "DeviceName": n} for n in w.names])
    assert add().ok
    change(limit_group_devices="2")
    assert add().code == "iot.group.BindGroupRelationFailed"


def quota(w, change):
    def codes():
        return {a.code for a in at_once(lambda: w.api.call("QueryDeviceDetail", ProductKey=w.pk, DeviceName="nobody"))}
    assert codes() == {"iot.device.NotExistedDevice"}
    change(quota="QueryDeviceDetail=1")
    wait_until(lambda: "Throttling.User" in codes(), 60)


def register_per_second(w, change):
    def turned_away():
        before = w.stack.metric("otad_registrations_total", result="too_many")
        at_once(lambda: http_request("POST", f"http://{w.stack.endpoint}/auth/register/device",
                                     {"Content-Type": "application/x-www-form-urlencoded"}, ASK))
        return w.stack.metric("otad_registrations_total", result="too_many") > before
    change(register_per_second="0")
    assert not turned_away()
    change(register_per_second="1")
    wait_until(turned_away, 60)


ASK = b"productKey=a1nothere00&deviceName=nobody&random=567345&sign=00&signMethod=HmacSHA256"


def event_days(w, change):
    """Of what lies outside the months that have a partition of their own."""
    def put(days):
        w.stack.sql("""insert into task_event (at_ms, job_id, seq, to_seq, from_state, to_state, why)
                       values ((extract(epoch from now()) - %s * 86400)::bigint * 1000, -%s, 0, 0, 1, 2, 1)""", days, days)

    def there(days):
        return w.stack.sql_one("select count(*) from task_event where job_id = -%s", days) == 1
    put(300)
    put(90)
    assert there(300) and there(90)

    def gone():
        change(event_days="100")  # again: a round that cannot have a lock at once leaves it to the next
        return not there(300)
    wait_until(gone, 60)
    assert there(90)


EFFECTS = {f.__name__: f for f in (
    log_level, database_timeout_ms, api_answer_ms, store_external, store_upload_bytes, store_url_hours, limits_profile,
    limit_target_names, limit_list_names, limit_list_bytes, limit_max_per_minute_min, limit_max_per_minute_max,
    limit_max_per_minute_default, limit_max_per_minute_hard, limit_tag_value, limit_products, limit_firmwares,
    limit_modules, limit_groups, limit_group_devices, quota, register_per_second, event_days)}


def test_every_reloadable_key_is_here():
    rows = re.findall(r"(?m)^\| `(\w+)` \|.*\| (yes|restart) \|", DOCS.read_text())
    assert {key for key, reload in rows if reload == "yes"} == set(EFFECTS)


@pytest.mark.parametrize("key", EFFECTS)
def test_reload_changes(key, w, fleet, change):
    w.fleet = fleet
    EFFECTS[key](w, change)
