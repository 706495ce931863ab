/* What the readers of quantised weights share: see io/quantized_read.h. Not for others. */
#ifndef ENT_IO_QUANTIZED_PARTS_H
#define ENT_IO_QUANTIZED_PARTS_H

#include "io/quantized_read.h"

struct ent_quantized {
    void **owned; /* made of the files: numbers, scales, copies of what is misaligned there */
    size_t count, capacity;
};

/* What a parameter gets beside its numbers: scales of its rows, what its input is rounded to. */
typedef struct ent_quantized_extra {
    const char *name;
    const float *scales;
    const ent_input_rounding *input;
} ent_quantized_extra;

typedef struct ent_quantized_job {
    ent_quantized *kept;
    ent_params *params;
    const ent_safetensors *files;
    const ent_quantized_scheme *scheme;
    ent_quantized_way way;
    ent_st_tensor *tensors; /* to be bound */
    size_t n_tensors;
    ent_quantized_extra *scaled;
    size_t n_scaled;
} ent_quantized_job;

/* Memory that lasts as long as the parameters. `out`: a pointer to any. */
ent_status ent_quantized_take(void *out, ent_quantized_job *j, size_t count, size_t size, const char *what);

/* *out = the tensor of w's name and suffix, of an input that of its module. ENT_EFORMAT if there is none. */
ent_status ent_quantized_need(const ent_st_tensor **out, const ent_quantized_job *j, const ent_st_tensor *w,
                              const char *suffix);

/* ENT_EFORMAT naming t, which is otherwise. */
ent_status ent_quantized_check_shape(const ent_st_tensor *t, size_t n_dims, const size_t *shape);
ent_status ent_quantized_check_type(const ent_st_tensor *t, ent_st_type type);

/* *out = the floats of t, in the file if they can be used there. ENT_EFORMAT for one that isn't finite. */
ent_status ent_quantized_floats(const float **out, ent_quantized_job *j, const ent_st_tensor *t);

/* What stands beside a weight in nf4, behind its name. */
enum { ENT_QUANTIZED_NF4_PARTS = 5 };
extern const char *const ent_quantized_nf4_parts[ENT_QUANTIZED_NF4_PARTS];

/* *t = what is bound for w. */
ent_status ent_quantized_read_nf4(ent_st_tensor *t, ent_quantized_job *j, const ent_st_tensor *w,
                                  const ent_param *param);

#endif
