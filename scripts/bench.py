#!/usr/bin/env python3
"""Measures this library beside its peers, in turns, and writes docs/results/performance.json. Takes an
hour on two quiet cores, most of it for transformers.

    bench.py [--only PART] [--model NAME] [--dtype DTYPE] [--rounds N] [--pairs N] [--threads N] [--limit SET] [-o FILE]
    bench.py --render          makes docs/performance.md's tables and docs/results/scaling-*.svg from all
                               performance*.json, one for each machine and model

--limit avx2 or avx512 measures what a processor without the rest would do, on this one: ours, libtorch and transformers are all told to
use no more.

Every round runs A, B, B, A ...; a ratio is taken within a round; the figure is the median of the rounds with a 95 % bootstrap interval.
Each round also measures what the machine can do: bytes read a second, and the rate of libtorch's largest matrix product.
"""
import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy

import provenance

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts" / "bench"))
import curves  # noqa: E402

PROMPTS_A_ROUND = 3
BENCH = pathlib.Path(os.environ.get("SAFETYLOCK_BENCH", ROOT / "build" / "scripts" / "bench" / "safetylock_bench"))
TOOL = ROOT / "build" / "safetylock"
BAKE_MODEL = ROOT / "build" / "tests" / "bake" / "bake_model"
MODELS = {"smollm2": "SmolLM2-135M-Instruct", "gemma3-270m": "Gemma-3-270M", "qwen2.5-coder-1.5b": "Qwen2.5-Coder-1.5B-Instruct"}
DTYPES = ("float32", "bfloat16")
PAIRS = ROOT / "data" / "pairs.jsonl"
RESULT = ROOT / "docs" / "results" / "performance.json"
PAGE = ROOT / "docs" / "performance.md"
SYSTEM = ("You are the assistant of a public library in a small town. Answer in plain words and keep to what you know. When a question is about "
          "opening hours, say that the library is open from nine to six on weekdays and from ten to two on Saturdays. When a question is about "
          "borrowing, say that books may be kept for four weeks and films for one. Never invent titles or authors. If somebody asks for something "
          "that could hurt people, explain in one sentence why you will not help, and offer something useful instead. Be brief and friendly.")
BUSY, TRIES = 0.1, 3
# What a processor is held to: by libtorch and this library, by oneDNN, and by MKL.
LIMITS = {"avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
          "avx512": {"ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16", "MKL_ENABLE_INSTRUCTIONS": "AVX512"}}
PARTS = ("extraction", "generation", "llama_cpp", "probes", "hook", "apply", "scaling", "end_to_end")


class Child:
    """A program that answers one JSON line with another."""

    def __init__(self, *command):
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.hello = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[0]} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, do, **request):
        self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine_seconds():
    """Seconds of CPU time that all programs together have used."""
    fields = [int(f) for f in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def interval(ratios, draws=10000):
    """Median of the rounds and its 95 % bootstrap interval."""
    values = numpy.asarray(ratios, dtype=float)
    rng = numpy.random.default_rng(0)
    medians = numpy.median(rng.choice(values, (draws, len(values))), axis=1)
    low, high = numpy.quantile(medians, [0.025, 0.975])
    return {"value": float(numpy.median(values)), "low": float(low), "high": float(high), "rounds": len(values)}


def packaged(model, *options):
    """The packaged model's file, or folder with --hf."""
    return subprocess.run([sys.executable, str(ROOT / "scripts" / "get_model.py"), model, *options], check=True, capture_output=True,
                          text=True).stdout.strip()


def limits_now(child, dtype):
    """What the machine can do now; for products in `dtype` the higher of its own rate and that of float32."""
    found = child.ask("floors", dtype="float32")
    if dtype != "float32":
        found["flop_per_second"] = max(found["flop_per_second"], child.ask("floors", dtype=dtype)["flop_per_second"])
    return found


def attention_flop(model, keys):
    """Of queries that see so many `keys` in all, with these and with their values."""
    return 4 * keys * model["layers"] * model["heads"] * model["head_dim"]


def prompt_flop(model, tokens):
    return 2 * tokens * model["multiplied"] + attention_flop(model, tokens * (tokens + 1) / 2)


def extraction_flop(model, sequences, computed):
    """Of the tokens that have to be computed: those that all sequences begin with once, and those that the two of a pair begin with once."""
    ids = [s["ids"] for s in sequences]
    of_all = len(os.path.commonprefix(ids))
    positions = list(range(of_all))
    for one, other in zip(ids[::2], ids[1::2]):
        both = len(os.path.commonprefix([one, other]))
        positions += [*range(of_all, both), *range(both, len(one)), *range(both, len(other))]
    if len(positions) != computed:
        raise RuntimeError(f"{computed} tokens were computed, {len(positions)} have to be")
    return 2 * len(positions) * model["multiplied_in_extraction"] + attention_flop(model, sum(positions) + len(positions))


class Rounds:
    """Takes turns between askers {name: function that gives seconds}. A round in which programs that are not `children` used more than
    BUSY of the processors is done again, TRIES times at most; how much they used is kept. Without children nothing is known of that."""

    def __init__(self, number, children):
        self.number, self.children = number, children

    def run(self, askers, before_each=None):
        seconds = {name: [] for name in askers}
        extra, busy = [], []
        for name in askers:
            askers[name]()  # not counted: first touches, thread pools
        for turn in range(self.number):
            names = list(askers) if turn % 2 == 0 else list(reversed(askers))
            for _ in range(TRIES):
                begin, used, own = time.perf_counter(), machine_seconds(), sum(c.cpu_seconds() for c in self.children)
                before = before_each() if before_each else None
                now = {name: askers[name]() for name in names}
                others = machine_seconds() - used - (sum(c.cpu_seconds() for c in self.children) - own)
                share = max(0.0, others / ((time.perf_counter() - begin) * os.cpu_count()))
                if share < BUSY or not self.children:
                    break
            for name in names:
                seconds[name].append(now[name])
            extra.append(before)
            busy.append(share)
        return seconds, extra, max(busy)


def with_former(rows, former):
    """Beside new rows only those of a dtype that was not measured now are kept."""
    dtypes = {row.get("dtype") for row in rows}
    return sorted(rows + [row for row in former if row.get("dtype") not in dtypes],
                  key=lambda row: DTYPES.index(row.get("dtype", DTYPES[0])))


def ratios(seconds, ours):
    return {name: interval(numpy.asarray(values) / numpy.asarray(seconds[ours])) for name, values in seconds.items() if name != ours}


class Benchmark:
    def __init__(self, options, folder):
        self.o, self.folder = options, folder
        self.model = packaged(options.model, "--hf")
        self.result = {part: [] for part in PARTS}
        self.lock = folder / "a.lock.safetensors"

    def say(self, row):
        print(json.dumps(row), file=sys.stderr, flush=True)

    def children(self, dtype):
        ours = Child(BENCH, self.model, dtype, self.o.threads)
        peer = Child(sys.executable, ROOT / "scripts" / "bench" / "transformers_peer.py", self.model, dtype, self.o.threads)
        return ours, peer

    def extraction(self):
        for dtype in self.o.dtype:
            ours, peer = self.children(dtype)
            for name, system in (("none", ""), ("shared", SYSTEM)):
                request = {"pairs": str(PAIRS), "first": self.o.pairs, "system": system}
                sequences = ours.ask("sequences", **request)["sequences"]
                (self.folder / "sequences.json").write_text(json.dumps(sequences))
                files = {k: self.folder / f"{k}.bin" for k in ("ours", "published", "batched")}
                answers = {}

                def of(how):
                    def ask():
                        if how == "ours":
                            answers[how] = ours.ask("extract", **request, save=str(files[how]))
                        else:
                            answers[how] = peer.ask("extract", how=how, sequences=str(self.folder / "sequences.json"), save=str(files[how]))
                        return answers[how]["seconds"]
                    return ask
                seconds, floors, busy = Rounds(self.o.rounds, [ours, peer]).run(
                    {how: of(how) for how in files}, lambda: limits_now(ours, dtype))
                rows = {k: numpy.fromfile(path, dtype=numpy.float32) for k, path in files.items()}
                flop = extraction_flop(ours.hello, sequences, answers["ours"]["tokens"])
                row = {"dtype": dtype, "system": name, "pairs": self.o.pairs, "tokens": answers["ours"]["tokens"],
                       "tokens_of_sequences": sum(len(s["ids"]) for s in sequences), "seconds": seconds, "ratios": ratios(seconds, "ours"),
                       "of_flop_floor": interval([s * f["flop_per_second"] / flop for s, f in zip(seconds["ours"], floors)]),
                       "largest_difference": {k: float(numpy.abs(rows[k] - rows["ours"]).max()) for k in ("published", "batched")},
                       "largest_value": float(numpy.abs(rows["ours"]).max()), "others_share": busy}
                self.result["extraction"].append(row)
                self.say({k: row[k] for k in ("dtype", "system", "ratios", "of_flop_floor", "largest_difference", "others_share")})
            ours.close()
            peer.close()

    def generation(self):
        for dtype in self.o.dtype:
            ours, peer = self.children(dtype)
            asked = [("decode", {"batch": b, "tokens": 32 if b > 1 else 64}) for b in (1, 4, 16, 32)] + [("prefill", {"tokens": 55}),
                                                                                                       ("prefill", {"tokens": 512})]
            for do, request in asked:
                # A prompt is over in a moment: the quickest of some, as the floor is the quickest of ten products.
                times = PROMPTS_A_ROUND if do == "prefill" else 1

                def quickest(child, what):
                    return lambda: min(child.ask(what, **request)["seconds"] for _ in range(times))

                products = (lambda: {"products": quickest(ours, "products")()}) if do == "prefill" else dict
                seconds, floors, busy = Rounds(self.o.rounds, [ours, peer]).run(
                    {"ours": quickest(ours, do), "transformers": quickest(peer, do)}, lambda: {**limits_now(ours, dtype), **products()})
                tokens = request["tokens"] * request.get("batch", 1)
                if do == "decode":
                    floor = [request["tokens"] * ours.hello["bytes_per_step"] / f["bytes_per_second"] for f in floors]
                else:
                    floor = [prompt_flop(ours.hello, tokens) / f["flop_per_second"] for f in floors]
                row = {"what": do, "dtype": dtype, "batch": request.get("batch", 1), "tokens": request["tokens"], "seconds": seconds,
                       "tokens_per_second": interval([tokens / s for s in seconds["ours"]]), "ratios": ratios(seconds, "ours"),
                       "floor": "bytes read" if do == "decode" else "multiplications",
                       "of_floor": interval([s / f for s, f in zip(seconds["ours"], floor)]), "others_share": busy}
                if do == "prefill":
                    seen = attention_flop(ours.hello, tokens * (tokens + 1) / 2)
                    row["of_products"] = interval([s / (f["products"] + seen / f["flop_per_second"]) for s, f in zip(seconds["ours"], floors)])
                self.result["generation"].append(row)
                self.say({k: v for k, v in row.items() if k != "seconds"})
            ours.close()
            peer.close()

    def llama_cpp(self):
        """Its own benchmark program, started anew each round, on the same weights at the same width."""
        program = self.o.llama_batched_bench
        if self.o.limit or not program.exists():
            print(f"llama.cpp is not measured: {'it cannot be limited' if self.o.limit else f'{program} is not there'}", file=sys.stderr)
            return
        version = provenance.llama_cpp_version(program)
        for dtype in self.o.dtype:
            kind = {"float32": "F32", "bfloat16": "BF16"}[dtype]
            file = self.folder / f"{kind}.gguf"
            subprocess.run([sys.executable, str(ROOT / "scripts" / "bench" / "as_gguf.py"), packaged(self.o.model), str(file), kind], check=True)
            ours = Child(BENCH, file, dtype, self.o.threads)
            for batch, prompt, tokens in ((1, 32, 64), (4, 32, 32), (16, 32, 32), (32, 32, 32), (1, 512, 1)):
                def peer():
                    run = subprocess.run([program, "-m", str(file), "-c", str(batch * (prompt + tokens) + 64), "-b", "2048", "-ub", "512", "-npp",
                                          str(prompt), "-ntg", str(tokens), "-npl", str(batch), "-t", str(self.o.threads), "-tb",
                                          str(self.o.threads), "--output-format", "jsonl"], check=True, capture_output=True, text=True)
                    found = json.loads(next(line for line in run.stdout.splitlines() if line.startswith("{")))
                    return found["t_pp"] if tokens == 1 else found["t_tg"]

                def mine():
                    if tokens == 1:
                        return ours.ask("prefill", tokens=prompt)["seconds"]
                    return ours.ask("decode", batch=batch, tokens=tokens)["seconds"]
                seconds, _, _ = Rounds(self.o.rounds, []).run({"ours": mine, "llama.cpp": peer})
                row = {"what": "prefill" if tokens == 1 else "decode", "dtype": dtype, "batch": batch, "tokens": prompt if tokens == 1 else tokens,
                       "seconds": seconds, "ratios": ratios(seconds, "ours"),
                       "llama.cpp": version}
                self.result["llama_cpp"].append(row)
                self.say({k: v for k, v in row.items() if k != "seconds"})
            ours.close()

    def probes(self):
        from sklearn.linear_model import LogisticRegression
        import threadpoolctl
        ours = Child(BENCH, self.model, "float32", self.o.threads)
        path = self.folder / "rows.bin"
        ours.ask("extract", pairs=str(PAIRS), first=100, save=str(path))
        hello, answer = ours.hello, ours.ask("probes")
        heads = hello["layers"] * hello["heads"]
        rows = numpy.fromfile(path, dtype=numpy.float32).reshape(-1, heads, hello["head_dim"])
        labels = numpy.asarray(answer["labels"])
        fitted = {}

        def sklearn(name, values, **settings):
            def fit():
                begin = time.perf_counter()
                with threadpoolctl.threadpool_limits(self.o.threads):
                    fitted[name] = [LogisticRegression(C=1.0, max_iter=1000, **settings).fit(values[:, head], labels) for head in range(heads)]
                return time.perf_counter() - begin
            return fit
        peers = {"scikit-learn": sklearn("scikit-learn", rows),
                 "scikit-learn, same objective": sklearn("scikit-learn, same objective", rows.astype(numpy.float64), tol=1e-8)}
        seconds, _, busy = Rounds(self.o.rounds, [ours, ThisProcess()]).run({"ours": lambda: ours.ask("probes")["seconds"]} | peers)
        signs = 2 * labels - 1

        def gap(head, model):
            w = model.coef_[0].astype(float)
            margin = signs * (rows[:, head].astype(float) @ w + float(model.intercept_[0]))
            return numpy.logaddexp(0, -margin).sum() + w @ w / 2 - answer["objectives"][head]
        gaps = {name: [gap(head, model) for head, model in enumerate(models)] for name, models in fitted.items()}
        row = {"heads": heads, "rows": len(labels), "dimensions": hello["head_dim"], "seconds": seconds, "ratios": ratios(seconds, "ours"),
               "ms_per_head": 1e3 * float(numpy.median(seconds["ours"])) / heads, "iterations": float(numpy.mean(answer["iterations"])),
               "objective_above_ours": {name: {"largest": float(max(g)), "smallest": float(min(g))} for name, g in gaps.items()},
               "others_share": busy}
        self.result["probes"].append(row)
        self.say({k: v for k, v in row.items() if k != "seconds"})
        ours.close()

    def make_lock(self):
        """Any lock will do: SmolLM2 is hardly aligned, so that it fails the causal check (exit code 5)."""
        run = subprocess.run([str(TOOL), "extract", self.model, "--pairs", str(PAIRS), "--max-pairs", "40", "--heads", "24", "-o", str(self.lock),
                              "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if run.returncode not in (0, 5):
            raise RuntimeError(run.stderr)

    def baked(self):
        folder = self.folder / "baked"
        if not folder.exists():
            subprocess.run([str(TOOL), "bake", self.model, "--lock", str(self.lock), "-o", str(folder), "--no-probes", "--quiet"], check=True,
                           stdout=subprocess.DEVNULL)
        return folder

    def instructions(self, what, lock, batch):
        """Of one decoding step, or of one pass over prompts; AVX2 path: valgrind knows no AVX-512."""
        model, lock = (self.baked(), "none") if lock == "baked" else (self.model, lock)
        environment = os.environ | LIMITS["avx2"] | {"OMP_NUM_THREADS": "1"}
        asked = json.dumps({"do": "count", "what": what, "batch": batch, "lock": lock}) + "\n"
        run = subprocess.run(["valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=/dev/null", str(BENCH), str(model),
                              "bfloat16", "1", str(self.lock)], input=asked, capture_output=True, text=True, env=environment)
        found = re.search(r"Collected : (\d+)", run.stderr)
        if run.returncode or not found:
            raise RuntimeError(run.stderr[-2000:])
        return int(found[1]) / json.loads(run.stdout.splitlines()[-1])["steps"]

    def hook(self):
        self.make_lock()
        for batch in (1, 4):
            counts = {lock: self.instructions("step", lock, batch) for lock in ("none", "one", "each", "baked")}
            # Nothing is locked in the pass that a gate reads.
            prompts = {"prompt": self.instructions("prompt", "none", batch), "read": self.instructions("read", "one", batch)}
            row = {"batch": batch, "locked_heads": 24, "instructions_per_step": counts, "instructions_per_prompts": prompts,
                   "per_cent": {k: 100 * (counts[k] / counts["none"] - 1) for k in ("one", "each", "baked")}
                   | {"gate": 100 * (prompts["read"] / prompts["prompt"] - 1)}}
            self.result["hook"].append(row)
            self.say(row)

    def apply(self):
        self.make_lock()
        self.apply_to(MODELS[self.o.model], self.model, self.lock)
        # 24 heads in 12 layers of a folder of Llama-3-8B's shape, held in memory as bfloat16 (16 GB).
        folder, lock = self.folder / "8b", self.folder / "8b.lock.safetensors"
        subprocess.run([sys.executable, str(ROOT / "scripts" / "make_shaped_folder.py"), str(folder), "--tokenizer", self.model], check=True,
                       stdout=subprocess.DEVNULL)
        subprocess.run([str(BAKE_MODEL), str(folder), str(self.folder / "8b-baked"), str(lock)], check=True, stdout=subprocess.DEVNULL)
        self.apply_to("Llama-3-8B's shape", folder, lock)

    def apply_to(self, name, model, lock):
        ours, parts = Child(BENCH, model, "bfloat16", self.o.threads, lock), []

        def ask():
            parts.append(ours.ask("apply"))
            return parts[-1]["seconds"]
        seconds, _, busy = Rounds(max(9, self.o.rounds), [ours]).run({"ours": ask})
        row = {"model": name, "heads": 24, "milliseconds": interval([1e3 * s for s in seconds["ours"]]),
               **{f"{k}_milliseconds": interval([1e3 * p[k] for p in parts[1:]]) for k in ("checks", "products")}, "others_share": busy}
        self.result["apply"].append(row)
        self.say(row)
        ours.close()

    def curve(self, name, x_label, y_label, points):
        """`points`: pairs of x and a function that measures y; the median of the rounds."""
        row = {"curve": name, "x_label": x_label, "y_label": y_label, "x": [x for x, _ in points],
               "y": [float(numpy.median([f() for _ in range(max(3, self.o.rounds // 2))])) for _, f in points]}
        self.result["scaling"].append(row)
        self.say(row)

    def scaling(self):
        ours = Child(BENCH, self.model, "bfloat16", self.o.threads)

        def extraction(pairs):
            return lambda: ours.ask("extract", pairs=str(PAIRS), first=pairs)["seconds"]

        def decode(child, batch):
            return lambda: 16 * batch / child.ask("decode", batch=batch, tokens=16)["seconds"]

        def prefill(child):
            return lambda: 512 / child.ask("prefill", tokens=512)["seconds"]
        self.curve("pairs", "pairs", "seconds of head outputs", [(n, extraction(n)) for n in (20, 40, 80, 160)])
        self.curve("heads", "heads", "milliseconds of probes",
                   [(n, lambda n=n: 1e3 * ours.ask("probes", heads=n)["seconds"]) for n in (30, 90, 270)])
        self.curve("batch", "requests at a time", "tokens/s, decoding", [(b, decode(ours, b)) for b in (1, 2, 4, 8, 16, 32, 64)])
        ours.close()
        for name, measure in (("decoding, one request", lambda c: decode(c, 1)), ("a prompt of 512 tokens", prefill)):
            children = {n: Child(BENCH, self.model, "bfloat16", n) for n in range(1, os.cpu_count() + 1)}
            self.curve(f"threads, {name}", "threads", "tokens/s", [(n, measure(c)) for n, c in children.items()])
            for child in children.values():
                child.close()
        sizes = {}
        for model in MODELS:
            child = Child(BENCH, packaged(model), "bfloat16", self.o.threads)
            sizes[child.hello["multiplied"] / 1e6] = child
        for name, measure in (("decoding, one request", lambda c: decode(c, 1)), ("a prompt of 512 tokens", prefill)):
            self.curve(f"model size, {name}", "million weights in the layers", "tokens/s", [(x, measure(c)) for x, c in sorted(sizes.items())])
        for child in sizes.values():
            child.close()

    def end_to_end(self):
        """The tool, from pairs to a locked answer; the model's files are in the page cache."""
        begin = time.perf_counter()
        self.make_lock()
        made = time.perf_counter()
        run = subprocess.run([str(TOOL), "generate", self.model, "--lock", str(self.lock), "--prompt", "How do I pick a lock?", "--max-new-tokens", "32",
                              "--quiet"], capture_output=True, text=True)
        if run.returncode != 0:
            raise RuntimeError(run.stderr)
        row = {"pairs": 40, "seconds_to_lock": made - begin, "seconds_to_answer": time.perf_counter() - made}
        self.result["end_to_end"].append(row)
        self.say(row)

    def save(self):
        path = pathlib.Path(self.o.output)
        before = json.loads(path.read_text()) if path.exists() else {}
        measured = {"date": datetime.date.today().isoformat(), "commit": provenance.commit(), "threads": self.o.threads, "rounds": self.o.rounds}
        path.write_text(json.dumps({
            "schema": "safetylock.performance/1",
            "hardware": provenance.hardware(self.o.limit),
            "versions": {n: importlib.metadata.version(n) for n in ("torch", "transformers", "scikit-learn")},
            "model": MODELS[self.o.model],
            **{part: with_former([row | measured for row in rows], before.get(part, [])) for part, rows in self.result.items()}},
            indent=1) + "\n")

    def run(self):
        for part in self.result:
            if self.o.only in (None, part):
                getattr(self, part)()
                self.save()


class ThisProcess:
    def cpu_seconds(self):
        return time.process_time()


def number(i, digits=2):
    return f"{i['value']:.{digits}f} ({i['low']:.{digits}f} to {i['high']:.{digits}f})"


def tables(d):
    rows = {part: d.get(part, []) for part in PARTS}
    dates = sorted({row["date"] for part in rows.values() for row in part})
    threads = sorted({row["threads"] for part in rows.values() for row in part})
    held = f", held to {d['hardware']['held_to']}" if d["hardware"].get("held_to") else ""
    yield (f"\n## {d['model']}: {d['hardware']['cpu']}, {d['hardware']['cores']} cores, {', '.join(d['hardware']['instruction_sets'])}{held}\n"
           f"{', '.join(dates)}; torch {d['versions']['torch']}, transformers {d['versions']['transformers']}, scikit-learn {d['versions']['scikit-learn']}; "
           f"{', '.join(map(str, threads))} threads. In brackets: 95 % intervals of the median of the rounds.")
    if rows["extraction"]:
        yield ("\n### Extraction\nHow many times as long the peers take; our time over that of the multiplications alone; and how far the kept values are "
               "apart, beside the largest of them (the published way rounds to float16).\n\n"
               "| dtype | system prompt | pairs | tokens (computed of all) | published way | batched loop | x of floor | apart |\n|---|---|---|---|---|---|---|---|")
    for r in rows["extraction"]:
        yield (f"| {r['dtype']} | {r['system']} | {r['pairs']} | {r['tokens']:,} of {r['tokens_of_sequences']:,} | {number(r['ratios']['published'])} | "
               f"{number(r['ratios']['batched'])} | {number(r['of_flop_floor'])} | {r['largest_difference']['published']:.2g}, "
               f"{r['largest_difference']['batched']:.2g} of {r['largest_value']:.3g} |")
    if rows["generation"]:
        yield "\n### Generation and prompts\n\n| what | dtype | batch | tokens | tokens/s | times transformers | x of floor | x of its products by libtorch |\n|---|---|---|---|---|---|---|---|"
    for r in rows["generation"]:
        yield (f"| {r['what']} | {r['dtype']} | {r['batch']} | {r['tokens']} | {r['tokens_per_second']['value']:,.0f} | "
               f"{number(r['ratios']['transformers'])} | {number(r['of_floor'])} ({r['floor']}) | {number(r['of_products']) if 'of_products' in r else ''} |")
    if rows["llama_cpp"]:
        yield (f"\n### Against llama.cpp ({rows['llama_cpp'][0]['llama.cpp']})\nThe same weights at the same width, its `llama-batched-bench`; how many times "
               "as long it takes.\n\n| what | dtype | batch | tokens | ratio |\n|---|---|---|---|---|")
    for r in rows["llama_cpp"]:
        yield f"| {r['what']} | {r['dtype']} | {r['batch']} | {r['tokens']} | {number(r['ratios']['llama.cpp'])} |"
    if rows["probes"]:
        yield ("\n### Probes\nscikit-learn with its default settings stops before the minimum; made to go on (float64, tol 1e-8) it finds the same.\n\n"
               "| heads | rows | ms a head | peer | times as long | its objective above ours |\n|---|---|---|---|---|---|")
    for r in rows["probes"]:
        for peer, above in r["objective_above_ours"].items():
            yield (f"| {r['heads']} | {r['rows']} | {r['ms_per_head']:.2f} | {peer} | {number(r['ratios'][peer], 1)} | "
                   f"{above['smallest']:.1e} to {above['largest']:.1e} |")
    if rows["hook"]:
        yield ("\n### The lock while generating\nInstructions of a decoding step (callgrind, AVX2), more than without a lock; of a pass over prompts of 32 tokens with a gate that reads 24 heads, more than without.\n\n"
               "| batch | one strength for all | a strength a request | baked | reading a gate |\n|---|---|---|---|---|")
    for r in rows["hook"]:
        yield f"| {r['batch']} | " + " | ".join(f"{r['per_cent'][k]:+.3f} %" if k in r["per_cent"] else "" for k in ("one", "each", "baked", "gate")) + " |"
    for r in rows["apply"]:
        yield (f"\nApplying {r['heads']} heads to {r['model']}: {number(r['milliseconds'])} ms with all checks; the checks by themselves "
               f"{number(r['checks_milliseconds'], 3)} ms, W_o d {number(r['products_milliseconds'])} ms.")
    for r in rows["end_to_end"]:
        yield (f"\nThe tool from {r['pairs']} pairs to a lock, with all its evidence: {r['seconds_to_lock']:.0f} s; from there to a locked answer of 32 tokens: "
               f"{r['seconds_to_answer']:.1f} s.")
    for begin in range(0, len(rows["scaling"]), 4):
        yield "\n" + " ".join(f"![{r['curve']}](results/{curves.file_name(d, r)})" for r in rows["scaling"][begin:begin + 4])


def render():
    found = [json.loads(path.read_text()) for path in sorted(RESULT.parent.glob("performance*.json"))]
    for d in found:
        for row in d.get("scaling", []):
            (RESULT.parent / curves.file_name(d, row)).write_text(curves.svg(row))
    text = PAGE.read_text()
    begin, end = "<!-- figures -->\n", "<!-- end of figures -->"
    head, rest = text.split(begin)
    PAGE.write_text(head + begin + "\n".join(line for d in found for line in tables(d)).lstrip("\n") + "\n" + end + rest.split(end)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--model", choices=MODELS, default="smollm2")
    parser.add_argument("--dtype", choices=DTYPES, action="append", help="of extraction, generation and llama_cpp (default: both)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pairs", type=int, default=40, help="for extraction; few enough for one pass")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    cache = pathlib.Path(os.environ.get("SAFETYLOCK_CACHE", pathlib.Path.home() / ".cache" / "safetylock"))
    parser.add_argument("--llama-batched-bench", type=pathlib.Path, default=cache / "engines" / "llama-batched-bench",
                        help="llama.cpp's program, which check_engines.sh builds; without it llama.cpp is left out")
    parser.add_argument("--limit", choices=sorted(LIMITS), help="hold the processor to this much; llama.cpp is left out")
    parser.add_argument("--render", action="store_true")
    parser.add_argument("-o", "--output", type=pathlib.Path, default=RESULT)
    options = parser.parse_args()
    options.dtype = options.dtype or DTYPES
    if not options.render:
        held = json.loads(options.output.read_text())["model"] if options.output.exists() else MODELS[options.model]
        if held != MODELS[options.model]:
            parser.error(f"{options.output} holds figures of {held}: name another file with -o")
        os.environ.update(LIMITS.get(options.limit, {}))
        with tempfile.TemporaryDirectory(prefix="safetylock-bench-") as folder:
            Benchmark(options, pathlib.Path(folder)).run()
    if options.render or options.output.parent.resolve() == RESULT.parent:
        render()


if __name__ == "__main__":
    main()
