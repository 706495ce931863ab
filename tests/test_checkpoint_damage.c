/* Checkpoints of a run under damage: any byte, any length, and writers that are killed. */
#include "file_helpers.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/checkpoint.h"
#include "io/yaml_json.h"

enum { N = 6 };

/* A small state of training: the numbers follow from the step. */
typedef struct run {
    float value[N], m[N], v[N], bias[N];
    ent_ckpt_tensor tensors[2];
    ent_ckpt_state state;
} run;

static void fill(run *r, int64_t step)
{
    *r = (run){.state = {.step = step,
                         .epoch = 0.25 * (double)step,
                         .unit_position = 8 * step,
                         .seed = 42,
                         .config_hash = "abc",
                         .kernel = "Zen"}};
    for (int i = 0; i < N; i++) {
        r->value[i] = (float)(step * 100 + i);
        r->m[i] = r->value[i] / 3;
        r->v[i] = r->value[i] / 7;
        r->bias[i] = -r->value[i];
    }
    r->tensors[0] = (ent_ckpt_tensor){"x.weight", 2, {2, 3}, r->value, r->m, r->v};
    r->tensors[1] = (ent_ckpt_tensor){"x.bias", 1, {N}, r->bias, r->m, r->v};
}

static ent_status write_step(const char *folder, int64_t step, int64_t keep, bool yaml)
{
    run r;
    fill(&r, step);
    ent_json *metadata = ent_json_new_object();
    ent_json_add_double(ent_json_add_object(metadata, "metrics"), "loss", 0.5);
    ent_json_add_object(metadata, "decides");
    ent_status st = ent_checkpoint_write(folder, r.tensors, 2, &r.state, &(ent_ckpt_evals){0}, metadata, yaml);
    if (st == ENT_OK)
        st = ent_checkpoint_prune(folder, step, keep);
    ent_json_free(metadata);
    return st;
}

static ent_status read_newest(run *r, char **notes, const char *folder)
{
    ent_ckpt_evals evals;
    ent_json *metadata, *decides = ent_json_new_object();
    const ent_status st =
        ent_checkpoint_read_newest(&r->state, &evals, &metadata, notes, folder, r->tensors, 2, decides);
    ent_json_free(metadata);
    ent_json_free(decides);
    return st;
}

/* Reads the newest, which is the one of `step`; `note` is part of what was said on the way (NULL: nothing was). */
static void newest_is(const char *folder, int64_t step, const char *note)
{
    run r, expected;
    char *notes;
    fill(&r, 0);
    fill(&expected, step);
    const ent_status st = read_newest(&r, &notes, folder);
    if (st != ENT_OK)
        fail_msg("%s", ent_message());
    assert_int_equal(r.state.step, step);
    assert_memory_equal(r.value, expected.value, sizeof r.value);
    assert_memory_equal(r.bias, expected.bias, sizeof r.bias);
    assert_int_equal(r.state.unit_position, 8 * step);
    assert_string_equal(r.state.kernel, "Zen");
    if (note == NULL && notes)
        fail_msg("nothing was to be passed over: %s", notes);
    if (note && (notes == NULL || strstr(notes, note) == NULL))
        fail_msg("expected \"%s\" in: %s", note, notes ? notes : "nothing");
    free(notes);
}

static int entries(const char *folder)
{
    DIR *d = opendir(folder);
    int n = -2; /* . and .. */
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* The digests are what sha256sum says of the file and of the numbers. */
static void metadata_vouches_for_the_numbers(void **state)
{
    (void)state;
    const char *folder = scratch("metadata");
    run r;
    fill(&r, 7);
    assert_ok(write_step(folder, 7, 3, true));
    ent_json *json;
    assert_ok(ent_yaml_read_json(&json, in_folder(folder, "checkpoints/step-00000007.yaml")));
    assert_true(ent_json_number(ent_json_member(ent_json_member(json, "metrics"), "loss")) == 0.5);
    assert_true(ent_json_number(ent_json_member(json, "step")) == 7);
    put_file("scratch/metadata/numbers", r.value, sizeof r.value);
    static const char *const files[] = {"scratch/metadata/checkpoints/step-00000007.h5", "scratch/metadata/numbers"};
    const ent_json *entry[] = {ent_json_member(json, "file"),
                               ent_json_member(ent_json_member(json, "datasets"), "/params/x.weight")};
    for (size_t i = 0; i < 2; i++) {
        char command[200], line[65] = "";
        snprintf(command, sizeof command, "sha256sum %s", files[i]);
        FILE *f = popen(command, "r");
        assert_non_null(f);
        assert_int_equal(fread(line, 1, 64, f), 64);
        while (fgetc(f) != EOF)
            ;
        assert_int_equal(pclose(f), 0);
        assert_string_equal(ent_json_string(ent_json_member(entry[i], "sha256")), line);
    }
    ent_json_free(json);
    newest_is(folder, 7, NULL);
    /* the other notation takes its place */
    assert_ok(write_step(folder, 7, 3, false));
    assert_int_equal(entries(in_folder(folder, "checkpoints")), 3);
    newest_is(folder, 7, NULL);
}

/* Flips bytes of the newest pair, one at a time, and cuts it at many lengths: the older one is used, the damage named,
 * or the damage is harmless (white space of the metadata, say). */
static void damage(const char *folder, const char *name, bool must_tell)
{
    const char *path = in_folder(folder, name);
    size_t n;
    char *bytes = get_file(&n, path);
    const char *note = "step-00000020."; /* a digest that differs: which of the two is damaged, nobody knows */
    for (size_t i = 0; i < n; i += n / 40 + 1) {
        run r;
        char *notes;
        fill(&r, 0);
        bytes[i] = (char)(bytes[i] ^ 0x10);
        put_file(path, bytes, n);
        assert_ok(read_newest(&r, &notes, folder));
        if (must_tell || notes) {
            assert_int_equal(r.state.step, 10);
            assert_non_null(strstr(notes, note));
            assert_true(strchr(notes, '\n') == notes + strlen(notes) - 1);
        } else {
            assert_int_equal(r.state.step, 20);
        }
        free(notes);
        bytes[i] = (char)(bytes[i] ^ 0x10);
        put_file(path, bytes, i);
        newest_is(folder, 10, note);
    }
    put_file(path, bytes, n);
    free(bytes);
    newest_is(folder, 20, NULL);
    assert_int_equal(unlink(path), 0);
    newest_is(folder, 10, "step-00000020");
}

static void damaged_ones_are_passed_over(void **state)
{
    (void)state;
    const char *folder = scratch("damage");
    assert_ok(write_step(folder, 10, 3, false));
    assert_ok(write_step(folder, 20, 3, false));
    damage(folder, "checkpoints/step-00000020.h5", true);
    assert_ok(write_step(folder, 20, 3, false));
    damage(folder, "checkpoints/step-00000020.json", false);
    /* numbers of another step under this name */
    assert_ok(write_step(folder, 20, 3, false));
    assert_int_equal(system("cd scratch/damage/checkpoints && cp step-00000020.h5 step-00000030.h5 && "
                            "cp step-00000020.json step-00000030.json"),
                     0);
    newest_is(folder, 20, "step-00000030");
}

/* Reads the only checkpoint, whose file NAME is damaged: its numbers are read as they were, unless it `must` be
 * refused, or it is refused, named and with a reason. */
static void refused_or_harmless(const char *folder, const char *name, size_t place, bool must)
{
    run r, expected;
    char *notes;
    fill(&r, 0);
    fill(&expected, 20);
    const ent_status st = read_newest(&r, &notes, folder);
    if (st == ENT_OK) {
        if (must || notes)
            fail_msg("%s: damage at %zu was read, and said: %s", name, place, notes ? notes : "nothing");
        assert_memory_equal(r.value, expected.value, sizeof r.value);
        assert_memory_equal(r.m, expected.m, sizeof r.m);
        assert_memory_equal(r.v, expected.v, sizeof r.v);
        assert_memory_equal(r.bias, expected.bias, sizeof r.bias);
        assert_int_equal(r.state.step, 20);
        assert_int_equal(r.state.unit_position, 160);
        assert_string_equal(r.state.config_hash, "abc");
    } else if (st != ENT_EFORMAT || !strstr(ent_message(), "no usable checkpoint: step-00000020.") || notes == NULL ||
               strncmp(notes, folder, strlen(folder)) != 0) {
        fail_msg("%s: damage at %zu: status %d, \"%s\", noted: %s", name, place, st, ent_message(),
                 notes ? notes : "nothing");
    }
    free(notes);
}

#ifdef __SANITIZE_ADDRESS__
enum { EVERY = 17 }; /* slow there; the release build has them all */
#else
enum { EVERY = 1 };
#endif

/* Each byte changed, in several ways where its meaning is looked at, then cut at many lengths. */
static void damage_everywhere(const char *folder, const char *name, bool must)
{
    static const unsigned char patterns[] = {0x01, 0x80, 0x20, 0xff};
    const char *path = in_folder(folder, name);
    size_t n;
    char *bytes = get_file(&n, path);
    const int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    for (size_t i = 0; i < n; i += EVERY) {
        for (size_t k = 0; k < (must ? 1 : 2); k++) {
            const char c = (char)(bytes[i] ^ patterns[(i + k) % sizeof patterns]);
            assert_int_equal(pwrite(fd, &c, 1, (off_t)i), 1);
            refused_or_harmless(folder, name, i, must);
        }
        assert_int_equal(pwrite(fd, &bytes[i], 1, (off_t)i), 1);
    }
    newest_is(folder, 20, NULL);
    for (size_t cut = 1; cut <= n; cut += (must ? 7U : 1U) * EVERY) {
        assert_int_equal(ftruncate(fd, (off_t)(n - cut)), 0);
        refused_or_harmless(folder, name, n - cut, must || cut > 1); /* the last line's end may be missing */
    }
    close(fd);
    free(bytes);
}

static void every_byte_of_the_numbers(void **state)
{
    (void)state;
    const char *folder = scratch("numbers");
    assert_ok(write_step(folder, 20, 3, false));
    damage_everywhere(folder, "checkpoints/step-00000020.h5", true);
}

static void every_byte_of_the_metadata(void **state)
{
    (void)state;
    for (int yaml = 0; yaml < 2; yaml++) {
        const char *folder = scratch("beside");
        assert_ok(write_step(folder, 20, 3, yaml));
        damage_everywhere(folder, yaml ? "checkpoints/step-00000020.yaml" : "checkpoints/step-00000020.json", false);
    }
}

/* Whatever instant the writer is killed at, the newest complete checkpoint is read. */
static void kills_lose_nothing(void **state)
{
    (void)state;
    const char *folder = scratch("kills");
    assert_ok(write_step(folder, 1, 2, false));
    for (int64_t i = 0, done = 1; i < 12; i++) {
        const pid_t child = fork();
        if (child == 0)
            for (int64_t step = done + 1;; step++)
                if (write_step(folder, step, 2, false) != ENT_OK)
                    _exit(1);
        assert_true(child > 0);
        usleep((useconds_t)(15000 + i * 3777 % 20000));
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        run r, expected;
        char *notes;
        fill(&r, 0);
        assert_ok(read_newest(&r, &notes, folder));
        free(notes);
        assert_true(r.state.step >= done);
        done = r.state.step;
        fill(&expected, done);
        assert_memory_equal(r.value, expected.value, sizeof r.value);
        assert_memory_equal(r.bias, expected.bias, sizeof r.bias);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_vouches_for_the_numbers),
        cmocka_unit_test(damaged_ones_are_passed_over),
        cmocka_unit_test(every_byte_of_the_numbers),
        cmocka_unit_test(every_byte_of_the_metadata),
        cmocka_unit_test(kills_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
