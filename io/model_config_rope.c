#include "io/model_config_rope.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/json_value.h"

static ent_status out_of_range(const char *where, const char *key, const char *expected, double found)
{
    return ent_fail(ENT_EFORMAT, "%s: %s: expected %s, found %g", where, key, expected, found);
}

static ent_status read_factor(double *out, const ent_json *scaling, const char *where)
{
    ENT_TRY(ent_json_get_double(out, scaling, "factor", where));
    return *out >= 1 && isfinite(*out) ? ENT_OK : out_of_range(where, "factor", "at least 1", *out);
}

static ent_status read_llama3(ent_model_config *c, const ent_json *scaling, const char *where)
{
    int64_t positions;
    ENT_TRY(read_factor(&c->rope_factor, scaling, where));
    ENT_TRY(ent_json_get_double(&c->rope_low_freq_factor, scaling, "low_freq_factor", where));
    ENT_TRY(ent_json_get_double(&c->rope_high_freq_factor, scaling, "high_freq_factor", where));
    ENT_TRY(ent_json_get_int(&positions, scaling, "original_max_position_embeddings", where));
    if (!(c->rope_low_freq_factor > 0))
        return out_of_range(where, "low_freq_factor", "more than 0", c->rope_low_freq_factor);
    if (!(c->rope_high_freq_factor > c->rope_low_freq_factor))
        return out_of_range(where, "high_freq_factor", "more than low_freq_factor", c->rope_high_freq_factor);
    if (positions < 1)
        return out_of_range(where, "original_max_position_embeddings", "at least 1", (double)positions);
    c->rope_original_max_positions = (size_t)positions;
    c->rope_scaling = ENT_ROPE_LLAMA3;
    return ENT_OK;
}

/* Keys of one kind of scaling mean nothing in another: the ones that are left must not be in use. */
static ent_status check_keys(const ent_json *scaling, const char *const *known, size_t n, const char *where)
{
    static const char *const always[] = {"type", "rope_type", "rope_theta"};
    for (const ent_json *item = ent_json_first(scaling); item; item = ent_json_next(item)) {
        const char *key = ent_json_key(item);
        const bool whole = strcmp(key, "partial_rotary_factor") == 0 && ent_json_number(item) == 1;
        if (!whole && !ent_json_key_in(key, always, sizeof always / sizeof *always) &&
            !ent_json_key_in(key, known, n) && !ent_json_is_trivial(item))
            return ent_json_unsupported(where, key, item);
    }
    return ENT_OK;
}

static ent_status read_scaling(ent_model_config *c, const ent_json *scaling, const char *where)
{
    static const char *const keys[] = {"factor", "low_freq_factor", "high_freq_factor",
                                       "original_max_position_embeddings"};
    const char *type, *old_type;
    if (!ent_json_is_object(scaling))
        return ent_fail(ENT_EFORMAT, "%s: expected an object", where);
    ENT_TRY(ent_json_get_string_or(&type, scaling, "rope_type", NULL, where));
    ENT_TRY(ent_json_get_string_or(&old_type, scaling, "type", NULL, where));
    if (type && old_type && strcmp(type, old_type) != 0)
        return ent_fail(ENT_EFORMAT, "%s: rope_type is \"%.40s\", type \"%.40s\"", where, type, old_type);
    type = type ? type : (old_type ? old_type : "default");
    if (strcmp(type, "default") == 0)
        return check_keys(scaling, NULL, 0, where);
    if (strcmp(type, "linear") == 0) {
        ENT_TRY(check_keys(scaling, keys, 1, where));
        ENT_TRY(read_factor(&c->rope_factor, scaling, where));
        c->rope_scaling = ENT_ROPE_LINEAR;
        return ENT_OK;
    }
    if (strcmp(type, "llama3") != 0)
        return ent_fail(ENT_EUNSUPPORTED, "%s: rope_type: expected default, linear or llama3, found \"%.40s\"", where,
                        type);
    ENT_TRY(check_keys(scaling, keys, sizeof keys / sizeof *keys, where));
    return read_llama3(c, scaling, where);
}

ent_status ent_model_config_read_rope(ent_model_config *c, const ent_json *json, const char *path)
{
    const ent_json *scaling = ent_json_member(json, "rope_scaling");
    const ent_json *parameters = ent_json_member(json, "rope_parameters");
    const bool given = !ent_json_is_null(ent_json_member(json, "rope_theta"));
    const char *key = ent_json_is_null(parameters) ? "rope_scaling" : "rope_parameters";
    char where[4096];
    snprintf(where, sizeof where, "%s: %s", path, key);
    ENT_TRY(ent_json_get_double_or(&c->rope_theta, json, "rope_theta", 10000, path));
    if (!ent_json_is_null(parameters)) {
        const double outside = c->rope_theta;
        if (!ent_json_is_null(scaling))
            return ent_fail(ENT_EFORMAT, "%s: expected rope_parameters or rope_scaling, found both", path);
        if (!ent_json_is_object(parameters))
            return ent_fail(ENT_EFORMAT, "%s: expected an object", where);
        ENT_TRY(ent_json_get_double_or(&c->rope_theta, parameters, "rope_theta", outside, where));
        if (given && c->rope_theta != outside)
            return ent_fail(ENT_EFORMAT, "%s: rope_theta is %g, outside it %g", where, c->rope_theta, outside);
        scaling = parameters;
    }
    if (!(c->rope_theta > 0 && isfinite(c->rope_theta)))
        return out_of_range(path, "rope_theta", "more than 0", c->rope_theta);
    return ent_json_is_null(scaling) ? ENT_OK : read_scaling(c, scaling, where);
}
