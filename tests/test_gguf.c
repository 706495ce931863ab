/* GGUF files: bytes against a file made by hand from the specification, and what it says, failed writes. */
#include "gguf_bytes.h"

static ent_status put_small(ent_streamed_file *to, void *context, size_t i)
{
    (void)context;
    return i == 0 ? ent_streamed_put(to, small_numbers, sizeof small_numbers)
                  : ent_streamed_put(to, (uint16_t[]){0x3c00, 0xc000}, 4);
}

static void written_bytes_are_the_specified_ones(void **state)
{
    (void)state;
    bytes b;
    ent_gguf_writer *w;
    ent_gguf_written written;
    char digest[ENT_SHA256_SIZE];
    size_t n;
    scratch("gguf");
    small(&b);
    assert_ok(ent_gguf_writer_new(&w));
    ent_gguf_put_text(w, "general.architecture", "llama");
    ent_gguf_put_u32(w, "a.size", 4096);
    ent_gguf_put_f32(w, "a.eps", 1e-5f);
    ent_gguf_put_bool(w, "a.yes", true);
    ent_gguf_put_array(w, "a.list", ENT_GGUF_TEXT, 2, NULL);
    ent_gguf_put_element(w, "x");
    ent_gguf_put_element(w, "");
    assert_ok(ent_gguf_add_tensor(w, "m", NULL, 2, (size_t[]){2, 3}));
    assert_ok(ent_gguf_add_tensor(w, "v", ent_block_format_by_name("F16"), 1, (size_t[]){2}));
    assert_ok(ent_gguf_write(&written, "scratch/gguf/w.gguf", w, put_small, NULL, NULL, NULL));
    char *found = get_file(&n, "scratch/gguf/w.gguf");
    assert_int_equal(n, b.n);
    assert_memory_equal(found, b.data, n);
    ent_sha256(digest, b.data, b.n);
    assert_string_equal(written.digest, digest);
    assert_int_equal(written.bytes, b.n);
    free(found);
    ent_gguf_writer_free(w);
}

static void a_file_is_read(void **state)
{
    (void)state;
    bytes b;
    ent_gguf *f;
    ent_gguf_text t;
    size_t size;
    double number;
    scratch("gguf");
    small(&b);
    assert_ok(open_bytes(&f, &b));
    assert_int_equal(ent_gguf_pairs(f), 5);
    assert_ok(ent_gguf_get_text(&t, f, "general.architecture"));
    assert_true(ent_gguf_text_is(t, "llama"));
    assert_ok(ent_gguf_get_size(&size, f, "a.size"));
    assert_int_equal(size, 4096);
    assert_ok(ent_gguf_get_number(&number, f, "a.eps"));
    assert_true(number == (double)1e-5f);
    assert_fails(ent_gguf_get_size(&size, f, "a.none"), ENT_EFORMAT,
                 "a.none: expected a whole number of type U32, found nothing");
    assert_fails(ent_gguf_get_size(&size, f, "a.eps"), ENT_EFORMAT,
                 "a.eps: expected a whole number of type U32, found another type");
    assert_fails(ent_gguf_get_number(&number, f, "a.size"), ENT_EFORMAT, "a.size: expected a number of type F32");
    assert_fails(ent_gguf_get_text(&t, f, "a.yes"), ENT_EFORMAT, "a.yes: expected a text");
    assert_fails(ent_gguf_get_text(&t, f, "a.list"), ENT_EFORMAT, "a.list: expected a text, found an array");
    const ent_gguf_pair *list = ent_gguf_pair_find(f, "a.list");
    const unsigned char *at = list->data;
    assert_true(list->is_array && list->count == 2 && list->type == ENT_GGUF_TEXT);
    assert_true(ent_gguf_text_is(ent_gguf_next_text(&at), "x"));
    assert_int_equal(ent_gguf_next_text(&at).n, 0);
    const ent_gguf_tensor *m = ent_gguf_find(f, "m"), *v = ent_gguf_find(f, "v");
    assert_ptr_equal(m, ent_gguf_at(f, 0));
    assert_true(m->n_dims == 2 && m->shape[0] == 2 && m->shape[1] == 3 && m->format == NULL);
    assert_memory_equal(m->data, small_numbers, sizeof small_numbers);
    assert_true(v->n_dims == 1 && v->shape[0] == 2 && v->bytes == 4 && v->ggml_type == 1);
    assert_null(ent_gguf_find(f, "w"));
    ent_gguf_close(f);
}

/* What the writer refuses, and that nothing is left. */
static ent_status put_nothing(ent_streamed_file *to, void *context, size_t i)
{
    (void)to, (void)i;
    return context ? ent_fail(ENT_ENUMERIC, "no numbers") : ENT_OK;
}

static ent_status deny(const char *temporary, void *context)
{
    assert_true(ent_path_is_file(temporary));
    return ent_fail(ENT_ENUMERIC, "%s", (const char *)context);
}

static void failed_writes_leave_nothing(void **state)
{
    (void)state;
    ent_gguf_writer *w;
    ent_gguf_written written;
    const char *path = "scratch/gguf/w.gguf";
    scratch("gguf");
    assert_ok(ent_gguf_writer_new(&w));
    assert_fails(ent_gguf_add_tensor(w, "t", ent_block_format_by_name("Q8_0"), 2, (size_t[]){2, 48}), ENT_EINVAL,
                 "a row of 48 numbers");
    assert_fails(ent_gguf_add_tensor(w, "0123456789012345678901234567890123456789012345678901234567890123", NULL, 1,
                                     (size_t[]){2}),
                 ENT_EINVAL, "a name of 64 bytes");
    assert_ok(ent_gguf_add_tensor(w, "t", NULL, 1, (size_t[]){2}));
    assert_fails(ent_gguf_write(&written, path, w, put_nothing, NULL, NULL, NULL), ENT_EINVAL,
                 "expected 8 bytes, got 0");
    assert_fails(ent_gguf_write(&written, path, w, put_nothing, w, NULL, NULL), ENT_ENUMERIC, "no numbers");
    ent_gguf_writer_free(w);
    assert_ok(ent_gguf_writer_new(&w));
    assert_fails(ent_gguf_write(&written, path, w, put_nothing, NULL, deny, "it is wrong"), ENT_ENUMERIC,
                 "it is wrong");
    ent_gguf_writer_free(w);
    assert_int_equal(system("test -z \"$(ls -A scratch/gguf)\""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_bytes_are_the_specified_ones),
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(failed_writes_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
