"""Judges model folders that `entrenar merge` wrote, number by number, against the methods written down again here, in Python
floats (double): whole tensors, sorted, summed with math.fsum. Also makes models. usage: merge.py COMMAND ARGUMENTS..."""
import json
import math
import os
import random
import shutil
import struct
import sys

CODES = {"F32": ("f", 4), "F16": ("e", 2)}


def read(folder):
    """{name: (dtype, shape, numbers)} of all files of a model or an adapter."""
    tensors, index = {}, os.path.join(folder, "model.safetensors.index.json")
    names = ["model.safetensors", "adapter_model.safetensors"]
    if os.path.exists(index):
        with open(index, encoding="utf-8") as file:
            weight_map = json.load(file)["weight_map"]
        names = sorted(set(weight_map.values()))
    for path in (os.path.join(folder, name) for name in names):
        if not os.path.exists(path):
            continue
        with open(path, "rb") as file:
            data = file.read()
        start = 8 + struct.unpack("<Q", data[:8])[0]
        for name, t in json.loads(data[8:start]).items():
            if name != "__metadata__":
                begin, end = t["data_offsets"]
                tensors[name] = (t["dtype"], t["shape"], numbers(t["dtype"], data[start + begin:start + end]))
    return tensors


def numbers(dtype, data):
    if dtype == "BF16":
        halves = struct.unpack("<%dH" % (len(data) // 2), data)
        data, dtype = struct.pack("<%dI" % len(halves), *(h << 16 for h in halves)), "F32"
    code, size = CODES[dtype]
    return struct.unpack("<%d%s" % (len(data) // size, code), data)


def as_f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def stored(dtype, x):
    """The bits of x, rounded to fp32 and then to the type."""
    if dtype == "F16":
        return struct.unpack("<H", struct.pack("<e", as_f32(x)))[0]
    bits = struct.unpack("<I", struct.pack("<f", x))[0]
    return bits if dtype == "F32" else (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def write(folder, like, tensors):
    """A model folder: `tensors`, and the other files of the folder `like`."""
    header, data = {}, b""
    for name, (dtype, shape, values) in sorted(tensors.items(), key=lambda t: (t[1][0] != "F32", t[0])):
        code = "<%d%s" % (len(values), "I" if dtype == "F32" else "H")
        piece = struct.pack(code, *(stored(dtype, x) for x in values))
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header).encode()
    os.makedirs(folder)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
    for name in ("config.json", "tokenizer.json"):
        if os.path.exists(os.path.join(like, name)):
            shutil.copy(os.path.join(like, name), folder)


def compare(folder, dtype_of, expected):
    """Every number is the expected one to the bit. One in a thousand may be its neighbour, as a sum's own error, however
    small, decides what is halfway; and exactly where neither of `dtype_of` and `expected` has it."""
    got, count, other = read(folder), 0, 0
    assert sorted(got) == sorted(expected), set(got) ^ set(expected)
    for name, (dtype, shape, values) in got.items():
        assert dtype == dtype_of(name), (name, dtype, dtype_of(name))
        assert len(values) == len(expected[name]) == math.prod(shape), name
        for i, (x, y) in enumerate(zip(values, expected[name])):
            count += 1
            a, b = stored(dtype, x), stored(dtype, y)
            if a != b:
                other += 1
                assert abs(a - b) == 1, "%s, number %d: %r, expected %r" % (name, i, x, y)
    assert count > 0 and other * 1000 <= count, "%d of %d numbers are others" % (other, count)
    print("%d numbers, %d of them the neighbour of the expected one" % (count, other))


def fold(folder, model, adapter, dtype=None):
    """W + alpha / r B A; with DoRA each row times its magnitude by its length (PEFT's merge_safe)."""
    base, lora, expected = read(model), read(adapter), {}
    with open(os.path.join(adapter, "adapter_config.json"), encoding="utf-8") as file:
        config = json.load(file)
    r = config["r"]
    scale = config["lora_alpha"] / (math.sqrt(r) if config.get("use_rslora") else r)
    for name, (_, shape, w) in base.items():
        module = "base_model.model." + name[:-len(".weight")]
        expected[name] = w
        if module + ".lora_A.weight" not in lora:
            continue
        a, b = lora.pop(module + ".lora_A.weight")[2], lora.pop(module + ".lora_B.weight")[2]
        rows, columns = shape
        expected[name] = [w[i * columns + j] + scale * math.fsum(b[i * r + k] * a[k * columns + j] for k in range(r))
                          for i in range(rows) for j in range(columns)]
        if config.get("use_dora"):
            m = lora.pop(module + ".lora_magnitude_vector")[2]
            for i in range(rows):
                row = expected[name][i * columns:(i + 1) * columns]
                gain = m[i] / math.sqrt(math.fsum(x * x for x in row))
                expected[name][i * columns:(i + 1) * columns] = [gain * x for x in row]
    assert not lora, sorted(lora)
    compare(folder, lambda name: dtype or base[name][0], expected)


def trimmed(delta, density):
    k = max(1, math.floor(density * len(delta) + 0.5))
    threshold = sorted((as_f32(abs(d)) for d in delta), reverse=True)[k - 1]
    return [d if as_f32(abs(d)) >= threshold else 0.0 for d in delta]


def disjoint(base, deltas, weights):
    """TIES' elected sign and mean."""
    merged = []
    for b, ds in zip(base, zip(*deltas)):
        sign = math.fsum(w * d for w, d in zip(weights, ds))
        members = [(w, d) for w, d in zip(weights, ds) if d * sign > 0]
        merged.append(b + math.fsum(w * d for w, d in members) / sum(w for w, _ in members) if members else b)
    return merged


def slerp(x, y, t):
    lengths = [math.sqrt(math.fsum(a * a for a in v)) for v in (x, y)]
    cosine = math.fsum(a * b for a, b in zip(x, y)) / lengths[0] / lengths[1]
    if abs(cosine) > 0.9995:
        return [(1 - t) * a + t * b for a, b in zip(x, y)]
    angle = math.acos(cosine)
    return [(math.sin((1 - t) * angle) * a + math.sin(t * angle) * b) / math.sin(angle) for a, b in zip(x, y)]


def merge(folder, method, parameter, base, *models):
    """models: DIR:WEIGHT. base: the folder, or that of the first model, whose types are kept."""
    folders, weights = zip(*(m.rsplit(":", 1) for m in models))
    weights, parameter = [float(w) for w in weights], float(parameter)
    first, inputs, expected = read(base), [read(f) for f in folders], {}
    for name, (_, _, b) in first.items():
        xs = [m[name][2] for m in inputs]
        deltas = [[p - q for p, q in zip(x, b)] for x in xs]
        if method == "average":
            expected[name] = [math.fsum(w * x for w, x in zip(weights, row)) / sum(weights) for row in zip(*xs)]
        elif method == "task":
            expected[name] = [p + math.fsum(w * d for w, d in zip(weights, row)) for p, row in zip(b, zip(*deltas))]
        elif method == "ties":
            expected[name] = disjoint(b, [trimmed(d, parameter) for d in deltas], weights)
        else:
            expected[name] = slerp(*xs, parameter)
    compare(folder, lambda name: first[name][0], expected)


def philox(counter, key):
    """Salmon et al. 2011: Philox 4x32-10."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p, q = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = q >> 32 ^ c1 ^ k0, q & 0xFFFFFFFF, p >> 32 ^ c3 ^ k1, p & 0xFFFFFFFF
        k0, k1 = k0 + 0x9E3779B9 & 0xFFFFFFFF, k1 + 0xBB67AE85 & 0xFFFFFFFF
    return c0, c1, c2, c3


def dare(folder, density, seed, base, model):
    """Of one model, number 0 of the merge: number i of tensor n stays if word i % 4 of block i / 4 of the draws is below
    2^32 density; tensors are numbered in the order of the model."""
    density, first, other, expected = float(density), read(base), read(model), {}
    for n, name in enumerate(shapes_of(base)):
        b, x = first[name][2], other[name][2]
        words = (w for block in range(len(b) // 4 + 1) for w in philox((block, 0, 0, 5 | n << 8), (int(seed), 0)))
        expected[name] = [p + (q - p) / density if word < density * 2**32 else p for p, q, word in zip(b, x, words)]
    compare(folder, lambda name: first[name][0], expected)


def drops(folder, base, model):
    """Of several models: what moved, and what did not though a model did."""
    first, other, got = read(base), read(model), read(folder)
    there = [(y != p) for name in first for p, x, y in zip(first[name][2], other[name][2], got[name][2]) if x != p]
    print("%d of %d move" % (sum(there), len(there)))
    assert 0.3 < sum(there) / len(there) < 0.9


def near(folder, model, seed, dtype):
    """A model near another one, in a type of its own: about half of the numbers are moved, by steps that repeat."""
    draw = random.Random(int(seed))
    tensors = {name: (dtype, shape, [x + draw.choice((0, 0, 1, -1, 2, 3)) / 64 for x in values])
               for name, (_, shape, values) in read(model).items()}
    write(folder, model, tensors)


def cast(folder, model, dtype):
    write(folder, model, {name: (dtype, shape, values) for name, (_, shape, values) in read(model).items()})


def change(folder, model, what):
    """A model with a fault."""
    tensors = read(model)
    dtype, shape, values = tensors["model.norm.weight"]
    if what == "missing":
        del tensors["model.norm.weight"]
    elif what == "more":
        tensors["model.extra.weight"] = (dtype, shape, values)
    elif what == "shape":
        tensors["model.norm.weight"] = (dtype, [len(values) // 2], values[:len(values) // 2])
    elif what == "large":
        tensors["model.norm.weight"] = (dtype, shape, (7e4,) + values[1:])
    else:
        tensors["model.norm.weight"] = (dtype, shape, (math.nan,) + values[1:])
    write(folder, model, tensors)


def shapes_of(folder):
    """{name: shape} of a Llama, in the order of the model."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        c = json.load(file)
    hidden, inner, q = c["hidden_size"], c["intermediate_size"], c["num_attention_heads"] * c["head_dim"]
    kv = c["num_key_value_heads"] * c["head_dim"]
    shapes = {"model.embed_tokens.weight": [c["vocab_size"], hidden]}
    for layer in ("model.layers.%d." % i for i in range(c["num_hidden_layers"])):
        shapes[layer + "input_layernorm.weight"] = shapes[layer + "post_attention_layernorm.weight"] = [hidden]
        for name, shape in (("self_attn.q", [q, hidden]), ("self_attn.k", [kv, hidden]), ("self_attn.v", [kv, hidden]),
                            ("self_attn.o", [hidden, q]), ("mlp.gate", [inner, hidden]), ("mlp.up", [inner, hidden]),
                            ("mlp.down", [hidden, inner])):
            shapes[layer + name + "_proj.weight"] = shape
    shapes["model.norm.weight"] = [hidden]
    if not c["tie_word_embeddings"]:
        shapes["lm_head.weight"] = [c["vocab_size"], hidden]
    return shapes


def configure(folder, like, **changes):
    with open(os.path.join(like, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    config.update(changes, num_hidden_layers=1, num_key_value_heads=1, tie_word_embeddings=True)
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)


def huge(folder, vocab, like):
    """A model whose numbers are all zero, its file a hole."""
    configure(folder, like, vocab_size=int(vocab), hidden_size=1024)
    shapes, header, end = shapes_of(folder), {}, 0
    for name, shape in shapes.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + 4 * math.prod(shape)]}
        end += 4 * math.prod(shape)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


def tall(folder, like):
    """Small models with tensors of more than 2^20 numbers, which are written in pieces: FOLDER-vocab one in its
    embedding; FOLDER-heads in q_proj and o_proj, with an adapter of these, FOLDER-adapter."""
    draw = random.Random(5)
    some = lambda shape: ("F32", shape, [draw.uniform(-1, 1) for _ in range(math.prod(shape))])
    for kind, changes in (("vocab", {"vocab_size": 17000}), ("heads", {"num_attention_heads": 1030, "head_dim": 16})):
        configure(folder + "-like", like, **{"vocab_size": 16, "intermediate_size": 8, **changes})
        shapes = shapes_of(folder + "-like")
        write(folder + "-" + kind, folder + "-like", {name: some(shape) for name, shape in shapes.items()})
        shutil.rmtree(folder + "-like")
    tensors = {}
    for name in ("q", "o"):
        name = "model.layers.0.self_attn.%s_proj" % name
        rows, columns = shapes[name + ".weight"]
        tensors["base_model.model." + name + ".lora_A.weight"] = some([2, columns])
        tensors["base_model.model." + name + ".lora_B.weight"] = some([rows, 2])
    write(folder + "-adapter", folder, tensors)
    os.rename(folder + "-adapter/model.safetensors", folder + "-adapter/adapter_model.safetensors")
    with open(folder + "-adapter/adapter_config.json", "w", encoding="utf-8") as file:
        json.dump({"peft_type": "LORA", "r": 2, "lora_alpha": 3, "use_rslora": True,
                   "target_modules": ["q_proj", "o_proj"]}, file)


if __name__ == "__main__":
    {"fold": fold, "merge": merge, "dare": dare, "drops": drops, "near": near, "cast": cast, "change": change,
     "huge": huge, "tall": tall}[sys.argv[1]](*sys.argv[2:])
