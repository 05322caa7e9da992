#!/usr/bin/env python3
"""examples/python/safetylock_vllm.py without vLLM: what it computes from a checkpoint's tensors, rank by rank, and what it refuses.
That vLLM takes it is what scripts/check_engines.sh shows. Stand-ins have the few attributes of vLLM's classes that it uses.

Environment: SAFETYLOCK_BINARY, SAFETYLOCK_SOURCE.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file

SOURCE = pathlib.Path(os.environ["SAFETYLOCK_SOURCE"])
sys.path.insert(0, str(SOURCE / "examples" / "python"))
BASE = SOURCE / "tests" / "golden" / "model" / "qwen2"


class ModelRegistry:
    registered = {}

    @staticmethod
    def get_supported_archs():
        return ["Qwen2ForCausalLM", "GPT2LMHeadModel"]

    @classmethod
    def register_model(cls, architecture, place):
        cls.registered[architecture] = place


class Qwen2ForCausalLM:
    """The layers [start, end) of a pipeline stage."""

    def __init__(self, config, start, end, dtype=torch.float32, bias=False):
        self.config, self.seen = config, []
        layers = [self.layer(dtype, bias) if start <= i < end else None for i in range(config.num_hidden_layers)]
        self.model = types.SimpleNamespace(layers=layers, start_layer=start, end_layer=end)

    @staticmethod
    def layer(dtype, bias):
        projection = torch.nn.Linear(32, 32, bias=bias, dtype=dtype)
        projection.skip_bias_add, projection.reduce_results, projection.params_dtype = False, True, dtype
        layer = torch.nn.Module()
        layer.self_attn = torch.nn.Module()
        layer.self_attn.o_proj = projection
        return layer

    def load_weights(self, weights):
        self.seen = [name for name, _ in weights]
        return set(self.seen)


def stand_in():
    for name in ("vllm", "vllm.model_executor", "vllm.model_executor.models", "vllm.model_executor.models.qwen2"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["vllm"].ModelRegistry = ModelRegistry
    sys.modules["vllm.model_executor.models.qwen2"].Qwen2ForCausalLM = Qwen2ForCausalLM


stand_in()
import safetylock_file  # noqa: E402
import safetylock_vllm as plugin  # noqa: E402

sys.path.insert(0, str(SOURCE / "scripts"))
from lock_file import write_lock  # noqa: E402


class Plugin(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        path = pathlib.Path(folder.name) / "a.lock.safetensors"
        subprocess.run([os.environ["SAFETYLOCK_BINARY"], "extract", BASE, "--pairs", SOURCE / "tests/cli/tiny_pairs.jsonl", "--heads",
                        "6", "-o", path], capture_output=True)
        os.environ["SAFETYLOCK_LOCK"] = str(path)
        cls.lock = safetylock_file.load(path)
        cls.weights = load_file(BASE / "model.safetensors")
        cls.config = types.SimpleNamespace(**json.loads((BASE / "config.json").read_text()))

    def load(self, model=None, weights=None):
        model = model or self.model()
        return model, model.load_weights(iter((weights or self.weights).items()))

    def model(self, start=0, end=None, **options):
        end = self.config.num_hidden_layers if end is None else end
        return plugin.LockedQwen2ForCausalLM(self.config, start, end, **options)

    def bias(self, layer, alpha=None):
        weight = self.weights[f"model.layers.{layer}.self_attn.o_proj.weight"]
        return torch.from_numpy(self.lock.output_bias(layer, weight.float().numpy(), alpha))

    def test_every_stage_gets_the_biases_of_its_layers(self):
        self.assertEqual(self.lock.locked_layers(), [0, 1])
        for start, end in ((0, 2), (0, 1), (1, 2)):
            model, loaded = self.load(self.model(start, end))
            self.assertEqual(model.seen, list(self.weights))
            for layer in range(start, end):
                projection = model.model.layers[layer].self_attn.o_proj
                torch.testing.assert_close(projection.bias.data, self.bias(layer).float(), rtol=0, atol=0)
                self.assertIn(f"model.layers.{layer}.self_attn.o_proj.bias", loaded)

    def test_lower_precision_is_rounded_once(self):
        model, _ = self.load(self.model(dtype=torch.bfloat16))
        torch.testing.assert_close(model.model.layers[1].self_attn.o_proj.bias.data, self.bias(1).bfloat16(), rtol=0, atol=0)

    def test_a_bias_of_the_checkpoint_stays(self):
        own = {f"model.layers.{i}.self_attn.o_proj.bias": torch.full((32,), float(i + 1)) for i in range(2)}
        model, _ = self.load(self.model(bias=True), self.weights | own)
        for layer in (0, 1):
            torch.testing.assert_close(model.model.layers[layer].self_attn.o_proj.bias.data, (self.bias(layer) + layer + 1).float())
        with self.assertRaisesRegex(plugin.LockError, "attention_bias"):
            self.load(self.model(), self.weights | own)

    def test_strength(self):
        os.environ["SAFETYLOCK_ALPHA"] = "12"
        self.addCleanup(os.environ.pop, "SAFETYLOCK_ALPHA")
        model, _ = self.load()
        torch.testing.assert_close(model.model.layers[0].self_attn.o_proj.bias.data, self.bias(0, 12).float(), rtol=0, atol=0)
        np.testing.assert_allclose(self.bias(0, 12), 2 * self.bias(0))
        os.environ["SAFETYLOCK_ALPHA"] = "100"
        with self.assertRaisesRegex(plugin.LockError, "alpha"):
            self.load()

    def test_what_would_serve_unlocked_is_refused(self):
        name = "model.layers.1.self_attn.o_proj.weight"
        for weights, word in (({k: v for k, v in self.weights.items() if k != name}, r"no self_attn.o_proj.weight of layers \[1\]"),
                              (self.weights | {name: self.weights[name].to(torch.float8_e4m3fn)}, "before quantising"),
                              (self.weights | {name: self.weights[name][:, :16]}, "before quantising")):
            with self.assertRaisesRegex(plugin.LockError, word):
                self.load(weights=weights)
        other = types.SimpleNamespace(**vars(self.config) | {"num_hidden_layers": 3})
        with self.assertRaisesRegex(plugin.LockError, "another model"):
            self.load(plugin.LockedQwen2ForCausalLM(other, 0, 3))
        with self.assertRaisesRegex(plugin.LockError, "cannot be locked here"):
            plugin.LockedGPT2LMHeadModel
        with self.assertRaises(AttributeError):
            plugin.Unheard

    def test_a_gate_is_refused_unless_it_is_off(self):
        with safe_open(os.environ["SAFETYLOCK_LOCK"], framework="numpy") as file:
            metadata, tensors = dict(file.metadata()), {key: file.get_tensor(key) for key in file.keys()}
        metadata |= {"gate_threshold": "0.5", "gate_harmful": "9", "gate_missed": "0", "gate_harmless": "9", "gate_false_alarms": "0",
                     "gate_prompts_digest": "", "gate_score_mean": "0", "gate_score_sd": "1"}
        one = np.array([1])
        tensors |= {"gate_layers": one, "gate_heads": one, "gate_positions": one, "gate_weights": np.ones((1, 8), np.float32),
                    "gate_bias": np.zeros(1, np.float32)}
        lock = os.environ["SAFETYLOCK_LOCK"]
        self.addCleanup(os.environ.__setitem__, "SAFETYLOCK_LOCK", lock)
        os.environ["SAFETYLOCK_LOCK"] = lock + ".gated"
        write_lock(lock + ".gated", metadata, tensors)
        with self.assertRaisesRegex(plugin.LockError, "vLLM cannot ask"):
            self.load()
        os.environ["SAFETYLOCK_GATE"] = "off"
        self.addCleanup(os.environ.pop, "SAFETYLOCK_GATE")
        with self.assertLogs("vllm.safetylock", "WARNING") as logs:
            model, _ = self.load()
        self.assertIn("every request", logs.output[0])
        torch.testing.assert_close(model.model.layers[0].self_attn.o_proj.bias.data, self.bias(0).float(), rtol=0, atol=0)

    def test_the_entry_point(self):
        ModelRegistry.registered.clear()
        plugin.register()
        self.assertEqual(ModelRegistry.registered, {a: f"safetylock_vllm:Locked{a}" for a in ModelRegistry.get_supported_archs()})
        ModelRegistry.registered.clear()
        lock = os.environ.pop("SAFETYLOCK_LOCK")
        self.addCleanup(os.environ.__setitem__, "SAFETYLOCK_LOCK", lock)
        with self.assertLogs("vllm.safetylock", "WARNING") as logs:
            plugin.register()
        self.assertIn("UNLOCKED", logs.output[0])
        self.assertEqual(ModelRegistry.registered, {})


if __name__ == "__main__":
    unittest.main()
