/* The trees of launch/inspect.h as text for people. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/text.h"
#include "launch/inspect.h"

enum {
    BAR = 50,     /* the longest bar of a histogram */
    LONGEST = 200 /* bytes of a text that are shown: a chat template may have thousands */
};

/* "1.2 MiB", or whole bytes below a KiB. */
static void put_bytes(ent_text *to, double bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    for (; bytes >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        bytes /= 1024;
    ent_text_printf(to, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

/* A text of a file, padded: what would steer a terminal becomes '?'. */
static void put_padded(ent_text *to, const char *s, int width)
{
    int n = 0;
    for (; s[n]; n++) {
        const unsigned char c = (unsigned char)s[n];
        ent_text_put_n(to, c < ' ' || c == 127 ? "?" : s + n, 1);
    }
    for (; n < width; n++)
        ent_text_put(to, " ");
}

static const char *string(const ent_json *object, const char *key)
{
    const char *text = ent_json_string(ent_json_member(object, key));
    return text ? text : "";
}

static double number(const ent_json *object, const char *key)
{
    return ent_json_number(ent_json_member(object, key));
}

static int longest(const ent_json *list, const char *key, int width)
{
    for (const ent_json *item = ent_json_first(list); item; item = ent_json_next(item)) {
        const char *text = key ? string(item, key) : ent_json_key(item);
        width = (int)strlen(text) > width ? (int)strlen(text) : width;
    }
    return width;
}

/* A value on one line; a text without its quotes. */
static ent_status put_value(ent_text *to, const ent_json *value)
{
    char *text;
    if (ent_json_is_string(value)) {
        const char *s = ent_json_string(value);
        const size_t n = strlen(s);
        char shown[LONGEST + 1];
        size_t end = n < LONGEST ? n : LONGEST;
        while (end < n && ((unsigned char)s[end] & 0xc0) == 0x80) /* within a character */
            end--;
        memcpy(shown, s, end);
        shown[end] = '\0';
        put_padded(to, shown, 0);
        if (end < n)
            ent_text_printf(to, "... (%zu bytes)", n);
        return ENT_OK;
    }
    ENT_TRY(ent_json_print(&text, value, false));
    ent_text_put(to, text);
    free(text);
    return ENT_OK;
}

/* Members, a line each; an object in them as "key value, key value". */
static ent_status put_members(ent_text *to, const ent_json *members, int width)
{
    for (const ent_json *item = ent_json_first(members); item; item = ent_json_next(item)) {
        ent_text_put(to, "  ");
        put_padded(to, ent_json_key(item), width);
        ent_text_put(to, "  ");
        if (!ent_json_is_object(item))
            ENT_TRY(put_value(to, item));
        else
            for (const ent_json *m = ent_json_first(item); m; m = ent_json_next(m)) {
                ent_text_printf(to, "%s%s: ", m == ent_json_first(item) ? "" : ", ", ent_json_key(m));
                ENT_TRY(put_value(to, m));
            }
        ent_text_put(to, "\n");
    }
    return ENT_OK;
}

/* What stands beside a checkpoint, and of its run. */
static ent_status put_surroundings(ent_text *to, const ent_json *root)
{
    const ent_json *metadata = ent_json_member(root, "metadata"), *run = ent_json_member(root, "run");
    const ent_json *config = ent_json_member(metadata, "config");
    static const char *const keys[] = {"planned_steps", "metrics", "early_stopping"};
    if (*string(root, "metadata_fault"))
        ent_text_printf(to, "\nmetadata: %s\n", string(root, "metadata_fault"));
    for (size_t i = 0; metadata && i < sizeof keys / sizeof *keys; i++) {
        const ent_json *value = ent_json_member(metadata, keys[i]);
        if (ent_json_is_object(value)) {
            ent_text_printf(to, "\n%s\n", keys[i]);
            ENT_TRY(put_members(to, value, longest(value, NULL, 0)));
        } else if (value) {
            ent_text_printf(to, "  %s  ", keys[i]);
            ENT_TRY(put_value(to, value));
            ent_text_put(to, "\n");
        }
    }
    if (config) {
        ent_text_put(to, "\nconfig\n");
        ENT_TRY(put_members(to, config, longest(config, NULL, 0)));
    }
    if (run) {
        ent_text_put(to, "\nrun\n");
        ENT_TRY(put_members(to, run, longest(run, NULL, 0)));
    }
    return ENT_OK;
}

static ent_status put_tensors(ent_text *to, const ent_json *tensors)
{
    const int width = longest(tensors, "name", 6), types = longest(tensors, "dtype", 4);
    if (ent_json_first(tensors))
        ent_text_printf(to, "\n%-*s  %-*s  %-14s  %12s  %12s\n", width, "tensor", types, "type", "shape", "bytes",
                        "norm");
    for (const ent_json *t = ent_json_first(tensors); t; t = ent_json_next(t)) {
        const ent_json *norm = ent_json_member(t, "norm");
        char *shape;
        ENT_TRY(ent_json_print(&shape, ent_json_member(t, "shape"), false));
        put_padded(to, string(t, "name"), width);
        ent_text_printf(to, "  %-*s  %-14s  %12.0f  ", types, string(t, "dtype"), shape, number(t, "bytes"));
        free(shape);
        if (ent_json_is_number(norm))
            ent_text_printf(to, "%12.6g\n", ent_json_number(norm));
        else
            ent_text_printf(to, "%12s\n", norm ? "not finite" : "-");
    }
    return ENT_OK;
}

/* st and what was put; frees the text after a failure. */
static ent_status finish(char **out, ent_text *text, ent_status st)
{
    if (st == ENT_OK)
        return ent_text_finish(out, text);
    free(text->data);
    return st;
}

static ent_status put_all(ent_text *to, const ent_json *root)
{
    const ent_json *settings = ent_json_member(root, "settings"), *total = ent_json_member(root, "total");
    const double tensors = number(total, "tensors");
    ent_text_printf(to, "%s: %s\n", string(root, "path"), string(root, "kind"));
    ENT_TRY(put_members(to, settings, longest(settings, NULL, 0)));
    ENT_TRY(put_surroundings(to, root));
    ENT_TRY(put_tensors(to, ent_json_member(root, "tensors")));
    ent_text_printf(to, "\n%.0f tensor%s, %.0f numbers, ", tensors, tensors == 1 ? "" : "s", number(total, "numbers"));
    put_bytes(to, number(total, "bytes"));
    ent_text_put(to, "\n");
    return ENT_OK;
}

ent_status ent_inspect_text(char **out, const ent_json *root)
{
    ent_text text = {0};
    return finish(out, &text, put_all(&text, root));
}

/* --- one tensor --- */

static void put_histogram(ent_text *to, const ent_json *h)
{
    const ent_json *counts = ent_json_member(h, "counts");
    const double bins = (double)ent_json_count(counts), min = number(h, "min"), max = number(h, "max");
    double most = 1, i = 0;
    for (const ent_json *c = ent_json_first(counts); c; c = ent_json_next(c))
        most = fmax(most, ent_json_number(c));
    ent_text_printf(to, "\n%13s %13s\n", "from", "to");
    for (const ent_json *c = ent_json_first(counts); c; c = ent_json_next(c), i++) {
        const double n = ent_json_number(c), share = 1 / bins;
        const int bar = (int)ceil(n / most * BAR);
        ent_text_printf(to, "%13.5g %13.5g  |", min * (1 - i * share) + max * i * share,
                        min * (1 - (i + 1) * share) + max * (i + 1) * share);
        for (int k = 0; k < BAR; k++)
            ent_text_put(to, k < bar ? "#" : " ");
        ent_text_printf(to, "| %.0f\n", n);
    }
}

static ent_status put_tensor(ent_text *to, const ent_json *t)
{
    static const char *const keys[] = {"zeros", "nan", "plus_inf", "minus_inf", "min", "max", "mean", "std", "norm"};
    const ent_json *quantiles = ent_json_member(t, "quantiles"), *histogram = ent_json_member(t, "histogram");
    char *shape;
    ent_text_printf(to, "%s: ", string(t, "file"));
    put_padded(to, string(t, "name"), 0);
    ENT_TRY(ent_json_print(&shape, ent_json_member(t, "shape"), false));
    ent_text_printf(to, "\n%s %s, %.0f numbers, ", string(t, "dtype"), shape, number(t, "numbers"));
    free(shape);
    put_bytes(to, number(t, "bytes"));
    ent_text_put(to, "\n\n");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const ent_json *value = ent_json_member(t, keys[i]);
        if (ent_json_is_number(value))
            ent_text_printf(to, i < 4 ? "  %-9s  %.0f\n" : "  %-9s  %.9g\n", keys[i], ent_json_number(value));
        else
            ent_text_printf(to, "  %-9s  -\n", keys[i]);
    }
    for (const ent_json *q = ent_json_first(quantiles); q; q = ent_json_next(q)) {
        char share[32];
        snprintf(share, sizeof share, "%g %%", 100 * number(q, "share"));
        ent_text_printf(to, "  %-9s  %.9g\n", share, number(q, "value"));
    }
    if (ent_json_is_object(histogram))
        put_histogram(to, histogram);
    return ENT_OK;
}

ent_status ent_inspect_tensor_text(char **out, const ent_json *tree)
{
    ent_text text = {0};
    return finish(out, &text, put_tensor(&text, tree));
}

/* --- what differs --- */

static void put_largest(ent_text *to, const ent_json *value)
{
    if (value == NULL)
        ent_text_printf(to, "  %12s", "-");
    else if (ent_json_is_number(value))
        ent_text_printf(to, "  %12.6g", ent_json_number(value));
    else
        ent_text_printf(to, "  %12s", "not finite");
}

static ent_status put_differing(ent_text *to, const ent_json *tensors)
{
    const int width = longest(tensors, "name", 6);
    if (ent_json_first(tensors))
        ent_text_printf(to, "%-*s  %12s  %12s  %12s\n", width, "tensor", "differing", "largest |d|", "relative");
    for (const ent_json *t = ent_json_first(tensors); t; t = ent_json_next(t)) {
        char *shapes[2];
        ENT_TRY(ent_json_print(&shapes[0], ent_json_member(t, "shape_a"), false));
        const ent_status st = ent_json_print(&shapes[1], ent_json_member(t, "shape_b"), false);
        const bool forms = st == ENT_OK && (strcmp(shapes[0], shapes[1]) != 0 ||
                                            strcmp(string(t, "dtype_a"), string(t, "dtype_b")) != 0);
        put_padded(to, string(t, "name"), width);
        if (ent_json_member(t, "differing")) {
            ent_text_printf(to, "  %12.0f", number(t, "differing"));
            put_largest(to, ent_json_member(t, "max_abs"));
            put_largest(to, ent_json_member(t, "max_rel"));
        }
        if (forms)
            ent_text_printf(to, "  %s %s, %s %s", string(t, "dtype_a"), shapes[0], string(t, "dtype_b"), shapes[1]);
        ent_text_put(to, "\n");
        free(shapes[0]);
        if (st == ENT_OK)
            free(shapes[1]);
        ENT_TRY(st);
    }
    return ENT_OK;
}

static ent_status put_diff(ent_text *to, const ent_json *root)
{
    static const char *const keys[] = {"only_a", "only_b"}, *const paths[] = {"a", "b"};
    const ent_json *settings = ent_json_member(root, "settings"), *tensors = ent_json_member(root, "tensors");
    const int width = longest(settings, "key", 0);
    for (const ent_json *s = ent_json_first(settings); s; s = ent_json_next(s)) {
        put_padded(to, string(s, "key"), width);
        ent_text_printf(to, "  %s, %s\n", string(s, "a"), string(s, "b"));
    }
    ENT_TRY(put_differing(to, tensors));
    for (int k = 0; k < 2; k++)
        for (const ent_json *o = ent_json_first(ent_json_member(root, keys[k])); o; o = ent_json_next(o)) {
            ent_text_printf(to, "only in %s: ", string(root, paths[k]));
            put_padded(to, ent_json_string(o), 0);
            ent_text_put(to, "\n");
        }
    const double compared = number(root, "compared");
    ent_text_printf(to, "%zu of %.0f tensors that are in both differ\n", ent_json_count(tensors), compared);
    return ENT_OK;
}

ent_status ent_inspect_diff_text(char **out, const ent_json *tree)
{
    ent_text text = {0};
    return finish(out, &text, put_diff(&text, tree));
}
