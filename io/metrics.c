#include "io/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/atomic_file.h"
#include "src/base/mem.h"

struct ent_metrics {
    int fd;
    char *path;
};

static ent_status io_error(const char *path)
{
    return ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
}

/* The offset behind the last line that stays; *found = steps that are logged up to there. */
static long find_end(int64_t *found, FILE *file, int64_t keep_step, int64_t keep_eval)
{
    char line[1024];
    long end = 0;
    *found = 0;
    while (fgets(line, sizeof line, file)) {
        long long step;
        if (strchr(line, '\n') == NULL || sscanf(line, "{\"step\": %lld,", &step) != 1 || step > keep_step)
            break;
        const bool is_eval = strstr(line, "\"val_loss\"") != NULL;
        if (is_eval && step > keep_eval)
            break;
        *found += !is_eval;
        end = ftell(file);
    }
    return end;
}

ent_status ent_metrics_open(ent_metrics **out, int64_t *missing, const char *path, int64_t step, int64_t eval_step)
{
    ent_status st;
    int64_t found = 0;
    ent_metrics *m = *out = NULL;
    ENT_GO(ent_calloc(&m, 1, sizeof *m, "the log"));
    m->fd = -1;
    ENT_GO(ent_strdup(&m->path, path));
    FILE *old = fopen(path, "r");
    if (old) {
        const long end = find_end(&found, old, step, eval_step);
        fclose(old);
        if (truncate(path, end) != 0)
            ENT_GO(io_error(path));
    }
    m->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (m->fd < 0)
        ENT_GO(io_error(path));
    *missing = step > found ? step - found : 0;
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
    if (m->fd >= 0)
        close(m->fd);
    free(m->path);
    free(m);
}

ent_status ent_metrics_write_step(ent_metrics *m, const ent_metrics_step *s)
{
    char line[512];
    const int n = snprintf(line, sizeof line,
                           "{\"step\": %lld, \"epoch\": %.10g, \"loss\": %.17g, \"lr\": %.17g, \"grad_norm\": %.17g, "
                           "\"tokens\": %lld, \"tokens_per_s\": %.6g, \"seconds\": %.6g}\n",
                           (long long)s->step, s->epoch, s->loss, s->lr, s->grad_norm, (long long)s->tokens,
                           s->tokens_per_s, s->seconds);
    return ent_write_all(m->fd, m->path, line, (size_t)n);
}

ent_status ent_metrics_write_eval(ent_metrics *m, int64_t step, double val_loss, double val_perplexity,
                                  int64_t val_tokens)
{
    char line[512];
    const int n = snprintf(line, sizeof line,
                           "{\"step\": %lld, \"val_loss\": %.17g, \"val_perplexity\": %.17g, \"val_tokens\": %lld}\n",
                           (long long)step, val_loss, fmin(val_perplexity, DBL_MAX), (long long)val_tokens);
    return ent_write_all(m->fd, m->path, line, (size_t)n);
}

ent_status ent_metrics_sync(ent_metrics *m)
{
    struct stat open_file, named;
    if (stat(m->path, &named) != 0)
        return io_error(m->path);
    if (fstat(m->fd, &open_file) != 0 || fsync(m->fd) != 0)
        return io_error(m->path);
    if (open_file.st_ino != named.st_ino || open_file.st_dev != named.st_dev)
        return ent_fail(ENT_EIO, "%s: another file has taken its place", m->path);
    return ENT_OK;
}
