#!/usr/bin/python3
"""Training with rounded weights as Esser et al. 2020 (arXiv:1902.08153) give it in their appendix: gradscale and roundpass,
the rest by PyTorch's autograd. Writes QUANT_DIR/fake_quantize.safetensors, a linear layer with its gradients, which
torch._fake_quantize_learnable_per_channel_affine has to give too, and ORACLE_DIR/qat/expected.json: ten AdamW steps on
the small Llama, whose forward is that of lora_gradients.py, in double; weights and scales are fp32, as they are rounded.
Needs Debian's python3-torch; the results are kept in the repository.

usage: qat.py QUANT_DIR ORACLE_DIR
"""
import json, math, os, sys
quant, oracle = sys.argv[1:3]
del sys.argv[1:]
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lora_gradients import F, load, model, save, torch


class Through(torch.autograd.Function):
    """`value`, whose gradient goes to x, times gain."""
    @staticmethod
    def forward(ctx, x, value, gain):
        ctx.gain = gain
        return value.clone()

    @staticmethod
    def backward(ctx, dy):
        return dy * ctx.gain, None, None


def fake(w, s):
    s = Through.apply(s, s.detach(), 1 / math.sqrt(127 * w.shape[1]))[:, None]
    x = w / s
    end = torch.full_like(x, 127)
    held = torch.where(x <= -127, -end, torch.where(x >= 127, end, x))  # eq. 3: the ends are outside
    return Through.apply(held, held.detach().round(), 1) * s


def linear():
    torch.manual_seed(11)
    x, w, dy = torch.randn(5, 37), 0.1 * torch.randn(6, 37), torch.randn(5, 6)
    s = torch.tensor([1e-4, 5e-4, 1e-3, 2e-3, 8e-3, 0.5])  # from nearly all outside to all 0
    w[4, :6] = s[4] * torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, 126.5])
    t = [v.clone().requires_grad_() for v in (x, w, s)]
    rounded = fake(t[1], t[2])
    y = t[0] @ rounded.T
    (y * dy).sum().backward()
    u = [v.clone().requires_grad_() for v in (x, w, s)]
    same = torch._fake_quantize_learnable_per_channel_affine(u[1], u[2], torch.zeros(6), 0, -127, 127, 1 / math.sqrt(127 * 37))
    ((u[0] @ same.T) * dy).sum().backward()
    assert not (((w / s[:, None]).abs() - 127.25).abs() < 0.3).any()  # there it counts as inside
    # it multiplies by 1 / s, which makes other numbers of ties: these are left out, and ds of their row
    assert (rounded - same).flatten().abs().gt(1e-6).sum() <= 6, (rounded - same)
    assert torch.allclose(t[1].grad, u[1].grad) and torch.allclose(t[2].grad[[0, 1, 2, 3, 5]], u[2].grad[[0, 1, 2, 3, 5]], rtol=1e-3)
    save(quant + "/fake_quantize.safetensors", {"x": x, "w": w, "s": s, "dy": dy, "rounded": rounded.detach(), "y": y.detach(),
                                                "dx": t[0].grad, "dw": t[1].grad, "ds": t[2].grad})


def run(steps=10, lr=0.002, decay=0.05):
    c, w = json.load(open(oracle + "/llama/model/config.json")), load(oracle + "/llama/model/model.safetensors")
    rows = [json.loads(l) for l in open(oracle + "/llama/train.jsonl")]
    w = {k: t.float().requires_grad_() for k, t in w.items()}
    s = {k: (t.detach().abs().amax(1) / 127).requires_grad_() for k, t in w.items() if k.endswith("_proj.weight")}
    groups = [{"params": [t for t in w.values() if t.ndim == 2], "weight_decay": decay},
              {"params": [t for t in w.values() if t.ndim == 1], "weight_decay": 0},
              {"params": list(s.values()), "weight_decay": 0, "lr": lr / 127}]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), eps=1e-8)
    out = []
    for step in range(steps):
        batch = [rows[(4 * step + i) % len(rows)] for i in range(4)]
        ids, labels = (torch.tensor([r[k] for r in batch]) for k in ("input_ids", "labels"))
        z = model(c, {k: (fake(t, s[k]) if k in s else t).double() for k, t in w.items()}, {}, 0, ids)
        loss = F.cross_entropy(z[:, :-1].reshape(-1, z.shape[-1]), labels[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(list(w.values()) + list(s.values()), 1.0)
        optimizer.step()
        out.append({"step": step + 1, "loss": loss.item(), "grad_norm": norm.item(), "lr": lr})
        print(out[-1])
    first = "model.layers.0.self_attn.q_proj.weight"
    os.makedirs(oracle + "/qat", exist_ok=True)
    json.dump({"steps": out, "scales": {first + "_scale": s[first].tolist()}}, open(oracle + "/qat/expected.json", "w"), indent=1)
    open(oracle + "/qat/config.yaml", "w").write(f"""model: {{path: ../llama/model}}
data: {{train: ../llama/train.jsonl, seq_len: 48, packing: false, shuffle: false}}
quantize: {{qat: int8}}
optimizer: {{name: adamw, lr: {lr}, beta1: 0.9, beta2: 0.95, eps: 1.0e-8, weight_decay: {decay}}}
scheduler: {{name: constant}}
training: {{max_steps: {steps}, batch_size: 4, grad_clip: 1.0, output_dir: out}}
""")


linear()
run()
