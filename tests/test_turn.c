/* Work of rank 0 that others wait for, over a communicator that writes down what is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "launch/report.h"
#include "launch/turn.h"

typedef struct fake {
    ent_comm base;
    int words, last; /* maxima of one number: how many, and this rank's in the last */
    int works;       /* of the words that rank 0 says to this rank, how many are 1 */
    int broken_at;   /* the word that doesn't get through; 0: all do */
    int works_done;  /* how often the work was done */
    double work;     /* seconds of it */
    bool stopped;    /* it was told to stop */
    ent_status ends; /* how it ends */
} fake;

static ent_status fake_max(ent_comm *comm, int64_t *x, size_t n)
{
    fake *f = (fake *)comm;
    if (n != 1)
        return ENT_OK; /* the agreement: the other rank has no fault */
    f->words++;
    f->last = (int)x[0];
    if (f->broken_at && f->words >= f->broken_at)
        return ent_fail(ENT_ECOMM, "nobody is there");
    if (comm->rank != 0)
        x[0] = f->words <= f->works;
    return ENT_OK;
}

static ent_status fake_bcast(ent_comm *comm, void *x, size_t n, int root)
{
    (void)comm, (void)x, (void)n, (void)root;
    return ENT_OK;
}

static fake comm_of(int rank, int world_size)
{
    return (fake){.base = {.rank = rank, .world_size = world_size, .max_i64 = fake_max, .bcast = fake_bcast}};
}

static ent_status work(void *context)
{
    fake *f = context;
    f->works_done++;
    for (const double end = ent_now() + f->work; ent_now() < end && !f->stopped;) {
        f->stopped = ent_turn_stop();
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return f->stopped ? ent_fail(ENT_ESTOPPED, "stopped") : f->ends ? ent_fail(f->ends, "a bad line") : ENT_OK;
}

static void rank_0_is_heard_of(void **state)
{
    (void)state;
    fake f = comm_of(0, 2);
    f.work = 0.1;
    assert_int_equal(ent_turn(&f.base, 0.04, work, &f), ENT_OK); /* a word each 0.01 s */
    assert_int_equal(f.works_done, 1);
    assert_true(f.words >= 3);
    assert_int_equal(f.last, 0);
    const int words = f.words;
    assert_false(ent_turn_stop()); /* nobody waits any more */
    assert_int_equal(f.words, words);
}

static void short_work_needs_one_word(void **state)
{
    (void)state;
    fake f = comm_of(0, 2);
    assert_int_equal(ent_turn(&f.base, 600, work, &f), ENT_OK);
    assert_int_equal(f.words, 1);
}

static void the_others_wait_until_the_last_word(void **state)
{
    (void)state;
    fake f = comm_of(1, 2);
    f.works = 7;
    assert_int_equal(ent_turn(&f.base, 600, work, &f), ENT_OK);
    assert_int_equal(f.words, 8);
    assert_int_equal(f.works_done, 1);
}

static void a_fault_of_the_work_is_told_behind_the_last_word(void **state)
{
    (void)state;
    fake f = comm_of(0, 2);
    f.ends = ENT_EFORMAT;
    assert_int_equal(ent_turn(&f.base, 600, work, &f), ENT_EFORMAT);
    assert_int_equal(f.words, 1);
    assert_int_equal(f.last, 0);
    assert_string_equal(ent_message(), "a bad line");
}

static void work_ends_where_nobody_hears(void **state)
{
    (void)state;
    fake f = comm_of(0, 2);
    f.work = 10;
    f.broken_at = 2;
    assert_int_equal(ent_turn(&f.base, 0.04, work, &f), ENT_ECOMM);
    assert_true(f.stopped);
    assert_string_equal(ent_message(), "nobody is there");
    fake alone = comm_of(0, 1);
    assert_int_equal(ent_turn(&alone.base, 600, work, &alone), ENT_OK);
    assert_int_equal(alone.works_done, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rank_0_is_heard_of),
        cmocka_unit_test(short_work_needs_one_word),
        cmocka_unit_test(the_others_wait_until_the_last_word),
        cmocka_unit_test(a_fault_of_the_work_is_told_behind_the_last_word),
        cmocka_unit_test(work_ends_where_nobody_hears),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
