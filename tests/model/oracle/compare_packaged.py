#!/usr/bin/env python3
"""A packaged model whole against transformers, float32: logits of all tokens, every head output, 64 greedy tokens.

Usage: compare_packaged.py MODEL_DUMP_PROGRAM NAME   (a name that get_model.py knows)
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

GET_MODEL = pathlib.Path(__file__).resolve().parents[3] / "scripts" / "get_model.py"
PROMPTS = ["What is the capital of France?", "Write a short story about a lighthouse keeper who finds a bottle.",
           "List three prime numbers."]
STEPS = 64
TOLERANCE = 1e-4
MARGIN = 1e-3


def difference(ours, reference):
    return float((ours - reference).abs().max() / reference.abs().max())


@torch.no_grad()
def greedy(model, ids):
    """The next tokens and how far the first was ahead of the second, at least."""
    out, margin = list(ids), float("inf")
    step = model(torch.tensor([out]), use_cache=True)
    for _ in range(STEPS):
        top = step.logits[0, -1].topk(2)
        margin = min(margin, float(top.values[0] - top.values[1]))
        out.append(int(top.indices[0]))
        step = model(torch.tensor([out[-1:]]), past_key_values=step.past_key_values, use_cache=True)
    return out[len(ids):], margin


@torch.no_grad()
def logits_and_heads(model, ids):
    seen = []
    handles = [layer.self_attn.o_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0][0].clone()))
               for layer in model.model.layers]
    logits = model(torch.tensor([ids])).logits[0]
    for handle in handles:
        handle.remove()
    return logits, torch.stack(seen, dim=1)


def prompts_of(tokenizer):
    """Chats, or for a base model texts: the last one is longer than gemma-3-270m's window of 512 tokens."""
    if tokenizer.chat_template is None:
        text = " ".join(f"{n} bottles stood on the wall, and {n + 1} stood behind it." for n in range(40))
        return [tokenizer(t).input_ids for t in (PROMPTS[0], PROMPTS[1], text)]
    chats = [tokenizer.apply_chat_template([{"role": "user", "content": p}], tokenize=False, add_generation_prompt=True)
             for p in PROMPTS]
    return [tokenizer(chat, add_special_tokens=False).input_ids for chat in chats]


def main():
    path = pathlib.Path(subprocess.run([sys.executable, GET_MODEL, sys.argv[2]], check=True, stdout=subprocess.PIPE,
                                       text=True).stdout.strip())
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    ids = prompts_of(tokenizer)

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "ids.json").write_text(json.dumps(ids))
        subprocess.run([sys.argv[1], "logits", path, folder / "ids.json", folder / "out.safetensors"], check=True)
        ours = load_file(folder / "out.safetensors")

    failures = 0
    for i, sequence in enumerate(ids):
        logits, heads = logits_and_heads(model, sequence)
        tokens, margin = greedy(model, sequence)
        by_logits = difference(ours[f"logits.{i}"], logits)
        by_heads = max(difference(ours[f"heads.{i}"][:, layer].flatten(1), heads[:, layer]) for layer in range(heads.shape[1]))
        same = ours[f"greedy.{i}"].tolist() == tokens
        print(f"{len(sequence)} tokens: logits differ by {by_logits:.2g}, head outputs of a layer by at most {by_heads:.2g}, "
              f"{STEPS} greedy tokens {'equal' if same else 'DIFFER'} (smallest top-2 margin {margin:.3f})")
        if margin < MARGIN:
            print("  this prompt has a near tie: choose another")
        failures += by_logits >= TOLERANCE or by_heads >= TOLERANCE or not same or margin < MARGIN
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
