#!/usr/bin/env python3
"""Makes a Hugging Face folder of the shape of a published model, to measure with: right config, names, shapes and shards.

Only the o_proj weights hold numbers (random bfloat16); all other tensors are holes in their files and read as zeros, so that
16 GB take 1 GB of disk; with --all every tensor is random and takes its room. Says nothing sensible. With --tokenizer it speaks
through the tokenizer and chat template of another, smaller model.

Usage: make_shaped_folder.py FOLDER [--shape llama3-8b] [--layers N] [--shards 4] [--all] [--tokenizer FOLDER]
"""
import argparse
import json
import pathlib
import shutil
import struct

import numpy

SHAPES = {"llama3-8b": dict(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
                            num_key_value_heads=8, vocab_size=128256, max_position_embeddings=8192, rope_theta=500000.0),
          "llama3-70b": dict(hidden_size=8192, intermediate_size=28672, num_hidden_layers=80, num_attention_heads=64,
                             num_key_value_heads=8, vocab_size=128256, max_position_embeddings=8192, rope_theta=500000.0)}
BLOCK = 1 << 20


def tensors(c):
    e, f, v = c["hidden_size"], c["intermediate_size"], c["vocab_size"]
    kv = e // c["num_attention_heads"] * c["num_key_value_heads"]
    yield "model.embed_tokens.weight", [v, e]
    for layer in range(c["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        yield p + "input_layernorm.weight", [e]
        for name, shape in (("q", [e, e]), ("k", [kv, e]), ("v", [kv, e]), ("o", [e, e])):
            yield f"{p}self_attn.{name}_proj.weight", shape
        yield p + "post_attention_layernorm.weight", [e]
        for name, shape in (("gate", [f, e]), ("up", [f, e]), ("down", [e, f])):
            yield f"{p}mlp.{name}_proj.weight", shape
    yield "model.norm.weight", [e]
    yield "lm_head.weight", [v, e]


def size(shape):
    n = 2
    for extent in shape:
        n *= extent
    return n


def random_block(seed):
    """Finite bfloat16 of either sign, between 2^-7 and 2^-5 in size."""
    rng = numpy.random.default_rng(list(seed.encode()))
    bits = rng.integers(0, 1 << 16, BLOCK // 2, dtype=numpy.uint16)
    return ((bits & 0x80FF) | 0x3C00).tobytes()


def write_shard(path, members, seed, every):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in members:
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size(shape)]}
        offset += size(shape)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        out.truncate(8 + len(text) + offset)
        for name, shape in members:
            if not every and not name.endswith("o_proj.weight"):
                continue
            out.seek(8 + len(text) + header[name]["data_offsets"][0])
            if every and len(shape) == 1:
                out.write(b"\x80\x3f" * shape[0])  # norms of ones: values keep their size from layer to layer
                continue
            block = random_block(seed + name)
            for begin in range(0, size(shape), BLOCK):
                if every and begin:
                    block = random_block(f"{seed}{name}{begin}")
                out.write(block[:size(shape) - begin])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--shape", choices=SHAPES, default="llama3-8b")
    parser.add_argument("--layers", type=int, help="fewer layers than the model has")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--all", action="store_true", help="random numbers in every tensor")
    parser.add_argument("--tokenizer", type=pathlib.Path, help="folder of a model whose tokenizer and template are copied")
    args = parser.parse_args()
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5,
              "attention_bias": False, "tie_word_embeddings": False, "bos_token_id": 128000, "eos_token_id": 128001,
              "torch_dtype": "bfloat16", **SHAPES[args.shape]}
    if args.layers:
        config["num_hidden_layers"] = args.layers
    args.folder.mkdir(parents=True)
    everything = list(tensors(config))
    total, shards, filled = sum(size(s) for _, s in everything), [[] for _ in range(args.shards)], 0
    for name, shape in everything:
        shards[min(args.shards - 1, filled * args.shards // total)].append((name, shape))
        filled += size(shape)
    weight_map = {}
    for i, members in enumerate(shards):
        file = f"model-{i + 1:05}-of-{args.shards:05}.safetensors"
        write_shard(args.folder / file, members, args.shape, args.all)
        weight_map.update({name: file for name, _ in members})
    (args.folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))
    (args.folder / "config.json").write_text(json.dumps(config, indent=2))
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"):
        if args.tokenizer and (args.tokenizer / name).exists():
            shutil.copy(args.tokenizer / name, args.folder / name)
    print(f"{args.folder}: {total / 1e9:.2f} GB in {args.shards} shards")


if __name__ == "__main__":
    main()
