#include "io/quantized_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_value.h"
#include "src/base/mem.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char section[] = "quantization_config";
static const char *const strategies[] = {
    [ENT_PTQ_TENSOR] = "tensor", [ENT_PTQ_CHANNEL] = "channel", [ENT_PTQ_GROUP] = "group"};

/* Where in config.json an object stands. */
typedef struct place {
    const char *path, *prefix; /* "config.json", "quantization_config." */
} place;

/* Every key of `object` is one of `known`, or unused. */
static ent_status check_keys(const ent_json *object, const char *const *known, size_t n, const place *at)
{
    for (const ent_json *item = ent_json_first(object); item; item = ent_json_next(item)) {
        char key[160];
        if (ent_json_key_in(ent_json_key(item), known, n) || ent_json_is_trivial(item))
            continue;
        snprintf(key, sizeof key, "%s%.80s", at->prefix, ent_json_key(item));
        return ent_json_unsupported(at->path, key, item);
    }
    return ENT_OK;
}

/* object[key] is the text `expected`; absent: it may be if `optional`. */
static ent_status expect_text(const ent_json *object, const char *key, const char *expected, bool optional,
                              const place *at)
{
    const ent_json *item = ent_json_member(object, key);
    const char *text = ent_json_string(item);
    char name[160];
    if ((optional && ent_json_is_null(item)) || (text && strcmp(text, expected) == 0))
        return ENT_OK;
    snprintf(name, sizeof name, "%s%s", at->prefix, key);
    if (item == NULL)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected \"%s\", found nothing", at->path, name, expected);
    return ent_json_unsupported(at->path, name, item);
}

static ent_status expect_number(const ent_json *object, const char *key, double expected, const place *at)
{
    const ent_json *item = ent_json_member(object, key);
    char name[160];
    if (ent_json_number(item) == expected)
        return ENT_OK;
    snprintf(name, sizeof name, "%s%s", at->prefix, key);
    if (item == NULL)
        return ent_fail(ENT_EFORMAT, "%s: %s: expected %g, found nothing", at->path, name, expected);
    return ent_json_unsupported(at->path, name, item);
}

/* --- compressed-tensors --- */

/* What weights and activations share: 8 bits, whole numbers. */
static ent_status read_codes(bool *asymmetric, const ent_json *args, const place *at)
{
    static const char *const known[] = {"num_bits",        "type",        "symmetric",
                                        "strategy",        "group_size",  "observer",
                                        "observer_kwargs", "scale_dtype", "zp_dtype"};
    bool symmetric;
    if (!ent_json_is_object(args))
        return ent_fail(ENT_EFORMAT, "%s: %.*s: expected an object", at->path, (int)strlen(at->prefix) - 1, at->prefix);
    ENT_TRY(check_keys(args, known, COUNT(known), at));
    ENT_TRY(expect_number(args, "num_bits", 8, at));
    ENT_TRY(expect_text(args, "type", "int", false, at));
    ENT_TRY(ent_json_get_bool(&symmetric, args, "symmetric", at->path));
    *asymmetric = !symmetric;
    return ENT_OK;
}

/* Columns of a group; 0 where there are none to be. */
static ent_status read_group(size_t *out, const ent_json *args, bool grouped, const place *at)
{
    int64_t group = 0;
    ENT_TRY(ent_json_get_int_or(&group, args, "group_size", 0, at->path));
    if (grouped ? group < 1 || group > 1 << 24 : group > 0)
        return ent_fail(ENT_EFORMAT, "%s: %sgroup_size: expected %s, found %lld", at->path, at->prefix,
                        grouped ? "at least 1" : "none", (long long)group);
    *out = grouped ? (size_t)group : 0;
    return ENT_OK;
}

/* Absent, or static ones. */
static ent_status read_inputs(ent_quantized_scheme *s, const ent_json *inputs, const char *path)
{
    const place at = {path, "quantization_config.config_groups.group_0.input_activations."};
    if (ent_json_is_null(inputs))
        return ENT_OK;
    s->inputs = true;
    size_t none;
    ENT_TRY(read_codes(&s->asymmetric_inputs, inputs, &at));
    ENT_TRY(read_group(&none, inputs, false, &at));
    return expect_text(inputs, "strategy", "tensor", false, &at);
}

static ent_status read_weights(ent_quantized_scheme *s, const ent_json *weights, const char *path)
{
    const place at = {path, "quantization_config.config_groups.group_0.weights."};
    const ent_json *strategy = ent_json_member(weights, "strategy");
    const char *text = ent_json_string(strategy);
    ENT_TRY(read_codes(&s->asymmetric, weights, &at));
    size_t i = 0;
    while (i < COUNT(strategies) && !(text && strcmp(text, strategies[i]) == 0))
        i++;
    if (i == COUNT(strategies) && strategy)
        return ent_json_unsupported(path, "quantization_config.config_groups.group_0.weights.strategy", strategy);
    if (i == COUNT(strategies))
        return ent_fail(ENT_EFORMAT, "%s: %sstrategy: expected tensor, channel or group, found nothing", path,
                        at.prefix);
    s->per = (ent_ptq_per)i;
    return read_group(&s->group_size, weights, s->per == ENT_PTQ_GROUP, &at);
}

/* One group of settings, for all linear layers; which are left out is told by the tensors. */
static ent_status read_int8(ent_quantized_scheme *s, const ent_json *q, const char *path)
{
    static const char *const known[] = {"quant_method", "format",  "quantization_status",     "config_groups",
                                        "ignore",       "version", "global_compression_ratio"};
    static const char *const group_known[] = {"targets", "weights", "input_activations", "format"};
    const place at = {path, "quantization_config."}, in_group = {path, "quantization_config.config_groups.group_0."};
    s->kind = ENT_QUANTIZED_INT8;
    ENT_TRY(check_keys(q, known, COUNT(known), &at));
    ENT_TRY(expect_text(q, "format", "int-quantized", false, &at));
    ENT_TRY(expect_text(q, "quantization_status", "compressed", true, &at));
    const ent_json *groups = ent_json_member(q, "config_groups"), *group = ent_json_member(groups, "group_0");
    if (!ent_json_is_object(group) || ent_json_count(groups) != 1)
        return ent_fail(ENT_EUNSUPPORTED, "%s: quantization_config.config_groups: expected group_0 alone, found %zu",
                        path, ent_json_count(groups));
    ENT_TRY(check_keys(group, group_known, COUNT(group_known), &in_group));
    ENT_TRY(expect_text(group, "format", "int-quantized", true, &in_group));
    const ent_json *targets = ent_json_member(group, "targets");
    const char *target = ent_json_string(ent_json_first(targets));
    if (!ent_json_is_array(targets) || ent_json_count(targets) != 1 || target == NULL || strcmp(target, "Linear") != 0)
        return ent_fail(ENT_EUNSUPPORTED, "%s: %stargets: expected [\"Linear\"]", path, in_group.prefix);
    ENT_TRY(read_inputs(s, ent_json_member(group, "input_activations"), path));
    return read_weights(s, ent_json_member(group, "weights"), path);
}

/* --- bitsandbytes --- */

static ent_status read_nf4(ent_quantized_scheme *s, const ent_json *q, const char *path)
{
    static const char *const known[] = {"quant_method",
                                        "_load_in_4bit",
                                        "load_in_4bit",
                                        "bnb_4bit_quant_type",
                                        "bnb_4bit_use_double_quant",
                                        "bnb_4bit_compute_dtype",
                                        "bnb_4bit_quant_storage",
                                        "llm_int8_threshold",
                                        "llm_int8_skip_modules"};
    const place at = {path, "quantization_config."};
    bool four, twice;
    s->kind = ENT_QUANTIZED_NF4;
    ENT_TRY(check_keys(q, known, COUNT(known), &at));
    ENT_TRY(expect_text(q, "bnb_4bit_quant_type", "nf4", false, &at));
    ENT_TRY(expect_text(q, "bnb_4bit_quant_storage", "uint8", true, &at));
    ENT_TRY(ent_json_get_bool(&four, q, "load_in_4bit", path));
    ENT_TRY(ent_json_get_bool(&twice, q, "bnb_4bit_use_double_quant", path));
    if (!four || !twice)
        return ent_fail(ENT_EUNSUPPORTED, "%s: quantization_config.%s: expected true, found false", path,
                        four ? "bnb_4bit_use_double_quant" : "load_in_4bit");
    return ENT_OK;
}

/* --- */

ent_status ent_quantized_scheme_read(ent_quantized_scheme *out, const ent_json *config, const char *path)
{
    const ent_json *q = ent_json_member(config, section), *method = ent_json_member(q, "quant_method");
    const char *text = ent_json_string(method);
    *out = (ent_quantized_scheme){0};
    if (q == NULL || ent_json_is_trivial(q))
        return ENT_OK;
    if (text && strcmp(text, "compressed-tensors") == 0)
        return read_int8(out, q, path);
    if (text && strcmp(text, "bitsandbytes") == 0)
        return read_nf4(out, q, path);
    return method ? ent_json_unsupported(path, "quantization_config.quant_method", method)
                  : ent_json_unsupported(path, section, q);
}

ent_status ent_quantized_scheme_load(ent_quantized_scheme *out, const char *folder)
{
    char *path = NULL;
    ent_json *json = NULL;
    ent_status st;
    ENT_GO(ent_format(&path, "%s/config.json", folder));
    ENT_GO(ent_json_read_file(&json, path));
    ENT_GO(ent_quantized_scheme_read(out, json, path));
done:
    ent_json_free(json);
    free(path);
    return st;
}

static void put_codes(ent_json *to, bool asymmetric, const char *strategy, size_t group)
{
    ent_json_add_int(to, "num_bits", 8);
    ent_json_add_string(to, "type", "int");
    ent_json_add_bool(to, "symmetric", !asymmetric);
    ent_json_add_string(to, "strategy", strategy);
    if (group)
        ent_json_add_int(to, "group_size", (int64_t)group);
    else
        ent_json_add_null(to, "group_size");
    ent_json_add_bool(to, "dynamic", false);
}

static void put_int8(ent_json *q, const ent_quantized_scheme *s, const char *observer)
{
    ent_json_add_string(q, "quant_method", "compressed-tensors");
    ent_json_add_string(q, "format", "int-quantized");
    ent_json_add_string(q, "quantization_status", "compressed");
    ent_json *group = ent_json_add_object(ent_json_add_object(q, "config_groups"), "group_0");
    ent_json_add_string(ent_json_add_array(group, "targets"), NULL, "Linear");
    ent_json *w = ent_json_add_object(group, "weights");
    put_codes(w, s->asymmetric, strategies[s->per], s->per == ENT_PTQ_GROUP ? s->group_size : 0);
    if (observer)
        ent_json_add_string(w, "observer", observer);
    if (s->inputs)
        put_codes(ent_json_add_object(group, "input_activations"), s->asymmetric_inputs, "tensor", 0);
    else
        ent_json_add_null(group, "input_activations");
    ent_json_add_null(group, "output_activations");
    ent_json_add_string(ent_json_add_array(q, "ignore"), NULL, "lm_head");
}

static void put_nf4(ent_json *q)
{
    ent_json_add_string(q, "quant_method", "bitsandbytes");
    ent_json_add_bool(q, "_load_in_4bit", true);
    ent_json_add_bool(q, "_load_in_8bit", false);
    ent_json_add_bool(q, "load_in_4bit", true);
    ent_json_add_bool(q, "load_in_8bit", false);
    ent_json_add_string(q, "bnb_4bit_quant_type", "nf4");
    ent_json_add_string(q, "bnb_4bit_quant_storage", "uint8");
    ent_json_add_bool(q, "bnb_4bit_use_double_quant", true);
    ent_json_add_string(q, "bnb_4bit_compute_dtype", "float32");
    ent_json_add_bool(q, "llm_int8_enable_fp32_cpu_offload", false);
    ent_json_add_bool(q, "llm_int8_has_fp16_weight", false);
    ent_json_add_null(q, "llm_int8_skip_modules");
    ent_json_add_double(q, "llm_int8_threshold", 6);
}

void ent_quantized_scheme_put(ent_json *config, const ent_quantized_scheme *scheme, const char *observer)
{
    ent_json_remove(config, section);
    if (scheme->kind == ENT_QUANTIZED_NOT)
        return;
    ent_json *q = ent_json_add_object(config, section);
    if (scheme->kind == ENT_QUANTIZED_INT8)
        put_int8(q, scheme, observer);
    else
        put_nf4(q);
}
