#!/usr/bin/env bash
# The study behind docs/results: settings chosen on validation prompts, then scored once on the held-out ones.
# Takes an hour or two on two cores; not part of the tests. Usage: reproduce.sh choose|score [MODEL_NAME]
#   choose  tries numbers of heads and strengths on harmful_validation.jsonl and the last 50 rows of benign.jsonl
#   score   base, fine-tuned and locked with the settings of demo.sh on all of harmful_heldout.jsonl, the first 50 rows of
#           benign.jsonl and benign_lookalikes.jsonl
# Results: docs/results/MODEL_NAME-{choose,score-*}.json
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

step=${1:-} model_name=${2:-qwen2.5-coder-1.5b}
[ "$step" = choose ] || [ "$step" = score ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }

"$root/scripts/setup.sh"
tool=$root/build/safetylock results=$root/docs/results work=$SAFETYLOCK_CACHE/reproduce/$model_name
mkdir -p "$work"
model=$("$python" "$root/scripts/get_model.py" "$model_name")
adapter=$("$root/scripts/get_adapter.sh" "$model_name")
head -50 "$root/data/benign.jsonl" >"$work/benign_score.jsonl"
tail -50 "$root/data/benign.jsonl" >"$work/benign_choose.jsonl"

# Exit code 5 is a check that failed: a finding like any other.
finding() { "$@" || [ $? -eq 5 ]; }

if [ "$step" = choose ]; then
  finding "$tool" extract "$model" --pairs "$root/data/pairs.jsonl" --heads 48 -o "$work/wide.lock.safetensors"
  finding "$tool" sweep "$model" --adapter "$adapter" --lock "$work/wide.lock.safetensors" \
    --harmful "$root/data/harmful_validation.jsonl" --benign "$work/benign_choose.jsonl" --first-harmful 40 --first-benign 20 \
    --heads 12,24,36,48 --alpha 4,6,8,10 -o "$results/$model_name-choose.json"
  exit
fi

read -r -a settings <<<"$(lock_settings "$model_name")"
finding "$tool" extract "$model" --pairs "$root/data/pairs.jsonl" "${settings[@]}" -o "$work/base.lock.safetensors"
score() { # NAME ARGS...
  local name=$1
  shift
  say "$name"
  "$tool" evaluate "$model" "$@" --harmful "$root/data/harmful_heldout.jsonl" --benign "$work/benign_score.jsonl" \
    -o "$results/$model_name-score-$name.json"
  "$tool" evaluate "$model" "$@" --harmful "$root/data/benign_lookalikes.jsonl" -o "$results/$model_name-lookalikes-$name.json"
}
score base
score tuned --adapter "$adapter"
score locked --adapter "$adapter" --lock "$work/base.lock.safetensors"
