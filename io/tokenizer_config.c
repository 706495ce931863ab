#include "io/tokenizer_config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/json.h"
#include "src/base/mem.h"

/* *json = the tree of FOLDER/NAME, NULL if there is no such file; *path names it (caller frees both). */
static ent_status read_optional(ent_json **json, char **path, const char *folder, const char *name)
{
    *json = NULL;
    ENT_TRY(ent_format(path, "%s/%s", folder, name));
    if (access(*path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return ENT_OK;
    ENT_TRY(ent_json_read_file(json, *path));
    return ent_json_is_object(*json) ? ENT_OK : ent_fail(ENT_EFORMAT, "%s: expected an object", *path);
}

/* A special token is a string, or an object with its content. */
static ent_status read_token(char **out, const ent_json *json, const char *key, const char *where)
{
    const ent_json *member = ent_json_member(json, key);
    const char *text;
    if (ent_json_is_null(member))
        return ENT_OK;
    if (!ent_json_is_object(member))
        ENT_TRY(ent_json_get_string(&text, json, key, where));
    else
        ENT_TRY(ent_json_get_string(&text, member, "content", where));
    return ent_strdup(out, text);
}

static ent_status read_template(char **out, const ent_json *json, const char *where)
{
    const ent_json *member = ent_json_member(json, "chat_template");
    const char *text = NULL;
    if (ent_json_is_null(member))
        return ENT_OK;
    if (!ent_json_is_array(member)) {
        ENT_TRY(ent_json_get_string(&text, json, "chat_template", where));
        return ent_strdup(out, text);
    }
    for (const ent_json *item = ent_json_first(member); item; item = ent_json_next(item)) {
        const char *name;
        ENT_TRY(ent_json_get_string(&name, item, "name", where));
        if (strcmp(name, "default") == 0)
            ENT_TRY(ent_json_get_string(&text, item, "template", where));
    }
    return text ? ent_strdup(out, text) : ent_fail(ENT_EFORMAT, "%s: chat_template: none is named \"default\"", where);
}

ent_status ent_tokenizer_config_read(ent_tokenizer_config *out, const char *folder)
{
    ent_status st;
    ent_json *json = NULL;
    char *path = NULL;
    *out = (ent_tokenizer_config){0};
    ENT_GO(read_optional(&json, &path, folder, "tokenizer_config.json"));
    if (json) {
        ENT_GO(read_token(&out->bos_token, json, "bos_token", path));
        ENT_GO(read_token(&out->eos_token, json, "eos_token", path));
        ENT_GO(read_template(&out->chat_template, json, path));
    }
done:
    if (st != ENT_OK)
        ent_tokenizer_config_free(out);
    ent_json_free(json);
    free(path);
    return st;
}

void ent_tokenizer_config_free(ent_tokenizer_config *config)
{
    free(config->bos_token);
    free(config->eos_token);
    free(config->chat_template);
    *config = (ent_tokenizer_config){0};
}

/* *id = the member `key` of a JSON file of the folder, or as it was. */
static ent_status read_id(int32_t *id, const char *folder, const char *name, const char *key)
{
    ent_status st;
    ent_json *json = NULL;
    char *path = NULL;
    ENT_GO(read_optional(&json, &path, folder, name));
    const ent_json *member = ent_json_member(json, key);
    if (ent_json_is_array(member))
        member = ent_json_first(member);
    if (!ent_json_is_null(member)) {
        const double value = ent_json_number(member);
        if (!(value >= 0 && value <= INT32_MAX && value == (double)(int32_t)value))
            ENT_GO(ent_fail(ENT_EFORMAT, "%s: %s: expected a token id or a list of them", path, key));
        *id = (int32_t)value;
    }
done:
    ent_json_free(json);
    free(path);
    return st;
}

/* A token of the model: tokenizer_config.json has its text, the other files its id. */
static ent_status find_token(int32_t *id, const char *folder, const ent_tokenizer *tokenizer, bool begins)
{
    const char *key = begins ? "bos_token_id" : "eos_token_id";
    *id = -1;
    if (tokenizer) {
        ent_tokenizer_config config;
        ENT_TRY(ent_tokenizer_config_read(&config, folder));
        ent_status st = ENT_OK;
        const char *text = begins ? config.bos_token : config.eos_token;
        if (text && (*id = ent_tokenizer_id(tokenizer, text)) < 0)
            st = ent_fail(ENT_EFORMAT, "%s/tokenizer_config.json: %.9s: \"%.60s\" is not in the vocabulary", folder,
                          key, text);
        ent_tokenizer_config_free(&config);
        ENT_TRY(st);
    }
    if (*id < 0)
        ENT_TRY(read_id(id, folder, "generation_config.json", key));
    if (*id < 0)
        ENT_TRY(read_id(id, folder, "config.json", key));
    return ENT_OK;
}

ent_status ent_model_eos(int32_t *eos, const char *folder, const ent_tokenizer *tokenizer)
{
    return find_token(eos, folder, tokenizer, false);
}

ent_status ent_model_bos(int32_t *bos, const char *folder, const ent_tokenizer *tokenizer)
{
    return find_token(bos, folder, tokenizer, true);
}
