#!/bin/bash
# A run that is asked to stop saves and exits with 75, in training and in evaluation, and goes on to the bits of an
# undisturbed one; what may change on the way, what may not; one run in a folder. usage: signals.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
cp -r "$DATA/oracle/llama" "$WORK/llama"; cd "$WORK/llama" || exit 1
for _ in $(seq 8); do cat train.jsonl; done >val.jsonl
T=("$BIN/entrenar-train" config.yaml --quiet --set scheduler.name=constant --set scheduler.min_lr=)
S=("${T[@]}" --set data.val=val.jsonl --set eval.every=5 --set training.max_steps=30 --set checkpoint.every=12)
numbers() { sed 's/, "tokens_per_s".*//' "$1/metrics.jsonl"; }
same() { cmp "$(newest calm)" "$(newest "$1")" && cmp calm/adapter/adapter_model.safetensors "$1/adapter/adapter_model.safetensors" &&
  cmp calm/adapter-best/adapter_model.safetensors "$1/adapter-best/adapter_model.safetensors" && diff <(numbers calm) <(numbers "$1"); }
ranks_of() { for p in $(pgrep -f "^$BIN/entrenar-train .*output_dir=$1( |\$)"); do [ "$(readlink "/proc/$p/cwd")" = "$PWD" ] && echo "$p"; done; }
await() { for _ in $(seq 2000); do "$@" >/dev/null 2>&1 && return; sleep 0.01; done; return 1; }
logged() { [ "$(grep -c "$2" "$1/metrics.jsonl" 2>/dev/null)" -ge "$3" ]; }
check "undisturbed" "${S[@]}" --set training.output_dir=calm

stop() { # what, ranks, signal, who gets it, when: text and number of such lines in the log
  local what=$1 n=$2 signal=$3 who=$4 text=$5 lines=$6 pid; rm -rf out
  ranks "$n" "${S[@]}" --set training.output_dir=out >log 2>&1 & local job=$!
  await logged out "$text" "$lines" || bad "$what: $(cat log)"
  case $who in mpirun) pid=$(pgrep -P $job -x mpirun) ;; run) pid=$(ranks_of out) ;; one) pid=$(ranks_of out | tail -1) ;; esac
  kill "-$signal" "$pid"; wait $job; local code=$?
  [ $code = 75 ] && [ "$(grep -c '^entrenar: stopped by ' log)" = 1 ] && ok "$what: exit 75: $(grep '^entrenar: ' log)" || bad "$what: exit $code: $(tail -3 log)"
  ls out/lock >/dev/null 2>&1 && bad "$what: the lock is left"
  ranks $(((n + 2) % 4)) "${S[@]}" --set training.output_dir=out --resume >log 2>&1 || bad "$what: resume: $(cat log)"
  same out >log 2>&1 && ok "$what: same bits" || bad "$what: $(head -3 log)"
}
for signal in USR1 TERM INT; do stop "SIG$signal" 0 $signal run grad_norm 7; done
stop "SIGUSR1 to mpirun" 3 USR1 mpirun grad_norm 7
stop "SIGTERM to one rank of two" 2 TERM one grad_norm 6
stop "SIGUSR1 in an evaluation" 0 USR1 run val_loss 3  # most of the time is evaluation, of 8 times as many rows
stop "SIGUSR1 in the first evaluation" 0 USR1 run nothing 0

# While it starts: many lines are looked at in turn, so it need not wait for the last one.
for _ in $(seq 1500); do cat train.jsonl; done >large.jsonl
for n in 0 2; do
  rm -rf out; ranks $n "${S[@]}" --set data.train=large.jsonl --set training.output_dir=out >log 2>&1 & job=$!
  await test -e out/lock; kill -USR1 "$([ $n = 0 ] && ranks_of out || pgrep -P $job -x mpirun)"; wait $job; code=$?
  [ $code = 75 ] && [ "$(grep -c '^entrenar: stopped by SIGUSR1 at the start' log)" = 1 ] && ! [ -e out/config.yaml ] && ! [ -e out/lock ] && ! ls out/cache/* >/dev/null 2>&1 &&
    ok "SIGUSR1 while the data is read, $n ranks: exit 75: $(grep '^entrenar: ' log)" || bad "SIGUSR1 at the start, $n ranks: exit $code, $(ls out): $(tail -3 log)"
  check "and the same command starts it" "${S[@]}" --set training.output_dir=out --set training.max_steps=1 --set scheduler.warmup_steps=0
done

# A second SIGINT ends it at once; when exactly the first is taken up is chance.
for try in $(seq 40); do
  rm -rf out; "${S[@]}" --set training.output_dir=out >log 2>&1 & job=$!
  await logged out grad_norm 2; kill -INT $job; sleep 0.00$((try % 10)); kill -INT $job 2>/dev/null; wait $job; code=$?
  [ $code = 130 ] && break
done
[ $code = 130 ] && ok "a second SIGINT ends it at once" || bad "a second SIGINT: exit $code in $try tries"
"${S[@]}" --set training.output_dir=out --resume >log 2>&1 && same out >log 2>&1 && ok "and the run goes on" || bad "after two SIGINTs: $(head -3 log)"

# mpirun leaves ranks a second after SIGTERM: the start tells where that is too short to save in.
warned() { rm -rf out; mpirun --oversubscribe --bind-to none -n 2 "$@" "$BIN/entrenar-train" config.yaml --set training.output_dir=out --set training.max_steps=1 --set scheduler.warmup_steps=0 >log 2>&1 && grep -q 'mpirun ends ranks 1 s after SIGTERM, saving may take 2 s: .*send mpirun SIGUSR1' log; }
warned && ok "under mpirun: $(grep SIGTERM log | sed 's/^ *//')" || bad "under mpirun nothing warns: $(tail -3 log)"
warned --mca odls_base_sigkill_timeout 30 && bad "warned of 30 s: $(grep SIGTERM log)" || { [ -e out/adapter ] && ok "not where it waits longer" || bad "with a longer wait: $(tail -3 log)"; }

# What may change, and what may not.
check "one epoch, with a short last step" "${T[@]}" --set training.max_steps=0 --set training.batch_size=5 --set training.output_dir=longer
check "goes on into a second" "${T[@]}" --set training.max_steps=0 --set training.batch_size=5 --set training.output_dir=longer --set training.epochs=2 --resume
check "each step is logged once" sh -c 'grep -o "^{\"step\": [0-9]*" longer/metrics.jsonl | sort | uniq -d | grep . && exit 1; tail -1 longer/metrics.jsonl | grep -q "\"epoch\": 2,"'
refused() { # what, text, options...
  local what=$1 text=$2 code; shift 2
  "${S[@]}" --resume --set training.output_dir=calm "$@" >log 2>&1; code=$?
  [ $code = 2 ] && grep -qE "^entrenar: .*$text" log && ok "refused: $what: $(grep '^entrenar: ' log | cut -c 1-160)" || bad "refused: $what: exit $code: $(cat log)"
}
refused "a shorter run" "was to have 30 steps, is now to have 20" --set training.max_steps=20
refused "another rate and seed" "optimizer.lr was [0-9.e-]+, is 0.5; .*training.seed was [0-9]+, is 7\$" --set optimizer.lr=0.5 --set training.seed=7
refused "other rows" "data.packing was (true|false), is (true|false)" --set data.packing="$(grep -q '^ *packing: true' calm/config.yaml && echo false || echo true)"
head -20 train.jsonl >other.jsonl; refused "other data" "data.train \(tokens\) was [0-9a-f]+..., is" --set data.train=other.jsonl
check "other intervals, threads and metadata" "${S[@]}" --set training.output_dir=calm --resume --set training.log_every=9 --set checkpoint.every=3 --set compute.threads=2 --set checkpoint.metadata=yaml --set eval.every=5

# One run in a folder; also several processes that a launcher's variables don't tell of each other.
rm -rf out; "${S[@]}" --set training.output_dir=out >log 2>&1 & job=$!
await logged out grad_norm 2
"${S[@]}" --set training.output_dir=out --resume >second 2>&1; code=$?
[ $code = 1 ] && grep -q "out/lock: process $job on $(hostname) works here since" second && ok "a second run is refused: $(cat second)" || bad "a second run: exit $code: $(cat second)"
kill -9 $job; wait $job 2>/dev/null
[ -e out/lock ] && ok "a killed run leaves its lock" || bad "no lock was left"
check "which keeps nobody out" "${S[@]}" --set training.output_dir=out --resume
same out >log 2>&1 && ok "same bits" || bad "after the lock of a dead run: $(head -3 log)"
rm -rf out; jobs=(); for i in 1 2 3; do "${S[@]}" --set training.output_dir=out >log$i 2>&1 & jobs+=($!); done
done=0; for j in "${jobs[@]}"; do wait "$j" && done=$((done + 1)); done
[ $done = 1 ] && [ "$(cat log1 log2 log3 | grep -cE 'works here|holds a run already')" = 2 ] && ok "of three ranks without a launcher one works" || bad "$done of three worked: $(cat log1 log2 log3)"
same out >log 2>&1 && ok "same bits" || bad "one of three: $(head -3 log)"
finish
