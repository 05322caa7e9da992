#!/usr/bin/env python3
"""The study behind docs/transfer.md: what `safetylock transfer` measures on models whose kinship is known, and the
thresholds that follow from it.

Descendants of a base at four levels of drift, and copies of its shape that the base's lock must be refused on. The lock
is derived from every second pair, the models are compared on the others. Beside it, the effect of the lock on each model:
by how much it moves the refusal margin, log p("I") - log p("Sure"), of harmful validation prompts (transformers, one
forward a prompt). Not part of the tests; takes half an hour on two cores.
"""
import argparse
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers import logging as transformers_logging

import transfer_variants as variants

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOL = ROOT / "build" / "safetylock"
CHECK_FAILED = 5
MARGIN_PROMPTS = 24
RETRAIN_STEPS = 300
PAIRS = 40


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def jsonl(path: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_jsonl(path: pathlib.Path, rows: list[dict]) -> pathlib.Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def tool(*args) -> dict:
    result = subprocess.run([str(TOOL), *map(str, args), "--json", "--quiet"], stdout=subprocess.PIPE, text=True)
    if result.returncode not in (0, CHECK_FAILED):
        raise SystemExit(f"safetylock {args[0]} ended with {result.returncode}")
    return json.loads(result.stdout)


class Study:
    def __init__(self, name: str, work: pathlib.Path, seed: int):
        self.name, self.work, self.seed = name, work, seed
        command = [sys.executable, ROOT / "scripts" / "get_model.py", name, "--hf"]
        self.base = pathlib.Path(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip())
        self.tokenizer = AutoTokenizer.from_pretrained(self.base)
        pairs = jsonl(ROOT / "data" / "pairs.jsonl")
        self.lock_pairs = write_jsonl(work / "lock_pairs.jsonl", pairs[0::2])
        self.pairs = write_jsonl(work / "pairs.jsonl", pairs[1::2])
        swapped = [{**p, "safe": p["unsafe"], "unsafe": p["safe"]} if i % 2 else p for i, p in enumerate(pairs[1::2])]
        self.shuffled = write_jsonl(work / "shuffled.jsonl", swapped)
        self.lock = work / "base.lock.safetensors"
        if not self.lock.exists():
            say("deriving the lock")
            tool("extract", self.base, "--pairs", self.lock_pairs, "-o", self.lock)
        self.heads = load_file(self.lock)
        self.samples = {"identity": variants.identity_samples(ROOT), "compliance": variants.compliance_samples(ROOT)}

    def model(self, folder: pathlib.Path):
        return AutoModelForCausalLM.from_pretrained(folder, dtype="auto")

    def fine_tuned(self, recipe: dict):
        torch.manual_seed(self.seed)
        model = self.model(self.base)
        dtype = model.dtype
        train = (self.tokenizer, self.samples[recipe["samples"]], recipe["epochs"], recipe["rate"], self.seed)
        if recipe["rank"] is None:
            model = model.float()
            variants.train(model, *train, bfloat16=False)
            return model.to(dtype)
        model = get_peft_model(model, LoraConfig(r=recipe["rank"], lora_alpha=2 * recipe["rank"], task_type="CAUSAL_LM",
                                                 target_modules=list(recipe["targets"])))
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()  # steps are too small for bfloat16
        variants.train(model, *train, bfloat16=dtype == torch.bfloat16)
        return model.merge_and_unload()

    def copies(self):
        """Name and how it is made; each must be refused."""
        layers = range(self.model(self.base).config.num_hidden_layers)
        locked = self.heads["layers"].tolist()
        fullest = max(set(locked), key=locked.count)
        yield "heads permuted in groups", lambda: variants.permuted(self.model(self.base), layers, "shift_in_groups")
        yield "groups permuted", lambda: variants.permuted(self.model(self.base), layers, "shift_groups")
        yield "one layer permuted", lambda: variants.permuted(self.model(self.base), [fullest], "shift_in_groups")
        yield "moderate, then permuted", lambda: variants.permuted(self.model(self.folder("moderate")), layers, "shift_in_groups")
        yield "heads rotated", lambda: variants.rotated(self.model(self.base), self.seed)
        texts = [p["prompt"] + " " + p[side] for p in jsonl(self.lock_pairs) for side in ("safe", "unsafe")]
        yield "retrained", lambda: variants.retrain(self.model(self.base), self.tokenizer, texts, RETRAIN_STEPS, self.seed)

    def folder(self, name: str) -> pathlib.Path:
        return self.work / name.replace(" ", "-").replace(",", "")

    def build(self, name: str, make) -> pathlib.Path:
        folder = self.folder(name)
        if not folder.exists():
            say(f"making {name}")
            partial = folder.with_name(folder.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            make().save_pretrained(partial)
            self.tokenizer.save_pretrained(partial)
            partial.rename(folder)
        return folder

    @torch.no_grad()
    def margins(self, folder: pathlib.Path, locked: bool) -> list[float]:
        """Refusal margin of each prompt; `locked`: under the lock, at its K and alpha 6."""
        model = self.model(folder).eval()
        handles = []
        if locked:
            dim = self.heads["directions"].shape[1]
            for layer, head, direction, sigma in zip(self.heads["layers"].tolist(), self.heads["heads"].tolist(),
                                                     self.heads["directions"], self.heads["sigmas"]):
                def hook(module, args, head=head, push=6 * sigma * direction):
                    args[0][..., head * dim:(head + 1) * dim] += push.to(args[0].dtype)
                handles.append(model.model.layers[layer].self_attn.o_proj.register_forward_pre_hook(hook))
        first = [self.tokenizer(word, add_special_tokens=False).input_ids[0] for word in ("I", "Sure")]
        out = []
        for row in jsonl(ROOT / "data" / "harmful_validation.jsonl")[:MARGIN_PROMPTS]:
            text = self.tokenizer.apply_chat_template([{"role": "user", "content": row["prompt"]}],
                                                      add_generation_prompt=True, tokenize=False)
            ids = self.tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
            logits = model(ids).logits[0, -1].float()
            out.append((logits[first[0]] - logits[first[1]]).item())
        for handle in handles:
            handle.remove()
        return out

    def margin_shift(self, folder: pathlib.Path) -> dict:
        unlocked, locked = self.margins(folder, False), self.margins(folder, True)
        mean = lambda values: sum(values) / len(values)
        return {"unlocked": mean(unlocked), "locked": mean(locked)}

    def measure(self, name: str, kin: str, tuned: pathlib.Path, base: pathlib.Path | None = None,
                pairs: pathlib.Path | None = None) -> dict:
        """One model's row. `kin`: descendant, permuted (the same function, heads numbered otherwise), stranger, other base
        (such a copy in the place of the base), or shuffled (pairs that say nothing)."""
        cached = self.folder(name).with_suffix(".json")
        if not cached.exists():
            say(f"measuring {name}")
            out = tool("transfer", base or self.base, tuned, "--lock", self.lock, "--pairs", pairs or self.pairs,
                       "--max-pairs", PAIRS, "--density-heads", 0)
            cached.write_text(json.dumps({"model": self.name, "name": name, "kin": kin, "evidence": out["evidence"],
                                          "summary": out["summary"],
                                          "margin": self.margin_shift(tuned) if kin == "descendant" else None}))
        return json.loads(cached.read_text())


def share_kept(row: dict, base: dict) -> float:
    """Of the margin that the lock adds to the base: what it adds to this model."""
    shift = lambda r: r["margin"]["locked"] - r["margin"]["unlocked"]
    return shift(row) / shift(base)


def works(row: dict) -> bool:
    """Whether the locked descendant would rather refuse than comply."""
    return row["margin"]["locked"] > 0


def wanted(row: dict) -> list[str]:
    """The verdicts that would be right."""
    if row["kin"] == "descendant":
        return ["pass"] if works(row) else ["warn", "refuse"]
    return ["refuse"]


def thresholds(rows: list[dict]) -> dict:
    """The rule of docs/transfer.md. Passing: no further away than the descendants on which the lock works, rounded outwards
    to 0.05. Refusing: halfway between the descendants and the copies that the figure has to tell."""
    figure = lambda kin, key: [r["evidence"][key] for r in rows if r["kin"] == kin]
    rate = lambda kin, key: [r["evidence"][key]["value"] for r in rows if r["kin"] == kin]
    good = [r["evidence"] for r in rows if r["kin"] == "descendant" and works(r)]
    down, up = lambda x: math.floor(x * 20 + 1e-9) / 20, lambda x: math.ceil(x * 20 - 1e-9) / 20
    halfway = lambda low, high: round((max(low) + min(high)) / 2, 2)
    return {"pass_cosine": down(min(e["cosine_low"] for e in good)),
            "refuse_cosine": halfway(figure("stranger", "cosine"), figure("descendant", "cosine")),
            "pass_own_numbers": down(min(e["own_numbers"] for e in good)),
            "refuse_own_numbers": halfway(figure("permuted", "own_numbers"), figure("descendant", "own_numbers")),
            "pass_sigma_change": up(max(e["sigma_change"] for e in good)),
            "pass_kl": up(max(e["kl"] for e in good)),
            "pass_separation": halfway(rate("shuffled", "separation_base"), rate("descendant", "separation_tuned")),
            "other_pairs_cosine": halfway(figure("other base", "lock_cosine"), figure("descendant", "lock_cosine"))}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="smollm2", help="as get_model.py takes it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--build-only", action="store_true", help="make the models and stop")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="JSON to write")
    args = parser.parse_args()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    cache = pathlib.Path(os.environ["SAFETYLOCK_CACHE"])
    work = cache / "transfer" / f"{args.model}-{args.seed}"
    work.mkdir(parents=True, exist_ok=True)
    study = Study(args.model, work, args.seed)
    descendants = {name: study.build(name, lambda r=recipe: study.fine_tuned(r)) for name, recipe in variants.FINE_TUNES.items()}
    copies = {name: study.build(name, make) for name, make in study.copies()}
    if args.build_only:
        return 0

    rows = [study.measure("the base itself", "descendant", study.base)]
    rows += [study.measure(name, "descendant", folder) for name, folder in descendants.items()]
    for name, folder in copies.items():
        rows.append(study.measure(name, "permuted" if "permuted" in name else "stranger", folder))
    rows += [study.measure(f"{name}, as its own base", "other base", folder, base=folder) for name, folder in copies.items()
             if name in ("heads permuted in groups", "retrained")]
    rows.append(study.measure("moderate, classes of every second pair exchanged", "shuffled", descendants["moderate"],
                              pairs=study.shuffled))
    for row in rows:
        row["kept"] = share_kept(row, rows[0]) if row["margin"] else None
        row["wanted"] = wanted(row)
        say(f"{row['name']}: {row['evidence']}, kept {row['kept']}")
    if args.output:
        study_rows = rows
        if args.output.exists():  # other models' rows stay
            study_rows = [r for r in json.loads(args.output.read_text())["models"] if r["model"] != args.model] + rows
        args.output.write_text(json.dumps({"thresholds": thresholds(study_rows), "models": study_rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
