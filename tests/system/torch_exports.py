#!/usr/bin/python3
"""Reads what was exported by its own small reader, runs it in PyTorch (the forward of tests/reference/lora_gradients.py, in
double, which reproduces transformers'), and compares the probabilities of every next token with those of entrenar.

usage: torch_exports.py CHECKS IDS
CHECKS  a line each: NAME MODEL ADAPTER PROBABILITIES WITHIN. MODEL: a Hugging Face folder or a GGUF file; ADAPTER: a PEFT
        folder or -; PROBABILITIES: of token_probabilities; WITHIN: the largest difference of a probability
IDS     texts, a line each, of which PROBABILITIES has the first ones
"""
import glob, json, os, re, struct, sys
checks_file, ids_file = sys.argv[1:]
del sys.argv[1:]
here = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = here + "/../reference"  # beside this file stands an inspect.py, which is not Python's
from lora_gradients import model, torch
sys.path[0] = here
import gguf

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I8": torch.int8, "U8": torch.uint8}
PREFIX = "base_model.model."
MODULES = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
           "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
           "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def safetensors(path):
    data, out = open(path, "rb").read(), {}
    n = struct.unpack("<Q", data[:8])[0]
    for name, t in json.loads(data[8:8 + n]).items():
        if name != "__metadata__":
            a, b = t["data_offsets"]
            out[name] = torch.frombuffer(bytearray(data[8 + n + a:8 + n + b]), dtype=DTYPES[t["dtype"]]).reshape(t["shape"])
    return out


def nf4(w, name):
    """bitsandbytes, with double quantisation: two codes in a byte, the higher bits first; scales of blocks are codes, too."""
    state = json.loads(bytes(w.pop(name + ".quant_state.bitsandbytes__nf4").tolist()))
    codes, outer, groups, inner = (w.pop(f"{name}.{k}") for k in ("absmax", "nested_quant_map", "nested_absmax", "quant_map"))
    scales = outer[codes.long()] * groups.repeat_interleave(state["nested_blocksize"])[:len(codes)] + state["nested_offset"]
    packed = w[name].flatten().long()
    values = inner[torch.stack([packed >> 4, packed & 15], 1).flatten()]
    w[name] = (values * scales.repeat_interleave(state["blocksize"])[:len(values)]).reshape(state["shape"])


def dequantized(w):
    """NF4; and compressed-tensors, int-quantized: (q - zero point) scale, a scale for a tensor, a row, or a group of columns."""
    for name in [k for k in w if w[k].dtype == torch.int8 and k.endswith(".weight")]:
        scale, zero = w.pop(name + "_scale").double(), w.pop(name + "_zero_point", torch.zeros(1, 1)).double()
        q = w[name].double().reshape(w[name].shape[0], scale.shape[-1], -1)
        w[name] = ((q - zero.reshape(*zero.shape, 1)) * scale.reshape(-1, scale.shape[-1], 1)).reshape(w[name].shape)
    for name in [k[:-len(".absmax")] for k in w if k.endswith(".absmax")]:
        nf4(w, name)
    return w


def folder(path):
    w = {}
    for file in glob.glob(path + "/model*.safetensors"):
        w.update(safetensors(file))
    return json.load(open(path + "/config.json")), {k: t.double() for k, t in dequantized(w).items()}


def gguf_file(path):
    keys, tensors = gguf.read(path)
    arch = keys["general.architecture"]
    key = lambda name, otherwise=None: keys.get(f"{arch}.{name}", otherwise)
    heads = key("attention.head_count")
    c = {"model_type": arch, "num_attention_heads": heads, "num_key_value_heads": key("attention.head_count_kv", heads),
         "hidden_size": key("embedding_length"), "head_dim": key("attention.key_length"), "num_hidden_layers": key("block_count"),
         "rms_norm_eps": key("attention.layer_norm_rms_epsilon"), "rope_theta": key("rope.freq_base", 10000.0)}
    names, w = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}, {}
    for name, (label, shape, data) in tensors.items():
        t = torch.tensor(gguf.numbers(label, data)[0], dtype=torch.float64).reshape(shape)
        stem, end = name.rsplit(".", 1)
        block = re.fullmatch(r"blk\.(\d+)\.(\w+)", stem)
        if block and arch == "llama" and block[2] in ("attn_q", "attn_k"):  # rows of pairs: (half, 2) in place of (2, half)
            n = heads if block[2] == "attn_q" else c["num_key_value_heads"]
            t = t.reshape(n, t.shape[0] // n // 2, 2, -1).transpose(1, 2).reshape(shape)
        w[(f"model.layers.{block[1]}.{MODULES[block[2]]}" if block else names[stem]) + "." + end] = t
    return c, w


class Adapter:
    """PEFT's LoRA: y + alpha / r (x A^T) B^T, alpha / sqrt(r) with rslora; alphas by the first pattern that matches. With a
    magnitude (DoRA) the rows of W + alpha / r B A get that length. Modules that are saved whole take the place of w's."""
    def __init__(self, path, w):
        self.p, self.w, self.used = json.load(open(path + "/adapter_config.json")), w, set()
        self.t = {k: t.double() for k, t in safetensors(path + "/adapter_model.safetensors").items()}
        for k in [k for k in self.t if ".lora_" not in k]:
            assert k[len(PREFIX):] in w and self.p["modules_to_save"], k
            w[k[len(PREFIX):]] = self.t.pop(k)

    def alpha(self, name):
        p = self.p.get("alpha_pattern") or {}
        return next((p[k] for k in p if re.match(rf"(.*\.)?({k})$", name)), self.p["lora_alpha"])

    def __call__(self, name, x, y):
        keys = [f"{PREFIX}{name}.lora_{part}.weight" for part in "AB"]
        if keys[0] not in self.t:
            return y
        a, b = (self.t[k] for k in keys)
        self.used.update(keys)
        change = self.alpha(name) / (len(a) ** 0.5 if self.p.get("use_rslora") else len(a)) * b @ a
        if self.p.get("use_dora"):
            length, base = f"{PREFIX}{name}.lora_magnitude_vector", self.w[name + ".weight"]
            self.used.add(length)
            whole = base + change
            change = (self.t[length] / whole.norm(dim=1))[:, None] * whole - base
        return y + x @ change.T


def check(name, path, adapter, probabilities, within):
    c, w = gguf_file(path) if path.endswith(".gguf") else folder(path)
    lora = Adapter(adapter, w) if adapter != "-" else None
    want = torch.frombuffer(bytearray(open(probabilities, "rb").read()), dtype=torch.float32).double()
    at, worst, losses = 0, 0.0, [0.0, 0.0]
    for line in open(ids_file):
        ids = torch.tensor([[int(x) for x in line.split()]])
        if at == len(want):
            break
        got = torch.softmax(model(c, w, {}, lora, ids), -1)[0]
        p = want[at:at + got.numel()].reshape(got.shape)
        at += got.numel()
        worst = max(worst, (got - p).abs().max().item())
        for i, x in enumerate((got, p)):
            losses[i] -= x[:-1].gather(1, ids[0, 1:, None]).log().sum().item()
    assert at == len(want) > 0, f"{probabilities}: {len(want)} numbers, {at} used"
    assert lora is None or lora.used == set(lora.t), sorted(set(lora.t) - lora.used)
    ratio = losses[0] / losses[1] - 1
    good = worst <= float(within) and abs(ratio) <= float(within)
    print("ok   " if good else "FAIL ", f"{name}: probabilities within {worst:.1e}, loss within {abs(ratio):.1e} (bound {within})")


with torch.no_grad():
    for line in open(checks_file):
        try:
            check(*line.rstrip("\n").split("\t"))
        except Exception as e:
            print("FAIL ", line.split("\t")[0] + ":", type(e).__name__, e)
