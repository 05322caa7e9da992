#!/usr/bin/env bash
# Installs what the project needs and builds it. Idempotent; leaves the tool at build/safetylock.
# Debian packages by apt-get (root or sudo); the Python environment, models, compiler cache and logs go under
# $SAFETYLOCK_CACHE (default ~/.cache/safetylock), outside the tree.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

packages=(g++ cmake ninja-build ccache pkg-config clang-format python3 python3-venv
  nlohmann-json3-dev libspdlog-dev libssl-dev libpcre2-dev libutf8proc-dev libcli11-dev libedit-dev
  libcpp-httplib-dev libsentencepiece-dev sentencepiece libonig-dev libgtest-dev libgmock-dev zsh fish)

install_debian_packages() {
  local missing=()
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { say "Missing Debian packages, and neither root nor sudo at hand: ${missing[*]}"; exit 1; }
    as_root=(sudo)
  fi
  # run_step.py needs Python, which a bare machine may only get here.
  command -v python3 >/dev/null || { "${as_root[@]}" apt-get update && "${as_root[@]}" apt-get install -y python3; }
  run_step "Debian package lists" 10 "${as_root[@]}" apt-get update
  run_step "Debian packages (${#missing[@]})" 60 "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}"
}

# The environment is stamped with the pins it was made from; other pins make a new one.
install_python_packages() {
  local wanted stamp=$SAFETYLOCK_CACHE/venv/.pins
  wanted="torch==2.13.0 $(sha256sum <"$root/scripts/requirements.txt")"
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && return 0
  rm -rf "$SAFETYLOCK_CACHE/venv"
  python3 -m venv "$SAFETYLOCK_CACHE/venv"
  run_step "Python: torch 2.13.0" 60 "$python" -m pip install torch==2.13.0
  run_step "Python: transformers, peft and the other oracles" 60 "$python" -m pip install -r "$root/scripts/requirements.txt"
  printf '%s' "$wanted" >"$stamp"
}

build() {
  run_step "Configuring" 15 cmake --preset release -S "$root" -DSAFETYLOCK_PYTHON="$python"
  run_step "Building" 0 cmake --build "$root/build" -j "$(nproc)"
}

cd "$root"
started=$SECONDS
install_debian_packages
install_python_packages
built_from=$SECONDS
build
say "Set-up: $((built_from - started)) s to install, $((SECONDS - built_from)) s to build. The tool is build/safetylock."
