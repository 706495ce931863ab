/* Expressions and statements of a template as nodes. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/text/jinja_parts.h"

enum { MAX_DEPTH = 60 };

size_t ent_jparser_line(ent_jparser *p)
{
    for (; p->counted < p->at && p->counted < p->n; p->counted++)
        p->line += p->text[p->counted] == '\n';
    return p->line;
}

ent_status ent_jparser_fail(ent_jparser *p, const char *format, ...)
{
    char message[256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return ent_fail(ENT_EUNSUPPORTED, "%s: chat_template: line %zu: %s", p->where, ent_jparser_line(p), message);
}

ent_status ent_jparse_new(ent_jparser *p, ent_jnode **out, ent_jnode_kind kind)
{
    ENT_TRY(ent_arena_alloc(out, p->jinja->arena, sizeof **out));
    **out = (ent_jnode){.kind = kind, .line = ent_jparser_line(p)};
    return ENT_OK;
}

ent_status ent_jparse_expect(ent_jparser *p, const char *s)
{
    if (!ent_jlex_is(p, s))
        return ent_jparser_fail(p, "expected \"%s\"", s);
    return ent_jlex_next(p);
}

static ent_status expect_word(ent_jparser *p, const char **out)
{
    if (p->token.kind != ENT_J_WORD)
        return ent_jparser_fail(p, "expected a name");
    *out = p->token.value.s;
    return ent_jlex_next(p);
}

/* Items up to the end mark, separated by commas; `pairs`: of a dict, key and value. Each is a node of its own, linked
 * by its next. */
static ent_status parse_items(ent_jparser *p, ent_jnode **out, const char *end, bool pairs)
{
    ent_jnode **tail = out;
    for (bool key = pairs; !ent_jlex_is(p, end); key = pairs && !key) {
        ENT_TRY(ent_jparse_expression(p, tail));
        tail = &(*tail)->next;
        if (key)
            ENT_TRY(ent_jparse_expect(p, ":"));
        else if (!ent_jlex_is(p, end))
            ENT_TRY(ent_jparse_expect(p, ","));
    }
    return ent_jlex_next(p);
}

/* Arguments are nodes of their own, so that a keyword is not taken for an attribute's name. */
static ent_status parse_arguments(ent_jparser *p, ent_jnode **out)
{
    ent_jnode **tail = out;
    ENT_TRY(ent_jparse_expect(p, "("));
    while (!ent_jlex_is(p, ")")) {
        ENT_TRY(ent_jparse_new(p, tail, ENT_J_OUTPUT));
        ENT_TRY(ent_jparse_expression(p, &(*tail)->a));
        if ((*tail)->a->kind == ENT_J_NAME && ent_jlex_is(p, "=")) {
            (*tail)->name = (*tail)->a->value.s;
            ENT_TRY(ent_jlex_next(p));
            ENT_TRY(ent_jparse_expression(p, &(*tail)->a));
        }
        tail = &(*tail)->next;
        if (!ent_jlex_is(p, ")"))
            ENT_TRY(ent_jparse_expect(p, ","));
    }
    return ent_jlex_next(p);
}

static ent_status parse_word(ent_jparser *p, ent_jnode **out)
{
    static const struct {
        const char *name;
        ent_jvalue value;
    } constants[] = {
        {"true", {.kind = ENT_J_BOOL, .i = 1}},  {"True", {.kind = ENT_J_BOOL, .i = 1}},
        {"false", {.kind = ENT_J_BOOL, .i = 0}}, {"False", {.kind = ENT_J_BOOL, .i = 0}},
        {"none", {.kind = ENT_J_NONE}},          {"None", {.kind = ENT_J_NONE}},
    };
    ENT_TRY(ent_jparse_new(p, out, ENT_J_NAME));
    (*out)->value = p->token.value;
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (strcmp(constants[i].name, p->token.value.s) == 0) {
            (*out)->kind = ENT_J_LITERAL;
            (*out)->value = constants[i].value;
        }
    return ent_jlex_next(p);
}

/* Strings that stand side by side are one. */
static ent_status parse_string(ent_jparser *p, ent_jnode **out)
{
    ENT_TRY(ent_jparse_new(p, out, ENT_J_LITERAL));
    (*out)->value = p->token.value;
    ENT_TRY(ent_jlex_next(p));
    while (p->token.kind == ENT_J_QUOTED) {
        char *s;
        ent_jvalue *v = &(*out)->value;
        const ent_jvalue *more = &p->token.value;
        ENT_TRY(ent_arena_alloc(&s, p->jinja->arena, v->n + more->n + 1));
        memcpy(s, v->s, v->n);
        memcpy(s + v->n, more->s, more->n);
        v->s = s;
        v->n += more->n;
        ENT_TRY(ent_jlex_next(p));
    }
    return ENT_OK;
}

static ent_status parse_primary(ent_jparser *p, ent_jnode **out)
{
    if (p->token.kind == ENT_J_WORD)
        return parse_word(p, out);
    if (p->token.kind == ENT_J_QUOTED)
        return parse_string(p, out);
    if (p->token.kind == ENT_J_NUMBER) {
        ENT_TRY(ent_jparse_new(p, out, ENT_J_LITERAL));
        (*out)->value = p->token.value;
        return ent_jlex_next(p);
    }
    const bool list = ent_jlex_is(p, "["), dict = ent_jlex_is(p, "{");
    if (list || dict) {
        ENT_TRY(ent_jparse_new(p, out, list ? ENT_J_MAKE_LIST : ENT_J_MAKE_DICT));
        ENT_TRY(ent_jlex_next(p));
        return parse_items(p, &(*out)->args, list ? "]" : "}", dict);
    }
    if (!ent_jlex_is(p, "("))
        return ent_jparser_fail(p, "expected an expression");
    ENT_TRY(ent_jlex_next(p));
    ENT_TRY(ent_jparse_expression(p, out));
    return ent_jparse_expect(p, ")");
}

/* a[b] or a[b:c:d], after "[". */
static ent_status parse_subscript(ent_jparser *p, ent_jnode *node)
{
    ent_jnode **parts[] = {&node->b, &node->c, &node->d};
    for (int i = 0; i < 3; i++) {
        if (!ent_jlex_is(p, ":") && !ent_jlex_is(p, "]"))
            ENT_TRY(ent_jparse_expression(p, parts[i]));
        if (!ent_jlex_is(p, ":"))
            break;
        node->kind = ENT_J_SLICE;
        ENT_TRY(ent_jlex_next(p));
    }
    if (node->kind == ENT_J_INDEX && node->b == NULL)
        return ent_jparser_fail(p, "expected an expression");
    return ent_jparse_expect(p, "]");
}

/* .name [i] (args), as many as there are. */
static ent_status parse_postfix(ent_jparser *p, ent_jnode **out)
{
    for (size_t i = 0; i < MAX_DEPTH; i++) {
        ent_jnode *node, *a = *out;
        if (ent_jlex_is(p, ".")) {
            ENT_TRY(ent_jparse_new(p, &node, ENT_J_ATTRIBUTE));
            ENT_TRY(ent_jlex_next(p));
            ENT_TRY(expect_word(p, &node->name));
        } else if (ent_jlex_is(p, "[")) {
            ENT_TRY(ent_jparse_new(p, &node, ENT_J_INDEX));
            ENT_TRY(ent_jlex_next(p));
            ENT_TRY(parse_subscript(p, node));
        } else if (ent_jlex_is(p, "(")) {
            ENT_TRY(ent_jparse_new(p, &node, ENT_J_CALL));
            ENT_TRY(parse_arguments(p, &node->args));
        } else {
            return ENT_OK;
        }
        node->a = a;
        *out = node;
    }
    return ent_jparser_fail(p, "an expression is too long");
}

/* |filter, |filter(args), is test, is not test(args), as many as there are. */
static ent_status parse_filters(ent_jparser *p, ent_jnode **out)
{
    for (size_t i = 0; i < MAX_DEPTH; i++) {
        ent_jnode *node, *negation = NULL;
        const bool test = ent_jlex_is(p, "is");
        if (!test && !ent_jlex_is(p, "|"))
            return ENT_OK;
        ENT_TRY(ent_jparse_new(p, &node, test ? ENT_J_TEST : ENT_J_FILTER));
        ENT_TRY(ent_jlex_next(p));
        if (test && ent_jlex_is(p, "not")) {
            ENT_TRY(ent_jparse_new(p, &negation, ENT_J_NOT));
            ENT_TRY(ent_jlex_next(p));
        }
        node->a = *out;
        ENT_TRY(expect_word(p, &node->name));
        if (ent_jlex_is(p, "("))
            ENT_TRY(parse_arguments(p, &node->args));
        else if (test && (p->token.kind == ENT_J_QUOTED || p->token.kind == ENT_J_NUMBER))
            return ent_jparser_fail(p, "a test's argument without ( ) is not supported");
        *out = negation ? negation : node;
        if (negation)
            negation->a = node;
    }
    return ent_jparser_fail(p, "an expression is too long");
}

static ent_status parse_unary(ent_jparser *p, ent_jnode **out)
{
    if (!ent_jlex_is(p, "-")) {
        ENT_TRY(parse_primary(p, out));
        ENT_TRY(parse_postfix(p, out));
        return parse_filters(p, out);
    }
    ENT_TRY(ent_jparse_new(p, out, ENT_J_NEGATE));
    ENT_TRY(ent_jlex_next(p));
    ENT_TRY(parse_primary(p, &(*out)->a));
    ENT_TRY(parse_postfix(p, &(*out)->a));
    return parse_filters(p, out);
}

/* Binary operators, from those that bind least: Jinja's order, with ~ above + and below *. */
static const char *const LEVELS[] = {"or", "and", "", "== != < > <= >= in", "+ -", "~", "* / // %"};
enum { NOT_LEVEL = 2, COMPARE_LEVEL = 3, N_LEVELS = sizeof LEVELS / sizeof *LEVELS };

/* Whether the next token is an operator of the level; reads it into op. "not in" is "ni". */
static ent_status take_operator(ent_jparser *p, char op[4], size_t level)
{
    *op = 0;
    if (level == COMPARE_LEVEL && ent_jlex_is(p, "not")) {
        ENT_TRY(ent_jlex_next(p));
        if (!ent_jlex_is(p, "in"))
            return ent_jparser_fail(p, "expected \"in\"");
        strcpy(op, "ni");
        return ent_jlex_next(p);
    }
    for (const char *s = LEVELS[level]; *s;) {
        char one[4] = "";
        const size_t n = strcspn(s, " ");
        memcpy(one, s, n);
        if (ent_jlex_is(p, one)) {
            strcpy(op, one);
            return ent_jlex_next(p);
        }
        s += n + (s[n] == ' ');
    }
    return ENT_OK;
}

static ent_status parse_level(ent_jparser *p, ent_jnode **out, size_t level)
{
    char op[4];
    if (level == N_LEVELS)
        return parse_unary(p, out);
    if (level == NOT_LEVEL && ent_jlex_is(p, "not")) {
        ENT_TRY(ent_jparse_new(p, out, ENT_J_NOT));
        ENT_TRY(ent_jlex_next(p));
        if (++p->depth > MAX_DEPTH)
            return ent_jparser_fail(p, "it is nested too deeply");
        ENT_TRY(parse_level(p, &(*out)->a, level));
        p->depth--;
        return ENT_OK;
    }
    ENT_TRY(parse_level(p, out, level + 1));
    for (size_t i = 0; level != NOT_LEVEL; i++) {
        ent_jnode *node, *a = *out;
        ENT_TRY(take_operator(p, op, level));
        if (*op == 0)
            return ENT_OK;
        if (i == MAX_DEPTH || (level == COMPARE_LEVEL && i))
            return ent_jparser_fail(p, i == MAX_DEPTH ? "an expression is too long"
                                                      : "comparisons in a row are not supported");
        ENT_TRY(ent_jparse_new(p, &node, ENT_J_BINARY));
        strcpy(node->op, op);
        node->a = a;
        ENT_TRY(parse_level(p, &node->b, level + 1));
        *out = node;
    }
    return ENT_OK;
}

ent_status ent_jparse_without_choice(ent_jparser *p, ent_jnode **out)
{
    return parse_level(p, out, 0);
}

ent_status ent_jparse_expression(ent_jparser *p, ent_jnode **out)
{
    if (++p->depth > MAX_DEPTH)
        return ent_jparser_fail(p, "it is nested too deeply");
    ENT_TRY(parse_level(p, out, 0));
    if (ent_jlex_is(p, "if")) {
        ent_jnode *choice;
        ENT_TRY(ent_jparse_new(p, &choice, ENT_J_CHOICE));
        choice->b = *out;
        *out = choice;
        ENT_TRY(ent_jlex_next(p));
        ENT_TRY(parse_level(p, &choice->a, 0));
        if (ent_jlex_is(p, "else")) {
            ENT_TRY(ent_jlex_next(p));
            ENT_TRY(ent_jparse_expression(p, &choice->c));
        }
    }
    p->depth--;
    return ENT_OK;
}
