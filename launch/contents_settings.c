/* Settings as they are shown: see launch/contents_parts.h. */
#include <inttypes.h>
#include <stdio.h>

#include "io/lora_modules.h"
#include "io/lora_saved.h"
#include "launch/contents_parts.h"

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

void ent_contents_add_state(ent_json *to, const ent_ckpt_state *s)
{
    ent_json_add_int(to, "step", s->step);
    ent_json_add_double(to, "epoch", s->epoch);
    ent_json_add_int(to, "unit_position", s->unit_position);
    add_seed(to, s->seed);
    ent_json_add_string(to, "kernel", s->kernel);
    ent_json_add_string(to, "config_hash", s->config_hash);
}

void ent_contents_add_lora(ent_json *to, const ent_lora_config *c)
{
    ent_json_add_int(to, "r", (int64_t)c->r);
    ent_json_add_double(to, "alpha", c->alpha);
    ent_json_add_double(to, "dropout", c->dropout);
    ent_json_add_bool(to, "use_rslora", c->use_rslora);
    ent_json_add_bool(to, "use_dora", c->use_dora);
    if (c->ranks.count)
        ent_lora_patterns_put(to, "rank_pattern", &c->ranks, false);
    if (c->alphas.count)
        ent_lora_patterns_put(to, "alpha_pattern", &c->alphas, false);
    if (c->saved.count)
        ent_lora_names_put(to, "modules_to_save", &c->saved);
    ent_json *targets = ent_json_add_array(to, "target_modules");
    for (unsigned proj = 0; proj < ENT_N_PROJ; proj++)
        if (c->targets >> proj & 1)
            ent_json_add_string(targets, NULL, ent_proj_name((ent_proj)proj));
    if (c->layers) {
        ent_json *layers = ent_json_add_array(to, "layers");
        for (size_t i = 0; i < c->n_layers; i++)
            if (c->layers[i])
                ent_json_add_int(layers, NULL, (int64_t)i);
    }
}

void ent_contents_add_model(ent_json *to, const ent_model_config *c)
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

void ent_contents_add_shape(ent_json *to, const char *key, const ent_contents_tensor *t)
{
    ent_json *list = ent_json_add_array(to, key);
    for (size_t i = 0; i < t->n_dims; i++)
        ent_json_add_int(list, NULL, (int64_t)t->shape[i]);
}
