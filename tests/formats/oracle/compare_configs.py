#!/usr/bin/env python3
"""Compares our reading of config.json and generation_config.json with transformers'.

Each config is written as transformers 5 saves it, as transformers 4 did, and with every field left out that may be; each
must give the numbers that transformers' own config has after loading the same file, and its generate() the same ends.

Usage: compare_configs.py CONFIG_DUMP_PROGRAM
"""
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import numpy
from transformers import (AutoConfig, AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, GemmaConfig, LlamaConfig,
                          LlamaForCausalLM, MistralConfig, Phi3Config, Qwen2Config, Qwen3Config, SmolLM3Config)
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

SIZES = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, vocab_size=100)
ENDS = dict(bos_token_id=1, eos_token_id=2, pad_token_id=0)  # where the class's own lie beyond so small a vocabulary
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 8192}
LONGROPE = {"rope_type": "longrope", "rope_theta": 20000.0, "short_factor": [1.0, 1.1, 1.2], "long_factor": [1.5, 4.0, 7.0],
            "partial_rotary_factor": 0.375}
FULL, SLIDING = "full_attention", "sliding_attention"
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "llama grouped, biases": LlamaConfig(**SIZES, num_key_value_heads=2, attention_bias=True, mlp_bias=True, rms_norm_eps=1e-5,
                                         dtype="bfloat16"),
    "llama head_dim": LlamaConfig(**SIZES, head_dim=24, tie_word_embeddings=True, max_position_embeddings=131072),
    "llama linear": LlamaConfig(**SIZES, rope_parameters={"rope_type": "linear", "rope_theta": 20000.0, "factor": 4.0}),
    "llama llama3": LlamaConfig(**SIZES, rope_parameters=dict(LLAMA3), eos_token_id=[2, 7, 9], dtype="float16"),
    "qwen2": Qwen2Config(**SIZES, num_key_value_heads=2, eos_token_id=5),
    "qwen2 theta, tied": Qwen2Config(**SIZES, num_key_value_heads=4, tie_word_embeddings=True, dtype="bfloat16",
                                     rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}),
    "qwen2 llama3": Qwen2Config(**SIZES, num_key_value_heads=4, rope_parameters=dict(LLAMA3)),
    "qwen2 window": Qwen2Config(**SIZES, num_key_value_heads=4, use_sliding_window=True, sliding_window=7, max_window_layers=1),
    "qwen3": Qwen3Config(**SIZES, num_key_value_heads=2, attention_bias=True, tie_word_embeddings=True),
    "qwen3 window": Qwen3Config(**SIZES, num_key_value_heads=4, head_dim=16, use_sliding_window=True, max_window_layers=1),
    "mistral": MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=None, head_dim=24),
    "mistral window": MistralConfig(**SIZES, num_key_value_heads=4, sliding_window=5, rms_norm_eps=1e-5),
    "gemma": GemmaConfig(**SIZES, num_key_value_heads=1, head_dim=32),
    "gemma2": Gemma2Config(**SIZES, num_key_value_heads=2, query_pre_attn_scalar=144, attn_logit_softcapping=20.0),
    "gemma2 uncapped": Gemma2Config(**SIZES, num_key_value_heads=4, head_dim=16, sliding_window=9, attn_logit_softcapping=None,
                                    final_logit_softcapping=None, layer_types=[FULL, SLIDING]),
    "gemma3": Gemma3TextConfig(**SIZES, num_key_value_heads=2, sliding_window=9),
    "gemma3 scaled": Gemma3TextConfig(**SIZES | {"num_hidden_layers": 7}, num_key_value_heads=4, query_pre_attn_scalar=100,
                                      final_logit_softcapping=9.0, rope_parameters={
        SLIDING: {"rope_type": "default", "rope_theta": 500.0},
        FULL: {"rope_type": "linear", "factor": 8.0, "rope_theta": 2000000.0}}),
    "phi3": Phi3Config(**SIZES, **ENDS, num_key_value_heads=2, sliding_window=11),
    "phi3 longrope": Phi3Config(**SIZES, **ENDS, num_key_value_heads=4, max_position_embeddings=131072, tie_word_embeddings=True,
                                original_max_position_embeddings=4096, rope_parameters=dict(LONGROPE)),
    "smollm3": SmolLM3Config(**SIZES, **ENDS, num_key_value_heads=2, no_rope_layer_interval=2),
    "smollm3 window": SmolLM3Config(**SIZES, **ENDS, num_key_value_heads=4, use_sliding_window=True, sliding_window=6,
                                    no_rope_layers=[0, 1], tie_word_embeddings=False, mlp_bias=True, attention_bias=True),
}
CLASSES = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM",
           "qwen3": "Qwen3ForCausalLM", "gemma": "GemmaForCausalLM", "gemma2": "Gemma2ForCausalLM",
           "gemma3_text": "Gemma3ForCausalLM", "phi3": "Phi3ForCausalLM", "smollm3": "SmolLM3ForCausalLM"}
OPTIONAL = ["num_key_value_heads", "head_dim", "max_position_embeddings", "rms_norm_eps", "hidden_act", "attention_bias",
            "mlp_bias", "tie_word_embeddings", "rope_parameters", "rope_theta", "rope_scaling", "dtype", "torch_dtype",
            "architectures", "eos_token_id", "bos_token_id", "layer_types", "sliding_window", "use_sliding_window",
            "max_window_layers", "hidden_activation", "query_pre_attn_scalar", "attn_logit_softcapping",
            "final_logit_softcapping", "rope_local_base_freq", "partial_rotary_factor", "no_rope_layers",
            "no_rope_layer_interval", "original_max_position_embeddings"]


def version_4(saved, old_type=False):
    """The spelling of transformers 4 for what version 5 saved."""
    out = dict(saved, transformers_version="4.45.0")
    rope = dict(out.pop("rope_parameters"))
    if FULL in rope:
        out["rope_local_base_freq"] = rope[SLIDING]["rope_theta"]
        rope = dict(rope[FULL])
    out["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        out["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    out["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    if old_type and out["rope_scaling"]:
        out["rope_scaling"]["type"] = out["rope_scaling"].pop("rope_type")
    out["torch_dtype"] = out.pop("dtype", None)
    if out["model_type"] not in ("gemma2", "gemma3_text"):
        out.pop("layer_types", None)
    if out.get("head_dim") == out["hidden_size"] // out["num_attention_heads"]:
        out.pop("head_dim")
    return out


def spellings(config):
    """(name, what config.json holds)"""
    config.architectures = [CLASSES[config.model_type]]
    saved = json.loads(config.to_json_string())
    whole = {"version 5": saved, "version 4": version_4(saved), "old rope type": version_4(saved, True)}
    if FULL in saved["rope_parameters"]:  # such models came after "type" had become "rope_type"
        del whole["old rope type"]
    for name, data in whole.items():
        yield name, data
        for key in OPTIONAL:
            if key in data:
                yield f"{name} without {key}", {k: v for k, v in data.items() if k != key}
                yield f"{name}, {key} null", {**data, key: None}
    if saved["rope_parameters"].get("rope_type") == "llama3":
        for key, data in (("rope_parameters", saved), ("rope_scaling", whole["version 4"])):
            rope = {k: v for k, v in data[key].items() if k != "original_max_position_embeddings"}
            yield f"{key} without original context", {**data, key: rope}
            yield f"{key}, original context at the top", {**data, key: rope, "original_max_position_embeddings": 512}


def expected(folder):
    c = AutoConfig.from_pretrained(folder)
    c.standardize_rope_params()  # as the model does when it is built
    saved = json.loads((folder / "config.json").read_text())
    nested = FULL in c.rope_parameters
    rope = {k: v for k, v in c.rope_parameters.get(FULL, c.rope_parameters).items() if k not in ("type", "partial_rotary_factor")}
    if rope["rope_type"] == "longrope":
        rope = {"factor": c.max_position_embeddings / c.original_max_position_embeddings, **rope,
                "attention_factor": ROPE_INIT_FUNCTIONS["longrope"](c, "cpu")[1],
                "short_factor": numpy.float32(rope["short_factor"]).tolist(),
                "long_factor": numpy.float32(rope["long_factor"]).tolist()}
    head_dim = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    types = getattr(c, "layer_types", None)
    window = getattr(c, "sliding_window", None)
    slides = [window is not None and (types is None or c.model_type in ("mistral", "phi3") or types[i] == SLIDING)
              for i in range(c.num_hidden_layers)]
    if types is not None and SLIDING in types and window is None:
        raise ValueError("sliding layers without a window")  # transformers fails on the first token
    if types is not None and SLIDING in types and not getattr(c, "use_sliding_window", True):
        raise ValueError("layer_types against use_sliding_window")  # refused here; transformers obeys a part of each
    rotates = [bool(r) for r in getattr(c, "no_rope_layers", None) or [1] * c.num_hidden_layers]
    biases = bool(getattr(c, "attention_bias", False))
    ends = saved.get("eos_token_id")  # generate() takes them from the file, not from the class's defaults
    return {"model_type": c.model_type, "architecture": CLASSES[c.model_type],
            **{k: getattr(c, k) for k in ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads",
                                          "num_key_value_heads", "vocab_size", "max_position_embeddings", "rms_norm_eps",
                                          "tie_word_embeddings")},
            "head_dim": head_dim, "rope": rope,
            "rotary_dim": int(head_dim * c.rope_parameters.get("partial_rotary_factor", 1.0)),
            "rope_local": c.rope_parameters[SLIDING]["rope_theta"] if nested else 0.0,
            "layers": [{"window": window if s else 0, "rotates": r} for s, r in zip(slides, rotates)],
            "attention_scale": 1 / math.sqrt(getattr(c, "query_pre_attn_scalar", head_dim)),
            "attn_cap": getattr(c, "attn_logit_softcapping", None) or 0.0,
            "final_cap": getattr(c, "final_logit_softcapping", None) or 0.0,
            "attention_bias": biases or c.model_type == "qwen2", "attention_out_bias": biases,
            "mlp_bias": bool(getattr(c, "mlp_bias", False)),
            "eos_token_ids": [] if ends is None else ends if isinstance(ends, list) else [ends]}


def attempt(call):
    """What transformers says, or None where it refuses the file or cannot use what it read."""
    try:
        return call()
    except Exception:  # noqa: BLE001: whichever way it fails
        return None


def run(program, folders):
    result = subprocess.run([program, *map(str, folders)], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


def compare_configs(program, root):
    names, folders = [], []
    for config_name, config in CONFIGS.items():
        for spelling, data in spellings(config):
            folder = root / str(len(folders))
            folder.mkdir()
            (folder / "config.json").write_text(json.dumps(data))
            names.append(f"{config_name}, {spelling}")
            folders.append(folder)
    failed = refused = 0
    for name, folder, found in zip(names, folders, run(program, folders)):
        want = attempt(lambda: expected(folder))
        # A null where transformers wants a value, which it refuses or cannot compute with; here as good as left out.
        if want is None or None in (want["rope_local"], *want["rope"].values()):
            refused += 1
            continue
        heads, kv_heads = want["num_attention_heads"], want["num_key_value_heads"]
        good = found == want if heads % kv_heads == 0 else found.get("error") == "cfg.kv_heads"
        if not good:
            failed += 1
            ours = found.get("what") or {k: v for k, v in found.items() if v != want.get(k)}
            print(f"DIFFER {name}\n  ours:         {ours}\n"
                  f"  transformers: { {k: v for k, v in want.items() if v != found.get(k)} }")
    print(f"{len(names)} configs, {refused} of them refused by transformers, {failed} differ")
    return failed


def generation_cases():
    """(config.json's eos_token_id, generation_config.json or None)"""
    for in_config in (None, 2, [2, 7]):
        for file in (None, {"eos_token_id": 5}, {"eos_token_id": [5, 9]}, {"eos_token_id": [2]}):
            yield in_config, file


def compare_ends(program, root):
    """The ends of generate() for both files, and where generation_config.json is silent."""
    source = root / "model"
    LlamaForCausalLM(LlamaConfig(**SIZES)).save_pretrained(source)
    config = json.loads((source / "config.json").read_text())
    failed = 0
    for in_config, file in [*generation_cases(), (2, {}), (2, {"eos_token_id": None})]:
        (source / "config.json").write_text(json.dumps({**config, "eos_token_id": in_config}))
        path = source / "generation_config.json"
        path.unlink(missing_ok=True)
        if file is not None:
            path.write_text(json.dumps({"_from_model_config": True, **file}))
        model = AutoModelForCausalLM.from_pretrained(source)
        ends = model._prepare_generation_config(None)[0].eos_token_id
        want = [] if ends is None else ends if isinstance(ends, list) else [ends]
        found = run(program, [source])[0].get("eos_token_ids")
        silent = file is not None and file.get("eos_token_id") is None
        if silent:  # transformers would never stop; we go by config.json
            good = want == [] and found == [2]
        else:
            good = found == want
        failed += not good
        print(f"config {in_config}, generation {file}: {found} {'ok' if good else f'DIFFER, transformers {want}'}")
    return failed


def main():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        return 1 if compare_configs(sys.argv[1], root) + compare_ends(sys.argv[1], root) else 0


if __name__ == "__main__":
    sys.exit(main())
