#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "src/text/parts.h"

static ent_status put_nfc(ent_bytes *out, const char *text, size_t n)
{
    size_t ascii = 0;
    while (ascii < n && (unsigned char)text[ascii] < 0x80)
        ascii++;
    if (ascii == n) /* what is ASCII is composed */
        return ent_bytes_put(out, text, n);
    utf8proc_uint8_t *composed = NULL;
    const utf8proc_ssize_t got = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n, &composed,
                                              UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (got < 0)
        return ent_fail(got == UTF8PROC_ERROR_NOMEM ? ENT_ENOMEM : ENT_EINVAL, "normalizing a text: %s",
                        utf8proc_errmsg(got));
    const ent_status st = ent_bytes_put(out, (const char *)composed, (size_t)got);
    free(composed);
    return st;
}

static ent_status put_step(ent_bytes *out, const ent_step *step, const char *text, size_t n)
{
    switch (step->kind) {
    case ENT_STEP_NFC:
        return put_nfc(out, text, n);
    case ENT_STEP_PREPEND:
        if (n > 0)
            ENT_TRY(ent_bytes_put(out, step->content.data, step->content.n));
        return ent_bytes_put(out, text, n);
    default:
        return ent_bytes_put_replaced(out, text, n, &step->pattern, &step->content);
    }
}

ent_status ent_normalize(ent_bytes *out, const ent_tokenizer *t, const char *text, size_t n)
{
    const size_t count = t->normalizers.count;
    ent_bytes before = {.limit = ent_bytes_limit(n)}, after = before;
    ent_status st = ENT_OK;
    out->limit = before.limit;
    if (count == 0)
        return ent_bytes_put(out, text, n);
    for (size_t i = 0; i + 1 < count; i++) {
        after.n = 0;
        ENT_GO(put_step(&after, &t->normalizers.steps[i], text, n));
        const ent_bytes swap = before;
        before = after;
        after = swap;
        text = before.n ? before.data : "";
        n = before.n;
    }
    st = put_step(out, &t->normalizers.steps[count - 1], text, n);
done:
    ent_bytes_free(&before);
    ent_bytes_free(&after);
    return st;
}
