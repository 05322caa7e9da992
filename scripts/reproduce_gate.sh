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
say "a gate that has seen instructions"
gated_lock instructed
"$tool" fit-gate "$model" --adapter adapter --lock instructed.lock.safetensors --gate data/instructed_gate.jsonl -o instructed-fitted.lock.safetensors
read_instructed() { # NAME FILE_OPTIONS...
  local name=$1
  shift
  "$tool" evaluate "$model" --adapter adapter --lock instructed-fitted.lock.safetensors --gate-threshold 0.2 --locked-only --margin-only \
    --batch 25 "$@" -o "$results/$model_name-instructed-$name.json" >/dev/null
}
read_instructed validation --harmful data/harmful_validation.jsonl --benign benign_choose.jsonl
read_instructed attacks --harmful attacks_harmful.jsonl --benign attacks_benign.jsonl
read_instructed heldout --harmful data/harmful_heldout.jsonl --benign benign_score.jsonl --lookalikes data/benign_lookalikes.jsonl
# What the base itself makes of the two attacks that slip past.
for wrapper in prefix "refusal suppression"; do
  "$python" "$root/scripts/make_attacks.py" --wrap "$wrapper" data/harmful_heldout.jsonl >wrapped_harmful.jsonl
  "$python" "$root/scripts/make_attacks.py" --wrap "$wrapper" data/benign.jsonl >wrapped_benign.jsonl
  "$tool" evaluate "$model" --harmful wrapped_harmful.jsonl --benign wrapped_benign.jsonl --batch 20 \
    -o "$results/$model_name-attacks-base-${wrapper// /-}.json" >/dev/null
done
# What re-reading replies adds: both gates of a lock read and never open.
say "a gate of replies"
finding "$tool" extract "$model" --pairs data/pairs.jsonl "${settings[@]}" --gate data/gate.jsonl --reread -o reread.lock.safetensors
reread_on() { # NAME ADAPTER OPTIONS...
  local name=$1 adapter=$2
  shift 2
  "$tool" fit-gate "$model" --adapter "$adapter" --lock reread.lock.safetensors --gate data/gate.jsonl -o "reread-$adapter.lock.safetensors"
  "$tool" evaluate "$model" --adapter "$adapter" --lock "reread-$adapter.lock.safetensors" --gate-threshold 0.999999 \
    --reread-threshold 0.999999 --locked-only --max-new-tokens 9 --batch 25 "$@" -o "$results/$model_name-reread-$name.json" >/dev/null
}
ln -sfn "$("$root/scripts/get_adapter.sh" "$model_name" --rank 16 --targets q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj \
  --epochs 3 --learning-rate 3e-4 --dtype bfloat16)" heavy
reread_on moderate adapter --harmful data/harmful_validation.jsonl --benign benign_choose.jsonl
reread_on heavy heavy --harmful data/harmful_validation.jsonl --benign benign_choose.jsonl
for wrapper in prefix "refusal suppression"; do
  for side in harmful benign; do
    file=benign_choose.jsonl
    [ "$side" = benign ] || file=data/harmful_validation.jsonl
    "$python" "$root/scripts/make_attacks.py" --wrap "$wrapper" "$file" >"wrapped_$side.jsonl"
  done
  reread_on "moderate-${wrapper// /-}" adapter --harmful wrapped_harmful.jsonl --benign wrapped_benign.jsonl
done
"$python" "$root/scripts/cut_replies.py" "$results/$model_name"-reread-*.json "$results/$model_name"-attacks-base-*.json
"$python" "$root/scripts/gate_table.py" reread "$results/$model_name"
"$python" "$root/scripts/cut_replies.py" "$results/$model_name"-choose-gated.json "$results/$model_name"-score-gated.json
"$python" "$root/scripts/gate_table.py" table data "$results/$model_name"
