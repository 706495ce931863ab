#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/text/parts.h"

void ent_ids_free(ent_ids *ids)
{
    free(ids->ids);
    *ids = (ent_ids){0};
}

ent_status ent_ids_push(ent_ids *ids, int32_t id)
{
    if (ids->count == ids->capacity)
        ENT_TRY(ent_grow(&ids->ids, &ids->capacity, ids->count + 1, sizeof *ids->ids, "token ids"));
    ids->ids[ids->count++] = id;
    return ENT_OK;
}

size_t ent_tokenizer_vocab_size(const ent_tokenizer *t)
{
    return t->n_tokens;
}

int32_t ent_tokenizer_id(const ent_tokenizer *t, const char *token)
{
    return ent_tokenizer_find(t, token, strlen(token), ENT_TOKEN_MODEL | ENT_TOKEN_ADDED);
}

ent_status ent_tokenizer_new(ent_tokenizer **out, const char *where)
{
    ent_tokenizer *t;
    *out = NULL;
    ENT_TRY(ent_calloc(&t, 1, sizeof *t, "a tokenizer"));
    t->unknown = -1;
    const ent_status st = ent_strdup(&t->where, where);
    if (st == ENT_OK)
        *out = t;
    else
        free(t);
    return st;
}

static void free_steps(ent_steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        ent_bytes_free(&steps->steps[i].pattern);
        ent_bytes_free(&steps->steps[i].content);
        ent_regex_free(steps->steps[i].regex);
    }
    free(steps->steps);
}

void ent_tokenizer_free(ent_tokenizer *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n_added; i++)
        ent_bytes_free(&t->added[i].normal);
    free(t->added);
    free(t->raw.nodes);
    free(t->normal.nodes);
    free_steps(&t->normalizers);
    free_steps(&t->pre_tokenizers);
    free_steps(&t->decoders);
    ent_ids_free(&t->prefix);
    ent_ids_free(&t->suffix);
    free(t->merges.slots);
    free(t->slots);
    free(t->tokens);
    ent_bytes_free(&t->texts);
    free(t->where);
    free(t);
}

void ent_tokenizer_set_bpe(ent_tokenizer *t, ent_bpe_options options)
{
    t->bpe = options;
}

ent_status ent_tokenizer_add_vocab(ent_tokenizer *t, const char *text, int32_t id)
{
    ENT_TRY(ent_tokenizer_put(t, text, strlen(text), id, ENT_TOKEN_MODEL));
    t->n_model++;
    return ENT_OK;
}

ent_status ent_tokenizer_set_unknown(ent_tokenizer *t, const char *text)
{
    t->unknown = ent_tokenizer_find(t, text, strlen(text), ENT_TOKEN_MODEL);
    if (t->unknown < 0)
        return ent_fail(ENT_EFORMAT, "%s: model.unk_token: \"%.60s\" is not in the vocabulary", t->where, text);
    return ENT_OK;
}

static ent_status find_merged(int32_t *out, const ent_tokenizer *t, const char *text, size_t n)
{
    *out = ent_tokenizer_find(t, text, n, ENT_TOKEN_MODEL);
    if (*out < 0)
        return ent_fail(ENT_EFORMAT, "%s: model.merges[%d]: \"%.*s\" is not in the vocabulary", t->where, t->n_merges,
                        (int)(n < 60 ? n : 60), text);
    return ENT_OK;
}

ent_status ent_tokenizer_add_merge(ent_tokenizer *t, const char *left, size_t n_left, const char *right, size_t n_right)
{
    char small[256], *joined = small;
    ent_merge merge;
    if (t->n_merges == INT32_MAX)
        return ent_fail(ENT_EFORMAT, "%s: more than 2^31 - 1 merges", t->where);
    ENT_TRY(find_merged(&merge.left, t, left, n_left)); /* a token: not longer than 2^30 */
    ENT_TRY(find_merged(&merge.right, t, right, n_right));
    if (n_left + n_right > sizeof small)
        ENT_TRY(ent_calloc(&joined, n_left + n_right, 1, "a merge"));
    memcpy(joined, left, n_left);
    memcpy(joined + n_left, right, n_right);
    ent_status st = find_merged(&merge.id, t, joined, n_left + n_right);
    if (joined != small)
        free(joined);
    merge.rank = t->n_merges;
    if (st == ENT_OK)
        st = ent_merges_put(&t->merges, merge);
    if (st == ENT_OK)
        t->n_merges++;
    return st;
}

static ent_status copy_ids(ent_ids *out, const ent_ids *ids)
{
    for (size_t i = 0; i < ids->count; i++)
        ENT_TRY(ent_ids_push(out, ids->ids[i]));
    return ENT_OK;
}

ent_status ent_tokenizer_set_template(ent_tokenizer *t, const ent_ids *prefix, const ent_ids *suffix)
{
    if (t->has_template)
        return ent_fail(ENT_EUNSUPPORTED, "%s: post_processor: only one template is supported", t->where);
    t->has_template = true;
    ENT_TRY(copy_ids(&t->prefix, prefix));
    return copy_ids(&t->suffix, suffix);
}

ent_status ent_tokenizer_add_token(ent_tokenizer *t, const ent_added_token *token)
{
    const size_t n = strlen(token->content);
    const uint32_t flags =
        ENT_TOKEN_ADDED | (token->special ? ENT_TOKEN_SPECIAL : 0u) | (token->normalized ? ENT_TOKEN_NORMALIZED : 0u);
    if (n == 0)
        return ent_fail(ENT_EFORMAT, "%s: added token %d is empty", t->where, token->id);
    const int32_t known = ent_tokenizer_find(t, token->content, n, ENT_TOKEN_MODEL | ENT_TOKEN_ADDED);
    const int32_t expected = known >= 0 ? known : (int32_t)(t->n_model + t->n_new);
    if (token->id != expected)
        return ent_fail(ENT_EFORMAT, "%s: added token \"%.60s\": expected id %d (%s), found %d", t->where,
                        token->content, expected, known >= 0 ? "the vocabulary's" : "the next free one", token->id);
    if (known >= 0 && (t->tokens[known].flags & ENT_TOKEN_ADDED))
        return ent_fail(ENT_EFORMAT, "%s: added token \"%.60s\" is there twice", t->where, token->content);
    if (t->n_added == t->added_capacity)
        ENT_TRY(ent_grow(&t->added, &t->added_capacity, t->n_added + 1, sizeof *t->added, "added tokens"));
    if (known >= 0) {
        t->tokens[known].flags |= flags;
    } else {
        ENT_TRY(ent_tokenizer_put(t, token->content, n, token->id, flags));
        t->n_new++;
    }
    t->added[t->n_added++] =
        (ent_added){.id = token->id, .lstrip = token->lstrip, .rstrip = token->rstrip, .normalized = token->normalized};
    return ENT_OK;
}

const char *ent_tokenizer_text(size_t *n, const ent_tokenizer *t, int32_t id)
{
    if (id < 0 || (size_t)id >= t->n_tokens || t->tokens[id].flags == 0)
        return NULL;
    *n = t->tokens[id].n;
    return t->texts.data + t->tokens[id].offset;
}

static ent_status check_ids(const ent_tokenizer *t, const ent_ids *ids)
{
    for (size_t i = 0; i < ids->count; i++)
        if (ids->ids[i] < 0 || (size_t)ids->ids[i] >= t->n_tokens || t->tokens[ids->ids[i]].flags == 0)
            return ent_fail(ENT_EFORMAT, "%s: post_processor: token id %d is not in the vocabulary", t->where,
                            ids->ids[i]);
    return ENT_OK;
}

ent_status ent_tokenizer_seal(ent_tokenizer *t)
{
    static const char hex[] = "0123456789ABCDEF";
    char text[8];
    for (uint32_t c = 0; c < ENT_SHORT_CHARACTERS; c++)
        t->short_ids[c] = ent_tokenizer_find(t, text, ent_utf8_put(text, c), ENT_TOKEN_MODEL);
    for (unsigned b = 0; b < 256; b++) {
        const char token[] = {'<', '0', 'x', hex[b / 16], hex[b % 16], '>'};
        t->byte_ids[b] = ent_tokenizer_find(t, token, sizeof token, ENT_TOKEN_MODEL);
    }
    ENT_TRY(check_ids(t, &t->prefix));
    ENT_TRY(check_ids(t, &t->suffix));
    return ent_added_seal(t);
}
