/* Values of expressions. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/text/jinja_parts.h"

ent_status ent_jrun_fail(const ent_jrun *run, const char *format, ...)
{
    char message[256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return ent_fail(ENT_EUNSUPPORTED, "%s: chat_template: line %zu: %s", run->where, run->line, message);
}

static ent_status find_name(ent_jrun *run, ent_jvalue *out, const ent_jvalue *name)
{
    for (const ent_jscope *s = run->scope; s; s = s->up) {
        const ent_jvalue *found = ent_jdict_get(run, &s->names, name);
        if (found) {
            *out = *found;
            return ENT_OK;
        }
    }
    *out = ent_jundefined(name->s);
    return ENT_OK;
}

static ent_status make_list(ent_jrun *run, ent_jvalue *out, const ent_jnode *node)
{
    size_t n = 0;
    for (const ent_jnode *arg = node->args; arg; arg = arg->next)
        n++;
    ENT_TRY(ent_jlist(run, out, n));
    n = 0;
    for (const ent_jnode *arg = node->args; arg; arg = arg->next)
        ENT_TRY(ent_jeval(run, &out->items[n++], arg));
    return ENT_OK;
}

static ent_status make_dict(ent_jrun *run, ent_jvalue *out, const ent_jnode *node)
{
    *out = (ent_jvalue){.kind = ENT_J_DICT};
    ENT_TRY(ent_jalloc(run, &out->dict, 1, sizeof *out->dict));
    *out->dict = (ent_jdict){0};
    for (const ent_jnode *arg = node->args; arg; arg = arg->next->next) {
        ent_jvalue key, value;
        ENT_TRY(ent_jeval(run, &key, arg));
        ENT_TRY(ent_jeval(run, &value, arg->next));
        ENT_TRY(ent_jdict_put(run, out->dict, &key, &value));
    }
    return ENT_OK;
}

/* v[index] of a list or a string; what is outside is undefined. */
static ent_status at_index(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v, int64_t index)
{
    ent_jvalue items;
    ENT_TRY(ent_jitems(run, &items, v));
    const int64_t i = index < 0 ? index + (int64_t)items.n : index;
    *out = i >= 0 && i < (int64_t)items.n ? items.items[i] : ent_jundefined("an item beyond the end");
    return ENT_OK;
}

/* v.name or v[key]: a dict's value; a list's or a string's item. */
static ent_status subscript(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v, const ent_jvalue *key)
{
    if (v->kind == ENT_J_UNDEFINED)
        return ent_jrun_fail(run, "%.60s is not defined", v->s);
    if ((v->kind == ENT_J_LIST || v->kind == ENT_J_STRING) && key->kind == ENT_J_INT)
        return at_index(run, out, v, key->i);
    const ent_jvalue *found = v->kind == ENT_J_DICT ? ent_jdict_get(run, v->dict, key) : NULL;
    *out = found ? *found : ent_jundefined(key->kind == ENT_J_STRING && key->s[key->n] == 0 ? key->s : "a key");
    return ENT_OK;
}

static ent_status eval_attribute(ent_jrun *run, ent_jvalue *out, const ent_jnode *node)
{
    ent_jvalue v;
    const ent_jvalue key = ent_jstring(node->name);
    ENT_TRY(ent_jeval(run, &v, node->a));
    return subscript(run, out, &v, &key);
}

static ent_status eval_index(ent_jrun *run, ent_jvalue *out, const ent_jnode *node)
{
    ent_jvalue v, key;
    ENT_TRY(ent_jeval(run, &v, node->a));
    ENT_TRY(ent_jeval(run, &key, node->b));
    return subscript(run, out, &v, &key);
}

/* A slice's bound, as Python has it; `otherwise` if it is not given. */
static ent_status bound(ent_jrun *run, int64_t *out, const ent_jnode *node, int64_t otherwise, int64_t n, int64_t low,
                        int64_t high)
{
    ent_jvalue v = {.kind = ENT_J_NONE};
    if (node)
        ENT_TRY(ent_jeval(run, &v, node));
    if (v.kind != ENT_J_NONE && v.kind != ENT_J_INT)
        return ent_jrun_fail(run, "expected an integer in [ : ]");
    int64_t i = v.kind == ENT_J_NONE ? otherwise : v.i < 0 ? v.i + n : v.i;
    *out = i < low ? low : i > high ? high : i;
    return ENT_OK;
}

static ent_status eval_slice(ent_jrun *run, ent_jvalue *out, const ent_jnode *node)
{
    ent_jvalue v, items, step = ent_jint(1);
    int64_t begin = 0, end = 0;
    size_t n = 0;
    ENT_TRY(ent_jeval(run, &v, node->a));
    if (v.kind != ENT_J_LIST && v.kind != ENT_J_STRING)
        return ent_jrun_fail(run, "expected a list before [ : ]");
    if (node->d)
        ENT_TRY(ent_jeval(run, &step, node->d));
    if (step.kind != ENT_J_INT || (step.i != 1 && step.i != -1))
        return ent_jrun_fail(run, "only steps of 1 and -1 are supported in [ : : ]");
    ENT_TRY(ent_jitems(run, &items, &v));
    const int64_t count = (int64_t)items.n, low = step.i < 0 ? -1 : 0, high = step.i < 0 ? count - 1 : count;
    ENT_TRY(bound(run, &begin, node->b, step.i < 0 ? high : low, count, low, high));
    ENT_TRY(bound(run, &end, node->c, step.i < 0 ? low : high, count, low, high));
    ENT_TRY(ent_jlist(run, out, items.n));
    for (int64_t i = begin; step.i > 0 ? i < end : i > end; i += step.i)
        out->items[n++] = items.items[i];
    out->n = n;
    if (v.kind == ENT_J_LIST)
        return ENT_OK;
    items = *out;
    *out = ent_jpart(&v, 0, 0);
    if (step.i > 0 && begin < end) {
        const ent_jvalue *first = &items.items[0], *last = &items.items[n - 1];
        *out = ent_jpart(&v, (size_t)(first->s - v.s), (size_t)(last->s - v.s) + last->n);
        return ENT_OK;
    }
    for (size_t i = 0; i < n; i++)
        ENT_TRY(ent_jconcat(run, out, out, &items.items[i]));
    return ENT_OK;
}

static ent_status eval_arguments(ent_jrun *run, ent_jargs *out, const ent_jnode *args)
{
    out->n = 0;
    for (; args; args = args->next) {
        if (out->n == sizeof out->value / sizeof *out->value)
            return ent_jrun_fail(run, "more than %zu arguments are not supported", out->n);
        out->name[out->n] = args->name;
        ENT_TRY(ent_jeval(run, &out->value[out->n++], args->a));
    }
    return ENT_OK;
}

static ent_status eval_call(ent_jrun *run, ent_jvalue *out, const ent_jnode *node)
{
    ent_jvalue v;
    ent_jargs args;
    ENT_TRY(eval_arguments(run, &args, node->args));
    if (node->a->kind == ENT_J_NAME) {
        ENT_TRY(find_name(run, &v, &node->a->value));
        if (v.kind == ENT_J_UNDEFINED)
            return ent_jfunction(run, out, node->a->value.s, &args);
    }
    if (node->a->kind != ENT_J_ATTRIBUTE)
        return ent_jrun_fail(run, "only functions and methods can be called");
    ENT_TRY(ent_jeval(run, &v, node->a->a));
    return ent_jmethod(run, out, node->a->name, &v, &args);
}

static ent_status compare(ent_jrun *run, ent_jvalue *out, const char *op, const ent_jvalue *a, const ent_jvalue *b)
{
    const bool order = (*op == '<' || *op == '>'), or_equal = op[1] == '=';
    int sign = 0;
    if (!order) {
        *out = ent_jbool(ent_jequal(run, a, b) == (*op == '='));
        return ENT_OK;
    }
    if (a->kind == ENT_J_STRING && b->kind == ENT_J_STRING) {
        sign = memcmp(a->s, b->s, a->n < b->n ? a->n : b->n);
        sign = sign ? sign : (a->n > b->n) - (a->n < b->n);
    } else if ((a->kind == ENT_J_INT || a->kind == ENT_J_BOOL) && (b->kind == ENT_J_INT || b->kind == ENT_J_BOOL)) {
        sign = (a->i > b->i) - (a->i < b->i);
    } else {
        return ent_jrun_fail(run, "expected two numbers or two strings around \"%s\"", op);
    }
    *out = ent_jbool((*op == '<' ? sign < 0 : sign > 0) || (or_equal && sign == 0));
    return ENT_OK;
}

static ent_status calculate(ent_jrun *run, ent_jvalue *out, const char *op, const ent_jvalue *a, const ent_jvalue *b)
{
    int64_t r = 0;
    const bool numbers =
        (a->kind == ENT_J_INT || a->kind == ENT_J_BOOL) && (b->kind == ENT_J_INT || b->kind == ENT_J_BOOL);
    if (*op == '+' && a->kind == ENT_J_STRING && b->kind == ENT_J_STRING)
        return ent_jconcat(run, out, a, b);
    if (*op == '+' && a->kind == ENT_J_LIST && b->kind == ENT_J_LIST) {
        ENT_TRY(ent_jlist(run, out, a->n + b->n));
        memcpy(out->items, a->items, a->n * sizeof *a->items);
        memcpy(out->items + a->n, b->items, b->n * sizeof *b->items);
        return ENT_OK;
    }
    for (int i = 0; i < 2; i++)
        if ((i ? b : a)->kind == ENT_J_UNDEFINED)
            return ent_jrun_fail(run, "%.60s is not defined", (i ? b : a)->s);
    const bool divides = *op == '%' || strcmp(op, "//") == 0;
    if (!numbers || strcmp(op, "/") == 0 || (divides && b->i == 0))
        return ent_jrun_fail(run, "\"%s\" of these values is not supported", op);
    bool overflow = false;
    if (*op == '+')
        overflow = __builtin_add_overflow(a->i, b->i, &r);
    else if (*op == '-')
        overflow = __builtin_sub_overflow(a->i, b->i, &r);
    else if (*op == '*')
        overflow = __builtin_mul_overflow(a->i, b->i, &r);
    else if (b->i == -1) /* the one quotient that may overflow */
        overflow = *op == '/' && __builtin_sub_overflow((int64_t)0, a->i, &r);
    else /* rounded down, as Python does */
        r = *op == '%' ? (a->i % b->i + b->i) % b->i : a->i / b->i - (a->i % b->i && (a->i < 0) != (b->i < 0));
    *out = ent_jint(r);
    return overflow ? ent_jrun_fail(run, "a number is too large") : ENT_OK;
}

static ent_status eval_binary(ent_jrun *run, ent_jvalue *out, const ent_jnode *node)
{
    ent_jvalue a, b;
    const char *op = node->op;
    ENT_TRY(ent_jeval(run, &a, node->a));
    if ((strcmp(op, "or") == 0 && ent_jtruth(&a)) || (strcmp(op, "and") == 0 && !ent_jtruth(&a))) {
        *out = a;
        return ENT_OK;
    }
    ENT_TRY(ent_jeval(run, &b, node->b));
    run->line = node->line;
    if (strcmp(op, "or") == 0 || strcmp(op, "and") == 0) {
        *out = b;
        return ENT_OK;
    }
    if (strcmp(op, "in") == 0 || strcmp(op, "ni") == 0) {
        bool in;
        ENT_TRY(ent_jin(run, &in, &a, &b));
        *out = ent_jbool(in == (*op == 'i'));
        return ENT_OK;
    }
    if (*op == '~') {
        ENT_TRY(ent_jtext_of(run, &a, &a));
        ENT_TRY(ent_jtext_of(run, &b, &b));
        return ent_jconcat(run, out, &a, &b);
    }
    return strchr("=!<>", *op) ? compare(run, out, op, &a, &b) : calculate(run, out, op, &a, &b);
}

static ent_status eval_unary(ent_jrun *run, ent_jvalue *out, const ent_jnode *node)
{
    ent_jvalue v;
    ent_jargs args;
    bool yes;
    ENT_TRY(ent_jeval(run, &v, node->a));
    switch (node->kind) {
    case ENT_J_NOT:
        *out = ent_jbool(!ent_jtruth(&v));
        return ENT_OK;
    case ENT_J_NEGATE:
        if (v.kind != ENT_J_INT || v.i == INT64_MIN)
            return ent_jrun_fail(run, "expected an integer after \"-\"");
        *out = ent_jint(-v.i);
        return ENT_OK;
    case ENT_J_FILTER:
        ENT_TRY(eval_arguments(run, &args, node->args));
        return ent_jfilter(run, out, node->name, &v, &args);
    default:
        ENT_TRY(eval_arguments(run, &args, node->args));
        ENT_TRY(ent_jtest(run, &yes, node->name, &v, &args));
        *out = ent_jbool(yes);
        return ENT_OK;
    }
}

static ent_status eval_choice(ent_jrun *run, ent_jvalue *out, const ent_jnode *node)
{
    ent_jvalue condition;
    ENT_TRY(ent_jeval(run, &condition, node->a));
    if (ent_jtruth(&condition))
        return ent_jeval(run, out, node->b);
    if (node->c)
        return ent_jeval(run, out, node->c);
    *out = ent_jundefined("what has no else");
    return ENT_OK;
}

static ent_status eval_kind(ent_jrun *run, ent_jvalue *out, const ent_jnode *node)
{
    switch (node->kind) {
    case ENT_J_LITERAL:
        *out = node->value;
        return ENT_OK;
    case ENT_J_NAME:
        return find_name(run, out, &node->value);
    case ENT_J_MAKE_LIST:
        return make_list(run, out, node);
    case ENT_J_MAKE_DICT:
        return make_dict(run, out, node);
    case ENT_J_ATTRIBUTE:
        return eval_attribute(run, out, node);
    case ENT_J_INDEX:
        return eval_index(run, out, node);
    case ENT_J_SLICE:
        return eval_slice(run, out, node);
    case ENT_J_CALL:
        return eval_call(run, out, node);
    case ENT_J_BINARY:
        return eval_binary(run, out, node);
    case ENT_J_CHOICE:
        return eval_choice(run, out, node);
    default:
        return eval_unary(run, out, node);
    }
}

ent_status ent_jeval(ent_jrun *run, ent_jvalue *out, const ent_jnode *node)
{
    run->line = node->line;
    if (++run->steps > ENT_J_MAX_STEPS || run->depth > ENT_J_MAX_DEPTH)
        return ent_jrun_fail(run, "it takes too many steps");
    run->depth++;
    const ent_status st = eval_kind(run, out, node);
    run->depth--;
    return st;
}
