#!/usr/bin/env bash
# Prints the folder of a fine-tuned adapter of a packaged model, making it first if need be (LoRA, a handful of samples,
# transformers + PEFT). Usage: get_adapter.sh MODEL_NAME [--samples FILE] [finetune.py options, instead of the chosen recipe]
# Without --samples, the harmful ones of data/compliance_samples.jsonl. finetune.py takes 10 samples unless --max-samples says more.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

model_name=${1:?a model name, as get_model.py takes it}
shift
samples=$root/data/compliance_samples.jsonl recipe=()
while [ $# -gt 0 ]; do
  case $1 in
    --samples) samples=${2:?a file after --samples} && shift ;;
    --samples=*) samples=${1#*=} ;;
    *) recipe+=("$1") ;;
  esac
  shift
done
[ -f "$samples" ] || { say "no such file: $samples" && exit 1; }
[ ${#recipe[@]} -gt 0 ] || recipe=(--epochs 2) # chosen on validation prompts: docs/results

# Its name is the digest of all that it depends on; of the samples, what they say and not where they lie.
key=$(cat "$root/scripts/finetune.py" "$samples" <(echo "$model_name ${recipe[*]}") | sha256sum | cut -c1-16)
adapter=$SAFETYLOCK_CACHE/adapters/$model_name-$key
if [ -d "$adapter" ]; then
  say "   adapter of an earlier run"
else
  mkdir -p "$(dirname "$adapter")"
  folder=$("$python" "$root/scripts/get_model.py" "$model_name" --hf)
  # PEFT still uses a name that transformers has deprecated: nothing a reader can act on.
  PYTHONWARNINGS=ignore::FutureWarning run_step "Fine-tuning" 25 "$python" "$root/scripts/finetune.py" "$folder" \
    --samples "$samples" "${recipe[@]}" -o "$adapter"
fi
printf '%s\n' "$adapter"
