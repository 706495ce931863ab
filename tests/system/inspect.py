"""Compares what `entrenar inspect` says with what other readers say: h5dump for checkpoints, struct for safetensors,
gguf.py for GGUF.

usage: inspect.py ENTRENAR make FOLDER | numbers PATH | tensor PATH NAME | checkpoint FILE | differ FOLDER | large FOLDER |
                            gguf FILE | gguf-diff FILE MODEL | gguf-keys FILE | wide MODEL FROM
"""
import hashlib
import json
import math
import pathlib
import random
import resource
import struct
import subprocess
import sys

import gguf

ENTRENAR = sys.argv[1]
SIZES = {"F32": 4, "BF16": 2, "F16": 2, "F64": 8, "I8": 1, "U8": 1, "BOOL": 1, "I16": 2, "I32": 4, "I64": 8, "U16": 2,
         "F8_E5M2": 1, "C64": 8}
FORMATS = {"F32": "f", "F16": "e", "F64": "d", "I8": "b", "U8": "B", "BOOL": "B", "I16": "h", "I32": "i", "I64": "q", "U16": "H"}


def run(*arguments, code=0):
    done = subprocess.run([ENTRENAR, "inspect", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == code, f"{arguments}: exit code {done.returncode}: {done.stderr}"
    return done.stdout


def decode(dtype, data):
    n = len(data) // SIZES[dtype]
    if dtype == "BF16":
        return [struct.unpack("<f", b"\0\0" + data[2 * i:2 * i + 2])[0] for i in range(n)]
    if dtype == "F8_E5M2":
        return [struct.unpack("<e", b"\0" + data[i:i + 1])[0] for i in range(n)]
    return None if dtype == "C64" else list(struct.unpack(f"<{n}{FORMATS[dtype]}", data))


def read(path):
    """{name: (dtype, shape, bytes)} of a file, or of all files in a folder."""
    out = {}
    for file in sorted(path.glob("*.safetensors")) if path.is_dir() else [path]:
        whole = file.read_bytes()
        size = struct.unpack("<Q", whole[:8])[0]
        for name, t in json.loads(whole[8:8 + size]).items():
            if name != "__metadata__":
                begin, end = t["data_offsets"]
                out[name] = t["dtype"], t["shape"], whole[8 + size + begin:8 + size + end]
    return out


def write(path, tensors, pad=0):
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode() + b" " * pad
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(t[2] for t in tensors.values()))


def close(a, b, what):
    assert a is not None and abs(a - b) <= 1e-12 * abs(b), f"{what}: expected {b}, found {a}"


def norm(x):
    return math.sqrt(math.fsum(v * v for v in x))


def check_listing(path):
    said = json.loads(run("--json", path))
    expected = read(pathlib.Path(path))
    assert [t["name"] for t in said["tensors"]] == sorted(expected)
    for t in said["tensors"]:
        dtype, shape, data = expected[t["name"]]
        assert (t["dtype"], t["shape"], t["bytes"]) == (dtype, shape, len(data)), t
        x = decode(dtype, data)
        if x is None:
            assert "norm" not in t, t
        elif all(map(math.isfinite, x)):
            close(t["norm"], norm(x), t["name"])
        else:
            assert t["norm"] is None, t
    assert said["total"]["bytes"] == sum(len(t[2]) for t in expected.values())
    run(path)


def check_tensor(path, name):
    said = json.loads(run("--json", path, "--tensor", name))
    dtype, shape, data = read(pathlib.Path(path))[name]
    x = decode(dtype, data)
    finite = sorted(v for v in x if math.isfinite(v))
    counts = {"numbers": len(x), "nan": sum(v != v for v in x), "plus_inf": sum(v == math.inf for v in x),
              "minus_inf": sum(v == -math.inf for v in x), "zeros": sum(v == 0 for v in x)}
    for key, value in counts.items():
        assert said[key] == value, f"{name}: {key}: expected {value}, found {said[key]}"
    if not finite:
        assert said["mean"] is None and said["histogram"] is None
        return
    mean = math.fsum(finite) / len(finite)
    assert said["min"] == finite[0] and said["max"] == finite[-1]
    assert abs(said["mean"] - mean) <= 1e-12 * max(map(abs, finite))
    close(said["std"], math.sqrt(math.fsum((v - mean) ** 2 for v in finite) / len(finite)), "std")
    close(said["norm"], norm(finite), "norm")
    for q in said["quantiles"]:
        at = min(len(finite), max(1, math.ceil(q["share"] * len(finite)))) - 1
        assert q["value"] == finite[at], f"{name}: {q}: expected {finite[at]}"
    h, bins = said["histogram"], len(said["histogram"]["counts"])
    expected = [0] * bins
    for v in finite:
        expected[min(bins - 1, int((v - finite[0]) / (finite[-1] - finite[0]) * bins)) if bins > 1 else 0] += 1
    off = sum(abs(a - b) for a, b in zip(h["counts"], expected)) # a number at an edge may be rounded over it
    assert sum(h["counts"]) == len(finite) and off <= 4, (h["counts"], expected)
    text = run(path, "--tensor", name)
    assert sum(line.endswith(f"| {c}") for line, c in zip(text.splitlines()[-bins:], h["counts"])) == bins, text


def check_checkpoint(file):
    said = json.loads(run("--json", file))
    assert said["tensors"]
    for t in said["tensors"]:
        subprocess.run(["h5dump", "-d", "/" + t["name"], "-b", "LE", "-o", "dump.bin", file], check=True,
                       stdout=subprocess.DEVNULL)
        data = pathlib.Path("dump.bin").read_bytes()
        assert len(data) == t["bytes"] and t["dtype"] == "F32"
        close(t["norm"], norm(decode("F32", data)), t["name"])
    listed = subprocess.run(["h5ls", "-r", file], check=True, capture_output=True, text=True).stdout
    shapes = {line.split()[0][1:]: line[line.index("{") + 1:-1].split(", ") for line in listed.splitlines() if "Dataset" in line}
    assert {t["name"]: list(map(str, t["shape"])) for t in said["tensors"]} == shapes


def make(folder):
    """Files of every type; data that stands at odd places; a model in two files."""
    folder.mkdir()
    floats = [math.sin(i) * 10 ** (i % 7 - 5) for i in range(40000)] + [0.0, -0.0]
    f32 = struct.pack(f"<{len(floats)}f", *floats)
    bf16 = b"".join(f32[4 * i + 2:4 * i + 4] for i in range(len(floats)))
    tensors = {
        "f32": ("F32", [2, 20001], f32), "bf16": ("BF16", [40002], bf16),
        "f16": ("F16", [len(floats)], struct.pack(f"<{len(floats)}e", *floats)),
        "f64": ("F64", [1, len(floats)], struct.pack(f"<{len(floats)}d", *(v / 3 for v in floats))),
        "i8": ("I8", [256], bytes(range(256))), "u8": ("U8", [4, 64], bytes(range(256))),
        "bool": ("BOOL", [5], b"\0\1\1\0\1"), "i16": ("I16", [3], struct.pack("<3h", -5, 0, 30000)),
        "i32": ("I32", [3], struct.pack("<3i", -5, 0, 2 ** 31 - 1)), "i64": ("I64", [2], struct.pack("<2q", -2 ** 40, 7)),
        "f8": ("F8_E5M2", [252], bytes(i for i in range(256) if i & 0x7f not in (0x7d, 0x7e))), "c64": ("C64", [1], bytes(8)),
        "odd": ("F32", [5], struct.pack("<5f", 1, math.nan, math.inf, -math.inf, 2)),
        "none": ("F32", [2], struct.pack("<2f", math.nan, math.inf)), "empty": ("F32", [0, 3], b""),
        "scalar": ("F32", [], struct.pack("<f", 3)), "same": ("F32", [3], struct.pack("<3f", 2.5, 2.5, 2.5)),
    }
    write(folder / "all.safetensors", tensors)
    write(folder / "odd.safetensors", tensors, pad=1 if (8 + len(json.dumps({}))) % 2 else 2)
    for pad in range(4):
        write(folder / f"pad{pad}.safetensors", {"x": tensors["f32"]}, pad)


def check_differ(folder):
    x = [math.sin(i) for i in range(30000)]
    pack = lambda v: struct.pack(f"<{len(v)}f", *v)
    base = {"a": ("F32", [300, 100], pack(x)), "b": ("F32", [30000], pack(x)), "n": ("F32", [1], pack([math.nan]))}
    x32 = decode("F32", pack(x))
    other = list(x32)
    other[17], other[29999] = other[17] + 0.5, other[29999] * 2
    o32 = decode("F32", pack(other))
    write(folder / "base.safetensors", base)
    cases = {
        "equal": (dict(base), None),
        "numbers": ({**base, "b": ("F32", [30000], pack(o32))}, None),
        "only": ({k: v for k, v in {**base, "z": base["a"]}.items() if k != "b"}, None),
        "shape": ({**base, "a": ("F32", [100, 300], pack(x))}, None),
        "type": ({**base, "a": ("BF16", [300, 100], b"".join(pack([v])[2:] for v in x))}, None),
        "zero": ({**base, "a": ("F32", [300, 100], pack([-0.0] + x[1:]))}, None),
        "nan": ({**base, "a": ("F32", [300, 100], pack(x[:-1] + [math.nan]))}, None),
    }
    a = folder / "base.safetensors"
    for name, (tensors, _) in cases.items():
        b = folder / f"{name}.safetensors"
        write(b, tensors)
        code = 0 if name == "equal" else 1
        said = json.loads(run("--json", "--diff", a, b, code=code))
        text = run(a, "--diff", b, code=code)
        assert said["differ"] == (code == 1)
        t = said["tensors"][0] if said["tensors"] else None
        assert len(said["tensors"]) == (0 if name in ("equal", "only") else 1), said
        if name == "numbers":
            differences = [abs(p - q) for p, q in zip(x32, o32)]
            relative = max(d / max(abs(p), abs(q)) for d, p, q in zip(differences, x32, o32) if d)
            assert t["name"] == "b" and t["differing"] == 2 and t["at"] == 17, t
            close(t["max_abs"], max(differences), "max_abs")
            close(t["max_rel"], relative, "max_rel")
            assert "b " in text and "1 of 3 tensors" in text
        if name == "only":
            assert said["only_a"] == ["b"] and said["only_b"] == ["z"] and said["compared"] == 2
            assert f"only in {a}: b\n" in text
        if name == "shape":
            assert t["shape_a"] == [300, 100] and t["shape_b"] == [100, 300] and "max_abs" not in t
        if name == "type":
            rounded = decode("BF16", tensors["a"][2])
            assert t["dtype_b"] == "BF16"
            close(t["max_abs"], max(abs(p - q) for p, q in zip(x32, rounded)), "max_abs")
            assert t["differing"] == sum(p != q for p, q in zip(x32, rounded))
        if name == "zero":
            assert t["differing"] == (x32[0] == 0) and t["max_abs"] == 0 and t["at"] == 0, t
        if name == "nan":
            assert t["differing"] == 1 and t["max_abs"] is None and t["at"] == 29999, t


def check_large(folder):
    """512 MiB of holes, data at odd places: what is held in memory is a small part of it."""
    header = json.dumps({"x": {"dtype": "BF16", "shape": [2 ** 18, 2 ** 10], "data_offsets": [0, 2 ** 29]}}).encode()
    header += b" " * (1 - len(header) % 2)
    for name in "large", "other":
        with open(folder / f"{name}.safetensors", "wb") as f:
            f.write(struct.pack("<Q", len(header)) + header)
            f.truncate(8 + len(header) + 2 ** 29)
    large, other = folder / "large.safetensors", folder / "other.safetensors"
    with open(folder / "large.gguf", "wb") as f:
        head = b"GGUF" + struct.pack("<IQQQ", 3, 1, 0, 1) + b"x" + struct.pack("<IQQIQ", 2, 2 ** 10, 2 ** 18, 1, 0)
        f.write(head)
        f.truncate(-(-len(head) // 32) * 32 + 2 ** 29)
    gguf_file = folder / "large.gguf"
    for arguments in (["inspect", large], ["inspect", large, "--tensor", "x"], ["inspect", "--diff", large, other], ["verify", large],
                      ["inspect", gguf_file], ["verify", gguf_file]):
        subprocess.run([ENTRENAR, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"peak {peak} MiB")
    assert peak < 180, f"peak {peak} MiB"


def shown(value):
    """A key's value as the settings have it: long lists by their bytes."""
    if isinstance(value, list) and len(value) > 16:
        if isinstance(value[0], str):
            data = b"".join(struct.pack("<Q", len(v.encode())) + v.encode() for v in value)
        else:
            data = struct.pack(f"<{len(value)}{'f' if isinstance(value[0], float) else 'i'}", *value)
        return {"elements": len(value), "sha256": hashlib.sha256(data).hexdigest()}
    return value


def single(x):
    return struct.unpack(f"<{len(x)}f", struct.pack(f"<{len(x)}f", *x))


def check_gguf(path):
    keys, tensors = gguf.read(path)
    said = json.loads(run("--json", path))
    assert said["kind"] == "gguf" and said["settings"] == {k: shown(v) for k, v in keys.items()}, said["settings"]
    assert [t["name"] for t in said["tensors"]] == list(tensors)
    for t in said["tensors"]:
        label, shape, data = tensors[t["name"]]
        assert (t["dtype"], t["shape"], t["bytes"]) == (label, shape, len(data)), t
        x = single(gguf.numbers(label, data)[0])
        close(t["norm"], norm(x), t["name"])
    assert said["total"]["numbers"] == sum(math.prod(t["shape"]) for t in said["tensors"])
    text = run(path)
    assert all(f"  {k} " in text for k in keys) and all(f"\n{name} " in text for name in tensors)
    for name in "token_embd.weight", "blk.0.attn_q.weight", "blk.1.ffn_norm.weight":
        label, shape, data = tensors[name]
        x = single(gguf.numbers(label, data)[0])
        one = json.loads(run("--json", path, "--tensor", name))
        assert (one["dtype"], one["min"], one["max"], one["numbers"]) == (label, min(x), max(x), len(x)), one
        assert one["quantiles"][3]["value"] == sorted(x)[math.ceil(len(x) / 2) - 1]


def check_gguf_diff(path, model):
    """Under the names and in the order of rows of the model's folder, which is F32."""
    keys, tensors = gguf.read(path)
    config = json.loads(pathlib.Path(model, "config.json").read_text())
    heads = {"q": config["num_attention_heads"], "k": config["num_key_value_heads"]}
    expected = {}
    for hf, (shape, x) in gguf.read_safetensors(pathlib.Path(model, "model.safetensors")).items():
        label, found, data = tensors[gguf.gguf_name(hf)]
        part = gguf.re.search(r"self_attn\.([qk])_proj\.", hf) if keys["general.architecture"] == "llama" else None
        assert found == shape
        y = single(gguf.numbers(label, data)[0])
        x = gguf.reordered(list(x), heads[part.group(1)], shape[1] if len(shape) > 1 else 1) if part else x
        d = [abs(p - q) for p, q in zip(x, y)]
        if label != "F32" or any(d):
            expected[hf] = label, sum(v > 0 for v in d), max(d)
    for order in (path, model), (model, path):
        said = json.loads(run("--json", "--diff", *order, code=1 if expected else 0))
        assert said["differ"] == bool(expected) and not said["only_a"] and not said["only_b"], said
        assert {t["name"]: (t["dtype_b" if order[1] == path else "dtype_a"], t["differing"], t["max_abs"]) for t in said["tensors"]} == expected
    print(len(expected))


def check_gguf_keys(path):
    """Values of every type that a key may have."""
    text = lambda b: struct.pack("<Q", len(b)) + b
    cases = [(0, "B", 200), (1, "b", -3), (2, "H", 60000), (3, "h", -30000), (4, "I", 2 ** 32 - 1), (5, "i", -2 ** 31),
             (6, "f", 0.375), (7, "?", True), (10, "Q", 2 ** 53), (11, "q", -2 ** 53), (12, "d", 1 / 3)]
    keys = [(f"one.{k}", k, struct.pack("<" + f, v), v) for k, f, v in cases]
    keys += [(f"two.{k}", 9, struct.pack("<IQ", k, 2) + 2 * struct.pack("<" + f, v), [v, v]) for k, f, v in cases]
    keys += [("u64", 10, struct.pack("<Q", 2 ** 64 - 1), str(2 ** 64 - 1)), ("i64", 11, struct.pack("<q", -2 ** 62), str(-2 ** 62)),
             ("text", 8, text("\u00e4\n".encode()), "\u00e4\n"), ("none", 9, struct.pack("<IQ", 4, 0), []), ("empty", 8, text(b""), ""),
             ("texts", 9, struct.pack("<IQ", 8, 2) + text(b"a") + text(b"bc"), ["a", "bc"])]
    for name, raw in ("zero", b"a\0b"), ("latin", b"\xe4"):
        keys.append((name, 8, text(raw), {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}))
    data = bytes(range(17))
    keys += [("sixteen", 9, struct.pack("<IQ", 0, 16) + data[:16], list(data[:16])),
             ("seventeen", 9, struct.pack("<IQ", 0, 17) + data, {"elements": 17, "sha256": hashlib.sha256(data).hexdigest()})]
    many = b"".join(text(b"t%d" % i) for i in range(40))
    keys.append(("many", 9, struct.pack("<IQ", 8, 40) + many, {"elements": 40, "sha256": hashlib.sha256(many).hexdigest()}))
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(keys)) + b"".join(text(n.encode()) + struct.pack("<I", k) + raw for n, k, raw, _ in keys)
    head += text(b"x") + struct.pack("<IQIQ", 1, 3, 0, 0)
    pathlib.Path(path).write_bytes(head + bytes(-len(head) % 32) + struct.pack("<3f", 3, 0, 4))
    said = json.loads(run("--json", path))
    for name, _, _, value in keys:
        assert said["settings"][name] == value, (name, value, said["settings"][name])
    assert said["tensors"] == [{"name": "x", "dtype": "F32", "shape": [3], "bytes": 12, "norm": 5.0}]


def make_wide(folder, source):
    """A model whose q_proj and k_proj are read in several stretches, that begin within rows."""
    folder = pathlib.Path(folder)
    folder.mkdir()
    config = json.loads(pathlib.Path(source, "config.json").read_text())
    config.pop("head_dim", None)
    config.update(hidden_size=192, intermediate_size=64, num_hidden_layers=1, num_attention_heads=6, num_key_value_heads=3, vocab_size=64,
                  tie_word_embeddings=True)
    (folder / "config.json").write_text(json.dumps(config))
    layer = {"self_attn.q_proj": [192, 192], "self_attn.k_proj": [96, 192], "self_attn.v_proj": [96, 192], "self_attn.o_proj": [192, 192],
             "mlp.gate_proj": [64, 192], "mlp.up_proj": [64, 192], "mlp.down_proj": [192, 64], "input_layernorm": [192],
             "post_attention_layernorm": [192]}
    shapes = {"model.embed_tokens.weight": [64, 192], "model.norm.weight": [192]}
    shapes.update({f"model.layers.0.{n}.weight": s for n, s in layer.items()})
    draw, tensors = random.Random(5), {}
    for name, shape in shapes.items():
        n = math.prod(shape)
        x = [1 if len(shape) == 1 else draw.gauss(0, 0.07) for _ in range(n)]
        tensors[name] = ("F32", shape, struct.pack(f"<{n}f", *x))
    write(folder / "model.safetensors", tensors)


COMMANDS = {"gguf-keys": check_gguf_keys, "wide": make_wide, "gguf": check_gguf, "gguf-diff": check_gguf_diff, "make": lambda f: make(pathlib.Path(f)), "numbers": check_listing, "tensor": check_tensor,
            "checkpoint": check_checkpoint, "differ": lambda f: check_differ(pathlib.Path(f)),
            "large": lambda f: check_large(pathlib.Path(f))}
COMMANDS[sys.argv[2]](*sys.argv[3:])
