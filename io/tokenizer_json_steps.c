/* The normalizer, pre-tokenizer and decoder of a tokenizer.json. */
#include <string.h>

#include "io/tokenizer_json_parts.h"

static ent_status read_replace_keys(const char **pattern, const char **content, const ent_json *json, const char *where)
{
    static const char *const keys[] = {"type", "pattern", "content", NULL};
    bool literal;
    ENT_TRY(ent_tokenizer_check_keys(json, keys, where));
    ENT_TRY(ent_tokenizer_read_pattern(pattern, &literal, json, where));
    ENT_TRY(ent_json_get_string(content, json, "content", where));
    if (!literal)
        return ent_fail(ENT_EUNSUPPORTED, "%s.pattern: \"Regex\" is not supported here, only \"String\"", where);
    if (**pattern == 0)
        return ent_fail(ENT_EUNSUPPORTED, "%s.pattern: an empty one is not supported", where);
    return ENT_OK;
}

static ent_status expect_only_type(const ent_json *json, const char *where)
{
    static const char *const keys[] = {"type", NULL};
    return ent_tokenizer_check_keys(json, keys, where);
}

/* Normalizers */

static ent_status read_nfc(ent_tokenizer *t, const ent_json *json, const char *where)
{
    ENT_TRY(expect_only_type(json, where));
    return ent_tokenizer_add_nfc(t);
}

static ent_status read_prepend(ent_tokenizer *t, const ent_json *json, const char *where)
{
    static const char *const keys[] = {"type", "prepend", NULL};
    const char *content;
    ENT_TRY(ent_tokenizer_check_keys(json, keys, where));
    ENT_TRY(ent_json_get_string(&content, json, "prepend", where));
    return ent_tokenizer_add_prepend(t, content);
}

static ent_status read_replace(ent_tokenizer *t, const ent_json *json, const char *where)
{
    const char *pattern, *content;
    ENT_TRY(read_replace_keys(&pattern, &content, json, where));
    return ent_tokenizer_add_replace(t, pattern, content);
}

ent_status ent_tokenizer_read_normalizer(ent_tokenizer *t, const ent_json *json, const char *where)
{
    static const ent_tokenizer_kind kinds[] = {{.type = "Sequence", .list = "normalizers"},
                                               {.type = "NFC", .read = read_nfc},
                                               {.type = "Prepend", .read = read_prepend},
                                               {.type = "Replace", .read = read_replace},
                                               {0}};
    return ent_tokenizer_read_kind(t, json, kinds, where);
}

/* Pre-tokenizers */

static ent_status read_byte_level_keys(bool *add_prefix_space, bool *use_regex, const ent_json *json, const char *where)
{
    static const char *const keys[] = {"type", "add_prefix_space", "trim_offsets", "use_regex", NULL};
    bool trim_offsets; /* changes offsets, which are not computed here */
    ENT_TRY(ent_tokenizer_check_keys(json, keys, where));
    ENT_TRY(ent_json_get_bool(add_prefix_space, json, "add_prefix_space", where));
    ENT_TRY(ent_json_get_bool(&trim_offsets, json, "trim_offsets", where));
    return ent_json_get_bool_or(use_regex, json, "use_regex", true, where);
}

static ent_status read_byte_level(ent_tokenizer *t, const ent_json *json, const char *where)
{
    bool add_prefix_space, use_regex;
    ENT_TRY(read_byte_level_keys(&add_prefix_space, &use_regex, json, where));
    return ent_tokenizer_add_byte_level(t, add_prefix_space, use_regex);
}

static ent_status read_split(ent_tokenizer *t, const ent_json *json, const char *where)
{
    static const char *const keys[] = {"type", "pattern", "behavior", "invert", NULL};
    static const struct {
        const char *name;
        ent_split_behavior behavior;
    } behaviors[] = {{"Isolated", ENT_SPLIT_ISOLATED},
                     {"Removed", ENT_SPLIT_REMOVED},
                     {"Contiguous", ENT_SPLIT_CONTIGUOUS},
                     {"MergedWithPrevious", ENT_SPLIT_MERGED_WITH_PREVIOUS},
                     {"MergedWithNext", ENT_SPLIT_MERGED_WITH_NEXT}};
    const char *pattern, *behavior;
    bool literal, invert;
    ENT_TRY(ent_tokenizer_check_keys(json, keys, where));
    ENT_TRY(ent_tokenizer_read_pattern(&pattern, &literal, json, where));
    ENT_TRY(ent_json_get_string(&behavior, json, "behavior", where));
    ENT_TRY(ent_json_get_bool(&invert, json, "invert", where));
    for (size_t i = 0; i < sizeof behaviors / sizeof *behaviors; i++)
        if (strcmp(behaviors[i].name, behavior) == 0)
            return ent_tokenizer_add_split(t, pattern, literal, behaviors[i].behavior, invert, where);
    return ent_fail(ENT_EUNSUPPORTED, "%s.behavior: \"%.60s\" is not supported", where, behavior);
}

static ent_status read_digits(ent_tokenizer *t, const ent_json *json, const char *where)
{
    static const char *const keys[] = {"type", "individual_digits", NULL};
    bool individual;
    ENT_TRY(ent_tokenizer_check_keys(json, keys, where));
    ENT_TRY(ent_json_get_bool(&individual, json, "individual_digits", where));
    return ent_tokenizer_add_split(t, individual ? "\\p{N}" : "\\p{N}+", false, ENT_SPLIT_ISOLATED, false, where);
}

static ent_status read_metaspace(ent_tokenizer *t, const ent_json *json, const char *where)
{
    const char *replacement;
    ent_prepend_scheme scheme;
    bool split;
    ENT_TRY(ent_tokenizer_read_metaspace(&replacement, &scheme, &split, json, where));
    return ent_tokenizer_add_metaspace(t, replacement, scheme, split);
}

ent_status ent_tokenizer_read_pre_tokenizer(ent_tokenizer *t, const ent_json *json, const char *where)
{
    static const ent_tokenizer_kind kinds[] = {
        {.type = "Sequence", .list = "pretokenizers"}, {.type = "ByteLevel", .read = read_byte_level},
        {.type = "Split", .read = read_split},         {.type = "Digits", .read = read_digits},
        {.type = "Metaspace", .read = read_metaspace}, {0}};
    return ent_tokenizer_read_kind(t, json, kinds, where);
}

/* Decoders */

static ent_status read_byte_level_decoder(ent_tokenizer *t, const ent_json *json, const char *where)
{
    bool add_prefix_space, use_regex; /* neither acts in a decoder */
    ENT_TRY(read_byte_level_keys(&add_prefix_space, &use_regex, json, where));
    return ent_tokenizer_add_byte_level_decoder(t);
}

static ent_status read_byte_fallback(ent_tokenizer *t, const ent_json *json, const char *where)
{
    ENT_TRY(expect_only_type(json, where));
    return ent_tokenizer_add_byte_fallback_decoder(t);
}

static ent_status read_fuse(ent_tokenizer *t, const ent_json *json, const char *where)
{
    ENT_TRY(expect_only_type(json, where));
    return ent_tokenizer_add_fuse_decoder(t);
}

static ent_status read_replace_decoder(ent_tokenizer *t, const ent_json *json, const char *where)
{
    const char *pattern, *content;
    ENT_TRY(read_replace_keys(&pattern, &content, json, where));
    return ent_tokenizer_add_replace_decoder(t, pattern, content);
}

static ent_status read_strip(ent_tokenizer *t, const ent_json *json, const char *where)
{
    static const char *const keys[] = {"type", "content", "start", "stop", NULL};
    const char *content;
    int64_t start, stop;
    ENT_TRY(ent_tokenizer_check_keys(json, keys, where));
    ENT_TRY(ent_tokenizer_read_character(&content, json, "content", where));
    ENT_TRY(ent_json_get_int(&start, json, "start", where));
    ENT_TRY(ent_json_get_int(&stop, json, "stop", where));
    if (start < 0 || stop < 0)
        return ent_fail(ENT_EFORMAT, "%s: start, stop: expected numbers from 0 on, found %lld, %lld", where,
                        (long long)start, (long long)stop);
    return ent_tokenizer_add_strip_decoder(t, content, (size_t)start, (size_t)stop);
}

static ent_status read_metaspace_decoder(ent_tokenizer *t, const ent_json *json, const char *where)
{
    const char *replacement;
    ent_prepend_scheme scheme;
    bool split;
    ENT_TRY(ent_tokenizer_read_metaspace(&replacement, &scheme, &split, json, where));
    return ent_tokenizer_add_metaspace_decoder(t, replacement, scheme != ENT_PREPEND_NEVER);
}

ent_status ent_tokenizer_read_decoder(ent_tokenizer *t, const ent_json *json, const char *where)
{
    static const ent_tokenizer_kind kinds[] = {{.type = "Sequence", .list = "decoders"},
                                               {.type = "ByteLevel", .read = read_byte_level_decoder},
                                               {.type = "ByteFallback", .read = read_byte_fallback},
                                               {.type = "Fuse", .read = read_fuse},
                                               {.type = "Replace", .read = read_replace_decoder},
                                               {.type = "Strip", .read = read_strip},
                                               {.type = "Metaspace", .read = read_metaspace_decoder},
                                               {0}};
    return ent_tokenizer_read_kind(t, json, kinds, where);
}
