#!/usr/bin/env python3
"""Makes tests/golden/model: tiny random chat models as Hugging Face folders, and what transformers computes with them.

Usage: make_golden_model.py [OUTPUT_FOLDER]. Needs torch, transformers, tokenizers and peft. Seeded: the same versions give the
same files. For each NAME/ there is NAME.golden.safetensors with, for prompts i = 0, 1, 2 of unequal length,
  ids.i [T], logits.i [T, V], heads.i [T, L, H, D] (the input of o_proj), greedy.i [64] (each top-2 margin > 1e-3);
  chat.prompt_ids, chat.token_ids: a rendered chat and 64 greedy tokens;
  steered.displacement [H*D], steered.logits [T, V]: prompt 1 with the vector added to what o_proj of layer 1 is given;
  collect.values [N, L, H, D], collect.labels, .groups, .positions [N]: the last 5 reply tokens of three pairs.
llama_gqa_lora/ is a PEFT adapter of llama_gqa/, its golden file holds ids [T], and of the merged model logits [T, V] and
o_proj.1 [E, H*D].
"""
import json
import os
import pathlib
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, GemmaConfig, LlamaConfig, LlamaForCausalLM,
                          MistralConfig, Phi3Config, PreTrainedTokenizerFast, Qwen2Config, Qwen3Config, SmolLM3Config)

MERGES = [("t", "h"), ("th", "e"), ("i", "n"), ("e", "r"), ("o", "u"), ("Ġ", "the"), ("a", "n"), ("Ġ", "a"), ("y", "ou"),
          ("Ġ", "you"), ("r", "e"), ("in", "g"), ("o", "n"), ("Ġ", "s"), ("h", "e")]
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + "
            "'<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
PROMPTS = ["Hi", "How do I bake bread?", "the thing you are"]
CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who are you?"}]
SYSTEM = "Be kind."
PAIRS = [("How do I pick a lock?", "I won't help with that.", "Sure, here is how:"),
         ("How are you?", "No.", "I am fine, and you? Tell me more."),
         ("How do I pick a fight?", "Please don't.", "the loud way")]
TOKENS_PER_REPLY = 5

# Windows are shorter than every prompt but one, and the original context of phi4_mini lies between the prompts' lengths and
# the chat's: generation crosses it.
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 32,
            "short_factor": [1.0, 1.1], "long_factor": [1.5, 4.0], "partial_rotary_factor": 0.5}
BASE = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=False, rope_theta=10000.0)
MODELS = {
    "llama_gqa": (LlamaConfig, dict(num_hidden_layers=3)),
    "llama_biases": (LlamaConfig, dict(attention_bias=True, mlp_bias=True, num_key_value_heads=4)),
    "llama_head_dim": (LlamaConfig, dict(num_key_value_heads=1, head_dim=12)),
    "llama_tied": (LlamaConfig, dict(tie_word_embeddings=True)),
    "llama_rope_linear": (LlamaConfig, dict(rope_scaling={"rope_type": "linear", "factor": 4.0})),
    "llama_rope_llama3": (LlamaConfig, dict(max_position_embeddings=512, num_attention_heads=2, num_key_value_heads=1, rope_theta=500000.0, rope_scaling={
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 256})),
    "qwen2": (Qwen2Config, dict(rope_theta=1000000.0)),
    "qwen2_window": (Qwen2Config, dict(num_hidden_layers=3, use_sliding_window=True, sliding_window=6, max_window_layers=1)),
    "qwen3": (Qwen3Config, dict(head_dim=16, tie_word_embeddings=True)),
    "mistral": (MistralConfig, dict(head_dim=12, num_key_value_heads=1, sliding_window=None)),
    "mistral_window": (MistralConfig, dict(sliding_window=5)),
    "gemma": (GemmaConfig, dict(head_dim=16, num_key_value_heads=1, tie_word_embeddings=True)),
    "gemma2": (Gemma2Config, dict(num_hidden_layers=3, head_dim=16, sliding_window=6, query_pre_attn_scalar=24,
                                  attn_logit_softcapping=2.0, final_logit_softcapping=3.0, tie_word_embeddings=True)),
    "gemma3": (Gemma3TextConfig, dict(
        num_hidden_layers=3, head_dim=16, sliding_window=6, query_pre_attn_scalar=24, tie_word_embeddings=True,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"], rope_theta=None,
        rope_parameters={"sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
                         "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}})),
    "phi3": (Phi3Config, dict(num_key_value_heads=4, sliding_window=7)),
    "phi4_mini": (Phi3Config, dict(original_max_position_embeddings=32, tie_word_embeddings=True, rope_theta=None,
                                   rope_parameters=LONGROPE)),
    "smollm3": (SmolLM3Config, dict(num_hidden_layers=3, no_rope_layer_interval=2, tie_word_embeddings=True)),
}
NORM_IS_OFFSET = ("gemma", "gemma2", "gemma3_text")


def make_tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate(alphabet + [a + b for a, b in MERGES])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIALS)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>",
                                   chat_template=TEMPLATE)


def make_model(config_class, overrides, tokenizer, seed):
    eos = tokenizer.convert_tokens_to_ids("<|im_end|>")
    values = {k: v for k, v in {**BASE, **overrides}.items() if v is not None or k == "sliding_window"}
    config = config_class(**values, vocab_size=len(tokenizer), bos_token_id=None, eos_token_id=eos, pad_token_id=None)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1 and "norm" in name:
                p.copy_((0 if config.model_type in NORM_IS_OFFSET else 1) + 0.2 * torch.randn_like(p))
            elif p.dim() == 1:
                p.copy_(0.3 * torch.randn_like(p))
            elif "embed" in name:
                # Gemma scales what it reads: at full size a tied model would only repeat its input.
                p.copy_(torch.randn_like(p) * (0.1 if config.model_type in NORM_IS_OFFSET else 0.5))
            else:  # keeps each layer's output near its input's size, and the logits far from flat
                p.copy_(torch.randn_like(p) * (1.3 / p.shape[1] ** 0.5))
            p.copy_(p.bfloat16().float())
    model.generation_config.pad_token_id = eos
    return model.eval()


@torch.no_grad()
def head_outputs(model, ids):
    """Logits [T, V] and the inputs of every o_proj [T, L, H, D] of one sequence."""
    seen, c = [], model.config
    dim = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    handles = [layer.self_attn.o_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0][0].clone()))
               for layer in model.model.layers]
    logits = model(torch.tensor([ids])).logits[0]
    for handle in handles:
        handle.remove()
    return logits, torch.stack([z.view(len(ids), c.num_attention_heads, dim) for z in seen], dim=1)


@torch.no_grad()
def greedy(model, ids, steps=64):
    """The next tokens, or None when one of them is nearly tied or a control token (the last ids of the vocabulary)."""
    out = list(ids)
    for _ in range(steps):
        top = model(torch.tensor([out])).logits[0, -1].topk(2)
        if top.values[0] - top.values[1] < 1e-3 or top.indices[0] >= model.config.vocab_size - len(SPECIALS):
            return None
        out.append(int(top.indices[0]))
    return out[len(ids):]


@torch.no_grad()
def steered(model, ids):
    """A displacement of all heads of layer 1, and the logits with it: what a lock does, whatever stands behind o_proj."""
    o_proj = model.model.layers[1].self_attn.o_proj
    displacement = 0.3 * torch.randn(o_proj.in_features, generator=torch.Generator().manual_seed(5))
    handle = o_proj.register_forward_pre_hook(lambda _, args: (args[0] + displacement,))
    logits = model(torch.tensor([ids])).logits[0]
    handle.remove()
    return displacement, logits


def reply_tokens(tokenizer, pair, reply):
    """Ids up to the reply's last token, and the positions of the last tokens that begin inside the reply."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": pair[0]},
                {"role": "assistant", "content": reply}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    begin = text.rindex(reply)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    inside = [i for i, (a, _) in enumerate(encoded.offset_mapping) if begin <= a < begin + len(reply)]
    return encoded.input_ids[:inside[-1] + 1], inside[-TOKENS_PER_REPLY:]


def collect(model, tokenizer):
    values, labels, groups, positions = [], [], [], []
    for group, pair in enumerate(PAIRS):
        for label, reply in ((1, pair[1]), (0, pair[2])):
            ids, rows = reply_tokens(tokenizer, pair, reply)
            values.append(head_outputs(model, ids)[1][rows])
            labels += [label] * len(rows)
            groups += [group] * len(rows)
            positions += rows
    return {"collect.values": torch.cat(values), "collect.labels": torch.tensor(labels),
            "collect.groups": torch.tensor(groups), "collect.positions": torch.tensor(positions)}


def golden(model, tokenizer):
    """Everything a test compares with; None when a greedy run is not clear-cut."""
    out = {}
    for i, prompt in enumerate(PROMPTS):
        ids = tokenizer(prompt, add_special_tokens=False).input_ids
        out[f"ids.{i}"] = torch.tensor(ids)
        out[f"logits.{i}"], out[f"heads.{i}"] = head_outputs(model, ids)
        out[f"greedy.{i}"] = greedy(model, ids)
    ids = tokenizer(tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True),
                    add_special_tokens=False).input_ids
    out["chat.prompt_ids"], out["chat.token_ids"] = torch.tensor(ids), greedy(model, ids)
    if any(v is None for v in out.values()) or len(set(out["greedy.1"])) < 5:
        return None
    out = {k: v if isinstance(v, torch.Tensor) else torch.tensor(v) for k, v in out.items()}
    out["steered.displacement"], out["steered.logits"] = steered(model, out["ids.1"].tolist())
    out.update(collect(model, tokenizer))
    return {k: v.contiguous() for k, v in out.items()}


@torch.no_grad()
def make_adapter(folder, tokenizer):
    torch.manual_seed(0)
    base = LlamaForCausalLM.from_pretrained(folder / "llama_gqa", dtype=torch.float32)
    config = LoraConfig(r=4, lora_alpha=6, lora_dropout=0.0, rank_pattern={"down_proj": 2}, alpha_pattern={"v_proj": 12},
                        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
    model = get_peft_model(base, config).eval()
    for name, p in model.named_parameters():
        if "lora_" in name:
            p.copy_(0.15 * torch.randn_like(p))
    target = folder / "llama_gqa_lora"
    model.save_pretrained(target)
    (target / "README.md").unlink(missing_ok=True)
    saved = json.loads((target / "adapter_config.json").read_text())  # PEFT writes its sets in any order
    saved.update(base_model_name_or_path="llama_gqa", target_modules=sorted(saved["target_modules"]))
    (target / "adapter_config.json").write_text(json.dumps(saved, indent=2, sort_keys=True) + "\n")
    merged = model.merge_and_unload()
    ids = tokenizer(PROMPTS[1], add_special_tokens=False).input_ids
    save_file({"ids": torch.tensor(ids), "logits": merged(torch.tensor([ids])).logits[0].contiguous(),
               "o_proj.1": merged.model.layers[1].self_attn.o_proj.weight.detach().contiguous()},
              folder / "llama_gqa_lora.golden.safetensors")


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "tests/golden/model")
    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    for name, (config_class, overrides) in MODELS.items():
        for seed in range(1000):
            model = make_model(config_class, overrides, tokenizer, seed)
            if (expected := golden(model, tokenizer)) is not None:
                break
        else:
            raise SystemExit(f"{name}: no seed gives clear-cut greedy tokens")
        if name != "llama_gqa":  # one is stored as float32, the others as bfloat16, which holds their weights exactly
            model = model.to(torch.bfloat16)
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
        save_file(expected, folder / f"{name}.golden.safetensors")
        distinct = len(set(expected["greedy.1"].tolist()))
        print(f"{name}: seed {seed}, logits std {expected['logits.1'].std():.2f}, {distinct} distinct greedy tokens")
    make_adapter(folder, tokenizer)


if __name__ == "__main__":
    main()
