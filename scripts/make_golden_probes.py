#!/usr/bin/env python3
"""Writes tests/golden/analysis/probes.json: what scikit-learn and numpy say of rows that tests/analysis makes again.

Rows come from a counter-based integer generator (splitmix64), and every step from integer to row is exact in double, so
that both sides hold the same bits and the file stays small. Run with OMP_NUM_THREADS=1.
"""
import json
import pathlib
import sys
import warnings

import numpy as np
from scipy.stats import hypergeom
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "analysis" / "probes.json"


def integers(seed: int, count: int) -> np.ndarray:
    """`count` integers, sums of four uniform ones in [-2^15, 2^15): splitmix64 at counters seed * 2^32 + i."""
    with np.errstate(over="ignore"):
        counter = np.uint64(seed << 32) + np.arange(4 * count, dtype=np.uint64)
        z = (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(48)).astype(np.int64) - 2**15).reshape(count, 4).sum(1)


def rows_of(kind: str, seed: int, n: int, heads: int, dim: int, shift: int):
    """[n, heads, dim] float64 and labels (row i has label 1 - i % 2); safe rows are moved by `shift` / 2^15."""
    labels = 1 - np.arange(n) % 2
    z = integers(seed, n * heads * dim).reshape(n, heads, dim) + shift * (2 * labels - 1)[:, None, None]
    j = np.arange(dim)
    if kind == "plain":
        return z * 2.0**-15, labels
    if kind == "big":
        return z * 2.0**-8, labels
    if kind == "small":
        return z * 2.0**-19, labels
    if kind == "scales":  # features from 2^-10 to 2^10
        return z * 2.0 ** (-15 + j % 21 - 10), labels
    if kind == "offset":  # features far from zero
        return z * 2.0**-15 + 100.0 * (j + 1), labels
    if kind == "chain":  # each feature nearly equal to the one before it
        steps = z * np.where(j == 0, 2**10, 1)
        return np.cumsum(steps, axis=2) * 2.0**-22, labels
    raise ValueError(kind)


def objective(weights, intercept, x, y) -> float:
    margins = x @ weights + intercept
    return float(np.logaddexp(0, -(2 * y - 1) * margins).sum() + 0.5 * weights @ weights)


def fit(x, y):
    """Weights, intercept: the best that scikit-learn reaches. On badly conditioned rows lbfgs stops early, whatever its
    tol, and far from zero both solvers do; since the intercept is free, centred rows have the same optimum."""
    best = None
    for solver in ("lbfgs", "newton-cholesky"):
        for mean in (np.zeros(x.shape[1]), x.mean(0)):
            model = LogisticRegression(tol=1e-10, max_iter=10000, solver=solver).fit(x - mean, y)
            weights = model.coef_[0]
            intercept = model.intercept_[0] - mean @ weights
            value = objective(weights, intercept, x, y)
            if best is None or value < best[0]:
                best = (value, weights, intercept)
    return best


# kind, seed, n, heads, dim, shift
SETS = [("plain", 1, 600, 3, 128, 3000), ("small", 2, 600, 3, 128, 8000), ("big", 3, 240, 3, 64, 3000),
        ("scales", 4, 240, 4, 64, 3000), ("offset", 5, 240, 4, 64, 3000), ("chain", 6, 240, 4, 64, 3000),
        ("plain", 7, 100, 6, 8, 8000), ("plain", 8, 90, 4, 13, 5000), ("plain", 9, 200, 3, 32, 60000),
        ("big", 10, 200, 3, 32, 60000), ("plain", 11, 40, 4, 128, 5000), ("plain", 12, 40, 4, 8, 0)]


def probe_sets():
    for kind, seed, n, heads, dim, shift in SETS:
        x, y = rows_of(kind, seed, n, heads, dim, shift)
        results = []
        for h in range(heads):
            value, weights, intercept = fit(x[:, h], y)
            margins = x[:, h] @ weights + intercept
            results.append({
                "objective": value,
                "correct": int(((margins > 0) == (y == 1)).sum()),
                "undecided": int((np.abs(margins) < 1e-6).sum()),
                "auc": float(roc_auc_score(y, margins)),
            })
        yield {"kind": kind, "seed": seed, "n": n, "heads": heads, "dim": dim, "shift": shift, "results": results}


def ranking():
    """16 questions of 2 replies and 5 tokens; two explicit splits by question; 3 layers of 8 heads."""
    questions, layers, heads, dim = 16, 3, 8, 16
    n = questions * 10
    labels = np.tile(np.repeat([1, 0], 5), questions)
    z = integers(20, n * layers * heads * dim).reshape(n, layers * heads, dim)
    # Head m separates the classes the better, the larger (7 m) mod 24 is.
    strength = 700 * ((7 * np.arange(layers * heads)) % 24)
    x = (z + (2 * labels - 1)[:, None, None] * strength[None, :, None]) * 2.0**-15
    group = np.repeat(np.arange(questions), 10)
    splits = [[0, 2, 3, 5, 7, 8, 10, 11, 14, 15], [1, 2, 4, 5, 6, 9, 10, 12, 13, 15]]
    scores = []
    for m in range(layers * heads):
        accuracy, auc, train_accuracy = [], [], []
        for train_questions in splits:
            train = np.isin(group, train_questions)
            _, weights, intercept = fit(x[train, m], labels[train])
            margins = x[:, m] @ weights + intercept
            right = (margins > 0) == (labels == 1)
            accuracy.append(right[~train].mean())
            train_accuracy.append(right[train].mean())
            auc.append(roc_auc_score(labels[~train], margins[~train]))
        scores.append((float(np.mean(accuracy)), float(np.mean(auc)), float(np.mean(train_accuracy))))
    order = sorted(range(layers * heads), key=lambda m: (-round(scores[m][0], 12), -round(scores[m][1], 12), m))
    return {"questions": questions, "layers": layers, "heads": heads, "dim": dim, "seed": 20, "train_questions": splits,
            "scores": scores, "order": order}


def swapped_labels():
    """The rows of `ranking` under labels that mean nothing: the replies of some questions have changed places. The best
    head's accuracy and the mean over heads, under the first split."""
    questions, heads, dim = 16, 24, 16
    n = questions * 10
    group = np.repeat(np.arange(questions), 10)
    x = integers(20, n * heads * dim).reshape(n, heads, dim) * 2.0**-15
    train = np.isin(group, [0, 2, 3, 5, 7, 8, 10, 11, 14, 15])
    rounds = []
    for swapped in ([0, 1, 4, 5, 9, 12], [2, 3, 4, 8, 10, 13, 14]):
        labels = np.tile(np.repeat([1, 0], 5), questions) ^ np.isin(group, swapped)
        accuracy = []
        for m in range(heads):
            _, weights, intercept = fit(x[train, m], labels[train])
            margins = x[~train, m] @ weights + intercept
            accuracy.append(float(((margins > 0) == (labels[~train] == 1)).mean()))
        rounds.append({"swapped": swapped, "accuracy": accuracy})
    return rounds


def chance_overlaps():
    """Expected Jaccard overlap of two random sets of k of m heads."""
    out = []
    for m, k in ((12, 3), (24, 24), (30, 20), (336, 24), (270, 48), (1024, 24)):
        shared = np.arange(max(0, 2 * k - m), k + 1)
        out.append({"m": m, "k": k, "jaccard": float((hypergeom(m, k, k).pmf(shared) * shared / (2 * k - shared)).sum())})
    return out


def directions():
    n, heads, dim = 120, 3, 24
    x, y = rows_of("offset", 30, n, heads, dim, 2000)
    out = []
    for h in range(heads):
        d = x[y == 1, h].mean(0) - x[y == 0, h].mean(0)
        gap = float(np.linalg.norm(d))
        d = d / gap
        _, weights, _ = fit(x[:, h], y)
        weights = weights / np.linalg.norm(weights)
        out.append({"direction": d.tolist(), "gap": gap, "sigma": float((x[:, h] @ d).std()),
                    "probe_direction": weights.tolist(), "probe_sigma": float((x[:, h] @ weights).std())})
    return {"seed": 30, "n": n, "heads": heads, "dim": dim, "shift": 2000, "results": out}


def areas():
    """Scores with many ties."""
    out = []
    for seed, levels in ((40, 3), (41, 8), (42, 1000)):
        scores = integers(seed, 60) % levels
        labels = integers(seed + 10, 60) % 2
        out.append({"seed": seed, "levels": levels, "auc": float(roc_auc_score(labels, scores))})
    return out


def joint_regression():
    """Several heads in one regression, more features than rows: each head centred and scaled to a mean square of 1 on the
    training rows, all together scaled to that again."""
    n, heads, dim, trained = 80, 6, 16, 60
    x, y = rows_of("offset", 50, n, heads, dim, 1500)
    blocks = [x[:, h] - x[:trained, h].mean(0) for h in range(heads)]
    features = np.concatenate([b / np.sqrt((b[:trained] ** 2).sum(1).mean()) for b in blocks], 1) / np.sqrt(heads)
    out = []
    for c in (0.1, 1.0, 30.0):
        model = LogisticRegression(C=c, tol=1e-12, max_iter=10000, solver="newton-cholesky").fit(features[:trained], y[:trained])
        margins = features @ model.coef_[0] + model.intercept_[0]
        out.append({"C": c, "judged": margins[trained:].tolist(), "all": margins.tolist()})
    return {"seed": 50, "n": n, "heads": heads, "dim": dim, "shift": 1500, "trained": trained, "results": out}


def calibration():
    """Platt's scaling of margins that do not separate the labels."""
    margins = integers(60, 50) * 2.0**-13
    labels = (integers(61, 50) * 2.0**-13 < margins + 1).astype(int)
    size = np.sqrt((margins**2).mean())
    model = LogisticRegression(C=1e3, tol=1e-12, max_iter=10000, solver="newton-cholesky").fit(margins[:, None] / size, labels)
    log_odds = model.decision_function(margins[:, None] / size)
    return {"margins": margins.tolist(), "labels": labels.tolist(), "log_odds": log_odds.tolist(),
            "log_loss": float(log_loss(labels, model.predict_proba(margins[:, None] / size)))}


def main() -> int:
    warnings.simplefilter("ignore")  # lbfgs warns when the line search ends at the rounding floor
    golden = {"probes": list(probe_sets()), "ranking": ranking(), "directions": directions(), "areas": areas(),
              "swapped_labels": swapped_labels(), "chance_overlaps": chance_overlaps(), "joint_regression": joint_regression(),
              "calibration": calibration()}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(golden, indent=1) + "\n")
    print(f"{OUT}: {OUT.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
