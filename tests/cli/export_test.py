#!/usr/bin/env python3
"""export: the vectors against numpy, the control vector as the gguf package reads it, its gap as transformers computes it.

Environment as for cli_test.py.
"""
import json
import os
import sys
import unittest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import gguf
import numpy as np
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from cli_test import MODEL, MODELS, SOURCE, CliTest, tool

sys.path[:0] = [str(SOURCE / "examples" / "python"), str(SOURCE / "scripts")]
import safetylock_file  # noqa: E402
import safetylock_transformers  # noqa: E402
from lock_file import write_lock  # noqa: E402

ALPHA = 5


class ExportTest(CliTest):
    def setUp(self):
        super().setUp()
        self.lock, _ = self.extract("--alpha", ALPHA)
        self.out = self.path("out")

    def export(self, *args):
        result = tool("export", self.lock, "-o", self.out, "--json", *args)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        out = json.loads(result.stdout)
        self.assertEqual(out["schema"], "safetylock.export/1")
        return out, result.stderr.decode()

    def o_proj(self, layer):
        with safe_open(MODEL / "model.safetensors", "np") as file:
            return file.get_tensor(f"model.layers.{layer}.self_attn.o_proj.weight")

    def test_json_holds_the_lock_exactly(self):
        lock = safetylock_file.load(self.lock)
        for alpha in (ALPHA, 2.5):
            self.export("--format", "json", "--model", MODEL, "--alpha", alpha)
            written = json.loads(self.out.read_text())
            self.assertEqual((written["schema"], written["alpha"]), ("safetylock.vectors/1", alpha))
            for row, head in enumerate(written["heads"]):
                self.assertEqual((head["layer"], head["head"]), (lock.layers[row], lock.heads[row]))
                np.testing.assert_array_equal(np.float32(head["direction"]), lock.directions[row])
                self.assertEqual(np.float32(head["sigma"]), lock.sigmas[row])
            inputs, outputs = written["hooks"]
            self.assertEqual((inputs["hook"], outputs["hook"]), ("self_attn.o_proj.input", "self_attn.o_proj.output"))
            self.assertEqual([int(k) for k in inputs["layers"]], lock.locked_layers())
            for layer in lock.locked_layers():
                np.testing.assert_allclose(inputs["layers"][str(layer)], lock.displacement(layer, alpha), rtol=2e-7)
                np.testing.assert_allclose(outputs["layers"][str(layer)], lock.output_bias(layer, self.o_proj(layer), alpha),
                                           rtol=1e-9, atol=1e-12)
        self.export("--format", "json")
        self.assertEqual(len(json.loads(self.out.read_text())["hooks"]), 1)

    def test_control_vector(self):
        lock = safetylock_file.load(self.lock)
        out, said = self.export("--format", "gguf-control-vector", "--model", MODEL, "--dtype", "float32")
        reader = gguf.GGUFReader(self.out)
        field = lambda key: reader.get_field(key).contents()  # noqa: E731
        self.assertEqual(field("general.architecture"), "controlvector")
        self.assertEqual(field("controlvector.model_hint"), "llama")
        self.assertIn("APPROXIMATION", field("general.description"))
        self.assertEqual(field("safetylock.alpha"), ALPHA)
        layers = [layer for layer in lock.locked_layers() if layer > 0]
        self.assertEqual(field("controlvector.layer_count"), len(layers))
        self.assertEqual([t.name for t in reader.tensors], [f"direction.{layer}" for layer in layers])
        directions = {layer: t.data.copy() for layer, t in zip(layers, reader.tensors)}
        for layer, direction in directions.items():
            self.assertEqual((direction.dtype, direction.shape), (np.float32, (32,)))
            np.testing.assert_allclose(direction, lock.output_bias(layer, self.o_proj(layer)), rtol=1e-6, atol=1e-9)
        self.assertEqual("layer 0" in said, 0 in lock.locked_layers())
        self.check_gap(lock, directions, out["control_vector"])

    @torch.no_grad()
    def check_gap(self, lock, directions, gap):
        """transformers, with the lock in front of o_proj and with the vectors behind the layers."""
        model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
        prompts = [json.loads(tool("render", MODEL, "--prompt", p, "--json").stdout)["sequences"][0]["token_ids"]
                   for p in self.prompts()]
        self.assertEqual((len(prompts), sum(map(len, prompts))), (gap["prompts"], gap["tokens"]))
        logits = lambda: [model(torch.tensor([p])).logits[0].double() for p in prompts]  # noqa: E731
        unlocked = logits()
        with safetylock_transformers.apply(model, lock):
            exact = logits()
        for layer, direction in directions.items():
            vector = torch.from_numpy(direction)
            model.model.layers[layer].register_forward_hook(
                lambda _, __, out, v=vector: out + v if torch.is_tensor(out) else (out[0] + v, *out[1:]))
        near = logits()
        largest = max((a - a.mean(-1, keepdim=True) - b + b.mean(-1, keepdim=True)).abs().max().item() for a, b in zip(exact, near))
        self.assertAlmostEqual(gap["largest_logit_gap"], largest, delta=1e-4)
        kl = lambda other: sum((a.softmax(-1) * (a.log_softmax(-1) - b.log_softmax(-1))).sum().item()  # noqa: E731
                               for a, b in zip(exact, other)) / gap["tokens"]
        self.assertAlmostEqual(gap["mean_kl"], kl(near), delta=1e-5)
        self.assertAlmostEqual(gap["mean_kl_unlocked"], kl(unlocked), delta=1e-5)
        self.assertGreater(gap["largest_logit_gap"], 1e-3)

    def prompts(self):
        """Those that the gap is measured on, from the source."""
        text = (SOURCE / "src/pipeline/causal_check_prompts.h").read_text()
        harmful, benign = (part.split("});")[0] for part in text.split("std::string_view>({")[1:])
        lines = lambda part, count: [line.strip().rstrip(",")[1:-1] for line in part.strip().splitlines()][:count]  # noqa: E731
        return lines(harmful, 12) + lines(benign, 6)

    def test_heads_of_layer_0_are_left_out_with_a_word(self):
        self.move_heads([0, 0, 1, 2])
        out, said = self.export("--format", "gguf-control-vector", "--model", MODEL)
        self.assertTrue(out["control_vector"]["without_layer_0"])
        self.assertIn("layer 0 are left out", said)
        self.assertEqual([t.name for t in gguf.GGUFReader(self.out).tensors], ["direction.1", "direction.2"])
        self.out.unlink()
        self.move_heads([0, 0, 0, 0])
        self.refuses(4, "bind.export", "--format", "gguf-control-vector", "--model", MODEL)

    def move_heads(self, layers):
        with safe_open(self.lock, "np") as file:
            tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
        tensors["layers"], tensors["heads"] = np.array(layers), np.arange(len(layers))
        write_lock(self.lock, metadata, tensors)

    def refuses(self, code, error, *args):
        self.assert_fails(tool("export", self.lock, "-o", self.out, *args), code, error)
        self.assertFalse(self.out.exists())

    def test_refusals_write_nothing(self):
        self.refuses(2, "arg.format", "--format", "svec")
        self.refuses(2, "arg.usage", "--format", "gguf-control-vector")
        self.refuses(2, "arg.alpha", "--format", "json", "--alpha", 0)
        self.refuses(2, "arg.alpha", "--format", "json", "--alpha", 25)
        self.refuses(4, "bind.model", "--format", "json", "--model", MODELS / "qwen2")
        self.refuses(4, "bind.model", "--format", "gguf-control-vector", "--model", MODELS / "qwen2")
        self.lock, _ = self.extract(model=MODELS / "gemma2", name="g.lock.safetensors")
        self.refuses(4, "bind.export", "--format", "gguf-control-vector", "--model", MODELS / "gemma2")


if __name__ == "__main__":
    unittest.main()
