/* A GGUF file as contents: its keys as settings, its tensors as numbers. See launch/contents.h. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/digest.h"
#include "io/gguf_model.h"
#include "launch/contents_parts.h"
#include "src/base/mem.h"

enum { SHOWN = 16 }; /* an array of more elements is shown by its digest */

/* --- keys --- */

static void add_digest(ent_json *to, const char *key, const char *what, uint64_t count, const void *data, size_t n)
{
    char digest[ENT_SHA256_SIZE];
    ent_json *entry = ent_json_add_object(to, key);
    ent_sha256(digest, data, n);
    ent_json_add_int(entry, what, (int64_t)count);
    ent_json_add_string(entry, "sha256", digest);
}

/* As text, or, where JSON can't hold it, by its digest. */
static ent_status add_text(ent_json *to, const char *key, ent_gguf_text text)
{
    char *copy;
    ENT_TRY(ent_strndup(&copy, text.data, text.n));
    if (strlen(copy) == text.n && ent_utf8_is_valid(copy))
        ent_json_add_string(to, key, copy);
    else
        add_digest(to, key, "bytes", text.n, text.data, text.n);
    free(copy);
    return ENT_OK;
}

static void add_number(ent_json *to, const char *key, ent_gguf_type type, const unsigned char *at)
{
    const size_t size = ent_gguf_type_size(type);
    const unsigned unused = (unsigned)(64 - 8 * size);
    uint64_t bits = 0;
    float f;
    double d;
    char digits[32];
    memcpy(&bits, at, size);
    memcpy(&f, &bits, sizeof f);
    memcpy(&d, &bits, sizeof d);
    const bool is_signed = type == ENT_GGUF_I8 || type == ENT_GGUF_I16 || type == ENT_GGUF_I32 || type == ENT_GGUF_I64;
    const int64_t whole = is_signed ? (int64_t)(bits << unused) >> unused : (int64_t)bits;
    const int64_t exact = (int64_t)1 << 53; /* what the numbers of JSON hold */
    if (type == ENT_GGUF_F32 || type == ENT_GGUF_F64) {
        ent_json_add_double(to, key, type == ENT_GGUF_F32 ? (double)f : d);
    } else if (type == ENT_GGUF_BOOL) {
        ent_json_add_bool(to, key, bits != 0);
    } else if (whole <= exact && whole >= -exact && (is_signed || whole >= 0)) {
        ent_json_add_int(to, key, whole);
    } else {
        snprintf(digits, sizeof digits, is_signed ? "%" PRId64 : "%" PRIu64, bits);
        ent_json_add_string(to, key, digits);
    }
}

static ent_status add_pair(ent_json *to, const ent_gguf_pair *p)
{
    const unsigned char *at = p->data;
    const bool in_full = p->count <= SHOWN;
    char *key;
    ENT_TRY(ent_strndup(&key, p->key.data, p->key.n));
    ent_json *into = p->is_array && in_full ? ent_json_add_array(to, key) : to;
    ent_status st = ENT_OK;
    for (uint64_t i = 0; i < p->count && st == ENT_OK; i++) {
        const unsigned char *element = at;
        const ent_gguf_text text = p->type == ENT_GGUF_TEXT ? ent_gguf_next_text(&at) : (ent_gguf_text){0};
        if (p->type != ENT_GGUF_TEXT)
            at += ent_gguf_type_size(p->type);
        if (!in_full)
            continue;
        if (p->type == ENT_GGUF_TEXT)
            st = add_text(into, p->is_array ? NULL : key, text);
        else
            add_number(into, p->is_array ? NULL : key, p->type, element);
    }
    if (!in_full)
        add_digest(to, key, "elements", p->count, p->data, (size_t)(at - p->data));
    free(key);
    return st;
}

/* --- tensors --- */

static const ent_block_format *blocks_of(const ent_gguf_tensor *t)
{
    return t->format && t->format->numbers > 1 ? t->format : NULL;
}

static ent_st_type type_of(const ent_gguf_tensor *t)
{
    return t->format == NULL || blocks_of(t)     ? ENT_ST_F32
           : strcmp(t->format->name, "F16") == 0 ? ENT_ST_F16
                                                 : ENT_ST_BF16;
}

ent_status ent_contents_open_gguf(ent_contents *c)
{
    ENT_TRY(ent_gguf_open(&c->gguf, c->path));
    const size_t n = ent_gguf_count(c->gguf);
    for (size_t i = 0; i < ent_gguf_pairs(c->gguf); i++)
        ENT_TRY(add_pair(c->settings, ent_gguf_pair_at(c->gguf, i)));
    ENT_TRY(ent_calloc(&c->tensors, n, sizeof *c->tensors, "a list of tensors"));
    ENT_TRY(ent_calloc(&c->stretch, ENT_STRETCH, sizeof *c->stretch, "a piece of a tensor"));
    for (; c->count < n; c->count++) {
        const ent_gguf_tensor *from = ent_gguf_at(c->gguf, c->count);
        ent_contents_tensor *t = &c->tensors[c->count];
        *t = (ent_contents_tensor){.type = type_of(from),
                                   .blocks = blocks_of(from),
                                   .n_dims = from->n_dims,
                                   .count = 1,
                                   .bytes = from->bytes,
                                   .file = c->path};
        for (size_t d = 0; d < from->n_dims; d++)
            t->count *= t->shape[d] = from->shape[d];
        ENT_TRY(ent_strdup(&t->name, from->name));
    }
    return ENT_OK;
}

ent_status ent_contents_as_hf(ent_contents *c)
{
    ent_model_config config;
    ENT_TRY(ent_gguf_read_model(&config, c->gguf));
    for (size_t i = 0; i < c->count; i++) {
        ent_contents_tensor *t = &c->tensors[i];
        ent_gguf_name name;
        if (ent_gguf_name_to_hf(&name, t->name) == NULL)
            continue;
        const size_t heads = ent_gguf_reordered_heads(&config, name.text);
        if (heads && (t->n_dims > 2 || t->shape[0] != heads * config.head_dim))
            return ent_fail(ENT_EFORMAT, "%s: %s: expected %zu rows, found %zu", c->path, t->name,
                            heads * config.head_dim, t->shape[0]);
        if (heads && t->n_dims == 1 && t->blocks)
            return ent_fail(ENT_EUNSUPPORTED, "%s: %s: a bias in blocks is not supported", c->path, t->name);
        t->head_dim = heads ? config.head_dim : 0;
        free(t->name);
        t->name = NULL;
        ENT_TRY(ent_strdup(&t->name, name.text));
    }
    return ENT_OK;
}

/* Where llama.cpp has a row of Hugging Face's: the inverse of ent_gguf_row. */
static size_t row_of(size_t head_dim, size_t hf)
{
    const size_t i = hf % head_dim, half = head_dim / 2;
    return hf - i + (i < half ? 2 * i : 2 * (i - half) + 1);
}

/* n numbers of a tensor's data from `first` on, which begins a block. */
static ent_status read(char *to, const ent_contents_tensor *t, const unsigned char *data, size_t first, size_t n)
{
    const size_t size = ent_st_type_size(t->type);
    if (t->blocks) {
        assert(first % t->blocks->numbers == 0);
        return ent_block_dequantize((float *)(void *)to, t->blocks,
                                    data + first / t->blocks->numbers * t->blocks->bytes, n);
    }
    memcpy(to, data + first * size, n * size);
    return ENT_OK;
}

ent_status ent_contents_gguf_bytes(const void **out, ent_contents *c, size_t i, size_t first, size_t n)
{
    const ent_contents_tensor *t = &c->tensors[i];
    const unsigned char *data = ent_gguf_at(c->gguf, i)->data;
    const size_t size = ent_st_type_size(t->type), columns = t->n_dims == 2 ? t->shape[1] : 1;
    *out = c->stretch;
    if (t->head_dim == 0 && t->blocks)
        return read((char *)c->stretch, t, data, first, n);
    if (t->head_dim == 0) {
        *out = data + first * size;
        return ENT_OK;
    }
    for (size_t done = 0, k; done < n; done += k) {
        const size_t row = (first + done) / columns, column = (first + done) % columns;
        k = columns - column < n - done ? columns - column : n - done;
        ENT_TRY(read((char *)c->stretch + done * size, t, data, row_of(t->head_dim, row) * columns + column, k));
    }
    return ENT_OK;
}
