/* A rule, as it is read and checked. */
#ifndef ENT_TRACE_RULES_PARTS_H
#define ENT_TRACE_RULES_PARTS_H

#include "trace/expression.h"
#include "trace/rules.h"

typedef enum {
    ENT_RULE_CRITICAL_PATH,
    ENT_RULE_SPAN_COUNT,
    ENT_RULE_MEMORY_USAGE,
    ENT_RULE_ANTI_PATTERN,
    ENT_RULE_CUSTOM
} ent_rule_type;

enum { ENT_RULE_TYPES = ENT_RULE_CUSTOM + 1 };

typedef struct ent_rule {
    char *name;
    ent_rule_type type;
    bool warns; /* only */
    bool disabled;
    int choice;           /* of measure, tracking_mode or pattern: its place among the names in rules.c */
    double limit;         /* milliseconds, or a share */
    int64_t count;        /* the limit of calls or bytes */
    ent_pattern *pattern; /* for names; NULL: all */
    ent_expression *expression;
} ent_rule;

struct ent_rules {
    ent_rule *rules;
    size_t n_rules;
};

#endif
