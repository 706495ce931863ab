/* JSON texts, and the single strings of io/jsonstring.h. What was read, printed and read again is the same. */
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/jsonstring.h"
#include "tests/fuzz/fuzz.h"

static void read_tree(const char *text, size_t n)
{
    ent_json *json, *again;
    for (int indented = 0; indented < 2; indented++) {
        char *first, *second;
        if (!fuzz_ok(ent_json_parse(&json, text, n, "text")))
            return;
        FUZZ_CHECK(ent_json_print(&first, json, indented) == ENT_OK);
        FUZZ_CHECK(fuzz_ok(ent_json_parse(&again, first, strlen(first), "printed")));
        FUZZ_CHECK(ent_json_print(&second, again, indented) == ENT_OK);
        FUZZ_CHECK(strcmp(first, second) == 0);
        free(first);
        free(second);
        ent_json_free(again);
        ent_json_free(json);
    }
}

static void read_string(const char *text, size_t n)
{
    char *string, *again, *printed;
    size_t n_string, n_again;
    ent_text to = {0};
    if (!fuzz_ok(ent_jsonstring_read(&string, &n_string, text, n, "string")))
        return;
    ent_jsonstring_put(&to, string, n_string);
    FUZZ_CHECK(ent_text_finish(&printed, &to) == ENT_OK);
    FUZZ_CHECK(fuzz_ok(ent_jsonstring_read(&again, &n_again, printed, strlen(printed), "printed")));
    FUZZ_CHECK(n_again == n_string && memcmp(again, string, n_string) == 0);
    free(again);
    free(printed);
    free(string);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    read_tree((const char *)data, n);
    read_string((const char *)data, n);
    return 0;
}
