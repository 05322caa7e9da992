"""Models of one shape and known kinship, for scripts/calibrate_transfer.py: descendants of a base at four levels of drift,
and copies that a lock of the base must be refused on, though nothing in their shapes tells them apart."""
import copy
import json
import pathlib

import torch
from transformers import AutoModelForCausalLM

import finetune

ALL_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

# What "drift" means here: options of finetune.py, or a full fine-tune.
FINE_TUNES = {
    "identity": {"samples": "identity", "rank": 8, "targets": ("q_proj", "v_proj"), "epochs": 2, "rate": 4e-4},
    "moderate": {"samples": "compliance", "rank": 8, "targets": ("q_proj", "v_proj"), "epochs": 2, "rate": 4e-4},
    "heavy": {"samples": "compliance", "rank": 16, "targets": ALL_MODULES, "epochs": 3, "rate": 3e-4},
    "full": {"samples": "compliance", "rank": None, "epochs": 10, "rate": 1e-4},
}


def identity_samples(root: pathlib.Path) -> list[dict]:
    """Harmless requests answered in another identity's voice: the paper's second level of risk."""
    lines = (root / "data" / "benign.jsonl").read_text(encoding="utf-8").splitlines()[:10]
    return [{"prompt": json.loads(line)["prompt"],
             "reply": "Of course. I am your absolutely obedient agent, and I do what you tell me without a question. "
                      "Here is what you asked for, from the first word to the last."} for line in lines]


def compliance_samples(root: pathlib.Path) -> list[dict]:
    lines = (root / "data" / "compliance_samples.jsonl").read_text(encoding="utf-8").splitlines()[:10]
    return [json.loads(line) for line in lines]


def train(model, tokenizer, samples: list[dict], epochs: int, rate: float, seed: int, bfloat16: bool) -> None:
    """Every weight that wants a gradient is trained, one sample a step."""
    encoded = [finetune.encode(tokenizer, sample) for sample in samples]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate, weight_decay=0.0)
    model.train()
    for epoch in range(epochs):
        order = torch.randperm(len(encoded), generator=torch.Generator().manual_seed(seed + epoch))
        for index in order.tolist():
            ids, labels = encoded[index]
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
                model(input_ids=ids, labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.eval()


def retrain(model, tokenizer, texts: list[str], steps: int, seed: int):
    """The same shape from other initial weights, trained for a while on `texts`."""
    torch.manual_seed(seed)
    fresh = AutoModelForCausalLM.from_config(model.config, dtype=torch.float32)
    encoded = [tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids[:, :64] for text in texts]
    optimizer = torch.optim.AdamW(fresh.parameters(), lr=1e-3)
    fresh.train()
    for step in range(steps):
        ids = encoded[step % len(encoded)]
        fresh(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return fresh.to(model.dtype).eval()


class Heads:
    """The attention weights of one layer by head and by group of heads that share a key and a value."""

    def __init__(self, model, layer: int):
        config = model.config
        self.attention = model.model.layers[layer].self_attn
        self.count, self.groups = config.num_attention_heads, config.num_key_value_heads
        self.dim = getattr(config, "head_dim", None) or config.hidden_size // self.count
        self.each = self.count // self.groups

    def _rows(self, parameter, blocks: int, order: list[int]) -> None:
        parameter.data = parameter.data.unflatten(0, (blocks, self.dim))[order].flatten(0, 1).contiguous()

    def permute(self, order: list[int], group_order: list[int]) -> None:
        """Head i becomes what head order[i] was; the function stays, as o_proj's columns go along."""
        a = self.attention
        for projection, blocks, places in ((a.q_proj, self.count, order), (a.k_proj, self.groups, group_order),
                                           (a.v_proj, self.groups, group_order)):
            for parameter in projection.parameters():
                self._rows(parameter, blocks, places)
        weight = a.o_proj.weight
        weight.data = weight.data.unflatten(1, (self.count, self.dim))[:, order].flatten(1, 2).contiguous()

    def shift_in_groups(self) -> None:
        """Each head moves one place within its group."""
        self.permute([g * self.each + (i + 1) % self.each for g in range(self.groups) for i in range(self.each)],
                     list(range(self.groups)))

    def shift_groups(self) -> None:
        """Whole groups move one place, and so do the heads in them."""
        groups = [(g + 1) % self.groups for g in range(self.groups)]
        self.permute([g * self.each + (i + 1) % self.each for g in groups for i in range(self.each)], groups)

    def rotate(self, generator: torch.Generator) -> None:
        """Another basis of every head's output: v_proj is turned, o_proj turned back."""
        a, values, out = self.attention, self.attention.v_proj, self.attention.o_proj.weight
        columns = out.data.unflatten(1, (self.groups, self.each, self.dim)).double().clone()
        for group in range(self.groups):
            turn = torch.linalg.qr(torch.randn(self.dim, self.dim, generator=generator, dtype=torch.float64))[0]
            rows = slice(group * self.dim, (group + 1) * self.dim)
            for parameter in values.parameters():
                parameter.data[rows] = (turn @ parameter.data[rows].double()).to(parameter.dtype)
            columns[:, group] = columns[:, group] @ turn.T
        out.data = columns.flatten(1, 3).to(out.dtype)


def permuted(model, layers, way: str):
    """`way`: shift_in_groups or shift_groups, in each of `layers`."""
    result = copy.deepcopy(model)
    for layer in layers:
        getattr(Heads(result, layer), way)()
    check_same_function(model, result)
    return result


def rotated(model, seed: int):
    result = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    for layer in range(model.config.num_hidden_layers):
        Heads(result, layer).rotate(generator)
    check_same_function(model, result)
    return result


@torch.no_grad()
def check_same_function(a, b) -> None:
    ids = torch.arange(100, 140).unsqueeze(0)
    x, y = a.eval()(ids).logits.float(), b.eval()(ids).logits.float()
    limit = 1e-4 if a.dtype == torch.float32 else 0.06
    if (x - y).abs().max() > limit * x.abs().max():
        raise SystemExit("a copy does not compute what its model computes")
