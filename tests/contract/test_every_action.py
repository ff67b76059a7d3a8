# SPDX-License-Identifier: Apache-2.0
"""Every action, by the printed OpenAPI document: a full request with each of the vendor's clients, every parameter with
every kind of value that it must not have, every error that it documents. The last test fails when one was left out."""
import itertools
import json
import os
import pathlib
import subprocess

import campaign
import pytest
import refusals
from client import node_env
from conftest import ROOT

VIA = ["iot", "iot-v2", "pop-get", "pop-post", "py", "py-v2", "py-classic", "go", "go-classic"]
HERE = pathlib.Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def operations(stack):
    text = subprocess.run([str(stack.bin / "otactl"), "openapi"], capture_output=True, text=True, timeout=60,
                          check=True).stdout
    return {p["post"]["operationId"]: p["post"] for p in json.loads(text)["paths"].values()}


@pytest.fixture(scope="module")
def seen():
    """What this module has had: (via, action, parameter) of successes, (action, code) of refusals, (RequestId, action,
    result) of both."""
    return {"parameters": set(), "errors": set(), "calls": set()}


def default_instance(stack, ak):
    return stack.sql_one("select i.instance_id from instance i join access_key k using (account_id)"
                         " where i.is_default and k.key_id = %s", ak)


@pytest.fixture(scope="module")
def instance(stack):
    return default_instance(stack, stack.ak)


# ---- full requests ----

def conforms(value, schema, where):
    """Every member of an answer is in the document, and of its type."""
    kind = schema["type"]
    if kind == "object":
        assert isinstance(value, dict), where
        for k, v in value.items():
            assert k in schema["properties"], f"{where}.{k} is not in the document"
            conforms(v, schema["properties"][k], f"{where}.{k}")
    elif kind == "array":
        assert isinstance(value, list), where
        for i, v in enumerate(value):
            conforms(v, schema["items"], f"{where}[{i}]")
    else:
        want = {"string": str, "integer": int, "boolean": bool}[kind]
        assert type(value) is want, f"{where} is {value!r}, not {kind}"


def answer_schema(op):
    return op["responses"]["200"]["content"]["application/json"]["schema"]


def spelt(name, value):
    """The parameters of a value, as the document spells them: Name, Name.N, Name.N.Field."""
    if not isinstance(value, list):
        return {name}
    return {f"{name}.N.{k}" for v in value if isinstance(v, dict) for k in v} or {f"{name}.N"}


def parameters(op):
    out = set()
    for p in op["parameters"]:
        fields = p["schema"].get("items", {}).get("properties")
        out |= {f"{p['name']}.N.{f}" for f in fields} if fields else \
            {p["name"] + (".N" if p["schema"]["type"] == "array" else "")}
    return out


@pytest.fixture(scope="module")
def vendor(stack):
    """vendor(via, action, params) -> {"body": ..} or {"error": ..}"""
    node = ["node", str(HERE / "clients.mjs"), str(ROOT / "build/npm/node_modules")]
    python = ["/usr/bin/python3", "-S", str(HERE / "python_clients.py")]
    path = os.pathsep.join([str(ROOT / "tests/it/sdk"), str(ROOT / "build/sdk-management")])
    go = [ROOT / "build/sdk-go/go_clients"]
    # Again, for it may have been changed.
    subprocess.run(["go", "build", "-buildvcs=false", "-o", *go, "."], cwd=HERE / "go_clients", check=True)
    running = {}
    for language, words in (("node", node), ("py", python), ("go", go)):
        running[language] = subprocess.Popen([*words, stack.endpoint, stack.ak, stack.sk],
                                             env=node_env(PYTHONPATH=path), stdin=subprocess.PIPE,
                                             stdout=subprocess.PIPE, text=True)

    def call(via, action, params):
        process = running.get(via[:2], running["node"])
        process.stdin.write(json.dumps({"via": via, "action": action, "params": params}) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())
    yield call
    for process in running.values():
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.mark.parametrize("via", VIA)
def test_full_requests(stack, api, vendor, operations, seen, instance, via):
    def call(action, **params):
        params["IotInstanceId"] = instance
        answer = vendor(via, action, params)
        body = answer.get("body", {})
        assert body.get("Success") is True and "Code" not in body, (action, params, answer)
        conforms(body, answer_schema(operations[action]), action)
        seen["calls"].add((body["RequestId"], action, "OK"))
        for name, value in params.items():
            seen["parameters"] |= {(via, action, p) for p in spelt(name, value)}
        return body
    campaign.play(call, api, stack.broker)
    missed = {(a, p) for a, op in operations.items() for p in parameters(op) if (via, a, p) not in seen["parameters"]}
    assert missed == set()


# ---- refusals ----

@pytest.fixture(scope="module")
def world(stack, api, instance):
    return refusals.World(stack, api, instance)


@pytest.fixture(scope="module")
def good(world, operations):
    base = refusals.good(world)
    assert set(base) == set(operations)
    return base


@pytest.fixture
def refused(api, operations, seen, good):
    """refused(action, changes to its good request, code): asks in each way in turn, checks against the document."""
    ways = itertools.cycle([{"scheme": "rpc"}, {"scheme": "rpc", "method": "GET"}, {"scheme": "acs3"},
                            {"scheme": "acs3", "place": "form"}])

    def check(action, changes, code):
        op, params = operations[action], {**good[action], **changes}
        way = next(ways) if len(str(params)) < 20000 else {}  # longer than a query may be
        answer = api.call(action, params, **way)
        assert (answer.code, answer.body.get("Success")) == (code, False), (action, changes, answer.text[:500])
        documented = {e["code"]: e for e in op["x-ota-errors"]}
        if answer.status == 200:
            assert code in documented, f"{action} answers {code}, which it does not document"
            assert documented[code]["status"] == 200
        else:
            assert answer.status == 400 and not code.startswith("iot."), (action, answer.text[:500])
        assert answer.message == answer.body["Message"] != ""
        beside = {k: v for k, v in answer.body.items() if k not in ("HostId", "Message")}
        conforms(beside, answer_schema(op), action)
        seen["errors"].add((action, code))
        seen["calls"].add((answer.body["RequestId"], action, code))
    return check


def test_every_invalid_value(operations, refused):
    n = 0
    for action, op in operations.items():
        for p in op["parameters"]:
            for changes, code in refusals.spoiled(p):
                refused(action, changes, code)
                n += 1
    assert n > 1100


def test_no_such_instance(stack, operations, good, api, stranger):
    foreign = default_instance(stack, stranger.ak)
    for action in operations:
        answers = [api.refused(action, "iot.system.InstanceNotFound", {**good[action], "IotInstanceId": i})
                   for i in (foreign, "nobody")]
        assert shown(answers[0], foreign) == shown(answers[1], "nobody")


# ---- other accounts ----

def shown(answer, name):
    """An answer without what differs between any two, and the id that was asked for."""
    body = {k: v for k, v in answer.body.items() if k != "RequestId"}
    return answer.status, json.dumps(body, sort_keys=True).replace(json.dumps(name).strip('"'), "ID")


def test_foreign_objects_look_absent(stack, api, stranger, world, operations):
    """Whatever names an object of another account is answered as what names none, in a request that is good otherwise."""
    theirs = refusals.World(stack, stranger, default_instance(stack, stranger.ak))
    requests, foreign, absent = refusals.good(theirs), refusals.strange(api, world), refusals.gone(stack, stranger, theirs)
    before = stack.sql_one("select max(id) from audit")
    n = 0
    for action, op in operations.items():
        asked = zip(refusals.naming(op, requests[action], foreign), refusals.naming(op, requests[action], absent))
        for (name, there, one), (_, nowhere, other) in asked:
            answers = stranger.call(action, one), stranger.call(action, other)
            assert shown(answers[0], there) == shown(answers[1], nowhere), (action, name)
            n += 1
    assert n > 90
    touched = stack.sql("select action, target from audit where id > %s and key_id = %s and result = 'OK'", before,
                        stranger.ak)
    assert [row for row in touched if any(str(i) in row[1] for i in foreign.values())] == []


def test_every_documented_error(world, operations, good, refused):
    for action, code, changes in itertools.chain(refusals.absent(world, operations, good), refusals.cases(world)):
        refused(action, changes, code)


def test_every_change_was_audited_once(stack, operations, seen):
    """Needs the others of this file before it. A refusal has a row too, unless the request was no text."""
    rows = stack.sql("select request_id, action, result from audit where request_id = any(%s)",
                     [request_id for request_id, _, _ in seen["calls"]])
    changing = {c for c in seen["calls"] if operations[c[1]]["x-ota-effect"] == "writes" and c[2] != refusals.GARBLED}
    changes = {c for c in changing if c[2] == "OK"}
    assert len(rows) == len(set(rows)) and len(changes) > 100
    assert set(rows) == changing


def test_nothing_was_left_out(operations, seen):
    """Needs the others of this file before it."""
    missed = {(v, a) for v in VIA for a in operations} - {(v, a) for v, a, _ in seen["parameters"]}
    assert missed == set()
    documented = {(a, e["code"]) for a, op in operations.items() for e in op["x-ota-errors"]}
    assert set(refusals.ELSEWHERE) <= documented
    for (_, code), test in refusals.ELSEWHERE.items():
        file, function = test.split("::")
        text = (ROOT / "tests/it" / file).read_text()
        assert f"def {function}(" in text, f"{test} is gone"
        assert code.split(".")[-1] in text, f"{file} has no {code}"
    assert set(refusals.ELSEWHERE) & seen["errors"] == set()
    assert documented - seen["errors"] - set(refusals.ELSEWHERE) == set()
