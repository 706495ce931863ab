#!/bin/bash
# A run that stops and resumes, on another number of ranks, ends with the bits of an undisturbed one.
# usage: resume.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
cp -r "$DATA/oracle/llama" "$WORK/llama"; cd "$WORK/llama" || exit 1
T=("$BIN/entrenar-train" config.yaml --quiet --set checkpoint.every=5 --set scheduler.name=constant --set scheduler.min_lr=)
check "undisturbed" "${T[@]}" --set training.output_dir=calm
for metadata in json yaml; do
  S=(--set training.output_dir=stopped-$metadata --set checkpoint.metadata=$metadata)
  check "$metadata: first 10 steps" ranks 2 "${T[@]}" "${S[@]}" --set training.max_steps=10
  check "$metadata: the rest" ranks 3 "${T[@]}" "${S[@]}" --resume
  check "$metadata: same checkpoint" cmp "$(newest calm)" "$(newest stopped-$metadata)"
  check "$metadata: same adapter" cmp calm/adapter/adapter_model.safetensors stopped-$metadata/adapter/adapter_model.safetensors
  check "$metadata: each step logged once" sh -c "cut -d, -f1-6 calm/metrics.jsonl >a; cut -d, -f1-6 stopped-$metadata/metrics.jsonl >b; cmp a b"
done
f=$(newest stopped-json)
check "h5ls lists the parameters" sh -c "h5ls -r '$f' | grep -q 'lora_A'"
check "h5dump reads it" h5dump "$f"
check "h5diff finds no difference" h5diff "$f" "$(newest calm)"
check "the resolved config loads again" "$BIN/entrenar-train" calm/config.yaml --quiet --set training.output_dir=again
check "and gives the same bits" cmp "$(newest calm)" "$(newest again)"
rm -rf again
printf '\377' | dd of="$f" bs=1 seek=$(($(stat -c %s "$f") / 2)) conv=notrunc 2>/dev/null
"${T[@]}" --set training.output_dir=stopped-json --resume >"$WORK/log" 2>&1 && grep -q "$(basename "$f")" "$WORK/log" &&
  ok "a damaged checkpoint is named and passed over" || bad "a damaged checkpoint: $(cat "$WORK/log")"
check "same bits after it" cmp "$(newest calm)" "$(newest stopped-json)"
"${T[@]}" --set training.output_dir=calm >"$WORK/log" 2>&1 && bad "a run over a run is not refused" || ok "a run over a run is refused"
"${T[@]}" --set training.output_dir=calm --resume --set optimizer.lr=1 >"$WORK/log" 2>&1 && bad "another config resumes" || ok "another config is refused: $(tail -1 "$WORK/log")"
cp -r model other; dd if=/dev/urandom of=other/model.safetensors bs=1000 seek=300 count=200 conv=notrunc 2>/dev/null
"${T[@]}" --set training.output_dir=calm --resume --set model.path=other >"$WORK/log" 2>&1 && bad "another model resumes" || ok "another model is refused"
"${T[@]}" --set training.output_dir=calm --resume --set training.max_steps=5 >"$WORK/log" 2>&1 && bad "a shorter run resumes" || ok "a shorter run is refused: $(tail -1 "$WORK/log")"
rm calm/checkpoints/latest
check "a run without its 'latest' resumes from what is there" "${T[@]}" --set training.output_dir=calm --resume
check "and is as it was" sh -c "test \$(grep -c grad_norm calm/metrics.jsonl) = 20"
rm -rf short; check "a run that ends with a shorter step" "$BIN/entrenar-train" config.yaml --quiet --set training.output_dir=short --set training.max_steps=0 --set training.batch_size=5 --set scheduler.name=constant --set scheduler.min_lr=
check "counts its units right" sh -c "tail -1 short/metrics.jsonl | grep -q '\"epoch\": 1,'"
check "--overwrite replaces it" "${T[@]}" --set training.output_dir=calm --overwrite --set training.max_steps=3
check "only its own steps are logged" sh -c "test \$(wc -l <calm/metrics.jsonl) = 3"
# Weights rounded to int8 in forward: their scales go on as all else does, and what the run leaves evaluates to its loss.
Q=("$BIN/entrenar-train" config.yaml --quiet --set lora= --set quantize.qat=int8 --set data.val=train.jsonl --set eval.every=2
  --set checkpoint.every=2 --set scheduler.name=constant --set scheduler.min_lr= --set scheduler.warmup_steps=0)
check "rounded: undisturbed" "${Q[@]}" --set training.max_steps=4 --set training.output_dir=rounded
check "rounded: first 2 steps" ranks 2 "${Q[@]}" --set training.max_steps=2 --set training.output_dir=halves
check "rounded: the rest, layers computed again" ranks 3 "${Q[@]}" --set training.max_steps=4 --set training.output_dir=halves --resume --set compute.recompute=layer
check "rounded: same checkpoint" cmp "$(newest rounded)" "$(newest halves)"
check "rounded: same model in int8" cmp rounded/model/model.safetensors halves/model/model.safetensors
check "rounded: scales are parameters" sh -c "h5ls -r '$(newest halves)' | grep -q 'q_proj.weight_scale'"
for m in model model-best; do
  "$BIN/entrenar" eval --model rounded/$m --data train.jsonl --seq-len 48 --no-packing --json >eval.json || bad "eval of $m"
  check "rounded: $m evaluates to the run's loss, to the last bit" python3 -c "
import json
rows = [json.loads(l) for l in open('rounded/metrics.jsonl') if 'val_loss' in l]
assert len(rows) == 3 and min(r['val_loss'] for r in rows) == rows[-1]['val_loss'] == json.load(open('eval.json'))['loss'], rows"
done
check "rounded: verify finds nothing" "$BIN/entrenar" verify rounded
python3 - halves/model/model.safetensors <<'P'
import json, struct, sys
d = bytearray(open(sys.argv[1], "rb").read()); n = struct.unpack("<Q", d[:8])[0]
d[8 + n + json.loads(d[8:8 + n])["model.layers.1.mlp.up_proj.weight"]["data_offsets"][0] + 100] ^= 1
open(sys.argv[1], "wb").write(d)
P
"$BIN/entrenar" verify halves >"$WORK/log" 2>&1 && bad "rounded: another code is not seen" || { grep -q 'up_proj.weight: is not what .*step-00000004.h5 holds' "$WORK/log" && ok "rounded: verify sees another code" || bad "rounded: verify: $(cat "$WORK/log")"; }
"${Q[@]}" --set training.max_steps=4 --set training.output_dir=rounded --resume --set quantize.qat=none >"$WORK/log" 2>&1 && bad "rounded: resumes without" || { grep -q quantize.qat "$WORK/log" && ok "rounded: does not resume without: $(tail -1 "$WORK/log")" || bad "rounded: $(cat "$WORK/log")"; }
finish
