/* The nodes of a JSON tree. Part of io/json.c and io/json_print.c. */
#ifndef ENT_IO_JSON_TREE_H
#define ENT_IO_JSON_TREE_H

#include <stddef.h>

#include "io/json.h"

typedef enum ent_json_kind {
    ENT_JSON_NULL,
    ENT_JSON_FALSE,
    ENT_JSON_TRUE,
    ENT_JSON_NUMBER,
    ENT_JSON_STRING,
    ENT_JSON_ARRAY,
    ENT_JSON_OBJECT,
    ENT_JSON_INCOMPLETE /* a container that memory ran out for: nothing can be added, and printing fails */
} ent_json_kind;

struct ent_json {
    ent_json_kind kind;
    double number;      /* of a number */
    const char *key;    /* in its object; NULL without one. Stands in `text` */
    const char *string; /* of a string; of a number, the digits of an integer that a double does not hold, or NULL */
    ent_json *first, *last; /* of a container, in the text's order */
    ent_json *next;         /* in the same container */
    char text[];            /* what key and string point at */
};

/* A node with copies of `key` and of `string` (each may be NULL), at the end of `to` (NULL: a root); NULL without
 * memory.
 */
ent_json *ent_json_node(ent_json *to, ent_json_kind kind, const char *key, const char *string);

#endif
