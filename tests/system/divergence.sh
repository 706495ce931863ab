#!/bin/bash
# A bit that flips in the memory of one rank is found within distributed.check_every steps: the rank is named, nothing is
# saved. usage: divergence.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
cp -r "$DATA/oracle/llama" "$WORK/llama"; cd "$WORK/llama" || exit 1
# a rate so small that the adapters' A stay as they were made: so they are found in the ranks' memory
S=(--quiet --set optimizer.lr=1e-30 --set scheduler.name=constant --set scheduler.min_lr= --set training.log_every=1000000)
check "one step" "$BIN/entrenar-train" config.yaml "${S[@]}" --set training.max_steps=1 --set training.output_dir=one
flipped() { # exit code, rank that gets a flipped bit, options...
  local rank=$1; shift; rm -rf out
  mpirun --oversubscribe --bind-to none -n 3 "$BIN/entrenar-train" config.yaml "${S[@]}" --set training.max_steps=1000000 \
    --set training.output_dir=out "$@" >log 2>&1 &
  local job=$!
  python3 - one/adapter/adapter_model.safetensors "$rank" "$PWD/out" <<'P'
import json, os, struct, sys, time
data = open(sys.argv[1], "rb").read(); n = struct.unpack("<Q", data[:8])[0]; header = json.loads(data[8:8 + n])
at = next(v["data_offsets"][0] for k, v in sorted(header.items()) if "lora_A" in k) + 8 + n
pattern = data[at:at + 64]
def ranks():
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            e = open(f"/proc/{p}/environ", "rb").read().split(b"\0"); c = open(f"/proc/{p}/cmdline", "rb").read()
        except OSError:
            continue
        if b"OMPI_COMM_WORLD_RANK=" + sys.argv[2].encode() in e and b"entrenar-train" in c.split(b"\0")[0] and os.getcwd() == os.readlink(f"/proc/{p}/cwd"):
            yield int(p)
for _ in range(600):
    if os.path.exists(sys.argv[3] + "/metrics.jsonl") and os.path.getsize(sys.argv[3] + "/metrics.jsonl") > 200:
        break
    time.sleep(0.05)
pid = next(ranks()); found = 0
try:
    memory = open(f"/proc/{pid}/mem", "r+b", 0)
    for line in open(f"/proc/{pid}/maps"):
        span, rights = line.split()[:2]
        if not rights.startswith("rw-p"):
            continue
        begin, end = (int(x, 16) for x in span.split("-"))
        memory.seek(begin)
        try:
            block = memory.read(end - begin)
        except OSError:
            continue
        i = block.find(pattern)
        if i >= 0:
            memory.seek(begin + i + 8); memory.write(bytes([block[i + 8] ^ 1])); found += 1
except PermissionError as e:
    print(f"no rank's memory may be written here: {e}", file=sys.stderr); sys.exit(77)
sys.exit(0 if found else "the adapter is not in the rank's memory")
P
  local flip=$?
  if [ $flip != 0 ]; then kill $job; wait $job; return $flip; fi
  wait $job
}
flipped 1 --set distributed.check_every=3; code=$?
[ $code = 77 ] && { echo "SKIPPED: A RANK'S MEMORY MAY NOT BE WRITTEN HERE: nothing about a flipped bit was tested"; exit 77; }
[ $code = 1 ] && grep -qE '^entrenar: step [0-9]+: the trained parameters.*rank 1 on ' log && ! grep -q 'rank [02] on' log &&
  ok "the rank is named: $(grep '^entrenar: ' log)" || bad "exit $code: $(tail -3 log)"
[ -e out/adapter ] || [ -e out/checkpoints ] && bad "something was saved" || ok "nothing is saved"
flipped 0 --set checkpoint.every=20 --set distributed.check_every=1000000; code=$?
[ $code = 1 ] && grep -q '^entrenar: step [0-9]*0: the trained parameters.*rank 0 on ' log &&
  ok "what differs isn't saved: $(grep '^entrenar: ' log)" || bad "exit $code: $(tail -3 log)"
finish
