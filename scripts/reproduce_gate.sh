# The part of reproduce.sh that is about gates; sourced by it.
gated_lock
say "fitted to the fine-tuned model"
"$tool" fit-gate "$model" --adapter adapter --lock gated.lock.safetensors --gate data/gate.jsonl -o fitted.lock.safetensors --json \
  >"$results/$model_name-gate-fit.json"
say "a threshold, on validation prompts"
choose_gated --adapter adapter --lock fitted.lock.safetensors --heads 8 --alpha 10,12,14 \
  --gate-threshold 0.2,0.3,0.38,0.5 --max-answered 0.05 --max-over-refusal 0.05 --write-lock chosen.lock.safetensors \
  -o "$results/$model_name-choose-gated.json"
score gated --adapter adapter --lock chosen.lock.safetensors --base "$model"
# What the gate says alone: one pass a prompt.
read_gate() { # NAME FILE_OPTIONS...
  local name=$1
  shift
  "$tool" evaluate "$model" --adapter adapter --lock chosen.lock.safetensors --locked-only --margin-only --batch 25 "$@" \
    -o "$results/$model_name-gate-$name.json" >/dev/null
}
"$python" "$root/scripts/gate_table.py" split data .
read_gate twins --harmful heldout_harmful.jsonl --benign heldout_harmless.jsonl \
  --lookalikes data/gate_lookalikes.jsonl
read_gate attacks --harmful attacks_harmful.jsonl --benign attacks_benign.jsonl
"$python" "$root/scripts/cut_replies.py" "$results/$model_name"-choose-gated.json "$results/$model_name"-score-gated.json
"$python" "$root/scripts/gate_table.py" table data "$results/$model_name"
