#!/usr/bin/env bash
# Compiles and links the whole project against a CUDA build of libtorch; with a GPU at hand it also runs the GPU tests.
# Takes some 6 GB in the cache: an environment of its own holds the wheels of CUDA libtorch and nvcc.
# Usage: check_cuda_build.sh [PREFIX]   PREFIX: your own CUDA libtorch (and the nvcc on PATH) instead of the wheels.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$root/scripts/setup.sh"

# The wheels of CUDA libtorch, nvcc and the toolkit's headers, made to look like an installed toolkit: the unversioned
# library names that a linker asks for, and lib64.
install_cuda_wheels() {
  local env=$SAFETYLOCK_CACHE/venv-cuda pins="torch==2.14.1 cuda 13.0"
  toolkit=$env/lib/python3.11/site-packages/nvidia/cu13
  if [ ! -f "$env/.pins" ] || [ "$(cat "$env/.pins")" != "$pins" ]; then
    python3 -m venv --clear "$env"
    run_step "Python: torch 2.14.1 with CUDA" 300 "$env/bin/python" -m pip install torch==2.14.1 numpy==2.4.6
    run_step "Python: nvcc 13.0" 60 "$env/bin/python" -m pip install \
      'nvidia-cuda-nvcc==13.0.*' 'nvidia-nvvm==13.0.*' 'nvidia-cuda-crt==13.0.*' 'nvidia-cuda-cccl==13.0.*'
    ln -sfn lib "$toolkit/lib64"
    for library in "$toolkit"/lib/*.so.*; do
      name=$(basename "$library")
      ln -sf "$name" "$toolkit/lib/${name%%.so.*}.so"
    done
    printf '%s' "$pins" >"$env/.pins"
  fi
  prefix=$("$env/bin/python" -c 'import torch; print(torch.utils.cmake_prefix_path)')
}

if [ $# -gt 0 ]; then
  prefix=$1
  toolkit=$(dirname "$(dirname "$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)")")
else
  install_cuda_wheels
fi
[ -x "$toolkit/bin/nvcc" ] || { say "No nvcc in $toolkit. Nothing was checked."; exit 1; }

cd "$root"
PATH=$toolkit/bin:$PATH CUDA_HOME=$toolkit cmake --preset cuda -DCMAKE_PREFIX_PATH="$prefix" -DSAFETYLOCK_PYTHON="$python" \
  -DCUDA_TOOLKIT_ROOT_DIR="$toolkit" -DCUDAToolkit_ROOT="$toolkit" -DCMAKE_CUDA_COMPILER="$toolkit/bin/nvcc" \
  >"$logs/configure-cuda.log" 2>&1 ||
  { say "Configuring failed:"; tail -40 "$logs/configure-cuda.log" >&2; exit 1; }
run_step "Building against CUDA libtorch" 0 cmake --build build-cuda -j "$(nproc)"
if ! ldd build-cuda/safetylock | grep -q libtorch_cuda; then
  say "The tool does not link libtorch_cuda."
  exit 1
fi
say "Compiled and linked against $(ldd build-cuda/safetylock | grep -o 'libtorch_cuda.so' | head -1) of $prefix"
nm -C build-cuda/safetylock | grep "safetylock::cuda::launch_residual_norm" >/dev/null || { say "The CUDA kernels are not in the tool."; exit 1; }
if nvidia-smi -L >/dev/null 2>&1; then
  ctest --test-dir build-cuda --output-on-failure -R '[Cc]uda'
else
  say "No GPU here: the GPU tests were compiled, not run."
fi
