#!/bin/bash
# entrenar data: tokens, targets and packing are those that a run gets; what is wrong is named by line, with exit 1.
# usage: data.sh BIN SOURCE
. "$(dirname "$0")/lib.sh" "$@"
cp -r "$SOURCE/models/stories260K" "$WORK/model"; head -9 "$DATA/text/gsm8k-20.jsonl" >"$WORK/gsm8k.jsonl"; cd "$WORK" || exit 1
sed "1d;5d;7d;10d;16d" "$DATA/text/chat-20.jsonl" >chat.jsonl # without the longest
cat >config.yaml <<'C'
model: {path: model}
data: {train: chat.jsonl, seq_len: 512}
lora: {rank: 4}
training: {output_dir: out}
C
look() { "$BIN/entrenar" data config.yaml "$@" >out.txt 2>err.txt; code=$?; }
says() { # what, exit code, a line of out.txt or err.txt
  if [ $code = "$2" ] && grep -qF -- "$3" out.txt err.txt; then ok "$1"; else bad "$1: exit $code: $(head -c 400 err.txt) $(tail -4 out.txt)"; fi; }

look --rows 2; says "chats" 0 'packing on: '
[ "$(grep -c '^line ' out.txt)" = 2 ] && ok "two rows" || bad "two rows: $(grep '^line ' out.txt)"
[ -s err.txt ] || [ -e out ] && bad "nothing else is written" || ok "nothing else is written"
cat >model/chat_template.jinja <<'J'
{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}
{% endfor %}
J
echo '{"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "I, a\tcat|dog"}, {"role": "user", "content": "Oh"}]}' >one.jsonl
look --set data.train=one.jsonl; says "through the model's template" 0 ' of them learned'
# Bars stand between tokens: without them, the learned line is the answer with its end and nothing else.
learned=$(grep '^  LEARN' out.txt | sed 's/^  LEARN |//; s/\\|/@/g; s/|//g; s/@/|/g'); [ "$learned" = ' I, a\tcat|dog</s>' ] || [ "$learned" = 'I, a\tcat|dog</s>' ] &&
  ok "the answer is marked: $learned" || bad "the answer is marked: $learned"
grep -q $'\033' out.txt && bad "no colours in a file" || ok "no colours in a file"
echo '{%- for m in messages -%} [{{ m.role }}] {{ m.content }}{%- endfor -%}' >other.jinja
look --set data.train=one.jsonl --set data.chat_template=other.jinja; says "another template" 0 packing
grep '^  given' out.txt | tr -d '|\n' | grep -qF '[user] Who?[assistant]' && ok "is the one that is used" || bad "is the one that is used: $(cat out.txt)"
echo '{% macro x() %}{% endmacro %}' >bad.jinja
look --set data.train=one.jsonl --set data.chat_template=bad.jinja; says "a template that isn't known" 1 'bad.jinja: chat_template: line 1: {% macro %} is not supported; data.chat_template takes'
look --set data.train=gsm8k.jsonl --set data.chat_template=bad.jinja; says "is no fault for other data" 0 'packing'
rm model/chat_template.jinja

printf '%s\n' '{"text": "A dog"}' '{"text": "<s>A cat"}' '{"text": "<s> A cow"}' >text.jsonl
look --set data.train=text.jsonl; says "two BOS" 1 'text.jsonl:2: begins with the BOS token twice'; says "in two rows" 1 '2 rows in all, lines 2, 3'
printf '%s\n' '{"prompt": "a", "completion": "b"}' '{"input_ids": [1, 2]}' >mixed.jsonl
look --set data.train=mixed.jsonl; says "a row of another kind" 1 'mixed.jsonl:2: expected'
printf '%s\n' '{"input_ids": [1, 2, 3], "labels": [-100, 2, 3]}' '{"input_ids": [1, 2], "labels": [-100, -100]}' '{"input_ids": [1, 2], "labels": [1, -100]}' >ids.jsonl
look --set data.train=ids.jsonl; says "no target" 1 'ids.jsonl:2: no token is learned'; says "a first token is nobody's target" 1 'lines 2, 3'
look --set data.train=ids.jsonl --set data.seq_len=2; says "cut into pieces" 1 'ids.jsonl:1: 3 tokens, more than data.seq_len 2: cut into pieces'
look --set data.train=ids.jsonl --set data.seq_len=2 --set data.packing=false; says "cut off" 1 'data.seq_len 2: the rest is cut off'
look --set data.val=ids.jsonl; says "data.val too" 1 'ids.jsonl:2: '; says "after data.train" 1 'chat.jsonl: 15 rows'
look --set data.train=nowhere.jsonl; says "missing data" 1 nowhere.jsonl
look --set model.path=nowhere; says "missing model" 2 nowhere
look --rows many; says "not a number" 2 '--rows: expected an integer'
look --frobnicate; says "unknown option" 2 'unknown option --frobnicate'

# What it tells is what the run says it trains on, and its JSON adds up.
look --json --rows 20; cp out.txt data.json; says "JSON" 0 '"files"'
"$BIN/entrenar-train" config.yaml --dry-run >dry.txt 2>&1
python3 - data.json dry.txt chat.jsonl <<'P' && ok "JSON agrees with the rows and with the run" || bad "JSON: $(tail -3 dry.txt)"
import json, re, sys
f = json.load(open(sys.argv[1]))["files"][0]
rows = [json.loads(line) for line in open(sys.argv[3])]
assert len(f["first_rows"]) == len(rows) == f["rows"] == 15
for r, row in zip(f["first_rows"], rows):
    learned = "".join(p for p, l in zip(r["pieces"], r["learned"]) if l)
    answers = "".join(m["content"] + "</s>\n" for m in row["messages"] if m["role"] == "assistant")
    assert learned.replace(" ", "") == answers.replace(" ", ""), (learned, answers)
assert sum(len(r["ids"]) for r in f["first_rows"]) == f["tokens"] == f["unit_tokens"]
assert sum(sum(r["learned"]) for r in f["first_rows"]) == f["learned"] == f["unit_learned"]
assert f["unit_documents"] == 15 and f["fewest_documents"] <= 15 / f["units"] <= f["most_documents"]
assert re.search(r"\b%d units" % f["units"], open(sys.argv[2]).read()), f["units"]
P
finish
