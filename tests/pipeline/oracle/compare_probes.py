#!/usr/bin/env python3
"""Probes of all heads of SmolLM2 on its own rows against scikit-learn (float64, tol 1e-10): objective, accuracy, top K.

Usage: compare_probes.py PROBE_DUMP_PROGRAM
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
from safetensors.numpy import load_file
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAIRS = 20
TOP = 24
OBJECTIVE = 1e-6   # largest relative excess over scikit-learn's objective
NEAR_ZERO = 1e-6   # a row with a smaller |margin| may fall on either side


def objective(weights, intercept, x, y):
    return float(np.logaddexp(0, -(2 * y - 1) * (x @ weights + intercept)).sum() + 0.5 * weights @ weights)


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    path = subprocess.run([sys.executable, ROOT / "scripts" / "get_model.py", "smollm2"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.safetensors"
        subprocess.run([sys.argv[1], path, ROOT / "data" / "pairs.jsonl", str(PAIRS), out], check=True)
        dump, probes = load_file(out), json.loads(out.with_name(out.name + ".json").read_text())
    rows, labels = dump["rows"].astype(np.float64), dump["labels"]
    train = dump["groups"] % 2 == 0
    x_all, y, held_out = rows[train], labels[train], labels[~train]

    worst, unequal, ours_right, theirs_right = 0.0, 0, [], []
    for head, probe in enumerate(probes):
        x, unseen = np.ascontiguousarray(x_all[:, head]), rows[~train][:, head]
        sk = LogisticRegression(C=1.0, tol=1e-10, max_iter=100_000, solver="newton-cholesky").fit(x, y)
        weights = np.array(probe["weights"])
        mine = objective(weights, probe["intercept"], x, y)
        theirs = objective(sk.coef_[0], sk.intercept_[0], x, y)
        assert abs(mine - probe["objective"]) <= 1e-9 * mine, f"head {head}: the objective it reports is not its own"
        worst = max(worst, mine / theirs - 1)
        a, b = unseen @ weights + probe["intercept"], unseen @ sk.coef_[0] + sk.intercept_[0]
        unequal += int(((a > 0) != (b > 0))[np.minimum(np.abs(a), np.abs(b)) >= NEAR_ZERO].sum())
        ours_right.append(int(((a > 0) == held_out).sum()))
        theirs_right.append(int(((b > 0) == held_out).sum()))
    top = [np.argsort(-np.array(right), kind="stable")[:TOP].tolist() for right in (ours_right, theirs_right)]
    print(f"{len(probes)} heads, {x_all.shape[0]} rows: objective at most {worst:.1e} above scikit-learn's; {unequal} unseen rows "
          f"judged otherwise; top {TOP} {'equal' if top[0] == top[1] else 'DIFFER'}")
    return 0 if worst <= OBJECTIVE and unequal == 0 and top[0] == top[1] else 1


if __name__ == "__main__":
    sys.exit(main())
