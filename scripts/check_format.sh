#!/usr/bin/env bash
# Fails when a source file is not as clang-format leaves it. With --fix, formats in place.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mapfile -t files < <(find include src tests examples \( -name '*.h' -o -name '*.cpp' \) | sort)
if [ "${1:-}" = "--fix" ]; then
  exec clang-format -i "${files[@]}"
fi
exec clang-format --dry-run -Werror "${files[@]}"
