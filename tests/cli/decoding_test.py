#!/usr/bin/env python3
"""Drives `safetylock generate` from outside: sampling, stop strings, streaming, standard input, Ctrl-C in a reply.

Environment as for cli_test.py. Standard library only.
"""
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import unittest

from cli_test import BINARY, MODEL, CliTest, clean_environment, tool


class DecodingTest(CliTest):
    ARGS = ["generate", MODEL, "--dtype", "float32", "--max-new-tokens", 40]

    def generate(self, *args, **kwargs):
        result = tool(*self.ARGS, "--json", *args, **kwargs)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return json.loads(result.stdout)["results"]

    def text(self, *args, **kwargs):
        result = tool(*self.ARGS, *args, **kwargs)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result.stdout

    def test_sampling(self):
        prompt = ["--prompt", "Who are you?"]
        greedy = self.generate(*prompt)
        sampled = self.generate(*prompt, "--temperature", "1.5", "--seed", 7)
        self.assertNotEqual(sampled, greedy)
        self.assertEqual(self.generate(*prompt, "--temperature", "1.5", "--seed", 7), sampled)
        self.assertNotEqual(self.generate(*prompt, "--temperature", "1.5", "--seed", 8), sampled)
        self.assertEqual(self.generate(*prompt, "--temperature", 0), greedy)
        for narrow in (["--top-k", 1], ["--top-p", 0], ["--min-p", 1]):
            self.assertEqual(self.generate(*prompt, "--temperature", 2, *narrow), greedy, narrow)
        self.assertNotEqual(self.generate(*prompt, "--repetition-penalty", 2), greedy)

    def test_sampled_prompts_whatever_the_batch(self):
        path = self.write("prompts.txt", "Tell me a tale.\nWho are you?\na\na\n")
        one = self.generate("--prompts", path, "--temperature", 1, "--batch", 1)
        self.assertEqual(self.generate("--prompts", path, "--temperature", 1, "--batch", 3), one)
        self.assertNotEqual(one[2], one[3])

    def test_stop(self):
        (whole,) = self.generate("--prompt", "Who are you?")
        stop = whole["text"][20:23]
        self.assertTrue(stop and "\0" not in stop)
        expected = whole["text"][:whole["text"].index(stop)]
        for args in (["--stop", stop], ["--stop", "[no,pe]", "--stop", stop, "--stop", "--nope"]):
            (cut,) = self.generate("--prompt", "Who are you?", *args)
            self.assertEqual(cut["text"], expected)
            self.assertEqual(cut["finish_reason"], "stop")
            self.assertLess(len(cut["token_ids"]), len(whole["token_ids"]))
            self.assertEqual(cut["token_ids"], whole["token_ids"][:len(cut["token_ids"])])
        self.assertEqual(self.generate("--prompt", "Who are you?", "--stop", "[no,pe]", "--stop", "--nope"), [whole])

    def test_streamed_text_is_the_text(self):
        # Hot enough for bytes that are no characters and for control characters.
        hot = ["--temperature", 4, "--seed", 3]
        both = self.text("--prompts", self.write("two.txt", "Who are you?\nWho else?\n"), *hot)
        first = both.split(b"\n\n> Who else?\n")[0]
        self.assertTrue(first.startswith(b"> Who are you?\n"))
        streamed = self.text("--prompt", "Who are you?", *hot)
        self.assertEqual(streamed, first[len(b"> Who are you?\n"):] + b"\n")
        self.assertNotRegex(streamed.decode(), r"[\x00-\x08\x0b-\x1f\x7f]")
        self.assertIn("\ufffd", streamed.decode())

    def test_full_disk_behind_a_stream(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([BINARY, *map(str, self.ARGS), "--prompt", "a"], stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"[io.write]", result.stderr)

    def test_prompt_from_standard_input(self):
        expected = self.generate("--prompt", "Who are\nyou?")
        for text in (b"Who are\nyou?", b"Who are\nyou?\n", b"Who are\nyou?\r\n"):
            self.assertEqual(self.generate("--prompt", "-", stdin=text), expected)
        self.assertEqual(self.generate("--prompt", "-", stdin=b"a\n\n")[0]["prompt"], "a\n")
        for text in (b"", b"\n", b"ab\xff", b"\xc3", b"a" * (2**20 + 1), b"a" * 2**20):
            self.assert_fails(tool(*self.ARGS, "--prompt", "-", stdin=text), 2, "arg.prompt")

    def test_prompts_from_standard_input(self):
        expected = self.generate("--prompts", self.write("p.txt", "Who, me?\nHi\n"))
        for text in (b"Who, me?\r\n\nHi", b'["Who, me?", "Hi"]', b'{"prompt": "Who, me?"}\n{"goal": "Hi"}\n',
                     b'id,prompt\n1,"Who, me?"\n2,Hi\n'):
            self.assertEqual(self.generate("--prompts", "-", stdin=text), expected)
        self.assert_fails(tool(*self.ARGS, "--prompts", "-", stdin=b""), 2, "arg.prompt")
        self.assert_fails(tool(*self.ARGS, "--prompts", "-", stdin=b" \n"), 3, "data.empty")
        line = self.assert_fails(tool(*self.ARGS, "--prompts", "-", stdin=b"a\nb\xff"), 3, "data.utf8")
        self.assertIn("standard input", line)

    def test_context_overflow_is_an_error(self):
        context = json.loads((MODEL / "config.json").read_text())["max_position_embeddings"]
        prompt = ["generate", MODEL, "--prompt", "a"]
        self.assert_fails(tool(*prompt, "--max-new-tokens", context + 1), 2, "arg.range")
        line = self.assert_fails(tool(*prompt, "--max-new-tokens", context - 1), 2, "arg.prompt")
        self.assertIn(f"at most {context} tokens", line)
        used = len(self.generate("--prompt", "a")[0]["prompt_ids"])
        self.assertEqual(tool(*prompt, "--max-new-tokens", context - used).returncode, 0)
        self.assert_fails(tool(*prompt, "--max-new-tokens", context - used + 1), 2, "arg.prompt")


class InterruptedReplyTest(CliTest):
    def endless_model(self):
        """A model whose reply has no end, as far as a test can see."""
        model = self.path("model")
        shutil.copytree(MODEL, model)
        config = json.loads((model / "config.json").read_text())
        config["max_position_embeddings"] = 500000
        (model / "config.json").write_text(json.dumps(config))
        return model

    def test_what_was_shown_stays(self):
        process = subprocess.Popen([BINARY, "generate", str(self.endless_model()), "--prompt", "Tell me a tale.",
                                    "--max-new-tokens", "400000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=clean_environment())
        shown = b""
        while len(shown) < 100:
            piece = os.read(process.stdout.fileno(), 4096)
            self.assertTrue(piece, "ended too early")
            shown += piece
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130, err)
        text = (shown + rest).decode()  # no half character
        self.assertTrue(text.endswith("\n") and not text.endswith("\n\n"))
        lines = err.decode().splitlines()
        self.assertRegex(lines[-1], r"^error: \[run\.interrupted\]")
        self.assertEqual([line for line in lines if line.startswith("generating")], [], "no progress beside the text")

    def test_while_standard_input_is_read(self):
        keyboard, terminal = pty.openpty()
        process = subprocess.Popen([BINARY, "generate", str(MODEL), "--prompt", "-"], stdin=terminal,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment())
        self.assertIn(b"Ctrl-D ends it", process.stderr.readline())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        os.close(keyboard)
        os.close(terminal)
        self.assertEqual((process.returncode, out), (130, b""), err)
        self.assertIn(b"[run.interrupted]", err)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
