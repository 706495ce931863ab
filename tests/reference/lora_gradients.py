#!/usr/bin/python3
"""Gradients of the adapters on the first batch of tests/data/oracle/{llama,qwen2,qwen3}, from PyTorch alone.

The oracle's own tensors.safetensors holds zeros for them (its gradients were written after they had been cleared). This
is a second implementation of the three decoders, in double, that first has to reproduce what the oracle does hold:
the logits and every gradient of the base weights, and the logits and loss with adapters. Then it writes
lora_gradients.safetensors beside it. Needs Debian's python3-torch; the result is kept in the repository.

usage: lora_gradients.py ORACLE_DIR...
"""
import json, math, struct, sys
import torch
import torch.nn.functional as F


def load(path):
    data = open(path, "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    out = {}
    for name, t in json.loads(data[8:8 + n]).items():
        if name != "__metadata__":
            a, b = t["data_offsets"]
            out[name] = torch.frombuffer(bytearray(data[8 + n + a:8 + n + b]), dtype=torch.float32).reshape(t["shape"]).double()
    return out


def save(path, tensors):
    head, body = {}, b""
    for name in sorted(tensors):
        raw = tensors[name].float().contiguous().numpy().tobytes()
        head[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + body)


def norm(x, w, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * w


def frequencies(c, d):
    f = c["rope_theta"] ** (-torch.arange(0, d, 2).double() / d)
    s = c.get("rope_scaling") or {}
    kind = s.get("rope_type", s.get("type"))
    if kind == "linear":
        return f / s["factor"]
    if kind == "llama3":  # transformers 4.48, _compute_llama3_parameters
        length, low, high = (s[k] for k in ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor"))
        wave = 2 * math.pi / f
        smooth = ((length / wave - low) / (high - low)).clamp(0, 1)
        return (1 - smooth) * f / s["factor"] + smooth * f
    return f


def model(c, w, lora, scale, ids):
    heads, kv, C = c["num_attention_heads"], c["num_key_value_heads"], c["hidden_size"]
    d, eps = c.get("head_dim") or C // heads, c["rms_norm_eps"]
    B, T = ids.shape
    angle = torch.outer(torch.arange(T).double(), frequencies(c, d))
    cos, sin = (torch.cat([f(angle)] * 2, -1) for f in (torch.cos, torch.sin))
    turn = lambda x: x * cos + torch.cat([-x[..., d // 2:], x[..., :d // 2]], -1) * sin
    full = torch.full((T, T), -math.inf).double().triu(1)
    window = c.get("sliding_window") if c.get("use_sliding_window", c["model_type"] == "mistral") else None
    near = full + torch.full((T, T), -math.inf).double().tril(-window) if window else full

    def linear(name, x):
        y = F.linear(x, w[name + ".weight"], w.get(name + ".bias"))
        a = lora.get(f"base_model.model.{name}.lora_A.weight")
        if callable(scale):
            y = scale(name, x, y)
        elif a is not None:
            y = y + scale * (x @ a.T) @ lora[f"base_model.model.{name}.lora_B.weight"].T
        return y

    x = w["model.embed_tokens.weight"][ids]
    for l in range(c["num_hidden_layers"]):
        p = f"model.layers.{l}."
        h = norm(x, w[p + "input_layernorm.weight"], eps)
        q, k, v = (linear(p + f"self_attn.{n}_proj", h).view(B, T, -1, d).transpose(1, 2) for n in "qkv")
        if p + "self_attn.q_norm.weight" in w:
            q, k = norm(q, w[p + "self_attn.q_norm.weight"], eps), norm(k, w[p + "self_attn.k_norm.weight"], eps)
        q, k = turn(q), turn(k)
        k, v = (t.repeat_interleave(heads // kv, 1) for t in (k, v))
        mask = near if l >= c.get("max_window_layers", 0) else full
        y = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(d) + mask, -1) @ v
        x = x + linear(p + "self_attn.o_proj", y.transpose(1, 2).reshape(B, T, -1))
        h = norm(x, w[p + "post_attention_layernorm.weight"], eps)
        x = x + linear(p + "mlp.down_proj", F.silu(linear(p + "mlp.gate_proj", h)) * linear(p + "mlp.up_proj", h))
    return norm(x, w["model.norm.weight"], eps) @ w.get("lm_head.weight", w["model.embed_tokens.weight"]).T


def close(what, got, want, bound=1e-5):
    d = ((got - want).norm() / want.norm()).item()
    assert d < bound, (what, d)


for folder in sys.argv[1:]:
    c = json.load(open(folder + "/model/config.json"))
    w, adapter, oracle = (load(f"{folder}/{f}.safetensors") for f in
                          ("model/model", "adapter_init/adapter_model", "tensors"))
    p = json.load(open(folder + "/adapter_init/adapter_config.json"))
    expected = json.load(open(folder + "/expected.json"))
    rows = [json.loads(l) for l in open(folder + "/train.jsonl")][:4]
    ids, labels = (torch.tensor([r[k] for r in rows]) for k in ("input_ids", "labels"))
    loss_of = lambda z: F.cross_entropy(z[:, :-1].reshape(-1, z.shape[-1]), labels[:, 1:].reshape(-1))
    for t in list(w.values()) + list(adapter.values()):
        t.requires_grad_()
    z = model(c, w, {}, 0, ids)
    close("base.logits", z, oracle["base.logits"])
    loss_of(z).backward()
    for name in w:
        close(name, w[name].grad, oracle["base.grad." + name])
    z = model(c, w, adapter, p["lora_alpha"] / p["r"], ids)
    close("lora.logits", z, oracle["lora.logits"])
    loss = loss_of(z)
    assert abs(loss.item() - expected["first_batch_lora_loss"]) < 1e-5, loss
    loss.backward()
    total = math.sqrt(sum(t.grad.pow(2).sum().item() for t in adapter.values()))
    assert abs(total / expected["steps"][0]["grad_norm"] - 1) < 1e-5, (total, expected["steps"][0])
    save(folder + "/lora_gradients.safetensors", {"lora.grad." + k: t.grad for k, t in adapter.items()})
    print(f"{folder}: reproduces the oracle; norm of the adapters' gradients {total:.6f}")
