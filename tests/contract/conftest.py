# SPDX-License-Identifier: Apache-2.0
"""The fixtures of tests/it, for the tests that check answers against the vendor's documents."""
import importlib.util
import pathlib
import sys

_it = pathlib.Path(__file__).resolve().parent.parent / "it" / "conftest.py"
_spec = importlib.util.spec_from_file_location("it_fixtures", _it)
_module = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _module
_spec.loader.exec_module(_module)
globals().update({k: v for k, v in vars(_module).items() if not k.startswith("_")})
