/* What ranks decide together, made of the six operations. Nothing here depends on how they are carried. */
#include "src/comm/comm.h"

#include <stdbool.h>
#include <string.h>

/* The lowest rank with `mine` set, on every rank; -1 if there is none. *all tells whether it is set everywhere. */
static ent_status first_rank(int *first, bool *all, ent_comm *comm, bool mine)
{
    /* Both questions in one maximum: the lower the rank the larger the number; and does anyone have it not set. */
    int64_t votes[2] = {mine ? comm->world_size - comm->rank : 0, !mine};
    ENT_TRY(comm->max_i64(comm, votes, 2));
    *first = votes[0] == 0 ? -1 : (int)(comm->world_size - votes[0]);
    *all = votes[1] == 0;
    return ENT_OK;
}

void ent_comm_free(ent_comm *comm)
{
    if (comm)
        comm->free(comm);
}

ent_status ent_comm_agree(ent_comm *comm, ent_status local)
{
    struct {
        int64_t status;
        char message[1024];
    } fault = {.status = local};
    int first;
    bool all;
    if (local != ENT_OK) /* taken aside before a collective can replace it */
        strncpy(fault.message, ent_message(), sizeof fault.message - 1);
    ENT_TRY(first_rank(&first, &all, comm, local != ENT_OK));
    if (first < 0)
        return ENT_OK;
    ENT_TRY(comm->bcast(comm, &fault, sizeof fault, first));
    if (all)
        return ent_fail((ent_status)fault.status, "%s", fault.message);
    return ent_fail((ent_status)fault.status, "rank %d: %s", first, fault.message);
}

enum { EXCERPT = 200 }; /* bytes of a value that fit into a message beside another one */

/* *at = where `value` first differs from rank 0's, or -1. Compared piece by piece: values may be whole files. */
static ent_status find_difference(int64_t *at, ent_comm *comm, const char *value)
{
    const size_t n = strlen(value);
    uint64_t n_root = n;
    ENT_TRY(comm->bcast(comm, &n_root, sizeof n_root, 0));
    *at = -1;
    char piece[4096];
    for (size_t begin = 0; begin < n_root; begin += sizeof piece) {
        const size_t size = n_root - begin < sizeof piece ? (size_t)(n_root - begin) : sizeof piece;
        if (comm->rank == 0)
            memcpy(piece, value + begin, size);
        ENT_TRY(comm->bcast(comm, piece, size, 0));
        for (size_t i = 0; i < size && *at < 0; i++)
            if (begin + i >= n || value[begin + i] != piece[i])
                *at = (int64_t)(begin + i);
    }
    if (*at < 0 && n > n_root)
        *at = (int64_t)n_root;
    return ENT_OK;
}

/* text = rank `root`'s value from byte `begin` on, as much as fits. */
static ent_status share_excerpt(char text[EXCERPT], ent_comm *comm, const char *value, int64_t begin, int root)
{
    memset(text, 0, EXCERPT);
    if (comm->rank == root && (uint64_t)begin < strlen(value))
        strncpy(text, value + begin, EXCERPT - 1);
    return comm->bcast(comm, text, EXCERPT, root);
}

ent_status ent_comm_same(ent_comm *comm, const char *value, const char *what)
{
    int64_t at;
    int first;
    bool all;
    ENT_TRY(find_difference(&at, comm, value));
    ENT_TRY(first_rank(&first, &all, comm, at >= 0));
    if (first < 0)
        return ENT_OK;
    /* A short value is shown whole, a long one from a little before the difference. */
    int64_t begin = at < EXCERPT / 2 ? 0 : at - EXCERPT / 4;
    ENT_TRY(comm->bcast(comm, &begin, sizeof begin, first));
    char root_text[EXCERPT], text[EXCERPT];
    ENT_TRY(share_excerpt(root_text, comm, value, begin, 0));
    ENT_TRY(share_excerpt(text, comm, value, begin, first));
    const char *cut = begin > 0 ? "..." : "";
    return ent_fail(ENT_ECONFIG, "%s: all ranks need the same, rank 0 has '%s%s', rank %d has '%s%s'", what, cut,
                    root_text, first, cut, text);
}
