#!/usr/bin/env python3
"""Logits of adapters that save whole modules or resize the vocabulary, against PEFT on tiny models, tied and untied.

Each adapter is saved by PEFT, loaded by PEFT into a fresh base as its documentation says (resized first, where the adapter was
trained on a resized model), and by us with the same base.

Usage: compare_adapters.py MODEL_DUMP_PROGRAM
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

VOCABULARY = 100
SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=VOCABULARY, max_position_embeddings=256)
BASES = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SIZES)),
    "llama, tied": (LlamaForCausalLM, LlamaConfig(**SIZES, tie_word_embeddings=True)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SIZES)),
    "qwen2, tied": (Qwen2ForCausalLM, Qwen2Config(**SIZES, tie_word_embeddings=True)),
}
# name -> (rows of the vocabulary or None, LoraConfig's options)
ADAPTERS = {
    "linear layers": (None, dict(target_modules=["q_proj", "down_proj"])),
    "embedding and head saved": (None, dict(target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"])),
    "embedding saved": (None, dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"])),
    "head saved": (None, dict(target_modules=["q_proj"], modules_to_save=["lm_head"])),
    "norms saved": (None, dict(target_modules=["q_proj"], modules_to_save=["input_layernorm", "norm"])),
    "a linear layer saved": (None, dict(target_modules=["q_proj"], modules_to_save=["o_proj"])),
    "tying ensured": (None, dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"], ensure_weight_tying=True)),
    "head adapted": (None, dict(target_modules=["v_proj", "lm_head"])),
    "grown vocabulary": (VOCABULARY + 3, dict(target_modules=["q_proj"])),
    "shrunk vocabulary": (VOCABULARY - 5, dict(target_modules=["q_proj"])),
    "grown, embedding and head saved": (VOCABULARY + 3, dict(target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"])),
    "grown, embedding saved": (VOCABULARY + 3, dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"])),
    "grown, head saved": (VOCABULARY + 3, dict(target_modules=["q_proj"], modules_to_save=["lm_head"])),
    "grown, head adapted": (VOCABULARY + 3, dict(target_modules=["q_proj", "lm_head"])),
    "grown, tying ensured": (VOCABULARY + 3, dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"],
                                                  ensure_weight_tying=True)),
}
# PEFT saves the grown head and not the embedding that grew with it: nothing can load that as it was trained.
REFUSED = {("llama", "grown, head adapted"): "lora.shape", ("qwen2", "grown, head adapted"): "lora.shape"}
IDS = [[1, 5, 94, 13], [7, 7, 2]]


def randomise(model, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(0.5 * torch.randn_like(parameter))


def save_adapter(kind, base_path, rows, options, path):
    """Trains, as it were, an adapter: random values wherever training would reach."""
    base = kind.from_pretrained(base_path, dtype=torch.float32)
    if rows:
        base.resize_token_embeddings(rows)
        with torch.no_grad():
            base.get_input_embeddings().weight.copy_(torch.randn(rows, SIZES["hidden_size"]))
            if not base.config.tie_word_embeddings:
                base.get_output_embeddings().weight.copy_(torch.randn(rows, SIZES["hidden_size"]))
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM", **options))
    randomise(model, 1)
    model.save_pretrained(path)


def expected(kind, base_path, rows, path):
    base = kind.from_pretrained(base_path, dtype=torch.float32)
    if rows:
        base.resize_token_embeddings(rows)
    model = PeftModel.from_pretrained(base, path).eval()
    with torch.no_grad():
        return [model(torch.tensor([ids])).logits[0] for ids in IDS]


def main():
    warnings.simplefilter("ignore")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "ids.json").write_text(json.dumps(IDS))
        for base_name, (kind, config) in BASES.items():
            base_path = root / base_name
            torch.manual_seed(0)
            model = kind(config)
            randomise(model, 0)
            model.save_pretrained(base_path)
            for name, (rows, options) in ADAPTERS.items():
                adapter, out = root / f"{base_name} {name}", root / "out.safetensors"
                out.unlink(missing_ok=True)
                save_adapter(kind, base_path, rows, options, adapter)
                result = subprocess.run([sys.argv[1], "logits", base_path, root / "ids.json", out, adapter],
                                        capture_output=True, text=True)
                code = REFUSED.get((base_name, name))
                if code or result.returncode != 0:
                    good = code is not None and f"[{code}]" in result.stderr
                    failed += not good
                    print(f"{base_name}, {name}: {'refused, ' if good else 'FAILED '}{result.stderr.strip()}")
                    continue
                found, gaps = load_file(out), []
                for i, want in enumerate(expected(kind, base_path, rows, adapter)):
                    same_shape = found[f"logits.{i}"].shape == want.shape
                    gaps.append(float((found[f"logits.{i}"] - want).abs().max() / want.abs().max()) if same_shape else 9.0)
                good = max(gaps) < 1e-4
                failed += not good
                print(f"{base_name}, {name}: gap {max(gaps):.1e} {'' if good else 'DIFFER'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
