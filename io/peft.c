#include "io/peft.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_value.h"
#include "io/lora_saved.h"
#include "src/base/mem.h"

enum { MAX_LAYERS = 10000, MAX_R = ENT_LORA_MOST_R };

#define ALL_TARGETS ((1u << ENT_N_PROJ) - 1)

/* Keys that are read below. Every other that is in use is refused unless it is harmless. */
static const char *const read_keys[] = {
    "peft_type",
    "r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "task_type",
    "bias",
    "layers_pattern",
    "layers_to_transform",
    "use_rslora",
    "use_dora",
    "init_lora_weights",
    "rank_pattern",
    "alpha_pattern",
    "modules_to_save",
};

/* Keys without effect on what a loaded adapter computes: where it comes from, how its numbers began, and settings of
 * methods that are switched on by other keys. */
static const char *const harmless_keys[] = {
    "auto_mapping",   "base_model_name_or_path", "inference_mode", "loftq_config",      "eva_config", "corda_config",
    "lora_ga_config", "megatron_core",           "peft_version",   "qalora_group_size", "revision",   "runtime_config",
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static ent_status check_keys(const ent_json *json, const char *path)
{
    for (const ent_json *item = ent_json_first(json); item; item = ent_json_next(item)) {
        const char *key = ent_json_key(item);
        if (!ent_json_key_in(key, read_keys, COUNT(read_keys)) &&
            !ent_json_key_in(key, harmless_keys, COUNT(harmless_keys)) && !ent_json_is_trivial(item))
            return ent_json_unsupported(path, key, item);
    }
    return ENT_OK;
}

/* Keys that are understood in one value only. */
static ent_status check_fixed(const ent_json *json, const char *path)
{
    static const struct {
        const char *key, *value;
    } fixed[] = {{"peft_type", "LORA"}, {"task_type", "CAUSAL_LM"}, {"bias", "none"}};
    for (size_t i = 0; i < COUNT(fixed); i++) {
        const ent_json *member = ent_json_member(json, fixed[i].key);
        const char *value;
        if (i == 0)
            ENT_TRY(ent_json_get_string(&value, json, fixed[i].key, path));
        else
            ENT_TRY(ent_json_get_string_or(&value, json, fixed[i].key, fixed[i].value, path));
        if (strcmp(value, fixed[i].value) != 0)
            return ent_json_unsupported(path, fixed[i].key, member);
    }
    return ENT_OK;
}

/* How the numbers began doesn't matter, but for the ways that change the base weights (PiSSA, OLoRA, LoftQ, CorDA). */
static ent_status check_init(const ent_json *json, const char *path)
{
    static const char *const plain[] = {"gaussian", "eva", "orthogonal"};
    const ent_json *init = ent_json_member(json, "init_lora_weights");
    const char *word = ent_json_string(init);
    if (ent_json_is_null(init) || ent_json_is_bool(init) || (word && ent_json_key_in(word, plain, COUNT(plain))))
        return ENT_OK;
    return ent_json_unsupported(path, "init_lora_weights", init);
}

/* One entry of target_modules: PEFT takes every module whose path ends with it, after a dot. */
static ent_status add_target(unsigned *targets, const ent_json *item, const char *path)
{
    const char *name = ent_json_string(item);
    for (unsigned proj = 0; name && proj < ENT_N_PROJ; proj++) {
        char full[32];
        snprintf(full, sizeof full, "%s.%s", ent_proj_block((ent_proj)proj), ent_proj_name((ent_proj)proj));
        if (strcmp(name, ent_proj_name((ent_proj)proj)) == 0 || strcmp(name, full) == 0) {
            *targets |= 1u << proj;
            return ENT_OK;
        }
    }
    return ent_json_unsupported(path, "target_modules", item);
}

static ent_status read_targets(unsigned *targets, const ent_json *json, const char *path)
{
    const ent_json *member = ent_json_member(json, "target_modules");
    const char *word = ent_json_string(member);
    *targets = 0;
    if (word && strcmp(word, "all-linear") == 0) { /* every linear layer but lm_head */
        *targets = ALL_TARGETS;
        return ENT_OK;
    }
    if (word)
        return ent_json_unsupported(path, "target_modules", member);
    if (!ent_json_is_array(member) || ent_json_first(member) == NULL)
        return ent_fail(ENT_EFORMAT, "%s: target_modules: expected a list of names or \"all-linear\"", path);
    for (const ent_json *item = ent_json_first(member); item; item = ent_json_next(item))
        ENT_TRY(add_target(targets, item, path));
    return ENT_OK;
}

static bool is_index(const ent_json *json)
{
    const double x = ent_json_number(json);
    return x >= 0 && x < MAX_LAYERS && x == floor(x);
}

/* layers_to_transform: null, a list of indices, or one index. */
static ent_status read_layers(ent_lora_config *out, const ent_json *json, const char *path)
{
    const ent_json *member = ent_json_member(json, "layers_to_transform");
    const ent_json *pattern = ent_json_member(json, "layers_pattern");
    const bool list = ent_json_is_array(member);
    const ent_json *first = list ? ent_json_first(member) : member;
    /* PEFT's own pattern takes the first number in a module's path, which in these models is the layer */
    const bool one = ent_json_is_array(pattern) && ent_json_count(pattern) == 1;
    const char *word = ent_json_string(one ? ent_json_first(pattern) : pattern);
    if (!ent_json_is_trivial(pattern) && (word == NULL || strcmp(word, "layers") != 0))
        return ent_json_unsupported(path, "layers_pattern", pattern);
    if (ent_json_is_null(member))
        return ENT_OK;
    if (first == NULL)
        return ent_json_unsupported(path, "layers_to_transform", member);
    for (const ent_json *item = first; item; item = list ? ent_json_next(item) : NULL) {
        if (!is_index(item))
            return ent_fail(ENT_EFORMAT, "%s: layers_to_transform: expected indices of layers from 0 to %d", path,
                            MAX_LAYERS - 1);
        const size_t n = (size_t)ent_json_number(item) + 1;
        out->n_layers = n > out->n_layers ? n : out->n_layers;
    }
    ENT_TRY(ent_calloc(&out->layers, out->n_layers, 1, "layers"));
    for (const ent_json *item = first; item; item = list ? ent_json_next(item) : NULL)
        out->layers[(size_t)ent_json_number(item)] = 1;
    return ENT_OK;
}

/* The order of the keys decides where several take a module. */
static ent_status read_patterns(ent_lora_patterns *out, const ent_json *json, const char *key, const char *path)
{
    char *where;
    ENT_TRY(ent_format(&where, "%s: %s", path, key));
    const ent_status st =
        ent_lora_patterns_read(out, ent_json_member(json, key), strcmp(key, "rank_pattern") == 0, where);
    free(where);
    return st;
}

static ent_status read_saved(ent_lora_names *out, const ent_json *json, const char *path)
{
    char *where;
    ENT_TRY(ent_format(&where, "%s: modules_to_save", path));
    const ent_status st = ent_lora_names_read(out, ent_json_member(json, "modules_to_save"), where);
    free(where);
    return st;
}

static ent_status read_all(ent_lora_config *out, const ent_json *json, const char *path)
{
    int64_t r;
    if (!ent_json_is_object(json))
        return ent_fail(ENT_EFORMAT, "%s: expected an object", path);
    ENT_TRY(check_fixed(json, path));
    ENT_TRY(check_keys(json, path));
    ENT_TRY(check_init(json, path));
    ENT_TRY(ent_json_get_int_or(&r, json, "r", 8, path));
    if (r < 1 || r > MAX_R)
        return ent_fail(ENT_EFORMAT, "%s: r: expected an integer from 1 to %d, found %lld", path, MAX_R, (long long)r);
    out->r = (size_t)r;
    ENT_TRY(ent_json_get_double_or(&out->alpha, json, "lora_alpha", 8, path));
    if (!(out->alpha > 0 && out->alpha <= 1e6))
        return ent_fail(ENT_EFORMAT, "%s: lora_alpha: expected more than 0, at most 1e6, found %g", path, out->alpha);
    ENT_TRY(ent_json_get_double_or(&out->dropout, json, "lora_dropout", 0, path));
    if (!(out->dropout >= 0 && out->dropout < 1))
        return ent_fail(ENT_EFORMAT, "%s: lora_dropout: expected from 0 to below 1, found %g", path, out->dropout);
    ENT_TRY(ent_json_get_bool_or(&out->use_rslora, json, "use_rslora", false, path));
    ENT_TRY(ent_json_get_bool_or(&out->use_dora, json, "use_dora", false, path));
    ENT_TRY(read_patterns(&out->ranks, json, "rank_pattern", path));
    ENT_TRY(read_patterns(&out->alphas, json, "alpha_pattern", path));
    ENT_TRY(read_saved(&out->saved, json, path));
    ENT_TRY(read_targets(&out->targets, json, path));
    return read_layers(out, json, path);
}

ent_status ent_peft_read_config(ent_lora_config *out, const char *folder)
{
    ent_status st;
    char *path = NULL;
    ent_json *json = NULL;
    *out = (ent_lora_config){0};
    ENT_GO(ent_format(&path, "%s/adapter_config.json", folder));
    ENT_GO(ent_json_read_file(&json, path));
    ENT_GO(read_all(out, json, path));
done:
    if (st != ENT_OK)
        ent_lora_config_clear(out);
    ent_json_free(json);
    free(path);
    return st;
}
