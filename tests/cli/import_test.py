#!/usr/bin/env python3
"""import: a published lock becomes a lock of the model that --base names. Environment as for cli_test.py."""
import json
import shutil
import unittest

from cli_test import MODEL, SOURCE, CliTest, tool

PUBLISHED = SOURCE / "tests/golden/formats/published.safelock"


class ImportTest(CliTest):
    def setUp(self):
        super().setUp()
        # A model as the file's directions need it; its weights do not matter here.
        config = json.loads((MODEL / "config.json").read_text())
        config.pop("head_dim", None)
        config |= {"num_hidden_layers": 12, "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 512}
        self.base = self.path("base-of-12")
        self.base.mkdir()
        (self.base / "config.json").write_text(json.dumps(config))
        self.lock = self.path("a.lock.safetensors")

    def test_from_a_folder_and_from_its_config_alone(self):
        result = tool("import", PUBLISHED, "--base", self.base, "-o", self.lock, "--json")
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        out = json.loads(result.stdout)
        self.assertEqual(out["schema"], "safetylock.import/1")
        self.assertEqual([h["layer"] for h in out["heads"]], [0, 3, 3, 3, 3, 4, 4, 11])
        self.assertEqual(out["base_model"], "base-of-12")
        seen = json.loads(tool("inspect", self.lock, "--json").stdout)
        self.assertEqual(seen["content_digest"], out["lock_digest"])
        self.assertEqual([(h["layer"], h["head"], h["sigma"]) for h in seen["heads"]],
                         [(h["layer"], h["head"], h["sigma"]) for h in out["heads"]])
        first = self.lock.read_bytes()
        text = tool("import", PUBLISHED, "--base", self.base / "config.json", "-o", self.lock)
        self.assertEqual(text.returncode, 0, text.stderr.decode())
        self.assertIn(b"8 in 4 layers", text.stdout)
        self.assertEqual(self.lock.read_bytes(), first)
        self.assertEqual(json.loads(tool("import", PUBLISHED, "--base", self.base, "--alpha", 2, "-o", self.lock,
                                         "--json").stdout)["alpha"], 2)

    def test_refusals_write_nothing(self):
        self.assert_fails(tool("import", PUBLISHED, "-o", self.lock), 2, "arg.usage")
        self.assert_fails(tool("import", PUBLISHED, "--base", MODEL, "-o", self.lock), 3, "lock.vector")
        self.assert_fails(tool("import", PUBLISHED, "--base", self.path("none"), "-o", self.lock), 3, "io.open")
        damaged = bytearray(PUBLISHED.read_bytes())
        damaged[200] ^= 1
        self.assert_fails(tool("import", self.write("b.safelock", bytes(damaged)), "--base", self.base, "-o", self.lock), 3,
                          "zip.crc")
        self.assert_fails(tool("import", MODEL / "config.json", "--base", self.base, "-o", self.lock), 3, "zip.structure")
        self.assertFalse(self.lock.exists())
        shutil.copy(PUBLISHED, self.path("c.safelock"))
        self.assert_fails(tool("import", self.path("c.safelock"), "--base", self.base, "-o", self.path("no/where")), 1,
                          "io.write")


if __name__ == "__main__":
    unittest.main()
