#!/bin/bash
# A run that is killed again and again, at any instant, at changing numbers of ranks and threads, ends with the bits of
# an undisturbed one.
# usage: random_kills.sh BIN SOURCE [KILLS [SEED]]
. "$(dirname "$0")/lib.sh" "$@"
KILLS=${3:-$(thorough && echo 100 || echo 6)}; SEED=${4:-$(date +%s)}; RANDOM=$SEED
echo "      $KILLS kills, seed $SEED"
cp -r "$DATA/oracle/llama" "$WORK/llama"; cd "$WORK/llama" || exit 1
cp train.jsonl val.jsonl # learned by heart: every evaluation is the best so far, and its adapter is kept
T=("$BIN/entrenar-train" config.yaml --quiet --set data.val=val.jsonl --set eval.every=3 --set training.max_steps=$((KILLS * 20 + 60))
  --set scheduler.name=constant --set scheduler.min_lr= --set optimizer.lr=0.0001 --set checkpoint.every=5 --set checkpoint.keep=4)
check "undisturbed" "${T[@]}" --set training.output_dir=calm

members() { pgrep -s "$job"; } # the processes of the job: it has a session of its own
alive() { [ -n "$(members)" ]; }
job=; trap '[ -n "$job" ] && alive && kill -9 $(members); rm -rf "$WORK"' EXIT
trainers() { pgrep -s "$job" -x entrenar-train; }
rank0() { for p in $(trainers); do # without mpirun there is one
  if ! grep -qz ^OMPI_COMM_WORLD_RANK= "/proc/$p/environ" || grep -qzx OMPI_COMM_WORLD_RANK=0 "/proc/$p/environ"; then echo "$p"; fi; done 2>/dev/null; }
limit=0; waits() { [ $SECONDS -lt $limit ] && alive; } # for an instant that is to come; a job that hangs is a failure
lines() { cat stormy/metrics.jsonl 2>/dev/null | wc -l; }
# Where rank 0 is. The instants are short: here no program is started that can be done without.
in_evaluation() { local log; log=$(tail -c 300 stormy/metrics.jsonl 2>/dev/null); [[ ${log##*$'\n'} =~ ^'{"step": '([0-9]+),.*grad_norm ]] && [ $((BASH_REMATCH[1] % 3)) = 0 ]; }
in_best() { compgen -G 'stormy/.adapter-best*' >/dev/null || compgen -G 'stormy/adapter-best/.*tmp-*' >/dev/null; }
in_checkpoint() { compgen -G 'stormy/checkpoints/.*tmp-*' >/dev/null; }
hit() { # INSTANT: kills rank 0 then, stopped first so that the instant stays. Fails when 30 lines of the log went by without
  local p=
  until [ -n "$p" ]; do alive || return 1; p=$(rank0); done
  local from; from=$(lines)
  for ((i = 0; ; i++)); do
    [ $((i % 20)) != 0 ] || { waits && [ "$(lines)" -lt $((from + 30)) ]; } || return 1
    "in_$1" || continue
    kill -STOP $p
    "in_$1" && { kill -9 $p; return 0; }
    kill -CONT $p
  done 2>/dev/null
}
strike() { # HOW
  local from p more; from=$(lines); limit=$((SECONDS + 120))
  case $1 in
    start) sleep 0.$((RANDOM % 4))$((RANDOM % 10)) ;;
    anywhere) more=$((RANDOM % 18)); while [ "$(lines)" -lt $((from + more)) ] && waits; do sleep 0.01; done; sleep 0.0$((RANDOM % 6)) ;;
    *) more=$((RANDOM % 8)); while [ "$(lines)" -lt $((from + more)) ] && waits; do sleep 0.01; done; hit "$1" && return; missed=$((missed + 1)) ;;
  esac
  p=$(members | shuf -n 1 --random-source=<(yes $RANDOM)) # mpirun itself is one of them
  [ -n "$p" ] && [ $SECONDS -lt $limit ] && kill -9 $p 2>/dev/null
}
# The job ends by itself. mpirun (Open MPI 4.1 with PMIx 4.2) sometimes waits for a lock of its own when its ranks are dead:
# then nothing of ours is left, and it is ended here.
stuck=0; missed=0
gone() {
  for _ in $(seq 300); do alive || return 0; sleep 0.1; done
  ps -s "$job" -o stat=,comm= | grep -v '^Z' | grep -qv ' mpirun$' && return 1
  stuck=$((stuck + 1)); kill -9 $(members) 2>/dev/null; sleep 1; ! alive
}

hows=(start anywhere anywhere evaluation best checkpoint); declare -A count; began=$SECONDS; fine=yes
for ((k = 0; k < KILLS; k++)); do
  n=$((RANDOM % 5)); how=${hows[k < 6 ? k : RANDOM % 6]}; resume=; [ -d stormy ] && resume=--resume
  notation=(json yaml); some=(--set checkpoint.metadata=${notation[RANDOM % 2]} --set compute.threads=$((RANDOM % 2 + 1)))
  ( ranks() { local n=$1; shift; if [ "$n" = 0 ]; then exec setsid "$@"; else exec setsid mpirun --oversubscribe --bind-to none -n "$n" "$@"; fi; }
    ranks $n "${T[@]}" "${some[@]}" --set training.output_dir=stormy $resume ) >"$WORK/log-storm" 2>&1 & job=$!
  while kill -0 $job 2>/dev/null && ! alive; do sleep 0.005; done
  if strike $how; then count[$how]=$((${count[$how]:-0} + 1)); else fine=no; bad "kill $k ($how, $n ranks) did not meet a live run: $(tail -3 "$WORK/log-storm")"; break; fi
  gone 2>/dev/null || { fine=no; bad "kill $k ($how, $n ranks) left processes: $(ps -o pid,args -s "$job")"; kill -9 $(members); break; }
  wait $job 2>/dev/null; rc=$?
  [ $rc != 0 ] || { fine=no; bad "kill $k ($how, $n ranks): the job ended as if it had not been"; break; }
done
[ $fine = yes ] && ok "$k kills in $((SECONDS - began)) s: $(for h in "${!count[@]}"; do echo -n "${count[$h]} $h "; done)"
[ $missed = 0 ] || echo "      $missed of them missed their instant and came a little later"
[ $stuck = 0 ] || echo "      mpirun did not end $stuck times, all ranks being dead"
check "the rest of the run" ranks 2 "${T[@]}" --set training.output_dir=stormy --resume
for f in $(cd calm && ls checkpoints/*.h5) checkpoints/latest {adapter,adapter-best}/{adapter_model.safetensors,adapter_config.json}; do
  check "same $f" cmp calm/$f stormy/$f
done
untimed() { sed -E 's/, *"(tokens_per_s|seconds)": *[^,}]*//g' "$1/metrics.jsonl"; }
untimed calm >a; untimed stormy >b
check "same metrics" cmp a b
check "metrics hold each step and evaluation once" sh -c "test \$(wc -l <b) = \$(cut -d, -f1,2 b | sort -u | wc -l) && grep -q val_loss b && ! grep -q seconds b"
check "as many checkpoints" sh -c "test \$(ls calm/checkpoints | wc -l) = \$(ls stormy/checkpoints | wc -l)"
check "no temporary file is left" sh -c "! find stormy -name '.*tmp-*' | grep ."
finish
