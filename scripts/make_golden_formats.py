#!/usr/bin/env python3
"""Makes the golden files of tests/base and tests/formats. Needs numpy, gguf, safetensors; takes seconds.

Usage: make_golden_formats.py [TESTS_GOLDEN_FOLDER]
"""
import csv
import json
import pathlib
import random
import sys

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize
from safetensors.numpy import save

SEED = 20241014
BLOCK_TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]


def utf8_replace(folder):
    """What Python's errors="replace" makes of damaged UTF-8."""
    rng = random.Random(SEED)
    valid = "aé‰\u0800한\uffff😀\U0010ffff".encode()
    # Bytes around the borders of the UTF-8 tables, so that most strings hold nearly valid sequences.
    edges = bytes([0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE,
                   0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF])
    cases = [bytes([a, b]) for a in edges for b in edges]
    for _ in range(700):
        text = bytearray(valid * rng.randint(0, 2)) + bytes(rng.choices(edges, k=rng.randint(1, 8)))
        for _ in range(rng.randint(0, 3)):
            text.insert(rng.randrange(len(text) + 1), rng.choice(edges))
        if rng.random() < 0.5:
            del text[rng.randrange(len(text)):]
        cases.append(bytes(text))
    rows = [[case.hex(), case.decode("utf-8", errors="replace").encode().hex()] for case in cases]
    (folder / "base" / "utf8_replace.json").write_text(json.dumps(rows, separators=(",", ":")))


def half_positions(name):
    """Byte offsets of the float16 scales in a block."""
    return {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
            "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}.get(name, [])


def ggml_blocks(folder):
    """Random blocks of every type with ordinary and extreme scales, and their values."""
    rng = np.random.default_rng(SEED)
    extremes = np.array([0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x7BFF, 0xFBFF, 0x3C00, 0x7C00, 0xFC00, 0x7E00],
                        dtype=np.uint16)
    for name in BLOCK_TYPES:
        type_ = GGMLQuantizationType[name]
        elements, size = GGML_QUANT_SIZES[type_]
        count = 1024 if elements == 1 else 2048 // elements
        blocks = rng.integers(0, 256, size=(count, size), dtype=np.uint8)
        for position in half_positions(name):
            scales = rng.normal(scale=0.02, size=count).astype(np.float16).view(np.uint16)
            pick = rng.random(count) < 0.5
            scales[pick] = rng.choice(extremes, size=pick.sum())
            blocks[:, position : position + 2] = scales.view(np.uint8).reshape(count, 2)
        with np.errstate(all="ignore"):
            values = dequantize(blocks, type_)
        (folder / "formats" / f"{name}.blocks").write_bytes(blocks.tobytes())
        (folder / "formats" / f"{name}.values").write_bytes(np.ascontiguousarray(values, dtype=np.float32).tobytes())


def safetensors_reference(folder):
    """Bytes of the reference implementation for the tensors that SafetensorsTest.WriterEqualsTheReference lists."""
    tensors = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([-1, 0.5, 1e30], np.float32),
        "é\n\"": np.array(1, np.float32), "z": np.array([5, -6], np.int64), "k": np.array([1, -2, 65504], np.float16),
        "u": np.array([1, 2, 255], np.uint8), "t": np.array([True, False]), "f": np.array([0.1]),
        "e": np.zeros((0, 4), np.int32), "i": np.array([-9], np.int32),
    }
    metadata = {"a": "é\"\n\x01\x7f/\\", "m": "", "z": "1"}
    (folder / "formats" / "reference.safetensors").write_bytes(save(tensors, metadata))


def prompt_pairs(folder):
    """The same pairs as CSV (Python's csv module), JSONL and JSON, with text that CSV must quote."""
    rng = random.Random(SEED)
    pieces = ["word", ",", '"', '""', "\n", "\r\n", " ", "'", ";", "é", "한", "😀", "\\", "\t", "a,b", '"x"']
    rows = [["prompt", "safe", "unsafe", "topic"]]
    for i in range(60):
        text = lambda side: f"{side}{i}" + "".join(rng.choices(pieces, k=rng.randint(0, 12)))
        rows.append([text("p"), text("s"), text("u"), rng.choice(["", "t"])])
    with open(folder / "formats" / "pairs.csv", "w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(rows)
    pairs = [dict(zip(rows[0], row)) for row in rows[1:]]
    (folder / "formats" / "pairs.json").write_text(json.dumps(pairs, indent=1))
    (folder / "formats" / "pairs.jsonl").write_text(
        "".join(json.dumps(pair, ensure_ascii=i % 2 == 0) + "\n" for i, pair in enumerate(pairs)), encoding="utf-8")


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "tests" / "golden")
    for area in ("base", "formats"):
        (folder / area).mkdir(parents=True, exist_ok=True)
    utf8_replace(folder)
    ggml_blocks(folder)
    safetensors_reference(folder)
    prompt_pairs(folder)


if __name__ == "__main__":
    main()
