#include "io/model_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/model_file_parts.h"
#include "io/number.h"
#include "io/path.h"
#include "io/yaml.h"
#include "src/base/mem.h"

static const struct format {
    const char *ending;
    ent_status (*save)(const char *path, const ent_model_file *model);
    ent_status (*load)(ent_model_file **out, const char *path);
} formats[] = {
    {".json", ent_model_save_json, ent_model_load_json},
    {".yaml", ent_model_save_yaml, ent_model_load_yaml},
    {".yml", ent_model_save_yaml, ent_model_load_yaml},
    {".h5", ent_model_save_hdf5, ent_model_load_hdf5},
    {".safetensors", ent_model_save_safetensors, ent_model_load_safetensors},
};

static ent_status find_format(const struct format **out, const char *path)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        *out = &formats[i];
        if (ent_path_ends_with(ent_path_name(path), formats[i].ending))
            return ENT_OK;
    }
    return ent_fail(ENT_EUNSUPPORTED, "%s: expected a name that ends in .json, .yaml, .h5 or .safetensors", path);
}

static ent_status check_count(size_t n_custom, const char *path, ent_status code)
{
    return n_custom <= ENT_MODEL_FILE_MAX_CUSTOM
               ? ENT_OK
               : ent_fail(code, "%s: metadata.custom: expected at most %d entries, found %zu", path,
                          ENT_MODEL_FILE_MAX_CUSTOM, n_custom);
}

ent_status ent_model_file_new(ent_model_file **out, size_t n_custom, size_t n_params, const char *path)
{
    ent_model_file_entry *custom = NULL;
    ent_model_file_param *params = NULL;
    ent_status st;
    *out = NULL;
    ENT_TRY(check_count(n_custom, path, ENT_EFORMAT));
    ENT_GO(ent_calloc(&custom, n_custom, sizeof *custom, path));
    ENT_GO(ent_calloc(&params, n_params, sizeof *params, path));
    ENT_GO(ent_calloc(out, 1, sizeof **out, path));
    **out = (ent_model_file){.custom = custom, .n_custom = n_custom, .params = params, .n_params = n_params};
    return ENT_OK;
done:
    free(custom);
    free(params);
    return st;
}

ent_model_file_entry *ent_model_file_entry_at(ent_model_file *model, size_t i)
{
    return (ent_model_file_entry *)&model->custom[i];
}

ent_model_file_param *ent_model_file_param_at(ent_model_file *model, size_t i)
{
    return (ent_model_file_param *)&model->params[i];
}

void ent_model_file_free(ent_model_file *model)
{
    if (model == NULL)
        return;
    for (size_t i = 0; i < model->n_custom; i++) {
        if (model->custom[i].kind == ENT_MODEL_FILE_TEXT)
            free((char *)model->custom[i].value.text);
        free((char *)model->custom[i].key);
    }
    for (size_t i = 0; i < model->n_params; i++) {
        free((float *)model->params[i].data);
        free((char *)model->params[i].name);
    }
    free((ent_model_file_entry *)model->custom);
    free((ent_model_file_param *)model->params);
    free((char *)model->name);
    free((char *)model->architecture);
    free((char *)model->version);
    free(model);
}

ent_status ent_model_file_set(ent_model_file_entry *entry, const char *text, bool quoted, const char *path)
{
    const ent_yaml_type type = ent_yaml_type_of(text, quoted);
    if (type == ENT_YAML_STRING) {
        char *copy = NULL;
        ENT_TRY(ent_strdup(&copy, text));
        entry->kind = ENT_MODEL_FILE_TEXT;
        entry->value.text = copy;
    } else if (type == ENT_YAML_BOOL) {
        entry->kind = ENT_MODEL_FILE_BOOL;
        entry->value.boolean = *text == 't' || *text == 'T';
    } else if (type == ENT_YAML_INT && ent_number_read_int(&entry->value.integer, text)) {
        entry->kind = ENT_MODEL_FILE_INTEGER;
    } else if (type == ENT_YAML_FLOAT && ent_number_read_double(&entry->value.floating, text)) {
        entry->kind = ENT_MODEL_FILE_FLOATING;
    } else {
        return ent_fail(ENT_EFORMAT,
                        "%s: metadata.custom.%s: expected a text, a 64-bit integer, a finite number or a bool, found "
                        "%.60s",
                        path, entry->key, *text ? text : "nothing");
    }
    return ENT_OK;
}

size_t ent_model_file_elements(const ent_model_file_param *param)
{
    size_t n = 1;
    for (size_t d = 0; d < param->n_dims; d++)
        n *= param->shape[d];
    return n;
}

ent_status ent_model_file_shape(size_t *elements, const ent_model_file_param *param, size_t i, const char *path,
                                ent_status code)
{
    size_t bytes = sizeof(float);
    if (param->n_dims < 1 || param->n_dims > ENT_MODEL_FILE_MAX_DIMS)
        return ent_fail(code, "%s: parameters[%zu].shape: expected 1 to %d dimensions, found %zu", path, i,
                        ENT_MODEL_FILE_MAX_DIMS, param->n_dims);
    for (size_t d = 0; d < param->n_dims; d++)
        if (param->shape[d] == 0 || __builtin_mul_overflow(bytes, param->shape[d], &bytes))
            return ent_fail(code,
                            "%s: parameters[%zu].shape[%zu]: expected 1 or more, and fewer than 2^62 numbers in all, "
                            "found %zu",
                            path, i, d, param->shape[d]);
    *elements = bytes / sizeof(float);
    return ENT_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

ent_status ent_model_file_unique(const char **texts, size_t n, const char *path, const char *place, ent_status code)
{
    qsort(texts, n, sizeof *texts, by_text);
    for (size_t i = 1; i < n; i++)
        if (strcmp(texts[i - 1], texts[i]) == 0)
            return ent_fail(code, "%s: %s: expected each once, found \"%s\" twice", path, place, texts[i]);
    return ENT_OK;
}

/* A text that every format holds as it is. */
static ent_status check_text(const char *text, size_t max, const char *path, const char *place, ent_status code)
{
    if (text == NULL)
        return ent_fail(code, "%s: %s: expected a text, found nothing", path, place);
    if (strlen(text) > max)
        return ent_fail(code, "%s: %s: expected at most %zu bytes, found %zu", path, place, max, strlen(text));
    if (!ent_utf8_is_valid(text))
        return ent_fail(code, "%s: %s: expected UTF-8, found other bytes", path, place);
    return ENT_OK;
}

static ent_status check_entry(const ent_model_file_entry *entry, size_t i, const char *path, ent_status code)
{
    char *place = NULL;
    ent_status st;
    ENT_TRY(ent_format(&place, "key %zu of metadata.custom", i));
    ENT_GO(check_text(entry->key, ENT_MODEL_FILE_MAX_NAME, path, place, code));
    if (*entry->key == 0)
        ENT_GO(ent_fail(code, "%s: %s: expected a key, found an empty text", path, place));
    free(place);
    ENT_TRY(ent_format(&place, "metadata.custom.%s", entry->key));
    if (entry->kind == ENT_MODEL_FILE_TEXT)
        ENT_GO(check_text(entry->value.text, ENT_MODEL_FILE_MAX_TEXT, path, place, code));
    else if (entry->kind == ENT_MODEL_FILE_FLOATING && !isfinite(entry->value.floating))
        ENT_GO(ent_fail(code, "%s: %s: expected a finite number, found %g", path, place, entry->value.floating));
    else if (entry->kind > ENT_MODEL_FILE_BOOL)
        ENT_GO(ent_fail(code, "%s: %s: expected a kind of 0 to 3, found %d", path, place, (int)entry->kind));
    st = ENT_OK;
done:
    free(place);
    return st;
}

static ent_status check_param(const ent_model_file_param *param, size_t i, const char *path, ent_status code)
{
    char *place = NULL;
    size_t elements;
    ENT_TRY(ent_format(&place, "parameters[%zu].name", i));
    const ent_status st = check_text(param->name, ENT_MODEL_FILE_MAX_NAME, path, place, code);
    free(place);
    ENT_TRY(st);
    if (*param->name == 0 || strchr(param->name, '/') || strcmp(param->name, ".") == 0 ||
        strcmp(param->name, "__metadata__") == 0)
        return ent_fail(code, "%s: parameters[%zu].name: expected a name without /, found \"%s\"", path, i,
                        param->name);
    ENT_TRY(ent_model_file_shape(&elements, param, i, path, code));
    if (param->data == NULL)
        return ent_fail(code, "%s: data.%s: expected %zu numbers, found nothing", path, param->name, elements);
    return ENT_OK;
}

/* Whether a model is as io/model_file.h describes it. */
static ent_status check(const ent_model_file *m, const char *path, ent_status code)
{
    const char **texts = NULL;
    ent_status st;
    ENT_TRY(check_text(m->name, ENT_MODEL_FILE_MAX_TEXT, path, "metadata.name", code));
    ENT_TRY(check_text(m->architecture, ENT_MODEL_FILE_MAX_TEXT, path, "metadata.architecture", code));
    ENT_TRY(check_text(m->version, ENT_MODEL_FILE_MAX_TEXT, path, "metadata.version", code));
    ENT_TRY(check_count(m->n_custom, path, code));
    for (size_t i = 0; i < m->n_custom; i++)
        ENT_TRY(check_entry(&m->custom[i], i, path, code));
    for (size_t i = 0; i < m->n_params; i++)
        ENT_TRY(check_param(&m->params[i], i, path, code));
    ENT_TRY(ent_calloc(&texts, m->n_custom > m->n_params ? m->n_custom : m->n_params, sizeof *texts, path));
    for (size_t i = 0; i < m->n_custom; i++)
        texts[i] = m->custom[i].key;
    ENT_GO(ent_model_file_unique(texts, m->n_custom, path, "metadata.custom", code));
    for (size_t i = 0; i < m->n_params; i++)
        texts[i] = m->params[i].name;
    ENT_GO(ent_model_file_unique(texts, m->n_params, path, "parameters", code));
done:
    free(texts);
    return st;
}

ent_status ent_model_save(const char *path, const ent_model_file *model)
{
    const struct format *format;
    ENT_TRY(find_format(&format, path));
    ENT_TRY(check(model, path, ENT_EINVAL));
    return format->save(path, model);
}

ent_status ent_model_load(ent_model_file **out, const char *path)
{
    const struct format *format;
    *out = NULL;
    ENT_TRY(find_format(&format, path));
    ent_status st = format->load(out, path);
    if (st == ENT_OK)
        st = check(*out, path, ENT_EFORMAT);
    if (st != ENT_OK) {
        ent_model_file_free(*out);
        *out = NULL;
    }
    return st;
}
