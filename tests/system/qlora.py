"""A copy of a model whose matrices hold, as f32, the numbers that quantising them leaves: by the definitions alone, with
every operation rounded to float once. "spiky": with some columns of the layers' norms 30 times as large.
usage: qlora.py nf4|int8|spiky MODEL COPY"""
import array, bisect, json, shutil, struct, sys


def f(x):
    return struct.unpack("f", struct.pack("f", x))[0]


# QLoRA (arXiv 2305.14314), appendix E; and bitsandbytes' dynamic map: means of neighbours among evenly spaced numbers from
# 0.1 to 1, times powers of ten, of both signs, 0 and 1.
NF4 = [f(x) for x in (-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
                      -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
                      0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
                      0.7229568362236023, 1.0)]


def dynamic_map():
    numbers = []
    for i in range(7):
        n = 2**i
        step = f(f(1 - f(0.1)) / n)
        bound = [f(k * step + f(0.1)) if 2 * k <= n else f((k - n) * step + 1) for k in range(n + 1)]
        numbers += [f(f(10.0**(i - 6)) * f((bound[k] + bound[k + 1]) / 2)) for k in range(n)]
    return sorted([-x for x in numbers] + [0.0] + numbers + [1.0])


MAP = dynamic_map()


def nearest(t, values, middles={}):
    """As bitsandbytes has it: by the middles of neighbours, as floats."""
    if id(values) not in middles:
        middles[id(values)] = [f(f(a + b) * 0.5) for a, b in zip(values, values[1:])]
    return values[bisect.bisect_left(middles[id(values)], t)]


def nf4(rows, columns, x):
    blocks = [x[r * columns + c:r * columns + min(c + 64, columns)] for r in range(rows) for c in range(0, columns, 64)]
    scales = [max(abs(v) for v in block) for block in blocks]
    offset = f(sum(scales) / len(scales))
    rest = [f(s - offset) for s in scales]
    groups = [max(abs(v) for v in rest[g:g + 256]) for g in range(0, len(rest), 256)]
    out = array.array("f")
    for i, block in enumerate(blocks):
        group = groups[i // 256]
        code = nearest(f(rest[i] * f(1 / group)), MAP) if group else 0.0
        scale, inverse = f(f(code * group) + offset), f(1 / scales[i])
        out.extend(f(nearest(f(v * inverse), NF4) * scale) for v in block)
    return out


def int8(rows, columns, x):
    out = array.array("f")
    for r in range(rows):
        row = x[r * columns:(r + 1) * columns]
        largest = max(abs(v) for v in row)
        scale, inverse = f(largest / 127), f(127 / largest)
        out.extend(f(round(f(v * inverse)) * scale) for v in row)
    return out


kind, model, copy = sys.argv[1:]
assert len(MAP) == 256
shutil.copytree(model, copy)
data = open(model + "/model.safetensors", "rb").read()
n = struct.unpack("<Q", data[:8])[0]
head = json.loads(data[8:8 + n])
head.pop("__metadata__", None)
body = bytearray(data[8 + n:])
for name, t in head.items():
    begin, end = t["data_offsets"]
    assert t["dtype"] == "F32", t
    values = array.array("f", bytes(body[begin:end]))
    if kind == "spiky":
        for i in range(3, len(values) if ".layers." in name and "layernorm" in name else 0, 29):
            values[i] *= 30
        body[begin:end] = values.tobytes()
    elif len(t["shape"]) == 2:
        body[begin:end] = {"nf4": nf4, "int8": int8}[kind](*t["shape"], values).tobytes()
open(copy + "/model.safetensors", "wb").write(data[:8 + n] + body)
