#!/bin/bash
# entrenar merge: what it writes against the methods in Python (merge.py) and losses of PyTorch; what it refuses; that a
# fault or a kill at any call leaves the place as it was; that models need not fit into memory.
# usage: merge.sh BIN SOURCE FAULT_LIBRARY
[ -n "${TMPDIR:-}" ] || ! [ -w /dev/shm ] || export TMPDIR=/dev/shm # a sync costs nothing there
. "$(dirname "$0")/lib.sh" "$@"
FAULT=$(realpath "$3"); BIN=$(realpath "$BIN"); SOURCE=$(realpath "$SOURCE"); DATA=$SOURCE/tests/data
export PYTHONDONTWRITEBYTECODE=1
E=$BIN/entrenar; P="python3 $SOURCE/tests/system/merge.py"; O=$DATA/oracle; L=$O/llama
cd "$WORK" || exit 1
merge() { local out=$1; shift; "$E" merge --out "$out" "$@"; }
lonely() { [ "$(find . -name '*.tmp-*' | head -1)" = "" ]; } # nothing half-written is left

# An adapter folded into its model: the numbers; the losses that PyTorch had with the adapter.
for name in llama qwen2 qwen3; do
  for dtype in f32 bf16 f16; do
    check "$name: fold, $dtype" merge "$name-$dtype" --model "$O/$name/model" --adapter "$O/$name/adapter_final" --dtype $dtype
    check "its numbers are W + alpha/r B A" $P fold "$name-$dtype" "$O/$name/model" "$O/$name/adapter_final" ${dtype^^}
    check "its config names the type" grep -q "\"torch_dtype\": \"$(case $dtype in f32) echo float32 ;; bf16) echo bfloat16 ;; f16) echo float16 ;; esac)\"" "$name-$dtype/config.json"
  done
  check "$name: fold what training began with" merge "$name-init" --model "$O/$name/model" --adapter "$O/$name/adapter_init"
  cat >"$name.yaml" <<Y
model: {path: $name-init}
data: {train: $O/$name/train.jsonl, seq_len: 48, packing: false, shuffle: false}
training: {max_steps: 1, batch_size: 4, output_dir: run-$name}
Y
  check "its loss" "$E" train "$name.yaml" --quiet
  check "is that of PyTorch with the adapter" python3 - "run-$name" "$O/$name" <<'P'
import json, sys
got = json.loads(open(sys.argv[1] + "/metrics.jsonl").readline())["loss"]
want = json.load(open(sys.argv[2] + "/expected.json"))["first_batch_lora_loss"]
assert abs(got - want) < 2e-6 * want, (got, want)
P
done
check "DoRA: fold, bf16" merge dora-bf16 --model "$L/model" --adapter "$O/adapters/dora/adapter_final" --dtype bf16
check "its numbers are m (W + alpha/r B A) by the lengths of its rows" $P fold dora-bf16 "$L/model" "$O/adapters/dora/adapter_final" BF16
S=$O/stories260K-shakespeare; T=$SOURCE/models/stories260K
check "stories260K: fold" merge stories --model "$T" --adapter "$S/adapter_final"
cmp -s "$T/tokenizer.json" stories/tokenizer.json && cmp -s "$T/config.json" stories/config.json &&
  cmp -s "$T/generation_config.json" stories/generation_config.json && ok "config and tokenizer are copied" || bad "copied files: $(ls stories)"
cat >stories.yaml <<Y
model: {path: stories}
data: {train: $S/train_ids.jsonl, val: $S/val_ids.jsonl, seq_len: 256}
training: {max_steps: 1, batch_size: 1, output_dir: run-stories}
Y
cp stories.yaml stories-adapter.yaml
sed -i "s|path: stories|path: $T|; s|run-stories|run-adapter|; \$a lora: {path: $S/adapter_final}" stories-adapter.yaml
check "its validation loss" "$E" train stories.yaml --quiet
check "that of model and adapter" "$E" train stories-adapter.yaml --quiet
check "agree to 1e-6" python3 - <<'P'
import json
folded, apart = (json.loads(open(f + "/metrics.jsonl").readline())["val_loss"] for f in ("run-stories", "run-adapter"))
assert abs(folded - apart) < 1e-6 * apart, (folded, apart)
P

# The methods, on models of three types. Names and types are those of the base, or of the first model.
B=$L/model
$P near one "$B" 1 F32; $P near two "$B" 2 BF16; $P near three "$B" 3 F16; $P cast half "$B" BF16
check "average" merge average --method average --model one --model two:0.5 --model three:2
check "its numbers" $P merge average average 0 one one:1 two:0.5 three:2
check "average, types of the first" merge average-half --method average --model two --model one
check "its numbers" $P merge average-half average 0 two two:1 one:1
check "task" merge task --method task --base "$B" --model one:0.7 --model two:-0.3
check "its numbers" $P merge task task 0 "$B" one:0.7 two:-0.3
check "ties" merge ties --method ties --density 0.2 --base half --model one --model two:1.5 --model three:0.25
check "its numbers" $P merge ties ties 0.2 half one:1 two:1.5 three:0.25
check "slerp" merge slerp --method slerp --t 0.3 --model one --model three
check "its numbers" $P merge slerp slerp 0.3 one one:1 three:1
check "dare" merge dare --method dare --density 0.4 --base "$B" --model one --seed 43
check "its numbers" $P dare dare 0.4 43 "$B" one
D=(--density 0.4 --base "$B" --model one --model two)
for method in dare dare-ties; do
  check "$method of two" merge $method-two --method $method "${D[@]}"
  check "what moves of them" $P drops $method-two "$B" one
  check "$method again" merge $method-again --method $method "${D[@]}" --seed 42
  check "$method, another seed" merge $method-seed --method $method "${D[@]}" --seed 43
  check "the same seed, the same bits" cmp $method-two/model.safetensors $method-again/model.safetensors
  cmp -s $method-two/model.safetensors $method-seed/model.safetensors && bad "the seed doesn't act" || ok "another seed, others"
done
cmp -s dare-two/model.safetensors dare-ties-two/model.safetensors && bad "dare-ties is dare" || ok "dare-ties isn't dare"

# Tensors that are written in pieces.
$P tall tall "$B"; $P near tall-near tall-vocab 4 F32
check "fold in pieces, with rslora" merge tall-fold --model tall-heads --adapter tall-adapter
check "its numbers" $P fold tall-fold tall-heads tall-adapter
check "ties in pieces" merge tall-ties --method ties --density 0.3 --base tall-vocab --model tall-near
check "its numbers" $P merge tall-ties ties 0.3 tall-vocab tall-near:1
check "slerp in pieces" merge tall-slerp --method slerp --t 0.8 --model tall-vocab --model tall-near
check "its numbers" $P merge tall-slerp slerp 0.8 tall-vocab tall-vocab:1 tall-near:1
check "dare in pieces" merge tall-dare --method dare --density 0.8 --base tall-vocab --model tall-near
check "its numbers" $P dare tall-dare 0.8 42 tall-vocab tall-near
for method in "average" "ties --density 0.3 --base $B" "dare --density 0.3 --base $B" "slerp --t 0.6"; do
  for cores in 0 0,1; do taskset -c $cores "$E" merge --method $method --model one --model two --out cores-$cores --overwrite >/dev/null 2>&1 ||
    taskset -c $cores "$E" merge --method $method --model one --model two --out cores-$cores >/dev/null || bad "$method on cores $cores"; done
  check "${method%% *}: any number of threads gives the same bits" cmp cores-0/model.safetensors cores-0,1/model.safetensors
done

# Several files, the same numbers.
check "files of 100 KB" merge shards --method average --model one --model two:0.5 --model three:2 --shard-size 100KB
check "there are several" test -e shards/model-00008-of-00008.safetensors
check "their numbers" $P merge shards average 0 one one:1 two:0.5 three:2
check "they are read again" merge rejoined --method average --model shards --model shards
check "into the same file" cmp rejoined/model.safetensors average/model.safetensors

# Refusals: one line that names the thing, exit 2 (or 1 in mid-work), nothing left.
refuse() { # exit code, a part of the message, arguments...
  local code=$1 part=$2; shift 2
  timeout 60 "$E" merge --out refused "$@" >/dev/null 2>err; local got=$?
  if [ $got = "$code" ] && [ "$(wc -l <err)" = 1 ] && grep -qF -- "$part" err && ! [ -e refused ] && lonely
  then ok "$(cat err)"; else bad "expected $code, $part: exit $got: $(head -c 300 err) $(ls -d refused* 2>&1)"; fi
}
for what in missing more shape large nan; do $P change $what one $what; done
A=(--method average --model one)
refuse 2 "missing: missing tensor model.norm.weight" "${A[@]}" --model missing
refuse 2 "more/model.safetensors: unexpected tensor model.extra.weight" "${A[@]}" --model more
refuse 2 "shape/model.safetensors: model.norm.weight: expected [64], file has [32]" "${A[@]}" --model shape
refuse 2 "nowhere/config.json" "${A[@]}" --model nowhere
refuse 1 "refused: model.norm.weight: number 0 is 70000: expected one that is finite as F16" --method average --model large --model large --dtype f16
refuse 1 "refused: model.norm.weight: number 0 is nan" "${A[@]}" --model nan
differ() { # key, pattern, replacement, the message
  rm -rf differ; cp -r one differ; sed -i "s/$1/$2/" differ/config.json; grep -q "$2" differ/config.json || bad "no $1"
  refuse 2 "$3" "${A[@]}" --model differ
}
differ '"rms_norm_eps": 1e-05' '"rms_norm_eps": 1e-06' "differ/config.json: rms_norm_eps: expected 1e-05 as in one, found 1e-06"
differ '"rope_theta": 10000.0' '"rope_theta": 500000.0' "differ/config.json: rope_theta: expected 10000 as in one, found 500000"
differ '"rope_scaling": null' '"rope_scaling": {"rope_type": "linear", "factor": 2.0}' "rope_scaling: expected none as in one, found linear"
differ '"num_attention_heads": 4' '"num_attention_heads": 2' "num_attention_heads: expected 4"
differ '"tie_word_embeddings": false' '"tie_word_embeddings": true' "tie_word_embeddings: expected false as in one, found true"
differ '"model_type": "llama"' '"model_type": "mistral", "sliding_window": null' "differ/config.json: model_type: expected llama as in one, found mistral"
refuse 2 "v/config.json: vocab_size: expected 512 as in one, found 511" "${A[@]}" --model "$(cp -r one v; sed -i 's/"vocab_size": 512/"vocab_size": 511/' v/config.json; echo v)"
F=(--model "$B" --adapter "$L/adapter_final")
refuse 2 "missing tensor base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector and 20 more" --model "$B" --adapter "$(cp -r "$L/adapter_final" dora; sed -i 's/"use_dora": false/"use_dora": true/' dora/adapter_config.json; echo dora)"
refuse 2 "lora_A.weight: expected [4,176], file has [8,176]" --model "$B" --adapter "$(cp -r "$L/adapter_final" r4; sed -i 's/"r": 8/"r": 4/' r4/adapter_config.json; echo r4)"
refuse 2 "unexpected tensor base_model.model" --model "$B" --adapter "$(cp -r "$L/adapter_final" few; sed -i '/"down_proj"/d' few/adapter_config.json; echo few)"
refuse 2 "expected --method, or --adapter" --model one
refuse 2 "expected --model and --out" --method average
refuse 2 "expected one --model, found 2" "${F[@]}" --model one
refuse 2 "--density acts only with --method" "${F[@]}" --density 0.5
refuse 2 "a weight acts only with --method" --model one:2 --adapter "$L/adapter_final"
refuse 2 "--adapter does not act" "${A[@]}" --model two --adapter "$L/adapter_final"
refuse 2 '--method: expected average, slerp, task, ties, dare or dare-ties, found "mean"' --method mean --model one
refuse 2 "--method average: expected at least two --model, found 1" "${A[@]}"
refuse 2 "--method average: --base does not act" "${A[@]}" --model two --base "$B"
refuse 2 "--method average: --seed does not act" "${A[@]}" --model two --seed 1
refuse 2 "--method slerp: expected --t" --method slerp --model one --model two
refuse 2 "--method slerp: expected two --model, found 3" --method slerp --t 0.5 --model one --model two --model three
refuse 2 "--method slerp: a weight does not act" --method slerp --t 0.5 --model one --model two:2
refuse 2 '--t: expected a number of at least 0 and at most 1, found "1.5"' --method slerp --t 1.5 --model one --model two
refuse 2 "--method ties: expected --base" --method ties --density 0.2 --model one
refuse 2 "--method ties: expected --density" --method ties --base "$B" --model one
refuse 2 '--density: expected a number above 0 and at most 1, found "0"' --method dare --density 0 --base "$B" --model one
refuse 2 "--model one:-1: expected a weight above 0" --method ties --density 0.2 --base "$B" --model one:-1
refuse 2 "--model one:0: expected a weight other than 0" --method task --base "$B" --model one:0
refuse 2 '--dtype: expected f32, bf16 or f16, found "fp8"' "${F[@]}" --dtype fp8
refuse 2 "--shard-size: expected a size" "${F[@]}" --shard-size 5TB
refuse 2 "unknown option --frobnicate" "${F[@]}" --frobnicate
refuse 2 "--seed: expected an integer of at least 0" --method dare --density 0.5 --base "$B" --model one --seed 1.5
check "--help tells the methods" sh -c "'$E' merge --help | grep -q dare-ties"

# What is there already.
place() { # what, expected exit code, a part of the message, arguments... ; the folder "there" stays
  local what=$1 code=$2 part=$3 before; shift 3; before=$(cat there/* | sha256sum)
  "$E" merge --out there "$@" >/dev/null 2>err; local got=$?
  [ $got = "$code" ] && grep -qF -- "$part" err && [ "$before" = "$(cat there/* | sha256sum)" ] && lonely && ok "$what: $(cat err)" || bad "$what: exit $got: $(cat err)"
}
cp -r average there
place "a folder that is there" 2 "there: is there already" "${F[@]}"
place "--overwrite of an input" 2 "--out: there: holds there, which is to be read" --overwrite --method average --model there --model one
place "--overwrite of what holds an input" 2 "holds there/../there" --overwrite --method average --model one --model there/../there
place "--overwrite that fails" 1 "number 0 is nan" --overwrite "${A[@]}" --model nan
check "--overwrite" merge there --overwrite "${F[@]}"
check "gives the new one" cmp there/model.safetensors llama-f32/model.safetensors
check "and leaves no old one" lonely
mkdir mine; echo x >mine/x; "$E" merge "${F[@]}" --out mine --overwrite 2>err; [ $? = 2 ] && grep -q "mine: is no model" err && test -e mine/x &&
  ok "a folder of something else: $(cat err)" || bad "a folder of something else: $(cat err)"

if sanitized; then finish; exit; fi

# A kill, or a disk that fails, at any call that changes the folder: the model is not there, or (with --overwrite) the old
# one is, or all of the new one.
mkdir -p disk; DISK=$(realpath disk); state() { (cd "$1" 2>/dev/null && find . -type f | sort | xargs sha256sum | sha256sum); }
faults() { # what, the old model or "", how...: a sample; all with --thorough
  local old=$2 how hows=("${@:3}") k n=0 code new none before after wrong=0 calls
  run() { LD_PRELOAD=$FAULT ENT_FAULT_DIR=$DISK "$@" "$E" merge --method average --model one --model two --shard-size 600KB --out "$DISK/out" ${old:+--overwrite} >/dev/null 2>err; } 2>/dev/null # the shell tells of every kill
  again() { find "$DISK" -mindepth 1 -delete; [ -z "$old" ] || cp -r "$old" "$DISK/out"; }
  again; before=$(state "$DISK/out"); run env ENT_FAULT_LOG="$WORK/calls" || bad "$1: undisturbed: $(cat err)"
  calls=$(wc -l <calls); new=$(state "$DISK/out")
  local every=2; thorough && every=1 hows=(kill kill-half EIO ENOSPC)
  for how in "${hows[@]}"; do
    for k in $(seq 1 "$every" "$calls"); do
      again; run env ENT_FAULT_AT=$k ENT_FAULT_HOW=$how; code=$?; n=$((n + 1)); after=$(state "$DISK/out")
      [ "$after" = "$new" ] || [ "$after" = "$before" ] || { wrong=1; bad "$1: $how at call $k: $(sed -n ${k}p calls): $(ls -A "$DISK/out")"; }
      case $how in
        kill*) [ $code = 137 ] || { wrong=1; bad "$1: $how at call $k: exit $code"; } ;;
        *) [ $code = 0 ] && [ "$after" = "$new" ] || { [ $code = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q '^entrenar: ' err; } ||
             { wrong=1; bad "$1: $how at call $k: exit $code: $(cat err)"; }
           [ -z "$(find "$DISK" -name '*.tmp-*')" ] || { wrong=1; bad "$1: $how at call $k: $(sed -n ${k}p calls): left $(ls -A "$DISK" | head -3)"; } ;;
      esac
    done
  done
  again; run env ENT_FAULT_AT=$((calls / 2)) ENT_FAULT_HOW=kill; [ -n "$(find "$DISK" -name '*.tmp-*')" ] || { wrong=1; bad "$1: a kill leaves nothing to sweep"; }
  run env && [ -z "$(find "$DISK" -name '*.tmp-*')" ] || { wrong=1; bad "$1: the next one does not sweep: $(ls -A "$DISK"): $(cat err)"; }
  [ $wrong = 0 ] && [ "$calls" -ge 20 ] && ok "$1: $n faults at $calls calls"
}
faults "a new model" "" kill ENOSPC
faults "a model that is replaced" average kill-half EIO

# Larger than memory, as far as it may be here: two models of 0.5 GB, most of it one tensor.
$P huge huge-a 120000 "$B"; cp --sparse=always -r huge-a huge-b
peak() { # what, MB, arguments...
  local what=$1 most=$2; shift 2
  python3 - "$most" "$E" merge --out huge-out "$@" >out 2>&1 <<'P' && ok "$what: $(tail -1 out)" || bad "$what: $(tail -3 out)"
import resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print("at most %.0f MiB in memory" % peak)
sys.exit(code or not peak < float(sys.argv[1]))
P
  rm -rf huge-out
}
peak "average of two models of 0.5 GB" 48 --method average --model huge-a --model huge-b --dtype bf16
peak "slerp" 48 --method slerp --t 0.5 --model huge-a --model huge-b --dtype bf16
peak "ties" 64 --method ties --density 0.5 --base huge-a --model huge-b --dtype bf16

# A signal stops it, and nothing is left.
"$E" merge --method ties --density 0.5 --base huge-a --model huge-a --model huge-b --out huge-out >/dev/null 2>err & pid=$!
until ls -d .huge-out.tmp-* >/dev/null 2>&1 || ! kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -TERM $pid; wait $pid; code=$?
[ $code = 1 ] && grep -q "stopped by SIGTERM" err && ! [ -e huge-out ] && lonely && ok "SIGTERM: $(cat err)" || bad "SIGTERM: exit $code: $(cat err)"
finish
