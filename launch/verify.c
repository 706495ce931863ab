#include "launch/verify.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/path.h"
#include "launch/statistics.h"
#include "launch/verify_parts.h"
#include "src/base/mem.h"

void ent_verify_good(ent_verification *v, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    v->tell(v->context, true, line);
}

void ent_verify_fault(ent_verification *v)
{
    v->faults++;
    v->tell(v->context, false, ent_message());
}

bool ent_verify_take(ent_verification *v, ent_status st)
{
    if (st != ENT_OK)
        ent_verify_fault(v);
    return st == ENT_OK;
}

/* What isn't finite in a tensor. */
typedef struct strays {
    size_t seen, count, first;
    double value; /* of the first */
} strays;

static void take_strays(void *context, double *x, size_t n)
{
    strays *s = context;
    const bool finite = isfinite(ent_sum_squares(x, n));
    for (size_t i = 0; i < n && !finite; i++) {
        if (isfinite(x[i]))
            continue;
        if (s->count++ == 0) {
            s->first = s->seen + i;
            s->value = x[i];
        }
    }
    s->seen += n;
}

bool ent_verify_numbers(ent_verification *v, ent_contents *c)
{
    const size_t faults = v->faults;
    size_t numbers = 0, passed = 0;
    for (size_t i = 0; i < c->count; i++) {
        const ent_contents_tensor *t = &c->tensors[i];
        strays s = {0};
        numbers += t->count;
        if (!ent_st_type_has_values(t->type)) {
            passed++;
            continue;
        }
        ent_status st = ent_contents_each(c, t, take_strays, &s);
        if (st == ENT_OK && s.count)
            st = ent_fail(ENT_EFORMAT, "%s: %s: %zu number%s not finite: the first is %g, number %zu", t->file, t->name,
                          s.count, s.count == 1 ? " is" : "s are", s.value, s.first);
        ent_verify_take(v, st);
    }
    if (v->faults > faults)
        return false;
    ent_verify_good(v, "%s: %zu tensors, %zu numbers: all finite", c->path, c->count, numbers);
    if (passed)
        ent_verify_good(v, "%s: %zu tensors of types without values: their places only", c->path, passed);
    return true;
}

static void verify_safetensors(ent_verification *v, const char *path)
{
    ent_contents *c;
    if (!ent_verify_take(v, ent_contents_open(&c, path)))
        return;
    ent_verify_good(v, "%s: header, types and offsets", path);
    ent_verify_numbers(v, c);
    ent_contents_close(c);
}

/* FOLDER/NAME as a folder, or as a file. */
static ent_status holds(bool *found, const char *folder, const char *name)
{
    char *path;
    ENT_TRY(ent_format(&path, "%s/%s", folder, name));
    *found = ent_path_is_folder(path) || ent_path_is_file(path);
    free(path);
    return ENT_OK;
}

static ent_status verify_folder(ent_verification *v, const char *path)
{
    static const struct {
        const char *mark;
        void (*verify)(ent_verification *v, const char *folder);
    } kinds[] = {{"adapter_config.json", ent_verify_adapter},
                 {"config.json", ent_verify_model},
                 {"checkpoints", ent_verify_run},
                 {"config.yaml", ent_verify_run}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        bool found;
        ENT_TRY(holds(&found, path, kinds[i].mark));
        if (!found)
            continue;
        kinds[i].verify(v, path);
        return ENT_OK;
    }
    bool checkpoints;
    ENT_TRY(holds(&checkpoints, path, "latest"));
    if (!checkpoints)
        return ent_fail(ENT_EFORMAT, "%s: expected the folder of an adapter, a model or a run, found none of them",
                        path);
    ent_verified_list list;
    ent_verify_checkpoints(&list, v, path);
    free(list.items);
    return ENT_OK;
}

ent_status ent_verify(size_t *faults, const char *path, ent_verify_tell *tell, void *context)
{
    ent_verification v = {tell, context, 0};
    ent_status st = ENT_OK;
    ent_kind kind;
    char *found = NULL, *run = NULL;
    if (ent_path_is_folder(path)) {
        ENT_GO(verify_folder(&v, path));
    } else if (!ent_path_is_file(path)) {
        st = ent_fail(ENT_EIO, "%s: %s", path, strerror(ENOENT));
    } else {
        ent_verified verified;
        ENT_GO(ent_kind_find(&kind, &found, &run, path));
        if (kind == ENT_KIND_SAFETENSORS)
            verify_safetensors(&v, path);
        else if (kind == ENT_KIND_GGUF)
            ent_verify_gguf(&v, path);
        else
            ent_verify_checkpoint(&verified, &v, path);
    }
done:
    free(found);
    free(run);
    *faults = v.faults;
    return st;
}
