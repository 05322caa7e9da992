#!/usr/bin/env python3
"""Writes tests/golden/text: small sentencepiece models, trained on generated text; a few kilobytes each.

llama    BPE as Llama 2 and Mistral have it: byte fallback, single digits, no normalisation, a space put first
gemma    BPE as Gemma has it: no space put first, turn markers, line breaks, runs of spaces and HTML as user-defined symbols
unigram  unigram with byte fallback, rewriting rules, extra spaces removed, control and user-defined symbols
plain    BPE without byte fallback: what it has not seen is <unk>

    python scripts/make_golden_sentencepiece.py
"""
import io
import pathlib
import random
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEED = 20241014

WORDS = ("the of and to a in is you that it he for was on are with as his they be at one have this from or had by hot but some "
         "what there we can out other were all your when up use word how said an each she which do their time if will way about "
         "many then them would write like so these her long make thing see him two has look more day could go come did my sound "
         "no most number who over know water than call first people may down side been now find any new work part take get place "
         "lock safety prompt model token attention head layer weight tokenizer encode decode don't I'll can't we're it's "
         "naïve café résumé Straße Größe über señor mañana França привет мир слово язык модель こんにちは 世界 日本語 安全 模型 Ελλάδα "
         "λόγος").split()
SYLLABLES = "ba be bi bo bu da de di do du ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu ra re ri ro ru sa se si so su".split()
CODE = ["def f(x): return x ** 2", "for (int i = 0; i < n; ++i) { sum += a[i]; }", "if a != b: print('x')", "std::vector<int> v;",
        "SELECT * FROM t WHERE id = 10;", "x = {\"a\": [1, 2, 3]}", "    return None", "https://example.org/?a=1&b=2"]
# Full-width letters, ligatures, a sequence, a rule that another begins with, one that removes and one for spaces.
RULES = ["FF21\t41", "FF22\t42", "FF41\t61", "FB01\t66 69", "FB00\t66 66", "65 301\tE9", "61 30A\tE5", "61 30A 301\t1FB", "AD\t",
         "200B\t", "3000\t20", "A0\t20", "9\t20", "2026\t2E 2E 2E", "212B\tC5"]


def corpus() -> list[str]:
    r = random.Random(SEED)
    made = ["".join(r.choice(SYLLABLES) for _ in range(r.randint(1, 4))) for _ in range(300)]
    rank = [1 / (i + 1) for i in range(len(WORDS))]

    def word() -> str:
        kind = r.random()
        if kind < 0.7:
            return r.choices(WORDS, rank)[0]
        if kind < 0.9:
            return r.choice(made)
        return str(r.randrange(10 ** r.randint(1, 5)))

    lines = []
    for _ in range(3000):
        if r.random() < 0.1:
            lines.append(r.choice(CODE))
            continue
        words = [word() for _ in range(r.randint(3, 14))]
        if r.random() < 0.5:
            words[0] = words[0].capitalize()
        lines.append((" " if r.random() < 0.9 else "  ").join(words) + r.choice([".", "?", "!", ",", "", ":"]))
    return lines


def train(**options) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(corpus()), model_writer=model, num_threads=1, minloglevel=2,
                                             hard_vocab_limit=False, **options)
    return model.getvalue()


def llama() -> bytes:
    return train(vocab_size=800, model_type="bpe", byte_fallback=True, split_digits=True, normalization_rule_name="identity",
                 remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, character_coverage=0.999)


def gemma() -> bytes:
    symbols = ["<mask>", "<start_of_turn>", "<end_of_turn>", "[toxicity=0]", "<unused0>", "<unused1>"]
    symbols += ["\n" * n for n in range(1, 8)] + ["\u2581" * n for n in range(2, 10)] + ["\t", "<table>", "</table>", "<b>", "</b>"]
    return train(vocab_size=800, model_type="bpe", byte_fallback=True, split_digits=True, normalization_rule_name="identity",
                 remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, add_dummy_prefix=False,
                 pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>",
                 user_defined_symbols=symbols)


def unigram(**options) -> bytes:
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write("\n".join(RULES) + "\n")
        rules.flush()
        normal = {"normalization_rule_tsv": rules.name} if "normalization_rule_name" not in options else {}
        model = train(vocab_size=700, model_type="unigram", byte_fallback=True, control_symbols=["<ctl>", "<other>"],
                      user_defined_symbols=["<sep>", "[MASK]", "\u2581\u2581", "caf"], **normal, **options)
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    proto.normalizer_spec.ClearField("normalization_rule_tsv")  # the name of a temporary file
    return proto.SerializeToString(deterministic=True)


def plain() -> bytes:
    return train(vocab_size=400, model_type="bpe", normalization_rule_name="identity", character_coverage=0.99, unk_surface=" ?? ")


def main() -> None:
    folder = ROOT / "tests" / "golden" / "text"
    folder.mkdir(parents=True, exist_ok=True)
    for make in (llama, gemma, unigram, plain):
        model = make()
        (folder / f"{make.__name__}.model").write_bytes(model)
        print(f"{make.__name__}: {len(model)} bytes")


if __name__ == "__main__":
    main()
