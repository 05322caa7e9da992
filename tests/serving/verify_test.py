#!/usr/bin/env python3
"""verify URL on models that transformers really runs: with the lock, without it, and with every way in which a lock gets broken.

Environment: SAFETYLOCK_BINARY, SAFETYLOCK_SOURCE.
"""
import copy
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

BINARY = os.environ["SAFETYLOCK_BINARY"]
SOURCE = pathlib.Path(os.environ["SAFETYLOCK_SOURCE"])
MODELS = SOURCE / "tests" / "golden" / "model"
sys.path[:0] = [str(SOURCE / "examples" / "python"), str(pathlib.Path(__file__).parent)]
import safetylock_file  # noqa: E402
from model_server import ModelServer  # noqa: E402

logging.disable_progress_bar()
ALPHA = 6


def run(*args):
    return subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True, timeout=300)


def load(path, dtype=torch.float32):
    return AutoModelForCausalLM.from_pretrained(path, dtype=dtype).eval()


def biased(model, lock, factor, moved_by=0):
    """A copy of `model` with `factor` times the lock in its biases, `moved_by` layers away from where it belongs."""
    model = copy.deepcopy(model)
    layers = model.model.layers
    for layer in lock.locked_layers():
        bias = torch.from_numpy(lock.output_bias(layer, layers[layer].self_attn.o_proj.weight.detach().float().numpy(), ALPHA))
        projection = layers[(layer + moved_by) % len(layers)].self_attn.o_proj
        before = 0 if projection.bias is None else projection.bias.detach().double()
        projection.bias = torch.nn.Parameter((before + factor * bias).to(projection.weight.dtype), requires_grad=False)
    return model


def other_weights(model):
    model = copy.deepcopy(model)
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * parameter.std() * torch.randn_like(parameter) if parameter.numel() > 1 else 0)
    return model


class VerifyUrl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="safetylock-serving-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.base = MODELS / "llama_gqa"
        cls.lock = cls.folder / "a.lock.safetensors"
        run("extract", cls.base, "--pairs", SOURCE / "tests/cli/tiny_pairs.jsonl", "--heads", 3, "--alpha", ALPHA, "-o", cls.lock)
        lock, model = safetylock_file.load(cls.lock), load(cls.base)
        cls.baked = cls.folder / "baked"
        result = run("bake", cls.base, "--lock", cls.lock, "-o", cls.baked, "--dtype", "float32")
        assert result.returncode == 0, result.stderr
        unread = cls.folder / "unread"
        shutil.copytree(cls.baked, unread)
        config = json.loads((unread / "config.json").read_text())
        (unread / "config.json").write_text(json.dumps(config | {"attention_bias": False}))
        cls.server = ModelServer({
            "locked": biased(model, lock, 1), "baked": load(cls.baked), "bfloat16": load(cls.baked, torch.bfloat16),
            "dropped": model, "attention_bias_false": load(unread), "halved": biased(model, lock, 0.5),
            "doubled": biased(model, lock, 2), "flipped": biased(model, lock, -1), "moved": biased(model, lock, 1, 1),
            "other_model": biased(other_weights(model), lock, 1)})
        cls.addClassCleanup(cls.server.close)
        cls.server.decode = AutoTokenizer.from_pretrained(cls.base).decode
        cls.expected = {"--base": cls.base, "--expect": cls.baked / "verify.json"}

    def verify(self, name, *args):
        return run("verify", self.server.url(name), "--lock", self.lock, "--json", "--dtype", "float32", *args)

    def verdict(self, name, option="--base", *args):
        result = self.verify(name, option, self.expected[option], *args)
        self.assertIn(result.returncode, (0, 5), result.stderr)
        out = json.loads(result.stdout)
        self.assertEqual(result.returncode, 0 if out["verdict"] == "locked" else 5)
        print(f"{name} {option}: {out['verdict']}, {out['served']['share']:g} of the strength, separation "
              f"{out['served']['separation']:.3f}, from locked {out['served']['from_locked']:.2g}")
        return out["verdict"], out["served"]

    def test_locked_ones(self):
        for option in self.expected:
            for name in ("locked", "baked", "bfloat16"):
                verdict, served = self.verdict(name, option)
                self.assertEqual(verdict, "locked", name)
                self.assertAlmostEqual(served["share"], 1, delta=0.1)
            self.assertLess(self.verdict("locked", option)[1]["from_locked"], 1e-4)

    def test_dropped_ones(self):
        for option in self.expected:
            for name in ("dropped", "attention_bias_false"):
                verdict, served = self.verdict(name, option)
                self.assertEqual((verdict, served["share"]), ("not locked", 0))
                self.assertIn("dropped", served["reason"])

    def test_other_strengths(self):
        for name, share in (("halved", 0.5), ("doubled", 2), ("flipped", -1)):
            verdict, served = self.verdict(name)
            self.assertEqual(verdict, "not locked")
            self.assertAlmostEqual(served["share"], share, delta=0.02)
            self.assertEqual(self.verdict(name, "--expect")[0], "not locked")

    def test_other_layers_and_models(self):
        for option in self.expected:
            for name in ("moved", "other_model"):
                verdict, served = self.verdict(name, option)
                self.assertEqual(verdict, "not locked")
                self.assertIn("neither", served["reason"])

    def test_what_cannot_be_told(self):
        self.server.logprobs = False
        self.addCleanup(setattr, self.server, "logprobs", True)
        verdict, served = self.verdict("locked")
        self.assertEqual((verdict, served["values"]), ("cannot tell", 0))
        self.server.logprobs = True
        # A lock too weak to be seen.
        self.assertEqual(self.verdict("dropped", "--base", "--alpha", 0.0001)[0], "cannot tell")

    def test_tokens_named_by_text(self):
        self.server.ids = False
        self.addCleanup(setattr, self.server, "ids", True)
        self.assertEqual(self.verdict("locked", "--expect")[0], "locked")
        self.assertEqual(self.verdict("dropped", "--expect")[0], "not locked")

    def test_refusals(self):
        def fails(result, code, word):
            self.assertEqual(result.returncode, code, result.stderr)
            self.assertNotIn("verdict", result.stdout)
            self.assertIn(word, result.stderr)

        fails(self.verify("locked"), 2, "arg.usage")
        fails(self.verify("locked", "--base", self.base, "--expect", self.expected["--expect"]), 2, "arg.usage")
        fails(self.verify("locked", "--base", MODELS / "qwen2"), 4, "bind.model")
        other = self.folder / "b.lock.safetensors"
        run("extract", self.base, "--pairs", SOURCE / "tests/cli/tiny_pairs.jsonl", "--heads", 2, "-o", other)
        fails(run("verify", self.server.url("locked"), "--lock", other, "--expect", self.expected["--expect"]), 4, "bind.probes")
        fails(self.verify("locked", "--base", self.base, "--served-model", "none"), 3, "no such model")
        fails(run("verify", "http://127.0.0.1:9/v1", "--lock", self.lock, "--base", self.base), 1, "run.endpoint")


if __name__ == "__main__":
    unittest.main()
