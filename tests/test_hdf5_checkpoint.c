/* Checkpoint files: written, read, listed; damaged and foreign ones; and what HDF5's own tools say of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/hdf5_checkpoint.h"
#include "io/text.h"

#define A "model.layers.0.self_attn.q_proj.lora_A.weight"
#define B "model.layers.0.self_attn.q_proj.lora_B.weight"
#define NORM "model.norm.weight"
#define BIG "big"

enum { N_A = 2 * 5, N_B = 7 * 2, N_NORM = 3, N_BIG = 700 * 500 }; /* BIG has more than one chunk */

static char folder[] = "/tmp/entrenar-hdf5-XXXXXX";
static char path[64], other[64];
static float numbers[3 * (N_A + N_B + N_NORM + N_BIG)], again[3 * (N_A + N_B + N_NORM + N_BIG)];

static const ent_ckpt_state state0 = {.step = 10,
                                      .unit_position = 80,
                                      .epoch = 0.625,
                                      .seed = UINT64_MAX - 3,
                                      .config_hash = "0123456789abcdef",
                                      .kernel = "bf16 values, fused fp32"};

/* Four tensors, 1-D and 2-D, in `memory`. */
static size_t tensors(ent_ckpt_tensor out[4], float *memory, bool with_m, bool with_v)
{
    static const ent_ckpt_tensor shapes[4] = {{.name = B, .n_dims = 2, .shape = {7, 2}},
                                              {.name = A, .n_dims = 2, .shape = {2, 5}},
                                              {.name = NORM, .n_dims = 1, .shape = {3}},
                                              {.name = BIG, .n_dims = 2, .shape = {700, 500}}};
    static const size_t sizes[4] = {N_B, N_A, N_NORM, N_BIG};
    for (size_t i = 0; i < 4; i++) {
        out[i] = shapes[i];
        out[i].value = memory;
        out[i].m = with_m ? memory + sizes[i] : NULL;
        out[i].v = with_v ? memory + 2 * sizes[i] : NULL;
        memory += 3 * sizes[i];
    }
    return 4;
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/a.h5", folder);
    snprintf(other, sizeof other, "%s/b.h5", folder);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        numbers[i] = (float)((i * 2654435761u) & 0xffff) * 0x1p-15f - 1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void write_to(const char *file, bool with_m, bool with_v, size_t count)
{
    ent_ckpt_tensor t[4];
    tensors(t, numbers, with_m, with_v);
    assert_int_equal(ent_hdf5_checkpoint_write(file, file, t, count, &state0), ENT_OK);
}

static void reads_back_what_was_written(void **unused)
{
    (void)unused;
    for (int moments = 0; moments < 3; moments++) {
        ent_ckpt_tensor t[4];
        ent_ckpt_state state;
        write_to(path, moments > 0, moments > 1, 4);
        memset(again, 0, sizeof again);
        tensors(t, again, moments > 0, moments > 1);
        ent_ckpt_tensor turned[4] = {t[2], t[0], t[3], t[1]}; /* by name, whatever the order */
        if (ent_hdf5_checkpoint_read(&state, path, "a.h5", turned, 4) != ENT_OK)
            fail_msg("%s", ent_message());
        ent_ckpt_tensor given[4];
        tensors(given, numbers, moments > 0, moments > 1);
        for (size_t i = 0; i < 4; i++) {
            const size_t n = t[i].shape[0] * (t[i].n_dims > 1 ? t[i].shape[1] : 1) * sizeof(float);
            assert_memory_equal(t[i].value, given[i].value, n);
            if (t[i].m)
                assert_memory_equal(t[i].m, given[i].m, n);
            if (t[i].v)
                assert_memory_equal(t[i].v, given[i].v, n);
        }
        assert_int_equal(state.step, 10);
        assert_int_equal(state.unit_position, 80);
        assert_true(state.epoch == 0.625 && state.seed == UINT64_MAX - 3);
        assert_string_equal(state.config_hash, state0.config_hash);
        assert_string_equal(state.kernel, state0.kernel);
        assert_int_equal(ent_hdf5_checkpoint_verify(path, "a.h5", given, 4), ENT_OK);
        given[3].value[N_BIG - 1] += 1;
        assert_int_equal(ent_hdf5_checkpoint_verify(path, "a.h5", given, 4), ENT_EIO);
        assert_string_equal(ent_message(), "a.h5: /params/big: reads back as something else than was written");
        given[3].value[N_BIG - 1] -= 1;
    }
}

static void equal_states_are_equal_files(void **unused)
{
    (void)unused;
    char *one, *two;
    size_t n_one, n_two;
    write_to(path, true, true, 4);
    sleep(1); /* a time in the file would show */
    write_to(other, true, true, 4);
    assert_int_equal(ent_text_read_file(&one, &n_one, path), ENT_OK);
    assert_int_equal(ent_text_read_file(&two, &n_two, other), ENT_OK);
    assert_int_equal(n_one, n_two);
    assert_memory_equal(one, two, n_one);
    free(one);
    free(two);
}

static void refuse(ent_ckpt_tensor *t, size_t count, const char *message)
{
    ent_ckpt_state state;
    assert_int_equal(ent_hdf5_checkpoint_read(&state, path, "a.h5", t, count), ENT_EFORMAT);
    assert_string_equal(ent_message(), message);
}

static void names_what_does_not_fit(void **unused)
{
    (void)unused;
    ent_ckpt_tensor t[4];
    write_to(path, true, true, 3);
    tensors(t, again, true, true);
    refuse(t, 4, "a.h5: /params/big: is missing");
    refuse(t, 2, "a.h5: /params/" NORM ": is not expected");
    t[0].shape[1] = 3;
    refuse(t, 3, "a.h5: /params/" B ": expected [7,3], file has [7,2]");
    tensors(t, again, true, false);
    refuse(t, 3, "a.h5: /optimizer/v: is not expected with this optimizer");
    write_to(path, true, false, 3);
    tensors(t, again, true, true);
    refuse(t, 3, "a.h5: /optimizer/v: is missing");
    ent_ckpt_state state;
    assert_int_equal(ent_hdf5_checkpoint_read(&state, "/nowhere/x.h5", "x.h5", t, 3), ENT_EIO);
    assert_string_equal(ent_message(), "x.h5: No such file or directory");
    FILE *f = fopen(path, "w");
    fputs("no HDF5", f);
    fclose(f);
    assert_int_equal(ent_hdf5_checkpoint_read(&state, path, "a.h5", t, 3), ENT_EFORMAT);
    assert_int_equal(ent_hdf5_checkpoint_write("/dev/full", "/dev/full", t, 3, &state0), ENT_EIO);
    t[0].name = "a/b";
    assert_int_equal(ent_hdf5_checkpoint_write(path, path, t, 3, &state0), ENT_EINVAL);
    t[0].name = "b";
    t[0].shape[0] = SIZE_MAX / 4;
    assert_int_equal(ent_hdf5_checkpoint_write(path, path, t, 3, &state0), ENT_EINVAL);
}

static void listing_knows_names_and_shapes(void **unused)
{
    (void)unused;
    ent_hdf5_listing list;
    write_to(path, true, false, 4);
    if (ent_hdf5_checkpoint_list(&list, path, "a.h5") != ENT_OK)
        fail_msg("%s", ent_message());
    assert_int_equal(list.count, 4);
    assert_string_equal(list.tensors[0].name, BIG);
    assert_string_equal(list.tensors[1].name, A);
    assert_int_equal(list.tensors[1].shape[1], 5);
    assert_non_null(list.tensors[1].m);
    assert_null(list.tensors[1].v);
    assert_memory_equal(list.tensors[2].value, numbers, N_B * sizeof(float));
    assert_int_equal(list.state.step, 10);
    ent_hdf5_listing_free(&list);
}

/* A byte of a file is turned: it is noticed, or what is read is the same. */
#ifdef __SANITIZE_ADDRESS__
enum { STRIDE = 13 }; /* opening a file is slow then */
#else
enum { STRIDE = 1 };
#endif

static void every_damaged_byte_is_noticed(void **unused)
{
    (void)unused;
    char *good;
    size_t n, noticed = 0;
    write_to(path, true, false, 2);
    assert_int_equal(ent_text_read_file(&good, &n, path), ENT_OK);
    FILE *f = fopen(path, "r+");
    for (size_t i = 0; i < n; i += STRIDE) {
        ent_ckpt_tensor t[4];
        ent_ckpt_state state = {0};
        tensors(t, again, true, false);
        fseek(f, (long)i, SEEK_SET);
        fputc(good[i] ^ 0x21, f);
        fflush(f);
        memcpy(again, numbers, sizeof(float) * 3 * (N_A + N_B));
        memset(again, 0, sizeof(float) * 2 * N_B);
        memset(again + 3 * N_B, 0, sizeof(float) * 2 * N_A);
        if (ent_hdf5_checkpoint_read(&state, path, "a.h5", t, 2) != ENT_OK)
            noticed++;
        else if (memcmp(again, numbers, sizeof(float) * 3 * (N_A + N_B)) != 0 ||
                 memcmp(&state.step, &state0.step, 4 * 8) != 0 || strcmp(state.kernel, state0.kernel) != 0)
            fail_msg("byte %zu of %zu was turned, and nobody noticed", i, n);
        fseek(f, (long)i, SEEK_SET);
        fputc(good[i], f);
        fflush(f);
    }
    fclose(f);
    assert_true(noticed > n / STRIDE / 3);
    for (size_t cut = 0; cut < n; cut += 197) {
        ent_ckpt_tensor t[4];
        ent_ckpt_state state;
        tensors(t, again, true, false);
        f = fopen(path, "w");
        fwrite(good, 1, cut, f);
        fclose(f);
        assert_int_equal(ent_hdf5_checkpoint_read(&state, path, "a.h5", t, 2), ENT_EFORMAT);
    }
    free(good);
}

static void stock_tools_read_it(void **unused)
{
    (void)unused;
    char command[512], text[4096];
    write_to(path, true, true, 4);
    write_to(other, true, true, 4);
    snprintf(command, sizeof command, "h5diff %s %s", path, other);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "h5dump -p -d /params/" NORM " -a /step -a /kernel %s", path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    text[fread(text, 1, sizeof text - 1, pipe)] = 0;
    assert_int_equal(pclose(pipe), 0);
    assert_non_null(strstr(text, "H5T_IEEE_F32LE"));
    assert_non_null(strstr(text, "FLETCHER32"));
    assert_non_null(strstr(text, "(0): 10"));
    assert_non_null(strstr(text, "bf16 values, fused fp32"));
    char first[32];
    snprintf(first, sizeof first, "(0): %g", (double)numbers[3 * (N_B + N_A)]);
    assert_non_null(strstr(text, first));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_what_was_written),   cmocka_unit_test(equal_states_are_equal_files),
        cmocka_unit_test(names_what_does_not_fit),       cmocka_unit_test(listing_knows_names_and_shapes),
        cmocka_unit_test(every_damaged_byte_is_noticed), cmocka_unit_test(stock_tools_read_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
