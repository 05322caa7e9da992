#!/usr/bin/env python3
"""Writes tests/golden/analysis/transfer.json: what numpy and scipy say of two models' rows that tests/analysis makes again.

Rows come from the generator of make_golden_probes.py. Resamples are computed the long way: rows are repeated as often as
their question is drawn. Run with OMP_NUM_THREADS=1.
"""
import json
import pathlib
import sys

import numpy as np
from scipy.stats import entropy, gaussian_kde, norm

from make_golden_probes import integers

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "analysis" / "transfer.json"
SHARE, ROOM, PARTS, CELLS = 1e-3, 4, 5, 64


def rows_of(seed: int, labels: np.ndarray, heads: int, dim: int) -> np.ndarray:
    """[n, heads, dim]; safe rows are moved by one, more or less by dimension."""
    z = integers(seed, len(labels) * heads * dim).reshape(len(labels), heads, dim)
    shift = (2 * labels - 1)[:, None, None] * (1 + np.arange(dim))[None, None, :] * 2**13
    return (z + shift) * 2.0**-15


def unit_difference(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    d = x[labels == 1].mean(0) - x[labels == 0].mean(0)
    return d / np.linalg.norm(d, axis=-1, keepdims=True)


def bandwidth(samples: np.ndarray) -> float:
    return float(gaussian_kde(samples).covariance[0, 0] ** 0.5)


def masses(samples: np.ndarray, width: float, start: float, end: float) -> np.ndarray:
    edges = np.linspace(start, end, CELLS + 1)
    return np.diff(norm.cdf(edges[None, :], loc=samples[:, None], scale=width), axis=1).sum(0)


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    smooth = lambda m: (1 - SHARE) * m / m.sum() + SHARE / len(m)
    return float(entropy(smooth(p), smooth(q)))


def head_divergence(base, base_rows, tuned, tuned_rows) -> float:
    """`base`, `tuned`: projections and labels of all rows, which give grid and bandwidths; `..._rows`: indices used."""
    (b, b_labels), (t, t_labels) = base, tuned
    room = ROOM * max(bandwidth(b), bandwidth(t))
    start, end = min(b.min(), t.min()) - room, max(b.max(), t.max()) + room
    total = 0.0
    for label in (0, 1):
        p = masses(b[base_rows][b_labels[base_rows] == label], bandwidth(b[b_labels == label]), start, end)
        q = masses(t[tuned_rows][t_labels[tuned_rows] == label], bandwidth(t[t_labels == label]), start, end)
        total += divergence(p, q) / 2
    return total


def layer() -> dict:
    """Two models on 8 questions whose replies have unequal numbers of rows; the tuned model's tokenizer gives others."""
    questions, heads, dim = 8, 3, 6

    def grouping(most_safe, most_unsafe):
        labels, groups = [], []
        for q in range(questions):
            counts = (1 + q % most_safe, 1 + (q + 1) % most_unsafe)
            labels += [1] * counts[0] + [0] * counts[1]
            groups += [10 + 3 * q] * sum(counts)
        return np.array(labels), np.array(groups)

    sides = []
    for seed, shape in ((60, (5, 4)), (61, (4, 5))):
        labels, groups = grouping(*shape)
        sides.append((rows_of(seed, labels, heads, dim), labels, groups))
    references = rows_of(62, np.ones(1, dtype=int), heads, dim)[0]
    directions = [unit_difference(x, labels) for x, labels, _ in sides]
    own = [np.einsum("nhd,hd->nh", x, d) for (x, _, _), d in zip(sides, directions)]
    projections = [np.einsum("nhd,hd->nh", x, references) for x, _, _ in sides]
    draws = [[1] * questions, [2, 0, 1, 3, 0, 0, 1, 1], [0, 0, 4, 0, 1, 2, 0, 1]]

    def resample(times):
        index = [np.repeat(np.arange(len(g)), [times[(i - 10) // 3] for i in g]) for _, _, g in sides]
        d = [unit_difference(x[i], labels[i]) for (x, labels, _), i in zip(sides, index)]
        sigma = [p[i].std(0) for p, i in zip(own, index)]
        kl = [head_divergence((projections[0][:, h], sides[0][1]), index[0], (projections[1][:, h], sides[1][1]), index[1])
              for h in range(heads)]
        return {"times": times, "cosines": (d[0] * d[1]).sum(-1).tolist(), "sigma_ratios": (sigma[1] / sigma[0]).tolist(),
                "divergences": kl}

    x, labels, groups = sides[0]
    gaps = np.zeros((questions, heads))
    for q in range(questions):
        train = np.array([((g - 10) // 3) % PARTS != q % PARTS for g in groups])
        d = unit_difference(x[train], labels[train])
        mine = groups == 10 + 3 * q
        gap = x[mine & (labels == 1)].mean(0) - x[mine & (labels == 0)].mean(0)
        gaps[q] = (gap * d).sum(-1) / own[0].std(0)
    return {"heads": heads, "dim": dim, "seeds": [60, 61, 62],
            "labels": [s[1].tolist() for s in sides], "groups": [s[2].tolist() for s in sides],
            "directions": directions[0].tolist(), "sigmas": own[0].std(0).tolist(),
            "cosines": (directions[0] @ directions[1].T).tolist(), "held_out_gaps": gaps.tolist(),
            "resamples": [resample(t) for t in draws]}


def density() -> dict:
    a, b = integers(70, 50) * 2.0**-15, integers(71, 40) * 2.0**-14 + 0.5
    return {"seeds": [70, 71], "counts": [50, 40], "from": -6.0, "to": 7.0, "cells": CELLS,
            "bandwidths": [bandwidth(a), bandwidth(b)],
            "masses": masses(a, bandwidth(a), -6.0, 7.0).tolist(),
            "divergence": divergence(masses(a, bandwidth(a), -6.0, 7.0), masses(b, bandwidth(b), -6.0, 7.0))}


def main() -> int:
    OUT.write_text(json.dumps({"density": density(), "layer": layer()}, indent=1) + "\n")
    print(f"{OUT}: {OUT.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
