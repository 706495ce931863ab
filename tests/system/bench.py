"""Judges the numbers of `entrenar bench --json` and `entrenar plan --json` against ones that are computed here, from the
model's shape and the rules of the step alone. usage: bench.py CHECK FILE..."""
import json, math, os, statistics, struct, sys

PHASES = "other products attention norms elementwise loss optimizer reduction waiting".split()
LLAMA_162M = dict(vocab_size=32000, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, num_key_value_heads=12,
                  intermediate_size=3072, head_dim=64)


def shape_of(name):
    if name == "llama-162m":
        return LLAMA_162M
    c = json.load(open(name + "/config.json"))
    c.setdefault("head_dim", c["hidden_size"] // c["num_attention_heads"])
    c.setdefault("num_key_value_heads", c["num_attention_heads"])
    return c


def projections(c):
    h, m, d = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    q, kv = c["num_attention_heads"] * d, c["num_key_value_heads"] * d
    return dict(q_proj=(h, q), k_proj=(h, kv), v_proj=(h, kv), o_proj=(q, h), gate_proj=(h, m), up_proj=(h, m),
                down_proj=(m, h))


def unit_flops(c, n, r, targets):
    """Multiplications and additions of one document of n tokens: those with frozen weights, all others. The first layer's input wants no gradient; its q, k and v
    products have one only for their adapters, and all that comes later propagates (which needs an adapter on q, k or v)."""
    assert {"q_proj", "k_proj", "v_proj"} & set(targets)
    frozen = other = 0
    for layer in range(c["num_hidden_layers"]):
        for name, (i, o) in projections(c).items():
            dx = layer > 0 or name not in ("q_proj", "k_proj", "v_proj")
            frozen += 2 * n * i * o * (2 if dx else 1)
            if name in targets:
                other += 2 * n * r * (i + o)                        # x A^T, then B^T
                other += 2 * n * r * (2 * o + i + (i if dx else 0))  # dB, du, dA, dx
        pairs = n * (n + 1) // 2
        dq = layer > 0 or "q_proj" in targets
        other += 2 * pairs * c["num_attention_heads"] * c["head_dim"] * (2 + 4 + (1 if dq else 0))
    return frozen + 2 * 2 * (n - 1) * c["vocab_size"] * c["hidden_size"], other


def trained(c, r, targets):
    return c["num_hidden_layers"] * sum(r * (i + o) for name, (i, o) in projections(c).items() if name in targets)


def equal(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: {found}, expected {expected}")


def within(what, found, low, high):
    if not low <= found <= high:
        sys.exit(f"{what}: {found}, expected {low} to {high}")


def keys(path, name, precision="fp32"):
    b, c = json.load(open(path)), shape_of(name)
    equal("name", b["shape" if name == "llama-162m" else "model"], name)
    n, units, r, targets = b["seq_len"], b["units"], b["lora_rank"], b["targets"]
    frozen, other = (units * f for f in unit_flops(c, n, r, targets))
    flops, expected = frozen + other, dict(fp32=0, bf16=0, int8=0)
    expected["fp32"] += other
    if precision == "int8":  # lm_head is in bf16, and few projections, which were chosen to be
        head, found = 4 * units * (n - 1) * c["vocab_size"] * c["hidden_size"], b["flops_per_step"]["bf16"]
        within("operations in bf16", found, head, head + 0.1 * (frozen - head))
        expected["bf16"] = found
        frozen -= found
        equal("projections", sum(b["projections"].values()), 7 * c["num_hidden_layers"])
        equal("some are in bf16", b["projections"]["bf16"] > 0, found > head)
    expected[precision] += frozen
    equal("operations of a step", b["flops_per_step"], expected)
    within("operations a token", b["flops_per_token"], flops / (n * units) * (1 - 1e-12), flops / (n * units) * (1 + 1e-12))
    rates = b["tokens_per_s_all"]
    equal("median", b["tokens_per_s"], sorted(rates)[len(rates) // 2]) if len(rates) % 2 else None
    within("seconds of a step", b["step_seconds"] * b["tokens_per_s"] / (n * units), 1 - 1e-9, 1 + 1e-9)
    equal("phases", sorted(b["phases"]), sorted(PHASES))
    mean = sum(n * units / rate for rate in rates) / len(rates)
    within("phases over the step", sum(b["phases"].values()) / mean, 0.5, 1)
    for phase in PHASES[:-1]:
        within(phase, b["phases"][phase], 1e-9, mean)
    roofs, tokens = b["roofs_gflops_all"], n * units
    shares = [
        sum(f / ((roofs[k][i] + roofs[k][i + 1]) / 2 * 1e9) for k, f in b["flops_per_step"].items() if f) / (tokens / rates[i])
        for i in range(len(rates))
    ]
    for got, want in zip(b["share_of_roof_all"], shares, strict=True):
        within("share of a step", got / want, 1 - 1e-9, 1 + 1e-9)
    within("share", b["share_of_roof"] / statistics.median(b["share_of_roof_all"]), 1 - 1e-9, 1 + 1e-9)
    for kind, roof in b["roofs_gflops"].items():
        within("roof", roof / statistics.median(roofs[kind]), 1 - 1e-9, 1 + 1e-9)
    equal("roof", b["roof_gflops"], b["roofs_gflops"][b["precision"]])
    equal("precision", b["precision"], precision)
    equal("bytes of optimizer", b["planned_bytes"]["optimizer"], 8 * trained(c, r, targets))
    within("planned", b["planned_mib"] * 2**20 - sum(b["planned_bytes"].values()), -16, 16)
    assert b["kernel"] and b["recompute"] == "none" and b["loss"] > 0


def memory(path, slack):
    """The slack in MiB is what code takes that runs for the first time in the step, and tables of the model's tokens."""
    b = json.load(open(path))
    within("planned over used", b["planned_mib"] - b["peak_rss_mib"], -float(slack), float(slack))
    within("mapped", b["mapped_weights_mib"], 0.1, b["planned_mib"])


def recomputed(first, second):
    a, b = json.load(open(first)), json.load(open(second))
    equal("loss", b["loss"], a["loss"])
    equal("recompute", b["recompute"], "layer")
    within("operations", b["flops_per_token"] / a["flops_per_token"], 1.2, 1.5)
    within("activations", b["planned_bytes"]["activations"] / a["planned_bytes"]["activations"], 0, 0.95)


def int8_beside_bf16(path, other, slack):
    """Weights of one byte where those of the other have two, and a scale for each output. What is in bf16 all the same is
    known by its operations (of layers whose input wants a gradient)."""
    memory(path, slack)
    b, bf16 = json.load(open(path)), json.load(open(other))
    c, tokens = LLAMA_162M, b["units"] * b["seq_len"]
    head = 4 * (tokens - b["units"]) * c["vocab_size"] * c["hidden_size"]
    left = (b["flops_per_step"]["bf16"] - head) // (4 * tokens)
    weights = c["num_hidden_layers"] * sum(i * o for i, o in projections(c).values())
    scales = c["num_hidden_layers"] * sum(4 * o for _, o in projections(c).values())
    most = bf16["planned_bytes"]["mapped_weights"] - (weights - left) + scales
    within("mapped weights", b["planned_bytes"]["mapped_weights"], most - 4 * left / c["hidden_size"], most)
    within("share of the roof", b["share_of_roof"], 0.05, 1.1)


def half(path, other, slack):
    memory(path, slack)
    ratio = json.load(open(path))["mapped_weights_mib"] / json.load(open(other))["mapped_weights_mib"]
    within("mapped weights", ratio, 0.5, 0.5)


def same(first, second, *settings):
    a, b = json.load(open(first)), json.load(open(second))
    for key in ("flops_per_step", "flops_per_token", "loss", "mapped_weights_mib", "seq_len", "units"):
        equal(key, b[key], a[key])
    for setting in settings:
        key, value = setting.split("=")
        equal(key, b[key], int(value))


def pair(path):
    p = json.load(open(path))
    equal("first", (p["first"]["seq_len"], len(p["first"]["tokens_per_s_all"])), (40, 3))
    equal("second", (p["second"]["seq_len"], len(p["second"]["tokens_per_s_all"]), p["second"]["threads"]), (20, 3, 1))
    equal("model of both", p["first"]["model"], p["second"]["model"])
    within("ratio", p["ratio"] / (p["second"]["tokens_per_s"] / p["first"]["tokens_per_s"]), 1 - 1e-12, 1 + 1e-12)
    for ratio, a, b in zip(p["ratios"], p["first"]["tokens_per_s_all"], p["second"]["tokens_per_s_all"]):
        within("ratio of a step", ratio / (b / a), 1 - 1e-12, 1 + 1e-12)
    equal("ratios", len(p["ratios"]), 3)


def weights_bytes(folder):
    with open(folder + "/model.safetensors", "rb") as f:
        return os.path.getsize(f.name) - 8 - struct.unpack("<Q", f.read(8))[0]


def plan(path, config):
    p, c = json.load(open(path)), shape_of("model")
    lora = json.load(open("adapter_init/adapter_config.json"))
    seq_len, batch, r, targets = 48, 4, lora["r"], lora["target_modules"]
    assert f"seq_len: {seq_len}" in open(config).read() and f"batch_size: {batch}" in open(config).read()
    n, bytes_ = trained(c, r, targets), p["bytes"]
    equal("mapped weights", bytes_["mapped_weights"], weights_bytes("model"))
    equal("parameters", (bytes_["parameters"], bytes_["gradients"]), (4 * n, 4 * n))
    equal("optimizer", bytes_["optimizer"], 8 * n)
    equal("sums", bytes_["gradient_sums"], 8 * n)
    equal("tables", bytes_["tables"], seq_len * c["head_dim"] * 4)
    cache = sum(os.path.getsize(os.path.join("out/cache", f)) for f in os.listdir("out/cache"))
    equal("tokenised data", bytes_["file_cache"], cache)
    longest = max(len(json.loads(line)["input_ids"]) for line in open("train.jsonl"))
    equal("tokens of a unit", p["unit_tokens"], min(longest, seq_len))
    equal("operations of a unit", p["unit_flops"], sum(unit_flops(c, p["unit_tokens"], r, targets)))
    equal("steps", p["steps"], sum(1 for line in open("out/metrics.jsonl") if "grad_norm" in line))
    shared = bytes_["mapped_weights"] + bytes_["file_cache"]
    private = sum(bytes_.values()) - shared
    within("a rank", p["rank_bytes"], shared + private - 16, shared + private + 16)
    within("a machine of two ranks", p["machine_bytes"], shared + 2 * private - 16, shared + 2 * private + 16)
    equal("measured", p["measured"], True)
    equal("ranks", [s["ranks"] for s in p["scaling"]], [1, 2, 4, 6])
    for s in p["scaling"]:
        k, wire = s["ranks"], 8 * n / 125e6
        reduction = 0 if k == 1 else min(2 * (k - 1) * 20e-6 + 2 * (k - 1) / k * wire, math.ceil(math.log2(k)) * (20e-6 + wire))
        within("reduction", s["reduction_seconds"], reduction * (1 - 1e-9), reduction * (1 + 1e-9))
        step = -(-batch // k) * p["unit_seconds"] + reduction + p["update_seconds"]
        within("a step", s["step_seconds"] / step, 1 - 1e-9, 1 + 1e-9)
    equal("one rank", p["scaling"][0]["step_seconds"], p["step_seconds"])


def full(path):
    p = json.load(open(path))
    equal("mapped weights", p["bytes"]["mapped_weights"], 0)
    equal("parameters", p["bytes"]["parameters"], weights_bytes("model"))


globals()[sys.argv[1]](*sys.argv[2:])
