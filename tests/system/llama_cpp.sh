#!/bin/bash
# GGUF exports in llama.cpp itself, npm's prebuilt one: the same ids, the same probabilities of every token, the same text.
# Where there is no npm, or it doesn't answer, this says so and counts as skipped. ENT_NODE_MODULES: a folder that has
# node-llama-cpp already. usage: llama_cpp.sh BIN SOURCE TOKEN_PROBABILITIES
P=$(realpath "${3:?}")
. "$(dirname "$0")/lib.sh" "$@"
BIN=$(realpath "$BIN"); SOURCE=$(realpath "$SOURCE"); E=$BIN/entrenar; O=$SOURCE/tests/data/oracle
export PYTHONDONTWRITEBYTECODE=1
PY="python3 $SOURCE/tests/system/llama_cpp.py"
cd "$WORK" || exit 1
skip() { echo "SKIPPED: $*"; exit 77; }
command -v node >/dev/null && command -v npm >/dev/null || skip "there is no node and npm"
modules=${ENT_NODE_MODULES:-}
if [ -z "$modules" ]; then
  mkdir npm
  (cd npm && timeout 300 npm install --no-audit --no-fund --ignore-scripts --omit=optional --silent \
    node-llama-cpp@3.22.1 @node-llama-cpp/linux-x64@3.22.1) >log 2>&1 || skip "npm gives no node-llama-cpp: $(tail -1 log)"
  modules=$WORK/npm/node_modules
fi

S=$O/stories260K-shakespeare; T=$SOURCE/models/stories260K; A=$S/adapter_final
$PY ids "$S/val_ids.jsonl" 4 >ids
check "base" "$E" export --model "$T" --to gguf --out base.gguf
check "its probabilities" sh -c "'$P' '$T' - base.f32 <ids"
check "adapter" "$E" export --model "$T" --adapter "$A" --to gguf-adapter --out adapter.gguf
check "probabilities with it" sh -c "'$P' '$T' '$A' tuned.f32 <ids"
check "merged" "$E" export --model "$T" --adapter "$A" --to gguf --out merged.gguf
check "merged, as a folder" "$E" export --model "$T" --adapter "$A" --to safetensors --out folder
check "its probabilities" sh -c "'$P' folder - folder.f32 <ids"
for type in f16 bf16 q8_0 q5_0 q4_1 q4_0; do
  check "merged, $type" "$E" export --model "$T" --adapter "$A" --to gguf --type $type --out merged-$type.gguf
done
"$E" generate --model "$T" --adapter "$A" --prompt "First Citizen:" --max-tokens 48 >greedy.txt || bad "generate"
for name in llama qwen2 qwen3; do # their vocabulary has as many tokens as this tokenizer
  cp -r "$O/$name/model" "$name"; cp "$T"/tokenizer*.json "$name"
  head -1 ids >one
  check "$name" "$E" export --model "$name" --adapter "$O/$name/adapter_final" --to gguf --out "$name.gguf"
  check "$name, base" "$E" export --model "$name" --to gguf --out "$name-base.gguf"
  check "$name, adapter" "$E" export --model "$name" --adapter "$O/$name/adapter_final" --to gguf-adapter --out "$name-adapter.gguf"
  check "its probabilities" sh -c "'$P' '$name' '$O/$name/adapter_final' '$name.f32' <one"
done
for pair in gpt2-4k:llama llama3-style-4k:llama qwen2-style-4k:qwen2 spm-512:mistral; do
  name=${pair%:*}
  $PY tiny "tiny-$name" "${pair#*:}" "$SOURCE/tests/data/tokenizers/$name" || bad "tiny-$name"
  check "tiny, tokenizer $name" "$E" export --model "tiny-$name" --to gguf --out "tiny-$name.gguf"
  check "its probabilities" sh -c "'$P' 'tiny-$name' - 'tiny-$name.f32' <one"
done
python3 "$SOURCE/tests/system/gguf.py" change tiny-spm-512 spaces spaces
python3 -c 'for n in range(1, 40): print(f"\"a{n * chr(32)}b\"")' >spaces.texts
"$E" tokenize --tokenizer spaces <spaces.texts >spaces.ids || bad "tokenize"
check "tokens of spaces" "$E" export --model spaces --to gguf --out spaces.gguf
$PY checks "$SOURCE" ids checks.json || bad "checks"
node "$SOURCE/tests/system/llama_cpp.mjs" "$modules" checks.json >found 2>err; code=$?
cat found
while read -r word _; do case $word in ok) passed=$((passed + 1)) ;; FAIL) failed=$((failed + 1)) ;; esac; done <found
[ $code = 0 ] && [ "$(grep -c . found)" -ge 20 ] || bad "llama.cpp: exit $code: $(grep -v '^$' err | tail -3)"
finish
