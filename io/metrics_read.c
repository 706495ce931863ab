#include "io/metrics_read.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "src/base/mem.h"

enum { LINE_BYTES = 1024 }; /* longer than any that is written */

static const char *const step_keys[] = {"step",      "epoch",  "loss",         "lr",
                                        "grad_norm", "tokens", "tokens_per_s", "seconds"};
static const char *const eval_keys[] = {"step", "val_loss", "val_perplexity", "val_tokens"};

/* Exactly these members, all of them finite numbers. */
static ent_status check_members(const ent_json *object, const char *const *keys, size_t n, const char *where)
{
    double x;
    for (size_t i = 0; i < n; i++) {
        ENT_TRY(ent_json_get_double(&x, object, keys[i], where));
        if (!isfinite(x))
            return ent_fail(ENT_EFORMAT, "%s: %s: expected a finite number, found %g", where, keys[i], x);
    }
    if (ent_json_count(object) == n)
        return ENT_OK;
    for (const ent_json *m = ent_json_first(object); m; m = ent_json_next(m)) {
        size_t i = 0;
        while (i < n && strcmp(keys[i], ent_json_key(m)) != 0)
            i++;
        if (i == n)
            return ent_fail(ENT_EFORMAT, "%s: %.60s: is not expected", where, ent_json_key(m));
    }
    return ENT_OK;
}

static ent_status take_step(ent_metrics_summary *out, const ent_json *line, int64_t ask, const char *where)
{
    int64_t step;
    ENT_TRY(check_members(line, step_keys, sizeof step_keys / sizeof *step_keys, where));
    ENT_TRY(ent_json_get_int(&step, line, "step", where));
    if (step != out->last_step + 1)
        return ent_fail(ENT_EFORMAT, "%s: step: expected %" PRId64 ", found %" PRId64, where, out->last_step + 1, step);
    out->steps++;
    out->last_step = step;
    out->last_loss = ent_json_number(ent_json_member(line, "loss"));
    out->last_lr = ent_json_number(ent_json_member(line, "lr"));
    out->last_norm = ent_json_number(ent_json_member(line, "grad_norm"));
    if (step == ask) {
        out->at = step;
        out->loss_at = out->last_loss;
        out->lr_at = out->last_lr;
        out->norm_at = out->last_norm;
    }
    return ENT_OK;
}

static ent_status take_eval(ent_metrics_summary *out, int64_t *last_eval, const ent_json *line, const char *where)
{
    int64_t step;
    ENT_TRY(check_members(line, eval_keys, sizeof eval_keys / sizeof *eval_keys, where));
    ENT_TRY(ent_json_get_int(&step, line, "step", where));
    if (step != out->last_step || step == *last_eval)
        return ent_fail(ENT_EFORMAT, "%s: step: expected %s after step %" PRId64 ", found one after %" PRId64, where,
                        step == *last_eval ? "one evaluation" : "an evaluation", out->last_step, step);
    *last_eval = step;
    out->evals++;
    return ENT_OK;
}

static ent_status take_line(ent_metrics_summary *out, int64_t *last_eval, const char *line, size_t n, int64_t ask,
                            const char *where)
{
    ent_json *json;
    if (n == 0 || line[n - 1] != '\n')
        return ent_fail(ENT_EFORMAT,
                        "%s: expected a line of at most %d bytes with its newline, found %zu bytes without", where,
                        LINE_BYTES - 2, n);
    ENT_TRY(ent_json_parse(&json, line, n - 1, where));
    const ent_status st =
        ent_json_member(json, "val_loss") ? take_eval(out, last_eval, json, where) : take_step(out, json, ask, where);
    ent_json_free(json);
    return st;
}

ent_status ent_metrics_read(ent_metrics_summary *out, const char *path, int64_t ask)
{
    *out = (ent_metrics_summary){.last_loss = NAN, .last_lr = NAN, .last_norm = NAN, .at = -1};
    FILE *file = fopen(path, "r");
    char line[LINE_BYTES];
    int64_t last_eval = -1;
    ent_status st = ENT_OK;
    if (file == NULL)
        return ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
    for (int64_t number = 1; st == ENT_OK && fgets(line, sizeof line, file); number++) {
        char *where;
        st = ent_format(&where, "%s:%" PRId64, path, number);
        if (st != ENT_OK)
            break;
        st =
            take_line(out, &last_eval, line, strlen(line), ask, where); /* a zero byte ends it too early, which shows */
        free(where);
    }
    if (st == ENT_OK && ferror(file))
        st = ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
    fclose(file);
    return st;
}
