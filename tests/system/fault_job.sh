# The small run of kill_points.sh and disk_errors.sh, in $WORK/job: six steps, three checkpoints of which one is pruned,
# three evaluations of which two write adapter-best.
mkdir "$WORK/job"; cp -r "$DATA/oracle/llama/model" "$WORK/job"
head -n 8 "$DATA/oracle/llama/train.jsonl" >"$WORK/job/train.jsonl" # few units, so that the loss on some of them falls
head -n 4 "$WORK/job/train.jsonl" >"$WORK/job/val.jsonl"
cat >"$WORK/job/config.yaml" <<Y
model: {path: model}
data: {train: train.jsonl, val: val.jsonl, seq_len: 16}
lora: {rank: 2, alpha: 16, layers: [0], target_modules: [v_proj, down_proj]}
optimizer: {name: adamw, lr: 0.03}
training: {max_steps: 6, batch_size: 4, output_dir: out}
eval: {every: 3}
checkpoint: {every: 2, keep: 2}
compute: {threads: 1}
Y
export PYTHONDONTWRITEBYTECODE=1
