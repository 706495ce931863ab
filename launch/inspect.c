#include "launch/inspect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint.h"
#include "io/metrics_read.h"
#include "io/path.h"
#include "launch/contents.h"
#include "launch/statistics.h"
#include "src/base/mem.h"

static void add_squares(void *context, double *x, size_t n)
{
    *(double *)context += ent_sum_squares(x, n);
}

static ent_status add_tensors(ent_json *root, ent_contents *c)
{
    ent_json *tensors = ent_json_add_array(root, "tensors");
    size_t numbers = 0, bytes = 0;
    for (size_t i = 0; i < c->count; i++) {
        const ent_contents_tensor *t = &c->tensors[i];
        ent_json *entry = ent_json_add_object(tensors, NULL);
        double squares = 0;
        ent_json_add_string(entry, "name", t->name);
        ent_json_add_string(entry, "dtype", ent_contents_type_name(t));
        ent_contents_add_shape(entry, "shape", t);
        ent_json_add_int(entry, "bytes", (int64_t)t->bytes);
        if (ent_st_type_has_values(t->type)) {
            ENT_TRY(ent_contents_each(c, t, add_squares, &squares));
            ent_json_add_double(entry, "norm", sqrt(squares));
        }
        numbers += t->count;
        bytes += t->bytes;
    }
    ent_json *total = ent_json_add_object(root, "total");
    ent_json_add_int(total, "tensors", (int64_t)c->count);
    ent_json_add_int(total, "numbers", (int64_t)numbers);
    ent_json_add_int(total, "bytes", (int64_t)bytes);
    return ENT_OK;
}

static void copy(ent_json *to, const char *key, const ent_json *from)
{
    const bool object = ent_json_is_object(from);
    if (object || ent_json_is_array(from)) {
        ent_json *into = object ? ent_json_add_object(to, key) : ent_json_add_array(to, key);
        for (const ent_json *item = ent_json_first(from); item; item = ent_json_next(item))
            copy(into, object ? ent_json_key(item) : NULL, item);
    } else if (ent_json_is_string(from)) {
        ent_json_add_string(to, key, ent_json_string(from));
    } else if (ent_json_is_bool(from)) {
        ent_json_add_bool(to, key, ent_json_bool(from));
    } else if (ent_json_is_number(from)) {
        ent_json_add_double(to, key, ent_json_number(from));
    } else {
        ent_json_add_null(to, key);
    }
}

/* What stands beside a checkpoint and isn't in it. */
static void add_metadata(ent_json *root, const ent_contents *c)
{
    static const char *const keys[] = {"planned_steps", "metrics", "early_stopping", "decides", "config"};
    if (c->fault)
        ent_json_add_string(root, "metadata_fault", c->fault);
    if (c->metadata == NULL)
        return;
    ent_json *to = ent_json_add_object(root, "metadata");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (ent_json_member(c->metadata, keys[i]))
            copy(to, keys[i], ent_json_member(c->metadata, keys[i]));
}

static ent_status add_log(ent_json *to, const char *run)
{
    ent_metrics_summary log;
    char *path;
    ENT_TRY(ent_format(&path, "%s/metrics.jsonl", run));
    const bool there = ent_path_is_file(path);
    const ent_status st = there ? ent_metrics_read(&log, path, 0) : ENT_OK;
    free(path);
    if (st != ENT_OK)
        ent_json_add_string(to, "log_fault", ent_message());
    if (there && st == ENT_OK) {
        ent_json_add_int(to, "logged_steps", log.steps);
        ent_json_add_int(to, "evaluations", log.evals);
    }
    return st == ENT_ENOMEM ? st : ENT_OK;
}

static ent_status add_run(ent_json *root, const char *run)
{
    static const char *const folders[] = {"adapter", "adapter-best", "model", "model-best"};
    int64_t *steps = NULL;
    size_t count = 0;
    ent_json *to = ent_json_add_object(root, "run");
    ent_json_add_string(to, "folder", run);
    char *checkpoints;
    ENT_TRY(ent_format(&checkpoints, "%s/checkpoints", run));
    const ent_status st = ent_checkpoint_steps(&steps, &count, checkpoints);
    free(checkpoints);
    ent_json *list = ent_json_add_array(to, "checkpoints");
    for (size_t i = count; i-- > 0;)
        ent_json_add_int(list, NULL, steps[i]);
    free(steps);
    ENT_TRY(st);
    ENT_TRY(add_log(to, run));
    list = ent_json_add_array(to, "folders");
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path;
        ENT_TRY(ent_format(&path, "%s/%s", run, folders[i]));
        if (ent_path_is_folder(path))
            ent_json_add_string(list, NULL, folders[i]);
        free(path);
    }
    return ENT_OK;
}

ent_status ent_inspect(ent_json **out, const char *path)
{
    ent_contents *c = NULL;
    ent_json *root = ent_json_new_object();
    ent_status st;
    *out = NULL;
    ENT_GO(ent_contents_open(&c, path));
    ent_json_add_string(root, "path", c->path);
    ent_json_add_string(root, "kind", ent_kind_name(c->kind));
    copy(root, "settings", c->settings);
    add_metadata(root, c);
    if (c->run)
        ENT_GO(add_run(root, c->run));
    ENT_GO(add_tensors(root, c));
    *out = root;
    root = NULL;
done:
    ent_json_free(root);
    ent_contents_close(c);
    return st;
}
