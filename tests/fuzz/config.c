/* Configs of runs. One that loads prints as one that loads, and prints as the same again. */
#include <stdlib.h>
#include <string.h>

#include "io/config.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    ent_config *config, *again;
    char *first, *second;
    if (!fuzz_ok(ent_config_load(&config, fuzz_file("config.yaml", data, n), NULL, 0)))
        return 0;
    ent_json *json = ent_json_new_object();
    FUZZ_CHECK(ent_config_to_json(json, config) == ENT_OK);
    FUZZ_CHECK(ent_config_print(&first, config) == ENT_OK);
    FUZZ_CHECK(fuzz_ok(ent_config_load(&again, fuzz_file("again.yaml", first, strlen(first)), NULL, 0)));
    FUZZ_CHECK(ent_config_print(&second, again) == ENT_OK);
    FUZZ_CHECK(strcmp(first, second) == 0);
    free(first);
    free(second);
    ent_json_free(json);
    ent_config_free(again);
    ent_config_free(config);
    return 0;
}
