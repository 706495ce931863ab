#include "src/nn/decoder.h"

#include "src/autograd/ops.h"
#include "src/autograd/ops_model.h"
#include "src/nn/decoder_parts.h"
#include "src/quant/fake.h"

/* What a run of tokens is computed from beside the hidden state, as it goes through the layers. */
typedef struct pass {
    const ent_decoder *decoder;
    size_t layer;
    ent_tokens tokens;
    ent_kv_cache *cache; /* of the tokens before; NULL: there are none */
    size_t before;       /* how many there are */
    bool drops;
    ent_rng dropout;
    ent_rounded_rows rounded; /* where a norm is rounded for the products that read it; of no q: none does so */
} pass;

/* y = W x + bias with W rounded, which a product reads in backward, or nobody any more. */
static ent_status project_rounded(ent_tensor **y, ent_tape *tape, const projection *p, ent_tensor *x)
{
    const double n = (double)p->w->shape[1];
    ent_tensor *w;
    ENT_TRY(ent_fake_quantize(&w, tape, p->w, p->weight_scale, (ent_real)(1 / sqrt(ENT_FAKE_MOST * n))));
    ENT_TRY(ent_linear(y, tape, x, w, p->bias, NULL));
    ent_tape_release(tape, w);
    return ENT_OK;
}

/* y = W x + bias, and the adapter's part. */
static ent_status project(ent_tensor **y, ent_tape *tape, const pass *c, ent_proj proj, ent_tensor *x)
{
    const ent_decoder *d = c->decoder;
    const projection *p = &d->layers[c->layer].proj[proj];
    if (p->weight_scale)
        return project_rounded(y, tape, p, x);
    if (p->lora_a == NULL)
        return ent_linear(y, tape, x, p->w, p->bias, NULL);
    ent_adapter adapter = {
        .a = p->lora_a, .b = p->lora_b, .first_a = p->first_a, .first_b = p->first_b, .scale = p->scale};
    if (c->drops && d->dropout > 0) {
        adapter.dropout = (float)d->dropout;
        adapter.rng = c->dropout;
        adapter.rng.stream = ENT_STREAM_DROPOUT | p->number << 8;
    }
    if (p->magnitude == NULL)
        return ent_linear(y, tape, x, p->w, p->bias, &adapter);
    ent_tensor *z;
    ENT_TRY(ent_linear(&z, tape, x, p->w, NULL, &adapter));
    if (proj == ENT_O_PROJ || proj == ENT_DOWN_PROJ)
        ent_tape_tail(tape); /* backward reads z */
    ENT_TRY(ent_magnitude(y, tape, z, p->magnitude, p->bias, p->norms));
    ent_tape_release(tape, z);
    return ENT_OK;
}

/* One of q and k: projection, norm over each head, rotation. */
static ent_status rotated(ent_tensor **y, ent_tape *tape, const pass *c, ent_proj proj, ent_tensor *norm, ent_tensor *x)
{
    const ent_decoder *d = c->decoder;
    const size_t at = c->before * (d->config.head_dim / 2);
    ent_tensor *h, *normed;
    ENT_TRY(project(&h, tape, c, proj, x));
    if (norm) {
        ENT_TRY(ent_rmsnorm(&normed, tape, h, norm, d->config.rms_norm_eps, NULL));
        ent_tape_release(tape, h);
        h = normed;
    }
    ENT_TRY(ent_rope(y, tape, h, d->config.head_dim, d->cosines + at, d->sines + at, c->tokens.doc_start));
    ent_tape_release(tape, h);
    return ENT_OK;
}

/* *o = o_proj(attention(h)): (T, C), where h is the norm of the hidden state */
static ent_status attention_block(ent_tensor **o, ent_tape *tape, const pass *c, ent_tensor *h)
{
    const ent_model_config *config = &c->decoder->config;
    const layer *y = &c->decoder->layers[c->layer];
    const ent_attention_shape shape = {.n_heads = config->n_heads,
                                       .n_kv_heads = config->n_kv_heads,
                                       .head_dim = config->head_dim,
                                       .window = c->layer >= config->first_window_layer ? config->sliding_window : 0,
                                       .doc_start = c->tokens.doc_start,
                                       .before = c->before};
    ent_tensor *q, *k, *v, *a;
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
    if (o_reads && y->proj[ENT_O_PROJ].magnitude == NULL)
        ent_tape_tail(tape);
    ent_tape_release(tape, q);
    ent_tape_release(tape, k);
    ent_tape_release(tape, v);
    ENT_TRY(project(o, tape, c, ENT_O_PROJ, a));
    ent_tape_release(tape, a);
    return ENT_OK;
}

/* *down = down_proj(silu(gate_proj(h)) * up_proj(h)): (T, C) */
static ent_status mlp_block(ent_tensor **down, ent_tape *tape, const pass *c, ent_tensor *h)
{
    ent_tensor *gate, *up, *m;
    ENT_TRY(project(&gate, tape, c, ENT_GATE_PROJ, h));
    ENT_TRY(project(&up, tape, c, ENT_UP_PROJ, h));
    ent_tape_release(tape, h);
    ENT_TRY(ent_silu_mul(&m, tape, gate, up));
    ent_tape_release(tape, gate);
    ent_tape_release(tape, up);
    if (c->decoder->layers[c->layer].proj[ENT_DOWN_PROJ].magnitude == NULL)
        ent_tape_tail(tape);
    ENT_TRY(project(down, tape, c, ENT_DOWN_PROJ, m));
    ent_tape_release(tape, m);
    return ENT_OK;
}

/* A half of a layer adds what its block makes of the norm of the hidden state. */
typedef struct half_layer {
    pass pass;
    ent_status (*block)(ent_tensor **y, ent_tape *tape, const pass *c, ent_tensor *h);
    ent_tensor *norm;
    ent_rounded_rows rounded; /* of the norm, as a projection that reads it needs it */
} half_layer;

/* Number i: two of each layer, and behind them the final norm, which has no block. */
static half_layer half_at(const pass *c, size_t i)
{
    const ent_decoder *d = c->decoder;
    half_layer half = {.pass = *c, .norm = d->norm};
    half.pass.layer = i / 2;
    if (i == 2 * d->config.n_layers)
        return half;
    half.block = i % 2 ? mlp_block : attention_block;
    half.norm = i % 2 ? d->layers[i / 2].post_attention_norm : d->layers[i / 2].input_norm;
    for (ent_proj proj = i % 2 ? ENT_GATE_PROJ : ENT_Q_PROJ; proj <= (i % 2 ? ENT_UP_PROJ : ENT_V_PROJ); proj++) {
        const ent_tensor *w = d->layers[i / 2].proj[proj].w;
        if (w->compute != ENT_COMPUTE_INT8)
            continue;
        half.rounded = c->rounded;
        half.rounded.factors = w->column_factors;
        break;
    }
    return half;
}

/* *y = x + block(norm(x)): a segment. */
static ent_status whole_half(ent_tensor **y, ent_tape *tape, ent_tensor *x, const void *context)
{
    const half_layer *half = context;
    ent_tensor *h, *o;
    ENT_TRY(ent_rmsnorm(&h, tape, x, half->norm, half->pass.decoder->config.rms_norm_eps, &half->rounded));
    ENT_TRY(half->block(&o, tape, &half->pass, h));
    ENT_TRY(ent_add(y, tape, x, o));
    ent_tape_release(tape, o);
    return ENT_OK;
}

/* *x += block(*h), and *h = the norm of that which comes next. */
static ent_status step(ent_tensor **x, ent_tensor **h, ent_tape *tape, const half_layer *half, const half_layer *next)
{
    ent_tensor *before = *x, *o;
    ENT_TRY(half->block(&o, tape, &half->pass, *h));
    ENT_TRY(
        ent_add_rmsnorm(h, x, tape, before, o, next->norm, half->pass.decoder->config.rms_norm_eps, &next->rounded));
    ent_tape_release(tape, o);
    return ENT_OK;
}

/* Hidden states behind layers, which are to be a teacher's. */
typedef struct watch {
    const ent_teaching *teaching;
    const int32_t *targets;
    size_t teacher; /* the one that runs, teaching->count: the student */
    ent_tensor *states[ENT_MAX_MATCHES][ENT_MAX_TEACHERS];
    ent_tensor *loss; /* of the student's layers so far; NULL: none yet */
} watch;

/* Behind a layer: a teacher's state is kept, the student's compared. */
static ent_status look(watch *w, ent_tape *tape, size_t l, ent_tensor *h)
{
    const ent_teaching *t = w->teaching;
    const bool student = w->teacher == t->count;
    for (size_t m = 0; m < t->matches; m++) {
        ent_tensor *part, *before = w->loss;
        if ((student ? t->student[m] : t->teacher[w->teacher][m]) != l)
            continue;
        if (!student) {
            w->states[m][w->teacher] = h;
            ent_tape_keep(h);
            continue;
        }
        ENT_TRY(ent_hidden_loss(&part, tape, h, w->targets, w->states[m], t->weights, t->count,
                                t->hidden / (double)t->matches));
        w->loss = part;
        if (before)
            ENT_TRY(ent_add(&w->loss, tape, before, part));
    }
    return ENT_OK;
}

/* Room for one norm rounded: the next one is rounded when nothing reads the last one any more. */
static ent_status take_rounded(pass *c, ent_tape *tape)
{
    const ent_decoder *d = c->decoder;
    for (size_t i = 0; i < ent_decoder_projections(d); i++)
        if (projection_at(d, i)->w->compute == ENT_COMPUTE_INT8) {
            ENT_TRY(ent_tape_buffer(&c->rounded.scales, tape, c->tokens.n * sizeof(float)));
            return ent_tape_buffer(&c->rounded.q, tape, c->tokens.n * d->config.hidden_size);
        }
    return ENT_OK;
}

/* The final hidden state, normed: (T, C). `w` may be NULL. A state that is looked at, or a segment's, has its norm
 * apart; the gradients that meet in it are then added in one order, computed again or not. */
static ent_status hidden(ent_tensor **h, ent_tape *tape, pass *c, watch *w)
{
    const ent_decoder *d = c->decoder;
    const double eps = d->config.rms_norm_eps;
    const bool recomputes = d->recompute && c->cache == NULL, apart = recomputes || (w && w->teaching->matches);
    ent_tensor *x;
    ENT_TRY(take_rounded(c, tape));
    ENT_TRY(ent_embedding(&x, tape, d->embed_tokens, c->tokens.ids, c->tokens.n));
    const half_layer first = half_at(c, 0);
    if (!apart)
        ENT_TRY(ent_rmsnorm(h, tape, x, first.norm, eps, &first.rounded));
    for (size_t i = 0; i < 2 * d->config.n_layers; i++) {
        const half_layer half = half_at(c, i), next = half_at(c, i + 1);
        ent_tensor *before = x;
        if (recomputes)
            ENT_TRY(ent_tape_recompute(&x, tape, before, whole_half, &half, sizeof half));
        else if (apart)
            ENT_TRY(whole_half(&x, tape, before, &half));
        else
            ENT_TRY(step(&x, h, tape, &half, &next));
        ent_tape_release(tape, before);
        if (w && i % 2)
            ENT_TRY(look(w, tape, i / 2, x));
    }
    if (apart)
        ENT_TRY(ent_rmsnorm(h, tape, x, d->norm, eps, NULL));
    ent_tape_release(tape, x);
    return ENT_OK;
}

/* Of whole documents. */
static ent_status hidden_of(ent_tensor **h, ent_tape *tape, const ent_decoder *d, const ent_tokens *tokens,
                            const ent_rng *dropout, watch *w)
{
    pass c = {.decoder = d, .tokens = *tokens, .drops = dropout != NULL};
    if (dropout)
        c.dropout = *dropout;
    if (!ent_tape_planning(tape))
        for (size_t t = 0; t < tokens->n; t++)
            if (t - (size_t)tokens->doc_start[t] >= d->max_positions)
                return ent_fail(ENT_EINVAL, "a document of more than %zu tokens", d->max_positions);
    return hidden(h, tape, &c, w);
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
    ENT_TRY(hidden(h, tape, &c, NULL));
    ent_kv_cache_grow(cache, n);
    return ENT_OK;
}

ent_status ent_decoder_logits(ent_tensor **logits, ent_tape *tape, ent_decoder *d, const ent_tokens *tokens)
{
    ent_tensor *h;
    ENT_TRY(hidden_of(&h, tape, d, tokens, NULL, NULL));
    return ent_linear(logits, tape, h, d->lm_head, NULL, NULL);
}

ent_status ent_decoder_loss(ent_tensor **loss, ent_tape *tape, ent_decoder *d, const ent_tokens *tokens,
                            const int32_t *targets, const ent_rng *dropout)
{
    ent_tensor *h;
    ENT_TRY(hidden_of(&h, tape, d, tokens, dropout, NULL));
    return ent_lm_head_loss(loss, tape, h, d->lm_head, targets);
}

ent_status ent_decoder_distill_loss(ent_tensor **loss, ent_tape *tape, ent_decoder *d, const ent_tokens *tokens,
                                    const int32_t *targets, const ent_rng *dropout, const ent_teaching *teaching)
{
    ent_tensor *h, *of_logits;
    watch w = {.teaching = teaching, .targets = targets};
    ent_distill_teacher teachers[ENT_MAX_TEACHERS];
    const ent_distillation how = {teachers, teaching->count, teaching->temperature, teaching->alpha};
    const bool recording = ent_tape_recording(tape);
    ent_status st = ENT_OK;
    ent_tape_record(tape, false);
    for (size_t i = 0; i < teaching->count && st == ENT_OK; i++) {
        teachers[i] = (ent_distill_teacher){.w = teaching->teachers[i]->lm_head, .weight = teaching->weights[i]};
        w.teacher = i;
        st = hidden_of(&teachers[i].h, tape, teaching->teachers[i], tokens, NULL, &w);
    }
    ent_tape_record(tape, recording);
    ENT_TRY(st);
    w.teacher = teaching->count;
    ENT_TRY(hidden_of(&h, tape, d, tokens, dropout, &w));
    ENT_TRY(ent_distill_loss(&of_logits, tape, h, d->lm_head, targets, &how));
    *loss = of_logits;
    return w.loss ? ent_add(loss, tape, of_logits, w.loss) : ENT_OK;
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
