/* YAML documents, as trees and as JSON. What was read, written as YAML and read again is the same. */
#include <stdlib.h>
#include <string.h>

#include "io/yaml.h"
#include "io/yaml_json.h"
#include "tests/fuzz/fuzz.h"

static size_t look(const ent_yaml *node)
{
    size_t n = 0;
    for (; node; node = node->next) {
        if (node->key)
            fuzz_look(node->key, strlen(node->key));
        if (node->text) {
            fuzz_look(node->text, strlen(node->text));
            (void)ent_yaml_type_of(node->text, node->quoted);
        }
        n += 1 + look(node->first);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *text = (const char *)data;
    ent_yaml *tree;
    ent_json *json, *again;
    char *yaml, *first, *second = NULL;
    if (fuzz_ok(ent_yaml_parse(&tree, text, n, "text"))) {
        FUZZ_CHECK(look(tree) >= 1);
        ent_yaml_free(tree);
    }
    if (!fuzz_ok(ent_yaml_to_json(&json, text, n, "text")))
        return 0;
    FUZZ_CHECK(ent_yaml_from_json(&yaml, json) == ENT_OK);
    FUZZ_CHECK(fuzz_ok(ent_yaml_to_json(&again, yaml, strlen(yaml), "written")));
    FUZZ_CHECK(ent_json_print(&first, json, false) == ENT_OK && ent_json_print(&second, again, false) == ENT_OK);
    FUZZ_CHECK(strcmp(first, second) == 0);
    free(first);
    free(second);
    free(yaml);
    ent_json_free(again);
    ent_json_free(json);
    return 0;
}
