#!/bin/bash
# entrenar verify: what is whole passes; damage at sampled bytes of each kind of file is found, with file and tensor named.
# usage: verify.sh BIN SOURCE [SAMPLES [SEED]]
HERE=$(realpath "$(dirname "$0")")
[ -n "${TMPDIR:-}" ] || ! [ -w /dev/shm ] || export TMPDIR=/dev/shm
. "$HERE/lib.sh" "$@"
export PYTHONDONTWRITEBYTECODE=1
BIN=$(realpath "$BIN"); DATA=$(realpath "$DATA"); E=$BIN/entrenar; SEED=${4:-$(date +%s)}
SAMPLES=${3:-$(sanitized && echo 6 || echo 24)}
echo "      seed $SEED"
cp -r "$DATA/oracle/llama" "$WORK/llama"; cd "$WORK/llama" || exit 1
damage() { check "damage: $*" python3 "$HERE/verify.py" "$E" "${@:1:3}" "$SAMPLES" "$((SAMPLES / 6))" "$SEED" "${@:4}"; tail -1 "$WORK/log"; }
holds() { "$E" verify "$1" >"$WORK/log" 2>&1 && grep -qF -- "$2" "$WORK/log" && ok "$1: $2" || bad "$1: expected $2: $(cat "$WORK/log")"; }
lacks() { # PATH PART: exit code 1, with the part on stderr
  "$E" verify "$1" >"$WORK/out" 2>"$WORK/log"; local code=$?
  [ $code = 1 ] && grep -qF -- "$2" "$WORK/log" && ok "$1: $(grep -F -m1 -- "$2" "$WORK/log")" || bad "$1: exit code $code, expected $2: $(cat "$WORK/log")"
}
hurt() { local part=$1; shift; rm -rf hurt; cp -r "$from" hurt; (cd hurt && eval "$*") || bad "$*"; lacks hurt "$part"; } # of $from

# What is whole
T=("$BIN/entrenar-train" config.yaml --quiet --set data.val=train.jsonl --set eval.every=1 --set training.max_steps=3 --set checkpoint.every=1)
lora=(--set lora.path= --set lora.rank=4 --set lora.alpha=8 --set "lora.target_modules=[q_proj,down_proj]" --set "lora.layers=[0,2]")
check "a run" "${T[@]}" "${lora[@]}" --set training.output_dir=run
check "a run with YAML" "${T[@]}" --set training.output_dir=yaml --set checkpoint.metadata=yaml --set optimizer.name=adam
check "a run with all weights" "${T[@]}" --set lora= --set training.output_dir=full
check "a run that is stopped" "${T[@]}" --set training.output_dir=longer --set training.max_steps=2
check "and goes on" "${T[@]}" --set training.output_dir=longer --resume
for run in run yaml full longer; do
  holds $run "$run/checkpoints/latest: names step 3, which is good"
  holds $run "$run/metrics.jsonl: steps 1 to 3 without a gap, 4 evaluations"
done
holds run "run/adapter: the numbers of the checkpoint of step 3"
holds run "run/adapter-best: the numbers of the checkpoint of step"
holds full "full/model: the numbers of the checkpoint of step 3"
holds run/checkpoints "step-00000001.h5: 24 tensors"
holds yaml/checkpoints/step-00000002.h5 "step 2 of 3"
holds model "names and shapes as config.json asks"
cp -r model words; cp "$DATA/tokenizers/spm-512/tokenizer.json" words/
python3 - <<'P'
# A model in two files, with a tokenizer that fits.
import json, pathlib, struct
whole = pathlib.Path("model/model.safetensors").read_bytes()
size = struct.unpack("<Q", whole[:8])[0]
tensors = {k: v for k, v in json.loads(whole[8:8 + size]).items() if k != "__metadata__"}
names = sorted(tensors)
index = {}
folder = pathlib.Path("words"); (folder / "model.safetensors").unlink()
for part, chosen in ("a", names[:20]), ("b", names[20:]):
    header, data = {}, b""
    for n in chosen:
        t = tensors[n]; raw = whole[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]]
        header[n] = {"dtype": t["dtype"], "shape": t["shape"], "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw; index[n] = f"{part}.safetensors"
    text = json.dumps(header).encode(); text += b" " * (-len(text) % 8)
    (folder / f"{part}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
(folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
vocab = json.loads((folder / "config.json").read_text())["vocab_size"]
t = json.loads((folder / "tokenizer.json").read_text())
largest = max(t["model"]["vocab"].values())
pathlib.Path("fits").write_text("yes" if largest < vocab else "no")
P
if [ "$(cat fits)" = yes ]; then holds words "tokenizer.json: loads;"; else lacks words "tokenizer.json: has ids up to"; fi
holds final.safetensors "header, types and offsets"
"$E" verify run --json >"$WORK/json" 2>&1 && python3 -c "import json, sys; j = json.load(open(sys.argv[1])); sys.exit(not (j['good'] and not j['faults'] and len(j['checked']) > 15))" "$WORK/json" && ok "JSON" || bad "JSON: $(cat "$WORK/json")"

# GGUF
for t in f32 q8_0; do "$E" export --model model --to gguf --type $t --out $t.gguf >"$WORK/log" 2>&1 || bad "$(cat "$WORK/log")"; done
holds q8_0.gguf "q8_0.gguf: has the SHA-256 that q8_0.gguf.proof.json says"
holds q8_0.gguf "names and shapes as its keys ask: llama, 3 layers"
holds q8_0.gguf ": all finite"
"$E" export --model model --adapter adapter_init --to gguf-adapter --out adapter.gguf >"$WORK/log" 2>&1 || bad "$(cat "$WORK/log")"
holds adapter.gguf "names and shapes are not compared: adapter.gguf: general.type: expected model"
PYTHONPATH=$HERE python3 - <<'P'
# Damage that the file itself shows: its proof isn't beside it.
import struct
import gguf
def other(name, to, old, new):
    data = open(name, "rb").read()
    assert data.count(old) == 1 and len(old) == len(new), (old, data.count(old))
    open(to, "wb").write(data.replace(old, new))
keys, tensors = gguf.read("f32.gguf")
whole = open("f32.gguf", "rb").read()
at = whole.index(tensors["blk.1.attn_k.weight"][2])
open("nan.gguf", "wb").write(whole[:at + 28] + struct.pack("<f", float("nan")) + whole[at + 32:])
other("f32.gguf", "unknown.gguf", b"blk.0.ffn_gate.weight", b"blk.0.ffn_gatf.weight")
other("f32.gguf", "missing.gguf", b"blk.2.ffn_gate.weight", b"blk.3.ffn_gate.weight")
key, width = b"llama.feed_forward_length\4\0\0\0", keys["llama.feed_forward_length"]
other("f32.gguf", "shape.gguf", key + struct.pack("<I", width), key + struct.pack("<I", width + 1))
keys, tensors = gguf.read("q8_0.gguf")
whole = open("q8_0.gguf", "rb").read()
at = whole.index(tensors["blk.2.ffn_up.weight"][2])
open("scale.gguf", "wb").write(whole[:at + 34] + b"\0\x7c" + whole[at + 36:])
open("short.gguf", "wb").write(whole[:-40])
P
lacks nan.gguf "nan.gguf: blk.1.attn_k.weight: 1 number is not finite: the first is nan, number 7"
lacks scale.gguf "scale.gguf: blk.2.ffn_up.weight: "
grep -q "not finite: the first is .*, number 3[2-9]" "$WORK/log" && ok "in its second block" || bad "$(cat "$WORK/log")"
lacks unknown.gguf "unknown.gguf: unexpected tensor blk.0.ffn_gatf.weight"
lacks missing.gguf "missing.gguf: unexpected tensor model.layers.3.mlp.gate_proj.weight"
lacks shape.gguf "expected ["
lacks short.gguf "short.gguf: "
mkdir g; mv q8_0.gguf q8_0.gguf.proof.json g/; damage g q8_0.gguf q8_0.gguf file
printf 'GGUF\3\0\0\0' >y.bin; lacks y.bin "y.bin: byte 8: "

# Bytes of every kind of file
damage run checkpoints/step-00000002.h5 . tensor
damage full checkpoints/step-00000003.h5 checkpoints tensor
damage run checkpoints/step-00000003.json checkpoints/step-00000003.h5 file
damage yaml checkpoints/step-00000002.yaml . any
damage run adapter/adapter_model.safetensors . any
damage run checkpoints/latest . any # the name of a step may become another one that is there
damage run metrics.jsonl . any
damage run config.yaml . any
damage run adapter/adapter_config.json . any
damage full model/config.json . any
damage words model.safetensors.index.json . found # the name of a file may become another's
damage words tokenizer.json . any
damage words a.safetensors . any
damage adapter_init adapter_model.safetensors adapter_model.safetensors any
# The numbers of what a run has written are those of its checkpoint: any change is found, and its tensor
cat >data.py <<'P'
import pathlib, random, struct, subprocess, sys, json
entrenar, path, seed = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
whole = path.read_bytes(); size = struct.unpack("<Q", whole[:8])[0]; draw = random.Random(seed)
tensors = [(n, t) for n, t in json.loads(whole[8:8 + size]).items() if n != "__metadata__"]
try:
    for n, t in draw.sample(tensors, min(8, len(tensors))):
        at = 8 + size + draw.randrange(*t["data_offsets"])
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << draw.randrange(8)]) + whole[at + 1:])
        done = subprocess.run([entrenar, "verify", sys.argv[4]], capture_output=True, text=True)
        assert done.returncode == 1 and n in done.stderr and path.name in done.stderr, (n, at, done.stderr)
finally:
    path.write_bytes(whole)
P
for f in run/adapter/adapter_model run/adapter-best/adapter_model full/model/model; do check "$f: numbers" python3 data.py "$E" $f.safetensors "$SEED" ${f%%/*}; done

# What is well formed, and isn't right
from=run
A=base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight
for f in checkpoints/step-00000003.json checkpoints/step-00000003.h5 config.yaml metrics.jsonl adapter/adapter_config.json adapter/adapter_model.safetensors checkpoints/latest; do hurt "" rm $f; done
hurt "latest: expected the name of a checkpoint that is there, found \"step-00000009\"" echo step-00000009 \>checkpoints/latest
hurt "latest: names step-00000003, which is damaged" truncate -s -1 checkpoints/step-00000003.h5
check "another run" "${T[@]}" "${lora[@]}" --set training.output_dir=another --set optimizer.lr=0.001
hurt "/params/$A has SHA-256" cp ../another/checkpoints/step-00000003.h5 checkpoints
hurt "config_hash: is" cp ../another/checkpoints/step-00000003.h5 checkpoints
hurt "datasets: has no /params/" cp ../yaml/checkpoints/step-00000003.h5 checkpoints
hurt "step: expected 3, found 2" "cd checkpoints; cp step-00000002.h5 step-00000003.h5; cp step-00000002.json step-00000003.json"
hurt "metrics.jsonl:4: step: expected 2, found 3" "sed -i '/\"step\": 2, \"epoch\"/d; /\"step\": 2, \"val/d' metrics.jsonl"
hurt "metrics.jsonl: ends with step 2, there is a checkpoint of step 3" "sed -i '/\"step\": 3/d' metrics.jsonl"
hurt "the checkpoint's metadata says" "sed -i 's/\(\"step\": 3, .*\"loss\": \)./\19/' metrics.jsonl"
hurt "expected rank 4, alpha 8" "sed -i 's/\"lora_alpha\": 8/\"lora_alpha\": 9/' adapter/adapter_config.json"
hurt "r, 5 in adapter_config.json" "sed -i 's/\"r\": 4/\"r\": 5/' adapter/adapter_config.json"
hurt "layers_to_transform in adapter_config.json has no layer 2" "sed -i -z 's/\"layers_to_transform\": \[[^]]*\]/\"layers_to_transform\": [0]/' adapter/adapter_config.json"
hurt "missing tensor base_model.model.model.layers.1" "sed -i -z 's/\"layers_to_transform\": \[[^]]*\]/\"layers_to_transform\": null/' adapter/adapter_config.json"
hurt "target_modules in adapter_config.json has no q_proj" "sed -i 's/\"q_proj\"/\"k_proj\"/' adapter/adapter_config.json"
hurt "is not what" "cp checkpoints/step-00000003.h5 x; python3 -c \"
import struct; p = 'adapter/adapter_model.safetensors'; w = bytearray(open(p, 'rb').read()); w[-3] ^= 1; open(p, 'wb').write(w)\""
hurt "number 0" "python3 -c \"
import json, struct; p = 'adapter/adapter_model.safetensors'; w = bytearray(open(p, 'rb').read()); n = struct.unpack('<Q', w[:8])[0]
at = 8 + n + json.loads(w[8:8 + n])['$A']['data_offsets'][0]; w[at:at + 4] = struct.pack('<f', float('nan')); open(p, 'wb').write(w)\""
grep -q "$A: 1 number is not finite: the first is -\?nan, number 0" "$WORK/log" && ok "and the tensor is named" || bad "$(cat "$WORK/log")"
from=words
hurt "weight_map: " "sed -i 's/a.safetensors/b.safetensors/' model.safetensors.index.json"
hurt "No such file" rm b.safetensors
hurt "unexpected tensor" "sed -i 's/\"num_hidden_layers\": 3/\"num_hidden_layers\": 2/' config.json"
hurt "expected [" "sed -i 's/\"intermediate_size\": 176/\"intermediate_size\": 177/' config.json"
hurt "tokenizer.json" truncate -s -100 tokenizer.json
"$E" verify >"$WORK/log" 2>&1; [ $? = 2 ] && ok "usage" || bad "usage"
lacks nowhere "entrenar: nowhere: No such file or directory"
finish
