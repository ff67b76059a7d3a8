# SPDX-License-Identifier: Apache-2.0
"""The product's statements, out of storage/sql, run by tests that count what they read."""
import pathlib
import re

import psycopg2

SQL = pathlib.Path(__file__).resolve().parents[2] / "storage/sql"
PLANS = ("force_custom_plan", "force_generic_plan")
# Tables as small as these are read whole with good reason: to the planner they are a hundred times as large.
LARGE = "-c jit=off -c seq_page_cost=100"


def statement(name):
    """-> (types of its parameters, text)"""
    for path in SQL.glob("*.sql"):
        found = re.search(rf"^-- name: {name}\n-- in:([^\n]*)\n(.*?);\n", path.read_text(), re.M | re.S)
        if found:
            return found.group(1).split(), found.group(2)
    raise KeyError(name)


class Database:
    def __init__(self, stack):
        self.connection = psycopg2.connect(stack.pg, options=LARGE)
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.prepared = set()

    def ask(self, text, *args):
        self.cursor.execute(text, args or None)
        return self.cursor.fetchall() if self.cursor.description else []

    def one(self, text, *args):
        return self.ask(text, *args)[0][0]

    def _call(self, name, args):
        if name not in self.prepared:
            types, text = statement(name)
            self.cursor.execute(f"prepare {name}{'(' + ', '.join(types) + ')' if types else ''} as {text}")
            self.prepared.add(name)
        return f"execute {name}({', '.join(['%s'] * len(args))})" if args else f"execute {name}"

    def run(self, name, *args):
        return self.ask(self._call(name, args), *args)

    def plans(self, name, *args):
        """Executes it under each kind of plan that a prepared statement may have -> the plans, with what they did."""
        for mode in PLANS:
            self.ask(f"set plan_cache_mode = {mode}")
            yield self.ask("explain (analyze, timing off, format json) " + self._call(name, args), *args)[0][0][0]["Plan"]

    def rows_read(self, name, *args):
        """-> {table: the most rows that the statement took from it under any plan, also those that it threw away}"""
        worst = {}
        for plan in self.plans(name, *args):
            for table, n in taken(plan, {}).items():
                worst[table] = max(n, worst.get(table, 0))
        return worst

    def fetches(self, name, *args):
        """-> the most rows, gone ones as well, that index-only scans looked at in the table, under any plan"""
        return max(summed(plan, "Heap Fetches") for plan in self.plans(name, *args))


def taken(node, read):
    if "Relation Name" in node:
        rows = sum(node.get(k, 0) for k in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck",
                                            "Rows Removed by Join Filter"))
        read[node["Relation Name"]] = read.get(node["Relation Name"], 0) + rows * node["Actual Loops"]
    for below in node.get("Plans", ()):
        taken(below, read)
    return read


def summed(node, key):
    return node.get(key, 0) * node["Actual Loops"] + sum(summed(below, key) for below in node.get("Plans", ()))
