# SPDX-License-Identifier: Apache-2.0
"""The field tables against the vendor's own typed SDK: every parameter that it can send is known, by the same name and
of the same type, and every member that it reads of an answer is one that we send."""
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# Members of the SDK's answers that nothing here could fill.
NOT_SENT = {
    ("QueryProduct", "Data.CategoryName"),  # the vendor's table of categories
    ("QueryDevice", "Data.DeviceInfo.DeviceType"),  # documented as not returned
    ("QueryOTAJob", "Data.JobDesc"),  # no call sets one
}
# Actions that came after this release of the SDK.
YOUNGER = {"ModifyOTAFirmware", "UpdateOTAJob"}


def otactl():
    for build in (os.environ.get("OTAD_BUILD"), ROOT / "build/asan", ROOT / "build/dev", ROOT / "build/release"):
        if build and (pathlib.Path(build) / "bin/otactl").exists():
            return str(pathlib.Path(build) / "bin/otactl")
    raise AssertionError("no otactl: build first")


@pytest.fixture(scope="module")
def operations():
    text = subprocess.run([otactl(), "openapi"], capture_output=True, text=True, timeout=60, check=True).stdout
    return {p["post"]["operationId"]: p["post"] for p in json.loads(text)["paths"].values()}


@pytest.fixture(scope="module")
def sdk(operations):
    out = subprocess.run(["node", str(ROOT / "tests/contract/sdk_models.mjs"), str(ROOT / "build/npm/node_modules"),
                          *operations], capture_output=True, text=True, timeout=120, check=False)
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout)


def differences(theirs, schema, where, unknown=()):
    """What of their type our schema lacks or has otherwise."""
    if isinstance(theirs, str):
        ours = {"integer": "number"}.get(schema["type"], schema["type"])
        return [] if ours == theirs else [f"{where} is {ours}, not {theirs}"]
    if isinstance(theirs, list):
        if schema["type"] != "array":
            return [f"{where} is {schema['type']}, not a list"]
        return differences(theirs[0], schema["items"], where, unknown)
    if schema["type"] != "object":
        return [f"{where} is {schema['type']}, not a struct"]
    out = []
    for name, kind in theirs.items():
        at = f"{where}.{name}" if where else name
        if name not in schema["properties"]:
            if at not in unknown:
                out.append(f"{at} is missing")
            continue
        out += differences(kind, schema["properties"][name], at, unknown)
    return out


def test_every_action_is_the_sdks(operations, sdk):
    assert len(sdk) > 40
    assert set(operations) - set(sdk) == YOUNGER


def test_parameters(operations, sdk):
    wrong = []
    for action, models in sdk.items():
        known = {p["name"]: p["schema"] for p in operations[action]["parameters"]}
        wrong += [f"{action}: {d}" for d in differences(models["in"], {"type": "object", "properties": known}, "")]
    assert wrong == []


def test_answers(operations, sdk):
    wrong = []
    for action, models in sdk.items():
        schema = operations[action]["responses"]["200"]["content"]["application/json"]["schema"]
        unknown = {path for a, path in NOT_SENT if a == action}
        wrong += [f"{action}: {d}" for d in differences(models["out"], schema, "", unknown)]
    assert wrong == []
