/* Which ranks hold something else than the others. */
#include "src/comm/comm.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { WORDS = 4, SHOWN = 6 }; /* int64 of a digest; ranks that a message names one by one */

typedef struct text {
    char bytes[800];
    size_t used;
} text;

static void add(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(t->bytes + t->used, sizeof t->bytes - t->used, format, args);
    va_end(args);
    if (n > 0)
        t->used = t->used + (size_t)n < sizeof t->bytes ? t->used + (size_t)n : sizeof t->bytes - 1;
}

static bool equal(const int64_t *a, const int64_t *b)
{
    return memcmp(a, b, WORDS * sizeof *a) == 0;
}

/* The digest that more than half of the n have, and of how many it is; NULL if there is none. In one pass a majority
 * outlives the pairs of unequal ones (Boyer and Moore, 1981), a second one counts it. */
static const int64_t *majority(int *votes, const int64_t *digests, int n)
{
    const int64_t *candidate = digests;
    int lead = 0;
    for (int r = 0; r < n; r++) {
        if (lead == 0)
            candidate = digests + WORDS * r;
        lead += equal(candidate, digests + WORDS * r) ? 1 : -1;
    }
    *votes = 0;
    for (int r = 0; r < n; r++)
        *votes += equal(candidate, digests + WORDS * r);
    return 2 * *votes > n ? candidate : NULL;
}

/* The first 16 digits of a digest, as tools that print digests show them. */
static void add_digest(text *t, const int64_t *digest)
{
    const unsigned char *bytes = (const unsigned char *)digest;
    for (int i = 0; i < 8; i++)
        add(t, "%02x", bytes[i]);
}

ent_status ent_comm_odd_one(ent_comm *comm, const void *digest32, int64_t *scratch, const char *what)
{
    const int n = comm->world_size;
    memset(scratch, 0, WORDS * (size_t)n * sizeof *scratch);
    memcpy(scratch + WORDS * comm->rank, digest32, WORDS * sizeof *scratch);
    ENT_TRY(comm->sum_i64(comm, scratch, WORDS * (size_t)n));
    int votes, shown = 0;
    const int64_t *most = majority(&votes, scratch, n);
    if (votes == n)
        return ENT_OK;
    text t = {.used = 0};
    if (most) {
        add(&t, "%d of %d ranks have ", votes, n);
        add_digest(&t, most);
    }
    for (int r = 0; r < n && shown < SHOWN; r++) {
        if (most && equal(most, scratch + WORDS * r))
            continue;
        const char *host = comm->host(comm, r);
        add(&t, "%srank %d%s%.64s has ", shown || most ? ", " : "", r, *host ? " on " : "", host);
        add_digest(&t, scratch + WORDS * r);
        shown++;
    }
    const int more = n - (most ? votes : 0) - shown;
    if (more > 0)
        add(&t, most ? ", %d more differ" : ", and so on for %d more", more);
    return ent_fail(ENT_ENUMERIC, "%s: all ranks need the same, but %s", what, t.bytes);
}
