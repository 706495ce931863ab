#!/bin/bash
# A job on three hosts that loses one of them ends in bounded time, and goes on on the other two, with the same bits.
# The hosts are namespaces of this machine: each has its own name, network and processes, and a bridge joins them.
# All of it lives in namespaces around this script and ends with it, however it ends.
# usage: three_hosts.sh BIN SOURCE
if [ -z "${ENT_THREE_HOSTS:-}" ]; then
  for tool in unshare nsenter ip mpirun; do
    command -v $tool >/dev/null || { echo "SKIPPED: three hosts need the program $tool"; exit 77; }
  done
  for user in "" --map-root-user; do # without root: a user namespace
    world=(unshare $user --net --mount --uts --pid --fork --kill-child --mount-proc)
    "${world[@]}" sh -c 'ip link add b0 type bridge && ip link add v0 type veth peer name v1 && mount --bind /etc/hosts /etc/hosts' &&
      ENT_THREE_HOSTS=yes exec "${world[@]}" "$0" "$@"
  done
  echo "SKIPPED: this system allows no namespaces with a bridge between them"; exit 77
fi
. "$(dirname "$0")/lib.sh" "$@"
AGENT=$(realpath "$(dirname "$0")")/launch_agent
export LC_ALL=C ENT_HOSTS=$WORK/hosts # for the agent: the first process of each host
export TMPDIR=$ENT_HOSTS/tmp-host1
mkdir -p "$TMPDIR"
printf '127.0.0.1 localhost\n10.77.0.1 host1\n10.77.0.2 host2\n10.77.0.3 host3\n' >"$WORK/etc-hosts"
mount --bind "$WORK/etc-hosts" /etc/hosts
hostname host1; ip link set lo up # host1 is where this runs; its network card is the bridge
ip link add eth0 type bridge; ip addr add 10.77.0.1/24 dev eth0; ip link set eth0 up

host_on() { # I: host I comes up. Its first process takes the others with it
  mkdir -p "$ENT_HOSTS/tmp-host$1"
  unshare --net --uts --mount --pid --fork --kill-child --mount-proc bash -c \
    'hostname host$1; ip link set lo up; while :; do sleep 1000; done' bash "$1" &
  local pid= tries=0
  until pid=$(pgrep -P $!); do
    sleep 0.02; tries=$((tries + 1)); [ $tries -lt 500 ] || { bad "host$1 does not come up"; finish; exit 1; }
  done
  echo "$pid" >"$ENT_HOSTS/host$1"
  ip link add "port$1" type veth peer name eth0 netns "$pid"
  ip link set "port$1" master eth0 up
  nsenter -t "$pid" -n sh -c "ip addr add 10.77.0.$1/24 dev eth0; ip link set eth0 up"
}
# One rank a host. A daemon that hears nothing from a host for 4 s takes it for lost; left to itself it waits 8 minutes.
job() { # HOSTS COMMAND: the first has rank 0
  local hosts=$1; shift
  timeout -k 5 150 mpirun --host "$hosts" --map-by seq --bind-to none --mca plm rsh --mca plm_rsh_agent "$AGENT" \
    --mca oob_tcp_keepalive_time 1 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 3 \
    --mca oob_tcp_if_include eth0 --mca btl tcp,self --mca btl_tcp_if_include eth0 "$@"
}
wait_until() { # SECONDS COMMAND
  local n=$(($1 * 20)); shift
  until "$@" >/dev/null 2>&1; do n=$((n - 1)); [ $n -gt 0 ] || return 1; sleep 0.05; done
}
plugged() { # I: host I reaches the first, which refuses
  wait_until 30 "$AGENT" "host$1" "timeout 1 bash -c '</dev/tcp/host1/1' 2>&1 | grep refused" || bad "host$1 does not reach host1"
}
nobody_left() { ! ps -A -o comm= | grep -xE 'entrenar-train|orted|mpirun'; }
# Waits for the job in the background. mpirun (Open MPI 4.1 with PMIx 4.2) sometimes waits for a lock of its own when its
# ranks are dead: then the job has ended, and mpirun is ended here.
settle() {
  local n=0
  while kill -0 $job 2>/dev/null; do
    sleep 0.1; n=$((n + 1))
    [ $n -gt 400 ] && ! ps -A -o stat=,comm= | grep -v '^Z' | grep -qE ' (entrenar-train|orted)$' &&
      { echo "      mpirun does not end, all ranks being dead"; pkill -9 -x mpirun; }
  done
  wait $job
}
same_bits() { # FOLDER
  cmp "$(newest calm)" "$(newest "$1")" && cmp calm/adapter/adapter_model.safetensors "$1/adapter/adapter_model.safetensors" &&
    cut -d, -f1-6 calm/metrics.jsonl >a && cut -d, -f1-6 "$1/metrics.jsonl" >b && cmp a b
}

host_on 2; host_on 3; plugged 2; plugged 3
cp -r "$DATA/oracle/llama" "$WORK/job"; cd "$WORK/job" || exit 1
T=("$BIN/entrenar-train" config.yaml --quiet --set training.max_steps=300 --set checkpoint.every=7)
check "undisturbed, on one host without mpirun" "${T[@]}" --set training.output_dir=calm
check "the hosts are three" sh -c "test \$($AGENT host2 hostname)\$($AGENT host3 hostname) = host2host3 && $AGENT host3 getent hosts host1"
check "a job reaches them all" sh -c "$(declare -f job); AGENT='$AGENT'; test \$(job host1,host2,host3 hostname | sort | tr -d '\n') = host1host2host3"
check "a job on three hosts" job host1,host2,host3 "${T[@]}" --set training.output_dir=three
check "gives the bits of one" same_bits three

lose() { # HOW COMMAND: host3 is lost amid a job, then two hosts go on
  local how=$1 out=out-${1// /-} begun code; shift
  job host1,host2,host3 "${T[@]}" --set training.output_dir="$out" --set distributed.timeout="$TIMEOUT" >"$WORK/log-job" 2>&1 &
  job=$!
  wait_until 60 test -e "$out/checkpoints/step-00000014.json" || bad "$how: no checkpoint: $(tail -3 "$WORK/log-job")"
  "$@"; begun=$SECONDS
  settle; code=$?
  case $code in
    0) bad "$how: the job ended as if nothing had been" ;;
    124) bad "$how: the job hangs: $(tail -3 "$WORK/log-job")" ;;
    *) ok "$how: the job ends with exit code $code after $((SECONDS - begun)) s" ;;
  esac
  wait_until 60 nobody_left && ok "$how: nobody is left on any host" || bad "$how: left: $(ps -A -o pid,args | grep -E 'entrenar-train|orted|mpirun')"
  check "$how: two hosts go on" job host2,host1 "${T[@]}" --set training.output_dir="$out" --resume
  check "$how: same bits" same_bits "$out"
}
unplug() { ip link set port3 down; }
TIMEOUT=100 lose "processes killed" "$AGENT" host3 'pkill -9 -x "orted|entrenar-train"'
TIMEOUT=100 lose "unplugged" unplug
ip link set port3 up; plugged 3
TIMEOUT=10 lose "frozen" "$AGENT" host3 pkill -STOP entrenar-train

# Cut off, but not dead: rank 0 may still write, so nobody else does until it is gone
job host3,host1,host2 "${T[@]}" --set training.output_dir=paused >"$WORK/log-job" 2>&1 & job=$!
wait_until 60 test -e paused/checkpoints/step-00000014.json || bad "paused: no checkpoint: $(tail -3 "$WORK/log-job")"
"$AGENT" host3 'pkill -STOP -x "orted|entrenar-train"'; unplug; settle; code=$?
[ $code != 0 ] && [ $code != 124 ] && ok "paused: the job ends with exit code $code" || bad "paused: exit code $code"
job host2,host1 "${T[@]}" --set training.output_dir=paused --resume >"$WORK/log" 2>&1 && bad "paused: two hosts go on beside rank 0"
grep -q "process .* on host3 works here since" "$WORK/log" && ok "paused: $(grep -m 1 'works here' "$WORK/log" | sed 's,.*/job/,,')" ||
  bad "paused: expected who works there: $(cat "$WORK/log")"
"$AGENT" host3 'pkill -KILL -x "orted|entrenar-train"'
wait_until 60 nobody_left || bad "paused: somebody is left"
check "paused: two hosts go on when it is gone" job host2,host1 "${T[@]}" --set training.output_dir=paused --resume
check "paused: same bits" same_bits paused
ip link set port3 up; plugged 3

# A batch system asks for the end: mpirun hands the signal on to all hosts
job host1,host2,host3 "${T[@]}" --set training.output_dir=asked >"$WORK/log-job" 2>&1 & job=$!
wait_until 60 test -e asked/checkpoints/step-00000014.json || bad "asked: no checkpoint: $(tail -3 "$WORK/log-job")"
pkill -USR1 -x mpirun; settle; code=$?
[ $code = 75 ] && ok "asked to stop by SIGUSR1: exit code 75" || bad "asked to stop by SIGUSR1: exit code $code: $(tail -3 "$WORK/log-job")"
check "asked: two hosts go on" job host2,host3 "${T[@]}" --set training.output_dir=asked --resume
check "asked: same bits" same_bits asked
finish
