#!/bin/bash
# entrenar bench and entrenar plan: their numbers against independent ones, and what they refuse.
# usage: bench.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$1" "$2"
HERE=$(cd "$(dirname "$0")" && pwd)
cp -r "$DATA/oracle/llama" "$WORK/llama"; cd "$WORK/llama" || exit 1
BENCH=("$BIN/entrenar" bench)
TINY=(--model model --seq-len 40 --units 3 --repeat 3)
judge() { local what=$1; shift; check "$what" python3 "$HERE/bench.py" "$@"; }

"${BENCH[@]}" "${TINY[@]}" --threads 1 --json >one.json 2>err || bad "bench of a model: $(cat err)"
"${BENCH[@]}" "${TINY[@]}" --threads 2 --json >two.json 2>err || bad "bench with two threads: $(cat err)"
ranks 2 "${BENCH[@]}" "${TINY[@]}" --threads 1 --json >ranks.json 2>err || bad "bench on two ranks: $(cat err)"
judge "every number is there, operations are as counted by hand, phases make the step" keys one.json model
judge "the plan of memory is what was used" memory one.json 4
judge "two threads: same operations, same loss" same one.json two.json threads=2 world_size=1
judge "two ranks: same operations, same loss" same one.json ranks.json threads=1 world_size=2
"${BENCH[@]}" "${TINY[@]}" --threads 1 --json --lora-rank 5 --targets all-linear >all.json 2>err || bad "bench of all projections: $(cat err)"
judge "operations with adapters on all projections" keys all.json model
check "a table for people" sh -c "'$BIN/entrenar' bench --model model --seq-len 40 --units 1 --repeat 1 | grep -q '  attention  '"
"${BENCH[@]}" "${TINY[@]}" --threads 1 --json --precision bf16 >bf16.json 2>err || bad "bench in bf16: $(cat err)"
judge "bf16: frozen weights in bf16, all else in fp32" keys bf16.json model bf16
"${BENCH[@]}" "${TINY[@]}" --threads 1 --json --recompute layer >layer.json 2>err || bad "bench with recomputed layers: $(cat err)"
judge "recomputed layers: more operations, less memory, same loss" recomputed one.json layer.json

# A shape: weights are made, once for all ranks. Few tokens, for it is a large one: of the scratch for 128 rows of logits
# (16 MiB, in bf16 twice) 15 are used.
SHAPE=(--shape llama-162m --seq-len 16 --units 2 --repeat 1 --threads 1 --json)
"${BENCH[@]}" "${SHAPE[@]}" >shape.json 2>err || bad "bench of a shape: $(cat err)"
ranks 2 "${BENCH[@]}" "${SHAPE[@]}" >shapes.json 2>err || bad "bench of a shape on two ranks: $(cat err)"
judge "llama-162m: operations by hand" keys shape.json llama-162m
judge "llama-162m: the plan of memory is what was used" memory shape.json 20
"${BENCH[@]}" "${SHAPE[@]}" --precision bf16 >shape16.json 2>err || bad "bench of a shape in bf16: $(cat err)"
judge "llama-162m in bf16: operations by hand" keys shape16.json llama-162m bf16
judge "llama-162m in bf16: half the weights, as planned" half shape16.json shape.json 40
judge "llama-162m on two ranks, with one's weights" same shape.json shapes.json threads=1 world_size=2

"${BENCH[@]}" "${TINY[@]}" --json --compare "--seq-len 20 --threads 1" >pair.json 2>err || bad "bench of two: $(cat err)"
judge "two configurations in turn" pair pair.json

refused() { # code, part of the message, options...
  local code=$1 part=$2; shift 2
  "${BENCH[@]}" "$@" >said 2>err; local found=$?
  if [ $found = "$code" ] && [ ! -s said ] && [ "$(wc -l <err)" = 1 ] && grep -qF -- "$part" err; then ok "refused: $(cat err)"
  else bad "bench $*: exit $found, $(cat said err)"; fi
}
refused 2 "--precision: expected" --precision fp64
refused 2 "--units: expected" --units 0
refused 2 "--seq-len: expected" --seq-len 1
refused 2 "--threads: expected" --threads none
refused 2 "--lora-rank: expected" --lora-rank 0
refused 2 "--targets: expected" --targets q_proj,x_proj
refused 2 "--repeat: expected" --repeat 0
refused 2 "unknown option --speed" --speed
refused 2 "unknown option model" model
refused 2 "--units: expected a value after it" --units
refused 2 "--compare: --json is for both" --compare "--json"
refused 2 "--units: expected" --compare "--units many"
refused 1 "--shape: expected one of llama-162m" --shape gpt
refused 1 "nowhere/config.json" --model nowhere
# What training doesn't do, bench doesn't either, for the same reason.
for key in precision=bf16 precision=int8 recompute=layer; do
  "$BIN/entrenar-train" config.yaml --dry-run --quiet --set compute.$key >said 2>train.err; trains=$?
  "${BENCH[@]}" "${TINY[@]}" --${key%=*} "${key#*=}" >said 2>bench.err; runs=$?
  reason() { sed -E 's/^[^:]*: (bench: )?(--set [a-z._]*|--[a-z]*): //; s/; .entrenar.*//' "$1"; }
  if [ $trains = $runs ] && [ "$(reason train.err)" = "$(reason bench.err)" ]; then ok "$key: as in training ($runs)"
  else bad "$key: training $trains $(cat train.err), bench $runs $(cat bench.err)"; fi
done

PLAN=("$BIN/entrenar" plan config.yaml --set compute.threads=1)
before=$(find . -type f ! -name plan.json ! -name err | sort | xargs sha256sum)
"${PLAN[@]}" --ranks 6 --network 1Gbit,20us --per-machine 2 --json >plan.json 2>err || bad "plan: $(cat err)"
[ "$before" = "$(find . -type f ! -name 'plan.json' ! -name err | sort | xargs sha256sum)" ] && [ ! -d out ] && ok "a plan writes nothing" ||
  bad "a plan left $(ls)"
check "the run that is planned" "$BIN/entrenar-train" config.yaml --quiet --set compute.threads=1
judge "bytes and operations of a plan, by hand, and from the run's files" plan plan.json config.yaml
check "a table for people" sh -c "'$BIN/entrenar' plan config.yaml --ranks 2 | grep -q 'mapped weights'"
check "the plan of full training" sh -c "'$BIN/entrenar' plan config.yaml --set lora= --json >full.json"
judge "it has no mapped weights" full full.json
plan_refused() { # part of the message, arguments...
  local part=$1; shift
  "$BIN/entrenar" plan "$@" >said 2>err; local found=$?
  if [ $found = 2 ] && [ ! -s said ] && grep -qF -- "$part" err; then ok "refused: $(cat err)"; else bad "plan $*: exit $found, $(cat said err)"; fi
}
plan_refused "expected a config"
plan_refused "CONFIG: expected once" config.yaml config.yaml
plan_refused "unknown option --fast" config.yaml --fast
plan_refused "--ranks: expected an integer" config.yaml --ranks 0
plan_refused "--network: expected a rate" config.yaml --ranks 2 --network fast
plan_refused "act only with --ranks" config.yaml --network 1Gbit,1us
plan_refused "--set: expected a value" config.yaml --set
plan_refused "nowhere.yaml" nowhere.yaml
plan_refused "optimizer.lr" config.yaml --set optimizer.lr=-1
# How threads wait: the last word of OpenMP's is that of the program as it runs.
waits() { env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT OMP_DISPLAY_ENV=verbose "$@" "$BIN/entrenar" plan --help 2>&1 | grep SPINCOUNT | tail -1 | tr -dc 0-9; }
check "threads spin, then sleep" [ "$(waits)" = 100000 ]
check "ranks that share cores sleep at once" [ "$(waits OMPI_COMM_WORLD_LOCAL_SIZE=1000)" = 0 ]
check "what a user has set stays" [ "$(waits GOMP_SPINCOUNT=7)" = 7 ]
finish
