#include "launch/generate_text.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

/* Tokens that may wait to be a character: it has four bytes at most, and U+FFFD itself, of three, may stand before. */
enum { MOST_PENDING = 7 };

static const char REPLACEMENT[] = "\xEF\xBF\xBD"; /* what bytes become that are no character */

void ent_reply_free(ent_reply *reply)
{
    ent_ids_free(&reply->ids);
    free(reply->held);
    reply->held = NULL;
}

ent_status ent_reply_begin(ent_reply *s, const ent_ids *prompt)
{
    for (size_t i = 0; i < prompt->count; i++)
        ENT_TRY(ent_ids_push(&s->ids, prompt->ids[i]));
    s->shown = s->ids.count;
    return ENT_OK;
}

/* Where the first text that ends the answer begins among the bytes that wait; n_held: nowhere. */
static size_t find_stop(const ent_reply *s)
{
    size_t first = s->n_held;
    for (size_t i = 0; i < s->n_stops; i++) {
        const char *at = memmem(s->held, s->n_held, s->stops[i], strlen(s->stops[i]));
        if (at && (size_t)(at - s->held) < first)
            first = (size_t)(at - s->held);
    }
    return first;
}

/* How many bytes at the end are the beginning of such a text. */
static size_t begun_stop(const ent_reply *s)
{
    size_t longest = 0;
    for (size_t i = 0; i < s->n_stops; i++) {
        const size_t n = strlen(s->stops[i]);
        for (size_t k = n - 1 < s->n_held ? n - 1 : s->n_held; k > longest; k--)
            if (memcmp(s->held + s->n_held - k, s->stops[i], k) == 0)
                longest = k;
    }
    return longest;
}

/* Tells the first n bytes that wait. */
static ent_status tell(ent_reply *s, size_t n)
{
    const size_t from = s->drop_space && n && s->held[0] == ' ';
    if (n == 0)
        return ENT_OK;
    s->drop_space = false;
    if (n > from)
        ENT_TRY(s->put(s->context, s->held + from, n - from));
    s->n_held -= n;
    memmove(s->held, s->held + n, s->n_held);
    return ENT_OK;
}

static ent_status add_text(ent_reply *s, const char *text, size_t n)
{
    ENT_TRY(ent_grow(&s->held, &s->capacity, s->n_held + n + 1, 1, "text"));
    memcpy(s->held + s->n_held, text, n);
    s->n_held += n;
    const size_t stop = find_stop(s);
    s->stopped = stop < s->n_held;
    return tell(s, s->stopped ? stop : s->n_held - begun_stop(s));
}

static ent_status decode(char **text, size_t *n, const ent_reply *s, size_t from, size_t to)
{
    return ent_tokenizer_decode(text, n, s->tokenizer, s->ids.ids + from, to - from, true);
}

/* The text of the tokens that were not shown yet is what they add to that of those before them in the window: a
 * tokenizer may treat the first token of a text in another way. Where they change what was told (bytes that have
 * turned out to be no characters), it is their own text. */
static ent_status show(ent_reply *s, bool last)
{
    char *text = NULL, *before = NULL, *own = NULL;
    size_t n, n_before, n_own;
    ent_status st;
    ENT_GO(decode(&text, &n, s, s->window, s->ids.count));
    if (!last && s->ids.count - s->shown <= MOST_PENDING && n >= 3 && memcmp(text + n - 3, REPLACEMENT, 3) == 0)
        goto done; /* perhaps the beginning of a character */
    ENT_GO(decode(&before, &n_before, s, s->window, s->shown));
    if (n >= n_before && memcmp(text, before, n_before) == 0) {
        ENT_GO(add_text(s, text + n_before, n - n_before));
    } else {
        ENT_GO(decode(&own, &n_own, s, s->shown, s->ids.count));
        ENT_GO(add_text(s, own, n_own));
    }
    if (n != n_before) /* a window always begins with text: alone, a space would be a first one */
        s->window = s->shown;
    s->shown = s->ids.count;
done:
    free(text);
    free(before);
    free(own);
    return st;
}

ent_status ent_reply_add(ent_reply *s, int32_t id)
{
    ENT_TRY(ent_ids_push(&s->ids, id));
    return show(s, false);
}

ent_status ent_reply_end(ent_reply *s)
{
    if (s->ids.count > s->shown && !s->stopped)
        ENT_TRY(show(s, true));
    return s->stopped ? ENT_OK : tell(s, s->n_held);
}
