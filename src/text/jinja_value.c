/* Values of the Jinja interpreter: strings that know where their bytes come from, lists, dicts. */
#include <stdio.h>
#include <string.h>

#include "src/text/jinja_parts.h"
#include "src/text/parts.h"

/* Far above what conversations need: a hostile template ends. */
enum { MAX_BYTES = 1 << 28 };

bool ent_jspace(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

ent_jvalue ent_jstring(const char *s)
{
    return (ent_jvalue){.kind = ENT_J_STRING, .s = s, .n = strlen(s)};
}

ent_jvalue ent_jint(int64_t i)
{
    return (ent_jvalue){.kind = ENT_J_INT, .i = i};
}

ent_jvalue ent_jbool(bool b)
{
    return (ent_jvalue){.kind = ENT_J_BOOL, .i = b};
}

ent_jvalue ent_jundefined(const char *name)
{
    return (ent_jvalue){.kind = ENT_J_UNDEFINED, .s = name};
}

ent_jvalue ent_jpart(const ent_jvalue *v, size_t begin, size_t end)
{
    return (ent_jvalue){
        .kind = ENT_J_STRING, .s = v->s + begin, .origin = v->origin ? v->origin + begin : NULL, .n = end - begin};
}

bool ent_jis(const ent_jvalue *v, const char *s)
{
    return v->kind == ENT_J_STRING && v->n == strlen(s) && memcmp(v->s, s, v->n) == 0;
}

bool ent_jtruth(const ent_jvalue *v)
{
    switch (v->kind) {
    case ENT_J_BOOL:
    case ENT_J_INT:
        return v->i != 0;
    case ENT_J_STRING:
    case ENT_J_LIST:
        return v->n != 0;
    case ENT_J_DICT:
        return v->dict->n != 0;
    default:
        return false;
    }
}

static bool is_number(const ent_jvalue *v)
{
    return v->kind == ENT_J_BOOL || v->kind == ENT_J_INT;
}

static bool equal_dicts(ent_jrun *run, const ent_jdict *a, const ent_jdict *b)
{
    if (a == b || a->is_namespace || b->is_namespace || a->n != b->n)
        return a == b;
    for (const ent_jentry *e = a->first; e; e = e->next) {
        const ent_jvalue *other = ent_jdict_get(run, b, &e->key);
        if (other == NULL || !ent_jequal(run, &e->value, other))
            return false;
    }
    return true;
}

static bool equal_lists(ent_jrun *run, const ent_jvalue *a, const ent_jvalue *b)
{
    for (size_t i = 0; a->n == b->n && i < a->n; i++)
        if (!ent_jequal(run, &a->items[i], &b->items[i]))
            return false;
    return a->n == b->n;
}

/* Where it would take too long or go too deep, the answer is false, and the next step of the template fails. */
bool ent_jequal(ent_jrun *run, const ent_jvalue *a, const ent_jvalue *b)
{
    bool equal = true;
    if (is_number(a) && is_number(b))
        return a->i == b->i;
    if (a->kind != b->kind)
        return false;
    if (a->kind == ENT_J_STRING)
        return a->n == b->n && memcmp(a->s, b->s, a->n) == 0;
    if (++run->steps >= ENT_J_MAX_STEPS || run->depth > ENT_J_MAX_DEPTH) {
        run->steps = ENT_J_MAX_STEPS;
        return false;
    }
    run->depth++;
    if (a->kind == ENT_J_LIST)
        equal = equal_lists(run, a, b);
    else if (a->kind == ENT_J_DICT)
        equal = equal_dicts(run, a->dict, b->dict);
    run->depth--;
    return equal;
}

ent_status ent_jalloc(ent_jrun *run, void *out, size_t count, size_t size)
{
    if (count > MAX_BYTES / size || (run->bytes += count * size) > MAX_BYTES)
        return ent_jrun_fail(run, "it takes more than %d bytes of memory", MAX_BYTES);
    return ent_arena_alloc(out, run->arena, count ? count * size : 1);
}

ent_status ent_jlist(ent_jrun *run, ent_jvalue *out, size_t n)
{
    *out = (ent_jvalue){.kind = ENT_J_LIST, .n = n};
    ENT_TRY(ent_jalloc(run, &out->items, n, sizeof *out->items));
    for (size_t i = 0; i < n; i++)
        out->items[i] = ent_jundefined("an item");
    return ENT_OK;
}

static void copy_part(char *s, unsigned char *origin, const ent_jvalue *v)
{
    memcpy(s, v->s, v->n);
    if (origin && v->origin)
        memcpy(origin, v->origin, v->n);
    else if (origin)
        memset(origin, 0, v->n);
}

ent_status ent_jconcat(ent_jrun *run, ent_jvalue *out, const ent_jvalue *a, const ent_jvalue *b)
{
    char *s;
    unsigned char *origin = NULL;
    if (a->n == 0 || b->n == 0) {
        *out = a->n ? *a : *b;
        return ENT_OK;
    }
    ENT_TRY(ent_jalloc(run, &s, a->n + b->n, 1));
    if (a->origin || b->origin)
        ENT_TRY(ent_jalloc(run, &origin, a->n + b->n, 1));
    copy_part(s, origin, a);
    copy_part(s + a->n, origin ? origin + a->n : NULL, b);
    *out = (ent_jvalue){.kind = ENT_J_STRING, .s = s, .origin = origin, .n = a->n + b->n};
    return ENT_OK;
}

ent_status ent_jtext_of(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v)
{
    char *s;
    switch (v->kind) {
    case ENT_J_STRING:
        *out = *v;
        return ENT_OK;
    case ENT_J_BOOL:
        *out = ent_jstring(v->i ? "True" : "False");
        return ENT_OK;
    case ENT_J_NONE:
        *out = ent_jstring("None");
        return ENT_OK;
    case ENT_J_INT:
        ENT_TRY(ent_jalloc(run, &s, 24, 1));
        snprintf(s, 24, "%lld", (long long)v->i);
        *out = ent_jstring(s);
        return ENT_OK;
    case ENT_J_UNDEFINED:
        return ent_jrun_fail(run, "%.60s is not defined", v->s);
    default:
        return ent_jrun_fail(run, "a list or dict as text is not supported");
    }
}

const ent_jvalue *ent_jdict_get(ent_jrun *run, const ent_jdict *dict, const ent_jvalue *key)
{
    for (const ent_jentry *e = dict->first; e; e = e->next)
        if (ent_jequal(run, &e->key, key))
            return &e->value;
    return NULL;
}

ent_status ent_jdict_put(ent_jrun *run, ent_jdict *dict, const ent_jvalue *key, const ent_jvalue *value)
{
    ent_jentry *entry;
    for (entry = dict->first; entry; entry = entry->next)
        if (ent_jequal(run, &entry->key, key)) {
            entry->value = *value;
            return ENT_OK;
        }
    ENT_TRY(ent_jalloc(run, &entry, 1, sizeof *entry));
    *entry = (ent_jentry){.key = *key, .value = *value};
    if (dict->last)
        dict->last->next = entry;
    else
        dict->first = entry;
    dict->last = entry;
    dict->n++;
    return ENT_OK;
}

/* A string's characters. */
static ent_status characters(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v)
{
    size_t n = 0, step;
    bool valid;
    for (size_t i = 0; i < v->n; i += step, n++)
        step = ent_utf8_step(&valid, v->s + i, v->n - i);
    ENT_TRY(ent_jlist(run, out, n));
    n = 0;
    for (size_t i = 0; i < v->n; i += step, n++) {
        step = ent_utf8_step(&valid, v->s + i, v->n - i);
        out->items[n] = ent_jpart(v, i, i + step);
    }
    return ENT_OK;
}

ent_status ent_jitems(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v)
{
    size_t i = 0;
    switch (v->kind) {
    case ENT_J_LIST:
        *out = *v;
        return ENT_OK;
    case ENT_J_STRING:
        return characters(run, out, v);
    case ENT_J_DICT:
        ENT_TRY(ent_jlist(run, out, v->dict->n));
        for (const ent_jentry *e = v->dict->first; e; e = e->next)
            out->items[i++] = e->key;
        return ENT_OK;
    case ENT_J_UNDEFINED: /* as Jinja's: nothing in it */
        return ent_jlist(run, out, 0);
    default:
        return ent_jrun_fail(run, "expected a list");
    }
}

ent_status ent_jin(ent_jrun *run, bool *out, const ent_jvalue *item, const ent_jvalue *in)
{
    *out = false;
    if (in->kind == ENT_J_STRING) {
        if (item->kind != ENT_J_STRING)
            return ent_jrun_fail(run, "expected a string before \"in\"");
        *out = item->n == 0 || memmem(in->s, in->n, item->s, item->n) != NULL;
        return ENT_OK;
    }
    if (in->kind == ENT_J_DICT) {
        *out = ent_jdict_get(run, in->dict, item) != NULL;
        return ENT_OK;
    }
    ent_jvalue list;
    ENT_TRY(ent_jitems(run, &list, in));
    for (size_t i = 0; i < list.n && !*out; i++)
        *out = ent_jequal(run, &list.items[i], item);
    return ENT_OK;
}
