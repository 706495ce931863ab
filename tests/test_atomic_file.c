/* Digests against FIPS 180-4's examples; files written as a whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "io/atomic_file.h"
#include "io/digest.h"
#include "io/text.h"

static char folder[64];

/* In place of the C library's: what is read back may be something else than what was written. */
static enum { AS_IT_IS, ANOTHER_BYTE, CUT, LONGER } reads_back;

static bool writes_short; /* a hundred bytes at a time */

ssize_t write(int fd, const void *data, size_t n)
{
    return syscall(SYS_write, fd, data, writes_short && n > 100 ? 100 : n);
}

ssize_t writev(int fd, const struct iovec *pieces, int n)
{
    return writes_short ? write(fd, pieces[0].iov_base, pieces[0].iov_len) : syscall(SYS_writev, fd, pieces, n);
}

ssize_t pread(int fd, void *data, size_t n, off_t offset)
{
    ssize_t got = syscall(SYS_pread64, fd, data, n, offset);
    if (reads_back == ANOTHER_BYTE && got > 0)
        ((char *)data)[got - 1] ^= 1;
    if (reads_back == CUT && got > 0)
        got--;
    if (reads_back == LONGER && got >= 0 && (size_t)got < n)
        ((char *)data)[got++] = 0;
    return got;
}

static const char *in_folder(const char *name)
{
    static char path[4][256];
    static unsigned next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test_atomic_file.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

/* Names in the folder but "." and ".."; removes all. */
static size_t empty_folder(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char name[600];
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (unlink(name) != 0) {
            empty_folder(name);
            rmdir(name);
        }
        n++;
    }
    closedir(dir);
    return n;
}

static int remove_folder(void **state)
{
    (void)state;
    empty_folder(folder);
    return rmdir(folder);
}

static void expect_contents(const char *path, const char *expected)
{
    char *text;
    size_t n;
    assert_int_equal(ent_text_read_file(&text, &n, path), ENT_OK);
    assert_string_equal(text, expected);
    free(text);
}

static void digests_are_those_of_the_standard(void **state)
{
    (void)state;
    char hex[ENT_SHA256_SIZE];
    ent_sha256(hex, "abc", 3);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ent_sha256(hex, NULL, 0);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void digest_of_a_file(void **state)
{
    (void)state;
    enum { N = 3000000 };
    char hex[ENT_SHA256_SIZE], *data = malloc(N);
    memset(data, 'a', N);
    assert_int_equal(ent_atomic_write(in_folder("a"), data, 1000000), ENT_OK);
    assert_int_equal(ent_sha256_file(hex, in_folder("a")), ENT_OK);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    char again[ENT_SHA256_SIZE];
    assert_int_equal(ent_atomic_write(in_folder("a"), data, N), ENT_OK); /* more than one piece */
    ent_sha256(hex, data, N);
    assert_int_equal(ent_sha256_file(again, in_folder("a")), ENT_OK);
    assert_string_equal(hex, again);
    assert_int_equal(ent_sha256_file(hex, in_folder("none")), ENT_EIO);
    assert_non_null(strstr(ent_message(), "none: No such file or directory"));
    free(data);
    assert_int_equal(empty_folder(folder), 1);
}

static void a_file_is_replaced_and_nothing_else_is_left(void **state)
{
    (void)state;
    assert_int_equal(ent_atomic_write(in_folder("f"), "one", 3), ENT_OK);
    const ent_atomic_part parts[] = {{"t", 1}, {NULL, 0}, {"wo", 2}};
    assert_int_equal(ent_atomic_write_parts(in_folder("f"), parts, 3), ENT_OK);
    expect_contents(in_folder("f"), "two");
    assert_int_equal(empty_folder(folder), 1);
}

/* The limit on the size of files stands for a full disk. */
static void a_full_disk_leaves_the_old_file(void **state)
{
    (void)state;
    char data[8192];
    struct rlimit was, low;
    memset(data, 'x', sizeof data);
    assert_int_equal(ent_atomic_write(in_folder("f"), "old", 3), ENT_OK);
    getrlimit(RLIMIT_FSIZE, &was);
    low = was;
    low.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &low);
    const ent_status st = ent_atomic_write(in_folder("f"), data, sizeof data);
    setrlimit(RLIMIT_FSIZE, &was);
    assert_int_equal(st, ENT_EIO);
    assert_non_null(strstr(ent_message(), "/f: File too large"));
    expect_contents(in_folder("f"), "old");
    assert_int_equal(empty_folder(folder), 1);
}

/* More parts than are written at once, empty ones among them, more bytes than are read back at once. */
static void many_parts_are_one_file(void **state)
{
    (void)state;
    enum { N = 1 << 18, PARTS = 300 };
    static char data[2 * N];
    ent_atomic_part parts[PARTS + 2];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7 + i / 256);
    for (size_t total = N - 1; total <= 2 * N; total += total == N + 1 ? N - 1 : 1) { /* at the end of a piece */
        size_t at = 0, n, count = 0;
        char *text;
        parts[count++] = (ent_atomic_part){NULL, 0};
        for (size_t i = 0; i < PARTS; i++, count++) {
            const size_t size = i % 3 == 2 ? 0 : i == PARTS - 2 ? total - at : i * 5 + 1;
            parts[count] = (ent_atomic_part){data + at, size};
            at += size;
        }
        assert_int_equal(at, total);
        writes_short = total == N;
        const ent_status st = ent_atomic_write_parts(in_folder("f"), parts, count);
        writes_short = false;
        assert_int_equal(st, ENT_OK);
        assert_int_equal(ent_text_read_file(&text, &n, in_folder("f")), ENT_OK);
        assert_int_equal(n, total);
        assert_memory_equal(text, data, n);
        free(text);
    }
    assert_int_equal(ent_atomic_write(in_folder("f"), NULL, 0), ENT_OK);
    expect_contents(in_folder("f"), "");
    assert_int_equal(empty_folder(folder), 1);
}

static void what_reads_back_otherwise_is_not_kept(void **state)
{
    (void)state;
    assert_int_equal(ent_atomic_write(in_folder("f"), "old", 3), ENT_OK);
    for (reads_back = ANOTHER_BYTE; reads_back <= LONGER; reads_back++) {
        const ent_atomic_part parts[] = {{"ne", 2}, {"w", 1}};
        assert_int_equal(ent_atomic_write_parts(in_folder("f"), parts, 2), ENT_EIO);
        assert_non_null(strstr(ent_message(), "/f: what was read back is not what was written"));
        expect_contents(in_folder("f"), "old");
    }
    reads_back = AS_IT_IS;
    assert_int_equal(empty_folder(folder), 1);
}

/* Files that don't tell their size: of the system, and pipes. */
static void files_without_a_size_are_read(void **state)
{
    (void)state;
    enum { N = 30000 };
    static char data[N];
    char path[32], *text;
    size_t n;
    int ends[2];
    memset(data, 'x', N);
    assert_int_equal(ent_text_read_file(&text, &n, "/proc/self/status"), ENT_OK);
    assert_non_null(strstr(text, "VmRSS"));
    assert_int_equal(strlen(text), n);
    free(text);
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) { /* writes in two pieces */
        _exit(write(ends[1], data, 100) == 100 && usleep(20000) == 0 && write(ends[1], data, N - 100) == N - 100 ? 0
                                                                                                                 : 1);
    }
    close(ends[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    assert_int_equal(ent_text_read_file(&text, &n, path), ENT_OK);
    close(ends[0]);
    waitpid(child, NULL, 0);
    assert_int_equal(n, N);
    assert_memory_equal(text, data, N);
    free(text);
}

static ent_status refuse(const char *temporary, void *context)
{
    expect_contents(temporary, "new");
    return ent_fail(ENT_EFORMAT, "%s", (const char *)context);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void begin_commit_and_discard(void **state)
{
    (void)state;
    ent_atomic_file a;
    write_text(in_folder("f"), "old");
    assert_int_equal(ent_atomic_begin(&a, in_folder("f")), ENT_OK);
    write_text(a.temporary, "new");
    assert_int_equal(ent_atomic_commit(&a, refuse, "not that"), ENT_EFORMAT);
    assert_string_equal(ent_message(), "not that");
    expect_contents(in_folder("f"), "old");

    assert_int_equal(ent_atomic_begin(&a, in_folder("f")), ENT_OK);
    write_text(a.temporary, "new");
    ent_atomic_discard(&a);
    ent_atomic_discard(&a);
    expect_contents(in_folder("f"), "old");

    assert_int_equal(ent_atomic_begin(&a, in_folder("f")), ENT_OK);
    assert_int_equal(ent_atomic_commit(&a, NULL, NULL), ENT_EIO); /* nobody wrote it */

    assert_int_equal(ent_atomic_begin(&a, in_folder("f")), ENT_OK);
    write_text(a.temporary, "new");
    assert_int_equal(ent_atomic_commit(&a, NULL, NULL), ENT_OK);
    expect_contents(in_folder("f"), "new");
    assert_int_equal(empty_folder(folder), 1);
}

static void faults_name_the_file(void **state)
{
    (void)state;
    assert_int_equal(ent_atomic_write(in_folder("none/f"), "x", 1), ENT_EIO);
    assert_non_null(strstr(ent_message(), "none/f: No such file or directory"));
    mkdir(in_folder("d"), 0777);
    assert_int_equal(ent_atomic_write(in_folder("d"), "x", 1), ENT_EIO);
    assert_non_null(strstr(ent_message(), "/d: Is a directory"));
    assert_int_equal(empty_folder(folder), 1);
}

static void folders_are_made(void **state)
{
    (void)state;
    assert_int_equal(ent_make_dirs(in_folder("a/b//c/")), ENT_OK);
    assert_int_equal(ent_make_dirs(in_folder("a/b/c")), ENT_OK);
    assert_true(ent_path_is_folder(in_folder("a/b/c")));
    write_text(in_folder("f"), "");
    assert_int_equal(ent_make_dirs(in_folder("f/g")), ENT_EIO);
    assert_non_null(strstr(ent_message(), "/f: "));
    assert_int_equal(empty_folder(folder), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_those_of_the_standard),
        cmocka_unit_test(digest_of_a_file),
        cmocka_unit_test(a_file_is_replaced_and_nothing_else_is_left),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
        cmocka_unit_test(many_parts_are_one_file),
        cmocka_unit_test(what_reads_back_otherwise_is_not_kept),
        cmocka_unit_test(files_without_a_size_are_read),
        cmocka_unit_test(begin_commit_and_discard),
        cmocka_unit_test(faults_name_the_file),
        cmocka_unit_test(folders_are_made),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
