/* A decoder's parameters: declared, given initial values, and told what products with them are computed in. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/nn/decoder_parts.h"
#include "src/nn/rope_table.h"
#include "src/quant/fake.h"

ent_params *ent_decoder_params(ent_decoder *decoder)
{
    return &decoder->params;
}

const ent_model_config *ent_decoder_config(const ent_decoder *decoder)
{
    return &decoder->config;
}

void ent_decoder_free(ent_decoder *decoder)
{
    if (decoder == NULL)
        return;
    free(decoder->cosines);
    free(decoder->sines);
    free(decoder->layers);
    free(decoder->first.tensors);
    free(decoder->first.values);
    free(decoder->dora.norms);
    free(decoder->dora.squares);
    free(decoder->dora.scratch);
    ent_params_clear(&decoder->params);
    free(decoder);
}

void ent_decoder_recompute(ent_decoder *decoder, bool on)
{
    decoder->recompute = on;
}

/* What a projection maps from and to. */
static void projection_sizes(size_t *out, size_t *in, const ent_model_config *c, ent_proj proj)
{
    const size_t q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    const size_t sizes[ENT_N_PROJ][2] = {[ENT_Q_PROJ] = {q, c->hidden_size},
                                         [ENT_K_PROJ] = {kv, c->hidden_size},
                                         [ENT_V_PROJ] = {kv, c->hidden_size},
                                         [ENT_O_PROJ] = {c->hidden_size, q},
                                         [ENT_GATE_PROJ] = {c->intermediate_size, c->hidden_size},
                                         [ENT_UP_PROJ] = {c->intermediate_size, c->hidden_size},
                                         [ENT_DOWN_PROJ] = {c->hidden_size, c->intermediate_size}};
    *out = sizes[proj][0];
    *in = sizes[proj][1];
}

static bool has_bias(const ent_model_config *c, ent_proj proj)
{
    if (proj <= ENT_V_PROJ)
        return c->qkv_bias;
    return proj == ENT_O_PROJ ? c->o_bias : c->mlp_bias;
}

static ent_status declare(ent_tensor **out, ent_decoder *d, const char *name, size_t rows, size_t columns,
                          bool trainable)
{
    if (columns == 0)
        return ent_params_declare(out, &d->params, name, 1, &rows, trainable);
    return ent_params_declare(out, &d->params, name, 2, (size_t[]){rows, columns}, trainable);
}

/* lora NULL: it is not adapted. */
static ent_status declare_projection(ent_decoder *d, size_t l, ent_proj p, const ent_lora_config *lora)
{
    projection *proj = &d->layers[l].proj[p];
    char name[256];
    size_t out, in;
    projection_sizes(&out, &in, &d->config, p);
    const bool full = d->train && !d->adapted;
    const char *block = ent_proj_block(p), *kind = ent_proj_name(p);
    proj->number = (uint32_t)(l * ENT_N_PROJ + (size_t)p);
    snprintf(name, sizeof name, "model.layers.%zu.%s.%s.weight", l, block, kind);
    ENT_TRY(declare(&proj->w, d, name, out, in, full));
    if (has_bias(&d->config, p)) {
        snprintf(name, sizeof name, "model.layers.%zu.%s.%s.bias", l, block, kind);
        ENT_TRY(declare(&proj->bias, d, name, out, 0, full));
    }
    if (lora == NULL)
        return ENT_OK;
    const size_t r = ent_lora_rank(lora, l, p);
    proj->scale = (ent_real)ent_lora_scale(lora, l, p);
    snprintf(name, sizeof name, "base_model.model.model.layers.%zu.%s.%s.lora_A.weight", l, block, kind);
    ENT_TRY(declare(&proj->lora_a, d, name, r, in, d->train));
    snprintf(name, sizeof name, "base_model.model.model.layers.%zu.%s.%s.lora_B.weight", l, block, kind);
    ENT_TRY(declare(&proj->lora_b, d, name, out, r, d->train));
    if (!lora->use_dora)
        return ENT_OK;
    snprintf(name, sizeof name, "base_model.model.model.layers.%zu.%s.%s.lora_magnitude_vector", l, block, kind);
    return declare(&proj->magnitude, d, name, out, 0, d->train);
}

static const char adapter_prefix[] = "base_model.model.";

/* A weight of no projection; *out is the adapter's where that saves its module, else the model's. */
static ent_status declare_whole(ent_tensor **out, ent_decoder *d, const char *name, size_t rows, size_t columns,
                                const ent_lora_config *lora)
{
    char saved[256];
    ENT_TRY(declare(out, d, name, rows, columns, d->train && !d->adapted));
    if (lora == NULL || !ent_lora_saves(lora, name))
        return ENT_OK;
    ent_params_find(&d->params, name)->replaced = true;
    snprintf(saved, sizeof saved, "%s%s", adapter_prefix, name);
    return declare(out, d, saved, rows, columns, d->train);
}

static ent_status declare_norm(ent_tensor **out, ent_decoder *d, size_t l, const char *what, size_t size,
                               const ent_lora_config *lora)
{
    char name[256];
    snprintf(name, sizeof name, "model.layers.%zu.%s.weight", l, what);
    return declare_whole(out, d, name, size, 0, lora);
}

static ent_status declare_all(ent_decoder *d, const ent_lora_config *lora)
{
    const ent_model_config *c = &d->config;
    const size_t size = c->hidden_size;
    ENT_TRY(declare_whole(&d->embed_tokens, d, "model.embed_tokens.weight", c->vocab_size, size, lora));
    for (size_t l = 0; l < c->n_layers; l++) {
        layer *y = &d->layers[l];
        ENT_TRY(declare_norm(&y->input_norm, d, l, "input_layernorm", size, lora));
        ENT_TRY(declare_norm(&y->post_attention_norm, d, l, "post_attention_layernorm", size, lora));
        if (c->qk_norm) {
            ENT_TRY(declare_norm(&y->q_norm, d, l, "self_attn.q_norm", c->head_dim, lora));
            ENT_TRY(declare_norm(&y->k_norm, d, l, "self_attn.k_norm", c->head_dim, lora));
        }
        for (ent_proj p = 0; p < ENT_N_PROJ; p++)
            ENT_TRY(declare_projection(d, l, p, lora && ent_lora_adapts(lora, l, p) ? lora : NULL));
    }
    ENT_TRY(declare_whole(&d->norm, d, "model.norm.weight", size, 0, lora));
    d->lm_head = d->embed_tokens;
    if (!c->tie_word_embeddings)
        ENT_TRY(declare_whole(&d->lm_head, d, "lm_head.weight", c->vocab_size, size, lora));
    return ENT_OK;
}

ent_status ent_decoder_set_positions(ent_decoder *d, size_t n)
{
    const size_t half = d->config.head_dim / 2;
    free(d->cosines);
    free(d->sines);
    d->cosines = d->sines = NULL;
    d->max_positions = 0;
    ENT_TRY(ent_calloc(&d->cosines, n, half * sizeof(float), "the table of cosines"));
    ENT_TRY(ent_calloc(&d->sines, n, half * sizeof(float), "the table of sines"));
    d->max_positions = n;
    ent_rope_table(d->cosines, d->sines, &d->config, n);
    return ENT_OK;
}

/* Scales of the projections, behind all other parameters: these stand where they stand without. */
static ent_status declare_scales(ent_decoder *d)
{
    for (size_t i = 0; i < ent_decoder_projections(d); i++) {
        projection *proj = projection_at(d, i);
        char name[256];
        snprintf(name, sizeof name, "%s_scale", proj->w->name);
        ENT_TRY(declare(&proj->weight_scale, d, name, proj->w->shape[0], 0, true));
        d->params.items[d->params.count - 1]->is_scale = true;
    }
    return ENT_OK;
}

static ent_status make(ent_decoder **out, const ent_model_config *config, const ent_lora_config *lora, bool train,
                       bool rounded, size_t max_positions)
{
    ent_status st;
    ent_decoder *d = *out = NULL;
    ENT_GO(ent_calloc(&d, 1, sizeof *d, "a decoder"));
    d->config = *config;
    d->train = train;
    if (lora) {
        d->adapted = true;
        d->dropout = lora->dropout;
    }
    ENT_GO(ent_calloc(&d->layers, config->n_layers, sizeof *d->layers, "layers"));
    ENT_GO(declare_all(d, lora));
    if (rounded)
        ENT_GO(declare_scales(d));
    ENT_GO(ent_params_seal(&d->params));
    ENT_GO(ent_decoder_take_norms(d));
    if (lora && lora->pissa)
        ENT_GO(ent_decoder_take_first(d));
    ENT_GO(ent_decoder_set_positions(d, max_positions));
    *out = d;
    d = NULL;
done:
    ent_decoder_free(d);
    return st;
}

ent_status ent_decoder_new(ent_decoder **out, const ent_model_config *config, const ent_lora_config *lora, bool train,
                           size_t max_positions)
{
    return make(out, config, lora, train, false, max_positions);
}

/* A trainable parameter gets its memory in the buffer; the caller then fills it. */
static ent_real *own_values(ent_decoder *d, ent_tensor *t)
{
    const ent_param *p = ent_params_find(&d->params, t->name);
    assert(p->trainable);
    t->data = d->params.value + p->offset;
    return d->params.value + p->offset;
}

/* Those of modules that the adapter saves, from the model's. */
static void init_saved(ent_decoder *d)
{
    for (size_t i = 0; i < d->params.count; i++) {
        const ent_tensor *base = &d->params.items[i]->tensor;
        char name[256];
        if (!d->params.items[i]->replaced)
            continue;
        snprintf(name, sizeof name, "%s%s", adapter_prefix, base->name);
        ent_real *values = own_values(d, &ent_params_find(&d->params, name)->tensor);
        const size_t columns = ent_tensor_columns(base);
        for (size_t row = 0; row < ent_tensor_rows(base); row++)
            ent_tensor_read(values + row * columns, base, row, 0, columns);
    }
}

void ent_decoder_init_adapters(ent_decoder *d, uint64_t seed)
{
    init_saved(d);
    for (size_t l = 0; l < d->config.n_layers; l++) {
        for (ent_proj p = 0; p < ENT_N_PROJ; p++) {
            const projection *proj = &d->layers[l].proj[p];
            if (proj->lora_a == NULL)
                continue;
            const ent_rng rng = {.seed = seed, .stream = ENT_STREAM_INIT | proj->number << 8};
            const float bound = 1.0f / sqrtf((float)proj->lora_a->shape[1]);
            ent_real *a = own_values(d, proj->lora_a);
            for (size_t i = 0; i < ent_tensor_count(proj->lora_a); i++)
                a[i] = (ent_real)((2 * ent_random_uniform(&rng, i) - 1) * bound);
            own_values(d, proj->lora_b);
            if (proj->magnitude)
                own_values(d, proj->magnitude);
        }
    }
}

void ent_decoder_init_weights(ent_decoder *d, uint64_t seed)
{
    for (size_t i = 0; i < d->params.count; i++) {
        ent_tensor *t = &d->params.items[i]->tensor;
        ent_real *w = own_values(d, t);
        const ent_rng rng = {.seed = seed, .stream = ENT_STREAM_INIT | (uint32_t)i << 8};
        const bool norm = t->n_dims == 1 && strstr(t->name, "norm") != NULL;
        for (size_t j = 0; j < ent_tensor_count(t); j++)
            w[j] = t->n_dims == 2 ? (ent_real)(0.02f * ent_random_normal(&rng, j)) : norm ? 1 : 0;
    }
}

size_t ent_decoder_projections(const ent_decoder *d)
{
    return d->config.n_layers * ENT_N_PROJ;
}

ent_tensor *ent_decoder_projection(ent_decoder *d, size_t i)
{
    return projection_at(d, i)->w;
}

void ent_decoder_set_compute(ent_decoder *d, ent_compute compute)
{
    assert(compute == ENT_COMPUTE_FP32 || !(d->train && !d->adapted));
    for (size_t i = 0; i < ent_decoder_projections(d); i++)
        ent_decoder_projection(d, i)->compute = compute;
    if (strncmp(d->lm_head->name, adapter_prefix, sizeof adapter_prefix - 1) != 0) /* one that trains stays FP32 */
        d->lm_head->compute = compute;
}

/* Scales have memory from the start: no file has them. */
ent_status ent_decoder_new_rounded(ent_decoder **out, const ent_model_config *config, size_t max_positions)
{
    ENT_TRY(make(out, config, NULL, true, true, max_positions));
    for (size_t i = 0; i < ent_decoder_projections(*out); i++)
        own_values(*out, projection_at(*out, i)->weight_scale);
    return ENT_OK;
}

void ent_decoder_init_scales(ent_decoder *d)
{
    for (size_t i = 0; i < ent_decoder_projections(d); i++) {
        const projection *proj = projection_at(d, i);
        const size_t n = proj->w->shape[1];
        for (size_t r = 0; proj->weight_scale && r < proj->w->shape[0]; r++) {
            const ent_real *w = ent_values(proj->w) + r * n;
            ent_real most = 0;
            for (size_t j = 0; j < n; j++)
                most = w[j] > most ? w[j] : -w[j] > most ? -w[j] : most;
            ent_values(proj->weight_scale)[r] =
                most / ENT_FAKE_MOST > ENT_FAKE_LEAST ? most / ENT_FAKE_MOST : ENT_FAKE_LEAST;
        }
    }
}
