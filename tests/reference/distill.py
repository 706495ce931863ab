#!/usr/bin/python3
"""A run of distillation with hidden states, by the PyTorch model of lora_gradients.py in double: an adapter of
tests/data/oracle/llama learns from two teachers, the bundled stories260K (weight 3) and the model itself (1). Writes
ORACLE_DIR/distill: config.yaml, adapter_init/, adapter_final/, expected.json; the test system_distill trains it. Needs
Debian's python3-torch; the result is kept in the repository.

usage: distill.py STORIES260K ORACLE_DIR
"""
import json, os, sys
stories = sys.argv.pop(1)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from adapters import Adapter, BETAS, DECAY, F, LR, folder, load, torch, write  # takes the folder's name away
import lora_gradients

STEPS, T, ALPHA, BETA, LAYERS = 6, 2.0, 0.5, 3.0, {0: 1, 2: 2}
p = {"r": 2, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"], "modules_to_save": ["model.norm"]}


def run(c, w, adapter, ids):
    """Logits, and the hidden state behind each layer: what the norms were given, two of each layer and the last."""
    seen, norm = [], lora_gradients.norm
    lora_gradients.norm = lambda x, *rest: (seen.append(x), norm(x, *rest))[1]
    z = lora_gradients.model(c, w, {}, adapter, ids)
    lora_gradients.norm = norm
    return z, seen[2::2]


def main():
    out, plain = folder + "/distill", lambda name, x, y: y
    models = [(json.load(open(m + "/config.json")), load(m + "/model.safetensors")) for m in (folder + "/llama/model", stories)]
    (c, w), teachers = models[0], [(*models[1], 0.75), (*models[0], 0.25)]
    rows = [json.loads(l) for l in open(folder + "/llama/train.jsonl")]
    adapter = Adapter(p, w)
    write(out + "/adapter_init", p, adapter.t)
    optimizer = torch.optim.AdamW(adapter.t.values(), lr=LR, betas=BETAS, eps=1e-6, weight_decay=DECAY)
    steps = []
    for step in range(STEPS):
        batch = [rows[(4 * step + i) % len(rows)] for i in range(4)]
        ids, labels = (torch.tensor([r[k] for r in batch]) for k in ("input_ids", "labels"))
        keep, target = labels[:, 1:] >= 0, labels[:, 1:][labels[:, 1:] >= 0]
        rows_of = lambda x: x[:, :-1][keep]
        z, h = run(c, w | {"model.norm.weight": adapter.t["base_model.model.model.norm.weight"]}, adapter, ids)
        loss = (1 - ALPHA) * F.cross_entropy(rows_of(z), target)
        for tc, tw, weight in teachers:
            with torch.no_grad():
                tz, th = run(tc, tw, plain, ids)
            loss = loss + weight * ALPHA * T * T * F.kl_div(F.log_softmax(rows_of(z) / T, -1), F.log_softmax(rows_of(tz) / T, -1),
                                                            reduction="batchmean", log_target=True)
            for mine, its in LAYERS.items():
                loss = loss + weight * BETA / len(LAYERS) * F.mse_loss(rows_of(h[mine]), rows_of(th[its]))
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(adapter.t.values(), 1.0)
        optimizer.step()
        steps.append({"step": step + 1, "loss": loss.item(), "grad_norm": norm.item(), "lr": LR, "tokens": int(keep.sum())})
    write(out + "/adapter_final", p, adapter.t)
    json.dump({"steps": steps}, open(out + "/expected.json", "w"), indent=1)
    open(out + "/config.yaml", "w").write(f"""model: {{path: ../llama/model}}
data: {{train: ../llama/train.jsonl, seq_len: 48, packing: false, shuffle: false}}
lora: {{path: adapter_init}}
distill: {{teachers: [../stories260K, ../llama/model], weights: [3, 1], temperature: {T}, alpha: {ALPHA}, hidden: {BETA}, hidden_layers: {{0: 1, 2: 2}}}}
optimizer: {{name: adamw, lr: {LR}, beta1: {BETAS[0]}, beta2: {BETAS[1]}, eps: 1.0e-6, weight_decay: {DECAY}}}
scheduler: {{name: constant}}
training: {{max_steps: {STEPS}, batch_size: 4, grad_clip: 1.0, output_dir: out}}
""")
    print([round(s["loss"], 6) for s in steps], [round(s["grad_norm"], 4) for s in steps])


main()
