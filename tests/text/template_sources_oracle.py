#!/usr/bin/env python3
"""Compares which chat template and special tokens we take from a model's folder with transformers.

A folder is made for every combination of the places where templates may be, and of those where special tokens may be.

Usage: template_sources_oracle.py TEMPLATE_SOURCES_PROGRAM TOKENIZER_JSON
"""
import itertools
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from transformers import AutoTokenizer
from transformers.processing_utils import ProcessorMixin

MESSAGES = [{"role": "user", "content": "Hi"}]


def text(name):
    return name + " {{ messages[0].content }} {{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ pad_token }}|{{ additional }}\n"


OWN_FILE = [None, text("own file"), text("own\r\nfile, CRLF").replace("\n", "\r\n")]
ADDITIONAL = [{}, {"tool_use": text("additional tools")}, {"rag": text("rag")},
              {"default": text("additional default"), "tool_use": text("additional tools")}]
IN_CONFIG = [None, text("config"),
             [{"name": "default", "template": text("list")}, {"name": "tool_use", "template": text("list tools")}],
             [{"name": "tool_use", "template": text("list tools only")}],
             {"default": text("object"), "tool_use": text("object tools")}]
LEGACY = [None, text("legacy")]


def added(content):
    return {"__type": "AddedToken", "content": content, "lstrip": False, "normalized": False, "rstrip": False,
            "single_word": False, "special": True}


TOKENS = [{}, {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>", "pad_token": None},
          {"bos_token": added("<|im_start|>"), "eos_token": added("<|im_end|>"), "unk_token": "<|endoftext|>"},
          {"eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>"]}]
DECODER = [None, {"256": {k: v for k, v in added("<|endoftext|>").items() if k != "__type"}}]
TOKENS_MAP = [None, {"bos_token": {k: v for k, v in added("<|im_end|>").items() if k not in ("__type", "special")},
                     "eos_token": "<|endoftext|>"}]


def folders():
    """(own file, additional files, config's template, legacy file, config's tokens, decoder, tokens map)"""
    for own, additional, config, legacy in itertools.product(OWN_FILE, ADDITIONAL, IN_CONFIG, LEGACY):
        yield own, additional, config, legacy, TOKENS[1], None, None
    for tokens, decoder, tokens_map in itertools.product(TOKENS, DECODER, TOKENS_MAP):
        yield OWN_FILE[1], {}, None, None, tokens, decoder, tokens_map


def write(folder, tokenizer, own, additional, config, legacy, tokens, decoder, tokens_map):
    folder.mkdir()
    shutil.copy(tokenizer, folder / "tokenizer.json")
    data = {"tokenizer_class": "PreTrainedTokenizerFast", **tokens}
    if config is not None:
        data["chat_template"] = config
    if decoder is not None:
        ids = {t["content"]: t["id"] for t in json.loads((folder / "tokenizer.json").read_text())["added_tokens"]}
        data["added_tokens_decoder"] = {str(ids[t["content"]]): t for t in decoder.values()}
    (folder / "tokenizer_config.json").write_text(json.dumps(data))
    if own is not None:
        (folder / "chat_template.jinja").write_bytes(own.encode())
    for name, source in additional.items():
        (folder / "additional_chat_templates").mkdir(exist_ok=True)
        (folder / "additional_chat_templates" / f"{name}.jinja").write_text(source)
    if legacy is not None:
        (folder / "chat_template.json").write_text(json.dumps({"chat_template": legacy}))
    if tokens_map is not None:
        (folder / "special_tokens_map.json").write_text(json.dumps(tokens_map))


def expected(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.chat_template is None and (folder / "chat_template.json").exists():
        # Tokenizers do not look there; processors do.
        tokenizer.chat_template = ProcessorMixin.get_processor_dict(folder)[0]["chat_template"]
    out = {}
    for kind, tools in (("plain", None), ("tools", [])):
        try:
            out[kind] = tokenizer.apply_chat_template(MESSAGES, tools=tools, tokenize=False)
        except ValueError:
            out[kind] = {"error": "template.missing"}
    return out


def main():
    program, tokenizer = sys.argv[1:3]
    failed = 0
    with tempfile.TemporaryDirectory() as root:
        cases = list(folders())
        paths = [pathlib.Path(root) / str(i) for i in range(len(cases))]
        for path, case in zip(paths, cases):
            write(path, tokenizer, *case)
        result = subprocess.run([program, *map(str, paths)], capture_output=True, text=True, check=True)
        for path, case, line in zip(paths, cases, result.stdout.splitlines(), strict=True):
            found, want = json.loads(line), expected(path)
            if found != want:
                failed += 1
                print(f"DIFFER {case}\n  ours:         {found}\n  transformers: {want}")
    print(f"{len(cases)} folders, {failed} differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
