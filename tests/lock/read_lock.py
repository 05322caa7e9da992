#!/usr/bin/env python3
"""Runs the Python snippet of docs/lock-format.md on a lock that WRITE_LOCK (a program of ours) makes, and checks what it saw.

usage: read_lock.py WRITE_LOCK
"""
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np

DOC = pathlib.Path(__file__).resolve().parents[2] / "docs" / "lock-format.md"
KEYS = {"format", "version", "architecture", "layers", "heads", "kv_heads", "head_dim", "hidden_size", "base_model",
        "config_digest", "tokenizer_digest", "template_digest", "weights_digest", "pairs_digest", "protocol",
        "tokens_per_reply", "seed", "alpha", "alpha_max", "revision", "library_version", "content_digest"}

GATE_KEYS = {"gate_threshold", "gate_harmful", "gate_missed", "gate_harmless", "gate_false_alarms", "gate_score_mean",
             "gate_score_sd", "gate_prompts_digest"}


def main() -> int:
    (snippet,) = re.findall(r"```python\n(.*?)```", DOC.read_text(), re.S)
    with tempfile.TemporaryDirectory() as folder:
        path, gated_path = (str(pathlib.Path(folder) / f"{name}.lock.safetensors") for name in ("sample", "gated"))
        subprocess.run([sys.argv[1], path, gated_path], check=True)
        seen, gated = {"path": path}, {"path": gated_path}
        exec(compile(snippet, str(DOC), "exec"), seen)
        exec(compile(snippet, str(DOC), "exec"), gated)
        # A changed lock must fail the snippet's own check, or it would prove nothing.
        data = bytearray(pathlib.Path(path).read_bytes())
        data[-1] ^= 1
        pathlib.Path(path).write_bytes(data)
        try:
            exec(compile(snippet, str(DOC), "exec"), {"path": path})
        except AssertionError:
            pass
        else:
            raise SystemExit("the snippet accepted a changed lock")
    metadata, tensors = seen["metadata"], seen["tensors"]
    assert set(metadata) == KEYS, set(metadata) ^ KEYS
    assert set(gated["metadata"]) == KEYS | GATE_KEYS | {f"reply_{key}" for key in GATE_KEYS}, set(gated["metadata"]) ^ KEYS
    assert gated["metadata"]["gate_threshold"] == "0.3" and gated["metadata"]["gate_missed"] == "21"
    assert {k: v.tolist() for k, v in gated["tensors"].items() if k in ("gate_layers", "gate_heads", "gate_positions", "gate_bias")} == {
        "gate_layers": [0, 3, 3], "gate_heads": [2, 1, 1], "gate_positions": [2, 0, 1], "gate_bias": [-1.25]}
    assert gated["tensors"]["gate_weights"].shape == (3, 8)
    assert gated["metadata"]["reply_gate_threshold"] == "0.625" and gated["tensors"]["reply_gate_positions"].tolist() == [4, 4]
    assert gated["tensors"]["reply_gate_layers"].tolist() == [2, 5] and gated["tensors"]["reply_gate_weights"].shape == (2, 8)
    for name in tensors:
        assert np.array_equal(gated["tensors"][name], tensors[name]), name
    expected = {"architecture": "LlamaForCausalLM", "layers": "6", "heads": "4", "kv_heads": "2", "head_dim": "8",
                "hidden_size": "20", "base_model": 'tiny "llama"', "seed": "7", "alpha": "6", "alpha_max": "24"}
    assert {k: metadata[k] for k in expected} == expected, metadata
    assert set(tensors) == {"layers", "heads", "directions", "sigmas", "gaps", "scores", "sketch"}, tensors.keys()
    assert tensors["layers"].tolist() == [4, 1, 4] and tensors["heads"].tolist() == [3, 0, 1]
    assert tensors["sigmas"].tolist() == [0.75, 1.5, 0.25] and tensors["scores"].dtype == np.float32
    assert tensors["gaps"].tolist() == [0.5, 0.0, 0.125]
    assert tensors["sketch"].shape == (0,) and tensors["sketch"].dtype == np.float32
    for k, seed in enumerate((1, 2, 3)):
        j = np.arange(8)
        v = np.sin(1.7 * seed + 0.9 * (j * j + 1))
        assert np.allclose(tensors["directions"][k], v / np.linalg.norm(v), atol=1e-6)
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
