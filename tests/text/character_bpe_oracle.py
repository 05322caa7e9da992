#!/usr/bin/env python3
"""Compares tokenizer.json files that hold a sentencepiece vocabulary with Hugging Face's tokenizers.

One tokenizer for each pipeline that the families' published files have (Llama 2, Mistral, Phi-3, Gemma), and others that
use what these leave out; the vocabulary is trained here. Compared are ids, offsets and decoded text, with and without
control tokens.

    character_bpe_oracle.py DRIVER WORK [--count 200000]
"""
import argparse
import copy
import functools
import json
import pathlib
import random
import sys
import time

from tokenizer_oracle import FLAGGED, Driver, compare, make_texts, piece, save

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SEED = 20251125
SPACE = "\u2581"
BYTES = [f"<0x{b:02X}>" for b in range(256)]
ROLES = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
TURNS = ["<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "[TOOL_CALLS]"]
# What a text must hold for the rules of this vocabulary to show.
NASTY = ROLES + TURNS + ["<s>", "</s>", "<unk>", "<bos>", SPACE, SPACE * 2, f" {SPACE} ", "<0x0A>", "<0xFF>", "\n\n", "\n\n\n", "  ",
                         "\u0085", "\u180e", "\u2028", "\0", "\ufeff", "\U0001F468\u200d\U0001F469\u200d\U0001F467", "\ufffd", "\U0010ffff"]


def texts_of(count: int) -> list[str]:
    r = random.Random(SEED)
    texts = [*NASTY, *(f"{n}\n{m}" for n in NASTY for m in NASTY)]
    for text in make_texts(count)[len(texts):]:
        for _ in range(r.choice([0, 0, 1, 1, 3])):
            at, name = r.randint(0, len(text)), r.choice(NASTY)
            if r.random() < 0.2:
                name = name[:-1] or name
            text = text[:at] + r.choice(["", "", " ", "  ", "\n", "\t \u3000"]) + name + r.choice(["", "", " ", "  ", "\n\n"]) + text[at:]
        texts.append(text)
    return texts


@functools.cache
def trained_vocabulary(control: tuple[str, ...]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The control tokens, the bytes and 2,500 pieces of texts like those compared; rare characters are left to the bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=True)
    r = random.Random(SEED + 1)
    # No merge makes an added token: in such a case ours stay text.
    ordinary = [p for p in (piece(r) for _ in range(40_000)) if not any(t.content in p for t in FLAGGED)]
    corpus = [" ".join(ordinary[i:i + 20]) for i in range(0, len(ordinary), 20)]
    trainer = trainers.BpeTrainer(vocab_size=2500 + len(BYTES) + len(control), special_tokens=[*control, *BYTES], limit_alphabet=400, show_progress=False)
    tokenizer.train_from_iterator(corpus, trainer)
    state = json.loads(tokenizer.to_str())["model"]
    vocab, merges = state["vocab"], [tuple(m) for m in state["merges"]]
    for n in (1, 2, 4):  # runs of spaces, as sentencepiece vocabularies have them
        if (SPACE * n, SPACE * n) not in merges:
            merges.append((SPACE * n, SPACE * n))
        vocab.setdefault(SPACE * 2 * n, len(vocab))
    return vocab, merges


def special(*contents, **flags) -> list[AddedToken]:
    return [AddedToken(c, special=True, normalized=False, **flags) for c in contents]


def bos_template(vocab: dict[str, int], bos: str, eos: str | None = None):
    end = f" {eos}" if eos else ""
    return processors.TemplateProcessing(single=f"{bos} $A{end}", pair=f"{bos} $A{end} {bos}:1 $B:1",
                                         special_tokens=[(t, vocab[t]) for t in (bos, eos) if t])


FALLBACK = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
WITH_STRIP = decoders.Sequence([*FALLBACK, decoders.Strip(" ", 1, 0)])
OLD_LLAMA = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])


def tokenizer(control, added, *, normalizer=None, cut=None, decoder=WITH_STRIP, eos=None, **flags) -> Tokenizer:
    vocab, merges = (copy.copy(x) for x in trained_vocabulary(tuple(control)))
    if flags.get("ignore_merges"):
        vocab[SPACE + "supercalifragilistic"] = len(vocab)  # no merge makes it
    out = Tokenizer(models.BPE(vocab, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>", **flags))
    if normalizer is not None:
        out.normalizer = normalizer
    if cut is not None:
        out.pre_tokenizer = cut
    out.decoder = decoder
    bos = "<bos>" if "<bos>" in control else "<s>"
    out.post_processor = bos_template(vocab, bos, eos)
    out.add_special_tokens(special(*control))
    for token in added:
        (out.add_special_tokens if token.special else out.add_tokens)([token])
    return out


def families():
    """name -> tokenizer"""
    llama, gemma = ["<unk>", "<s>", "</s>"], ["<pad>", "<eos>", "<bos>", "<unk>"]
    metaspace = pre_tokenizers.Metaspace
    plain = [AddedToken(c, normalized=False) for c in ("\n\n", "\n\n\n", SPACE * 2, SPACE * 4, "<table>")]
    yield "Llama 2 (Prepend, Replace)", tokenizer(llama, [], normalizer=OLD_LLAMA, eos="</s>")
    yield "Mistral v3 (Metaspace first)", tokenizer(llama + TURNS[2:], [], cut=metaspace(prepend_scheme="first", split=False))
    yield "Phi-3 (roles with rstrip)", tokenizer(llama, special(*ROLES, rstrip=True), normalizer=OLD_LLAMA)
    yield "Gemma (Replace, Split)", tokenizer(
        gemma, special(*TURNS[:2]) + plain, normalizer=normalizers.Replace(" ", SPACE),
        cut=pre_tokenizers.Split(" ", "merged_with_previous"), decoder=decoders.Sequence(FALLBACK))
    yield "Metaspace always, split", tokenizer(llama, FLAGGED, cut=metaspace(prepend_scheme="always", split=True),
                                               decoder=decoders.Metaspace(prepend_scheme="always", split=True))
    yield "Metaspace never, ignore_merges", tokenizer(llama, [], cut=metaspace(prepend_scheme="never", split=True), ignore_merges=True,
                                                      decoder=decoders.Sequence([*FALLBACK, decoders.Metaspace(prepend_scheme="never")]))
    yield "normalized added tokens", tokenizer(
        llama, FLAGGED, normalizer=normalizers.Sequence([normalizers.NFC(), OLD_LLAMA, normalizers.Replace("ll", "<ab>")]))
    yield "no normalizer, Split", tokenizer(gemma, FLAGGED, cut=pre_tokenizers.Split(" ", "merged_with_previous"),
                                            decoder=decoders.Sequence(FALLBACK + [decoders.Strip(SPACE, 2, 0)]))


# Added tokens that their files do not call special, but that a user cannot write (src/text/control_marker.h).
MARKERS = [t.content for t in FLAGGED if not t.special and set("<>|") & set(t.content)]


def check(driver: Driver, name: str, oracle: Tokenizer, folder: pathlib.Path, texts: list[str]) -> int:
    encoded = [t.encode() for t in texts]
    wrong = compare(name, oracle, driver.run(folder, encoded)[0], texts, False)
    few = texts[:len(texts) // 10]
    wrong += compare(name + ", bos and eos", oracle, driver.run(folder, encoded[:len(few)], "--special")[0], few, True)
    # A word that is a control token as a whole becomes it in tokenizers when merges are ignored, never in ours.
    stay_text = MARKERS + [t.content for t in oracle.get_added_tokens_decoder().values() if t.special] * oracle.model.ignore_merges
    plain = [t for t in few if not any(m in t for m in stay_text)]
    oracle.encode_special_tokens = True
    wrong += compare(name + ", special tokens as text", oracle, driver.run(folder, [t.encode() for t in plain], "--plain")[0], plain, False)
    return wrong


def merges_as_lines(folder: pathlib.Path) -> None:
    """The older of the two syntaxes."""
    path = folder / "tokenizer.json"
    state = json.loads(path.read_text())
    state["model"]["merges"] = [" ".join(m) for m in state["model"]["merges"]]
    path.write_text(json.dumps(state))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("driver")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=200_000, help="texts, shared out to the pipelines")
    args = parser.parse_args()
    start = time.time()
    args.work.mkdir(parents=True, exist_ok=True)
    driver, wrong = Driver(args.driver, args.work), 0
    pipelines = list(families())
    texts = texts_of(args.count)
    for i, (name, oracle) in enumerate(pipelines):
        folder = save(oracle, args.work / str(i))
        if i % 2 == 0:
            merges_as_lines(folder)
        wrong += check(driver, name, oracle, folder, texts[i::len(pipelines)])
    print(f"{'all equal' if wrong == 0 else f'{wrong} differences'} in {time.time() - start:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
