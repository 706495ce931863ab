/* YAML documents as small trees, and the scalars of YAML text. A face over libyaml, so that only io/yaml.c knows it.
 *
 * Read are mappings with scalar keys, sequences and scalars: what JSON can say too. Refused, with the line: anchors,
 * aliases, tags, a second document, a key that stands twice in a mapping, nesting beyond 64.
 */
#ifndef ENT_IO_YAML_H
#define ENT_IO_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "io/text.h"
#include "src/base/status.h"

typedef enum { ENT_YAML_SCALAR, ENT_YAML_SEQUENCE, ENT_YAML_MAPPING } ent_yaml_kind;

typedef struct ent_yaml ent_yaml;
struct ent_yaml {
    ent_yaml_kind kind;
    size_t line;            /* where it stands, from 1; for the member of a mapping: where its key stands */
    char *key;              /* NULL unless it is a member of a mapping */
    char *text;             /* of a scalar, UTF-8; else NULL */
    bool quoted;            /* of a scalar: it is a string, whatever it looks like */
    ent_yaml *first, *next; /* the first child; the next sibling */
};

/* Reads a whole file, or `n` bytes of text (`where` names it). One document; an empty one is an empty plain scalar.
 * ENT_EIO; ENT_EFORMAT "WHERE:LINE: ..."; ENT_EUNSUPPORTED. The root owns the tree. */
ent_status ent_yaml_read_file(ent_yaml **out, const char *path);
ent_status ent_yaml_parse(ent_yaml **out, const char *text, size_t n, const char *where);
void ent_yaml_free(ent_yaml *root);

/* The member of a mapping; NULL if there is none, or `mapping` is something else. */
const ent_yaml *ent_yaml_member(const ent_yaml *mapping, const char *key);

/* What a scalar is by the core schema of YAML 1.2. */
typedef enum { ENT_YAML_NULL, ENT_YAML_BOOL, ENT_YAML_INT, ENT_YAML_FLOAT, ENT_YAML_STRING } ent_yaml_type;
ent_yaml_type ent_yaml_type_of(const char *text, bool quoted);

/* Writes one scalar. A string is quoted where it would read back as something else, also by readers of YAML 1.1. What
 * isn't UTF-8 becomes U+FFFD. A double reads back exactly; it has a point, unless it is whole and `short_whole`. */
void ent_yaml_put_string(ent_text *to, const char *s);
void ent_yaml_put_double(ent_text *to, double x, bool short_whole);

#endif
