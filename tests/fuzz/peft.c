/* adapter_config.json. */
#include "io/peft.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    ent_lora_config config;
    fuzz_file("adapter_config.json", data, n);
    if (fuzz_ok(ent_peft_read_config(&config, fuzz_folder()))) {
        FUZZ_CHECK(config.r > 0 && config.targets != 0 && config.dropout >= 0 && config.dropout < 1);
        if (config.layers)
            fuzz_look(config.layers, config.n_layers);
    }
    ent_lora_config_clear(&config);
    return 0;
}
