#!/usr/bin/env python3
"""Makes tests/golden/formats/published.safelock: a small file of the structure in which locks were published, by torch and
numpy. Takes seconds; the tests that compare with numpy make more of them as they run.

Usage: make_golden_safelock.py [TESTS_GOLDEN_FOLDER]
"""
import io
import pathlib
import pickle
import sys

import numpy as np
import torch

# (layer, heads in it): layers with one head and with several are stored by different opcodes.
SPREAD = [(0, 1), (3, 4), (4, 2), (11, 1)]


def make_lock(dtype=np.float16, spread=SPREAD, head_dim=16, heads=32, seed=20241014):
    """{"model.layers.N.self_attn.head_out": [(head, direction, standard deviation), ...]}"""
    rng = np.random.default_rng(seed)
    lock = {}
    for layer, count in spread:
        rows = []
        for head in rng.choice(heads, size=count, replace=False):
            direction = rng.normal(size=head_dim)
            direction /= np.linalg.norm(direction)
            rows.append((np.int64(head), direction.astype(dtype), dtype(rng.uniform(0.03, 5.8))))
        lock[f"model.layers.{layer}.self_attn.head_out"] = rows
    return lock


def pickled(lock, numpy_1=False):
    """As torch.save pickles it; numpy 1 called one module by another name."""
    data = pickle.dumps(lock, protocol=2)
    return data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n") if numpy_1 else data


def archived(pickle_bytes):
    """The archive that torch.save writes around the pickle."""
    out = io.BytesIO()
    with torch.serialization._open_zipfile_writer(out) as archive:
        archive.write_record("data.pkl", pickle_bytes, len(pickle_bytes))
        archive.write_record(".format_version", "1", 1)
        archive.write_record(".storage_alignment", "64", 2)
        archive.write_record("byteorder", "little", len("little"))
    return out.getvalue()


def main():
    golden = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else golden
    lock = make_lock()
    data = pickled(lock)
    saved = io.BytesIO()
    torch.save(lock, saved)
    # The same bytes but for the serialisation id: what archived() writes is what torch.save writes.
    assert len(archived(data)) == len(saved.getvalue())
    assert data in saved.getvalue()
    (folder / "formats" / "published.safelock").write_bytes(archived(pickled(lock, numpy_1=True)))


if __name__ == "__main__":
    main()
