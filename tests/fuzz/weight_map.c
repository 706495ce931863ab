/* model.safetensors.index.json, beside two files that are as they should be. */
#include <stdio.h>

#include "io/safetensors.h"
#include "tests/fuzz/fuzz.h"

static void put_part(const char *name, const char *first, const char *second)
{
    char bytes[400] = {0}, header[300];
    const int n = snprintf(header, sizeof header,
                           "{\"%s\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                           "\"%s\":{\"dtype\":\"F16\",\"shape\":[1,2],\"data_offsets\":[8,12]}}",
                           first, second);
    bytes[0] = (char)n;
    bytes[1] = (char)(n >> 8);
    snprintf(bytes + 8, sizeof bytes - 8, "%s", header);
    fuzz_file(name, bytes, 8 + (size_t)n + 12);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static bool ready;
    ent_safetensors *files;
    if (!ready) {
        put_part("a.safetensors", "norm", "head");
        put_part("b.safetensors", "embed", "up");
        ready = true;
    }
    fuzz_file("model.safetensors.index.json", data, n);
    if (!fuzz_ok(ent_safetensors_open_model(&files, fuzz_folder())))
        return 0;
    for (size_t i = 0; i < ent_safetensors_count(files); i++)
        fuzz_look(ent_safetensors_at(files, i)->data, ent_safetensors_at(files, i)->bytes);
    ent_safetensors_close(files);
    return 0;
}
