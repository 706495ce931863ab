#include "tests/comm_conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Says what is expected, with its place. No jump: a rank that leaves a case early leaves the others waiting. */
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define EXPECT(x)                                   \
    do {                                            \
        if (!(x) && !wrong)                         \
            wrong = "line " TEXT(__LINE__) ": " #x; \
    } while (0)

static const char *rank_is_in_the_world(ent_comm *comm)
{
    const char *wrong = NULL;
    int64_t one = 1, rank = comm->rank;
    EXPECT(comm->rank >= 0 && comm->rank < comm->world_size);
    EXPECT(comm->sum_i64(comm, &one, 1) == ENT_OK);
    EXPECT(one == comm->world_size);
    EXPECT(comm->sum_i64(comm, &rank, 1) == ENT_OK);
    EXPECT(rank == (int64_t)comm->world_size * (comm->world_size - 1) / 2);
    return wrong;
}

/* Against sums in unsigned arithmetic of all ranks' numbers, on both signs and on the whole range. */
static const char *sums_are_exact(ent_comm *comm)
{
    const char *wrong = NULL;
    enum { N = 1000 };
    static int64_t x[N], expected[N];
    for (int i = 0; i < N; i++) {
        uint64_t sum = 0;
        for (int r = 0; r < comm->world_size; r++) {
            const uint64_t value =
                (uint64_t)(i - 500) * UINT64_C(0x9E3779B97F4A) * (uint64_t)(r + 1) + (uint64_t)(r * i);
            sum += value;
            if (r == comm->rank)
                x[i] = (int64_t)value;
        }
        expected[i] = (int64_t)sum;
    }
    EXPECT(comm->sum_i64(comm, x, N) == ENT_OK);
    EXPECT(memcmp(x, expected, sizeof x) == 0);
    int64_t wide[2] = {comm->rank == 0 ? INT64_MAX : -1, comm->rank == 0 ? INT64_MIN : 1};
    EXPECT(comm->sum_i64(comm, wide, 2) == ENT_OK);
    EXPECT(wide[0] == INT64_MAX - (comm->world_size - 1));
    EXPECT(wide[1] == INT64_MIN + (comm->world_size - 1));
    EXPECT(comm->sum_i64(comm, NULL, 0) == ENT_OK);
    return wrong;
}

/* More than an implementation passes on at once, and not a round number. */
static const char *large_sums_are_whole(ent_comm *comm)
{
    const char *wrong = NULL;
    const size_t n = (5u << 20) + 3;
    int64_t *x = malloc(n * sizeof *x);
    EXPECT(x != NULL);
    if (!x)
        return wrong;
    for (size_t i = 0; i < n; i++)
        x[i] = (int64_t)i * (comm->rank + 1) - 12345;
    EXPECT(comm->sum_i64(comm, x, n) == ENT_OK);
    const int64_t world_size = comm->world_size, weight = world_size * (world_size + 1) / 2;
    size_t bad = 0;
    for (size_t i = 0; i < n; i++)
        bad += x[i] != (int64_t)i * weight - 12345 * world_size;
    EXPECT(bad == 0);
    for (size_t i = 0; i < n; i++)
        x[i] = comm->rank == comm->world_size - 1 ? (int64_t)i - 7 : 0;
    EXPECT(comm->bcast(comm, x, n * sizeof *x, comm->world_size - 1) == ENT_OK);
    for (size_t i = 0; i < n; i++)
        bad += x[i] != (int64_t)i - 7;
    EXPECT(bad == 0);
    free(x);
    return wrong;
}

static const char *maximum_is_elementwise(ent_comm *comm)
{
    const char *wrong = NULL;
    const int64_t r = comm->rank, last = comm->world_size - 1;
    int64_t x[4] = {r, -r - 1, r == last ? INT64_MIN : INT64_MIN + 5, (r * 7) % 5};
    EXPECT(comm->max_i64(comm, x, 4) == ENT_OK);
    int64_t modulo = 0;
    for (int64_t k = 0; k <= last; k++)
        modulo = (k * 7) % 5 > modulo ? (k * 7) % 5 : modulo;
    EXPECT(x[0] == last);
    EXPECT(x[1] == -1);
    EXPECT(x[2] == (last == 0 ? INT64_MIN : INT64_MIN + 5));
    EXPECT(x[3] == modulo);
    return wrong;
}

static const char *every_root_broadcasts(ent_comm *comm)
{
    const char *wrong = NULL;
    for (int root = 0; root < comm->world_size; root++) {
        char x[77], expected[77];
        memset(expected, 'a' + root, sizeof expected);
        memset(x, comm->rank == root ? 'a' + root : '-', sizeof x);
        EXPECT(comm->bcast(comm, x, sizeof x, root) == ENT_OK);
        EXPECT(memcmp(x, expected, sizeof x) == 0);
    }
    EXPECT(comm->bcast(comm, NULL, 0, 0) == ENT_OK);
    EXPECT(comm->bcast(comm, NULL, 0, comm->world_size) == ENT_EINVAL);
    EXPECT(comm->bcast(comm, NULL, 0, -1) == ENT_EINVAL);
    return wrong;
}

static const char *barrier_passes(ent_comm *comm)
{
    const char *wrong = NULL;
    for (int i = 0; i < 100; i++)
        EXPECT(comm->barrier(comm) == ENT_OK);
    return wrong;
}

/* Every subset of (at most four) failing ranks. */
static const char *ranks_agree_on_the_first_failure(ent_comm *comm)
{
    const char *wrong = NULL;
    const int n = comm->world_size < 4 ? comm->world_size : 4;
    for (int subset = 0; subset < 1 << n; subset++) {
        ent_status local = ENT_OK;
        int first = 0, failed = 0;
        for (int r = n - 1; r >= 0; r--)
            if (subset >> r & 1) {
                first = r;
                failed++;
            }
        if (comm->rank < n && subset >> comm->rank & 1)
            local = ent_fail(ENT_EIO + comm->rank, "file-%d: cut", comm->rank);
        const ent_status st = ent_comm_agree(comm, local);
        if (!failed) {
            EXPECT(st == ENT_OK);
            continue;
        }
        char expected[64];
        if (failed == comm->world_size)
            snprintf(expected, sizeof expected, "file-%d: cut", first);
        else
            snprintf(expected, sizeof expected, "rank %d: file-%d: cut", first, first);
        EXPECT(st == ENT_EIO + first);
        EXPECT(strcmp(ent_message(), expected) == 0);
    }
    return wrong;
}

static const char *differing_values_are_named(ent_comm *comm)
{
    const char *wrong = NULL;
    EXPECT(ent_comm_same(comm, "Zen", "the CPU") == ENT_OK);
    EXPECT(ent_comm_same(comm, "", "nothing") == ENT_OK);
    for (int odd = 1; odd < comm->world_size; odd++) {
        const char *value = comm->rank >= odd ? "Haswell" : "Zen";
        EXPECT(ent_comm_same(comm, value, "the CPU") == ENT_ECONFIG);
        char expected[128];
        snprintf(expected, sizeof expected, "the CPU: all ranks need the same, rank 0 has 'Zen', rank %d has 'Haswell'",
                 odd);
        EXPECT(strcmp(ent_message(), expected) == 0);
        EXPECT(ent_comm_same(comm, comm->rank == odd ? "Zen 4" : "Zen", "the CPU") == ENT_ECONFIG);
        EXPECT(ent_comm_same(comm, comm->rank == odd ? "Ze" : "Zen", "the CPU") == ENT_ECONFIG);
    }
    return wrong;
}

static const char *long_values_are_compared_whole(ent_comm *comm)
{
    const char *wrong = NULL;
    enum { N = 10000 };
    char *value = malloc(N + 1);
    EXPECT(value != NULL);
    if (!value)
        return wrong;
    memset(value, 'x', N);
    value[N] = '\0';
    EXPECT(ent_comm_same(comm, value, "the config") == ENT_OK);
    if (comm->rank == comm->world_size - 1)
        memcpy(value + N - 9, "different", 9);
    const ent_status st = ent_comm_same(comm, value, "the config");
    EXPECT(st == (comm->world_size > 1 ? ENT_ECONFIG : ENT_OK));
    EXPECT(comm->world_size == 1 || strstr(ent_message(), "different'") != NULL);
    free(value);
    return wrong;
}

/* All ranks of a test are on one machine. */
static const char *hosts_are_known(ent_comm *comm)
{
    const char *wrong = NULL;
    char name[65] = "";
    gethostname(name, sizeof name - 1);
    for (int r = 0; r < comm->world_size; r++)
        EXPECT(strcmp(comm->host(comm, r), name) == 0);
    EXPECT(strcmp(comm->host(comm, comm->world_size), "") == 0);
    EXPECT(strcmp(comm->host(comm, -1), "") == 0);
    EXPECT(comm->step == 0);
    return wrong;
}

/* The message for ranks whose digests begin with the bytes of `value`, of which `votes` are `most` (0: no majority). */
static void expected_odd(char *text, size_t size, ent_comm *comm, const unsigned char *value, int votes, int most)
{
    size_t used = (size_t)snprintf(text, size, "step 3: all ranks need the same, but ");
    if (votes)
        used += (size_t)snprintf(text + used, size - used, "%d of %d ranks have %02x000000000000ee", votes,
                                 comm->world_size, most);
    int shown = 0, odd = 0;
    for (int r = 0; r < comm->world_size; r++) {
        if (votes && value[r] == most)
            continue;
        if (++odd <= 6)
            used += (size_t)snprintf(text + used, size - used, "%srank %d on %s has %02x000000000000ee",
                                     shown++ || votes ? ", " : "", r, comm->host(comm, r), value[r]);
    }
    if (odd > 6)
        snprintf(text + used, size - used, votes ? ", %d more differ" : ", and so on for %d more", odd - 6);
}

static ent_status compare(ent_comm *comm, const unsigned char *value)
{
    enum { MAX_RANKS = 16 };
    static int64_t scratch[4 * MAX_RANKS];
    unsigned char digest[32] = {[0] = value[comm->rank], [7] = 0xee, [31] = 1};
    memset(scratch, 0x55, sizeof scratch);
    return ent_comm_odd_one(comm, digest, scratch, "step 3");
}

static const char *the_odd_one_is_named(ent_comm *comm)
{
    const char *wrong = NULL;
    const int n = comm->world_size;
    char expected[1024];
    unsigned char value[16];
    memset(value, 0xab, sizeof value);
    EXPECT(compare(comm, value) == ENT_OK);
    for (int odd = 0; odd < n && n > 1; odd++) {
        value[odd] = 0xff;
        expected_odd(expected, sizeof expected, comm, value, n > 2 ? n - 1 : 0, 0xab);
        EXPECT(compare(comm, value) == ENT_ENUMERIC);
        EXPECT(strcmp(ent_message(), expected) == 0);
        value[odd] = 0xab;
    }
    for (int r = 0; r < n; r++) /* a majority that is not the first rank's, and several others */
        value[r] = (unsigned char)(r < (n - 1) / 2 ? r : 0x80);
    if (n > 2) {
        expected_odd(expected, sizeof expected, comm, value, n - (n - 1) / 2, 0x80);
        EXPECT(compare(comm, value) == ENT_ENUMERIC);
        EXPECT(strcmp(ent_message(), expected) == 0);
    }
    for (int r = 0; r < n; r++)
        value[r] = (unsigned char)(0x80 + r);
    expected_odd(expected, sizeof expected, comm, value, 0, 0);
    EXPECT(compare(comm, value) == (n > 1 ? ENT_ENUMERIC : ENT_OK));
    EXPECT(n == 1 || strcmp(ent_message(), expected) == 0);
    return wrong;
}

/* Half of the ranks is no majority; the last byte counts as the first. */
static const char *halves_have_no_majority(ent_comm *comm)
{
    const char *wrong = NULL;
    int64_t scratch[4 * 16];
    unsigned char digest[32] = {0};
    digest[31] = comm->rank % 2 ? 1 : 0;
    const ent_status st = ent_comm_odd_one(comm, digest, scratch, "x");
    EXPECT(st == (comm->world_size > 1 ? ENT_ENUMERIC : ENT_OK));
    EXPECT(comm->world_size % 2 || !strstr(ent_message(), "ranks have"));
    EXPECT(comm->world_size % 2 || strstr(ent_message(), "x: all ranks need the same, but rank 0 on "));
    return wrong;
}

const comm_case comm_cases[] = {
    {"rank_is_in_the_world", rank_is_in_the_world},
    {"sums_are_exact", sums_are_exact},
    {"large_sums_are_whole", large_sums_are_whole},
    {"maximum_is_elementwise", maximum_is_elementwise},
    {"every_root_broadcasts", every_root_broadcasts},
    {"barrier_passes", barrier_passes},
    {"ranks_agree_on_the_first_failure", ranks_agree_on_the_first_failure},
    {"differing_values_are_named", differing_values_are_named},
    {"long_values_are_compared_whole", long_values_are_compared_whole},
    {"hosts_are_known", hosts_are_known},
    {"the_odd_one_is_named", the_odd_one_is_named},
    {"halves_have_no_majority", halves_have_no_majority},
};
const size_t n_comm_cases = sizeof comm_cases / sizeof *comm_cases;
