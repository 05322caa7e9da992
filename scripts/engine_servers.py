"""Engines as servers on this machine, for check_engines.py."""
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.error
import urllib.request

START_SECONDS = 600
# A CPU, no network, no usage reports; threads are left where the system puts them.
VLLM_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_CPU_KVCACHE_SPACE": "1",
                    "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "2"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def post(url, value, timeout=300):
    request = urllib.request.Request(url, json.dumps(value).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as reply:
        return json.load(reply)


@contextlib.contextmanager
def running(command, port, log, environment=None, folder=None):
    """Yields the server's address once it answers, and ends it afterwards. The log is shown when it does not come up."""
    with open(log, "w") as out:
        process = subprocess.Popen([str(c) for c in command], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                   cwd=folder, env={**os.environ, **(environment or {})}, start_new_session=True)
    try:
        url, begin = f"http://127.0.0.1:{port}", time.monotonic()
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                urllib.request.urlopen(url + "/health", timeout=5).close()
                break
            if process.poll() is not None or time.monotonic() - begin > START_SECONDS:
                raise RuntimeError(f"{command[0]} did not come up:\n" + pathlib.Path(log).read_text()[-3000:])
            time.sleep(0.5)
        yield url
    finally:
        # Its own process group: vLLM's workers end with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def vllm(python, model, log, *options, **environment):
    port = free_port()
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--host", "127.0.0.1", "--port", port,
               "--dtype", "float32", "--enforce-eager", "--max-model-len", "256", "--max-num-seqs", "4", *options]
    return running(command, port, log, VLLM_ENVIRONMENT | environment)


def llama_cpp(binary, model, log, *options):
    port = free_port()
    return running([binary, "-m", model, "--host", "127.0.0.1", "--port", port, "-c", "1024", "-t", "2", *options], port, log)


def complete(url, prompt_ids, tokens, logprobs):
    """(token ids, for each step {token id: logprob})"""
    model = json.load(urllib.request.urlopen(url + "/v1/models", timeout=60))["data"][0]["id"]
    reply = post(url + "/v1/completions", {"model": model, "prompt": prompt_ids, "max_tokens": tokens, "logprobs": logprobs,
                                           "temperature": 0, "return_tokens_as_token_ids": True})
    found = reply["choices"][0]["logprobs"]
    if found is None:  # llama.cpp, where the token ends the reply
        return [], []
    if "content" in found:  # llama.cpp
        return [c["id"] for c in found["content"]], [{t["id"]: t["logprob"] for t in c["top_logprobs"]} for c in found["content"]]
    number = lambda name: int(name.removeprefix("token_id:"))  # noqa: E731
    return [number(t) for t in found["tokens"]], [{number(t): v for t, v in step.items()} for step in found["top_logprobs"]]
