#!/usr/bin/env python3
"""Runs one long command: a progress bar with ETA on a terminal, a plain line now and then elsewhere.

The command's output goes to a log; its last lines are shown when it fails, and the exit code is the command's.
Progress comes from lines that begin with "[done/total]" (as ninja prints); without such lines, from the time the
step usually takes (--usual SECONDS).
"""
import argparse
import re
import subprocess
import sys
import time

COUNTER = re.compile(rb"^\[(\d+)/(\d+)\]")
PLAIN_INTERVAL_S = 15


def clock(seconds: float) -> str:
    seconds = max(0, int(seconds))
    return f"{seconds // 60}:{seconds % 60:02d}"


def bar(share: float, width: int = 24) -> str:
    full = int(share * width)
    return "[" + "#" * full + "." * (width - full) + "]"


def status(label: str, elapsed: float, counted: tuple[int, int] | None, usual: float) -> str:
    if counted and counted[1]:
        done, total = counted
        eta = f", {clock(elapsed * (total - done) / done)} left" if done else ""
        return f"{label} {bar(done / total)} {done}/{total}, {clock(elapsed)} gone{eta}"
    if usual:
        share = min(elapsed / usual, 0.99)
        return f"{label} {bar(share)} {clock(elapsed)} gone, about {clock(usual - elapsed)} left"
    return f"{label} {clock(elapsed)} gone"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--label", required=True)
    parser.add_argument("--log", required=True, help="file that receives the command's output")
    parser.add_argument("--usual", type=float, default=0, help="seconds the step usually takes")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    command = args.command[1:] if args.command[:1] == ["--"] else args.command

    terminal = sys.stderr.isatty()
    started = last_plain = time.monotonic()
    counted = None
    position = 0
    with open(args.log, "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            while process.poll() is None:
                time.sleep(0.2)
                with open(args.log, "rb") as reader:
                    reader.seek(position)
                    fresh = reader.read()
                whole = fresh[: fresh.rfind(b"\n") + 1]
                position += len(whole)
                for line in whole.splitlines():
                    match = COUNTER.match(line)
                    if match:
                        counted = (int(match[1]), int(match[2]))
                now = time.monotonic()
                text = status(args.label, now - started, counted, args.usual)
                if terminal and now - started > 1:
                    print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
                elif not terminal and now - last_plain > PLAIN_INTERVAL_S:
                    print(text, file=sys.stderr, flush=True)
                    last_plain = now
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            print(f"\n{args.label}: interrupted", file=sys.stderr)
            return 130
    if terminal:
        print("\r\033[K", end="", file=sys.stderr)
    elapsed = time.monotonic() - started
    if process.returncode == 0:
        print(f"{args.label}: done in {clock(elapsed)}", file=sys.stderr, flush=True)
        return 0
    print(f"{args.label}: FAILED after {clock(elapsed)} (exit code {process.returncode}). Last lines of {args.log}:",
          file=sys.stderr)
    with open(args.log, "rb") as reader:
        for line in reader.read().splitlines()[-40:]:
            print("    " + line.decode(errors="replace"), file=sys.stderr)
    return process.returncode if process.returncode > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
