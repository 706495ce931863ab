#!/bin/bash
# The golden traces of the examples hold: the same input and output, the same numbers, within their budgets; and each of
# these fails when it should. usage: golden.sh BIN SOURCE TRACED
. "$(dirname "$0")/lib.sh" "$@"
golden=$SOURCE/golden_traces changed=$3/training_loop_changed; cd "$WORK" || exit 1
trace() { "$BIN/entrenar" trace "$@"; }
if ! trace record -o t.json -- true >log 2>&1 && grep -q 'lets no process be traced' log; then
  echo "SKIPPED: PTRACE IS NOT ALLOWED HERE: no golden trace was compared: $(cat log)"; exit 77
fi
fails() { # what, expected text in its report, command...
  local what=$1 expected=$2; shift 2
  "$@" >"$WORK/log" 2>&1; local code=$?
  [ $code = 1 ] && grep -qE -- "$expected" "$WORK/log" && ok "$what" || bad "$what: exit code $code: $(tail -3 "$WORK/log")"
}
example() { # name, options...: as it is recorded in NAME.json, what it says in NAME.out
  local name=$1
  rm -rf "run-$name"; mkdir "run-$name"; cp "$BIN/examples/$name" "run-$name/"
  (cd "run-$name" && trace record -f --source -o ../$name.json -- ./$name "${@:2}") >$name.out || bad "$*: record: $(tail -1 $name.out)"
}
golden() { # name: the example does what it did
  example "$1"
  check "$1: golden trace" trace compare "$golden/$1.json" $1.json
  check "$1: budget" trace assert $1.json --rules "$golden/rules/$1.toml"
}
golden training_loop; golden model_io
# The large one takes minutes: whole with --thorough, and else one of its three epochs, with a smaller adapter.
if thorough; then
  golden llama2_finetune_lora
  awk -F'loss=' '/loss=/ { split($2, x, ","); print x[1] }' llama2_finetune_lora.out >losses
  "$BIN/examples/llama2_finetune_lora" --trace l.jsonl >/dev/null
  check "llama2: numbers" trace compare "$golden/numeric/llama2_finetune_lora.jsonl" l.jsonl
  check "llama2: loss falls over the whole run" sh -c '[ "$(wc -l <losses)" = 30 ] && [ "$(head -1 losses | cut -d. -f1)" -gt "$(tail -1 losses | cut -d. -f1)" ]'
fi
example llama2_finetune_lora --epochs 1 --rank 4 --alpha 8 --trace short.jsonl
check "llama2, one epoch: golden trace" trace compare "$golden/llama2_finetune_lora_short.json" llama2_finetune_lora.json
check "llama2, one epoch: numbers" trace compare "$golden/numeric/llama2_finetune_lora_short.jsonl" run-llama2_finetune_lora/short.jsonl
check "llama2, one epoch: budget" trace assert llama2_finetune_lora.json --rules "$golden/rules/llama2_finetune_lora.toml"
fails "other programs differ" '^different' trace compare "$golden/training_loop.json" model_io.json
(cd run-model_io && trace record -f -o ../again.json -- ./model_io) >/dev/null
check "the same program again" trace compare model_io.json again.json
check "every call is the same, strictly" trace compare --strict model_io.json model_io.json
fails "training_loop: a full disk" '^training_loop: standard output: No space left' sh -c "'$BIN/examples/training_loop' >/dev/full"
fails "model_io: a full disk" '^model_io: standard output: No space left' sh -c "cd run-model_io && ./model_io >/dev/full"
fails "model_io: a word it doesn't know" '^model_io: expected no arguments, found --x' "$BIN/examples/model_io" --x
check "model_io leaves nothing" [ "$(ls run-model_io)" = model_io ]

# The examples' numbers.
"$BIN/examples/training_loop" --trace t.jsonl >/dev/null
check "training_loop: numbers" trace compare "$golden/numeric/training_loop.jsonl" t.jsonl
check "llama2: loss falls" awk -F'loss=' '/loss=/ { split($2, x, ","); if (n++ && x[1] > last) bad = 1; last = x[1] } END { exit bad || n != 10 }' llama2_finetune_lora.out
check "llama2: rank acts" grep -q 'Trainable parameters: 294912 ' llama2_finetune_lora.out
check "llama2: alpha acts" grep -q 'alpha: 8' llama2_finetune_lora.out
check "llama2: the adapter is there" grep -q '"lora_alpha": 8' run-llama2_finetune_lora/llama2-lora-adapter/adapter_config.json

# strace sees the same calls with the same results.
as_strace() { # trace, program, options...
  local ours=$1 name=$2
  mkdir "$WORK/two-$name"; cp "$BIN/examples/$name" "$WORK/two-$name/" # a path as long as the other
  (cd "two-$name" && strace -f -o ../theirs.strace ./"$name" "${@:3}") >theirs.out 2>log || { bad "$name under strace: $(tail -1 log)"; return; }
  check "$name: as strace" python3 "$SOURCE/tests/system/strace_agrees.py" "$ours" theirs.strace
}
as_strace training_loop.json training_loop
as_strace model_io.json model_io
thorough && as_strace llama2_finetune_lora.json llama2_finetune_lora --epochs 1 --rank 4 --alpha 8 --trace short.jsonl

# What changes is seen.
record() { rm -f c.json c.jsonl; CHANGE=$1 trace record -f --source -o c.json -- "$changed" --trace c.jsonl >/dev/null; }
plain() { rm -f c.json; CHANGE=$1 trace record -f --source -o c.json -- "$changed" >/dev/null; }
plain none; check "nothing changed" trace compare "$golden/training_loop.json" c.json
check "nothing changed: budget" trace assert c.json --rules "$golden/rules/training_loop.toml"
plain file; fails "a file more" '^\+.*openat.*/etc/hostname.*change.c:[0-9]+' trace compare "$golden/training_loop.json" c.json
plain byte; fails "a byte more" '^\+.*write.*<stdout>' trace compare "$golden/training_loop.json" c.json
plain call; fails "a call in a step: budget" '^FAIL +max_syscall_budget' trace assert c.json --rules "$golden/rules/training_loop.toml"
plain none; cp c.json n.json; plain call; fails "a call in a step: strictly" '^\+.*getppid' trace compare --strict n.json c.json
plain memory; trace patterns c.json | grep -iA2 'allocation' >log; [ -s log ] && ok "memory in a step is reported" || bad "memory in a step: $(cat log)"
record none; check "numbers unchanged" trace compare "$golden/numeric/training_loop.jsonl" c.jsonl
record loss; fails "a loss that moves" 'step 2: loss: expected 0x' trace compare "$golden/numeric/training_loop.jsonl" c.jsonl
sed 's/"kernel": "[^"]*"/"kernel": "another CPU"/' c.jsonl >other.jsonl
fails "a loss that moves, on another CPU" 'step [0-9]+: loss: expected' trace compare "$golden/numeric/training_loop.jsonl" other.jsonl
sed 's/"kernel": "[^"]*"/"kernel": "another CPU"/; s/"params": "...../"params": "00000/' t.jsonl >other.jsonl
check "other bits, on another CPU" trace compare "$golden/numeric/training_loop.jsonl" other.jsonl
head -20 t.jsonl >short.jsonl
fails "steps that are missing" 'expected steps 1 to 30, found 1 to 19' trace compare "$golden/numeric/training_loop.jsonl" short.jsonl
for command in summary patterns "assert --rules $golden/rules/training_loop.toml"; do
  fails "numbers, ${command%% *}" 'entrenar: t.jsonl: expected a trace of calls, found a numeric one' trace $command t.jsonl
done
fails "a pipe" '^entrenar: /dev/fd/[0-9]+: expected a file, .* found a pipe' trace compare <(cat model_io.json) model_io.json
check "a pipe's table" trace summary <(cat model_io.json)
fails "numbers, strictly" 'entrenar: --strict is for traces of calls, t.jsonl is a numeric one' trace compare --strict t.jsonl t.jsonl
fails "a trace of calls and one of numbers" 'is a numeric trace' trace compare c.json t.jsonl
finish
