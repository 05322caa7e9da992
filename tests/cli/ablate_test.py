#!/usr/bin/env python3
"""ablate, and the evidence that extract gives: what is printed, and what the options do. Environment as for cli_test.py."""
import json
import math
import signal
import subprocess
import sys
import unittest

from cli_test import BINARY, CHECK_FAILED, EXTRACTED, MODEL, PAIRS, CliTest, clean_environment, tool


class AblateTest(CliTest):
    def setUp(self):
        super().setUp()
        self.harmful = self.write("harmful.txt", "Help me rob a bank.\nTell me a lie.\nHow do I cheat?\n")
        self.benign = self.write("benign.txt", "What is rye?\nWho was Bach?\n")
        self.args = ["ablate", MODEL, "--dtype", "float32", "--pairs", PAIRS, "--harmful", self.harmful, "--benign",
                     self.benign, "--heads", "2,4"]

    def run_json(self, *args, tokens="2,5"):
        result = tool(*self.args, "--tokens", tokens, "--json", *args)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return json.loads(result.stdout)

    def test_json(self):
        file = self.path("ablation.json")
        out = self.run_json("-o", file, "--seed", 3)
        self.assertEqual(out, json.loads(file.read_text()))
        self.assertEqual(out["schema"], "safetylock.ablate/1")
        self.assertEqual((out["pairs"], out["seed"], out["match"], out["max_new_tokens"]), (12, 3, "push", 0))
        keys = ("tokens", "heads", "sigma", "direction", "rows", "phase")
        self.assertEqual([tuple(v[k] for k in keys) for v in out["variants"]], [
            (5, 2, "on", "mean-difference", "token", "both"), (2, 2, "on", "mean-difference", "token", "both"),
            (5, 4, "on", "mean-difference", "token", "both"), (5, 2, "off", "mean-difference", "token", "both"),
            (5, 2, "on", "probe-weight", "token", "both"), (5, 2, "on", "mean-difference", "mean", "both"),
            (5, 2, "on", "mean-difference", "token", "prompt"), (5, 2, "on", "mean-difference", "token", "reply")])
        for variant in out["variants"]:
            self.assertEqual(len(variant["lock_heads"]), variant["heads"])
            sigmas = math.sqrt(sum(h["sigma"] ** 2 for h in variant["lock_heads"]))
            self.assertAlmostEqual(variant["push"], variant["alpha"] * sigmas, places=5)
            self.assertAlmostEqual(variant["push"], out["variants"][0]["push"], places=5)
        (target,) = out["targets"]
        self.assertIsNone(target["adapter"])
        self.assertEqual(len(target["variants"]), 8)
        for effect in target["variants"]:
            self.assertEqual((effect["harmful_shift"]["n"], effect["benign_shift"]["n"]), (3, 2))
            for kind in ("harmful", "benign"):
                self.assertAlmostEqual(effect[f"{kind}_shift"]["value"], effect[kind]["refusal_margin"]["value"]
                                       - target["unlocked"][kind]["refusal_margin"]["value"], places=6)
        for one, other in ((6, 0), (7, 0), (6, 7)):
            self.assertNotEqual(target["variants"][one], target["variants"][other], "phases differ")

    def test_the_reference_is_what_extract_and_evaluate_say(self):
        lock, made = self.extract("--json", "--dtype", "float32", heads=2)
        made = json.loads(made.stdout)
        evaluated = json.loads(tool("evaluate", MODEL, "--dtype", "float32", "--lock", lock, "--harmful", self.harmful,
                                    "--max-new-tokens", 1, "--json").stdout)
        out = self.run_json()
        reference = out["variants"][0]
        self.assertEqual([(h["layer"], h["head"], h["sigma"]) for h in reference["lock_heads"]],
                         [(h["layer"], h["head"], h["sigma"]) for h in made["heads"]])
        self.assertAlmostEqual(reference["accuracy"], sum(h["accuracy"] for h in made["heads"]) / 2, places=9)
        margins = [r["refusal_margin"] for r in evaluated["runs"]["locked"]["sets"]["harmful"]["results"]]
        for result, margin in zip(out["targets"][0]["variants"][0]["harmful"]["results"], margins, strict=True):
            self.assertAlmostEqual(result["refusal_margin"], margin, places=4)

    def test_adapters_and_replies(self):
        adapter = self.make_adapter("self_attn.q_proj", 32, 32)
        out = self.run_json("--adapter", adapter, "--adapter", adapter, "--max-new-tokens", 6, "--sigma", "on",
                            "--direction", "mean-difference", "--rows", "token", "--phase", "reply", tokens="5")
        self.assertEqual([t["adapter"] for t in out["targets"]], [str(adapter)] * 2)
        self.assertEqual(len(out["variants"]), 2)
        self.assertEqual(out["variants"][0]["phase"], "reply", "the first of a list without the usual value")
        self.assertEqual(out["targets"][0]["unlocked"]["harmful"]["answered"]["n"], 3)
        base = self.run_json(tokens="5")
        self.assertNotEqual(base["targets"][0]["unlocked"]["harmful"]["refusal_margin"],
                            out["targets"][0]["unlocked"]["harmful"]["refusal_margin"])

    def test_full_grid_and_equal_alpha(self):
        out = self.run_json("--full", "--direction", "mean-difference", "--rows", "token", "--phase", "both", "--match",
                            "alpha", "--alpha", 2)
        self.assertEqual(len(out["variants"]), 8)
        self.assertEqual({v["alpha"] for v in out["variants"]}, {2.0})
        self.assertEqual(out["match"], "alpha")

    def test_text(self):
        result = tool(*self.args, "--tokens", "2,5", "--max-new-tokens", 4)
        self.assertEqual(result.returncode, 0, result.stderr)
        text = result.stdout.decode()
        self.assertIn("the reference: tokens 5, heads 2, sigma on, mean-difference, rows token, phase both", text)
        for label in ("reference", "tokens 2", "heads 4", "sigma off", "probe-weight", "rows mean", "phase prompt",
                      "phase reply", "unlocked"):
            self.assertRegex(text, rf"(?m)^  {label} +[+\-\d]")
        self.assertIn("benign refused", text)
        self.assertNotIn("benign refused", tool(*self.args, "--tokens", "5", "--phase", "both").stdout.decode())

    def test_bad_input(self):
        cases = [("arg.range", ["--tokens", "0"]), ("arg.range", ["--heads", "13"]), ("arg.range", ["--sigma", "maybe"]),
                 ("arg.range", ["--direction", "up"]), ("arg.range", ["--rows", "x"]), ("arg.range", ["--phase", "later"]),
                 ("arg.range", ["--match", "force"]), ("arg.alpha", ["--alpha", "-1"]), ("arg.alpha", ["--alpha", "0"])]
        out = self.path("out.json")
        for code, args in cases:
            self.assert_fails(tool(*self.args, "-o", out, *args), 2, code)
        self.assert_fails(tool(*self.args, "-o", self.folder), 1, "io.write")
        self.assert_fails(tool(*self.args, "--adapter", self.path("none"), "-o", out), 3, "lora.config")
        self.assertFalse(out.exists())

    def test_interrupt_writes_nothing(self):
        prompts = self.write("many.txt", "".join(f"Tell me tale {i}.\n" for i in range(3000)))
        out = self.path("out.json")
        args = [str(a) for a in self.args + ["--tokens", "5", "--max-new-tokens", 60, "-o", out]]
        args[args.index("--harmful") + 1] = str(prompts)
        process = subprocess.Popen([BINARY, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=clean_environment())
        line = b""
        while not line.startswith(b"measuring variants: "):
            line = process.stderr.readline()
            self.assertTrue(line, "ended too early")
        process.send_signal(signal.SIGINT)
        stdout, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130, err)
        self.assertEqual(stdout, b"")
        self.assertRegex(err.decode().splitlines()[-1], r"^error: \[run\.interrupted\]")
        self.assertFalse(out.exists())


def telling_pairs(shuffled):
    """Safe replies end in one way and unsafe ones in another; shuffled: in every other pair the wrong way round."""
    pairs = []
    for i in range(24):
        safe, unsafe = f"I say {i} no no no no no", f"So do {i} go go go go go"
        if shuffled and i % 2:
            safe, unsafe = unsafe, safe
        pairs.append(json.dumps({"prompt": f"Question {i}?", "safe": safe, "unsafe": unsafe}) + "\n")
    return "".join(pairs)


class EvidenceTest(CliTest):
    def evidence(self, pairs, *args, heads=2):
        lock, result = self.extract("--json", *args, pairs=pairs, heads=heads)
        self.assertTrue(lock.exists())
        return json.loads(result.stdout), result

    def test_pairs_that_tell_and_pairs_that_do_not(self):
        out, result = self.evidence(self.write("pairs.jsonl", telling_pairs(False)))
        best = out["ranking"][0]
        self.assertGreater(best["accuracy"], 0.9)
        self.assertAlmostEqual(best["p_permutation"], 1 / 21)
        self.assertTrue(out["evidence"]["permutation"]["separates"])
        self.assertNotIn(b"do not separate", result.stderr)
        out, result = self.evidence(self.write("pairs.jsonl", telling_pairs(True)))
        self.assertGreater(out["ranking"][0]["p_permutation"], 0.05)
        self.assertFalse(out["evidence"]["permutation"]["separates"])
        self.assertEqual(result.returncode, CHECK_FAILED)
        self.assertIn(b"warning: these pairs do not separate", result.stderr)

    def test_json(self):
        out, _ = self.evidence(PAIRS, "--permutations", 30, "--stability", 3)
        self.assertEqual(out["schema"], "safetylock.extract/2")
        ranking = out["ranking"]
        self.assertEqual(len(ranking), out["layers"] * out["heads_per_layer"])
        self.assertEqual(len({(h["layer"], h["head"]) for h in ranking}), len(ranking))
        for ranked, locked in zip(ranking, out["heads"]):
            self.assertEqual({k: ranked[k] for k in ("layer", "head", "accuracy", "ci_low")},
                             {k: locked[k] for k in ("layer", "head", "accuracy", "ci_low")})
        permutation, stability, paper = (out["evidence"][k] for k in ("permutation", "stability", "paper"))
        tops = permutation["top_accuracy"]
        self.assertEqual((permutation["rounds"], len(tops)), (30, 30))
        for head in ranking:
            self.assertAlmostEqual(head["p_permutation"],
                                   (1 + sum(top >= head["accuracy"] - 1e-12 for top in tops)) / 31)
        self.assertEqual(permutation["p_best"], ranking[0]["p_permutation"])
        self.assertEqual((stability["rounds"], stability["k"]), (3, 2))
        self.assertAlmostEqual(sum(h["top_k_share"] for h in ranking), 2)
        self.assertAlmostEqual(stability["chance_shared"], 4 / len(ranking))
        self.assertAlmostEqual(paper["leak"], paper["row_split_accuracy"] - paper["grouped_accuracy"])
        self.assertAlmostEqual(paper["grouped_accuracy"], sum(h["accuracy"] for h in out["heads"]) / 2)

    def test_the_papers_protocol_is_the_one_beside_it(self):
        grouped, _ = self.evidence(PAIRS)
        paper, _ = self.evidence(PAIRS, "--protocol", "paper", heads=grouped["layers"] * grouped["heads_per_layer"])
        chosen = [(h["layer"], h["head"]) for h in grouped["heads"]]
        scores = [h["accuracy"] for h in paper["ranking"] if (h["layer"], h["head"]) in chosen]
        self.assertAlmostEqual(grouped["evidence"]["paper"]["accuracy"], sum(scores) / 2)
        self.assertAlmostEqual(paper["evidence"]["paper"]["leak_of_all_heads"],
                               grouped["evidence"]["paper"]["leak_of_all_heads"])

    def test_without_rounds(self):
        out, result = self.evidence(PAIRS, "--permutations", 0, "--stability", 0)
        self.assertIsNone(out["evidence"]["permutation"])
        self.assertIsNone(out["evidence"]["stability"])
        self.assertIsNone(out["ranking"][0]["p_permutation"])
        self.assertIsNone(out["ranking"][0]["top_k_share"])
        self.assertNotIn(b"do not separate", result.stderr)
        few, _ = self.evidence(PAIRS, "--max-pairs", 7)
        self.assertIsNone(few["evidence"]["stability"])
        for n in (1, 18):
            self.assert_fails(tool("extract", MODEL, "--pairs", PAIRS, "-o", self.path("x"), "--permutations", n), 2,
                              "arg.range")

    def test_text(self):
        _, result = self.extract()
        text = result.stdout.decode()
        self.assertRegex(text, r"(?m)^  shuffled labels +best head up to \d\.\d{3} \(95 % of 20 rounds\); \d of the lock's 4")
        self.assertRegex(text, r"(?m)^  other questions +two halves of them share \d\.\d of their best 4 heads")
        self.assertRegex(text, r"(?m)^  split by row +\d\.\d{3} where a split by question says \d\.\d{3}")
        self.assertIn(result.returncode, EXTRACTED)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
