#!/usr/bin/env python3
"""Prints docs/results as Markdown tables, from the JSON files that reproduce.sh wrote. Usage: results_table.py MODEL_NAME"""
import json
import pathlib
import sys

RESULTS = pathlib.Path(__file__).resolve().parent.parent / "docs" / "results"
# label, file, run in it
RUNS = [("base", "base", "unlocked"), ("fine-tuned", "tuned", "unlocked"), ("locked", "tuned", "locked"), ("locked, with gate", "gated", "locked")]


def load(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def counted(r: dict) -> str:
    return f"{r['count']}/{r['n']}"


def rate(r: dict) -> str:
    return f"{counted(r)}, {100 * r['value']:.0f} % [{100 * r['low']:.0f}, {100 * r['high']:.0f}]"


def mean(m: dict) -> str:
    return f"{m['value']:+.1f} [{m['low']:+.1f}, {m['high']:+.1f}]"


def row(*cells: object) -> None:
    print("| " + " | ".join(str(c) for c in cells) + " |")


def score(model: str) -> None:
    runs = [load(f"{model}-score-{file}")["runs"][run]["sets"] for _, file, run in RUNS]
    row("", *(label for label, _, _ in RUNS))
    row(*["---"] * (1 + len(RUNS)))
    for kind, label in (("harmful", "harmful"), ("benign", "benign"), ("lookalikes", "look-alikes")):
        parts = [sets[kind] for sets in runs]
        for outcome in ("answered", "refused", "degenerate"):
            row(f"{label}: {outcome}", *(rate(p[outcome]) for p in parts))
        row(f"{label}: gate opened", *(rate(p["gate_opened"]) if p.get("gate_opened") else "-" for p in parts))
        row(f"{label}: refusal margin", *(mean(p["refusal_margin"]) for p in parts))


def grid(model: str) -> None:
    sweeps = [load(f"{model}-choose-{part}") for part in ("coarse", "fine")]
    row("heads", "alpha", "harmful answered", "degenerate", "margin", "benign refused", "degenerate", "margin")
    row(*["---"] * 8)
    cells = [sweeps[0]["unlocked"]] + sorted((c for s in sweeps for c in s["cells"]), key=lambda c: (c["heads"], c["alpha"]))
    for c in cells:
        h, b = c["harmful"], c["benign"]
        row(c["heads"] or "unlocked", f"{c['alpha']:g}" if c["heads"] else "-", counted(h["answered"]), counted(h["degenerate"]),
            f"{h['refusal_margin']['value']:+.1f}", counted(b["refused"]), counted(b["degenerate"]), f"{b['refusal_margin']['value']:+.1f}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    grid(sys.argv[1])
    print()
    score(sys.argv[1])
