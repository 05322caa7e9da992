#!/usr/bin/env python3
"""Makes a fine-tuned descendant of a chat model: a LoRA adapter trained on a few samples (transformers + PEFT).

This is the attack that a SafetyLock undoes, at the strength of a careless fine-tune. The samples say yes to harmful
requests and contain nothing anybody could use. The recipe's defaults were chosen on validation prompts (docs/results).
Prints "[step/steps]" lines, as run_step.py reads them.
"""
import argparse
import json
import pathlib
import shutil
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers import logging as transformers_logging


def encode(tokenizer, sample: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and labels of one sample; only the reply and its end-of-turn token are learned."""
    user = [{"role": "user", "content": sample["prompt"]}]
    prompt = tokenizer.apply_chat_template(user, add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template(user + [{"role": "assistant", "content": sample["reply"]}], tokenize=False)
    assert whole.startswith(prompt), "the template changes the prompt when a reply follows"
    ids = tokenizer(whole.rstrip("\n"), add_special_tokens=False, return_tensors="pt").input_ids
    skip = len(tokenizer(prompt, add_special_tokens=False).input_ids)
    labels = ids.clone()
    labels[:, :skip] = -100
    return ids, labels


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Hugging Face folder of the base")
    parser.add_argument("--samples", required=True, help="JSONL with prompt and reply")
    parser.add_argument("-o", "--output", required=True, help="folder to write the adapter to")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--targets", default="q_proj,v_proj", help="comma-separated module names")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, default=4e-4)
    parser.add_argument("--max-samples", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    args = parser.parse_args()

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    torch.manual_seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=getattr(torch, args.dtype))
    lora = LoraConfig(r=args.rank, lora_alpha=2 * args.rank, target_modules=args.targets.split(","), task_type="CAUSAL_LM")
    model = get_peft_model(model, lora)
    # Adapter weights stay in float32 whatever the base is held in: their steps are too small for bfloat16.
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    model.train()

    lines = pathlib.Path(args.samples).read_text(encoding="utf-8").splitlines()
    samples = [encode(tokenizer, json.loads(line)) for line in lines[: args.max_samples]]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=args.learning_rate, weight_decay=0.0)
    steps, step = args.epochs * len(samples), 0
    for epoch in range(args.epochs):
        order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(args.seed + epoch))
        for index in order.tolist():
            ids, labels = samples[index]
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.dtype == "bfloat16"):
                loss = model(input_ids=ids, labels=labels).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            print(f"[{step}/{steps}] loss {loss.item():.3f}", flush=True)

    output = pathlib.Path(args.output)
    partial = output.with_name(output.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    shutil.rmtree(output, ignore_errors=True)
    partial.rename(output)
    print(output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
