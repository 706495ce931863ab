#!/bin/bash
# entrenar export: what it writes, read by another reader (gguf.py); from adapters and checkpoints; what it refuses; that a
# fault leaves nothing half-written. usage: export.sh BIN SOURCE FAULT_LIBRARY
[ -n "${TMPDIR:-}" ] || ! [ -w /dev/shm ] || export TMPDIR=/dev/shm # a sync costs nothing there
. "$(dirname "$0")/lib.sh" "$@"
FAULT=$(realpath "$3"); BIN=$(realpath "$BIN"); SOURCE=$(realpath "$SOURCE"); DATA=$SOURCE/tests/data
export PYTHONDONTWRITEBYTECODE=1
E=$BIN/entrenar; P="python3 $SOURCE/tests/system/gguf.py"; O=$DATA/oracle; T=$SOURCE/models/stories260K
cd "$WORK" || exit 1
export_() { local out=$1; shift; "$E" export --out "$out" "$@"; }
lonely() { [ "$(find . -name '*.tmp-*' | head -1)" = "" ]; } # nothing half-written is left

# An adapter of a few steps, and its checkpoints; one that goes on from it, and says alpha / sqrt(r).
cat >run.yaml <<Y
model: {path: $T}
data: {train: $O/stories260K-shakespeare/train_ids.jsonl, seq_len: 128}
lora: {rank: 4, alpha: 6, target_modules: all-linear, layers: [1-3], use_rslora: true}
optimizer: {lr: 5.0e-3}
training: {max_steps: 4, batch_size: 2, output_dir: run}
checkpoint: {every: 2}
Y
check "an adapter is trained" "$E" train run.yaml --quiet
sed 's|^lora:.*|lora: {path: run/adapter}|; s|output_dir: run|output_dir: on|; s|every: 2|every: 2, metadata: yaml|' run.yaml >on.yaml
check "and another from it" "$E" train on.yaml --quiet
A=run/adapter; C=run/checkpoints/step-00000004.h5

check "peft, of a checkpoint" export_ peft --model "$T" --adapter $C --to peft
check "is the adapter of the run" cmp peft/adapter_model.safetensors $A/adapter_model.safetensors
check "with its config" cmp peft/adapter_config.json $A/adapter_config.json
check "and a proof" $P proof peft/proof.json "$T"/{config.json,model.safetensors,tokenizer.json} $C peft/adapter_{config.json,model.safetensors}
check "peft, of an adapter" export_ peft-again --model "$T" --adapter $A --to peft
check "is the same" cmp peft/adapter_model.safetensors peft-again/adapter_model.safetensors
check "peft, of a checkpoint with YAML beside it" export_ peft-on --model "$T" --adapter on/checkpoints/step-00000004.h5 --to peft
check "is the adapter of that run" cmp peft-on/adapter_model.safetensors on/adapter/adapter_model.safetensors
check "with its config" cmp peft-on/adapter_config.json on/adapter/adapter_config.json
check "of the step before" export_ peft-2 --model "$T" --adapter run/checkpoints/step-00000002.h5 --to peft
cmp -s peft-2/adapter_model.safetensors peft/adapter_model.safetensors && bad "is the last one" || ok "is another"

check "safetensors" export_ merged --model "$T" --adapter $A --to safetensors
check "entrenar merge" "$E" merge --model "$T" --adapter $A --out by-merge
check "writes the same" diff -r -x proof.json merged by-merge
check "its proof" $P proof merged/proof.json "$T"/{config.json,model.safetensors,tokenizer.json} $A/adapter_{config.json,model.safetensors} merged/{config.json,model.safetensors,tokenizer.json}
check "safetensors, bf16" export_ merged-bf16 --model "$T" --adapter $C --to safetensors --type bf16
grep -q bfloat16 merged-bf16/config.json && ok "says its type" || bad "merged-bf16/config.json"

for type in F32 F16 BF16 Q8_0 Q5_0 Q4_1 Q4_0; do
  check "gguf, $type" export_ $type.gguf --model "$T" --adapter $A --to gguf --type ${type,,}
  check "its numbers" $P model $type.gguf merged $type
done
check "its proof" $P proof Q4_0.gguf.proof.json "$T"/{config.json,model.safetensors,tokenizer.json} $A/adapter_{config.json,model.safetensors} Q4_0.gguf
grep -q "5 in all are F16: their rows aren't whole blocks" Q4_0.gguf.proof.json && ok "tells what is F16" || bad "$(cat Q4_0.gguf.proof.json)"
check "its tokenizer" $P tokenizer F32.gguf "$T"
check "gguf, of a checkpoint" export_ h5.gguf --model "$T" --adapter $C --to gguf
check "is the same file" cmp h5.gguf F32.gguf
check "on one core" taskset -c 0 "$E" export --out core.gguf --model "$T" --adapter $A --to gguf --type q4_1
check "the same" cmp core.gguf Q4_1.gguf
check "gguf, the model as it is" export_ base.gguf --model "$T" --to gguf
check "its numbers" $P model base.gguf "$T" F32
for type in F32 F16 Q8_0; do
  check "gguf-adapter, $type" export_ a-$type.gguf --model "$T" --adapter $C --to gguf-adapter --type ${type,,}
  check "its numbers" $P adapter a-$type.gguf $A "$T" $type
done

# Other architectures; Llama's with biases, both scalings of RoPE, other tokenizers.
for name in llama qwen2 qwen3; do
  check "$name" export_ $name.gguf --model "$O/$name/model" --adapter "$O/$name/adapter_final" --to gguf
  check "$name, q8_0" export_ $name-q8.gguf --model "$O/$name/model" --adapter "$O/$name/adapter_final" --to gguf --type q8_0
  check "$name, merged" "$E" merge --model "$O/$name/model" --adapter "$O/$name/adapter_final" --out $name
  check "its numbers" $P model $name.gguf $name F32
  check "its numbers, q8_0" $P model $name-q8.gguf $name Q8_0
  check "$name, adapter" export_ $name-a.gguf --model "$O/$name/model" --adapter "$O/$name/adapter_final" --to gguf-adapter
  check "its numbers" $P adapter $name-a.gguf "$O/$name/adapter_final" "$O/$name/model" F32
  check "without a tokenizer" $P key $name.gguf tokenizer.ggml.model no_vocab
done
for pair in gpt2-4k:llama:gpt-2:false llama3-style-4k:llama:llama-bpe:true qwen2-style-4k:qwen2:qwen2:false spm-512:mistral:default:true; do
  IFS=: read -r name type pre bos <<<"$pair"
  python3 "$SOURCE/tests/system/llama_cpp.py" tiny "tiny-$name" "$type" "$DATA/tokenizers/$name"
  check "tiny, $name" export_ "tiny-$name.gguf" --model "tiny-$name" --to gguf
  check "its numbers" $P model "tiny-$name.gguf" "tiny-$name" F32
  check "its tokenizer" $P tokenizer "tiny-$name.gguf" "tiny-$name"
  check "its split" $P key "tiny-$name.gguf" tokenizer.ggml.pre "$pre"
  check "its BOS" $P key "tiny-$name.gguf" tokenizer.ggml.add_bos_token "$bos"
done
$P change tiny-spm-512 spaces spaces
export_ spaces.gguf --model spaces --to gguf >out && grep -q "note .*long runs of spaces" out && ok "$(grep runs out)" || bad "spaces: $(cat out)"
check "its tokenizer" $P tokenizer spaces.gguf spaces
check "linear RoPE" $P key tiny-spm-512.gguf llama.rope.scaling.factor 2.0
$P change tiny-spm-512 window 'config:{"sliding_window": 20}'
export_ window.gguf --model window --to gguf >out && grep -q "note .*sliding_window.* up to 20 tokens" out && ok "$(grep note out)" || bad "window: $(cat out)"
check "its length" $P key window.gguf llama.context_length 20
python3 - tiny-qwen2-style-4k <<'Q' || bad "chat template"
import json, sys
json.dump({"eos_token": "<|im_end|>", "bos_token": None, "chat_template": "{{ messages }}"}, open(sys.argv[1] + "/tokenizer_config.json", "w"))
Q
check "a chat template" export_ chat.gguf --model tiny-qwen2-style-4k --to gguf
check "is in it" $P key chat.gguf tokenizer.chat_template "{{ messages }}"
check "with EOS" $P key chat.gguf tokenizer.ggml.eos_token_id 4258

# Refusals: one line that names the thing, nothing left.
refuse() { # exit code, a part of the message, arguments...
  local code=$1 part=$2; shift 2
  timeout 60 "$E" export --out refused "$@" >/dev/null 2>err; local got=$?
  if [ $got = "$code" ] && [ "$(wc -l <err)" = 1 ] && grep -qF -- "$part" err && ! [ -e refused ] && ! [ -e refused.proof.json ] && lonely
  then ok "$(cat err)"; else bad "expected $code, $part: exit $got: $(head -c 300 err) $(ls -d refused* 2>&1)"; fi
}
G=(--to gguf); M=(--model "$T"); F=("${M[@]}" --adapter $A)
refuse 2 "expected --model, --to and --out" "${F[@]}"
refuse 2 '--to: expected peft, safetensors, gguf or gguf-adapter, found "onnx"' "${F[@]}" --to onnx
refuse 2 "--to peft: expected --adapter" "${M[@]}" --to peft
refuse 2 "--to safetensors: expected --adapter" "${M[@]}" --to safetensors
refuse 2 "--type: does not act with --to peft" "${F[@]}" --to peft --type f32
refuse 2 '--type: expected f32, f16 or bf16 with --to safetensors, found Q8_0' "${F[@]}" --to safetensors --type q8_0
refuse 2 '--type: expected f32, f16, bf16, q8_0, q5_0, q4_1 or q4_0, found "q6_k"' "${F[@]}" "${G[@]}" --type q6_k
refuse 2 "unknown option --frobnicate" "${F[@]}" --frobnicate
refuse 2 "--type: expected a value after it" "${F[@]}" --type
refuse 2 "--model: expected once" "${F[@]}" "${M[@]}"
refuse 1 "nowhere/config.json" --model nowhere "${G[@]}"
refuse 1 "nowhere/adapter_config.json" "${M[@]}" --adapter nowhere "${G[@]}"
refuse 1 "nowhere.h5: No such file" "${M[@]}" --adapter nowhere.h5 "${G[@]}"
refuse 2 "expected [4,172], file has [16,172]" "${M[@]}" --adapter "$(cp -r "$O/stories260K-shakespeare/adapter_final" r4; sed -i 's/"r": 16/"r": 4/' r4/adapter_config.json; echo r4)" "${G[@]}"
refuse 2 "step-00000004.h5: layer 3 is to be adapted, the model has layers 0 to 2" --model "$O/llama/model" --adapter $C "${G[@]}"
mkdir damaged; cp run/checkpoints/step-00000004.json damaged; $P change $C damaged/step-00000004.h5 byte
refuse 2 "damaged/step-00000004.h5: has SHA-256" "${M[@]}" --adapter damaged/step-00000004.h5 "${G[@]}"
mkdir alone; cp $C alone; refuse 2 "alone/step-00000004.h5: its metadata is missing" "${M[@]}" --adapter alone/step-00000004.h5 "${G[@]}"
cp $C alone; sed 's/"alpha": 6/"alpha": 7/' run/checkpoints/step-00000004.json >alone/step-00000004.json
refuse 2 "alone/step-00000004.json: has SHA-256" "${M[@]}" --adapter alone/step-00000004.h5 "${G[@]}"
sed '/^lora:/d; s|output_dir: run|output_dir: full|' run.yaml >full.yaml; "$E" train full.yaml --quiet >/dev/null || bad "full training"
refuse 2 "holds all weights of a model, expected an adapter" "${M[@]}" --adapter full/checkpoints/step-00000004.h5 "${G[@]}"
for what in "split:pre_tokenizer: with model.ignore_merges false it is none that llama.cpp is known to have:gpt2-4k:llama" \
  "bytes:model.byte_fallback: expected true:spm-512:mistral" "apart:don't stand together:spm-512:mistral" \
  "fewer:llama.cpp would merge otherwise:spm-512:mistral" "prefix:normalizer: expected U+2581:spm-512:mistral" \
  "around:post_processor: llama.cpp puts at most the tokens BOS and EOS:spm-512:mistral"; do
  IFS=: read -r change part more <<<"$what"
  name=$(sed 's/.*:\([^:]*\):[^:]*$/\1/' <<<"$what"); part=$(sed 's/^[^:]*:\(.*\):[^:]*:[^:]*$/\1/' <<<"$what")
  $P change "tiny-$name" "bad-$change" $change; refuse 2 "$part" --model "bad-$change" "${G[@]}"
done
$P change "$O/qwen3/model" bias 'config:{"attention_bias": false, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}}'
refuse 2 "bias/config.json: rope_scaling: llama.cpp has no scaling llama3 in its architecture qwen3" --model bias "${G[@]}"
cp -r "$O/llama/model" wide; cp "$DATA/tokenizers/gpt2-4k/tokenizer.json" wide
refuse 2 "tokenizer.json: \"" --model wide "${G[@]}"
for what in large nan; do python3 "$SOURCE/tests/system/merge.py" change $what "$O/llama/model" $what; done
refuse 1 "refused: model.norm.weight: from number 0 on: is not finite" --model nan "${G[@]}" --type q8_0
refuse 1 "number 0 is 70000: expected one that is finite as F16" --model large --adapter "$O/llama/adapter_final" --to safetensors --type f16
cp -r merged there; "$E" export --out there "${F[@]}" --to peft 2>err; [ $? = 2 ] && grep -q "there: is there already" err && ok "$(cat err)" || bad "there: $(cat err)"
check "--help tells the formats" sh -c "'$E' export --help | grep -q gguf-adapter"

if sanitized; then finish; exit; fi

# A kill, or a disk that fails, at any call that changes the folder: the file is not there, or it is whole.
mkdir -p disk; DISK=$(realpath disk)
faults() { # format
  local how k n=0 code calls wrong=0 new
  state() { (cd "$DISK" && find . -path './out*' -type f ! -name '*proof.json' | sort | xargs -r sha256sum | sha256sum); }
  again() { find "$DISK" -mindepth 1 -delete; }
  one() { LD_PRELOAD=$FAULT ENT_FAULT_DIR=$DISK env "$@" "$E" export --model "$O/llama/model" --adapter "$O/llama/adapter_final" --to "$format" --out "$DISK/out" >/dev/null 2>err; } 2>/dev/null
  local format=$1 nothing; again; nothing=$(state); one ENT_FAULT_LOG="$WORK/calls" || bad "$format: undisturbed: $(cat err)"
  calls=$(wc -l <calls); new=$(state)
  for how in kill kill-half EIO ENOSPC; do
    for k in $(seq $((1 + n % 5)) 5 "$calls") "$calls" $((calls - 1)) $((calls - 2)) $((calls - 3)); do
      again; one ENT_FAULT_AT=$k ENT_FAULT_HOW=$how; code=$?; n=$((n + 1)); after=$(state)
      [ "$after" = "$new" ] || [ "$after" = "$nothing" ] || { wrong=1; bad "$format: $how at call $k: $(sed -n ${k}p calls): $(ls -A "$DISK")"; }
      case $how in
        kill*) [ $code = 137 ] || { wrong=1; bad "$format: $how at call $k: exit $code"; } ;;
        *) [ $code = 0 ] || { [ $code = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q '^entrenar: ' err; } || { wrong=1; bad "$format: $how at call $k: exit $code: $(cat err)"; }
           [ -z "$(find "$DISK" -name '*.tmp-*')" ] || { wrong=1; bad "$format: $how at call $k: left $(ls -A "$DISK" | head -3)"; } ;;
      esac
    done
  done
  again; one ENT_FAULT_AT=$((calls / 2)) ENT_FAULT_HOW=kill; [ -n "$(find "$DISK" -name '*.tmp-*')" ] || { wrong=1; bad "$format: a kill leaves nothing to sweep"; }
  [ "$(state)" = "$new" ] || one && [ "$(state)" = "$new" ] && [ -z "$(find "$DISK" -name '*.tmp-*')" ] || { wrong=1; bad "$format: the next one does not sweep: $(ls -A "$DISK"): $(cat err)"; }
  [ $wrong = 0 ] && [ "$calls" -ge 10 ] && ok "$format: $n faults at $calls calls"
}
for format in peft safetensors gguf gguf-adapter; do faults $format; done
finish
