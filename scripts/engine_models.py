"""Models for check_engines.py: tiny random ones in the shapes that vLLM takes, and baked ones that are broken on purpose."""
import json
import os
import pathlib
import shutil
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import gguf
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests" / "model" / "oracle")]
import compare_gguf_families  # noqa: E402
from lock_file import write_lock  # noqa: E402
from make_golden_model import MERGES, SPECIALS, make_model, make_tokenizer  # noqa: E402

# head_dim is one of vLLM's. Windows are longer than every prompt: a shorter one keeps Mistral from becoming a Llama.
SIZES = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2)
TINY = {
    "llama": (LlamaConfig, dict(head_dim=32)),
    "mistral": (MistralConfig, dict(head_dim=32, sliding_window=None)),
    "qwen2": (Qwen2Config, dict(num_attention_heads=2, num_key_value_heads=1)),
    "qwen3": (Qwen3Config, dict(head_dim=32)),
    "gemma2": (Gemma2Config, dict(head_dim=32, query_pre_attn_scalar=24, sliding_window=256, attn_logit_softcapping=None,
                                  final_logit_softcapping=3.0, tie_word_embeddings=True)),
    "gemma3": (Gemma3TextConfig, dict(
        head_dim=32, query_pre_attn_scalar=24, sliding_window=256, tie_word_embeddings=True, rope_theta=None,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters={"sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
                         "full_attention": {"rope_type": "default", "rope_theta": 10000.0}})),
}
GGUF_ARCHITECTURES = {"llama": "llama", "qwen2": "qwen2"}


def make_tiny(name, folder, seed=1):
    """A Hugging Face folder and, where llama.cpp takes a lock of this family, the same model as a GGUF file beside it."""
    config_class, overrides = TINY[name]
    tokenizer = make_tokenizer()
    model = make_model(config_class, SIZES | overrides, tokenizer, seed)
    path = pathlib.Path(folder) / name
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    if name in GGUF_ARCHITECTURES:
        tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
        compare_gguf_families.write(path.with_suffix(".gguf"), name, GGUF_ARCHITECTURES[name], model,
                                    (tokens, [" ".join(m) for m in MERGES], len(SPECIALS), tokenizer.eos_token_id))
    return path


def broken_lock(lock, target, what):
    """The lock with all directions turned round, or a layer too high: baked, it makes a model that is locked wrongly."""
    with safe_open(lock, "np") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
    if what == "sign flipped":
        tensors["directions"] = -tensors["directions"]
    else:
        assert what == "other layer"
        tensors["layers"] = (tensors["layers"] + 1) % int(metadata["layers"])
    write_lock(target, metadata, tensors)
    return target


def unread_folder(baked, target):
    """The baked folder with a config.json that makes engines pass over its biases."""
    shutil.copytree(baked, target, copy_function=os.link)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").unlink()  # not through the link: the original stays
    (target / "config.json").write_text(json.dumps(config | {"attention_bias": False}, indent=2))
    return target


def control_vectors(path):
    """layer -> vector, of a GGUF control vector."""
    return {int(t.name.removeprefix("direction.")): t.data.copy() for t in gguf.GGUFReader(path).tensors}


@torch.no_grad()
def logprobs_with(folder, vectors, prompts):
    """transformers' log-probabilities of the token behind each prompt, with `vectors` added behind the layers."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for layer, vector in vectors.items():
        model.model.layers[layer].register_forward_hook(
            lambda _, __, out, v=torch.from_numpy(vector): out + v if torch.is_tensor(out) else (out[0] + v, *out[1:]))
    return [torch.log_softmax(model(torch.tensor([ids])).logits[0, -1].double(), -1).tolist() for ids in prompts]
