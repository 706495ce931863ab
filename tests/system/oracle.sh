#!/bin/bash
# Training agrees with PyTorch and PEFT: losses, gradient norms, learning rates and the adapter's update over 20 steps of
# Llama, Qwen2 and Qwen3 shapes, and 60 of the bundled model. usage: oracle.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
for name in llama qwen2 qwen3; do
  cp -r "$DATA/oracle/$name" "$WORK/$name"
  check "$name trains" "$BIN/entrenar-train" "$WORK/$name/config.yaml" --quiet
  check "$name agrees with PEFT" python3 "$SOURCE/tests/system/compare_oracle.py" "$WORK/$name/out" "$DATA/oracle/$name"
done
S=$DATA/oracle/stories260K-shakespeare
check "stories260K trains" "$BIN/entrenar-train" "$S/config.yaml" --quiet --set model.path="$SOURCE/models/stories260K" \
  --set training.output_dir="$WORK/stories"
check "stories260K agrees with PEFT over 60 steps" python3 "$SOURCE/tests/system/compare_oracle.py" "$WORK/stories" "$S" \
  --loss 2e-5 --norm 1e-4 --update 1e-3
check "validation losses agree with PyTorch" python3 - "$WORK/stories/metrics.jsonl" "$S/expected.json" <<'P'
import json, sys
rows = [json.loads(l) for l in open(sys.argv[1])]
want = json.load(open(sys.argv[2]))
evals = [r for r in rows if "val_loss" in r]
assert len(evals) == 2 and evals[0]["val_tokens"] == want["val_tokens"], evals
for got, key in zip(evals, ("val_loss_before", "val_loss_after")):
    assert abs(got["val_loss"] - want[key]) < 5e-5 * want[key], (key, got["val_loss"], want[key])
P
finish
