# SPDX-License-Identifier: Apache-2.0
"""The generated pages are what the program prints; to mend: run the command and commit its output."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGES = [
    ("docs/errors.md", ["errors"]),
    ("docs/events.md", ["events"]),
    ("docs/metrics.md", ["metrics"]),
    ("docs/states.md", ["states"]),
    ("docs/config.md", ["config", "docs"]),
    ("docs/api.md", ["api"]),
    ("docs/openapi.json", ["openapi"]),
    ("deploy/otad.conf.sample", ["config", "print"]),
]


def otactl():
    for build in (os.environ.get("OTAD_BUILD"), ROOT / "build/asan", ROOT / "build/dev", ROOT / "build/release"):
        if build and (pathlib.Path(build) / "bin/otactl").exists():
            return str(pathlib.Path(build) / "bin/otactl")
    raise AssertionError("no otactl: build first")


@pytest.mark.parametrize("page,words", PAGES, ids=[p for p, _ in PAGES])
def test_page_is_fresh(page, words):
    printed = subprocess.run([otactl(), *words], capture_output=True, text=True, timeout=60, check=True).stdout
    assert printed == (ROOT / page).read_text(), f"otactl {' '.join(words)} > {page}"


def test_sample_configuration_is_accepted():
    subprocess.run([otactl(), "config", "check", str(ROOT / "deploy/otad.conf.sample")], timeout=60, check=True)
