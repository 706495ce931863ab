/* GGUF files that are damaged or lie: an error that says which, and nothing else. */
#include "gguf_bytes.h"

#include <fcntl.h>
#include <unistd.h>

/* Looks at all that a file was read as. */
static void look(const ent_gguf *f, size_t size)
{
    unsigned sum = 0;
    size_t total = 0;
    for (size_t i = 0; i < ent_gguf_count(f); i++) {
        const ent_gguf_tensor *t = ent_gguf_at(f, i);
        assert_ptr_equal(ent_gguf_find(f, t->name), t);
        total += t->bytes;
        for (size_t k = 0; k < t->bytes; k++)
            sum += t->data[k];
    }
    for (size_t i = 0; i < ent_gguf_pairs(f); i++) {
        const ent_gguf_pair *p = ent_gguf_pair_at(f, i);
        const unsigned char *at = p->data;
        for (uint64_t k = 0; k < p->count; k++)
            sum += p->type == ENT_GGUF_TEXT ? (unsigned)ent_gguf_next_text(&at).n : p->data[k];
    }
    assert_true(total <= size && sum < UINT32_MAX);
}

static void cut_files_are_refused(void **state)
{
    (void)state;
    bytes b;
    ent_gguf *f;
    scratch("gguf");
    small(&b);
    const size_t whole = b.n - 28; /* but for the last padding */
    for (b.n = 0; b.n < whole; b.n++)
        assert_fails(open_bytes(&f, &b), ENT_EFORMAT, "x.gguf");
    for (; b.n <= whole + 28; b.n++) {
        assert_ok(open_bytes(&f, &b));
        ent_gguf_close(f);
    }
    raw(&b, "", 1);
    assert_fails(open_bytes(&f, &b), ENT_EFORMAT, "bytes behind the last tensor");
}

static void changed_bytes_do_no_harm(void **state)
{
    (void)state;
    static const unsigned char changes[] = {0xff, 0x80, 0x01, 0x40, 0x09, 0x00};
    bytes b;
    scratch("gguf");
    small(&b);
    put_file("scratch/gguf/x.gguf", b.data, b.n);
    const int fd = open("scratch/gguf/x.gguf", O_WRONLY);
    size_t refused = 0;
    for (size_t at = 0; at < b.n; at++)
        for (size_t c = 0; c < sizeof changes; c++) {
            ent_gguf *f = NULL;
            const unsigned char changed = b.data[at] ^ changes[c]; /* the last one puts it back */
            assert_int_equal(pwrite(fd, &changed, 1, (off_t)at), 1);
            if (ent_gguf_open(&f, "scratch/gguf/x.gguf") == ENT_OK)
                look(f, b.n);
            assert_true(f || changes[c]);
            refused += f == NULL;
            ent_gguf_close(f);
        }
    close(fd);
    assert_true(refused > 5 * 100);
}

/* One lie each. */
typedef void liar(bytes *b);

static void no_mark(bytes *b)
{
    head(b, 0, 0), b->data[0] = 'g';
}
static void version_2(bytes *b)
{
    head(b, 0, 0), b->data[4] = 2;
}
static void big_endian(bytes *b)
{
    head(b, 0, 0), b->data[4] = 0, b->data[7] = 3;
}
static void many_tensors(bytes *b)
{
    head(b, UINT64_MAX, 0);
}
static void many_pairs(bytes *b)
{
    head(b, 0, UINT64_C(1) << 60);
}
static void long_key(bytes *b)
{
    head(b, 0, 1), u64(b, UINT64_MAX), text(b, "some bytes more");
}
static void empty_key(bytes *b)
{
    head(b, 0, 1), text(b, ""), u32(b, 4), u32(b, 4), u32(b, 4);
}
static void odd_key(bytes *b)
{
    head(b, 0, 1), text(b, "a\nb"), u32(b, 4), u32(b, 4);
}
static void long_text(bytes *b)
{
    head(b, 0, 1), text(b, "k"), u32(b, 8), u64(b, UINT64_MAX - 3);
}
static void long_array(bytes *b)
{
    head(b, 0, 1), text(b, "k"), u32(b, 9), u32(b, 10), u64(b, UINT64_C(1) << 61);
}
static void many_texts(bytes *b)
{
    head(b, 0, 1), text(b, "k"), u32(b, 9), u32(b, 8), u64(b, UINT64_MAX / 8);
}
static void nested(bytes *b)
{
    head(b, 0, 1), text(b, "k"), u32(b, 9), u32(b, 9), u64(b, 1);
}
static void no_type(bytes *b)
{
    head(b, 0, 1), text(b, "k"), u32(b, 13), u64(b, 1);
}
static void no_bool(bytes *b)
{
    head(b, 0, 1), text(b, "k"), u32(b, 7), raw(b, "\2", 1);
}
static void twice(bytes *b)
{
    head(b, 0, 2), text(b, "k"), u32(b, 0), raw(b, "", 1), text(b, "k"), u32(b, 0), raw(b, "", 1);
}
static void aligned_to_64(bytes *b)
{
    head(b, 0, 1), text(b, "general.alignment"), u32(b, 4), u32(b, 64);
}
static void alignment_text(bytes *b)
{
    head(b, 0, 1), text(b, "general.alignment"), u32(b, 8), text(b, "32");
}
static void behind(bytes *b)
{
    head(b, 0, 0), raw(b, "012345678", 9); /* 8 may be padding */
}

static void many_dimensions(bytes *b)
{
    head(b, 1, 0);
    text(b, "t"), u32(b, 5);
    for (int i = 0; i < 7; i++)
        u64(b, 1);
}

static void no_rows(bytes *b)
{
    head(b, 1, 0), tensor(b, "t", 0, 0, 0, 0);
}
static void too_large(bytes *b)
{
    head(b, 1, 0), tensor(b, "t", UINT64_C(1) << 62, 16, 0, 0);
}
static void too_many_bytes(bytes *b)
{
    head(b, 1, 0), tensor(b, "t", UINT64_C(1) << 40, 0, 0, 0), pad(b, 32);
}
static void half_block(bytes *b)
{
    head(b, 1, 0), tensor(b, "t", 48, 2, 8, 0);
}
static void q4_k(bytes *b)
{
    head(b, 1, 0), tensor(b, "t", 256, 1, 12, 0);
}
static void moved(bytes *b)
{
    head(b, 1, 0), tensor(b, "t", 1, 0, 0, 32), pad(b, 32), u64(b, 0), pad(b, 64);
}
static void far_away(bytes *b)
{
    head(b, 1, 0), tensor(b, "t", 1, 0, 0, UINT64_MAX - 31), pad(b, 32), u32(b, 0);
}
static void long_name(bytes *b)
{
    head(b, 1, 0), tensor(b, "0123456789012345678901234567890123456789012345678901234567890123", 1, 0, 0, 0);
}

static void same_name(bytes *b)
{
    head(b, 2, 0);
    tensor(b, "t", 1, 0, 0, 0), tensor(b, "t", 1, 0, 0, 32);
    pad(b, 32), u32(b, 0), pad(b, 32), u32(b, 0);
}

static void lies_are_refused(void **state)
{
    (void)state;
    static const struct {
        liar *lie;
        ent_status code;
        const char *message;
    } lies[] = {
        {no_mark, ENT_EFORMAT, "begins with \"GGUF\""},
        {version_2, ENT_EUNSUPPORTED, "version 2 is not supported, only 3"},
        {big_endian, ENT_EUNSUPPORTED, "version 50331648 is not supported"},
        {many_tensors, ENT_EFORMAT, "18446744073709551615 tensors"},
        {many_pairs, ENT_EFORMAT, "1152921504606846976 pairs"},
        {long_key, ENT_EFORMAT, "a key of 18446744073709551615 bytes, the file has"},
        {empty_key, ENT_EFORMAT, "a key: expected 1 to 65535 visible characters"},
        {odd_key, ENT_EFORMAT, "a key: expected 1 to 65535 visible characters"},
        {long_text, ENT_EFORMAT, "a text of 18446744073709551612 bytes"},
        {long_array, ENT_EFORMAT, "k: more elements than the file has bytes for"},
        {many_texts, ENT_EFORMAT, "k: more texts than the file has bytes for"},
        {nested, ENT_EUNSUPPORTED, "k: arrays of arrays"},
        {no_type, ENT_EFORMAT, "k: its type is none of version 3"},
        {no_bool, ENT_EFORMAT, "k: expected 0 or 1"},
        {twice, ENT_EFORMAT, "k: stands twice"},
        {aligned_to_64, ENT_EUNSUPPORTED, "general.alignment: only 32 is supported, found 64"},
        {alignment_text, ENT_EFORMAT, "general.alignment: expected a whole number"},
        {behind, ENT_EFORMAT, "1 bytes behind the last tensor"},
        {many_dimensions, ENT_EFORMAT, "t: expected 1 to 4 dimensions, found 5"},
        {no_rows, ENT_EFORMAT, "t: expected dimensions from 1 to 2^63 - 1, found 0"},
        {too_large, ENT_EFORMAT, "or it is larger than any file"},
        {too_many_bytes, ENT_EFORMAT, "t of 4398046511104 bytes, the file has 0 more"},
        {half_block, ENT_EFORMAT, "t: 48 columns aren't whole blocks"},
        {q4_k, ENT_EUNSUPPORTED, "t: ggml's type 12 is not supported"},
        {moved, ENT_EFORMAT, "t: expected it at byte 0 of the data, found 32"},
        {far_away, ENT_EFORMAT, "t: expected it at byte 0 of the data, found 18446744073709551584"},
        {long_name, ENT_EFORMAT, "a tensor's name: expected 1 to 63 visible characters"},
        {same_name, ENT_EFORMAT, "t: stands twice"},
    };
    scratch("gguf");
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        bytes b = {.n = 0};
        ent_gguf *f;
        lies[i].lie(&b);
        assert_fails(open_bytes(&f, &b), lies[i].code, lies[i].message);
        assert_null(f);
    }
    ent_gguf *f;
    assert_fails(ent_gguf_open(&f, "scratch/gguf"), ENT_EIO, "expected a file");
    assert_fails(ent_gguf_open(&f, "scratch/gguf/none"), ENT_EIO, "No such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(changed_bytes_do_no_harm),
        cmocka_unit_test(lies_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
