/* The Jinja interpreter, piece by piece, against Jinja2's answers (data/text/PROVENANCE.md); where bytes come from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "src/text/jinja.h"

static const ent_jinja_message MESSAGES[] = {{"user", "Hi"}, {"assistant", "Hello."}};

static ent_status render(ent_jinja_text *out, const char *template_text)
{
    ent_jinja *jinja;
    const ent_jinja_input input = {.messages = MESSAGES, .count = 2, .bos = "<s>", .eos = "</s>"};
    *out = (ent_jinja_text){0};
    ent_status st = ent_jinja_parse(&jinja, template_text, "t");
    if (st == ENT_OK)
        st = ent_jinja_render(out, jinja, &input, "t");
    ent_jinja_free(jinja);
    return st;
}

static void test_against_jinja(void **state)
{
    (void)state;
    ent_json *all;
    size_t n = 0;
    assert_int_equal(ent_json_read_file(&all, ENT_TEST_DATA "/text/jinja.json"), ENT_OK);
    for (const ent_json *c = ent_json_first(all); c; c = ent_json_next(c), n++) {
        ent_jinja_text text;
        const char *source = ent_json_string(ent_json_member(c, "template"));
        const char *expected = ent_json_string(ent_json_member(c, "text"));
        const ent_status st = render(&text, source);
        if (expected == NULL && st != ENT_OK) {
            assert_int_equal(strncmp(ent_message(), "t: ", 3), 0);
        } else if (expected == NULL) {
            fail_msg("%s: Jinja refuses it", source);
        } else if (st != ENT_OK) {
            fail_msg("%s: %s", source, ent_message());
        } else if (text.n != strlen(expected) || memcmp(text.text, expected, text.n) != 0) {
            fail_msg("%s: \"%.*s\", not \"%s\"", source, (int)text.n, text.text, expected);
        }
        ent_jinja_text_free(&text);
    }
    assert_int_equal(n, 85);
    ent_json_free(all);
}

/* Whatever a template does to an answer, its bytes are known. */
static void test_origin(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}", "..................222222."},
        {"{{ '[' + messages[1].content + ']' }}", ".222222."},
        {"{{ '[' ~ messages[1].content|trim ~ 1 }}", ".222222."},
        {"{{ messages[1]['content'][1:3] }}{{ messages[1].content[::-1] }}", "22222222"},
        {"{{ messages[1].content.replace('l', '--').upper() }}", "22....22"},
        {"{{ messages[1].content.split('l')|join('+') }}", "22..22"},
        {"{% for c in messages[1].content %}{{ c }},{% endfor %}", "2.2.2.2.2.2."},
        {"{% set x = messages[0].content + messages[1].content %}{{ x }}", "..222222"},
        {"{{ messages[1].content }}{% generation %}{{ 'a' }}b{% endgeneration %}", "......11"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ent_jinja_text text;
        if (render(&text, cases[i][0]) != ENT_OK)
            fail_msg("%s", ent_message());
        for (size_t k = 0; k < text.n; k++)
            text.origin[k] = (unsigned char)(text.origin[k] ? '0' + text.origin[k] : '.');
        if (text.n != strlen(cases[i][1]) || memcmp(text.origin, cases[i][1], text.n) != 0)
            fail_msg("%s: %.*s, not %s", cases[i][0], (int)text.n, (char *)text.origin, cases[i][1]);
        ent_jinja_text_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_jinja), cmocka_unit_test(test_origin)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
