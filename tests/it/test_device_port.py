# SPDX-License-Identifier: Apache-2.0
"""A second listener for downloads, on port 80 or 443, for SDKs that take a port in a URL for a part of the
name (device §5.1). Without the right to that port another one stands in for it."""
import hashlib
import os
import re
import socket
import subprocess
from urllib.parse import urlsplit

import pytest

from client import http_request, raw_exchange

ADDRESS = "127.0.0.80"


def port_for(wanted):
    """The port itself when this user may have it on a free address of the loopback network, else any."""
    for port in (wanted, 0):
        with socket.socket() as s:
            try:
                s.bind((ADDRESS, port))
            except OSError:
                continue
            return s.getsockname()[1]
    raise AssertionError("no port at all")


@pytest.fixture
def second_door(otad_default):
    def make(**settings):
        otad_default.stop_otad()
        otad_default.start_otad(**settings)
        ready = [e for e in otad_default.log() if e["event"] == "ready"][-1]
        return ready["store_device_port"]
    return make


def exchange(hostport, host, target, *headers):
    """A request as old C SDKs send it: the Host header is what the URL has."""
    answer = raw_exchange(hostport, "\r\n".join([
        f"GET {target} HTTP/1.1", f"Host: {host}",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Encoding: gzip, deflate",
        *headers, "Connection: close", "", ""]).encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode(), body


def test_links_without_a_port(second_door, stack, api, fleet):
    port = port_for(80)
    assert second_door(store_device_listen=f"{ADDRESS}:{port}", store_device_url="http://ota.example") == port
    f = fleet(1, "1.0.0")
    content = os.urandom(100_000)
    fw = api.firmware(f.pk, "2.0.0", content)
    assert fw.url.startswith(f"http://{stack.store}/"), "uploads stay where they were"
    job = api.job(fw)
    d = f.devices[0]
    data = d.wait_push()["data"]
    u = urlsplit(data["url"])
    assert u.netloc == "ota.example" and len(data["url"]) < 250
    target = f"{u.path}?{u.query}"

    head, body = exchange(f"{ADDRESS}:{port}", u.netloc, target, "Range: bytes=0-")
    assert head.startswith("HTTP/1.1 206 Partial Content\r\n")
    assert re.search(r"\r\nContent-Length: 100000\r\n", head) and len(head) < 1024
    assert hashlib.md5(body).hexdigest() == data["md5"]
    head, body = exchange(f"{ADDRESS}:{port}", u.netloc, target, "Range: bytes=99990-")
    assert body == content[99990:]
    # the other door has the same, and links of before it was opened go on working
    assert exchange(stack.store, u.netloc, target)[1] == content
    assert exchange(f"{ADDRESS}:{port}", u.netloc, target + "x")[0].startswith("HTTP/1.1 403 ")

    d.upgrade("2.0.0")
    api.wait_task(job, d.name, "SUCCEEDED")


def test_uploads_and_health_through_either_door(second_door, stack, api):
    port = second_door(store_device_listen=f"{ADDRESS}:0", store_device_url="http://ota.example")
    assert http_request("GET", f"http://{ADDRESS}:{port}/healthz")[::2] == (200, b"ok\n")
    form = api.must("GenerateOTAUploadURL")["Data"]
    assert form["Host"] == f"http://{stack.store}"


def test_a_path_in_the_devices_url(second_door, stack, api):
    """A proxy may hand the path on or take it away."""
    port = second_door(store_device_listen=f"{ADDRESS}:0", store_device_url="http://ota.example/fw/v1")
    fw = api.firmware(api.product(), content=b"x" * 100)
    url = api.must("QueryOTAFirmware", FirmwareId=fw.id)["FirmwareInfo"]["FirmwareUrl"]
    target = url[len("http://ota.example"):]
    assert target.startswith("/fw/v1/ota/")
    for path in (target, target[len("/fw/v1"):]):
        assert exchange(f"{ADDRESS}:{port}", "ota.example", path)[1] == b"x" * 100


def test_only_links_for_a_proxy_on_port_80(second_door, stack, api):
    """store_device_url alone: somebody else listens there and forwards."""
    assert second_door(store_device_url="http://ota.example") == 0
    fw = api.firmware(api.product(), content=b"y" * 10)
    url = urlsplit(api.must("QueryOTAFirmware", FirmwareId=fw.id)["FirmwareInfo"]["FirmwareUrl"])
    assert url.netloc == "ota.example"
    assert exchange(stack.store, url.netloc, f"{url.path}?{url.query}")[1] == b"y" * 10


@pytest.mark.parametrize("lines,why", [
    ("store_device_listen = 127.0.0.1:80", "store_device_listen needs store_device_url"),
    ("store_device_listen = 127.0.0.1:443\nstore_device_url = https://ota.example", "needs store_tls_cert"),
    ("store_device_listen = 80\nstore_device_url = http://ota.example", "ADDRESS:PORT"),
    ("store_device_url = ota.example", "http://.. or https://"),
    ("store_device_url = http://" + "h" * 84, "at most 90"),
    ("store_url = http://ota.example/", "without a slash"),
    ("store_tls_cert = /x", "go together"),
])
def test_settings_that_cannot_be(stack, tmp_path, lines, why):
    (tmp_path / "otad.conf").write_text(lines + "\n")
    r = subprocess.run([str(stack.bin / "otad"), "--config", str(tmp_path / "otad.conf"), "--check"], env=stack.env,
                       capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, check=False)
    assert r.returncode == 1 and why in r.stderr, r.stderr


def test_a_port_that_is_taken_stops_the_start(stack, tmp_path):
    with socket.socket() as s:
        s.bind((ADDRESS, 0))
        s.listen()
        port = s.getsockname()[1]
        text = stack.config.read_text()
        text = re.sub(r"(?m)^(api|store)_listen = .*$", r"\1_listen = 127.0.0.1:0", text)
        (tmp_path / "otad.conf").write_text(f"{text}store_device_listen = {ADDRESS}:{port}\n"
                                            "store_device_url = http://ota.example\n")
        r = subprocess.run([str(stack.bin / "otad"), "--config", str(tmp_path / "otad.conf")], env=stack.env,
                           capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
    assert r.returncode == 1 and f"{ADDRESS}:{port}: Address already in use" in r.stderr, r.stderr
