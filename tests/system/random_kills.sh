#!/bin/bash
# A run that is killed again and again, at any instant, at changing numbers of ranks and threads, ends with the bits of an undisturbed one.
# usage: random_kills.sh BIN SOURCE [KILLS [SEED]]
. "$(dirname "$0")/lib.sh" "$@"
KILLS=${3:-12}; SEED=${4:-$(date +%s)}; RANDOM=$SEED
echo "      $KILLS kills, seed $SEED"
cp -r "$DATA/oracle/llama" "$WORK/llama"; cd "$WORK/llama" || exit 1
cp train.jsonl val.jsonl # learned by heart: every evaluation is the best so far, and its adapter is kept
T=("$BIN/entrenar-train" config.yaml --quiet --set data.val=val.jsonl --set eval.every=3 --set training.max_steps=$((KILLS * 16 + 20))
  --set scheduler.name=constant --set scheduler.min_lr= --set optimizer.lr=0.0001 --set checkpoint.every=5 --set checkpoint.keep=4)
check "undisturbed" "${T[@]}" --set training.output_dir=calm

members() { pgrep -s "$job"; } # the processes of the job: it has a session of its own
alive() { [ -n "$(members)" ]; }
trainers() { pgrep -s "$job" -x entrenar-train; }
rank0() { for p in $(trainers); do # without mpirun there is one
  if ! grep -qz ^OMPI_COMM_WORLD_RANK= "/proc/$p/environ" || grep -qzx OMPI_COMM_WORLD_RANK=0 "/proc/$p/environ"; then echo "$p"; fi; done 2>/dev/null; }
lines() { cat stormy/metrics.jsonl 2>/dev/null | wc -l; }
# Where rank 0 is. The instants are short: here no program is started that can be done without.
in_evaluation() { local log; log=$(tail -c 300 stormy/metrics.jsonl 2>/dev/null); [[ ${log##*$'\n'} =~ ^'{"step": '([0-9]+),.*grad_norm ]] && [ $((BASH_REMATCH[1] % 3)) = 0 ]; }
in_best() { compgen -G 'stormy/.adapter-best*' >/dev/null || compgen -G 'stormy/adapter-best/.*tmp-*' >/dev/null; }
in_checkpoint() { compgen -G 'stormy/checkpoints/.*tmp-*' >/dev/null; }
hit() { # INSTANT: kills rank 0 then, stopped first so that the instant stays
  local p=
  until [ -n "$p" ]; do alive || return 1; p=$(rank0); done
  while kill -0 $p; do
    "in_$1" || continue
    kill -STOP $p
    "in_$1" && { kill -9 $p; return 0; }
    kill -CONT $p
  done 2>/dev/null
  return 1
}
strike() { # HOW
  local from p; from=$(lines)
  case $1 in
    start) sleep 0.$((RANDOM % 4))$((RANDOM % 10)) ;;
    anywhere) local more=$((RANDOM % 18))
      while alive && [ "$(lines)" -lt $((from + more)) ]; do sleep 0.01; done; sleep 0.0$((RANDOM % 6)) ;;
    *) local more=$((RANDOM % 8)); while alive && [ "$(lines)" -lt $((from + more)) ]; do sleep 0.01; done; hit "$1"; return ;;
  esac
  p=$(members | shuf -n 1 --random-source=<(yes $RANDOM)) # mpirun itself is one of them
  [ -n "$p" ] && kill -9 $p 2>/dev/null
}
gone() { for _ in $(seq 600); do alive || return 0; sleep 0.1; done; return 1; }

hows=(start anywhere anywhere evaluation best checkpoint); declare -A count; began=$SECONDS; fine=yes
for ((k = 0; k < KILLS; k++)); do
  n=$((RANDOM % 5)); how=${hows[k < 6 ? k : RANDOM % 6]}; resume=; [ -d stormy ] && resume=--resume
  notation=(json yaml); some=(--set checkpoint.metadata=${notation[RANDOM % 2]} --set compute.threads=$((RANDOM % 2 + 1)))
  ( ranks() { local n=$1; shift; if [ "$n" = 0 ]; then exec setsid "$@"; else exec setsid mpirun --oversubscribe --bind-to none -n "$n" "$@"; fi; }
    ranks $n "${T[@]}" "${some[@]}" --set training.output_dir=stormy $resume ) >"$WORK/log-storm" 2>&1 & job=$!
  while kill -0 $job 2>/dev/null && ! alive; do sleep 0.005; done
  if strike $how; then count[$how]=$((${count[$how]:-0} + 1)); else fine=no; bad "kill $k ($how, $n ranks) came too late: $(tail -3 "$WORK/log-storm")"; break; fi
  wait $job 2>/dev/null; rc=$?
  gone || { fine=no; bad "kill $k ($how, $n ranks) left processes: $(ps -o pid,args -s "$job")"; kill -9 $(members); break; }
  [ $rc != 0 ] || { fine=no; bad "kill $k ($how, $n ranks): the job ended as if it had not been"; break; }
done
[ $fine = yes ] && ok "$k kills in $((SECONDS - began)) s: $(for h in "${!count[@]}"; do echo -n "${count[$h]} $h "; done)"
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
