/* A model's config.json. */
#include <string.h>

#include "io/model_config.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    ent_model_config c;
    fuzz_file("config.json", data, n);
    if (!fuzz_ok(ent_model_config_load(&c, fuzz_folder())))
        return 0;
    FUZZ_CHECK(c.vocab_size && c.hidden_size && c.intermediate_size && c.n_layers && c.n_heads && c.n_kv_heads);
    FUZZ_CHECK(c.head_dim > 0 && c.head_dim % 2 == 0 && c.n_heads % c.n_kv_heads == 0);
    fuzz_look(c.model_type, strlen(c.model_type));
    return 0;
}
