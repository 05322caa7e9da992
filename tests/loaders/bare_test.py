#!/usr/bin/env python3
"""A lock is read with safetensors and numpy alone: in an interpreter that finds nothing else, torch least of all.

Environment: SAFETYLOCK_BINARY, SAFETYLOCK_SOURCE.
"""
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(os.environ["SAFETYLOCK_SOURCE"])
# numpy's own libraries lie beside it.
PACKAGES = ("numpy", "numpy.libs", "safetensors")
PROGRAM = """
import sys
sys.path[:0] = sys.argv[1:3]
for name in ("torch", "transformers", "packaging"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{name} is there: this is no bare interpreter")
import safetylock_file
lock = safetylock_file.load(sys.argv[3])
print(lock.locked_layers(), lock.displacement(lock.locked_layers()[0]).shape, lock.alpha)
"""


def main():
    site = pathlib.Path(importlib.util.find_spec("numpy").origin).parent.parent
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "packages").mkdir()
        for name in PACKAGES:
            if (site / name).exists():
                (folder / "packages" / name).symlink_to(site / name)
        lock = folder / "a.lock.safetensors"
        subprocess.run([os.environ["SAFETYLOCK_BINARY"], "extract", SOURCE / "tests/golden/model/llama_gqa", "--pairs",
                        SOURCE / "tests/cli/tiny_pairs.jsonl", "--heads", "4", "-o", lock], capture_output=True)
        # -I: no user's packages and no PYTHONPATH; -S: not this environment's either.
        result = subprocess.run([sys.executable, "-I", "-S", "-c", PROGRAM, folder / "packages", SOURCE / "examples/python", lock],
                                capture_output=True, text=True)
        print(result.stdout, result.stderr)
        return 0 if result.returncode == 0 and "(32,) 6.0" in result.stdout else 1


if __name__ == "__main__":
    sys.exit(main())
