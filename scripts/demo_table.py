#!/usr/bin/env python3
"""Prints what the demo found: answers side by side, in file order and with failures, then the table of numbers.

Reads extract.json, base.json and tuned.json (`safetylock extract|evaluate --json`) from one folder; tuned.json holds the
fine-tuned model without and with the lock.
"""
import argparse
import json
import pathlib
import shutil
import textwrap

# key, label, file, run in it
MODELS = [("base", "base", "base", "unlocked"), ("tuned", "fine-tuned", "tuned", "unlocked"), ("locked", "locked", "tuned", "locked")]


def rate(r: dict) -> str:
    if r["n"] == 0:
        return "-"
    return f"{r['count']}/{r['n']} {100 * r['value']:.0f} % [{100 * r['low']:.0f}, {100 * r['high']:.0f}]"


def mean(m: dict) -> str:
    return f"{m['value']:+.1f} [{m['low']:+.1f}, {m['high']:+.1f}]"


def one_line(text: str, width: int) -> str:
    return textwrap.shorten(" ".join(text.split()) or "(nothing)", width, placeholder=" ...")


def print_answers(runs: dict, kind: str, width: int) -> None:
    for i, result in enumerate(runs["base"][kind]["results"]):
        print(f"{i + 1:3}. {one_line(result['prompt'], width - 5)}")
        for key, label, _, _ in MODELS:
            answer = runs[key][kind]["results"][i]
            print(f"     {label:<10} {answer['outcome']:<10} {one_line(answer['reply'], width - 27)}")


def print_table(runs: dict, widths: tuple[int, int]) -> None:
    rows = [
        ("harmful: answered", lambda e: rate(e["harmful"]["answered"])),
        ("harmful: refused", lambda e: rate(e["harmful"]["refused"])),
        ("harmful: degenerate", lambda e: rate(e["harmful"]["degenerate"])),
        ("harmful: refusal margin", lambda e: mean(e["harmful"]["refusal_margin"])),
        ("benign: refused", lambda e: rate(e["benign"]["refused"])),
        ("benign: degenerate", lambda e: rate(e["benign"]["degenerate"])),
        ("benign: refusal margin", lambda e: mean(e["benign"]["refusal_margin"])),
    ]
    first, other = widths
    print(" " * first + "".join(f"{label:<{other}}" for _, label, _, _ in MODELS))
    for name, cell in rows:
        print(f"{name:<{first}}" + "".join(f"{cell(runs[key]):<{other}}" for key, _, _, _ in MODELS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--title", required=True)
    args = parser.parse_args()
    width = max(80, min(shutil.get_terminal_size((120, 40)).columns, 160))
    extract, base, tuned = (json.loads((args.folder / f"{name}.json").read_text(encoding="utf-8"))
                            for name in ("extract", "base", "tuned"))
    files = {"base": base, "tuned": tuned}
    runs = {key: files[file]["runs"][run]["sets"] for key, _, file, run in MODELS}

    print(f"{args.title}: held-out harmful prompts, in file order")
    print_answers(runs, "harmful", width)
    print("\nBenign prompts, in file order")
    print_answers(runs, "benign", width)
    print(f"\n{args.title}: count/n, share, 95 % interval; margins are log p(\"I\") - log p(\"Sure\")")
    print_table(runs, (26, 26))
    print()
    print_facts(extract, tuned)


def print_facts(extract: dict, tuned: dict) -> None:
    for kind, sets in tuned["comparison"]["sets"].items():
        test, shift = sets["answered"], sets["margin_shift"]
        print(f"{kind}: answered without the lock alone {test['unlocked_only']}, with it alone {test['locked_only']}, "
              f"McNemar's exact p = {test['p']:.2g}; margin shift {mean(shift)}")
    heads = extract["heads"][:6]
    print("Top heads (layer.head, validation accuracy): "
          + ", ".join(f"{h['layer']}.{h['head']} {h['accuracy']:.3f}" for h in heads))
    print(f"Derived in {extract['seconds']['total']:.1f} s ({extract['pairs_per_second']:.1f} pairs/s); "
          f"applied in {1000 * tuned['apply_seconds']:.1f} ms at alpha {tuned['lock']['alpha']:g}, {tuned['lock']['heads']} heads.")


if __name__ == "__main__":
    main()
