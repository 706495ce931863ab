#include "launch/contents.h"

#include <stdlib.h>
#include <string.h>

#include "io/checkpoint.h"
#include "io/model_config.h"
#include "io/path.h"
#include "io/peft.h"
#include "launch/contents_parts.h"
#include "src/base/mem.h"

#define RELEASE_BYTES ((size_t)64 << 20) /* mapped pages that were read are let go every so often */

void ent_contents_close(ent_contents *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++)
        free(c->tensors[i].name);
    free(c->tensors);
    ent_safetensors_close(c->files);
    ent_hdf5_reader_close(c->h5);
    ent_gguf_close(c->gguf);
    ent_json_free(c->settings);
    ent_json_free(c->metadata);
    free(c->fault);
    free(c->stretch);
    free(c->path);
    free(c->run);
    free(c);
}

static ent_status add_files(ent_contents *c, const char *path, bool is_folder)
{
    ENT_TRY(ent_safetensors_open_any(&c->files, path, is_folder));
    const size_t n = ent_safetensors_count(c->files);
    ENT_TRY(ent_calloc(&c->tensors, n, sizeof *c->tensors, "a list of tensors"));
    for (; c->count < n; c->count++) {
        const ent_st_tensor *from = ent_safetensors_at(c->files, c->count);
        ent_contents_tensor *t = &c->tensors[c->count];
        *t = (ent_contents_tensor){.type = from->type,
                                   .n_dims = from->n_dims,
                                   .count = from->bytes / ent_st_type_size(from->type),
                                   .bytes = from->bytes,
                                   .file = from->file};
        memcpy(t->shape, from->shape, sizeof t->shape);
        ENT_TRY(ent_strdup(&t->name, from->name));
    }
    return ENT_OK;
}

static ent_status open_checkpoint(ent_contents *c)
{
    char *beside = NULL;
    ENT_TRY(ent_hdf5_reader_open(&c->h5, c->path));
    const size_t n = ent_hdf5_reader_count(c->h5);
    ENT_TRY(ent_calloc(&c->tensors, n, sizeof *c->tensors, "a list of tensors"));
    ENT_TRY(ent_calloc(&c->stretch, ENT_STRETCH, sizeof *c->stretch, "a piece of a tensor"));
    for (; c->count < n; c->count++) {
        const ent_hdf5_dataset *d = ent_hdf5_reader_at(c->h5, c->count);
        ent_contents_tensor *t = &c->tensors[c->count];
        *t = (ent_contents_tensor){.type = ENT_ST_F32,
                                   .n_dims = d->n_dims,
                                   .count = d->count,
                                   .bytes = d->count * sizeof(float),
                                   .file = c->path};
        memcpy(t->shape, d->shape, d->n_dims * sizeof *t->shape);
        ENT_TRY(ent_strdup(&t->name, d->path + 1));
    }
    ent_contents_add_state(c->settings, ent_hdf5_reader_state(c->h5));
    const ent_status st = ent_checkpoint_metadata(&c->metadata, &beside, c->path);
    free(beside);
    return st == ENT_OK ? ENT_OK : ent_strdup(&c->fault, ent_message());
}

static ent_status open_adapter(ent_contents *c)
{
    ent_lora_config config;
    char *path;
    ENT_TRY(ent_peft_read_config(&config, c->path));
    ent_contents_add_lora(c->settings, &config);
    ent_lora_config_clear(&config);
    ENT_TRY(ent_format(&path, "%s/adapter_model.safetensors", c->path));
    const ent_status st = add_files(c, path, false);
    free(path);
    return st;
}

static ent_status open_model(ent_contents *c)
{
    ent_model_config config;
    ENT_TRY(ent_model_config_load(&config, c->path));
    ent_contents_add_model(c->settings, &config);
    return add_files(c, c->path, true);
}

static ent_status open_safetensors(ent_contents *c)
{
    return add_files(c, c->path, false);
}

ent_status ent_contents_open(ent_contents **out, const char *path)
{
    static ent_status (*const openers[ENT_KINDS])(ent_contents *) = {open_checkpoint, open_adapter, open_model,
                                                                     open_safetensors, ent_contents_open_gguf};
    ent_contents *c;
    ent_status st;
    *out = NULL;
    ENT_TRY(ent_calloc(&c, 1, sizeof *c, path));
    c->settings = ent_json_new_object();
    ENT_GO(ent_kind_find(&c->kind, &c->path, &c->run, path));
    ENT_GO(openers[c->kind](c));
    *out = c;
    return ENT_OK;
done:
    ent_contents_close(c);
    return st;
}

const ent_contents_tensor *ent_contents_find(const ent_contents *c, const char *name)
{
    static const char params[] = "params/";
    for (size_t i = 0; i < c->count; i++) {
        const char *own = c->tensors[i].name;
        if (strcmp(own, name) == 0 ||
            (c->h5 && strncmp(own, params, sizeof params - 1) == 0 && strcmp(own + sizeof params - 1, name) == 0))
            return &c->tensors[i];
    }
    return NULL;
}

const char *ent_contents_type_name(const ent_contents_tensor *t)
{
    return t->blocks ? t->blocks->name : ent_st_type_name(t->type);
}

bool ent_contents_same_type(const ent_contents_tensor *a, const ent_contents_tensor *b)
{
    return a->type == b->type && a->blocks == b->blocks;
}

ent_status ent_contents_bytes(const void **out, ent_contents *c, const ent_contents_tensor *t, size_t first, size_t n)
{
    const size_t i = (size_t)(t - c->tensors), size = ent_st_type_size(t->type);
    if (c->h5) {
        *out = c->stretch;
        return ent_hdf5_reader_read(c->stretch, c->h5, i, first, n);
    }
    c->unreleased += n * size;
    if (c->unreleased >= RELEASE_BYTES) {
        c->gguf ? ent_gguf_release(c->gguf) : ent_safetensors_release(c->files);
        c->unreleased = 0;
    }
    if (c->gguf)
        return ent_contents_gguf_bytes(out, c, i, first, n);
    *out = (const char *)ent_safetensors_at(c->files, i)->data + first * size;
    return ENT_OK;
}

ent_status ent_contents_each(ent_contents *c, const ent_contents_tensor *t, ent_contents_take *take, void *context)
{
    double *x;
    ent_status st = ENT_OK;
    ENT_TRY(ent_calloc(&x, ENT_STRETCH, sizeof *x, "a piece of a tensor"));
    for (size_t first = 0; first < t->count && st == ENT_OK; first += ENT_STRETCH) {
        const size_t n = t->count - first < ENT_STRETCH ? t->count - first : ENT_STRETCH;
        const void *bytes;
        st = ent_contents_bytes(&bytes, c, t, first, n);
        if (st != ENT_OK)
            break;
        ent_st_values(x, bytes, t->type, n);
        take(context, x, n);
    }
    free(x);
    return st;
}
