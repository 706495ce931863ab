/* TOML documents as small trees: the part of TOML 1.0 that files of settings use.
 *
 * Read are comments, [table], [[array of tables]], bare and quoted keys, basic and literal strings on one line, decimal
 * integers, floats and booleans. The rest of TOML is refused by name: dotted keys, multi-line strings, arrays, inline
 * tables, dates and times, other bases, inf and nan, U+0000 in a string. So tables are in the root only.
 */
#ifndef ENT_IO_TOML_H
#define ENT_IO_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

typedef enum {
    ENT_TOML_STRING,
    ENT_TOML_INT,
    ENT_TOML_FLOAT,
    ENT_TOML_BOOL,
    ENT_TOML_TABLE,
    ENT_TOML_TABLES /* an array of tables: its children are tables without a key */
} ent_toml_kind;

typedef struct ent_toml ent_toml;
struct ent_toml {
    ent_toml_kind kind;
    size_t line;     /* where its key stands, or its header, from 1 */
    char *key;       /* UTF-8; NULL for the root and the tables of an array */
    char *text;      /* of a string, UTF-8; of a number as it is written; else NULL */
    int64_t integer; /* of INT */
    double number;   /* of INT and FLOAT */
    bool truth;      /* of BOOL */
    const ent_toml *parent;
    ent_toml *first, *last, *next; /* children, in the order of the file; the next sibling */
};

/* Reads a whole file, or `n` bytes of text (`where` names it). *out is the root, a table that owns the tree. ENT_EIO;
 * ENT_EFORMAT "WHERE:LINE: ..."; ENT_EUNSUPPORTED "WHERE:LINE: ... not supported". */
ent_status ent_toml_read_file(ent_toml **out, const char *path);
ent_status ent_toml_parse(ent_toml **out, const char *text, size_t n, const char *where);
void ent_toml_free(ent_toml *root);

/* The member of a table; NULL if there is none. */
const ent_toml *ent_toml_member(const ent_toml *table, const char *key);

#endif
