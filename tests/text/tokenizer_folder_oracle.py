#!/usr/bin/env python3
"""Compares folders with a tokenizer.json with transformers' AutoTokenizer: whose rules count, the file's or the class's.

The files are those of character_bpe_oracle.py and a byte-level one, each under several model types, classes and
configurations; some folders are what transformers saves of others.

    tokenizer_folder_oracle.py DRIVER WORK [--count 1000]   texts a folder
"""
import argparse
import json
import pathlib
import shutil
import sys
import time

from character_bpe_oracle import families, texts_of
from tokenizer_oracle import Driver, compare, save, trained_vocabulary

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer

ROLES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
GEMMA = {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>"}


def token(content: str, **flags) -> dict:
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True, **flags}


def byte_level() -> Tokenizer:
    vocab, merges = trained_vocabulary(2000)
    vocab = {**vocab, "<|endoftext|>": len(vocab)}  # in the vocabulary, yet no added token
    out = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    out.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    out.decoder = decoders.ByteLevel()
    out.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("<|user|>", normalized=False)])
    return out


def folders(work: pathlib.Path):
    """(name, folder)"""
    made = {name.split()[0]: tokenizer for name, tokenizer in families()}
    llama, mistral, phi, gemma = made["Llama"], made["Mistral"], made["Phi-3"], made["Gemma"]

    def folder(name, tokenizer, model_type, config, **files):
        path = work / name.replace(" ", "_")
        shutil.rmtree(path, ignore_errors=True)
        save(tokenizer, path)
        if model_type is not None:
            files["config"] = {"model_type": model_type}
        if config is not None:
            files["tokenizer_config"] = config
        for file, content in files.items():
            (path / f"{file}.json").write_text(json.dumps(content))
        return name, path

    by_class = {"tokenizer_class": "LlamaTokenizer", **ROLES}
    phi_roles = {str(phi.token_to_id(t)): token(t, rstrip=True) for t in ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")}
    yield folder("no configuration", llama, None, None)
    yield folder("llama by class", llama, "llama", {**by_class, "legacy": False, "add_bos_token": True, "add_eos_token": True})
    yield folder("llama by class legacy", llama, "llama", {**by_class, "tokenizer_class": "LlamaTokenizerFast", "legacy": True})
    yield folder("llama by class no prefix", llama, "llama", {**by_class, "add_prefix_space": False})
    yield folder("llama new tokens", llama, "llama", {**by_class, "pad_token": "[PAD]", "additional_special_tokens": ["<|user|>"]})
    yield folder("llama of transformers 4", llama, "llama", {"tokenizer_class": "LlamaTokenizer"}, special_tokens_map={
        "bos_token": token("<s>", rstrip=True), "eos_token": "</s>", "pad_token": "<new>"}, added_tokens={"<new>": llama.get_vocab_size()})
    yield folder("llama by file", llama, "llama", {**ROLES, "tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<|user|>"})
    yield folder("llama of transformers 5", llama, "llama", {**ROLES, "tokenizer_class": "TokenizersBackend", "backend": "tokenizers"})
    yield folder("mistral", mistral, "mistral", {**by_class, "legacy": True, "add_prefix_space": None})
    yield folder("mistral of old shape", llama, "mistral", by_class)
    yield folder("phi3", phi, "phi3", {**by_class, "added_tokens_decoder": {"1": token("<s>"), **phi_roles}, "pad_token": "<|end|>"})
    yield folder("phi3 by class", phi, "llama", {**by_class, "added_tokens_decoder": {
        "0": token("<unk>"), "1": token("<s>"), "2": token("</s>", rstrip=True), **phi_roles}})
    yield folder("gemma", gemma, "gemma3_text", {**GEMMA, "tokenizer_class": "GemmaTokenizer", "add_bos_token": True,
                                                 "boi_token": "<start_of_image>"})
    yield folder("gemma without configuration", gemma, "gemma2", None)
    yield folder("gemma by file", gemma, "gemma", {**GEMMA, "tokenizer_class": "TokenizersBackend"})
    yield folder("byte level", byte_level(), "llama", {"tokenizer_class": "LlamaTokenizer", "eos_token": "<|endoftext|>",
                                                       "extra_special_tokens": ["<|user|>", "<|new|>"]})
    named = byte_level()
    tool = named.token_to_id("<tool_call>")
    yield folder("byte level roles", named, "llama", {"tokenizer_class": "TokenizersBackend", "eos_token": "<tool_call>"})
    yield folder("byte level declared", named, "llama", {"tokenizer_class": "TokenizersBackend", "added_tokens_decoder": {str(tool): token("<tool_call>")}})
    for name in ("llama by class", "phi3", "gemma", "mistral"):
        source = work / name.replace(" ", "_")
        path = work / (source.name + "_saved")
        AutoTokenizer.from_pretrained(source).save_pretrained(path)
        shutil.copy(source / "config.json", path)
        yield name + ", saved", path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("driver")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=1000)
    args = parser.parse_args()
    start = time.time()
    args.work.mkdir(parents=True, exist_ok=True)
    driver, wrong = Driver(args.driver, args.work), 0
    texts = texts_of(args.count) + [f"a {t} b{t}" for t in ("[PAD]", "<new>", "<|user|>", "<|new|>", "<|endoftext|>", "<mask>", "<start_of_image>")]
    encoded = [t.encode() for t in texts]
    for name, folder in folders(args.work):
        oracle = AutoTokenizer.from_pretrained(folder).backend_tokenizer
        wrong += compare(name, oracle, driver.run(folder, encoded)[0], texts, False)
        wrong += compare(name + ", bos and eos", oracle, driver.run(folder, encoded, "--special")[0], texts, True)
    print(f"{'all equal' if wrong == 0 else f'{wrong} differences'} in {time.time() - start:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
