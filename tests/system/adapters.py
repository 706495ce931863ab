"""Compares a finished PiSSA run with the one of PyTorch: losses, gradient norms, and what each weight has become more,
scale B A of the adapter, as singular vectors have no sign of their own. Standard library only.

usage: adapters.py RUN_DIR ORACLE_DIR
"""
import array, json, math, struct, sys


def safetensors(path):
    """{name: (shape, numbers)}"""
    data = open(path, "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    head = {k: v for k, v in json.loads(data[8:8 + n]).items() if k != "__metadata__"}
    out = {}
    for name, t in head.items():
        assert t["dtype"] == "F32", name
        begin, end = t["data_offsets"]
        out[name] = (t["shape"], array.array("f", data[8 + n + begin:8 + n + end]))
    return out


run, oracle = sys.argv[1:]
want = json.load(open(oracle + "/expected.json"))["steps"]
got = [json.loads(l) for l in open(run + "/metrics.jsonl")]
assert len(got) == len(want)
worst = {k: max(abs(g[k] / w[k] - 1) for g, w in zip(got, want)) for k in ("loss", "grad_norm")}
config, t = json.load(open(run + "/adapter/adapter_config.json")), safetensors(run + "/adapter/adapter_model.safetensors")
r, difference, size = config["r"], 0, 0
assert r == 8 and config["lora_alpha"] == 12 and config["init_lora_weights"] is True, config  # twice those of the run
for name, ((rows, columns), change) in safetensors(oracle + "/change.safetensors").items():
    a, b = (t[f"base_model.model.{name}.lora_{x}.weight"][1] for x in "AB")
    for i in range(rows):
        for j in range(columns):
            x = 1.5 * math.fsum(b[i * r + k] * a[k * columns + j] for k in range(r))
            difference += (x - change[i * columns + j]) ** 2
            size += change[i * columns + j] ** 2
change = math.sqrt(difference / size)
print(f"loss {worst['loss']:.1e} grad_norm {worst['grad_norm']:.1e} change {change:.1e}")
sys.exit(0 if worst["loss"] < 5e-7 and worst["grad_norm"] < 5e-6 and change < 5e-5 else 1)
