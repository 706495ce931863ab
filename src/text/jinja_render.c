/* A template's statements, carried out. */
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/text/jinja_parts.h"

static ent_status run_body(ent_jrun *run, const ent_jnode *body);

static ent_status put(ent_jrun *run, const ent_jvalue *v)
{
    ent_jinja_text *out = run->out;
    ENT_TRY(ent_grow(&out->text, &out->text_capacity, out->n + v->n, 1, "a conversation"));
    ENT_TRY(ent_grow(&out->origin, &out->origin_capacity, out->n + v->n, 1, "a conversation"));
    if (v->n == 0)
        return ENT_OK;
    if ((run->bytes += v->n) > 1u << 28)
        return ent_jrun_fail(run, "it makes too long a text");
    memcpy(out->text + out->n, v->s, v->n);
    if (run->by_generation)
        memset(out->origin + out->n, run->in_generation, v->n);
    else if (v->origin)
        memcpy(out->origin + out->n, v->origin, v->n);
    else
        memset(out->origin + out->n, 0, v->n);
    out->n += v->n;
    return ENT_OK;
}

static ent_status run_output(ent_jrun *run, const ent_jnode *node)
{
    ent_jvalue v, text;
    ENT_TRY(ent_jeval(run, &v, node->a));
    run->line = node->line;
    ENT_TRY(ent_jtext_of(run, &text, &v));
    return put(run, &text);
}

static ent_status run_if(ent_jrun *run, const ent_jnode *node)
{
    ent_jvalue condition;
    ENT_TRY(ent_jeval(run, &condition, node->a));
    return run_body(run, ent_jtruth(&condition) ? node->body : node->orelse);
}

/* Gives a value to a name, or its items to names. */
static ent_status assign(ent_jrun *run, const ent_jnode *names, const ent_jvalue *v)
{
    ent_jvalue items;
    size_t n = 0;
    if (names->next == NULL)
        return ent_jdict_put(run, &run->scope->names, &names->value, v);
    for (const ent_jnode *name = names; name; name = name->next)
        n++;
    ENT_TRY(ent_jitems(run, &items, v));
    if (items.n != n)
        return ent_jrun_fail(run, "expected %zu values, found %zu", n, items.n);
    for (size_t i = 0; i < n; i++, names = names->next)
        ENT_TRY(ent_jdict_put(run, &run->scope->names, &names->value, &items.items[i]));
    return ENT_OK;
}

static ent_status run_set(ent_jrun *run, const ent_jnode *node)
{
    ent_jvalue v;
    ENT_TRY(ent_jeval(run, &v, node->a));
    run->line = node->line;
    if (node->name == NULL)
        return assign(run, node->names, &v);
    ent_jvalue target;
    const ent_jnode name = {.kind = ENT_J_NAME, .line = node->line, .value = node->names->value};
    const ent_jvalue key = ent_jstring(node->name);
    ENT_TRY(ent_jeval(run, &target, &name));
    if (target.kind != ENT_J_DICT || !target.dict->is_namespace)
        return ent_jrun_fail(run, "set %.40s.%.40s: expected a namespace", node->names->value.s, node->name);
    return ent_jdict_put(run, target.dict, &key, &v);
}

/* Puts `loop` of item i into the scope. */
static ent_status put_loop(ent_jrun *run, const ent_jvalue *items, size_t i)
{
    const int64_t n = (int64_t)items->n, at = (int64_t)i;
    const struct {
        const char *name;
        ent_jvalue value;
    } members[] = {{"index0", ent_jint(at)},
                   {"index", ent_jint(at + 1)},
                   {"first", ent_jbool(at == 0)},
                   {"last", ent_jbool(at == n - 1)},
                   {"length", ent_jint(n)},
                   {"revindex", ent_jint(n - at)},
                   {"revindex0", ent_jint(n - at - 1)},
                   {"previtem", i ? items->items[i - 1] : ent_jundefined("previtem")},
                   {"nextitem", at < n - 1 ? items->items[i + 1] : ent_jundefined("nextitem")}};
    ent_jvalue loop = {.kind = ENT_J_DICT};
    const ent_jvalue name = ent_jstring("loop");
    ENT_TRY(ent_jalloc(run, &loop.dict, 1, sizeof *loop.dict));
    *loop.dict = (ent_jdict){.is_namespace = true};
    for (size_t k = 0; k < sizeof members / sizeof *members; k++) {
        const ent_jvalue key = ent_jstring(members[k].name);
        ENT_TRY(ent_jdict_put(run, loop.dict, &key, &members[k].value));
    }
    return ent_jdict_put(run, &run->scope->names, &name, &loop);
}

/* Leaves the items for which the loop's condition holds. */
static ent_status choose_items(ent_jrun *run, ent_jvalue *items, const ent_jnode *node)
{
    ent_jvalue chosen;
    ENT_TRY(ent_jlist(run, &chosen, items->n));
    chosen.n = 0;
    for (size_t i = 0; i < items->n; i++) {
        ent_jvalue yes;
        ent_jscope scope = {.up = run->scope};
        run->scope = &scope;
        ent_status st = assign(run, node->names, &items->items[i]);
        if (st == ENT_OK)
            st = ent_jeval(run, &yes, node->b);
        run->scope = scope.up;
        ENT_TRY(st);
        if (ent_jtruth(&yes))
            chosen.items[chosen.n++] = items->items[i];
    }
    *items = chosen;
    return ENT_OK;
}

/* Each turn of a loop has names of its own. */
static ent_status run_for(ent_jrun *run, const ent_jnode *node)
{
    ent_jvalue v, items;
    ENT_TRY(ent_jeval(run, &v, node->a));
    ENT_TRY(ent_jitems(run, &items, &v));
    if (node->b)
        ENT_TRY(choose_items(run, &items, node));
    for (size_t i = 0; i < items.n && run->leaving != ENT_J_BREAK; i++) {
        ent_jscope scope = {.up = run->scope};
        run->scope = &scope;
        run->leaving = ENT_J_LITERAL;
        ent_status st = put_loop(run, &items, i);
        if (st == ENT_OK)
            st = assign(run, node->names, &items.items[i]);
        if (st == ENT_OK)
            st = run_body(run, node->body);
        run->scope = scope.up;
        ENT_TRY(st);
    }
    run->leaving = ENT_J_LITERAL;
    return items.n ? ENT_OK : run_body(run, node->orelse);
}

static ent_status run_generation(ent_jrun *run, const ent_jnode *node)
{
    const bool before = run->in_generation;
    run->in_generation = true;
    ENT_TRY(run_body(run, node->body));
    run->in_generation = before;
    return ENT_OK;
}

static ent_status run_node(ent_jrun *run, const ent_jnode *node)
{
    switch (node->kind) {
    case ENT_J_TEXT:
        return put(run, &node->value);
    case ENT_J_OUTPUT:
        return run_output(run, node);
    case ENT_J_IF:
        return run_if(run, node);
    case ENT_J_FOR:
        return run_for(run, node);
    case ENT_J_SET:
        return run_set(run, node);
    case ENT_J_GENERATION:
        return run_generation(run, node);
    default:
        run->leaving = node->kind;
        return ENT_OK;
    }
}

static ent_status run_body(ent_jrun *run, const ent_jnode *body)
{
    for (const ent_jnode *node = body; node && run->leaving == ENT_J_LITERAL; node = node->next) {
        run->line = node->line;
        if (++run->steps > ENT_J_MAX_STEPS)
            return ent_jrun_fail(run, "it takes too many steps");
        ENT_TRY(run_node(run, node));
    }
    return ENT_OK;
}

/* messages as a list of dicts; the assistant's contents know their message. */
static ent_status make_messages(ent_jrun *run, ent_jvalue *out, const ent_jinja_input *input)
{
    const ent_jvalue role_key = ent_jstring("role"), content_key = ent_jstring("content");
    ENT_TRY(ent_jlist(run, out, input->count));
    for (size_t i = 0; i < input->count; i++) {
        const ent_jvalue role = ent_jstring(input->messages[i].role);
        ent_jvalue content = ent_jstring(input->messages[i].content);
        out->items[i] = (ent_jvalue){.kind = ENT_J_DICT};
        ENT_TRY(ent_jalloc(run, &out->items[i].dict, 1, sizeof *out->items[i].dict));
        *out->items[i].dict = (ent_jdict){0};
        if (ent_jis(&role, "assistant") && content.n) {
            unsigned char *origin;
            ENT_TRY(ent_jalloc(run, &origin, content.n, 1));
            memset(origin, (int)(1 + i % 255), content.n);
            content.origin = origin;
        }
        ENT_TRY(ent_jdict_put(run, out->items[i].dict, &role_key, &role));
        ENT_TRY(ent_jdict_put(run, out->items[i].dict, &content_key, &content));
    }
    return ENT_OK;
}

static ent_status run_template(ent_jrun *run, const ent_jinja *jinja, const ent_jinja_input *input)
{
    ent_jvalue messages;
    const ent_jvalue none = {.kind = ENT_J_NONE};
    ent_jscope scope = {0};
    run->scope = &scope;
    ENT_TRY(make_messages(run, &messages, input));
    const struct {
        const char *name;
        ent_jvalue value;
    } globals[] = {{"messages", messages},
                   {"tools", none},
                   {"documents", none},
                   {"add_generation_prompt", ent_jbool(input->answer_next)},
                   {"bos_token", input->bos ? ent_jstring(input->bos) : ent_jundefined("bos_token")},
                   {"eos_token", input->eos ? ent_jstring(input->eos) : ent_jundefined("eos_token")}};
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++) {
        const ent_jvalue key = ent_jstring(globals[i].name);
        ENT_TRY(ent_jdict_put(run, &scope.names, &key, &globals[i].value));
    }
    return run_body(run, jinja->body);
}

ent_status ent_jinja_render(ent_jinja_text *out, const ent_jinja *jinja, const ent_jinja_input *input,
                            const char *where)
{
    ent_jrun run = {.where = where, .out = out, .line = 1, .by_generation = jinja->has_generation};
    ENT_TRY(ent_arena_new(&run.arena, "rendering a chat template", false));
    ent_status st = run_template(&run, jinja, input);
    if (st == ENT_OK && run.steps >= ENT_J_MAX_STEPS)
        st = ent_jrun_fail(&run, "it takes too many steps");
    ent_arena_free(run.arena);
    return st;
}

void ent_jinja_text_free(ent_jinja_text *text)
{
    free(text->text);
    free(text->origin);
    *text = (ent_jinja_text){0};
}
