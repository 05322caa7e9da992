#!/usr/bin/env python3
"""A lock with a gate from outside: made by extract, obeyed by generate, evaluate, chat and sweep, told of by inspect, refused by bake.

On a tiny random model, whose heads tell '!' from letters as well as any. Environment as for cli_test.py.
"""
import json
import math
import unittest

from cli_test import MODEL, PAIRS, tool, write_safetensors
from gated_case import GatedCase, prompts, write


class GateTest(GatedCase):
    def fails(self, code, *args):
        result = tool(*args)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stderr.decode()

    def test_extract_says_what_was_tried_and_how_it_did(self):
        gate = self.extracted["gate"]
        self.assertEqual(len(gate["scores"]), 96)
        self.assertGreater(gate["auc"], 0.95)
        chosen = gate["candidates"][gate["chosen"]]
        self.assertEqual(chosen["auc"], max(c["auc"] for c in gate["candidates"]))
        self.assertEqual({tuple(c["positions"]) for c in gate["candidates"]},
                         {("message",), ("message_end",), ("message", "message_end")})
        log_odds = [s for s, p in zip(gate["scores"], prompts(96, 1)) if not p["harmful"]]
        opened = sum(1 / (1 + 2.718281828459045 ** -s) >= gate["threshold"] for s in log_odds)
        self.assertEqual(gate["false_alarms"]["count"], opened)
        self.assertLessEqual(opened, 0.05 * 48)
        self.assertEqual((gate["missed"]["n"], gate["false_alarms"]["n"]), (48, 48))

    def test_same_inputs_give_equal_bytes(self):
        again = self.folder / "again.lock.safetensors"
        tool("extract", MODEL, "--pairs", PAIRS, "--heads", 6, "--alpha", 20, "--gate", self.folder / "gate.jsonl", "-o", again)
        self.assertEqual(again.read_bytes(), self.lock.read_bytes())

    def test_inspect(self):
        gate = self.json("inspect", self.lock)["gate"]
        self.assertEqual(gate["threshold"], self.extracted["gate"]["threshold"])
        self.assertEqual(gate["missed"], self.extracted["gate"]["missed"]["count"])
        self.assertEqual(len(gate["heads"]), self.extracted["gate"]["candidates"][self.extracted["gate"]["chosen"]]["heads"])
        renamed = self.folder / "renamed.lock"
        renamed.write_bytes(self.lock.read_bytes())
        self.assertEqual(self.json("inspect", renamed)["gate"], gate)
        text = tool("inspect", self.lock).stdout.decode()
        self.assertIn("requests that open its gate", text)
        self.assertIn("harmful requests of topics it had not seen", text)

    def generated(self, *args):
        return self.json("generate", MODEL, "--prompts", self.folder / "new.jsonl", "--max-new-tokens", 8, *args)["results"]

    def test_generate_locks_the_harmful_requests_alone(self):
        unlocked = self.generated("--lock", self.lock, "--alpha", 0)
        always = self.generated("--lock", self.lock, "--no-gate")
        self.assertNotEqual([r["token_ids"] for r in unlocked], [r["token_ids"] for r in always])
        for batch in (1, 5, 16):
            for row, reply, plain, locked in zip(self.new, self.generated("--lock", self.lock, "--batch", batch), unlocked, always):
                self.assertEqual(reply["gate"]["opened"], row["harmful"], row)
                self.assertEqual(reply["token_ids"], (locked if row["harmful"] else plain)["token_ids"], row)
        self.assertTrue(all(r["gate"] is None for r in unlocked + always))

    def test_threshold_and_ramp(self):
        self.assertFalse(any(r["gate"]["opened"] for r in self.generated("--lock", self.lock, "--gate-threshold", "0.999999999999")))
        shares = [r["gate"]["share"] for r in self.generated("--lock", self.lock, "--gate-threshold", "0.999999999999",
                                                             "--gate-ramp", 100)]
        self.assertTrue(all(0 < s < 1 for s in shares), shares)
        self.assertGreater(min(s for s, p in zip(shares, self.new) if p["harmful"]),
                           max(s for s, p in zip(shares, self.new) if not p["harmful"]))

    def test_text_says_what_the_gate_did(self):
        for name, word in (("harmful.jsonl", "opened on 6 of 6"), ("benign.jsonl", "opened on 0 of 6")):
            result = tool("generate", MODEL, "--lock", self.lock, "--prompts", self.folder / name, "--max-new-tokens", 2)
            self.assertIn(word, result.stderr.decode())
        one = tool("generate", MODEL, "--lock", self.lock, "--prompt", self.new[1]["prompt"], "--max-new-tokens", 2)
        self.assertRegex(one.stderr.decode(), r"the gate stayed closed \(0\.\d\d\): not locked")

    def test_chat(self):
        said = f"{self.new[0]['prompt']}\n{self.new[1]['prompt']}\n".encode()
        result = tool("chat", MODEL, "--lock", self.lock, "--max-new-tokens", 4, "--json", stdin=said)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(json.loads(result.stdout.splitlines()[0])["gate"]["opened"])
        result = tool("chat", MODEL, "--lock", self.lock, "--max-new-tokens", 4, stdin=said)
        self.assertIn("(the gate opened", result.stderr.decode())

    def test_evaluate(self):
        out = self.folder / "results.json"
        args = ("evaluate", MODEL, "--lock", self.lock, "--harmful", self.folder / "harmful.jsonl", "--benign",
                self.folder / "benign.jsonl", "--max-new-tokens", 6, "-o", out)
        result = self.json(*args)
        sets = result["runs"]["locked"]["sets"]
        self.assertEqual((sets["harmful"]["gate_opened"]["count"], sets["benign"]["gate_opened"]["count"]), (6, 0))
        self.assertIsNone(result["runs"]["unlocked"]["sets"]["harmful"]["gate_opened"])
        self.assertEqual(result["lock"]["gate"], {"threshold": self.extracted["gate"]["threshold"], "ramp": 0, "reread_threshold": None})
        benign = [[r["reply"] for r in run["sets"]["benign"]["results"]] for run in result["runs"].values()]
        self.assertEqual(benign[0], benign[1])
        self.assertEqual(result["comparison"]["sets"]["benign"]["margin_shift"]["value"], 0)
        margins = self.json(*args[:-2], "--margin-only")["runs"]["locked"]["sets"]["harmful"]
        self.assertEqual(margins["gate_opened"]["count"], 6)
        self.assertIsNone(self.json(*args[:-2], "--no-gate", "--margin-only")["lock"]["gate"])
        page = self.folder / "report.html"
        self.assertEqual(tool("report", out, "-o", page).returncode, 0)
        self.assertIn("gate", page.read_text())

    def test_sweep_takes_the_threshold_as_an_axis(self):
        chosen = self.folder / "chosen.lock.safetensors"
        result = self.json("sweep", MODEL, "--lock", self.lock, "--harmful", self.folder / "harmful.jsonl", "--benign",
                           self.folder / "benign.jsonl", "--alpha", "10,20", "--heads", 6, "--gate-threshold", "0.5,0.9",
                           "--max-new-tokens", 6, "--max-answered", 1, "--max-over-refusal", 1, "--write-lock", chosen)
        self.assertEqual([(c["alpha"], c["gate_threshold"]) for c in result["cells"]],
                         [(10, None), (10, 0.5), (10, 0.9), (20, None), (20, 0.5), (20, 0.9)])
        for cell in result["cells"]:
            if cell["gate_threshold"]:
                self.assertEqual(cell["kl"]["value"], 0)
        cell = result["cells"][result["chosen"]]
        written = self.json("inspect", chosen)
        self.assertEqual((written["alpha"], (written["gate"] or {"threshold": None})["threshold"]),
                         (cell["alpha"], cell["gate_threshold"]))

    def test_fit_gate_on_the_base_itself_changes_nothing(self):
        out = self.folder / "fitted.lock.safetensors"
        fit = ("fit-gate", MODEL, "--lock", self.lock, "--gate", self.folder / "gate.jsonl", "-o", out)
        result = self.json(*fit)
        self.assertAlmostEqual(result["factor"], 1, places=4)
        self.assertAlmostEqual(result["base"]["mean"], result["tuned"]["mean"], places=3)
        before, after = (self.json("inspect", path)["gate"] for path in (self.lock, out))
        self.assertAlmostEqual(before["bias"], after["bias"], places=3)
        self.assertEqual(before["heads"], after["heads"])

    def test_fit_gate_gives_the_scores_their_spread_back(self):
        """On a model whose first layer's values an adapter has changed: the scores of the gate's own prompts."""
        adapter = self.folder / "adapter"
        adapter.mkdir()
        config = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["v_proj"], "task_type": "CAUSAL_LM",
                  "base_model_name_or_path": "tiny", "bias": "none", "layers_to_transform": [0]}
        (adapter / "adapter_config.json").write_text(json.dumps(config))
        prefix = "base_model.model.model.layers.0.self_attn.v_proj"
        write_safetensors(adapter / "adapter_model.safetensors",
                          {f"{prefix}.lora_A.weight": ([1, 32], [0.3 * math.sin(i + 1) for i in range(32)]),
                           f"{prefix}.lora_B.weight": ([16, 1], [math.cos(3 * i) for i in range(16)])})
        out = self.folder / "tuned.lock.safetensors"
        result = self.json("fit-gate", MODEL, "--adapter", adapter, "--lock", self.lock, "--gate", self.folder / "gate.jsonl", "-o", out)
        self.assertGreater(abs(result["tuned"]["mean"] - result["base"]["mean"]), 0.05)
        rows = prompts(96, 1)
        file = self.folder / "own.jsonl"
        write(file, rows)
        scores = [r["gate"]["score"] for r in self.json("generate", MODEL, "--adapter", adapter, "--lock", out, "--prompts", file,
                                                         "--max-new-tokens", 1)["results"]]
        mean = sum(scores) / 96
        self.assertAlmostEqual(mean, result["base"]["mean"], places=2)
        self.assertAlmostEqual((sum((s - mean) ** 2 for s in scores) / 96) ** 0.5, result["base"]["sd"], places=2)

    def test_fit_gate_refuses_other_prompts_and_locks_without_one(self):
        out = self.folder / "none.lock.safetensors"
        other = self.folder / "other.jsonl"
        write(other, prompts(96, 4))
        # Before the model is read: it may take minutes.
        for model in (MODEL, self.folder / "no such model"):
            self.assertIn("[gate.prompts]", self.fails(3, "fit-gate", model, "--lock", self.lock, "--gate", other, "-o", out))
        plain = self.folder / "plain2.lock.safetensors"
        tool("extract", MODEL, "--pairs", PAIRS, "--heads", 2, "-o", plain)
        self.assertIn("[arg.gate]", self.fails(2, "fit-gate", MODEL, "--lock", plain, "--gate", other, "-o", out))
        self.assertFalse(out.exists())

    def test_a_bias_and_a_control_vector_cannot_hold_it(self):
        out = self.folder / "baked"
        self.assertIn("[bind.bake]", self.fails(4, "bake", MODEL, "--lock", self.lock, "-o", out, "--no-probes"))
        self.assertFalse(out.exists())
        self.assertEqual(tool("bake", MODEL, "--lock", self.lock, "-o", out, "--no-gate").returncode, 0)
        self.assertEqual(tool("verify", out, "--lock", self.lock).returncode, 0)
        vector = self.folder / "v.gguf"
        export = ("export", self.lock, "--format", "gguf-control-vector", "--model", MODEL, "-o", vector)
        self.assertIn("[bind.export]", self.fails(4, *export))
        self.assertEqual(tool(*export, "--no-gate").returncode, 0)
        data = self.folder / "lock.json"
        self.assertEqual(tool("export", self.lock, "--format", "json", "-o", data).returncode, 0)
        gate = json.loads(data.read_text())["gate"]
        self.assertEqual(len(gate["heads"][0]["weights"]), 8)

    def test_wrong_usage(self):
        gated = ("generate", MODEL, "--prompt", "a", "--lock", self.lock)
        self.assertIn("[arg.usage]", self.fails(2, *gated, "--no-gate", "--gate-threshold", "0.5"))
        for option in (["--no-gate"], ["--gate-threshold", "0.5"], ["--gate-ramp", "1"]):
            self.assertIn("a lock given by --lock", self.fails(2, "generate", MODEL, "--prompt", "a", *option))
            self.assertIn("[arg.usage]", self.fails(2, "evaluate", MODEL, "--harmful", self.folder / "harmful.jsonl", *option))
        for value in ("0", "1", "-1", "2", "nan"):
            self.assertIn("[arg.", self.fails(2, *gated, "--gate-threshold", value))
        self.assertIn("[arg.range]", self.fails(2, *gated, "--gate-ramp", "-1"))
        plain = self.folder / "plain.lock.safetensors"
        tool("extract", MODEL, "--pairs", PAIRS, "--heads", 2, "-o", plain)
        self.assertIn("[arg.gate]", self.fails(2, "generate", MODEL, "--prompt", "a", "--lock", plain, "--gate-threshold", "0.5"))

    def test_prompts_that_make_no_gate(self):
        bad = self.folder / "bad.jsonl"
        out = self.folder / "none.lock.safetensors"

        def code(rows, expected):
            write(bad, rows)
            self.assertIn(expected, self.fails(3, "extract", MODEL, "--pairs", PAIRS, "--heads", 2, "--gate", bad, "-o", out))
            self.assertFalse(out.exists())

        code([{"prompt": "a", "harmful": True}], "[data.single_class]")
        code([{"prompt": "a"}], "[data.field]")
        code(prompts(18, 3), "[data.too_few]")
        same = [{"prompt": "the same", "harmful": i % 2 == 0, "topic": str(i // 4)} for i in range(48)]
        code(same, "[gate.no_signal]")


if __name__ == "__main__":
    unittest.main()
