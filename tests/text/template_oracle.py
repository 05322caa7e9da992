#!/usr/bin/env python3
"""Compares template_driver with jinja2 as transformers configures it, on random templates and on every character.

    template_oracle.py DRIVER [--count N] [--seed S]

Where jinja2 renders, the driver must render the same bytes or say that the feature is unsupported (few may); where
jinja2 raises, the driver must refuse. Fails on any other outcome.
"""
import argparse
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unicodedata

os.environ.setdefault("HF_HUB_OFFLINE", "1")
from transformers.utils import chat_template_utils  # noqa: E402

VARIABLES = {
    "i": 3, "j": -2, "z": 0, "f": 1.5, "g": -0.25, "t": True, "n": None, "s": "Hello", "e": "", "u": "é🎉 x\n", "w": " a,b a ",
    "l": [3, 1, 2], "m": ["b", "a", "B"], "k": [], "d": {"a": 1, "b": "x", "items": [1]}, "o": {}, "q": [[1, 2], [3]],
    "r": [{"a": 1, "b": "x"}, {"a": 2}, {"b": None}],
}
NAMES = list(VARIABLES) + ["missing"]
LITERALS = ["0", "1", "2", "-1", "7", "0.5", "2.0", "1e20", "'a'", "''", "'ab a'", "' x '", "true", "false", "none", "[]", "[1, 'a']",
            "{}", "{'a': 1}", "(1, 2)", "()", "range(3)", "'b'", "'items'"]
KEYS = [text for text in LITERALS if text[0] not in "[{"]  # jinja2 may fold, and refuse, the others even where unused
BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
FILTERS = ["trim", "length", "items", "join", "join('-')", "map('upper')", "map('string')", "map(attribute='a')", "map(attribute='a', default=5)",
           "list", "string", "select", "reject", "select('string')", "selectattr('a')", "selectattr('a', 'defined')", "rejectattr('b')",
           "selectattr('a', 'equalto', 1)", "first", "last", "default('D')", "default('D', true)", "upper", "lower", "replace('a', 'bb')",
           "capitalize", "title", "tojson", "tojson(indent=2)", "reverse", "sort", "unique", "int", "float", "abs", "min", "max", "sum",
           "indent", "dictsort", "count", "map('length')", "safe", "tojson|safe", "reject('none')", "select('odd')", "sort(reverse=true)", "replace('', '.')"]
TESTS = ["defined", "undefined", "none", "string", "iterable", "mapping", "true", "false", "number", "boolean", "sequence", "integer",
         "float", "odd", "even", "eq 1", "in [1, 'a']", "divisibleby 2", "callable"]
METHODS = ["strip()", "lstrip()", "rstrip('x ')", "split()", "split(',')", "split('a', 1)", "upper()", "lower()", "startswith('a')",
           "endswith('x')", "replace('a', 'b', 1)", "items()", "keys()", "values()", "get('a')", "get('zz', 2)", "title()", "capitalize()",
           "join(['p', 'q'])", "find('a')", "count('a')", "splitlines()", "rsplit(none, 1)", "removeprefix('H')"]
ADDRESS = re.compile(r"<(generator|built-in|bound|function|list_rev|range_it|dict_|reversed|Macro|class|str|method|safe)[^>]*")


# jinja2 folds (none)[1:], a slice of a constant, to "undefined", where it raises for a variable of the same value.
SLICE_OF_CONSTANT = "expected a string or list before [ : ]"


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, items):
        return self.random.choice(items)

    def expression(self, depth):
        if depth == 0:
            return self.pick(NAMES) if self.random.random() < 0.6 else self.pick(LITERALS)
        sub = lambda: self.expression(depth - 1 - (self.random.random() < 0.4 and depth > 1))
        return self.pick([
            lambda: f"{sub()} {self.pick(BINARY)} {sub()}", lambda: f"({sub()} {self.pick(BINARY)} {sub()})",
            lambda: f"{sub()}|{self.pick(FILTERS)}", lambda: f"({sub()})|{self.pick(FILTERS)}", lambda: f"({sub()}).{self.pick(METHODS)}",
            lambda: f"{sub()} is {self.pick(['', 'not '])}{self.pick(TESTS)}", lambda: f"({sub()})[{sub()}]",
            lambda: f"({sub()})[{self.bound()}:{self.bound()}]", lambda: f"({sub()})[::{self.pick(['-1', '2', ''])}]",
            lambda: f"({sub()}).{self.pick(['a', 'b', 'zz', '0'])}", lambda: f"{sub()} if {sub()} else {sub()}", lambda: f"not {sub()}",
            lambda: f"-{sub()}", lambda: f"[{sub()}, {sub()}]", lambda: f"{{'a': {sub()}, {self.pick(KEYS)}: {sub()}}}",
            lambda: f"({sub()}, {sub()})"])()

    def bound(self):
        return self.pick(["", "0", "1", "-1", "2", "-3", "9", "i", "none"])

    def gap(self):
        return self.pick(["", " ", "\n", "  ", "\n  ", " \n", "\t", "x", "x\n", "{# c #}", "{#- c -#}"])

    def tag(self, text):
        left, right = self.pick(["", "", "", "-", "+"]), self.pick(["", "", "", "-", "+"])
        return f"{{%{left} {text} {right}%}}"

    def print(self, text):
        return "{{" + self.pick(["", "", "-"]) + f" {text} " + self.pick(["", "", "-"]) + "}}"

    def statements(self, depth):
        return "".join(self.gap() + self.statement(depth) for _ in range(self.random.randint(1, 3))) + self.gap()

    def statement(self, depth):
        e = lambda: self.expression(self.random.randint(0, 2))
        if depth == 0:
            return self.print(self.pick([e(), "v", "loop.index", "loop.last", "ns.x", "x"]))
        body = lambda: self.statements(depth - 1)
        return self.pick([
            lambda: self.tag(f"if {e()}") + body() + self.tag(f"elif {e()}") + body() + self.tag("else") + body() + self.tag("endif"),
            lambda: self.tag(f"for v in {e()}") + body() + self.tag("else") + body() + self.tag("endfor"),
            lambda: self.tag(f"for v in {self.pick(['l', 'm', 's', 'd', 'r', 'range(4)'])} if {e()}") + body() + self.tag("endfor"),
            lambda: self.tag("for v in l") + body() + self.tag(f"if v == {e()}") + self.tag(self.pick(["break", "continue"]))
            + self.tag("endif") + body() + self.tag("endfor"),
            lambda: self.tag("for v, x in d.items()") + body() + self.tag("endfor"),
            lambda: self.tag(f"set {self.pick(['v', 'x', 'l', 's'])} = {e()}"), lambda: self.tag(f"set ns.x = {e()}"),
            lambda: self.tag("set ns = namespace(x=1)") + body(), lambda: self.tag("set v") + body() + self.tag("endset"),
            lambda: self.tag(f"with v = {e()}") + body() + self.tag("endwith"), lambda: self.tag("filter upper") + body() + self.tag("endfilter"),
            lambda: self.tag(f"macro p(x, v={e()})") + body() + self.tag("endmacro") + self.print(f"p({e()})"),
            lambda: self.tag("generation") + body() + self.tag("endgeneration"), lambda: self.print(e())])()


def characters():
    """Every assigned character through case mapping, white space, repr and JSON."""
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000 and unicodedata.category(chr(c)) not in ("Cn", "Co")]
    template = ("{% for c in v %}{{ c|upper }}{{ c.capitalize() }}{% if c != 'Σ' %}{{ c.lower() }}{% endif %}{% endfor %}"
                "{{ v.split() }}{{ v.splitlines() }}{{ [v] }}{{ v|tojson }}{{ v|tojson(true) }}{{ v|length }}{{ v|title|length if 'Σ' not in v }}"
                "{% for c in v %}{{ c|trim|length }}{% endfor %}")
    for start in range(0, len(points), 2048):
        yield {"template": template, "variables": {"v": "".join(points[start:start + 2048])}}


def oracle(case):
    try:
        rendered, _ = chat_template_utils.render_jinja_template(
            conversations=[[]], chat_template=case["template"], bos_token="<s>", eos_token="</s>", **case["variables"])
        return {"text": rendered[0]}
    except Exception as error:  # every refusal counts, whatever its class
        return {"error": type(error).__name__}


def run_driver(driver, cases):
    with tempfile.TemporaryDirectory() as folder:
        given, results = pathlib.Path(folder, "cases"), pathlib.Path(folder, "results")
        given.write_text("".join(json.dumps(case) + "\n" for case in cases))
        subprocess.run([driver, given, results], check=True)
        return [json.loads(line) for line in results.read_text().split("\n")[:-1]]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("driver")
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    generator = Generator(args.seed)
    cases = list(characters())
    whole = len(cases)
    for number in range(args.count):
        template = ("{{ " + generator.expression(generator.random.randint(1, 3)) + " }}" if number % 2 else
                    "{% set ns = namespace(x=0) %}" + generator.statements(generator.random.randint(1, 3)))
        cases.append({"template": template, "variables": VARIABLES})

    counts = {"same": 0, "both refuse": 0, "unsupported": 0, "prints an address": 0, "folded slice": 0}
    wrong = []
    for index, (case, ours) in enumerate(zip(cases, run_driver(args.driver, cases), strict=True)):
        theirs = oracle(case)
        if "text" in theirs and theirs == ours:
            counts["same"] += 1
        elif "error" in theirs and "error" in ours:
            counts["both refuse"] += 1
        elif "text" in theirs and ADDRESS.search(theirs["text"]) and ours.get("error") == "template.unsupported":
            counts["prints an address"] += 1
        elif index >= whole and "text" in theirs and ours.get("error") == "template.unsupported":
            counts["unsupported"] += 1
        elif "text" in theirs and SLICE_OF_CONSTANT in ours.get("what", ""):
            counts["folded slice"] += 1
        else:
            wrong.append((case["template"], theirs, ours))
    print(counts, "wrong:", len(wrong))
    for template, theirs, ours in wrong[:20]:
        print(f"--- {template}\n  jinja2: {str(theirs)[:300]}\n  ours:   {str(ours)[:300]}")
    too_many = counts["unsupported"] > 0.03 * args.count
    too_few = counts["same"] < 0.3 * args.count
    sys.exit(1 if wrong or too_many or too_few else 0)


if __name__ == "__main__":
    main()
