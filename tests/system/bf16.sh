#!/bin/bash
# compute.precision: bf16: near fp32, one answer for any ranks and threads, kill and resume, models stored as f32, f16, bf16;
# the converted weights are made once and made anew where they are damaged. usage: bf16.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
T=$BIN/entrenar-train; BF=(--set compute.precision=bf16)
COMPARE=$SOURCE/tests/system/compare_oracle.py
# Against PyTorch in fp32, over 20 steps. A rounded factor is off by 2^-8 at most: the loss, a mean over tokens, by half
# of that; a gradient by about 0.016 of its length (tests/test_decoder.c), most of it at right angles, so its norm by half of
# that; AdamW divides by the gradient's own size, so the update is off by as much as the gradients: three times that.
for name in llama qwen2 qwen3; do
  cp -r "$DATA/oracle/$name" "$WORK/$name"
  check "$name trains" "$T" "$WORK/$name/config.yaml" --quiet "${BF[@]}"
  check "$name is near PEFT's fp32" python3 "$COMPARE" "$WORK/$name/out" "$DATA/oracle/$name" --loss 2e-3 --norm 8e-3 --update 5e-2
  python3 "$COMPARE" "$WORK/$name/out" "$DATA/oracle/$name" >"$WORK/log" && bad "$name: bf16 is fp32" || ok "$name: it is not fp32: $(sed 's/.*| //' "$WORK/log")"
done
S=$DATA/oracle/stories260K-shakespeare
check "stories260K trains" "$T" "$S/config.yaml" --quiet --set model.path="$SOURCE/models/stories260K" "${BF[@]}" --set training.output_dir="$WORK/stories"
check "stories260K: validation losses within 0.1 % of fp32" python3 - "$WORK/stories/metrics.jsonl" "$S/expected.json" <<'P'
import json, sys
evals = [r for r in map(json.loads, open(sys.argv[1])) if "val_loss" in r]
want = json.load(open(sys.argv[2]))
for got, key in zip(evals, ("val_loss_before", "val_loss_after"), strict=True):
    assert abs(got["val_loss"] - want[key]) < 1e-3 * want[key], (key, got["val_loss"], want[key])
P

cd "$WORK/llama" || exit 1
run() { # folder, ranks, threads, options...
  local out=$1 n=$2 t=$3; shift 3
  ranks "$n" "$T" config.yaml --quiet "${BF[@]}" --set training.output_dir="$out" --set compute.threads="$t" "$@"
}
same() { # what, folder, folder
  check "$1: checkpoint" cmp "$(newest "$2")" "$(newest "$3")"
  check "$1: adapter" cmp "$2/adapter/adapter_model.safetensors" "$3/adapter/adapter_model.safetensors"
  check "$1: losses" sh -c "cut -d, -f1-6 '$2'/metrics.jsonl >a; cut -d, -f1-6 '$3'/metrics.jsonl >b; cmp a b"
}
for world in "${WORLDS[@]}"; do
  read -r n t <<<"$world"
  check "$n ranks, $t threads" run "out-$n-$t" "$n" "$t"
  same "$n ranks, $t threads" out "out-$n-$t"
done
OTHER=(--set data.packing=true --set data.shuffle=true --set data.seq_len=96 --set training.max_steps=6 --set training.batch_size=5
  --set lora.path= --set lora.rank=4 --set lora.dropout=0.3 --set lora.target_modules=all-linear)
check "packed: reference" run packed 0 1 "${OTHER[@]}"
check "packed: 3 ranks, 2 threads" run packed-3 3 2 "${OTHER[@]}"
same "packed: 3 ranks, 2 threads" packed packed-3

# Stopped and gone on with; killed at an instant that nobody chose.
C=(--set checkpoint.every=2 --set scheduler.name=constant --set scheduler.min_lr=)
check "undisturbed" run calm 0 1 "${C[@]}"
check "first 10 steps" run stopped 2 1 "${C[@]}" --set training.max_steps=10
check "the rest" run stopped 3 2 "${C[@]}" --resume
same "stopped" calm stopped
"$T" config.yaml --quiet "${BF[@]}" --set training.output_dir=killed "${C[@]}" >/dev/null 2>&1 & pid=$!
while kill -0 $pid 2>/dev/null && [ ! -e killed/checkpoints/latest ]; do sleep 0.01; done
kill -KILL $pid 2>/dev/null; wait $pid 2>/dev/null; code=$?
[ $code = 137 ] && ok "killed" || ok "was done before it was killed"
check "killed: the rest" run killed 2 1 "${C[@]}" --resume
same "killed" calm killed
"$T" config.yaml --quiet --set training.output_dir=stopped "${C[@]}" --resume >"$WORK/log" 2>&1 && bad "another precision resumes" ||
  { grep -q compute.precision "$WORK/log" && ok "another precision is refused: $(tail -1 "$WORK/log")" || bad "another precision: $(cat "$WORK/log")"; }

# The converted weights.
cache() { ls "$1"/cache/weights-*; }
[ "$(cache stopped | wc -l)" = 1 ] && ok "one file of weights" || bad "files of weights: $(cache stopped)"
made=$(stat -c '%i %Y' "$(cache calm)")
check "used again" run calm 2 1 "${C[@]}" --resume
[ "$(stat -c '%i %Y' "$(cache calm)")" = "$made" ] && ok "not made again" || bad "made again"
f=$(cache calm); cp "$f" whole; printf '\377\377' | dd of="$f" bs=1 seek=$(($(stat -c %s "$f") / 2)) conv=notrunc 2>/dev/null
ranks 2 "$T" config.yaml "${BF[@]}" --set training.output_dir=calm "${C[@]}" --resume >"$WORK/log" 2>&1
grep -q 'weights-.*damaged, made anew' "$WORK/log" && ok "a damaged one is told" || bad "a damaged one is not told: $(cat "$WORK/log")"
check "and made anew" cmp whole "$(cache calm)"
check "--dry-run writes nothing" sh -c "'$T' config.yaml --dry-run ${BF[*]} --set training.output_dir=dry | grep -q 'bf16' && ! [ -e dry ]"

# The same weights in other storage types: what is rounded to bf16 beforehand gives the bits of what is rounded here.
python3 - <<'P'
import array, json, shutil, struct
d = open("model/model.safetensors", "rb").read()
n = struct.unpack("<Q", d[:8])[0]
head = json.loads(d[8:8 + n])
head.pop("__metadata__", None)
def f32(t):
    a, b = t["data_offsets"]
    return array.array("f", d[8 + n + a:8 + n + b])
def bf16(values): # to the nearest, ties to even
    out = array.array("H")
    for u in array.array("I", values.tobytes()):
        out.append((u + 0x7fff + (u >> 16 & 1)) >> 16)
    return out.tobytes()
def write(folder, kind):
    shutil.copytree("model", folder)
    new, body = {}, b""
    for name, t in sorted(head.items(), key=lambda x: len(x[1]["shape"]) > 1 and kind(x[0]) != "F32"):
        v = f32(t)
        k = kind(name) if len(t["shape"]) == 2 else "F32"
        if k == "F16":
            raw = struct.pack(f"<{len(v)}e", *v)
        elif k == "F16 as F32":
            raw = array.array("f", struct.unpack(f"<{len(v)}e", struct.pack(f"<{len(v)}e", *v))).tobytes()
        else:
            raw = bf16(v) if k == "BF16" else v.tobytes()
        new[name] = {"dtype": k[-3:] if k != "BF16" else k, "shape": t["shape"], "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    h = json.dumps(new).encode()
    h += b" " * (-len(h) % 8)
    open(folder + "/model.safetensors", "wb").write(struct.pack("<Q", len(h)) + h + body)
write("m-bf16", lambda name: "F32" if "embed" in name else "BF16")
write("m-f16", lambda name: "F32" if "embed" in name else "F16")
write("m-f16-f32", lambda name: "F32" if "embed" in name else "F16 as F32")
P
for m in bf16 f16 f16-f32; do check "a model of $m" run "on-$m" 2 1 --set model.path="m-$m"; done
check "bf16: the bits of f32 that is converted" cmp on-bf16/adapter/adapter_model.safetensors out/adapter/adapter_model.safetensors
[ -z "$(cache on-bf16 2>/dev/null)" ] && ok "bf16: used as it is" || bad "bf16: $(cache on-bf16)"
check "f16: the bits of the same numbers as f32" cmp on-f16/adapter/adapter_model.safetensors on-f16-f32/adapter/adapter_model.safetensors
cmp -s on-f16/adapter/adapter_model.safetensors out/adapter/adapter_model.safetensors && bad "f16 rounds nothing" || ok "f16 is another model"
finish
