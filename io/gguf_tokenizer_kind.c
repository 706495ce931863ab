/* Which of llama.cpp's tokenizers a tokenizer.json is, and the scores of one that has them: see io/gguf_tokenizer.h. */
#include <stdlib.h>
#include <string.h>

#include "io/gguf_tokenizer_parts.h"
#include "src/base/mem.h"

static const char metaspace[] = "\xE2\x96\x81"; /* U+2581, for a space */

static bool has_type(const ent_json *json, const char *type)
{
    const char *found = ent_json_string(ent_json_member(json, "type"));
    return found && strcmp(found, type) == 0;
}

static bool text_is(const ent_json *json, const char *key, const char *text)
{
    const char *found = ent_json_string(ent_json_member(json, key));
    return found && strcmp(found, text) == 0;
}

/* The steps of a part of the file: one object, or the members of a Sequence. *count = how many, of which at most `most`
 * are put. */
static void steps_of(const ent_json **out, size_t *count, size_t most, const ent_json *part, const char *list)
{
    const bool sequence = has_type(part, "Sequence");
    const ent_json *step = sequence ? ent_json_first(ent_json_member(part, list)) : part;
    *count = 0;
    if (ent_json_is_null(part))
        return;
    for (; step; step = sequence ? ent_json_next(step) : NULL)
        if ((*count)++ < most)
            out[*count - 1] = step;
}

/* Splits by regular expressions that llama.cpp knows, as tokenizer.json has them. */
static const struct split {
    const char *regex;
    bool ignore_merges;
    const char *pre;
} known_splits[] = {
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define REST "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" REST, true, "llama-bpe"},
    {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" REST, false, "smaug-bpe"},
    {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" REST, false, "qwen2"},
    {"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?["
     "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/"
     "]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     true, "tekken"},
#undef CONTRACTIONS
#undef REST
};

/* A ByteLevel step without a space in front. */
static bool is_byte_level(const ent_json *step, bool use_regex)
{
    const ent_json *regex = ent_json_member(step, "use_regex");
    return has_type(step, "ByteLevel") && !ent_json_bool(ent_json_member(step, "add_prefix_space")) &&
           (ent_json_is_null(regex) || ent_json_bool(regex)) == use_regex;
}

static const char *find_pre(const ent_json *const *steps, size_t count, bool ignore_merges)
{
    if (count == 1 && is_byte_level(steps[0], true) && !ignore_merges)
        return "gpt-2";
    if (count == 2 && has_type(steps[0], "Digits") && ent_json_bool(ent_json_member(steps[0], "individual_digits")) &&
        is_byte_level(steps[1], true) && !ignore_merges)
        return "smollm";
    const bool split = count == 2 && has_type(steps[0], "Split") && text_is(steps[0], "behavior", "Isolated") &&
                       !ent_json_bool(ent_json_member(steps[0], "invert")) && is_byte_level(steps[1], false);
    for (size_t i = 0; split && i < sizeof known_splits / sizeof *known_splits; i++)
        if (text_is(ent_json_member(steps[0], "pattern"), "Regex", known_splits[i].regex) &&
            known_splits[i].ignore_merges == ignore_merges)
            return known_splits[i].pre;
    return NULL;
}

static ent_status byte_level_kind(ent_gguf_tokenizer_kind *out, ent_text *notes, const ent_json *root,
                                  const ent_json *const *steps, size_t count, const char *path)
{
    const ent_json *model = ent_json_member(root, "model"), *normalizers[1];
    size_t n;
    out->pre = find_pre(steps, count, ent_json_bool(ent_json_member(model, "ignore_merges")));
    if (out->pre == NULL)
        return ent_fail(ENT_EUNSUPPORTED,
                        "%s: pre_tokenizer: with model.ignore_merges %s it is none that llama.cpp is "
                        "known to have (gpt-2, llama-bpe, qwen2, smollm, smaug-bpe, tekken)",
                        path, ent_json_bool(ent_json_member(model, "ignore_merges")) ? "true" : "false");
    steps_of(normalizers, &n, 1, ent_json_member(root, "normalizer"), "normalizers");
    if (n > 1 || (n == 1 && !has_type(normalizers[0], "NFC")))
        return ent_fail(ENT_EUNSUPPORTED, "%s: normalizer: with a byte-level vocabulary llama.cpp has none", path);
    if (n == 1)
        ent_text_put(notes, "normalizer: llama.cpp doesn't compose characters (NFC) before it splits a text\n");
    return ENT_OK;
}

/* A Metaspace step, which puts a space in front of the whole text, of every part of it, or of none. */
static ent_status from_metaspace(ent_gguf_tokenizer_kind *out, ent_text *notes, const ent_json *step, const char *path)
{
    const ent_json *prefix = ent_json_member(step, "add_prefix_space"), *split = ent_json_member(step, "split");
    const bool old = ent_json_is_null(ent_json_member(step, "prepend_scheme"));
    if (!text_is(step, "replacement", metaspace) || ent_json_is_null(split) || ent_json_bool(split))
        return ent_fail(ENT_EUNSUPPORTED, "%s: pre_tokenizer: expected U+2581 for spaces, and split: false", path);
    out->space_prefix =
        old ? ent_json_is_null(prefix) || ent_json_bool(prefix) : !text_is(step, "prepend_scheme", "never");
    if (out->space_prefix)
        ent_text_put(notes,
                     text_is(step, "prepend_scheme", "first")
                         ? "pre_tokenizer: llama.cpp puts a space in front of a text that begins with one too, "
                           "and behind each special token\n"
                         : "pre_tokenizer: llama.cpp puts a space in front of a text that begins with one too\n");
    return ENT_OK;
}

/* Prepend and Replace, as in Llama 2's files. */
static ent_status from_normalizers(ent_gguf_tokenizer_kind *out, const ent_json *const *steps, size_t count,
                                   const char *path)
{
    bool replaced = false, other = count > 2;
    for (size_t i = 0; i < count && i < 2; i++) {
        const bool prepend = has_type(steps[i], "Prepend") && text_is(steps[i], "prepend", metaspace) && !replaced;
        const bool replace = has_type(steps[i], "Replace") && text_is(steps[i], "content", metaspace) &&
                             text_is(ent_json_member(steps[i], "pattern"), "String", " ");
        out->space_prefix |= prepend;
        replaced |= replace;
        other |= !prepend && !replace;
    }
    if (other || !replaced)
        return ent_fail(ENT_EUNSUPPORTED, "%s: normalizer: expected U+2581 for spaces, and perhaps one in front", path);
    return ENT_OK;
}

static ent_status sentencepiece_kind(ent_gguf_tokenizer_kind *out, ent_text *notes, const ent_json *root,
                                     const ent_json *const *steps, size_t count, const char *path)
{
    const ent_json *model = ent_json_member(root, "model"), *normalizers[2];
    size_t n;
    if (!ent_json_bool(ent_json_member(model, "byte_fallback")))
        return ent_fail(ENT_EUNSUPPORTED,
                        "%s: model.byte_fallback: expected true, as llama.cpp has it without a "
                        "byte-level pre_tokenizer",
                        path);
    if (ent_json_bool(ent_json_member(model, "ignore_merges")))
        return ent_fail(ENT_EUNSUPPORTED, "%s: model.ignore_merges: expected false, as llama.cpp has it for this kind",
                        path);
    steps_of(normalizers, &n, 2, ent_json_member(root, "normalizer"), "normalizers");
    if (count == 0)
        return from_normalizers(out, normalizers, n, path);
    if (count > 1 || n > 0 || !has_type(steps[0], "Metaspace"))
        return ent_fail(ENT_EUNSUPPORTED, "%s: pre_tokenizer: with the normalizer it is none that llama.cpp has", path);
    return from_metaspace(out, notes, steps[0], path);
}

ent_status ent_gguf_tokenizer_kind_of(ent_gguf_tokenizer_kind *out, ent_text *notes, const ent_json *root,
                                      const char *path)
{
    const ent_json *steps[2];
    size_t count;
    *out = (ent_gguf_tokenizer_kind){0};
    steps_of(steps, &count, 2, ent_json_member(root, "pre_tokenizer"), "pretokenizers");
    bool byte_level = false;
    for (size_t i = 0; i < count && i < 2; i++)
        byte_level |= has_type(steps[i], "ByteLevel");
    return byte_level ? byte_level_kind(out, notes, root, steps, count, path)
                      : sentencepiece_kind(out, notes, root, steps, count, path);
}

/* --- scores --- */

void ent_gguf_merge_of(const char **left, size_t *n_left, const char **right, const ent_json *merge)
{
    const char *text = ent_json_string(merge);
    const ent_json *first = ent_json_first(merge);
    *left = text ? text : ent_json_string(first);
    *n_left = text ? (size_t)(strchr(text, ' ') - text) : strlen(*left);
    *right = text ? text + *n_left + 1 : ent_json_string(ent_json_next(first));
}

static bool is_merge_list_head(const ent_json *merge)
{
    const char *text = ent_json_string(merge);
    return text && strncmp(text, "#version", 8) == 0;
}

typedef struct scoring {
    float *scores;    /* 0: not a result of a merge so far */
    uint32_t *splits; /* merges with this result */
    size_t n;
    const ent_tokenizer *tokenizer;
    const char *path;
} scoring;

/* Nothing but spaces, as Llama 2 has 15 of: their merges stand apart. */
static bool is_spaces(const char *text)
{
    const size_t n = sizeof metaspace - 1;
    while (strncmp(text, metaspace, n) == 0)
        text += n;
    return *text == '\0';
}

/* The results of merges, in their order: the merges of one token stand together. */
static ent_status score_merges(scoring *s, ent_text *notes, float *lowest, const ent_json *merges)
{
    int32_t last = -1;
    bool apart = false;
    for (const ent_json *m = ent_json_first(merges); m; m = ent_json_next(m)) {
        const char *left, *right;
        size_t n_left;
        char *joined;
        if (is_merge_list_head(m))
            continue;
        ent_gguf_merge_of(&left, &n_left, &right, m);
        ENT_TRY(ent_format(&joined, "%.*s%s", (int)n_left, left, right));
        const int32_t id = ent_tokenizer_id(s->tokenizer, joined);
        const bool known = id >= 0 && (size_t)id < s->n, again = known && id != last && s->scores[id] < 0;
        const ent_status st =
            !known || (again && !is_spaces(joined))
                ? ent_fail(ENT_EUNSUPPORTED,
                           "%s: model.merges: those that make \"%.60s\" don't stand together: scores, "
                           "which llama.cpp merges by, can't say that",
                           s->path, joined)
                : ENT_OK;
        free(joined);
        ENT_TRY(st);
        apart |= again;
        if (id != last && !again)
            s->scores[id] = --*lowest;
        s->splits[id]++;
        last = id;
    }
    if (apart)
        ent_text_put(notes, "model.merges: llama.cpp may make other tokens of long runs of spaces\n");
    return ENT_OK;
}

/* Where llama.cpp would merge a pair into this token, the list has that merge. */
static ent_status check_splits(const scoring *s, const char *text, int32_t id)
{
    const size_t n = strlen(text);
    uint32_t splits = 0;
    for (size_t at = ent_utf8_length(text, n); at > 0 && at < n; at += ent_utf8_length(text + at, n - at)) {
        char *left;
        ENT_TRY(ent_strndup(&left, text, at));
        splits += ent_tokenizer_id(s->tokenizer, left) >= 0 && ent_tokenizer_id(s->tokenizer, text + at) >= 0;
        free(left);
    }
    if (splits != s->splits[id])
        return ent_fail(ENT_EUNSUPPORTED,
                        "%s: model.merges: \"%.60s\" is two tokens in %u ways, and has %u merges: "
                        "llama.cpp would merge otherwise",
                        s->path, text, splits, s->splits[id]);
    return ENT_OK;
}

ent_status ent_gguf_scores(float *scores, size_t n, ent_text *notes, const ent_json *model,
                           const ent_tokenizer *tokenizer, const char *path)
{
    ent_status st;
    float lowest = 0;
    scoring s = {.scores = scores, .n = n, .tokenizer = tokenizer, .path = path};
    memset(scores, 0, n * sizeof *scores);
    ENT_GO(ent_calloc(&s.splits, n, sizeof *s.splits, "scores"));
    ENT_GO(score_merges(&s, notes, &lowest, ent_json_member(model, "merges")));
    for (const ent_json *t = ent_json_first(ent_json_member(model, "vocab")); t; t = ent_json_next(t)) {
        const double id = ent_json_number(t);
        if (id < (double)n)
            ENT_GO(check_splits(&s, ent_json_key(t), (int32_t)id));
    }
    for (size_t i = 0; i < n; i++)
        if (scores[i] == 0)
            scores[i] = --lowest;
done:
    free(s.splits);
    return st;
}
