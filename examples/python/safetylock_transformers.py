"""A lock on a transformers model: `with apply(model, "base.lock.safetensors"): model.generate(...)`.

By default each locked layer gets a hook that adds the lock to the input of o_proj: it needs no room for a bias, and adapters
on o_proj see it as well. With method="bias" the lock becomes o_proj.bias, computed in double: no hook runs, save_pretrained
would write it, and torch.compile sees an ordinary model. remove() undoes either.
"""
import hashlib

import numpy as np
import torch

import safetylock_file
from safetylock_file import LockError


def apply(model, lock, alpha=None, method="hook"):
    """Locks `model` until remove() or the end of a with block. `lock`: a path or a SafetyLock; `alpha`: a strength, or the
    lock's own. Refuses a lock of another model, and a second lock on the same one."""
    if isinstance(lock, (str, bytes)) or hasattr(lock, "__fspath__"):
        lock = safetylock_file.load(lock)
    if method not in ("hook", "bias"):
        raise ValueError(f'method has to be "hook" or "bias", not {method!r}')
    check_fits(lock, model)
    lock.strength(alpha)
    projections = o_projections(model, lock)
    if getattr(model, "_safetylock", None) is not None:
        raise LockError("the model is locked already; remove that lock first")
    applied = Applied(model, [add_hook(p, lock.displacement(i, alpha)) for i, p in projections.items()] if method == "hook"
                      else add_biases(projections, lock, alpha))
    model._safetylock = applied
    return applied


class Applied:
    """What apply() did to a model."""

    def __init__(self, model, undo):
        self._model, self._undo = model, undo

    def remove(self):
        for undo in self._undo:
            undo()
        if self._undo:
            self._model._safetylock = None
        self._undo = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.remove()


def text_config(model):
    return model.config.get_text_config()


def check_fits(lock, model):
    config = text_config(model)
    heads = config.num_attention_heads
    sizes = {"layers": config.num_hidden_layers, "heads": heads, "kv_heads": getattr(config, "num_key_value_heads", None) or heads,
             "head_dim": head_dim(config), "hidden_size": config.hidden_size}
    lock.check_fits(type(base_of(model)).__name__, sizes, config_digest(type(base_of(model)).__name__, config))


def head_dim(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def config_digest(architecture, config):
    """SHA-256 of what decides whether two models are one family: a model and its fine-tunes have the same."""
    def number(value):  # float32, spelled as C++ spells it
        digits, _, exponent = np.format_float_scientific(np.float32(value), trim="-").partition("e")
        plain = np.format_float_positional(np.float32(value), trim="-")
        short = f"{digits}e{'-' if exponent[0] == '-' else '+'}{abs(int(exponent)):02d}"
        return plain if len(plain) <= len(short) else short

    rope = dict(config.rope_parameters)
    local = rope.get("sliding_attention", {}).get("rope_theta")
    rope = rope.get("full_attention", rope)
    kind = rope.get("rope_type", "default")
    dim = head_dim(config)
    rotary = int(dim * rope.get("partial_rotary_factor", 1.0))
    text = (f"{architecture} num_hidden_layers={config.num_hidden_layers} hidden_size={config.hidden_size}"
            f" intermediate_size={config.intermediate_size} num_attention_heads={config.num_attention_heads}"
            f" num_key_value_heads={config.num_key_value_heads} head_dim={dim} rope_theta={number(rope['rope_theta'])}"
            f" rope_scaling={'none' if kind == 'default' else kind}")
    text += f" rotary_dim={rotary}" if rotary != dim else ""
    text += f" rope_local_base_freq={number(local)}" if local else ""
    return hashlib.sha256(text.encode()).hexdigest()


def base_of(model):
    """The model below PEFT's wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def o_projections(model, lock):
    """layer -> its o_proj, for the locked layers. An adapter's wrapper counts as the o_proj."""
    layers = base_of(model).get_decoder().layers
    found = {i: layers[i].self_attn.o_proj for i in lock.locked_layers()}
    for i, projection in found.items():
        features = getattr(projection, "in_features", None)
        if features is not None and features != lock.size("heads") * lock.size("head_dim"):
            raise LockError(f"o_proj of layer {i} takes {features} values, the lock has {lock.size('heads')} heads of "
                            f"{lock.size('head_dim')}")
    return found


def add_hook(projection, displacement):
    vector = torch.from_numpy(displacement)
    held = {}  # (device, dtype) -> the vector there

    def add(_, args):
        key = (args[0].device, args[0].dtype)
        if key not in held:
            held[key] = vector.to(device=key[0], dtype=key[1])
        return (args[0] + held[key], *args[1:])

    return projection.register_forward_pre_hook(add).remove


def add_biases(projections, lock, alpha):
    for i, projection in projections.items():  # all are checked before the first is changed
        if type(projection) is not torch.nn.Linear or projection.weight.is_meta:
            raise LockError(f"o_proj of layer {i} is {type(projection).__name__}, not a plain linear layer: an adapter or "
                            'quantised weights are there. Merge the adapter first, or use method="hook"')
    return [set_bias(p, lock.output_bias(i, p.weight.detach().cpu().float().numpy(), alpha)) for i, p in projections.items()]


def set_bias(projection, bias):
    before = projection.bias
    total = torch.from_numpy(bias)
    if before is not None:
        total = total + before.detach().cpu().double()
    weight = projection.weight
    projection.bias = torch.nn.Parameter(total.to(device=weight.device, dtype=weight.dtype), requires_grad=False)

    def undo():
        projection.bias = before

    return undo
