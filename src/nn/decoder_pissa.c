/* PiSSA (Meng et al. 2024, arXiv:2404.02948): adapters begin with the largest singular values of their weight, W = s B
 * A + the rest, and the rest is frozen. Here W stays, mapped and shared, and s B A of the beginning is subtracted where
 * it is multiplied. */
#include <math.h>
#include <stdlib.h>

#include "src/base/mem.h"
#include "src/nn/decoder_parts.h"
#include "src/nn/svd.h"

ent_status ent_decoder_take_first(ent_decoder *d)
{
    const size_t count = ent_decoder_projections(d);
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (projection_at(d, i)->lora_a)
            n += ent_tensor_count(projection_at(d, i)->lora_a) + ent_tensor_count(projection_at(d, i)->lora_b);
    ENT_TRY(ent_calloc(&d->first.tensors, 2 * count, sizeof *d->first.tensors, "first adapters"));
    ENT_TRY(ent_calloc(&d->first.values, n, sizeof *d->first.values, "first adapters"));
    d->first.bytes = n * sizeof *d->first.values;
    n = 0;
    for (size_t i = 0; i < count; i++) {
        projection *p = projection_at(d, i);
        const ent_tensor *of[] = {p->lora_a, p->lora_b};
        ent_tensor **to[] = {&p->first_a, &p->first_b};
        for (size_t k = 0; p->lora_a && k < 2; k++) {
            *to[k] = &d->first.tensors[2 * i + k];
            **to[k] = ent_tensor_view(d->first.values + n, 2, of[k]->shape);
            n += ent_tensor_count(of[k]);
        }
    }
    return ENT_OK;
}

/* A = (sigma / s)^(1/2) V^T, B = U (sigma / s)^(1/2), as PEFT's pissa_init: s B A has the r largest values of W. */
static ent_status init(projection *p)
{
    const size_t r = p->lora_a->shape[0], in = p->lora_a->shape[1], out = p->lora_b->shape[0];
    ent_real *a = ent_values(p->first_a), *b = ent_values(p->first_b), *u = NULL;
    double *sigma = NULL;
    ent_status st;
    ENT_GO(ent_calloc(&u, r * out, sizeof *u, "singular vectors"));
    ENT_GO(ent_calloc(&sigma, r, sizeof *sigma, "singular values"));
    ENT_GO(ent_svd_top(u, sigma, a, r, p->w, p->number));
    for (size_t k = 0; k < r; k++) {
        const ent_real root = (ent_real)sqrt(sigma[k] / (double)p->scale);
        for (size_t j = 0; j < in; j++)
            a[k * in + j] *= root;
        for (size_t i = 0; i < out; i++)
            b[i * r + k] = u[k * out + i] * root;
    }
    memcpy(ent_values(p->lora_a), a, r * in * sizeof *a);
    memcpy(ent_values(p->lora_b), b, r * out * sizeof *b);
done:
    free(u);
    free(sigma);
    return st;
}

ent_status ent_decoder_init_pissa(ent_decoder *d, bool (*stop)(void))
{
    for (size_t i = 0; d->first.values && i < ent_decoder_projections(d); i++) {
        if (stop && stop())
            return ent_fail(ENT_ESTOPPED, "stopped");
        if (projection_at(d, i)->lora_a)
            ENT_TRY(init(projection_at(d, i)));
    }
    return ENT_OK;
}

void ent_decoder_first(const ent_tensor **a, const ent_tensor **b, const ent_decoder *d, size_t l, ent_proj proj)
{
    *a = d->layers[l].proj[proj].first_a;
    *b = d->layers[l].proj[proj].first_b;
}
