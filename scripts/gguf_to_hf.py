"""Writes a GGUF model of architecture llama or qwen2 as a Hugging Face folder, dequantised with the package gguf.

Tensors are written one by one, so memory stays at the largest of them.
"""
import json
import re
import struct
import time

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

MODEL_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
LAYER_NAMES = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
DTYPES = {"float32": ("F32", 4), "bfloat16": ("BF16", 2)}
ROWS_AT_ONCE = 16_384

# Token types of GGUF.
CONTROL, USER_DEFINED, UNUSED = 3, 4, 5

QWEN2_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                 r"|\s*[\r\n]+|\s+(?!\S)|\s+")


class Metadata:
    def __init__(self, reader):
        self._fields = reader.fields
        self.arch = self["general.architecture"]

    def __getitem__(self, key):
        return self._fields[key].contents()

    def get(self, key, otherwise=None):
        return self[key] if key in self._fields else otherwise

    def model(self, key, otherwise=None):
        return self.get(f"{self.arch}.{key}", otherwise)


def hugging_face_name(name):
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name)
    return f"model.layers.{match[1]}.{LAYER_NAMES[match[2]]}.{match[3]}" if match else MODEL_NAMES[name]


def shortest(value):
    """1e-05 rather than the float32 next to it written in full."""
    return float(str(np.float32(value)))


def config_of(meta, tensors, dtype):
    hidden, heads = meta.model("embedding_length"), meta.model("attention.head_count")
    config = {
        "architectures": [ARCHITECTURES[meta.arch]],
        "model_type": meta.arch,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": meta.model("feed_forward_length"),
        "num_hidden_layers": meta.model("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": meta.model("attention.head_count_kv", heads),
        "head_dim": meta.model("attention.key_length", hidden // heads),
        "vocab_size": int(tensors["model.embed_tokens.weight"].shape[1]),
        "max_position_embeddings": meta.model("context_length"),
        "rms_norm_eps": shortest(meta.model("attention.layer_norm_rms_epsilon")),
        "rope_theta": meta.model("rope.freq_base", 10000.0),
        "tie_word_embeddings": "lm_head.weight" not in tensors,
        "bos_token_id": meta.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": meta["tokenizer.ggml.eos_token_id"],
        "torch_dtype": dtype,
    }
    if meta.arch == "llama":
        config |= {"attention_bias": False, "mlp_bias": False}
    else:
        config |= {"use_sliding_window": False}
    return config


def values_of(tensor, meta):
    """Float32 values in Hugging Face's row order, in pieces."""
    heads = {"attn_q": meta.model("attention.head_count"), "attn_k": meta.model("attention.head_count_kv")}
    permuted = heads.get(tensor.name.split(".")[-2]) if meta.arch == "llama" else None
    if permuted:  # the inverse of llama.cpp's LlamaModel.permute
        values = dequantize(tensor.data, tensor.tensor_type)
        shape = values.shape
        yield values.reshape(permuted, shape[0] // permuted // 2, 2, *shape[1:]).swapaxes(1, 2).reshape(shape)
        return
    data = tensor.data if tensor.data.ndim > 1 else tensor.data.reshape(1, -1)
    for row in range(0, data.shape[0], ROWS_AT_ONCE):
        yield dequantize(data[row : row + ROWS_AT_ONCE], tensor.tensor_type)


def stored(values, dtype):
    """Bytes in the wanted type; bfloat16 rounds to nearest even."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    if dtype == "float32":
        return values
    bits = values.view(np.uint32)
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)


def write_weights(path, tensors, meta, dtype, progress):
    name, size = DTYPES[dtype]
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for key in sorted(tensors):
        shape = [int(n) for n in reversed(tensors[key].shape)]
        end = offset + size * int(np.prod(shape))
        header[key] = {"dtype": name, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    started, done = time.monotonic(), 0
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for key in sorted(tensors):
            for piece in values_of(tensors[key], meta):
                out.write(stored(piece, dtype))
            before, done = done, done + int(np.prod(tensors[key].shape))
            total = offset // size
            if 20 * before // total != 20 * done // total:
                progress(20 * done // total, 20, (time.monotonic() - started) * (total - done) / done)


def tokenizer_of(meta):
    """The published tokenizer of the family, from the vocabulary and merges in the GGUF."""
    tokens, types = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
    added = [i for i, kind in enumerate(types) if kind in (CONTROL, USER_DEFINED)]
    # Added tokens behind the vocabulary are listed apart from it, and the embedding's padding rows are no tokens.
    last = max(i for i, kind in enumerate(types) if kind not in (CONTROL, USER_DEFINED, UNUSED))
    merges = [tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={tokens[i]: i for i in range(last + 1)}, merges=merges))
    kind = meta["tokenizer.ggml.pre"]
    if kind == "smollm":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    elif kind == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated"),
             pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    else:
        raise ValueError(f"pre-tokenizer {kind} is not known here")
    tokenizer.decoder = decoders.ByteLevel()
    for i in added:
        tokenizer.add_tokens([AddedToken(tokens[i], special=types[i] == CONTROL, normalized=False)])
        if tokenizer.token_to_id(tokens[i]) != i:
            raise ValueError(f"token {tokens[i]!r} got another id than {i}")
    return tokenizer


def write_tokenizer(folder, meta):
    tokenizer_of(meta).save(str(folder / "tokenizer.json"))
    tokens = meta["tokenizer.ggml.tokens"]
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": meta.model("context_length"),
              "clean_up_tokenization_spaces": False}
    for name, key in {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}.items():
        i = meta.get(f"tokenizer.ggml.{key}_token_id")
        if i is not None:
            config[f"{name}_token"] = tokens[i]
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))
    (folder / "chat_template.jinja").write_text(meta["tokenizer.chat_template"])


def convert(gguf, folder, dtype, progress):
    """Writes config, weights, tokenizer and chat template of the file `gguf` into `folder`.

    `progress(done, total, seconds_left)` is called now and then.
    """
    reader = GGUFReader(gguf)
    meta = Metadata(reader)
    tensors = {hugging_face_name(tensor.name): tensor for tensor in reader.tensors}
    config = config_of(meta, tensors, dtype)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    generation = {key: config[key] for key in ("bos_token_id", "eos_token_id")}
    generation["pad_token_id"] = meta.get("tokenizer.ggml.padding_token_id")
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2))
    write_tokenizer(folder, meta)
    write_weights(folder / "model.safetensors", tensors, meta, dtype, progress)
