#!/bin/bash
# A rank that does not come is named, by every kind of absence, and the job ends; a job that is suspended as a whole goes on.
# usage: stall.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
cp -r "$DATA/oracle/llama" "$WORK/llama"; cd "$WORK/llama" || exit 1
host=$(hostname); job=; BEFORE=()
# Nothing that was started may stay, whatever happens.
trap '[ -n "$job" ] && kill -CONT $(pids) 2>/dev/null; [ -n "$job" ] && kill -KILL $(pids) $job 2>/dev/null; rm -rf "$WORK"' EXIT
# The processes of this job, of these ranks (all, if none is given).
pids() {
  local env rank
  for env in $(grep -lzx "STALL_TEST=$WORK" /proc/[0-9]*/environ 2>/dev/null); do
    [ "$(cat "${env%environ}comm" 2>/dev/null)" = entrenar-train ] || continue
    rank=$(tr '\0' '\n' <"$env" 2>/dev/null | sed -n 's/^OMPI_COMM_WORLD_RANK=//p')
    if [ $# = 0 ] || [[ " $* " == *" $rank "* ]]; then env=${env#/proc/}; echo "${env%/environ}"; fi
  done 2>/dev/null
}
steps() { local n; n=$(grep -c grad_norm "$WORK/out/metrics.jsonl" 2>/dev/null); echo "${n:-0}"; }
# usage: begin RANKS TIMEOUT OPTIONS...: starts a job and waits until it is at work.
begin() {
  local n=$1 timeout=$2 i; shift 2; rm -rf "$WORK/out"
  STALL_TEST=$WORK OMP_NUM_THREADS=1 timeout -k 5 120 mpirun --oversubscribe --bind-to none "${LAUNCH[@]}" -n "$n" "${BEFORE[@]}" "$BIN/entrenar-train" config.yaml \
    --quiet --set scheduler.name=constant --set scheduler.min_lr= --set training.max_steps=100000 --set training.output_dir="$WORK/out" \
    --set distributed.timeout="$timeout" "$@" >"$WORK/said" 2>"$WORK/err" &
  job=$!
  for ((i = 0; i < 300; i++)); do kill -0 $job 2>/dev/null || break; [ "$(steps)" -ge 20 ] && return 0; sleep 0.1; done
  ends
  bad "the job of $n ranks does not get to work: $(head -c 600 "$WORK/err")"; return 1
}
# The job ends by itself, within 30 s; its exit code in $code.
ends() {
  local start=$SECONDS
  while kill -0 "$job" 2>/dev/null && [ $((SECONDS - start)) -lt 30 ]; do sleep 0.2; done
  if kill -0 "$job" 2>/dev/null; then code=none; kill -CONT $(pids) 2>/dev/null; kill -KILL $(pids) $job 2>/dev/null; wait "$job" 2>/dev/null
  else wait "$job"; code=$?; fi
  left=$(pids); job=
}
# usage: named WHAT PATTERN STEPS-AT-STOP: the job failed, and each line of the failure names who has not come and a step near that one.
named() {
  local what=$1 pattern=$2 at=$3 line step
  line=$(grep '^entrenar: ' "$WORK/err" | head -1)
  step=$(sed -nE 's/.* last step done is ([0-9]+) .*/\1/p' <<<"$line")
  if [ "$code" = 1 ] && [ -z "$left" ] && ! grep '^entrenar: ' "$WORK/err" | grep -qvE "$pattern" && [ -n "$step" ] &&
     [ $((step - at)) -le 2 ] && [ $((at - step)) -le 2 ]; then ok "$what: $line"
  else bad "$what: exit $code, left '$left', $at steps were logged: $(head -c 1000 "$WORK/err")"; fi
}
stopped() { # what, number of ranks, ranks to stop, pattern
  begin "$2" 3 || return
  kill -STOP $(pids $3) || bad "$1: can't stop ranks $3"
  sleep 1; local at; at=$(steps)
  ends; named "$1" "$4" "$at"
}
# A rank may have got all of a sum that another still waits for: then it waits in what comes next.
wait_there() { echo "\((ranks $1 and $2 wait|rank ($1|$2) waits, rank ($1|$2) further on in the [a-z]+, call [0-9]+)\)\$"; }
LAUNCH=()
stopped "one of three stopped" 3 2 "^entrenar: rank 2 on $host has not come to the [a-z]+ within 3 s; its last step done is [0-9]+ $(wait_there 0 1)"
stopped "two of four stopped" 4 "0 2" "^entrenar: ranks 0 on $host and 2 on $host have not come to the [a-z]+ within 3 s; their last step done is [0-9]+ $(wait_there 1 3)"
LAUNCH=(--mca btl tcp,self)
stopped "one of three stopped, over TCP" 3 1 "^entrenar: rank 1 on $host has not come to the [a-z]+ within 3 s; its last step done is [0-9]+ $(wait_there 0 2)"
LAUNCH=()
if begin 3 100; then
  kill -KILL $(pids 1); ends
  if [ "$code" != 0 ] && [ "$code" != none ] && [ -z "$left" ] && grep -q 'signal 9' "$WORK/err"; then ok "a rank that is killed ends the job: exit $code"
  else bad "a rank that is killed: exit $code, left '$left': $(head -c 1000 "$WORK/err")"; fi
fi
# One that the launcher does not see end, as its own child goes on without it: the other ranks do.
BEFORE=(sh -c '"$@"; code=$?; [ $code = 137 ] && sleep 60; exit $code' sh)
if begin 3 100; then
  kill -KILL $(pids 1); ends
  for ((i = 0; i < 100; i++)); do left=$(pids); [ -z "$left" ] && break; sleep 0.1; done
  if [ "$code" = 1 ] && [ -z "$left" ] && grep -q "^entrenar: rank 1 on $host has ended (process [0-9]*), while rank [02] waited" "$WORK/err"; then ok "a rank that ends unseen: $(grep -m 1 '^entrenar: ' "$WORK/err")"
  else bad "a rank that ends unseen: exit $code, left '$left': $(head -c 1000 "$WORK/err")"; fi
fi
BEFORE=()
# Longer than the time-out, all of them: no rank runs, so none waits.
if begin 3 2; then
  kill -STOP $(pids); sleep 5; at=$(steps); kill -CONT $(pids)
  for ((i = 0; i < 150; i++)); do [ "$(steps)" -ge $((at + 20)) ] && break; sleep 0.1; done
  now=$(steps); kill -KILL $(pids 0); ends
  if [ "$now" -ge $((at + 20)) ]; then ok "a job that was suspended as a whole goes on: $at steps, then $now"
  else bad "a job that was suspended as a whole: $at steps, then $now: $(head -c 1000 "$WORK/err")"; fi
fi
finish
