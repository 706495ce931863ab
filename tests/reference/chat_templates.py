"""Renders chat templates and pieces of Jinja with Jinja2, set up as transformers does (trim_blocks, lstrip_blocks, loop
controls, generation blocks), into data/text/chat-templates.json (its templates stay, others are added from MORE) and
data/text/jinja.json. Run in tests/: python3 reference/chat_templates.py. Needs Jinja2 (recorded with 3.1.6)."""
import json

import jinja2
import jinja2.sandbox
from jinja2.ext import Extension


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body", []), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


ENV = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"])
ENV.globals["raise_exception"] = raise_exception


def render(template, messages, bos, eos, answer_next=False):
    tokens = {k: v for k, v in (("bos_token", bos), ("eos_token", eos)) if v is not None}
    return ENV.from_string(template).render(
        messages=messages, tools=None, documents=None, add_generation_prompt=answer_next, **tokens)


def u(s): return {"role": "user", "content": s}
def a(s): return {"role": "assistant", "content": s}
def s(s): return {"role": "system", "content": s}


CONVERSATIONS = [
    [u("Hi"), a("Hello.")],
    [s("Be brief."), u("Hi"), a("Hello."), u("Bye"), a("See you")],
    [u("  What is 2+2?\n"), a(" Four \n\n"), u("\tä→ \u00a0"), a("“Ünïcode”\u3000"), u("end")],
    [s(" sys \n"), u("<|im_end|> {{ 1 }}"), a("<think>\nlong\n</think>\n\nanswer"), u("q"), a("{% if %}")],
    [u("a"), u("b"), a("c")],
]

ALTERNATE = ("{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must "
             "alternate user/assistant/user/assistant/...') }}{% endif %}")
MISTRAL_HEAD = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
"""
LLAMA31 = """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system message, if there is one, comes after the dates. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {{- message.tool_calls[0].function.arguments | tojson }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
THINKING = """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and not(message.content.startswith('<tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content %}
        {%- set reasoning_content = '' %}
        {%- if '</think>' in message.content %}
            {%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}
            {%- set reasoning_content = message.content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or reasoning_content) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
"""
# name, bos, eos, what an answer ends with, template
MORE = [
    ("mistral-v1", "<s>", "</s>", "</s>",
     "{{ bos_token }}{% for message in messages %}" + ALTERNATE + "{% if message['role'] == 'user' %}{{ '[INST] ' + "
     "message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}"
     "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"),
    ("mistral-v1-space", "<s>", "</s>", "</s>",
     MISTRAL_HEAD + """
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('After the optional system message, conversation roles must alternate user/assistant') }}
    {%- endif %}
    {%- if message["role"] == "user" %}
        {%- if loop.first and system_message is defined %}
            {{- " [INST] " + system_message + "\\n\\n" + message["content"] + " [/INST]" }}
        {%- else %}
            {{- " [INST] " + message["content"] + " [/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"] + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported") }}
    {%- endif %}
{%- endfor %}
"""),
    ("mistral-v3", "<s>", "</s>", "</s>",
     MISTRAL_HEAD + """{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- endif %}
{%- endfor %}
"""),
    ("mistral-tekken", "<s>", "</s>", "</s>",
     MISTRAL_HEAD + """{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, conversation roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST]" + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST]" + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- message["content"] + eos_token}}
    {%- endif %}
{%- endfor %}
"""),
    ("gemma", "<bos>", "<eos>", "<end_of_turn>",
     "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif "
     "%}{% for message in messages %}" + ALTERNATE + "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}"
     "{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | "
     "trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"),
    ("phi3", "<s>", "<|endoftext|>", "<|end|>",
     "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') %}{{'<|user|>' + '\n' + "
     "message['content'] + '<|end|>' + '\n' + '<|assistant|>' + '\n'}}{% elif (message['role'] == 'assistant') %}"
     "{{message['content'] + '<|end|>' + '\n'}}{% endif %}{% endfor %}"),
    ("phi3.5", "<s>", "<|endoftext|>", "<|end|>",
     "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\n' + "
     "message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + "
     "'<|end|>\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}"
     "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"),
    ("llama3.1", "<|begin_of_text|>", "<|eot_id|>", "<|eot_id|>", LLAMA31),
    ("thinking", None, "<|im_end|>", "<|im_end|>", THINKING),
    ("qwen1.5", None, "<|im_end|>", "",
     "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are"
     " a helpful assistant<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content']}}{% if "
     "(loop.last and add_generation_prompt) or not loop.last %}{{ '<|im_end|>' + '\n'}}{% endif %}{% endfor %}"),
    ("generation", "<s>", "</s>", "</s>\n",
     "{% for m in messages %}{{ '<|' + m.role + '|>\n' }}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
     "{{ eos_token }}\n{% endgeneration %}{% else %}{{ m.content }}\n{% endif %}{% endfor %}"),
]

E = "{%- for m in messages -%}"
SNIPPETS = [
    "a\n", "a\n\n", "{{ 1 }}\n", "  {% if true %}\n  x\n  {% endif %}\ny", "a {%- if true %} b {%- endif %} c",
    "a\n  {%- if true -%}  \n b {% endif -%}\n\n c", "a {%+ if true %}b{% endif +%}\nc", "x {# no #}\n y", "x\n  {# no #}\n y",
    "x {#- no -#}\n y", "{{- 'a' -}}  \n b", "  {{ 'a' }}\nb", "{{ '%}' }}{{ \"}}\" }}", "{{ {'a': {'b': 1}}.a.b }}",
    "\r\na\rb\r\n{{ 'x\r\ny' }}", "{{ 'a\\n\\t\\\\\\'\\\"b\\x41\\u00e4' }}", "{{ 'a' 'b' \"c\" }}",
    "{{ 1 + 2 * 3 - 4 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 - -1 }}", "{{ 1 ~ 2 + 3 ~ 'x' }}",
    "{{ 'a' + 'b' | upper }} {{ ('a' + 'b') | upper }}", "{{ not 1 == 2 }} {{ 1 == 1 and not 0 }} {{ 0 or 'x' }} {{ 1 and '' }}",
    "{{ 'a' in 'cat' }} {{ 'x' not in ['x'] }} {{ 'k' in {'k': 1} }} {{ 1 in [1, 2] }}", "{{ 1 < 2 }} {{ 'b' >= 'a' }} {{ true == 1 }}",
    "{{ 'a' if 0 else 'b' }} {{ 'a' if 1 else 'b' if 1 else 'c' }}", "{{ [1, 2, 3][-1] }}{{ 'héllo'[1] }}{{ 'héllo'[1:3] }}",
    "{{ 'hello'[::-1] }} {{ 'hello'[3:1:-1] }} {{ 'hello'[-3:] }} {{ 'hello'[:-1] }} {{ 'hello'[9:] }}|",
    "{% for x in [1, 2, 3][::-1] %}{{ x }}{% endfor %} {% for x in [1, 2, 3][5::-1] %}{{ x }}{% endfor %}",
    "{% for x in [3, 4, 5] %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}"
    "{{ loop.last }}{{ loop.length }} {% endfor %}", "{% for x in [1, 2] %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% for x in [] %}a{% else %}none{% endfor %}", "{% for x in range(6) if x % 2 %}{{ x }}{{ loop.last }}{% endfor %}",
    "{% for x in range(9) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 4 %}{% break %}{% endif %}{{ x }}{% endfor %}!",
    "{% for x in range(3) %}{% for y in range(3) %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}",
    "{% set x = 1 %}{% for y in [1, 2] %}{{ x }}{% set x = y + 5 %}{{ x }}{% endfor %}{{ x }}",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set ns = namespace(n=0, s='') %}{% for y in 'abc' %}{% set ns.n = ns.n + 1 %}{% set ns.s = y + ns.s %}{% endfor %}{{ ns.n }}{{ ns.s }}",
    "{% set a, b = ['x', 'y'] %}{{ a }}{{ b }}{% for k, v in {'p': 1, 'q': 2}.items() %}{{ k }}{{ v }}{% endfor %}",
    "{% for k, v in {'p': 1}|items %}{{ k }}{{ v }}{% endfor %}{% for k in {'p': 1} %}{{ k }}{% endfor %}",
    "{{ range(5)|list|length }} {{ range(5, 1, -2)|join(',') }} {{ range(0)|list|length }}",
    "{{ ' x '|trim }}|{{ 'xxaxx'.strip('x') }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ '--a'|trim('-') }}|{{ '\\u3000a\\u00a0'.strip() }}",
    "{{ 'a,b,,c'.split(',')|join('+') }} {{ 'abc'.split('</t>')[0] }} {{ ''.split('x')|length }}",
    "{{ 'hello world'.title() }} {{ 'ab'.upper() }} {{ 'AB'|lower }} {{ 'aB c'|capitalize }} {{ \"it's\".title() }}",
    "{{ 'aaa'.replace('a', 'bb') }} {{ 'abc'|replace('b', '') }} {{ 'abc'.startswith('ab') }} {{ 'abc'.endswith('ab') }}",
    "{{ 'abc'|length }} {{ 'é→'|length }} {{ [1]|first }} {{ [1, 2]|last }} {{ 'xy'|last }} {{ 5|string + 'a' }}",
    "{{ nothing|default('d') }} {{ ''|default('d', true) }} {{ none|d('x') }} {{ nothing is defined }} {{ nothing is undefined }}",
    "{{ none is none }} {{ 1 is not none }} {{ 'a' is string }} {{ {} is mapping }} {{ [] is sequence }} {{ true is boolean }}",
    "{{ 'a' is iterable }} {{ 1 is number }} {{ false is false }} {{ 1 is true }} {{ 'a' is equalto('a') }} {{ 'a' is in(['a']) }}",
    "{{ not nothing is defined }} {{ tools is none }} {{ tools is defined }} {{ add_generation_prompt }}",
    "{{ messages|map(attribute='role')|join(' ') }}", "{{ messages|selectattr('role', 'equalto', 'user')|list|length }}",
    "{{ (messages|rejectattr('role', 'equalto', 'user')|list|first).content }}", "{{ messages|selectattr('tool_calls')|list|length }}",
    "{{ messages[0].get('role') }} {{ messages[0].get('x', 'y') }} {{ 'x' in messages[0] }} {{ messages[0].x is defined }}",
    "{{ messages[0] == messages[0] }} {{ messages[0] == messages[1] }} {{ {'a': [1]} == {'a': [1]} }} {{ [1, 2] == [1] }}",
    "{{ messages[9] is defined }} {{ messages[-1]['role'] }} {{ messages[1:]|length }}", "{{ bos_token + eos_token }}",
    E + "{{ m['role'] }}: {{ m.content }}{{ '\n' if not loop.last else '' }}{%- endfor -%}",
    "{% generation %}x{% endgeneration %}\ny", "{{ (1, )|length if false else 'no tuple' }}" if False else "{{ ('x') }}",
    "{{ dict(a=1, b='c').b }} {{ {'a': 1, }['a'] }} {{ [1, 2, ]|length }}", "{{ '' ~ none ~ true ~ 3 }}", "{{ 'x' if nothing else 'y' }}",
    "{{ messages|length > 1 and messages[0].role == 'user' }}", "{{ '<' + 'a' * 1 if false else 'lazy' }}", "{ {{ '{' }} } {% if 1 %}}{% endif %}",
    # refused by Jinja: by this one as well
    "{{ 1 + 'a' }}", "{{ nothing + 'a' }}", "{{ nothing.x }}", "{% if %}", "{{ 'a }}", "{% for x in 1 %}{% endfor %}", "{{ 1 // 0 }}",
    "{% endif %}", "{% if 1 %}", "{{ }}", "{{ 1 2 }}", "{# a", "{{ raise_exception('no') }}", "{{ 'a'.nothing() }}", "{{ 1|nothing }}",
    "{% set x.y = 1 %}", "{{ 1 is nothing }}", "{{ nothing() }}", "{{ 1 < 'a' }}", "{% set a, b = [1] %}",
]


def cases(template, bos, eos):
    out = []
    for messages in CONVERSATIONS:
        try:
            out.append({"messages": messages, "text": render(template, messages, bos, eos)})
        except jinja2.exceptions.TemplateError as e:
            out.append({"messages": messages, "refused": str(e)})
    return out


def snippet(template):
    try:
        return {"template": template, "text": render(template, CONVERSATIONS[0], "<s>", "</s>")}
    except Exception:  # of whatever kind
        return {"template": template, "text": None}


with open("data/text/chat-templates.json") as f:
    kept = [t for t in json.load(f) if t["name"] not in [m[0] for m in MORE]]
for t in kept:
    for c in t["cases"]:
        assert c["text"] == render(t["template"], c["messages"], t["bos"], t["eos"])
more = [{"name": n, "bos": b, "eos": e, "end": end, "template": t, "cases": cases(t, b, e)} for n, b, e, end, t in MORE]
for t in kept + more:
    for c in t["cases"]:
        if "text" in c:  # what generation goes on from: without the last answer
            asked = c["messages"][:-1] if c["messages"][-1]["role"] == "assistant" else c["messages"]
            c["prompt"] = render(t["template"], asked, t["bos"], t["eos"], True)
with open("data/text/chat-templates.json", "w") as f:
    json.dump(kept + more, f, indent=1, ensure_ascii=False)
    f.write("\n")
with open("data/text/jinja.json", "w") as f:
    json.dump([snippet(t) for t in SNIPPETS], f, indent=1, ensure_ascii=False)
    f.write("\n")
