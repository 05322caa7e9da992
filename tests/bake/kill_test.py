#!/usr/bin/env python3
"""bake, ended by SIGKILL at many points or out of room at many sizes: there is never half an output, and the next run clears
what a killed one left.

Usage: kill_test.py BAKE_MODEL MODELS_FOLDER
"""
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

POINTS = 20


def weights(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def bigger(models, folder):
    """llama_gqa with files enough that a copy takes a while."""
    shutil.copytree(models / "llama_gqa", folder)
    for i in range(150):
        (folder / f"notes-{i:03}.txt").write_text("x" * 20000)


def kill_at(delay, command, out):
    process = subprocess.Popen(command)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return out.exists()


def kills(bake_model, folder, model, whole, seconds):
    partial = complete = 0
    delay, step = 0.0, seconds / 20  # nearer to where it happens, however busy the machine is
    for _ in range(500):
        out = folder / "killed"
        before = {p.name for p in folder.glob(".killed.baking-*")}
        if kill_at(delay, [bake_model, model, out, folder / "lock"], out):
            assert weights(out) == whole, "a part of an output"
            complete += 1
            shutil.rmtree(out)
            delay = 0.0
        elif {p.name for p in folder.glob(".killed.baking-*")} - before:
            partial += 1
        delay += step
        if partial >= POINTS and complete > 0:
            break
    assert partial >= POINTS and complete > 0, (partial, complete)
    subprocess.run([bake_model, model, folder / "killed", folder / "lock"], check=True)
    assert not list(folder.glob(".killed.baking-*")), list(folder.iterdir())
    assert weights(folder / "killed") == whole
    print(f"{partial} killed with a hidden folder left, which the next run removed; {complete} complete")


def full_disks(bake_model, folder, model):
    """A limit on the size of a file stands for a full disk: a write then gives an error."""
    refused = 0
    for limit in [0, 100, 1000, 2000, 5000, 15000, 19999]:
        def limited(limit=limit):
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        result = subprocess.run([bake_model, model, folder / "full", folder / "lock"], preexec_fn=limited,
                                capture_output=True, text=True)
        assert result.returncode == 1 and result.stderr.count("\n") == 1 and "[io.write]" in result.stderr, result
        assert not (folder / "full").exists() and not list(folder.glob(".full*")), list(folder.iterdir())
        refused += 1
    print(f"out of room at {refused} sizes: one error each, nothing left")


def main():
    bake_model, models = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        model = folder / "model"
        bigger(models, model)
        begin = time.monotonic()
        subprocess.run([bake_model, model, folder / "whole", folder / "lock"], check=True)
        seconds = time.monotonic() - begin
        kills(bake_model, folder, model, weights(folder / "whole"), seconds)
        full_disks(bake_model, folder, model)


if __name__ == "__main__":
    main()
