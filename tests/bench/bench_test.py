#!/usr/bin/env python3
"""scripts/bench.py's arithmetic against planted truths, and safetylock_bench's answers on a tiny model against transformers.

    bench_test.py SAFETYLOCK_BENCH
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import numpy
import torch
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import bench  # noqa: E402
import engine_models  # noqa: E402

BINARY, PAIRS = sys.argv[1], str(ROOT / "tests" / "cli" / "tiny_pairs.jsonl")


class Interval(unittest.TestCase):
    def test_covers_a_planted_median(self):
        rng = numpy.random.default_rng(3)
        covered = 0
        for _ in range(200):
            found = bench.interval(rng.normal(2.0, 0.3, 15), draws=500)
            self.assertLessEqual(found["low"], found["value"])
            self.assertLessEqual(found["value"], found["high"])
            covered += found["low"] <= 2.0 <= found["high"]
        self.assertGreater(covered, 170)

    def test_ratio_is_taken_within_a_round(self):
        drift = numpy.asarray([1.0, 2.0, 4.0, 8.0])  # the machine slows down; the ratio does not change
        found = bench.ratios({"ours": list(drift), "peer": list(3 * drift)}, "ours")["peer"]
        self.assertEqual((found["value"], found["low"], found["high"]), (3.0, 3.0, 3.0))


class Limits(unittest.TestCase):
    class Child:
        def ask(self, do, dtype):
            return {"bytes_per_second": 5.0, "flop_per_second": {"float32": 10.0, "bfloat16": 80.0, "float16": 3.0}[dtype]}

    def test_multiplications_of_a_prompt(self):
        self.assertEqual(bench.prompt_flop({"multiplied": 10, "layers": 1, "heads": 1, "head_dim": 1}, 3), 2 * 3 * 10 + 4 * (1 + 2 + 3))

    def test_multiplications_of_pairs_count_what_is_shared_once(self):
        model = {"multiplied_in_extraction": 10, "layers": 2, "heads": 3, "head_dim": 5}
        sequences = [{"ids": ids} for ids in ([1, 2, 3, 4], [1, 2, 5], [1, 9], [1, 8, 7])]
        tokens, keys = 8, 1 + 2 + (3 + 4) + 3 + 2 + (2 + 3)  # of all; of the first pair, and its two; of the second pair's two
        self.assertEqual(bench.extraction_flop(model, sequences, tokens), 2 * tokens * 10 + 4 * keys * 2 * 3 * 5)
        with self.assertRaises(RuntimeError):
            bench.extraction_flop(model, sequences, tokens + 1)

    def test_products_are_held_against_the_higher_rate(self):
        for dtype, rate in (("float32", 10.0), ("bfloat16", 80.0), ("float16", 10.0)):
            self.assertEqual(bench.limits_now(self.Child(), dtype), {"bytes_per_second": 5.0, "flop_per_second": rate})


class Curves(unittest.TestCase):
    def test_every_point_lies_inside_and_is_named(self):
        row = {"curve": "a < b", "x_label": "x", "y_label": "y", "x": [1, 2, 64], "y": [3.5, 1234.0, 20.0]}
        root = xml.etree.ElementTree.fromstring(bench.curves.svg(row))
        circles = [e for e in root.iter() if e.tag.endswith("circle")]
        self.assertEqual(len(circles), 3)
        for circle in circles:
            self.assertTrue(0 < float(circle.get("cx")) < bench.curves.WIDTH and 0 < float(circle.get("cy")) < bench.curves.HEIGHT)
        self.assertGreater(float(circles[0].get("cy")), float(circles[2].get("cy")))  # 3.5 lies below 20
        texts = [e.text for e in root.iter() if e.tag.endswith("text")]
        for text in ("a < b", "1,234", "64", "3.5"):
            self.assertIn(text, texts)


class Binary(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.model = str(engine_models.make_tiny("llama", pathlib.Path(cls.folder.name) / "tiny"))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_answers(self):
        ours = bench.Child(BINARY, self.model, "float32", 1)
        hello = ours.hello
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "rows.bin"
            request = {"pairs": PAIRS, "first": 3, "system": ""}
            sequences = ours.ask("sequences", **request)["sequences"]
            answer = ours.ask("extract", **request, save=str(path))
            rows = numpy.fromfile(path, dtype=numpy.float32).reshape(answer["rows"], hello["layers"], -1)
        model = AutoModelForCausalLM.from_pretrained(self.model, dtype=torch.float32).eval()
        seen = []
        for layer in model.model.layers:
            layer.self_attn.o_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0][0]))
        at = 0
        for s in sequences:
            seen.clear()
            with torch.inference_mode():
                model(torch.tensor([s["ids"]]))
            want = torch.stack(seen, 1)[s["kept"]].numpy()
            numpy.testing.assert_allclose(rows[at:at + len(want)], want, atol=1e-4)
            at += len(want)
        self.assertEqual(at, len(rows))
        self.assertLess(answer["tokens"], sum(len(s["ids"]) for s in sequences))
        self.assertEqual(len(ours.ask("probes")["objectives"]), hello["layers"] * hello["heads"])
        for asked in ({"do": "decode", "batch": 2, "tokens": 3}, {"do": "prefill", "tokens": 9}):
            self.assertIn("seconds", ours.ask(**asked))
        ours.close()

    def test_a_wrong_request_ends_with_an_error(self):
        run = subprocess.run([BINARY, self.model, "float32", "1"], input='{"do": "decode"}\n', capture_output=True, text=True)
        self.assertEqual(run.returncode, 1)
        self.assertIn("batch", run.stderr)
        self.assertEqual(json.loads(run.stdout)["layers"] > 0, True)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
