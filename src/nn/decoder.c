#include "src/nn/decoder.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/autograd/ops.h"
#include "src/autograd/ops_model.h"
#include "src/base/mem.h"
#include "src/nn/rope_table.h"

typedef struct projection {
    ent_tensor *w, *bias;        /* (out, in), (out) or NULL */
    ent_tensor *lora_a, *lora_b; /* (r, in), (out, r); NULL: not adapted */
    uint32_t number;             /* of its own dropout draws */
} projection;

typedef struct layer {
    projection proj[ENT_N_PROJ];
    ent_tensor *input_norm, *post_attention_norm; /* (C) */
    ent_tensor *q_norm, *k_norm;                  /* (head_dim), or NULL */
} layer;

struct ent_decoder {
    ent_model_config config;
    bool adapted, train, recompute;
    size_t r;
    ent_real scale; /* of the adapters */
    double dropout;
    ent_params params;
    ent_tensor *embed_tokens, *norm, *lm_head;
    layer *layers;
    float *cosines, *sines; /* (max_positions, head_dim / 2) */
    size_t max_positions;
};

/* What a run of tokens is computed from beside the hidden state, as it goes through the layers. */
typedef struct pass {
    const ent_decoder *decoder;
    size_t layer;
    ent_tokens tokens;
    ent_kv_cache *cache; /* of the tokens before; NULL: there are none */
    size_t before;       /* how many there are */
    bool drops;
    ent_rng dropout;
} pass;

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

static ent_status declare_projection(ent_decoder *d, size_t l, ent_proj p, bool adapted)
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
    if (!adapted)
        return ENT_OK;
    snprintf(name, sizeof name, "base_model.model.model.layers.%zu.%s.%s.lora_A.weight", l, block, kind);
    ENT_TRY(declare(&proj->lora_a, d, name, d->r, in, d->train));
    snprintf(name, sizeof name, "base_model.model.model.layers.%zu.%s.%s.lora_B.weight", l, block, kind);
    return declare(&proj->lora_b, d, name, out, d->r, d->train);
}

static ent_status declare_norm(ent_tensor **out, ent_decoder *d, size_t l, const char *what, size_t size)
{
    char name[256];
    snprintf(name, sizeof name, "model.layers.%zu.%s.weight", l, what);
    return declare(out, d, name, size, 0, d->train && !d->adapted);
}

static ent_status declare_all(ent_decoder *d, const ent_lora_config *lora)
{
    const ent_model_config *c = &d->config;
    const bool full = d->train && !d->adapted;
    ENT_TRY(declare(&d->embed_tokens, d, "model.embed_tokens.weight", c->vocab_size, c->hidden_size, full));
    for (size_t l = 0; l < c->n_layers; l++) {
        layer *y = &d->layers[l];
        ENT_TRY(declare_norm(&y->input_norm, d, l, "input_layernorm", c->hidden_size));
        ENT_TRY(declare_norm(&y->post_attention_norm, d, l, "post_attention_layernorm", c->hidden_size));
        if (c->qk_norm) {
            ENT_TRY(declare_norm(&y->q_norm, d, l, "self_attn.q_norm", c->head_dim));
            ENT_TRY(declare_norm(&y->k_norm, d, l, "self_attn.k_norm", c->head_dim));
        }
        const bool chosen = lora && (lora->layers == NULL || (l < lora->n_layers && lora->layers[l]));
        for (ent_proj p = 0; p < ENT_N_PROJ; p++)
            ENT_TRY(declare_projection(d, l, p, chosen && (lora->targets >> p & 1)));
    }
    ENT_TRY(declare(&d->norm, d, "model.norm.weight", c->hidden_size, 0, full));
    d->lm_head = d->embed_tokens;
    if (!c->tie_word_embeddings)
        ENT_TRY(declare(&d->lm_head, d, "lm_head.weight", c->vocab_size, c->hidden_size, full));
    return ent_params_seal(&d->params);
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

ent_status ent_decoder_new(ent_decoder **out, const ent_model_config *config, const ent_lora_config *lora, bool train,
                           size_t max_positions)
{
    ent_status st;
    ent_decoder *d = *out = NULL;
    ENT_GO(ent_calloc(&d, 1, sizeof *d, "a decoder"));
    d->config = *config;
    d->train = train;
    if (lora) {
        d->adapted = true;
        d->r = lora->r;
        d->dropout = lora->dropout;
        d->scale = (ent_real)(lora->alpha / (lora->use_rslora ? sqrt((double)lora->r) : (double)lora->r));
    }
    ENT_GO(ent_calloc(&d->layers, config->n_layers, sizeof *d->layers, "layers"));
    ENT_GO(declare_all(d, lora));
    ENT_GO(ent_decoder_set_positions(d, max_positions));
    *out = d;
    d = NULL;
done:
    ent_decoder_free(d);
    return st;
}

/* A trainable parameter gets its memory in the buffer; the caller then fills it. */
static ent_real *own_values(ent_decoder *d, ent_tensor *t)
{
    const ent_param *p = ent_params_find(&d->params, t->name);
    assert(p->trainable);
    t->data = d->params.value + p->offset;
    return d->params.value + p->offset;
}

void ent_decoder_init_adapters(ent_decoder *d, uint64_t seed)
{
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
    return d->layers[i / ENT_N_PROJ].proj[i % ENT_N_PROJ].w;
}

void ent_decoder_set_compute(ent_decoder *d, ent_compute compute)
{
    assert(compute == ENT_COMPUTE_FP32 || !(d->train && !d->adapted));
    for (size_t i = 0; i < ent_decoder_projections(d); i++)
        ent_decoder_projection(d, i)->compute = compute;
    d->lm_head->compute = compute;
}

/* y = W x + bias, and the adapter's part. */
static ent_status project(ent_tensor **y, ent_tape *tape, const pass *c, ent_proj proj, ent_tensor *x)
{
    const ent_decoder *d = c->decoder;
    const projection *p = &d->layers[c->layer].proj[proj];
    if (p->lora_a == NULL)
        return ent_linear(y, tape, x, p->w, p->bias, NULL);
    ent_adapter adapter = {.a = p->lora_a, .b = p->lora_b, .scale = d->scale};
    if (c->drops && d->dropout > 0) {
        adapter.dropout = (float)d->dropout;
        adapter.rng = c->dropout;
        adapter.rng.stream = ENT_STREAM_DROPOUT | p->number << 8;
    }
    return ent_linear(y, tape, x, p->w, p->bias, &adapter);
}

/* One of q and k: projection, norm over each head, rotation. */
static ent_status rotated(ent_tensor **y, ent_tape *tape, const pass *c, ent_proj proj, ent_tensor *norm, ent_tensor *x)
{
    const ent_decoder *d = c->decoder;
    const size_t at = c->before * (d->config.head_dim / 2);
    ent_tensor *h, *normed;
    ENT_TRY(project(&h, tape, c, proj, x));
    if (norm) {
        ENT_TRY(ent_rmsnorm(&normed, tape, h, norm, d->config.rms_norm_eps));
        ent_tape_release(tape, h);
        h = normed;
    }
    ENT_TRY(ent_rope(y, tape, h, d->config.head_dim, d->cosines + at, d->sines + at, c->tokens.doc_start));
    ent_tape_release(tape, h);
    return ENT_OK;
}

/* *x = *x + a, of which no more is needed. */
static ent_status add_to(ent_tensor **x, ent_tape *tape, ent_tensor *a)
{
    ent_tensor *before = *x;
    ENT_TRY(ent_add(x, tape, before, a));
    ent_tape_release(tape, before);
    ent_tape_release(tape, a);
    return ENT_OK;
}

/* x += o_proj(attention(input_norm(x))): (T, C) */
static ent_status attention_block(ent_tensor **x, ent_tape *tape, const pass *c)
{
    const ent_model_config *config = &c->decoder->config;
    const layer *y = &c->decoder->layers[c->layer];
    const ent_attention_shape shape = {.n_heads = config->n_heads,
                                       .n_kv_heads = config->n_kv_heads,
                                       .head_dim = config->head_dim,
                                       .window = c->layer >= config->first_window_layer ? config->sliding_window : 0,
                                       .doc_start = c->tokens.doc_start,
                                       .before = c->before};
    ent_tensor *h, *q, *k, *v, *a, *o;
    ENT_TRY(ent_rmsnorm(&h, tape, *x, y->input_norm, config->rms_norm_eps));
    ENT_TRY(rotated(&q, tape, c, ENT_Q_PROJ, y->q_norm, h));
    ENT_TRY(rotated(&k, tape, c, ENT_K_PROJ, y->k_norm, h));
    ENT_TRY(project(&v, tape, c, ENT_V_PROJ, h));
    ent_tape_release(tape, h);
    if (c->cache)
        ENT_TRY(ent_kv_cache_put(&k, &v, c->cache, tape, c->layer));
    const bool o_reads =
        y->proj[ENT_O_PROJ].lora_a || y->proj[ENT_O_PROJ].w->requires_grad; /* its input, in backward */
    if (!o_reads)
        ent_tape_tail(tape);
    ENT_TRY(ent_attention(&a, tape, q, k, v, &shape));
    if (o_reads)
        ent_tape_tail(tape);
    ent_tape_release(tape, q);
    ent_tape_release(tape, k);
    ent_tape_release(tape, v);
    ENT_TRY(project(&o, tape, c, ENT_O_PROJ, a));
    ent_tape_release(tape, a);
    return add_to(x, tape, o);
}

/* x += down_proj(silu(gate_proj(h)) * up_proj(h)), h = post_attention_norm(x): (T, C) */
static ent_status mlp_block(ent_tensor **x, ent_tape *tape, const pass *c)
{
    ent_tensor *h, *gate, *up, *m, *down;
    ENT_TRY(
        ent_rmsnorm(&h, tape, *x, c->decoder->layers[c->layer].post_attention_norm, c->decoder->config.rms_norm_eps));
    ENT_TRY(project(&gate, tape, c, ENT_GATE_PROJ, h));
    ENT_TRY(project(&up, tape, c, ENT_UP_PROJ, h));
    ent_tape_release(tape, h);
    ENT_TRY(ent_silu_mul(&m, tape, gate, up));
    ent_tape_release(tape, gate);
    ent_tape_release(tape, up);
    ent_tape_tail(tape);
    ENT_TRY(project(&down, tape, c, ENT_DOWN_PROJ, m));
    ent_tape_release(tape, m);
    return add_to(x, tape, down);
}

static ent_status attention_half(ent_tensor **y, ent_tape *tape, ent_tensor *x, const void *context)
{
    *y = x;
    return attention_block(y, tape, context);
}

static ent_status mlp_half(ent_tensor **y, ent_tape *tape, ent_tensor *x, const void *context)
{
    *y = x;
    return mlp_block(y, tape, context);
}

/* *h = what a half of a layer makes of it. */
static ent_status half(ent_tensor **h, ent_tape *tape, ent_segment run, const pass *c)
{
    ent_tensor *x = *h;
    const bool recomputed = c->decoder->recompute && c->cache == NULL;
    ENT_TRY(recomputed ? ent_tape_recompute(h, tape, x, run, c, sizeof *c) : run(h, tape, x, c));
    ent_tape_release(tape, x);
    return ENT_OK;
}

/* The final hidden state, normed: (T, C) */
static ent_status hidden(ent_tensor **h, ent_tape *tape, pass *c)
{
    const ent_decoder *d = c->decoder;
    ENT_TRY(ent_embedding(h, tape, d->embed_tokens, c->tokens.ids, c->tokens.n));
    for (c->layer = 0; c->layer < d->config.n_layers; c->layer++) {
        ENT_TRY(half(h, tape, attention_half, c));
        ENT_TRY(half(h, tape, mlp_half, c));
    }
    ent_tensor *x = *h;
    ENT_TRY(ent_rmsnorm(h, tape, x, d->norm, d->config.rms_norm_eps));
    ent_tape_release(tape, x);
    return ENT_OK;
}

/* Of whole documents. */
static ent_status hidden_of(ent_tensor **h, ent_tape *tape, const ent_decoder *d, const ent_tokens *tokens,
                            const ent_rng *dropout)
{
    pass c = {.decoder = d, .tokens = *tokens, .drops = dropout != NULL};
    if (dropout)
        c.dropout = *dropout;
    if (!ent_tape_planning(tape))
        for (size_t t = 0; t < tokens->n; t++)
            if (t - (size_t)tokens->doc_start[t] >= d->max_positions)
                return ent_fail(ENT_EINVAL, "a document of more than %zu tokens", d->max_positions);
    return hidden(h, tape, &c);
}

/* Of n tokens after those of the cache, which has them afterwards. */
static ent_status hidden_after(ent_tensor **h, ent_tape *tape, const ent_decoder *d, ent_kv_cache *cache,
                               const int32_t *ids, size_t n)
{
    pass c = {.decoder = d,
              .tokens = {.n = n, .ids = ids, .doc_start = ent_kv_cache_doc_start(cache)},
              .cache = cache,
              .before = ent_kv_cache_length(cache)};
    if (n == 0)
        return ent_fail(ENT_EINVAL, "no tokens to go on from");
    if (ent_tape_recording(tape))
        return ent_fail(ENT_EINVAL, "a cache of keys and values has no backward: recording must be off");
    ENT_TRY(ent_kv_cache_room(cache, n));
    if (c.before + n > d->max_positions)
        return ent_fail(ENT_EINVAL, "a document of more than %zu tokens", d->max_positions);
    ENT_TRY(hidden(h, tape, &c));
    ent_kv_cache_grow(cache, n);
    return ENT_OK;
}

ent_status ent_decoder_logits(ent_tensor **logits, ent_tape *tape, ent_decoder *d, const ent_tokens *tokens)
{
    ent_tensor *h;
    ENT_TRY(hidden_of(&h, tape, d, tokens, NULL));
    return ent_linear(logits, tape, h, d->lm_head, NULL, NULL);
}

ent_status ent_decoder_loss(ent_tensor **loss, ent_tape *tape, ent_decoder *d, const ent_tokens *tokens,
                            const int32_t *targets, const ent_rng *dropout)
{
    ent_tensor *h;
    ENT_TRY(hidden_of(&h, tape, d, tokens, dropout));
    return ent_lm_head_loss(loss, tape, h, d->lm_head, targets);
}

ent_status ent_decoder_next(ent_tensor **logits, ent_tape *tape, ent_decoder *d, ent_kv_cache *cache,
                            const int32_t *ids, size_t n)
{
    ent_tensor *h, *last;
    const size_t columns = d->config.hidden_size;
    ENT_TRY(hidden_after(&h, tape, d, cache, ids, n));
    ENT_TRY(ent_tape_input(&last, tape, ent_values(h) + (n - 1) * columns, 2, (size_t[]){1, columns}, false));
    return ent_linear(logits, tape, last, d->lm_head, NULL, NULL);
}

ent_status ent_decoder_next_loss(ent_tensor **loss, ent_tape *tape, ent_decoder *d, ent_kv_cache *cache,
                                 const int32_t *ids, const int32_t *targets, size_t n)
{
    ent_tensor *h;
    ENT_TRY(hidden_after(&h, tape, d, cache, ids, n));
    return ent_lm_head_loss(loss, tape, h, d->lm_head, targets);
}
