#!/usr/bin/env python3
"""Compares every tensor of a GGUF model, as our reader gives it, with the Python package gguf, bit for bit.

Usage: compare_tensors.py TENSOR_DIGESTS_PROGRAM (smollm2 | qwen2.5-coder-1.5b | MODEL.gguf)
"""
import hashlib
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

LAYER_NAMES = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
MODEL_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
PACKAGED = {"smollm2": "SmolLM2-135M-Instruct.Q4_1.gguf",
            "qwen2.5-coder-1.5b": "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"}
ROWS_AT_ONCE = 4096


def model_path(name):
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = os.environ.get("SAFETYLOCK_MODELS") or pathlib.Path(cache) / "safetylock" / "models"
    return str(pathlib.Path(folder) / PACKAGED[name]) if name in PACKAGED else name


def hugging_face_name(name):
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name)
    if not match:
        return MODEL_NAMES[name]
    return f"model.layers.{match[1]}.{LAYER_NAMES[match[2]]}.{match[3]}"


def metadata(reader, key):
    return reader.fields[key].contents()


def unpermute(values, heads):
    """The inverse of convert_hf_to_gguf.py's LlamaModel.permute."""
    shape = values.shape
    return values.reshape(heads, shape[0] // heads // 2, 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def digest(tensor, permuted_heads):
    hash_ = hashlib.sha256()
    data = tensor.data if tensor.data.ndim > 1 else tensor.data.reshape(1, -1)
    step = data.shape[0] if permuted_heads else ROWS_AT_ONCE
    for row in range(0, data.shape[0], step):
        values = dequantize(data[row : row + step], tensor.tensor_type)
        if permuted_heads:
            values = unpermute(values, permuted_heads)
        hash_.update(np.ascontiguousarray(values, dtype=np.float32))
    return hash_.hexdigest()


def main():
    program, model = sys.argv[1], model_path(sys.argv[2])
    ours = dict(line.split() for line in subprocess.run(
        [program, model], check=True, capture_output=True, text=True).stdout.splitlines())
    reader = GGUFReader(model)
    arch = metadata(reader, "general.architecture")
    heads = {}
    if arch == "llama":
        heads = {"attn_q": metadata(reader, "llama.attention.head_count"),
                 "attn_k": metadata(reader, "llama.attention.head_count_kv")}
    wrong = []
    for tensor in reader.tensors:
        name = hugging_face_name(tensor.name)
        kind = tensor.name.split(".")[-2]
        if ours.pop(name, None) != digest(tensor, heads.get(kind)):
            wrong.append(f"{name} ({tensor.tensor_type.name})")
    wrong += [f"{name} (not in the file)" for name in ours]
    print(f"{len(reader.tensors)} tensors, {len(wrong)} differ")
    for name in wrong:
        print("  " + name)
    return 1 if wrong or not reader.tensors else 0


if __name__ == "__main__":
    sys.exit(main())
