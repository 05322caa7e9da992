"""A vLLM plugin that serves a model with a lock, for the classes whose o_proj has no bias of its own (Qwen2, Qwen3, ...) and
for all others that are built alike. Nothing is baked: the model's files stay as they are.

    pip install ./examples/python
    SAFETYLOCK_LOCK=base.lock.safetensors [SAFETYLOCK_ALPHA=6] [SAFETYLOCK_GATE=off] vllm serve MODEL

While the weights are loaded, W_o d of each locked layer is computed in double from the whole W_o of the checkpoint, on every
rank alike, and becomes the bias of the row-parallel o_proj, which vLLM adds on rank 0 alone. As a parameter it costs nothing and
survives CUDA graphs and torch.compile. Whatever prevents that ends the start: no server answers unlocked.
"""
import dataclasses
import importlib
import logging
import os
import re

import numpy as np

import safetylock_file
from safetylock_file import LockError

logger = logging.getLogger("vllm.safetylock")

# Architecture -> vLLM's module. All hold model.layers[i].self_attn.o_proj.
MODULES = {"GemmaForCausalLM": "gemma", "Gemma2ForCausalLM": "gemma2", "Gemma3ForCausalLM": "gemma3", "LlamaForCausalLM": "llama",
           "MistralForCausalLM": "mistral", "Phi3ForCausalLM": "phi3", "Qwen2ForCausalLM": "qwen2", "Qwen3ForCausalLM": "qwen3"}
NAME = re.compile(r"(?:^|\.)layers\.(\d+)\.self_attn\.o_proj\.(\w+)$")


def register():
    """The entry point: called in every process of vLLM."""
    if not os.environ.get("SAFETYLOCK_LOCK"):
        logger.warning("SAFETYLOCK_LOCK names no lock: models are served UNLOCKED")
        return
    from vllm import ModelRegistry

    # Every class gets a locked one, and all others a refusal: none is served unlocked by mistake.
    for architecture in ModelRegistry.get_supported_archs():
        ModelRegistry.register_model(architecture, f"safetylock_vllm:Locked{architecture}")


def __getattr__(name):
    """LockedXForCausalLM: vLLM's class with load_weights extended, made when vLLM asks for it."""
    architecture = name.removeprefix("Locked")
    if architecture == name:
        raise AttributeError(name)
    if architecture not in MODULES:
        raise LockError(f"SAFETYLOCK_LOCK is set, but {architecture} cannot be locked here; known: {', '.join(sorted(MODULES))}")
    base = getattr(importlib.import_module(f"vllm.model_executor.models.{MODULES[architecture]}"), architecture)

    def load_weights(self, weights):
        lock = ungated(safetylock_file.load(os.environ["SAFETYLOCK_LOCK"]))
        check_fits(lock, architecture, self.config)
        alpha = os.environ.get("SAFETYLOCK_ALPHA")
        alpha = lock.strength(float(alpha) if alpha else None)
        biases, own = {}, {}
        loaded = base.load_weights(self, watch(weights, lock, alpha, biases, own))
        return (loaded or set()) | set_biases(self, lock, alpha, biases, own)

    locked = type(name, (base,), {"load_weights": load_weights, "__module__": __name__})
    globals()[name] = locked
    return locked


def ungated(lock):
    """vLLM has no place for a gate: what is added is one bias for all requests of a batch. A decision for each request would need
    a strength a row inside the compiled graph, chunked prompts read to their end first, and a prefix cache that keeps locked and
    unlocked prompts apart."""
    if lock.gate is None:
        return lock
    if os.environ.get("SAFETYLOCK_GATE") != "off":
        raise LockError("the lock has a gate, which vLLM cannot ask; SAFETYLOCK_GATE=off has the lock act on every request")
    logger.warning("the lock's gate is off: the lock acts on every request")
    return dataclasses.replace(lock, gate=None)


def check_fits(lock, architecture, config):
    heads = config.num_attention_heads
    lock.check_fits(architecture, {
        "layers": config.num_hidden_layers, "heads": heads, "kv_heads": getattr(config, "num_key_value_heads", None) or heads,
        "head_dim": getattr(config, "head_dim", None) or config.hidden_size // heads, "hidden_size": config.hidden_size})


def watch(weights, lock, alpha, biases, own):
    """The checkpoint's tensors, as they pass by. Fills `biases` with W_o d of the locked layers and `own` with the biases that
    the checkpoint itself gives them."""
    wanted = set(lock.locked_layers())
    for name, tensor in weights:
        match = NAME.search(name)
        layer = int(match[1]) if match else -1
        if layer in wanted and match[2] == "weight":
            biases[layer] = lock.output_bias(layer, whole(name, tensor, lock), alpha)
        elif layer in wanted and match[2] == "bias":
            own[layer] = tensor.detach().cpu().double().numpy()
        yield name, tensor


def whole(name, tensor, lock):
    """W_o as float32 [E, H * D]."""
    shape = (lock.size("hidden_size"), lock.size("heads") * lock.size("head_dim"))
    if not tensor.dtype.is_floating_point or tensor.element_size() < 2 or tuple(tensor.shape) != shape:
        raise LockError(f"{name} has type {tensor.dtype} and shape {tuple(tensor.shape)}: a quantised W_o cannot be locked here. "
                        "Bake the lock before quantising")
    return tensor.detach().cpu().float().numpy()


def set_biases(model, lock, alpha, biases, own):
    """Names of the parameters that were set. Layers of other pipeline ranks are not here."""
    import torch

    missing = set(lock.locked_layers()) - biases.keys()
    if missing:
        raise LockError(f"the checkpoint gave no self_attn.o_proj.weight of layers {sorted(missing)}")
    names = set()
    for layer in range(model.model.start_layer, model.model.end_layer):
        if layer not in biases:
            continue
        projection = model.model.layers[layer].self_attn.o_proj
        if projection.skip_bias_add or not projection.reduce_results:
            raise LockError(f"o_proj of layer {layer} adds no bias by itself in this version of vLLM")
        if projection.bias is None and layer in own:
            raise LockError(f"the checkpoint has a bias for o_proj of layer {layer}, which vLLM drops; set attention_bias in config.json")
        device, dtype = next(model.model.layers[layer].parameters()).device, projection.params_dtype
        total = torch.from_numpy(biases[layer] + own.get(layer, np.zeros(1))).to(device=device, dtype=dtype)
        if projection.bias is None:
            projection.bias = torch.nn.Parameter(total, requires_grad=False)
        else:
            projection.bias.data.copy_(total)
        names.add(f"model.layers.{layer}.self_attn.o_proj.bias")
    logger.warning("locked at alpha %g: %d heads in %d layers, %d of them here; digest %s", alpha, len(lock.heads),
                   len(lock.locked_layers()), len(names), lock.metadata["content_digest"][:16])
    return names
