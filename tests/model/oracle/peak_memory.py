#!/usr/bin/env python3
"""Loading SmolLM2 raises the peak of resident memory by less than 1.3 times the weights, in float32 and in bfloat16.

Usage: peak_memory.py MODEL_DUMP_PROGRAM
"""
import pathlib
import subprocess
import sys

GET_MODEL = pathlib.Path(__file__).resolve().parents[3] / "scripts" / "get_model.py"
LIMIT = 1.3


def output_of(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main():
    path = output_of(sys.executable, GET_MODEL, "smollm2")
    worst = 0.0
    for dtype in ("float32", "bfloat16"):
        weights, peak = map(int, output_of(sys.argv[1], "memory", path, dtype).split())
        worst = max(worst, peak / weights)
        print(f"{dtype}: weights {weights / 1e6:.0f} MB, peak {peak / 1e6:.0f} MB, {peak / weights:.2f} times")
    return 0 if worst < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
