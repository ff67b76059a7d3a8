# SPDX-License-Identifier: Apache-2.0
"""The pace contract (rules §4) by what devices got: otasim's --push-log, one line a push (ms since boot, device,
version). Jobs are told apart by their version. What a silent cut held back ("held") came too late to be judged.

    python3 pace_check.py PUSHLOG VERSION=LIMIT ...      # a line per job; status 1 when a minute was too full
"""
import bisect
import sys
from dataclasses import dataclass

MINUTE_MS = 60_000


def read(path):
    """-> {version: times in ms, ascending}"""
    out = {}
    with open(path) as f:
        for line in f:
            words = line.split()
            if len(words) >= 3 and words[-1] != "held":  # the last line may be half written
                out.setdefault(words[2], []).append(int(words[0]))
    for times in out.values():
        times.sort()
    return out


def worst_window(times, width):
    """-> (most within any [x, x + width), the x)"""
    best = max(((bisect.bisect_left(times, t + width) - i, t) for i, t in enumerate(times)),
               key=lambda b: b[0], default=(0, None))
    return best


@dataclass
class Verdict:
    pushes: int
    worst: int       # most pushes within 60 s
    at: int          # from when on
    used: float      # part of the rate that was used between the first and the last push; None for less than two


def judge(times, limit, width=MINUTE_MS):
    worst, at = worst_window(times, width)
    span = times[-1] - times[0] if times else 0
    used = (len(times) - 1) * MINUTE_MS / span / limit if span > 0 else None
    return Verdict(len(times), worst, at, used)


def main(path, *limits):
    logged, bad = read(path), False
    print(f"{'version':<12}{'limit':>8}{'pushes':>8}{'worst minute':>14}{'used':>9}")
    for version, limit in (words.split("=") for words in limits):
        v = judge(logged.get(version, []), int(limit))
        used = "-" if v.used is None else f"{v.used:.1%}"
        print(f"{version:<12}{limit:>8}{v.pushes:>8}{v.worst:>14}{used:>9}" + ("   TOO FULL" if v.worst > int(limit) else ""))
        bad |= v.worst > int(limit)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
