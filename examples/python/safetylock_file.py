"""Reads a lock's file with safetensors and numpy alone. The format: docs/lock-format.md.

    lock = load("base.lock.safetensors")
    lock.displacement(layer)     what to add to the input of o_proj of that layer
    lock.output_bias(layer, w)   the same behind o_proj, whose weight is w
    lock.gate                    when it acts, or None: always
    lock.reply_gate              reads the replies to requests on which the gate stayed closed, or None
"""
import dataclasses
import hashlib
import struct
from dataclasses import dataclass

import numpy as np
from safetensors import safe_open

TYPES = {"int64": b"I64", "float32": b"F32"}
SIZES = ("layers", "heads", "kv_heads", "head_dim", "hidden_size")


class LockError(ValueError):
    """A file that is no sound lock, or a model that the lock was not made for."""


POSITIONS = ("last_token", "template_tail", "message", "message_end", "reply")
REPLY = POSITIONS.index("reply")
REPLY_TOKENS = 8  # that a gate of replies reads at most
GATE_TENSORS = ("layers", "heads", "positions", "weights", "bias")
GATE_KEYS = ("threshold", "harmful", "missed", "harmless", "false_alarms", "prompts_digest", "score_mean", "score_sd")


@dataclass(frozen=True)
class Gate:
    """The log-odds of a request being harmful: bias + sum over k of weights[k] . (the output of head heads[k] of layer layers[k],
    meant over the tokens of positions[k])."""
    layers: np.ndarray  # int64 [Kg]
    heads: np.ndarray  # int64 [Kg]
    positions: np.ndarray  # int64 [Kg]: indices into POSITIONS
    weights: np.ndarray  # float32 [Kg, D]
    bias: float
    threshold: float  # a probability

    def share(self, score, threshold=None):
        """Of the lock's strength, for log-odds: 1 from the threshold on, and where they are no number; else 0."""
        threshold = self.threshold if threshold is None else threshold
        return 1.0 if not np.isfinite(score) or score >= np.log(threshold) - np.log1p(-threshold) else 0.0


@dataclass(frozen=True)
class SafetyLock:
    metadata: dict  # str -> str
    layers: np.ndarray  # int64 [K]
    heads: np.ndarray  # int64 [K]
    directions: np.ndarray  # float32 [K, D], unit rows
    sigmas: np.ndarray  # float32 [K]
    gate: Gate | None = None
    reply_gate: Gate | None = None

    @property
    def alpha(self):
        """The default strength."""
        return float(self.metadata["alpha"])

    def size(self, name):
        return int(self.metadata[name])

    def strength(self, alpha=None):
        """`alpha`, or the default; refuses what the lock does not allow."""
        alpha = self.alpha if alpha is None else float(alpha)
        if not 0 < alpha <= float(self.metadata["alpha_max"]):
            raise LockError(f"alpha has to be above 0 and at most {self.metadata['alpha_max']}, not {alpha}")
        return alpha

    def locked_layers(self):
        return sorted(set(self.layers.tolist()))

    def displacement(self, layer, alpha=None):
        """float64 [H * D]: added to the concatenated head outputs of `layer`, the input of o_proj, at every token."""
        dim = self.size("head_dim")
        out = np.zeros(self.size("heads") * dim)
        for k in np.flatnonzero(self.layers == layer):
            at = int(self.heads[k]) * dim
            out[at : at + dim] = float(self.sigmas[k]) * self.directions[k].astype(np.float64)
        return self.strength(alpha) * out

    def output_bias(self, layer, weight, alpha=None):
        """float64 [E]: `weight` [E, H * D] of o_proj times the displacement. Reads the locked heads' columns alone."""
        dim = self.size("head_dim")
        columns = np.concatenate([np.arange(h * dim, (h + 1) * dim) for h in self.heads[self.layers == layer]])
        return np.asarray(weight[:, columns], np.float64) @ self.displacement(layer, alpha)[columns]

    def check_fits(self, architecture, sizes, config_digest=None):
        """`sizes` of the model by the names of SIZES; `config_digest` of the model, where it is known."""
        found = {"architecture": architecture, **{name: str(value) for name, value in sizes.items()}}
        if config_digest and self.metadata["config_digest"]:
            found["config_digest"] = config_digest
        wrong = [f"{name} {self.metadata[name]}, found {value}" for name, value in found.items() if self.metadata[name] != value]
        if wrong:
            raise LockError("the lock was made for another model: expected " + "; ".join(wrong))


def load(path):
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    if metadata.get("format") != "safetylock" or metadata.get("version") != "1":
        raise LockError(f"{path}: no lock of version 1")
    if metadata.get("content_digest") != content_digest(metadata, tensors):
        raise LockError(f"{path}: the content does not match its digest")
    lock = SafetyLock(metadata, *(tensors[name] for name in ("layers", "heads", "directions", "sigmas")))
    count, dim = len(lock.layers), lock.size("head_dim")
    inside = (lock.layers >= 0).all() and (lock.layers < lock.size("layers")).all() and (lock.heads >= 0).all() and (
        lock.heads < lock.size("heads")).all()
    if count == 0 or lock.directions.shape != (count, dim) or lock.sigmas.shape != (count,) or not inside:
        raise LockError(f"{path}: heads, directions and sizes do not fit together")
    if not np.isfinite(lock.directions).all() or not (lock.sigmas > 0).all():
        raise LockError(f"{path}: directions have to be finite and sigmas above 0")
    gate, reply_gate = (gate_of(path, lock, tensors, prefix) for prefix in ("gate_", "reply_gate_"))
    if gate is not None and (gate.positions == REPLY).any() or reply_gate is not None and (reply_gate.positions != REPLY).any():
        raise LockError(f"{path}: a gate of prompts reads prompts, one of replies reads replies")
    if reply_gate is not None and gate is None:
        raise LockError(f"{path}: a gate of replies without one of prompts")
    return dataclasses.replace(lock, gate=gate, reply_gate=reply_gate)


def gate_of(path, lock, tensors, prefix):
    parts = [prefix + name in tensors for name in GATE_TENSORS] + [prefix + key in lock.metadata for key in GATE_KEYS]
    if not any(parts):
        return None
    if not all(parts):
        raise LockError(f"{path}: a part of the gate is missing")
    gate = Gate(*(tensors[prefix + name] for name in GATE_TENSORS[:4]), float(tensors[prefix + "bias"].item()),
                float(lock.metadata[prefix + "threshold"]))
    count, dim = len(gate.layers), lock.size("head_dim")
    inside = all(((values >= 0) & (values < limit)).all() for values, limit in (
        (gate.layers, lock.size("layers")), (gate.heads, lock.size("heads")), (gate.positions, len(POSITIONS))))
    if count == 0 or gate.weights.shape != (count, dim) or not len(gate.heads) == len(gate.positions) == count or not inside:
        raise LockError(f"{path}: the gate's heads, weights and sizes do not fit together")
    if not np.isfinite(gate.weights).all() or not gate.weights.any() or not 0 < gate.threshold < 1:
        raise LockError(f"{path}: the gate's weights have to be finite, not all 0, and its threshold between 0 and 1")
    return gate


def content_digest(metadata, tensors):
    def number(value):
        return struct.pack("<Q", value)

    def text(value):
        return number(len(value)) + value

    content = b"safetylock lock 1\n" + number(len(metadata) - ("content_digest" in metadata))
    for key in sorted(metadata.keys() - {"content_digest"}):
        content += text(key.encode()) + text(metadata[key].encode())
    content += number(len(tensors))
    for name in sorted(tensors):
        values = tensors[name]
        content += text(name.encode()) + text(TYPES.get(values.dtype.name, b"?")) + number(values.ndim)
        content += b"".join(number(extent) for extent in values.shape) + text(values.tobytes())
    return hashlib.sha256(content).hexdigest()
