/* An expression as a tree: what its reader and its evaluation share. */
#ifndef ENT_TRACE_EXPRESSION_PARTS_H
#define ENT_TRACE_EXPRESSION_PARTS_H

#include "trace/expression.h"

/* At most this many nodes, so that a hostile expression isn't too deep to walk. */
enum { ENT_EXPRESSION_NODES = 1000 };

typedef enum {
    ENT_NODE_NUMBER,
    ENT_NODE_VALUE,    /* of the trace, by name */
    ENT_NODE_FUNCTION, /* of the calls that match */
    ENT_NODE_NEGATIVE,
    ENT_NODE_ADD,
    ENT_NODE_SUBTRACT,
    ENT_NODE_MULTIPLY,
    ENT_NODE_DIVIDE,
    ENT_NODE_LESS, /* from here on truth values */
    ENT_NODE_AT_MOST,
    ENT_NODE_MORE,
    ENT_NODE_AT_LEAST,
    ENT_NODE_EQUAL,
    ENT_NODE_DIFFERENT,
    ENT_NODE_NOT,
    ENT_NODE_AND,
    ENT_NODE_OR,
} ent_node_kind;

/* What a name stands for; negative: the trace doesn't say. */
typedef double ent_name_value(const ent_measure *measure, const ent_pattern *names);

typedef struct ent_name {
    const char *name;
    bool function; /* takes a pattern */
    ent_name_value *value;
    const char *help;
} ent_name;

/* Ended by one without a name. */
extern const ent_name ent_expression_names[];

typedef struct ent_node ent_node;
struct ent_node {
    ent_node_kind kind;
    size_t at, end;        /* its part of the text, in bytes, with the ( ) around it */
    size_t mark, mark_end; /* that of its operator, name or number */
    const ent_node *left, *right;
    double number;
    const ent_name *name;
    ent_pattern *pattern;
};

struct ent_expression {
    char *text;
    ent_node *nodes;
    size_t n_nodes, capacity;
    const ent_node *root;
};

/* The column of a byte of the text: characters before it, and one. */
size_t ent_expression_column(const char *text, size_t at);

#endif
