#!/bin/bash
# entrenar eval: losses are those of transformers and PyTorch, of the same rows as in training; log-likelihoods of
# completions are PyTorch's; all numbers are the same for any number of ranks and threads. usage: eval.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
M=$SOURCE/models/stories260K; S=$DATA/oracle/stories260K-shakespeare
cd "$WORK" || exit 1
E() { "$BIN/entrenar" eval "$@"; }
agrees() { # what, options...: what eval says of them is within `bound` of `want`, with as many targets as `targets` says
  local what=$1; shift
  E "$@" --json >got.json 2>err || { bad "$what: $(cat err)"; return; }
  check "$what" python3 - got.json "$want" "$targets" "$bound" <<'P'
import json, math, sys
got, want, targets, bound = json.load(open(sys.argv[1])), *map(float, sys.argv[2:])
assert abs(got["loss"] - want) < bound * want, (got["loss"], want)
assert got["perplexity"] == math.exp(got["loss"]) or abs(got["perplexity"] / math.exp(got["loss"]) - 1) < 1e-14
assert targets < 0 or got["targets"] == targets, (got["targets"], targets)
P
}
of() { python3 -c "import json, sys; x = json.load(open(sys.argv[1])); print(eval('x' + sys.argv[2]))" "$1" "$2"; }

# The losses of transformers and PEFT.
bound=5e-6
for m in llama qwen2 qwen3; do
  O=$DATA/oracle/$m; head -4 "$O/train.jsonl" >rows.jsonl; targets=$(of "$O/expected.json" '["steps"][0]["tokens"]')
  want=$(of "$O/expected.json" '["first_batch_base_loss"]')
  agrees "$m: the loss of transformers" --model "$O/model" --data rows.jsonl --seq-len 48
  agrees "$m: without packing" --model "$O/model" --data rows.jsonl --seq-len 48 --no-packing
  want=$(of "$O/expected.json" '["first_batch_lora_loss"]')
  agrees "$m: the loss of PEFT" --model "$O/model" --adapter "$O/adapter_init" --data rows.jsonl --seq-len 48
done
bound=1e-5; targets=$(of "$S/expected.json" '["val_tokens"]'); V=(--model "$M" --data "$S/val_ids.jsonl" --seq-len 256)
want=$(of "$S/expected.json" '["val_loss_base"]'); agrees "stories260K" "${V[@]}"
want=$(of "$S/expected.json" '["val_loss_before"]'); agrees "stories260K, adapter before" "${V[@]}" --adapter "$S/adapter_init"
want=$(of "$S/expected.json" '["val_loss_after"]'); agrees "stories260K, adapter after" "${V[@]}" --adapter "$S/adapter_final"
bound=2e-6; targets=-1
for i in $(seq 0 $(($(of "$DATA/oracle/variants.json" '.__len__()') - 1))); do
  rm -rf v; m=$(of "$DATA/oracle/variants.json" "[$i]['model']"); cp -r "$DATA/oracle/$m/model" v
  python3 - "$DATA/oracle/variants.json" "$i" <<'P'
import json, sys
c = json.load(open("v/config.json")) | json.load(open(sys.argv[1]))[int(sys.argv[2])]["config"]
json.dump(c, open("v/config.json", "w"))
P
  want=$(of "$DATA/oracle/variants.json" "[$i]['loss']")
  agrees "variant $i" --model v --data "$DATA/oracle/$m/train.jsonl" --seq-len 48
done

# The rows of training: the validation loss before it, to the last digit, of every kind of line, packed and masked or not.
for data in text:shakespeare-val pairs:gsm8k-20 chats:chat-20; do
  file=$DATA/text/${data#*:}.jsonl; [ -e "$file" ] || file=$SOURCE/data/${data#*:}.jsonl
  thorough || { head -40 "$file" >few.jsonl; file=$PWD/few.jsonl; }
  for how in "" --no-packing --no-mask; do
    set=(); [ "$how" = --no-packing ] && set=(--set data.packing=false); [ "$how" = --no-mask ] && set=(--set data.mask_prompt=false)
    rm -rf job; mkdir job
    cat >job/config.yaml <<Y
model: {path: $M}
data: {train: $file, val: $file, seq_len: 300}
lora: {rank: 2}
training: {max_steps: 1, batch_size: 1, output_dir: out}
Y
    check "training on ${data%:*} $how" "$BIN/entrenar-train" job/config.yaml --quiet "${set[@]}"
    E --model "$M" --data "$file" --seq-len 300 $how --json >got.json 2>err
    check "the loss of ${data%:*} $how is that of training" python3 - job/out/metrics.jsonl <<'P'
import json, sys
want, got = json.loads(open(sys.argv[1]).readline()), json.load(open("got.json"))
assert got["loss"] == want["val_loss"] and got["targets"] == want["val_tokens"], (got, want)
P
  done
done

# One answer, of data and choices.
python3 - "$DATA/generate/expected.json" <<'P'
import json, sys
rows = json.load(open(sys.argv[1]))["choices"]
open("choices.jsonl", "w").write("".join(json.dumps({k: r[k] for k in ("prompt", "choices", "answer")}) + "\n" for r in rows))
P
D=(--model "$M" --adapter "$S/adapter_final" --data "$SOURCE/data/shakespeare-val.jsonl" --json)
C=(--model "$M" --choices choices.jsonl --json)
E "${D[@]}" --threads 1 >data.json; E "${C[@]}" --threads 1 >choices.json
for way in "0 2" "0 3" "2 1" "3 1" "5 1"; do
  read -r n threads <<<"$way"
  ranks "$n" "$BIN/entrenar" eval "${D[@]}" --threads "$threads" >other.json 2>err; cmp -s data.json other.json &&
    ok "data: $n ranks, $threads threads" || bad "data: $n ranks, $threads threads: $(diff data.json other.json | head -4) $(head -c 200 err)"
  ranks "$n" "$BIN/entrenar" eval "${C[@]}" --threads "$threads" >other.json 2>err; cmp -s choices.json other.json &&
    ok "choices: $n ranks, $threads threads" || bad "choices: $n ranks, $threads threads: $(diff choices.json other.json | head -4) $(head -c 200 err)"
done

# Choices: PyTorch's log-likelihoods (tests/reference/generate.py), and what follows from them.
check "log-likelihoods are PyTorch's" python3 - "$DATA/generate/expected.json" <<'P'
import json, sys
want, got = json.load(open(sys.argv[1]))["choices"], json.load(open("choices.json"))
right = right_normalised = 0
best = lambda x: max(range(len(x)), key=lambda i: x[i])
assert len(want) == len(got["rows"])
for line, (w, g) in enumerate(zip(want, got["rows"])):
    for c, x, text in zip(w["expected"], g["choices"], w["choices"], strict=True):
        assert x["tokens"] == c["tokens"] and x["bytes"] == len(text.encode()), (c, x)
        assert abs(x["log_likelihood"] - c["log_likelihood"]) < 2e-6 * (1 + abs(c["log_likelihood"])), (c, x)
        assert x["per_token"] == x["log_likelihood"] / x["tokens"]
    assert g["line"] == line + 1 and g["answer"] == w["answer"]
    assert g["chosen"] == best([c["log_likelihood"] for c in w["expected"]])
    assert g["chosen_normalised"] == best([c["log_likelihood"] / c["tokens"] for c in w["expected"]])
    right += g["chosen"] == w["answer"]
    right_normalised += g["chosen_normalised"] == w["answer"]
assert got["accuracy"] == right / len(want) and got["accuracy_normalised"] == right_normalised / len(want)
assert 0 < right < right_normalised < len(want), (right, right_normalised)
P
E --model "$M" --choices choices.jsonl >got.txt
grep -qE '^accuracy +0\.4000 by log-likelihood, 0\.8000 by log-likelihood per token$' got.txt && ok "$(tail -1 got.txt)" || bad "choices: $(cat got.txt)"
E --model "$M" --data "$SOURCE/data/shakespeare-val.jsonl" >got.txt
grep -qE '^loss +4\.86[0-9]+, the mean over 34883 target tokens$' got.txt && ok "$(grep loss got.txt)" || bad "data: $(cat got.txt)"

# bf16: near, and not the same; the same on any number of ranks.
E "${D[@]}" --precision bf16 >bf16.json
check "bf16 is near" python3 -c "
import json
a, b = (json.load(open(f))['loss'] for f in ('data.json', 'bf16.json'))
assert 1e-7 * a < abs(a - b) < 2**-10 * a, (a, b)"
ranks 2 "$BIN/entrenar" eval "${D[@]}" --precision bf16 >other.json; cmp -s bf16.json other.json && ok "bf16, 2 ranks" || bad "bf16, 2 ranks"

# What is counted; rows are not longer than the model's positions.
printf '%s\n' '{"input_ids": [1, 5, 6, 7, 8, 9, 10, 11, 12, 13], "labels": [1, 5, 6, 7, 8, 9, 10, 11, 12, 13]}' \
  '{"input_ids": [1, 5, 6], "labels": [-100, -100, -100]}' '{"input_ids": [1, 5, 6], "labels": [1, 5, 6]}' >ids.jsonl
cp -r "$M" few; sed -i 's/"max_position_embeddings": 512/"max_position_embeddings": 8/' few/config.json
E --model few --data ids.jsonl --no-packing --json >got.json
check "counts" python3 -c "
import json
g = json.load(open('got.json'))
want = dict(seq_len=8, packing=False, mask_prompt=True, documents=3, rows=2, tokens=11, truncated_tokens=2, without_target=1, targets=9)
assert want == {k: g[k] for k in want}, g"
E --model few --data ids.jsonl --no-packing >got.txt
grep -q '1 documents are longer and were cut: 2 tokens' got.txt && grep -q '1 documents or pieces of one have no target' got.txt &&
  ok "what is left out is told" || bad "what is left out: $(cat got.txt)"

# Bad command lines: 2; bad models and data: 1. One line that names the thing, on several ranks too.
refuse() { # code, a word of the message, command...
  local code=$1 word=$2; shift 2
  timeout 60 "$@" </dev/null >other 2>err; local got=$?
  if [ $got = "$code" ] && [ "$(grep -c '^entrenar: ' err)" = 1 ] && grep '^entrenar: ' err | grep -qF -- "$word"; then ok "$(grep '^entrenar: ' err)"
  else bad "exit $got, expected $code with $word: $(head -c 300 err)"; fi
}
X="$BIN/entrenar eval"; D=(--model "$M" --data "$SOURCE/data/shakespeare-val.jsonl"); row() { echo "$1" >bad.jsonl; }
refuse 2 --model $X --data x
refuse 2 "--data: expected a value" $X --model "$M" --data
refuse 2 neither $X --model "$M"
refuse 2 both $X "${D[@]}" --choices choices.jsonl
refuse 2 --frobnicate $X "${D[@]}" --frobnicate
refuse 2 --precision $X "${D[@]}" --precision int8
refuse 2 --seq-len $X "${D[@]}" --seq-len 1
refuse 2 "--seq-len acts only with" $X --model "$M" --choices choices.jsonl --seq-len 9
refuse 2 "--no-packing acts only with" $X --model "$M" --choices choices.jsonl --no-packing
refuse 2 "--no-mask acts only with" $X --model "$M" --choices choices.jsonl --no-mask
refuse 1 "512 positions" $X "${D[@]}" --seq-len 513
refuse 1 nowhere $X --model nowhere --data x
refuse 1 nowhere.jsonl $X --model "$M" --data nowhere.jsonl
refuse 1 nowhere.jsonl $X --model "$M" --choices nowhere.jsonl
refuse 1 tokenizer.json $X --model "$DATA/oracle/llama/model" --choices choices.jsonl
row '{"prompt": "a", "choices": ["b"], "answer": 0}'; refuse 1 "bad.jsonl:1: choices: expected a list of two" $X --model "$M" --choices bad.jsonl
row '{"prompt": "a", "choices": ["b", "c"], "answer": 2}'; refuse 1 "bad.jsonl:1: answer" $X --model "$M" --choices bad.jsonl
row '{"prompt": "a", "choices": ["b", "c"]}'; refuse 1 "bad.jsonl:1: answer" $X --model "$M" --choices bad.jsonl
row '{"choices": ["b", "c"], "answer": 0}'; refuse 1 "bad.jsonl:1: prompt" $X --model "$M" --choices bad.jsonl
row '{"prompt": "a", "choices": ["b", ""], "answer": 0}'; refuse 1 "bad.jsonl:1: choices[1]: has no tokens" $X --model "$M" --choices bad.jsonl
row '{"prompt": "a", "choices": ["b", 3], "answer": 0}'; refuse 1 "choices[1]: expected a text" $X --model "$M" --choices bad.jsonl
row "{\"prompt\": \"$(printf 'a b%.0s' $(seq 300))\", \"choices\": [\"b\", \"c\"], \"answer\": 0}"; refuse 1 "512 positions" $X --model "$M" --choices bad.jsonl
python3 - "$M" <<'P'
import json, shutil, struct, sys
shutil.copytree(sys.argv[1], "nan")
d = bytearray(open("nan/model.safetensors", "rb").read()); n = struct.unpack("<Q", d[:8])[0]; h = json.loads(d[8:8 + n])
a = 8 + n + h["model.norm.weight"]["data_offsets"][0]; d[a:a + 4] = struct.pack("<f", float("nan"))
open("nan/model.safetensors", "wb").write(d)
P
refuse 1 "choices.jsonl:1: choices[0]: the loss is" $X --model nan --choices choices.jsonl
refuse 1 "nan" $X --model nan --data ids.jsonl --no-packing --seq-len 8
: >bad.jsonl; refuse 1 "no rows" $X --model "$M" --choices bad.jsonl
row '{"input_ids": [1, 2], "labels": [-100, -100]}'; refuse 1 "no targets" $X --model "$M" --data bad.jsonl
row '{"prompt": "a", "choices": ["b", ""], "answer": 0}'
for n in 2 3; do
  refuse 1 "choices[1]: has no tokens" mpirun --oversubscribe --bind-to none -n $n $X --model "$M" --choices bad.jsonl
  refuse 2 frobnicate mpirun --oversubscribe --bind-to none -n $n $X "${D[@]}" --frobnicate
done
for option in model adapter data seq-len no-packing no-mask choices precision threads json; do
  E --help | grep -q -- "^  --$option " || bad "--help doesn't know --$option"
done
finish
