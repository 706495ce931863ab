#include "io/tokenizer_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/tokenizer_json_parts.h"
#include "src/base/mem.h"

ent_status ent_tokenizer_check_keys(const ent_json *object, const char *const *keys, const char *where)
{
    if (!ent_json_is_object(object))
        return ent_fail(ENT_EFORMAT, "%s: expected an object", where);
    for (const ent_json *member = ent_json_first(object); member; member = ent_json_next(member)) {
        unsigned i = 0;
        while (keys[i] && strcmp(keys[i], ent_json_key(member)) != 0)
            i++;
        if (keys[i] == NULL)
            return ent_fail(ENT_EFORMAT, "%s: \"%.60s\" is not a known key", where, ent_json_key(member));
    }
    return ENT_OK;
}

/* An absent, null or empty text: the affixes of word-piece-like vocabularies. */
static ent_status expect_no_affix(const ent_json *model, const char *key, const char *where)
{
    const char *affix;
    ENT_TRY(ent_json_get_string_or(&affix, model, key, "", where));
    if (*affix)
        return ent_fail(ENT_EUNSUPPORTED, "%s.%s: \"%.60s\" is not supported, only null", where, key, affix);
    return ENT_OK;
}

static ent_status read_vocab(ent_tokenizer *t, const ent_json *model, const char *where)
{
    const ent_json *vocab = ent_json_member(model, "vocab");
    if (!ent_json_is_object(vocab))
        return ent_fail(ENT_EFORMAT, "%s: vocab: expected an object", where);
    /* There is a row for every id, used or not: a few tokens don't have ids that are far apart. */
    const double limit = fmin(INT32_MAX, 65536.0 + 16.0 * (double)ent_json_count(vocab));
    for (const ent_json *token = ent_json_first(vocab); token; token = ent_json_next(token)) {
        const double id = ent_json_number(token);
        if (!(id >= 0 && id < limit) || id != (double)(int32_t)id)
            return ent_fail(ENT_EFORMAT, "%s: vocab: \"%.60s\": expected an id from 0 to %.0f", where,
                            ent_json_key(token), limit - 1);
        ENT_TRY(ent_tokenizer_add_vocab(t, ent_json_key(token), (int32_t)id));
    }
    return ENT_OK;
}

/* "a b" or ["a", "b"]. */
static ent_status read_merge(ent_tokenizer *t, const ent_json *merge, size_t index, const char *where)
{
    const char *text = ent_json_string(merge);
    if (text) {
        const char *space = strchr(text, ' ');
        if (space && !strchr(space + 1, ' '))
            return ent_tokenizer_add_merge(t, text, (size_t)(space - text), space + 1, strlen(space + 1));
    } else if (ent_json_is_array(merge)) {
        const ent_json *first = ent_json_first(merge), *second = ent_json_next(first);
        const char *left = ent_json_string(first), *right = ent_json_string(second);
        if (left && right && ent_json_next(second) == NULL)
            return ent_tokenizer_add_merge(t, left, strlen(left), right, strlen(right));
    }
    return ent_fail(ENT_EFORMAT, "%s: merges[%zu]: expected \"a b\" or [\"a\", \"b\"]", where, index);
}

static ent_status read_merges(ent_tokenizer *t, const ent_json *model, const char *where)
{
    const ent_json *merges = ent_json_member(model, "merges");
    size_t index = 0;
    if (!ent_json_is_array(merges))
        return ent_fail(ENT_EFORMAT, "%s: merges: expected an array", where);
    for (const ent_json *merge = ent_json_first(merges); merge; merge = ent_json_next(merge), index++) {
        const char *text = ent_json_string(merge);
        if (text && strncmp(text, "#version", 8) == 0) /* the head of a merges.txt, carried along */
            continue;
        ENT_TRY(read_merge(t, merge, index, where));
    }
    return ENT_OK;
}

static ent_status read_model(ent_tokenizer *t, const ent_json *model, const char *where)
{
    static const char *const keys[] = {"type",
                                       "dropout",
                                       "unk_token",
                                       "continuing_subword_prefix",
                                       "end_of_word_suffix",
                                       "fuse_unk",
                                       "byte_fallback",
                                       "ignore_merges",
                                       "vocab",
                                       "merges",
                                       NULL};
    ent_bpe_options options = {0};
    const char *type, *unknown;
    if (!ent_json_is_object(model))
        return ent_fail(ENT_EFORMAT, "%s: expected an object", where);
    ENT_TRY(ent_json_get_string_or(&type, model, "type", ent_json_member(model, "merges") ? "BPE" : "?", where));
    if (strcmp(type, "BPE") != 0)
        return ent_fail(ENT_EUNSUPPORTED, "%s.type: \"%.60s\" is not supported, only \"BPE\"", where, type);
    ENT_TRY(ent_tokenizer_check_keys(model, keys, where));
    if (!ent_json_is_null(ent_json_member(model, "dropout")))
        return ent_fail(ENT_EUNSUPPORTED, "%s.dropout: only null is supported", where);
    ENT_TRY(expect_no_affix(model, "continuing_subword_prefix", where));
    ENT_TRY(expect_no_affix(model, "end_of_word_suffix", where));
    ENT_TRY(ent_json_get_bool_or(&options.fuse_unk, model, "fuse_unk", false, where));
    ENT_TRY(ent_json_get_bool_or(&options.byte_fallback, model, "byte_fallback", false, where));
    ENT_TRY(ent_json_get_bool_or(&options.ignore_merges, model, "ignore_merges", false, where));
    ENT_TRY(ent_json_get_string_or(&unknown, model, "unk_token", NULL, where));
    ent_tokenizer_set_bpe(t, options);
    ENT_TRY(read_vocab(t, model, where));
    if (unknown)
        ENT_TRY(ent_tokenizer_set_unknown(t, unknown));
    return read_merges(t, model, where);
}

static ent_status read_added_token(ent_tokenizer *t, const ent_json *json, const char *where)
{
    static const char *const keys[] = {"id",     "content",    "single_word", "lstrip",
                                       "rstrip", "normalized", "special",     NULL};
    ent_added_token token;
    int64_t id;
    bool single_word;
    ENT_TRY(ent_tokenizer_check_keys(json, keys, where));
    ENT_TRY(ent_json_get_int(&id, json, "id", where));
    ENT_TRY(ent_json_get_string(&token.content, json, "content", where));
    ENT_TRY(ent_json_get_bool(&single_word, json, "single_word", where));
    ENT_TRY(ent_json_get_bool(&token.lstrip, json, "lstrip", where));
    ENT_TRY(ent_json_get_bool(&token.rstrip, json, "rstrip", where));
    ENT_TRY(ent_json_get_bool(&token.normalized, json, "normalized", where));
    ENT_TRY(ent_json_get_bool(&token.special, json, "special", where));
    if (single_word)
        return ent_fail(ENT_EUNSUPPORTED, "%s.single_word: true is not supported", where);
    if (id < 0 || id > INT32_MAX)
        return ent_fail(ENT_EFORMAT, "%s: id: expected a token id, found %lld", where, (long long)id);
    token.id = (int32_t)id;
    return ent_tokenizer_add_token(t, &token);
}

static ent_status read_added_tokens(ent_tokenizer *t, const ent_json *json, const char *where)
{
    size_t index = 0;
    if (ent_json_is_null(json))
        return ENT_OK;
    if (!ent_json_is_array(json))
        return ent_fail(ENT_EFORMAT, "%s: expected an array", where);
    for (const ent_json *token = ent_json_first(json); token; token = ent_json_next(token), index++) {
        char *place;
        ENT_TRY(ent_format(&place, "%s[%zu]", where, index));
        const ent_status st = read_added_token(t, token, place);
        free(place);
        ENT_TRY(st);
    }
    return ENT_OK;
}

static ent_status read_part(ent_tokenizer *t, const ent_json *root, const char *key, ent_tokenizer_reader *read,
                            const char *file)
{
    char *where;
    ENT_TRY(ent_format(&where, "%s: %s", file, key));
    const ent_status st = read(t, ent_json_member(root, key), where);
    free(where);
    return st;
}

static ent_status read_all(ent_tokenizer *t, const ent_json *root, const char *file)
{
    static const char *const keys[] = {"version",       "truncation",     "padding", "added_tokens", "normalizer",
                                       "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
    const char *version;
    ENT_TRY(ent_tokenizer_check_keys(root, keys, file));
    ENT_TRY(ent_json_get_string_or(&version, root, "version", "1.0", file));
    if (strcmp(version, "1.0") != 0)
        return ent_fail(ENT_EUNSUPPORTED, "%s: version: \"%.60s\" is not supported, only \"1.0\"", file, version);
    for (const char *const *key = (const char *const[]){"truncation", "padding", NULL}; *key; key++)
        if (!ent_json_is_null(ent_json_member(root, *key)))
            return ent_fail(ENT_EUNSUPPORTED, "%s: %s: only null is supported: texts are taken whole", file, *key);
    ENT_TRY(read_part(t, root, "model", read_model, file));
    ENT_TRY(read_part(t, root, "normalizer", ent_tokenizer_read_normalizer, file));
    ENT_TRY(read_part(t, root, "pre_tokenizer", ent_tokenizer_read_pre_tokenizer, file));
    ENT_TRY(read_part(t, root, "decoder", ent_tokenizer_read_decoder, file));
    ENT_TRY(read_part(t, root, "post_processor", ent_tokenizer_read_post_processor, file));
    ENT_TRY(read_part(t, root, "added_tokens", read_added_tokens, file));
    return ent_tokenizer_seal(t);
}

ent_status ent_tokenizer_load(ent_tokenizer **out, const char *path)
{
    struct stat info;
    char *file = NULL;
    ent_json *root = NULL;
    ent_tokenizer *t = NULL;
    ent_status st = ENT_OK;
    *out = NULL;
    const bool is_folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    ENT_GO(ent_format(&file, "%s%s", path, is_folder ? "/tokenizer.json" : ""));
    ENT_GO(ent_json_read_file(&root, file));
    ENT_GO(ent_tokenizer_new(&t, file));
    ENT_GO(read_all(t, root, file));
    *out = t;
    t = NULL;
done:
    ent_tokenizer_free(t);
    ent_json_free(root);
    free(file);
    return st;
}
