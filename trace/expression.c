#include "trace/expression.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/number.h"
#include "src/base/mem.h"
#include "trace/expression_parts.h"

enum { MAX_DEPTH = 100 };

typedef enum { END, NUMBER, NAME, PATTERN, OPERATOR } token_kind;

typedef struct reader {
    ent_expression *to;
    const char *text, *where;
    token_kind kind; /* of the token that comes next, at text[at] to text[end] */
    size_t at, end;
    int depth;
} reader;

enum { OR_LEVEL, AND_LEVEL, NOT_LEVEL, COMPARISON_LEVEL, SUM_LEVEL, PRODUCT_LEVEL, UNARY_LEVEL };

static const struct {
    const char *text;
    int level;
    ent_node_kind kind;
} operators[] = {
    {"or", OR_LEVEL, ENT_NODE_OR},
    {"||", OR_LEVEL, ENT_NODE_OR},
    {"and", AND_LEVEL, ENT_NODE_AND},
    {"&&", AND_LEVEL, ENT_NODE_AND},
    {"<=", COMPARISON_LEVEL, ENT_NODE_AT_MOST},
    {"<", COMPARISON_LEVEL, ENT_NODE_LESS},
    {">=", COMPARISON_LEVEL, ENT_NODE_AT_LEAST},
    {">", COMPARISON_LEVEL, ENT_NODE_MORE},
    {"==", COMPARISON_LEVEL, ENT_NODE_EQUAL},
    {"!=", COMPARISON_LEVEL, ENT_NODE_DIFFERENT},
    {"+", SUM_LEVEL, ENT_NODE_ADD},
    {"-", SUM_LEVEL, ENT_NODE_SUBTRACT},
    {"*", PRODUCT_LEVEL, ENT_NODE_MULTIPLY},
    {"/", PRODUCT_LEVEL, ENT_NODE_DIVIDE},
};

void ent_expression_free(ent_expression *expression)
{
    if (expression == NULL)
        return;
    for (size_t i = 0; i < expression->n_nodes; i++)
        ent_pattern_free(expression->nodes[i].pattern);
    free(expression->nodes);
    free(expression->text);
    free(expression);
}

const char *ent_expression_text(const ent_expression *expression)
{
    return expression->text;
}

size_t ent_expression_column(const char *text, size_t at)
{
    size_t column = 1;
    for (size_t i = 0; i < at; i++)
        column += ((unsigned char)text[i] & 0xc0) != 0x80;
    return column;
}

static ent_status fail_at(const reader *r, size_t at, const char *format, ...) __attribute__((format(printf, 3, 4)));

static ent_status fail_at(const reader *r, size_t at, const char *format, ...)
{
    char reason[400];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    return ent_fail(ENT_EFORMAT, "%s: column %zu: %s", r->where, ent_expression_column(r->text, at), reason);
}

/* Fails with the token that stands where something else was expected. */
static ent_status unexpected(const reader *r, const char *expected)
{
    if (r->kind == END)
        return fail_at(r, r->at, "expected %s, found the end", expected);
    const size_t n = r->end - r->at;
    return fail_at(r, r->at, "expected %s, found %.*s", expected, n < 80 ? (int)n : 80, r->text + r->at);
}

static bool is(const reader *r, const char *token)
{
    return r->kind != PATTERN && strlen(token) == r->end - r->at && memcmp(r->text + r->at, token, r->end - r->at) == 0;
}

/* Goes on to the next token. */
static ent_status advance(reader *r)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    r->at = r->end + strspn(r->text + r->end, " \t");
    const char *s = r->text + r->at;
    size_t n = 0;
    if (*s == 0) {
        r->kind = END;
    } else if (*s >= '0' && *s <= '9') {
        r->kind = NUMBER;
        n = ent_number_span(s, strlen(s), NULL);
        if (n == 0 || s[n] == '.')
            return fail_at(r, r->at, "%.*s is no number", (int)strspn(s, "0123456789.eE+-"), s);
    } else if (strchr(name, *s)) {
        r->kind = NAME;
        n = strspn(s, name);
    } else if (*s == '"' || *s == '\'') {
        const char *close = strchr(s + 1, *s);
        r->kind = PATTERN;
        if (close == NULL)
            return fail_at(r, r->at, "a pattern that is not closed: no second %c", *s);
        n = (size_t)(close - s) + 1;
    } else {
        r->kind = OPERATOR;
        n = strchr("()!", *s) != NULL; /* != is found below */
        for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
            if (strncmp(s, operators[i].text, strlen(operators[i].text)) == 0 && strlen(operators[i].text) > n)
                n = strlen(operators[i].text);
        if (n == 0)
            return fail_at(r, r->at, "%.*s has no meaning here", (int)ent_utf8_length(s, strlen(s)), s);
    }
    r->end = r->at + n;
    return ENT_OK;
}

static bool is_truth(const ent_node *node)
{
    return node->kind >= ENT_NODE_LESS;
}

static ent_status new_node(ent_node **out, reader *r, ent_node_kind kind)
{
    ent_expression *e = r->to;
    *out = NULL;
    if (e->n_nodes == e->capacity)
        return fail_at(r, r->at, "the expression is too long: more than %d parts", ENT_EXPRESSION_NODES);
    *out = &e->nodes[e->n_nodes++];
    **out = (ent_node){.kind = kind, .at = r->at, .end = r->end, .mark = r->at, .mark_end = r->end};
    return ENT_OK;
}

static ent_status expect_type(const reader *r, const ent_node *node, bool truth, const ent_node *operation)
{
    if (is_truth(node) == truth)
        return ENT_OK;
    return fail_at(r, node->at, "%.*s needs %s, found %s: %.*s", (int)(operation->mark_end - operation->mark),
                   r->text + operation->mark, truth ? "truth values" : "numbers", truth ? "a number" : "a truth value",
                   (int)(node->end - node->at), r->text + node->at);
}

static ent_status read_level(const ent_node **out, reader *r, int level);

/* The ( "pattern" ) of a function. */
static ent_status read_pattern(ent_node *node, reader *r)
{
    ENT_TRY(advance(r));
    if (r->kind != PATTERN)
        return unexpected(r, "a pattern for names of calls in quotes");
    char *text, where[300];
    snprintf(where, sizeof where, "%.250s: column %zu", r->where, ent_expression_column(r->text, r->at));
    ENT_TRY(ent_strndup(&text, r->text + r->at + 1, r->end - r->at - 2));
    const ent_status st = ent_pattern_read(&node->pattern, text, where);
    free(text);
    ENT_TRY(st);
    ENT_TRY(advance(r));
    if (!is(r, ")"))
        return unexpected(r, ")");
    node->end = r->end;
    return advance(r);
}

static ent_status unknown_name(const reader *r, const ent_node *node, bool function)
{
    char known[300];
    size_t n = 0;
    known[0] = 0;
    for (const ent_name *name = ent_expression_names; name->name; name++)
        if (name->function == function && n < sizeof known)
            n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", name->name);
    return fail_at(r, node->at, "unknown %s %.*s; there are %s", function ? "function" : "name",
                   (int)(node->end - node->at < 60 ? node->end - node->at : 60), r->text + node->at, known);
}

static ent_status read_name(const ent_node **out, reader *r)
{
    ent_node *node;
    const ent_name *name = ent_expression_names;
    const size_t n = r->end - r->at;
    const char *text = r->text + r->at;
    ENT_TRY(new_node(&node, r, ENT_NODE_VALUE));
    *out = node;
    ENT_TRY(advance(r));
    const bool function = is(r, "(");
    while (name->name && (name->function != function || strlen(name->name) != n || memcmp(name->name, text, n) != 0))
        name++;
    if (name->name == NULL)
        return unknown_name(r, node, function);
    node->name = name;
    if (!function)
        return ENT_OK;
    node->kind = ENT_NODE_FUNCTION;
    return read_pattern(node, r);
}

static ent_status read_number(const ent_node **out, reader *r)
{
    static const char *const units[] = {"KiB", "MiB", "GiB"};
    ent_node *node;
    char *text;
    ENT_TRY(new_node(&node, r, ENT_NODE_NUMBER));
    *out = node;
    ENT_TRY(ent_strndup(&text, r->text + r->at, r->end - r->at));
    const bool fits = ent_number_read_double(&node->number, text);
    free(text);
    if (!fits)
        return fail_at(r, r->at, "the number is too large");
    ENT_TRY(advance(r));
    for (size_t i = 0; i < 3; i++)
        if (is(r, units[i])) {
            node->number *= (double)(UINT64_C(1024) << 10 * i);
            node->end = r->end;
            return advance(r);
        }
    return ENT_OK;
}

static ent_status read_primary(const ent_node **out, reader *r)
{
    if (r->kind == NUMBER)
        return read_number(out, r);
    if (r->kind == NAME && !is(r, "and") && !is(r, "or") && !is(r, "not"))
        return read_name(out, r);
    if (!is(r, "("))
        return unexpected(r, "a number, a name or (");
    const size_t at = r->at;
    ENT_TRY(advance(r));
    ENT_TRY(read_level(out, r, OR_LEVEL));
    if (!is(r, ")"))
        return unexpected(r, "an operator or )");
    ent_node *inner = &r->to->nodes[*out - r->to->nodes]; /* the same, to write to */
    if (inner->left) {
        inner->at = at;
        inner->end = r->end;
    }
    return advance(r);
}

/* not, or the minus before a number. */
static ent_status read_prefix(const ent_node **out, reader *r, ent_node_kind kind, int level)
{
    ent_node *node;
    ENT_TRY(new_node(&node, r, kind));
    ENT_TRY(advance(r));
    ENT_TRY(read_level(&node->left, r, level));
    node->end = node->left->end;
    *out = node;
    return expect_type(r, node->left, kind == ENT_NODE_NOT, node);
}

/* Operands of the next level, joined by the operators of this one. */
static ent_status read_joined(const ent_node **out, reader *r, int level)
{
    const bool compares = level == COMPARISON_LEVEL, truth = level < COMPARISON_LEVEL;
    bool compared = false;
    ENT_TRY(read_level(out, r, level + 1));
    for (size_t i = 0; i < sizeof operators / sizeof *operators;) {
        if (operators[i].level != level || !is(r, operators[i].text)) {
            i++;
            continue;
        }
        ent_node *node;
        ENT_TRY(new_node(&node, r, operators[i].kind));
        if (compared)
            return fail_at(r, r->at, "a second comparison; join two with and");
        ENT_TRY(expect_type(r, *out, truth, node));
        ENT_TRY(advance(r));
        node->left = *out;
        ENT_TRY(read_level(&node->right, r, level + 1));
        ENT_TRY(expect_type(r, node->right, truth, node));
        node->at = node->left->at;
        node->end = node->right->end;
        *out = node;
        compared = compares;
        i = 0;
    }
    return ENT_OK;
}

static ent_status read_level(const ent_node **out, reader *r, int level)
{
    ent_status st;
    *out = NULL;
    if (level != NOT_LEVEL && level < UNARY_LEVEL)
        return read_joined(out, r, level);
    if (++r->depth > MAX_DEPTH)
        return fail_at(r, r->at, "the expression is nested too deep");
    if (level == NOT_LEVEL && (is(r, "not") || is(r, "!")))
        st = read_prefix(out, r, ENT_NODE_NOT, NOT_LEVEL);
    else if (level == NOT_LEVEL)
        st = read_level(out, r, COMPARISON_LEVEL);
    else if (is(r, "-"))
        st = read_prefix(out, r, ENT_NODE_NEGATIVE, UNARY_LEVEL);
    else
        st = read_primary(out, r);
    r->depth--;
    return st;
}

ent_status ent_expression_read(ent_expression **out, const char *text, const char *where)
{
    ent_expression *e = NULL;
    ent_status st;
    *out = NULL;
    ENT_GO(ent_calloc(&e, 1, sizeof *e, "an expression"));
    ENT_GO(ent_strdup(&e->text, text));
    e->capacity = strlen(text) < ENT_EXPRESSION_NODES ? strlen(text) : ENT_EXPRESSION_NODES; /* a node has a token */
    ENT_GO(ent_calloc(&e->nodes, e->capacity, sizeof *e->nodes, "an expression"));
    reader r = {.to = e, .text = e->text, .where = where};
    ENT_GO(advance(&r));
    ENT_GO(read_level(&e->root, &r, OR_LEVEL));
    if (r.kind != END)
        ENT_GO(unexpected(&r, "an operator or the end"));
    if (!is_truth(e->root))
        ENT_GO(fail_at(&r, e->root->at, "a number, not true or false; expected a comparison, as calls <= 20"));
    *out = e;
    e = NULL;
done:
    ent_expression_free(e);
    return st;
}
