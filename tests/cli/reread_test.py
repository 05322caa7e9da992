#!/usr/bin/env python3
"""A gate of replies from outside: made by extract --reread, obeyed by generate, evaluate, chat and sweep, told of by inspect.

On a tiny random model, as in gate_test.py. Environment as for cli_test.py.
"""
import json
import unittest

from cli_test import MODEL, PAIRS, tool
from gated_case import GatedCase

NEVER = "0.999999999999"  # of either gate: its log-odds are beyond every score here


class RereadTest(GatedCase):
    OPTIONS = ("--reread",)

    def generated(self, *args):
        return self.json("generate", MODEL, "--dtype", "float32", "--prompts", self.folder / "new.jsonl", "--max-new-tokens", 12,
                         *args)["results"]

    def test_extract_and_inspect_tell_of_it(self):
        made = self.extracted["reply_gate"]
        self.assertEqual({tuple(c["positions"]) for c in made["candidates"]}, {("reply",)})
        self.assertGreater(made["auc"], 0.9)
        self.assertEqual(made["missed"]["n"], 48 * 4)  # with every opening
        told = self.json("inspect", self.lock)["reply_gate"]
        self.assertEqual((told["threshold"], told["missed"]), (made["threshold"], made["missed"]["count"]))
        self.assertEqual({h["position"] for h in told["heads"]}, {"reply"})
        self.assertIn("replies", tool("inspect", self.lock).stdout.decode())

    def test_replies_that_open_it_are_begun_anew(self):
        """With a threshold between their largest scores, whatever these are. In float32: batches differ by rounding."""
        unlocked = self.generated("--lock", self.lock, "--alpha", 0)
        always = self.generated("--lock", self.lock, "--no-gate")
        read = self.generated("--lock", self.lock, "--gate-threshold", NEVER, "--reread-threshold", NEVER)
        self.assertEqual([r["token_ids"] for r in read], [r["token_ids"] for r in unlocked])
        scores = sorted(r["gate"]["reply_score"] for r in read)
        middle = (scores[5] + scores[6]) / 2
        threshold = 1 / (1 + 2.718281828459045 ** -middle)
        for batch in (1, 5, 16):
            again = self.generated("--lock", self.lock, "--gate-threshold", NEVER, "--reread-threshold", threshold, "--batch", batch)
            for reply, before, plain, locked in zip(again, read, unlocked, always):
                opens = before["gate"]["reply_score"] > middle
                self.assertEqual(reply["gate"]["opened"], opens)
                self.assertEqual(reply["gate"]["reply_tokens"] > 0, opens)
                self.assertEqual(reply["token_ids"], (locked if opens else plain)["token_ids"])
        told = self.generated("--lock", self.lock, "--gate-threshold", NEVER, "--no-reread")
        self.assertTrue(all(r["gate"]["reply_score"] is None for r in told))

    def test_text_streams_once_it_is_decided(self):
        args = ("generate", MODEL, "--lock", self.lock, "--prompt", self.new[1]["prompt"], "--max-new-tokens", 12, "--gate-threshold", NEVER)
        opened = tool(*args, "--reread-threshold", "1e-12")
        self.assertRegex(opened.stderr.decode(), r"the reply opened the gate after 1 tokens \([\d.]+\): begun anew, locked")
        always = tool("generate", MODEL, "--lock", self.lock, "--prompt", self.new[1]["prompt"], "--max-new-tokens", 12, "--no-gate")
        self.assertEqual(opened.stdout, always.stdout)
        closed = tool(*args, "--reread-threshold", NEVER)
        self.assertIn("stayed closed", closed.stderr.decode())
        self.assertNotEqual(closed.stdout, opened.stdout)

    def test_evaluate_and_resume(self):
        out = self.folder / "results.json"
        args = ("evaluate", MODEL, "--lock", self.lock, "--harmful", self.folder / "harmful.jsonl", "--max-new-tokens", 10,
                "--gate-threshold", NEVER, "--reread-threshold", "1e-12", "-o", out)
        first = self.json(*args)
        self.assertEqual(first["lock"]["gate"], {"threshold": float(NEVER), "ramp": 0, "reread_threshold": 1e-12})
        results = first["runs"]["locked"]["sets"]["harmful"]
        self.assertEqual(results["gate_opened"]["count"], 6)
        self.assertTrue(all(r["gate"]["reply_tokens"] == 1 for r in results["results"]))

    def test_sweep_writes_both_gates(self):
        chosen = self.folder / "chosen.lock.safetensors"
        result = self.json("sweep", MODEL, "--lock", self.lock, "--harmful", self.folder / "harmful.jsonl", "--benign",
                           self.folder / "benign.jsonl", "--alpha", "10,20", "--heads", 6, "--gate-threshold", "0.5,0.9",
                           "--max-new-tokens", 10, "--max-answered", 1, "--max-over-refusal", 1, "--write-lock", chosen)
        cell = result["cells"][result["chosen"]]
        written = self.json("inspect", chosen)
        self.assertEqual(written["reply_gate"] is None, cell["gate_threshold"] is None)

    def test_fit_gate_fits_both(self):
        out = self.folder / "fitted.lock.safetensors"
        result = self.json("fit-gate", MODEL, "--lock", self.lock, "--gate", self.folder / "gate.jsonl", "-o", out)
        self.assertAlmostEqual(result["reply_gate"]["factor"], 1, places=4)
        before, after = (self.json("inspect", path)["reply_gate"] for path in (self.lock, out))
        self.assertAlmostEqual(before["bias"], after["bias"], places=3)

    def test_export_holds_it(self):
        data = self.folder / "lock.json"
        self.assertEqual(tool("export", self.lock, "--format", "json", "-o", data).returncode, 0)
        self.assertEqual(len(json.loads(data.read_text())["reply_gate"]["heads"][0]["weights"]), 8)

    def test_wrong_usage(self):
        result = tool("extract", MODEL, "--pairs", PAIRS, "--reread", "-o", self.folder / "none.lock.safetensors")
        self.assertEqual(result.returncode, 2)
        self.assertIn("--gate", result.stderr.decode())
        for args in (("--no-reread",), ("--lock", self.lock, "--no-gate", "--reread-threshold", "0.5"),
                     ("--lock", self.lock, "--reread-threshold", "1")):
            self.assertEqual(tool("generate", MODEL, "--prompt", "a", *args).returncode, 2, args)


if __name__ == "__main__":
    unittest.main()
