#!/usr/bin/env python3
"""Renders published chat templates over whole conversations, and compares with transformers' render_jinja_template.

    published_templates_oracle.py DRIVER

The templates are those that scripts/get_published.py leaves in the cache. Where transformers renders, we must render the
same bytes; where it raises, we must refuse.
"""
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["TZ"] = "UTC"
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import get_model  # noqa: E402
import make_golden_templates as golden  # noqa: E402

# What these need is left out of the language on purpose: refused, with the template's line named.
REFUSED = {
    "axolotl-jamba.jinja": "argument unpacking with * or **",
    "deepseek-ai-DeepSeek-V3.2.jinja": 'the filter "from_json"',  # of llama.cpp, unknown to Jinja
    "deepseek-ai-DeepSeek-V4.jinja": 'the filter "from_json"',
    "deepseek-ai-DeepSeek-V4-Flash-0731.jinja": 'the filter "from_json"',
    "tencent-Hy3.jinja": 'the attribute "format" of a str',
}
# Whatever the conversation, transformers refuses these without variables of their own.
NEVER_RENDERED = {"CohereForAI-c4ai-command-r-plus-tool_use.jinja", "fireworks-ai-llama-3-firefunction-v2.jinja"}
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
# Without a generation prompt what the user says of thinking changes how old replies are shown.
VARIABLES = {False: [{}, {"enable_thinking": True}], True: [{}, {"enable_thinking": False}]}


def cases_of(path):
    # As files are read: \r\n stays, Jinja makes it \n.
    template = path.read_bytes().decode()
    for conversation, messages in golden.CONVERSATIONS.items():
        for tools in (None, golden.TOOLS):
            for generate, variable_sets in VARIABLES.items():
                for variables in variable_sets:
                    yield {"name": path.name, "conversation": conversation, "template": template, "messages": messages,
                           **({"tools": tools} if tools else {}), "add_generation_prompt": generate, "variables": variables, **TOKENS}


def rendered_by(driver, cases):
    with tempfile.TemporaryDirectory() as folder:
        given, results = pathlib.Path(folder, "cases"), pathlib.Path(folder, "results")
        given.write_text("".join(json.dumps(case) + "\n" for case in cases))
        subprocess.run([driver, given, results], check=True)
        return [json.loads(line) for line in results.read_text().split("\n")[:-1]]


def main():
    folder = get_model.default_cache() / "templates"
    paths = sorted(folder.glob("*.jinja"))
    if len(paths) < 100:
        sys.exit(f"{folder} has {len(paths)} templates: run scripts/get_published.py templates")
    golden.chat_template_utils.datetime = golden.FixedDatetime
    cases = [case for path in paths for case in cases_of(path)]
    counts, same = collections.Counter(), collections.Counter()
    wrong = []
    for case, ours in zip(cases, rendered_by(sys.argv[1], cases), strict=True):
        theirs, name = golden.render(case["template"], case), case["name"]
        if name in REFUSED:
            outcome = "left out" if REFUSED[name] in ours.get("what", "") else "wrong"
        elif "result" in theirs:
            outcome = "same" if ours.get("text") == theirs["result"] else "wrong"
        else:
            outcome = "both refuse" if "error" in ours else "wrong"
        counts[outcome] += 1
        same[name] += outcome == "same"
        if outcome == "wrong":
            wrong.append((name, case["conversation"], theirs, ours))
    unseen = [p.name for p in paths if p.name not in REFUSED and p.name not in NEVER_RENDERED and same[p.name] < 12]
    print(f"{len(paths)} templates, {len(cases)} renderings: {dict(counts)}; rendered less than 12 times: {unseen}")
    for name, conversation, theirs, ours in wrong[:10]:
        print(f"--- {name}, {conversation}\n  transformers: {str(theirs)[:400]}\n  ours:         {str(ours)[:400]}")
    sys.exit(1 if wrong or unseen else 0)


if __name__ == "__main__":
    main()
