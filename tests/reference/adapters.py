#!/usr/bin/python3
"""Runs of variants of LoRA on tests/data/oracle/llama, as PEFT defines them, by the PyTorch model of lora_gradients.py in
double: which modules have which rank and alpha by Python's re, PEFT's own expression; optimizers are torch.optim's. For
each writes ORACLE_DIR/adapters/NAME: config.yaml, adapter_init/, adapter_final/ in PEFT's format, expected.json; the test
system_adapters trains them. Needs Debian's python3-torch; the result is kept in the repository.

usage: adapters.py ORACLE_DIR
"""
import json, os, re, sys
folder = sys.argv.pop()
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lora_gradients import F, load, model, save, torch

STEPS, LR, BETAS, DECAY = 8, 0.004, (0.9, 0.95), 0.02
PREFIX = "base_model.model."
variants = {
    "patterns": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "k_proj", "down_proj"],
                 "rank_pattern": {r"layers\.0\..*_proj": 2, "mlp.down_proj": 6, "q_proj": 3, "proj": 7},
                 "alpha_pattern": {r"^model.layers.(0|2).self_attn.[k-q]_proj": 5.5, "k_proj": 12}},
    "patterns_rslora": {"r": 4, "lora_alpha": 8, "target_modules": ["v_proj", "up_proj"], "use_rslora": True,
                        "rank_pattern": {"[12].mlp.up_proj": 1}, "alpha_pattern": {r"\d.self_attn.v_proj": 3}},
    "dora": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"], "use_dora": True},
    "pissa": {"r": 4, "lora_alpha": 6, "target_modules": ["v_proj", "down_proj"], "pissa": True},
    "plus": {"r": 4, "lora_alpha": 8, "target_modules": ["v_proj", "gate_proj", "o_proj"], "ratio": 8},
    "saved": {"r": 2, "lora_alpha": 8, "target_modules": ["q_proj", "up_proj"], "layers_to_transform": [1, 2],
              "modules_to_save": ["lm_head", "norm", "embed_tokens"],
              "eps": "1.0e-5"},  # far above the rounding of fp32, which Adam makes whole steps of where a gradient is nearly 0
}


def value(patterns, name, otherwise):  # peft.utils.other.get_pattern_key, and the look-up that follows it
    return next((patterns[k] for k in patterns if re.match(rf"(.*\.)?({k})$", name)), otherwise)


class Adapter:
    def __init__(self, p, w):
        self.p, self.t, self.scale, self.w, self.first = p, {}, {}, w, {}
        torch.manual_seed(5)
        for key in w:
            name = key[:-len(".weight")]
            if any((PREFIX + name).endswith(k) for k in p.get("modules_to_save", [])):  # peft.utils.other._set_trainable
                self.t[PREFIX + key] = w[key].clone().requires_grad_()
            if "layers_to_transform" in p and not any(f".layers.{l}." in name for l in p["layers_to_transform"]):
                continue
            if not any(name.endswith("." + t) for t in p["target_modules"]):
                continue
            r, alpha = value(p.get("rank_pattern", {}), name, p["r"]), value(p.get("alpha_pattern", {}), name, p["lora_alpha"])
            self.scale[name] = alpha / (r ** 0.5 if p.get("use_rslora") else r)
            out, wide = w[key].shape
            for part, t in (("lora_A", torch.randn(r, wide)), ("lora_B", torch.randn(out, r) * 0.1)):
                self.t[f"{PREFIX}{name}.{part}.weight"] = (0.1 * t).float().double().requires_grad_()

            if p.get("pissa"):  # peft.tuners.lora.layer: pissa_init; what W loses is subtracted below
                u, sigma, v = torch.linalg.svd(w[key], full_matrices=False)
                root = (sigma[:r] / self.scale[name]).sqrt()
                for part, t in (("lora_A", root[:, None] * v[:r]), ("lora_B", u[:, :r] * root)):
                    self.t[f"{PREFIX}{name}.{part}.weight"] = t.clone().requires_grad_()
                self.first[name] = [t.detach().clone() for t in self.parts(name)]
            if p.get("use_dora"):  # PEFT begins with the norm; here it is moved, so that it matters
                m = self.norm(name) * (1 + 0.1 * torch.randn(out))
                self.t[f"{PREFIX}{name}.lora_magnitude_vector"] = m.detach().float().double().requires_grad_()

    def parts(self, name):
        return (self.t[f"{PREFIX}{name}.lora_{part}.weight"] for part in "AB")

    def norm(self, name):  # peft.tuners.lora.dora: get_weight_norm
        a, b = self.parts(name)
        return torch.linalg.norm(self.w[name + ".weight"] + self.scale[name] * (b @ a), dim=1).detach()

    def __call__(self, name, x, y):
        if name not in self.scale:
            return y
        a, b = self.parts(name)
        lora = self.scale[name] * (x @ a.T) @ b.T
        if name in self.first:
            a, b = self.first[name]
            lora = lora - self.scale[name] * (x @ a.T) @ b.T
        if not self.p.get("use_dora"):
            return y + lora
        g = self.t[f"{PREFIX}{name}.lora_magnitude_vector"] / self.norm(name)
        return y + (g - 1) * F.linear(x, self.w[name + ".weight"]) + g * lora  # its forward


    def change(self, name):
        """What W has become more, as a matrix: vectors of singular values have no sign of their own."""
        (a, b), (a0, b0) = self.parts(name), self.first[name]
        return self.scale[name] * (b @ a - b0 @ a0)


def write(path, p, tensors):
    os.makedirs(path, exist_ok=True)
    save(path + "/adapter_model.safetensors", {k: t.detach() for k, t in tensors.items()})
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "bias": "none", "lora_dropout": 0.0} | {k: v for k, v in p.items() if k not in ("ratio", "eps")}
    json.dump(config, open(path + "/adapter_config.json", "w"), indent=1)


def groups(adapter, p):
    """With a ratio as peft.optimizers.create_loraplus_optimizer; else all alike."""
    if "ratio" not in p:
        return list(adapter.t.values())
    fast = lambda name, t: "lora_B" in name or t.ndim == 1
    return [{"params": [t for k, t in adapter.t.items() if fast(k, t) == f], "lr": LR * (p["ratio"] if f else 1),
             "weight_decay": DECAY} for f in (False, True)]


def main():
    c, w = json.load(open(folder + "/llama/model/config.json")), load(folder + "/llama/model/model.safetensors")
    rows = [json.loads(l) for l in open(folder + "/llama/train.jsonl")]
    for kind, p in variants.items():
        out = f"{folder}/pissa" if p.get("pissa") else f"{folder}/adapters/{kind}"
        adapter = Adapter(p, w)
        if not adapter.first:
            write(out + "/adapter_init", p, adapter.t)
        optimizer = torch.optim.AdamW(groups(adapter, p), lr=LR, betas=BETAS, eps=float(p.get("eps", 1e-8)), weight_decay=DECAY)
        steps = []
        for step in range(STEPS):
            batch = [rows[(4 * step + i) % len(rows)] for i in range(4)]
            ids, labels = (torch.tensor([r[k] for r in batch]) for k in ("input_ids", "labels"))
            z = model(c, w | {k[len(PREFIX):]: t for k, t in adapter.t.items() if ".lora_" not in k}, {}, adapter, ids)
            loss = F.cross_entropy(z[:, :-1].reshape(-1, z.shape[-1]), labels[:, 1:].reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(adapter.t.values(), 1.0)
            optimizer.step()
            steps.append({"step": step + 1, "loss": loss.item(), "grad_norm": norm.item(), "lr": LR,
                          "tokens": int((labels[:, 1:] >= 0).sum())})
        if adapter.first:
            os.makedirs(out, exist_ok=True)
            save(out + "/change.safetensors", {name: adapter.change(name).detach() for name in adapter.first})
        else:
            write(out + "/adapter_final", p, adapter.t)
        json.dump({"steps": steps}, open(out + "/expected.json", "w"), indent=1)
        lora = "path: adapter_init" + (", plus_ratio: %g" % p["ratio"] if "ratio" in p else "")
        if adapter.first:
            lora = f"rank: {p['r']}, alpha: {p['lora_alpha']}, target_modules: [{', '.join(p['target_modules'])}], init: pissa"
        llama = ("../" if adapter.first else "../../") + "llama"
        open(out + "/config.yaml", "w").write(f"""model: {{path: {llama}/model}}
data: {{train: {llama}/train.jsonl, seq_len: 48, packing: false, shuffle: false}}
lora: {{{lora}}}
optimizer: {{name: adamw, lr: {LR}, beta1: {BETAS[0]}, beta2: {BETAS[1]}, eps: {p.get("eps", "1.0e-8")}, weight_decay: {DECAY}}}
scheduler: {{name: constant}}
training: {{max_steps: {STEPS}, batch_size: 4, grad_clip: 1.0, output_dir: out}}
""")
        print(kind, [round(s["loss"], 6) for s in steps])


if __name__ == "__main__":
    main()
