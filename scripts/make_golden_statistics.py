#!/usr/bin/env python3
"""Writes tests/golden/analysis/statistics.json: what scipy says of the tests and intervals in src/analysis/statistics.h.

Usage: make_golden_statistics.py. McNemar's exact test is the two-sided binomial test of b against c at 1/2; Wilson's interval
is scipy's without continuity correction.
"""
import json
import pathlib

from scipy.stats import binomtest

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "analysis" / "statistics.json"
DISCORDANT = [(0, 0), (1, 0), (0, 1), (1, 1), (5, 0), (0, 6), (3, 9), (10, 10), (11, 10), (16, 0), (85, 0), (2, 86), (40, 61),
              (1000, 1100), (3000, 2)]
SHARES = [(0, 1), (1, 1), (0, 20), (1, 29), (14, 100), (50, 100), (99, 100), (100, 100), (3, 100000)]


def main() -> None:
    golden = {
        "mcnemar": [{"b": b, "c": c, "p": binomtest(b, b + c, 0.5).pvalue if b + c else 1.0} for b, c in DISCORDANT],
        "wilson": [],
    }
    for successes, n in SHARES:
        interval = binomtest(successes, n).proportion_ci(0.95, method="wilson")
        golden["wilson"].append({"successes": successes, "n": n, "low": interval.low, "high": interval.high})
    OUT.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
