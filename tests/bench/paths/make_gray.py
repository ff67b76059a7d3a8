# SPDX-License-Identifier: Apache-2.0
"""GRAY 33.33 %: the devices of a product ranked, the first third of them given tasks, in devices ranked a second against
as many inserted rows; a note says the tasks a second."""
from . import Sample
from .make import DEVICES, LIMIT, limit, made, prepare  # noqa: F401

NAME, UNIT = "make_gray", "devices/s"
PERCENT = "33.33"
TASKS = DEVICES * 3333 // 10000


def product(stack, _limits):
    a, notes = made(stack, {"TargetSelection": "GRAY", "GrayPercent": PERCENT}, TASKS)
    return Sample.of(a, DEVICES, notes=[f"{TASKS} tasks, {TASKS / a.seconds:,.0f} a second", *notes])
