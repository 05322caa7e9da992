#!/usr/bin/env python3
"""Compares adapters that PEFT itself writes, as our reader gives them, with the ranks, scales and matrices PEFT uses.

Usage: compare_lora.py LORA_DUMP_PROGRAM
"""
import hashlib
import pathlib
import subprocess
import sys
import tempfile

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

ADAPTERS = {
    "q and v": dict(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]),
    "all-linear, rsLoRA": dict(r=4, lora_alpha=6, target_modules="all-linear", use_rslora=True),
    "patterns": dict(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj", "o_proj"],
                     rank_pattern={"layers.1.self_attn.q_proj": 2, "o_proj": 3, "proj": 7},
                     alpha_pattern={"down_proj": 32, "model.layers.0.self_attn.q_proj": 1}),
    "regular expression, some layers": dict(r=2, target_modules=r".*layers\.1\..*up_proj"),
    "layers_to_transform": dict(r=2, target_modules=["k_proj"], layers_to_transform=[1]),
    "modules_to_save": dict(r=2, target_modules=["gate_proj"], modules_to_save=["lm_head", "embed_tokens"]),
}


def digest(tensor):
    return hashlib.sha256(tensor.detach().float().contiguous().numpy()).hexdigest()


def expected(model):
    """Line by line what lora_dump should print."""
    lines = set()
    for name, module in model.get_base_model().named_modules():
        if hasattr(module, "lora_A") and "default" in module.lora_A:
            a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
            lines.add(f"{name} {module.r['default']} {module.scaling['default']:.17g} {digest(a)} {digest(b)}")
        elif hasattr(module, "modules_to_save"):
            lines.add(f"{name}.weight {digest(module.modules_to_save['default'].weight)}")
    return lines


def main():
    torch.manual_seed(0)
    failed = 0
    config = LlamaConfig(num_hidden_layers=2, hidden_size=48, intermediate_size=64, num_attention_heads=4,
                         num_key_value_heads=2, vocab_size=100)
    with tempfile.TemporaryDirectory() as folder:
        base_path = pathlib.Path(folder) / "base"
        LlamaForCausalLM(config).save_pretrained(base_path)
        for name, options in ADAPTERS.items():
            model = get_peft_model(LlamaForCausalLM(config), LoraConfig(**options))
            for parameter in model.parameters():
                if parameter.requires_grad:
                    torch.nn.init.normal_(parameter)
            adapter_path = pathlib.Path(folder) / "adapter"
            model.save_pretrained(adapter_path)
            result = subprocess.run([sys.argv[1], base_path, adapter_path], capture_output=True, text=True)
            want = expected(model)
            good = result.returncode == 0 and set(result.stdout.splitlines()) == want
            failed += not good
            print(f"{name}: {len(want)} modules, {'equal' if good else 'DIFFER ' + result.stdout + result.stderr}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
