#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/atomic_file.h"
#include "io/json.h"
#include "io/lora_saved.h"
#include "io/peft.h"
#include "src/base/mem.h"

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_targets(ent_json *root, unsigned targets)
{
    const char *names[ENT_N_PROJ];
    size_t n = 0;
    for (unsigned proj = 0; proj < ENT_N_PROJ; proj++)
        if (targets >> proj & 1)
            names[n++] = ent_proj_name((ent_proj)proj);
    qsort(names, n, sizeof *names, by_text);
    ent_json *list = ent_json_add_array(root, "target_modules");
    for (size_t i = 0; i < n; i++)
        ent_json_add_string(list, NULL, names[i]);
}

static void add_layers(ent_json *root, const ent_lora_config *config)
{
    if (config->layers == NULL) {
        ent_json_add_null(root, "layers_to_transform");
        return;
    }
    ent_json *list = ent_json_add_array(root, "layers_to_transform");
    for (size_t i = 0; i < config->n_layers; i++)
        if (config->layers[i])
            ent_json_add_int(list, NULL, (int64_t)i);
}

/* *out = the text of adapter_config.json (caller frees). Its keys are ones that PEFT has had since 0.7: older versions
 * refuse a key they don't know, newer ones take their defaults for the rest. */
static ent_status make_config(char **out, const ent_lora_config *config, const char *base_model)
{
    ent_json *root = ent_json_new_object();
    ent_lora_patterns_put(root, "alpha_pattern", &config->alphas, false);
    ent_json_add_null(root, "auto_mapping");
    ent_json_add_string(root, "base_model_name_or_path", base_model);
    ent_json_add_string(root, "bias", "none");
    ent_json_add_bool(root, "fan_in_fan_out", false);
    ent_json_add_bool(root, "inference_mode", true);
    ent_json_add_bool(root, "init_lora_weights", true);
    ent_json_add_null(root, "layers_pattern");
    add_layers(root, config);
    ent_json_add_double(root, "lora_alpha", config->alpha);
    ent_json_add_double(root, "lora_dropout", config->dropout);
    ent_lora_names_put(root, "modules_to_save", &config->saved);
    ent_json_add_string(root, "peft_type", "LORA");
    ent_json_add_int(root, "r", (int64_t)config->r);
    ent_lora_patterns_put(root, "rank_pattern", &config->ranks, false);
    ent_json_add_null(root, "revision");
    add_targets(root, config->targets);
    ent_json_add_string(root, "task_type", "CAUSAL_LM");
    if (config->use_dora) /* came with 0.9 */
        ent_json_add_bool(root, "use_dora", true);
    if (config->use_rslora) /* came with 0.7.2; false is what its absence means */
        ent_json_add_bool(root, "use_rslora", true);
    const ent_status st = ent_json_print(out, root, true);
    ent_json_free(root);
    return st;
}

typedef struct adapter {
    const char *config; /* the text of adapter_config.json */
    const ent_st_tensor *tensors;
    size_t count;
} adapter;

/* The tensors first: a folder with a config has them. */
static ent_status write_files(const char *folder, const void *context)
{
    const adapter *a = context;
    ent_status st;
    char *weights = NULL, *config = NULL;
    ENT_GO(ent_format(&weights, "%s/adapter_model.safetensors", folder));
    ENT_GO(ent_format(&config, "%s/adapter_config.json", folder));
    ENT_GO(ent_safetensors_write(weights, a->tensors, a->count));
    ENT_GO(ent_atomic_write(config, a->config, strlen(a->config)));
done:
    free(weights);
    free(config);
    return st;
}

ent_status ent_peft_write(const char *folder, const ent_lora_config *config, const char *base_model,
                          const ent_st_tensor *tensors, size_t count)
{
    char *text;
    ENT_TRY(make_config(&text, config, base_model));
    const ent_status st = ent_atomic_folder(folder, write_files, &(adapter){text, tensors, count});
    free(text);
    return st;
}
