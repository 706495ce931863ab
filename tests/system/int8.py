"""What tests/system/int8.sh computes. Standard library only.

outliers MODEL COPY            a copy whose norms have 2 % of their channels 30 times larger, and the weights behind them those
                               columns 30 times smaller: the same function, harder to round
gradients ADAPTER FP32 INT8    the cosine of two gradients: what one step of SGD with rate 1 took from the adapter
ways RUN SMOOTHED BF16         how a run's projections are computed, by its checkpoint: at least, at most so many of them"""
import array, glob, json, math, os, random, re, shutil, struct, sys


def load(path):
    with open(path, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        body = f.read()
    meta, out = head.pop("__metadata__", None), {}
    for name, t in head.items():
        assert t["dtype"] == "F32", (path, name, t["dtype"])
        begin, end = t["data_offsets"]
        out[name] = (t["shape"], array.array("f", body[begin:end]))
    return meta, out


def save(path, meta, tensors):
    head, body = {"__metadata__": meta} if meta else {}, b""
    for name, (shape, values) in tensors.items():
        raw = values.tobytes()
        head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + body)


BEHIND = {"input_layernorm": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
          "post_attention_layernorm": ("mlp.gate_proj", "mlp.up_proj")}


def outliers(model, copy, factor=30, share=0.02):
    shutil.copytree(model, copy)
    os.chmod(copy + "/model.safetensors", 0o644)
    meta, t = load(model + "/model.safetensors")
    draw = random.Random(1)
    for layer in range(json.load(open(model + "/config.json"))["num_hidden_layers"]):
        for norm, linears in BEHIND.items():
            w = t[f"model.layers.{layer}.{norm}.weight"][1]
            for j in draw.sample(range(len(w)), max(1, round(len(w) * share))):
                w[j] *= factor
                for linear in linears:
                    (rows, columns), values = t[f"model.layers.{layer}.{linear}.weight"]
                    for i in range(rows):
                        values[i * columns + j] /= factor
    save(copy + "/model.safetensors", meta, t)


def cosine(u, v):
    return sum(x * y for x, y in zip(u, v)) / math.sqrt(sum(x * x for x in u) * sum(x * x for x in v))


def gradients(adapter, *runs, overall="0.995", each="0.95"):
    before = load(adapter + "/adapter_model.safetensors")[1]
    after = [load(run + "/adapter/adapter_model.safetensors")[1] for run in runs]
    g = [{k: [x - y for x, y in zip(before[k][1], a[k][1])] for k in before} for a in after]
    whole = cosine(*(sum((x[k] for k in before), []) for x in g))
    worst, name = min((cosine(g[0][k], g[1][k]), k) for k in before)
    print(f"cosine {whole:.5f}, {worst:.4f} of {name}")
    if not (float(overall) <= whole < 0.999999 and worst >= float(each)):
        sys.exit(f"expected at least {overall} overall and {each} for each tensor, and not the same")


def ways(run, smoothed, bf16):
    decides = json.load(open(glob.glob(run + "/checkpoints/step-*.json")[0]))["decides"]
    text = decides["compute.precision (calibration)"]
    found = re.fullmatch("([0-9]+) plain, ([0-9]+) smoothed, ([0-9]+) in bf16, [0-9a-f]{16}", text)
    print(text)
    if not (found and int(found[2]) >= int(smoothed) and int(found[3]) <= int(bf16)):
        sys.exit(f"{text}: expected at least {smoothed} smoothed, at most {bf16} in bf16")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
