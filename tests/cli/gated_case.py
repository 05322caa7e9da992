"""What the tests of gates share: invented prompts, a lock made from half of them, and the tool's answers as JSON."""
import json
import pathlib
import random
import tempfile
import unittest

from cli_test import EXTRACTED, MODEL, PAIRS, tool


def prompts(count, seed):
    """Half of them with many '!', six a topic."""
    draw = random.Random(seed)
    rows = []
    for i in range(count):
        letters = [draw.choice("abcdefghijklmnop ") for _ in range(20)]
        if i % 2 == 0:
            for k in draw.sample(range(20), 14):
                letters[k] = "!"
        rows.append({"prompt": "x" + "".join(letters) + "y", "harmful": i % 2 == 0, "topic": str(i // 6)})
    return rows


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


class GatedCase(unittest.TestCase):
    OPTIONS = ()  # of extract, besides those that make a gate

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        write(cls.folder / "gate.jsonl", prompts(96, 1))
        cls.new = prompts(12, 2)
        write(cls.folder / "new.jsonl", cls.new)
        write(cls.folder / "harmful.jsonl", [p for p in cls.new if p["harmful"]])
        write(cls.folder / "benign.jsonl", [p for p in cls.new if not p["harmful"]])
        cls.lock = cls.folder / "gated.lock.safetensors"
        result = tool("extract", MODEL, "--pairs", PAIRS, "--heads", 6, "--alpha", 20, "--gate", cls.folder / "gate.jsonl", *cls.OPTIONS,
                      "-o", cls.lock, "--json")
        assert result.returncode in EXTRACTED, result.stderr
        cls.extracted = json.loads(result.stdout)

    def json(self, *args, code=0):
        result = tool(*args, "--json")
        self.assertEqual(result.returncode, code, result.stderr)
        return json.loads(result.stdout)
