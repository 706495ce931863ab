/* Safetensors files: every byte of every tensor is where it is said to be. */
#include <string.h>

#include "io/safetensors.h"
#include "tests/fuzz/fuzz.h"

/* Of any type, at any alignment. */
static void look_at_any(const char *path)
{
    ent_safetensors *file;
    if (!fuzz_ok(ent_safetensors_open_any(&file, path, false)))
        return;
    for (size_t i = 0; i < ent_safetensors_count(file); i++) {
        const ent_st_tensor *t = ent_safetensors_at(file, i);
        const size_t size = ent_st_type_size(t->type);
        double x;
        fuzz_look(t->data, t->bytes);
        for (size_t k = 0; k < t->bytes / size && ent_st_type_has_values(t->type); k++) {
            ent_st_values(&x, (const char *)t->data + k * size, t->type, 1);
            fuzz_look(&x, sizeof x);
        }
    }
    ent_safetensors_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    ent_safetensors *file;
    const char *path = fuzz_file("x.safetensors", data, n);
    look_at_any(path);
    if (!fuzz_ok(ent_safetensors_open(&file, path)))
        return 0;
    size_t bytes = 0;
    for (size_t i = 0; i < ent_safetensors_count(file); i++) {
        const ent_st_tensor *t = ent_safetensors_at(file, i);
        FUZZ_CHECK(ent_safetensors_find(file, t->name) == t);
        FUZZ_CHECK((uintptr_t)t->data % ent_dtype_size(t->dtype) == 0);
        size_t elements = 1;
        for (size_t d = 0; d < t->n_dims; d++)
            elements *= t->shape[d];
        FUZZ_CHECK(t->bytes == elements * ent_dtype_size(t->dtype));
        fuzz_look(t->data, t->bytes);
        bytes += t->bytes;
    }
    FUZZ_CHECK(bytes <= n);
    const char *format = ent_safetensors_metadata(file, "format");
    if (format)
        fuzz_look(format, strlen(format));
    ent_safetensors_close(file);
    return 0;
}
