/* A world of one: every collective is the identity. */
#include "src/comm/comm.h"

#include <stdlib.h>
#include <unistd.h>

#include "src/base/mem.h"

typedef struct self_comm {
    ent_comm base; /* first: an ent_comm * is a self_comm * */
    char name[65];
} self_comm;

static ent_status self_reduce(ent_comm *comm, int64_t *x, size_t n)
{
    (void)comm, (void)x, (void)n;
    return ENT_OK;
}

static ent_status self_bcast(ent_comm *comm, void *x, size_t n, int root)
{
    (void)comm, (void)x, (void)n;
    return root == 0 ? ENT_OK : ent_fail(ENT_EINVAL, "broadcast: expected a root in [0, 1), found %d", root);
}

static ent_status self_barrier(ent_comm *comm)
{
    (void)comm;
    return ENT_OK;
}

static const char *self_host(ent_comm *comm, int rank)
{
    self_comm *c = (self_comm *)comm;
    if (rank != 0)
        return "";
    if (c->name[0] == '\0' && gethostname(c->name, sizeof c->name - 1) != 0)
        c->name[0] = '\0';
    return c->name;
}

static void self_abort(ent_comm *comm, int exit_code)
{
    (void)comm;
    exit(exit_code);
}

static void self_free(ent_comm *comm)
{
    free(comm);
}

ent_status ent_comm_self(ent_comm **out)
{
    self_comm *c;
    *out = NULL;
    ENT_TRY(ent_calloc(&c, 1, sizeof *c, "the communicator"));
    c->base = (ent_comm){
        .rank = 0,
        .world_size = 1,
        .sum_i64 = self_reduce,
        .max_i64 = self_reduce,
        .bcast = self_bcast,
        .barrier = self_barrier,
        .host = self_host,
        .abort = self_abort,
        .free = self_free,
    };
    *out = &c->base;
    return ENT_OK;
}
