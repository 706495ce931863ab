#!/bin/bash
# A step allocates nothing: a counter preloaded into the program sees no malloc between the first step's log line and the
# last one's. usage: no_allocation.sh BIN SOURCE COUNTER
. "$(dirname "$0")/lib.sh" "$@"
COUNTER=$3
cp -r "$DATA/oracle/llama" "$WORK/llama"; cd "$WORK/llama" || exit 1
counted() { COUNT_MALLOC_FILE=$WORK/count LD_PRELOAD=$COUNTER "$BIN/entrenar-train" config.yaml "$@"; }
for kind in lora full packed recompute bf16 nf4 nf4-int8 distill dora; do
  case $kind in
  lora) options=(--set training.max_steps=12) ;;
  full) options=(--set training.max_steps=12 --set lora=) ;;
  recompute) options=(--set training.max_steps=12 --set compute.recompute=layer) ;;
  distill) options=(--set training.max_steps=12 --set distill.teachers="$SOURCE/models/stories260K,model" --set data.packing=true --set data.seq_len=100 --set distill.hidden=1 --set "distill.hidden_layers={0: 1}") ;;
  dora) options=(--set training.max_steps=12 --set lora.path= --set lora.use_dora=true --set lora.modules_to_save=lm_head,norm --set compute.recompute=layer) ;;
  bf16) options=(--set training.max_steps=12 --set compute.precision=bf16) ;;
  nf4) options=(--set training.max_steps=12 --set quantize.base=nf4) ;;
  nf4-int8) options=(--set training.max_steps=12 --set quantize.base=nf4 --set compute.precision=int8) ;;
  packed) options=(--set training.max_steps=12 --set data.packing=true --set data.shuffle=true --set data.seq_len=100 --set lora.dropout=0.1) ;;
  esac
  check "$kind runs" counted --set training.output_dir=$kind --set compute.threads=2 "${options[@]}"
  if grep -qE '^12 steps 0 allocations, [1-9][0-9]+ before' "$WORK/count"; then ok "$kind: $(cat "$WORK/count")"; else bad "$kind: $(cat "$WORK/count")"; fi
done
finish
