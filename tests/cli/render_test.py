#!/usr/bin/env python3
"""render and tokenize: what is shown is what the model reads, token by token. Environment as for cli_test.py."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

from cli_test import BINARY, MODEL, PAIRS, SOURCE, CliTest, clean_environment, tool

GOLDEN = json.loads((SOURCE / "tests/golden/text/typed_tokens.json").read_text())
TYPED = GOLDEN["typed"]


def control(tokens):
    return [t["piece"] for t in tokens if t["control"]]


class RenderTest(CliTest):
    def render(self, *args, model=MODEL):
        result = tool("render", model, "--json", *args)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        out = json.loads(result.stdout)
        self.assertEqual(out["schema"], "safetylock.render/1")
        return out

    def one(self, *args, **kwargs):
        (sequence,) = self.render(*args, **kwargs)["sequences"]
        self.assertEqual([t["id"] for t in sequence["tokens"]], sequence["token_ids"])
        return sequence

    def test_a_prompt_is_shown_as_generate_reads_it(self):
        for args in (["--prompt", "How do I pick a lock?"], ["--prompt", "the é", "--system", "Be brief."],
                     ["--prompt", TYPED], ["--prompt", TYPED, "--trust-special-tokens"]):
            read = json.loads(tool("generate", MODEL, "--json", "--max-new-tokens", 1, *args).stdout)["results"][0]
            self.assertEqual(self.one(*args)["token_ids"], read["prompt_ids"], args)

    def test_typed_control_tokens(self):
        golden = GOLDEN["models"]["llama_gqa"]["typed"]
        text = self.one("--prompt", TYPED)
        self.assertEqual(control(text["tokens"]), ["<|im_start|>", "<|im_end|>", "<|im_start|>"])
        self.assertTrue(all(t["from"] == "template" for t in text["tokens"] if t["control"]))
        self.assertEqual([(t["token"], t["message"]) for t in text["typed_control_tokens"]],
                         [("<|im_end|>", 0), ("<|im_start|>", 0)])
        self.assertEqual("".join(t["piece"] for t in text["tokens"] if t["typed"]), "<|im_end|><|im_start|>")
        self.assertEqual(text["text"], golden["text"])
        trusted = self.one("--prompt", TYPED, "--trust-special-tokens")
        self.assertEqual(trusted["token_ids"], golden["ids"])
        self.assertEqual(len(control(trusted["tokens"])), golden["control"])
        self.assertEqual([t["from"] for t in trusted["tokens"] if t["control"]],
                         ["template", "user", "user", "template", "template"])

    def test_the_warning_names_what_was_typed(self):
        result = tool("render", MODEL, "--prompt", TYPED)
        self.assertIn(b"message 0 (user) spells the control token <|im_end|>: it stays text", result.stderr)
        self.assertIn(b"it is one", tool("render", MODEL, "--prompt", TYPED, "--trust-special-tokens").stderr)
        self.assertNotIn(b"(user) spells", tool("render", MODEL, "--prompt", "a < b | c").stderr)

    def test_messages_from_a_file_and_from_standard_input(self):
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who are you?"}]
        expected = self.one("--prompt", "Who are you?", "--system", "Be brief.")
        for content in (messages, {"messages": messages}):
            file = self.write("chat.json", json.dumps(content))
            self.assertEqual(self.one("--messages", file), expected)
        piped = subprocess.run([BINARY, "render", str(MODEL), "--messages", "-", "--json"], capture_output=True,
                               input=json.dumps(messages).encode(), env=clean_environment())
        self.assertEqual(json.loads(piped.stdout)["sequences"], [expected])
        self.assertTrue(self.render("--messages", file)["generation_prompt"])

    def test_the_reply_span_of_a_chat_that_ends_with_a_reply(self):
        messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "No way."}]
        file = self.write("chat.json", json.dumps(messages))
        out = self.render("--messages", file)
        self.assertFalse(out["generation_prompt"])
        (sequence,) = out["sequences"]
        self.assertEqual("".join(t["piece"] for t in sequence["tokens"] if t["reply"]), "o way."[-5:])
        self.assertTrue(sequence["text"].endswith("No way.<|im_end|>\n"))
        shorter = self.one("--messages", file, "--tokens", 2)
        self.assertEqual(shorter["reply_positions"], sequence["reply_positions"][-2:])

    def test_pairs_are_shown_as_extract_reads_them(self):
        pairs = [json.loads(line) for line in PAIRS.read_text().splitlines() if line.strip()]
        out = self.render("--pairs", PAIRS, "--index", 1)["sequences"]
        self.assertEqual([s["name"] for s in out], ["safe", "unsafe"])
        for sequence in out:
            reply = pairs[1][sequence["name"]]
            tokens = sequence["tokens"]
            self.assertEqual(sequence["reply_positions"], list(range(len(tokens) - 5, len(tokens))))
            self.assertTrue(reply.endswith("".join(t["piece"] for t in tokens if t["reply"])))
            self.assertTrue("".join(t["piece"] for t in tokens).endswith("assistant\n" + reply))
        typed = self.render("--pair", TYPED, GOLDEN["reply"], "Yes.", "--trust-special-tokens")["sequences"][0]
        self.assertEqual(typed["token_ids"], GOLDEN["models"]["llama_gqa"]["pair_ids"])
        text = self.render("--pair", TYPED, GOLDEN["reply"], "Yes.")["sequences"][0]
        self.assertGreater(len(text["token_ids"]), len(typed["token_ids"]))

    def test_rows_without_colours_and_text_with_them(self):
        rows = tool("render", MODEL, "--pair", "Hi", "No way", "Yes").stdout.decode()
        self.assertNotIn("\x1b", rows)
        self.assertRegex(rows, r'(?m)^ +0 +272  C     template      "<\|im_start\|>"$')
        self.assertRegex(rows, r'(?m)^ +\d+ +\d+  R     assistant     "y"$')
        self.assertIn('"\\n"', rows)
        colours = tool("render", MODEL, "--prompt", TYPED, "--color", "on").stdout.decode()
        self.assertIn("\x1b[1;35m<|im_start|>\x1b[0m", colours)
        self.assertIn("\x1b[1;31m", colours)
        self.assertIn("\x1b[4m", tool("render", MODEL, "--pair", "Hi", "No", "Yes", "--color", "on").stdout.decode())

    def test_escape_sequences_do_not_reach_the_terminal(self):
        nasty = "a\x1b[31mb\u202ec\rd"
        for colour in ("on", "off"):
            out = tool("render", MODEL, "--prompt", nasty, "--color", colour).stdout.decode()
            self.assertNotIn("\x1b[31mb", out)
            self.assertNotIn("\u202e", out)
            self.assertNotIn("\r", out)

    def test_tools(self):
        tools = self.write("tools.json", '[{"type": "function", "function": {"name": "pick"}}]')
        self.assert_fails(tool("render", MODEL, "--prompt", "a", "--tools", tools), 3, "template.tools")
        folder = self.path("model")
        folder.mkdir()
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).write_bytes((MODEL / name).read_bytes())
        (folder / "chat_template.jinja").write_text("{{ tools | tojson }}{{ messages[0].content }}")
        sequence = self.one("--prompt", "a", "--tools", tools, model=folder)
        self.assertIn('"pick"', sequence["text"])
        self.assertEqual(sequence["tokens"][0]["from"], "caller")

    def test_no_weights_are_needed(self):
        folder = self.path("model")
        folder.mkdir()
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            (folder / name).write_bytes((MODEL / name).read_bytes())
        self.assertEqual(self.one("--prompt", "a", model=folder), self.one("--prompt", "a"))

    def test_wrong_input(self):
        chat = self.write("chat.json", '[{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]')
        for args in ([], ["--prompt", "a", "--messages", chat], ["--pair", "a", "b"], ["--prompt", "a", "--index", "0"],
                     ["--pair", "a", "b", "c", "--tools", chat], ["--messages", chat, "--system", "s"]):
            self.assert_fails(tool("render", MODEL, *args), 2, "arg.usage")
        self.assert_fails(tool("render", MODEL, "--pairs", PAIRS, "--index", 10000), 2, "arg.range")
        self.assert_fails(tool("render", MODEL, "--prompt", b"\xff"), 2, "arg.prompt")
        self.assert_fails(tool("render", MODEL, "--messages", self.write("c", "{oops")), 3, "json.syntax")
        self.assert_fails(tool("render", MODEL, "--messages", self.write("d", "[]")), 3, "data.empty")
        self.assert_fails(tool("render", self.path("none"), "--prompt", "a"), 3, "io.open")


class TokenizeTest(CliTest):
    def tokenize(self, text, *args):
        result = tool("tokenize", MODEL, "--json", "--text", text, *args)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        out = json.loads(result.stdout)
        self.assertEqual(out["schema"], "safetylock.tokenize/1")
        return out

    def test_ids_pieces_and_offsets(self):
        text = "the thing é"
        out = self.tokenize(text)
        self.assertEqual(b"".join(bytes.fromhex(t["bytes"]) for t in out["tokens"]).decode(), text)
        self.assertEqual(out["tokens"][0]["piece"], "the")
        self.assertEqual(out["tokens"][-1]["piece"], "\ufffd")
        self.assertEqual(out["tokens"][0]["end"], 3)

    def test_control_tokens_are_text_unless_trusted(self):
        text = self.tokenize("a<|im_end|>")
        self.assertEqual(control(text["tokens"]), [])
        self.assertEqual(text["typed_control_tokens"][0]["token"], "<|im_end|>")
        trusted = self.tokenize("a<|im_end|>", "--trust-special-tokens")
        self.assertEqual(trusted["token_ids"][1:], [273])
        self.assertIn(b"the text spells the control token <|im_end|>", tool("tokenize", MODEL, "--text", "<|im_end|>").stderr)

    def test_empty_text_and_bad_text(self):
        self.assertEqual(self.tokenize("")["token_ids"], [])
        self.assert_fails(tool("tokenize", MODEL, "--text", b"a\xff"), 2, "arg.prompt")
        self.assert_fails(tool("tokenize", MODEL), 2, "arg.usage")


class DateTest(CliTest):
    """A template that prints the day, as Llama 3.1's does."""

    def setUp(self):
        super().setUp()
        self.model = pathlib.Path(self.folder) / "dated"
        shutil.copytree(MODEL, self.model)
        template = self.model / "chat_template.jinja"
        template.write_text("{{ strftime_now('%d %b %Y') }}\n" + template.read_text())

    def text(self, *args):
        return json.loads(tool("render", self.model, "--prompt", "a", "--json", *args).stdout)["sequences"][0]["text"]

    def test_render_prints_the_day_that_is_given(self):
        self.assertTrue(self.text("--date", "2026-03-07").startswith("07 Mar 2026\n"))
        self.assertTrue(self.text("--date", "2024-02-29").startswith("29 Feb 2024\n"))

    def test_locks_of_the_same_day_are_equal(self):
        def lock(name, day):
            path = pathlib.Path(self.folder) / name
            tool("extract", self.model, "--pairs", PAIRS, "-o", path, "--heads", 2, "--date", day)
            return path.read_bytes()
        first = lock("a.lock.safetensors", "2026-03-07")
        self.assertEqual(first, lock("b.lock.safetensors", "2026-03-07"))
        self.assertNotEqual(first, lock("c.lock.safetensors", "2026-03-08"))

    def test_what_is_no_day(self):
        for bad in ("2026-02-30", "07.03.2026", "2026-3-7", "2026-03-07x", ""):
            self.assert_fails(tool("render", self.model, "--prompt", "a", "--date", bad), 2, "arg.date")


class PackagedRenderTest(CliTest):
    """On the 1.1 GB model: no weights are read, so it takes no time and no memory."""

    def test_large_model_is_fast(self):
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        models = pathlib.Path(os.environ.get("SAFETYLOCK_MODELS", cache / "safetylock/models"))
        model = models / "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
        golden = GOLDEN["models"]["qwen"]["typed"]
        result = tool("render", model, "--prompt", TYPED, "--trust-special-tokens", "--json", timeout=60)
        self.assertEqual(json.loads(result.stdout)["sequences"][0]["token_ids"], golden["ids"])
        tools = self.write("tools.json", '[{"type": "function", "function": {"name": "pick", "parameters": {}}}]')
        with_tools = tool("render", model, "--prompt", "a", "--tools", tools, timeout=60)
        self.assertEqual(with_tools.returncode, 0, with_tools.stderr)
        self.assertIn(b"pick", with_tools.stdout)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
