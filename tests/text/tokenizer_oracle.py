#!/usr/bin/env python3
"""Compares ids, offsets and decoded text with Hugging Face on 200,000 seeded strings, shared out to the tokenizers.

The oracles are tokenizers that transformers makes itself: from the two packaged GGUF files, and as its classes
Qwen2Tokenizer, GPT2Tokenizer, CohereTokenizer (SmolLM's pre-tokenizer: Digits, then ByteLevel) and TikTokenConverter
(Llama 3), the latter three with a small vocabulary trained here. Each is read by the library from the file that
transformers or tokenizers wrote, the GGUF ones from the GGUF file as well.
"""
import argparse
import base64
import contextlib
import io
import itertools
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import time
import unicodedata
from collections.abc import Sequence

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import gguf
import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, CohereTokenizer, GPT2Tokenizer, Qwen2Tokenizer
from transformers.convert_slow_tokenizer import TikTokenConverter, bytes_to_unicode
from transformers.integrations.gguf import convert_gguf_tokenizer, get_gguf_tokenizer
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

SEED = 20241014
MODELS = {
    "smollm2": "SmolLM2-135M-Instruct.Q4_1.gguf",
    "qwen2.5-coder-1.5b": "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
}
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin_of_text|>", "<|eot_id|>", "<tool_call>", "</tool_call>",
           "<|fim_prefix|>", "<repo_name>", "<file_sep>", "[PAD151665]"]
# For the tokenizer with every flag of an added token; "\u00e9" and "e\u0301" are one after NFC.
FLAGGED = [
    AddedToken("<lstrip>", lstrip=True, normalized=False), AddedToken("<rstrip>", rstrip=True, normalized=False),
    AddedToken("<both>", lstrip=True, rstrip=True, normalized=True), AddedToken("word", single_word=True, normalized=False),
    AddedToken("mot", single_word=True, normalized=True), AddedToken("caf\u00e9", normalized=True),
    AddedToken("re\u0301sume\u0301", normalized=True), AddedToken("nai\u0308f", normalized=False),
    AddedToken("<|ctl|>", special=True, lstrip=True, normalized=False), AddedToken("<|ctl2|>", special=True, normalized=True),
    AddedToken("ctl", normalized=False), AddedToken("two words", normalized=False), AddedToken("<|ct", normalized=False),
]


def models_folder() -> pathlib.Path:
    if "SAFETYLOCK_MODELS" in os.environ:
        return pathlib.Path(os.environ["SAFETYLOCK_MODELS"])
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "safetylock" / "models"


# ---- Texts ----------------------------------------------------------------------------------------------------------

def assigned(*ranges) -> list[str]:
    """Assigned characters of Unicode 14, the version both engines know."""
    return [chr(c) for lo, hi in ranges for c in range(lo, hi + 1) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]


# Left out: marks that Unicode 10 and later added (U+0D3B, U+0D3C, U+1DF6 to U+1DFA). Normalisation in tokenizers knows
# Unicode 9 and leaves them where they are; utf8proc puts them in canonical order.
SCRIPTS = [
    assigned((0x41, 0x5A), (0x61, 0x7A)), assigned((0xC0, 0x24F)), assigned((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    assigned((0x400, 0x52F)), assigned((0x590, 0x5FF)), assigned((0x600, 0x6FF), (0x750, 0x77F)), assigned((0x900, 0x97F)),
    assigned((0xE00, 0xE7F)), assigned((0xF00, 0xFDA)), assigned((0x1100, 0x11FF)), assigned((0x3040, 0x30FF)),
    assigned((0x4E00, 0x9FFC)), assigned((0xAC00, 0xD7A3)), assigned((0xF900, 0xFAD9)), assigned((0x10400, 0x1044F)),
    assigned((0x1D400, 0x1D7FF)), assigned((0x20000, 0x200FF), (0x2F800, 0x2F81F)), assigned((0xA000, 0xA48C)),
    assigned((0xFF00, 0xFFEF)), assigned((0xB80, 0xBFF), (0xD00, 0xD3A), (0xD3D, 0xD7F)), assigned((0x1000, 0x109F)),
]
MARKS = assigned((0x300, 0x36F), (0x483, 0x487), (0x591, 0x5C7), (0x64B, 0x65F), (0x93C, 0x94D), (0xF71, 0xF84),
                 (0x1DC0, 0x1DF5), (0x20D0, 0x20F0), (0x3099, 0x309A))
DIGITS = assigned((0x30, 0x39), (0xB2, 0xB3), (0xBC, 0xBE), (0x660, 0x669), (0x966, 0x96F), (0x2150, 0x218B),
                  (0x2460, 0x249B), (0x3021, 0x3029), (0xFF10, 0xFF19), (0x1D7CE, 0x1D7FF))
SPACES = list("\t\n\v\f\r \x85\xa0\u1680\u180e\u2000\u2003\u200a\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff")
PUNCTUATION = assigned((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E), (0xA1, 0xBF), (0x2010, 0x2027),
                       (0x2030, 0x205E), (0x2190, 0x21FF), (0x3001, 0x3020), (0xFF01, 0xFF0F))
CONTROLS = [chr(c) for c in range(0x20)] + ["\x7f", "\x80", "\x9f", "\xad", "\u200e", "\u202e", "\U000e0001", "\ue000", "\U0010fffd"]
EMOJI = ["\U0001F468\u200d\U0001F469\u200d\U0001F467", "\U0001F44D\U0001F3FD", "\U0001F1E9\U0001F1EA", "\u2764\ufe0f", "\U0001F600",
         "\U0001F3F4\U000E0067\U000E0062\U000E007F", "1\ufe0f\u20e3"]
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'RE", "'Ve", "'LL", "'\u017f", "\u2019s", "'\u212a", "''s", "'x"]
CODE = ["def f(x):\n    return x ** 2\n", "for (int i = 0; i < n; ++i) {\n\t\tsum += a[i];\n}", "<div class=\"a\">\r\n</div>",
        "SELECT * FROM t WHERE x >= 10 AND y != 'z';", "x =  1", "a_b__c", "#include <vector>", "0xDEADBEEF", "\\n\\t", "{{ m['role'] }}",
        "https://example.org/?a=1&b=%20#c", "std::cout << \"x\" << '\\n';", "    \n        \n", "1e-5f", "3.14159", "100,000", "$x$"]
WORDS = ("the of and lock safety prompt Model token don't I'll we're naïve café résumé Straße İstanbul ﬁne ŉ ﬆ Ǆ ς Ω Å K word mot "
         "words mots password motif ctl two").split()
COMPOSITION = ["e\u0301", "a\u0323\u0302", "a\u0302\u0323", "\u1e69", "s\u0307\u0323", "\u0344", "a\u0344", "\u0958", "\u2126", "\u212b",
               "\u1100\u1161\u11a8", "\uac00\u11a8", "\ufb1d", "\u0f73", "\u0f71\u0f72\u0f74", "\u0041\u030a\u0301", "\U0001d15e", "\u0b47\u0b56",
               "\u3099", "\u304b\u3099", "\uac00\u11a7", "o\u0328\u0304", "\u0344\u0323", "\u00e9\u0323"]


def mutate(r: random.Random, text: str) -> str:
    """A near miss: one character removed, doubled, replaced or spaced out."""
    i = r.randrange(len(text))
    return r.choice([text[:i] + text[i + 1:], text[:i] + text[i] + text[i:], text[:i] + r.choice("|<> xX") + text[i + 1:],
                     text[:i] + " " + text[i:], text[:i], text.upper()])


def piece(r: random.Random) -> str:
    kind = r.randrange(16)
    run = lambda pool, longest: "".join(r.choice(pool) for _ in range(r.randint(1, longest)))
    if kind < 3:
        return " ".join(r.choice(WORDS) for _ in range(r.randint(1, 6)))
    if kind < 6:
        return run(r.choice(SCRIPTS), 12)
    if kind == 6:
        return run(SPACES, 6) if r.random() < 0.5 else r.choice(" \n\t") * r.randint(1, 20)
    if kind == 7:
        return run(DIGITS[:10] if r.random() < 0.6 else DIGITS, 9)
    if kind == 8:
        return run(PUNCTUATION, 5)
    if kind == 9:
        return r.choice(SPECIAL) if r.random() < 0.4 else mutate(r, r.choice(SPECIAL))
    if kind == 10:
        token = r.choice(FLAGGED).content
        return run(" \n\u3000a", 3) + (token if r.random() < 0.7 else mutate(r, token)) + run(" \n\u3000b", 3)
    if kind == 11:
        return r.choice(EMOJI)
    if kind == 12:
        return r.choice(WORDS) + r.choice(CONTRACTIONS) + r.choice(["", " ", "x"])
    if kind == 13:
        return r.choice(CODE)
    if kind == 14:
        return r.choice(CONTROLS) if r.random() < 0.3 else r.choice(SCRIPTS[r.randrange(6)]) + run(MARKS, 4)
    return r.choice(COMPOSITION)


def make_texts(count: int) -> list[str]:
    r = random.Random(SEED)
    texts = ["", " ", "\n", "a", "\u00e9", "'s", "<|im_end|>"]
    texts += ["a" * 3000, " " * 3000, "\n" * 3000 + "x", "ab" * 2000, "\u4e2d" * 1000, "-" * 3000, " a" * 1000, "e" + "\u0301" * 300]
    texts += [c for pool in (SPACES, MARKS, DIGITS, CONTROLS, PUNCTUATION) for c in pool]
    pool = [piece(r) for _ in range(20_000)]
    while len(texts) < count:
        texts.append(r.choice(["", "", " "]).join(r.choices(pool, k=r.randint(1, 5))))
    return texts[:count]


# ---- Oracles --------------------------------------------------------------------------------------------------------

def trained_vocabulary(size: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A byte-level vocabulary trained on texts like those compared, by tokenizers' own trainer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    r = random.Random(SEED + 1)
    corpus = [" ".join(piece(r) for _ in range(20)) for _ in range(2000)]
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False))
    state = json.loads(tokenizer.to_str())["model"]
    return state["vocab"], [tuple(m) for m in state["merges"]]


def save(tokenizer: Tokenizer, folder: pathlib.Path) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def from_gguf(name: str) -> Tokenizer:
    with contextlib.redirect_stderr(io.StringIO()):
        return AutoTokenizer.from_pretrained(models_folder(), gguf_file=MODELS[name]).backend_tokenizer


def phi4_mini_tokenizer(vocab: dict[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    """The pipeline of the published Phi-4-mini file: GPT-4o's pattern, written as what is not to be removed."""
    tokenizer = Tokenizer(models.BPE(vocab=dict(vocab), merges=merges))
    split = pre_tokenizers.Split(Regex(GGUF_PRE_TOKENIZER_SPLITS["gpt-4o"]), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, rstrip=t.endswith("end|>")) for t in ("<|endoftext|>", "<|user|>", "<|im_end|>")])
    return tokenizer


def llama3_tokenizer(vocab: dict[str, int], folder: pathlib.Path) -> Tokenizer:
    """transformers' conversion of a tiktoken file, with the post-processor of the published Llama 3 files."""
    byte_of = {c: b for b, c in bytes_to_unicode().items()}
    ranks = {bytes(byte_of[c] for c in token): rank for token, rank in vocab.items()}
    # Tokens that no merge reaches: only ignore_merges finds them.
    for word in ("supercalifragilistic", "\u4e2d\u4e2d\u4e2d\u4e2d", " Straße"):
        ranks.setdefault(word.encode(), len(ranks))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tokenizer.model"
    path.write_text("".join(f"{base64.b64encode(t).decode()} {rank}\n" for t, rank in ranks.items()))
    tokenizer = TikTokenConverter(str(path), extra_special_tokens=SPECIAL[:5]).converted()
    begin = "<|begin_of_text|>"
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=f"{begin} $A", pair=f"{begin} $A {begin}:1 $B:1",
                                      special_tokens=[(begin, tokenizer.token_to_id(begin))]),
    ])
    return tokenizer


def write_gguf(path: pathlib.Path, pre: str, vocab: dict[str, int], merges: list[tuple[str, str]]) -> pathlib.Path:
    tokens = sorted(vocab, key=vocab.get)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens + special + ["<tool_call>"])
    writer.add_token_types([1] * len(tokens) + [3] * len(special) + [4])
    writer.add_token_merges([" ".join(m) for m in merges])
    writer.add_eos_token_id(len(tokens) + 2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def gguf_backend(path: pathlib.Path) -> Tokenizer:
    with contextlib.redirect_stderr(io.StringIO()):
        architecture, tokenizer, _ = get_gguf_tokenizer(str(path))
        return convert_gguf_tokenizer(architecture, tokenizer)[0]


# ---- Comparison -----------------------------------------------------------------------------------------------------

class Driver:
    def __init__(self, program: str, work: pathlib.Path):
        self.program, self.work = program, work

    def run(self, path, texts: list[bytes], *flags: str):
        """[(ids, begins, ends, decoded, decoded with special tokens)] and the digest."""
        source, result = self.work / "texts.bin", self.work / "results.bin"
        source.write_bytes(b"".join(struct.pack("<I", len(t)) + t for t in texts))
        done = subprocess.run([self.program, str(path), str(source), str(result), *flags], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{path}: {done.stderr}")
        print("    " + done.stderr.strip())
        data, at, out = result.read_bytes(), 0, []
        for _ in texts:
            (n,) = struct.unpack_from("<I", data, at)
            numbers = np.frombuffer(data, "<u4", 3 * n, at + 4).tolist()
            at += 4 + 12 * n
            decoded = []
            for _ in range(2):
                (length,) = struct.unpack_from("<I", data, at)
                decoded.append(data[at + 4:at + 4 + length].decode())
                at += 4 + length
            out.append((numbers[:n], numbers[n:2 * n], numbers[2 * n:], *decoded))
        return out, done.stdout.strip()


def byte_positions(text: str) -> Sequence[int]:
    """Byte offset of every character, and of the end."""
    if text.isascii():
        return range(len(text) + 1)
    return list(itertools.accumulate(map(len, map(str.encode, text)), initial=0))


def compare(name: str, oracle: Tokenizer, ours, texts: list[str], add_special: bool) -> int:
    vocabulary = oracle.get_vocab()
    # Hugging Face leaves out bytes without a token and then counts offsets as if they had never been there.
    symbols = bytes_to_unicode() if "<0x00>" not in vocabulary else {}
    missing = bytes(b for b, c in symbols.items() if c not in vocabulary)
    expected = oracle.encode_batch(texts, add_special_tokens=add_special)
    ids = [e.ids for e in expected]
    decoded = oracle.decode_batch(ids, skip_special_tokens=True)
    decoded_all = oracle.decode_batch(ids, skip_special_tokens=False)
    wrong = 0
    for i, text in enumerate(texts):
        got_ids, begins, ends, got_decoded, got_decoded_all = ours[i]
        problem = None
        if got_ids != ids[i]:
            problem = ("ids", got_ids, ids[i])
        elif got_decoded != decoded[i]:
            problem = ("decoded", got_decoded, decoded[i])
        elif got_decoded_all != decoded_all[i]:
            problem = ("decoded with special tokens", got_decoded_all, decoded_all[i])
        elif not missing or not any(b in missing for b in text.encode()):
            at = byte_positions(text)
            want = [(at[b], at[e]) for b, e in expected[i].offsets]
            if list(zip(begins, ends)) != want:
                problem = ("offsets", list(zip(begins, ends)), want)
        if problem:
            wrong += 1
            if wrong <= 5:
                what, got, want = problem
                print(f"    {name}: {what} of {text!r}\n      got  {got}\n      want {want}\n      tokens {expected[i].tokens}")
    print(f"  {name}: {len(texts) - wrong} of {len(texts)} equal", flush=True)
    return wrong


def check(driver: Driver, name: str, oracle: Tokenizer, path, texts: list[str]) -> tuple[int, str]:
    encoded = [t.encode() for t in texts]
    ours, digest = driver.run(path, encoded)
    wrong = compare(name, oracle, ours, texts, False)
    few = texts[:len(texts) // 10]
    ours, _ = driver.run(path, encoded[:len(few)], "--special")
    wrong += compare(name + ", bos and eos", oracle, ours, few, True)
    ours, _ = driver.run(path, encoded[:len(few)], "--plain")
    oracle.encode_special_tokens = True
    wrong += compare(name + ", special tokens as text", oracle, ours, few, False)
    oracle.encode_special_tokens = False
    return wrong, digest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("driver")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=200_000)
    args = parser.parse_args()
    start = time.time()
    args.work.mkdir(parents=True, exist_ok=True)
    driver, wrong = Driver(args.driver, args.work), 0
    all_texts = make_texts(args.count)
    print(f"{len(all_texts)} texts, {sum(len(t.encode()) for t in all_texts) / 1e6:.1f} MB")
    tokenizers = 12
    shares = iter([all_texts[i::tokenizers] for i in range(tokenizers)])

    for name, file in MODELS.items():
        oracle, texts = from_gguf(name), next(shares)
        bad, digest = check(driver, f"{name} GGUF", oracle, models_folder() / file, texts)
        few = texts[:len(texts) // 10]
        ours, json_digest = driver.run(save(oracle, args.work / name), [t.encode() for t in few])
        bad += compare(f"{name} tokenizer.json", oracle, ours, few, False)
        if digest != json_digest:
            print(f"  {name}: digest {digest} from GGUF, {json_digest} from tokenizer.json")
            bad += 1
        wrong += bad

    state = json.loads((args.work / "qwen2.5-coder-1.5b" / "tokenizer.json").read_text())["model"]
    qwen = Qwen2Tokenizer(vocab=state["vocab"], merges=[tuple(m) for m in state["merges"]]).backend_tokenizer
    vocab, merges = trained_vocabulary(4000)
    cohere = CohereTokenizer(vocab=dict(vocab), merges=merges).backend_tokenizer
    cohere.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=True)
    gpt2 = GPT2Tokenizer(vocab=dict(vocab), merges=merges).backend_tokenizer
    gpt2.post_processor = processors.ByteLevel(trim_offsets=True)
    flagged = Qwen2Tokenizer(vocab=dict(vocab), merges=merges).backend_tokenizer
    flagged.add_tokens(FLAGGED)
    flagged.post_processor = processors.ByteLevel(trim_offsets=True, add_prefix_space=False)
    for name, oracle in {
        "Qwen2Tokenizer (NFC)": qwen,
        "Llama 3": llama3_tokenizer(vocab, args.work / "llama3"),
        "GPT2Tokenizer": gpt2,
        "Phi-4-mini": phi4_mini_tokenizer(vocab, merges),
        "CohereTokenizer (SmolLM's pre-tokenizer)": cohere,
        "added tokens with flags": flagged,
    }.items():
        folder = save(oracle, args.work / name.split()[0].lower())
        wrong += check(driver, name, oracle, folder, next(shares))[0]

    for pre in ("llama-bpe", "gpt-2", "tekken", "gpt-4o"):
        path = write_gguf(args.work / f"{pre}.gguf", pre, vocab, merges)
        wrong += check(driver, f"GGUF, pre {pre}", gguf_backend(path), path, next(shares))[0]

    print(f"{'all equal' if wrong == 0 else f'{wrong} differences'} in {time.time() - start:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
