#include <math.h>
#include <string.h>

#include "io/number.h"
#include "trace/expression_parts.h"

typedef struct evaluation {
    const char *text;
    const ent_measure *measure;
    ent_text *values;
    const ent_node *shown[ENT_EXPRESSION_NODES];
    size_t n_shown;
} evaluation;

/* Appends `calls("write")`. */
static void put_name(ent_text *to, const ent_node *node)
{
    const char *pattern = node->pattern ? ent_pattern_text(node->pattern) : NULL;
    const char quote = pattern && strchr(pattern, '"') ? '\'' : '"';
    ent_text_put(to, node->name->name);
    if (pattern)
        ent_text_printf(to, "(%c%s%c)", quote, pattern, quote);
}

static bool is_same(const ent_node *a, const ent_node *b)
{
    return a->name == b->name &&
           (a->pattern == NULL || strcmp(ent_pattern_text(a->pattern), ent_pattern_text(b->pattern)) == 0);
}

/* Appends what a name stands for, once. */
static void show(evaluation *e, const ent_node *node, double value)
{
    ent_number_text number;
    for (size_t i = 0; i < e->n_shown; i++)
        if (is_same(e->shown[i], node))
            return;
    if (e->n_shown > 0)
        ent_text_put(e->values, ", ");
    e->shown[e->n_shown++] = node;
    put_name(e->values, node);
    ent_text_printf(e->values, " is %s", ent_number_format(&number, value));
}

static ent_status look_up(double *out, evaluation *e, const ent_node *node)
{
    *out = node->name->value(e->measure, node->pattern);
    if (*out >= 0) {
        show(e, node, *out);
        return ENT_OK;
    }
    return ent_fail(ENT_EFORMAT, "column %zu: the trace doesn't say what %.*s is",
                    ent_expression_column(e->text, node->mark), (int)(node->end - node->at), e->text + node->at);
}

static ent_status divide(double *out, const evaluation *e, const ent_node *node, double left, double right)
{
    if (right == 0)
        return ent_fail(ENT_EFORMAT, "column %zu: division by zero: %.*s is 0",
                        ent_expression_column(e->text, node->mark), (int)(node->right->end - node->right->at),
                        e->text + node->right->at);
    *out = left / right;
    return ENT_OK;
}

/* A node that is a number. */
static ent_status compute(double *out, evaluation *e, const ent_node *node)
{
    double left = 0, right = 0;
    if (node->left)
        ENT_TRY(compute(&left, e, node->left));
    if (node->right)
        ENT_TRY(compute(&right, e, node->right));
    switch (node->kind) {
    case ENT_NODE_NUMBER:
        *out = node->number;
        break;
    case ENT_NODE_NEGATIVE:
        *out = -left;
        break;
    case ENT_NODE_ADD:
        *out = left + right;
        break;
    case ENT_NODE_SUBTRACT:
        *out = left - right;
        break;
    case ENT_NODE_MULTIPLY:
        *out = left * right;
        break;
    case ENT_NODE_DIVIDE:
        ENT_TRY(divide(out, e, node, left, right));
        break;
    default:
        ENT_TRY(look_up(out, e, node));
    }
    if (!isfinite(*out))
        return ent_fail(ENT_EFORMAT, "column %zu: %.*s is too large", ent_expression_column(e->text, node->mark),
                        (int)(node->end - node->at), e->text + node->at);
    return ENT_OK;
}

static bool compare(ent_node_kind kind, double left, double right)
{
    switch (kind) {
    case ENT_NODE_LESS:
        return left < right;
    case ENT_NODE_AT_MOST:
        return left <= right;
    case ENT_NODE_MORE:
        return left > right;
    case ENT_NODE_AT_LEAST:
        return left >= right;
    case ENT_NODE_EQUAL:
        return left == right;
    default:
        return left != right;
    }
}

/* A node that is a truth value. */
static ent_status decide(bool *out, evaluation *e, const ent_node *node)
{
    double left, right;
    switch (node->kind) {
    case ENT_NODE_NOT:
        ENT_TRY(decide(out, e, node->left));
        *out = !*out;
        return ENT_OK;
    case ENT_NODE_AND:
    case ENT_NODE_OR:
        ENT_TRY(decide(out, e, node->left));
        return *out == (node->kind == ENT_NODE_OR) ? ENT_OK : decide(out, e, node->right);
    default:
        ENT_TRY(compute(&left, e, node->left));
        ENT_TRY(compute(&right, e, node->right));
        *out = compare(node->kind, left, right);
        return ENT_OK;
    }
}

ent_status ent_expression_evaluate(bool *holds, ent_text *values, const ent_expression *expression,
                                   const ent_measure *measure)
{
    evaluation e = {.text = expression->text, .measure = measure, .values = values};
    const ent_status st = decide(holds, &e, expression->root);
    if (st != ENT_OK)
        *holds = false;
    return st;
}
