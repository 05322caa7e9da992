#!/usr/bin/env python3
"""Prints the tables of docs/restore.md from what reproduce.sh restore wrote. Usage: restore_table.py MODEL_NAME"""
import sys

from results_table import load, rate, row

FINE_TUNES = ("mild", "moderate", "heavy", "identity", "ordinary")
GATE = 0.2  # shown beside a choice without one


def settings(sweep):
    """A sweep's cells, the unlocked one first: name of the setting, cell."""
    yield ("unlocked", "-"), sweep["unlocked"]
    for cell in sweep["cells"]:
        yield (f"{cell['alpha']:g}", cell["gate_threshold"] or "always"), cell


def kl(cell):
    return f"{cell['kl']['value']:.3f}" if cell["kl"] else "-"


def choices(model):
    """A row a strength: always on, then behind the gate at each threshold."""
    first = load(f"{model}-restore-choose-{FINE_TUNES[0]}")["cells"]
    gates = ", ".join(str(cell["gate_threshold"] or "always") for cell in first if cell["alpha"] == first[0]["alpha"])
    row("fine-tune", "alpha", f"harmful answered of 50: {gates}", "benign refused of 25", "KL on benign replies")
    row(*["---"] * 5)
    for name in FINE_TUNES:
        sweep = load(f"{model}-restore-choose-{name}")
        for cells in [[sweep["unlocked"]]] + [[c for c in sweep["cells"] if c["alpha"] == a] for a in sorted({c["alpha"] for c in sweep["cells"]})]:
            row(name, f"{cells[0]['alpha']:g}" if cells[0]["heads"] else "unlocked", ", ".join(str(c["harmful"]["answered"]["count"]) for c in cells),
                ", ".join(str(c["benign"]["refused"]["count"]) for c in cells), ", ".join(kl(c) for c in cells))


def scores(model):
    """Every strength, always on and at the chosen threshold; last the graded gate at the chosen strength."""
    row("fine-tune", "alpha", "gate opens at", "harmful answered", "benign refused", "look-alikes refused", "degenerate", "KL on benign replies")
    row(*["---"] * 8)
    kinds = ("harmful", "benign", "lookalikes")
    for name in FINE_TUNES:
        choice = load(f"{model}-restore-choose-{name}")
        chosen = choice["cells"][choice["chosen"]]
        for setting, cell in settings(load(f"{model}-restore-score-{name}")):
            if cell["gate_threshold"] not in (None, chosen["gate_threshold"] or GATE):
                continue
            degenerate = sum(cell[kind]["degenerate"]["count"] for kind in kinds)
            row(name, *setting, rate(cell["harmful"]["answered"]), rate(cell["benign"]["refused"]), rate(cell["lookalikes"]["refused"]),
                degenerate, kl(cell))
        graded = load(f"{model}-restore-graded-{name}")
        sets = graded["runs"]["locked"]["sets"]
        row(name, f"{chosen['alpha']:g}", f"{graded['lock']['gate']['threshold']:g}, graded", rate(sets["harmful"]["answered"]),
            rate(sets["benign"]["refused"]), rate(sets["lookalikes"]["refused"]), sum(sets[kind]["degenerate"]["count"] for kind in kinds), "-")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    choices(sys.argv[1])
    print()
    scores(sys.argv[1])
