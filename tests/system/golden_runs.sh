#!/bin/bash
# The golden runs compute what they did, without mpirun and on 3 ranks (with --thorough: on 2, too): the same bits.
# usage: golden_runs.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
RANKS=(0 3); thorough && RANKS+=(2)
golden=$SOURCE/golden_traces; cd "$WORK" || exit 1
grep -v '^#' "$golden/runs/list" >list
while read -r name config optimizer lr precision; do
  for n in "${RANKS[@]}"; do
    check "$name, $n ranks" ranks $n "$BIN/entrenar-train" "$golden/runs/$config" --quiet --trace $name-$n.jsonl \
      --set optimizer.name=$optimizer --set optimizer.lr=$lr --set compute.precision=$precision --set training.output_dir="$WORK/$name-$n" </dev/null
    check "$name, $n ranks: numbers" "$BIN/entrenar" trace compare "$golden/numeric/$name.jsonl" $name-$n.jsonl
    check "$name, $n ranks: bits" cmp $name-0.jsonl $name-$n.jsonl
  done
done <list
for precision in fp32 bf16 int8; do for optimizer in adamw adam sgd; do
  grep -q "^lora-$optimizer-$precision " list && ok "lora, $optimizer, $precision" || bad "no golden run of lora, $optimizer, $precision"
done; done
for optimizer in adamw adam sgd; do grep -q "^full-$optimizer-fp32 " list && ok "full, $optimizer" || bad "no golden run of full, $optimizer"; done

# A run that goes on writes the rest of the trace; one that can't write it doesn't begin.
config=$golden/runs/lora.yaml; set=(--quiet --set optimizer.lr=3e-3)
check "the first half" "$BIN/entrenar-train" "$config" "${set[@]}" --set training.output_dir="$WORK/half" --set training.max_steps=10 \
  --set scheduler.name=constant
check "the second half" "$BIN/entrenar-train" "$config" "${set[@]}" --set training.output_dir="$WORK/half" --resume --trace half.jsonl \
  --set scheduler.name=constant
check "the whole" "$BIN/entrenar-train" "$config" "${set[@]}" --set training.output_dir="$WORK/whole" --trace whole.jsonl \
  --set scheduler.name=constant
check "the second half is that of the whole" cmp <(tail -10 whole.jsonl) <(tail -n +2 half.jsonl)
"$BIN/entrenar-train" "$config" "${set[@]}" --set training.output_dir="$WORK/never" --trace no/folder.jsonl >log 2>&1 && bad "no folder: accepted" ||
  { grep -q 'no/folder.jsonl: No such file' log && [ ! -e never/metrics.jsonl ] && ok "no folder: refused before work" || bad "no folder: $(cat log)"; }
mkdir taken
"$BIN/entrenar-train" "$config" "${set[@]}" --set training.output_dir="$WORK/never" --trace taken >log 2>&1 && bad "a folder in its place: accepted" ||
  { grep -q 'taken: expected a place for a file, found a folder' log && [ ! -e never/metrics.jsonl ] && ok "a folder in its place: refused before work" ||
    bad "a folder in its place: $(cat log)"; }

if ! "$BIN/entrenar" trace record -o t.json -- true >log 2>&1 && grep -q 'lets no process be traced' log; then
  echo "SKIPPED: PTRACE IS NOT ALLOWED HERE: no trace of a rank was compared: $(cat log)"; finish && exit 77; exit 1
fi
# A trace a rank: the program's own part of both runs is the same.
for run in a b; do
  check "ranks under the tracer" mpirun --oversubscribe --bind-to none -n 2 "$BIN/entrenar" trace record -f -o $run.json -- \
    "$BIN/entrenar-train" "$config" --dry-run --set training.output_dir=out --set compute.threads=1
done
for rank in 0 1; do check "rank $rank compares equal" "$BIN/entrenar" trace compare a.$rank.json b.$rank.json; done
"$BIN/entrenar" trace compare a.0.json a.1.json >log 2>&1 && bad "rank 0 and 1 do the same" || ok "rank 0 prints, rank 1 doesn't"
finish
