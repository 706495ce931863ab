#!/bin/bash
# Layers that are computed again in backward give the bits of layers that are kept, on any number of ranks and threads, and
# a run may change from one to the other when it goes on. usage: recompute.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
cp -r "$DATA/oracle/llama" "$WORK/llama"; cd "$WORK/llama" || exit 1
T=("$BIN/entrenar-train" config.yaml --set checkpoint.every=5 --set scheduler.name=constant --set scheduler.min_lr=)
AGAIN=(--set compute.recompute=layer)
same() { # what, folder, folder
  check "$1: same checkpoint" cmp "$(newest "$2")" "$(newest "$3")"
  check "$1: same losses" sh -c "cut -d, -f1-6 '$2'/metrics.jsonl >a; cut -d, -f1-6 '$3'/metrics.jsonl >b; cmp a b"
}
for kind in adapter full packed; do
  case $kind in
  adapter) options=() ;;
  full) options=(--set lora=) ;;
  packed) options=(--set data.packing=true --set data.shuffle=true --set data.seq_len=96 --set training.batch_size=5
    --set lora.path= --set lora.rank=4 --set lora.dropout=0.3 --set lora.target_modules=all-linear --set lora.layers=[1]) ;;
  esac
  S=("${T[@]}" "${options[@]}")
  check "$kind: layers kept" "${S[@]}" --set training.output_dir=$kind-kept
  for n in 0 3; do
    check "$kind: computed again, $n ranks" ranks $n "${S[@]}" "${AGAIN[@]}" --set compute.threads=$((n ? 1 : 2)) --set training.output_dir=$kind-$n
    same "$kind: $n ranks" $kind-kept $kind-$n
  done
  check "$kind: kept for 10 steps" ranks 2 "${S[@]}" --set training.output_dir=$kind-change --set training.max_steps=10
  check "$kind: then computed again" ranks 3 "${S[@]}" "${AGAIN[@]}" --set training.output_dir=$kind-change --set training.max_steps=15 --resume
  check "$kind: then kept" "${S[@]}" --set training.output_dir=$kind-change --resume
  same "$kind: changed twice" $kind-kept $kind-change
done
grep -q 'recompute: layer' adapter-0/config.yaml && ok "the resolved config says so" || bad "the resolved config: $(grep recompute adapter-0/config.yaml)"
(ulimit -c 0; "${T[@]}" "${AGAIN[@]}" --set training.output_dir=killed --set training.max_steps=150 --set checkpoint.every=1 >"$WORK/log" 2>&1 & p=$!
  until [ -e killed/checkpoints/latest ]; do sleep 0.02; kill -0 $p || exit 1; done; kill -9 $p; wait $p) 2>/dev/null
check "killed, and on without" "${T[@]}" --set training.output_dir=killed --set training.max_steps=150 --resume
check "layers kept" "${T[@]}" --set training.output_dir=calm --set training.max_steps=150
same "killed" calm killed
memory() { "${T[@]}" --dry-run --set data.seq_len=$1 --set compute.recompute=$2 --set training.output_dir=no | sed -n 's/.*; \([0-9.]* .*B\) of memory a rank.*/\1/p'; }
kept=$(memory 256 none) again=$(memory 256 layer)
python3 - "$kept" "$again" <<'P' && ok "memory falls from $kept to $again" || bad "memory: $kept, with recompute $again"
import sys
size = lambda s: float(s.split()[0]) * {"KB": 1e3, "MB": 1e6, "GB": 1e9, "kB": 1e3, "KiB": 1024, "MiB": 2**20, "GiB": 2**30}[s.split()[1]]
sys.exit(not size(sys.argv[2]) < 0.75 * size(sys.argv[1]))
P
finish
