#!/bin/bash
# Early stopping: validation asks for a token that training teaches to be wrong everywhere, so it gets worse with each step,
# and patience ends the run; where it gets better, the best adapter is the last. usage: early_stopping.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
cp -r "$DATA/oracle/llama" "$WORK/llama"; cd "$WORK/llama" || exit 1
python3 - <<'P'
import json
rows = [json.loads(l) for l in open("train.jsonl")]
used = {t for r in rows for t in r["input_ids"] + r["labels"]}
never = next(t for t in range(100, 512) if t not in used)
with open("val.jsonl", "w") as f:
    for r in rows:
        f.write(json.dumps({"input_ids": r["input_ids"], "labels": [t if t == -100 else never for t in r["labels"]]}) + "\n")
P
check "run" "$BIN/entrenar-train" config.yaml --set scheduler.name=constant --set scheduler.min_lr= --set scheduler.warmup_steps=0 \
  --set data.val=val.jsonl --set eval.every=1 --set eval.patience=3
check "it stopped before its end" sh -c "test \$(grep -c grad_norm out/metrics.jsonl) -lt 20"
check "patience was kept" python3 - <<'P'
import json
v = [json.loads(l)["val_loss"] for l in open("out/metrics.jsonl") if "val_loss" in l]
best = min(range(len(v)), key=v.__getitem__)
assert len(v) - 1 - best == 3, v
P
check "there is a checkpoint of the end" test -e "$(newest out)"
cp -r out before
check "a stopped run resumes" "$BIN/entrenar-train" out/config.yaml --quiet --resume
check "and stays stopped" sh -c 'cmp out/metrics.jsonl before/metrics.jsonl && cmp out/adapter/adapter_model.safetensors before/adapter/adapter_model.safetensors'
# stopped from outside before the first gain: what was best so far is not forgotten
rm -rf out; check "two steps" "$BIN/entrenar-train" before/config.yaml --quiet --set training.output_dir=out --set training.max_steps=2 --set checkpoint.every=1
check "the rest" "$BIN/entrenar-train" before/config.yaml --quiet --set training.output_dir=out --resume
check "ends where the undisturbed run did" cmp out/adapter/adapter_model.safetensors before/adapter/adapter_model.safetensors
rm -rf out
check "a good run" "$BIN/entrenar-train" config.yaml --quiet --set data.val=train.jsonl --set eval.every=5
check "the best adapter is the last" cmp out/adapter/adapter_model.safetensors out/adapter-best/adapter_model.safetensors
finish
