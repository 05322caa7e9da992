#!/usr/bin/env python3
"""restore from outside: a lock from a base and its fine-tuned adapter, and what is refused. Environment as for cli_test.py."""
import json
import unittest

from cli_test import MODEL, MODELS, PAIRS, CliTest, tool

ADAPTER = MODELS / "llama_gqa_lora"


class RestoreTest(CliTest):
    def setUp(self):
        super().setUp()
        self.out = self.path("restored.lock.safetensors")

    def restore(self, *args, adapter=ADAPTER):
        tuned = ("--adapter", adapter) if adapter else ()
        return tool("restore", MODEL, *tuned, "--base", MODEL, "--pairs", PAIRS, "-o", self.out, *args)

    def test_a_lock_that_the_tool_reads_and_uses(self):
        result = self.restore("--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        said = json.loads(result.stdout)
        self.assertEqual(said["schema"], "safetylock.restore/1")
        self.assertEqual(len(said["layers"]), 3)
        for gap in said["layers"]:
            self.assertLess(gap["after"], gap["before"])
        lock = json.loads(tool("inspect", self.out, "--json").stdout)
        self.assertEqual(lock["content_digest"], said["output"]["digest"])
        self.assertEqual((lock["alpha"], lock["identity"]["protocol"], lock["identity"]["tokens_per_reply"]), (1, "restored", 8))
        self.assertEqual(len(lock["heads"]), said["heads"])
        self.assertIsNone(lock["gate"])
        unlocked, locked = [tool("generate", MODEL, "--adapter", ADAPTER, *lock_args, "--prompt", "How are you?", "--max-new-tokens", 4,
                                 "--logprobs", 3, "--json") for lock_args in ((), ("--lock", self.out))]
        self.assertEqual(locked.returncode, 0, locked.stderr)
        self.assertNotEqual(json.loads(unlocked.stdout)["results"], json.loads(locked.stdout)["results"])

    def test_text_and_equal_bytes(self):
        result = self.restore("--alpha", 2.5, "--tokens", 3, "--max-pairs", 4)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("made good", result.stdout.decode())
        first = self.out.read_bytes()
        self.restore("--alpha", 2.5, "--tokens", 3, "--max-pairs", 4)
        self.assertEqual(self.out.read_bytes(), first)
        self.assertEqual(json.loads(tool("inspect", self.out, "--json").stdout)["alpha"], 2.5)

    def test_what_is_refused_leaves_no_file(self):
        lock, _ = self.extract()
        for args, adapter, code, error in [((), None, 3, "restore.no_drift"),
                                           (("--gate-from", lock), ADAPTER, 2, "arg.gate"),
                                           (("--tokens", 0), ADAPTER, 2, "arg.range"),
                                           (("--alpha", -1), ADAPTER, 2, "arg.alpha"),
                                           (("--gate-from", self.path("none")), ADAPTER, 3, "io.open")]:
            self.assert_fails(self.restore(*args, adapter=adapter), code, error)
            self.assertFalse(self.out.exists())
        other = tool("restore", MODELS / "llama_head_dim", "--base", MODEL, "--pairs", PAIRS, "-o", self.out)
        self.assert_fails(other, 4, "bind.model")


if __name__ == "__main__":
    unittest.main()
