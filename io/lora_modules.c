#include "io/lora_modules.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_value.h"
#include "io/lora_saved.h"
#include "src/base/mem.h"
#include "src/text/module_pattern.h"

void ent_lora_patterns_clear(ent_lora_patterns *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->items[i].key);
    free(p->items);
    *p = (ent_lora_patterns){0};
}

void ent_lora_config_clear(ent_lora_config *config)
{
    ent_lora_patterns_clear(&config->ranks);
    ent_lora_patterns_clear(&config->alphas);
    ent_lora_names_clear(&config->saved);
    free(config->modules);
    free(config->layers);
    *config = (ent_lora_config){0};
}

/* A key that was checked. */
static ent_status append(ent_lora_patterns *to, const char *key, double value)
{
    size_t capacity = to->count;
    ENT_TRY(ent_grow(&to->items, &capacity, to->count + 1, sizeof *to->items, "patterns of modules"));
    ent_lora_pattern *p = &to->items[to->count];
    p->value = value;
    ENT_TRY(ent_strdup(&p->key, key));
    to->count++;
    return ENT_OK;
}

static ent_status copy_patterns(ent_lora_patterns *out, const ent_lora_patterns *from)
{
    for (size_t i = 0; i < from->count; i++)
        ENT_TRY(append(out, from->items[i].key, from->items[i].value));
    return ENT_OK;
}

ent_status ent_lora_config_copy(ent_lora_config *out, const ent_lora_config *from)
{
    *out = *from;
    out->layers = NULL;
    out->modules = NULL;
    out->ranks = out->alphas = (ent_lora_patterns){0};
    out->saved = (ent_lora_names){0};
    if (from->layers) {
        ENT_TRY(ent_calloc(&out->layers, from->n_layers, 1, "layers"));
        memcpy(out->layers, from->layers, from->n_layers);
    }
    if (from->modules) {
        ENT_TRY(ent_calloc(&out->modules, from->n_modules, sizeof *out->modules, "modules"));
        memcpy(out->modules, from->modules, from->n_modules * sizeof *out->modules);
    }
    ENT_TRY(ent_lora_names_copy(&out->saved, &from->saved));
    ENT_TRY(copy_patterns(&out->ranks, &from->ranks));
    return copy_patterns(&out->alphas, &from->alphas);
}

ent_status ent_lora_patterns_add(ent_lora_patterns *to, const char *key, double value, const char *where)
{
    if (to->count == ENT_LORA_MOST_PATTERNS)
        return ent_fail(ENT_EUNSUPPORTED, "%s: more than %d patterns", where, ENT_LORA_MOST_PATTERNS);
    ENT_TRY(ent_module_pattern_check(key, where));
    return append(to, key, value);
}

ent_status ent_lora_patterns_read(ent_lora_patterns *to, const ent_json *object, bool ranks, const char *where)
{
    if (!ent_json_is_null(object) && !ent_json_is_object(object))
        return ent_fail(ENT_EFORMAT, "%s: expected an object of patterns and numbers", where);
    for (const ent_json *item = ent_json_first(object); item; item = ent_json_next(item)) {
        const double x = ent_json_number(item);
        if (ranks && !(x >= 1 && x <= ENT_LORA_MOST_R && x == floor(x)))
            return ent_fail(ENT_EFORMAT, "%s: %.200s: expected an integer from 1 to %d", where, ent_json_key(item),
                            ENT_LORA_MOST_R);
        if (!(x > 0 && x <= ENT_LORA_MOST_ALPHA))
            return ent_fail(ENT_EFORMAT, "%s: %.200s: expected a number above 0, at most %d", where, ent_json_key(item),
                            ENT_LORA_MOST_ALPHA);
        ENT_TRY(ent_lora_patterns_add(to, ent_json_key(item), x, where));
    }
    return ENT_OK;
}

void ent_lora_patterns_put(ent_json *to, const char *key, const ent_lora_patterns *p, bool null)
{
    if (p->count == 0 && null) {
        ent_json_add_null(to, key);
        return;
    }
    ent_json *object = ent_json_add_object(to, key);
    for (size_t i = 0; i < p->count; i++)
        ent_json_add_double(object, p->items[i].key, p->items[i].value);
}

/* *out = the number of the first pattern that takes the module; p->count: none does. */
static ent_status first_that_takes(size_t *out, const ent_lora_patterns *p, size_t layer, ent_proj proj)
{
    char module[128];
    snprintf(module, sizeof module, "model.layers.%zu.%s.%s", layer, ent_proj_block(proj), ent_proj_name(proj));
    bool takes = false;
    for (*out = 0; *out < p->count; ++*out) {
        ENT_TRY(ent_module_pattern_takes(&takes, p->items[*out].key, module));
        if (takes)
            break;
    }
    return ENT_OK;
}

ent_status ent_lora_resolve(ent_lora_config *c, size_t n_layers)
{
    free(c->modules);
    c->modules = NULL;
    c->n_modules = 0;
    if (c->ranks.count == 0 && c->alphas.count == 0)
        return ENT_OK;
    ENT_TRY(ent_calloc(&c->modules, n_layers * ENT_N_PROJ, sizeof *c->modules, "modules"));
    c->n_modules = n_layers * ENT_N_PROJ;
    for (size_t l = 0; l < n_layers; l++)
        for (ent_proj p = 0; p < ENT_N_PROJ; p++) {
            ent_lora_module *m = &c->modules[l * ENT_N_PROJ + p];
            size_t i;
            if (!ent_lora_adapts(c, l, p))
                continue;
            ENT_TRY(first_that_takes(&i, &c->ranks, l, p));
            m->r = i < c->ranks.count ? (size_t)c->ranks.items[i].value : 0;
            ENT_TRY(first_that_takes(&i, &c->alphas, l, p));
            m->alpha = i < c->alphas.count ? c->alphas.items[i].value : 0;
        }
    return ENT_OK;
}

static ent_status all_act(const ent_lora_patterns *patterns, const ent_lora_config *c, size_t n_layers,
                          const char *where, const char *what)
{
    for (size_t i = 0; i < patterns->count; i++) {
        bool acts = false;
        for (size_t l = 0; l < n_layers && !acts; l++)
            for (ent_proj p = 0; p < ENT_N_PROJ && !acts; p++) {
                size_t first;
                if (!ent_lora_adapts(c, l, p))
                    continue;
                ENT_TRY(first_that_takes(&first, patterns, l, p));
                acts = first == i;
            }
        if (!acts)
            return ent_fail(ENT_ECONFIG,
                            "%s.%s: \"%.200s\": expected to take an adapted module, such as model.layers.0.self_attn."
                            "q_proj, that no pattern before it takes",
                            where, what, patterns->items[i].key);
    }
    return ENT_OK;
}

ent_status ent_lora_patterns_act(const ent_lora_config *c, size_t n_layers, const char *where)
{
    ENT_TRY(all_act(&c->ranks, c, n_layers, where, "rank_pattern"));
    return all_act(&c->alphas, c, n_layers, where, "alpha_pattern");
}
