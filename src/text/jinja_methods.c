/* Methods of strings and dicts, and what filters share with them. */
#include <string.h>

#include "src/text/jinja_parts.h"
#include "src/text/parts.h"

/* Whether a character is one of `characters`, or white space if that is NULL. */
static bool stripped(const char *s, size_t n, bool valid, const ent_jvalue *chars)
{
    if (chars)
        return memmem(chars->s, chars->n, s, n) != NULL;
    return valid && ent_jspace(ent_utf8_get(s, n));
}

ent_jvalue ent_jstrip(const ent_jvalue *v, const ent_jvalue *chars, bool left, bool right)
{
    size_t begin = 0, end = 0, step;
    bool met = false, valid;
    for (size_t i = 0; i < v->n; i += step) {
        step = ent_utf8_step(&valid, v->s + i, v->n - i);
        if (stripped(v->s + i, step, valid, chars))
            continue;
        begin = met ? begin : i;
        end = i + step;
        met = true;
    }
    if (!met)
        return ent_jpart(v, 0, 0);
    return ent_jpart(v, left ? begin : 0, right ? end : v->n);
}

ent_status ent_jcase(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v, const char *how)
{
    char *s;
    bool inside = false; /* of a word */
    ENT_TRY(ent_jalloc(run, &s, v->n, 1));
    for (size_t i = 0; i < v->n; i++) {
        const char c = v->s[i];
        const bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
        if ((unsigned char)c >= 0x80)
            return ent_jrun_fail(run, "%s of characters beyond ASCII is not supported", how);
        const bool want_upper = strcmp(how, "upper") == 0 || (strcmp(how, "title") == 0 && !inside) ||
                                (strcmp(how, "capitalize") == 0 && i == 0);
        s[i] = (char)(want_upper && lower ? c - 32 : !want_upper && upper ? c + 32 : c);
        inside = upper || lower;
    }
    *out = *v;
    out->s = s;
    return ENT_OK;
}

ent_status ent_jreplace(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v, const ent_jvalue *from,
                        const ent_jvalue *to)
{
    ent_jvalue all = ent_jpart(v, 0, 0);
    size_t at = 0;
    if (from->n == 0)
        return ent_jrun_fail(run, "replace of an empty string is not supported");
    for (const char *p; (p = memmem(v->s + at, v->n - at, from->s, from->n)) != NULL;) {
        const size_t begin = (size_t)(p - v->s);
        const ent_jvalue before = ent_jpart(v, at, begin);
        ENT_TRY(ent_jconcat(run, &all, &all, &before));
        ENT_TRY(ent_jconcat(run, &all, &all, to));
        at = begin + from->n;
    }
    const ent_jvalue rest = ent_jpart(v, at, v->n);
    return ent_jconcat(run, out, &all, &rest);
}

static ent_status split(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v, const ent_jvalue *by)
{
    size_t n = 1, at = 0;
    if (by->n == 0)
        return ent_jrun_fail(run, "split by an empty string");
    for (const char *p = v->s, *end = v->s + v->n; (p = memmem(p, (size_t)(end - p), by->s, by->n)) != NULL; n++)
        p += by->n;
    ENT_TRY(ent_jlist(run, out, n));
    for (size_t i = 0; i < n; i++) {
        const char *p = memmem(v->s + at, v->n - at, by->s, by->n);
        const size_t end = p ? (size_t)(p - v->s) : v->n;
        out->items[i] = ent_jpart(v, at, end);
        at = end + by->n;
    }
    return ENT_OK;
}

/* strip, lstrip, rstrip, startswith, endswith, split, replace, upper, lower, title, capitalize. */
static ent_status string_method(ent_jrun *run, ent_jvalue *out, const char *name, const ent_jvalue *v,
                                const ent_jargs *args)
{
    const ent_jvalue *a = args->n > 0 ? &args->value[0] : NULL, *b = args->n > 1 ? &args->value[1] : NULL;
    for (size_t i = 0; i < args->n; i++)
        if (args->value[i].kind != ENT_J_STRING || args->name[i])
            return ent_jrun_fail(run, ".%s(): expected strings as arguments", name);
    const bool left = strcmp(name, "lstrip") == 0, right = strcmp(name, "rstrip") == 0;
    if ((left || right || strcmp(name, "strip") == 0) && args->n <= 1) {
        *out = ent_jstrip(v, a, !right, !left);
        return ENT_OK;
    }
    const bool start = strcmp(name, "startswith") == 0;
    if ((start || strcmp(name, "endswith") == 0) && args->n == 1) {
        *out = ent_jbool(v->n >= a->n && memcmp(start ? v->s : v->s + v->n - a->n, a->s, a->n) == 0);
        return ENT_OK;
    }
    if (strcmp(name, "split") == 0 && args->n == 1)
        return split(run, out, v, a);
    if (strcmp(name, "replace") == 0 && args->n == 2)
        return ent_jreplace(run, out, v, a, b);
    static const char *const cases[] = {"upper", "lower", "title", "capitalize"};
    for (size_t i = 0; i < 4 && args->n == 0; i++)
        if (strcmp(name, cases[i]) == 0)
            return ent_jcase(run, out, v, name);
    return ent_jrun_fail(run, "the method .%.40s() of a string, with %zu arguments, is not supported", name, args->n);
}

/* get, items, keys, values. */
static ent_status dict_method(ent_jrun *run, ent_jvalue *out, const char *name, const ent_jvalue *v,
                              const ent_jargs *args)
{
    size_t i = 0;
    if (strcmp(name, "get") == 0 && (args->n == 1 || args->n == 2)) {
        const ent_jvalue *found = ent_jdict_get(run, v->dict, &args->value[0]);
        *out = found ? *found : args->n == 2 ? args->value[1] : (ent_jvalue){.kind = ENT_J_NONE};
        return ENT_OK;
    }
    const bool items = strcmp(name, "items") == 0, keys = strcmp(name, "keys") == 0;
    if (args->n || !(items || keys || strcmp(name, "values") == 0))
        return ent_jrun_fail(run, "the method .%.40s() of a dict, with %zu arguments, is not supported", name, args->n);
    ENT_TRY(ent_jlist(run, out, v->dict->n));
    for (const ent_jentry *e = v->dict->first; e; e = e->next, i++) {
        if (!items) {
            out->items[i] = keys ? e->key : e->value;
            continue;
        }
        ENT_TRY(ent_jlist(run, &out->items[i], 2));
        out->items[i].items[0] = e->key;
        out->items[i].items[1] = e->value;
    }
    return ENT_OK;
}

ent_status ent_jmethod(ent_jrun *run, ent_jvalue *out, const char *name, const ent_jvalue *v, const ent_jargs *args)
{
    if (v->kind == ENT_J_STRING)
        return string_method(run, out, name, v, args);
    if (v->kind == ENT_J_DICT)
        return dict_method(run, out, name, v, args);
    if (v->kind == ENT_J_UNDEFINED)
        return ent_jrun_fail(run, "%.60s is not defined", v->s);
    return ent_jrun_fail(run, "the method .%.40s() is not supported", name);
}
