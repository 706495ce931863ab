#!/bin/bash
# Variants of LoRA, as PEFT defines them, agree with PyTorch (tests/data/oracle/adapters); their bits don't depend on ranks,
# threads, stop and resume; and what is exported computes the same. usage: adapters.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
cp -r "$DATA/oracle/llama" "$WORK/llama"; cp -r "$DATA/oracle/adapters" "$WORK/adapters"
refused() { # what, text, command...
  local what=$1 text=$2; shift 2
  "$@" >"$WORK/log" 2>&1 && { bad "$what is not refused"; return; }
  grep -qF -- "$text" "$WORK/log" && ok "$what is refused" || bad "$what: $(tail -1 "$WORK/log")"
}
for job in "$WORK"/adapters/*/; do
  cd "$job" || exit 1
  name=$(basename "$job"); T=("$BIN/entrenar-train" config.yaml --quiet)
  check "$name trains" "${T[@]}" --set compute.threads=1
  check "$name agrees with PyTorch" python3 "$SOURCE/tests/system/compare_oracle.py" out "$DATA/oracle/adapters/$name"
  check "$name is verified" "$BIN/entrenar" verify out
  check "$name on 3 ranks" ranks 3 "${T[@]}" --set training.output_dir=three --set compute.threads=2
  check "$name on 3 ranks: same bits" cmp "$(newest out)" "$(newest three)"
  check "$name stops" "${T[@]}" --set training.output_dir=stopped --set training.max_steps=3 --set checkpoint.every=1 --set checkpoint.metadata=yaml
  check "$name goes on" ranks 2 "${T[@]}" --set training.output_dir=stopped --resume --set checkpoint.every=1 --set checkpoint.metadata=yaml
  check "$name goes on: same bits" cmp "$(newest out)" "$(newest stopped)"
  check "$name goes on: same adapter" cmp out/adapter/adapter_model.safetensors stopped/adapter/adapter_model.safetensors
  check "$name from a checkpoint" "$BIN/entrenar" export --model ../../llama/model --adapter "$(newest stopped)" --to peft --out again
  check "$name from a checkpoint: same numbers" cmp out/adapter/adapter_model.safetensors again/adapter_model.safetensors
  check "$name from a checkpoint: same patterns" python3 - <<'P'
import json
a, b = (json.load(open(f + "/adapter_config.json")) for f in ("adapter_init", "again"))
for k in set(a) - {"target_modules"}:
    assert a[k] == b[k], (k, a[k], b[k])
    if isinstance(a[k], dict):
        assert list(a[k].items()) == list(b[k].items())
P
  check "$name in its model" "$BIN/entrenar" export --model ../../llama/model --adapter out/adapter --to safetensors --out whole
  check "$name trains on, in another's config" "$BIN/entrenar-train" config.yaml --quiet --set lora.path=again --set training.output_dir=on --set training.max_steps=1
done
# DoRA beside what else there is: it begins as LoRA does, in quantised weights too, and goes on; llama.cpp gets the model.
cd "$WORK/adapters/dora" || exit 1
S=(--set lora.path= --set lora.rank=4 --set lora.target_modules=all-linear --set training.max_steps=3 --set quantize.base=nf4 --set compute.precision=int8)
check "LoRA" "$BIN/entrenar-train" config.yaml --quiet "${S[@]}" --set training.output_dir=plain
S+=(--set lora.use_dora=true)
check "DoRA" "$BIN/entrenar-train" config.yaml --quiet "${S[@]}" --set training.output_dir=new
check "it is verified" "$BIN/entrenar" verify new
check "it begins with LoRA's loss" python3 - <<'P'
import json
a, b = ([json.loads(l)["loss"] for l in open(f + "/metrics.jsonl")] for f in ("plain", "new"))
assert abs(a[0] - b[0]) < 1e-6 * a[0] and abs(a[2] - b[2]) > 1e-5, (a, b)
P
check "DoRA stops" "$BIN/entrenar-train" config.yaml --quiet "${S[@]}" --set training.output_dir=new2 --set training.max_steps=1
check "DoRA goes on, recomputing, on 2 ranks" ranks 2 "$BIN/entrenar-train" config.yaml --quiet "${S[@]}" --set training.output_dir=new2 --set compute.recompute=layer --resume
check "to the same bits" cmp "$(newest new)" "$(newest new2)"
check "DoRA as GGUF" "$BIN/entrenar" export --model ../../llama/model --adapter "$(newest new)" --to gguf --out whole.gguf
refused "DoRA as GGUF adapter" "use_dora: llama.cpp has no DoRA adapters" "$BIN/entrenar" export --model ../../llama/model --adapter out/adapter --to gguf-adapter --out a.gguf
refused "DoRA with dropout" "lora.dropout: expected 0 with DoRA" "$BIN/entrenar-train" config.yaml --dry-run --set lora.dropout=0.1
refused "resuming without it" "lora.use_dora" "$BIN/entrenar-train" config.yaml --quiet "${S[@]}" --set lora.use_dora=false --set training.output_dir=new --resume
sed -i 's/"use_dora":[^,}]*true/"use_dora": false/' again/adapter_config.json
refused "vectors without use_dora" "unexpected tensor base_model.model.model.layers.0.mlp.down_proj.lora_magnitude_vector" "$BIN/entrenar" verify again
# PiSSA agrees with PyTorch, where the weights hold what is left of them; its bits don't depend on ranks and stops, and its
# adapter is plain LoRA. Singular vectors have no sign: the change of a weight is compared.
cp -r "$DATA/oracle/pissa" "$WORK/pissa"; cd "$WORK/pissa" || exit 1
T=("$BIN/entrenar-train" config.yaml --quiet)
check "PiSSA trains" "${T[@]}" --set compute.threads=1
check "PiSSA agrees with PyTorch" python3 "$SOURCE/tests/system/adapters.py" out .
check "PiSSA is verified" "$BIN/entrenar" verify out
check "PiSSA on 3 ranks" ranks 3 "${T[@]}" --set training.output_dir=three --set training.max_steps=3
check "PiSSA goes on" ranks 2 "${T[@]}" --set training.output_dir=three --set compute.recompute=layer --resume
check "to the same bits" cmp "$(newest out)" "$(newest three)"
check "to the same adapter" cmp out/adapter/adapter_model.safetensors three/adapter/adapter_model.safetensors
cp -r out other; sed -i 's/"lora_alpha": *12[.0]*/"lora_alpha": 13/' other/adapter/adapter_config.json
refused "another alpha (verify)" "expected rank 8, alpha 12 and the targets of config.yaml" "$BIN/entrenar" verify other
grep -q "with what it began with" "$WORK/log" && bad "an adapter with a fault is called good" || ok "and not called good"
check "its adapter folds" "$BIN/entrenar" export --model ../llama/model --adapter out/adapter --to safetensors --out whole
S=(--set training.max_steps=1 --set quantize.base=nf4 --set compute.precision=int8 --set "lora.rank_pattern={down_proj: 3}" --set lora.use_rslora=true)
check "PiSSA of quantised weights, with patterns" "${T[@]}" "${S[@]}" --set training.output_dir=small
check "that is verified" "$BIN/entrenar" verify small
check "it begins with LoRA's loss" "${T[@]}" "${S[@]}" --set training.output_dir=plain --set lora.init=default
python3 - <<'P' && ok "within what rounding leaves" || bad "another loss"
import json
a, b = (json.loads(open(f + "/metrics.jsonl").readline())["loss"] for f in ("small", "plain"))
assert abs(a - b) < 2e-3 * a, (a, b)
P
refused "PiSSA's checkpoint as adapter" "lora.init: pissa: what its adapter began with" "$BIN/entrenar" export --model ../llama/model --adapter "$(newest out)" --to peft --out again
refused "PiSSA with DoRA" "lora.init: pissa can't be combined with lora.use_dora" "${T[@]}" --dry-run --set lora.use_dora=true
refused "PiSSA with an alpha that its adapter doubles beyond what is read" "lora.alpha: expected at most 500000 with lora.init: pissa" "${T[@]}" --dry-run --set lora.alpha=6e5
refused "PiSSA with such a pattern" 'lora.alpha_pattern: "v_proj": expected at most 707107' "${T[@]}" --dry-run --set lora.use_rslora=true --set "lora.alpha_pattern={v_proj: 8e5}"
refused "more vectors than there are" "v_proj.weight: expected a rank from 1 to 32, found 33" "${T[@]}" --dry-run --set lora.rank=33
# The same settings in a config: a new adapter has the ranks and alphas, and a run from it is the one from its folder.
cd "$WORK/adapters/patterns" || exit 1
S=(--set lora.path= --set lora.rank=4 --set lora.alpha=8 --set lora.target_modules=q_proj,k_proj,down_proj
   --set "lora.rank_pattern={'layers\\.0\\..*_proj': 2, mlp.down_proj: 6, q_proj: 3}"
   --set "lora.alpha_pattern={'^model.layers.(0|2).self_attn.[k-q]_proj': 5.5, k_proj: 12}")
check "a config with patterns" "$BIN/entrenar-train" config.yaml --quiet "${S[@]}" --set training.output_dir=new --set training.max_steps=2
check "its adapter is as PEFT's" python3 - <<'P'
import json, struct
a, b = (json.load(open(f + "/adapter_config.json")) for f in ("adapter_init", "new/adapter"))
del a["rank_pattern"]["proj"] # takes no module: an error in a config
assert all(list(a[k].items()) == list(b[k].items()) for k in ("rank_pattern", "alpha_pattern"))
def shapes(f):
    data = open(f + "/adapter_model.safetensors", "rb").read()
    return {k: v["shape"] for k, v in json.loads(data[8:8 + struct.unpack("<Q", data[:8])[0]]).items() if k[0] != "_"}
assert shapes("adapter_init") == shapes("new/adapter")
P
check "its run is verified" "$BIN/entrenar" verify new
check "its resolved config runs again" "$BIN/entrenar-train" new/config.yaml --quiet --set training.output_dir=new2
check "to the same bits" cmp "$(newest new)" "$(newest new2)"
check "its checkpoint is an adapter" "$BIN/entrenar" export --model ../../llama/model --adapter "$(newest new)" --to peft --out new3
check "that is the run's" sh -c "for f in new new3; do grep -v base_model \$f/\$([ \$f = new ] && echo adapter)/adapter_config.json >\$f.json; done; cmp new.json new3.json"
refused "another pattern" "lora.rank_pattern" "$BIN/entrenar-train" new/config.yaml --quiet --resume --set training.max_steps=4 --set "lora.rank_pattern={k_proj: 2}"
refused "a pattern that takes nothing" 'lora.rank_pattern: "v_proj"' "$BIN/entrenar-train" config.yaml "${S[@]}" --dry-run --set "lora.rank_pattern={v_proj: 2}"
refused "a pattern behind another" 'lora.alpha_pattern: "q_proj"' "$BIN/entrenar-train" config.yaml "${S[@]}" --dry-run --set "lora.alpha_pattern={.*: 2, q_proj: 2}"
refused "a pattern that isn't understood" 'pattern "(?!q).*"' "$BIN/entrenar-train" config.yaml "${S[@]}" --dry-run --set "lora.rank_pattern={(?!q).*: 2}"
refused "a rank of 0" "expected patterns of modules such as" "$BIN/entrenar-train" config.yaml "${S[@]}" --dry-run --set "lora.rank_pattern={q_proj: 0}"
# Modules that are saved whole: new ones begin as the model's; recomputing gives the same bits; the base stays as it is.
cd "$WORK/adapters/saved" || exit 1
S=(--set lora.path= --set lora.rank=2 --set lora.modules_to_save=lm_head,norm --set training.max_steps=2); M=../../llama/model
check "a config with saved modules" "$BIN/entrenar-train" config.yaml --quiet "${S[@]}" --set training.output_dir=new --set data.val=../../llama/train.jsonl
check "its first loss is the model's" sh -c "'$BIN/entrenar' eval --model $M --data ../../llama/train.jsonl --seq-len 48 --json >eval.json"
check "to 9 digits" python3 - <<'P'
import json
got = json.loads(open("new/metrics.jsonl").readline())["val_loss"]
want = json.load(open("eval.json"))["loss"]
assert abs(got - want) < 1e-8 * want, (got, want)
P
check "its run is verified" "$BIN/entrenar" verify new
check "recomputing" "$BIN/entrenar-train" new/config.yaml --quiet --set training.output_dir=new2 --set compute.recompute=layer
check "recomputing: same bits" cmp "$(newest new)" "$(newest new2)"
check "its checkpoint is an adapter" "$BIN/entrenar" export --model $M --adapter "$(newest new)" --to peft --out new3
check "that is the run's" sh -c "for f in new new3; do grep -v base_model \$f/\$([ \$f = new ] && echo adapter)/adapter_config.json >\$f.json; done; cmp new.json new3.json"
for q in none int8 nf4; do
  check "beside a base in bf16, $q" "$BIN/entrenar-train" config.yaml --quiet "${S[@]}" --set training.output_dir=$q --set quantize.base=$q --set compute.precision=bf16
done
check "norms beside nf4" "$BIN/entrenar-train" config.yaml --quiet "${S[@]}" --set training.output_dir=nf4-norms --set quantize.base=nf4 --set compute.precision=bf16 --set lora.modules_to_save=norm
check "a base that isn't read is not converted" sh -c "test \$(cat nf4/cache/weights-* | wc -c) -lt \$(cat nf4-norms/cache/weights-* | wc -c)"
for way in lora.init=pissa lora.use_dora=true; do
  out=${way#lora.}; out=${out%=*}
  check "with $way" "$BIN/entrenar-train" config.yaml --quiet "${S[@]}" --set $way --set training.output_dir=$out --set data.val=../../llama/train.jsonl
  check "$way: its run is verified" "$BIN/entrenar" verify $out
  "$BIN/entrenar" eval --model $M --adapter $out/adapter --data ../../llama/train.jsonl --seq-len 48 --json >eval.json
  check "$way: its adapter has the run's loss" python3 - $out <<'P'
import json, sys
want = json.loads(open(sys.argv[1] + "/metrics.jsonl").readlines()[-1])["val_loss"]
got = json.load(open("eval.json"))["loss"]
assert abs(got - want) < 2e-6 * want, (got, want)
P
done
check "as GGUF" "$BIN/entrenar" export --model $M --adapter new/adapter --to gguf --type f32 --out a.gguf
refused "a saved module as GGUF adapter" 'modules_to_save: "lm_head"' "$BIN/entrenar" export --model $M --adapter new/adapter --to gguf-adapter --out b.gguf
refused "a tied lm_head" '"lm_head": takes lm_head, whose matrix' "$BIN/entrenar-train" config.yaml "${S[@]}" --dry-run --set model.path="$SOURCE/models/stories260K"
refused "other saved modules" "lora.modules_to_save" "$BIN/entrenar-train" new/config.yaml --quiet --resume --set training.max_steps=4 --set lora.modules_to_save=norm
python3 - <<'P'
import json, shutil
for name, saved in ("more", ["lm_head", "norm", "embed_tokens"]), ("fewer", ["norm"]):
    shutil.copytree("new/adapter", name)
    c = json.load(open(name + "/adapter_config.json")); c["modules_to_save"] = saved
    json.dump(c, open(name + "/adapter_config.json", "w"))
P
V="$BIN/entrenar verify"; A="$BIN/entrenar eval --model $M --data ../../llama/train.jsonl --adapter"
refused "a module too few (verify)" "missing tensor base_model.model.model.embed_tokens.weight" $V more
refused "a module too few (eval)" "missing tensor base_model.model.model.embed_tokens.weight" $A more
refused "a module too many (verify)" "base_model.model.lm_head.weight: modules_to_save in adapter_config.json doesn't take it" $V fewer
refused "a module too many (eval)" "unexpected tensor base_model.model.lm_head.weight" $A fewer
cd "$WORK/adapters/patterns" || exit 1
refused "alphas as GGUF adapter" "alpha_pattern" "$BIN/entrenar" export --model ../../llama/model --adapter out/adapter --to gguf-adapter --out a.gguf
python3 - <<'P'
import json
c = json.load(open("again/adapter_config.json")); c["alpha_pattern"] = {}; json.dump(c, open("again/adapter_config.json", "w"))
P
check "ranks as GGUF adapter" "$BIN/entrenar" export --model ../../llama/model --adapter again --to gguf-adapter --out a.gguf
finish
