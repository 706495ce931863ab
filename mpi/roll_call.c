#include "mpi/roll_call.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUESTION, ANSWER };         /* tags */
enum { MISSING, HERE, ELSEWHERE }; /* of a rank, as seen from the place that is told of */
enum { SHOWN = 8 };                /* ranks that a list names before it counts the rest */

typedef struct word {
    int64_t
        call; /* the asking rank's number when it asked: an answer that comes too late is not taken for one in time */
    place place;
} word;

typedef struct peer {
    word question, answer; /* being sent, MPI's until the request is done */
    MPI_Request asking, answering;
    place place; /* that it answered, if it did */
    bool answered;
    int kind;
} peer;

struct roll_call {
    MPI_Comm comm;
    int rank, size;
    int64_t call; /* the number of the last question */
    peer *peers;  /* [size] */
};

const char *operation_name(int64_t op)
{
    static const char *const names[N_OPERATIONS] = {"start", "barrier", "sum", "maximum", "broadcast"};
    return op >= 0 && op < N_OPERATIONS ? names[op] : "unknown call";
}

int roll_call_open(roll_call **out, MPI_Comm comm)
{
    MPI_Comm own;
    *out = NULL;
    int code = MPI_Comm_dup(comm, &own);
    if (code != MPI_SUCCESS)
        return code;
    roll_call *r = calloc(1, sizeof *r);
    if (!r)
        return MPI_SUCCESS;
    r->comm = own;
    MPI_Comm_rank(own, &r->rank);
    MPI_Comm_size(own, &r->size);
    r->peers = calloc((size_t)r->size, sizeof *r->peers);
    for (int i = 0; r->peers && i < r->size; i++)
        r->peers[i].asking = r->peers[i].answering = MPI_REQUEST_NULL;
    if (r->peers)
        *out = r;
    else
        free(r);
    return MPI_SUCCESS;
}

/* Sends what fits into MPI's own buffers. To a rank that has not taken the last one nothing more is sent; what MPI
 * finds wrong is no answer, and told as such. */
static void post(roll_call *r, int to, int tag, const word *w)
{
    peer *p = &r->peers[to];
    word *slot = tag == QUESTION ? &p->question : &p->answer;
    MPI_Request *request = tag == QUESTION ? &p->asking : &p->answering;
    int sent = 0;
    if (MPI_Test(request, &sent, MPI_STATUS_IGNORE) != MPI_SUCCESS || !sent)
        return;
    *slot = *w;
    if (MPI_Isend(slot, sizeof *slot, MPI_BYTE, to, tag, r->comm, request) != MPI_SUCCESS)
        *request = MPI_REQUEST_NULL;
}

void roll_call_ask(roll_call *r, const place *here)
{
    const word question = {here->number, *here};
    r->call = here->number;
    for (int i = 0; i < r->size; i++) {
        r->peers[i].answered = i == r->rank;
        r->peers[i].place = *here;
        if (i != r->rank)
            post(r, i, QUESTION, &question);
    }
}

/* Takes one message; false if there is none. */
static bool take(roll_call *r, word *w, int *from, int *tag)
{
    MPI_Status status;
    int there = 0;
    if (MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, r->comm, &there, &status) != MPI_SUCCESS || !there)
        return false;
    *from = status.MPI_SOURCE;
    *tag = status.MPI_TAG;
    return MPI_Recv(w, sizeof *w, MPI_BYTE, *from, *tag, r->comm, MPI_STATUS_IGNORE) == MPI_SUCCESS;
}

void roll_call_listen(roll_call *r, const place *here)
{
    word w;
    int from, tag;
    while (take(r, &w, &from, &tag)) {
        peer *p = &r->peers[from];
        if (tag == QUESTION) {
            post(r, from, ANSWER, &(word){w.call, *here});
        } else if (w.call == r->call) {
            p->place = w.place;
            p->answered = true;
        }
    }
}

int roll_call_lower(const roll_call *r)
{
    int n = 0;
    for (int i = 0; i < r->rank; i++)
        n += r->peers[i].answered;
    return n;
}

typedef struct text {
    char *bytes;
    size_t size, used;
} text;

static void add(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(t->bytes + t->used, t->size - t->used, format, args);
    va_end(args);
    if (n > 0)
        t->used = t->used + (size_t)n < t->size ? t->used + (size_t)n : t->size - 1;
}

/* "rank 3", "ranks 3, 7 and 9", "ranks 3, 7, 9 and 41 more": those of a kind, each with its host where `comm` is given.
 * Returns how many there are. */
static int add_ranks(text *t, const roll_call *r, int kind, ent_comm *comm)
{
    int n = 0, i = 0;
    for (int k = 0; k < r->size; k++)
        n += r->peers[k].kind == kind;
    const int shown = n > SHOWN ? SHOWN : n;
    add(t, n == 1 ? "rank " : "ranks ");
    for (int k = 0; k < r->size && i < shown; k++) {
        if (r->peers[k].kind != kind)
            continue;
        const char *host = comm ? comm->host(comm, k) : "";
        add(t, "%s%d%s%s", i == 0 ? "" : i + 1 == n ? " and " : ", ", k, *host ? " on " : "", host);
        i++;
    }
    if (n > shown)
        add(t, " and %d more", n - shown);
    return n;
}

/* The place that is told of is where the last of those who answered waits: whoever waits further on has been there. */
static place last_place(roll_call *r, const place *here)
{
    place at = *here;
    for (int i = 0; i < r->size; i++) {
        const peer *p = &r->peers[i];
        if (!p->answered)
            continue;
        if (p->place.number < at.number || (p->place.number == at.number && p->place.op < at.op)) {
            at.number = p->place.number;
            at.op = p->place.op;
        }
        at.step = p->place.step < at.step ? p->place.step : at.step;
    }
    return at;
}

void roll_call_tell(char *bytes, size_t size, roll_call *r, const place *here, ent_comm *comm, int64_t timeout_s)
{
    text t = {.bytes = bytes, .size = size};
    const place at = last_place(r, here);
    const char *name = operation_name(at.op);
    int n[3] = {0}, elsewhere = 0;
    for (int i = r->size - 1; i >= 0; i--) {
        peer *p = &r->peers[i];
        const bool here_too = p->answered && p->place.number == at.number && p->place.op == at.op;
        p->kind = here_too ? HERE : p->answered ? ELSEWHERE : MISSING;
        n[p->kind]++;
        elsewhere = p->kind == ELSEWHERE ? i : elsewhere;
    }
    *bytes = '\0';
    if (n[MISSING]) {
        add_ranks(&t, r, MISSING, comm);
        add(&t, " %s not come to the %s within %lld s", n[MISSING] == 1 ? "has" : "have", name, (long long)timeout_s);
        if (at.step > 0)
            add(&t, "; %s last step done is %lld", n[MISSING] == 1 ? "its" : "their", (long long)at.step);
        add(&t, " (");
        add_ranks(&t, r, HERE, NULL);
        add(&t, n[HERE] == 1 ? " waits" : " wait");
    } else if (n[ELSEWHERE]) {
        add(&t, "ranks are out of step after step %lld: ", (long long)at.step);
        add_ranks(&t, r, HERE, comm);
        add(&t, " %s in the %s, call %lld", n[HERE] == 1 ? "waits" : "wait", name, (long long)at.number);
    } else {
        add(&t, "all %d ranks have come to the %s, but it has not ended within %lld s", r->size, name,
            (long long)timeout_s);
        if (at.step > 0)
            add(&t, "; the last step done is %lld", (long long)at.step);
    }
    if (n[ELSEWHERE]) {
        const place *p = &r->peers[elsewhere].place;
        add(&t, ", ");
        add_ranks(&t, r, ELSEWHERE, n[MISSING] ? NULL : comm);
        if (n[ELSEWHERE] == 1)
            add(&t, "%s in the %s, call %lld", n[MISSING] ? " further on" : "", operation_name(p->op),
                (long long)p->number);
        else
            add(&t, " elsewhere, rank %d in the %s, call %lld", elsewhere, operation_name(p->op), (long long)p->number);
    }
    if (n[MISSING])
        add(&t, ")");
}

void roll_call_end(roll_call *r)
{
    word w;
    int from, tag;
    while (take(r, &w, &from, &tag)) {
    }
    MPI_Comm_free(&r->comm);
}

void roll_call_free(roll_call *r)
{
    if (r)
        free(r->peers);
    free(r);
}
