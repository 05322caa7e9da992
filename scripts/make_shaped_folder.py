#!/usr/bin/env python3
"""Makes a Hugging Face folder of the shape of a published model, to measure with: right config, names, shapes and shards.

Only the o_proj weights hold numbers (random bfloat16); all other tensors are holes in their files and read as zeros, so that
16 GB take 1 GB of disk. Says nothing sensible, and has no tokenizer.

Usage: make_shaped_folder.py FOLDER [--shape llama3-8b] [--layers N] [--shards 4]
"""
import argparse
import json
import pathlib
import random
import struct

SHAPES = {"llama3-8b": dict(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
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
    rng = random.Random(seed)
    low, high = rng.randbytes(BLOCK // 2), rng.randbytes(BLOCK // 2)
    block = bytearray(BLOCK)
    block[0::2] = low
    block[1::2] = bytes((b & 0x80) | 0x3C for b in high)
    return bytes(block)


def write_shard(path, members, seed):
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
            if not name.endswith("o_proj.weight"):
                continue
            block = random_block(seed + name)
            out.seek(8 + len(text) + header[name]["data_offsets"][0])
            for _ in range(0, size(shape), BLOCK):
                out.write(block)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--shape", choices=SHAPES, default="llama3-8b")
    parser.add_argument("--layers", type=int, help="fewer layers than the model has")
    parser.add_argument("--shards", type=int, default=4)
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
        write_shard(args.folder / file, members, args.shape)
        weight_map.update({name: file for name, _ in members})
    (args.folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))
    (args.folder / "config.json").write_text(json.dumps(config, indent=2))
    print(f"{args.folder}: {total / 1e9:.2f} GB in {args.shards} shards")


if __name__ == "__main__":
    main()
