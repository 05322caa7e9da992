#!/usr/bin/env python3
"""Writes tests/golden/engine/sampling.json: what transformers makes of rows of logits, and of the tiny models.

Usage: make_golden_sampling.py. Needs torch and transformers. "rows": the processors that `generate(do_sample=True)` builds for
the options, in its order, in float64: logits are integers / 64, `ids` and `probabilities` are what is left. "replies": greedy
replies of tests/golden/model/NAME with a repetition penalty, by `generate`, each choice clear by 1e-3.
"""
import json
import os
import pathlib

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import torch
from safetensors.torch import load_file
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, AutoModelForCausalLM

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = ROOT / "tests" / "golden" / "model"
OUT = ROOT / "tests" / "golden" / "engine" / "sampling.json"
STOP = [271, 273]  # <|endoftext|>, <|im_end|>
VOCABULARY = 24
DEFAULTS = dict(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0)

# What one option does at its edges, and several together.
OPTIONS = [
    {},
    {"temperature": 0.7}, {"temperature": 0.01}, {"temperature": 100.0},
    {"top_k": 1}, {"top_k": 5}, {"top_k": 23}, {"top_k": 24}, {"top_k": 1000},
    {"top_p": 0.0}, {"top_p": 0.001}, {"top_p": 0.5}, {"top_p": 0.9}, {"top_p": 0.999999},
    {"min_p": 0.001}, {"min_p": 0.1}, {"min_p": 0.5}, {"min_p": 1.0},
    {"repetition_penalty": 1.3}, {"repetition_penalty": 0.5}, {"repetition_penalty": 100.0},
    {"top_k": 10, "top_p": 0.8},
    {"top_p": 0.95, "min_p": 0.05},
    {"top_k": 15, "min_p": 0.2},
    {"temperature": 1.8, "top_k": 12, "top_p": 0.7, "min_p": 0.3},
    {"temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 0.02, "repetition_penalty": 1.2},
    {"temperature": 2.5, "top_k": 8, "top_p": 0.6, "min_p": 0.5, "repetition_penalty": 0.8},
]


def rows_of_logits():
    """name -> logits * 64: random ones, ones of equal values, and extreme ones."""
    random = np.random.default_rng(1)
    tied = np.repeat([128, 64, 0, -64], VOCABULARY // 4)
    random.shuffle(tied)
    peaked = random.normal(0, 64, VOCABULARY)
    peaked[17] = 1000
    return {"random": random.normal(0, 128, VOCABULARY), "tied": tied, "equal": np.zeros(VOCABULARY), "peaked": peaked,
            "wide": random.normal(0, 5000, VOCABULARY), "negative": random.normal(-2000, 100, VOCABULARY)}


def kept(model, logits, seen, options):
    config = GenerationConfig(do_sample=True, **{**DEFAULTS, **options})
    ids = torch.tensor([seen])
    processors = model._get_logits_processor(config, input_ids_seq_length=len(seen))
    scores = processors(ids, torch.tensor([logits], dtype=torch.float64) / 64)[0]
    left = torch.nonzero(scores > -torch.inf).flatten()
    return left.tolist(), torch.softmax(scores, 0)[left].tolist()


def rows():
    model = LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                                         num_attention_heads=1))
    seen = [3, 17, 3, 8, 20, 23, 0]  # one of them twice
    out = []
    for name, logits in rows_of_logits().items():
        logits = [int(x) for x in logits]
        cases = []
        for options in OPTIONS:
            ids, probabilities = kept(model, logits, seen, options)
            cases.append({"options": {**DEFAULTS, **options}, "ids": ids,
                          "probabilities": [float(f"{p:.9g}") for p in probabilities]})
        out.append({"name": name, "has_ties": len(set(logits)) < len(logits), "logits": logits, "seen": seen, "cases": cases})
    return out


def reply(name, penalty):
    model = AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32)
    prompt = load_file(MODELS / f"{name}.golden.safetensors")["chat.prompt_ids"]
    out = model.generate(prompt[None], do_sample=False, repetition_penalty=penalty, max_new_tokens=48, output_scores=True,
                         return_dict_in_generate=True, eos_token_id=STOP)
    for scores in out.scores:
        top = scores[0].topk(2).values
        assert top[0] - top[1] > 1e-3, (name, penalty)
    ids = out.sequences[0, len(prompt):].tolist()
    return {"model": name, "repetition_penalty": penalty, "token_ids": [i for i in ids if i not in STOP],
            "finish_reason": "stop" if ids[-1] in STOP else "length"}


def main():
    torch.manual_seed(0)
    golden = {"rows": rows(), "replies": [reply("qwen2", 1.2), reply("llama_gqa", 1.5), reply("llama_gqa", 0.9)]}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(f"{OUT.relative_to(ROOT)}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
