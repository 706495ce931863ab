#!/bin/bash
# Exports in PyTorch, Debian's: PEFT adapters on their base, merged folders, models in int8 and GGUF files have the
# probabilities that entrenar computes. Where there is no PyTorch, this says so and counts as skipped. ENT_TORCH_PYTHON: a
# Python that has it. usage: torch_exports.sh BIN SOURCE TOKEN_PROBABILITIES
P=$(realpath "${3:?}")
. "$(dirname "$0")/lib.sh" "$@"
BIN=$(realpath "$BIN"); SOURCE=$(realpath "$SOURCE"); E=$BIN/entrenar; O=$SOURCE/tests/data/oracle
export PYTHONDONTWRITEBYTECODE=1
PYTHON=${ENT_TORCH_PYTHON:-/usr/bin/python3}
cd "$WORK" || exit 1
"$PYTHON" -c "import torch, numpy" >log 2>&1 ||
  { echo "SKIPPED: $PYTHON has no PyTorch (Debian: python3-torch): no export was read by it: $(tail -1 log)"; exit 77; }
export OMP_NUM_THREADS=1

python3 "$SOURCE/tests/system/llama_cpp.py" ids "$O/stories260K-shakespeare/val_ids.jsonl" 2 >ids
compare() { printf '%s\t%s\t%s\t%s\t%s\n' "$@" >>checks; } # name, model, adapter, probabilities, within
for name in llama qwen2 qwen3 stories; do
  adapter=$O/$name/adapter_final
  if [ $name = stories ]; then cp -r "$SOURCE/models/stories260K" stories; adapter=$O/stories260K-shakespeare/adapter_final
  else cp -r "$O/$name/model" $name; cp "$SOURCE"/models/stories260K/tokenizer*.json $name; fi # a vocabulary as large
  check "$name: probabilities" sh -c "'$P' $name '$adapter' $name.f32 <ids"
  check "$name: peft" "$E" export --model $name --adapter "$adapter" --to peft --out $name-peft
  check "$name: safetensors" "$E" export --model $name --adapter "$adapter" --to safetensors --out $name-merged
  compare "$name, base and PEFT adapter" $name $name-peft $name.f32 1e-5
  compare "$name, merged" $name-merged - $name.f32 1e-5
  for type in f32 q8_0; do
    check "$name: GGUF $type" "$E" export --model $name --adapter "$adapter" --to gguf --type $type --out $name-$type.gguf
  done
  compare "$name, GGUF f32" $name-f32.gguf - $name.f32 1e-5
  compare "$name, GGUF q8_0" $name-q8_0.gguf - $name.f32 0.05
done
# what a run leaves: ranks and alphas by patterns, from its adapter and from its checkpoint; and int8
cp "$O/adapters/patterns_rslora/config.yaml" .; cp "$O/llama/train.jsonl" .
T=("$E" train config.yaml --quiet --set model.path=llama --set data.train=train.jsonl --set training.max_steps=3)
check "patterns: a run" "${T[@]}" --set lora.path="$O/adapters/patterns_rslora/adapter_init" --set training.output_dir=run
check "patterns: its checkpoint" "$E" export --model llama --adapter run/checkpoints/step-00000003.h5 --to peft --out run-peft
check "patterns: probabilities" sh -c "'$P' llama run/adapter run.f32 <ids"
compare "a run's adapter of several ranks" llama run/adapter run.f32 1e-5
compare "its checkpoint as PEFT adapter" llama run-peft run.f32 1e-5
for variant in lora.use_dora=true lora.init=pissa lora.modules_to_save=lm_head,norm; do
  out=variant-${variant%=*}
  check "$variant: a run" "${T[@]}" --set lora.path= --set lora.rank=4 --set lora.target_modules=all-linear --set $variant --set training.output_dir=$out
  check "$variant: probabilities" sh -c "'$P' llama $out/adapter $out.f32 <ids"
  check "$variant: merged" "$E" export --model llama --adapter $out/adapter --to safetensors --out $out-merged
  compare "$variant" llama $out/adapter $out.f32 1e-5
  compare "$variant, merged" $out-merged - $out.f32 1e-5
done
check "int8: a run with rounded weights" "${T[@]}" --set lora= --set quantize.qat=int8 --set training.output_dir=rounded
check "int8: probabilities" sh -c "'$P' rounded/model - rounded.f32 <ids"
compare "a run's model in int8" rounded/model - rounded.f32 1e-5
check "bf16: merged" "$E" merge --model llama --adapter "$O/llama/adapter_final" --dtype bf16 --out bf16
check "bf16: probabilities" sh -c "'$P' bf16 - bf16.f32 <ids"
compare "merged, in bf16" bf16 - bf16.f32 1e-5
# models quantised after training, in all forms of folders: numbers of several kinds of scales, and of blocks of blocks
for kind in "int8" "int8 --per tensor" "int8 --per group --group-size 16" "int8 --per group --group-size 16 --asymmetric" "int8 --asymmetric" nf4; do
  out=quantized-${kind// /}
  check "$kind: quantize" "$E" quantize --model llama --format $kind --out "$out"
  check "$kind: probabilities" sh -c "'$P' '$out' - '$out.f32' <ids"
  compare "quantized, $kind" "$out" - "$out.f32" 1e-5
done
# the other way round: another model's numbers are told
compare "must differ" llama-merged - qwen2.f32 1e-5
compare "must differ" llama - llama.f32 1e-5

"$PYTHON" "$SOURCE/tests/system/torch_exports.py" checks ids >found 2>err || bad "torch_exports.py: $(tail -1 err)"
[ "$(grep -c '^FAIL  must differ: prob' found)" = 2 ] && ok "other numbers are told" || bad "other numbers: $(grep 'must differ' found)"
grep -v 'must differ' found
passed=$((passed + $(grep -v 'must differ' found | grep -c '^ok'))); failed=$((failed + $(grep -v 'must differ' found | grep -c '^FAIL')))
[ "$(grep -c . found)" = "$(grep -c . checks)" ] || bad "$(grep -c . found) of $(grep -c . checks) checks were made: $(tail -1 err)"
finish
