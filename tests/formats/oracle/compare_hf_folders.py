#!/usr/bin/env python3
"""Compares Hugging Face folders that transformers itself writes, as our reader gives them, with the models they hold.

Usage: compare_hf_folders.py TENSOR_DIGESTS_PROGRAM
"""
import hashlib
import subprocess
import sys
import tempfile

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

SIZES = dict(num_hidden_layers=2, hidden_size=48, intermediate_size=64, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=100, max_position_embeddings=128, bos_token_id=1, eos_token_id=[2, 3])
LLAMA3 = dict(rope_type="llama3", rope_theta=5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)


def models():
    yield "llama", LlamaForCausalLM(LlamaConfig(**SIZES)), {}
    yield "llama tied, bfloat16", LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True)).bfloat16(), {}
    yield "llama biases, head_dim", LlamaForCausalLM(
        LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True, head_dim=16)).half(), {}
    yield "llama3 rope, sharded", LlamaForCausalLM(LlamaConfig(**SIZES, rope_parameters=LLAMA3)), {"max_shard_size": "30KB"}
    yield "qwen2", Qwen2ForCausalLM(Qwen2Config(**SIZES)), {}
    yield "qwen2 sharded, bfloat16", Qwen2ForCausalLM(Qwen2Config(**SIZES)).bfloat16(), {"max_shard_size": "20KB"}


def main():
    program = sys.argv[1]
    torch.manual_seed(0)
    failed = 0
    for name, model, options in models():
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter)
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder, **options)
            result = subprocess.run([program, folder], capture_output=True, text=True)
        ours = dict(line.split() for line in result.stdout.splitlines())
        want = {key: hashlib.sha256(value.float().contiguous().numpy()).hexdigest() for key, value in model.state_dict().items()}
        if model.config.tie_word_embeddings:
            del want["lm_head.weight"]
        good = result.returncode == 0 and ours == want
        failed += not good
        print(f"{name}: {len(want)} tensors, {'equal' if good else 'DIFFER ' + result.stderr}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
