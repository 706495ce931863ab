/* Filters, tests and functions. */
#include <string.h>

#include "src/text/jinja_parts.h"
#include "src/text/parts.h"

/* The argument of a name, or the i-th; NULL if it is not given. */
static const ent_jvalue *argument(const ent_jargs *args, size_t i, const char *name)
{
    for (size_t k = 0; k < args->n; k++)
        if (args->name[k] ? name && strcmp(args->name[k], name) == 0 : k == i)
            return &args->value[k];
    return NULL;
}

static ent_status length(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v)
{
    ent_jvalue items;
    ENT_TRY(ent_jitems(run, &items, v));
    *out = ent_jint((int64_t)items.n);
    return ENT_OK;
}

/* The last or first item. */
static ent_status end_of(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v, bool last)
{
    ent_jvalue items;
    ENT_TRY(ent_jitems(run, &items, v));
    *out = items.n ? items.items[last ? items.n - 1 : 0] : ent_jundefined("an item of an empty list");
    return ENT_OK;
}

static ent_status join(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v, const ent_jvalue *by)
{
    ent_jvalue items;
    ENT_TRY(ent_jitems(run, &items, v));
    *out = ent_jstring("");
    for (size_t i = 0; i < items.n; i++) {
        ent_jvalue text;
        ENT_TRY(ent_jtext_of(run, &text, &items.items[i]));
        if (i && by)
            ENT_TRY(ent_jconcat(run, out, out, by));
        ENT_TRY(ent_jconcat(run, out, out, &text));
    }
    return ENT_OK;
}

static ent_jvalue attribute_of(ent_jrun *run, const ent_jvalue *item, const ent_jvalue *name)
{
    const ent_jvalue *found = item->kind == ENT_J_DICT ? ent_jdict_get(run, item->dict, name) : NULL;
    return found ? *found : ent_jundefined("an attribute");
}

/* selectattr(name[, "equalto", value]) and rejectattr. */
static ent_status select_by(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v, const ent_jargs *args, bool keep)
{
    ent_jvalue items;
    ENT_TRY(ent_jitems(run, &items, v));
    ENT_TRY(ent_jlist(run, out, items.n));
    out->n = 0;
    for (size_t i = 0; i < items.n; i++) {
        ent_jargs rest = {.n = args->n > 2 ? 1 : 0};
        const ent_jvalue value = attribute_of(run, &items.items[i], &args->value[0]);
        bool yes = ent_jtruth(&value);
        char test[32] = "";
        if (args->n > 1) {
            const ent_jvalue *name = &args->value[1];
            if (name->kind != ENT_J_STRING || name->n >= sizeof test)
                return ent_jrun_fail(run, "selectattr: expected a test's name");
            memcpy(test, name->s, name->n);
            rest.value[0] = args->n > 2 ? args->value[2] : (ent_jvalue){.kind = ENT_J_NONE};
            ENT_TRY(ent_jtest(run, &yes, test, &value, &rest));
        }
        if (yes == keep)
            out->items[out->n++] = items.items[i];
    }
    return ENT_OK;
}

static ent_status map(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v, const ent_jargs *args)
{
    ent_jvalue items;
    const ent_jvalue *name = argument(args, 8, "attribute");
    if (name == NULL || args->n != 1)
        return ent_jrun_fail(run, "only map(attribute=NAME) is supported");
    ENT_TRY(ent_jitems(run, &items, v));
    ENT_TRY(ent_jlist(run, out, items.n));
    for (size_t i = 0; i < items.n; i++)
        out->items[i] = attribute_of(run, &items.items[i], name);
    return ENT_OK;
}

static ent_status default_of(ent_jvalue *out, const ent_jvalue *v, const ent_jargs *args)
{
    const ent_jvalue *other = argument(args, 0, "default_value"), *falsy = argument(args, 1, "boolean");
    const bool use = v->kind == ENT_J_UNDEFINED || (falsy && ent_jtruth(falsy) && !ent_jtruth(v));
    *out = !use ? *v : other ? *other : ent_jstring("");
    return ENT_OK;
}

/* Where the filter title and the method of this name give the same. */
static bool is_words(const ent_jvalue *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (!((s->s[i] >= 'a' && s->s[i] <= 'z') || (s->s[i] >= 'A' && s->s[i] <= 'Z') || s->s[i] == ' '))
            return false;
    return true;
}

/* Filters of a string: undefined and numbers become text first, as in Jinja. */
static ent_status string_filter(ent_jrun *run, ent_jvalue *out, const char *name, const ent_jvalue *v,
                                const ent_jargs *args)
{
    ent_jvalue s;
    static const char *const cases[] = {"upper", "lower", "title", "capitalize"};
    const ent_jvalue *a = argument(args, 0, "chars");
    if (strcmp(name, "trim") == 0 && args->n <= 1 && (a == NULL || a->kind == ENT_J_STRING)) {
        ENT_TRY(ent_jtext_of(run, &s, v));
        *out = ent_jstrip(&s, a, true, true);
        return ENT_OK;
    }
    if (strcmp(name, "replace") == 0 && args->n == 2 && args->value[0].kind == ENT_J_STRING &&
        args->value[1].kind == ENT_J_STRING) {
        ENT_TRY(ent_jtext_of(run, &s, v));
        return ent_jreplace(run, out, &s, &args->value[0], &args->value[1]);
    }
    if (strcmp(name, "string") == 0 && args->n == 0)
        return ent_jtext_of(run, out, v);
    for (size_t i = 0; i < 4 && args->n == 0; i++)
        if (strcmp(name, cases[i]) == 0) {
            ENT_TRY(ent_jtext_of(run, &s, v));
            if (*name == 't' && !is_words(&s))
                return ent_jrun_fail(run, "title of more than letters and blanks is not supported");
            return ent_jcase(run, out, &s, name);
        }
    return ent_jrun_fail(run, "the filter \"%.40s\", with %zu arguments, is not supported", name, args->n);
}

ent_status ent_jfilter(ent_jrun *run, ent_jvalue *out, const char *name, const ent_jvalue *v, const ent_jargs *args)
{
    const bool alone = args->n == 0;
    if (strcmp(name, "default") == 0 || strcmp(name, "d") == 0)
        return default_of(out, v, args);
    if (alone && (strcmp(name, "length") == 0 || strcmp(name, "count") == 0))
        return length(run, out, v);
    if (alone && strcmp(name, "list") == 0)
        return ent_jitems(run, out, v);
    if (alone && (strcmp(name, "first") == 0 || strcmp(name, "last") == 0))
        return end_of(run, out, v, *name == 'l');
    if (alone && strcmp(name, "items") == 0 && (v->kind == ENT_J_DICT || v->kind == ENT_J_UNDEFINED))
        return v->kind == ENT_J_DICT ? ent_jmethod(run, out, name, v, args) : ent_jlist(run, out, 0);
    if (args->n <= 1 && strcmp(name, "join") == 0 && (alone || args->value[0].kind == ENT_J_STRING))
        return join(run, out, v, argument(args, 0, "d"));
    if (args->n >= 1 && args->n <= 3 && (strcmp(name, "selectattr") == 0 || strcmp(name, "rejectattr") == 0))
        return select_by(run, out, v, args, *name == 's');
    if (strcmp(name, "map") == 0)
        return map(run, out, v, args);
    return string_filter(run, out, name, v, args);
}

ent_status ent_jtest(ent_jrun *run, bool *out, const char *name, const ent_jvalue *v, const ent_jargs *args)
{
    const ent_jkind k = v->kind;
    const struct {
        const char *name;
        bool answer;
    } tests[] = {{"defined", k != ENT_J_UNDEFINED},
                 {"undefined", k == ENT_J_UNDEFINED},
                 {"none", k == ENT_J_NONE},
                 {"string", k == ENT_J_STRING},
                 {"mapping", k == ENT_J_DICT && !v->dict->is_namespace},
                 {"iterable", k == ENT_J_STRING || k == ENT_J_LIST || k == ENT_J_DICT || k == ENT_J_UNDEFINED},
                 {"sequence", k == ENT_J_STRING || k == ENT_J_LIST || k == ENT_J_DICT || k == ENT_J_UNDEFINED},
                 {"boolean", k == ENT_J_BOOL},
                 {"true", k == ENT_J_BOOL && v->i},
                 {"false", k == ENT_J_BOOL && !v->i},
                 {"number", k == ENT_J_BOOL || k == ENT_J_INT},
                 {"integer", k == ENT_J_INT}};
    if (args->n == 1 && (strcmp(name, "equalto") == 0 || strcmp(name, "eq") == 0 || strcmp(name, "==") == 0)) {
        *out = ent_jequal(run, v, &args->value[0]);
        return ENT_OK;
    }
    if (args->n == 1 && (strcmp(name, "ne") == 0 || strcmp(name, "!=") == 0)) {
        *out = !ent_jequal(run, v, &args->value[0]);
        return ENT_OK;
    }
    if (args->n == 1 && strcmp(name, "in") == 0)
        return ent_jin(run, out, v, &args->value[0]);
    for (size_t i = 0; i < sizeof tests / sizeof *tests && args->n == 0; i++)
        if (strcmp(name, tests[i].name) == 0) {
            *out = tests[i].answer;
            return ENT_OK;
        }
    return ent_jrun_fail(run, "the test \"is %.40s\" is not supported", name);
}

static ent_status range(ent_jrun *run, ent_jvalue *out, const ent_jargs *args)
{
    int64_t part[3] = {0, 0, 1};
    if (args->n < 1 || args->n > 3)
        return ent_jrun_fail(run, "range: expected 1 to 3 integers");
    for (size_t i = 0; i < args->n; i++) {
        if (args->value[i].kind != ENT_J_INT || args->name[i])
            return ent_jrun_fail(run, "range: expected 1 to 3 integers");
        part[args->n == 1 ? 1 : i] = args->value[i].i;
    }
    const int64_t step = part[2], span = step > 0 ? part[1] - part[0] : part[0] - part[1];
    if (step == 0 || span > 1000000 || step > 1000000 || step < -1000000)
        return ent_jrun_fail(run, "range: its step is 0, or it is too long");
    const int64_t size = step > 0 ? step : -step;
    ENT_TRY(ent_jlist(run, out, span > 0 ? (size_t)((span + size - 1) / size) : 0));
    for (size_t i = 0; i < out->n; i++)
        out->items[i] = ent_jint(part[0] + (int64_t)i * step);
    return ENT_OK;
}

ent_status ent_jfunction(ent_jrun *run, ent_jvalue *out, const char *name, const ent_jargs *args)
{
    if (strcmp(name, "raise_exception") == 0 && args->n == 1 && args->value[0].kind == ENT_J_STRING)
        return ent_fail(ENT_EFORMAT, "%s: messages: the chat template refuses them: %.*s", run->where,
                        args->value[0].n < 200 ? (int)args->value[0].n : 200, args->value[0].s);
    if (strcmp(name, "range") == 0)
        return range(run, out, args);
    if (strcmp(name, "strftime_now") == 0)
        return ent_jrun_fail(run, "it puts today's date into the text, which would be another each day");
    if (strcmp(name, "namespace") != 0 && strcmp(name, "dict") != 0)
        return ent_jrun_fail(run, "the function %.40s(), with %zu arguments, is not supported", name, args->n);
    *out = (ent_jvalue){.kind = ENT_J_DICT};
    ENT_TRY(ent_jalloc(run, &out->dict, 1, sizeof *out->dict));
    *out->dict = (ent_jdict){.is_namespace = *name == 'n'};
    for (size_t i = 0; i < args->n; i++) {
        if (args->name[i] == NULL)
            return ent_jrun_fail(run, "%s: expected NAME=VALUE", name);
        const ent_jvalue key = ent_jstring(args->name[i]);
        ENT_TRY(ent_jdict_put(run, out->dict, &key, &args->value[i]));
    }
    return ENT_OK;
}
