/* Tokens as people read them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/text.h"
#include "launch/data_look.h"
#include "src/base/mem.h"

/* Line ends and other control characters, and the bar that stands between pieces, become visible. */
static ent_status make_visible(char **out, const char *s, size_t n)
{
    ent_text text = {0};
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)s[i];
        if (c == '\n')
            ent_text_put(&text, "\\n");
        else if (c == '\t')
            ent_text_put(&text, "\\t");
        else if (c == '\\' || c == '|')
            ent_text_printf(&text, "\\%c", c);
        else if (c < 32 || c == 127)
            ent_text_printf(&text, "\\x%02x", c);
        else
            ent_text_put_n(&text, s + i, 1);
    }
    ent_text_put(&text, "");
    return ent_text_finish(out, &text);
}

ent_status ent_data_piece(char **out, const ent_data_look *look, size_t begin, size_t i, bool visible)
{
    ent_status st = ENT_OK;
    char *before = NULL, *both = NULL;
    size_t n_before = 0, n = 0;
    const int32_t *ids = look->corpus.ids.ids + begin;
    *out = NULL;
    if (look->tokenizer == NULL)
        return ent_format(out, "%d", ids[i]);
    if (i) {
        ENT_GO(ent_tokenizer_decode(&before, &n_before, look->tokenizer, ids + i - 1, 1, false));
        ENT_GO(ent_tokenizer_decode(&both, &n, look->tokenizer, ids + i - 1, 2, false));
    }
    if (both == NULL || n < n_before || memcmp(both, before, n_before) != 0) { /* a part of a character */
        free(both);
        both = NULL;
        n_before = 0;
        ENT_GO(ent_tokenizer_decode(&both, &n, look->tokenizer, ids + i, 1, false));
    }
    ENT_GO(visible ? make_visible(out, both + n_before, n - n_before)
                   : ent_strndup(out, both + n_before, n - n_before));
done:
    free(before);
    free(both);
    return st;
}
