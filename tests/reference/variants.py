#!/usr/bin/python3
"""Losses of variants of tests/data/oracle/{llama,qwen2} whose config.json says something else: sliding windows, scaled
RoPE, another base. From the PyTorch model of lora_gradients.py, in double. Writes variants.json beside the models; the
test system_variants compares. Needs Debian's python3-torch; the result is kept in the repository.

usage: variants.py ORACLE_DIR
"""
import json, os, sys
folder = sys.argv.pop()
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lora_gradients import F, load, model, torch

llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
variants = [
    ("llama", {"rope_scaling": {"type": "linear", "factor": 4.0}}),
    ("llama", {"rope_scaling": llama3}),
    ("llama", {"rope_theta": 500.0, "rms_norm_eps": 0.01}),
    ("llama", {"model_type": "mistral", "sliding_window": 7}),
    ("llama", {"model_type": "mistral", "sliding_window": None}),
    ("qwen2", {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 2}),
    ("qwen2", {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 0}),
]
out = []
for name, change in variants:
    c = json.load(open(f"{folder}/{name}/model/config.json")) | change
    w = load(f"{folder}/{name}/model/model.safetensors")
    rows = [json.loads(l) for l in open(f"{folder}/{name}/train.jsonl")]
    ids, labels = (torch.tensor([r[k] for r in rows]) for k in ("input_ids", "labels"))
    with torch.no_grad():
        z = model(c, w, {}, 0, ids)
    loss = F.cross_entropy(z[:, :-1].reshape(-1, z.shape[-1]), labels[:, 1:].reshape(-1)).item()
    out.append({"model": name, "config": change, "loss": loss})
json.dump(out, open(folder + "/variants.json", "w"), indent=1)
print(*out, sep="\n")
