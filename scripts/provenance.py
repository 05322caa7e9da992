"""What a file of measurements says of where its figures come from."""
import os
import pathlib
import platform
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
INSTRUCTION_SETS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def hardware(held_to=None):
    """`held_to`: the instruction set that programs were told not to go beyond."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    said = {line.split(":")[0].strip(): line.split(":")[1].strip() for line in lines if ":" in line}
    found = {"cpu": said.get("model name", platform.machine()), "cores": os.cpu_count(),
             "instruction_sets": [s for s in INSTRUCTION_SETS if s in said.get("flags", "").split()],
             "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)}
    return found | {"held_to": held_to} if held_to else found


def commit():
    return subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()


def llama_cpp_version(program):
    run = subprocess.run([program, "--version"], capture_output=True, text=True)
    return (run.stderr + run.stdout).strip().splitlines()[0]
