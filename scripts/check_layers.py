#!/usr/bin/env python3
"""Proves that includes go down only, and that what should not show in public headers does not.

Each folder of src/ may include itself and the folders named below it; the core half may not include libtorch; a public
header may include the standard library, other public headers and at::Tensor, nothing else.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ALLOWED = {
    "base": set(),
    "formats": {"base"},
    "text": {"base", "formats"},
    "lock": {"base", "formats", "text"},
    "bake": {"base", "formats", "text", "lock"},
    "remote": {"base"},
    "analysis": {"base"},
    "model": {"base", "formats", "text", "lock"},
    "engine": {"base", "formats", "text", "lock", "model"},
    "pipeline": {"base", "formats", "text", "lock", "bake", "remote", "analysis", "model", "engine"},
    "cli": {"base", "formats", "text", "lock", "bake", "remote", "analysis", "model", "engine", "pipeline"},
}
CORE = {"base", "formats", "text", "lock", "bake", "remote"}
# Public headers that only the libtorch half may include.
TORCH_HEADERS = {"hooks.h", "interventions.h", "causal_lm.h", "generate.h", "head_activations.h", "probes.h", "derive.h",
                 "apply.h", "evaluate.h", "make_probes.h", "utility.h", "safetylock.h"}
TORCH_FILE = re.compile(r"^(ATen|torch|c10)/")
PUBLIC_TENSOR = {"ATen/core/Tensor.h"}
MAX_PUBLIC_LINES = 200
INCLUDE = re.compile(r'^\s*#\s*include\s*(<([^>]+)>|"([^"]+)")', re.M)


def includes(path: pathlib.Path):
    for match in INCLUDE.finditer(path.read_text()):
        yield bool(match[2]), match[2] or match[3]


def check_source(path: pathlib.Path) -> list[str]:
    layer = path.relative_to(ROOT / "src").parts[0]
    problems = []
    for _, name in includes(path):
        first = name.split("/")[0]
        if first in ALLOWED and first != layer and first not in ALLOWED[layer]:
            problems.append(f"{layer} may not include {name}")
        if layer in CORE and TORCH_FILE.match(name):
            problems.append(f"{layer} belongs to the core, which links no libtorch, but includes {name}")
        if layer in CORE and first == "safetylock" and name.split("/")[-1] in TORCH_HEADERS:
            problems.append(f"{layer} belongs to the core but includes {name}")
        if layer == "analysis" and first == "safetylock" and name.split("/")[-1] in TORCH_HEADERS - {"probes.h"}:
            problems.append(f"analysis sees tensors only, but includes {name}")
    return problems


def check_public(path: pathlib.Path) -> list[str]:
    problems = []
    for angled, name in includes(path):
        if name.startswith("safetylock/"):
            continue
        if not angled:
            problems.append(f"a public header includes the private {name}")
        elif ("/" in name or name.endswith(".h") or name.endswith(".hpp")) and name not in PUBLIC_TENSOR:
            problems.append(f"a public header shows {name}")
    lines = len(path.read_text().splitlines())
    if lines > MAX_PUBLIC_LINES:
        problems.append(f"a public header holds one idea in under {MAX_PUBLIC_LINES} lines, this has {lines}")
    return problems


def main() -> int:
    failures = 0
    sources = sorted(p for p in (ROOT / "src").rglob("*") if p.suffix in {".h", ".cpp"})
    headers = sorted((ROOT / "include" / "safetylock").glob("*.h"))
    for path, problems in [(p, check_source(p)) for p in sources] + [(p, check_public(p)) for p in headers]:
        for problem in problems:
            print(f"{path.relative_to(ROOT)}: {problem}")
            failures += 1
    print(f"{len(sources)} sources, {len(headers)} public headers, {failures} violations")
    return 1 if failures or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
