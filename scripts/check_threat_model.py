#!/usr/bin/env python3
"""Proves that each row of docs/threat-model.md has a test that carries its ID in its name, and that no test carries an ID
without a row.

A name holds the ID between underscores or at its beginning: TEST_F(Shards, X2_X3_OnlyPlainFileNames).
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LETTERS = "FCSXTBLDRGP"
ID = rf"[{LETTERS}]\d+"
TEST = re.compile(r"\bTEST(?:_F|_P)?\(\s*\w+,\s*(\w+)\s*\)")
# Rows of docs/lock-format.md and the command line, whose tests are named without IDs in the table.
WITHOUT_ROW = {"R1", "R8"}
# Proved while compiling.
WITHOUT_TEST = {"S23"}


def documented(text: str) -> set[str]:
    """IDs in the first columns of the tables; C1-C3 stands for all three."""
    found = set()
    for line in text.splitlines():
        cell = line.split("|")[1] if line.startswith("|") else ""
        for part in (p.strip() for p in cell.split(",")):
            if span := re.fullmatch(rf"([{LETTERS}])(\d+)-\1(\d+)", part):
                found.update(f"{span[1]}{n}" for n in range(int(span[2]), int(span[3]) + 1))
            elif re.fullmatch(ID, part):
                found.add(part)
    return found


def tested() -> set[str]:
    found = set()
    for path in (ROOT / "tests").rglob("*_test.cpp"):
        for name in TEST.findall(path.read_text()):
            # "B1UnknownStages" and "C1_C2_ConfigBytes" alike.
            found.update(re.findall(rf"(?:^|_)({ID})(?![0-9a-z])", name))
    return found


def main() -> int:
    rows, tests = documented((ROOT / "docs" / "threat-model.md").read_text()), tested()
    problems = [f"row {row} of docs/threat-model.md has no test of its name" for row in rows - tests - WITHOUT_TEST]
    problems += [f"tests named {row} have no row in docs/threat-model.md" for row in tests - rows - WITHOUT_ROW]
    for problem in sorted(problems):
        print(problem)
    print(f"{len(rows)} rows, {len(problems)} problems")
    return 1 if problems or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
