#include "io/numeric_trace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/atomic_file.h"
#include "io/digest.h"
#include "io/jsonstring.h"
#include "src/base/mem.h"

struct ent_numeric_trace {
    char *path;
    ent_text text;
};

ent_status ent_numeric_trace_new(ent_numeric_trace **out, const char *path, const char *kernel, size_t trainable)
{
    ent_status st;
    ent_numeric_trace *t = NULL;
    ENT_GO(ent_calloc(&t, 1, sizeof *t, "a trace"));
    ENT_GO(ent_strdup(&t->path, path));
    ENT_GO(ent_path_check_place(path));
    ent_text_put(&t->text, "{\"format\": \"entrenar-numeric-v1\", \"kernel\": ");
    ent_jsonstring_put(&t->text, kernel, strlen(kernel));
    ent_text_printf(&t->text, ", \"trainable\": %zu}\n", trainable);
done:
    if (st != ENT_OK) {
        ent_numeric_trace_free(t);
        t = NULL;
    }
    *out = t;
    return st;
}

ent_status ent_numeric_trace_step(ent_numeric_trace *t, const ent_numeric_step *step, const float *params, size_t n)
{
    char hash[ENT_SHA256_SIZE];
    ent_sha256(hash, params, n * sizeof *params);
    ent_text_printf(&t->text,
                    "{\"step\": %" PRId64
                    ", \"loss\": \"%a\", \"grad_norm\": \"%a\", \"lr\": \"%a\", \"params\": \"%s\"}\n",
                    step->step, step->loss, step->grad_norm, step->lr, hash);
    return t->text.failed ? ent_fail(ENT_ENOMEM, "out of memory: the trace %s", t->path) : ENT_OK;
}

ent_status ent_numeric_trace_commit(ent_numeric_trace *t)
{
    return t->text.failed ? ent_fail(ENT_ENOMEM, "out of memory: the trace %s", t->path)
                          : ent_atomic_write(t->path, t->text.data, t->text.n);
}

void ent_numeric_trace_free(ent_numeric_trace *t)
{
    if (t == NULL)
        return;
    free(t->path);
    free(t->text.data);
    free(t);
}
