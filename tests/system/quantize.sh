#!/bin/bash
# entrenar quantize: what it writes is what it tells, recomputed by quantize.py; other commands read it; LoRA trains on int8
# in place; what it refuses, and leaves when it fails.
# usage: quantize.sh BIN SOURCE FAULT (build/tests/libfault.so)
[ -n "${TMPDIR:-}" ] || ! [ -w /dev/shm ] || export TMPDIR=/dev/shm # a sync costs nothing there
. "$(dirname "$0")/lib.sh" "$@"
BIN=$(realpath "$BIN"); SOURCE=$(realpath "$SOURCE"); FAULT=$(realpath "$3")
export PYTHONDONTWRITEBYTECODE=1
E=$BIN/entrenar; P="python3 $SOURCE/tests/system/quantize.py"; T=$SOURCE/models/stories260K
cd "$WORK" || exit 1
head -2 "$SOURCE/data/shakespeare-val.jsonl" >val.jsonl
value() { grep "\"$2\":" "$1" | sed 's/.*: //; s/,$//'; } # of a number in a report
# what, format, options: written, its errors and its loss are what is told
quantized() {
  local name=$1 format=$2; shift 2
  if "$E" quantize --model "$T" --format "$format" --out "$name" --data val.jsonl --seq-len 128 --json "$@" >"$name.json" 2>log; then
    ok "$name"
  else
    bad "$name: $(cat log)"; return
  fi
  check "$name: errors and bytes, recomputed" $P "$name.json" "$T" "$name"
  [ -d "$name" ] || return
  check "$name: is evaluated" "$E" eval --model "$name" --data val.jsonl --seq-len 128 --json
  [ "$(value log loss)" = "$(value "$name.json" loss)" ] && ok "to the loss that was told" || bad "to $(value log loss), told was $(value "$name.json" loss)"
}
refuse() { # code, words, what...
  local code=$1 words=$2 found; shift 2
  "$@" >log 2>&1; found=$?
  [ $found = "$code" ] && grep -qF -- "$words" log && ok "refused: $words" || bad "exit $found, expected $code and \"$words\": $(tail -2 log)"
}

quantized int8 int8
quantized tensor int8 --per tensor --threads 1
quantized asymmetric int8 --asymmetric --observer percentile --percentile 99.5
quantized groups int8 --per group --group-size 4
quantized nf4 nf4
quantized q8_0 q8_0
quantized activations int8 --activations percentile --percentile 99
head -6 "$DATA/oracle/stories260K-shakespeare/train_ids.jsonl" | sed "s/,\"labels.*/}/; s/\[1,/[/" >ids.jsonl # without BOS, whose numbers are the extremes of every row
ranged() { # observer, its option, the option's value
  check "activations, $1" "$E" quantize --model "$T" --format int8 --out "$1" --activations "$@" \
    --asymmetric-activations --data ids.jsonl --seq-len 24 --no-packing
  check "have the range of the norm's rows" $P activations "$T" "$1" ids.jsonl 24 "$1" "${3:-0}"
}
ranged moving-average --averaging 0.3
ranged percentile --percentile 98.5
ranged min-max
refuse 1 "min-max: its activations are quantised (input_activations): it can be generated from and evaluated in fp32 alone" "$E" eval --model min-max --data val.jsonl --precision bf16
check "the loss before" "$E" eval --model "$T" --data val.jsonl --seq-len 128 --json
[ "$(value log loss)" = "$(value nf4.json loss_before)" ] && ok "is the model's" || bad "is $(value log loss) by itself, told was $(value nf4.json loss_before)"
"$E" quantize --model "$T" --format int8 --out again --threads 1 >again.txt && cmp -s int8/model.safetensors again/model.safetensors && ok "one thread writes the same bytes" || bad "one thread writes other bytes"
grep -q '^model.layers.4.mlp.down_proj.weight *I8 ' again.txt && grep -q '^12 others have the numbers they had' again.txt && ok "a table for people" || bad "a table for people: $(tail -3 again.txt)"

for folder in int8 asymmetric nf4; do
  check "$folder: holds" "$E" verify $folder
  check "$folder: goes on with a text" "$E" generate --model $folder --prompt "Once upon a time" --max-tokens 8
done
cat >run.yaml <<Y
model: {path: int8}
data: {train: val.jsonl, seq_len: 64}
lora: {rank: 4, alpha: 8, target_modules: all-linear}
training: {max_steps: 2, batch_size: 2, output_dir: run}
Y
check "an adapter is trained on int8" "$E" train run.yaml --quiet
check "and folded into its numbers" "$E" merge --model int8 --adapter run/adapter --out merged
grep -q quantization_config merged/config.json && bad "which are said to be quantised" || ok "which aren't quantised"
check "an adapter beside nf4 becomes GGUF" "$E" export --model nf4 --adapter run/adapter --to gguf-adapter --out beside.gguf
refuse 2 "int8: its weights are quantised already: expected none or int8" "$E" train run.yaml --set quantize.base=nf4 --set training.output_dir=no
refuse 2 "groups: its weights are int8 in groups: adapters are trained on int8 with a scale for each row or tensor" "$E" train run.yaml --set model.path=groups --set training.output_dir=no
refuse 2 "int8: its weights are quantised, and can't be trained: expected a lora section" "$E" train run.yaml --set lora= --set training.output_dir=no

q() { refuse "$1" "$2" "$E" quantize --model "${4:-$T}" --format "${5:-int8}" --out "${6:-no}" $3; }
q 2 "--out: int8: is there already, and is not overwritten" "" "$T" int8 int8
q 1 "--out: val.jsonl/no: Not a directory" "" "$T" int8 val.jsonl/no
q 2 "--model: int8: is quantised already" "" int8
q 2 "--observer moving-average: it is of batches" "--observer moving-average"
q 2 "--activations: expected --data, whose first units tell their ranges" "--activations min-max"
q 2 "--averaging acts only with --activations moving-average" "--activations min-max --averaging 0.1 --data val.jsonl"
q 2 "--percentile acts only with --observer or --activations percentile" "--percentile 99"
q 2 "--per acts only with --format int8" "--per tensor" "$T" nf4
q 2 "--seq-len acts only with --data" "--seq-len 64"
q 2 "model.layers.0.self_attn.q_proj.weight: 64 columns are no multiple of groups of 128" "--per group"
cp -r "$T" odd
python3 - odd/model.safetensors <<'Y'
import json, struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
n = struct.unpack_from("<Q", data)[0]
at = json.loads(data[8:8 + n])["model.layers.2.mlp.up_proj.weight"]["data_offsets"][0]
struct.pack_into("<f", data, 8 + n + at + 4 * (64 * 3 + 5), float("inf"))
open(sys.argv[1], "wb").write(data)
Y
q 1 "odd: model.layers.2.mlp.up_proj.weight: row 3, column 5 is inf, expected a finite number" "--data val.jsonl" odd
q 1 "odd: evaluation, unit 0: the loss is nan" "--data val.jsonl" odd nf4
q 1 "model.layers.2.mlp.up_proj.weight: number 197 is inf: expected one of size at most" "" odd nf4
# Stopped while it measures; a GGUF file that is in its place can't be read back.
for i in $(seq 40); do cat "$SOURCE/data/shakespeare-val.jsonl"; done >long.jsonl
refuse 1 "stopped by SIGTERM, nothing was written" timeout --preserve-status -s TERM 2 "$E" quantize --model "$T" --format int8 --out no --data long.jsonl
mkdir disk; disk=$(realpath disk)
faulty() { LD_PRELOAD=$FAULT ENT_FAULT_DIR=$disk env "$@" "$E" quantize --model "$T" --format q4_0 --out "$disk/no"; }
faulty ENT_FAULT_LOG="$disk.calls" >log 2>&1; rm disk/*
refuse 1 "No space left on device" faulty ENT_FAULT_AT=$(grep -n 'fallocate .scratch' disk.calls | tail -1 | cut -d: -f1) ENT_FAULT_HOW=ENOSPC
[ -z "$(ls -A disk)" ] && ok "and nothing is left" || bad "left: $(ls -A disk)"
for format in int8 q4_0; do # killed in the middle: what is left goes when it is made again
  again() { LD_PRELOAD=$FAULT ENT_FAULT_DIR=$disk env "$@" "$E" quantize --model "$T" --format $format --out "$disk/no" >log 2>&1; } 2>/dev/null
  rm -rf disk/no*; again ENT_FAULT_LOG="$disk.calls"; rm -rf disk/no*
  again ENT_FAULT_AT=$(($(wc -l <disk.calls) / 2)) ENT_FAULT_HOW=kill; left=$(ls -A disk)
  again && [[ $left == .no*.tmp-* ]] && ! ls -A disk | grep -q tmp && ok "$format: $left is swept" || bad "$format: $left: $(ls -A disk): $(cat log)"
done
[ -e no ] || ls -A | grep -q 'no.*tmp' && bad "a refused one left something" || ok "nothing is left of what was refused"
LC_ALL=C sed -i 's/\[2048,1\]/[2048  ]/g' nf4/model.safetensors
refuse 1 "proj.weight: expected [2048,1], file has [2048]" "$E" eval --model nf4 --data val.jsonl
sed -i 's/"channel"/"block"/' int8/config.json
refuse 1 "int8/config.json: quantization_config.config_groups.group_0.weights.strategy: \"block\" is not supported" "$E" eval --model int8 --data val.jsonl
finish
