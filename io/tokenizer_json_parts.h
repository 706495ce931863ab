/* What the files io/tokenizer_json*.c share. Not for users. */
#ifndef ENT_IO_TOKENIZER_JSON_PARTS_H
#define ENT_IO_TOKENIZER_JSON_PARTS_H

#include "io/json.h"
#include "src/text/tokenizer_build.h"

/* ENT_EFORMAT unless `object` is an object whose keys are all in `keys` (NULL at the end). */
ent_status ent_tokenizer_check_keys(const ent_json *object, const char *const *keys, const char *where);

/* The steps of one part of the file (null: none), added to `tokenizer`. `where` is "FILE: normalizer" and so on. */
ent_status ent_tokenizer_read_normalizer(ent_tokenizer *tokenizer, const ent_json *json, const char *where);
ent_status ent_tokenizer_read_pre_tokenizer(ent_tokenizer *tokenizer, const ent_json *json, const char *where);
ent_status ent_tokenizer_read_post_processor(ent_tokenizer *tokenizer, const ent_json *json, const char *where);
ent_status ent_tokenizer_read_decoder(ent_tokenizer *tokenizer, const ent_json *json, const char *where);

/* For the readers above. A reader of one kind of step; `json` has this type. */
typedef ent_status ent_tokenizer_reader(ent_tokenizer *tokenizer, const ent_json *json, const char *where);

typedef struct ent_tokenizer_kind { /* one type and its reader; a NULL name ends a table */
    const char *type;
    ent_tokenizer_reader *read; /* NULL: a sequence, whose elements are the member `list` */
    const char *list;
} ent_tokenizer_kind;

/* Reads one object by its type, or null. */
ent_status ent_tokenizer_read_kind(ent_tokenizer *tokenizer, const ent_json *json, const ent_tokenizer_kind *kinds,
                                   const char *where);

/* {"String": ...} or {"Regex": ...}; *literal tells which. */
ent_status ent_tokenizer_read_pattern(const char **out, bool *literal, const ent_json *json, const char *where);

/* A string of exactly one character. */
ent_status ent_tokenizer_read_character(const char **out, const ent_json *json, const char *key, const char *where);

/* The keys and the scheme of a Metaspace, which is a pre-tokenizer and a decoder. */
ent_status ent_tokenizer_read_metaspace(const char **replacement, ent_prepend_scheme *scheme, bool *split,
                                        const ent_json *json, const char *where);

#endif
