#include "launch/checkpoint_adapter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint.h"
#include "io/lora_saved.h"
#include "io/model_weights.h"
#include "io/number.h"
#include "io/path.h"
#include "io/peft.h"
#include "src/base/mem.h"

bool ent_is_checkpoint(const char *path)
{
    return ent_path_ends_with(path, ".h5");
}

void ent_checkpoint_adapter_close(ent_checkpoint_adapter *a)
{
    ent_lora_config_clear(&a->lora);
    free(a->tensors);
    ent_hdf5_listing_free(&a->listing);
    *a = (ent_checkpoint_adapter){0};
}

/* Patterns that stand as a text of JSON; NULL: there are none. */
static ent_status read_patterns(ent_lora_patterns *out, const char *text, bool ranks, const char *where)
{
    ent_json *json;
    if (text == NULL)
        return ENT_OK;
    ENT_TRY(ent_json_parse(&json, text, strlen(text), where));
    const ent_status st = ent_lora_patterns_read(out, json, ranks, where);
    ent_json_free(json);
    return st;
}

/* The same for names of saved modules. */
static ent_status read_saved(ent_lora_names *out, const char *text, const char *where)
{
    ent_json *json;
    if (text == NULL)
        return ENT_OK;
    ENT_TRY(ent_json_parse(&json, text, strlen(text), where));
    const ent_status st = ent_lora_names_read(out, json, where);
    ent_json_free(json);
    return st;
}

/* Of a run that went on from a PEFT adapter, the settings stand in what decides its numbers: "rank 8, alpha 16, targets
 * 7f, rslora" (launch/run_identity.c). */
static ent_status read_decided(ent_lora_config *lora, const ent_json *metadata, const char *path)
{
    static const char key[] = "lora.path (adapter)", mark[] = ", alpha ";
    const ent_json *decides = ent_json_member(metadata, "decides");
    const char *text = ent_json_string(ent_json_member(decides, key));
    const char *alpha = text ? strstr(text, mark) : NULL, *end = alpha ? strchr(alpha + sizeof mark - 1, ',') : NULL;
    char *digits = NULL;
    if (end)
        ENT_TRY(ent_strndup(&digits, alpha + sizeof mark - 1, (size_t)(end - alpha) - (sizeof mark - 1)));
    const bool good =
        digits && sscanf(text, "rank %9zu,", &lora->r) == 1 && ent_number_read_double(&lora->alpha, digits);
    free(digits);
    if (!good)
        return ent_fail(ENT_EFORMAT, "%s: its metadata: %s: expected an adapter's settings, found %.60s", path, key,
                        text ? text : "nothing");
    lora->use_rslora = strstr(text, ", rslora") != NULL;
    ENT_TRY(read_saved(&lora->saved, ent_json_string(ent_json_member(decides, "lora.path (modules_to_save)")), path));
    ENT_TRY(
        read_patterns(&lora->ranks, ent_json_string(ent_json_member(decides, "lora.path (rank_pattern)")), true, path));
    return read_patterns(&lora->alphas, ent_json_string(ent_json_member(decides, "lora.path (alpha_pattern)")), false,
                         path);
}

static ent_status read_settings(ent_lora_config *lora, const ent_json *metadata, const char *path)
{
    const ent_json *section = ent_json_member(ent_json_member(metadata, "config"), "lora");
    if (!ent_json_is_object(section))
        return ent_fail(ENT_ECONFIG,
                        "%s: holds all weights of a model, expected an adapter: the run's folder model/ is "
                        "that model",
                        path);
    const char *init = ent_json_string(ent_json_member(section, "init"));
    if (init && strcmp(init, "pissa") == 0)
        return ent_fail(ENT_EUNSUPPORTED,
                        "%s: lora.init: pissa: what its adapter began with isn't in it: the run's folders adapter/ and "
                        "adapter-best/ hold both",
                        path);
    if (!ent_json_is_null(ent_json_member(section, "path")))
        ENT_TRY(read_decided(lora, metadata, path));
    else {
        int64_t r;
        ENT_TRY(ent_json_get_int(&r, section, "rank", path));
        lora->r = (size_t)r;
        ENT_TRY(ent_json_get_double(&lora->alpha, section, "alpha", path));
        ENT_TRY(ent_json_get_bool(&lora->use_rslora, section, "use_rslora", path));
        ENT_TRY(ent_lora_names_read(&lora->saved, ent_json_member(section, "modules_to_save"), path));
        ENT_TRY(ent_lora_patterns_read(&lora->ranks, ent_json_member(section, "rank_pattern"), true, path));
        ENT_TRY(ent_lora_patterns_read(&lora->alphas, ent_json_member(section, "alpha_pattern"), false, path));
    }
    if (lora->r < 1 || lora->r > ENT_LORA_MOST_R)
        return ent_fail(ENT_EFORMAT, "%s: its metadata: rank: expected from 1 to %d, found %zu", path, ENT_LORA_MOST_R,
                        lora->r);
    if (!(lora->alpha > 0 && lora->alpha <= 1e6))
        return ent_fail(ENT_EFORMAT, "%s: its metadata: alpha: expected more than 0, at most 1e6, found %g", path,
                        lora->alpha);
    return ENT_OK;
}

ent_status ent_checkpoint_adapter_open(ent_checkpoint_adapter *a, const char *path)
{
    ent_status st;
    ent_json *metadata = NULL;
    ent_lora_config told = {0};
    *a = (ent_checkpoint_adapter){0};
    ENT_GO(ent_checkpoint_read_file(&a->listing, &metadata, path));
    ENT_GO(read_settings(&told, metadata, path));
    ENT_GO(ent_calloc(&a->tensors, a->listing.count, sizeof *a->tensors, "tensors"));
    for (size_t i = 0; i < a->listing.count; i++) {
        const ent_ckpt_tensor *t = &a->listing.tensors[i];
        ent_st_tensor *s = &a->tensors[i];
        *s = (ent_st_tensor){.name = t->name, .n_dims = t->n_dims, .data = t->value, .file = path};
        s->bytes = sizeof(float);
        for (size_t d = 0; d < t->n_dims; d++)
            s->bytes *= s->shape[d] = t->shape[d];
    }
    ENT_GO(ent_adapter_describe(&a->lora, a->tensors, a->listing.count, path));
    told.targets = a->lora.targets;
    told.use_dora = a->lora.use_dora;
    told.layers = a->lora.layers;
    told.n_layers = a->lora.n_layers;
    a->lora.layers = NULL;
    ent_lora_config_clear(&a->lora); /* ranks follow from the patterns */
    a->lora = told;
    told = (ent_lora_config){0};
done:
    ent_lora_config_clear(&told);
    ent_json_free(metadata);
    return st;
}
