# SPDX-License-Identifier: Apache-2.0
"""One module a path: NAME, UNIT, LIMIT, prepare(stack, limits), limit(stack, limits), product(stack, limits)."""
import os
from dataclasses import dataclass, field

QUICK = os.environ.get("OTAD_BENCH_QUICK") == "1"


@dataclass
class Sample:
    """One measurement of the product. items: what cpu (s by part), wal (bytes) and statements (s by name) are divided by;
    0: they say nothing."""
    value: float
    items: int = 0
    cpu: dict = field(default_factory=dict)
    wal: int = 0
    statements: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)

    @classmethod
    def of(cls, account, items, value=None, notes=()):
        return cls(items / account.seconds if value is None else value, items, account.cpu, account.wal,
                   account.statements, list(notes))
