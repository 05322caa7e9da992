#!/usr/bin/env python3
"""Derives locks from models larger than the memory they are given, and prints what that took as JSON.

    measure_streaming.py             writes docs/results/streaming.json and the table of docs/streaming.md
    measure_streaming.py --render    the table alone

Makes folders of published shapes with random weights (scripts/make_shaped_folder.py --all: 16 GB of Llama-3-8B, four layers of
Llama-3-70B) and a GGUF file of four layers of the 8B shape; drops them from the page cache; runs `safetylock extract --max-memory`.
Needs 40 GB of disk and ten minutes. Random weights tell nothing apart: what is measured is memory, bytes and time.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import provenance

SCRIPTS = pathlib.Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
TOOL = ROOT / "build" / "safetylock"
RESULT, PAGE = ROOT / "docs" / "results" / "streaming.json", ROOT / "docs" / "streaming.md"
PAIRS, HEADS, LIMIT = 100, 24, 3_000_000_000
SHAPES_LAYERS = {"llama3-8b": 32, "llama3-70b": 80}


def drop_from_cache(paths):
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def extract(model, limit):
    """What the tool says, and what the system says of it: bytes that it read, and its largest resident set."""
    with tempfile.TemporaryDirectory(prefix="safetylock-streaming-") as folder:
        begin = time.perf_counter()
        process = subprocess.Popen([TOOL, "extract", model, "--pairs", ROOT / "data" / "pairs.jsonl", "--max-pairs", str(PAIRS), "--heads", str(HEADS),
                                    "--max-memory", str(limit), "-o", pathlib.Path(folder) / "a.lock.safetensors", "--json"],
                                   stdout=subprocess.PIPE, text=True)
        out = process.stdout.read()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # its /proc entry stays until it is waited for
        fields = dict(line.split(": ") for line in pathlib.Path(f"/proc/{process.pid}/io").read_text().splitlines())
        _, status, usage = os.wait4(process.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code not in (0, 5):  # 5: random weights do not tell safe from unsafe
            raise SystemExit(f"extract ended with {code}")
        said = json.loads(out)
        lock = (pathlib.Path(folder) / "a.lock.safetensors").stat().st_size
    return said | {"whole_seconds": time.perf_counter() - begin, "bytes_read": int(fields["rchar"]),
                   "bytes_from_disk": int(fields["read_bytes"]), "peak_memory_bytes": usage.ru_maxrss * 1024, "lock_bytes": lock}


def measure(shape, layers, model, files, limit=LIMIT):
    drop_from_cache(files)
    size = sum(f.stat().st_size for f in files)
    e = extract(model, limit)
    row = {"shape": shape, "layers": layers, "format": "GGUF" if model.is_file() else "safetensors", "checkpoint_bytes": size, "pairs": e["pairs"],
           "tokens": e["tokens"], "rows": e["rows"], "max_memory_bytes": limit, "peak_memory_bytes": e["peak_memory_bytes"],
           "bytes_read": e["bytes_read"], "bytes_from_disk": e["bytes_from_disk"], "read_of_checkpoint": e["bytes_read"] / size, "locked_heads": len(e["heads"]),
           "lock_bytes": e["lock_bytes"], "seconds": e["seconds"], "whole_seconds": e["whole_seconds"]}
    if layers < SHAPES_LAYERS[shape]:
        row["extrapolated_to_all_layers"] = {
            "layers": SHAPES_LAYERS[shape], "collect_seconds": e["seconds"]["collect"] / layers * SHAPES_LAYERS[shape],
            "note": "time of head outputs times the number of layers; not measured"}
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


def table(result):
    h = result["hardware"]
    yield (f"{h['cpu']}, {h['cores']} cores, {', '.join(h['instruction_sets'])}, {h['memory_gb']} GB; {result['date']}; {PAIRS} pairs, {HEADS} heads, "
           "bfloat16 where the processor multiplies it.\n")
    yield "| shape | layers | format | checkpoint | allowed | largest resident set | read / checkpoint | head outputs | whole command |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for r in result["runs"]:
        yield (f"| {r['shape']} | {r['layers']} of {SHAPES_LAYERS[r['shape']]} | {r['format']} | {r['checkpoint_bytes'] / 1e9:.2f} GB | "
               f"{r['max_memory_bytes'] / 1e9:.1f} GB | {r['peak_memory_bytes'] / 1e9:.2f} GB | {r['read_of_checkpoint']:.4f} | "
               f"{r['seconds']['collect']:.0f} s | {r['whole_seconds']:.0f} s |")
    for r in result["runs"]:
        if "extrapolated_to_all_layers" in r and r["shape"] == "llama3-70b":
            x = r["extrapolated_to_all_layers"]
            yield (f"\n**Extrapolated, not measured:** all {x['layers']} layers of the 70B shape at the measured time a layer: head outputs of {PAIRS} pairs in "
                   f"{x['collect_seconds'] / 60:.0f} minutes; two layers stay two layers, so that memory grows by the kept rows alone "
                   f"({r['rows']} rows, {r['rows'] * 8192 * 4 * x['layers'] / 1e9:.1f} GB).")


def render():
    text = PAGE.read_text()
    begin, end = "<!-- figures -->\n", "<!-- end of figures -->"
    head, rest = text.split(begin)
    PAGE.write_text(head + begin + "\n".join(table(json.loads(RESULT.read_text()))) + "\n" + end + rest.split(end)[1])


def packaged(*options):
    """Path of the small model whose tokenizer the shapes borrow."""
    return subprocess.run([sys.executable, SCRIPTS / "get_model.py", "smollm2", *options], check=True, capture_output=True, text=True).stdout.strip()


def main():
    if sys.argv[1:] == ["--render"]:
        return render()
    tokenizer = packaged("--hf")

    def make(folder, shape, *more):
        subprocess.run([sys.executable, SCRIPTS / "make_shaped_folder.py", folder, "--shape", shape, "--all", "--tokenizer", tokenizer, *more], check=True,
                       stdout=sys.stderr)
        return sorted(folder.glob("*.safetensors"))

    rows = []
    with tempfile.TemporaryDirectory(prefix="safetylock-shapes-") as temporary:
        folder = pathlib.Path(temporary)
        for shape, layers, limit in (("llama3-8b", 32, LIMIT), ("llama3-70b", 4, 7_000_000_000)):
            model = folder / shape
            rows.append(measure(shape, layers, model, make(model, shape, "--layers", str(layers)), limit))
        gguf = folder / "short.gguf"
        subprocess.run([sys.executable, SCRIPTS / "make_shaped_gguf.py", gguf, "--layers", "4", "--tokenizer", packaged()], check=True)
        rows.append(measure("llama3-8b", 4, gguf, [gguf]))
    RESULT.write_text(json.dumps({"schema": "safetylock.streaming/1", "hardware": provenance.hardware(), "commit": provenance.commit(),
                                  "date": time.strftime("%Y-%m-%d"), "runs": rows}, indent=1) + "\n")
    render()


if __name__ == "__main__":
    main()
