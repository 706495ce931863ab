#!/bin/bash
# entrenar inspect: every number against another reader's (inspect.py), exit codes, what it refuses.
# usage: inspect.sh BIN SOURCE
HERE=$(realpath "$(dirname "$0")")
. "$HERE/lib.sh" "$@"
export PYTHONDONTWRITEBYTECODE=1
BIN=$(realpath "$BIN"); SOURCE=$(realpath "$SOURCE"); DATA=$SOURCE/tests/data; E=$BIN/entrenar; P=(python3 "$HERE/inspect.py" "$E")
cp -r "$DATA/oracle/llama" "$WORK/llama"; cd "$WORK/llama" || exit 1
refuses() { # CODE PART ARGUMENTS: that exit code, and a line on stderr that holds the part
  local code=$1 part=$2; shift 2
  "$E" "$@" >"$WORK/out" 2>"$WORK/log"; local found=$?
  [ $found = "$code" ] && grep -qF -- "$part" "$WORK/log" && [ "$(wc -l <"$WORK/log")" = 1 ] && ok "refused: $(cat "$WORK/log")" || bad "$*: exit code $found: $(cat "$WORK/log")"
}
says() { local part=$1; shift; "$E" inspect "$@" >"$WORK/out" 2>&1; grep -qF -- "$part" "$WORK/out" && ok "$* says $part" || bad "$*: expected $part: $(head -50 "$WORK/out")"; }

# safetensors of every type, and at places that aren't aligned
check "files" "${P[@]}" make made
for f in all odd pad0 pad1 pad2 pad3; do check "$f: shapes, bytes and norms" "${P[@]}" numbers made/$f.safetensors; done
for t in f32 bf16 f16 f64 i8 u8 bool i16 i32 i64 f8 odd none empty scalar same; do
  check "$t: statistics, quantiles, histogram" "${P[@]}" tensor made/odd.safetensors $t
done
refuses 1 "c64: numbers of type C64 are not supported" inspect made/all.safetensors --tensor c64
refuses 1 'has no tensor "f3"; it has f32' inspect made/all.safetensors --tensor f3
says "not finite" made/all.safetensors
check "a model" "${P[@]}" numbers model
check "an adapter" "${P[@]}" numbers adapter_init

# Checkpoints against h5dump and h5ls; what stands beside them
check "a run" "$BIN/entrenar-train" config.yaml --quiet --set training.max_steps=3 --set checkpoint.every=2 --set checkpoint.metadata=yaml --set training.output_dir=run
check "a run with all weights" "$BIN/entrenar-train" config.yaml --quiet --set lora= --set training.max_steps=1 --set training.output_dir=full
check "a checkpoint: norms as h5dump tells" "${P[@]}" checkpoint run/checkpoints/step-00000003.h5
check "one with all weights" "${P[@]}" checkpoint full/checkpoints/step-00000001.h5
says "  planned_steps  3" run
says "optimizer    name: adamw" run
says '  checkpoints   [2,3]' run
says '  logged_steps  3' run
says '  folders       ["adapter"]' run
q=base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight
says "/step-00000003.h5: params/$q" run --tensor $q
says ": optimizer/v/$q" run --tensor optimizer/v/$q
cp -r run lone; rm lone/checkpoints/step-00000003.yaml
says "its metadata is missing" lone
says "step           3" lone

# What differs
check "what differs: counts and sizes, in numbers, shapes, types" "${P[@]}" differ made
"$E" inspect --diff run run/checkpoints/step-00000003.h5 >"$WORK/log" 2>&1 && ok "a run is its newest checkpoint" || bad "$(cat "$WORK/log")"
"$E" inspect --diff run/checkpoints/step-00000002.h5 run >"$WORK/log" 2>&1; [ $? = 1 ] && grep -q "^step  *2, 3" "$WORK/log" && grep -q "^126 of 126 tensors" "$WORK/log" && ok "two steps differ, with their settings" || bad "$(cat "$WORK/log")"
cp -r adapter_init other; sed -i 's/"lora_alpha": 16/"lora_alpha": 17/' other/adapter_config.json
"$E" inspect --diff adapter_init other >"$WORK/log" 2>&1; [ $? = 1 ] && grep -q "^alpha  16, 17" "$WORK/log" && grep -q "^0 of 42" "$WORK/log" && ok "adapters of another alpha differ" || bad "$(cat "$WORK/log")"
h5diff run/checkpoints/step-00000002.h5 run/checkpoints/step-00000003.h5 /params/$q >"$WORK/h5diff" && bad "h5diff" || ok "h5diff agrees"

# GGUF: keys, numbers of each type, and against the safetensors it was made of
Q="$DATA/oracle/qwen2"
for t in f32 f16 bf16 q8_0 q5_0 q4_1 q4_0; do
  check "gguf, $t" "$E" export --model model --to gguf --type $t --out $t.gguf
  check "$t: keys, shapes, norms, one tensor" "${P[@]}" gguf $t.gguf
done
check "with another order of rows: what differs from the model" "${P[@]}" gguf-diff q8_0.gguf model
[ "$(cat "$WORK/log")" -gt 5 ] && ok "$(cat "$WORK/log") tensors" || bad "too few differ"
check "in F32 nothing does" "${P[@]}" gguf-diff f32.gguf model
[ "$(cat "$WORK/log")" = 0 ] && ok "none" || bad "$(cat "$WORK/log")"
check "qwen2, with biases" "$E" export --model "$Q/model" --to gguf --type f32 --out qwen2.gguf
check "its keys, shapes, norms" "${P[@]}" gguf qwen2.gguf
check "nothing differs" "${P[@]}" gguf-diff qwen2.gguf "$Q/model"
check "keys of every type" "${P[@]}" gguf-keys keys.gguf
check "a wider model" "${P[@]}" wide wide model
for t in f32 f16 q8_0; do
  check "gguf, $t" "$E" export --model wide --to gguf --type $t --out wide-$t.gguf
  check "what differs from it" "${P[@]}" gguf-diff wide-$t.gguf wide
done
check "with a tokenizer" "$E" export --model "$SOURCE/models/stories260K" --to gguf --out words.gguf
check "its keys, shapes, norms" "${P[@]}" gguf words.gguf
check "an adapter" "$E" export --model model --adapter run/adapter --to gguf-adapter --out adapter.gguf
says "adapter.lora.alpha" adapter.gguf
"$E" inspect --diff f32.gguf f16.gguf >"$WORK/log" 2>&1; [ $? = 1 ] && grep -q "^general.file_type  0, 1" "$WORK/log" && grep -q "^blk.0.attn_q.weight .*F32 .*F16" "$WORK/log" && ok "two GGUF files differ, with their keys" || bad "$(cat "$WORK/log")"
cp q8_0.gguf named-otherwise; says "named-otherwise: gguf" named-otherwise

# What it refuses
refuses 2 "expected a file or folder" inspect
refuses 2 "--diff: expected two" inspect --diff run
refuses 2 "can't be combined" inspect --diff run run --tensor x
refuses 2 "--tensor: expected a value after it" inspect run --tensor
refuses 2 'expected two files or folders, found "c" too' inspect --diff a b c
refuses 2 'expected one file or folder, found "b" too' inspect a b
refuses 2 "nowhere: No such file" inspect --diff run nowhere
refuses 1 "nowhere: No such file" inspect nowhere
printf 'GGUF\3\0\0\0' >x.gguf; cp x.gguf y.bin
refuses 1 "x.gguf: byte 8: " inspect x.gguf
refuses 1 "y.bin: byte 8: " inspect y.bin
refuses 2 "GGUF can be compared with GGUF and a model's weights, found checkpoint" inspect --diff q8_0.gguf run
refuses 2 "adapter.gguf: general.type: expected model" inspect --diff adapter.gguf model
refuses 1 'has no tensor "attn_q"; it has blk.0.attn_q.weight' inspect q8_0.gguf --tensor attn_q
if ! sanitized; then # which takes memory of its own
  check "larger than what it takes of memory" "${P[@]}" large made
  tail -1 "$WORK/log"
fi
finish
