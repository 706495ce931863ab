#include "src/text/masked.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/text/dataset.h"

ent_status ent_masked_text_put(ent_masked_text *text, const char *s, size_t n, bool learned)
{
    size_t needed;
    if (__builtin_add_overflow(text->n, n, &needed) || needed == SIZE_MAX)
        return ent_fail(ENT_ENOMEM, "out of memory: a text");
    ENT_TRY(ent_grow(&text->text, &text->capacity, needed + 1, 1, "a text"));
    memcpy(text->text + text->n, s, n);
    text->text[needed] = '\0';
    if (learned && text->n_spans && text->spans[text->n_spans - 1].end == text->n) {
        text->spans[text->n_spans - 1].end = needed;
    } else if (learned && n) {
        ENT_TRY(ent_grow(&text->spans, &text->spans_capacity, text->n_spans + 1, sizeof *text->spans, "spans"));
        text->spans[text->n_spans++] = (ent_span){.begin = text->n, .end = needed};
    }
    text->n = needed;
    return ENT_OK;
}

void ent_masked_text_free(ent_masked_text *text)
{
    free(text->text);
    free(text->spans);
    *text = (ent_masked_text){0};
}

/* *out = the number of the whole text's `n` tokens that lie before byte `end`: those that its first bytes alone begin
 * with too. */
static ent_status tokens_before(size_t *out, const ent_tokenizer *tokenizer, const ent_masked_text *text, size_t end,
                                bool special, const int32_t *whole, size_t n)
{
    ent_status st;
    ent_ids part = {0};
    size_t common = n;
    if (end < text->n) {
        ENT_GO(ent_tokenizer_encode(&part, tokenizer, text->text, end, special));
        for (common = 0; common < part.count && common < n && part.ids[common] == whole[common];)
            common++;
    }
    *out = common;
    st = ENT_OK;
done:
    ent_ids_free(&part);
    return st;
}

ent_status ent_masked_text_encode(ent_ids *ids, ent_ids *labels, const ent_tokenizer *tokenizer,
                                  const ent_masked_text *text, bool special, bool mask)
{
    const size_t first = ids->count;
    ENT_TRY(ent_tokenizer_encode(ids, tokenizer, text->text ? text->text : "", text->n, special));
    const size_t n = ids->count - first, first_label = labels->count;
    const int32_t *const whole = ids->ids + first;
    for (size_t i = 0; i < n; i++)
        ENT_TRY(ent_ids_push(labels, mask ? ENT_NO_TARGET : whole[i]));
    for (size_t s = 0; mask && s < text->n_spans; s++) {
        size_t begin, end;
        ENT_TRY(tokens_before(&begin, tokenizer, text, text->spans[s].begin, special, whole, n));
        ENT_TRY(tokens_before(&end, tokenizer, text, text->spans[s].end, special, whole, n));
        for (size_t i = begin; i < end; i++)
            labels->ids[first_label + i] = whole[i];
    }
    return ENT_OK;
}
