/* The post-processor of a tokenizer.json: the tokens around a text. */
#include <string.h>

#include "io/tokenizer_json_parts.h"

static ent_status read_byte_level(ent_tokenizer *t, const ent_json *json, const char *where)
{
    static const char *const keys[] = {"type", "add_prefix_space", "trim_offsets", "use_regex", NULL};
    (void)t; /* as a post-processor it moves offsets, which are not computed here */
    return ent_tokenizer_check_keys(json, keys, where);
}

/* Appends the ids of the special token `name`. */
static ent_status put_ids(ent_ids *out, const ent_json *special_tokens, const char *name, const char *where)
{
    static const char *const keys[] = {"id", "ids", "tokens", NULL};
    const ent_json *token = ent_json_member(special_tokens, name), *ids = ent_json_member(token, "ids");
    if (token == NULL)
        return ent_fail(ENT_EFORMAT, "%s: special_tokens: \"%.60s\" is not among them", where, name);
    ENT_TRY(ent_tokenizer_check_keys(token, keys, where));
    if (!ent_json_is_array(ids))
        return ent_fail(ENT_EFORMAT, "%s: special_tokens: \"%.60s\": ids: expected an array", where, name);
    for (const ent_json *item = ent_json_first(ids); item; item = ent_json_next(item)) {
        const double id = ent_json_number(item);
        if (!(id >= 0 && id <= INT32_MAX) || id != (double)(int32_t)id)
            return ent_fail(ENT_EFORMAT, "%s: special_tokens: \"%.60s\": ids: expected token ids", where, name);
        ENT_TRY(ent_ids_push(out, (int32_t)id));
    }
    return ENT_OK;
}

/* One piece of a template: {"Sequence": {"id": "A"}} or {"SpecialToken": {"id": NAME}}. */
static ent_status read_piece(ent_ids *prefix, ent_ids *suffix, bool *has_text, const ent_json *piece,
                             const ent_json *special_tokens, const char *where)
{
    static const char *const keys[] = {"id", "type_id", NULL};
    const ent_json *body = ent_json_first(piece);
    const char *kind = ent_json_key(body), *id;
    if (!ent_json_is_object(piece) || body == NULL || ent_json_next(body))
        return ent_fail(ENT_EFORMAT, "%s: single: expected objects of one member", where);
    const bool is_text = strcmp(kind, "Sequence") == 0;
    if (!is_text && strcmp(kind, "SpecialToken") != 0)
        return ent_fail(ENT_EUNSUPPORTED, "%s: single: \"%.60s\" is not supported", where, kind);
    ENT_TRY(ent_tokenizer_check_keys(body, keys, where));
    ENT_TRY(ent_json_get_string(&id, body, "id", where));
    if (!is_text)
        return put_ids(*has_text ? suffix : prefix, special_tokens, id, where);
    if (strcmp(id, "A") != 0 || *has_text)
        return ent_fail(ENT_EUNSUPPORTED, "%s: single: expected the sequence A once", where);
    *has_text = true;
    return ENT_OK;
}

static ent_status read_template(ent_tokenizer *t, const ent_json *json, const char *where)
{
    static const char *const keys[] = {"type", "single", "pair", "special_tokens", NULL};
    const ent_json *single = ent_json_member(json, "single"), *special = ent_json_member(json, "special_tokens");
    ent_ids prefix = {0}, suffix = {0};
    bool has_text = false;
    ent_status st = ENT_OK;
    ENT_TRY(ent_tokenizer_check_keys(json, keys, where)); /* pair: texts come one by one here */
    if (!ent_json_is_array(single))
        return ent_fail(ENT_EFORMAT, "%s: single: expected an array", where);
    for (const ent_json *piece = ent_json_first(single); piece; piece = ent_json_next(piece))
        ENT_GO(read_piece(&prefix, &suffix, &has_text, piece, special, where));
    st = has_text ? ent_tokenizer_set_template(t, &prefix, &suffix)
                  : ent_fail(ENT_EUNSUPPORTED, "%s: single: expected the sequence A once", where);
done:
    ent_ids_free(&prefix);
    ent_ids_free(&suffix);
    return st;
}

ent_status ent_tokenizer_read_post_processor(ent_tokenizer *t, const ent_json *json, const char *where)
{
    static const ent_tokenizer_kind kinds[] = {{.type = "Sequence", .list = "processors"},
                                               {.type = "ByteLevel", .read = read_byte_level},
                                               {.type = "TemplateProcessing", .read = read_template},
                                               {0}};
    return ent_tokenizer_read_kind(t, json, kinds, where);
}
