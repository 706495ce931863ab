#include "io/gguf_tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/gguf_tokenizer_parts.h"
#include "io/tokenizer_config.h"
#include "src/base/mem.h"

/* llama.cpp's kinds of tokens (llama.h, enum llama_token_type). */
enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 };

typedef struct vocabulary {
    char **texts; /* by id, each owned */
    int32_t *types;
    size_t n;
} vocabulary;

static void free_vocabulary(vocabulary *v)
{
    for (size_t i = 0; v->texts && i < v->n; i++)
        free(v->texts[i]);
    free(v->texts);
    free(v->types);
}

static bool is_byte(const char *text)
{
    unsigned value;
    char again[8];
    if (strlen(text) != 6 || sscanf(text, "<0x%2X>", &value) != 1)
        return false;
    snprintf(again, sizeof again, "<0x%02X>", value);
    return strcmp(text, again) == 0;
}

static ent_status put_token(vocabulary *v, const char *text, double id, int32_t type, const char *path)
{
    if (!(id < (double)v->n))
        return ent_fail(ENT_EFORMAT, "%s: \"%.60s\" has id %.0f, the model has %zu", path, text, id, v->n);
    const size_t i = (size_t)id;
    free(v->texts[i]);
    v->texts[i] = NULL;
    v->types[i] = type;
    return ent_strdup(&v->texts[i], text);
}

/* A text with U+2581 as spaces: of added tokens that users write. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from;) {
        const bool space = strncmp(from, "\xE2\x96\x81", 3) == 0;
        *to++ = space ? ' ' : *from;
        from += space ? 3 : 1;
    }
    *to = '\0';
}

static ent_status put_added(vocabulary *v, bool *strips, const ent_json *root, const char *unknown, const char *path)
{
    for (const ent_json *t = ent_json_first(ent_json_member(root, "added_tokens")); t; t = ent_json_next(t)) {
        const char *text = ent_json_string(ent_json_member(t, "content"));
        const double id = ent_json_number(ent_json_member(t, "id"));
        const bool special = ent_json_bool(ent_json_member(t, "special"));
        const int32_t type = unknown && strcmp(text, unknown) == 0 ? UNKNOWN : special ? CONTROL : USER_DEFINED;
        *strips |= ent_json_bool(ent_json_member(t, "lstrip")) || ent_json_bool(ent_json_member(t, "rstrip"));
        ENT_TRY(put_token(v, text, id, type, path));
        if (type == USER_DEFINED)
            unescape(v->texts[(size_t)id]);
    }
    return ENT_OK;
}

/* Ids that no text becomes: models pad their vocabulary. */
static ent_status put_unused(vocabulary *v, const ent_tokenizer *tokenizer, const char *path)
{
    for (size_t i = 0; i < v->n; i++) {
        char text[32];
        if (v->texts[i])
            continue;
        snprintf(text, sizeof text, "[PAD%zu]", i);
        if (ent_tokenizer_id(tokenizer, text) >= 0)
            return ent_fail(ENT_EUNSUPPORTED, "%s: id %zu has no token, and \"%s\" is one already", path, i, text);
        ENT_TRY(put_token(v, text, (double)i, UNUSED, path));
    }
    return ENT_OK;
}

static ent_status read_vocabulary(vocabulary *v, ent_text *notes, const ent_json *root,
                                  const ent_gguf_tokenizer_kind *kind, const ent_tokenizer *tokenizer, const char *path)
{
    const ent_json *model = ent_json_member(root, "model");
    const char *unknown = ent_json_string(ent_json_member(model, "unk_token"));
    bool strips = false;
    size_t bytes = 0;
    ENT_TRY(ent_calloc(&v->texts, v->n, sizeof *v->texts, "tokens"));
    ENT_TRY(ent_calloc(&v->types, v->n, sizeof *v->types, "tokens"));
    for (const ent_json *t = ent_json_first(ent_json_member(model, "vocab")); t; t = ent_json_next(t)) {
        const char *text = ent_json_key(t);
        const bool byte = kind->pre == NULL && is_byte(text);
        const int32_t type = byte ? BYTE : unknown && strcmp(text, unknown) == 0 ? UNKNOWN : NORMAL;
        bytes += byte;
        ENT_TRY(put_token(v, text, ent_json_number(t), type, path));
    }
    if (kind->pre == NULL && bytes != 256)
        return ent_fail(ENT_EUNSUPPORTED, "%s: model.vocab: expected the 256 tokens <0x00> to <0xFF>, found %zu", path,
                        bytes);
    ENT_TRY(put_added(v, &strips, root, unknown, path));
    if (strips)
        ent_text_put(notes, "added_tokens: llama.cpp leaves white space beside them (lstrip, rstrip) in the text\n");
    return put_unused(v, tokenizer, path);
}

static void put_merges(ent_gguf_writer *w, const ent_json *model)
{
    const ent_json *first = ent_json_first(ent_json_member(model, "merges"));
    const char *head = ent_json_string(first);
    size_t count = 0;
    if (head && strncmp(head, "#version", 8) == 0)
        first = ent_json_next(first);
    for (const ent_json *m = first; m; m = ent_json_next(m))
        count++;
    ent_gguf_put_array(w, "tokenizer.ggml.merges", ENT_GGUF_TEXT, count, NULL);
    for (const ent_json *m = first; m; m = ent_json_next(m)) {
        const char *left, *right;
        size_t n_left;
        ent_text pair = {0};
        char *text = NULL;
        ent_gguf_merge_of(&left, &n_left, &right, m);
        ent_text_printf(&pair, "%.*s %s", (int)n_left, left, right);
        if (ent_text_finish(&text, &pair) == ENT_OK)
            ent_gguf_put_element(w, text);
        free(text);
    }
}

/* What stands around a text, found by looking: tokens in front, tokens behind. */
static ent_status find_template(ent_ids *prefix, ent_ids *suffix, const ent_tokenizer *tokenizer)
{
    ent_ids with = {0}, plain = {0};
    size_t at = 0;
    ent_status st;
    ENT_GO(ent_tokenizer_encode(&with, tokenizer, "a", 1, true));
    ENT_GO(ent_tokenizer_encode(&plain, tokenizer, "a", 1, false));
    while (at + plain.count < with.count && memcmp(with.ids + at, plain.ids, plain.count * sizeof *plain.ids) != 0)
        at++;
    for (size_t i = 0; i < with.count; i++)
        if (i < at || i >= at + plain.count)
            ENT_GO(ent_ids_push(i < at ? prefix : suffix, with.ids[i]));
done:
    ent_ids_free(&with);
    ent_ids_free(&plain);
    return st;
}

static ent_status put_id(ent_gguf_writer *w, const char *key, int32_t id, size_t n, const char *path)
{
    if (id >= 0 && (size_t)id >= n)
        return ent_fail(ENT_EFORMAT, "%s: %s: %d: the model has %zu tokens", path, key, id, n);
    if (id >= 0)
        ent_gguf_put_u32(w, key, (uint32_t)id);
    return ENT_OK;
}

/* The tokens that begin and end texts, and whether they are put around one. */
static ent_status put_special(ent_gguf_writer *w, const char *folder, const ent_tokenizer *tokenizer, size_t n,
                              const char *unknown, const char *path)
{
    ent_ids prefix = {0}, suffix = {0};
    int32_t bos = -1, eos;
    ent_status st;
    ENT_GO(find_template(&prefix, &suffix, tokenizer));
    ENT_GO(ent_model_eos(&eos, folder, tokenizer));
    ENT_GO(ent_model_bos(&bos, folder, tokenizer));
    if (prefix.count == 1 && bos < 0)
        bos = prefix.ids[0];
    if (suffix.count == 1 && eos < 0)
        eos = suffix.ids[0];
    if (prefix.count > 1 || suffix.count > 1 || (prefix.count == 1 && prefix.ids[0] != bos) ||
        (suffix.count == 1 && suffix.ids[0] != eos))
        ENT_GO(ent_fail(ENT_EUNSUPPORTED,
                        "%s: post_processor: llama.cpp puts at most the tokens BOS and EOS around a "
                        "text",
                        path));
    ENT_GO(put_id(w, "tokenizer.ggml.bos_token_id", bos, n, path));
    ENT_GO(put_id(w, "tokenizer.ggml.eos_token_id", eos, n, path));
    ENT_GO(put_id(w, "tokenizer.ggml.unknown_token_id", unknown ? ent_tokenizer_id(tokenizer, unknown) : -1, n, path));
    ent_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", prefix.count == 1);
    ent_gguf_put_bool(w, "tokenizer.ggml.add_eos_token", suffix.count == 1);
done:
    ent_ids_free(&prefix);
    ent_ids_free(&suffix);
    return st;
}

/* The model's template, which llama.cpp runs as it is. */
static ent_status put_chat_template(ent_gguf_writer *w, const char *folder)
{
    ent_tokenizer_config config = {0};
    char *path = NULL, *text = NULL;
    size_t n;
    ent_status st;
    ENT_GO(ent_tokenizer_config_read(&config, folder));
    ENT_GO(ent_format(&path, "%s/chat_template.jinja", folder));
    if (access(path, F_OK) == 0)
        ENT_GO(ent_text_read_file(&text, &n, path));
    if (text || config.chat_template)
        ent_gguf_put_text(w, "tokenizer.chat_template", text ? text : config.chat_template);
done:
    ent_tokenizer_config_free(&config);
    free(path);
    free(text);
    return st;
}

static ent_status put_all(ent_gguf_writer *w, ent_text *notes, const char *folder, const ent_tokenizer *tokenizer,
                          vocabulary *v, const ent_json *root, const char *path)
{
    const ent_json *model = ent_json_member(root, "model");
    ent_gguf_tokenizer_kind kind;
    float *scores = NULL;
    ent_status st;
    ENT_GO(ent_gguf_tokenizer_kind_of(&kind, notes, root, path));
    ENT_GO(read_vocabulary(v, notes, root, &kind, tokenizer, path));
    ent_gguf_put_text(w, "tokenizer.ggml.model", kind.pre ? "gpt2" : "llama");
    ent_gguf_put_text(w, "tokenizer.ggml.pre", kind.pre ? kind.pre : "default");
    ent_gguf_put_array(w, "tokenizer.ggml.tokens", ENT_GGUF_TEXT, v->n, NULL);
    for (size_t i = 0; i < v->n; i++)
        ent_gguf_put_element(w, v->texts[i]);
    if (kind.pre == NULL) {
        ENT_GO(ent_calloc(&scores, v->n, sizeof *scores, "scores"));
        ENT_GO(ent_gguf_scores(scores, v->n, notes, model, tokenizer, path));
        ent_gguf_put_array(w, "tokenizer.ggml.scores", ENT_GGUF_F32, v->n, scores);
    }
    ent_gguf_put_array(w, "tokenizer.ggml.token_type", ENT_GGUF_I32, v->n, v->types);
    if (kind.pre)
        put_merges(w, model);
    else
        ent_gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", kind.space_prefix);
    ENT_GO(put_special(w, folder, tokenizer, v->n, ent_json_string(ent_json_member(model, "unk_token")), path));
    ENT_GO(put_chat_template(w, folder));
done:
    free(scores);
    return st;
}

ent_status ent_gguf_put_tokenizer(ent_gguf_writer *w, ent_text *notes, const char *folder,
                                  const ent_tokenizer *tokenizer, size_t vocab_size)
{
    vocabulary v = {.n = vocab_size};
    ent_json *root = NULL;
    char *path = NULL;
    ent_status st;
    if (tokenizer == NULL) {
        ent_gguf_put_text(w, "tokenizer.ggml.model", "no_vocab");
        ent_text_printf(notes, "%s: has no tokenizer.json: the file has no tokenizer\n", folder);
        return ENT_OK;
    }
    ENT_GO(ent_format(&path, "%s/tokenizer.json", folder));
    ENT_GO(ent_json_read_file(&root, path));
    ENT_GO(put_all(w, notes, folder, tokenizer, &v, root, path));
done:
    free_vocabulary(&v);
    ent_json_free(root);
    free(path);
    return st;
}
