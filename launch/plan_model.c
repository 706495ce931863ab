#include "launch/plan_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Attention works on blocks of so many query rows (src/autograd/ops/attention.c). */
enum { BLOCK = 96 };

/* What is known of a unit while walking through its layers. */
typedef struct walk {
    const ent_model_config *config;
    const ent_lora_config *lora; /* NULL: all weights train */
    double n;
    bool recompute;
    ent_unit_flops flops;
    ent_unit_flops again; /* half a layer's forward, but for what serves its result alone */
} walk;

static bool is_adapted(const walk *w, size_t l, ent_proj p)
{
    return w->lora && ent_lora_adapts(w->lora, l, p);
}

/* One linear layer; `propagates`: its input wants a gradient. Whether its output does. */
static bool linear(walk *w, size_t l, ent_proj p, double in, double out, bool propagates)
{
    const double product = 2 * w->n * in * out;
    const bool dora = is_adapted(w, l, p) && w->lora->use_dora; /* backward reads what it multiplies */
    const bool last = (p == ENT_O_PROJ || p == ENT_DOWN_PROJ) && !dora;
    if (w->lora == NULL) { /* forward, input's and weight's gradient */
        w->flops.other += product * (propagates ? 3 : 2);
        w->again.other += last ? 0 : product;
        return true;
    }
    w->flops.frozen += product * (propagates ? 2 : 1);
    w->again.frozen += last ? 0 : product;
    if (!is_adapted(w, l, p))
        return propagates;
    const double r = (double)ent_lora_rank(w->lora, l, p);
    const double a = 2 * w->n * in * r, b = 2 * w->n * out * r;
    w->again.other += last ? a : a + b;
    if (w->lora->pissa) { /* what the adapter began with is subtracted */
        w->flops.other += (a + b) * (propagates ? 2 : 1);
        w->again.other += last ? 0 : a + b;
    }
    w->flops.other += a + b;                            /* u = x A^T, y += u B^T */
    w->flops.other += 2 * b + (propagates ? 2 : 1) * a; /* dB, du; dA, dx */
    return true;
}

/* The scores that one head computes: of each row, from the first key that its block sees to its own. */
static double scores(const walk *w, size_t l)
{
    const ent_model_config *c = w->config;
    const size_t n = (size_t)w->n, window = l >= c->first_window_layer ? c->sliding_window : 0;
    double all = 0;
    for (size_t row = 0; row < n; row += BLOCK) {
        const size_t rows = n - row < BLOCK ? n - row : BLOCK;
        const size_t first = window && row + 1 > window ? row + 1 - window : 0;
        all += (double)rows * ((double)(row - first) + (double)(rows + 1) / 2);
    }
    return all;
}

/* q k^T and p v; backward q k^T again, dp, dk, dv, and dq where it is wanted. */
static bool attention(walk *w, size_t l, bool q, bool k, bool v)
{
    const double product = 2 * scores(w, l) * (double)(w->config->n_heads * w->config->head_dim);
    const bool recorded = q || k || v;
    w->again.other += w->lora == NULL || is_adapted(w, l, ENT_O_PROJ) ? product * 2 : 0;
    w->flops.other += product * (2 + (recorded ? 4 + q : 0));
    return recorded;
}

/* The end of half a layer: backward computes it again, if it goes through it. */
static bool half(walk *w, bool propagates)
{
    w->flops.frozen += w->recompute && propagates ? w->again.frozen : 0;
    w->flops.other += w->recompute && propagates ? w->again.other : 0;
    w->again = (ent_unit_flops){0};
    return propagates;
}

/* Whether the adapter trains a copy of a layer's norm: its output then wants a gradient. */
static bool trains(const walk *w, size_t l, const char *norm)
{
    char name[96];
    snprintf(name, sizeof name, "model.layers.%zu.%s", l, norm);
    return w->lora && ent_lora_saves(w->lora, name);
}

static bool layer(walk *w, size_t l, bool before)
{
    const bool norm = trains(w, l, "input_layernorm"), propagates = before || norm;
    const ent_model_config *c = w->config;
    const double hidden = (double)c->hidden_size, mlp = (double)c->intermediate_size;
    const double q = (double)(c->n_heads * c->head_dim), kv = (double)(c->n_kv_heads * c->head_dim);
    const bool heads = w->config->qk_norm;
    const bool gq = linear(w, l, ENT_Q_PROJ, hidden, q, propagates) || (heads && trains(w, l, "self_attn.q_norm"));
    const bool gk = linear(w, l, ENT_K_PROJ, hidden, kv, propagates) || (heads && trains(w, l, "self_attn.k_norm"));
    const bool gv = linear(w, l, ENT_V_PROJ, hidden, kv, propagates);
    const bool ga = attention(w, l, gq, gk, gv);
    const bool through = half(w, linear(w, l, ENT_O_PROJ, q, hidden, ga) || before);
    const bool go = through || trains(w, l, "post_attention_layernorm");
    const bool gg = linear(w, l, ENT_GATE_PROJ, hidden, mlp, go);
    const bool gu = linear(w, l, ENT_UP_PROJ, hidden, mlp, go);
    return half(w, linear(w, l, ENT_DOWN_PROJ, mlp, hidden, gg || gu) || through);
}

ent_unit_flops ent_plan_unit(const ent_model_config *config, const ent_lora_config *lora, size_t n, size_t targets,
                             bool recompute)
{
    walk w = {.config = config, .lora = lora, .n = (double)n, .recompute = recompute};
    bool propagates = lora == NULL || ent_lora_saves(lora, "model.embed_tokens");
    for (size_t l = 0; l < config->n_layers; l++)
        propagates = layer(&w, l, propagates);
    const double head = 2 * (double)targets * (double)config->vocab_size * (double)config->hidden_size;
    propagates = propagates || (lora && ent_lora_saves(lora, "model.norm"));
    if (lora && !ent_lora_saves(lora, "lm_head"))
        w.flops.frozen += head * (propagates ? 2 : 1);
    else
        w.flops.other += head * (propagates ? 4 : 3); /* logits are computed again for the weight's gradient */
    return w.flops;
}

double ent_plan_norms(const ent_model_config *c, const ent_lora_config *lora)
{
    const double hidden = (double)c->hidden_size, mlp = (double)c->intermediate_size;
    const double q = (double)(c->n_heads * c->head_dim), kv = (double)(c->n_kv_heads * c->head_dim);
    const double sizes[ENT_N_PROJ][2] = {{hidden, q},   {hidden, kv},  {hidden, kv}, {q, hidden},
                                         {hidden, mlp}, {hidden, mlp}, {mlp, hidden}};
    double flops = 0;
    for (size_t l = 0; lora && lora->use_dora && l < c->n_layers; l++)
        for (ent_proj p = 0; p < ENT_N_PROJ; p++) {
            const double in = sizes[p][0], out = sizes[p][1], r = (double)ent_lora_rank(lora, l, p);
            flops += ent_lora_adapts(lora, l, p) ? 2 * r * (in * out + r * in + r * out) : 0;
        }
    return flops;
}

/* A number and one of the units at *text, which then points behind them. False if it isn't there. */
static bool quantity(double *out, const char **text, const char *const *units, const double *factors, size_t n)
{
    char *end;
    *out = strtod(*text, &end);
    if (end == *text || !(*out >= 0) || isinf(*out))
        return false;
    const size_t length = strcspn(end, ",");
    for (size_t i = 0; i < n; i++) {
        if (strlen(units[i]) == length && strncmp(end, units[i], length) == 0) {
            *out *= factors[i];
            *text = end + length;
            return true;
        }
    }
    return false;
}

ent_status ent_network_parse(ent_network *out, const char *text)
{
    static const char *const rates[] = {"bit", "kbit", "Mbit", "Gbit", "Tbit", "B", "kB", "MB", "GB", "TB"};
    static const double rate_factors[] = {1 / 8.0, 1e3 / 8, 1e6 / 8, 1e9 / 8, 1e12 / 8, 1, 1e3, 1e6, 1e9, 1e12};
    static const char *const times[] = {"s", "ms", "us", "ns"};
    static const double time_factors[] = {1, 1e-3, 1e-6, 1e-9};
    const char *at = text;
    if (quantity(&out->bandwidth, &at, rates, rate_factors, 10) && out->bandwidth > 0 && *at++ == ',' &&
        quantity(&out->latency, &at, times, time_factors, 4) && *at == '\0')
        return ENT_OK;
    return ent_fail(ENT_ECONFIG, "--network: expected a rate and a latency such as 100Gbit,2us, found \"%s\"", text);
}

double ent_plan_reduction(const ent_network *network, size_t n, double bytes)
{
    if (n < 2)
        return 0;
    const double ranks = (double)n, transfer = bytes / network->bandwidth;
    const double ring = 2 * (ranks - 1) * network->latency + 2 * (ranks - 1) / ranks * transfer;
    const double doubling = ceil(log2(ranks)) * (network->latency + transfer);
    return ring < doubling ? ring : doubling;
}

double ent_plan_step(const ent_step_parts *parts, const ent_network *network, size_t units, size_t n)
{
    const double most = (double)((units + n - 1) / n); /* units of the rank that has most */
    return most * parts->unit + ent_plan_reduction(network, n, parts->bytes) + parts->update;
}
