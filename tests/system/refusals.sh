#!/bin/bash
# Bad input: one line on stderr that names the thing, exit 1 or 2, within seconds, and nothing left behind; on several
# ranks too. usage: refusals.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
cp -r "$DATA/oracle/llama" "$WORK/llama"; cd "$WORK/llama" || exit 1
T=$BIN/entrenar-train
refuse() { # what, a word of the message, command...
  local what=$1 word=$2; shift 2; rm -rf bad-out
  timeout 30 "$@" --set training.output_dir=bad-out >/dev/null 2>"$WORK/err"; local code=$?
  if { [ $code = 1 ] || [ $code = 2 ]; } && [ "$(grep -c '^entrenar: ' "$WORK/err")" = 1 ] &&
     grep '^entrenar: ' "$WORK/err" | grep -qF -- "$word" && ! [ -e bad-out ]; then ok "$what: $(grep '^entrenar: ' "$WORK/err")"
  else bad "$what: exit $code, $(ls bad-out 2>/dev/null | tr '\n' ' '): $(head -c 300 "$WORK/err")"; fi
}
refuse "unknown key" learning_rate $T config.yaml --set optimizer.learning_rate=1
refuse "not a number" '"fast"' $T config.yaml --set optimizer.lr=fast
refuse "out of range" optimizer.beta1 $T config.yaml --set optimizer.beta1=1.5
refuse "missing config" nowhere.yaml $T nowhere.yaml
refuse "missing model" nowhere $T config.yaml --set model.path=nowhere
refuse "missing data" nowhere.jsonl $T config.yaml --set data.train=nowhere.jsonl
refuse "missing adapter" nowhere $T config.yaml --set lora.path=nowhere
refuse "unknown target" q_prj $T config.yaml --set lora.path= --set lora.rank=4 --set 'lora.target_modules=[q_prj]'
refuse "layer that isn't there" 9 $T config.yaml --set lora.path= --set lora.rank=4 --set 'lora.layers=[9]'
refuse "quantised without an adapter" quantize.base $T config.yaml --set quantize.base=int8 --set lora=
for p in bf16 int8; do refuse "$p without an adapter" "compute.precision: $p" $T config.yaml --set compute.precision=$p --set lora=; done
refuse "rounded beside an adapter" "quantize.qat: int8" $T config.yaml --set quantize.qat=int8
refuse "rounded, and another base" "quantize.base" $T config.yaml --set quantize.qat=int8 --set lora= --set quantize.base=nf4
for p in bf16 int8; do refuse "rounded, in $p" "compute.precision: fp32, found $p" $T config.yaml --set quantize.qat=int8 --set lora= --set compute.precision=$p; done
refuse "no tokenizer" tokenizer.json sh -c "echo '{\"text\": \"a\"}' >text.jsonl; exec $T config.yaml --set data.train=text.jsonl \"\$@\"" sh
refuse "longer than the model's positions" seq_len $T config.yaml --set data.seq_len=257
echo '{"input_ids": [1, 99999], "labels": [1, 2]}' >far.jsonl
refuse "token outside the vocabulary" 99999 $T config.yaml --set data.train=far.jsonl
echo '{"input_ids": [1, 2' >broken.jsonl; refuse "broken JSON line" broken.jsonl:1 $T config.yaml --set data.train=broken.jsonl
: >empty.jsonl; refuse "empty data" empty.jsonl $T config.yaml --set data.train=empty.jsonl
echo '{"input_ids": [1, 2], "labels": [-100, -100]}' >none.jsonl; refuse "no targets" none.jsonl $T config.yaml --set data.train=none.jsonl
cp -r model cut; head -c 5000 model/model.safetensors >cut/model.safetensors; refuse "truncated safetensors" cut/model.safetensors $T config.yaml --set model.path=cut
cp -r model huge; printf '\377\377\377\377\377\377\377\177{}' >huge/model.safetensors; refuse "hostile header" huge/model.safetensors $T config.yaml --set model.path=huge
cp -r model arch; sed -i 's/"llama"/"mamba"/' arch/config.json; refuse "unsupported architecture" mamba $T config.yaml --set model.path=arch
cp -r model act; sed -i 's/"silu"/"gelu"/' act/config.json; refuse "unsupported activation" hidden_act $T config.yaml --set model.path=act
cp -r model wide; sed -i 's/"intermediate_size": 176/"intermediate_size": 180/' wide/config.json; refuse "another shape" '180]' $T config.yaml --set model.path=wide
cp -r model tied; sed -i 's/"num_hidden_layers": 3/"num_hidden_layers": 4/' tied/config.json; refuse "missing tensors" layers.3 $T config.yaml --set model.path=tied
cp -r model more; sed -i 's/"num_hidden_layers": 3/"num_hidden_layers": 2/' more/config.json; refuse "unexpected tensors" layers.2 $T config.yaml --set model.path=more
cp -r model twice; sed -i 's/"vocab_size"/"mystery_factor": 2.5, "vocab_size"/' twice/config.json; refuse "unknown field of a model" mystery_factor $T config.yaml --set model.path=twice
python3 - model/model.safetensors nan <<'P'
import json, os, shutil, struct, sys
shutil.copytree("model", "nan")
d = bytearray(open(sys.argv[1], "rb").read()); n = struct.unpack("<Q", d[:8])[0]; h = json.loads(d[8:8 + n])
a = 8 + n + h["model.norm.weight"]["data_offsets"][0]; d[a:a + 4] = struct.pack("<f", float("nan"))
open("nan/model.safetensors", "wb").write(d)
P
for n in 0 3; do
  rm -rf bad-out; ranks $n $T config.yaml --quiet --set model.path=nan --set training.output_dir=bad-out >/dev/null 2>"$WORK/err"; code=$?
  [ $code = 1 ] && [ "$(grep -c '^entrenar: .*step 1.*loss is' "$WORK/err")" = 1 ] && ! [ -e bad-out/adapter ] &&
    ok "a loss that is no number, $n ranks: $(grep '^entrenar: ' "$WORK/err")" || bad "a loss that is no number: exit $code, $(cat "$WORK/err")"
done
for n in 2 3; do refuse "unknown key, $n ranks" nonsense mpirun --oversubscribe -n $n $T config.yaml --set nonsense=1; done
refuse "missing model, 3 ranks" nowhere mpirun --oversubscribe -n 3 $T config.yaml --set model.path=nowhere
refuse "comm: self under a launcher" self mpirun --oversubscribe -n 2 $T config.yaml --set distributed.comm=self
$T config.yaml --frobnicate >/dev/null 2>"$WORK/err"; [ $? = 2 ] && ok "unknown option: exit 2" || bad "unknown option"
$T >/dev/null 2>&1; [ $? = 2 ] && ok "no config: exit 2" || bad "no config"
check "a run" $T config.yaml --quiet --set training.output_dir=first --set training.max_steps=1 --set scheduler.warmup_steps=0
$T config.yaml --quiet --overwrite --set training.output_dir=first --set lora.path=first/adapter 2>"$WORK/err" && bad "--overwrite removes its input" ||
  { grep -q 'lora.path' "$WORK/err" && test -e first/adapter/adapter_config.json && ok "--overwrite keeps its input" || bad "--overwrite: $(cat "$WORK/err")"; }
check "--help" sh -c "'$T' --help | grep -q optimizer.lr"
check "--dry-run writes nothing" sh -c "'$T' config.yaml --dry-run --set training.output_dir=dry | grep -q trainable && ! [ -e dry ]"
finish
