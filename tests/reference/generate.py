#!/usr/bin/python3
"""Greedy texts and log-likelihoods of completions, from the PyTorch model of lora_gradients.py, in double: every token
from the whole text before it. Writes tests/data/generate/expected.json; test_generate, system_generate and system_eval
compare. Needs Debian's python3-torch; the result is kept in the repository.

usage: generate.py SOURCE
"""
import json, os, sys
source = sys.argv.pop()
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lora_gradients import load, model, torch

oracle, stories = source + "/tests/data/oracle", source + "/models/stories260K"
MARGIN = 1e-3  # of the largest logit over the next: far above what fp32 changes


def adapter_of(folder):
    p = json.load(open(folder + "/adapter_config.json"))
    return load(folder + "/adapter_model.safetensors"), p["lora_alpha"] / p["r"]


def greedy(c, w, lora, scale, ids, n, end=None):
    """n new ids, or up to `end`, or as many as are sure: where the largest logit is far enough from the next."""
    ids = list(ids)
    first = len(ids)
    while len(ids) < first + n:
        z = model(c, w, lora, scale, torch.tensor([ids]))[0, -1]
        top = z.topk(2)
        if (top.values[0] - top.values[1]).item() < MARGIN:
            break
        if top.indices[0].item() == end:
            break
        ids.append(top.indices[0].item())
    return ids[first:]


# The tokenizer of stories260K: pairs are merged in the order of the list; bytes for what is no token.
tokenizer = json.load(open(stories + "/tokenizer.json"))["model"]
vocab, names = tokenizer["vocab"], {i: t for t, i in tokenizer["vocab"].items()}
rank = {tuple(m.split(" ") if isinstance(m, str) else m): r for r, m in enumerate(tokenizer["merges"])}


def encode(text):
    s = list("\u2581" + text.replace(" ", "\u2581"))
    while True:
        r, i = min(((rank.get((s[i], s[i + 1]), 1 << 30), i) for i in range(len(s) - 1)), default=(1 << 30, 0))
        if r == 1 << 30:
            break
        s[i:i + 2] = [s[i] + s[i + 1]]
    return [1] + [i for x in s for i in ([vocab[x]] if x in vocab else [vocab[f"<0x{b:02X}>"] for b in x.encode()])]


def decode(ids):
    out = b""
    for t in (names[i] for i in ids if i > 2):
        out += bytes([int(t[3:5], 16)]) if t.startswith("<0x") and len(t) == 6 else t.replace("\u2581", " ").encode()
    return out.decode()


@torch.no_grad()
def ids_of_models():
    """Of every oracle model and variant, with and without its adapter: the first prompt whose greedy text is sure."""
    variants = [(name, {}) for name in ("llama", "qwen2", "qwen3")]
    variants += [(v["model"], v["config"]) for v in json.load(open(oracle + "/variants.json"))]
    for name, change in variants:
        c = json.load(open(f"{oracle}/{name}/model/config.json")) | change
        w = load(f"{oracle}/{name}/model/model.safetensors")
        for adapted in (False, True):
            lora, scale = adapter_of(f"{oracle}/{name}/adapter_final") if adapted else ({}, 0)
            for seed in range(100):
                prompt = torch.randint(512, (9,), generator=torch.Generator().manual_seed(seed)).tolist()
                ids = greedy(c, w, lora, scale, prompt, 40)
                if len(ids) == 40:
                    break
            yield {"model": name, "config": change, "adapter": adapted, "prompt": prompt, "greedy": ids}


@torch.no_grad()
def texts():
    c, w = json.load(open(stories + "/config.json")), load(stories + "/model.safetensors")
    for adapted in (False, True):
        lora, scale = adapter_of(oracle + "/stories260K-shakespeare/adapter_final") if adapted else ({}, 0)
        for prompt in ("ROMEO:", "Once upon a time, there was", "Tom had a caf\u00e9 \u2014"):
            ids = encode(prompt)
            new = greedy(c, w, lora, scale, ids, 80, 2)
            assert len(new) > 15, prompt
            yield {"adapter": adapted, "prompt": prompt, "tokens": len(new), "text": decode(ids + new)[1:]}


@torch.no_grad()
def choices():
    """Completions of prompts, their tokens (those of the whole text that the prompt's don't begin with), log p."""
    c, w = json.load(open(stories + "/config.json")), load(stories + "/model.safetensors")
    rows = [("Once upon a time, there was a little", [" girl named Lily.", " xylophone.", " boy who", " gir"], 0),
            ("She w", [" xy", "as very happy.", " z"], 1),  # a token of both
            ("She was very", [" happy.", " blue table the", " sad and cried, because she had lost her toy."], 0),
            ("The cat sat on the", [" mat", " sky", " cat"], 1), ("A", ["B", " big dog"], 1)]
    for prompt, completions, answer in rows:
        out = []
        for text in completions:
            whole, part = encode(prompt + text), encode(prompt)
            first = next(i for i in range(len(whole)) if i == len(part) or whole[i] != part[i])
            p = torch.log_softmax(model(c, w, {}, 0, torch.tensor([whole]))[0], -1)
            out.append({"tokens": len(whole) - first,
                        "log_likelihood": sum(p[i - 1, whole[i]].item() for i in range(first, len(whole)))})
        yield {"prompt": prompt, "choices": completions, "answer": answer, "expected": out}


os.makedirs(source + "/tests/data/generate", exist_ok=True)
result = {"ids": list(ids_of_models()), "texts": list(texts()), "choices": list(choices())}
with open(source + "/tests/data/generate/expected.json", "w") as f:
    f.write("{\n" + ",\n".join(json.dumps(k) + ": [\n" + ",\n".join(json.dumps(x) for x in v) + "\n]"
                                for k, v in result.items()) + "\n}\n")
print({k: len(v) for k, v in result.items()})
