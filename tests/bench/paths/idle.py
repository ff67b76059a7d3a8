# SPDX-License-Identifier: Apache-2.0
"""Memory of an idle otad against a process that does nothing but hold the same libraries' connections."""
from rig import memory_kib

from . import Sample

NAME, UNIT, LIMIT = "idle", "KiB", "mem.idle_rss"


def prepare(_stack, limits):
    if limits.there:
        limits.need_database()
        limits.need_broker(18832, 20)


def limit(_stack, limits):
    return limits.figure("./idle", 4, "tcp://127.0.0.1:18832")


def product(stack, _limits):
    return Sample(memory_kib(stack.pid("otad")))
