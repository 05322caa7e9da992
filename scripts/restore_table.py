#!/usr/bin/env python3
"""Prints the tables of docs/restore.md from what reproduce.sh restore wrote. Usage: restore_table.py MODEL_NAME"""
import sys

from results_table import RESULTS, counted, load, rate, row

FINE_TUNES = ("mild", "moderate", "heavy", "identity", "ordinary")


def choices(model):
    row("fine-tune", "alpha", "gate opens at", "harmful answered", "benign refused", "KL on benign replies")
    row(*["---"] * 6)
    for name in FINE_TUNES:
        if not (RESULTS / f"{model}-restore-choose-{name}.json").exists():
            continue  # a setting that was taken over from another
        sweep = load(f"{model}-restore-choose-{name}")
        unlocked = sweep["unlocked"]
        row(name, "unlocked", "-", counted(unlocked["harmful"]["answered"]), counted(unlocked["benign"]["refused"]), "-")
        for cell in sweep["cells"]:
            row(name, f"{cell['alpha']:g}", cell["gate_threshold"] or "always", counted(cell["harmful"]["answered"]),
                counted(cell["benign"]["refused"]), f"{cell['kl']['value']:.3f}")


def scores(model):
    row("fine-tune", "prompts", "unlocked: answered", "refused", "restored: answered", "refused", "degenerate", "gate opened")
    row(*["---"] * 8)
    for name in FINE_TUNES:
        runs = load(f"{model}-score-restored-{name}")["runs"]
        before = (runs.get("unlocked") or load(f"{model}-score-tuned")["runs"]["unlocked"])["sets"]
        for kind in ("harmful", "benign", "lookalikes"):
            old, new = before[kind], runs["locked"]["sets"][kind]
            row(name, kind, rate(old["answered"]), rate(old["refused"]), rate(new["answered"]), rate(new["refused"]),
                counted(new["degenerate"]), rate(new["gate_opened"]))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    choices(sys.argv[1])
    print()
    scores(sys.argv[1])
