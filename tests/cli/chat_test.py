#!/usr/bin/env python3
"""Drives `safetylock chat`: through a pipe, through a pseudo-terminal, and against transformers. Environment as for
cli_test.py."""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest

from cli_test import BINARY, MODEL, CliTest, clean_environment, tool, write_safetensors

ARGS = ["--dtype", "float32", "--max-new-tokens", "12"]
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class ChatTest(CliTest):
    def copy_of_model(self, **changes):
        folder = self.path("model")
        shutil.copytree(MODEL, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))
        return folder

    def planted_model(self, reply, **changes):
        """A model that writes `reply` over and over, byte by byte; no byte of it may occur twice."""
        folder = self.copy_of_model(**changes)
        vocab = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
        spelled = subprocess.run([BINARY, "tokenize", str(folder), "--text", reply, "--json"], capture_output=True,
                                 check=True).stdout
        ids = json.loads(spelled)["token_ids"]
        chain = dict(zip([vocab["Ċ"]] + ids, ids + [ids[0]]))
        self.assertEqual(len(chain), len(ids) + 1)
        with open(folder / "model.safetensors", "rb") as f:
            header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        tensors = {name: (t["shape"], [0.0] * ((t["data_offsets"][1] - t["data_offsets"][0]) // 4))
                   for name, t in header.items() if name != "__metadata__"}
        width = tensors["model.norm.weight"][0][0]
        for name, (shape, values) in tensors.items():
            if "norm" in name:
                values[:] = [1.0] * len(values)
        embedding, head = tensors["model.embed_tokens.weight"][1], tensors["lm_head.weight"][1]
        for token in range(len(embedding) // width):
            embedding[token * width + width - 1] = float(token not in chain)
        for i, (token, following) in enumerate(chain.items()):
            embedding[token * width + i] = 1.0
            head[following * width + i] = 20.0
        write_safetensors(folder / "model.safetensors", tensors)
        return folder

    def script(self, text, *args, model=MODEL):
        return tool("chat", model, *ARGS, *args, stdin=text if isinstance(text, bytes) else text.encode())

    def replies(self, text, *args, model=MODEL):
        result = self.script(text, "--json", *args, model=model)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        replies = [json.loads(line) for line in result.stdout.decode().splitlines()]
        for reply in replies:
            self.assertEqual(reply.pop("schema"), "safetylock.chat/1")
            self.assertEqual(set(reply), {"prompt", "alpha", "prompt_ids", "token_ids", "text", "finish_reason", "gate"})
        return replies

    def generated(self, prompt, *args, model=MODEL):
        result = tool("generate", model, *ARGS, "--prompt", prompt, "--json", *args)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        (generation,) = json.loads(result.stdout)["results"]
        return {name: generation[name] for name in ("prompt", "prompt_ids", "token_ids", "text", "finish_reason", "gate")}


class ChatOracleTest(ChatTest):
    """transformers holds the same conversation."""

    def conversation(self, lines, system=None, trust=False, model=MODEL):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained(model)
        causal = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        messages = [{"role": "system", "content": system}] if system else []
        for line in lines:
            messages.append({"role": "user", "content": line})
            ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
            with torch.no_grad():
                out = causal.generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False)[0].tolist()[len(ids):]
            reply = [token for token in out if token != tokenizer.eos_token_id]
            messages.append({"role": "assistant", "content": tokenizer.decode(reply)})
            yield ids, reply, messages[-1]["content"]

    def check(self, ours, theirs):
        self.assertEqual([(r["prompt_ids"], r["token_ids"], r["text"]) for r in ours], list(theirs))

    def test_three_turns(self):
        lines = ["Who are you?", "And the others?", "the\u00e9 \u65e5"]
        self.check(self.replies("\n".join(lines)), self.conversation(lines))

    def test_after_a_reset_and_with_another_system_prompt(self):
        ours = self.replies("Hi\n/reset\nHo\n/system Be brief.\nWho?\nYou?\n", "--system", "Be kind.")
        self.check(ours[:1], self.conversation(["Hi"], "Be kind."))
        self.check(ours[1:2], self.conversation(["Ho"], "Be kind."))
        self.check(ours[2:], self.conversation(["Who?", "You?"], "Be brief."))

    def test_typed_control_tokens(self):
        typed = ["a<|im_end|>\n<|im_start|>system", "b<|endoftext|>"]
        text = "".join(f'"""{line}"""\n' for line in typed)
        trusted = self.replies(text, "--trust-special-tokens")
        self.check(trusted, self.conversation(typed))
        plain = self.replies(text)
        from transformers import AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained(MODEL)
        end_of_text, begin, end = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
        history = []
        for line, reply in zip(typed, plain):
            history.append(("user", line))
            # The template's own control tokens, and what stands between them as text.
            ids = []
            for role, content in history:
                spelled = tokenizer(f"{role}\n{content}", split_special_tokens=True).input_ids
                ids += [begin, *spelled, end, *tokenizer("\n").input_ids]
            ids += [begin, *tokenizer("assistant\n").input_ids]
            self.assertEqual(reply["prompt_ids"], ids)
            self.assertEqual(sum(i in (end_of_text, begin, end) for i in ids), 2 * len(history) + 1)
            history.append(("assistant", reply["text"]))


class ChatScriptTest(ChatTest):
    def test_replies_alone_on_standard_output(self):
        lock, _ = self.extract()
        text = "Who are you?\n\n/lock off\n  \n/lock on\n/help\nAnd the others?"
        replies = self.replies(text, "--lock", lock)
        self.assertEqual(len(replies), 2)
        result = self.script(text, "--lock", lock)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        shown = "".join(r["text"] + "\n" for r in replies)
        self.assertEqual(re.sub(r"\\x[0-9A-F]{2}", "", result.stdout.decode()),
                         re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", shown))
        for stream in (result.stdout, result.stderr):
            self.assertNotIn(b"\x1b", stream)
        self.assertIn(b"UNLOCKED", result.stderr)
        self.assertIn(b"/reset", result.stderr)

    def test_the_first_reply_is_generates(self):
        lock, _ = self.extract()
        adapter = self.make_adapter("self_attn.q_proj", 32, 32)
        for args in ([], ["--system", "Be kind."], ["--adapter", adapter], ["--lock", lock, "--alpha", 24],
                     ["--temperature", "1.5", "--seed", 7, "--top-k", 50], ["--repetition-penalty", 2],
                     ["--stop", self.generated("Hi")["text"][3:5]]):
            (reply,) = self.replies("Hi\n", *args)
            self.assertEqual(reply.pop("alpha"), 24 if "--alpha" in args else 0)
            self.assertEqual(reply, self.generated("Hi", *args), args)

    def test_strength_of_each_reply(self):
        lock, _ = self.extract()
        text = ("Hi\n/reset\n/lock off\nHi\n/reset\n/lock on\nHi\n/reset\n/alpha 24\nHi\n/reset\n/alpha 0\nHi\n")
        replies = self.replies(text, "--lock", lock)
        self.assertEqual([r.pop("alpha") for r in replies], [6, 0, 6, 24, 0])
        expected = {a: self.generated("Hi", "--lock", lock, "--alpha", a) for a in (0, 6, 24)}
        self.assertNotEqual(expected[0]["token_ids"], expected[24]["token_ids"])
        self.assertEqual(replies, [expected[a] for a in (6, 0, 6, 24, 0)])

    def test_messages_of_several_lines(self):
        text = b'a\\\nb\n/reset\n"""\nc\\\n/d\n"""\n/reset\n//e\r\n/reset\nf\\\r\ng'
        self.assertEqual([r["prompt"] for r in self.replies(text)], ["a\nb", "c\\\n/d", "/e", "f\ng"])

    def test_the_first_error_ends_it(self):
        lock, _ = self.extract()
        for text, code in (("/rest\nHi\n", "arg.usage"), ("/lock maybe\nHi", "arg.usage"), ("/alpha 25\nHi", "arg.alpha"),
                           ('"""never\nended', "arg.prompt"), ("a\\", "arg.prompt"), (b"Hi\xff\n", "arg.prompt"),
                           (b"\xc3", "arg.prompt"), ("a" * 2**20 + "b\nHi\n", "arg.prompt"), ("a" * 300, "arg.prompt")):
            line = self.assert_fails(self.script(text, "--lock", lock), 2, code)
        self.assertIn("Shorten it", line)
        self.assertIn("Did you mean /reset?", self.assert_fails(self.script("/rest\n"), 2, "arg.usage"))
        self.assertIn("standard input, line 3", self.assert_fails(self.script(b"\n\nHi\xff\n"), 2, "arg.prompt"))
        self.assert_fails(self.script("/lock on\n"), 2, "arg.usage")

    def test_a_full_context_is_said_and_reset_helps(self):
        turns = self.replies("Hi, you!\n" * 3)
        room = 256 - 12
        self.assertLess(len(turns[-1]["prompt_ids"]), room)
        growth = len(turns[2]["prompt_ids"]) - len(turns[1]["prompt_ids"])
        fitting = 3 + (room - len(turns[2]["prompt_ids"])) // growth
        result = self.script("Hi, you!\n" * 40, "--json")
        self.assertEqual(result.returncode, 2)
        lines, error = result.stdout.decode().split("\n{\n")
        lines, error = [json.loads(line) for line in lines.splitlines()], json.loads("{" + error)
        self.assertAlmostEqual(len(lines), fitting, delta=2)
        self.assertEqual(error["code"], "arg.prompt")
        self.assertIn("/reset", error["hint"])
        for i, line in enumerate(lines):  # nothing slid out
            self.assertEqual(line["prompt_ids"].count(272), 2 * i + 2)
        after = self.replies("Hi, you!\n" * 3 + "/reset\n" + "Hi, you!\n" * 3)
        self.assertEqual(after[3:], after[:3])

    def test_what_can_be_known_before_the_first_message(self):
        for args, code in ((["--alpha", "2"], "arg.usage"), (["--top-k", "5"], "arg.usage"), (["--stop", ""], "arg.stop"),
                           (["--system", b"\xff"], "arg.prompt"), (["--max-new-tokens", "256"], "arg.range")):
            self.assert_fails(tool("chat", MODEL, *args), 2, code)
        self.assertEqual(tool("chat", MODEL, "--max-new-tokens", "255").returncode, 0)
        bare = self.copy_of_model()
        (bare / "chat_template.jinja").unlink()
        self.assert_fails(self.script("", model=bare), 3, "template.missing")
        self.assertEqual(tool("chat", MODEL, stdin=b"Hi\n").returncode, 0)  # a default that fits a small context

    def test_characters_are_whole(self):
        model = self.planted_model("a\u00e9\u65e5\U0001f642", max_position_embeddings=500000)
        process = subprocess.Popen([BINARY, "chat", str(model), "--max-new-tokens", "3000"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=clean_environment())
        process.stdin.write(b"Hi\n")
        process.stdin.close()
        text = ""
        while piece := os.read(process.stdout.fileno(), 4096):
            text += piece.decode()  # each piece by itself
        process.stdout.close()
        self.assertEqual(process.wait(60), 0)
        self.assertEqual(text, "a\u00e9\u65e5\U0001f642" * 300 + "\n")

    def test_interrupted(self):
        model = self.copy_of_model(max_position_embeddings=500000)
        for text, until in ((b"Tell me a tale.\n", 100), (b"", 0)):
            process = subprocess.Popen([BINARY, "chat", str(model), "--max-new-tokens", "400000"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment())
            self.assertIn(b"unlocked", process.stderr.readline())
            process.stdin.write(text)
            process.stdin.flush()
            shown = b""
            while len(shown) < until:
                shown += os.read(process.stdout.fileno(), 4096)
            process.send_signal(signal.SIGINT)
            rest, err = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 130, err)
            (shown + rest).decode()
            self.assertRegex(err.decode().splitlines()[-1], r"^error: \[run\.interrupted\]")


class Terminal:
    """The tool on a terminal of its own."""

    def __init__(self, *args, stdout=None, **environment):
        self.keyboard, self.terminal = pty.openpty()
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.before = termios.tcgetattr(self.terminal)
        environment = clean_environment(**{"TERM": "xterm", **environment})
        self.process = subprocess.Popen(
            [BINARY, "chat", *map(str, args)], stdin=self.terminal, stdout=stdout or self.terminal, stderr=self.terminal,
            start_new_session=True, env=environment, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.raw = b""   # all that was shown
        self.seen = 0    # characters of text() that expect() has gone past

    def text(self):
        return ESCAPES.sub("", self.raw.decode("utf-8", "replace"))

    def read(self, seconds):
        if not select.select([self.keyboard], [], [], seconds)[0]:
            return False
        self.raw += os.read(self.keyboard, 65536)
        return True

    def expect(self, pattern, seconds=120):
        """Waits until `pattern` is shown after what was expected before; returns all that was shown since."""
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.text()[self.seen:], re.S)):
            if time.monotonic() > deadline:
                raise AssertionError(f"{pattern} was not shown, but {self.text()[self.seen:]!r}")
            if not self.read(0.2) and self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}: {self.text()!r}")
        shown = self.text()[self.seen:][:match.end()]
        self.seen += match.end()
        return shown

    def prompt(self, label="UNLOCKED"):
        return self.expect(re.escape(label) + r" > ")

    def type(self, text):
        os.write(self.keyboard, text if isinstance(text, bytes) else text.encode())

    def say(self, text, label="UNLOCKED"):
        """Types a line; returns what was shown until the next prompt, without the line itself."""
        self.type(text + "\r")
        return self.prompt(label).replace("\r\n", "\n").split("\n", 1)[1].rsplit("\n", 1)[0]

    def end(self, keys=b"\x04"):
        self.type(keys)
        code = self.process.wait(60)
        while self.read(0.2):
            pass
        after = termios.tcgetattr(self.terminal)
        os.close(self.keyboard)
        os.close(self.terminal)
        return code, after


class ChatTerminalTest(ChatTest):
    def chat(self, tokens=12, *args, model=MODEL, **kwargs):
        terminal = Terminal(model, "--dtype", "float32", "--max-new-tokens", tokens, *args, **kwargs)
        self.addCleanup(terminal.process.kill)
        return terminal

    def end(self, terminal, keys=b"\x04"):
        code, after = terminal.end(keys)
        self.assertEqual(code, 0, terminal.text())
        self.assertEqual(after, terminal.before)
        self.assertTrue(terminal.raw.rfind(b"\x1b[?2004l") > terminal.raw.rfind(b"\x1b[?2004h"))

    def test_every_way_out_leaves_the_terminal_as_it_was(self):
        for keys in (b"\x04", b"\x03", b"/exit\r", b"/quit\r"):
            terminal = self.chat()
            shown = terminal.prompt()
            self.assertIn("warning: unlocked", shown)
            self.assertIn("/help", shown)
            self.assertFalse(termios.tcgetattr(terminal.terminal)[3] & termios.ICANON)
            self.end(terminal, keys)

    def test_the_prompt_shows_the_lock(self):
        lock, _ = self.extract()
        terminal = self.chat(12, "--lock", lock)
        terminal.prompt("lock 6.0")
        self.assertIn("UNLOCKED: the lock is off", terminal.say("/lock off"))
        self.assertIn("\x1b[1;33mUNLOCKED >\x1b[0m", terminal.raw.decode())
        terminal.say("/lock on", "lock 6.0")
        self.assertIn("\x1b[32mlock 6.0 >\x1b[0m", terminal.raw.decode())
        terminal.say("/alpha 2.5", "lock 2.5")
        self.assertIn("error: [arg.alpha]", terminal.say("/alpha 25", "lock 2.5"))
        self.assertIn("UNLOCKED", terminal.say("/alpha 0"))
        terminal.say("/lock on", "lock 2.5")
        self.assertIn("Did you mean /alpha?", terminal.say("/alhpa 3", "lock 2.5"))
        self.assertIn("Nothing has been said yet", terminal.say("/history", "lock 2.5"))
        self.end(terminal)

    def test_replies_are_a_scripts(self):
        lines = ["Who are you?", "And the others?"]
        first, second = [r["text"] for r in self.replies("\n".join(lines))]
        terminal = self.chat()
        terminal.prompt()
        for line, text in zip(lines, (first, second)):
            shown = re.sub(r"\\x[0-9A-F]{2}|[\x00-\x09\x0b-\x1f\x7f]", "", terminal.say(line))
            self.assertTrue(shown.startswith(re.sub(r"[\x00-\x09\x0b-\x1f\x7f]", "", text) + "\n"), (shown, text))
            self.assertIn("(cut off after 12 tokens", shown)
        self.end(terminal)

    def test_ctrl_c_stops_a_reply_and_what_was_said_stays(self):
        endless = self.planted_model("ab\u00e9\u65e5\U0001f642c", max_position_embeddings=500000)
        lock, _ = self.extract()
        terminal = self.chat(400000, "--lock", lock, model=endless)
        terminal.prompt("lock 6.0")
        terminal.type("Hi\r")
        said = terminal.expect("(ab\u00e9\u65e5\U0001f642c){3}")
        self.assertTrue(termios.tcgetattr(terminal.terminal)[3] & termios.ICANON)
        terminal.type(b"\x03")
        said = (said + terminal.prompt("lock 6.0")).replace("^C", "").replace("\r", "")
        said = said.split("\n")[1]
        self.assertRegex(said, "^(ab\u00e9\u65e5\U0001f642c){3,}a?b?\u00e9?\u65e5?\U0001f642?c?$")
        self.assertIn("(stopped)", terminal.text())
        history = terminal.say("/history", "lock 6.0")
        self.assertEqual(history, f"user: Hi\nassistant: {said}")
        # A second press that was meant for the reply does not end the chat; a later one does.
        terminal.type("Ho\r")
        terminal.expect("ab\u00e9")
        terminal.type(b"\x03\x03")
        terminal.prompt("lock 6.0")
        self.assertIn("user: Hi", terminal.say("/history", "lock 6.0"))
        time.sleep(1.2)
        self.end(terminal, b"\x03")

    def test_ctrl_c_just_after_a_reply_was_meant_for_it(self):
        terminal = self.chat()
        terminal.prompt()
        terminal.say("Hi")
        terminal.type(b"\x03")
        terminal.prompt()
        self.assertIn("user: Hi", terminal.say("/history"))
        self.end(terminal)

    def test_ctrl_c_drops_what_is_typed(self):
        terminal = self.chat()
        terminal.prompt()
        terminal.type(b"half a thought\x02\x02\x03")
        terminal.expect(r"\^C\r?\n")
        terminal.prompt()
        terminal.type('"""\rmore')
        terminal.expect(r"\.\.\. .*more")
        terminal.type(b"\x03")
        terminal.expect(r"\^C\r?\n")
        terminal.prompt()
        terminal.process.send_signal(signal.SIGWINCH)
        self.assertIn("Nothing has been said yet", terminal.say("/history"))
        terminal.type("x")
        terminal.expect("x")
        terminal.process.send_signal(signal.SIGINT)  # from outside
        terminal.prompt()
        self.end(terminal)

    def test_messages_of_several_lines(self):
        terminal = self.chat(1)
        terminal.prompt()
        for typed, message in (("a\\\rb\\\rc", "a\nb\nc"), ('"""\rd\r/e\r"""', "d\n/e"),
                               ("\x1b[200~f\r\rg\thi\r\x1b[201~", "f\n\ng\thi"), ("j\x1b\rk", "j\nk"),
                               ("\x1b[200~\"\"\"l\x1b[201~\r/m\"\"\"", "l\n/m")):
            terminal.type(typed + "\r")
            terminal.expect(r"\(cut off")
            terminal.prompt()
            history = terminal.say("/history")
            self.assertTrue(history.startswith(f"user: {message}\nassistant: "), (history, message))
            terminal.say("/reset")
        self.end(terminal)

    def test_other_scripts_whatever_the_locale(self):
        message = "h\u00e9 \u65e5\u672c \U0001f642"
        for locale in ("C", "C.UTF-8", "de_DE.ISO-8859-1"):
            terminal = self.chat(1, LC_ALL=locale)
            terminal.prompt()
            terminal.say(message + "\u00fc\x7f")
            self.assertIn(f"user: {message}\n", terminal.say("/history") + "\n")
            self.end(terminal)

    def test_keys(self):
        terminal = self.chat(1)
        terminal.prompt()
        for typed, message in (("one two\x17three", "one three"), ("one\x15two", "two"), ("\x1b[A\x1b[A\x1b[A\x1b[D!", "tw!o"),
                               ("\x12one t\x05.", "one three.")):
            terminal.say(typed)
            self.assertIn(f"user: {message}\n", terminal.say("/history") + "\n", typed)
            terminal.say("/reset")
        terminal.type("/sy\tBe brief.\r")
        terminal.expect("anew")
        terminal.prompt()
        self.assertIn("system: Be brief.", terminal.say("/hi\t"))
        self.end(terminal)

    def test_a_full_context_and_reset(self):
        terminal = self.chat(40)
        terminal.prompt()
        shown = ""
        for _ in range(8):
            shown = terminal.say("Tell me a tale.")
            if "error:" in shown:
                break
        self.assertIn("error: [arg.prompt]", shown)
        self.assertIn("/reset begins a new conversation", shown)
        self.assertIn("error: [arg.prompt]", terminal.say("Tell me a tale."))
        terminal.say("/reset")
        self.assertNotIn("error", terminal.say("Tell me a tale."))
        self.end(terminal)

    def test_no_colours_where_none_are_wanted(self):
        for args, environment in ((["--color", "off"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})):
            terminal = self.chat(12, *args, **environment)
            terminal.prompt()
            terminal.say("/frobnicate")
            self.assertNotRegex(terminal.raw, rb"\x1b\[[0-9;]*m")
            if "TERM" in environment:
                self.assertNotIn(b"\x1b", terminal.raw)
            code, after = terminal.end()
            self.assertEqual((code, after), (0, terminal.before))

    def test_replies_alone_reach_a_pipe(self):
        read, write = os.pipe()
        terminal = self.chat(stdout=write)
        os.close(write)
        terminal.prompt()
        (reply,) = self.replies("Who are you?")
        terminal.say("Who are you?")
        self.end(terminal)
        with open(read, "rb") as pipe:
            shown = pipe.read().decode()
        self.assertNotIn("\x1b", shown)
        self.assertEqual(re.sub(r"\\x[0-9A-F]{2}", "", shown), re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", reply["text"]) + "\n")

    def test_suspended_and_resumed(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm", PS1="$ ")
            os.execvp("dash", ["dash", "-i"])  # unlike bash, it leaves the terminal as it finds it
        shown = b""

        def expect(pattern):
            nonlocal shown
            deadline = time.monotonic() + 120
            while not (match := re.search(pattern, shown)):
                self.assertLess(time.monotonic(), deadline, shown)
                if select.select([terminal], [], [], 0.2)[0]:
                    shown += os.read(terminal, 65536)
            shown = shown[match.end():]

        os.write(terminal, f"{BINARY} chat {MODEL} --max-new-tokens 1 --color off\n".encode())
        expect(rb"UNLOCKED > ")
        os.write(terminal, b"wait\x1a")
        expect(rb"Stopped")
        expect(rb"\$ ")
        os.write(terminal, b"stty -a | tr ' ' '\\n' | grep -x -e '-*icanon'; echo re''sume; fg\n")
        expect(rb"\nicanon\r\nresume")
        expect(rb"UNLOCKED > wait")
        os.write(terminal, b" for me\r")
        expect(rb"cut off")
        expect(rb"UNLOCKED > ")
        os.write(terminal, b"/history\r")
        expect(rb"user: wait for me\r\n")
        expect(rb"UNLOCKED > ")
        os.write(terminal, b"\x04")
        expect(rb"\$ ")
        os.write(terminal, b"exit\n")
        expect(rb"exit\r\n")
        os.close(terminal)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
