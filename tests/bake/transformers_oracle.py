#!/usr/bin/env python3
"""Baked folders in transformers: for every tiny model the logits of the baked folder are those of the source with a hook that
adds the lock's displacement to what o_proj is given, the greedy tokens are the same, and so are the ids of the tokenizer.

Usage: transformers_oracle.py BAKE_MODEL MODELS_FOLDER. Prints the largest difference of each.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

# Baked as they are, baked as LlamaForCausalLM, and refused.
KEPT = ["llama_gqa", "llama_biases", "llama_head_dim", "llama_tied", "llama_rope_linear", "llama_rope_llama3", "qwen3", "gemma",
        "gemma2", "gemma3", "smollm3"]
RENAMED = ["qwen2", "mistral", "phi3_full"]
REFUSED = ["qwen2_window", "mistral_window", "phi3", "phi4_mini"]
STEPS = 24
TEXTS = ["How do I bake bread?", "a\n    b = 1\n\n\t2", " the thing you are ", "été 日本 🙂 1234567", "<|im_start|>user\nHi<|im_end|>"]


def displacements(lock_path, model):
    """Layer -> [H*D] per unit of alpha, and the lock's strength: read with safetensors alone."""
    with safe_open(lock_path, "np") as lock:
        layers, heads = lock.get_tensor("layers"), lock.get_tensor("heads")
        directions, sigmas = lock.get_tensor("directions").astype(float), lock.get_tensor("sigmas").astype(float)
        alpha = float(lock.metadata()["alpha"])
    out = {}
    for layer, head, direction, sigma in zip(layers, heads, directions, sigmas):
        size = model.model.layers[layer].self_attn.o_proj.in_features
        d = out.setdefault(int(layer), np.zeros(size))
        d[head * len(direction):(head + 1) * len(direction)] += sigma * direction
    return out, alpha


def hook(model, lock_path):
    vectors, alpha = displacements(lock_path, model)
    for layer, d in vectors.items():
        module = model.model.layers[layer].self_attn.o_proj
        vector = torch.tensor(alpha * d, dtype=module.weight.dtype)
        module.register_forward_pre_hook(lambda _, args, v=vector: (args[0] + v,))


def load(folder, dtype):
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not info[kind], (folder, kind, info[kind])
    return model.eval()


@torch.no_grad()
def greedy(model, ids):
    out, logits = list(ids), None
    for _ in range(STEPS):
        logits = model(torch.tensor([out])).logits[0]
        out.append(int(logits[-1].argmax()))
    return out, logits


def same_tokens(wanted_ids, wanted, found_ids, difference):
    """Equal up to the first step at which the two likeliest tokens are nearer than the difference explains."""
    for i, (a, b) in enumerate(zip(wanted_ids, found_ids)):
        if a != b:
            top = wanted[i - 1].topk(2).values
            return float(top[0] - top[1]) < 2 * difference
    return True


def compare_logits(name, source, baked, lock_path, ids):
    """Computed in float32. A bias stored as bfloat16 is off by up to 2^-9 of each of its values."""
    with_hook = load(source, torch.float32)
    _, free = greedy(with_hook, ids)
    hook(with_hook, lock_path)
    wanted_ids, wanted = greedy(with_hook, ids)
    found_ids, found = greedy(load(baked, torch.float32), ids)
    n = next((i for i, (a, b) in enumerate(zip(wanted_ids, found_ids)) if a != b), len(wanted_ids))
    difference, effect = float((found[:n] - wanted[:n]).abs().max()), float((free[:len(ids)] - wanted[:len(ids)]).abs().max())
    stored = json.loads((source / "config.json").read_text()).get("dtype")
    bound = 1e-4 if stored == "float32" else 0.01 * effect
    print(f"{name}: largest logit difference {difference:.2g} (bound {bound:.2g}), the lock's effect {effect:.2g}, "
          f"{n - len(ids)} of {STEPS} greedy tokens the same")
    assert difference < bound and effect > 0.1, name
    assert same_tokens(wanted_ids, wanted, found_ids, difference), name


def compare_biases(name, source, baked, lock_path):
    """Every stored bias is the one computed here in float64, rounded once; and zero where there is neither."""
    before, after = load(source, torch.float64), load(baked, torch.float64)
    vectors, alpha = displacements(lock_path, before)
    stored = getattr(torch, json.loads((source / "config.json").read_text())["dtype"])
    for layer, (a, b) in enumerate(zip(before.model.layers, after.model.layers)):
        old = a.self_attn.o_proj.bias
        wanted = torch.zeros(a.self_attn.o_proj.out_features, dtype=torch.float64) if old is None else old.detach()
        if layer in vectors:
            wanted = wanted + alpha * (a.self_attn.o_proj.weight.detach() @ torch.tensor(vectors[layer]))
        assert torch.equal(b.self_attn.o_proj.bias.detach(), wanted.to(stored).double()), (name, layer)
        assert (layer in vectors) or old is not None or not b.self_attn.o_proj.bias.any(), (name, layer)


def compare_ids(name, source, baked):
    a, b = AutoTokenizer.from_pretrained(source), AutoTokenizer.from_pretrained(baked)
    for text in TEXTS:
        assert a(text).input_ids == b(text).input_ids, (name, text)
    chat = [{"role": "user", "content": TEXTS[1]}]
    assert a.apply_chat_template(chat)["input_ids"] == b.apply_chat_template(chat)["input_ids"], name


def check_files(name, source, baked):
    """Weights untouched, the bias in the stored type, all biases there."""
    config = json.loads((baked / "config.json").read_text())
    assert config["attention_bias"] is True
    stored = {}
    for file in baked.glob("*.safetensors"):
        with safe_open(file, "pt") as f:
            for key in f.keys():
                assert key not in stored, (name, key)
                stored[key] = f.get_tensor(key)
    with safe_open(source / "model.safetensors", "pt") as f:
        for key in f.keys():
            tensor = f.get_tensor(key)
            if key in stored and not key.endswith("o_proj.bias"):
                assert torch.equal(stored[key], tensor), (name, key)
            elif key not in stored:  # Phi-3's fused ones
                parts = ("q_proj", "k_proj", "v_proj") if "qkv" in key else ("gate_proj", "up_proj")
                fused = "qkv_proj" if "qkv" in key else "gate_up_proj"
                assert torch.equal(torch.cat([stored[key.replace(fused, p)] for p in parts]), tensor), (name, key)
    for layer in range(config["num_hidden_layers"]):
        for projection in "qkvo":
            p = f"model.layers.{layer}.self_attn.{projection}_proj"
            assert stored[p + ".bias"].dtype == stored[p + ".weight"].dtype, (name, p)
    return config


def run(bake_model, source, baked, lock):
    return subprocess.run([bake_model, str(source), str(baked), str(lock)], capture_output=True, text=True)


def phi3_without_window(models, folder):
    """The tiny Phi-3 has a window; without one it is a Llama."""
    model = AutoModelForCausalLM.from_pretrained(models / "phi3", dtype=torch.bfloat16, sliding_window=None)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(models / "phi3").save_pretrained(folder)


@torch.no_grad()
def make_adapter(source, folder, targets):
    model = get_peft_model(load(source, torch.float32), LoraConfig(r=4, lora_alpha=6, target_modules=targets))
    torch.manual_seed(3)
    for name, p in model.named_parameters():
        if "lora_" in name:
            p.copy_(0.15 * torch.randn_like(p))
    model.save_pretrained(folder)


def with_adapter(folder, adapter):
    return PeftModel.from_pretrained(load(folder, torch.float32), adapter).eval()


def adapter_difference(source, baked, adapter, lock_path, ids):
    """Source and adapter with a hook before o_proj, against the baked folder and the adapter."""
    wanted = with_adapter(source, adapter)
    hook(wanted.base_model.model, lock_path)
    _, a = greedy(wanted, ids)
    _, b = greedy(with_adapter(baked, adapter), ids)
    return float((a[:len(ids)] - b[:len(ids)]).abs().max())


def adapters(bake_model, models, folder):
    """An adapter on o_proj is part of the bias; without, the baked base is exact under adapters that leave o_proj alone."""
    source, on_o = models / "llama_gqa", models / "llama_gqa_lora"
    make_adapter(source, folder / "on_qv", ["q_proj", "v_proj"])
    ids = AutoTokenizer.from_pretrained(source)(TEXTS[0]).input_ids
    plain, for_o, lock = folder / "plain", folder / "for_o", folder / "adapters.lock"
    for command in ([source, plain, lock], [source, for_o, lock, on_o]):
        subprocess.run([bake_model, *map(str, command)], check=True)
    exact = adapter_difference(source, for_o, for_o / "adapter", lock, ids)
    served = adapter_difference(source, plain, folder / "on_qv", lock, ids)
    wrong = adapter_difference(source, plain, on_o, lock, ids)
    print(f"adapter on o_proj, baked for it: {exact:.2g}; adapter on q and v over a baked base: {served:.2g}; "
          f"adapter on o_proj over a baked base: {wrong:.2g}")
    assert exact < 1e-4 and served < 1e-4 and wrong > 0.05


def main():
    bake_model, models = sys.argv[1], pathlib.Path(sys.argv[2])
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        phi3_without_window(models, folder / "phi3_full")
        for name in KEPT + RENAMED:
            source = folder / name if name == "phi3_full" else models / name
            baked, lock = folder / f"{name}-baked", folder / f"{name}.lock.safetensors"
            result = run(bake_model, source, baked, lock)
            assert result.returncode == 0, (name, result.stderr)
            config = check_files(name, source, baked)
            before = json.loads((source / "config.json").read_text())["architectures"]
            assert config["architectures"] == (["LlamaForCausalLM"] if name in RENAMED else before), name
            ids = AutoTokenizer.from_pretrained(source)(TEXTS[0]).input_ids
            compare_logits(name, source, baked, lock, ids)
            compare_biases(name, source, baked, lock)
            compare_ids(name, source, baked)
        for name in REFUSED:
            baked = folder / f"{name}-baked"
            result = run(bake_model, models / name, baked, folder / f"{name}.lock.safetensors")
            assert result.returncode == 4 and "bind.bake" in result.stderr, (name, result)
            assert not list(folder.glob(f"*{name}-baked*")), name
            print(f"{name}: refused")
        adapters(bake_model, models, folder)


if __name__ == "__main__":
    main()
