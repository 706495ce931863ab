/* Model files as safetensors: what isn't a tensor is text in the metadata. */
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/jsonstring.h"
#include "io/model_file_parts.h"
#include "io/safetensors.h"
#include "io/yaml.h"
#include "src/base/mem.h"

enum { FIXED = 6 };
static const char *const fixed_keys[FIXED] = {"name",       "architecture",  "version",
                                              "parameters", "requires_grad", "custom"};

/* Appends to a list of JSON that was begun with "[". */
static void put_item(ent_text *list, const char *s)
{
    if (list->n > 1)
        ent_text_put(list, ", ");
    ent_jsonstring_put(list, s, strlen(s));
}

/* The texts of the last three fixed keys (caller frees, also after a failure). */
static ent_status make_lists(char *lists[3], const ent_model_file *m)
{
    ent_text texts[3] = {0};
    ent_status st = ENT_OK;
    for (size_t k = 0; k < 3; k++)
        ent_text_put(&texts[k], "[");
    for (size_t i = 0; i < m->n_params; i++) {
        put_item(&texts[0], m->params[i].name);
        if (m->params[i].requires_grad)
            put_item(&texts[1], m->params[i].name);
    }
    for (size_t i = 0; i < m->n_custom; i++)
        put_item(&texts[2], m->custom[i].key);
    for (size_t k = 0; k < 3; k++) {
        ent_text_put(&texts[k], "]");
        const ent_status finished = ent_text_finish(&lists[k], &texts[k]);
        st = st == ENT_OK ? finished : st;
    }
    return st;
}

ent_status ent_model_save_safetensors(const char *path, const ent_model_file *m)
{
    ent_st_tensor *tensors = NULL;
    ent_st_pair *pairs = NULL;
    char *lists[3] = {0};
    const size_t n_pairs = FIXED + m->n_custom;
    ent_status st;
    ENT_GO(ent_calloc(&tensors, m->n_params, sizeof *tensors, path));
    ENT_GO(ent_calloc(&pairs, n_pairs, sizeof *pairs, path));
    ENT_GO(make_lists(lists, m));
    const char *const values[FIXED] = {m->name, m->architecture, m->version, lists[0], lists[1], lists[2]};
    for (size_t k = 0; k < FIXED; k++)
        pairs[k] = (ent_st_pair){fixed_keys[k], values[k]};
    for (size_t i = 0; i < m->n_custom; i++) {
        ent_text value = {0};
        char *key = NULL, *text = NULL;
        ENT_GO(ent_format(&key, "custom.%s", m->custom[i].key));
        pairs[FIXED + i].key = key;
        ent_model_file_put_value(&value, &m->custom[i]);
        ENT_GO(ent_text_finish(&text, &value));
        pairs[FIXED + i].value = text;
    }
    for (size_t i = 0; i < m->n_params; i++) {
        const ent_model_file_param *p = &m->params[i];
        tensors[i] = (ent_st_tensor){.name = p->name, .dtype = ENT_DTYPE_F32, .n_dims = p->n_dims, .data = p->data};
        memcpy(tensors[i].shape, p->shape, p->n_dims * sizeof *p->shape);
    }
    ENT_GO(ent_safetensors_write_with(path, tensors, m->n_params, pairs, n_pairs));
done:
    for (size_t i = FIXED; pairs && i < n_pairs; i++) {
        free((char *)pairs[i].key);
        free((char *)pairs[i].value);
    }
    for (size_t k = 0; k < 3; k++)
        free(lists[k]);
    free(pairs);
    free(tensors);
    return st;
}

static ent_status get_text(const char **out, const ent_safetensors *file, const char *key, const char *path)
{
    *out = ent_safetensors_metadata(file, key);
    return *out ? ENT_OK : ent_fail(ENT_EFORMAT, "%s: __metadata__.%.255s: is missing", path, key);
}

static ent_status copy_text(const char **out, const ent_safetensors *file, const char *key, const char *path)
{
    const char *text;
    char *copy = NULL;
    ENT_TRY(get_text(&text, file, key, path));
    ENT_TRY(ent_strdup(&copy, text));
    *out = copy;
    return ENT_OK;
}

/* No text of a list stands twice: else a short list could ask for more memory than the file has bytes. */
static ent_status check_list(const ent_json *list, const char *key, const char *path)
{
    const size_t n = ent_json_count(list);
    const char **texts = NULL;
    size_t i = 0;
    bool good = ent_json_is_array(list);
    ENT_TRY(ent_calloc(&texts, n, sizeof *texts, path));
    for (const ent_json *item = ent_json_first(list); item && good; item = ent_json_next(item)) {
        texts[i++] = ent_json_string(item);
        good = ent_json_is_string(item);
    }
    const ent_status st = good ? ent_model_file_unique(texts, n, path, key, ENT_EFORMAT)
                               : ent_fail(ENT_EFORMAT, "%s: %s: expected a list of texts", path, key);
    free(texts);
    return st;
}

/* *out = a list of different texts (caller frees). */
static ent_status get_list(ent_json **out, const ent_safetensors *file, const char *key, const char *path)
{
    const char *text;
    char *place = NULL, *where = NULL;
    ent_status st;
    ENT_TRY(get_text(&text, file, key, path));
    ENT_GO(ent_format(&place, "__metadata__.%s", key));
    ENT_GO(ent_format(&where, "%s: %s", path, place));
    ENT_GO(ent_json_parse(out, text, strlen(text), where));
    ENT_GO(check_list(*out, place, path));
done:
    free(where);
    free(place);
    return st;
}

/* A value as JSON text. */
static ent_status get_entry(ent_model_file_entry *out, const ent_safetensors *file, const char *key, const char *path)
{
    const char *value;
    char *copy = NULL, *full = NULL, *where = NULL, *text = NULL;
    size_t n = 0;
    ent_status st;
    ENT_TRY(ent_strdup(&copy, key));
    out->key = copy;
    ENT_GO(ent_format(&full, "custom.%s", key));
    ENT_GO(get_text(&value, file, full, path));
    ENT_GO(ent_format(&where, "%s: __metadata__.%s", path, full));
    if (*value != '"') {
        ent_json *json = NULL;
        ENT_GO(ent_json_parse(&json, value, strlen(value), where));
        ent_json_free(json);
        if (ent_yaml_type_of(value, false) == ENT_YAML_STRING) /* a list, an object, spaces around a value */
            ENT_GO(ent_fail(ENT_EFORMAT, "%s: expected a text, a number or a bool, found %.60s", where, value));
        ENT_GO(ent_model_file_set(out, value, false, path));
    } else {
        ENT_GO(ent_jsonstring_read(&text, &n, value, strlen(value), where));
        if (strlen(text) != n)
            ENT_GO(ent_fail(ENT_EFORMAT, "%s: expected a text without U+0000", where));
        ENT_GO(ent_model_file_set(out, text, true, path));
    }
done:
    free(text);
    free(where);
    free(full);
    return st;
}

/* Parameter i, by its name. */
static ent_status get_param(ent_model_file_param *out, size_t i, const ent_safetensors *file, const char *name,
                            const char *path)
{
    char *copy = NULL;
    float *data = NULL;
    size_t elements;
    const ent_st_tensor *t = ent_safetensors_find(file, name);
    if (t == NULL)
        return ent_fail(ENT_EFORMAT, "%s: parameters[%zu]: %.255s: is not among the tensors", path, i, name);
    if (t->dtype != ENT_DTYPE_F32)
        return ent_fail(ENT_EFORMAT, "%s: parameters[%zu].dtype: expected F32, found %s", path, i,
                        ent_dtype_name(t->dtype));
    out->n_dims = t->n_dims;
    memcpy(out->shape, t->shape, sizeof out->shape);
    ENT_TRY(ent_model_file_shape(&elements, out, i, path, ENT_EFORMAT));
    ENT_TRY(ent_strdup(&copy, name));
    out->name = copy;
    ENT_TRY(ent_calloc(&data, elements, sizeof *data, path));
    memcpy(data, t->data, elements * sizeof *data);
    out->data = data;
    return ENT_OK;
}

/* The names that take a gradient are some of all names, in the same order. */
static ent_status set_gradients(ent_model_file *m, const ent_json *names, const char *path)
{
    size_t i = 0;
    for (const ent_json *item = ent_json_first(names); item; item = ent_json_next(item), i++) {
        while (i < m->n_params && strcmp(m->params[i].name, ent_json_string(item)) != 0)
            i++;
        if (i == m->n_params)
            return ent_fail(ENT_EFORMAT,
                            "%s: __metadata__.requires_grad: expected some of the parameters, in their order, found "
                            "%.255s",
                            path, ent_json_string(item));
        ent_model_file_param_at(m, i)->requires_grad = true;
    }
    return ENT_OK;
}

static ent_status read_model(ent_model_file **out, const ent_safetensors *file, const char *path)
{
    ent_json *lists[3] = {0};
    const ent_json *item;
    size_t i;
    ent_status st;
    for (size_t k = 0; k < 3; k++)
        ENT_GO(get_list(&lists[k], file, fixed_keys[3 + k], path));
    const size_t n_params = ent_json_count(lists[0]);
    if (n_params != ent_safetensors_count(file))
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: __metadata__.parameters: expected all %zu tensors, found %zu", path,
                        ent_safetensors_count(file), n_params));
    ENT_GO(ent_model_file_new(out, ent_json_count(lists[2]), n_params, path));
    ENT_GO(copy_text(&(*out)->name, file, "name", path));
    ENT_GO(copy_text(&(*out)->architecture, file, "architecture", path));
    ENT_GO(copy_text(&(*out)->version, file, "version", path));
    for (i = 0, item = ent_json_first(lists[2]); item; item = ent_json_next(item), i++)
        ENT_GO(get_entry(ent_model_file_entry_at(*out, i), file, ent_json_string(item), path));
    for (i = 0, item = ent_json_first(lists[0]); item; item = ent_json_next(item), i++)
        ENT_GO(get_param(ent_model_file_param_at(*out, i), i, file, ent_json_string(item), path));
    ENT_GO(set_gradients(*out, lists[1], path));
done:
    for (size_t k = 0; k < 3; k++)
        ent_json_free(lists[k]);
    return st;
}

ent_status ent_model_load_safetensors(ent_model_file **out, const char *path)
{
    ent_safetensors *file = NULL;
    ENT_TRY(ent_safetensors_open(&file, path));
    const ent_status st = read_model(out, file, path);
    ent_safetensors_close(file);
    return st;
}
