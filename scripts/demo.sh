#!/usr/bin/env bash
# The main job on a real chat model: derive a SafetyLock from the base, fine-tune the base harmfully, put the lock on the
# result, ask whether the lock may go there, and answer held-out prompts as base, fine-tuned and locked, side by side.
# Ends with a report: one HTML page.
# Usage: demo.sh [--small] [--prompts N]
#   --small      SmolLM2-135M-Instruct instead of Qwen2.5-Coder-1.5B-Instruct: quick, but hardly aligned
#   --prompts N  how many held-out harmful prompts, and benign ones (default 24; with --small 8)
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

model_name=qwen2.5-coder-1.5b title="Qwen2.5-Coder-1.5B-Instruct" prompts=24
while [ $# -gt 0 ]; do
  case $1 in
    --small) model_name=smollm2 title="SmolLM2-135M-Instruct" prompts=8 ;;
    --prompts) prompts=${2:?--prompts needs a number}; shift ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
  shift
done

"$root/scripts/setup.sh"
started=$SECONDS
out=$SAFETYLOCK_CACHE/demo/$model_name
mkdir -p "$out"
tool=$root/build/safetylock

say ""
say "1. The base model: $title"
[ "$model_name" = smollm2 ] && say "   This model is hardly aligned: expect few refusals to lose or to restore."
model=$("$python" "$root/scripts/get_model.py" "$model_name")

say "2. Deriving the lock from the base"
rm -f "$out"/*.json "$out/base.lock.safetensors"
# Exit code 5: the causal check failed. The lock is there, extract has said so, and the tables will show what it does.
read -r -a settings <<<"$(lock_settings "$model_name")"
"$tool" extract "$model" --pairs "$root/data/pairs.jsonl" "${settings[@]}" -o "$out/base.lock.safetensors" --json >"$out/extract.json" || [ $? -eq 5 ]

say "3. A harmfully fine-tuned descendant (LoRA, a handful of samples)"
adapter=$("$root/scripts/get_adapter.sh" "$model_name")

evaluate() { # NAME ARGS...
  local name=$1
  shift
  "$tool" evaluate "$model" "$@" --harmful "$root/data/harmful_heldout.jsonl" --benign "$root/data/benign.jsonl" \
    --first "$prompts" --batch "$prompts" --json >"$out/$name.json"
}
say "4. May the lock go on the fine-tuned model?"
"$tool" transfer "$model" "$model" --adapter "$adapter" --lock "$out/base.lock.safetensors" --pairs "$root/data/pairs.jsonl" \
  --max-pairs 24 -o "$out/transfer.json" >&2 || [ $? -eq 5 ]

say "5. Answering the first $prompts held-out harmful and the first $prompts benign prompts"
say "   base"
evaluate base
say "   fine-tuned, without and with the lock"
evaluate tuned --adapter "$adapter" --lock "$out/base.lock.safetensors" --base "$model" --text "$root/data/text.txt"

say ""
"$python" "$root/scripts/demo_table.py" "$out" --title "$title"
say ""
"$tool" report "$out"/{extract,base,tuned,transfer}.json -o "$out/report.html" --data-json "$out/report.json" \
  --csv "$out/report.csv" --title "$title" --quiet >/dev/null
say "Main job: $((SECONDS - started)) s. The lock: $out/base.lock.safetensors; all numbers above: $out/*.json"
say "Report: $out/report.html (its numbers: report.json, report.csv)"
