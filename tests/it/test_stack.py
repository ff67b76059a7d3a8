# SPDX-License-Identifier: Apache-2.0
"""deploy/stack: what up starts, down stops, whatever happened in between."""
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess

import pytest
from client import Client, http_request, wait_until
from conftest import ROOT, build_dir, clock_file

PARTS = ("postgres", "broker", "otad")


def run(*words, check=True):
    env = {**os.environ, "OTAD_BUILD": str(build_dir()), "OTAD_TEST_CLOCK": str(clock_file())}
    r = subprocess.run([str(ROOT / "deploy/stack"), *words], env=env, stdin=subprocess.DEVNULL, capture_output=True,
                       text=True, timeout=180, check=False)
    assert not check or r.returncode == 0, r.stdout + r.stderr
    return r


@pytest.fixture
def own(fresh_stack):
    """A stack that a test may break, and the command for it."""
    return fresh_stack, run


def alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def in_directory(path):
    """Processes whose working directory is below path."""
    found = []
    for p in pathlib.Path("/proc").iterdir():
        try:
            if p.name.isdigit() and os.readlink(p / "cwd").startswith(str(path)):
                found.append(p.name)
        except OSError:
            pass
    return found


def test_up_again_changes_nothing(own):
    stack, run = own
    before = [stack.pid(p) for p in PARTS]
    assert "is up already" in run("up", str(stack.dir), "--fast").stdout
    assert [stack.pid(p) for p in PARTS] == before


def test_nothing_runs_as_root(own):
    stack, _ = own
    for part in PARTS:
        assert os.stat(f"/proc/{stack.pid(part)}").st_uid != 0, part


def test_secrets_are_private(own):
    stack, _ = own
    data = pathlib.Path((stack.dir / "place").read_text().strip())
    for path in (stack.dir / "env", stack.dir / "key", data / "master.key", data / "broker.secret",
                 data / "otad.conf"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_down_after_a_crash_and_up_with_the_same_data(own):
    stack, run = own
    pids = [stack.pid(p) for p in PARTS]
    pk = Client(stack.endpoint, stack.ak, stack.sk).product()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    run("down", str(stack.dir))
    assert not any(alive(p) for p in pids)
    assert not in_directory(stack.dir)
    run("down", str(stack.dir))  # once more: nothing to do, no error
    run("up", str(stack.dir), "--fast")
    stack._read_env()
    # the key and the product are still there
    assert Client(stack.endpoint, stack.ak, stack.sk).device(pk)["ProductKey"] == pk


@pytest.fixture
def elsewhere(tmp_path):
    """A stack in a directory that only we can walk to: as root its data lie in /tmp. -> its directory, and where its data
    are"""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    directory = home / "stack"
    run("up", str(directory), "--fast")
    data = pathlib.Path((directory / "place").read_text().strip())
    assert (data.parent == pathlib.Path("/tmp")) == (os.getuid() == 0)
    yield directory, data
    if directory.exists():
        run("remove", str(directory))


def client_of(directory):
    env = dict(line.split("=", 1) for line in (directory / "env").read_text().splitlines())
    return Client(env["OTA_ENDPOINT"], env["OTA_AK"], env["OTA_SK"])


@pytest.mark.parametrize("running", [True, False])
def test_up_after_its_data_were_cleared_away(elsewhere, running):
    """A new cluster with a key of its own, whatever of the old one still ran."""
    directory, data = elsewhere
    pids = [(directory / f"{p}.pid").read_text().split()[0] for p in PARTS]
    old = client_of(directory)
    pk = old.product()
    if not running:
        run("down", str(directory))
    shutil.rmtree(data)
    if running:
        run("down", str(directory))
    assert not any(alive(p) for p in pids) and not data.exists()
    run("up", str(directory), "--fast")
    new = client_of(directory)
    assert new.product() != pk and (new.ak, new.sk) != (old.ak, old.sk)


def test_remove_leaves_nothing(elsewhere, tmp_path):
    directory, data = elsewhere
    pids = [(directory / f"{p}.pid").read_text().split()[0] for p in PARTS]
    down = run("down", str(directory)).stdout
    assert f"in {data}" in down and f"deploy/stack remove {directory}" in down
    run("up", str(directory), "--fast")
    run("remove", str(directory))
    assert not directory.exists() and not data.exists() and not any(alive(p) for p in pids)
    assert not in_directory(data)
    (tmp_path / "mine").mkdir()
    assert run("remove", str(tmp_path / "mine"), check=False).returncode == 1  # not a stack's
    assert (tmp_path / "mine").exists()


def test_otad_is_started_with_tls_and_a_metrics_listener(own, tmp_path):
    stack, run = own
    subprocess.run([str(ROOT / "deploy/ca"), str(tmp_path / "ca"), "--name", "127.0.0.1"], check=True, capture_output=True)
    tls = stack.dir / "own-tls"
    shutil.copytree(tmp_path / "ca", tls)
    for path in (tls, *tls.iterdir()):
        shutil.chown(path, pathlib.Path(stack.config).owner())
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    run("stop", str(stack.dir), "otad")
    run("start", str(stack.dir), "otad", "--set", f"api_tls_cert={tls}/api.crt", "--set", f"api_tls_key={tls}/api.key",
        "--set", f"metrics_listen=127.0.0.1:{port}")
    stack._read_env()
    assert stack.protocol == "https"
    context = ssl.create_default_context(cafile=str(tls / "ca.crt"))
    assert Client(stack.endpoint, stack.ak, stack.sk, tls=context).product()
    assert http_request("GET", f"http://127.0.0.1:{port}/readyz")[0] == 200
    run("stop", str(stack.dir), "otad")
    run("start", str(stack.dir), "otad")
    stack._read_env()
    assert stack.protocol == "http" and Client(stack.endpoint, stack.ak, stack.sk).product()


def test_down_leaves_no_process_and_no_env(own):
    stack, run = own
    pids = [stack.pid(p) for p in PARTS]
    run("down", str(stack.dir))
    assert not any(alive(p) for p in pids)
    assert not in_directory(stack.dir)
    assert not (stack.dir / "env").exists()
    assert run("status", str(stack.dir), check=False).returncode != 0


def test_down_spares_a_process_that_got_an_old_pid(own):
    stack, run = own
    run("stop", str(stack.dir), "otad")
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        (stack.dir / "otad.pid").write_text(f"{bystander.pid} 1\n")
        run("down", str(stack.dir))
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_otad_keeps_its_ports_over_a_restart(own):
    stack, _ = own
    stack.restart_otad()
    wait_until(lambda: Client(stack.endpoint, stack.ak, stack.sk).product(), 10)
