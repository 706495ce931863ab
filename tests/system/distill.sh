#!/bin/bash
# distill: a student learns from stories260K, the same bits on any ranks and threads, killed and resumed; hidden states,
# too; a teacher that is the model itself teaches nothing; another teacher is refused. usage: distill.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
cd "$WORK" || exit 1
T=$BIN/entrenar-train; TEACHER=$SOURCE/models/stories260K; S=$DATA/oracle/stories260K-shakespeare
mkdir student; cp "$TEACHER/tokenizer.json" student; sed 's/"num_hidden_layers": 5/"num_hidden_layers": 2/' "$TEACHER/config.json" >student/config.json
cat >config.yaml <<Y
model: {path: student, init: random}
data: {train: $S/train_ids.jsonl, val: $S/val_ids.jsonl, seq_len: 64}
distill: {teacher: $TEACHER, temperature: 2, alpha: 1}
compute: {threads: 1}
optimizer: {name: adamw, lr: 3.0e-3}
training: {max_steps: 40, batch_size: 8, output_dir: out}
Y
run() { # folder, ranks, threads, options...
  local out=$1 n=$2 t=$3; shift 3
  ranks "$n" "$T" config.yaml --quiet --set training.output_dir="$out" --set compute.threads="$t" "$@"
}
loss() { grep grad_norm "$1/metrics.jsonl" | sed -n "${2}s/.*\"loss\": \([^,]*\),.*/\1/p"; } # folder, line: $ is the last
holds() { if python3 -c "import sys; sys.exit(not ($2))"; then ok "$1: $2"; else bad "$1: $2"; fi; }
same() { # what, folder, folder
  check "$1: same checkpoint" cmp "$(newest "$2")" "$(newest "$3")"
  check "$1: same losses" sh -c "cut -d, -f1-6 '$2'/metrics.jsonl >a; cut -d, -f1-6 '$3'/metrics.jsonl >b; cmp a b"
}
check "a student trains on the KL alone" run out 0 1
holds "its divergence from the teacher falls to 0.65 of what it was" "$(loss out '$') < 0.65 * $(loss out 1)"
# A run of the targets alone, and then what the KL is of both students: a step of next to no rate measures it.
check "a student trains on the targets alone" run alone 0 1 --set distill=
for s in out alone; do
  cp student/tokenizer.json $s/model 2>/dev/null
  check "$s: measured" run kl-$s 0 1 --set model.path=$s/model --set model.init=pretrained --set training.max_steps=1 --set training.batch_size=64 --set optimizer.lr=1.0e-30
done
holds "the one that learned from the teacher is nearer to it" "$(loss kl-out 1) < 0.85 * $(loss kl-alone 1)"

# The teacher is really run on the same tokens and documents: its own adapter, which begins as nothing, has nothing to learn.
SELF=(--set model.path="$TEACHER" --set model.init=pretrained --set lora.rank=4 --set training.max_steps=1)
check "the teacher learns from itself" run self 0 1 "${SELF[@]}" --set distill.hidden=7
holds "no divergence" "abs($(loss self 1)) < 1e-9"
check "with half of the loss" run self-half 0 1 "${SELF[@]}" --set distill.alpha=0.5
check "without a teacher" run self-none 0 1 "${SELF[@]}" --set distill=
holds "the other half is half the cross-entropy" "abs(2 * $(loss self-half 1) - $(loss self-none 1)) < 1e-5"

for kind in adapter full two hidden; do
  case $kind in
  adapter) options=(--set model.path=out/model --set model.init=pretrained --set lora.rank=4 --set lora.dropout=0.2) ;;
  full) options=(--set distill.alpha=0.6) ;;
  hidden) options=(--set distill.hidden=0.5 --set "distill.hidden_layers={0: 2, 1: 4}") ;;
  two) options=(--set distill.teacher= --set distill.teachers="$TEACHER,out/model" --set distill.weights=3,1) ;;
  esac
  options+=(--set training.max_steps=12 --set training.batch_size=7)
  check "$kind: reference" run $kind 0 1 "${options[@]}"
  for world in "${WORLDS[@]}"; do
    read -r n t <<<"$world"
    check "$kind: $n ranks, $t threads" run $kind-$n-$t $n $t "${options[@]}"
    same "$kind: $n ranks" $kind $kind-$n-$t
  done
  check "$kind: layers computed again" run $kind-again 0 1 "${options[@]}" --set compute.recompute=layer
  same "$kind: computed again" $kind $kind-again
done
# Equal weights of one teacher twice are that teacher, up to rounding.
check "one teacher twice" run twice 0 1 --set distill.teacher= --set distill.teachers="$TEACHER,$TEACHER" --set training.max_steps=1
holds "as once" "abs($(loss twice 1) - $(loss out 1)) < 1e-5"

# PyTorch's numbers of two teachers, with hidden states of pairs of layers (tests/reference/distill.py).
cp -r "$DATA/oracle/distill" "$DATA/oracle/llama" "$TEACHER" .
check "an adapter learns hidden states" "$T" distill/config.yaml --quiet --set compute.threads=2
check "and agrees with PyTorch" python3 "$SOURCE/tests/system/compare_oracle.py" distill/out "$DATA/oracle/distill"

KILL=(--set distill.hidden=0.1 --set "distill.hidden_layers={0: 1}" --set training.max_steps=60 --set checkpoint.every=1 --set scheduler.name=constant)
(ulimit -c 0; "$T" config.yaml --quiet "${KILL[@]}" --set training.output_dir=killed >"$WORK/log" 2>&1 & p=$!
  until [ -e killed/checkpoints/latest ]; do sleep 0.02; kill -0 $p || exit 1; done; kill -9 $p; wait $p) 2>/dev/null
[ -e killed/model ] && bad "it was not killed" || ok "killed at $(grep -c grad_norm killed/metrics.jsonl) steps"
check "killed, and on with 3 ranks" run killed 3 1 "${KILL[@]}" --resume
check "not killed" run calm 0 2 "${KILL[@]}"
same "killed" calm killed

other() { # what, words of the message, options...
  local what=$1 words=$2; shift 2
  run calm 0 1 "${KILL[@]}" --set training.max_steps=61 --resume "$@" >"$WORK/log" 2>&1; local code=$?
  [ $code = 2 ] && grep -qF -- "$words" "$WORK/log" && ok "$what: $(grep '^entrenar: ' "$WORK/log" | cut -c1-160)" || bad "$what: exit $code: $(cat "$WORK/log")"
}
other "another teacher" "distill.teacher 1 (weights)" --set distill.teacher=out/model
other "another temperature" distill.temperature --set distill.temperature=3
other "another alpha" distill.alpha --set distill.alpha=0.9
other "another beta" distill.hidden --set distill.hidden=0.2
other "another layer" distill.hidden_layers --set "distill.hidden_layers={0: 2}"
other "no teacher" distill. --set distill=
other "one more teacher" "distill.teacher 2" --set distill.teacher= --set distill.teachers="$TEACHER,out/model"
mv calm/config.yaml kept.yaml; cp -r "$TEACHER" moved
check "the same teacher elsewhere" run calm 0 1 "${KILL[@]}" --set training.max_steps=61 --set distill.teacher=moved --resume

refuse() { # what, words of the message, options...
  local what=$1 words=$2; shift 2; rm -rf bad
  run bad 0 1 "$@" >"$WORK/log" 2>&1; local code=$?
  [ $code = 2 ] && [ "$(grep -c '^entrenar: ' "$WORK/log")" = 1 ] && grep -qF -- "$words" "$WORK/log" && ! [ -e bad ] && ok "$what: $(cat "$WORK/log")" || bad "$what: exit $code: $(cat "$WORK/log")"
}
refuse "layers that don't spread" "its 5 layers can't be spread evenly over the model's 2: expected distill.hidden_layers" --set distill.hidden=1
refuse "a layer that isn't there" "distill.hidden_layers: 1: 5: the model has layers 0 to 1, $TEACHER has 0 to 4" --set distill.hidden=1 --set "distill.hidden_layers={1: 5}"
refuse "layers that aren't used" "acts only with distill.hidden > 0" --set "distill.hidden_layers={1: 4}"
mkdir narrow; sed 's/"hidden_size": 64/"hidden_size": 32/' student/config.json >narrow/config.json
refuse "hidden states of another size" "expected hidden states of 32 numbers, as the model's, found 64" --set distill.hidden=1 --set "distill.hidden_layers={1: 4}" --set model.path=narrow
mkdir one; sed 's/"num_hidden_layers": 2/"num_hidden_layers": 1/' student/config.json >one/config.json
check "layers are spread" sh -c "'$T' config.yaml --dry-run --set model.path=one --set distill.hidden=1 | grep -q 'beta 1: behind layer 0 as its 4\$'"
refuse "no such teacher" nowhere --set distill.teacher=nowhere
cp -r "$TEACHER" larger; sed -i 's/"vocab_size": 512/"vocab_size": 640/' larger/config.json
refuse "a teacher whose weights have another shape" larger --set distill.teacher=larger
cp -r "$TEACHER" renamed; sed -i 's/"<0x41>"/"<0x4x>"/' renamed/tokenizer.json
refuse "a token of another text" 'renamed/tokenizer.json: a teacher must have the vocabulary of the model: expected token' --set distill.teacher=renamed
mkdir small; sed 's/"vocab_size": 512/"vocab_size": 500/' student/config.json >small/config.json
refuse "another vocabulary" "$TEACHER: a teacher must have the vocabulary of the model: expected 500 ids, found 512" --set model.path=small
cp -r "$TEACHER" short; sed -i 's/"max_position_embeddings": 512/"max_position_embeddings": 32/' short/config.json
refuse "a teacher of fewer positions" "32 positions of $WORK/short" --set distill.teacher=short
"$T" config.yaml --overwrite --quiet --set training.output_dir=out --set distill.teacher=out/model >"$WORK/log" 2>&1 && bad "--overwrite removes the teacher" ||
  { grep -q distill.teacher "$WORK/log" && test -e out/model/config.json && ok "--overwrite keeps the teacher" || bad "--overwrite: $(cat "$WORK/log")"; }
check "a plan" sh -c "'$BIN/entrenar' plan config.yaml --json >plan.json && '$BIN/entrenar' plan config.yaml --set distill= --json >none.json"
python3 - "$TEACHER/model.safetensors" <<'P' && ok "counts the teacher" || bad "the plan"
import json, os, struct, sys
a, b = json.load(open("plan.json")), json.load(open("none.json"))
size = os.path.getsize(sys.argv[1]) - 8 - struct.unpack("<Q", open(sys.argv[1], "rb").read(8))[0]
assert a["bytes"]["teachers"] == size and b["bytes"]["teachers"] == 0, (a["bytes"], size)
assert a["bytes"]["tables"] == 2 * b["bytes"]["tables"]
# forward of five layers, attention of whole tokens, and the head twice, as the student's head is trained
c, n = json.load(open(sys.argv[1].replace("model.safetensors", "config.json"))), a["unit_tokens"]
h, m, q, kv = c["hidden_size"], c["intermediate_size"], c["num_attention_heads"] * c["head_dim"], c["num_key_value_heads"] * c["head_dim"]
layer = 2 * n * (2 * h * q + 2 * h * kv + 3 * h * m) + 2 * 2 * q * n * (n + 1) // 2
assert a["unit_flops"] - b["unit_flops"] == c["num_hidden_layers"] * layer + 2 * 2 * (n - 1) * c["vocab_size"] * h, (a["unit_flops"], b["unit_flops"])
P
grep -q "teacher: $TEACHER" kept.yaml && ok "the resolved config names the teacher" || bad "$(grep -A3 distill kept.yaml)"
finish
