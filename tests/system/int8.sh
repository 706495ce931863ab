#!/bin/bash
# compute.precision: int8: near fp32 in losses, updates and gradients, with large columns too; one answer for any ranks and
# threads, kill and resume; what was decided on the first units is kept with the numbers; the weights are converted once.
# usage: int8.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
T=$BIN/entrenar-train; I8=(--set compute.precision=int8); HERE=$SOURCE/tests/system
judge() { local what=$1; shift; if python3 "$@" >"$WORK/log" 2>&1; then ok "$what: $(tail -1 "$WORK/log")"; else bad "$what: $(tail -3 "$WORK/log")"; fi; }
# Against PyTorch in fp32, over 20 steps. A product is off by 2.5 % of its size at most (src/quant/int8_choice.h), or it is not
# in int8. A gradient is made of x, dy and the weights between, each off by as much in a direction of its own: so the gradient by
# sqrt(3) times that, 4 %; most of it at right angles, so its norm by half of that. AdamW divides by the gradient's own size:
# the update is off by three times that, 12 %. Of what it takes off the loss, 1.7 of 7, 0.12^2 may be missing: 0.4 %.
for name in llama qwen2 qwen3; do
  cp -r "$DATA/oracle/$name" "$WORK/$name"
  check "$name trains" "$T" "$WORK/$name/config.yaml" --quiet "${I8[@]}"
  judge "$name is near PEFT's fp32" "$HERE/compare_oracle.py" "$WORK/$name/out" "$DATA/oracle/$name" --loss 4e-3 --norm 2e-2 --update 0.12
  judge "$name: all of it in int8" "$HERE/int8.py" ways "$WORK/$name/out" 0 0
  # bf16 is nearer
  python3 "$HERE/compare_oracle.py" "$WORK/$name/out" "$DATA/oracle/$name" --loss 1 --norm 1 --update 5e-2 >"$WORK/log" && bad "$name: int8 is bf16" || ok "$name: it is not bf16"
done
S=$DATA/oracle/stories260K-shakespeare
check "stories260K trains" "$T" "$S/config.yaml" --quiet --set model.path="$SOURCE/models/stories260K" "${I8[@]}" --set training.output_dir="$WORK/stories" --set compute.threads=1
check "stories260K: validation losses within 0.1 % of fp32" python3 - "$WORK/stories/metrics.jsonl" "$S/expected.json" <<'P'
import json, sys
evals = [r for r in map(json.loads, open(sys.argv[1])) if "val_loss" in r]
want = json.load(open(sys.argv[2]))
for got, key in zip(evals, ("val_loss_before", "val_loss_after"), strict=True):
    assert abs(got["val_loss"] - want[key]) < 1e-3 * want[key], (key, got["val_loss"], want[key])
P

# Gradients, from where training has come: one step of SGD with rate 1 takes the gradient from the adapter.
cd "$WORK" || exit 1
cp -r "$SOURCE/models/stories260K" plain
check "a copy with large columns" python3 "$HERE/int8.py" outliers plain large
cat >train.yaml <<Y
model: {path: plain}
data: {train: $S/train_ids.jsonl, seq_len: 256, packing: false}
lora: {rank: 8, alpha: 16, target_modules: all-linear}
compute: {threads: 1}
optimizer: {name: adamw, lr: 3.0e-3}
training: {max_steps: 16, batch_size: 8, output_dir: out}
Y
cat >one.yaml <<Y
data: {train: $S/train_ids.jsonl, seq_len: 256, packing: false}
compute: {threads: 1}
optimizer: {name: sgd, momentum: 0.0, lr: 1.0, weight_decay: 0.0}
training: {max_steps: 1, batch_size: 32, grad_clip: 0, seed: 7}
Y
for model in plain large; do
  check "$model: an adapter" "$T" train.yaml --quiet --set model.path=$model --set training.output_dir=trained-$model
  for p in fp32 int8; do
    check "$model: a step in $p" "$T" one.yaml --quiet --set model.path=$model --set lora.path=trained-$model/adapter --set compute.precision=$p --set training.output_dir=step-$model-$p
  done
  judge "$model: the gradient" "$HERE/int8.py" gradients trained-$model/adapter step-$model-fp32 step-$model-int8
done
judge "plain: nothing is smoothed" "$HERE/int8.py" ways step-plain-int8 0 7
judge "large: columns are smoothed" "$HERE/int8.py" ways step-large-int8 15 7

# What was decided is part of what decides the numbers. An adapter of another size is the same configuration, but for that.
python3 - "$HERE" <<'P'
import shutil, sys
sys.path.insert(0, sys.argv[1])
import int8
shutil.copytree("trained-large/adapter", "other")
meta, t = int8.load("other/adapter_model.safetensors")
for name, (_, values) in t.items():
    for i in range(len(values)):
        values[i] *= -3 if "lora_B" in name else 1
int8.save("other/adapter_model.safetensors", meta, t)
P
again() { "$T" one.yaml --quiet --set model.path=large --set lora.path=$1 --set training.output_dir=step-large-int8 --set training.max_steps=2 "${I8[@]}" --resume >"$WORK/log" 2>&1; }
again other; [ $? = 2 ] && grep -q 'compute.precision (calibration) was .* smoothed, .* is .* smoothed' "$WORK/log" && ok "another calibration is refused: $(sed 's/.*calibration) //' "$WORK/log")" ||
  bad "another calibration: $(cat "$WORK/log")"
again trained-large/adapter && ok "the same one goes on" || bad "the same calibration: $(cat "$WORK/log")"

cd "$WORK/llama" || exit 1
run() { # folder, ranks, threads, options...
  local out=$1 n=$2 t=$3; shift 3
  ranks "$n" "$T" config.yaml --quiet "${I8[@]}" --set training.output_dir="$out" --set compute.threads="$t" "$@"
}
same() { # what, folder, folder
  check "$1: checkpoint" cmp "$(newest "$2")" "$(newest "$3")"
  check "$1: adapter" cmp "$2/adapter/adapter_model.safetensors" "$3/adapter/adapter_model.safetensors"
  check "$1: losses" sh -c "cut -d, -f1-6 '$2'/metrics.jsonl >a; cut -d, -f1-6 '$3'/metrics.jsonl >b; cmp a b"
}
for world in "${WORLDS[@]}"; do
  read -r n t <<<"$world"
  check "$n ranks, $t threads" run "out-$n-$t" "$n" "$t"
  same "$n ranks, $t threads" out "out-$n-$t"
done
check "layers computed again" run recomputed 2 1 --set compute.recompute=layer
same "layers computed again" out recomputed
OTHER=(--set data.packing=true --set data.shuffle=true --set data.seq_len=96 --set training.max_steps=6 --set training.batch_size=5
  --set lora.path= --set lora.rank=4 --set lora.dropout=0.3 --set lora.target_modules=all-linear)
check "packed: reference" run packed 0 1 "${OTHER[@]}"
check "packed: 3 ranks, 2 threads" run packed-3 3 2 "${OTHER[@]}"
same "packed: 3 ranks, 2 threads" packed packed-3

# Stopped and gone on with; killed at an instant that nobody chose.
C=(--set checkpoint.every=2 --set scheduler.name=constant --set scheduler.min_lr=)
check "undisturbed" run calm 0 1 "${C[@]}"
check "first 10 steps" run stopped 2 1 "${C[@]}" --set training.max_steps=10
check "the rest" run stopped 3 2 "${C[@]}" --resume
same "stopped" calm stopped
"$T" config.yaml --quiet "${I8[@]}" --set training.output_dir=killed "${C[@]}" >/dev/null 2>&1 & pid=$!
while kill -0 $pid 2>/dev/null && [ ! -e killed/checkpoints/latest ]; do sleep 0.01; done
kill -KILL $pid 2>/dev/null; wait $pid 2>/dev/null; code=$?
[ $code = 137 ] && ok "killed" || ok "was done before it was killed"
check "killed: the rest" run killed 2 1 "${C[@]}" --resume
same "killed" calm killed

# The converted weights.
cache() { ls "$1"/cache/weights-*; }
[ "$(cache stopped | wc -l)" = 1 ] && ok "one file of weights" || bad "files of weights: $(cache stopped)"
for p in fp32 bf16; do
  "$T" config.yaml --quiet --set training.output_dir=stopped "${C[@]}" --set compute.precision=$p --resume >"$WORK/log" 2>&1 && bad "$p resumes int8" ||
    { grep -q "compute.precision was int8, is $p" "$WORK/log" && ok "$p is refused: $(tail -1 "$WORK/log")" || bad "$p: $(cat "$WORK/log")"; }
done
made=$(stat -c '%i %Y' "$(cache calm)")
check "used again" run calm 2 1 "${C[@]}" --resume
[ "$(stat -c '%i %Y' "$(cache calm)")" = "$made" ] && ok "not made again" || bad "made again"
f=$(cache calm); cp "$f" whole; printf '\125\252' | dd of="$f" bs=1 seek=$(($(stat -c %s "$f") / 2)) conv=notrunc 2>/dev/null
cmp -s "$f" whole && bad "nothing was damaged"
ranks 2 "$T" config.yaml "${I8[@]}" --set training.output_dir=calm "${C[@]}" --resume >"$WORK/log" 2>&1
grep -q 'weights-.*damaged, made anew' "$WORK/log" && ok "a damaged one is told" || bad "a damaged one is not told: $(cat "$WORK/log")"
check "and made anew" cmp whole "$(cache calm)"
check "--dry-run decides, and writes nothing" sh -c "'$T' config.yaml --dry-run ${I8[*]} --set training.output_dir=dry | grep -q '^int8    21 of 21 projections' && ! [ -e dry ]"

# Benchmarks. Of llama-162m's table of embeddings, 47 MiB, few rows are used.
BENCH=("$BIN/entrenar" bench --threads 1 --json)
"${BENCH[@]}" --model model --seq-len 40 --units 3 --repeat 3 --precision int8 >tiny.json 2>err || bad "bench of a model: $(cat err)"
check "bench: operations by hand, in int8 and bf16" python3 "$HERE/bench.py" keys tiny.json model int8
slack=4; grep -q oneDNN tiny.json && slack=40 # it makes its kernels, and takes what they need, at the first product
check "bench: the plan of memory is what was used" python3 "$HERE/bench.py" memory tiny.json $slack
for p in bf16 int8; do
  "${BENCH[@]}" --shape llama-162m --seq-len 16 --units 2 --repeat 1 --precision $p >$p.json 2>err || bad "bench of a shape in $p: $(cat err)"
done
check "bench: llama-162m, operations by hand" python3 "$HERE/bench.py" keys int8.json llama-162m int8
check "bench: llama-162m, weights of a byte, a share that can be, memory as planned" python3 "$HERE/bench.py" int8_beside_bf16 int8.json bf16.json 40
finish
