#!/usr/bin/env python3
"""transformers as a peer of safetylock_bench: the same requests, one JSON line each, on the same token ids.

    transformers_peer.py MODEL DTYPE THREADS
"""
import json
import sys
import time

import numpy
import torch
from transformers import AutoModelForCausalLM


class Peer:
    def __init__(self, folder, dtype):
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
        self.layers = self.model.model.layers

    def prompt(self, tokens, salt):
        return [1 + (salt * 37 + i * 11) % (min(self.model.config.vocab_size, 5000) - 1) for i in range(tokens)]

    def generate(self, batch, tokens):
        ids = torch.tensor([self.prompt(32, b) for b in range(batch)])
        begin = time.perf_counter()
        self.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=tokens, max_new_tokens=tokens,
                            pad_token_id=0)
        return time.perf_counter() - begin

    def decode(self, request):
        prompts = self.generate(request["batch"], 1)
        return {"seconds": self.generate(request["batch"], request["tokens"] + 1) - prompts}

    def prefill(self, request):
        ids = torch.tensor([self.prompt(request["tokens"], 0)])
        begin = time.perf_counter()
        self.model(ids, logits_to_keep=1)
        return {"seconds": time.perf_counter() - begin}

    def padded(self, sequences):
        longest = max(len(s["ids"]) for s in sequences)
        ids = torch.zeros((len(sequences), longest), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, s in enumerate(sequences):
            ids[row, :len(s["ids"])] = torch.tensor(s["ids"])
            mask[row, :len(s["ids"])] = 1
        return ids, mask

    def hooked(self, functions):
        """Forward hooks on the input of o_proj and the output of the MLP of every layer."""
        handles = []
        for i, layer in enumerate(self.layers):
            if "head" in functions:
                handles.append(layer.self_attn.o_proj.register_forward_pre_hook(lambda _, args, i=i: functions["head"](i, args[0])))
            if "mlp" in functions:
                handles.append(layer.mlp.register_forward_hook(lambda _, __, out, i=i: functions["mlp"](i, out)))
        return handles

    def published(self, sequences):
        """The published pipeline's way: batches of 16 in file order, padded; logits, hidden states, head inputs and MLP outputs of all
        tokens, stacked and copied as float16; then the rows that are wanted."""
        rows = []
        for first in range(0, len(sequences), 16):
            part = sequences[first:first + 16]
            ids, mask = self.padded(part)
            heads, mlps = [None] * len(self.layers), [None] * len(self.layers)
            handles = self.hooked({"head": lambda i, v: heads.__setitem__(i, v), "mlp": lambda i, v: mlps.__setitem__(i, v)})
            out = self.model(ids, attention_mask=mask, output_hidden_states=True)
            for handle in handles:
                handle.remove()
            torch.stack(out.hidden_states).half().numpy()
            torch.stack(mlps).half().numpy()
            stacked = torch.stack(heads).half().numpy()  # [L, B, T, H * D]
            for b, s in enumerate(part):
                rows.append(stacked[:, b, s["kept"]].swapaxes(0, 1).astype(numpy.float32))
        return numpy.concatenate(rows)

    def batched(self, sequences):
        """A well-written loop: sorted by length, no logits, only the wanted rows leave the forward."""
        order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]["ids"]))
        rows = [None] * len(sequences)
        for first in range(0, len(order), 16):
            part = [sequences[i] for i in order[first:first + 16]]
            ids, mask = self.padded(part)
            batch = torch.tensor([b for b, s in enumerate(part) for _ in s["kept"]])
            place = torch.tensor([p for s in part for p in s["kept"]])
            kept = [None] * len(self.layers)
            handles = self.hooked({"head": lambda i, v: kept.__setitem__(i, v[batch, place])})
            self.model.model(ids, attention_mask=mask, use_cache=False)
            for handle in handles:
                handle.remove()
            together = torch.stack(kept, 1).float().numpy()  # [rows, L, H * D]
            at = 0
            for i, s in zip(order[first:first + 16], part):
                rows[i] = together[at:at + len(s["kept"])]
                at += len(s["kept"])
        return numpy.concatenate(rows)

    def extract(self, request):
        with open(request["sequences"]) as file:
            sequences = json.load(file)
        begin = time.perf_counter()
        rows = getattr(self, request["how"])(sequences)
        seconds = time.perf_counter() - begin
        rows.astype(numpy.float32).tofile(request["save"])
        return {"seconds": seconds}


def main():
    torch.set_num_threads(int(sys.argv[3]))
    torch.set_num_interop_threads(1)
    with torch.inference_mode():
        peer = Peer(sys.argv[1], sys.argv[2])
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            print(json.dumps(getattr(peer, request["do"])(request)), flush=True)


if __name__ == "__main__":
    main()
