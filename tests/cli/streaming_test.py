#!/usr/bin/env python3
"""extract --max-memory: a packaged model read layer by layer. Environment as for cli_test.py."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

from cli_test import BINARY, EXTRACTED, MODEL, PAIRS, SOURCE, CliTest, clean_environment, tool

LIMIT = 700_000_000  # SmolLM2's weights alone take 538 MB as float32


def run(*args):
    """Its JSON, bytes that it read, and its largest resident set."""
    process = subprocess.Popen([BINARY, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment())
    out, err = process.stdout.read(), process.stderr.read().decode()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    io = dict(line.split(": ") for line in pathlib.Path(f"/proc/{process.pid}/io").read_text().splitlines())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    process.stderr.close()
    if process.returncode not in EXTRACTED:
        raise AssertionError(err)
    return json.loads(out), int(io["rchar"]), usage.ru_maxrss * 1024, err


class StreamingTest(CliTest):
    def test_a_streamed_model_gives_the_same_lock_from_one_read_in_less_memory(self):
        model = subprocess.run([sys.executable, SOURCE / "scripts" / "get_model.py", "smollm2"], check=True, capture_output=True,
                               text=True).stdout.strip()
        asked = ["extract", model, "--pairs", SOURCE / "data" / "pairs.jsonl", "--max-pairs", "20", "--threads", "1", "--permutations", "0",
                 "--stability", "0", "--dtype", "float32", "--json"]
        held, streamed = self.path("held.safetensors"), self.path("streamed.safetensors")
        said_held, _, memory_held, _ = run(*asked, "-o", held)
        said, read, memory, err = run(*asked, "-o", streamed, "--max-memory", LIMIT)
        self.assertIn("stay in their files", err)
        self.assertEqual(streamed.read_bytes(), held.read_bytes())
        self.assertLess(memory, LIMIT)
        self.assertGreater(memory_held, LIMIT, "or the limit shows nothing")
        # The tool's own libraries and the tokenizer's tables are read besides.
        size = pathlib.Path(model).stat().st_size
        self.assertGreater(read, size)
        self.assertLess(read, 1.05 * size + 20_000_000)
        self.assertIsNone(said["causal_check"])
        self.assertIn("more passes", said["causal_check_omitted"])
        self.assertIsNone(said_held["causal_check_omitted"])
        report = self.path("report.html")
        result = self.write("extract.json", json.dumps(said))
        self.assertEqual(tool("report", result, "-o", report).returncode, 0)

    def test_limits(self):
        lock = self.path("a.lock.safetensors")
        asked = ["extract", MODEL, "--pairs", PAIRS, "-o", lock]
        message = self.assert_fails(tool(*asked, "--max-memory", "1MB"), 1, "limit.memory")
        self.assertIn("two layers of weights", message)
        self.assertFalse(lock.exists())
        for wrong in ("much", "-3GB", "3XB"):
            result = tool(*asked, "--max-memory", wrong)
            self.assertEqual(result.returncode, 2, wrong)
            self.assertIn(b"--max-memory", result.stderr)


if __name__ == "__main__":
    unittest.main()
