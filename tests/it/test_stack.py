# SPDX-License-Identifier: Apache-2.0
"""deploy/stack: what up starts, down stops, whatever happened in between."""
import os
import pathlib
import signal
import subprocess

import pytest
from client import Client, wait_until
from conftest import ROOT

PARTS = ("postgres", "broker", "otad")


@pytest.fixture
def own(fresh_stack):
    """A stack that a test may break, and the command for it."""
    def run(*words, check=True):
        r = subprocess.run([str(ROOT / "deploy/stack"), *words], env=fresh_stack.env, stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=120, check=False)
        assert not check or r.returncode == 0, r.stdout + r.stderr
        return r
    yield fresh_stack, run


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
