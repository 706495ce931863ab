/* `entrenar inspect`, run as a user does. */
#include "file_helpers.h"

#include <math.h>
#include <sys/wait.h>

#include "io/checkpoint.h"
#include "io/json.h"
#include "io/safetensors.h"

static const char oracle[] = ENT_TEST_DATA "/oracle/llama";

/* Runs `entrenar inspect ARGUMENTS`; tells its exit code. Its output is in scratch/inspect.out and .err. */
static int inspect(const char *arguments)
{
    char command[1200];
    assert_ok(ent_make_dirs("scratch"));
    snprintf(command, sizeof command,
             "'" ENT_TEST_BIN "/entrenar' inspect %s >scratch/inspect.out 2>scratch/inspect.err", arguments);
    const int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static ent_json *inspect_json(const char *path)
{
    char arguments[600];
    ent_json *json;
    snprintf(arguments, sizeof arguments, "--json '%s'", path);
    assert_int_equal(inspect(arguments), 0);
    assert_ok(ent_json_read_file(&json, "scratch/inspect.out"));
    return json;
}

static void assert_output_has(const char *file, const char *part)
{
    size_t n;
    char *text = get_file(&n, file);
    if (strstr(text, part) == NULL)
        fail_msg("expected \"%s\" in: %s", part, text);
    free(text);
}

static double number(const ent_json *json, const char *key)
{
    return ent_json_number(ent_json_member(json, key));
}

/* The entry of the tensor of this name. */
static const ent_json *entry(const ent_json *json, const char *name)
{
    const ent_json *t = ent_json_first(ent_json_member(json, "tensors"));
    while (t && strcmp(ent_json_string(ent_json_member(t, "name")), name) != 0)
        t = ent_json_next(t);
    assert_non_null(t);
    return t;
}

static void shows_an_adapter(void **state)
{
    (void)state;
    const char *path = in_folder(oracle, "adapter_init");
    ent_json *json = inspect_json(path);
    assert_string_equal(ent_json_string(ent_json_member(json, "kind")), "adapter");
    const ent_json *settings = ent_json_member(json, "settings");
    assert_true(number(settings, "r") == 8 && number(settings, "alpha") == 16);
    assert_int_equal(ent_json_count(ent_json_member(settings, "target_modules")), 7);
    assert_true(number(ent_json_member(json, "total"), "tensors") == 42);
    assert_true(number(ent_json_member(json, "total"), "bytes") == 28032 * 4);
    ent_safetensors *file;
    assert_ok(ent_safetensors_open(&file, in_folder(path, "adapter_model.safetensors")));
    for (size_t i = 0; i < ent_safetensors_count(file); i++) {
        const ent_st_tensor *t = ent_safetensors_at(file, i);
        const float *x = t->data;
        double sum = 0;
        for (size_t k = 0; k < t->shape[0] * t->shape[1]; k++)
            sum += (double)x[k] * (double)x[k];
        assert_true(fabs(number(entry(json, t->name), "norm") - sqrt(sum)) <= 1e-12 * sqrt(sum));
    }
    ent_safetensors_close(file);
    ent_json_free(json);
}

static void shows_a_model_and_a_file(void **state)
{
    (void)state;
    ent_json *json = inspect_json(in_folder(oracle, "model"));
    assert_string_equal(ent_json_string(ent_json_member(json, "kind")), "model");
    assert_true(number(ent_json_member(json, "settings"), "layers") == 3);
    assert_true(number(ent_json_member(json, "total"), "tensors") == 30);
    ent_json_free(json);
    json = inspect_json(in_folder(oracle, "model/model.safetensors"));
    assert_string_equal(ent_json_string(ent_json_member(json, "kind")), "safetensors");
    const ent_json *shape = ent_json_member(entry(json, "model.layers.0.mlp.up_proj.weight"), "shape");
    assert_true(ent_json_number(ent_json_first(shape)) == 176);
    ent_json_free(json);
    char arguments[600];
    snprintf(arguments, sizeof arguments, "'%s/model'", oracle);
    assert_int_equal(inspect(arguments), 0);
    assert_output_has("scratch/inspect.out", "30 tensors, 204224 numbers, 797.8 KiB\n");
    assert_output_has("scratch/inspect.out", "model.norm.weight                               F32   [64] ");
}

/* The checkpoint itself, the folder it is in and the run's folder are the same. */
static void shows_the_newest_checkpoint_of_a_run(void **state)
{
    (void)state;
    const char *run = scratch("inspect_run");
    float value[6] = {3, 0, 0, 0, 0, 4}, m[6] = {1}, v[6] = {NAN};
    ent_ckpt_tensor tensor = {.name = "a.b", .n_dims = 2, .shape = {2, 3}, .value = value, .m = m, .v = v};
    ent_ckpt_state at = {.step = 7, .epoch = 0.5, .unit_position = 56, .seed = UINT64_MAX, .kernel = "Kernel"};
    ent_json *metadata = ent_json_new_object();
    assert_ok(ent_checkpoint_write(run, &tensor, 1, &at, &(ent_ckpt_evals){0}, metadata, false));
    ent_json_free(metadata);
    static const char *const ways[] = {"", "checkpoints", "checkpoints/step-00000007.h5"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        ent_json *json = inspect_json(in_folder(run, ways[i]));
        const ent_json *settings = ent_json_member(json, "settings");
        assert_string_equal(ent_json_string(ent_json_member(json, "kind")), "checkpoint");
        assert_true(number(settings, "step") == 7 && number(settings, "unit_position") == 56);
        assert_string_equal(ent_json_string(ent_json_member(settings, "seed")), "18446744073709551615");
        assert_string_equal(ent_json_string(ent_json_member(settings, "kernel")), "Kernel");
        assert_true(number(entry(json, "params/a.b"), "norm") == 5);
        assert_true(number(entry(json, "optimizer/m/a.b"), "norm") == 1);
        assert_true(ent_json_is_null(ent_json_member(entry(json, "optimizer/v/a.b"), "norm")));
        ent_json_free(json);
    }
    assert_int_equal(inspect(run), 0);
    assert_output_has("scratch/inspect.out", "  not finite\n");
    put_file(in_folder(run, "checkpoints/latest"), "../../x\n", 8);
    assert_int_equal(inspect(run), 1);
    assert_output_has("scratch/inspect.err", "latest: expected the name of a checkpoint, found \"../../x\"");
}

/* The same numbers in another shape, and a second moment below 0: files that are whole, beside metadata of others. */
static void verify_compares_shapes_and_signs(void **state)
{
    (void)state;
    const char *run = scratch("verify_run"), *h5 = in_folder(run, "checkpoints/step-00000007.h5");
    float value[6] = {1, 2, 3, 4, 5, 6}, m[6] = {1}, v[6] = {0, 0, 1};
    ent_ckpt_tensor tensor = {.name = "a.b", .n_dims = 2, .shape = {2, 3}, .value = value, .m = m, .v = v};
    const ent_ckpt_state at = {.step = 7, .kernel = "Kernel"};
    ent_json *metadata = ent_json_new_object();
    assert_ok(ent_checkpoint_write(run, &tensor, 1, &at, &(ent_ckpt_evals){0}, metadata, false));
    ent_json_free(metadata);
    tensor.shape[0] = 3;
    tensor.shape[1] = 2;
    v[2] = -1;
    assert_ok(ent_hdf5_checkpoint_write(h5, h5, &tensor, 1, &at));
    char command[1200];
    snprintf(command, sizeof command,
             "'" ENT_TEST_BIN "/entrenar' verify '%s' >scratch/verify.out 2>scratch/verify.err", h5);
    assert_int_equal(WEXITSTATUS(system(command)), 1);
    assert_output_has("scratch/verify.err", "step-00000007.h5: /params/a.b: expected the shape in its metadata");
    assert_output_has("scratch/verify.err", "step-00000007.h5: has SHA-256 ");
    assert_output_has("scratch/verify.err",
                      "/optimizer/v/a.b: number 2: expected a finite number, not below 0, found -1");
    assert_output_has("scratch/verify.out", "step-00000007.json: digest of itself");
}

static void tells_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *arguments;
        int code;
        const char *part;
    } cases[] = {
        {"scratch/nowhere", 1, "entrenar: scratch/nowhere: No such file or directory\n"},
        {"scratch", 1, "entrenar: scratch: expected the folder of an adapter, a model or a run"},
        {"scratch/bad.safetensors", 1, "entrenar: scratch/bad.safetensors: header length "},
        {"scratch/bad.h5", 1, "entrenar: scratch/bad.h5: "},
        {"", 2, "entrenar: inspect: expected a file or folder"},
        {"a b", 2, "entrenar: inspect: expected one file or folder, found \"b\" too"},
        {"--yaml", 2, "entrenar: inspect: unknown option --yaml"},
    };
    scratch("bad");
    put_file("scratch/bad.safetensors", "\377\377\377\377\377\377\377\177{}", 10);
    put_file("scratch/bad.h5", "\211HDF\r\n\032\n", 8);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(inspect(cases[i].arguments), cases[i].code);
        assert_output_has("scratch/inspect.err", cases[i].part);
    }
    assert_int_equal(inspect("--help"), 0);
    assert_output_has("scratch/inspect.out", "usage: entrenar inspect FILE|DIR [--tensor NAME] [--json]\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_an_adapter),
        cmocka_unit_test(shows_a_model_and_a_file),
        cmocka_unit_test(shows_the_newest_checkpoint_of_a_run),
        cmocka_unit_test(verify_compares_shapes_and_signs),
        cmocka_unit_test(tells_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
