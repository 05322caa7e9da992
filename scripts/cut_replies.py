#!/usr/bin/env python3
"""Cuts answers to harmful prompts, in result files that are to be published, to their first words.

Enough to see what kind of reply it is; a harmful answer that an unlocked model gave is nothing to hand on. Refusals and
replies to benign prompts stay whole. Usage: cut_replies.py FILE.json ...
"""
import json
import pathlib
import sys

WORDS = 10


def cut(node) -> None:
    if isinstance(node, list):
        for item in node:
            cut(item)
    elif isinstance(node, dict):
        for result in node.get("harmful", {}).get("results", []) if isinstance(node.get("harmful"), dict) else []:
            words = result["reply"].split()
            if result["outcome"] != "refused" and len(words) > WORDS:
                result["reply"] = " ".join(words[:WORDS]) + " ..."
        for value in node.values():
            cut(value)


for name in sys.argv[1:]:
    path = pathlib.Path(name)
    data = json.loads(path.read_text(encoding="utf-8"))
    cut(data)
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
