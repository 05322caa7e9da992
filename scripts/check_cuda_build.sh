#!/usr/bin/env bash
# Compiles and links the whole project against a CUDA build of libtorch. Needs nvcc and, in the cache, some 6 GB: a
# separate Python environment holds the CUDA wheel. With a GPU at hand it also runs the GPU tests.
# Usage: check_cuda_build.sh [PREFIX]   PREFIX: an own CUDA libtorch instead of the wheel.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if ! command -v nvcc >/dev/null && [ ! -x /usr/local/cuda/bin/nvcc ]; then
  say "No nvcc: install the CUDA toolkit (13.0 or newer) first. Nothing was checked."
  exit 1
fi
PATH=$PATH:/usr/local/cuda/bin
"$root/scripts/setup.sh"

prefix=${1:-}
if [ -z "$prefix" ]; then
  cuda_env=$SAFETYLOCK_CACHE/venv-cuda
  if ! "$cuda_env/bin/python" -c 'import torch; assert torch.version.cuda' 2>/dev/null; then
    python3 -m venv --clear "$cuda_env"
    run_step "Python: torch 2.14.1 with CUDA" 300 "$cuda_env/bin/python" -m pip install torch==2.14.1
  fi
  prefix=$("$cuda_env/bin/python" -c 'import torch; print(torch.utils.cmake_prefix_path)')
fi

cd "$root"
cmake --preset cuda -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CUDA_COMPILER="$(command -v nvcc)" >"$logs/configure-cuda.log" 2>&1 ||
  { say "Configuring failed:"; tail -40 "$logs/configure-cuda.log" >&2; exit 1; }
run_step "Building against CUDA libtorch" 0 cmake --build build-cuda -j "$(nproc)"
if ! ldd build-cuda/safetylock | grep -q libtorch_cuda; then
  say "The tool does not link libtorch_cuda."
  exit 1
fi
say "Compiled and linked against $(ldd build-cuda/safetylock | grep -o 'libtorch_cuda.so' | head -1) of $prefix"
if nvidia-smi -L >/dev/null 2>&1; then
  ctest --test-dir build-cuda --output-on-failure -R '[Cc]uda'
else
  say "No GPU here: the GPU tests were compiled, not run."
fi
