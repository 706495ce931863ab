/* Folders and files for tests: made below the working folder's `scratch`, removed first. */
#ifndef ENT_TESTS_FILE_HELPERS_H
#define ENT_TESTS_FILE_HELPERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/path.h"
#include "io/text.h"
#include "src/base/status.h"

#define assert_ok(call)                               \
    do {                                              \
        const ent_status assert_ok_st_ = (call);      \
        if (assert_ok_st_ != ENT_OK)                  \
            fail_msg("%s: %s", #call, ent_message()); \
    } while (0)

/* `call` fails with `code` and a message that holds `part`. */
#define assert_fails(call, code, part)                                 \
    do {                                                               \
        assert_int_equal((call), (code));                              \
        if (strstr(ent_message(), (part)) == NULL)                     \
            fail_msg("expected \"%s\" in: %s", (part), ent_message()); \
    } while (0)

/* The path of a folder for `test`, empty. */
static inline const char *scratch(const char *test)
{
    static char path[200];
    char command[450];
    snprintf(path, sizeof path, "scratch/%s", test);
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
    assert_ok(ent_make_dirs(path));
    return path;
}

/* FOLDER/NAME, good until the eighth call from here. */
static inline const char *in_folder(const char *folder, const char *name)
{
    static char paths[8][600];
    static unsigned next;
    char path[600]; /* `folder` may be one of them */
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return memcpy(paths[next++ % 8], path, sizeof path);
}

static inline void put_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static inline char *get_file(size_t *n, const char *path)
{
    char *text;
    assert_ok(ent_text_read_file(&text, n, path));
    return text;
}

static inline void assert_files_equal(const char *a, const char *b)
{
    size_t n, m;
    char *x = get_file(&n, a), *y = get_file(&m, b);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
}

/* The only file in the folder; its path, and what stat says. */
static inline struct stat only_file(char path[400], const char *folder)
{
    struct stat info;
    int count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        count++;
        snprintf(path, 400, "%s/%s", folder, e->d_name);
    }
    closedir(dir);
    assert_int_equal(count, 1);
    assert_int_equal(stat(path, &info), 0);
    return info;
}

/* One bit of the byte at `at`. */
static inline void flip_bit(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    const int c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ 4, f);
    fclose(f);
}

/* An empty scratch/TEST, the folder `from` in it, and the name of `out`, which isn't there. Valid until the next call.
 */
static inline void begin_in_scratch(const char *test, const char **from, const char **out)
{
    static char folders[2][600];
    scratch(test);
    snprintf(folders[0], sizeof folders[0], "scratch/%s/from", test);
    snprintf(folders[1], sizeof folders[1], "scratch/%s/out", test);
    *from = folders[0];
    *out = folders[1];
    assert_ok(ent_make_dirs(*from));
}

#endif
