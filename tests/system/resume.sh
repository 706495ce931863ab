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
finish
