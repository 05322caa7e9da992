#!/usr/bin/env python3
"""SmolLM2 with a lock baked in, as a GGUF file and as a Hugging Face folder, beside the same lock at run time.

Usage: compare_baked_smollm2.py COMPARE_BAKED_PROGRAM. Prints the largest differences.
"""
import pathlib
import subprocess
import sys
import tempfile

GET_MODEL = pathlib.Path(__file__).resolve().parents[3] / "scripts" / "get_model.py"


def get_model(*arguments):
    return subprocess.run([sys.executable, GET_MODEL, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        for name, source in (("baked.gguf", get_model("smollm2")), ("baked", get_model("smollm2", "--hf"))):
            output = pathlib.Path(temporary) / name
            result = subprocess.run([sys.argv[1], source, output], stdout=subprocess.PIPE, text=True)
            print(f"{name}: {result.stdout.strip()}", flush=True)
            failed += result.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
