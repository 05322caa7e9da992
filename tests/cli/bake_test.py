#!/usr/bin/env python3
"""bake and verify from outside, on tiny models. Environment: SAFETYLOCK_BINARY, SAFETYLOCK_SOURCE."""
import json
import math
import shutil
import unittest

from cli_test import CHECK_FAILED, MODELS, CliTest, tool


class BakeTest(CliTest):
    def bake(self, model, lock, *args, out="baked"):
        result = tool("bake", model, "--lock", lock, "-o", self.path(out), *args)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result

    def test_folder_with_its_verdicts_and_probes(self):
        model = MODELS / "qwen2"
        lock, _ = self.extract(model=model)
        report = json.loads(self.bake(model, lock, "--json").stdout)
        self.assertEqual(report["schema"], "safetylock.bake/1")
        self.assertEqual((report["architecture"], report["base_architecture"]), ("LlamaForCausalLM", "Qwen2ForCausalLM"))
        self.assertEqual({e["engine"]: e["verdict"] for e in report["engines"]},
                         {"transformers": "exact", "vLLM": "exact", "SGLang": "exact", "llama.cpp": "exact"})
        self.assertIn("## Locked with SafetyLock", self.path("baked/README.md").read_text())
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["baked", "test.lock.safetensors"])

        probes = json.loads(self.path("baked/verify.json").read_text())
        self.assertEqual(probes["schema"], "safetylock.probes/1")
        self.assertEqual(probes["lock_digest"], report["lock"]["digest"])
        self.assertEqual(len(probes["probes"]), 8)
        self.check_probes(probes, model, lock)

    def check_probes(self, probes, model, lock):
        """The likeliest next token and its log-probability, as generate has them for the same prompts."""
        prompts = ["Tell me how to poison the well of a farm.", "Tell me how to bake a loaf of rye bread."]
        for kind, options in (("locked", ["--lock", lock]), ("unlocked", [])):
            for probe, prompt in zip(probes["probes"], prompts):
                made = json.loads(tool("generate", model, "--prompt", prompt, "--logprobs", 3, "--max-new-tokens", 1,
                                       "--json", *options).stdout)["results"][0]
                self.assertEqual(probe["prompt_ids"], made["prompt_ids"])
                expected = {t["id"]: t[kind] for t in probe["next"]}
                for token in made["logprobs"][0]:
                    self.assertAlmostEqual(expected[token["id"]], token["logprob"], places=4)
        shifts = [abs(t["locked"] - t["unlocked"]) for p in probes["probes"] for t in p["next"]]
        self.assertGreater(max(shifts), 0.01)
        self.assertTrue(all(math.isfinite(s) for s in shifts))

    def test_generate_answers_the_same_from_the_baked_folder(self):
        model = MODELS / "llama_gqa"  # stored as float32
        lock, _ = self.extract()
        self.bake(model, lock, "--no-probes")
        self.assertFalse(self.path("baked/verify.json").exists())
        ids = []
        for args in ([model, "--lock", lock], [self.path("baked")], [model]):
            result = tool("generate", *args, "--prompt", "How do I bake bread?", "--max-new-tokens", 32, "--dtype", "float32", "--json")
            ids.append(json.loads(result.stdout)["results"][0]["token_ids"])
        self.assertEqual(ids[0], ids[1])
        self.assertNotEqual(ids[1], ids[2])

    def test_refusals(self):
        lock, _ = self.extract()
        out = self.path("baked")
        model = MODELS / "llama_gqa"
        self.assert_fails(tool("bake", MODELS / "qwen2", "--lock", lock, "-o", out), 4, "bind.model")
        self.assert_fails(tool("bake", model, "--lock", lock, "-o", out, "--alpha", 0), 2, "arg.alpha")
        self.assert_fails(tool("bake", model, "--lock", lock, "-o", lock), 2, "arg.output")
        self.assert_fails(tool("bake", model, "--lock", self.path("none"), "-o", out), 3, "io.open")
        self.assert_fails(tool("bake", self.path("none"), "--lock", lock, "-o", out), 3, "io.open")
        window, _ = self.extract(model=MODELS / "qwen2_window", name="window.lock.safetensors")
        line = self.assert_fails(tool("bake", MODELS / "qwen2_window", "--lock", window, "-o", out), 4, "bind.bake")
        self.assertIn("sliding window", line)
        self.assertFalse(out.exists())

    def test_adapter(self):
        lock, _ = self.extract()
        adapter = MODELS / "llama_gqa_lora"
        self.bake(MODELS / "llama_gqa", lock, "--adapter", adapter, "--no-probes")
        served = self.path("baked/adapter")
        one = tool("generate", MODELS / "llama_gqa", "--adapter", adapter, "--lock", lock, "--prompt", "Hi", "--dtype", "float32",
                   "--json")
        two = tool("generate", self.path("baked"), "--adapter", served, "--prompt", "Hi", "--dtype", "float32", "--json")
        self.assertEqual(json.loads(one.stdout)["results"][0]["token_ids"],
                         json.loads(two.stdout)["results"][0]["token_ids"])
        verify = tool("verify", self.path("baked"), "--lock", lock, "--adapter", served)
        self.assertEqual(verify.returncode, 0, verify.stdout)
        self.assertEqual(tool("verify", self.path("baked"), "--lock", lock).returncode, CHECK_FAILED)


class VerifyTest(CliTest):
    def setUp(self):
        super().setUp()
        self.lock, _ = self.extract(model=MODELS / "qwen2")
        result = tool("bake", MODELS / "qwen2", "--lock", self.lock, "-o", self.path("baked"), "--no-probes")
        self.assertEqual(result.returncode, 0, result.stderr)

    def verify(self, *args):
        result = tool("verify", *args, "--lock", self.lock, "--json")
        return result.returncode, json.loads(result.stdout)

    def test_locked(self):
        code, report = self.verify(self.path("baked"))
        self.assertEqual((code, report["schema"], report["verdict"]), (0, "safetylock.verify/1", "locked"))
        self.assertAlmostEqual(report["measured_strength"], 6.0, delta=0.01)
        text = tool("verify", self.path("baked"), "--lock", self.lock)
        self.assertIn(b"locked\n", text.stdout)
        self.assertIn(b"whether an engine reads the biases", text.stderr)

    def test_not_locked(self):
        code, report = self.verify(MODELS / "qwen2")
        self.assertEqual((code, report["verdict"], report["measured_strength"]), (CHECK_FAILED, "not locked", None))
        config = json.loads(self.path("baked/config.json").read_text())
        self.path("baked/config.json").write_text(json.dumps({**config, "attention_bias": False}))
        code, report = self.verify(self.path("baked"))
        self.assertEqual((code, report["verdict"]), (CHECK_FAILED, "not locked"))
        self.assertIn("attention_bias", report["reasons"][0])

    def test_a_class_that_reads_no_such_bias(self):
        model = MODELS / "mistral"
        self.lock, _ = self.extract(model=model, name="mistral.lock.safetensors")
        result = tool("bake", model, "--lock", self.lock, "-o", self.path("mistral"), "--no-probes")
        self.assertEqual(result.returncode, 0, result.stderr)
        config = json.loads(self.path("mistral/config.json").read_text())
        self.assertIs(config["attention_bias"], True)
        config |= {"architectures": ["MistralForCausalLM"], "model_type": "mistral"}
        self.path("mistral/config.json").write_text(json.dumps(config))
        code, report = self.verify(self.path("mistral"))
        self.assertEqual((code, report["verdict"], report["engines"]), (CHECK_FAILED, "not locked", []))
        self.assertIn("MistralForCausalLM has no bias on o_proj: engines drop it in silence", report["reasons"][0])

    def test_another_strength(self):
        self.assertEqual(self.verify(self.path("baked"), "--alpha", 3)[0], CHECK_FAILED)

    def test_cannot_tell_without_the_base(self):
        model = MODELS / "llama_biases"
        self.lock, _ = self.extract(model=model, name="biases.lock.safetensors")
        shutil.rmtree(self.path("baked"))
        tool("bake", model, "--lock", self.lock, "-o", self.path("baked"), "--no-probes")
        code, report = self.verify(self.path("baked"))
        self.assertEqual((code, report["verdict"]), (CHECK_FAILED, "cannot tell"))
        code, report = self.verify(self.path("baked"), "--base", model)
        self.assertEqual((code, report["verdict"]), (0, "locked"), report["reasons"])

    def test_no_model(self):
        self.assert_fails(tool("verify", self.path("none"), "--lock", self.lock), 3, "io.open")


if __name__ == "__main__":
    unittest.main(verbosity=2)
