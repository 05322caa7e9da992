#!/usr/bin/env python3
"""Writes tests/golden/templates: chat templates rendered by jinja2 as transformers configures it.

The oracle is transformers' own render_jinja_template. models.json: the templates of the packaged models over whole
conversations; families.json: templates written here in the style of other model families; constructs.json: one feature
of the language each. A case whose oracle raises has "error" in place of "result".

    python scripts/make_golden_templates.py [--models FOLDER]
"""
import argparse
import datetime
import json
import os
import pathlib
import sys

os.environ["TZ"] = "UTC"
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import gguf  # noqa: E402
from transformers.utils import chat_template_utils  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from golden_template_cases import CONSTRUCT_VARIABLES, CONSTRUCTS, CONVERSATIONS, TOOLS  # noqa: E402
from golden_template_families import FAMILIES  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOW = datetime.datetime(2026, 3, 7, 9, 5, 1)  # UTC; the tests' clock
MODELS = ["SmolLM2-135M-Instruct.Q4_1.gguf", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"]


class FixedDatetime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def render(template, case):
    """The oracle's text, or the name of the exception it raised."""
    try:
        rendered, _ = chat_template_utils.render_jinja_template(
            conversations=[case["messages"]], tools=case.get("tools"), chat_template=template,
            add_generation_prompt=case.get("add_generation_prompt", False), **case.get("variables", {}),
            **{name: case[name] for name in ("bos_token", "eos_token") if case.get(name)})
        return {"result": rendered[0]}
    except Exception as error:  # every refusal counts, whatever its class
        return {"error": type(error).__name__}


def gguf_template(path):
    fields = gguf.GGUFReader(path).fields
    text = lambda key: fields[key].contents() if key in fields else None
    tokens = fields["tokenizer.ggml.tokens"]
    special = {}
    for name in ("bos", "eos"):
        index = text(f"tokenizer.ggml.{name}_token_id")
        special[f"{name}_token"] = tokens.contents(index) if index is not None else ""
    return text("tokenizer.chat_template"), special


def whole_template(name, template, special, variable_sets):
    """Every conversation, with and without tools and a generation prompt where the template knows them; further sets of variables
    with both only."""
    cases = []
    all_tools = (False, True) if "tools" in template else (False,)
    all_endings = (False, True) if "add_generation_prompt" in template else (False,)
    for number, variables in enumerate(variable_sets):
        for conversation, messages in CONVERSATIONS.items():
            for tools in all_tools if number == 0 else all_tools[-1:]:
                for generate in all_endings if number == 0 else all_endings[-1:]:
                    case = {"conversation": conversation, "tools": tools, "add_generation_prompt": generate, "variables": variables}
                    oracle = {**case, "messages": messages, "tools": TOOLS if tools else None, **special}
                    cases.append({**case, **render(template, oracle)})
    return {"name": name, "template": template, **special, "cases": cases}


def construct(template):
    case = {"messages": CONVERSATIONS["two turns"], "tools": TOOLS, "bos_token": "<s>", "eos_token": "</s>",
            "variables": CONSTRUCT_VARIABLES}
    return {"template": template, **render(template, case)}


def write(name, value):
    path = ROOT / "tests/golden/templates" / name
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")
    print(path.relative_to(ROOT), path.stat().st_size)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    parser.add_argument("--models", default=os.environ.get("SAFETYLOCK_MODELS", cache + "/safetylock/models"))
    args = parser.parse_args()
    chat_template_utils.datetime = FixedDatetime

    models = []
    for name in MODELS:
        template, special = gguf_template(os.path.join(args.models, name))
        models.append(whole_template(name, template, special, [{}]))
    write("models.json", models)
    write("families.json", [whole_template(name, family["template"], family["special"], family["variables"])
                            for name, family in FAMILIES.items()])
    write("constructs.json", {"conversation": "two turns", "bos_token": "<s>", "eos_token": "</s>",
                              "variables": CONSTRUCT_VARIABLES, "cases": [construct(t) for t in CONSTRUCTS]})
    write("conversations.json", {"conversations": CONVERSATIONS, "tools": TOOLS})


if __name__ == "__main__":
    main()
