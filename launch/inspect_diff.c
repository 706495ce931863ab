/* What differs between two files or folders: see launch/inspect.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "launch/contents.h"
#include "launch/inspect.h"
#include "src/base/mem.h"

/* How the numbers of two tensors differ. */
typedef struct differences {
    size_t count, first;
    double max_abs, max_rel;
} differences;

/* |a - b|, and relative to the larger one; infinite if one of them alone is finite, or they are other infinities. */
static void measure(double *absolute, double *relative, double a, double b)
{
    const double larger = fmax(fabs(a), fabs(b));
    *absolute = *relative = 0;
    if (a == b || (isnan(a) && isnan(b)))
        return;
    *absolute = isfinite(a) && isfinite(b) ? fabs(a - b) : (double)INFINITY;
    *relative = isfinite(*absolute) ? *absolute / larger : (double)INFINITY;
}

/* Of one type: numbers differ if their bytes do. */
static void add_numbers(differences *d, const double *x, const double *y, const char *a, const char *b, size_t size,
                        size_t first, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double absolute, relative;
        measure(&absolute, &relative, x[i], y[i]);
        if (size ? memcmp(a + i * size, b + i * size, size) == 0 : absolute == 0)
            continue;
        if (d->count++ == 0)
            d->first = first + i;
        d->max_abs = fmax(d->max_abs, absolute);
        d->max_rel = fmax(d->max_rel, relative);
    }
}

static ent_status compare_stretch(differences *d, double *room, ent_contents *const c[2],
                                  const ent_contents_tensor *const t[2], size_t first, size_t n)
{
    const void *bytes[2];
    const size_t size = ent_contents_same_type(t[0], t[1]) ? ent_st_type_size(t[0]->type) : 0;
    for (int k = 0; k < 2; k++)
        ENT_TRY(ent_contents_bytes(&bytes[k], c[k], t[k], first, n));
    if (size && memcmp(bytes[0], bytes[1], n * size) == 0)
        return ENT_OK;
    if (!ent_st_type_has_values(t[0]->type)) { /* only their bytes can be compared */
        for (size_t i = 0; i < n; i++)
            if (memcmp((const char *)bytes[0] + i * size, (const char *)bytes[1] + i * size, size) != 0)
                if (d->count++ == 0)
                    d->first = first + i;
        return ENT_OK;
    }
    for (int k = 0; k < 2; k++)
        ent_st_values(room + k * ENT_STRETCH, bytes[k], t[k]->type, n);
    add_numbers(d, room, room + ENT_STRETCH, bytes[0], bytes[1], size, first, n);
    return ENT_OK;
}

static void add_difference(ent_json *to, const ent_contents_tensor *const t[2], const differences *d)
{
    static const char *const dtypes[] = {"dtype_a", "dtype_b"}, *const shapes[] = {"shape_a", "shape_b"};
    ent_json *entry = ent_json_add_object(to, NULL);
    ent_json_add_string(entry, "name", t[0]->name);
    for (int k = 0; k < 2; k++) {
        ent_json_add_string(entry, dtypes[k], ent_contents_type_name(t[k]));
        ent_contents_add_shape(entry, shapes[k], t[k]);
    }
    if (d == NULL)
        return;
    ent_json_add_int(entry, "differing", (int64_t)d->count);
    if (d->count)
        ent_json_add_int(entry, "at", (int64_t)d->first);
    if (!ent_st_type_has_values(t[0]->type))
        return;
    ent_json_add_double(entry, "max_abs", d->max_abs);
    ent_json_add_double(entry, "max_rel", d->max_rel);
}

static ent_status compare(ent_json *to, bool *differ, ent_contents *const c[2], const ent_contents_tensor *const t[2])
{
    differences d = {0};
    double *room;
    ent_status st = ENT_OK;
    const bool one_type = ent_contents_same_type(t[0], t[1]);
    const bool one_shape =
        t[0]->n_dims == t[1]->n_dims && memcmp(t[0]->shape, t[1]->shape, t[0]->n_dims * sizeof *t[0]->shape) == 0;
    const bool values = ent_st_type_has_values(t[0]->type) && ent_st_type_has_values(t[1]->type);
    if (!one_shape || (!one_type && !values)) {
        *differ = true;
        add_difference(to, t, NULL);
        return ENT_OK;
    }
    ENT_TRY(ent_calloc(&room, (size_t)2 * ENT_STRETCH, sizeof *room, "two pieces of tensors"));
    for (size_t first = 0; first < t[0]->count && st == ENT_OK; first += ENT_STRETCH) {
        const size_t n = t[0]->count - first < ENT_STRETCH ? t[0]->count - first : ENT_STRETCH;
        st = compare_stretch(&d, room, c, t, first, n);
    }
    free(room);
    if (st == ENT_OK && (d.count || !one_type)) {
        *differ = true;
        add_difference(to, t, &d);
    }
    return st;
}

/* Those of things of one kind. */
static ent_status compare_settings(ent_json *to, bool *differ, ent_contents *const c[2])
{
    for (int k = 0; k < 2; k++)
        for (const ent_json *s = ent_json_first(c[k]->settings); s; s = ent_json_next(s)) {
            const ent_json *other = ent_json_member(c[1 - k]->settings, ent_json_key(s));
            char *texts[2] = {NULL, NULL};
            if (k == 1 && other) /* was compared already */
                continue;
            ent_status st = ent_json_print(&texts[k], s, false);
            if (st == ENT_OK && other)
                st = ent_json_print(&texts[1 - k], other, false);
            if (st == ENT_OK && (other == NULL || strcmp(texts[0], texts[1]) != 0)) {
                *differ = true;
                ent_json *entry = ent_json_add_object(to, NULL);
                ent_json_add_string(entry, "key", ent_json_key(s));
                ent_json_add_string(entry, "a", texts[0] ? texts[0] : "unset");
                ent_json_add_string(entry, "b", texts[1] ? texts[1] : "unset");
            }
            free(texts[0]);
            free(texts[1]);
            ENT_TRY(st);
        }
    return ENT_OK;
}

/* NULL: there is none of this very name. Mostly it is the one at the same place. */
static const ent_contents_tensor *same(const ent_contents *c, const char *name, size_t place)
{
    if (place < c->count && strcmp(c->tensors[place].name, name) == 0)
        return &c->tensors[place];
    const ent_contents_tensor *t = ent_contents_find(c, name);
    return t && strcmp(t->name, name) == 0 ? t : NULL;
}

static ent_status compare_tensors(ent_json *root, bool *differ, ent_contents *const c[2])
{
    static const char *const keys[] = {"only_a", "only_b"};
    ent_json *only[2], *tensors;
    size_t compared = 0;
    for (int k = 0; k < 2; k++)
        only[k] = ent_json_add_array(root, keys[k]);
    tensors = ent_json_add_array(root, "tensors");
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < c[k]->count; i++) {
            const ent_contents_tensor *own = &c[k]->tensors[i], *other = same(c[1 - k], own->name, i);
            const ent_contents_tensor *const pair[2] = {own, other};
            if (other == NULL) {
                *differ = true;
                ent_json_add_string(only[k], NULL, own->name);
            } else if (k == 0) {
                compared++;
                ENT_TRY(compare(tensors, differ, c, pair));
            }
        }
    ent_json_add_int(root, "compared", (int64_t)compared);
    ent_json_add_bool(root, "differ", *differ);
    return ENT_OK;
}

/* Of GGUF and another kind: both as Hugging Face has a model. */
static ent_status bring_together(ent_contents *const c[2])
{
    for (int k = 0; k < 2; k++) {
        const ent_kind other = c[1 - k]->kind;
        if (c[k]->kind != ENT_KIND_GGUF || other == ENT_KIND_GGUF)
            continue;
        if (other != ENT_KIND_MODEL && other != ENT_KIND_SAFETENSORS)
            return ent_fail(ENT_EUNSUPPORTED, "%s: GGUF can be compared with GGUF and a model's weights, found %s: %s",
                            c[k]->path, ent_kind_name(other), c[1 - k]->path);
        ENT_TRY(ent_contents_as_hf(c[k]));
    }
    return ENT_OK;
}

ent_status ent_inspect_diff(ent_json **out, bool *differ, const char *a, const char *b)
{
    ent_contents *c[2] = {NULL, NULL};
    ent_json *root = ent_json_new_object();
    ent_status st;
    *out = NULL;
    *differ = false;
    ENT_GO(ent_contents_open(&c[0], a));
    ENT_GO(ent_contents_open(&c[1], b));
    ENT_GO(bring_together(c));
    ent_json_add_string(root, "a", c[0]->path);
    ent_json_add_string(root, "b", c[1]->path);
    ent_json *settings = ent_json_add_array(root, "settings");
    if (c[0]->kind == c[1]->kind)
        ENT_GO(compare_settings(settings, differ, c));
    ENT_GO(compare_tensors(root, differ, c));
    *out = root;
    root = NULL;
done:
    ent_json_free(root);
    ent_contents_close(c[0]);
    ent_contents_close(c[1]);
    return st;
}
