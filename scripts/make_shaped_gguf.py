#!/usr/bin/env python3
"""Makes a GGUF file of the shape of a published model, with random bfloat16 weights, to measure with. It speaks through the tokenizer
and chat template of another, smaller model's GGUF file. Holds all weights in memory.

Usage: make_shaped_gguf.py FILE --tokenizer GGUF [--shape llama3-8b] [--layers N]
"""
import argparse

import gguf
import numpy

import gguf_writing
import make_shaped_folder as shaped

NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "input_layernorm": "attn_norm",
         "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def gguf_name(name):
    stem = name.removesuffix(".weight")
    if stem in NAMES:
        return NAMES[stem] + ".weight"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{NAMES[rest]}.weight"


def random_bf16(name, shape):
    blocks = [shaped.random_block(f"{name}{begin}") for begin in range(0, shaped.size(shape), shaped.BLOCK)]
    return numpy.frombuffer(b"".join(blocks)[:shaped.size(shape)], dtype=numpy.uint8).reshape(shape[0], -1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--shape", choices=shaped.SHAPES, default="llama3-8b")
    parser.add_argument("--layers", type=int)
    args = parser.parse_args()
    c = dict(shaped.SHAPES[args.shape])
    c["num_hidden_layers"] = args.layers or c["num_hidden_layers"]
    writer = gguf.GGUFWriter(args.file, "llama")
    writer.add_block_count(c["num_hidden_layers"])
    writer.add_context_length(c["max_position_embeddings"])
    writer.add_embedding_length(c["hidden_size"])
    writer.add_feed_forward_length(c["intermediate_size"])
    writer.add_head_count(c["num_attention_heads"])
    writer.add_head_count_kv(c["num_key_value_heads"])
    writer.add_rope_freq_base(c["rope_theta"])
    writer.add_layer_norm_rms_eps(1e-5)
    for name, field in gguf.GGUFReader(args.tokenizer).fields.items():
        if name.startswith("tokenizer."):
            gguf_writing.copy_field(writer, name, field)
    for name, shape in shaped.tensors(c):
        if len(shape) == 1:
            writer.add_tensor(gguf_name(name), numpy.ones(shape, dtype=numpy.float32))
        else:
            writer.add_tensor(gguf_name(name), random_bf16(name, shape), raw_dtype=gguf.GGMLQuantizationType.BF16)
    gguf_writing.finish(writer)


if __name__ == "__main__":
    main()
