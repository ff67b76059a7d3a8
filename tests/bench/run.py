# SPDX-License-Identifier: Apache-2.0
"""Runs the measurements of tests/bench/paths: limit, product, limit, product, ..."""
import argparse
import contextlib
import importlib
import json
import os
import pathlib
import signal
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from rig import PARTS, ROOT, Limits, PlainBroker, Stack, memory_kib, touch_memory  # noqa: E402

PATHS = ("idle", "download", "gateway", "make", "make_gray", "pump", "ingest", "end_to_end")


STATEMENTS = 8  # shown of a path


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def measure(path, stack, limits, repeat):
    """A path has NAME, UNIT, LIMIT (None: there is none) and, as functions, prepare, limit and product; product returns
    a Sample. ONCE: it is not repeated. Some have after: what else is to be shown, as notes; it raises when that is
    wrong."""
    bound, got = [], []
    path.prepare(stack, limits)
    for _ in range(1 if getattr(path, "ONCE", False) else repeat):
        if limits.there and path.LIMIT:
            bound.append(path.limit(stack, limits))
        got.append(path.product(stack, limits))
    values = [s.value for s in got]
    row = {"path": path.NAME, "unit": path.UNIT, "product": statistics.median(values), "limit_name": path.LIMIT}
    if bound:
        row["limit"] = statistics.median(bound)
        row["ratio"] = {**spread([v / b for v, b in zip(values, bound)]), "median": row["product"] / row["limit"]}
    items = sum(s.items for s in got)
    if items:
        row["cpu_us_per_item"] = {p: 1e6 * sum(s.cpu[p] for s in got) / items for p in PARTS}
        row["wal_bytes_per_item"] = sum(s.wal for s in got) / items
        names = {name for s in got for name in s.statements}
        waited = {name: 1e6 * sum(s.statements.get(name, 0) for s in got) / items for name in names}
        row["statement_us_per_item"] = dict(sorted(waited.items(), key=lambda w: -w[1])[:STATEMENTS])
    row["peak_rss_kib"] = {p: memory_kib(stack.pid(p), "VmHWM") for p in PARTS}
    row["notes"] = [n for s in got for n in s.notes] + (path.after(stack, limits) if hasattr(path, "after") else [])
    return row


def number(v):
    return f"{v:,.0f}" if v >= 100 else f"{v:.2f}"


def table(rows):
    yield (f"{'path':<12}{'product':>12}{'limit':>12}  {'unit':<12}{'ratio (min - max)':<24}"
           f"{'CPU us/item otad+broker+PG':<30}{'WAL B/item':>11}{'otad MB':>9}")
    for r in rows:
        ratio, cpu = r.get("ratio"), r.get("cpu_us_per_item")
        yield (f"{r['path']:<12}{number(r['product']):>12}{number(r['limit']) if ratio else '-':>12}  {r['unit']:<12}"
               + (f"{ratio['median']:.2f} ({ratio['min']:.2f} - {ratio['max']:.2f})" if ratio else "-").ljust(24)
               + (" + ".join(f"{cpu[p]:.1f}" for p in PARTS) if cpu else "-").ljust(30)
               + f"{number(r['wal_bytes_per_item']) if cpu else '-':>11}{r['peak_rss_kib']['otad'] / 1024:>9.1f}")
        if cpu and r["statement_us_per_item"]:
            yield "            waited for statements, us/item: " + ", ".join(
                f"{name} {us:.1f}" for name, us in r["statement_us_per_item"].items() if us >= 0.05)
        for note in r["notes"]:
            yield f"            {note}"


def machine():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "?")
    return {"cpu": model, "cores": os.cpu_count(), "load": os.getloadavg()[0]}


def main():
    p = argparse.ArgumentParser(prog="tests/bench/run")
    p.add_argument("--only", default=",".join(PATHS))
    p.add_argument("--growth", action="store_true")
    p.add_argument("--quick", action="store_true")
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--json", action="store_true")
    p.add_argument("--perf", type=pathlib.Path)
    p.add_argument("--limits", type=pathlib.Path, default=ROOT.parent / "shared/limits")
    o = p.parse_args()
    names = o.only.split(",")
    unknown = [n for n in names if n not in PATHS]
    if unknown:
        p.error(f"no path {unknown[0]}; there are {', '.join(PATHS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped
    os.environ["OTAD_BENCH_QUICK"] = "1" if o.quick or o.growth else ""
    if o.growth:
        found = importlib.import_module("growth").run(o.quick)
        if o.json:
            print(json.dumps({"machine": machine(), **found}, indent=1))
        return
    rows = []
    if not o.quick:
        touch_memory()
    with Limits(o.limits) as limits:
        if not limits.there:
            print(f"{o.limits} has no programs that measure the limits: the product alone", file=sys.stderr)
        for name in names:
            path = importlib.import_module(f"paths.{name}")
            print(f"# {name}", file=sys.stderr, flush=True)
            if o.perf:
                o.perf.mkdir(parents=True, exist_ok=True)
                os.environ["OTAD_BENCH_PERF"] = str(o.perf / f"{name}.data")
            with contextlib.ExitStack() as up:
                plain = up.enter_context(PlainBroker()) if getattr(path, "PLAIN_BROKER", False) else None
                stack = up.enter_context(Stack(plain, **getattr(path, "SETTINGS", {})))
                rows.append(measure(path, stack, limits, o.repeat))
    if o.json:
        print(json.dumps({"machine": machine(), "paths": rows}, indent=1))
    else:
        print("machine: {cpu}, {cores} cores, load {load:.1f}".format(**machine()))
        print("\n".join(table(rows)))


main()
