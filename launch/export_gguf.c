/* A model, or an adapter, as a GGUF file, row by row: see launch/export.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/gguf_model.h"
#include "io/gguf_tokenizer.h"
#include "io/model_weights.h"
#include "io/path.h"
#include "launch/export.h"
#include "launch/merge.h"
#include "launch/signals.h"
#include "src/base/mem.h"
#include "src/base/tiles.h"

enum { N_KINDS = 3 }; /* of a file's tensors: the chosen type, F16 in its place, F32 */

typedef struct job {
    const ent_export_options *options;
    ent_proof *proof;
    ent_gguf_writer *writer;
    const ent_block_format *format; /* NULL: F32 */
    const char *type;
    bool rope_freqs; /* tensor 0 is that one */
    ent_text notes;  /* lines */

    /* What is written: tensors of the names and shapes of Hugging Face, and their numbers. */
    const ent_st_tensor *tensors;
    size_t count;
    ent_model_source *read;
    void *context;

    float *numbers, *ordered; /* some rows, as they come and as they go */
    uint8_t *bytes;
    size_t kinds[N_KINDS], largest; /* rows of the largest piece, in numbers */
} job;

static size_t columns_of(const ent_st_tensor *t)
{
    return t->shape[t->n_dims - 1];
}

/* Vectors stay F32; rows that aren't whole blocks become F16. */
static const ent_block_format *format_of(const job *j, const ent_st_tensor *t)
{
    if (t->n_dims == 1 || j->format == NULL)
        return NULL;
    return columns_of(t) % j->format->numbers == 0 ? j->format : ent_block_format_by_name("F16");
}

/* Rows that are written at once: a head of those that change places, else as many as make a piece. */
static size_t rows_at_once(const job *j, const ent_st_tensor *t)
{
    const ent_model_config *c = &j->proof->model.config;
    const bool vector = t->n_dims == 1;
    if (ent_gguf_reordered_heads(c, t->name))
        return c->head_dim;
    const size_t rows = vector ? 1 : ENT_MODEL_PIECE / columns_of(t);
    return rows ? rows : 1;
}

/* --- writing --- */

typedef struct quantizing {
    job *j;
    const ent_block_format *format;
    const float *from;
    size_t columns, row_bytes;
    bool failed;
} quantizing;

static void quantize_rows(void *context, size_t begin, size_t end)
{
    quantizing *r = context;
    for (size_t i = begin; i < end; i++)
        if (ent_block_quantize(r->j->bytes + i * r->row_bytes, r->format, r->from + i * r->columns, r->columns) !=
            ENT_OK)
            __atomic_store_n(&r->failed, true, __ATOMIC_RELAXED);
}

/* The first of n numbers, from number `first` of the tensor on, that the type doesn't hold. */
static ent_status refuse(const quantizing *r, const ent_st_tensor *t, size_t first, size_t n)
{
    char why[200] = "is not finite";
    size_t i = 0;
    for (; i + r->columns <= n; i += r->columns)
        if (r->format && ent_block_quantize(r->j->bytes, r->format, r->from + i, r->columns) != ENT_OK)
            break;
    if (r->format)
        snprintf(why, sizeof why, "%s", ent_message());
    else
        for (i = 0; i < n && isfinite(r->from[i]);)
            i++;
    return ent_fail(ENT_ENUMERIC, "%s: %s: from number %zu on: %s", r->j->options->out, t->name, first + i, why);
}

static ent_status put_rows(ent_streamed_file *to, job *j, const ent_st_tensor *t, const float *from, size_t first,
                           size_t n)
{
    const bool vector = t->n_dims == 1;
    quantizing r = {.j = j, .format = format_of(j, t), .from = from, .columns = vector ? n : columns_of(t)};
    if (r.format == NULL) {
        bool finite = true;
        for (size_t i = 0; i < n; i++)
            finite &= isfinite(from[i]) != 0;
        return finite ? ent_streamed_put(to, from, n * sizeof *from) : refuse(&r, t, first, n);
    }
    ENT_TRY(ent_block_row_bytes(&r.row_bytes, r.format, r.columns));
    ent_tiles(n / r.columns, 16, quantize_rows, &r);
    return r.failed ? refuse(&r, t, first, n) : ent_streamed_put(to, j->bytes, n / r.columns * r.row_bytes);
}

/* The rows of one head, or the numbers of its bias, in llama.cpp's order. */
static void reorder(float *to, const float *from, size_t head_dim, size_t columns)
{
    for (size_t i = 0; i < head_dim; i++)
        memcpy(to + i * columns, from + ent_gguf_row(head_dim, i) * columns, columns * sizeof *to);
}

static ent_status put_tensor(ent_streamed_file *to, job *j, size_t i)
{
    const ent_st_tensor *t = &j->tensors[i];
    const bool moves = ent_gguf_reordered_heads(&j->proof->model.config, t->name) > 0;
    const size_t columns = t->n_dims == 1 ? (moves ? 1 : columns_of(t)) : columns_of(t);
    const size_t rows = t->n_dims == 1 && !moves ? 1 : t->shape[0], most = rows_at_once(j, t);
    for (size_t row = 0; row < rows; row += most) {
        const size_t n = (rows - row < most ? rows - row : most) * columns;
        if (ent_signals_stop())
            return ent_fail(ENT_ESTOPPED, "stopped by %s, nothing was written", ent_signals_name());
        for (size_t k = 0; k < n; k += ENT_MODEL_PIECE)
            ENT_TRY(j->read(j->numbers + k, j->context, i, row * columns + k,
                            n - k < ENT_MODEL_PIECE ? n - k : ENT_MODEL_PIECE));
        if (moves)
            reorder(j->ordered, j->numbers, most, columns);
        ENT_TRY(put_rows(to, j, t, moves ? j->ordered : j->numbers, row * columns, n));
    }
    return ENT_OK;
}

static ent_status source(ent_streamed_file *to, void *context, size_t i)
{
    job *j = context;
    const ent_model_config *c = &j->proof->model.config;
    if (!j->rope_freqs || i > 0)
        return put_tensor(to, j, i - j->rope_freqs);
    for (size_t k = 0; k < c->head_dim / 2; k++)
        j->numbers[k] = ent_gguf_rope_factor(c, k);
    return ent_streamed_put(to, j->numbers, c->head_dim / 2 * sizeof *j->numbers);
}

static ent_status add_tensors(job *j)
{
    const ent_model_config *c = &j->proof->model.config;
    const size_t half = c->head_dim / 2;
    const char *first = NULL;
    j->largest = half;
    if (j->rope_freqs)
        ENT_TRY(ent_gguf_add_tensor(j->writer, ENT_GGUF_ROPE_FREQS, NULL, 1, &half));
    j->kinds[2] = j->rope_freqs;
    for (size_t i = 0; i < j->count; i++) {
        const ent_st_tensor *t = &j->tensors[i];
        const ent_block_format *format = format_of(j, t);
        const size_t piece = rows_at_once(j, t) * columns_of(t);
        ent_gguf_name name;
        if (ent_gguf_name_from_hf(&name, t->name) == NULL)
            return ent_fail(ENT_EUNSUPPORTED, "%s: %s: llama.cpp has no such tensor", j->options->model, t->name);
        ENT_TRY(ent_gguf_add_tensor(j->writer, name.text, format, t->n_dims, t->shape));
        j->kinds[format == NULL ? 2 : format != j->format]++;
        if (format && format != j->format && first == NULL)
            first = t->name;
        j->largest = piece > j->largest ? piece : j->largest;
    }
    if (first)
        ent_text_printf(&j->notes, "%s%s: %zu in all are F16: their rows aren't whole blocks of %zu\n", first,
                        j->kinds[1] > 1 ? " and others" : "", j->kinds[1], j->format->numbers);
    ENT_TRY(ent_calloc(&j->numbers, j->largest, sizeof *j->numbers, "some rows"));
    ENT_TRY(ent_calloc(&j->ordered, j->largest, sizeof *j->ordered, "some rows"));
    return ent_calloc(&j->bytes, j->largest, sizeof(uint16_t), "some rows"); /* F16 is the widest that is made */
}

/* --- what is written --- */

static ent_status prove(const char *temporary, void *context)
{
    job *j = context;
    return ent_export_gguf_prove(j->proof, j->options, j->type, temporary);
}

/* The lines of the notes, for people or (report NULL) for the proof. */
static ent_status put_notes(ent_text *report, ent_json *list, const ent_text *notes)
{
    for (const char *line = notes->data; line && *line;) {
        const size_t n = strcspn(line, "\n");
        char *copy;
        ENT_TRY(ent_strndup(&copy, line, n));
        if (report)
            ent_text_printf(report, "note   %s\n", copy);
        else
            ent_json_add_string(list, NULL, copy);
        free(copy);
        line += n + (line[n] == '\n');
    }
    return ENT_OK;
}

static ent_status write_proof(const job *j, const ent_gguf_written *written)
{
    const ent_export_options *o = j->options;
    ent_status st;
    ent_json *json = NULL;
    char *path = NULL;
    const bool model = o->format == ENT_EXPORT_GGUF;
    ENT_GO(ent_proof_json(&json, j->proof, model ? "gguf" : "gguf-adapter", j->type, o->model, o->adapter));
    ent_json *entry = ent_json_add_object(ent_json_add_array(json, "written"), NULL);
    ent_json_add_string(entry, "file", ent_path_name(o->out));
    ent_json_add_string(entry, "sha256", written->digest);
    ENT_GO(put_notes(NULL, ent_json_add_array(json, "notes"), &j->notes));
    ENT_GO(ent_format(&path, "%s.proof.json", o->out));
    st = ent_proof_write(path, json);
    json = NULL;
done:
    ent_json_free(json);
    free(path);
    return st;
}

static ent_status write_file(ent_text *report, job *j)
{
    ent_gguf_written written;
    ENT_TRY(add_tensors(j));
    if (j->notes.failed)
        return ent_fail(ENT_ENOMEM, "out of memory: notes");
    ENT_TRY(ent_gguf_write(&written, j->options->out, j->writer, source, j, prove, j));
    ent_text_printf(report, "%s: %zu tensors, %zu of them %s", j->options->out, j->kinds[0] + j->kinds[1] + j->kinds[2],
                    j->kinds[j->format ? 0 : 2], j->type);
    if (j->kinds[1])
        ent_text_printf(report, ", %zu F16", j->kinds[1]);
    if (j->format && j->kinds[2])
        ent_text_printf(report, ", %zu F32", j->kinds[2]);
    ent_text_printf(report, "; %llu bytes\n", (unsigned long long)written.bytes);
    ENT_TRY(put_notes(report, NULL, &j->notes));
    const ent_status st = write_proof(j, &written);
    if (st != ENT_OK) /* both or none */
        ent_remove_tree(j->options->out);
    return st;
}

/* The last part of a path that leads there, for people. */
static ent_status name_of(char **out, const char *path)
{
    char *whole = realpath(path, NULL);
    const ent_status st = ent_strdup(out, ent_path_name(whole ? whole : path));
    free(whole);
    return st;
}

static ent_status export_model(ent_text *report, job *j)
{
    static const double one = 1;
    const ent_export_options *o = j->options;
    const ent_model *m = &j->proof->model;
    const char *models[] = {o->model};
    /* without an adapter: the average of one model, which is that model */
    const ent_merge_options merge = {.adapter = o->adapter,
                                     .how = {.method = ENT_MERGE_AVERAGE, .models = 1, .weights = &one},
                                     .models = models,
                                     .out = o->out};
    ent_merge_job *merged = NULL;
    char *name = NULL;
    ent_status st;
    ENT_GO(name_of(&name, o->model));
    ENT_GO(ent_merge_job_open(&merged, &merge));
    ENT_GO(ent_gguf_put_model(j->writer, &j->notes, &m->config, o->model, name, j->format));
    ENT_GO(ent_gguf_put_tokenizer(j->writer, &j->notes, o->model, m->tokenizer, m->config.vocab_size));
    j->rope_freqs = m->config.rope_scaling == ENT_ROPE_LLAMA3;
    j->tensors = ent_merge_job_tensors(&j->count, merged);
    j->read = ent_merge_job_read;
    j->context = merged;
    ENT_GO(write_file(report, j));
done:
    ent_merge_job_free(merged);
    free(name);
    return st;
}

static ent_status read_parameter(float *out, void *context, size_t i, size_t first, size_t n)
{
    const job *j = context;
    const ent_st_tensor *t = &j->tensors[i];
    ent_convert(out, (const char *)t->data + first * ent_dtype_size(t->dtype), t->dtype, n);
    return ENT_OK;
}

static ent_status export_adapter(ent_text *report, job *j)
{
    const ent_model *m = &j->proof->model;
    ent_st_tensor *tensors = NULL;
    char *name = NULL;
    ent_status st;
    ENT_GO(name_of(&name, j->options->adapter));
    ENT_GO(ent_gguf_put_adapter(j->writer, &m->config, j->options->model, name, &m->lora));
    ENT_GO(ent_adapter_tensors(&tensors, &j->count, ent_decoder_params(m->decoder)));
    j->tensors = tensors;
    j->read = read_parameter;
    j->context = j;
    ENT_GO(write_file(report, j));
done:
    free(tensors);
    free(name);
    return st;
}

ent_status ent_export_gguf(ent_text *report, ent_proof *proof, const ent_export_options *o)
{
    job j = {.options = o, .proof = proof, .type = o->type};
    const bool model = o->format == ENT_EXPORT_GGUF;
    ent_status st;
    if (j.type == NULL)
        j.type = model ? ent_dtype_name(ent_safetensors_at(proof->model.weights, 0)->dtype) : "F32";
    j.format = ent_block_format_by_name(j.type);
    if (j.format == NULL && strcmp(j.type, "F32") != 0)
        return ent_fail(ENT_EUNSUPPORTED, "%s: its weights are %s: expected --type", o->model, j.type);
    ENT_GO(ent_gguf_writer_new(&j.writer));
    ENT_GO(model ? export_model(report, &j) : export_adapter(report, &j));
done:
    ent_gguf_writer_free(j.writer);
    free(j.notes.data);
    free(j.numbers);
    free(j.ordered);
    free(j.bytes);
    return st;
}
