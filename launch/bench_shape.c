#include "launch/bench_shape.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "src/base/philox.h"
#include "src/base/tiles.h"

static const struct {
    const char *name;
    ent_model_config config;
} shapes[] = {
    {"llama-162m",
     {.model_type = "llama",
      .vocab_size = 32000,
      .hidden_size = 768,
      .intermediate_size = 3072,
      .n_layers = 12,
      .n_heads = 12,
      .n_kv_heads = 12,
      .head_dim = 64,
      .rms_norm_eps = 1e-5,
      .rope_theta = 10000}},
};

ent_status ent_bench_shape(ent_model_config *out, const char *name)
{
    char names[256] = "";
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (strcmp(shapes[i].name, name) == 0) {
            *out = shapes[i].config;
            return ENT_OK;
        }
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", shapes[i].name);
    }
    return ent_fail(ENT_ECONFIG, "--shape: expected one of %s, found \"%s\"", names, name);
}

/* Tensors stand one after the other, each at a multiple of 64 bytes. */
static size_t padded(const ent_tensor *t, ent_dtype dtype)
{
    return (ent_tensor_count(t) * ent_dtype_size(dtype) + 63) / 64 * 64;
}

typedef struct filling {
    void *to;
    ent_dtype dtype;
    ent_rng rng;
    bool ones;
} filling;

static void fill(void *context, size_t begin, size_t end)
{
    const filling *f = context;
    const float width = 2 * 0.02f * 1.7320508f / 4294967296.0f; /* a uniform draw of width w deviates by w / sqrt(12) */
    uint32_t words[4];
    for (size_t i = begin; i < end; i++) {
        if (i % 4 == 0 || i == begin)
            ent_philox(words, &f->rng, (uint32_t)(i / 4));
        const float x = f->ones ? 1 : ((float)words[i % 4] - 2147483648.0f) * width;
        if (f->dtype == ENT_DTYPE_F32)
            ((float *)f->to)[i] = x;
        else
            ((uint16_t *)f->to)[i] = ent_f32_to_bf16(x);
    }
}

static ent_status create(ent_bench_weights *w, const ent_params *params, ent_dtype dtype)
{
    w->fd = memfd_create("weights", MFD_CLOEXEC);
    if (w->fd < 0 || ftruncate(w->fd, (off_t)w->size) != 0)
        return ent_fail(ENT_EIO, "memory for random weights: %s", strerror(errno));
    w->memory = mmap(NULL, w->size, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
    if (w->memory == MAP_FAILED)
        return ent_fail(ENT_ENOMEM, "%zu bytes for random weights: %s", w->size, strerror(errno));
    char *at = w->memory;
    for (size_t i = 0; i < params->count; i++) {
        const ent_tensor *t = &params->items[i]->tensor;
        if (params->items[i]->trainable)
            continue;
        filling f = {at, dtype, {.seed = 162, .stream = ENT_STREAM_INIT | (uint32_t)i << 8}, t->n_dims == 1};
        ent_tiles(ent_tensor_count(t), 1 << 16, fill, &f);
        at += padded(t, dtype);
    }
    mprotect(w->memory, w->size, PROT_READ);
    return ENT_OK;
}

/* Maps what another process of this machine has made. */
static ent_status attach(ent_bench_weights *w, int64_t pid, int64_t fd)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)pid, (long long)fd);
    const int opened = open(path, O_RDONLY | O_CLOEXEC);
    if (opened < 0)
        return ent_fail(ENT_EIO, "%s: random weights of another rank: %s", path, strerror(errno));
    w->memory = mmap(NULL, w->size, PROT_READ, MAP_SHARED, opened, 0);
    const int error = errno;
    close(opened);
    return w->memory != MAP_FAILED
               ? ENT_OK
               : ent_fail(ENT_ENOMEM, "%s: random weights of another rank: %s", path, strerror(error));
}

static ent_status bind_all(const ent_bench_weights *w, ent_params *params, ent_dtype dtype)
{
    const char *at = w->memory;
    for (size_t i = 0; i < params->count; i++) {
        ent_param *p = params->items[i];
        if (p->trainable)
            continue;
        ENT_TRY(ent_params_bind(params, p, p->tensor.n_dims, p->tensor.shape, dtype, at, "random weights"));
        at += padded(&p->tensor, dtype);
    }
    return ENT_OK;
}

ent_status ent_bench_weights_make(ent_bench_weights *w, ent_params *params, ent_dtype dtype, ent_comm *comm)
{
    *w = (ent_bench_weights){.memory = MAP_FAILED, .fd = -1};
    int maker = comm->rank;
    for (int r = comm->rank; r-- > 0;)
        if (strcmp(comm->host(comm, r), comm->host(comm, comm->rank)) == 0)
            maker = r;
    for (size_t i = 0; i < params->count; i++)
        if (!params->items[i]->trainable)
            w->size += padded(&params->items[i]->tensor, dtype);
    ENT_TRY(ent_comm_agree(comm, maker == comm->rank ? create(w, params, dtype) : ENT_OK));
    int64_t from[2] = {0};
    for (int r = 0; r < comm->world_size; r++) {
        int64_t mine[2] = {getpid(), w->fd};
        ENT_TRY(comm->bcast(comm, mine, sizeof mine, r));
        if (r == maker)
            memcpy(from, mine, sizeof from);
    }
    ENT_TRY(ent_comm_agree(comm, maker == comm->rank ? ENT_OK : attach(w, from[0], from[1])));
    return bind_all(w, params, dtype);
}

void ent_bench_weights_release(const ent_bench_weights *w)
{
    if (w->memory)
        madvise(w->memory, w->size, MADV_DONTNEED);
}

void ent_bench_weights_free(ent_bench_weights *w)
{
    if (w->size && w->memory != MAP_FAILED)
        munmap(w->memory, w->size);
    if (w->size && w->fd >= 0)
        close(w->fd);
    *w = (ent_bench_weights){0};
}
