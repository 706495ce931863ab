/* Model files as text: the tree of io/model_file.h written as JSON and as YAML. */
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/atomic_file.h"
#include "io/jsonstring.h"
#include "io/model_file_parts.h"
#include "io/yaml.h"

enum { LINE_WIDTH = 110, MAX_SIMPLE_KEY = 128 /* bytes; YAML ends a key at 1024, and an escape may take 6 */ };

/* Of as many digits as it needs, at least 6: 9 are always enough, for a float or for one that was read as a double.
 * YAML's old readers need a point before an e; JSON's may take "-0" for an integer, which has no sign. */
static void put_float(ent_text *to, float x)
{
    char digits[32];
    if (!isfinite(x)) {
        ent_text_put(to, isnan(x) ? ".nan" : x > 0 ? ".inf" : "-.inf");
        return;
    }
    for (int precision = 6; precision <= 9; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, (double)x);
        if ((float)strtod(digits, NULL) == x)
            break;
    }
    const size_t mantissa = strcspn(digits, "e");
    ent_text_put_n(to, digits, mantissa);
    if (memchr(digits, '.', mantissa) == NULL)
        ent_text_put(to, ".0");
    ent_text_put(to, digits + mantissa);
}

/* [1.0, 2.0, 3.0], broken into lines. */
static void put_floats(ent_text *to, const float *data, size_t n, int indent)
{
    size_t line = to->n;
    ent_text_put(to, "[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && to->n - line > LINE_WIDTH) {
            ent_text_printf(to, ",\n%*s", indent, "");
            line = to->n;
        } else if (i > 0) {
            ent_text_put(to, ", ");
        }
        put_float(to, data[i]);
    }
    ent_text_put(to, "]");
}

static void put_json_string(ent_text *to, const char *s)
{
    ent_jsonstring_put(to, s, strlen(s));
}

/* All but texts, which look the same in both notations. */
static void put_plain_value(ent_text *to, const ent_model_file_entry *entry)
{
    if (entry->kind == ENT_MODEL_FILE_INTEGER)
        ent_text_printf(to, "%" PRId64, entry->value.integer);
    else if (entry->kind == ENT_MODEL_FILE_FLOATING)
        ent_yaml_put_double(to, entry->value.floating, false);
    else
        ent_text_put(to, entry->value.boolean ? "true" : "false");
}

void ent_model_file_put_value(ent_text *to, const ent_model_file_entry *entry)
{
    if (entry->kind == ENT_MODEL_FILE_TEXT)
        put_json_string(to, entry->value.text);
    else
        put_plain_value(to, entry);
}

/* The shape and what follows it, alike in both notations but for the quotes of keys. */
static void put_shape(ent_text *to, const ent_model_file_param *p)
{
    ent_text_put(to, "[");
    for (size_t d = 0; d < p->n_dims; d++)
        ent_text_printf(to, "%s%zu", d ? ", " : "", p->shape[d]);
    ent_text_put(to, "]");
}

static void put_json_member(ent_text *to, const char *key, const char *value)
{
    ent_text_printf(to, "    \"%s\": ", key);
    put_json_string(to, value);
    ent_text_put(to, ",\n");
}

static void put_json(ent_text *to, const ent_model_file *m)
{
    ent_text_put(to, "{\n  \"metadata\": {\n");
    put_json_member(to, "name", m->name);
    put_json_member(to, "architecture", m->architecture);
    put_json_member(to, "version", m->version);
    ent_text_put(to, "    \"custom\": {");
    for (size_t i = 0; i < m->n_custom; i++) {
        ent_text_put(to, i ? ",\n      " : "\n      ");
        put_json_string(to, m->custom[i].key);
        ent_text_put(to, ": ");
        ent_model_file_put_value(to, &m->custom[i]);
    }
    ent_text_put(to, m->n_custom ? "\n    }\n  },\n  \"parameters\": [" : "}\n  },\n  \"parameters\": [");
    for (size_t i = 0; i < m->n_params; i++) {
        const ent_model_file_param *p = &m->params[i];
        ent_text_put(to, i ? ",\n    {\"name\": " : "\n    {\"name\": ");
        put_json_string(to, p->name);
        ent_text_put(to, ", \"shape\": ");
        put_shape(to, p);
        ent_text_printf(to, ", \"dtype\": \"f32\", \"requires_grad\": %s}", p->requires_grad ? "true" : "false");
    }
    ent_text_put(to, m->n_params ? "\n  ],\n  \"data\": {" : "],\n  \"data\": {");
    for (size_t i = 0; i < m->n_params; i++) {
        const ent_model_file_param *p = &m->params[i];
        ent_text_put(to, i ? ",\n    " : "\n    ");
        put_json_string(to, p->name);
        ent_text_put(to, ": ");
        put_floats(to, p->data, ent_model_file_elements(p), 6);
    }
    ent_text_put(to, m->n_params ? "\n  }\n}\n" : "}\n}\n");
}

static void put_yaml_member(ent_text *to, const char *key, const char *value)
{
    ent_text_printf(to, "  %s: ", key);
    ent_yaml_put_string(to, value);
    ent_text_put(to, "\n");
}

static void put_yaml_key(ent_text *to, const char *key, int indent)
{
    const bool complex = strlen(key) > MAX_SIMPLE_KEY;
    ent_text_printf(to, "\n%*s%s", indent, "", complex ? "? " : "");
    ent_yaml_put_string(to, key);
    if (complex)
        ent_text_printf(to, "\n%*s", indent, "");
    ent_text_put(to, ": ");
}

static void put_yaml(ent_text *to, const ent_model_file *m)
{
    ent_text_put(to, "metadata:\n");
    put_yaml_member(to, "name", m->name);
    put_yaml_member(to, "architecture", m->architecture);
    put_yaml_member(to, "version", m->version);
    ent_text_put(to, m->n_custom ? "  custom:" : "  custom: {}");
    for (size_t i = 0; i < m->n_custom; i++) {
        put_yaml_key(to, m->custom[i].key, 4);
        if (m->custom[i].kind == ENT_MODEL_FILE_TEXT)
            ent_yaml_put_string(to, m->custom[i].value.text);
        else
            put_plain_value(to, &m->custom[i]);
    }
    ent_text_put(to, m->n_params ? "\nparameters:\n" : "\nparameters: []\n");
    for (size_t i = 0; i < m->n_params; i++) {
        const ent_model_file_param *p = &m->params[i];
        ent_text_put(to, "  - name: ");
        ent_yaml_put_string(to, p->name);
        ent_text_put(to, "\n    shape: ");
        put_shape(to, p);
        ent_text_printf(to, "\n    dtype: f32\n    requires_grad: %s\n", p->requires_grad ? "true" : "false");
    }
    ent_text_put(to, m->n_params ? "data:" : "data: {}");
    for (size_t i = 0; i < m->n_params; i++) {
        put_yaml_key(to, m->params[i].name, 2);
        put_floats(to, m->params[i].data, ent_model_file_elements(&m->params[i]), 4);
    }
    ent_text_put(to, "\n");
}

static ent_status write_tree(const char *path, const ent_model_file *m, void (*put)(ent_text *, const ent_model_file *))
{
    ent_text text = {0};
    char *data = NULL;
    /* a point in numbers, whatever the locale; glibc's "C" is static: nothing to free, and it can't fail */
    const locale_t old = uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
    put(&text, m);
    uselocale(old);
    const size_t n = text.n;
    ENT_TRY(ent_text_finish(&data, &text));
    const ent_status st = ent_atomic_write(path, data, n);
    free(data);
    return st;
}

ent_status ent_model_save_json(const char *path, const ent_model_file *m)
{
    for (size_t i = 0; i < m->n_params; i++)
        for (size_t k = 0, n = ent_model_file_elements(&m->params[i]); k < n; k++)
            if (!isfinite(m->params[i].data[k]))
                return ent_fail(ENT_EUNSUPPORTED,
                                "%s: data.%s[%zu]: expected a finite number, as JSON has no others, found %g", path,
                                m->params[i].name, k, (double)m->params[i].data[k]);
    return write_tree(path, m, put_json);
}

ent_status ent_model_save_yaml(const char *path, const ent_model_file *m)
{
    return write_tree(path, m, put_yaml);
}
