#!/bin/bash
# What config.json says of windows and RoPE acts, as PyTorch computes it: the validation loss before training, of models
# whose config was changed (tests/data/oracle/variants.json). usage: variants.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
n=$(python3 -c "import json; print(len(json.load(open('$DATA/oracle/variants.json'))))")
for ((i = 0; i < n; i++)); do
  rm -rf "$WORK/job"
  python3 - "$DATA/oracle" "$WORK/job" "$i" <<'P'
import json, shutil, sys
v = json.load(open(sys.argv[1] + "/variants.json"))[int(sys.argv[3])]
shutil.copytree(f"{sys.argv[1]}/{v['model']}", sys.argv[2])
path = sys.argv[2] + "/model/config.json"
c = json.load(open(path)) | v["config"]
json.dump(c, open(path, "w"))
P
  check "variant $i trains" "$BIN/entrenar-train" "$WORK/job/config.yaml" --quiet --set lora.path= --set lora.rank=2 \
    --set data.val="$WORK/job/train.jsonl" --set training.max_steps=1 --set scheduler.warmup_steps=0
  check "variant $i agrees with PyTorch" python3 - "$WORK/job/out/metrics.jsonl" "$DATA/oracle/variants.json" "$i" <<'P'
import json, sys
got = json.loads(open(sys.argv[1]).readline())["val_loss"]
want = json.load(open(sys.argv[2]))[int(sys.argv[3])]
assert abs(got - want["loss"]) < 2e-6 * want["loss"], (got, want)
P
done
finish
