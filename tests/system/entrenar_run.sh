#!/bin/bash
# entrenar-run and the job script around it: what is started again and how, what a signal does, what is left behind. First
# with programs that only pretend to train, then with real runs, which end with the bits of an undisturbed one.
# usage: entrenar_run.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
unset SLURM_JOB_ID OMPI_COMM_WORLD_SIZE ENTRENAR_RUN
mkdir "$WORK/fake" "$WORK/bin"; cd "$WORK/fake" || exit 1
cp "$SOURCE/launch/entrenar-run" .
CONFIG=$WORK/fake/config.yaml
echo 'training: {max_steps: 1, output_dir: "the run"} # output_dir: none' >"$CONFIG"
trap 'for p in $(ours); do kill -KILL "$p" 2>/dev/null; done; rm -rf "$WORK"' EXIT

# Does at start K what line K of `plan` says, and writes its arguments as line K of `calls`.
cat >entrenar-train <<'FAKE'
#!/bin/bash
echo "$*" >>calls
step() { mkdir -p "the run/checkpoints"; echo "$1" >"the run/checkpoints/.new"; mv "the run/checkpoints/.new" "the run/checkpoints/step-0000000$1.h5"; }
long() { exec 7<> <(:); for ((i = 0; i < 600; i++)); do read -r -t 0.1 -u 7; done; }
for word in $(sed -n "$(wc -l <calls)p" plan); do
  case $word in
    step*) step "${word#step}" ;;
    clear) rm -rf "the run" ;;
    save) for s in USR1 TERM INT HUP; do trap "echo $s >>seen; exit 75" $s; done; touch ready; long ;;
    deaf) for s in USR1 TERM INT HUP; do trap "echo $s >>seen" $s; done; touch ready; long ;;
    late) trap 'touch lost' USR1; touch ready; while [ ! -e lost ]; do read -r -t 0.1 _ < <(:); done; trap 'echo USR1 >>seen; exit 75' USR1; long ;;
    young) touch ready; long ;;
    kill) kill -KILL $$ ;;
    *) exit "$word" ;;
  esac
done
FAKE
chmod +x entrenar-train

ours() { # the processes of this test: ids of those that name its folder in their command line
  local file line
  for file in /proc/[0-9]*/cmdline; do
    { line=$(tr '\0' ' ' <"$file"); } 2>/dev/null
    [[ $line != *"$WORK/"* ]] || { file=${file%/cmdline}; echo "${file#/proc/}"; }
  done
}
await() { local i; for ((i = 0; i < 1200; i++)); do "$@" && return; sleep 0.05; done; return 1; }
none_left() { [ -z "$(ours)" ]; }
plan() { rm -rf calls seen ready out; printf '%s\n' "$@" >plan; }
# Runs it with --pause 0; exit code in $code, what it says in $WORK/said.
run() { "${RUN:-./entrenar-run}" --pause 0 "$@" >"$WORK/said" 2>&1; code=$?; }
begin() { set -m; ./entrenar-run --pause 0 "$@" >"$WORK/said" 2>&1 & pid=$!; set +m; } # a job of its own: takes SIGINT
end() { wait "$pid" 2>/dev/null; code=$?; }
said() { grep -q -- "$1" "$WORK/said"; }
expect() { # what, exit code, expected calls
  local what=$1 want=$2 calls=''; shift 2
  [ ! -e calls ] || calls=$(cat calls)
  if [ "$code" = "$want" ] && [ "$calls" = "$(printf '%s\n' "$@")" ]; then ok "$what"
  else bad "$what: exit code $code, expected $want; calls: $calls; $(cat "$WORK/said")"; fi
}
fresh() { rm -rf "the run"; }
old_run() { fresh; mkdir -p "the run/checkpoints"; echo old >"the run/checkpoints/step-00000009.h5"; }

plan 0; run "$CONFIG" --quiet --set a=-n --set --resume
expect "a run that ends well is started once, with its options" 0 "$CONFIG --quiet --set a=-n --set --resume"
plan 1 kill 0; run "$CONFIG" --quiet
expect "one that fails, and is killed, is resumed" 0 "$CONFIG --quiet" "$CONFIG --quiet --resume" "$CONFIG --quiet --resume"
check "the restarts are told with their cause" sh -c "grep -q 'exit code 1; restart 1 of 3' '$WORK/said' && grep -q 'SIGKILL (exit code 137); restart 2 of 3' '$WORK/said'"
check "and nothing else" sh -c "! grep -v '^entrenar-run: ' '$WORK/said'"
plan 0; run "$CONFIG" --resume; expect "--resume is passed on" 0 "$CONFIG --resume"
plan 1 2 0; run "$CONFIG"; expect "what a restart can't mend isn't started again" 2 "$CONFIG" "$CONFIG --resume"
plan 75 0; run "$CONFIG"; expect "a run that was stopped isn't started again" 75 "$CONFIG"
plan 1 1 42 0; run --max-restarts 2 "$CONFIG"
expect "it gives up" 42 "$CONFIG" "$CONFIG --resume" "$CONFIG --resume"
plan 5 0; run --max-restarts 0 "$CONFIG"; expect "--max-restarts 0 starts once" 5 "$CONFIG"
plan 'step1 1' 'step2 1' 'step3 1' 0; run --max-restarts 1 "$CONFIG"; fresh
expect "a newer checkpoint gives the restarts back" 0 "$CONFIG" "$CONFIG --resume"{,,}
plan 'step1 1' 'step1 1' 0; run --max-restarts 1 "$CONFIG"; fresh
expect "the same again does not" 1 "$CONFIG" "$CONFIG --resume"
plan 'step1 1' 1 'step2 1' 0; run --max-restarts 1 "$CONFIG" --set training.output_dir="$PWD/out"; fresh
expect "the run folder is the one of --set" 1 "$CONFIG --set training.output_dir=$PWD/out" "$CONFIG --set training.output_dir=$PWD/out --resume"
printf 'training:\n  output_dir: the run   # here\n  max_steps: 1\n' >block.yaml
plan 'step1 1' 'step2 1' 0; run --max-restarts 1 block.yaml; fresh
expect "a config in block style has one too" 0 block.yaml "block.yaml --resume"{,}

old_run; plan 1 'clear 1' 0; run "$CONFIG" --overwrite
expect "--overwrite stays until the old run is gone" 0 "$CONFIG --overwrite"{,} "$CONFIG --resume"
old_run; plan 1 'clear step3 1' 0; run "$CONFIG" --overwrite
expect "and goes with it, when new checkpoints are there" 0 "$CONFIG --overwrite"{,} "$CONFIG --resume"
old_run; plan 1 2; run "$CONFIG"; expect "a run that is there is not resumed unasked" 2 "$CONFIG"{,}
old_run; plan 1 0; run "$CONFIG" --resume; expect "but when asked" 0 "$CONFIG --resume"{,}
fresh

plan 1 1 1; ./entrenar-run --max-restarts 2 "$CONFIG" >"$WORK/said" 2>&1
said 'restart 1 of 2 in 1 s' && said 'restart 2 of 2 in 2 s' && ok "the pause grows" || bad "the pause grows: $(cat "$WORK/said")"

for wrong in "" "-n 0 $CONFIG" "-n x $CONFIG" "-n" "--max-restarts -1 $CONFIG" "$CONFIG other.yaml" "$CONFIG --resume --overwrite"; do
  # shellcheck disable=SC2086 # a list
  plan 0; run $wrong
  said '^entrenar-run: .*--help' && [ "$code" = 2 ] && [ ! -e calls ] && ok "refused: entrenar-run $wrong" || bad "entrenar-run $wrong: $code: $(cat "$WORK/said")"
done
plan 0; OMPI_COMM_WORLD_SIZE=2 run "$CONFIG"
[ "$code" = 2 ] && said "started by mpirun" && ok "under mpirun it says what to do" || bad "under mpirun: $code: $(cat "$WORK/said")"
check "--help" sh -c "./entrenar-run --help | grep -q 'usage: entrenar-run'"
mkdir elsewhere; ln -s ../entrenar-run elsewhere/; plan 0; RUN=elsewhere/entrenar-run run "$CONFIG"
expect "a link to it finds the program" 0 "$CONFIG"
mkdir -p tree/launch tree/build/bin; cp entrenar-run tree/launch; cp entrenar-train tree/build/bin; plan 0; RUN=tree/launch/entrenar-run run "$CONFIG"
expect "in a source tree it finds the one that was built" 0 "$CONFIG"
cp entrenar-run "$WORK/bin/"; plan 0; RUN=$WORK/bin/entrenar-run PATH=$PWD:$PATH run "$CONFIG"
expect "it finds the program in PATH" 0 "$CONFIG"
PATH=/usr/bin:/bin RUN=$WORK/bin/entrenar-run run "$CONFIG"
[ "$code" = 2 ] && said "no entrenar-train" && ok "none is told" || { command -v entrenar-train >/dev/null && ok "one is installed" || bad "none is told: $code"; }

# Signals: whichever comes, the job sees SIGUSR1, saves, and isn't started again.
for signal in USR1 TERM INT HUP; do
  plan save 0; begin "$CONFIG"; await test -e ready; kill -$signal "$pid"; end
  expect "SIG$signal: the run stops" 75 "$CONFIG"
  [ "$(cat seen)" = USR1 ] && none_left && said "SIG$signal" && ok "SIG$signal: it was asked to save, once" || bad "SIG$signal: seen: $(cat seen); left: $(ours)"
done
plan young 0; begin "$CONFIG"; await test -e ready; kill -TERM "$pid"; end
expect "a run too young to save stops too" 75 "$CONFIG"
check "which is told" said "before it could save"
plan late 0; begin "$CONFIG"; await test -e ready; kill -USR1 "$pid"; end
expect "a run that missed the signal is asked again" 75 "$CONFIG"
plan deaf 0; begin "$CONFIG"; await test -e ready; kill -INT "$pid"; await test -e seen; kill -INT "$pid"; end
expect "a second SIGINT ends it at once" 130 "$CONFIG"
none_left && ok "with all its processes" || bad "left after a second SIGINT: $(ours)"
plan 1 0; set -m; ./entrenar-run --pause 60 "$CONFIG" >"$WORK/said" 2>&1 & pid=$!; set +m
await grep -q 'in 60 s' "$WORK/said"; kill -TERM "$pid"; end
expect "a signal ends the pause" 75 "$CONFIG"
plan save 0; begin "$CONFIG"; await test -e ready; kill -KILL "$pid"; end
check "where it is killed itself, the run saves" await grep -q USR1 seen
check "and ends" await none_left
plan save 0; mkfifo pipe; set -m; ./entrenar-run "$CONFIG" >pipe 2>&1 & pid=$!; set +m
exec 8<pipe; await test -e ready; exec 8<&-; kill -TERM "$pid"; end
expect "a reader that has gone away spoils nothing" 75 "$CONFIG"
cat >slow <<'FAKE'
#!/bin/bash
"$(dirname "$0")/wait-long" "$1" &
exit 75
FAKE
printf '#!/bin/bash\nexec tail -f -- "$1"\n' >wait-long
chmod +x slow wait-long; mkdir orphan; ln -s ../entrenar-run ../wait-long orphan/; mv slow orphan/entrenar-train
RUN=orphan/entrenar-run run "$CONFIG"
[ "$code" = 75 ] && none_left && ok "processes that a run left behind are ended" || bad "left behind: $(ours)"

# mpirun and Slurm, as far as their command lines go.
printf '#!/bin/bash\necho "$*" >>mpirun-calls\nwhile [ ! -x "$1" ]; do shift; done\nexec "$@"\n' >"$WORK/bin/mpirun"
printf '#!/bin/bash\necho "$*" >>scontrol-calls\n' >"$WORK/bin/scontrol"
chmod +x "$WORK/bin/"*; PATH=$WORK/bin:$PATH
T=$PWD/entrenar-train; ln -sf "$PWD/entrenar-run" "$WORK/bin/entrenar-run"
extra='-x ENTRENAR_LAUNCHER=entrenar-run '; [ "$EUID" != 0 ] || extra+='--allow-run-as-root '
mpirun_calls() { # what, expected lines
  local what=$1; shift
  [ "$(cat mpirun-calls)" = "$(printf '%s\n' "$@")" ] && ok "$what" || bad "$what: $(cat mpirun-calls)"; rm -f mpirun-calls
}
plan 1 0; RUN=$PWD/entrenar-run run -n 3 "$CONFIG" --quiet -- --map-by slot:PE=2
mpirun_calls "mpirun gets what is meant for it" "-n 3 --map-by slot:PE=2 $extra$T $CONFIG --quiet"{,\ --resume}
plan 0; SLURM_JOB_ID=7 RUN=$PWD/entrenar-run run "$CONFIG"; mpirun_calls "under Slurm it decides on the ranks" "$extra$T $CONFIG"
batch() { set -m; SLURM_JOB_ID=7 SLURM_CPUS_PER_TASK=4 ENTRENAR_RUN=$PWD/entrenar-run bash "$SOURCE/launch/slurm/train.sbatch" "$@" >"$WORK/said" 2>&1 & pid=$!; set +m; }
check "the job script is bash" bash -n "$SOURCE/launch/slurm/train.sbatch"
plan 0; batch "$CONFIG" --quiet; end; expect "the job script: a run" 0 "$CONFIG --quiet --resume"
mpirun_calls "the job script: a rank gets the cores of its task" "--map-by slot:PE=4 $extra$T $CONFIG --quiet --resume"
plan save; batch "$CONFIG"; await test -e ready; kill -USR1 "$pid"; end; expect "the job script: near its time limit" 75 "$CONFIG --resume"
[ "$(cat scontrol-calls seen)" = $'requeue 7\nUSR1' ] && ok "it has saved and queues up again" || bad "near its time limit: $(cat scontrol-calls seen "$WORK/said")"
rm -f scontrol-calls; plan save; batch "$CONFIG"; await test -e ready; kill -TERM "$pid"; end
[ "$code" = 75 ] && [ ! -e scontrol-calls ] && [ "$(cat seen)" = USR1 ] && none_left && ok "the job script: a cancelled job doesn't" || bad "a cancelled job: $code $(cat "$WORK/said"; ls)"
plan 2; batch "$CONFIG"; end; [ "$code" = 2 ] && [ ! -e scontrol-calls ] && ok "the job script: nor one that failed" || bad "one that failed: $code"
plan save; batch "$CONFIG"; await test -e ready; kill -USR1 "$pid"; kill -USR1 "$pid"; end
expect "the job script: a signal that comes twice" 75 "$CONFIG --resume"; rm -f scontrol-calls
PATH=${PATH#"$WORK/bin:"}

# Real runs.
cp -r "$DATA/oracle/llama" "$WORK/llama"; cd "$WORK/llama" || exit 1
ln -s "$SOURCE/launch/entrenar-run" "$BIN/entrenar-train" "$BIN/entrenar" . 2>/dev/null
STEPS=200
C=("$WORK/llama/config.yaml" --quiet --set training.max_steps="$STEPS" --set checkpoint.keep=1000)
MPI=(-- --oversubscribe --bind-to none)
same() { check "$1: the bits of an undisturbed run" cmp "$(newest calm)" "$(newest "$2")"; check "$1: the same adapter" cmp {calm,"$2"}/adapter/adapter_model.safetensors; }
rank() { # process id of rank $1
  local p
  for p in $(ours); do
    [ "$(cat "/proc/$p/comm" 2>/dev/null)" = entrenar-train ] && grep -qz "^OMPI_COMM_WORLD_RANK=$1$" "/proc/$p/environ" 2>/dev/null && echo "$p"
  done
}
step() { local at; at=$(newest "$1" 2>/dev/null); at=$(basename "${at:-step-0}" .h5); echo "$((10#${at#step-}))"; } # of the newest checkpoint
lines() { [ -e "$1/metrics.jsonl" ] && [ "$(wc -l <"$1/metrics.jsonl")" -ge 10 ]; }
check "undisturbed" "$BIN/entrenar-train" "${C[@]}" --set training.output_dir=calm --set checkpoint.every=0
begin -n 2 "${C[@]}" --set training.output_dir=killed --set checkpoint.every=10 "${MPI[@]}"
await test -e killed/metrics.jsonl; one=$(rank 1); await test -e killed/checkpoints/step-00000010.h5; kill -KILL "$one"; end
[ "$code" = 0 ] && said 'SIGKILL (exit code 137); restart 1 of 3 in 0 s, from step-' && ok "a rank is killed: the run is resumed" || bad "a rank is killed: $code: $(cat "$WORK/said")"
same "a rank is killed" killed
# Without a checkpoint before it: what is there was saved at the signal.
for job in USR1-2 TERM-2 INT-1; do
  signal=${job%-*} n=(-n "${job#*-}") mpi=("${MPI[@]}"); [ "$job" != INT-1 ] || { n=(); mpi=(); }
  what="SIG$signal, ${job#*-} ranks"
  begin "${n[@]}" "${C[@]}" --set training.output_dir=$job --set checkpoint.every=0 "${mpi[@]}"; await lines $job; kill -$signal "$pid"; end
  at=$(step "$job")
  [ "$code" = 75 ] && [ "$at" -ge 10 ] && [ "$at" -lt "$STEPS" ] && ok "$what: saved in the middle (step $at)" || bad "$what: exit code $code, step $at; $(cat "$WORK/said")"
  none_left && ok "$what: nothing is left" || bad "$what: left: $(ours)"
  [ "$(wc -l <"$job/metrics.jsonl")" = "$at" ] && ok "$what: with each step logged" || bad "$what: step $at, $(tail -1 "$job/metrics.jsonl")"
  RUN=./entrenar-run run "${C[@]}" --set training.output_dir=$job --set checkpoint.every=0 --resume; [ "$code" = 0 ] || bad "$what: resumed: $code: $(cat "$WORK/said")"
  same "$what" $job
done
begin "${C[@]}" --set training.output_dir=killed; end; [ "$code" = 2 ] && ok "a run over a run is given up at once" || bad "a run over a run: $code: $(cat "$WORK/said")"
finish
