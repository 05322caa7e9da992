#!/usr/bin/env python3
"""Compares sentencepiece models with spm_encode and spm_decode, with the sentencepiece package and with transformers.

A model by itself: ids of Debian's spm_encode, offsets of the sentencepiece package, text of spm_decode. In a folder or a GGUF file: ids, offsets and text of transformers' LlamaTokenizer and
GemmaTokenizer. Where they disagree with spm_encode (a space before text that begins with one, runs of user-defined
spaces, <unk> spelled in a text), the folder follows transformers.

    sentencepiece_oracle.py DRIVER WORK [--count 200000]

The texts are shared out to the models; one of them is the packaged gemma-3-270m with its 262,144 pieces.
"""
import argparse
import collections
import functools
import json
import pathlib
import random
import shutil
import subprocess
import sys
import time

from tokenizer_oracle import Driver, compare, gguf_backend, make_texts

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from transformers import GemmaTokenizer, LlamaTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "text"
sys.path.insert(0, str(ROOT / "scripts"))
import make_golden_sentencepiece  # noqa: E402

SEED = 20241014
NAMES = ["<s>", "</s>", "<unk>", "<pad>", "<bos>", "<eos>", "<ctl>", "<sep>", "[MASK]", "<0x0A>", "<0xFF>", "<mask>", "<table>", "</b>",
         "<left>", "<right>", "<new>", "word", "two words", "\u2581", "\u2581\u2581", " \u2581 ", "caf", "<b>", "\n\n", "\ufb01",
         "A\u030a\u0301", "a\u030a\u0301", "\uff21\uff42"]
# Written by a user they stay text (src/text/control_marker.h); in these comparisons there is no user.
MARKERS = ["<start_of_turn>", "<end_of_turn>", "[toxicity=0]", "<unused0>", "<mask>", "<sep>", "[MASK]", "<left>", "<right>", "<new>"]


def texts_of(count: int) -> list[str]:
    r = random.Random(SEED)
    words = make_golden_sentencepiece.corpus()
    texts = []
    for text in make_texts(count):
        kind = r.random()
        if kind < 0.3:
            text = r.choice(words)
        if kind < 0.5:
            for _ in range(r.randint(1, 3)):
                at, name = r.randint(0, len(text)), r.choice(NAMES + MARKERS)
                if r.random() < 0.2:
                    name = name[:-1] or name
                text = text[:at] + r.choice(["", " ", "  "]) + name + r.choice(["", " ", "  "]) + text[at:]
        texts.append(text)
    return texts


def without(texts: list[str], names: list[str]) -> list[str]:
    return [t for t in texts if not any(n in t for n in names)]


def report(name: str, wrong: list, total: int) -> int:
    for what in wrong[:5]:
        print("   ", *what)
    print(f"  {name}: {total - len(wrong)} of {total} equal", flush=True)
    return len(wrong)


# ---- A model by itself ----------------------------------------------------------------------------------------------

def lines(program: str, model: pathlib.Path, option: str, given: list[str]) -> list[str]:
    done = subprocess.run([program, f"--model={model}", option], input="".join(t + "\n" for t in given).encode(),
                          capture_output=True, check=True)
    return done.stdout.decode().split("\n")[:-1]


def check_alone(driver: Driver, name: str, model: pathlib.Path, texts: list[str]) -> int:
    ours, _ = driver.run(model, [t.encode() for t in texts], "--sentencepiece", "--plain")
    wrong = 0

    single = [i for i, t in enumerate(texts) if "\n" not in t]
    expected = lines("spm_encode", model, "--output_format=id", [texts[i] for i in single])
    bad = [(repr(texts[i]), ours[i][0], want) for i, want in zip(single, expected, strict=True)
           if ours[i][0] != [int(x) for x in want.split()]]
    wrong += report(f"{name}, ids of spm_encode", bad, len(single))
    decoded = lines("spm_decode", model, "--input_format=id", expected)
    bad = [(repr(texts[i]), repr(ours[i][3]), repr(want)) for i, want in zip(single, decoded, strict=True) if ours[i][3] != want]
    wrong += report(f"{name}, text of spm_decode", bad, len(single))

    # The package is of a later version, which prefers other cuts of equal score: its offsets count where its ids are ours.
    library = sentencepiece.SentencePieceProcessor(model_file=str(model))
    bad, same = [], 0
    for text, (ids, begins, ends, *_) in zip(texts, ours):
        pieces = library.encode(text, return_type="proto").pieces
        if ids != [p.id for p in pieces]:
            continue
        same += 1
        if list(zip(begins, ends)) != [(p.begin, p.end) for p in pieces]:
            bad.append((repr(text), list(zip(ids, begins, ends)), [(p.begin, p.end) for p in pieces]))
    wrong += report(f"{name}, offsets of the package", bad, same)
    if same < 0.98 * len(texts):
        wrong += report(f"{name}, ids of the package", [("fewer than 98 % are equal",)], len(texts))

    # With control tokens parsed, what a text without them becomes is the same.
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.read_bytes())
    few = without(texts[:len(texts) // 5], [p.piece for p in proto.pieces if p.type in (3, 4)])
    parsed, _ = driver.run(model, [t.encode() for t in few], "--sentencepiece")
    as_text, _ = driver.run(model, [t.encode() for t in few], "--sentencepiece", "--plain")
    bad = [(repr(t), a, b) for t, a, b in zip(few, parsed, as_text) if a != b]
    return wrong + report(f"{name}, with control tokens parsed", bad, len(few))


# ---- In a folder ----------------------------------------------------------------------------------------------------

def folder(path: pathlib.Path, model: str, config: dict, **files) -> pathlib.Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    shutil.copy(GOLDEN / f"{model}.model", path / "tokenizer.model")
    for name, content in {"tokenizer_config": config, **files}.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    return path


def token(content: str, **flags) -> dict:
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": False, **flags}


def check_folder(driver: Driver, name: str, oracle, path: pathlib.Path, texts: list[str]) -> int:
    encoded = [t.encode() for t in texts]
    ours, _ = driver.run(path, encoded)
    wrong = compare(name, oracle, ours, texts, False)
    few = len(texts) // 5
    ours, _ = driver.run(path, encoded[:few], "--special")
    wrong += compare(name + ", bos and eos", oracle, ours, texts[:few], True)
    # transformers still matches user-defined markers then.
    plain = without(texts[:few], MARKERS)
    ours, _ = driver.run(path, [t.encode() for t in plain], "--plain")
    oracle.encode_special_tokens = True
    wrong += compare(name + ", control tokens as text", oracle, ours, plain, False)
    oracle.encode_special_tokens = False
    return wrong


LLAMA = {"tokenizer_class": "LlamaTokenizer"}
DECLARED = {
    "0": token("<unk>", special=True), "1": token("<s>", special=True), "2": token("</s>", special=True),
    "NEXT": token("<left>", lstrip=True), "NEXT1": token("<right>", rstrip=True, special=True),
    "NEXT2": token("two words", normalized=True), "NEXT3": token("<new>", single_word=True), "NEXT4": token("word", single_word=True, normalized=True),
}


def declared(model: str, first: dict) -> dict:
    """Added tokens behind the vocabulary, and one inside it."""
    pieces = {p.piece: i for i, p in enumerate(sentencepiece_model_pb2.ModelProto.FromString((GOLDEN / f"{model}.model").read_bytes()).pieces)}
    out, new = {}, len(pieces)
    for key, value in {**first, **{k: v for k, v in DECLARED.items() if k.startswith("NEXT")}}.items():
        if value["content"] in pieces:
            key = str(pieces[value["content"]])
        elif key.startswith("NEXT"):
            key, new = str(new), new + 1
        out[key] = value
    return out


def folders(work: pathlib.Path):
    """(name, oracle, folder): every rule of the two classes."""
    def llama(name, config, **files):
        path = folder(work / f"llama {name}".replace(" ", "_"), "llama", {**LLAMA, **config}, **files)
        return "LlamaTokenizer " + name, LlamaTokenizer.from_pretrained(path).backend_tokenizer, path

    def gemma(name, config, **files):
        path = folder(work / f"gemma {name}".replace(" ", "_"), "gemma", {"tokenizer_class": "GemmaTokenizer", **config}, **files)
        return "GemmaTokenizer " + name, GemmaTokenizer.from_pretrained(path).backend_tokenizer, path

    first = {k: v for k, v in DECLARED.items() if not k.startswith("NEXT")}
    yield llama("as Llama 2", {"legacy": False, "add_bos_token": True, "add_eos_token": False, "sp_model_kwargs": {}})
    yield llama("as Mistral", {"legacy": True, "add_bos_token": True, "add_eos_token": True, "additional_special_tokens": []})
    yield llama("no prefix", {"legacy": False, "add_prefix_space": False, "add_bos_token": True})
    yield llama("added tokens", {"legacy": False, "added_tokens_decoder": declared("llama", first), "pad_token": "<unk>"})
    yield llama("added tokens legacy", {"legacy": True, "added_tokens_decoder": declared("llama", first), "bos_token": "<s>",
                                        "additional_special_tokens": ["<left>"]})
    yield llama("of transformers 4", {"add_bos_token": True}, added_tokens={"<new>": 800, "<right>": 801},
                special_tokens_map={"bos_token": token("<s>", normalized=True), "eos_token": "</s>", "pad_token": "<new>", "unk_token": "<unk>"})
    yield gemma("as Gemma", {"add_bos_token": True})
    gemma_first = {"0": token("<pad>", special=True), "1": token("<eos>", special=True), "2": token("<bos>", special=True),
                   "3": token("<unk>", special=True), "5": token("<start_of_turn>", special=True), "6": token("<end_of_turn>", special=True)}
    yield gemma("added tokens", {"added_tokens_decoder": declared("gemma", gemma_first), "add_eos_token": True,
                                 "extra_special_tokens": ["<unused0>"]})


def write_gguf(path: pathlib.Path, model: str, architecture: str) -> pathlib.Path:
    proto = sentencepiece_model_pb2.ModelProto.FromString((GOLDEN / f"{model}.model").read_bytes())
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    # Gemma's files spell pieces of spaces so.
    gemma = architecture.startswith("gemma")
    writer.add_token_list([" " * len(p.piece) if gemma and set(p.piece) == {"\u2581"} and len(p.piece) > 1 else p.piece for p in proto.pieces])
    if gemma:
        writer.add_add_space_prefix(False)
    writer.add_token_scores([p.score for p in proto.pieces])
    writer.add_token_types([p.type for p in proto.pieces])
    writer.add_bos_token_id(proto.trainer_spec.bos_id)
    writer.add_eos_token_id(proto.trainer_spec.eos_id)
    writer.add_unk_token_id(proto.trainer_spec.unk_id)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def check_gguf(driver: Driver, name: str, path: pathlib.Path, texts: list[str]) -> int:
    ours, _ = driver.run(path, [t.encode() for t in texts])
    return compare(name, gguf_backend(path), ours, texts, False)


def packaged(name: str) -> pathlib.Path:
    found = subprocess.run([sys.executable, ROOT / "scripts/get_model.py", name], check=True, stdout=subprocess.PIPE, text=True)
    return pathlib.Path(found.stdout.strip())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("driver")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=200_000)
    args = parser.parse_args()
    start = time.time()
    args.work.mkdir(parents=True, exist_ok=True)
    driver, texts = Driver(args.driver, args.work), texts_of(args.count)
    print(f"{len(texts)} texts, {sum(len(t.encode()) for t in texts) / 1e6:.1f} MB")

    nfkc = args.work / "nfkc.model"  # the library's own rules: a charsmap of 240 KB
    nfkc.write_bytes(make_golden_sentencepiece.unigram(normalization_rule_name="nmt_nfkc_cf"))
    alone = {**{n: GOLDEN / f"{n}.model" for n in ("llama", "gemma", "unigram", "plain")}, "nfkc": nfkc}
    checks = [functools.partial(check_alone, driver, name, model) for name, model in alone.items()]
    checks += [functools.partial(check_folder, driver, *folder) for folder in folders(args.work)]
    for model, architecture in (("llama", "llama"), ("gemma", "llama"), ("gemma", "gemma3"), ("llama", "phi3")):
        path = write_gguf(args.work / f"{model}-{architecture}.gguf", model, architecture)
        checks.append(functools.partial(check_gguf, driver, f"GGUF of {model}, architecture {architecture}", path))
    checks.append(functools.partial(check_gguf, driver, "gemma-3-270m", packaged("gemma3-270m")))
    wrong = sum(check(texts[i::len(checks)]) for i, check in enumerate(checks))

    print(f"{'all equal' if wrong == 0 else f'{wrong} differences'} in {time.time() - start:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
