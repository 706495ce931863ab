#include "io/metrics.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/mem.h"

struct ent_metrics {
    FILE *file;
    char *path;
};

/* The offset behind the last whole line of a step up to `keep_steps`. */
static long find_end(FILE *file, int64_t keep_steps)
{
    char line[1024];
    long end = 0;
    while (fgets(line, sizeof line, file)) {
        long long step;
        if (strchr(line, '\n') == NULL || sscanf(line, "{\"step\": %lld", &step) != 1 || step > keep_steps)
            break;
        end = ftell(file);
    }
    return end;
}

ent_status ent_metrics_open(ent_metrics **out, const char *path, int64_t keep_steps)
{
    ent_status st;
    ent_metrics *m = *out = NULL;
    ENT_GO(ent_calloc(&m, 1, sizeof *m, "the log"));
    ENT_GO(ent_strdup(&m->path, path));
    FILE *old = fopen(path, "r");
    if (old) {
        const long end = find_end(old, keep_steps);
        fclose(old);
        if (truncate(path, end) != 0) {
            st = ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
            goto done;
        }
    }
    m->file = fopen(path, "a");
    if (m->file == NULL) {
        st = ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
        goto done;
    }
    *out = m;
    m = NULL;
done:
    ent_metrics_close(m);
    return st;
}

void ent_metrics_close(ent_metrics *m)
{
    if (m == NULL)
        return;
    if (m->file)
        fclose(m->file);
    free(m->path);
    free(m);
}

static ent_status flushed(ent_metrics *m, int printed)
{
    if (printed < 0 || fflush(m->file) != 0)
        return ent_fail(ENT_EIO, "%s: %s", m->path, strerror(errno));
    return ENT_OK;
}

ent_status ent_metrics_write_step(ent_metrics *m, const ent_metrics_step *s)
{
    return flushed(m,
                   fprintf(m->file,
                           "{\"step\": %lld, \"epoch\": %.10g, \"loss\": %.17g, \"lr\": %.17g, \"grad_norm\": %.17g, "
                           "\"tokens\": %lld, \"tokens_per_s\": %.6g, \"seconds\": %.6g}\n",
                           (long long)s->step, s->epoch, s->loss, s->lr, s->grad_norm, (long long)s->tokens,
                           s->tokens_per_s, s->seconds));
}

ent_status ent_metrics_write_eval(ent_metrics *m, int64_t step, double val_loss, double val_perplexity,
                                  int64_t val_tokens)
{
    return flushed(
        m, fprintf(m->file, "{\"step\": %lld, \"val_loss\": %.17g, \"val_perplexity\": %.17g, \"val_tokens\": %lld}\n",
                   (long long)step, val_loss, fmin(val_perplexity, DBL_MAX), (long long)val_tokens));
}
