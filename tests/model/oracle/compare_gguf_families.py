#!/usr/bin/env python3
"""Every architecture that llama.cpp has a name for: a GGUF file as its converter writes one gives what transformers gives.

The tensors' names come from the gguf package; the converter's conventions (convert_hf_to_gguf.py) are in `converted`.

Usage: compare_gguf_families.py MODEL_DUMP_PROGRAM
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import torch
from safetensors.torch import load_file
from transformers import (AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, GemmaConfig, LlamaConfig, MistralConfig,
                          Phi3Config, Qwen2Config, Qwen3Config, SmolLM3Config)

SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=100, max_position_embeddings=256, rms_norm_eps=1e-5, pad_token_id=None, bos_token_id=None,
             eos_token_id=None)
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 16,
            "short_factor": [1.0, 1.1], "long_factor": [1.5, 4.0], "partial_rotary_factor": 0.5}
SLIDING, FULL = "sliding_attention", "full_attention"
# What a GGUF file cannot say is as llama.cpp has it for the architecture: scores over sqrt(D), SmolLM3's every fourth layer.
MODELS = {
    "llama": ("llama", LlamaConfig(**SIZES)),
    "mistral": ("llama", MistralConfig(**SIZES, head_dim=12, sliding_window=None)),
    "qwen2": ("qwen2", Qwen2Config(**SIZES)),
    "qwen3": ("qwen3", Qwen3Config(**SIZES, head_dim=16)),
    "gemma": ("gemma", GemmaConfig(**SIZES, head_dim=16)),
    "gemma2": ("gemma2", Gemma2Config(**SIZES, head_dim=16, query_pre_attn_scalar=16, sliding_window=6,
                                      attn_logit_softcapping=2.0, final_logit_softcapping=3.0)),
    "gemma3": ("gemma3", Gemma3TextConfig(**SIZES | {"num_hidden_layers": 7}, head_dim=16, query_pre_attn_scalar=16,
                                          sliding_window=6, rope_parameters={
        SLIDING: {"rope_type": "default", "rope_theta": 10000.0},
        FULL: {"rope_type": "linear", "factor": 4.0, "rope_theta": 1000000.0}})),
    "gemma3, pattern and base stated": ("gemma3", Gemma3TextConfig(
        **SIZES, head_dim=16, query_pre_attn_scalar=16, sliding_window=6, layer_types=[SLIDING, FULL, SLIDING],
        rope_parameters={SLIDING: {"rope_type": "default", "rope_theta": 100.0},
                         FULL: {"rope_type": "default", "rope_theta": 10000.0}})),
    "phi3": ("phi3", Phi3Config(**SIZES, sliding_window=7)),
    "phi4-mini": ("phi3", Phi3Config(**SIZES, original_max_position_embeddings=16, rope_parameters=LONGROPE)),
    "smollm3": ("smollm3", SmolLM3Config(**SIZES | {"num_hidden_layers": 5})),
}
SEQUENCES = [[5, 17, 3], list(range(1, 13)), list(range(40, 75))]
STEPS = 64
TOLERANCE = 1e-4


def make_model(config):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for p in model.parameters():  # the fresh ones are ones, zeros and small numbers
            p.add_(torch.randn_like(p) * (0.2 if p.dim() == 1 else 0.15))
    return model


def interleaved(tensor, heads):
    """Rows i and i + D/2 of each head become rows 2i and 2i + 1."""
    return tensor.view(heads, 2, -1, *tensor.shape[1:]).transpose(1, 2).reshape(tensor.shape)


def converted(arch, model):
    """(GGUF name, values)"""
    c = model.config
    names = gguf.get_tensor_name_map({name: a for a, name in gguf.MODEL_ARCH_NAMES.items()}[arch], c.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and c.tie_word_embeddings:
            continue
        if arch in ("llama", "smollm3") and (".q_proj." in name or ".k_proj." in name):
            tensor = interleaved(tensor, c.num_attention_heads if ".q_proj." in name else c.num_key_value_heads)
        if arch.startswith("gemma") and name.endswith("norm.weight"):
            tensor = tensor + 1
        yield names.get_name(name, try_suffixes=(".weight", ".bias")), tensor.numpy().copy()


def write(path, name, arch, model, tokenizer=None):
    """`tokenizer`: (tokens in order of id, merges, how many of the last are control tokens, end token); byte-level BPE."""
    c = model.config
    head_dim = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    rope = c.rope_parameters.get(FULL, c.rope_parameters)
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if getattr(c, "sliding_window", None):
        writer.add_sliding_window(c.sliding_window)
    if getattr(c, "attn_logit_softcapping", None):
        writer.add_attn_logit_softcapping(c.attn_logit_softcapping)
        writer.add_final_logit_softcapping(c.final_logit_softcapping)
    if "stated" in name:
        writer.add_sliding_window_pattern([kind == SLIDING for kind in c.layer_types])
        writer.add_rope_freq_base_swa(c.rope_parameters[SLIDING]["rope_theta"])
    if arch == "phi3":
        writer.add_rope_dimension_count(int(head_dim * rope.get("partial_rotary_factor", 1.0)))
    if rope["rope_type"] == "longrope":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_attn_factors(model.model.rotary_emb.attention_scaling)
        for kind in ("long", "short"):
            writer.add_tensor(f"rope_factors_{kind}.weight", torch.tensor(rope[f"{kind}_factor"]).numpy())
    if tokenizer:
        tokens, merges, control, end = tokenizer
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(tokens)
        writer.add_token_types([gguf.TokenType.NORMAL] * (len(tokens) - control) + [gguf.TokenType.CONTROL] * control)
        writer.add_token_merges(merges)
        writer.add_eos_token_id(end)
        writer.add_add_bos_token(False)
    for tensor_name, values in converted(arch, model):
        writer.add_tensor(tensor_name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@torch.no_grad()
def greedy(model, ids):
    """The next tokens without a cache, and how far the first was ahead of the second, at least."""
    out, margin = list(ids), float("inf")
    for _ in range(STEPS):
        top = model(torch.tensor([out]), use_cache=False).logits[0, -1].topk(2)
        margin = min(margin, float(top.values[0] - top.values[1]))
        out.append(int(top.indices[0]))
    return out[len(ids):], margin


@torch.no_grad()
def compare(program, folder, name, arch, config):
    model = make_model(config)
    path = folder / "model.gguf"
    write(path, name, arch, model)
    subprocess.run([program, "logits", path, folder / "ids.json", folder / "out.safetensors"], check=True)
    ours = load_file(folder / "out.safetensors")
    worst, same = 0.0, 0
    for i, ids in enumerate(SEQUENCES):
        logits = model(torch.tensor([ids]), use_cache=False).logits[0]
        worst = max(worst, float((ours[f"logits.{i}"] - logits).abs().max() / logits.abs().max()))
        tokens, margin = greedy(model, ids)
        same += ours[f"greedy.{i}"].tolist() == tokens or margin < 1e-3
    good = worst < TOLERANCE and same == len(SEQUENCES)
    print(f"{name} as {arch}: logits differ by {worst:.2g}, greedy tokens of {same}/{len(SEQUENCES)} equal"
          f"{'' if good else ' DIFFER'}")
    return not good


def main():
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "ids.json").write_text(json.dumps(SEQUENCES))
        return 1 if sum(compare(sys.argv[1], folder, name, *of) for name, of in MODELS.items()) else 0


if __name__ == "__main__":
    sys.exit(main())
