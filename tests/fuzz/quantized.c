/* Safetensors of quantised weights, read by each scheme: every number of what was bound is there. The first byte says
 * which scheme, and the bytes behind it are the file. */
#include "io/quantized_read.h"
#include "tests/fuzz/fuzz.h"

static const ent_quantized_scheme schemes[] = {
    {.kind = ENT_QUANTIZED_INT8, .per = ENT_PTQ_CHANNEL},
    {.kind = ENT_QUANTIZED_INT8, .per = ENT_PTQ_TENSOR, .inputs = true, .asymmetric_inputs = true},
    {.kind = ENT_QUANTIZED_INT8, .per = ENT_PTQ_GROUP, .group_size = 4, .asymmetric = true},
    {.kind = ENT_QUANTIZED_NF4},
};

static void look(const ent_tensor *t)
{
    for (size_t i = 0; i < ent_tensor_rows(t); i++)
        for (size_t j = 0; j < ent_tensor_columns(t); j++) {
            float x;
            ent_tensor_read(&x, t, i, j, 1);
            fuzz_look(&x, sizeof x);
        }
    if (t->input)
        fuzz_look(t->input, sizeof *t->input);
}

static void read_as(const ent_safetensors *files, const ent_quantized_scheme *scheme, ent_quantized_way way)
{
    ent_params params = {0};
    ent_tensor *t[3];
    ent_quantized *kept = NULL;
    if (fuzz_ok(ent_params_declare(&t[0], &params, "a.weight", 2, (size_t[]){2, 64}, false)) &&
        fuzz_ok(ent_params_declare(&t[1], &params, "b.weight", 2, (size_t[]){3, 4}, false)) &&
        fuzz_ok(ent_params_declare(&t[2], &params, "n.weight", 1, (size_t[]){3}, false)) &&
        fuzz_ok(ent_params_seal(&params)) &&
        fuzz_ok(ent_quantized_bind(&kept, &params, files, scheme, way, false, "folder"))) {
        for (int i = 0; i < 3; i++)
            look(t[i]);
        fuzz_ok(ent_quantized_check_codes(&params, "folder"));
    }
    ent_quantized_free(kept);
    ent_params_clear(&params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    ent_safetensors *files;
    if (n == 0 || !fuzz_ok(ent_safetensors_open_any(&files, fuzz_file("x.safetensors", data + 1, n - 1), false)))
        return 0;
    const ent_quantized_scheme *scheme = &schemes[data[0] % (sizeof schemes / sizeof *schemes)];
    read_as(files, scheme, ENT_QUANTIZED_AS_STORED);
    read_as(files, scheme, ENT_QUANTIZED_AS_NUMBERS);
    ent_safetensors_close(files);
    return 0;
}
