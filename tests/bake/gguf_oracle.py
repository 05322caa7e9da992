#!/usr/bin/env python3
"""Baked GGUF files beside their source, read with the gguf package: every value but the new biases is where it was, byte for
byte; of arch qwen2 the rows of q and k stand in arch llama's order. Also the biases, from the package's dequantised W_o.

Usage: gguf_oracle.py BAKE_MODEL
"""
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from safetensors import safe_open

# Rows of 256 values, a block of the K types.
E, H, G, D, F, V, L = 256, 8, 2, 32, 256, 40, 3
TYPES = {"F32": Type.F32, "F16": Type.F16, "BF16": Type.BF16, "Q8_0": Type.Q8_0, "Q4_0": Type.Q4_0, "Q5_1": Type.Q5_1}
# Bytes of a block of 256, and where its scales in float16 stand: the package reads these types and does not write them.
K_BLOCKS = {"Q4_K": (144, [0, 2]), "Q5_K": (176, [0, 2]), "Q6_K": (210, [208])}
TOKENS = [f"t{i}" for i in range(V)]


def random_blocks(rng, kind, rows, columns):
    """Any bytes are a valid block, once its scales are numbers."""
    size, scales = K_BLOCKS[kind]
    blocks = rng.integers(0, 256, (rows, columns // 256, size), dtype=np.uint8)
    for at in scales:
        blocks[:, :, at:at + 2] = rng.uniform(1e-4, 4e-4, blocks.shape[:2] + (1,)).astype(np.float16).view(np.uint8)
    return blocks.reshape(rows, -1)


def write_model(path, arch, kind, own_bias=None):
    rng = np.random.default_rng(7)
    w = gguf.GGUFWriter(path, arch)
    if kind in K_BLOCKS:
        w.add_custom_alignment(128)
    w.add_name("tiny é")
    w.add_block_count(L)
    w.add_context_length(128)
    w.add_embedding_length(E)
    w.add_feed_forward_length(F)
    w.add_head_count(H)
    w.add_head_count_kv(G)
    w.add_key_length(D)
    w.add_value_length(D)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_freq_base(1000000.0)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(TOKENS)
    w.add_token_types([1] * V)
    w.add_token_merges(["t 0"])
    w.add_eos_token_id(2)
    w.add_bool("tokenizer.ggml.add_bos_token", False)

    def matrix(name, rows, columns):
        if kind in K_BLOCKS:
            w.add_tensor(name, random_blocks(rng, kind, rows, columns), raw_dtype=Type[kind])
            return
        values = rng.standard_normal((rows, columns)).astype(np.float32) * 0.1
        if kind == "F32":
            w.add_tensor(name, values)
        else:
            w.add_tensor(name, gguf.quants.quantize(values, TYPES[kind]), raw_dtype=TYPES[kind])

    def vector(name, n):
        w.add_tensor(name, rng.standard_normal(n).astype(np.float32))

    matrix("token_embd.weight", V, E)
    vector("output_norm.weight", E)
    matrix("output.weight", V, E)
    for i in range(L):
        p = f"blk.{i}."
        vector(p + "attn_norm.weight", E)
        vector(p + "ffn_norm.weight", E)
        for name, rows in (("attn_q", H * D), ("attn_k", G * D), ("attn_v", G * D)):
            matrix(p + name + ".weight", rows, E)
            if arch == "qwen2":
                vector(p + name + ".bias", rows)
        matrix(p + "attn_output.weight", E, H * D)
        if own_bias:
            w.add_tensor(p + "attn_output.bias", rng.standard_normal(E).astype(own_bias))
        matrix(p + "ffn_gate.weight", F, E)
        matrix(p + "ffn_up.weight", F, E)
        matrix(p + "ffn_down.weight", E, F)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def fields(reader):
    return {k: (f.types, [bytes(p) for p in f.parts[3:]]) for k, f in reader.fields.items()
            if not k.startswith(("GGUF.", "safetylock."))}


def as_llama(rows):
    """convert_hf_to_gguf.py, LlamaModel.permute: row i and row i + D/2 of a head become rows 2i and 2i + 1."""
    head_first = rows.reshape(rows.shape[0] // D, 2, D // 2, -1)
    return head_first.swapaxes(1, 2).reshape(rows.shape)


def check_metadata(arch, before, after):
    old, new = fields(before), fields(after)
    renamed = {("llama" + k[len(arch):] if k.startswith(arch + ".") else k): v for k, v in old.items()}
    assert list(new) == list(renamed), set(new) ^ set(renamed)
    for key, value in renamed.items():
        if key != "general.architecture":
            assert new[key] == value, key
    assert after.fields["general.architecture"].contents() == "llama"


def check_tensors(arch, before, after):
    new = {t.name: t for t in after.tensors}
    added = [f"blk.{i}.attn_output.bias" for i in range(L)]
    old_names = [t.name for t in before.tensors]
    assert [t.name for t in after.tensors] == old_names + [n for n in added if n not in old_names]
    for t in before.tensors:
        other = new[t.name]
        assert t.tensor_type == other.tensor_type and list(t.shape) == list(other.shape), t.name
        data = np.asarray(t.data)
        if arch == "qwen2" and (".attn_q." in t.name or ".attn_k." in t.name):
            data = as_llama(data)
        if t.name not in added:
            assert np.array_equal(data, np.asarray(other.data)), t.name


def check_biases(lock_path, before, after):
    old, new = {t.name: t for t in before.tensors}, {t.name: t for t in after.tensors}
    with safe_open(lock_path, "np") as lock:
        alpha = float(lock.metadata()["alpha"])
        parts = [lock.get_tensor(k) for k in ("layers", "heads")] + [lock.get_tensor(k).astype(float) for k in ("directions", "sigmas")]
    for i in range(L):
        weight = old[f"blk.{i}.attn_output.weight"]
        values = gguf.quants.dequantize(weight.data, weight.tensor_type).astype(float)
        wanted = np.zeros(E)
        if (own := old.get(f"blk.{i}.attn_output.bias")) is not None:
            wanted = np.asarray(own.data).astype(float)
        for layer, head, direction, sigma in zip(*parts):
            if layer == i:
                wanted = wanted + alpha * sigma * (values[:, head * D:(head + 1) * D] @ direction)
        bias = np.asarray(new[f"blk.{i}.attn_output.bias"].data)
        assert bias.dtype == np.float32 and np.isfinite(bias).all(), i
        # Rounded once: half a step, and what the order of the sum makes of a double.
        error = np.abs(bias.astype(float) - wanted) - np.spacing(np.abs(bias)).astype(float) / 2
        assert error.max() <= 1e-12 * max(1, np.abs(wanted).max()), (i, error.max())
        assert np.abs(wanted).max() > 0.01 or i not in parts[0], i


def main():
    bake_model = sys.argv[1]
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        cases = [(a, k, None) for a in ("llama", "qwen2") for k in [*TYPES, *K_BLOCKS]] + [("llama", "F16", np.float32)]
        for arch, kind, own in cases:
            path, baked, lock = folder / "m.gguf", folder / "baked.gguf", folder / f"{arch}.lock"
            write_model(path, arch, kind, own_bias=own)
            result = subprocess.run([bake_model, path, baked, lock], capture_output=True, text=True)
            assert result.returncode == 0, (arch, kind, result.stderr)
            before, after = gguf.GGUFReader(path), gguf.GGUFReader(baked)
            check_metadata(arch, before, after)
            check_tensors(arch, before, after)
            check_biases(lock, before, after)
            assert after.fields["safetylock.alpha"].contents() == 3.0
            again = subprocess.run([bake_model, baked, folder / "twice.gguf", lock], capture_output=True, text=True)
            assert again.returncode == 4 and "bind.bake" in again.stderr, again
            for file in [path, baked, folder / "baked.README.md"]:
                file.unlink()
            assert not [f for f in folder.iterdir() if f.suffix != ".lock"], list(folder.iterdir())
            print(f"{arch} {kind}{' with o biases' if own else ''}: equal")


if __name__ == "__main__":
    main()
