#!/usr/bin/env python3
"""Compares tekken.json files with transformers' conversion of them (ids, offsets, decoded text) and with tiktoken (ids).

The vocabulary is trained here; the files have the shapes of Mistral's own, and the pattern of tekken.

    tekken_oracle.py DRIVER WORK [--count 200000]
"""
import argparse
import base64
import json
import pathlib
import random
import sys
import time

from tokenizer_oracle import SEED, Driver, check, make_texts, trained_vocabulary

import tiktoken
from transformers import AutoTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

PATTERN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
           r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
           r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CONTROL = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[TOOL_CALLS]", "<pad>", "[SYSTEM_PROMPT]", "caf\u00e9>", "[\u4e2d]"]


def texts_of(count: int) -> list[str]:
    r = random.Random(SEED + 2)
    texts = []
    for text in make_texts(count):
        for _ in range(r.choice([0, 0, 0, 1, 2])):
            at, name = r.randint(0, len(text)), r.choice(CONTROL + ["<SPECIAL_30>", "[INST", "aB", "HTTPServer", "x/\r\n/"])
            text = text[:at] + r.choice(["", " "]) + name + r.choice(["", " ", "\n"]) + text[at:]
        texts.append(text)
    return texts


def tokens_by_rank() -> list[bytes]:
    """Each byte, then what was trained, and two tokens that no merges reach."""
    vocab, _ = trained_vocabulary(4000)
    byte_of = {c: b for b, c in bytes_to_unicode().items()}
    longer = [bytes(byte_of[c] for c in t) for t in sorted(vocab, key=vocab.get) if len(t) > 1]
    return [bytes([b]) for b in range(256)] + longer + [b"supercalifragilistic", "中中中中".encode()]


def write(folder: pathlib.Path, tokens: list[bytes], **config) -> pathlib.Path:
    """As Mistral Small 3's file: more tokens listed than used, fillers behind the named control tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    text = lambda t: t.decode() if all(0x20 <= b < 0x7F for b in t) else None
    (folder / "tekken.json").write_text(json.dumps({
        "config": {"pattern": PATTERN, "num_vocab_tokens": len(tokens), "version": "v7", **config},
        "vocab": [{"rank": i, "token_bytes": base64.b64encode(t).decode(), "token_str": text(t)} for i, t in enumerate(tokens)],
        "special_tokens": [{"rank": i, "token_str": t, "is_control": True} for i, t in enumerate(CONTROL)],
    }))
    (folder / "params.json").write_text("{}")
    return folder


def check_tiktoken(driver: Driver, folder: pathlib.Path, tokens: list[bytes], control: int, texts: list[str]) -> int:
    """With control tokens as text. Where a token can be made in two ways at once, tiktoken takes the leftmost."""
    encoding = tiktoken.Encoding("tekken", pat_str=PATTERN, mergeable_ranks={t: i for i, t in enumerate(tokens)}, special_tokens={})
    ours, _ = driver.run(folder, [t.encode() for t in texts], "--plain")
    wrong = 0
    for text, (ids, *_) in zip(texts, ours):
        want = [i + control for i in encoding.encode(text, disallowed_special=())]
        if ids != want:
            wrong += 1
            if wrong <= 5:
                print(f"    tiktoken, ids of {text!r}\n      got  {ids}\n      want {want}")
    print(f"  tiktoken: {len(texts) - wrong} of {len(texts)} equal", flush=True)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("driver")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=200_000)
    args = parser.parse_args()
    start = time.time()
    driver, wrong = Driver(args.driver, args.work), 0
    args.work.mkdir(parents=True, exist_ok=True)
    texts, tokens = texts_of(args.count), tokens_by_rank()
    fillers = write(args.work / "fillers", tokens + [b"not used", b"nor this"], default_num_special_tokens=40, default_vocab_size=40 + len(tokens))
    whole = write(args.work / "whole", tokens)
    for name, folder, share in (("fillers, a cut vocabulary", fillers, texts[::2]), ("all of the vocabulary", whole, texts[1::2])):
        wrong += check(driver, f"tekken.json, {name}", AutoTokenizer.from_pretrained(folder).backend_tokenizer, folder, share)[0]
    wrong += check_tiktoken(driver, whole, tokens, len(CONTROL), texts[::4])
    print(f"{'all equal' if wrong == 0 else f'{wrong} differences'} in {time.time() - start:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
