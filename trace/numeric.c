#include "trace/numeric.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "src/base/mem.h"

static const char format[] = "entrenar-numeric-v1";
/* Between kernels, relative. What is rounded to bf16 has steps of 2^-8, to int8 of 1/127 of its row's largest, which
 * another order of sums takes or not: alpha changed in its seventh digit moves the losses of the golden runs by 4e-4
 * and 1.5e-3. */
typedef struct tolerance {
    const char *kernel; /* what its name has */
    double loss, norm;
} tolerance;
static const tolerance tolerances[] = {{"int8", 5e-3, 3e-2}, {"bf16", 2e-3, 2e-2}, {"", 1e-4, 1e-3}};
enum { SHOWN = 10, PLACE = 512 };

typedef struct step {
    int64_t number;
    double loss, grad_norm, lr;
    char params[65];
} step;

typedef struct trace {
    char *kernel;
    int64_t trainable;
    step *steps;
    size_t count, capacity;
} trace;

static void clear(trace *t)
{
    free(t->kernel);
    free(t->steps);
    *t = (trace){0};
}

/* A finite number as %a writes it, and nothing else. */
static ent_status read_float(double *out, const ent_json *line, const char *key, const char *where)
{
    const char *text;
    char *end;
    ENT_TRY(ent_json_get_string(&text, line, key, where));
    *out = strtod(text, &end);
    if (strncmp(text + (*text == '-'), "0x", 2) != 0 || *end || !isfinite(*out))
        return ent_fail(ENT_EFORMAT, "%s: %s: expected a hexadecimal float like \"0x1.8p+1\", found \"%.40s\"", where,
                        key, text);
    return ENT_OK;
}

static ent_status read_step(trace *t, const ent_json *line, const char *where)
{
    const char *params;
    ENT_TRY(ent_grow(&t->steps, &t->capacity, t->count + 1, sizeof *t->steps, "the steps of a trace"));
    step *s = &t->steps[t->count];
    ENT_TRY(ent_json_get_int(&s->number, line, "step", where));
    ENT_TRY(read_float(&s->loss, line, "loss", where));
    ENT_TRY(read_float(&s->grad_norm, line, "grad_norm", where));
    ENT_TRY(read_float(&s->lr, line, "lr", where));
    ENT_TRY(ent_json_get_string(&params, line, "params", where));
    if (strlen(params) != 64)
        return ent_fail(ENT_EFORMAT, "%s: params: expected a SHA-256 of 64 digits, found \"%.80s\"", where, params);
    if (t->count && s->number != s[-1].number + 1)
        return ent_fail(ENT_EFORMAT, "%s: step %" PRId64 " follows step %" PRId64, where, s->number, s[-1].number);
    memcpy(s->params, params, sizeof s->params);
    t->count++;
    return ENT_OK;
}

static ent_status read_header(trace *t, const ent_json *line, const char *where)
{
    const char *kind, *kernel;
    ENT_TRY(ent_json_get_string(&kind, line, "format", where));
    if (strcmp(kind, format) != 0)
        return ent_fail(ENT_EFORMAT, "%s: expected a numeric trace of format %s, found %.40s", where, format, kind);
    ENT_TRY(ent_json_get_string(&kernel, line, "kernel", where));
    ENT_TRY(ent_strdup(&t->kernel, kernel));
    return ent_json_get_int(&t->trainable, line, "trainable", where);
}

static ent_status read_trace(trace *t, const char *path)
{
    char *text = NULL, where[PLACE];
    size_t n, number = 0;
    ent_json *json = NULL;
    ent_status st;
    ENT_GO(ent_text_read_file(&text, &n, path));
    for (const char *line = text, *end; line < text + n; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + n - line));
        end = end ? end : text + n;
        snprintf(where, sizeof where, "%.400s:%zu", path, ++number);
        ENT_GO(ent_json_parse(&json, line, (size_t)(end - line), where));
        ENT_GO(number == 1 ? read_header(t, json, where) : read_step(t, json, where));
        ent_json_free(json);
        json = NULL;
    }
    if (t->count == 0)
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: expected a numeric trace, found no step", path));
done:
    ent_json_free(json);
    free(text);
    return st;
}

/* Equal bits, or, with a tolerance, near. */
static bool same(double a, double b, double relative)
{
    return memcmp(&a, &b, sizeof a) == 0 || (relative > 0 && fabs(a - b) <= relative * fabs(a));
}

/* Appends what differs between two steps of one number; false: nothing does. t NULL: every bit counts. */
static bool step_differs(ent_text *report, const step *a, const step *b, const tolerance *t, bool show)
{
    const struct {
        const char *name;
        double a, b, relative;
    } numbers[] = {{"loss", a->loss, b->loss, t ? t->loss : 0},
                   {"grad_norm", a->grad_norm, b->grad_norm, t ? t->norm : 0},
                   {"lr", a->lr, b->lr, 0}};
    bool differs = t == NULL && strcmp(a->params, b->params) != 0;
    const bool hashes = differs;
    for (int i = 0; i < 3; i++) {
        if (same(numbers[i].a, numbers[i].b, numbers[i].relative))
            continue;
        differs = true;
        if (show)
            ent_text_printf(report, "step %" PRId64 ": %s: expected %a (%.9g), found %a (%.9g)\n", a->number,
                            numbers[i].name, numbers[i].a, numbers[i].a, numbers[i].b, numbers[i].b);
    }
    if (hashes && show)
        ent_text_printf(report, "step %" PRId64 ": params: expected %.16s..., found %.16s...\n", a->number, a->params,
                        b->params);
    return differs;
}

static bool compare(ent_text *report, const trace *a, const trace *b)
{
    const bool exact = strcmp(a->kernel, b->kernel) == 0;
    const tolerance *t = tolerances;
    size_t common = 0, different = 0;
    while (!strstr(a->kernel, t->kernel) && !strstr(b->kernel, t->kernel))
        t++;
    for (size_t i = 0; i < a->count; i++) {
        const int64_t k = a->steps[i].number - b->steps[0].number; /* a run that went on begins later */
        if (k < 0 || k >= (int64_t)b->count)
            continue;
        common++;
        different += step_differs(report, &a->steps[i], &b->steps[k], exact ? NULL : t, different < SHOWN);
    }
    if (different > SHOWN)
        ent_text_printf(report, "... %zu more steps differ\n", different - SHOWN);
    bool equal = different == 0;
    if (a->count != b->count || a->steps[0].number != b->steps[0].number) {
        ent_text_printf(report, "expected steps %" PRId64 " to %" PRId64 ", found %" PRId64 " to %" PRId64 "\n",
                        a->steps[0].number, a->steps[a->count - 1].number, b->steps[0].number,
                        b->steps[b->count - 1].number);
        equal = false;
    }
    if (a->trainable != b->trainable) {
        ent_text_printf(report, "expected %" PRId64 " trainable parameters, found %" PRId64 "\n", a->trainable,
                        b->trainable);
        equal = false;
    }
    ent_text_printf(report, "%s: %zu of %zu steps the same, ", equal ? "equal" : "different", common - different,
                    a->count);
    if (exact)
        ent_text_printf(report, "bit for bit (%s)\n", a->kernel);
    else
        ent_text_printf(report, "within %g of the loss and %g of the gradient norm (kernels differ: %s, %s)\n", t->loss,
                        t->norm, a->kernel, b->kernel);
    return equal;
}

ent_status ent_numeric_is_trace(bool *yes, const char *path)
{
    static const char begin[] = "{\"format\": \"entrenar-numeric";
    char text[sizeof begin - 1];
    FILE *file = fopen(path, "re");
    *yes = file && fread(text, 1, sizeof text, file) == sizeof text && memcmp(text, begin, sizeof text) == 0;
    const ent_status st = file && !ferror(file) ? ENT_OK : ent_fail(ENT_EIO, "%s: %s", path, strerror(errno));
    if (file)
        fclose(file);
    return st;
}

ent_status ent_numeric_compare(ent_text *report, bool *equal, const char *golden, const char *fresh)
{
    trace a = {0}, b = {0};
    ent_status st;
    ENT_GO(read_trace(&a, golden));
    ENT_GO(read_trace(&b, fresh));
    *equal = compare(report, &a, &b);
done:
    clear(&a);
    clear(&b);
    return st;
}
