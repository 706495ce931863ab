/* One tensor's statistics: see launch/inspect.h. */
#include <stdlib.h>
#include <string.h>

#include "launch/contents.h"
#include "launch/inspect.h"
#include "launch/statistics.h"
#include "src/base/mem.h"

enum { BINS = 25, N_SHARES = 7 };

static const double shares[N_SHARES] = {0.001, 0.01, 0.25, 0.5, 0.75, 0.99, 0.999};

static void take_statistics(void *context, double *x, size_t n)
{
    ent_statistics_add(context, x, n);
}

/* What a pass over the numbers fills. */
typedef struct pass {
    ent_quantiles *quantiles;
    const ent_histogram *histogram; /* NULL: not in this one */
} pass;

static void take_pass(void *context, double *x, size_t n)
{
    const pass *p = context;
    if (p->histogram)
        ent_histogram_add(p->histogram, x, n);
    ent_quantiles_add(p->quantiles, x, n);
}

static ent_status add_distribution(ent_json *to, ent_contents *c, const ent_contents_tensor *t, const ent_statistics *s)
{
    size_t counts[BINS] = {0};
    const ent_histogram histogram = {s->min, s->max, s->min < s->max ? BINS : 1, counts};
    pass p = {0};
    ent_status st;
    ENT_GO(ent_quantiles_new(&p.quantiles, shares, N_SHARES, s->n_finite, ent_st_type_fits_float(t->type)));
    for (size_t i = 0; i < ent_quantiles_passes(p.quantiles); i++) {
        p.histogram = i == 0 ? &histogram : NULL;
        ENT_GO(ent_contents_each(c, t, take_pass, &p));
        ent_quantiles_end_pass(p.quantiles);
    }
    ent_json *list = ent_json_add_array(to, "quantiles");
    for (size_t i = 0; i < N_SHARES; i++) {
        ent_json *entry = ent_json_add_object(list, NULL);
        ent_json_add_double(entry, "share", shares[i]);
        ent_json_add_double(entry, "value", ent_quantiles_at(p.quantiles, i));
    }
    ent_json *h = ent_json_add_object(to, "histogram");
    ent_json_add_double(h, "min", s->min);
    ent_json_add_double(h, "max", s->max);
    list = ent_json_add_array(h, "counts");
    for (size_t i = 0; i < histogram.bins; i++)
        ent_json_add_int(list, NULL, (int64_t)counts[i]);
done:
    ent_quantiles_free(p.quantiles);
    return st;
}

static ent_status add_statistics(ent_json *to, ent_contents *c, const ent_contents_tensor *t)
{
    ent_statistics s = {0};
    ENT_TRY(ent_contents_each(c, t, take_statistics, &s));
    const double numbers[] = {s.min, s.max, s.mean, ent_statistics_std(&s), ent_statistics_norm(&s)};
    static const char *const keys[] = {"min", "max", "mean", "std", "norm"};
    ent_json_add_int(to, "numbers", (int64_t)t->count);
    ent_json_add_int(to, "nan", (int64_t)s.n_nan);
    ent_json_add_int(to, "plus_inf", (int64_t)s.n_plus_inf);
    ent_json_add_int(to, "minus_inf", (int64_t)s.n_minus_inf);
    ent_json_add_int(to, "zeros", (int64_t)s.n_zero);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (s.n_finite)
            ent_json_add_double(to, keys[i], numbers[i]);
        else
            ent_json_add_null(to, keys[i]);
    }
    if (s.n_finite)
        return add_distribution(to, c, t, &s);
    ent_json_add_null(to, "quantiles");
    ent_json_add_null(to, "histogram");
    return ENT_OK;
}

/* The tensor of this name; or the message tells of one whose name holds what was asked for. */
static ent_status choose(const ent_contents_tensor **out, const ent_contents *c, const char *name)
{
    size_t near = c->count;
    *out = ent_contents_find(c, name);
    if (*out)
        return ENT_OK;
    for (size_t i = c->count; i-- > 0;)
        near = strstr(c->tensors[i].name, name) ? i : near;
    if (near < c->count)
        return ent_fail(ENT_EINVAL, "%s: has no tensor \"%.255s\"; it has %s", c->path, name, c->tensors[near].name);
    return ent_fail(ENT_EINVAL, "%s: has no tensor \"%.255s\"", c->path, name);
}

ent_status ent_inspect_tensor(ent_json **out, const char *path, const char *name)
{
    ent_contents *c = NULL;
    ent_json *root = ent_json_new_object();
    const ent_contents_tensor *t;
    ent_status st;
    *out = NULL;
    ENT_GO(ent_contents_open(&c, path));
    ENT_GO(choose(&t, c, name));
    if (!ent_st_type_has_values(t->type))
        ENT_GO(ent_fail(ENT_EUNSUPPORTED, "%s: %s: numbers of type %s are not supported", t->file, t->name,
                        ent_contents_type_name(t)));
    ent_json_add_string(root, "path", c->path);
    ent_json_add_string(root, "kind", ent_kind_name(c->kind));
    ent_json_add_string(root, "name", t->name);
    ent_json_add_string(root, "dtype", ent_contents_type_name(t));
    ent_contents_add_shape(root, "shape", t);
    ent_json_add_int(root, "bytes", (int64_t)t->bytes);
    ent_json_add_string(root, "file", t->file);
    ENT_GO(add_statistics(root, c, t));
    *out = root;
    root = NULL;
done:
    ent_json_free(root);
    ent_contents_close(c);
    return st;
}
