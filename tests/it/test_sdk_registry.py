# SPDX-License-Identifier: Apache-2.0
"""Products, devices, groups and tags through the vendor's own management clients, each in each of its ways."""
import json
import subprocess

import pytest

from client import node_env
from conftest import ROOT

# The registry's actions that this file does not go through: ResetThing is about dynamic registration.
ELSEWHERE = {"ResetThing"}


def registry_actions(stack):
    document = json.loads(subprocess.run([str(stack.bin / "otactl"), "openapi"], capture_output=True, text=True,
                                         timeout=60, check=True).stdout)
    names = {p["post"]["operationId"] for p in document["paths"].values()}
    return {n for n in names if "OTA" not in n and not n.startswith("Generate")} - ELSEWHERE


@pytest.mark.parametrize("via", ["iot", "iot-v2", "pop-get", "pop-post"])
def test_every_action(stack, api, via):
    instance = stack.sql_one("select i.instance_id from instance i join access_key k using (account_id)"
                             " where i.is_default and k.key_id = %s", api.ak)
    r = subprocess.run(["node", str(ROOT / "tests/it/sdk_registry.mjs"), str(ROOT / "build/npm/node_modules"),
                        stack.endpoint, stack.ak, stack.sk, instance, via], env=node_env(), capture_output=True, text=True,
                       timeout=300, check=False)
    assert r.returncode == 0, r.stdout + r.stderr
    assert set(json.loads(r.stdout)) == registry_actions(stack)
