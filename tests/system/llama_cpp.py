#!/usr/bin/python3
"""What the test of llama.cpp needs: small models, ids of texts, and the list of checks for llama_cpp.mjs.

usage: llama_cpp.py tiny FOLDER MODEL_TYPE TOKENIZER   a model of random numbers with this tokenizer
       llama_cpp.py ids VAL_IDS COUNT                  the texts, a line each
       llama_cpp.py checks SOURCE IDS OUT              checks of the files that llama_cpp.sh made
"""
import json, os, random, shutil, struct, sys, unicodedata


def tiny(folder, model_type, tokenizer):
    tree = json.load(open(os.path.join(tokenizer, "tokenizer.json")))
    vocab = 1 + max(list(tree["model"]["vocab"].values()) + [t["id"] for t in tree["added_tokens"]])
    vocab += 3  # models pad theirs
    r, h, inner, d = random.Random(7), 64, 96, 16
    config = {"model_type": model_type, "vocab_size": vocab, "hidden_size": h, "intermediate_size": inner,
              "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-6,
              "max_position_embeddings": 512, "rope_theta": 500000.0, "tie_word_embeddings": True}
    if model_type == "llama":
        config["attention_bias"] = config["mlp_bias"] = True
        config["rope_scaling"] = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                  "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
    if model_type == "mistral":
        config["sliding_window"] = None
        config["rope_scaling"] = {"rope_type": "linear", "factor": 2.0}
    tensors = {"model.embed_tokens.weight": (vocab, h), "model.norm.weight": (h,)}
    for i in range(2):
        shapes = {"self_attn.q_proj": (4 * d, h), "self_attn.k_proj": (2 * d, h), "self_attn.v_proj": (2 * d, h),
                  "self_attn.o_proj": (h, 4 * d), "mlp.gate_proj": (inner, h), "mlp.up_proj": (inner, h),
                  "mlp.down_proj": (h, inner)}
        for name, shape in shapes.items():
            tensors[f"model.layers.{i}.{name}.weight"] = shape
            if model_type == "llama" or (model_type == "qwen2" and name[10] in "qkv" and "self" in name):
                tensors[f"model.layers.{i}.{name}.bias"] = shape[:1]
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{i}.{name}.weight"] = (h,)
    header, data = {}, b""
    for name, shape in sorted(tensors.items()):
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        one = "norm" in name
        piece = struct.pack(f"<{n}f", *((1 if one else 0) + r.gauss(0, 0.2 if len(shape) > 1 else 0.1) for _ in range(n)))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    os.makedirs(folder)
    text = json.dumps(header).encode()
    open(os.path.join(folder, "model.safetensors"), "wb").write(struct.pack("<Q", len(text)) + text + data)
    json.dump(config, open(os.path.join(folder, "config.json"), "w"))
    shutil.copy(os.path.join(tokenizer, "tokenizer.json"), folder)


def ids(path, count):
    for line in list(open(path))[:count]:
        print(*json.loads(line)["input_ids"][:256])


def vectors(source, name):
    """Texts and their ids by Hugging Face's tokenizers, but for what llama.cpp doesn't do: a zero ends a text on its way,
    characters aren't composed (qwen2), and in its splits 's is no 'ſ."""
    rows = json.load(open(f"{source}/tests/data/tokenizers/{name}/vectors.json"))
    rows = [r for r in rows if r["text"] and "\0" not in r["text"]]
    if name.startswith(("llama3", "qwen2")):
        rows = [r for r in rows if "'ſ" not in r["text"]]
    if name.startswith("qwen2"):
        rows = [r for r in rows if unicodedata.normalize("NFC", r["text"]) == r["text"]]
    return [{"text": r["text"], "ids": r["ids"]} for r in rows]


def checks(source, ids_file, out):
    texts = [[int(x) for x in line.split()] for line in open(ids_file)]
    rows = [{"name": "base", "model": "base.gguf", "texts": texts, "probabilities": "base.f32",
             "tokenizer": vectors(source, "spm-512")},
            {"name": "base + GGUF adapter", "model": "base.gguf", "adapter": "adapter.gguf", "texts": texts,
             "probabilities": "tuned.f32"},
            {"name": "merged", "model": "merged.gguf", "texts": texts, "probabilities": "tuned.f32",
             "greedy": {"prompt": "First Citizen:", "text": open("greedy.txt").read(), "tokens": 48}}]
    rows.append({"name": "merged, against the folder", "model": "merged.gguf", "texts": texts,
                 "probabilities": "folder.f32"})
    # what 8, 5 and 4 bits change, and llama.cpp's rounding of the other factor
    for name, within, perplexity in (("f16", 0.02, 1e-3), ("bf16", 0.05, 1e-3), ("q8_0", 0.1, 5e-3), ("q5_0", 0.5, 0.06),
                                     ("q4_1", 0.8, 0.2), ("q4_0", 0.8, 0.2)):
        rows.append({"name": name, "model": f"merged-{name}.gguf", "texts": texts, "probabilities": "tuned.f32",
                     "within": within, "perplexity": perplexity})
    for name in ("llama", "qwen2", "qwen3"):
        rows.append({"name": f"{name} merged", "model": f"{name}.gguf", "texts": texts[:1], "probabilities": f"{name}.f32"})
        rows.append({"name": f"{name} + GGUF adapter", "model": f"{name}-base.gguf", "adapter": f"{name}-adapter.gguf",
                     "texts": texts[:1], "probabilities": f"{name}.f32"})
    for name in ("gpt2-4k", "llama3-style-4k", "qwen2-style-4k", "spm-512"):
        rows.append({"name": f"tiny {name}", "model": f"tiny-{name}.gguf", "texts": texts[:1],
                     "probabilities": f"tiny-{name}.f32", "tokenizer": vectors(source, name)})
    spaces = [{"text": json.loads(text), "ids": json.loads(ids)} for text, ids in zip(open("spaces.texts"), open("spaces.ids"))]
    rows.append({"name": "tokens of spaces", "model": "spaces.gguf", "tokenizer": spaces})
    json.dump(rows, open(out, "w"))


if __name__ == "__main__":
    if sys.argv[1] == "tiny":
        tiny(*sys.argv[2:])
    elif sys.argv[1] == "ids":
        ids(sys.argv[2], int(sys.argv[3]))
    else:
        checks(*sys.argv[2:])
