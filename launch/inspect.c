#include "launch/inspect.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/hdf5_checkpoint.h"
#include "io/model_config.h"
#include "io/path.h"
#include "io/peft.h"
#include "io/safetensors.h"
#include "io/text.h"
#include "src/base/mem.h"

/* Where the description is put. */
typedef struct description {
    ent_json *root, *settings, *tensors;
    size_t n_tensors, n_numbers, n_bytes;
} description;

static double norm_of(const void *data, ent_dtype dtype, size_t n)
{
    enum { BLOCK = 1024 };
    ent_real block[BLOCK];
    const size_t size = ent_dtype_size(dtype);
    double sum = 0;
    for (size_t i = 0; i < n; i += BLOCK) {
        const size_t m = n - i < BLOCK ? n - i : BLOCK;
        ent_convert(block, (const char *)data + i * size, dtype, m);
        for (size_t k = 0; k < m; k++)
            sum += (double)block[k] * (double)block[k];
    }
    return sqrt(sum);
}

static void add_tensor(description *d, const char *name, ent_dtype dtype, size_t n_dims, const size_t *shape,
                       const void *data)
{
    size_t n = 1;
    ent_json *entry = ent_json_add_object(d->tensors, NULL);
    ent_json_add_string(entry, "name", name);
    ent_json_add_string(entry, "dtype", ent_dtype_name(dtype));
    ent_json *list = ent_json_add_array(entry, "shape");
    for (size_t i = 0; i < n_dims; i++) {
        ent_json_add_int(list, NULL, (int64_t)shape[i]);
        n *= shape[i];
    }
    const size_t bytes = n * ent_dtype_size(dtype);
    ent_json_add_int(entry, "bytes", (int64_t)bytes);
    ent_json_add_double(entry, "norm", norm_of(data, dtype, n));
    d->n_tensors++;
    d->n_numbers += n;
    d->n_bytes += bytes;
}

static void add_safetensors(description *d, const ent_safetensors *file)
{
    for (size_t i = 0; i < ent_safetensors_count(file); i++) {
        const ent_st_tensor *t = ent_safetensors_at(file, i);
        add_tensor(d, t->name, t->dtype, t->n_dims, t->shape, t->data);
    }
}

/* A seed may be larger than the integers of JSON. */
static void add_seed(ent_json *to, uint64_t seed)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%" PRIu64, seed);
    if (seed <= INT64_MAX)
        ent_json_add_int(to, "seed", (int64_t)seed);
    else
        ent_json_add_string(to, "seed", digits);
}

static ent_status add_parts(description *d, const ent_hdf5_listing *listing)
{
    static const char *const groups[] = {"params", "optimizer/m", "optimizer/v"};
    for (int g = 0; g < 3; g++) {
        for (size_t i = 0; i < listing->count; i++) {
            const ent_ckpt_tensor *t = &listing->tensors[i];
            const float *data = g == 0 ? t->value : (g == 1 ? t->m : t->v);
            char *name;
            if (data == NULL)
                continue;
            ENT_TRY(ent_format(&name, "%s/%s", groups[g], t->name));
            add_tensor(d, name, ENT_DTYPE_F32, t->n_dims, t->shape, data);
            free(name);
        }
    }
    return ENT_OK;
}

static ent_status inspect_checkpoint(description *d, const char *path)
{
    ent_hdf5_listing listing;
    ENT_TRY(ent_hdf5_checkpoint_list(&listing, path, path));
    const ent_ckpt_state *s = &listing.state;
    ent_json_add_int(d->settings, "step", s->step);
    ent_json_add_double(d->settings, "epoch", s->epoch);
    ent_json_add_int(d->settings, "unit_position", s->unit_position);
    add_seed(d->settings, s->seed);
    ent_json_add_string(d->settings, "kernel", s->kernel);
    ent_json_add_string(d->settings, "config_hash", s->config_hash);
    const ent_status st = add_parts(d, &listing);
    ent_hdf5_listing_free(&listing);
    return st;
}

static ent_status inspect_safetensors(description *d, const char *path)
{
    ent_safetensors *file;
    ENT_TRY(ent_safetensors_open(&file, path));
    add_safetensors(d, file);
    ent_safetensors_close(file);
    return ENT_OK;
}

static ent_status inspect_adapter(description *d, const char *folder)
{
    ent_lora_config c;
    char *path = NULL;
    ent_status st;
    ENT_TRY(ent_peft_read_config(&c, folder));
    ent_json_add_int(d->settings, "r", (int64_t)c.r);
    ent_json_add_double(d->settings, "alpha", c.alpha);
    ent_json_add_double(d->settings, "dropout", c.dropout);
    ent_json_add_bool(d->settings, "use_rslora", c.use_rslora);
    ent_json *targets = ent_json_add_array(d->settings, "target_modules");
    for (unsigned proj = 0; proj < ENT_N_PROJ; proj++)
        if (c.targets >> proj & 1)
            ent_json_add_string(targets, NULL, ent_proj_name((ent_proj)proj));
    if (c.layers) {
        ent_json *layers = ent_json_add_array(d->settings, "layers");
        for (size_t i = 0; i < c.n_layers; i++)
            if (c.layers[i])
                ent_json_add_int(layers, NULL, (int64_t)i);
    }
    ENT_GO(ent_format(&path, "%s/adapter_model.safetensors", folder));
    ENT_GO(inspect_safetensors(d, path));
done:
    free(path);
    ent_lora_config_clear(&c);
    return st;
}

static void add_model(ent_json *to, const ent_model_config *c)
{
    static const char *const scalings[] = {
        [ENT_ROPE_DEFAULT] = "default", [ENT_ROPE_LINEAR] = "linear", [ENT_ROPE_LLAMA3] = "llama3"};
    ent_json_add_string(to, "model_type", c->model_type);
    ent_json_add_int(to, "vocab_size", (int64_t)c->vocab_size);
    ent_json_add_int(to, "hidden_size", (int64_t)c->hidden_size);
    ent_json_add_int(to, "intermediate_size", (int64_t)c->intermediate_size);
    ent_json_add_int(to, "layers", (int64_t)c->n_layers);
    ent_json_add_int(to, "heads", (int64_t)c->n_heads);
    ent_json_add_int(to, "kv_heads", (int64_t)c->n_kv_heads);
    ent_json_add_int(to, "head_dim", (int64_t)c->head_dim);
    ent_json_add_int(to, "max_positions", (int64_t)c->max_position_embeddings);
    ent_json_add_double(to, "rms_norm_eps", c->rms_norm_eps);
    ent_json_add_bool(to, "tied_head", c->tie_word_embeddings);
    ent_json_add_double(to, "rope_theta", c->rope_theta);
    ent_json_add_string(to, "rope_scaling", scalings[c->rope_scaling]);
    ent_json_add_int(to, "sliding_window", (int64_t)c->sliding_window);
}

static ent_status inspect_model(description *d, const char *folder)
{
    ent_model_config config;
    ent_safetensors *weights;
    ENT_TRY(ent_model_config_load(&config, folder));
    ENT_TRY(ent_safetensors_open_model(&weights, folder));
    add_model(d->settings, &config);
    add_safetensors(d, weights);
    ent_safetensors_close(weights);
    return ENT_OK;
}

typedef enum { CHECKPOINT, ADAPTER, MODEL, SAFETENSORS, N_KINDS } kind;

static const struct {
    const char *name;
    ent_status (*inspect)(description *d, const char *path);
} kinds[N_KINDS] = {
    [CHECKPOINT] = {"checkpoint", inspect_checkpoint},
    [ADAPTER] = {"adapter", inspect_adapter},
    [MODEL] = {"model", inspect_model},
    [SAFETENSORS] = {"safetensors", inspect_safetensors},
};

/* *found = whether FOLDER/NAME is a file. */
static ent_status holds(bool *found, const char *folder, const char *name)
{
    char *path;
    ENT_TRY(ent_format(&path, "%s/%s", folder, name));
    *found = ent_path_is_file(path);
    free(path);
    return ENT_OK;
}

/* *out = the checkpoint that FOLDER/latest names (caller frees). */
static ent_status newest_of(char **out, const char *folder)
{
    char *path = NULL, *text = NULL;
    size_t n;
    ent_status st;
    ENT_GO(ent_format(&path, "%s/latest", folder));
    ENT_GO(ent_text_read_file(&text, &n, path));
    text[strcspn(text, "\r\n")] = '\0';
    if (strncmp(text, "step-", 5) != 0 || strchr(text, '/')) {
        st = ent_fail(ENT_EFORMAT, "%s: expected the name of a checkpoint, found \"%.60s\"", path, text);
        goto done;
    }
    ENT_GO(ent_format(out, "%s/%s%s", folder, text, ent_path_ends_with(text, ".h5") ? "" : ".h5"));
done:
    free(text);
    free(path);
    return st;
}

/* What stands at `path`; *out = it, or the newest checkpoint of a run folder (caller frees). */
static ent_status find(char **out, kind *which, const char *path)
{
    bool adapter, model, checkpoints, run;
    if (!ent_path_is_folder(path)) {
        *which = ent_path_ends_with(path, ".safetensors") ? SAFETENSORS : CHECKPOINT;
        return ent_strdup(out, path);
    }
    ENT_TRY(holds(&adapter, path, "adapter_config.json"));
    ENT_TRY(holds(&model, path, "config.json"));
    ENT_TRY(holds(&checkpoints, path, "latest"));
    ENT_TRY(holds(&run, path, "checkpoints/latest"));
    *which = adapter ? ADAPTER : (model ? MODEL : CHECKPOINT);
    if (adapter || model)
        return ent_strdup(out, path);
    if (checkpoints)
        return newest_of(out, path);
    if (!run)
        return ent_fail(ENT_EFORMAT, "%s: expected the folder of an adapter, a model or a run, found none of them",
                        path);
    char *folder;
    ENT_TRY(ent_format(&folder, "%s/checkpoints", path));
    const ent_status st = newest_of(out, folder);
    free(folder);
    return st;
}

ent_status ent_inspect(ent_json **out, const char *path)
{
    description d = {.root = ent_json_new_object()};
    char *found = NULL;
    kind which = CHECKPOINT;
    ent_status st;
    ENT_GO(find(&found, &which, path));
    ent_json_add_string(d.root, "path", found);
    ent_json_add_string(d.root, "kind", kinds[which].name);
    d.settings = ent_json_add_object(d.root, "settings");
    d.tensors = ent_json_add_array(d.root, "tensors");
    ENT_GO(kinds[which].inspect(&d, found));
    ent_json *total = ent_json_add_object(d.root, "total");
    ent_json_add_int(total, "tensors", (int64_t)d.n_tensors);
    ent_json_add_int(total, "numbers", (int64_t)d.n_numbers);
    ent_json_add_int(total, "bytes", (int64_t)d.n_bytes);
    *out = d.root;
    d.root = NULL;
done:
    ent_json_free(d.root);
    free(found);
    return st;
}
