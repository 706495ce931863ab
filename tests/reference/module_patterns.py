#!/usr/bin/python3
"""Which modules a key of PEFT's rank_pattern takes, by Python's re with PEFT's expression. Writes module_patterns.json;
the test test_module_pattern compares. The standard library only; the result is kept in the repository.

usage: module_patterns.py OUTPUT
"""
import json, re, sys
modules = [f"model.layers.{l}.{m}" for l in (0, 1, 10) for m in
           ("self_attn.q_proj", "self_attn.k_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj")]
keys = ["q_proj", "self_attn.q_proj", "layers.0.self_attn.q_proj", "model.layers.10.mlp.down_proj", "attn.q_proj", "proj",
        ".*_proj", "[qk]_proj", "[^q]_proj", "(q|k)_proj", "q_proj|o_proj", "layers.1.*", r"layers\.1\..*", r"layers\.1.*",
        r"\d+\.mlp\.\w+", r"layers.[0-9].mlp.gate_proj", r"layers.\d{2}.*", r"layers.(?:0|10)\.mlp.*", "^model.*q_proj",
        "^q_proj", "q_proj$", "l.*?r.*j", "mod+el.+", r"\D+", r"model(\.\w+)*", "layers.1{1,}0{0,1}.mlp.gate_proj", "x|",
        r"[\w.]*gate[_a-c]proj", r"\w_proj", r"\s*k_proj", "Q_PROJ", "(.*", "q_proj)", "*", "q**", "a{2", "a{,2}", "[a", "[]a]",
        "[[a]]", r"\bq_proj", "(?i)Q_PROJ", "(?!q).*", r"(q)\1", "q_proj'", "q proj", "é", "(?P<a>q)_proj", "a{3,2}", "[z-a]", "a*+", "a++",
        "", "{", "x{2}{3}", r"q_proj\Z", "]", "}", "[a&&b]"]
out = []
for key in keys:
    try:
        takes = [m for m in modules if re.match(rf"(.*\.)?({key})$", m)]
    except re.error:
        takes = None
    out.append({"key": key, "takes": takes})
json.dump({"modules": modules, "keys": out}, open(sys.argv[1], "w"), indent=1)
