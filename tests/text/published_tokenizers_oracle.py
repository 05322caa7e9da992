#!/usr/bin/env python3
"""Mistral's published tokenizer files: ids of tekken.json against tiktoken, of sentencepiece models against the
sentencepiece package by themselves, and against transformers' LlamaTokenizer in a folder and saved as tokenizer.json.

    published_tokenizers_oracle.py DRIVER WORK [--count 4000]

The files are those that scripts/get_published.py leaves in the cache.
"""
import argparse
import base64
import json
import pathlib
import sys

from tokenizer_oracle import Driver, make_texts

import sentencepiece
import tiktoken
from transformers import LlamaTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import get_model  # noqa: E402


def report(name: str, texts: list[str], ours: list, expected) -> int:
    bad = [(text, ids, want) for text, (ids, *_), want in zip(texts, ours, map(expected, texts), strict=True) if ids != want]
    for text, ids, want in bad[:3]:
        print(f"    {text!r}: got {ids[:20]}, want {want[:20]}")
    print(f"  {name}: {len(texts) - len(bad)} of {len(texts)} equal", flush=True)
    return len(bad)


def folder_of(work: pathlib.Path, file: pathlib.Path, name: str) -> pathlib.Path:
    folder = work / file.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(file.read_bytes())
    return folder


def check_tekken(driver: Driver, work: pathlib.Path, file: pathlib.Path, texts: list[str]) -> int:
    content = json.loads(file.read_text())
    config = content["config"]
    specials = config["default_num_special_tokens"]
    used = content["vocab"][:config["default_vocab_size"] - specials]
    oracle = tiktoken.Encoding(file.name, pat_str=config["pattern"], special_tokens={},
                               mergeable_ranks={base64.b64decode(t["token_bytes"]): t["rank"] for t in used})
    ours, _ = driver.run(folder_of(work, file, "tekken.json"), [t.encode() for t in texts], "--plain")
    return report(file.name, texts, ours, lambda t: [rank + specials for rank in oracle.encode_ordinary(t)])


def check_sentencepiece(driver: Driver, work: pathlib.Path, file: pathlib.Path, texts: list[str]) -> int:
    folder = folder_of(work, file, "tokenizer.model")
    alone = sentencepiece.SentencePieceProcessor(model_file=str(file))
    ours, _ = driver.run(folder / "tokenizer.model", [t.encode() for t in texts], "--sentencepiece", "--plain")
    wrong = report(file.name, texts, ours, alone.encode)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer", "legacy": False}))
    oracle = LlamaTokenizer.from_pretrained(folder)
    oracle.save_pretrained(work / (file.name + ".saved"))
    for name, path in ((", LlamaTokenizer", folder), (", saved as tokenizer.json", work / (file.name + ".saved"))):
        few = texts[:len(texts) // 2]
        ours, _ = driver.run(path, [t.encode() for t in few])
        wrong += report(file.name + name, few, ours, lambda t: oracle(t, add_special_tokens=False).input_ids)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("driver")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=4_000)
    args = parser.parse_args()
    files = sorted((get_model.default_cache() / "tokenizers").glob("*"))
    tekken = [f for f in files if f.suffix == ".json"]
    models = [f for f in files if ".model" in f.name]
    if len(tekken) != 2 or len(models) != 5:
        sys.exit("not all tokenizers are there: run scripts/get_published.py tokenizers")
    args.work.mkdir(parents=True, exist_ok=True)
    driver, texts = Driver(args.driver, args.work), make_texts(args.count)
    return 1 if sum(check_tekken(driver, args.work, f, texts) for f in tekken) \
        + sum(check_sentencepiece(driver, args.work, f, texts) for f in models) else 0


if __name__ == "__main__":
    sys.exit(main())
