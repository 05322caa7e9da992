#!/usr/bin/env python3
"""A GGUF model that the gguf package splits into parts gives the same bits as the whole file, and both what transformers gives.

Usage: compare_split_gguf.py MODEL_DUMP_PROGRAM
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from gguf import GGUFWriter
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=100, max_position_embeddings=256, rms_norm_eps=1e-5)
NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "input_layernorm": "attn_norm",
         "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
         "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down"}
SPLITS = {"of 4 tensors": dict(split_max_tensors=4), "of one tensor": dict(split_max_tensors=1),
          "of 10 kB": dict(split_max_size=10_000), "after the metadata": dict(split_max_tensors=8, small_first_shard=True)}


def gguf_tensors(model):
    """(name, values) as llama.cpp's converter writes them: the rows of q and k interleaved within each head."""
    for name, tensor in model.state_dict().items():
        module, kind = name.rsplit(".", 1)
        if ".q_proj." in name or ".k_proj." in name:
            heads = SIZES["num_attention_heads" if ".q_proj." in name else "num_key_value_heads"]
            tensor = tensor.view(heads, 2, -1, tensor.shape[1]).transpose(1, 2).reshape(tensor.shape)
        if module.startswith("model.layers."):
            layer, part = module.removeprefix("model.layers.").split(".", 1)
            yield f"blk.{layer}.{NAMES[part]}.{kind}", tensor.numpy().copy()
        else:
            yield f"{NAMES[module]}.{kind}", tensor.numpy().copy()


def write(path, model, **options):
    writer = GGUFWriter(path, "llama", **options)
    writer.add_block_count(SIZES["num_hidden_layers"])
    writer.add_context_length(SIZES["max_position_embeddings"])
    writer.add_embedding_length(SIZES["hidden_size"])
    writer.add_feed_forward_length(SIZES["intermediate_size"])
    writer.add_head_count(SIZES["num_attention_heads"])
    writer.add_head_count_kv(SIZES["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(SIZES["rms_norm_eps"])
    for name, values in gguf_tensors(model):
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES)).eval()
    ids = [[1, 5, 9, 13], [7, 7, 2]]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "ids.json").write_text(json.dumps(ids))

        def computed(path):
            out = root / "out.safetensors"
            subprocess.run([sys.argv[1], "logits", path, root / "ids.json", out], check=True)
            return out.read_bytes(), load_file(out)

        write(root / "whole.gguf", model)
        whole, values = computed(root / "whole.gguf")
        for i, sequence in enumerate(ids):
            expected = model(torch.tensor([sequence])).logits[0].detach()
            gap = (values[f"logits.{i}"] - expected).abs().max() / expected.abs().max()
            failed += not gap < 1e-4
            print(f"whole file, sequence {i}: gap to transformers {gap:.1e}")
        for name, options in SPLITS.items():
            part = root / name
            part.mkdir()
            write(part / "m.gguf", model, **options)
            files = sorted(part.iterdir())
            equal = computed(files[0])[0] == whole
            failed += not equal or len(files) < 2
            print(f"{len(files)} parts {name}: {'the same bits' if equal else 'DIFFER'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
