# Sourced by the other scripts: where things are kept, and how a long step is run.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export SAFETYLOCK_CACHE=${SAFETYLOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/safetylock}
export SAFETYLOCK_MODELS=$SAFETYLOCK_CACHE/models
export CCACHE_DIR=${CCACHE_DIR:-$SAFETYLOCK_CACHE/ccache}
# Lets clones in different folders share compiled objects, precompiled headers included.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=true PIP_DISABLE_PIP_VERSION_CHECK=1
python=$SAFETYLOCK_CACHE/venv/bin/python
logs=$SAFETYLOCK_CACHE/logs
mkdir -p "$logs"

say() { printf '%s\n' "$*" >&2; }

# lock_settings MODEL_NAME: the options of extract that were chosen for a packaged model on validation prompts (reproduce.sh,
# docs/results). SmolLM2 is hardly aligned: nothing could be chosen on it, so it keeps the paper's settings.
lock_settings() {
  case $1 in
    qwen2.5-coder-1.5b) echo "--heads 8 --alpha 10" ;;
    *) echo "--heads 24 --alpha 6" ;;
  esac
}

# run_step LABEL USUAL_SECONDS COMMAND...: progress on standard error, output in a log, shown when the step fails.
run_step() {
  local label=$1 usual=$2
  shift 2
  local log
  log=$logs/$(tr -cs 'a-zA-Z0-9.\n' '-' <<<"$label").log
  python3 "$root/scripts/run_step.py" --label "$label" --usual "$usual" --log "$log" -- "$@"
}
