# SPDX-License-Identifier: Apache-2.0
"""What the pages written by hand name exists: metrics, configuration keys, commands, files, pages."""
import re
import subprocess

import pytest

from test_docs_fresh import PAGES, ROOT, otactl

GENERATED = {page for page, _ in PAGES}
WRITTEN = sorted(str(p.relative_to(ROOT)) for p in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
                 if str(p.relative_to(ROOT)) not in GENERATED)
ALERTS = "deploy/alerts.yml"
NO_METRICS = {"otad_mosquitto", "otad_owner"}  # the plugin, a role of the database


def printed(*words):
    return subprocess.run([otactl(), *words], capture_output=True, text=True, timeout=60, check=True).stdout


def text(page):
    return (ROOT / page).read_text()


def code(page):
    """Blocks and spans of code."""
    return "\n".join(re.findall(r"^ {4}.*$", text(page), re.M) + re.findall(r"`([^`]+)`", text(page)))


@pytest.fixture(scope="module")
def metrics():
    return set(re.findall(r"^\| `(otad_\w+)`", printed("metrics"), re.M))


@pytest.fixture(scope="module")
def keys():
    return set(re.findall(r"^(\w+) =", printed("config", "print"), re.M))


@pytest.fixture(scope="module")
def commands():
    return {tuple(words.split()) for words in re.findall(r"^  ([a-z]+(?: [a-z]+)?)", printed("help"), re.M)}


@pytest.mark.parametrize("page", [*WRITTEN, ALERTS])
def test_metrics(page, metrics):
    named = {re.sub(r"_(bucket|sum|count)$", "", m) for m in re.findall(r"\botad_[a-z_]+\b", text(page))} - NO_METRICS
    assert named <= metrics


def test_alerts_watch_something(metrics):
    assert len(set(re.findall(r"\botad_[a-z_]+\b", text(ALERTS))) & metrics) > 8


@pytest.mark.parametrize("page", WRITTEN)
def test_configuration(page, keys):
    """In lines of configuration files, which begin as a key of ours does."""
    begins = "|".join(sorted({k.split("_")[0] for k in keys}))
    assert set(re.findall(rf"^    ((?:{begins})_[a-z_]+) = ", text(page), re.M)) <= keys


@pytest.mark.parametrize("page", WRITTEN)
def test_commands(page, commands):
    for words in re.findall(r"\botactl(?: --config \S+)? ([a-z]+(?: [a-z]+)?)", code(page)):
        group, *verb = words.split()
        assert {(group, *verb), (group,)} & commands or not verb and group in {c[0] for c in commands}, words


@pytest.mark.parametrize("page", WRITTEN)
def test_files(page):
    here = (ROOT / page).parent
    missing = [t for t in re.findall(r"\]\(([^)#:]+)\)", text(page)) if not (here / t).exists()]
    tree = r"(?<![\w./-])((?:deploy|tests|docs|migrations|engine|storage|api|dispatcher|cmd)/[\w./-]*\w)"
    missing += [t for t in re.findall(tree, text(page)) if not (ROOT / t).exists()]
    assert missing == []
