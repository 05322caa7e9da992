#!/usr/bin/env python3
"""Bakes a lock into a folder of Llama-3-8B's shape (scripts/make_shaped_folder.py) and prints what it took as JSON.

Usage: measure_bake.py SAFETYLOCK BAKE_MODEL [OTHER] > docs/results/bake.json
BAKE_MODEL is the test program of that name, which makes the lock: 24 heads in 12 layers. The files are dropped from the
page cache before each run. OTHER is a folder on another file system, where hard links cannot lead and the weights are copied:
the same model with 8 of its 32 layers is baked there.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SCRIPTS = pathlib.Path(__file__).resolve().parent


def drop_from_cache(folder):
    for path in folder.glob("*.safetensors"):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def run(command):
    """Standard output, and the largest resident set in bytes."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{command[1]} ended with {status}")
    return json.loads(out), usage.ru_maxrss * 1024


def measure_copy(tool, bake_model, folder, other):
    model, lock = folder / "short", folder / "short.lock"
    subprocess.run([sys.executable, SCRIPTS / "make_shaped_folder.py", model, "--layers", "8"], check=True, stdout=sys.stderr)
    subprocess.run([bake_model, model, folder / "second", lock], check=True)
    drop_from_cache(model)
    with tempfile.TemporaryDirectory(prefix="safetylock-measure-", dir=other) as target:
        baked = pathlib.Path(target) / "baked"
        bake, memory = run([tool, "bake", model, "--lock", lock, "-o", baked, "--no-probes", "--json"])
    if bake["sharing"] != "copy":
        raise SystemExit(f"{other} is on the same file system")
    return figures(bake, memory)


def figures(bake, memory):
    return {k: bake[k] for k in ("seconds", "bytes_read", "bytes_written", "bytes_shared", "sharing")} | {
        "peak_memory_bytes": memory}


def main():
    tool, bake_model, *other = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="safetylock-measure-") as temporary:
        folder = pathlib.Path(temporary)
        model, lock, baked = folder / "model", folder / "lock", folder / "baked"
        subprocess.run([sys.executable, SCRIPTS / "make_shaped_folder.py", model], check=True, stdout=sys.stderr)
        subprocess.run([bake_model, model, folder / "first", lock], check=True)
        drop_from_cache(model)
        bake, bake_memory = run([tool, "bake", model, "--lock", lock, "-o", baked, "--no-probes", "--json"])
        drop_from_cache(baked)
        verify, verify_memory = run([tool, "verify", baked, "--lock", lock, "--alpha", "3", "--json"])
        size = sum(p.stat().st_size for p in model.glob("*.safetensors"))
        stored = sum(p.stat().st_blocks * 512 for p in model.glob("*.safetensors"))
        copies = {"copy_of_8_layers": measure_copy(tool, bake_model, folder, other[0])} if other else {}
        print(json.dumps({
            "shape": "llama3-8b", "dtype": "bfloat16", "shards": len(list(model.glob("*.safetensors"))),
            "model_bytes": size, "model_bytes_on_disk": stored, "lock_heads": bake["lock"]["heads"],
            "lock_layers": len(bake["layers"]),
            "bake": figures(bake, bake_memory), **copies,
            "verify": {"verdict": verify["verdict"], "measured_strength": verify["measured_strength"],
                       "peak_memory_bytes": verify_memory},
            "cores": os.cpu_count()}, indent=2))


if __name__ == "__main__":
    main()
