#!/bin/bash
# A run that is killed at any call that changes its folder, or whose machine loses its power there, ends with the bits of
# an undisturbed one when it is resumed, from the newest checkpoint that was whole; and leaves nothing else behind.
# usage: kill_points.sh BIN SOURCE FAULT_LIBRARY    with --thorough: every kind of kill at every call
[ -n "${TMPDIR:-}" ] || ! [ -w /dev/shm ] || export TMPDIR=/dev/shm # a sync costs nothing there
. "$(dirname "$0")/lib.sh" "$@"
FAULT=$3; scope=some; thorough && scope=all
. "$(dirname "$0")/fault_job.sh"
every=1; sanitized && ! thorough && every=28
[ $every = 1 ] || echo "note  under the address sanitizer at every ${every}th call, at others with YAML than with JSON; at all in the release build"
for metadata in json yaml; do
  if python3 "$SOURCE/tests/system/kill_points.py" "$BIN/entrenar-train" "$FAULT" "$WORK/job" $metadata $every "$scope"
  then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
# The same at a sample of the calls for what else is trained: other parameters, other files, other things found at the start.
other() { # WHAT METADATA EVERY LINES...: in the config, for those of the first run
  local what=$1 metadata=$2 every=$3 job=$WORK/other; shift 3
  if thorough; then every=$((every / 8)); elif sanitized; then every=$((every * 12)); fi
  rm -rf "$job"; mkdir "$job"; cp -r "$WORK/job/model" "$WORK/job/train.jsonl" "$WORK/job/val.jsonl" "$job"
  { grep -vE '^(lora|optimizer|compute):' "$WORK/job/config.yaml"; printf '%s\n' "$@"; } >"$job/config.yaml"
  if python3 "$SOURCE/tests/system/kill_points.py" "$BIN/entrenar-train" "$FAULT" "$job" $metadata $every "$scope" "$what"
  then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}
lora='rank: 2, alpha: 16, layers: [0], target_modules: [v_proj, down_proj]'
other "DoRA, lm_head and base in nf4" json 24 "lora: {$lora, use_dora: true, modules_to_save: [lm_head]}" "quantize: {base: nf4}" \
  'compute: {threads: 1, precision: bf16}' 'optimizer: {name: adamw, lr: 0.03}'
other "PiSSA, distilled, base in int8" yaml 24 "lora: {$lora, init: pissa, dropout: 0.1}" 'quantize: {base: int8}' 'distill: {teacher: model}' \
  'compute: {threads: 2, precision: int8}' 'optimizer: {name: adam, lr: 0.03}'
other "all weights, rounded" yaml 80 'quantize: {qat: int8}' 'compute: {threads: 1}' 'optimizer: {name: adamw, lr: 0.001}'
other "all weights" json 80 'compute: {threads: 2, recompute: layer}' 'optimizer: {name: sgd, lr: 0.1}'
finish
