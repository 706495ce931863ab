#!/bin/bash
# entrenar generate: greedy texts are PyTorch's; the same seed gives the same text for any number of threads; prompts from
# anywhere, chats, texts that end it; what comes comes in whole characters, at once, from memory taken before.
# usage: generate.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
M=$SOURCE/models/stories260K; A=$DATA/oracle/stories260K-shakespeare/adapter_final
cp -r "$M" "$WORK/m"; cd "$WORK" || exit 1
G() { "$BIN/entrenar" generate --model m "$@"; }
same() { # what, file, file
  if [ -s "$2" ] && cmp -s "$2" "$3"; then ok "$1"; else bad "$1: $(head -c 200 "$2") | $(head -c 200 "$3")"; fi
}

# Against PyTorch (tests/reference/generate.py): text, adapter and number of tokens.
python3 - "$DATA/generate/expected.json" <<'P'
import json, sys
for i, t in enumerate(json.load(open(sys.argv[1]))["texts"]):
    open(f"want{i}", "w").write(t["text"] + "\n")
    open(f"prompt{i}", "w").write(t["prompt"])
    open(f"how{i}", "w").write(f"{int(t['adapter'])} {t['tokens']}")
P
for i in 0 1 2 3 4 5; do
  read -r adapted tokens <"how$i"; adapter=(); [ "$adapted" = 1 ] && adapter=(--adapter "$A")
  G --prompt "$(cat prompt$i)" --max-tokens "$tokens" "${adapter[@]}" >got 2>err
  same "text $i is PyTorch's" got "want$i"
done
[ -s err ] && bad "a text says something on standard error: $(cat err)" || ok "nothing on standard error"

# Sampling.
S=(--prompt "Once upon a time" --max-tokens 40 --temperature 1 --seed 7)
G "${S[@]}" --threads 1 >one
for threads in 2 3 auto; do G "${S[@]}" --threads $threads >other; same "the same text on $threads threads" one other; done
G "${S[@]}" --seed 8 >other; cmp -s one other && bad "another seed, the same text" || ok "another seed gives another text"
G --prompt "Once upon a time" --max-tokens 40 >greedy
cmp -s one greedy && bad "temperature doesn't act" || ok "temperature acts"
G "${S[@]}" --top-k 1 >other; same "top-k 1 is greedy" greedy other
G "${S[@]}" --top-p 0.000001 >other; same "top-p near 0 is greedy" greedy other
G "${S[@]}" --top-k 512 --top-p 1 >other; same "top-k of all and top-p 1 is as without" one other
G "${S[@]}" --top-k 3 >k; G "${S[@]}" --top-p 0.5 >p
cmp -s one k || cmp -s one p && bad "top-k or top-p doesn't act" || ok "top-k and top-p act"
G "${S[@]}" --temperature 1e9 >other; n=$(fold -w1 other | sort -u | wc -l)
[ "$n" -gt 15 ] && ok "each token is a draw of its own" || bad "40 tokens at random have $n different letters"

# Prompts, ends.
printf 'Once upon a time\n' | G --max-tokens 40 >other; same "the prompt from standard input" greedy other
printf 'Once upon a time' | G --max-tokens 40 >other; same "without a newline" greedy other
G --prompt "Once upon a time" --max-tokens 0 >other; same "no new tokens" other <(echo "Once upon a time")
G --prompt "Once upon a time" --max-tokens 40 --stop " named" --stop never >other
same "ends before a text" other <(sed 's/ named.*//' greedy | head -1)
G --prompt "Once upon a time" --max-tokens 40 --stop " time" >other; same "the prompt's own text doesn't end it" greedy other
G --prompt "Once upon a time" --max-tokens 40 --stop "$(tail -c 4 greedy)#" >other; same "what only begins a stop comes at the end" greedy other
G --prompt "Once upon a time" --max-tokens 40 --stop " named" --stats >other 2>err
grep -qE '^new     1?[0-9] tokens' err && ok "nothing is computed after it: $(sed -n 2p err)" || bad "computes after a stop: $(cat err)"
sed -nE 's/^(prompt|new)  +([0-9]+) tokens.*/\2/p' err >positions # a model that has no more
python3 - <<'P'
import json, shutil
shutil.copytree("m", "few"); c = json.load(open("m/config.json")); c["max_position_embeddings"] = sum(map(int, open("positions")))
json.dump(c, open("few/config.json", "w"))
P
F() { "$BIN/entrenar" generate --model few --prompt "Once upon a time" --max-tokens 40 "$@" 2>&1 >other | grep -c 'no more positions'; }
[ "$(F)$(F --stop " named")" = 10 ] && ok "at the last position it is told, unless the text ends there" || bad "the last position: $(F), with a stop $(F --stop " named")"
G --prompt "$(cat greedy) One day, she" --max-tokens 600 --stats >other 2>err
all=$(sed -nE 's/^(prompt|new)  +([0-9]+) tokens.*/\2/p' err | paste -sd+)
[ "$(grep -c 'no more positions' err)" = 1 ] && [ "$(wc -w <other)" -gt 100 ] && [ "$((all))" = 512 ] &&
  ok "at the last position: $(head -1 err)" || bad "at the last position: $all tokens; $(cat err)"

# Chats. stories260K has no template: the plain form. Others are a template of its own.
G --chat --prompt "Tell me a story" --max-tokens 30 >chat
printf 'User: Tell me a story\nAssistant:' | G --max-tokens 30 >plain
same "a chat's answer is what comes after its template" plain <(printf 'User: Tell me a story\nAssistant: '; cat chat)
printf '[{"role": "user", "content": "Tell me a story"}]' >list.json
printf '{"messages": [{"role": "user", "content": "Tell me a story"}]}' >object.json
for f in list object; do G --messages $f.json --max-tokens 30 >other; same "messages: $f" chat other; done
python3 - "$DATA/text/chat-templates.json" <<'P'
import json, sys
t = next(t for t in json.load(open(sys.argv[1])) if t["name"] == "qwen2.5")
c = json.load(open("m/tokenizer_config.json")); c["chat_template"] = t["template"]
import shutil; shutil.copytree("m", "chatml"); json.dump(c, open("chatml/tokenizer_config.json", "w"))
c["chat_template"] = "{{ messages }} <|other|>"; shutil.copytree("m", "foreign"); json.dump(c, open("foreign/tokenizer_config.json", "w"))
g = json.load(open("m/generation_config.json"))
g["eos_token_id"] = [2, json.load(open("m/tokenizer.json"))["model"]["vocab"]["."]]
shutil.copytree("m", "ends"); json.dump(g, open("ends/generation_config.json", "w"))
shutil.copytree("m", "eos", ignore=shutil.ignore_patterns("generation_config.json"))
c = json.load(open("m/tokenizer_config.json")); c["eos_token"] = "."; json.dump(c, open("eos/tokenizer_config.json", "w"))
shutil.copytree("chatml", "turns"); t = json.load(open("m/tokenizer.json")); model = t["model"] # "." is a special token, which has no text
t["added_tokens"].append(t["added_tokens"][0] | {"id": model["vocab"].pop("."), "content": "<|im_end|>"})
model["vocab"]["<|im_end|>"] = t["added_tokens"][-1]["id"]; model["merges"] = [x for x in model["merges"] if "." not in str(x)]
json.dump(t, open("turns/tokenizer.json", "w"))
P
turn='<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n'
count() { "$BIN/entrenar" generate "$@" --stats 2>&1 >other | sed -nE "s/^$what  +([0-9]+) tokens.*/\1/p"; }
what=prompt; a=$(count --model chatml --chat --prompt Hi --max-tokens 1); b=$(printf "$turn\n" | count --model m --max-tokens 1)
[ -n "$a" ] && [ "$((a + 1))" = "$b" ] && ok "a template puts BOS where it wants it" || bad "a chat's prompt has $a tokens, the same text as a prompt $b"
what=new; a=$(count --model turns --prompt "Once upon a time" --max-tokens 60)
b=$(count --model turns --prompt "Once upon a time" --max-tokens 60 --stop "<|im_end|>"); c=$(count --model turns --chat --prompt "Hi" --max-tokens 150)
[ "$a" = 60 ] && [ "$b" -lt 60 ] && [ "$c" -lt 150 ] && ok "a token without a text ends it if it is a stop, or a turn's end: $a, $b, $c" || bad "a token without a text: $a, $b, $c"
printf 'a\0b' | G --chat >other 2>err; [ $? = 1 ] && grep -q 'zero byte' err && ok "$(cat err)" || bad "a zero byte in a chat: $(cat err)"
"$BIN/entrenar" generate --model ends --prompt "Once upon a time" --max-tokens 40 >other
same "every id of generation_config.json's list ends it" other <(sed 's/\..*//' greedy)
"$BIN/entrenar" generate --model eos --prompt "Once upon a time" --max-tokens 40 >other; same "the tokenizer's end ends it" other <(sed 's/\..*//' greedy)

# Numbers on standard error.
G --prompt "Once upon a time" --max-tokens 40 --stats >other 2>err; same "--stats leaves the text alone" greedy other
check "--stats: $(tr '\n' ';' <err)" python3 - <<'P'
import re
err = open("err").read()
n, s, rate = re.search(r"^prompt  (\d+) tokens in ([\d.]+) s: ([\d.]+) tokens/s$", err, re.M).groups()
assert abs(float(rate) * float(s) - int(n)) < 1 + float(rate) * 0.0006, err
s, rate = re.search(r"^new     40 tokens, all but the first in ([\d.]+) s: ([\d.]+) tokens/s$", err, re.M).groups()
assert abs(float(rate) * float(s) - 39) < 1 + float(rate) * 0.0006, err
assert float(re.search(r"^memory  ([\d.]+) MiB", err, re.M).group(1)) > 0, err
P
for threads in 1 3; do
  G --prompt x --max-tokens 2 --threads $threads --stats 2>&1 >other | grep -qE "; $threads threads?$" && ok "threads: $threads" || bad "--threads $threads"
done

# A model whose vocabulary is larger than its tokenizer's: what has no text is never taken, however likely.
python3 - <<'P'
import json, shutil, struct
shutil.copytree("m", "padded"); c = json.load(open("m/config.json")); c["vocab_size"] += 2; json.dump(c, open("padded/config.json", "w"))
d = open("m/model.safetensors", "rb").read(); n = struct.unpack("<Q", d[:8])[0]; h = json.loads(d[8:8 + n])
h.pop("__metadata__", None); out = b""
for name, t in h.items():
    x = d[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]]
    if name == "model.embed_tokens.weight":
        row = struct.unpack("<64f", x[426 * 256:427 * 256]); t["shape"][0] += 2
        x += struct.pack("<64f", *(50 * y for y in row)) + struct.pack("<64f", *(-50 * y for y in row))
    t["data_offsets"] = [len(out), len(out) + len(x)]; out += x
h = json.dumps(h).encode(); open("padded/model.safetensors", "wb").write(struct.pack("<Q", len(h)) + h + out)
P
"$BIN/entrenar" generate --model padded --prompt "Once upon a time" --max-tokens 40 >other 2>err; same "a padded vocabulary" greedy other

# As it comes: a write for nearly every token, each of whole characters; and no memory from the system between them.
if grep -q __asan_init "$BIN/entrenar"; then
  echo "the sanitizers take memory of their own: not counted"
elif strace -o trace -e trace=write,mmap,brk,munmap,mremap "$BIN/entrenar" generate --model m --prompt "$(cat prompt2)" \
  --max-tokens 80 --threads 1 >other 2>err; then
  python3 - <<'P' && ok "comes as it is made, from memory taken before" || bad "writes: $(grep -n 'write(1' trace | head -3)"
lines = [l.split(maxsplit=1)[-1] if l.split("(")[0].isdigit() else l for l in open("trace", errors="replace")]
at = [i for i, l in enumerate(lines) if l.startswith("write(1,")]
assert len(at) > 40, len(at)
between = [l for l in lines[at[1]:at[-1]] if not l.startswith("write(")]
assert not between, between[:3]
P
  G --prompt "$(cat prompt2)" --max-tokens 80 >bare; same "under strace as without" other bare
else
  echo "SKIPPED: strace: $(head -1 err)"
fi

# Bad command lines: 2; bad models and prompts: 1. One line each, that names the thing.
refuse() { # code, a word of the message, options...
  local code=$1 word=$2; shift 2
  "$BIN/entrenar" generate "$@" </dev/null >other 2>err; local got=$?
  if [ $got = "$code" ] && [ "$(grep -c . err)" = 1 ] && grep '^entrenar: ' err | grep -qF -- "$word"; then ok "$(cat err)"
  else bad "exit $got, expected $code with $word: $(head -c 300 err)"; fi
}
P=(--model m --prompt x)
refuse 2 --model --prompt x
refuse 2 --frobnicate "${P[@]}" --frobnicate
refuse 2 "--seed: expected a value" "${P[@]}" --seed
refuse 2 --max-tokens "${P[@]}" --max-tokens 1.5
refuse 2 --max-tokens "${P[@]}" --max-tokens -1
refuse 2 --seed "${P[@]}" --seed ten
refuse 2 --threads "${P[@]}" --threads 0
refuse 2 --temperature "${P[@]}" --temperature -1
refuse 2 --temperature "${P[@]}" --temperature nan
refuse 2 "above 0" "${P[@]}" --temperature 1 --top-p 0
refuse 2 --top-p "${P[@]}" --temperature 1 --top-p 1.1
refuse 2 --top-k "${P[@]}" --temperature 1 --top-k 0
refuse 2 "--top-k acts only with" "${P[@]}" --top-k 5
refuse 2 "--top-p acts only with" "${P[@]}" --top-p 0.5
refuse 2 --stop "${P[@]}" --stop ""
refuse 2 "--prompt and --messages exclude" "${P[@]}" --messages list.json
refuse 2 "--chat and --messages exclude" --model m --chat --messages list.json
refuse 1 nowhere --model nowhere --prompt x
refuse 1 nowhere "${P[@]}" --adapter nowhere
refuse 1 tokenizer.json --model "$DATA/oracle/llama/model" --prompt x
refuse 1 UTF-8 --model m --prompt $'\xff\xfe'
refuse 1 "512 positions" --model m --prompt "$(printf 'a b%.0s' $(seq 400))"
sed -i 's/"max_position_embeddings": [0-9]*/"max_position_embeddings": 5/' few/config.json
refuse 1 "5 tokens, few has 5 positions" --model few --prompt "Once upon a time"
refuse 1 chat_template --model foreign --chat --prompt x
echo '[{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]' >last.json; refuse 1 assistant --model m --messages last.json
echo '[{"role": "robot", "content": "x"}]' >robot.json; refuse 1 robot --model m --messages robot.json
echo '{"role": "user"}' >none.json; refuse 1 none.json --model m --messages none.json
echo '[{"role": "user", "content": 1}]' >number.json; refuse 1 'messages[0]' --model m --messages number.json
echo '[' >broken.json; refuse 1 broken.json --model m --messages broken.json
python3 - <<'P'
import json, shutil, struct
shutil.copytree("m", "nan")
d = bytearray(open("m/model.safetensors", "rb").read()); n = struct.unpack("<Q", d[:8])[0]; h = json.loads(d[8:8 + n])
a = 8 + n + h["model.norm.weight"]["data_offsets"][0]; d[a:a + 4] = struct.pack("<f", float("nan"))
open("nan/model.safetensors", "wb").write(d)
P
refuse 1 "logit" --model nan --prompt x
ranks 2 "$BIN/entrenar" generate "${P[@]}" >other 2>err; code=$?
[ $code != 0 ] && [ "$(grep -c '^entrenar: ' err)" = 1 ] && ok "two ranks: $(grep '^entrenar: ' err)" || bad "two ranks: exit $code, $(head -c 300 err)"
"$BIN/entrenar" generate "${P[@]}" >/dev/full 2>err; [ $? = 1 ] && grep -q '^entrenar: standard output' err && ok "a full disk: $(cat err)" || bad "a full disk: $(cat err)"
for option in model adapter prompt chat messages max-tokens stop temperature top-k top-p seed threads stats; do
  "$BIN/entrenar" generate --help | grep -q -- "^  --$option " || bad "--help doesn't know --$option"
done
finish
