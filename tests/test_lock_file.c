/* A lock on a folder: one holder, told to others; gone with its process; leftovers of writers are swept. */
#include "file_helpers.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/lock_file.h"

static const char *path;

static int set_up(void **state)
{
    (void)state;
    path = strdup(in_folder(scratch("lock"), "lock"));
    return path ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free((void *)path);
    return 0;
}

static void one_holder_at_a_time(void **state)
{
    (void)state;
    ent_lock_file *lock, *second;
    char holder[64];
    assert_ok(ent_lock_file_take(&lock, path));
    snprintf(holder, sizeof holder, "scratch/lock/lock: process %d on ", (int)getpid());
    assert_fails(ent_lock_file_take(&second, path), ENT_EIO, holder);
    assert_null(second);
    assert_non_null(strstr(ent_message(), " works here since 20"));
    ent_lock_file_release(lock);
    assert_false(ent_path_is_file(path));
    assert_ok(ent_lock_file_take(&lock, path));
    ent_lock_file_release(lock);
    ent_lock_file_release(NULL);
    assert_fails(ent_lock_file_take(&lock, "scratch/lock/none/lock"), ENT_EIO, "none/lock: No such file or directory");
}

/* Of a process that was killed, the file stays; it keeps nobody out. */
static void a_dead_holder_is_none(void **state)
{
    (void)state;
    int ready[2], status;
    char byte;
    ent_lock_file *lock;
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        if (ent_lock_file_take(&lock, path) != ENT_OK || write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
    }
    assert_true(child > 0);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    char holder[64];
    snprintf(holder, sizeof holder, "process %d on ", (int)child);
    assert_fails(ent_lock_file_take(&lock, path), ENT_EIO, holder);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(ent_path_is_file(path));
    assert_ok(ent_lock_file_take(&lock, path));
    ent_lock_file_release(lock);
    close(ready[0]);
    close(ready[1]);
}

static void leftovers_of_writers_are_swept(void **state)
{
    (void)state;
    const char *folder = scratch("sweep");
    char *temporary, *temporary_folder;
    assert_ok(ent_path_temporary(&temporary, in_folder(folder, "metrics.jsonl")));
    assert_ok(ent_path_temporary(&temporary_folder, in_folder(folder, "adapter")));
    put_file(temporary, "x", 1);
    assert_ok(ent_make_dirs(temporary_folder));
    put_file(in_folder(temporary_folder, "adapter_config.json"), "{}", 2);
    static const char *const stay[] = {".x.tmp-",
                                       "a.tmp-AbAbAbAbAbAbAbAb",
                                       ".x.tmp-AbAbAbAbAbAbAbA",
                                       ".x.tmp-abAbAbAbAbAbAbAb",
                                       ".x.tmp-AbAbAbAbAbAbAbAq",
                                       "metrics.jsonl"};
    for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
        put_file(in_folder(folder, stay[i]), "x", 1);
    ent_sweep_temporaries(folder);
    assert_false(ent_path_is_file(temporary) || ent_path_is_folder(temporary_folder));
    for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
        assert_true(ent_path_is_file(in_folder(folder, stay[i])));
    ent_sweep_temporaries("scratch/sweep/none");
    free(temporary);
    free(temporary_folder);
}

/* Beside an output; what another output left stays. */
static void leftovers_of_one_output_are_swept(void **state)
{
    (void)state;
    const char *folder = scratch("sweep-one");
    static const char *const stay[] = {".out2.tmp-AbAbAbAbAbAbAbAb", ".ou.tmp-AbAbAbAbAbAbAbAb",
                                       ".x.out.tmp-AbAbAbAbAbAbAbAb", ".out.tmp-AbAb", "out"};
    static const char *const ends[] = {"out", "out//"};
    for (size_t k = 0; k < 2; k++) {
        char *temporary, *temporary_folder;
        assert_ok(ent_path_temporary(&temporary, in_folder(folder, "out")));
        put_file(temporary, "x", 1);
        assert_ok(ent_path_temporary(&temporary_folder, in_folder(folder, "out")));
        assert_ok(ent_make_dirs(temporary_folder));
        for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
            put_file(in_folder(folder, stay[i]), "x", 1);
        ent_sweep_temporaries_of(in_folder(folder, ends[k]));
        assert_false(ent_path_is_file(temporary) || ent_path_is_folder(temporary_folder));
        for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
            assert_true(ent_path_is_file(in_folder(folder, stay[i])));
        free(temporary);
        free(temporary_folder);
    }
    ent_sweep_temporaries_of("scratch/sweep-one/none/out");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_holder_at_a_time),
        cmocka_unit_test(a_dead_holder_is_none),
        cmocka_unit_test(leftovers_of_writers_are_swept),
        cmocka_unit_test(leftovers_of_one_output_are_swept),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
