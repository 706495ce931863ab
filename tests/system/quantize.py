"""Recomputes what `entrenar quantize --json` told of the errors of every tensor, from the files and the formats' formulas.

usage: quantize.py REPORT MODEL OUT
"""
import array, json, math, os, struct, sys

import gguf

TYPES = {"F32": "f", "I8": "b", "U8": "B"}


def tensors(folder):
    data = open(os.path.join(folder, "model.safetensors"), "rb").read()
    n = struct.unpack_from("<Q", data)[0]
    return {name: (t["shape"], array.array(TYPES[t["dtype"]], data[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]]))
            for name, t in json.loads(data[8:8 + n]).items() if name != "__metadata__"}


def int8(t, name, columns):
    """compressed-tensors: (q - zero) scale, a scale for each `each` numbers."""
    q, scale = t[name][1], t[name + "_scale"][1]
    zero = t[name + "_zero_point"][1] if name + "_zero_point" in t else [0] * len(scale)
    each = len(q) // len(scale)
    return [(x - zero[i // each]) * scale[i // each] for i, x in enumerate(q)]


def nf4(t, name, columns):
    """bitsandbytes: blocks of 64 in the order of the numbers; scales in groups of 256, and their mean."""
    part = lambda end: t[f"{name}.{end}"][1]
    state = json.loads(part("quant_state.bitsandbytes__nf4").tobytes())
    assert state["blocksize"] == 64 and state["nested_blocksize"] == 256 and state["shape"][1] == columns, state
    absmax = [part("nested_quant_map")[b] * part("nested_absmax")[i // 256] for i, b in enumerate(part("absmax"))]
    absmax = array.array("f", [x + state["nested_offset"] for x in array.array("f", absmax)])
    codes = [c for byte in t[name][1] for c in (byte >> 4, byte & 15)]
    return [part("quant_map")[c] * absmax[i // 64] for i, c in enumerate(codes)]


def errors(x, y, columns):
    """Of all, of the worst row, and which that is."""
    rows = [(sum((b - a) ** 2 for a, b in zip(x[i:i + columns], y[i:i + columns])), sum(a * a for a in x[i:i + columns]))
            for i in range(0, len(x), columns)]
    of_rows = [math.sqrt(e / s) if e else 0 for e, s in rows]
    return math.sqrt(sum(e for e, _ in rows) / sum(s for _, s in rows)), max(of_rows), of_rows.index(max(of_rows))


def percentile(x, p):
    x, at = sorted(x), p / 100 * (len(x) - 1)
    return x[int(at)] + (at - int(at)) * (x[min(int(at) + 1, len(x) - 1)] - x[int(at)])


def activations(model, out, data, seq_len, observer, value=0):
    """The input of layer 0's q_proj is the norm of the embeddings: its range over the rows of the data."""
    t, written, value = tensors(model), tensors(out), float(value)
    eps = json.load(open(os.path.join(model, "config.json")))["rms_norm_eps"]
    (_, width), embedding = t["model.embed_tokens.weight"]
    norm, ends = t["model.layers.0.input_layernorm.weight"][1], None
    for unit, line in enumerate(open(data), 1):
        x = []
        for i in json.loads(line)["input_ids"][:int(seq_len)]:
            row = embedding[i * width:(i + 1) * width]
            size = math.sqrt(sum(v * v for v in row) / width + eps)
            x += [v / size * n for v, n in zip(row, norm)]
        if observer == "percentile":  # the mean of the units'
            new = [percentile(x, 100 - value), percentile(x, value)]
            ends = [e + (n - e) / unit for e, n in zip(ends, new)] if ends else new
        elif observer == "moving-average":
            new = [min(x), max(x)]
            ends = [e + value * (n - e) for e, n in zip(ends, new)] if ends else new
        else:
            ends = [min(x + (ends or [])), max(x + (ends or []))]
    scale = (ends[1] - ends[0]) / 255
    found = written["model.layers.0.self_attn.q_proj.input_scale"][1][0]
    assert abs(found / scale - 1) < 1e-5, (found, scale)
    zero = written["model.layers.0.self_attn.q_proj.input_zero_point"][1][0]
    assert zero == -128 - round(ends[0] / scale), (zero, ends)


def main(report, model, out):
    told, before = json.load(open(report)), tensors(model)
    folder = os.path.isdir(out)
    after = tensors(out) if folder else gguf.read(out)[1]
    config = json.load(open(os.path.join(model, "config.json")))
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    size = lambda t: sum(len(v[1]) * v[1].itemsize for v in t.values())
    assert told["bytes_before"] == size(before)
    assert told["bytes"] == (size(after) if folder else sum(len(v[2]) for v in after.values()))
    assert sorted(row["name"] for row in told["tensors"]) == sorted(before)
    for row in told["tensors"]:
        shape, x = before[row["name"]]
        columns, moved = shape[-1], False
        if not folder:
            label, _, data = after[gguf.gguf_name(row["name"])]
            assert row["type"] == label, row
            y, moved = gguf.numbers(label, data)[0], row["name"].split(".")[-2] in heads
            x = gguf.reordered(list(x), heads[row["name"].split(".")[-2]], columns) if moved else x
        elif row["type"] in ("I8", "NF4"):
            assert row["name"].endswith("_proj.weight"), row
            y = (int8 if row["type"] == "I8" else nf4)(after, row["name"], columns)
        else:
            y = after[row["name"]][1]
        error, worst, at = errors(x, array.array("f", y), columns)
        assert abs(row["error"] - error) <= 1e-9 and abs(row["worst_row_error"] - worst) <= 1e-9, (row, error, worst)
        assert moved or row["worst_row"] == at, (row, at)
        assert error < 0.15, row


if sys.argv[1] == "activations":
    activations(*sys.argv[2:])
else:
    main(*sys.argv[1:])
