#!/usr/bin/env python3
"""Writes tests/golden/templates/replies.json: chats as token ids, and which of them belong to the reply.

For every template of golden_template_families.py, with a small tokenizer of the family's kind: what transformers' apply_chat_template
makes of a chat that ends with a reply; and by the offsets of its tokens, the last five with text of the reply in them. Where the
reply lies is looked up in the rendered text.

    python scripts/make_golden_replies.py
"""
import json
import os
import pathlib
import shutil
import sys
import tempfile

os.environ["TZ"] = "UTC"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402
from transformers.utils import chat_template_utils  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from golden_template_families import FAMILIES  # noqa: E402
from make_golden_sentencepiece import corpus  # noqa: E402
from make_golden_templates import FixedDatetime  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOKENS_PER_REPLY = 5
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CONTROL = ["<|begin_of_text|>", "<|endoftext|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|im_start|>", "<|im_end|>",
           "<|im_sep|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]",
           "[/SYSTEM_PROMPT]"]
# The family's tokenizer, the bos that it adds by itself, and how its template ends a reply.
KINDS = {
    "chatml": ("smollm", None, "<|im_end|>"), "llama 2": ("llama", "<s>", "</s>"), "llama 3": ("llama 3", "<|begin_of_text|>", "<|eot_id|>"),
    "llama 3 with tools": ("llama 3", "<|begin_of_text|>", "<|eot_id|>"), "gemma": ("gemma", "<bos>", "<end_of_turn>"),
    "gemma with parts": ("gemma", "<bos>", "<end_of_turn>"), "phi 3": ("phi 3", None, "<|end|>"), "phi 3.5": ("phi 3", None, "<|end|>"),
    "phi 4 mini": ("llama 3", None, "<|end|>"), "phi 4": ("llama 3", None, "<|im_end|>"), "mistral v1": ("llama", "<s>", "</s>"),
    "mistral": ("llama", "<s>", "</s>"), "mistral small": ("llama 3", "<s>", "</s>"), "qwen 2": ("qwen", None, "<|im_end|>"),
    "qwen 3": ("qwen", None, "<|im_end|>"), "smollm 3": ("llama 3", None, "<|im_end|>"), "macros": ("qwen", "<s>", "<|im_end|>"),
    "no tail": ("smollm", None, "<|im_end|>"), "long tail": ("qwen", None, "<|im_end|>"),
}
FAMILIES["no tail"] = {"special": {"bos_token": "", "eos_token": ""}, "variables": [{}], "template":
                       "{% for message in messages %}{{ '\n\n' + message['role'] + ': ' + message['content'] }}{% endfor %}"}
FAMILIES["long tail"] = {"special": {"bos_token": "", "eos_token": ""}, "variables": [{}], "template":
                         "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n(that was all)\n' }}{% endfor %}"}
REPLIES = {
    "long": "I can not help with that, but here is what the model said of it.",
    "one word": "No",
    "a few": "No, sorry.",
    "end marker": "It is END, they said",
    "spaces behind": "Yes, of course. \n\n",
    "space in front": " Sure thing, now look",
    "line breaks in front": "\n\nFine then, go on",
    "thoughts": "<think>\nWhat now?\n</think>\n\nDone with all of it now.",
    "unicode": "Größe 東京 🎉!",
    "start marker": "BOSOne more time now",
}


def byte_level(kind, bos):
    tokenizer = Tokenizer(models.BPE(ignore_merges=kind == "llama 3"))
    if kind == "smollm":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                           pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    else:
        pattern = LLAMA3 if kind == "llama 3" else LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                                           pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    if kind == "qwen":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    texts = corpus()[:600] + ["\n\n a\n\n\n", "user\nassistant\nsystem\n"] * 20
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=420, special_tokens=CONTROL, show_progress=False,
                                                             initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single=[bos, "$A"], pair=[bos, "$A", "$B"],
                                                                 special_tokens=[(bos, tokenizer.token_to_id(bos))])
    return json.loads(tokenizer.to_str())


def added(content, special=True, rstrip=False):
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": rstrip, "single_word": False, "special": special}


def sentencepiece_config(kind):
    if kind == "gemma":
        return {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True}
    config = {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": True}
    if kind == "phi 3":  # the markers behind the vocabulary take the spaces behind them
        first = 800
        config["added_tokens_decoder"] = {str(first + i): added(t, rstrip=True) for i, t in enumerate(
            ["<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"])}
    return config


def folder_of(path, kind, bos, family):
    """Writes the model folder; returns what the test needs to write it again."""
    special = {name: token for name, token in family["special"].items() if token}
    if kind in ("llama", "phi 3", "gemma"):
        model = "gemma.model" if kind == "gemma" else "llama.model"
        shutil.copy(ROOT / "tests/golden/text" / model, path / "tokenizer.model")
        config, made = {**sentencepiece_config(kind), **special}, {"model": model}
    else:
        made = {"tokenizer": byte_level(kind, bos)}
        (path / "tokenizer.json").write_text(json.dumps(made["tokenizer"]))
        config = {"tokenizer_class": "PreTrainedTokenizerFast", **special}
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    (path / "chat_template.jinja").write_text(family["template"])
    return {**made, "config": config, "template": family["template"]}


def place_of(reply, rendered):
    """Where the template shows the reply, in characters: whole, or without the white space or thoughts that it strips."""
    answer = reply.split("</think>")[-1]
    for shown in (reply, reply.rstrip(), reply.lstrip(), reply.strip(), answer, answer.lstrip("\n"), answer.strip()):
        if shown and (begin := rendered.rfind(shown)) >= 0:
            return begin, begin + len(shown)
    raise ValueError(f"{reply!r} is not in {rendered!r}")


def case_of(tokenizer, name, reply):
    messages = [{"role": "user", "content": "Hi, what is the word?"}, {"role": "assistant", "content": reply}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False)
    encoded = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True,
                                            tokenizer_kwargs={"return_offsets_mapping": True})
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    begin, end = place_of(reply, rendered)
    kept = [i for i, (b, e) in enumerate(offsets) if e > begin and b < end][-TOKENS_PER_REPLY:]
    return {"name": name, "reply": reply, "text": rendered, "ids": ids, "kept": kept}


def golden(name, family):
    kind, bos, end = KINDS[name]
    with tempfile.TemporaryDirectory() as work:
        result = folder_of(pathlib.Path(work), kind, bos, family)
        tokenizer = AutoTokenizer.from_pretrained(work)
        cases = []
        for label, reply in REPLIES.items():
            reply = reply.replace("END", end).replace("BOS", bos or "")
            cases.append(case_of(tokenizer, label, reply))
        bos_id = tokenizer.convert_tokens_to_ids(family["special"]["bos_token"]) if family["special"]["bos_token"] else -1
        return {"name": name, "bos_id": bos_id, **result, "cases": cases}


def main():
    chat_template_utils.datetime = FixedDatetime
    result = [golden(name, family) for name, family in FAMILIES.items()]
    path = ROOT / "tests/golden/templates/replies.json"
    path.write_text("[\n" + ",\n".join(json.dumps(family, ensure_ascii=False) for family in result) + "\n]\n")
    for family in result:
        tails = sorted({len(c["ids"]) - 1 - c["kept"][-1] for c in family["cases"]})
        print(f"{family['name']}: tails of {tails} tokens, begins with {family['cases'][0]['ids'][:2]}, bos {family['bos_id']}")
    print(path.relative_to(ROOT), path.stat().st_size)


if __name__ == "__main__":
    main()
