#!/usr/bin/env python3
"""The blocks of docs/serving.md, and running them as they stand, with another port. check_engines.py does; by itself this file
checks that every block says whether it is run.

A block follows one of: <!-- run: NAME -->, <!-- server: NAME -->, <!-- python: NAME -->, <!-- not run here -->.
"""
import os
import pathlib
import re
import subprocess
import sys

DOC = pathlib.Path(__file__).resolve().parent.parent / "docs" / "serving.md"
BLOCK = re.compile(r"(?:^<!-- (?P<mark>[^>]+) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
KINDS = ("run", "server", "python")
PORT = "8000"


def blocks():
    """[(kind, name, text)]; kind "not run here" has no name."""
    found = []
    for match in BLOCK.finditer(DOC.read_text()):
        kind, _, name = (match["mark"] or "").partition(": ")
        found.append((kind, name, match["text"]))
    return found


def block(kind, name):
    (text,) = [text for k, n, text in blocks() if (k, n) == (kind, name)]
    return text


def run(kind, name, folder, environment, port=PORT):
    """Runs a block to its end; the last lines of what it printed."""
    text = block(kind, name).replace(PORT, str(port))
    command = ["bash", "-euo", "pipefail", "-c", text] if kind == "run" else [sys.executable, "-c", text]
    result = subprocess.run(command, cwd=folder, env={**os.environ, **environment}, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    return result.returncode, result.stdout.strip()


def server(name, port):
    """The command of a server's block."""
    return ["bash", "-euo", "pipefail", "-c", block("server", name).replace(PORT, str(port))]


def main():
    found = blocks()
    unmarked = [text for kind, name, text in found if not (kind in KINDS and name) and kind != "not run here"]
    for text in unmarked:
        print("not marked:\n" + text)
    used = {(kind, name) for kind, name, _ in found if kind in KINDS}
    runner = (DOC.parent.parent / "scripts" / "check_engines.py").read_text()
    left_out = sorted(f"{kind}: {name}" for kind, name in used if f'"{name}"' not in runner)
    for name in left_out:
        print(f"marked {name}, but check_engines.py does not run it")
    print(f"{len(found)} blocks, {len(used)} of them run, {len(unmarked) + len(left_out)} problems")
    return 1 if unmarked or left_out or not used else 0


if __name__ == "__main__":
    sys.exit(main())
