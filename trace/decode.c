#include "trace/decode.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <fcntl.h>
#include <unistd.h>

#include "io/digest.h"
#include "io/text.h"
#include "trace/arguments.h"
#include "trace/show.h"
#include "trace/tracee.h"

enum {
    SHOWN_BYTES = 32,  /* of a buffer, as strace does */
    SHOWN_ITEMS = 32,  /* of a list */
    MAX_PIECES = 1024, /* the kernel's UIO_MAXIOV */
};

/* The arguments of one call of a stopped thread; texts are made in `text`, one after the other. */
typedef struct decoder {
    ent_trace *trace;
    ent_trace_call *call;
    pid_t tid;
    const ent_syscall *syscall;
    const uint64_t *args;
    ent_text text;
} decoder;

/* Memory of the thread: a buffer, or the parts of a vector. */
typedef struct piece {
    uint64_t address, n;
} piece;

static ent_status keep(const char **out, decoder *d)
{
    if (d->text.failed)
        return ent_fail(ENT_ENOMEM, "out of memory: the arguments of a call");
    const ent_status st = ent_trace_keep(out, d->trace, d->text.n ? d->text.data : "", d->text.n);
    d->text.n = 0;
    return st;
}

/* What a descriptor stands for now; a number that stands for something else from now on gets its new meaning. */
static ent_status add_descriptor(decoder *d, int fd)
{
    char path[64], what[PATH_MAX];
    ent_trace_call *call = d->call;
    size_t at = 0;
    if (fd < 0)
        return ENT_OK;
    snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)d->tid, fd);
    const ssize_t n = readlink(path, what, sizeof what);
    while (at < call->n_descriptors && call->descriptors[at].fd != fd)
        at++;
    if (n < 0 || at == ENT_TRACE_MAX_DESCRIPTORS)
        return ENT_OK;
    ent_show_bytes(&d->text, what, (size_t)n);
    ENT_TRY(keep(&call->descriptors[at].what, d));
    call->descriptors[at].fd = fd;
    if (at == call->n_descriptors)
        call->n_descriptors++;
    return ENT_OK;
}

static void show_string(decoder *d, uint64_t address, const char *quote)
{
    char bytes[PATH_MAX];
    bool cut;
    const ssize_t n = ent_tracee_string(bytes, &cut, sizeof bytes, d->tid, address);
    if (n < 0) {
        ent_show_address(&d->text, address);
        return;
    }
    ent_text_put(&d->text, quote);
    ent_show_bytes(&d->text, bytes, (size_t)n);
    ent_text_put(&d->text, quote);
    if (cut)
        ent_text_put(&d->text, "...");
}

static void show_strings(decoder *d, uint64_t address)
{
    uint64_t item;
    if (ent_tracee_read(&item, d->tid, address, sizeof item) < sizeof item) {
        ent_show_address(&d->text, address);
        return;
    }
    ent_text_put(&d->text, "[");
    for (size_t i = 0;; i++) {
        if (ent_tracee_read(&item, d->tid, address + i * sizeof item, sizeof item) < sizeof item) {
            ent_text_put(&d->text, ", ");
            ent_show_address(&d->text, address + i * sizeof item);
            break;
        }
        if (item == 0)
            break;
        ent_text_put(&d->text, i ? ", " : "");
        if (i == SHOWN_ITEMS) {
            ent_text_put(&d->text, "...");
            break;
        }
        show_string(d, item, "\"");
    }
    ent_text_put(&d->text, "]");
}

static bool is_vector(ent_arg_kind kind)
{
    return kind == ENT_ARG_IN_VECTOR || kind == ENT_ARG_OUT_VECTOR;
}

static bool is_buffer(ent_arg_kind kind)
{
    return kind == ENT_ARG_IN || kind == ENT_ARG_OUT || is_vector(kind);
}

/* The pieces of the buffer that argument i is, with no more than `most` bytes in all; how many of them. -1: a vector
 * that can't be read. */
static ssize_t find_pieces(piece out[MAX_PIECES], const decoder *d, size_t i, uint64_t most)
{
    size_t n = 1;
    if (is_vector(d->syscall->args[i].kind)) {
        n = i + 1 < 6 && d->args[i + 1] < MAX_PIECES ? (size_t)d->args[i + 1] : MAX_PIECES;
        if (ent_tracee_read(out, d->tid, d->args[i], n * sizeof *out) < n * sizeof *out)
            return -1;
    } else {
        out[0] = (piece){d->args[i], UINT64_MAX};
        for (size_t k = i + 1; k < 6 && d->syscall->args[k].name; k++) {
            if (d->syscall->args[k].kind == ENT_ARG_SIZE) {
                out[0].n = d->args[k];
                break;
            }
        }
    }
    for (size_t k = 0; k < n; k++) {
        out[k].n = out[k].n < most ? out[k].n : most;
        most -= out[k].n;
    }
    return (ssize_t)n;
}

static bool show_piece(decoder *d, const piece *p, const char *quote)
{
    char bytes[SHOWN_BYTES];
    const size_t n = p->n < SHOWN_BYTES ? (size_t)p->n : SHOWN_BYTES;
    if (ent_tracee_read(bytes, d->tid, p->address, n) < n)
        return false;
    ent_text_put(&d->text, quote);
    ent_show_bytes(&d->text, bytes, n);
    ent_text_put(&d->text, quote);
    if (p->n > n)
        ent_text_put(&d->text, "...");
    return true;
}

/* Of an answer that isn't data but a text, the zero at its end is no part. */
static void trim_zero(const decoder *d, piece *p)
{
    char last;
    if (!(d->syscall->traits & (ENT_CALL_READS | ENT_CALL_WRITES)) && p->n > 0 &&
        ent_tracee_read(&last, d->tid, p->address + p->n - 1, 1) == 1 && last == 0)
        p->n--;
}

/* The first bytes of a buffer: abc; of a vector: ["ab", "c"]. */
static void show_buffer(decoder *d, size_t i, uint64_t most)
{
    piece pieces[MAX_PIECES];
    const ssize_t n = d->args[i] ? find_pieces(pieces, d, i, most) : -1;
    if (n < 0) {
        ent_show_address(&d->text, d->args[i]);
    } else if (!is_vector(d->syscall->args[i].kind)) {
        if (d->syscall->args[i].kind == ENT_ARG_OUT)
            trim_zero(d, pieces);
        if (!show_piece(d, pieces, ""))
            ent_show_address(&d->text, d->args[i]);
    } else {
        ent_text_put(&d->text, "[");
        for (ssize_t k = 0; k < n && k <= SHOWN_ITEMS; k++) {
            ent_text_put(&d->text, k ? ", " : "");
            if (k == SHOWN_ITEMS)
                ent_text_put(&d->text, "...");
            else if (!show_piece(d, &pieces[k], "\""))
                ent_show_address(&d->text, pieces[k].address);
        }
        ent_text_put(&d->text, "]");
    }
}

/* Size and hash of the bytes that were moved. Without a hash where they can't be read any more: another thread may have
 * given their memory back. */
static ent_status measure(decoder *d, size_t i, uint64_t moved)
{
    enum { PART = 1 << 16 };
    piece pieces[MAX_PIECES];
    char part[PART], hex[ENT_SHA256_SIZE];
    ent_sha256_sum sum;
    uint64_t size = 0;
    const ssize_t n = find_pieces(pieces, d, i, moved);
    if (n < 0 || moved == 0)
        return ENT_OK;
    ent_sha256_begin(&sum);
    for (ssize_t k = 0; k < n; k++) {
        for (uint64_t done = 0; done < pieces[k].n;) {
            const uint64_t left = pieces[k].n - done;
            const size_t wanted = left < PART ? (size_t)left : PART;
            if (ent_tracee_read(part, d->tid, pieces[k].address + done, wanted) < wanted)
                return ENT_OK;
            ent_sha256_add(&sum, part, wanted);
            done += wanted;
        }
        size += pieces[k].n;
    }
    ent_sha256_end(hex, &sum);
    d->call->size = (int64_t)size; /* less than the result, if recv tells the length of what it cut off */
    return ent_trace_keep(&d->call->hash, d->trace, hex, sizeof hex - 1);
}

static ent_status add_argument(decoder *d, const ent_syscall_arg *arg, uint64_t value, size_t i)
{
    ent_trace_arg *to = &d->call->args[d->call->n_args];
    if ((arg->kind == ENT_ARG_PATH || arg->kind == ENT_ARG_STRING) && value)
        show_string(d, value, "");
    else if (arg->kind == ENT_ARG_STRINGS && value)
        show_strings(d, value);
    else if (arg->kind == ENT_ARG_IN || arg->kind == ENT_ARG_IN_VECTOR)
        show_buffer(d, i, UINT64_MAX);
    else
        ent_show_value(&d->text, arg, value);
    to->name = arg->name;
    ENT_TRY(keep(&to->value, d));
    d->call->n_args++;
    if (arg->kind == ENT_ARG_FD || arg->kind == ENT_ARG_DIRFD)
        ENT_TRY(add_descriptor(d, (int)value));
    return ENT_OK;
}

static ent_status add_unknown(decoder *d, uint64_t number)
{
    static const ent_syscall_arg arguments[6] = {{"arg1", ENT_ARG_ADDRESS, NULL}, {"arg2", ENT_ARG_ADDRESS, NULL},
                                                 {"arg3", ENT_ARG_ADDRESS, NULL}, {"arg4", ENT_ARG_ADDRESS, NULL},
                                                 {"arg5", ENT_ARG_ADDRESS, NULL}, {"arg6", ENT_ARG_ADDRESS, NULL}};
    ent_text_printf(&d->text, "syscall_0x%llx", (unsigned long long)number);
    ENT_TRY(keep(&d->call->name, d));
    for (size_t i = 0; i < 6; i++)
        ENT_TRY(add_argument(d, &arguments[i], d->args[i], i));
    return ENT_OK;
}

ent_status ent_decode_entry(ent_trace_call *call, ent_trace *trace, pid_t tid, const ent_syscall *s, uint64_t number,
                            const uint64_t args[6])
{
    ent_status st = ENT_OK;
    decoder d = {.trace = trace, .call = call, .tid = tid, .syscall = s, .args = args};
    call->number = (int64_t)number;
    call->n_args = call->n_descriptors = 0;
    memcpy(call->raw, args, sizeof call->raw);
    if (s == NULL)
        ENT_GO(add_unknown(&d, number));
    else
        call->name = s->name;
    for (size_t i = 0; s && i < 6; i++) {
        ent_syscall_arg arg;
        if (ent_argument(&arg, s, i, args))
            ENT_GO(add_argument(&d, &arg, args[i], i));
    }
done:
    free(d.text.data);
    return st;
}

static ent_status set_error(decoder *d, int number)
{
    d->call->error = ent_show_error(number);
    if (d->call->error)
        return ENT_OK;
    ent_text_printf(&d->text, "errno %d", number);
    return keep(&d->call->error, d);
}

/* An int[2] that the kernel gave. */
static ent_status show_descriptors(decoder *d, uint64_t address)
{
    int fds[2];
    if (ent_tracee_read(fds, d->tid, address, sizeof fds) < sizeof fds) {
        ent_show_address(&d->text, address);
        return ENT_OK;
    }
    for (size_t k = 0; k < 2; k++)
        ENT_TRY(add_descriptor(d, fds[k]));
    ent_text_printf(&d->text, "[%d, %d]", fds[0], fds[1]);
    return ENT_OK;
}

/* What became of argument i, which is the n-th of the call. */
static ent_status finish_argument(decoder *d, ent_arg_kind kind, size_t i, size_t n, uint64_t result)
{
    if ((d->syscall->traits & (ENT_CALL_READS | ENT_CALL_WRITES)) && is_buffer(kind))
        ENT_TRY(measure(d, i, result));
    if (n >= d->call->n_args || (kind != ENT_ARG_OUT && kind != ENT_ARG_OUT_VECTOR && kind != ENT_ARG_FDS))
        return ENT_OK;
    if (kind == ENT_ARG_FDS)
        ENT_TRY(show_descriptors(d, d->args[i]));
    else
        show_buffer(d, i, result);
    return keep(&d->call->args[n].value, d);
}

/* Of fcntl, the command says whether the result is a descriptor. */
static bool opens(const ent_syscall *s, const uint64_t args[6])
{
    return (s->traits & ENT_CALL_OPENS) ||
           (s->number == SYS_fcntl && ((int)args[1] == F_DUPFD || (int)args[1] == F_DUPFD_CLOEXEC));
}

ent_status ent_decode_exit(ent_trace_call *call, ent_trace *trace, pid_t tid, const ent_syscall *s,
                           const uint64_t args[6], int64_t result)
{
    ent_status st = ENT_OK;
    decoder d = {.trace = trace, .call = call, .tid = tid, .syscall = s, .args = args};
    call->returned = true;
    call->result = result;
    if (ent_trace_failed(call)) {
        ENT_GO(set_error(&d, (int)-result));
        goto done;
    }
    if (s == NULL)
        goto done;
    if (s->traits & (ENT_CALL_READS | ENT_CALL_WRITES))
        call->size = result;
    for (size_t i = 0, n = 0; i < 6; i++) {
        ent_syscall_arg arg;
        if (ent_argument(&arg, s, i, args))
            ENT_GO(finish_argument(&d, arg.kind, i, n++, (uint64_t)result));
    }
    if (opens(s, args))
        ENT_GO(add_descriptor(&d, (int)result));
done:
    free(d.text.data);
    return st;
}
