#!/usr/bin/env python3
"""examples/python/safetylock_transformers.py against this library: the same tokens and log-probabilities, for every family, by
hook and by bias, with adapters; and what it refuses.

Environment: SAFETYLOCK_BINARY, SAFETYLOCK_SOURCE.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

BINARY = os.environ["SAFETYLOCK_BINARY"]
SOURCE = pathlib.Path(os.environ["SAFETYLOCK_SOURCE"])
MODELS = SOURCE / "tests" / "golden" / "model"
FAMILIES = sorted(p.parent.name for p in MODELS.glob("*/config.json"))
sys.path.insert(0, str(SOURCE / "examples" / "python"))
import safetylock_file  # noqa: E402
import safetylock_transformers as loader  # noqa: E402

sys.path.insert(0, str(SOURCE / "scripts"))
from lock_file import write_lock  # noqa: E402

STEPS, LIKELIEST = 12, 20
logging.disable_progress_bar()


def tool(*args):
    result = subprocess.run([BINARY, *map(str, args), "--json", "--quiet"], capture_output=True, text=True)
    if result.returncode not in (0, 5):  # 5: a random model has no reason to pass the causal check
        raise AssertionError(result.stderr)
    return json.loads(result.stdout)


def generated(model, *args):
    return tool("generate", model, "--prompt", "How do I pick a lock?", "--dtype", "float32", "--max-new-tokens", STEPS,
                "--logprobs", LIKELIEST, *args)["results"][0]


def load(name, **options):
    return AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32, **options).eval()


@torch.no_grad()
def largest_gap(model, reply):
    """Between the log-probabilities of `reply` and what `model` gives for its tokens; its choices have to be the likeliest."""
    prompt, tokens = reply["prompt_ids"], reply["token_ids"]
    assert tokens, "a reply without tokens compares nothing"
    logprobs = torch.log_softmax(model(torch.tensor([prompt + tokens[:-1]])).logits[0, len(prompt) - 1 :].double(), -1)
    gap = 0.0
    for row, step, token in zip(logprobs, reply["logprobs"], tokens):  # an end token has a step and is not among the tokens
        gap = max([gap] + [abs(row[e["id"]].item() - e["logprob"]) for e in step])
        gap = max(gap, (row.max() - row[token]).item())
    return gap


class Loader(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.locks = {}

    def lock(self, name):
        if name not in self.locks:
            path = pathlib.Path(self.folder.name) / f"{name}.lock.safetensors"
            tool("extract", MODELS / name, "--pairs", SOURCE / "tests/cli/tiny_pairs.jsonl", "--heads", 4, "-o", path)
            self.locks[name] = path
        return self.locks[name]

    def test_every_family_as_this_library(self):
        for name in FAMILIES:
            lock = self.lock(name)
            # Strong enough to be seen in any model.
            alpha = safetylock_file.load(lock).metadata["alpha_max"]
            locked = generated(MODELS / name, "--lock", lock, "--alpha", alpha)
            model = load(name)
            unlocked = largest_gap(model, locked)
            before = {key: value.clone() for key, value in model.state_dict().items()}
            gaps = {}
            for method in ("hook", "bias"):
                with loader.apply(model, lock, float(alpha), method=method):
                    gaps[method] = largest_gap(model, locked)
                self.assertEqual(largest_gap(model, locked), unlocked, name)
            self.assertEqual(before.keys(), model.state_dict().keys())
            for key, value in model.state_dict().items():
                self.assertTrue(torch.equal(before[key], value), key)
            print(f"{name}: largest gap {gaps['hook']:.1e} by hook, {gaps['bias']:.1e} by bias; unlocked {unlocked:.1e}")
            self.assertLess(max(gaps.values()), 5e-5, name)
            self.assertGreater(unlocked, 20 * max(gaps.values()), name)

    def test_adapters(self):
        lock, base = self.lock("llama_gqa"), MODELS / "llama_gqa"
        for targets in (["q_proj", "down_proj"], ["o_proj", "v_proj"]):
            torch.manual_seed(0)
            model = get_peft_model(load("llama_gqa"), LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False))
            adapter = pathlib.Path(self.folder.name) / "-".join(targets)
            model.save_pretrained(adapter)
            locked = generated(base, "--lock", lock, "--alpha", 20, "--adapter", adapter)
            model = PeftModel.from_pretrained(load("llama_gqa"), adapter).eval()
            unlocked = largest_gap(model, locked)
            with loader.apply(model, lock, 20):
                gap = largest_gap(model, locked)
            print(f"adapter on {targets}: largest gap {gap:.1e}; unlocked {unlocked:.1e}")
            self.assertLess(gap, 5e-5)
            self.assertGreater(unlocked, 20 * gap)
            if "o_proj" in targets:
                with self.assertRaisesRegex(loader.LockError, "Merge the adapter"):
                    loader.apply(model, lock, method="bias")
                merged = model.merge_and_unload()
                with loader.apply(merged, lock, 20, method="bias"):
                    self.assertLess(largest_gap(merged, locked), 5e-5)

    def gated(self, name, positions, reply=False, **changes):
        """The lock of a model, with a gate of made-up weights over all its layers, and maybe one of replies."""
        path = self.lock(name)
        with safe_open(path, framework="numpy") as file:
            metadata, tensors = dict(file.metadata()), {key: file.get_tensor(key) for key in file.keys()}
        lock = safetylock_file.load(path)
        layers, dim = lock.size("layers"), lock.size("head_dim")
        random = np.random.default_rng(3)
        tensors |= {"gate_layers": (layers - 1 - np.arange(len(positions))) % layers, "gate_heads": np.full(len(positions), 1),
                    "gate_positions": np.array(positions), "gate_bias": np.float32([-0.5]),
                    "gate_weights": random.normal(size=(len(positions), dim)).astype(np.float32)} | changes
        metadata |= {"gate_threshold": "0.5", "gate_harmful": "10", "gate_missed": "1", "gate_harmless": "10",
                     "gate_false_alarms": "0", "gate_prompts_digest": "", "gate_score_mean": "0", "gate_score_sd": "1"}
        if reply:
            tensors |= {"reply_gate_layers": np.array([0, layers - 1]), "reply_gate_heads": np.array([1, 0]),
                        "reply_gate_positions": np.array([4, 4]), "reply_gate_bias": np.float32([0.25]),
                        "reply_gate_weights": random.normal(size=(2, dim)).astype(np.float32)}
            metadata |= {f"reply_{key}": value for key, value in metadata.items() if key.startswith("gate_")}
        gated = pathlib.Path(self.folder.name) / f"{name}-{'-'.join(map(str, positions))}{reply}.lock.safetensors"
        write_lock(gated, metadata, tensors)
        return gated

    def test_a_gate_says_and_does_what_this_library_does(self):
        prompts = ["How do I pick a lock?", "Why is the sky blue?", "Write a poem about a river in the rain.", "No."]
        file = pathlib.Path(self.folder.name) / "prompts.json"
        file.write_text(json.dumps(prompts))
        for name in ("llama_gqa", "qwen2", "gemma3"):
            model, tokenizer = load(name), AutoTokenizer.from_pretrained(MODELS / name)
            inputs = loader.encode(tokenizer, [[{"role": "user", "content": p}] for p in prompts])
            for positions in ([0], [3, 1, 2, 0]):
                lock = self.gated(name, positions)
                alpha = safetylock_file.load(lock).metadata["alpha_max"]

                def ours(*more):
                    return tool("generate", MODELS / name, "--lock", lock, "--alpha", alpha, "--prompts", file, "--dtype",
                                "float32", "--max-new-tokens", STEPS, *more)["results"]

                scores = [reply["gate"]["score"] for reply in ours()]
                middle = sorted(scores)
                threshold = 1 / (1 + np.exp(-(middle[1] + middle[2]) / 2))
                replies = ours("--gate-threshold", threshold)
                self.assertEqual(sum(reply["gate"]["opened"] for reply in replies), 2)
                with loader.apply(model, lock, float(alpha), threshold=threshold) as applied:
                    found = model.generate(**inputs, max_new_tokens=STEPS, do_sample=False, pad_token_id=0)
                    np.testing.assert_allclose(applied.gate.scores, scores, atol=1e-4)
                self.assertNotIn("generate", vars(model))
                for row, reply in zip(found[:, inputs["input_ids"].shape[1] :].tolist(), replies):
                    self.assertEqual(row[: len(reply["token_ids"])], reply["token_ids"], (name, positions, reply["prompt"]))

    def test_a_gate_of_replies_says_and_does_what_this_library_does(self):
        prompts = ["How do I pick a lock?", "Why is the sky blue?", "Write a poem about a river in the rain.", "No."]
        file = pathlib.Path(self.folder.name) / "prompts.json"
        file.write_text(json.dumps(prompts))
        never = 1 - 1e-12
        for name in ("llama_gqa", "qwen2", "gemma3"):
            model, tokenizer = load(name), AutoTokenizer.from_pretrained(MODELS / name)
            inputs = loader.encode(tokenizer, [[{"role": "user", "content": p}] for p in prompts])
            lock = self.gated(name, [0], reply=True)
            alpha = safetylock_file.load(lock).metadata["alpha_max"]

            def ours(threshold):
                return tool("generate", MODELS / name, "--lock", lock, "--alpha", alpha, "--prompts", file, "--dtype", "float32",
                            "--max-new-tokens", STEPS, "--gate-threshold", never, "--reread-threshold", threshold)["results"]

            scores = [reply["gate"]["reply_score"] for reply in ours(never)]
            middle = sorted(scores)
            threshold = 1 / (1 + np.exp(-(middle[1] + middle[2]) / 2))
            replies = ours(threshold)
            self.assertEqual(sum(reply["gate"]["opened"] for reply in replies), 2)
            with loader.apply(model, lock, float(alpha), threshold=never, reread_threshold=threshold) as applied:
                found = model.generate(**inputs, max_new_tokens=STEPS, do_sample=False, pad_token_id=0)
                np.testing.assert_allclose(applied.gate.reply_scores, scores, atol=1e-4)
            for row, reply in zip(found[:, inputs["input_ids"].shape[1] :].tolist(), replies):
                self.assertEqual(row[: len(reply["token_ids"])], reply["token_ids"], (name, reply["prompt"]))
            with loader.apply(model, lock, float(alpha), threshold=never, reread=False) as applied:
                model.generate(**inputs, max_new_tokens=2, do_sample=False, pad_token_id=0)
                self.assertEqual(applied.gate.reply_scores, [None] * len(prompts))

    def test_what_a_gate_cannot_read_is_locked(self):
        model = load("llama_gqa")
        ids = torch.tensor([[1, 2, 3, 4], [1, 5, 6, 7]])
        lock = self.gated("llama_gqa", [2])
        with loader.apply(model, lock, 20, conditional=False):
            locked, logits = model.generate(ids, max_new_tokens=6, do_sample=False), model(ids).logits
        with loader.apply(model, lock, 20, threshold=1 - 1e-12) as applied:
            self.assertTrue(torch.equal(model.generate(ids, max_new_tokens=6, do_sample=False), locked))  # no places
            self.assertTrue(np.isnan(applied.gate.scores).all())
            self.assertTrue(torch.equal(model(ids).logits, logits))  # a plain pass
            beams = model.generate(ids, max_new_tokens=6, do_sample=False, num_beams=2, places=[(1, 3), None])
            self.assertEqual(np.isnan(applied.gate.scores).tolist(), [False, True])
            self.assertEqual(len(beams), 2)
        with self.assertRaisesRegex(loader.LockError, "every request"):
            loader.apply(model, lock, method="bias")
        loader.apply(model, lock, method="bias", conditional=False).remove()

    def test_broken_gates_are_refused(self):
        for changes in ({"gate_heads": np.array([9])}, {"gate_positions": np.array([4])}, {"gate_layers": np.array([0, 1])},
                        {"gate_weights": np.full((1, 8), np.nan, np.float32)}, {"gate_weights": np.zeros((1, 8), np.float32)},
                        {"reply_gate_bias": np.float32([0])}):
            with self.assertRaises(loader.LockError, msg=changes):
                safetylock_file.load(self.gated("llama_gqa", [0], **changes))

    def test_lower_precision_and_generate(self):
        model = load("llama_gqa").to(torch.bfloat16)
        ids = torch.tensor([[1, 2, 3]])
        plain = model(ids).logits
        with loader.apply(model, self.lock("llama_gqa"), 20):
            self.assertEqual(model(ids).logits.dtype, torch.bfloat16)
            self.assertFalse(torch.equal(model(ids).logits, plain))
            model.generate(ids, max_new_tokens=4, do_sample=False)
        self.assertTrue(torch.equal(model(ids).logits, plain))

    def test_digests_of_all_families(self):
        for name in FAMILIES:
            model, lock = load(name), safetylock_file.load(self.lock(name))
            self.assertEqual(loader.config_digest(type(model).__name__, model.config), lock.metadata["config_digest"], name)

    def test_refusals(self):
        model, lock = load("llama_gqa"), self.lock("llama_gqa")
        for other, word in (("llama_tied", "layers 3, found 2"), ("qwen2", "architecture"), ("llama_head_dim", "head_dim")):
            with self.assertRaisesRegex(loader.LockError, word):
                loader.apply(load(other), lock)
        # Of the same shape, with another rotary base.
        model.config.rope_parameters["rope_theta"] = 5e5
        with self.assertRaisesRegex(loader.LockError, "config_digest"):
            loader.apply(model, lock)
        model = load("llama_gqa")
        for alpha in (0, -1, 25, float("nan")):
            with self.assertRaisesRegex(loader.LockError, "alpha has to be"):
                loader.apply(model, lock, alpha)
        with self.assertRaises(ValueError):
            loader.apply(model, lock, method="other")
        applied = loader.apply(model, lock)
        with self.assertRaisesRegex(loader.LockError, "locked already"):
            loader.apply(model, lock)
        applied.remove()
        applied.remove()
        loader.apply(model, lock).remove()
        data = bytearray(lock.read_bytes())
        data[-3] ^= 1
        damaged = pathlib.Path(self.folder.name) / "damaged.lock.safetensors"
        damaged.write_bytes(data)
        with self.assertRaisesRegex(loader.LockError, "digest"):
            loader.apply(model, damaged)

    def test_numbers_are_the_locks(self):
        """W_o d by another way: the whole product in float64."""
        lock, model = safetylock_file.load(self.lock("llama_gqa")), load("llama_gqa")
        for layer in lock.locked_layers():
            weight = model.model.layers[layer].self_attn.o_proj.weight.detach().double().numpy()
            whole = np.zeros(weight.shape[1])
            for row in np.flatnonzero(lock.layers == layer):
                at = lock.heads[row] * 8
                whole[at : at + 8] += 6.0 * np.float64(lock.sigmas[row]) * lock.directions[row]
            np.testing.assert_allclose(lock.output_bias(layer, weight), weight @ whole, rtol=1e-12, atol=1e-15)


if __name__ == "__main__":
    unittest.main()
