#!/usr/bin/env python3
"""Compares locks of the published structure, as our reader gives them, with numpy, bit for bit: some that torch and numpy
write here, and any that are given by path.

Usage: compare_safelock.py SAFELOCK_DUMP_PROGRAM [FILE.safelock ...]
"""
import io
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "scripts"))
from make_golden_safelock import archived, make_lock, pickled  # noqa: E402

NAMES = ["scalar", "_reconstruct"]


def bits(values):
    with np.errstate(all="ignore"):
        return [f"{x:08x}" for x in np.atleast_1d(values).astype(np.float32).view(np.uint32)]


def numpy_lines(path):
    """What numpy makes of the file. torch's own unpickler reads it, with the five names of such files allowed."""
    allowed = [np.dtype, np.ndarray] + [getattr(np._core.multiarray, name) for name in NAMES]
    allowed += [(getattr(np._core.multiarray, name), f"numpy.core.multiarray.{name}") for name in NAMES]
    allowed += [type(np.dtype(t)) for t in ("f2", "f4", "f8", "i8")]
    import _codecs
    with torch.serialization.safe_globals(allowed + [_codecs.encode]):
        lock = torch.load(path, weights_only=True)
    lines = []
    for key, rows in lock.items():
        layer = key.removeprefix("model.layers.").removesuffix(".self_attn.head_out")
        for head, direction, sigma in rows:
            lines.append(" ".join([layer, str(int(head)), *bits(sigma), *bits(direction)]))
    return lines


def generated():
    """name -> bytes"""
    every_half = np.arange(65536, dtype=np.uint16).view(np.float16)
    every_half = every_half[np.isfinite(every_half)]
    files = {}
    for dtype in (np.float16, np.float32, np.float64):
        lock = make_lock(dtype, spread=[(layer, 2) for layer in range(12)], head_dim=128)
        saved = io.BytesIO()
        torch.save(lock, saved)
        files[f"{dtype.__name__}, torch.save"] = saved.getvalue()
        files[f"{dtype.__name__}, numpy 1"] = archived(pickled(lock, numpy_1=True))
    files["48 heads, one a layer"] = archived(pickled(make_lock(spread=[(layer, 1) for layer in range(48)], head_dim=128)))
    files["one layer, one head"] = archived(pickled(make_lock(spread=[(7, 1)], head_dim=256)))
    files["every float16"] = archived(pickled({"model.layers.0.self_attn.head_out": [
        (np.int64(0), every_half, np.float16(1))]}))
    doubles = np.array([0.1, 1 / 3, 1e-40, 5e-46, 1e300, -1e-310, 16777217.0, -0.0, 3.4028235677973366e38])
    files["doubles that round"] = archived(pickled({"model.layers.0.self_attn.head_out": [
        (np.int64(0), doubles, np.float64(0.1))]}))
    return files


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for number, (name, data) in enumerate(generated().items()):
            paths[name] = pathlib.Path(folder) / f"{number}.safelock"
            paths[name].write_bytes(data)
        paths |= {path: pathlib.Path(path) for path in sys.argv[2:]}
        for name, path in paths.items():
            want = numpy_lines(path)
            result = subprocess.run([sys.argv[1], path], capture_output=True, text=True)
            good = result.returncode == 0 and result.stdout.splitlines() == want and want
            failed += not good
            print(f"{name}: {len(want)} heads, {'equal bit for bit' if good else 'DIFFER ' + result.stderr}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
