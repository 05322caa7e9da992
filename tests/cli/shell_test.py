#!/usr/bin/env python3
"""help, "did you mean", completion and doctor. Environment as for cli_test.py."""
import importlib.util
import json
import os
import pathlib
import pty
import re
import select
import subprocess
import sys
import time
import unittest

from cli_test import BINARY, MODEL, SOURCE, CliTest, clean_environment, tool

COMMANDS = [line.split()[0] for line in tool("--help").stdout.decode().splitlines()
            if re.match(r"  [a-z][a-z-]* {2,}\S", line)]


class HelpTest(CliTest):
    def test_top_level_groups_commands_and_says_where_to_begin(self):
        text = tool("--help").stdout.decode()
        self.assertIn("Where to begin:", text)
        for name in ("doctor", "inspect", "extract", "generate", "evaluate", "render", "tokenize", "completion"):
            self.assertIn(name, COMMANDS)

    def test_each_command_shows_examples(self):
        for command in COMMANDS:
            text = tool(command, "--help").stdout.decode()
            self.assertRegex(text, r"(?m)^Examples:\n  \S")

    def test_did_you_mean(self):
        cases = [(["genrate", MODEL, "--prompt", "a"], "generate"), (["eval", MODEL], "evaluate"),
                 (["generate", MODEL, "--promt", "a"], "--prompt"), (["extract", MODEL, "--piars", "p", "-o", "x"], "--pairs"),
                 (["inspect", MODEL, "--jsno"], "--json"), (["render", MODEL, "--promptt=a"], "--prompt")]
        for args, meant in cases:
            line = self.assert_fails(tool(*args), 2, "arg.usage")
            self.assertIn(f"is unknown: did you mean {meant}?", line)
        line = self.assert_fails(tool("generate", MODEL, "--frobnicate"), 2, "arg.usage")
        self.assertNotIn("did you mean", line)
        self.assertIn('the unknown option "--frobnicate"', line)
        self.assertIn("See safetylock generate --help", line)
        line = self.assert_fails(tool("inspect", "a", "b", "c"), 2, "arg.usage")
        self.assertIn('what inspect does not take: "b" "c"', line)
        self.assertIn("See safetylock --help", self.assert_fails(tool("frobnicate"), 2, "arg.usage"))


class BashTest(CliTest):
    def complete(self, *words, cwd=None):
        """What bash offers for the last of `words`."""
        script = (f'eval "$({BINARY} completion bash)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _safetylock; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        result = subprocess.run(["bash", "--norc", "-c", script, "bash", "safetylock", *words], capture_output=True,
                                cwd=cwd, env=clean_environment(), timeout=60)
        self.assertEqual(result.stderr, b"")
        return result.stdout.decode().split()

    def test_commands(self):
        self.assertEqual(self.complete("gen"), ["generate"])
        self.assertTrue(set(COMMANDS) <= set(self.complete("")))
        self.assertEqual(self.complete("--ver"), ["--version"])

    def test_options_and_values(self):
        self.assertEqual(self.complete("generate", "m", "--prom"), ["--prompt", "--prompts"])
        self.assertEqual(self.complete("extract", "m", "--protocol", ""), ["grouped", "paper"])
        self.assertEqual(self.complete("inspect", "m", "--dtype", "b"), ["bfloat16"])
        self.assertEqual(self.complete("inspect", "m", "--dtype", "=", "fl"), ["float32", "float16"])
        self.assertEqual(self.complete("completion", ""), ["bash", "zsh", "fish"])
        self.assertEqual(self.complete("generate", "m", "--prompt", ""), [])

    def test_every_option_of_every_help_is_offered(self):
        for command in COMMANDS:
            text = tool(command, "--help").stdout.decode().split("Examples:")[0]
            for name in re.findall(r"(?m)^  (?:-\w,)?(--[a-z-]+)", text):
                self.assertIn(name, self.complete(command, name), command)

    def test_files_and_folders(self):
        (self.folder / "base.lock.safetensors").touch()
        (self.folder / "adapter").mkdir()
        self.assertEqual(self.complete("inspect", "ba", cwd=self.folder), ["base.lock.safetensors"])
        self.assertEqual(self.complete("generate", "m", "--lock", "b", cwd=self.folder), ["base.lock.safetensors"])
        self.assertEqual(self.complete("generate", "m", "--adapter", "", cwd=self.folder), ["adapter"])

    def test_on_a_terminal(self):
        """The tab key in an interactive bash."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(TERM="dumb", PS1="$ ", PATH=f"{pathlib.Path(BINARY).parent}:{os.environ['PATH']}")
            os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
        os.write(terminal, b'eval "$(safetylock completion bash)"; echo re""ady\n')
        shown, sent, deadline = b"", False, time.monotonic() + 60
        while time.monotonic() < deadline and not (sent and b"evaluate " in shown):
            if select.select([terminal], [], [], 1)[0]:
                try:
                    shown += os.read(terminal, 65536)
                except OSError:
                    break
            if not sent and b"\nready" in shown:
                os.write(terminal, b"safetylock ev\t")
                sent = True
        os.close(terminal)
        os.waitpid(pid, 0)
        self.assertIn(b"evaluate ", shown)


class FishTest(CliTest):
    def complete(self, line):
        """What fish offers for the end of `line`, without descriptions."""
        script = self.write("safetylock.fish", tool("completion", "fish").stdout)
        result = subprocess.run(["fish", "--no-config", "-c", 'source $argv[1]; complete -C $argv[2]', str(script), line],
                                capture_output=True, cwd=self.folder, timeout=60,
                                env=clean_environment(HOME=str(self.folder)))
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        return [offer.split("\t")[0] for offer in result.stdout.decode().splitlines()]

    def test_commands(self):
        self.assertEqual(self.complete("safetylock gen"), ["generate"])
        self.assertEqual(self.complete("safetylock "), sorted(COMMANDS))
        self.assertEqual(self.complete("safetylock --ver"), ["--version"])

    def test_options_and_values(self):
        self.assertEqual(self.complete("safetylock generate m --prom"), ["--prompt", "--prompts"])
        self.assertEqual(self.complete("safetylock inspect m --dtype b"), ["bfloat16"])
        self.assertEqual(self.complete("safetylock inspect m --dtype=b"), ["--dtype=bfloat16"])
        self.assertEqual(self.complete("safetylock completion "), ["bash", "fish", "zsh"])
        self.assertEqual(self.complete("safetylock generate m --prompt "), [])

    def test_files_and_folders(self):
        (self.folder / "base.lock.safetensors").touch()
        (self.folder / "adapter").mkdir()
        self.assertEqual(self.complete("safetylock inspect ba"), ["base.lock.safetensors"])
        self.assertEqual(self.complete("safetylock generate m --lock b"), ["base.lock.safetensors"])
        self.assertEqual(self.complete("safetylock generate m --adapter "), ["adapter/"])


class ZshTest(CliTest):
    def test_on_a_terminal(self):
        """The tab key in an interactive zsh."""
        (self.folder / "base.lock.safetensors").touch()
        (self.folder / "adapter").mkdir()
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.environ.update(TERM="dumb", PS1="% ", HOME=str(self.folder), LC_ALL="C.UTF-8",
                              PATH=f"{pathlib.Path(BINARY).parent}:{os.environ['PATH']}")
            os.execvp("zsh", ["zsh", "-f", "-i"])

        def expect(pattern):
            shown, deadline = b"", time.monotonic() + 60
            while not re.search(pattern, shown):
                self.assertLess(time.monotonic(), deadline, (pattern, shown))
                if select.select([terminal], [], [], 1)[0]:
                    shown += os.read(terminal, 65536)

        os.write(terminal, b'autoload -Uz compinit; compinit -u -D; eval "$(safetylock completion zsh)"; echo re""ady\n')
        expect(rb"\nready")
        for typed, offered in (("gen", rb"safetylock generate "), ("--ver", rb"--version "),
                               ("", rb"\ncompletion +-- Prints"), ("generate m --prom", rb"\n--prompts +-- "),
                               ("inspect m --dtype b", rb"--dtype bfloat16 "), ("inspect m --dtype=b", rb"--dtype=bfloat16 "),
                               ("completion ", rb"bash +fish +zsh"), ("inspect ba", rb"inspect base\.lock\.safetensors "),
                               ("generate m --lock b", rb"--lock base\.lock\.safetensors "),
                               ("generate m --adapter ", rb"--adapter adapter/")):
            os.write(terminal, b"safetylock " + typed.encode() + b"\t\t")
            expect(offered)
            os.write(terminal, b"\x15")  # drops the line
        os.close(terminal)
        os.waitpid(pid, 0)


class ScriptTest(CliTest):
    def test_shells_read_their_scripts(self):
        for shell, flags in (("bash", ["-n"]), ("zsh", ["-n"]), ("fish", ["--no-execute"])):
            with self.subTest(shell):
                script = self.write("script", tool("completion", shell).stdout)
                result = subprocess.run([shell, *flags, str(script)], capture_output=True, timeout=60)
                self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assert_fails(tool("completion", "tcsh"), 2, "arg.usage")


class DoctorTest(CliTest):
    def doctor(self, *args, **environment):
        result = tool("doctor", "--json", *args, env=clean_environment(**environment))
        return result.returncode, json.loads(result.stdout)

    def test_what_is_there(self):
        code, out = self.doctor(MODEL)
        self.assertEqual(code, 0, out)
        self.assertEqual(out["schema"], "safetylock.doctor/1")
        self.assertTrue(out["ok"])
        self.assertRegex(out["versions"]["libtorch"], r"^\d+\.\d+")
        self.assertRegex(out["versions"]["nlohmann_json"], r"^3\.")
        self.assertEqual(out["cpu"]["processors"], os.cpu_count())
        self.assertEqual(out["cpu"]["usable_processors"], len(os.sched_getaffinity(0)))
        flags = re.search(r"(?m)^flags\s*:(.*)", pathlib.Path("/proc/cpuinfo").read_text())
        if flags:
            self.assertEqual(out["cpu"]["features"]["AVX2"], "avx2" in flags[1].split())
            self.assertEqual(out["cpu"]["features"]["AVX512-BF16"], "avx512_bf16" in flags[1].split())
        self.assertGreater(out["memory"]["total_bytes"], 1e8)
        self.assertIn("bfloat16", out["speed"])

    def test_missing_models_are_named_with_what_to_do(self):
        code, out = self.doctor(SAFETYLOCK_CACHE=str(self.folder), SAFETYLOCK_MODELS="")
        self.assertEqual(code, 5)
        self.assertFalse(out["ok"])
        self.assertEqual(out["cache"], {"folder": str(self.folder), "exists": True})
        self.assertIn("scripts/get_model.py smollm2", " ".join(m["advice"] for m in out["missing"]))
        text = tool("doctor", env=clean_environment(SAFETYLOCK_CACHE=str(self.folder), SAFETYLOCK_MODELS="")).stdout
        self.assertIn(b"missing: the packaged model smollm2", text)
        self.assertIn(b"not ready", text)

    @unittest.skipUnless(re.search(r"(?m)^flags\s*:.*\bavx2\b", pathlib.Path("/proc/cpuinfo").read_text()), "a processor without AVX2")
    def test_kernels_can_be_limited(self):
        _, out = self.doctor(ATEN_CPU_CAPABILITY="avx2")
        self.assertEqual((out["cpu"]["libtorch_kernels"], out["cpu"]["safetylock_kernels"]), ("AVX2", "avx2"))
        _, out = self.doctor(ATEN_CPU_CAPABILITY="default")
        self.assertEqual(out["cpu"]["safetylock_kernels"], "portable")

    def test_packaged_models_are_those_of_get_model(self):
        spec = importlib.util.spec_from_file_location("get_model", SOURCE / "scripts/get_model.py")
        get_model = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(get_model)
        _, out = self.doctor(SAFETYLOCK_MODELS=str(self.folder))
        self.assertEqual({m["name"]: (pathlib.Path(m["path"]).name, m["bytes"]) for m in out["packaged_models"]},
                         {name: (m["file"], m["bytes"]) for name, m in get_model.MODELS.items() if not m.get("tests_only")})

    def test_a_model_that_cannot_be_used(self):
        code, out = self.doctor(self.path("none"))
        self.assertEqual(code, 5)
        self.assertIn("io.open", out["missing"][0]["what"])

    def test_a_gpu_that_is_not_there(self):
        _, out = self.doctor(MODEL)
        if out["cuda"]["devices"]:
            self.skipTest("this machine has one")
        code, out = self.doctor(MODEL, "--device", "cuda")
        self.assertEqual(code, 5)
        self.assertIn("CUDA", out["missing"][0]["what"])

    def test_words(self):
        self.assert_fails(tool("doctor", "--device", "abacus"), 2, "arg.device")
        self.assert_fails(tool("doctor", "--dtype", "int3"), 2, "arg.dtype")

    def test_text(self):
        text = tool("doctor", MODEL).stdout.decode()
        for heading in ("Versions", "Host", "Speed", "Files", "Verdict"):
            self.assertRegex(text, rf"(?m)^{heading}$")
        self.assertRegex(text, r"(?m)^  ready$")


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
