#!/usr/bin/env python3
"""transfer: verdicts, files and refusals of the real tool, on tiny models of known kinship. Environment as for cli_test.py."""
import array
import json
import shutil
import struct
import sys
import unittest

from cli_test import CHECK_FAILED, MODEL, MODELS, PAIRS, CliTest, tool

SUMMARY = {"mean", "sd", "low", "high", "min", "max"}


def permute_heads(folder):
    """Heads of the model in `folder` trade places within their groups: the function stays, the numbers change."""
    config = json.loads((folder / "config.json").read_text())
    heads, groups, dim = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    each = heads // groups
    order = [g * each + (i + 1) % each for g in range(groups) for i in range(each)]
    path = folder / "model.safetensors"
    raw = bytearray(path.read_bytes())
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8:8 + length])
    for name, tensor in header.items():
        if not name.endswith(("q_proj.weight", "o_proj.weight")):
            continue
        begin, end = (8 + length + offset for offset in tensor["data_offsets"])
        assert tensor["dtype"] == "F32"
        rows, columns = tensor["shape"]
        values = array.array("f", raw[begin:end])
        matrix = [values[r * columns:(r + 1) * columns] for r in range(rows)]
        if name.endswith("q_proj.weight"):
            matrix = [matrix[h * dim + i] for h in order for i in range(dim)]
        else:
            matrix = [array.array("f", [x for h in order for x in row[h * dim:(h + 1) * dim]]) for row in matrix]
        raw[begin:end] = b"".join(row.tobytes() for row in matrix)
    path.write_bytes(raw)


class TransferTest(CliTest):
    def setUp(self):
        super().setUp()
        self.lock, _ = self.extract("--dtype", "float32")

    def transfer(self, *args, base=MODEL, tuned=MODEL, pairs=PAIRS):
        return tool("transfer", base, tuned, "--lock", self.lock, "--pairs", pairs, "--dtype", "float32", *args)

    def test_json(self):
        file = self.path("transfer.json")
        result = self.transfer("--json", "-o", file)
        out = json.loads(result.stdout)
        self.assertEqual(out, json.loads(file.read_text()))
        self.assertEqual(out["schema"], "safetylock.transfer/1")
        info = json.loads(tool("inspect", self.lock, "--json").stdout)
        self.assertEqual(out["lock"], {"path": str(self.lock), "digest": info["content_digest"], "alpha": 6, "heads": 4})
        self.assertEqual((out["base"], out["tuned"], out["adapter"]), (str(MODEL), str(MODEL), None))
        self.assertEqual(out["pairs_digest"], info["identity"]["pairs_digest"])
        self.assertEqual((out["layers"], out["heads_per_layer"], out["questions"], out["rows"]), (3, 4, 12, 120))
        self.assertEqual([(h["layer"], h["head"]) for h in out["heads"]], [(l, h) for l in range(3) for h in range(4)])
        for head in out["heads"]:
            self.assertAlmostEqual(head["cosine"], 1, places=9)
            self.assertAlmostEqual(head["cosine_low"], 1, places=9)
            self.assertAlmostEqual(head["sigma_ratio"], 1, places=9)
            self.assertAlmostEqual(head["kl"], 0, places=9)
            self.assertEqual(head["nearest"], head["head"])
            self.assertEqual(head["locked"], head["rank"] is not None)
        ranked = sorted((h for h in out["heads"] if h["locked"]), key=lambda h: h["rank"])
        self.assertEqual([(h["layer"], h["head"]) for h in ranked], [(h["layer"], h["head"]) for h in info["heads"]])
        for group in ("locked", "all"):
            for figure in ("cosine", "sigma_ratio", "kl"):
                self.assertEqual(set(out["summary"][group][figure]), SUMMARY)
        self.assertEqual([(d["layer"], d["head"]) for d in out["densities"]], [(h["layer"], h["head"]) for h in ranked])
        for density in out["densities"]:
            width = (density["to"] - density["from"]) / 64
            for model in ("base", "tuned", "locked"):
                for kind in ("safe", "unsafe"):
                    self.assertEqual(len(density[model][kind]), 64)
                    self.assertAlmostEqual(sum(density[model][kind]) * width, 1, places=9)
            self.assertEqual(density["base"], density["tuned"])
            self.assertNotEqual(density["tuned"], density["locked"])
        # The tiny pairs are few and the model is random: what they tell apart decides between pass and refuse.
        self.assertEqual(out["verdict"] == "refuse", result.returncode == CHECK_FAILED, result.stderr)
        self.assertTrue(out["reasons"])
        self.assertIn("pass_cosine", out["thresholds"])

    def telling_pairs(self):
        """Pairs that any model tells apart: the replies' last words are always the same."""
        things = ["pie", "boat", "kite", "song", "knot", "wall", "cup", "hat", "map", "fire", "poem", "shed"]
        return self.write("telling.jsonl", "".join(
            json.dumps({"prompt": f"How do I make a {t}?", "safe": f"I would not make a {t}, no no no.",
                        "unsafe": f"You can make a {t}, yes yes!"}) + "\n" for t in things))

    def test_verdicts_and_exit_codes(self):
        pairs = self.telling_pairs()
        self.lock, _ = self.extract("--dtype", "float32", pairs=pairs, name="telling.lock.safetensors")
        passed = self.transfer(pairs=pairs)
        self.assertEqual(passed.returncode, 0, passed.stdout.decode())
        text = passed.stdout.decode()
        self.assertRegex(text.splitlines()[0], r"^Transfer of .*: pass$")
        self.assertIn("the lock was derived from the same pairs", text)
        self.assertRegex(text, r"(?m)^  cosine +1\.000 +0\.000 +\[1\.000, 1\.000\]")
        self.assertNotIn(b"warning", passed.stderr)

        copy = self.path("permuted")
        shutil.copytree(MODEL, copy)
        permute_heads(copy)
        refused = self.transfer(tuned=copy, pairs=pairs)
        self.assertEqual(refused.returncode, CHECK_FAILED, refused.stdout.decode())
        self.assertRegex(refused.stdout.decode().splitlines()[0], r": refuse$")
        self.assertIn(b"warning: do not put this lock on the tuned model: ", refused.stderr)
        out = json.loads(self.transfer("--json", tuned=copy, pairs=pairs).stdout)
        self.assertEqual(out["verdict"], "refuse")
        self.assertEqual([h["nearest"] for h in out["heads"]], [1, 0, 3, 2] * 3)
        # The copy as its own base: equal to itself, but not what the lock was derived from.
        mixed = self.transfer("--json", base=copy, tuned=copy, pairs=pairs)
        self.assertEqual(mixed.returncode, CHECK_FAILED)
        self.assertIn("not the lock's (weights)", json.loads(mixed.stdout)["reasons"][0])

    def test_adapter_is_merged_into_the_tuned_model_alone(self):
        adapter = self.make_adapter("self_attn.v_proj", 16, 32)
        out = json.loads(self.transfer("--json", "--adapter", adapter).stdout)
        self.assertEqual(out["adapter"], str(adapter))
        self.assertLess(min(h["cosine"] for h in out["heads"]), 0.9999)
        self.assertFalse(out["evidence"]["base_differs"])

    def test_options_reach_the_measurement(self):
        out = json.loads(self.transfer("--json", "--max-pairs", 6, "--density-heads", 2).stdout)
        self.assertEqual((out["questions"], len(out["densities"])), (6, 2))
        self.assertFalse(out["evidence"]["lock_pairs"])
        adapter = self.make_adapter("self_attn.v_proj", 16, 32)
        heads = [json.loads(self.transfer("--json", "--adapter", adapter, *args).stdout)["heads"]
                 for args in ([], ["--seed", 1], ["--system", "Be kind."])]
        self.assertEqual([h["cosine"] for h in heads[0]], [h["cosine"] for h in heads[1]])
        self.assertNotEqual([h["cosine_low"] for h in heads[0]], [h["cosine_low"] for h in heads[1]])
        self.assertNotEqual([h["cosine"] for h in heads[0]], [h["cosine"] for h in heads[2]])

    def test_what_does_not_fit(self):
        self.assert_fails(self.transfer(tuned=MODELS / "qwen2"), 4, "bind.model")
        self.assert_fails(self.transfer(base=MODELS / "llama_head_dim"), 4, "bind.model")
        few = self.write("few.jsonl", "".join(PAIRS.read_text().splitlines(True)[:3]))
        self.assert_fails(self.transfer(pairs=few), 3, "data.too_few")
        self.assert_fails(self.transfer(pairs=self.path("none.jsonl")), 3, "io.open")
        self.assert_fails(self.transfer("-o", self.path("none/out.json")), 1, "io.write")
        self.assert_fails(self.transfer("--max-pairs", 0), 2, "arg.range")
        self.assert_fails(tool("transfer", MODEL, MODEL, "--pairs", PAIRS), 2, "arg.usage")


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
