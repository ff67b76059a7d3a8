# SPDX-License-Identifier: Apache-2.0
"""Everything over TLS under an authority of our own (deploy/ca): a whole update, who is refused, and
certificates that are replaced under running servers."""
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
from urllib.parse import urlsplit

import pytest

from client import Client, http_connection, http_request, node_env, raw_exchange, wait_until
from conftest import ROOT
from mqtt_device import ConnectRefused, MqttDevice, credentials

MIB = 1 << 20


@pytest.fixture(scope="module")
def tls_api(tls_stack):
    return Client(tls_stack.endpoint, tls_stack.ak, tls_stack.sk, tls=tls_stack.tls)


@pytest.fixture
def tls_device(tls_stack, tls_api):
    """A registered device that is connected."""
    made = []

    def make(pk=None):
        d = MqttDevice(tls_stack.broker, tls_api.device(pk or tls_api.product()), tls=tls_stack.tls)
        made.append(d)
        return d.connect()
    yield make
    for d in made:
        d.disconnect()


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """A client that trusts another authority than the servers'."""
    other = tmp_path_factory.mktemp("other")
    ca(other)
    return ssl.create_default_context(cafile=other / "ca.crt")


def ca(directory, *words, check=True):
    r = subprocess.run([str(ROOT / "deploy/ca"), str(directory), *words], capture_output=True, text=True,
                       stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert not check or r.returncode == 0, r.stdout + r.stderr
    return r


def openssl(*words):
    return subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=True).stdout


def get(url, tls, *headers, method="GET"):
    return http_request(method, url, dict(h.split(": ") for h in headers), tls=tls)


def servers(stack):
    return {"api": stack.endpoint, "store": stack.store, "broker": stack.broker}


def handshake(hostport, context, within=10):
    """Connects and shakes hands -> the serial number of the certificate."""
    host, port = hostport.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=within) as s, \
            context.wrap_socket(s, server_hostname=host) as t:
        return t.getpeercert()["serialNumber"]


# ---- a device's life ----

def test_a_whole_update(tls_stack, tls_api, tls_device):
    pk = tls_api.product()
    content = os.urandom(3 * MIB + 17)
    fw = tls_api.firmware(pk, "2.0.0", content)
    assert fw.url.startswith("https://")
    d = tls_device(pk)
    d.inform("1.0.0")
    wait_until(lambda: tls_api.version_of(pk, d.name) == "1.0.0", 10)
    job = tls_api.job(fw)
    data = d.wait_push()["data"]
    assert data["url"].startswith(f"https://{tls_stack.store}/") and len(data["url"]) < 250
    d.progress(1)
    # the connection breaks after a part; the rest comes with Range, as a device resumes
    status, headers, first = get(data["url"], tls_stack.tls, "Range: bytes=0-1000000")
    assert status == 206 and headers["content-range"] == f"bytes 0-1000000/{len(content)}"
    status, headers, rest = get(data["url"], tls_stack.tls, "Range: bytes=1000001-")
    assert status == 206 and int(headers["content-length"]) == len(rest) == len(content) - 1000001
    assert hashlib.md5(first + rest).hexdigest() == data["md5"] == fw.md5
    d.progress(100)
    d.inform("2.0.0")
    assert tls_api.wait_task(job, d.name, "SUCCEEDED")["Progress"] == "100.00"
    tls_api.wait_job(job, "COMPLETED")


def test_downloads_of_all_kinds(tls_stack, tls_api):
    content = os.urandom(24 * MIB + 1)
    fw = tls_api.firmware(tls_api.product(), content=content)
    url = tls_api.must("QueryOTAFirmware", FirmwareId=fw.id)["FirmwareInfo"]["FirmwareUrl"]
    before = tls_stack.metric("otad_store_download_bytes_total")
    u = urlsplit(url)
    target = f"{u.path}?{u.query}"
    # several requests on one connection, a whole object among them
    c = http_connection(u.netloc, tls_stack.tls, 60)
    try:
        for method, asked, status, body in (
                ("HEAD", None, 200, b""), ("GET", "bytes=5-5", 206, content[5:6]), ("GET", None, 200, content),
                ("GET", f"bytes=-{MIB}", 206, content[-MIB:]), ("GET", f"bytes={len(content)}-", 416, b""),
                ("GET", "bytes=16384-32767", 206, content[16384:32768])):
            c.request(method, target, headers={"Range": asked} if asked else {})
            r = c.getresponse()
            assert r.status == status and r.read() == body, (method, asked, r.status)
            assert method != "HEAD" or int(r.getheader("Content-Length")) == len(content)
    finally:
        c.close()
    sent = 1 + len(content) + MIB + 16384
    wait_until(lambda: tls_stack.metric("otad_store_download_bytes_total") - before >= sent, 10)
    assert get(url[:-1] + ("A" if url[-1] != "A" else "B"), tls_stack.tls)[0] == 403


def test_a_client_that_leaves_in_the_middle_harms_nobody(tls_stack, tls_api):
    content = os.urandom(24 * MIB)
    fw = tls_api.firmware(tls_api.product(), content=content)
    url = tls_api.must("QueryOTAFirmware", FirmwareId=fw.id)["FirmwareInfo"]["FirmwareUrl"]
    u = urlsplit(url)
    for _ in range(5):
        c = http_connection(u.netloc, tls_stack.tls, 30)
        c.request("GET", f"{u.path}?{u.query}")
        r = c.getresponse()
        assert len(r.read(100000)) == 100000
        c.close()
        r.close()
    wait_until(lambda: tls_stack.metric("otad_store_connections") == 0, 20)
    assert get(url, tls_stack.tls)[2] == content


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_second_listener_for_devices(tls_stack, tls_api, scheme):
    """What its URL says decides whether it speaks TLS."""
    tls_stack.restart_otad(store_device_listen="127.0.0.1:0", store_device_url=f"{scheme}://localhost")
    try:
        port = [e for e in tls_stack.log() if e["event"] == "ready"][-1]["store_device_port"]
        content = os.urandom(MIB)
        fw = tls_api.firmware(tls_api.product(), content=content)
        url = tls_api.must("QueryOTAFirmware", FirmwareId=fw.id)["FirmwareInfo"]["FirmwareUrl"]
        assert url.startswith(f"{scheme}://localhost/ota/")
        here = url.replace("//localhost/", f"//localhost:{port}/")
        assert http_request("GET", here, tls=tls_stack.tls if scheme == "https" else None)[2] == content
        # the first one speaks TLS in any case
        assert get(url.replace(f"{scheme}://localhost/", f"https://{tls_stack.store}/"), tls_stack.tls)[2] == content
    finally:
        tls_stack.restart_otad()


def test_simulated_devices_of_every_generation(tls_stack, tls_api, simulate):
    pk = tls_api.product()
    rows = [tls_api.device(pk) for _ in range(8)]
    end = simulate(rows, "--profile", "c-link-3.2,c-link-4,node,paho", "--any-port", "--delay", "100", on=tls_stack)
    for r in rows:
        wait_until(lambda r=r: tls_api.version_of(pk, r["DeviceName"]) == "1.0.0", 30)
    content = os.urandom(MIB)
    job = tls_api.job(tls_api.firmware(pk, content=content))
    wait_until(lambda: [t["TaskStatus"] for t in tls_api.tasks(job)] == ["SUCCEEDED"] * 8, 60,
               lambda: [(t["TaskStatus"], t["TaskDesc"]) for t in tls_api.tasks(job)])
    report, _ = end()
    assert report["successes"] == report["downloads"] == 8 and report["digest_errors"] == 0
    assert report["bytes"] == 8 * MIB


def test_simulated_devices_refuse_another_authority(tls_stack, tls_api, tmp_path):
    ca(tmp_path / "other")
    row = tls_api.device(tls_api.product())
    (tmp_path / "fleet.csv").write_text(f"{row['ProductKey']},{row['DeviceName']},{row['DeviceSecret']}\n")
    r = subprocess.run([tls_stack.bin / "otasim", "--broker", tls_stack.broker, "--ca", tmp_path / "other/ca.crt",
                        "--devices", tmp_path / "fleet.csv", "--duration", "2"], env=tls_stack.env, text=True,
                       capture_output=True, timeout=60, check=False)
    assert r.returncode == 0 and json.loads(r.stdout)["ever_online"] == 0
    assert "otasim: a server's certificate: " in r.stderr


def test_the_vendors_sdk_over_https(tls_stack, tmp_path):
    """Unmodified, with protocol HTTPS; the authority comes by Node's own variable."""
    script = tmp_path / "call.cjs"
    script.write_text("""
        const require2 = require('node:module').createRequire(process.env.NPM + '/package.json');
        const { default: Iot, CreateProductRequest } = require2('@alicloud/iot20180120');
        const { Config } = require2('@alicloud/openapi-client');
        const client = new Iot(new Config({ accessKeyId: process.env.AK, accessKeySecret: process.env.SK,
          endpoint: process.env.ENDPOINT, protocol: 'HTTPS' }));
        client.createProduct(new CreateProductRequest({ productName: process.env.NAME, nodeType: 0 })).then(
          (a) => { console.log(JSON.stringify(a.body)); }, (e) => { console.error(e.message); process.exit(1); });
    """)

    def run(**extra):
        env = node_env(NPM=str(ROOT / "build/npm"), AK=tls_stack.ak, SK=tls_stack.sk, ENDPOINT=tls_stack.endpoint,
                       NAME="p" + os.urandom(6).hex(), **extra)
        return subprocess.run(["node", str(script)], env=env, capture_output=True, text=True, timeout=60,
                              check=False)
    good = run(NODE_EXTRA_CA_CERTS=tls_stack.ca)
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["success"] is True
    bad = run()
    assert bad.returncode == 1 and "certificate" in bad.stderr


# ---- who is refused ----

@pytest.mark.parametrize("server", ["api", "store", "broker"])
def test_an_authority_that_the_client_does_not_know(tls_stack, stranger, server):
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(servers(tls_stack)[server], stranger)
    handshake(servers(tls_stack)[server], tls_stack.tls)


@pytest.mark.parametrize("server", ["api", "store", "broker"])
def test_a_name_that_is_not_in_the_certificate(tls_stack, server):
    host, port = servers(tls_stack)[server].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as s:
        with pytest.raises(ssl.SSLCertVerificationError, match="ostname"):
            tls_stack.tls.wrap_socket(s, server_hostname="ota.example")


@pytest.mark.parametrize("server", ["api", "store", "broker"])
def test_old_versions_of_tls(tls_stack, server):
    old = ssl.create_default_context(cafile=tls_stack.ca)
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        handshake(servers(tls_stack)[server], old)


@pytest.mark.parametrize("server", ["api", "store"])
def test_plain_http_on_a_tls_port(tls_stack, tls_api, server):
    hostport = servers(tls_stack)[server]
    assert not raw_exchange(hostport, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(b"HTTP/")
    with pytest.raises((http.client.HTTPException, OSError)):
        http_request("GET", f"http://{hostport}/healthz", timeout=10)
    tls_api.product()


def test_plain_mqtt_on_the_tls_port(tls_stack, tls_api):
    row = tls_api.device(tls_api.product())
    d = MqttDevice(tls_stack.broker, row)
    with pytest.raises((ConnectRefused, OSError)):
        d.connect(within=20)
    # while the port without TLS takes the same device
    d = MqttDevice(tls_stack.broker_plain, row).connect()
    d.disconnect()


def test_tls_on_the_plain_port(tls_stack):
    with pytest.raises((ssl.SSLError, OSError)):
        handshake(tls_stack.broker_plain, tls_stack.tls)


def test_a_wrong_password_over_tls(tls_stack, tls_api):
    row = tls_api.device(tls_api.product())
    login = credentials(row["ProductKey"], row["DeviceName"], "0" * 32)
    with pytest.raises(ConnectRefused) as refused:
        MqttDevice(tls_stack.broker, row, tls=tls_stack.tls).connect(login=login)
    assert refused.value.rc == 5


# ---- certificates come and go ----

@pytest.fixture
def tls_dir(tls_stack):
    """The servers' certificates; afterwards they are good and in use again."""
    directory = pathlib.Path((tls_stack.dir / "place").read_text().strip()) / "tls"
    yield directory
    renew(tls_stack, directory)
    reload(tls_stack)
    wait_until(lambda: serials(tls_stack) == {name: serial(directory / f"{name}.crt") for name in servers(tls_stack)})


def serial(certificate):
    out = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", str(certificate)], capture_output=True,
                         text=True, timeout=60, check=True).stdout
    return out.strip().removeprefix("serial=")


def renew(stack, directory):
    ca(directory, "--renew")
    if os.getuid() == 0:
        shutil.chown(directory, stack.config.owner())
        for f in directory.iterdir():
            shutil.chown(f, stack.config.owner())


def reload(stack):
    lines = len(stack.log())
    stack.signal_otad()
    stack.wait_log("config_reloaded", after=lines)
    os.kill(stack.pid("broker"), 1)


def serials(stack):
    return {name: handshake(hostport, stack.tls) for name, hostport in servers(stack).items()}


def test_new_certificates_without_losing_a_connection(tls_stack, tls_api, tls_dir, tls_device):
    d = tls_device()
    content = os.urandom(16 * MIB)
    fw = tls_api.firmware(d.pk, content=content)
    url = urlsplit(tls_api.must("QueryOTAFirmware", FirmwareId=fw.id)["FirmwareInfo"]["FirmwareUrl"])
    api = Client(tls_stack.endpoint, tls_stack.ak, tls_stack.sk, tls=tls_stack.tls)
    api.must("QueryDeviceDetail", ProductKey=d.pk, DeviceName=d.name)
    kept = api.local.connection
    download = http_connection(url.netloc, tls_stack.tls, 60)
    download.request("GET", f"{url.path}?{url.query}")
    answer = download.getresponse()
    got = answer.read(1000)

    before = serials(tls_stack)
    renew(tls_stack, tls_dir)
    reload(tls_stack)
    wait_until(lambda: all(a != b for a, b in zip(before.values(), serials(tls_stack).values())), 10)

    got += answer.read()
    assert got == content
    download.close()
    api.must("QueryDeviceDetail", ProductKey=d.pk, DeviceName=d.name)
    assert api.local.connection is kept
    d.inform("1.0.0")
    wait_until(lambda: tls_api.version_of(d.pk, d.name) == "1.0.0", 10)
    assert d.connected and d.closed_at is None


@pytest.mark.parametrize("damage", ["text", "key of another", "no file"])
def test_a_bad_certificate_leaves_the_old_one_in_use(tls_stack, tls_dir, tls_api, damage):
    before = handshake(tls_stack.endpoint, tls_stack.tls)
    if damage == "text":
        (tls_dir / "api.crt").write_text("no certificate\n")
    elif damage == "no file":
        (tls_dir / "api.key").unlink()
    else:
        shutil.copyfile(tls_dir / "store.key", tls_dir / "api.key")
    lines = len(tls_stack.log())
    tls_stack.expect_errors("tls_bad")
    tls_stack.signal_otad()
    bad = tls_stack.wait_log("tls_bad", after=lines)
    assert "api." in bad["why"] and "BEGIN" not in bad["why"]
    tls_stack.wait_log("config_reloaded", after=lines)
    assert handshake(tls_stack.endpoint, tls_stack.tls) == before
    tls_api.product()


def test_otad_refuses_a_broker_of_another_authority(tls_stack, tls_dir, tmp_path):
    ca(tmp_path / "other")
    good = (tls_dir / "ca.crt").read_bytes()
    (tls_dir / "ca.crt").write_bytes((tmp_path / "other/ca.crt").read_bytes())
    log = tls_stack.dir / "broker.err"
    try:
        tls_stack.kill("broker")
        seen = log.stat().st_size
        tls_stack.start("broker")
        wait_until(lambda: "unknown ca" in log.read_text()[seen:], 20)
        assert get(f"https://{tls_stack.endpoint}/readyz", tls_stack.tls)[0] == 503
    finally:
        (tls_dir / "ca.crt").write_bytes(good)
    wait_until(lambda: get(f"https://{tls_stack.endpoint}/readyz", tls_stack.tls)[0] == 200, 30)


def test_a_key_with_a_passphrase_is_refused_at_the_start(tls_stack, tls_dir, tmp_path):
    openssl("pkey", "-in", tls_dir / "api.key", "-aes256", "-passout", "pass:x", "-out", tmp_path / "api.key")
    config = tmp_path / "otad.conf"
    config.write_text(tls_stack.config.read_text().replace(str(tls_dir / "api.key"), str(tmp_path / "api.key")))
    r = subprocess.run([str(tls_stack.bin / "otad"), "--config", str(config)], env=tls_stack.env, capture_output=True,
                       stdin=subprocess.DEVNULL, text=True, timeout=60, check=False)
    assert r.returncode == 1 and "api.key: " in r.stderr, r.stderr


# ---- deploy/ca ----

def dates(path):
    return openssl("x509", "-in", path, "-noout", "-serial", "-enddate")


def test_ca_makes_what_is_asked_for(tmp_path):
    d = tmp_path / "ca"
    ca(d, "--name", "ota.example", "--name", "10.1.2.3", "--name", "::1", "--name", "broker=mqtt.ota.example")
    for server in ("api", "store", "broker"):
        text = openssl("x509", "-in", d / f"{server}.crt", "-noout", "-text")
        assert "DNS:ota.example, IP Address:10.1.2.3, IP Address:0:0:0:0:0:0:0:1" in text
        assert ("DNS:mqtt.ota.example" in text) == (server == "broker")
        assert "CA:FALSE" in text and "TLS Web Server Authentication" in text
        openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", d / "ca.crt", d / f"{server}.crt")
        assert (d / f"{server}.key").stat().st_mode & 0o077 == 0
    assert (d / "ca.key").stat().st_mode & 0o077 == 0
    # a group that may read the directory may read the servers' keys, and no other
    d.chmod(0o750)
    ca(d, "--renew")
    assert (d / "api.key").stat().st_mode & 0o077 == 0o040
    assert (d / "api.key").stat().st_gid == d.stat().st_gid
    assert (d / "ca.key").stat().st_mode & 0o077 == 0
    assert "CA:TRUE, pathlen:0" in openssl("x509", "-in", d / "ca.crt", "-noout", "-text")


def test_ca_again_changes_only_what_it_has_to(tmp_path):
    d = tmp_path / "ca"
    ca(d, "--name", "ota.example")
    files = {f.name: f.read_bytes() for f in d.iterdir()}
    assert ca(d).stdout == ""
    assert ca(d, "--name", "ota.example").stdout == ""
    assert {f.name: f.read_bytes() for f in d.iterdir()} == files
    # another name for one server
    ca(d, "--name", "ota.example", "--name", "api=console.example")
    changed = {f.name for f in d.iterdir() if f.read_bytes() != files[f.name]}
    assert changed == {"names", "api.crt", "api.key", "api.names"}
    # a key that does not belong to its certificate
    shutil.copyfile(d / "api.key", d / "store.key")
    assert "store.crt" in ca(d).stdout
    assert ca(d).stdout == ""
    # all, under the same authority
    before = {s: dates(d / f"{s}.crt") for s in ("api", "store", "broker")}
    ca(d, "--renew")
    assert not set(before.values()) & {dates(d / f"{s}.crt") for s in before}
    assert (d / "ca.crt").read_bytes() == files["ca.crt"]


def test_ca_renews_what_ends_soon(tmp_path):
    d = tmp_path / "ca"
    ca(d, "--days", "20")
    before = dates(d / "api.crt")
    assert "api.crt" in ca(d).stdout
    assert dates(d / "api.crt") != before
    assert ca(d).stdout == ""


@pytest.mark.parametrize("words", [["--name", "a b"], ["--name", "x,DNS:evil"], ["--name", ""], ["--days", "0"],
                                   ["--days", "x"], ["--what"]])
def test_ca_refuses_and_changes_nothing(tmp_path, words):
    r = ca(tmp_path / "ca", *words, check=False)
    assert r.returncode != 0 and r.stderr
    assert not (tmp_path / "ca").exists()


def test_ca_never_makes_a_second_authority_in_the_same_place(tmp_path):
    d = tmp_path / "ca"
    ca(d)
    (d / "ca.key").unlink()
    r = ca(d, "--renew", check=False)
    assert r.returncode == 1 and "ca.key is missing" in r.stderr


# ---- the guard of the API's listener, behind TLS ----

def tls_exchange(stack, *pieces, hostport=None):
    """Sends the pieces, each in a record of its own, and reads to the end -> bytes."""
    host, port = (hostport or stack.endpoint).rsplit(":", 1)
    out = b""
    with socket.create_connection((host, int(port)), timeout=20) as s, \
            stack.tls.wrap_socket(s, server_hostname=host, suppress_ragged_eofs=True) as t:
        for piece in pieces:
            t.sendall(piece)
        try:
            while piece := t.recv(65536):
                out += piece
        except (ssl.SSLError, ConnectionResetError):
            pass
    return out


def test_pipelined_and_cut_requests(tls_stack):
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert tls_exchange(tls_stack, one + one + last).count(b"HTTP/1.1 200 OK") == 3
    assert tls_exchange(tls_stack, *[bytes([b]) for b in one], last).count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize("request_bytes,status", [
    (b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n", b"400"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", b"400"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", b"400"),
])
def test_what_the_guard_refuses(tls_stack, tls_api, request_bytes, status):
    answer = tls_exchange(tls_stack, request_bytes)
    assert answer.startswith(b"HTTP/1.1 " + status), answer[:200]
    tls_api.product()


def test_expect_continue(tls_stack, tls_api):
    method, target, headers, body = tls_api.request("CreateProduct", {"ProductName": "p" + os.urandom(6).hex(),
                                                                      "NodeType": 0}, place="form")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {tls_stack.endpoint}", f"Content-Length: {len(body)}",
             "Expect: 100-continue", "Connection: close", *[f"{k}: {v}" for k, v in headers.items() if k != "host"]]
    host, port = tls_stack.endpoint.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as s, \
            tls_stack.tls.wrap_socket(s, server_hostname=host) as t:
        t.sendall("\r\n".join([*lines, "", ""]).encode())
        assert t.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        t.sendall(body)
        answer = b""
        while piece := t.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200 OK") and b'"Success":true' in answer


def test_a_slow_request_is_cut_off(tls_stack, tls_api):
    tls_stack.restart_otad(api_request_ms="500")
    try:
        before = tls_stack.metric("otad_api_slow_clients_total")
        assert tls_exchange(tls_stack, b"GET /healthz HTT") == b""
        assert tls_stack.metric("otad_api_slow_clients_total") == before + 1
        # nor does anybody wait for a handshake that does not come
        host, port = tls_stack.endpoint.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=20) as s:
            assert s.recv(10) == b""
    finally:
        tls_stack.restart_otad()


def test_a_handshake_that_does_not_come_at_the_store(tls_stack):
    """Ten seconds, as for any first request."""
    host, port = tls_stack.store.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as s:
        s.sendall(b"\x16\x03\x01")
        assert s.recv(10) == b""


def test_an_upload_in_pieces(tls_stack, tls_api):
    content = os.urandom(5 * MIB)
    fw = tls_api.firmware(tls_api.product(), content=content, FirmwareSign=hashlib.md5(content).hexdigest(),
                          SignMethod="MD5")
    url = tls_api.must("QueryOTAFirmware", FirmwareId=fw.id)["FirmwareInfo"]["FirmwareUrl"]
    assert get(url, tls_stack.tls)[2] == content
