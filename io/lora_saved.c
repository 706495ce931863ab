#include "io/lora_saved.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

void ent_lora_names_clear(ent_lora_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (ent_lora_names){0};
}

static ent_status append(ent_lora_names *to, const char *name)
{
    size_t capacity = to->count;
    ENT_TRY(ent_grow(&to->items, &capacity, to->count + 1, sizeof *to->items, "names of modules"));
    ENT_TRY(ent_strdup(&to->items[to->count], name));
    to->count++;
    return ENT_OK;
}

ent_status ent_lora_names_copy(ent_lora_names *out, const ent_lora_names *from)
{
    for (size_t i = 0; i < from->count; i++)
        ENT_TRY(append(out, from->items[i]));
    return ENT_OK;
}

bool ent_lora_names_equal(const ent_lora_names *a, const ent_lora_names *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = strcmp(a->items[i], b->items[i]) == 0;
    return same;
}

ent_status ent_lora_names_add(ent_lora_names *to, const char *name, const char *where)
{
    static const char taken[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.";
    if (to->count == ENT_LORA_MOST_SAVED)
        return ent_fail(ENT_EUNSUPPORTED, "%s: more than %d names", where, ENT_LORA_MOST_SAVED);
    if (*name == 0 || name[strspn(name, taken)] != 0)
        return ent_fail(ENT_EUNSUPPORTED, "%s: \"%.200s\": expected letters, digits, '_' and '.'", where, name);
    return append(to, name);
}

static ent_status refuse_list(const ent_json *found, const char *where)
{
    char *text;
    ENT_TRY(ent_json_print(&text, found, false));
    const ent_status st = ent_fail(ENT_EFORMAT, "%s: expected a list of names, found %.60s", where, text);
    free(text);
    return st;
}

ent_status ent_lora_names_read(ent_lora_names *to, const ent_json *list, const char *where)
{
    if (!ent_json_is_null(list) && !ent_json_is_array(list))
        return refuse_list(list, where);
    for (const ent_json *item = ent_json_first(list); item; item = ent_json_next(item)) {
        if (ent_json_string(item) == NULL)
            return refuse_list(item, where);
        ENT_TRY(ent_lora_names_add(to, ent_json_string(item), where));
    }
    return ENT_OK;
}

void ent_lora_names_put(ent_json *to, const char *key, const ent_lora_names *names)
{
    if (names->count == 0) {
        ent_json_add_null(to, key);
        return;
    }
    ent_json *list = ent_json_add_array(to, key);
    for (size_t i = 0; i < names->count; i++)
        ent_json_add_string(list, NULL, names->items[i]);
}

/* The names of transformers' modules: in the model, in each layer. Those that can be saved come first. */
static const char *const outer[] = {"lm_head",          "model.norm",   "model.embed_tokens",
                                    "model.rotary_emb", "model.layers", "model"};
static const char *const inner[] = {"input_layernorm",
                                    "post_attention_layernorm",
                                    "self_attn.q_norm",
                                    "self_attn.k_norm",
                                    "self_attn.q_proj",
                                    "self_attn.k_proj",
                                    "self_attn.v_proj",
                                    "self_attn.o_proj",
                                    "mlp.gate_proj",
                                    "mlp.up_proj",
                                    "mlp.down_proj",
                                    "mlp.act_fn",
                                    "mlp",
                                    "self_attn",
                                    ""};
enum { SAVED_OUTER = 3, HEAD = 0, EMBEDDING = 2, SAVED_INNER = 4, Q_NORM = 2 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

static ent_status refuse(const char *where, const char *key, const char *module, const char *what)
{
    return ent_fail(
        ENT_ECONFIG,
        "%s: \"%.100s\": takes %s, %s: expected to take lm_head, model.norm, model.embed_tokens or the norms "
        "of layers",
        where, key, module, what);
}

/* What a key takes outside of layers, and of one. */
static ent_status look(bool *takes, const char *key, const ent_model_config *model, size_t layer, const char *where)
{
    char module[128];
    for (size_t i = 0; i < COUNT(outer); i++) {
        if (!ent_lora_key_takes(key, outer[i]))
            continue;
        *takes = true;
        if (i >= SAVED_OUTER)
            return refuse(where, key, outer[i], "which is not one that is saved");
        if (model->tie_word_embeddings && (i == HEAD || i == EMBEDDING))
            return refuse(where, key, outer[i], "whose matrix embed_tokens and lm_head of this model share");
    }
    for (size_t i = 0; i < COUNT(inner); i++) {
        snprintf(module, sizeof module, "model.layers.%zu%s%s", layer, *inner[i] ? "." : "", inner[i]);
        if (!ent_lora_key_takes(key, module) || (i >= Q_NORM && i < SAVED_INNER && !model->qk_norm))
            continue;
        *takes = true;
        if (i >= SAVED_INNER)
            return refuse(where, key, module,
                          strstr(inner[i], "_proj") ? "a projection, which lora.target_modules adapts"
                                                    : "which is not one that is saved");
    }
    return ENT_OK;
}

ent_status ent_lora_saved_act(const ent_lora_config *c, const ent_model_config *model, bool all, const char *where)
{
    for (size_t i = 0; i < c->saved.count; i++) {
        const char *key = c->saved.items[i];
        bool takes = false;
        for (size_t l = 0; l < model->n_layers; l++)
            ENT_TRY(look(&takes, key, model, l, where));
        if (!takes && all)
            return ent_fail(
                ENT_ECONFIG,
                "%s: \"%.100s\": takes no module: expected the end of a path such as lm_head, model.norm or "
                "model.layers.0.input_layernorm",
                where, key);
    }
    return ENT_OK;
}
