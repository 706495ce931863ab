#!/usr/bin/python3
"""Reads GGUF files by its own small reader, and compares them with what they were made of.

usage: gguf.py model FILE MERGED TYPE          numbers, names, sizes: of a folder whose weights are F32
       gguf.py adapter FILE PEFT MODEL TYPE    the same of an adapter
       gguf.py tokenizer FILE FOLDER           tokens, merges, scores, special tokens
       gguf.py key FILE KEY VALUE              a value; "none": there is none
       gguf.py proof PROOF FILE...             the digests in a proof are those of these files, in this order
       gguf.py change FROM TO WHAT             a model folder or file of which one thing is changed
"""
import hashlib, json, os, re, shutil, struct, sys

FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TYPES = {0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
         8: ("Q8_0", 32, 34), 30: ("BF16", 1, 2)}
FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "BF16": 32}


class Reader:
    def __init__(self, path):
        self.data, self.at = open(path, "rb").read(), 0

    def take(self, code):
        values = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return values[0] if len(values) == 1 else values

    def text(self):
        n = self.take("Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind != 9:
            return self.take(FIXED[kind])
        kind, count = self.take("I"), self.take("Q")
        return [self.value(kind) for _ in range(count)]


def read(path):
    """Keys, and tensors as {name: (type, shape with rows first, bytes)}."""
    r = Reader(path)
    assert r.data[:4] == b"GGUF" and struct.unpack_from("<I", r.data, 4)[0] == 3
    r.at = 8
    n_tensors, n_keys = r.take("Q"), r.take("Q")
    keys = {}
    for _ in range(n_keys):
        key = r.text()
        assert key not in keys, key
        keys[key] = r.value(r.take("I"))
    places = []
    for _ in range(n_tensors):
        name = r.text()
        n_dims = r.take("I")
        places.append((name, [r.take("Q") for _ in range(n_dims)][::-1], r.take("I"), r.take("Q")))
    start, end, tensors = -(-r.at // 32) * 32, 0, {}
    for name, shape, kind, offset in places:
        label, block, size = TYPES[kind]
        count = 1
        for s in shape:
            count *= s
        assert shape[-1] % block == 0 and offset == end, name
        n = count // block * size
        assert name not in tensors
        tensors[name] = (label, shape, r.data[start + offset:start + offset + n])
        assert len(tensors[name][2]) == n, name
        end = -(-(offset + n) // 32) * 32
    assert len(r.data) == start + end
    return keys, tensors


def numbers(label, data):
    """What the bytes stand for, and of each how far it may be from what it was made of."""
    if label == "F32":
        x = struct.unpack(f"<{len(data) // 4}f", data)
        return x, [0] * len(x)
    if label == "F16":
        x = struct.unpack(f"<{len(data) // 2}e", data)
        return x, [max(abs(v) * 2 ** -11, 2 ** -25) for v in x]
    if label == "BF16":
        x = [struct.unpack("<f", struct.pack("<I", h << 16))[0] for h in struct.unpack(f"<{len(data) // 2}H", data)]
        return x, [abs(v) * 2 ** -8 for v in x]
    size = {"Q4_0": 18, "Q4_1": 20, "Q5_0": 22, "Q8_0": 34}[label]
    out, far = [], []
    for at in range(0, len(data), size):
        block = data[at:at + size]
        d = struct.unpack_from("<e", block)[0]
        if label == "Q8_0":
            codes, low, step = struct.unpack("<32b", block[2:]), 0, abs(d) * 0.5
        elif label == "Q4_0":
            codes, low, step = halves(block[2:]), -8 * d, abs(d)
        elif label == "Q4_1":
            codes, low, step = halves(block[4:]), struct.unpack_from("<e", block, 2)[0], abs(d) * 0.5
        else:
            high = struct.unpack_from("<I", block, 2)[0]
            codes = [c | (high >> i & 1) << 4 for i, c in enumerate(halves(block[6:]))]
            low, step = -16 * d, abs(d)
        values = [d * c + low for c in codes]
        out += values
        far += [step * 1.01 + max(map(abs, values)) * 2 ** -10] * 32
    return out, far


def halves(codes):
    return [c & 15 for c in codes] + [c >> 4 for c in codes]


def read_safetensors(path):
    data = open(path, "rb").read()
    n = struct.unpack_from("<Q", data)[0]
    out = {}
    for name, t in json.loads(data[8:8 + n]).items():
        if name == "__metadata__":
            continue
        begin, end = t["data_offsets"]
        assert t["dtype"] == "F32"
        out[name] = (t["shape"], struct.unpack(f"<{(end - begin) // 4}f", data[8 + n + begin:8 + n + end]))
    return out


def reordered(values, heads, columns):
    """Rows of heads from (2, half) to (half, 2), as a transposition."""
    dim = len(values) // columns // heads
    out = []
    for h in range(heads):
        for j in range(dim // 2):
            for s in range(2):
                row = h * dim + s * (dim // 2) + j
                out += values[row * columns:(row + 1) * columns]
    return out


MODULES = [("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output"),
           ("model.layers.(\\d+).input_layernorm", "blk.%s.attn_norm"),
           ("model.layers.(\\d+).self_attn.([qkv])_proj", "blk.%s.attn_%s"),
           ("model.layers.(\\d+).self_attn.o_proj", "blk.%s.attn_output"),
           ("model.layers.(\\d+).self_attn.([qk])_norm", "blk.%s.attn_%s_norm"),
           ("model.layers.(\\d+).post_attention_layernorm", "blk.%s.ffn_norm"),
           ("model.layers.(\\d+).mlp.(gate|up|down)_proj", "blk.%s.ffn_%s")]


def gguf_name(hf):
    module, ending = hf.rsplit(".", 1)
    adapter = re.fullmatch(r"base_model\.model\.(.*)\.lora_([AB])", module)
    module = adapter.group(1) if adapter else module
    for pattern, name in MODULES:
        m = re.fullmatch(pattern, module)
        if m:
            return (name % m.groups() if m.groups() else name) + "." + ending + (
                ".lora_" + adapter.group(2).lower() if adapter else "")
    raise AssertionError(hf)


def compare(found, expected, config, label):
    """Every tensor is there, in its type, with numbers no further off than the type explains."""
    arch = {"mistral": "llama"}.get(config["model_type"], config["model_type"])
    names = {gguf_name(hf): hf for hf in expected}
    extra = set(found) - set(names) - {"rope_freqs.weight"}
    assert not extra and set(names) <= set(found), (extra, set(names) - set(found))
    off = 0
    for name, hf in names.items():
        kind, shape, data = found[name]
        wanted_shape, values = expected[hf]
        assert shape == wanted_shape, (name, shape, wanted_shape)
        wanted = label if len(shape) > 1 else "F32"
        if len(shape) > 1 and label.startswith("Q") and shape[-1] % 32:
            wanted = "F16"
        assert kind == wanted, (name, kind, wanted)
        heads = {"q": config["num_attention_heads"], "k": config["num_key_value_heads"]}
        m = re.search(r"self_attn\.([qk])_proj\.(weight|bias|lora_B)", hf)
        if m and arch == "llama":
            values = reordered(list(values), heads[m.group(1)], shape[1] if len(shape) > 1 else 1)
        got, far = numbers(kind, data)
        for i, (x, y, limit) in enumerate(zip(values, got, far)):
            assert abs(x - y) <= limit, (name, i, x, y, limit)
            off += x != y
    assert (off > 0) == (label != "F32"), off
    return arch


def model(path, folder, label):
    keys, tensors = read(path)
    config = json.load(open(os.path.join(folder, "config.json")))
    arch = compare(tensors, read_safetensors(os.path.join(folder, "model.safetensors")), config, label)
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    expected = {"general.architecture": arch, "general.type": "model", "general.file_type": FILE_TYPES[label],
                "general.quantization_version": 2}
    sizes = {"block_count": config["num_hidden_layers"], "context_length": config["max_position_embeddings"],
             "embedding_length": config["hidden_size"], "feed_forward_length": config["intermediate_size"],
             "attention.head_count": config["num_attention_heads"], "vocab_size": config["vocab_size"],
             "attention.head_count_kv": config["num_key_value_heads"], "attention.key_length": head_dim,
             "attention.value_length": head_dim, "rope.dimension_count": head_dim, "rope.freq_base": config["rope_theta"]}
    expected.update({f"{arch}.{k}": v for k, v in sizes.items()})
    for key, value in expected.items():
        assert keys[key] == value, (key, keys.get(key), value)
    assert abs(keys[f"{arch}.attention.layer_norm_rms_epsilon"] / config["rms_norm_eps"] - 1) < 1e-6
    assert ("output.weight" in tensors) == (not config["tie_word_embeddings"])


def adapter(path, peft, folder, label):
    keys, tensors = read(path)
    config = json.load(open(os.path.join(folder, "config.json")))
    settings = json.load(open(os.path.join(peft, "adapter_config.json")))
    arch = compare(tensors, read_safetensors(os.path.join(peft, "adapter_model.safetensors")), config, label)
    scale = settings["lora_alpha"] / (settings["r"] ** (0.5 if settings.get("use_rslora") else 1))
    assert keys["general.type"] == "adapter" and keys["adapter.type"] == "lora" and keys["general.architecture"] == arch
    assert abs(keys["adapter.lora.alpha"] / settings["r"] / scale - 1) < 1e-6, keys["adapter.lora.alpha"]


def tokenizer(path, folder):
    keys, _ = read(path)
    tree = json.load(open(os.path.join(folder, "tokenizer.json")))
    m, tokens = tree["model"], keys["tokenizer.ggml.tokens"]
    types = keys["tokenizer.ggml.token_type"]
    byte_level = "ByteLevel" in json.dumps(tree["pre_tokenizer"])
    assert keys["tokenizer.ggml.model"] == ("gpt2" if byte_level else "llama")
    assert len(set(tokens)) == len(tokens) == len(types) == json.load(open(os.path.join(folder, "config.json")))["vocab_size"]
    added = {t["id"]: t for t in tree["added_tokens"]}
    for text, i in m["vocab"].items():
        assert tokens[i] == text
        if i not in added:
            assert types[i] == (6 if not byte_level and re.fullmatch("<0x[0-9A-F]{2}>", text) else 1), (text, types[i])
    for i, t in added.items():
        assert tokens[i] == t["content"]
        assert types[i] == (2 if t["content"] == m.get("unk_token") else 3 if t["special"] else 4), t
    for i, text in enumerate(tokens):
        assert i in added or text in m["vocab"] or (text == f"[PAD{i}]" and types[i] == 5)
    merges = [x if isinstance(x, str) else " ".join(x) for x in m["merges"]]
    if byte_level:
        assert keys["tokenizer.ggml.merges"] == merges
        return
    scores = keys["tokenizer.ggml.scores"]
    results = ["".join(x.split(" ")) for x in merges]
    order = [scores[m["vocab"][x]] for x in results if x.strip("\u2581")]
    assert all(scores[m["vocab"][x]] < order[-1] for x in results if not x.strip("\u2581"))
    assert order == sorted(order, reverse=True) and max(s for i, s in enumerate(scores) if types[i] != 1) < order[-1]


def key(path, name, value):
    found = read(path)[0].get(name)
    assert str(found).lower() == value.lower(), found


def proof(path, *files):
    tree = json.load(open(path))
    digests = [entry["sha256"] for part in ("model", "adapter", "written") for entry in tree.get(part, [])]
    assert digests == [hashlib.sha256(open(f, "rb").read()).hexdigest() for f in files], digests
    logits = tree["logits"]
    assert 0 <= logits["largest_difference"] <= logits["allowed_difference"] and logits["largest"] > 0
    assert len(tree["probe"]) == 32 >= logits["same_likeliest_token"]


def change(source, to, what):
    """A copy in which one thing is otherwise."""
    if os.path.isdir(source):
        shutil.copytree(source, to)
    else:
        data = bytearray(open(source, "rb").read())
        data[len(data) // 2] ^= 1
        open(to, "wb").write(data)
        return
    path = os.path.join(to, "config.json" if what.startswith("config:") else "tokenizer.json")
    tree = json.load(open(path))
    m = tree.get("model", {})
    if what.startswith("config:"):
        tree.update(json.loads(what[7:]))
    elif what == "split":
        tree["pre_tokenizer"] = {"type": "Split", "pattern": {"Regex": "\\p{L}+"}, "behavior": "Isolated", "invert": False}
        tree["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [tree["pre_tokenizer"], {
            "type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}
    elif what == "bytes":
        m["byte_fallback"] = False
    elif what == "apart":  # the merges of one token, with another's between them
        makes = [x.replace(" ", "") for x in m["merges"]]
        i = next(i for i in range(len(makes)) if makes.count(makes[i]) > 1)
        m["merges"].append(m["merges"].pop(i))
    elif what == "spaces":  # tokens of 2, 3 and 4 spaces, their merges as in Llama 2's file
        for n in (2, 3, 4):
            m["vocab"]["\u2581" * n] = len(m["vocab"])
        for a, b in ((2, 2), (2, 1), (1, 2), (3, 1), (1, 3), (1, 1)):
            m["merges"].append("\u2581" * a + " " + "\u2581" * b)
    elif what == "fewer":
        m["merges"].pop(3)
    elif what == "prefix":
        tree["normalizer"] = {"type": "Prepend", "prepend": "x"}
    elif what == "around":
        tree["post_processor"]["single"].insert(0, tree["post_processor"]["single"][0])
    else:
        raise AssertionError(what)
    json.dump(tree, open(path, "w"))


if __name__ == "__main__":
    {"model": model, "adapter": adapter, "tokenizer": tokenizer, "key": key, "proof": proof,
     "change": change}[sys.argv[1]](*sys.argv[2:])
