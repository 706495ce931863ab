#include "src/text/parts.h"

/* What becomes of matches: parts are joined in place. Removed ones stay as matches, all others are no matches. */
static void apply_behavior(ent_regex_parts *p, ent_split_behavior behavior)
{
    size_t n = 0;
    bool previous = false;
    if (behavior == ENT_SPLIT_REMOVED)
        return;
    if (behavior == ENT_SPLIT_MERGED_WITH_NEXT) { /* from the end: a match takes what follows, unless that is a match */
        size_t kept = p->count;
        for (size_t i = p->count; i-- > 0;) {
            const ent_regex_part part = p->parts[i];
            if (part.is_match && !previous && kept < p->count)
                p->parts[kept].start = part.start;
            else
                p->parts[--kept] = (ent_regex_part){.start = part.start, .end = part.end};
            previous = part.is_match;
        }
        for (size_t i = kept; i < p->count; i++)
            p->parts[n++] = p->parts[i];
        p->count = n;
        return;
    }
    for (size_t i = 0; i < p->count; i++) {
        const ent_regex_part part = p->parts[i];
        const bool join = behavior == ENT_SPLIT_CONTIGUOUS             ? part.is_match == previous
                          : behavior == ENT_SPLIT_MERGED_WITH_PREVIOUS ? part.is_match && !previous
                                                                       : false;
        if (join && n > 0)
            p->parts[n - 1].end = part.end;
        else
            p->parts[n++] = (ent_regex_part){.start = part.start, .end = part.end};
        previous = part.is_match;
    }
    p->count = n;
}

/* One piece as several; empty ones are left out. */
static ent_status put_parts(ent_pieces *out, const char *s, const ent_regex_parts *parts, bool map_bytes)
{
    for (size_t i = 0; i < parts->count; i++) {
        const ent_regex_part *part = &parts->parts[i];
        if (part->is_match || part->start == part->end)
            continue;
        if (out->count == 0)
            out->at_start = out->at_start && part->start == 0;
        if (!map_bytes) {
            ENT_TRY(ent_pieces_add(out, s + part->start, part->end - part->start));
            continue;
        }
        ENT_TRY(ent_byte_level_put(&out->text, s + part->start, part->end - part->start));
        ENT_TRY(ent_pieces_end(out));
    }
    return ENT_OK;
}

static ent_status split_piece(ent_pieces *out, const ent_step *step, const char *s, size_t n, ent_regex_parts *parts)
{
    ENT_TRY(ent_regex_find_all(parts, step->regex, s, n));
    if (step->invert)
        for (size_t i = 0; i < parts->count; i++)
            parts->parts[i].is_match = !parts->parts[i].is_match;
    apply_behavior(parts, step->behavior);
    return put_parts(out, s, parts, false);
}

static ent_status byte_level_piece(ent_pieces *out, const ent_step *step, const char *s, size_t n,
                                   ent_regex_parts *parts)
{
    ent_bytes prefixed = {0};
    ent_status st = ENT_OK;
    if (step->add_prefix_space && n > 0 && s[0] != ' ') {
        ENT_GO(ent_bytes_put(&prefixed, " ", 1));
        ENT_GO(ent_bytes_put(&prefixed, s, n));
        s = prefixed.data;
        n = prefixed.n;
    }
    if (step->regex) {
        ENT_GO(ent_regex_find_all(parts, step->regex, s, n));
        apply_behavior(parts, ENT_SPLIT_ISOLATED);
    } else {
        parts->count = 0;
        ENT_GO(ent_regex_parts_add(parts, 0, n, false));
    }
    st = put_parts(out, s, parts, true);
done:
    ent_bytes_free(&prefixed);
    return st;
}

static bool starts_with(const ent_bytes *text, const ent_bytes *start)
{
    if (text->n < start->n)
        return false;
    for (size_t i = 0; i < start->n; i++)
        if (text->data[i] != start->data[i])
            return false;
    return true;
}

static ent_status metaspace_piece(ent_pieces *out, const ent_step *step, const char *s, size_t n, bool is_first,
                                  ent_regex_parts *parts)
{
    char space[] = " ";
    const ent_bytes pattern = {.data = space, .n = 1};
    ent_bytes replaced = {0}, text = {0};
    ent_status st = ENT_OK;
    ENT_GO(ent_bytes_put_replaced(&replaced, s, n, &pattern, &step->content));
    const bool prepend = step->scheme == ENT_PREPEND_ALWAYS || (step->scheme == ENT_PREPEND_FIRST && is_first);
    if (prepend && !starts_with(&replaced, &step->content))
        ENT_GO(ent_bytes_put(&text, step->content.data, step->content.n));
    ENT_GO(ent_bytes_put(&text, replaced.data, replaced.n));
    if (step->split) {
        ENT_GO(ent_regex_find_all(parts, step->regex, text.data ? text.data : "", text.n));
        apply_behavior(parts, ENT_SPLIT_MERGED_WITH_NEXT);
        st = put_parts(out, text.data, parts, false);
    } else {
        st = ent_pieces_add(out, text.data, text.n);
    }
done:
    ent_bytes_free(&replaced);
    ent_bytes_free(&text);
    return st;
}

ent_status ent_pretokenize(ent_pieces *out, const ent_pieces *in, const ent_step *step, ent_regex_parts *scratch)
{
    ent_pieces_clear(out);
    out->at_start = in->at_start;
    for (size_t i = 0; i < in->count; i++) {
        size_t n;
        const char *s = ent_pieces_at(&n, in, i);
        if (step->kind == ENT_STEP_SPLIT)
            ENT_TRY(split_piece(out, step, s, n, scratch));
        else if (step->kind == ENT_STEP_BYTE_LEVEL)
            ENT_TRY(byte_level_piece(out, step, s, n, scratch));
        else
            ENT_TRY(metaspace_piece(out, step, s, n, in->at_start && i == 0, scratch));
        if (out->count == 0) /* all that came first is removed */
            out->at_start = false;
    }
    return ENT_OK;
}
