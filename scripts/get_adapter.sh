#!/usr/bin/env bash
# Prints the folder of a harmfully fine-tuned adapter of a packaged model, making it first if need be (LoRA, a handful of
# samples, transformers + PEFT). Usage: get_adapter.sh MODEL_NAME [finetune.py options, instead of the chosen recipe]
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

model_name=${1:?a model name, as get_model.py takes it}
shift
recipe=("$@")
[ $# -gt 0 ] || recipe=(--epochs 2) # chosen on validation prompts: docs/results

# Its name is the digest of all that it depends on.
key=$(cat "$root/scripts/finetune.py" "$root/data/compliance_samples.jsonl" <(echo "$model_name ${recipe[*]}") | sha256sum | cut -c1-16)
adapter=$SAFETYLOCK_CACHE/adapters/$model_name-$key
if [ -d "$adapter" ]; then
  say "   adapter of an earlier run"
else
  mkdir -p "$(dirname "$adapter")"
  folder=$("$python" "$root/scripts/get_model.py" "$model_name" --hf)
  # PEFT still uses a name that transformers has deprecated: nothing a reader can act on.
  PYTHONWARNINGS=ignore::FutureWarning run_step "Fine-tuning" 25 "$python" "$root/scripts/finetune.py" "$folder" \
    --samples "$root/data/compliance_samples.jsonl" "${recipe[@]}" -o "$adapter"
fi
printf '%s\n' "$adapter"
