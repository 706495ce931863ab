/* What io/hdf5_check.h lets through, and what not: files of the library's writers, whole and then with lies in them. */
#include <hdf5.h>

#include "file_helpers.h"
#include "io/hdf5_check.h"
#include "io/hdf5_checkpoint.h"
#include "io/model_file.h"

static const char *folder;

/* Bytes in memory of exactly their size, for the sanitizer to see what is read beyond. */
typedef struct bytes {
    unsigned char *data;
    size_t n;
} bytes;

static bytes take_file(const char *name)
{
    bytes b;
    char *text = get_file(&b.n, in_folder(folder, name));
    b.data = malloc(b.n ? b.n : 1);
    memcpy(b.data, text, b.n);
    free(text);
    return b;
}

static bytes checkpoint(void)
{
    float numbers[33];
    for (int i = 0; i < 33; i++)
        numbers[i] = (float)i;
    const ent_ckpt_state state = {.step = 10, .epoch = 0.5, .config_hash = "0123", .kernel = "Haswell"};
    const ent_ckpt_tensor tensors[] = {{"w", 2, {2, 3}, numbers, numbers + 6, numbers + 12},
                                       {"norm", 1, {5}, numbers + 18, numbers + 23, numbers + 28}};
    assert_ok(ent_hdf5_checkpoint_write(in_folder(folder, "a.h5"), "a.h5", tensors, 2, &state));
    return take_file("a.h5");
}

static bytes model(void)
{
    static const float numbers[4] = {1, 2, 3, 4};
    const ent_model_file_entry custom[] = {{"text", ENT_MODEL_FILE_TEXT, {.text = "x"}},
                                           {"yes", ENT_MODEL_FILE_BOOL, {.boolean = true}},
                                           {"number", ENT_MODEL_FILE_FLOATING, {.floating = 1.5}}};
    const ent_model_file_param params[] = {{"w", 2, {2, 2}, true, numbers}};
    const ent_model_file m = {"mlp", "", "1", custom, 3, params, 1};
    assert_ok(ent_model_save(in_folder(folder, "m.h5"), &m));
    return take_file("m.h5");
}

/* A file of one dataset, of `count` chunks of one row each: pages of an array hold 1024. */
static bytes chunks(hsize_t count)
{
    const hsize_t dims[2] = {count, 3}, chunk[2] = {1, 3};
    float *numbers = calloc(count, sizeof *numbers * 3);
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS), list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    H5Pset_chunk(list, 2, chunk);
    H5Pset_fletcher32(list);
    H5Pset_obj_track_times(list, 0);
    const hid_t file = H5Fcreate(in_folder(folder, "c.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, access),
                space = H5Screate_simple(2, dims, NULL),
                d = H5Dcreate2(file, "w", H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    assert_true(H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers) >= 0);
    H5Dclose(d);
    H5Sclose(space);
    H5Fclose(file);
    H5Pclose(list);
    H5Pclose(access);
    free(numbers);
    return take_file("c.h5");
}

static void what_is_written_passes(void **state)
{
    (void)state;
    bytes files[] = {checkpoint(), model(), chunks(1), chunks(2), chunks(1024), chunks(1025), chunks(2500)};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_ok(ent_hdf5_check(files[i].data, files[i].n, "a.h5"));
        free(files[i].data);
    }
    assert_ok(ent_hdf5_check_file(in_folder(folder, "c.h5"), "c.h5"));
    assert_fails(ent_hdf5_check_file(in_folder(folder, "none.h5"), "n.h5"), ENT_EIO, "n.h5: No such file or directory");
    assert_fails(ent_hdf5_check_file(folder, "n.h5"), ENT_EFORMAT, "n.h5: expected an HDF5 file, found something else");
}

/* Any byte may be anything: nothing is read beyond the end (the sanitizer's business), and all ends. */
static void any_byte_may_lie(void **state)
{
    (void)state;
    static const unsigned char values[] = {0, 1, 0x21, 0x7f, 0x80, 0xff};
    bytes files[] = {checkpoint(), model(), chunks(5)};
    size_t refused = 0;
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        bytes *b = &files[f];
        for (size_t i = 0; i < b->n; i++) {
            const unsigned char good = b->data[i];
            for (size_t k = 0; k < sizeof values; k++) {
                b->data[i] = values[k];
                const ent_status st = ent_hdf5_check(b->data, b->n, "a.h5");
                assert_true(st == ENT_OK || st == ENT_EFORMAT);
                refused += st != ENT_OK;
            }
            b->data[i] = good;
        }
        for (size_t n = 0; n < b->n; n++) {
            unsigned char *cut = malloc(n ? n : 1);
            memcpy(cut, b->data, n);
            assert_int_equal(ent_hdf5_check(cut, n, "a.h5"), ENT_EFORMAT);
            free(cut);
        }
        free(b->data);
    }
    assert_true(refused > 5000);
}

/* Writes `n` bytes at `skip` behind the last byte of what is found in the file, at its `nth` place. */
static void lie(bytes *b, const char *found, size_t n_found, int nth, ptrdiff_t skip, const char *to, size_t n)
{
    unsigned char *at = b->data;
    for (int i = 0; i <= nth; i++) {
        at = memmem(i ? at + 1 : at, b->n - (size_t)(at - b->data) - (i ? 1 : 0), found, n_found);
        assert_non_null(at);
    }
    memcpy(at + n_found + skip, to, n);
}

#define LIE(found, nth, skip, to) found, sizeof found - 1, nth, skip, to, sizeof to - 1

static void lies_are_named(void **state)
{
    (void)state;
    enum { CHECKPOINT, MODEL, CHUNKS };
    static const struct {
        int file;
        const char *found;
        size_t n_found;
        int nth;
        ptrdiff_t skip;
        const char *to;
        size_t n;
        const char *message;
    } cases[] = {
        {CHECKPOINT, LIE("\x89HDF\r\n", 0, 2, "\0"), "expected HDF5's format 1.10 (superblock 3), found superblock 0"},
        {CHECKPOINT, LIE("\x89HDF\r\n", 0, 3, "\4"), "/: the superblock is damaged"},
        {CHECKPOINT, LIE("\x89HDF\r\n", 0, 22, "\xff\xff\xff\x7f"), "bytes, file has"},
        {CHECKPOINT, LIE("\x89HDF\r\n", 0, 30, "\xff\xff\xff\xff"), "/: the header is beyond the file's end"},
        {CHECKPOINT, LIE("OHDR", 0, 0, "\1"), "/: the header is damaged"},
        {CHECKPOINT, LIE("OHDR\2", 0, 5, "\xff\xff"), "/: the header is "},
        /* a tree of attributes, which there is none of */
        {CHECKPOINT, LIE("\x15\x12\0\4\0\0", 0, 8, "\x30\0\0\0\0\0\0\0"), "/: the index of attributes is damaged"},
        {CHECKPOINT, LIE("\2\x12\0\0\0\0", 0, 0, "\x30\0\0\0\0\0\0\0"), ": the index of links is damaged"},
        /* names that are longer, or shorter, than they are */
        {CHECKPOINT, LIE("\x0c\x26\0\0\3\0", 0, 0, "\x40\0"), "/: the attribute is damaged"},
        {CHECKPOINT, LIE("\x0c\x26\0\0\3\0", 0, 0, "\2\0"), "/: the attribute is damaged"},
        {CHECKPOINT, LIE("seed\0", 0, 4, "\x40\0\0\0"), "seed: expected a text of a fixed length, a number or"},
        {CHECKPOINT, LIE("config_hash\0", 0, 4, "\x40\0\0\0"), "/: the attribute is damaged"},
        {CHECKPOINT, LIE("config_hash\0", 0, 0, "\x19"), "config_hash: expected a text of a fixed length"},
        /* a group within itself */
        {CHECKPOINT, LIE("\1m", 0, 0, "\x30\0\0\0\0\0\0\0"), "/params: expected at most 4 groups in one another"},
        {CHECKPOINT, LIE("\4norm", 0, 0, "\x30\0\0\0\0\0\0\0"), "/params: expected at most 4 groups in one"},
        {CHECKPOINT, LIE("\1w", 0, 0, "\xff\xff\xff\xff\xff\xff\xff\xff"), "/params/w: the header is beyond the"},
        {CHECKPOINT, LIE("\4norm", 0, -3, "/"), ": the link is damaged"},
        /* shapes and chunks that don't fit together */
        {CHECKPOINT, LIE("\2\2\1\1\2\0\0\0\0\0\0\0", 0, 0, "\xff\xff\xff\xff\xff\xff\xff\xff"),
         "/params/w: the dataspace is damaged"},
        {CHECKPOINT, LIE("\4\2\2\3\1", 0, 0, "\1"), "/params/w: the layout is damaged"},
        {CHECKPOINT, LIE("\4\2\2\3\1", 0, 0, "\0"), "/params/w: the layout is damaged"},
        {CHECKPOINT, LIE("\4\2\2\3\1\2\3\4\1", 0, 0, "\3"), "/params/w: the chunk is damaged"},
        {CHECKPOINT, LIE("\4\2\2\3\1\2\3\4\1", 0, 8, "\1"), "/params/w: the chunk is damaged"},
        {CHECKPOINT, LIE("\4\2\2\3\1\2\3\4\1", 0, 12, "\xff\xff"), "/params/w: the chunk is beyond the file's end"},
        {CHECKPOINT, LIE("\4\2\2\3\1\2\3\4", 0, 0, "\2"), "/params/w: the layout is damaged"},
        {CHECKPOINT, LIE("\2\1\3\0", 0, -2, "\1"), "/params/w: expected chunks with Fletcher32 alone"},
        {CHECKPOINT, LIE("\4\2\2\3\1\2\3\4", 0, -7, "\1"), "/params/w: expected chunks with Fletcher32 alone"},
        {MODEL, LIE("FALSE\0TRUE\0", 0, -1, "x"), "yes: expected a text of a fixed length, a number or an enumeration"},
        {MODEL, LIE("\x38\2\0\0", 0, -3, "\xff"), "yes: expected a text of a fixed length, a number or an enumeration"},
        {CHUNKS, LIE("\4\2\0\3\1\1\3\4\3", 0, 0, "\x40"), "/w: the layout is damaged"},
        {CHUNKS, LIE("FAHD", 0, 2, "\x20"), "/w: the array of chunks is damaged"},
        {CHUNKS, LIE("FAHD", 0, 4, "\4"), "/w: the array of chunks is damaged"},
        {CHUNKS, LIE("FAHD", 0, 4, "\xff\xff\xff\xff"), "/w: the array of chunks is damaged"},
        {CHUNKS, LIE("FAHD", 0, 12, "\xff\xff\xff\xff"), "/w: the array of chunks is beyond the file's end"},
        {CHUNKS, LIE("FADB", 0, 2, "\1"), "/w: the array of chunks is damaged"},
        {CHUNKS, LIE("FADB", 0, 10, "\xff\xff\xff\xff\xff\xff\xff\xff"), "/w: the chunk is beyond the file's end"},
        {CHUNKS, LIE("FADB", 0, 18, "\xff"), "/w: the chunk is damaged"},
    };
    bytes files[] = {checkpoint(), model(), chunks(5)};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const bytes *good = &files[cases[i].file];
        bytes b = {malloc(good->n), good->n};
        memcpy(b.data, good->data, b.n);
        lie(&b, cases[i].found, cases[i].n_found, cases[i].nth, cases[i].skip, cases[i].to, cases[i].n);
        const ent_status st = ent_hdf5_check(b.data, b.n, "a.h5");
        if (st != ENT_EFORMAT || !strstr(ent_message(), cases[i].message))
            fail_msg("case %zu: expected \"%s\", found %d: %s", i, cases[i].message, st, st ? ent_message() : "");
        free(b.data);
    }
    for (size_t f = 0; f < sizeof files / sizeof *files; f++)
        free(files[f].data);
}

int main(void)
{
    folder = "scratch/hdf5_check";
    if (ent_make_dirs(folder) != ENT_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_passes),
        cmocka_unit_test(any_byte_may_lie),
        cmocka_unit_test(lies_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
