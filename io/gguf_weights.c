/* The numbers of a GGUF file under Hugging Face's names, in its order: see io/gguf_model.h. */
#include <stdlib.h>
#include <string.h>

#include "io/gguf_model.h"
#include "src/base/mem.h"

void ent_gguf_weights_free(ent_gguf_weights *w)
{
    free(w->tensors);
    free(w->names);
    ent_scratch_free(w->scratch);
    *w = (ent_gguf_weights){0};
}

/* A tensor on its way: rows of `columns` numbers, a multiple of heads. */
typedef struct matrix {
    size_t rows, columns, row_bytes;
    size_t head_dim; /* 0: the rows stay in their order */
} matrix;

static ent_status measure(matrix *m, const ent_gguf *file, const ent_gguf_tensor *t, const char *hf,
                          const ent_model_config *config)
{
    const size_t heads = ent_gguf_reordered_heads(config, hf), rows = heads * config->head_dim;
    const bool bias = heads && t->n_dims == 1; /* rows of one number */
    *m = (matrix){.rows = bias ? t->shape[0] : 1, .columns = bias ? 1 : t->shape[t->n_dims - 1]};
    for (size_t i = 0; i + 1 < t->n_dims; i++)
        m->rows *= t->shape[i];
    m->row_bytes = t->bytes / m->rows;
    m->head_dim = heads ? config->head_dim : 0;
    if (heads && m->rows != rows)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected %zu rows, found %zu", ent_gguf_path(file), t->name, rows,
                        m->rows);
    if (bias && t->format && t->format->numbers > 1)
        return ent_fail(ENT_EUNSUPPORTED, "%s: %s: a bias in blocks is not supported", ent_gguf_path(file), t->name);
    return ENT_OK;
}

static bool in_blocks(const ent_gguf_tensor *t)
{
    return t->format && t->format->numbers > 1;
}

static ent_dtype dtype_of(const ent_gguf_tensor *t)
{
    return t->format == NULL || in_blocks(t)     ? ENT_DTYPE_F32
           : strcmp(t->format->name, "F16") == 0 ? ENT_DTYPE_F16
                                                 : ENT_DTYPE_BF16;
}

/* Bytes that the tensor takes in the scratch; 0: it is used in place. */
static ent_status scratch_bytes(size_t *out, const matrix *m, const ent_gguf *file, const ent_gguf_tensor *t)
{
    *out = 0;
    if (!in_blocks(t) && m->head_dim == 0)
        return ENT_OK;
    *out = t->bytes;
    size_t numbers;
    if (in_blocks(t) &&
        (__builtin_mul_overflow(m->rows, m->columns, &numbers) || __builtin_mul_overflow(numbers, sizeof(float), out)))
        return ent_fail(ENT_EFORMAT, "%s: %s: is too large for this machine", ent_gguf_path(file), t->name);
    return ENT_OK;
}

static ent_status copy(char *to, const matrix *m, const ent_gguf_tensor *t)
{
    const bool blocks = in_blocks(t);
    const size_t size = blocks ? m->columns * sizeof(float) : m->row_bytes;
    for (size_t i = 0; i < m->rows; i++) {
        char *row = to + (m->head_dim ? ent_gguf_row(m->head_dim, i) : i) * size;
        const unsigned char *from = t->data + i * m->row_bytes;
        if (blocks)
            ENT_TRY(ent_block_dequantize((float *)(void *)row, t->format, from, m->columns));
        else
            memcpy(row, from, size);
    }
    return ENT_OK;
}

/* Tensor i under its Hugging Face name; what stands in the scratch is counted first and copied in a second round. */
static ent_status add(ent_gguf_weights *w, size_t *room, const ent_gguf *file, size_t i, const ent_model_config *config)
{
    const ent_gguf_tensor *t = ent_gguf_at(file, i);
    ent_gguf_name *name = &w->names[i];
    size_t bytes;
    matrix m;
    if (ent_gguf_name_to_hf(name, t->name) == NULL)
        return ent_fail(ENT_EFORMAT, "%s: unexpected tensor %s", ent_gguf_path(file), t->name);
    ENT_TRY(measure(&m, file, t, name->text, config));
    ENT_TRY(scratch_bytes(&bytes, &m, file, t));
    if (w->scratch == NULL) {
        if (__builtin_add_overflow(*room, ent_scratch_room(bytes), room))
            return ent_fail(ENT_EFORMAT, "%s: is too large for this machine", ent_gguf_path(file));
        return ENT_OK;
    }
    ent_st_tensor *s = &w->tensors[w->count++];
    *s = (ent_st_tensor){.name = name->text,
                         .dtype = dtype_of(t),
                         .n_dims = t->n_dims,
                         .data = t->data,
                         .bytes = bytes ? bytes : t->bytes,
                         .file = ent_gguf_path(file)};
    memcpy(s->shape, t->shape, t->n_dims * sizeof *s->shape);
    if (bytes == 0)
        return ENT_OK;
    char *to = ent_scratch_take(w->scratch, bytes);
    s->data = to;
    return copy(to, &m, t);
}

ent_status ent_gguf_weights_new(ent_gguf_weights *w, const ent_gguf *file, const ent_model_config *config,
                                const char *folder)
{
    const size_t count = ent_gguf_count(file);
    size_t room = 0;
    ent_status st;
    *w = (ent_gguf_weights){0};
    ENT_GO(ent_calloc(&w->tensors, count, sizeof *w->tensors, "tensors"));
    ENT_GO(ent_calloc(&w->names, count, sizeof *w->names, "names"));
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++)
            if (strcmp(ent_gguf_at(file, i)->name, ENT_GGUF_ROPE_FREQS) != 0)
                ENT_GO(add(w, &room, file, i, config));
        if (round == 0)
            ENT_GO(ent_scratch_new(&w->scratch, folder, room));
    }
done:
    if (st != ENT_OK)
        ent_gguf_weights_free(w);
    return st;
}
