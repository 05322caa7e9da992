#!/usr/bin/env python3
"""Proves the folder that `get_model.py smollm2 --hf` writes: our reader finds the GGUF's own values in it, and
transformers loads it with the same config, end token and chat template.

Usage: compare_converted.py TENSOR_DIGESTS_PROGRAM
"""
import pathlib
import subprocess
import sys

from gguf import GGUFReader
from transformers import AutoConfig, AutoTokenizer

GET_MODEL = pathlib.Path(__file__).resolve().parents[3] / "scripts" / "get_model.py"


def get_model(*arguments):
    return subprocess.run([sys.executable, GET_MODEL, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def digests(program, path):
    return sorted(subprocess.run([program, path], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines())


def main():
    gguf, folder = get_model("smollm2"), get_model("smollm2", "--hf")
    ours, theirs = digests(sys.argv[1], folder), digests(sys.argv[1], gguf)
    assert len(ours) == 272 and ours == theirs, "the tensors differ"

    config = AutoConfig.from_pretrained(folder)
    assert config.rope_parameters["rope_theta"] == 100000.0, config
    assert config.rms_norm_eps == 1e-5 and config.head_dim == 64 and config.tie_word_embeddings, config

    fields = GGUFReader(gguf).fields
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = fields["tokenizer.ggml.tokens"].contents()
    assert len(tokenizer) == len(tokens) and all(tokenizer.convert_ids_to_tokens(i) == tokens[i] for i in range(0, len(tokens), 97))
    assert tokenizer.eos_token_id == fields["tokenizer.ggml.eos_token_id"].contents()
    assert tokenizer.chat_template == fields["tokenizer.chat_template"].contents()
    # Digits stand alone (the published tokenizer's rule), and control tokens are found in text.
    assert tokenizer.convert_ids_to_tokens(tokenizer("a  12<|im_end|>").input_ids) == ["a", "ĠĠ", "1", "2", "<|im_end|>"]
    print(f"{len(ours)} tensors equal; config, tokenizer and template load")
    return 0


if __name__ == "__main__":
    sys.exit(main())
