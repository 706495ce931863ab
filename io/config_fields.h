/* The table of configuration keys, and how a value is read, written and freed. Part of io/config.c. */
#ifndef ENT_IO_CONFIG_FIELDS_H
#define ENT_IO_CONFIG_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/config.h"
#include "io/text.h"
#include "io/yaml.h"

/* What a key takes, and the member of ent_config that holds it: char *, enum, int64_t, double, bool, lora.targets,
 * lora.layers, lora.saved, distill.teachers, distill.weights; ent_lora_patterns. */
typedef enum {
    ENT_FIELD_PATH,
    ENT_FIELD_CHOICE,
    ENT_FIELD_INT,
    ENT_FIELD_FLOAT,
    ENT_FIELD_BOOL,
    ENT_FIELD_TARGETS,
    ENT_FIELD_LAYERS,
    ENT_FIELD_SAVED, /* names of modules */
    ENT_FIELD_TEACHERS,
    ENT_FIELD_WEIGHTS,
    ENT_FIELD_RANKS,  /* patterns of modules: integers, */
    ENT_FIELD_ALPHAS, /* numbers; */
    ENT_FIELD_PAIRS   /* of layers instead */
} ent_field_type;

static inline bool ent_field_is_list(ent_field_type type)
{
    return type >= ENT_FIELD_TARGETS && type <= ENT_FIELD_WEIGHTS;
}

static inline bool ent_field_is_patterns(ent_field_type type)
{
    return type >= ENT_FIELD_RANKS && type <= ENT_FIELD_PAIRS;
}

enum { ENT_MAX_LAYERS = 10000 };

typedef struct ent_config_field {
    const char *path; /* "section.key" */
    ent_field_type type;
    size_t offset;
    const char *otherwise; /* the default as text; NULL: absent, or required */
    bool required;
    int64_t min, max; /* of an integer */
    const char *word; /* stands for the integer 0: "auto" */
    double low, high; /* of a float, both included unless open; high 0: without end */
    bool low_open, high_open;
    const char *choices;    /* names separated by spaces, in the order of the enum */
    const char *needs;      /* acts only if this choice key ... */
    unsigned needs_choices; /* ... has one of these values (bits) */
    const char *help;
} ent_config_field;

extern const ent_config_field ent_config_fields[];
extern const size_t ent_config_n_fields;

/* The row of a path, or NULL. */
const ent_config_field *ent_config_field_find(const char *path);

/* Whether the key's section may be absent and is: then its keys have no value, not even a default. */
bool ent_config_field_absent(const ent_config *config, const ent_config_field *field);

/* Whether a key acts with the other settings as they are. */
bool ent_config_field_acts(const ent_config *config, const ent_config_field *field);

/* Puts `value` into the config. `where` begins the error: "config.yaml:3: optimizer.lr". A relative path is joined to
 * `folder`, which is absolute. ENT_ECONFIG. */
ent_status ent_config_field_set(ent_config *config, const ent_config_field *field, const ent_yaml *value,
                                const char *folder, const char *where);
void ent_config_field_clear(ent_config *config, const ent_config_field *field);

/* Writes the value as YAML or adds it to a JSON tree under its key: null where it is absent. */
void ent_config_field_put(ent_text *to, const ent_config *config, const ent_config_field *field);
void ent_config_field_add(ent_json *to, const ent_config *config, const ent_config_field *field);

/* Writes what a key takes, "an integer from 1 to 8"; the names of some choices, "a, b or c". */
void ent_config_field_expected(ent_text *to, const ent_config_field *field);
void ent_config_field_names(ent_text *to, const char *choices, unsigned which);

/* "; did you mean optimizer.lr?", or what there is; for a path that no row has. */
void ent_config_suggest(ent_text *to, const char *path);

#endif
