/* Patterns of modules against Python's re (tests/data/oracle/module_patterns.json, tests/reference/module_patterns.py):
 * a key that is understood takes the same modules; the others are refused. */
#include "file_helpers.h"

#include "io/json.h"
#include "src/text/module_pattern.h"

/* Keys that Python takes and we don't, all others that it takes we take. */
static const char *const left_out[] = {
    "q_proj)", "a{2",       "a{,2}",   "[]a]",   "[[a]]",    "\\bq_proj", "(?i)Q_PROJ",
    "(?!q).*", "(q)\\1",    "q_proj'", "q proj", "\xc3\xa9", "",          "(?P<a>q)_proj",
    "{",       "q_proj\\Z", "]",       "}",      "[a&&b]",   "a*+",       "a++",
};

static bool is_left_out(const char *key)
{
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (strcmp(key, left_out[i]) == 0)
            return true;
    return false;
}

static void takes_what_python_takes(void **state)
{
    (void)state;
    ent_json *root;
    size_t taken = 0, refused = 0;
    assert_ok(ent_json_read_file(&root, ENT_TEST_DATA "/oracle/module_patterns.json"));
    const ent_json *modules = ent_json_member(root, "modules");
    for (const ent_json *k = ent_json_first(ent_json_member(root, "keys")); k; k = ent_json_next(k)) {
        const char *key = ent_json_string(ent_json_member(k, "key"));
        const ent_json *want = ent_json_member(k, "takes");
        const bool good = !ent_json_is_null(want) && !is_left_out(key);
        const ent_status st = ent_module_pattern_check(key, "here");
        if (st != (good ? ENT_OK : ENT_EUNSUPPORTED))
            fail_msg("\"%s\": %s", key, st == ENT_OK ? "is taken" : ent_message());
        refused += !good;
        if (!good)
            continue;
        const ent_json *next = ent_json_first(want);
        for (const ent_json *m = ent_json_first(modules); m; m = ent_json_next(m)) {
            const char *module = ent_json_string(m);
            const bool expected = next && strcmp(ent_json_string(next), module) == 0;
            bool takes;
            assert_ok(ent_module_pattern_takes(&takes, key, module));
            if (takes != expected)
                fail_msg("\"%s\" and %s: expected %d, found %d", key, module, expected, takes);
            next = expected ? ent_json_next(next) : next;
            taken += takes;
        }
        assert_null(next);
    }
    assert_true(taken > 60 && refused > 20);
    ent_json_free(root);
}

static void a_pattern_that_takes_too_long(void **state)
{
    (void)state;
    bool takes;
    const char *key = "(\\w*)*(\\w*)*(\\w*)*(\\w*)*(\\w*)*(\\w*)*!";
    assert_fails(ent_module_pattern_check(key, "here"), ENT_EUNSUPPORTED, "here: pattern");
    key = "(\\w*)*(\\w*)*(\\w*)*(\\w*)*(\\w*)*(\\w*)*[.]";
    assert_ok(ent_module_pattern_check(key, "here"));
    assert_fails(
        ent_module_pattern_takes(&takes, key, "model.layers.0.self_attn.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ENT_EUNSUPPORTED, "takes too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_python_takes),
        cmocka_unit_test(a_pattern_that_takes_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
