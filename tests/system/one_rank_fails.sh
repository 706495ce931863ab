#!/bin/bash
# A failure of one rank alone stops all within seconds, and its message is told once: a file that only this rank can't
# read, memory that only this rank lacks, a loss that is no number in this rank's share, another kind of CPU.
# usage: one_rank_fails.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
cp -r "$DATA/oracle/llama" "$WORK/llama"; cd "$WORK/llama" || exit 1
stops() { # exit code, what, what its message holds, program of rank 1 before it starts, options...
  local expected=$1 what=$2 word=$3 before=$4 start=$SECONDS; shift 4; rm -rf "$WORK/out"
  timeout 60 mpirun --oversubscribe --bind-to none -n 3 sh -c \
    "if [ \$OMPI_COMM_WORLD_RANK = 1 ]; then $before; fi; exec \"\$@\"" sh "$BIN/entrenar-train" "$WORK/llama/config.yaml" --quiet \
    --set training.output_dir="$WORK/out" "$@" >/dev/null 2>"$WORK/err"; local code=$?
  if [ $code = $expected ] && [ $((SECONDS - start)) -lt 45 ] && [ "$(grep -c '^entrenar: ' "$WORK/err")" = 1 ] &&
     grep '^entrenar: ' "$WORK/err" | grep -q -- "$word" && ! [ -e "$WORK/out/adapter" ]; then ok "$what: $(grep '^entrenar: ' "$WORK/err")"
  else bad "$what: exit $code after $((SECONDS - start)) s: $(head -c 600 "$WORK/err")"; fi
}
mkdir elsewhere
stops 2 "unreadable model" '^entrenar: rank 1: .*model/config.json: No such file' 'cd elsewhere' --set model.path=/proc/self/cwd/model
stops 2 "unreadable data" '^entrenar: rank 1: .*train.jsonl: No such file' 'cd elsewhere' --set data.train=/proc/self/cwd/train.jsonl
# one row holds token 0, whose embedding is no number; it is the last of the step's four units: rank 2 has it
python3 - <<'P'
import json, shutil, struct
shutil.copytree("model", "nan")
d = bytearray(open("nan/model.safetensors", "rb").read()); n = struct.unpack("<Q", d[:8])[0]; h = json.loads(d[8:8 + n])
at = 8 + n + h["model.embed_tokens.weight"]["data_offsets"][0]; d[at:at + 4] = struct.pack("<f", float("nan"))
open("nan/model.safetensors", "wb").write(d)
rows = [json.loads(l) for l in open("train.jsonl")]
for i, r in enumerate(rows):
    r["input_ids"] = [t or 1 for t in r["input_ids"]]; r["labels"] = [-100 if t == -100 else t or 1 for t in r["labels"]]
rows[3]["input_ids"][1] = 0
open("nan.jsonl", "w").write("".join(json.dumps(r) + "\n" for r in rows))
P
stops 1 "a loss that is no number on one rank" '^entrenar: rank 2: step 1, unit 3: the loss is' : --set model.path=nan --set data.train=nan.jsonl
# fp32 is the same on every CPU; bf16 is not where one multiplies it and another doesn't.
if "$BIN/entrenar-train" config.yaml --dry-run --set compute.precision=bf16 | grep -q oneDNN; then
  stops 2 "another CPU" '^entrenar: the kernel of this CPU: .*rank 1 has .bf16 values' 'export ONEDNN_MAX_CPU_ISA=AVX2' --set compute.precision=bf16
else
  echo "note  ranks of mixed CPUs are tried where the CPU multiplies bf16: here all compute alike"
fi
if sanitized; then
  echo "note  out of memory is tried in the release build only: the address sanitizer can't run under a limit of addresses"
else
  cp -r model large; sed -i 's/"vocab_size": 512/"vocab_size": 300000/' large/config.json
  stops 1 "memory that one rank lacks" '^entrenar: rank 1: out of memory: ' 'ulimit -v 800000' --set model.path=large --set lora= --set model.init=random
fi
finish
