#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "trace/normalise_parts.h"

enum { SHOWN_DATA = 60, SHOWN_HASH = 12 };

static bool is_address(const char *value)
{
    return strncmp(value, "0x", 2) == 0 && value[2] && strspn(value + 2, "0123456789abcdefABCDEF") == strlen(value + 2);
}

static void put_what(ent_text *out, const ent_normaliser *n, int64_t fd, const char *what)
{
    static const char *const standard[] = {"<stdin>", "<stdout>", "<stderr>"};
    const char *inode = what ? strstr(what, ":[") : NULL;
    if (what == NULL || fd < 0) {
        ent_text_put(out, "<fd>");
    } else if (fd <= 2) {
        ent_text_put(out, standard[fd]);
    } else {
        ent_text_put(out, "<");
        if (inode && what[0] != '/' && inode[2] >= '0' && inode[2] <= '9')
            ent_text_put_n(out, what, (size_t)(inode - what)); /* pipe:[734521] */
        else
            ent_trace_varying_put(out, n->varying, what);
        ent_text_put(out, ">");
    }
}

static void put_descriptor(ent_text *out, const ent_normaliser *n, size_t i, int64_t fd)
{
    if (n->raw)
        put_what(out, n, fd, fd <= 2 ? "" : n->tracked[i]);
    else
        put_what(out, n, fd, ent_normalise_descriptor(n, i, fd));
}

/* [3, 4] */
static void put_descriptors(ent_text *out, const ent_normaliser *n, size_t i, const char *value)
{
    for (const char *s = value; *s;) {
        const size_t digits = strspn(s, "0123456789");
        if (digits && digits < 10)
            put_descriptor(out, n, i, strtol(s, NULL, 10));
        else
            ent_text_put_n(out, s, digits ? digits : 1);
        s += digits ? digits : 1;
    }
}

static bool is_random(const ent_trace_call *call)
{
    for (size_t k = 0; k < call->n_descriptors; k++)
        if (ent_normalise_is_random_device(call->descriptors[k].what))
            return true;
    return strcmp(call->name, "getrandom") == 0;
}

static void put_hash(ent_text *out, const ent_trace_call *call, ent_normalise_form form)
{
    const size_t n = strlen(call->hash);
    ent_text_put(out, "sha256 ");
    ent_text_put_n(out, call->hash, form == ENT_NORMALISE_SHOW && n > SHOWN_HASH ? SHOWN_HASH : n);
}

/* Data that moved. Without a hash it didn't, and is compared by what the trace has of it. */
static void put_data(ent_text *out, const ent_trace_call *call, const char *value, ent_normalise_form form)
{
    if (is_random(call)) {
        ent_text_put(out, "random");
    } else if (call->hash == NULL && is_address(value)) {
        ent_text_put(out, "ADDR");
    } else if (call->hash == NULL) {
        ent_text_printf(out, "\"%s\"", value);
    } else if (form == ENT_NORMALISE_SHOW) {
        const bool cut = strlen(value) > SHOWN_DATA;
        ent_text_printf(out, "\"%.*s%s\"", SHOWN_DATA, value, cut ? "..." : "");
    } else {
        ent_text_put(out, "data");
    }
}

static void put_text(ent_text *out, const ent_normaliser *n, const char *value, const char *quote)
{
    if (is_address(value) || strcmp(value, "NULL") == 0) {
        ent_text_put(out, value[0] == 'N' ? "NULL" : "ADDR");
        return;
    }
    ent_text_put(out, quote);
    ent_trace_varying_put(out, n->varying, value);
    ent_text_put(out, quote);
}

/* Beyond 32 bits, and wherever nothing is known of it, a number in hexadecimal may be an address. */
static void put_number(ent_text *out, const char *value, uint64_t least_address)
{
    ent_text_put(out, is_address(value) && strtoull(value, NULL, 16) >= least_address ? "ADDR" : value);
}

static void put_pid(ent_text *out, const char *value)
{
    const char *digits = value + (value[0] == '-');
    const bool number = *digits >= '1' && *digits <= '9' && strcmp(value, "-1") != 0;
    ent_text_printf(out, "%s%s", number && digits > value ? "-" : "", number ? "PID" : value);
}

static void put_arg(ent_text *out, const ent_normaliser *n, size_t i, size_t k, ent_normalise_form form)
{
    const ent_trace_call *call = &n->trace->calls[i];
    const ent_trace_arg *arg = &call->args[k];
    ent_arg_kind kind;
    if (!ent_normalise_kind(&kind, ent_syscall_of_name(call->name), call, k)) {
        put_number(out, arg->value, 0x10000);
        return;
    }
    switch (kind) {
    case ENT_ARG_ADDRESS: /* some calls have a number or a text there, as another argument says */
        ent_text_put(out, is_address(arg->value) ? "ADDR" : arg->value);
        break;
    case ENT_ARG_FD:
    case ENT_ARG_DIRFD:
        if (ent_normalise_fd(arg) < 0)
            ent_text_put(out, arg->value);
        else
            put_descriptor(out, n, i, ent_normalise_fd(arg));
        break;
    case ENT_ARG_FDS:
        put_descriptors(out, n, i, is_address(arg->value) ? "ADDR" : arg->value);
        break;
    case ENT_ARG_PATH:
    case ENT_ARG_STRING:
        put_text(out, n, arg->value, "\"");
        break;
    case ENT_ARG_STRINGS:
        put_text(out, n, arg->value, "");
        break;
    case ENT_ARG_IN:
    case ENT_ARG_OUT:
    case ENT_ARG_IN_VECTOR:
    case ENT_ARG_OUT_VECTOR:
        put_data(out, call, arg->value, form);
        break;
    case ENT_ARG_PID:
        put_pid(out, arg->value);
        break;
    case ENT_ARG_SIZE:
        ent_text_printf(out, "%s %s", arg->name, arg->value);
        break;
    case ENT_ARG_HEX:
        put_number(out, arg->value, (uint64_t)1 << 32);
        break;
    case ENT_ARG_INT:
    case ENT_ARG_LONG:
    case ENT_ARG_FLAGS:
    case ENT_ARG_ENUM:
    case ENT_ARG_MODE:
    case ENT_ARG_SIGNAL:
        ent_text_put(out, arg->value);
        break;
    }
}

/* What v1-raw knows of the arguments. */
static void put_raw_args(ent_text *out, const ent_normaliser *n, size_t i, const ent_syscall *s)
{
    const ent_trace_call *call = &n->trace->calls[i];
    const char *path = strcmp(call->name, "openat") == 0 ? ent_trace_value(call, "pathname") : NULL;
    const int64_t fd = ent_normalise_raw_fd(call, s);
    if (path)
        put_text(out, n, path, "\"");
    else if (fd >= 0)
        put_descriptor(out, n, i, fd);
}

static bool gives_descriptor(const ent_trace_call *call, const ent_syscall *s)
{
    const char *command = ent_trace_value(call, "cmd");
    return (s && (s->traits & ENT_CALL_OPENS)) ||
           (strcmp(call->name, "fcntl") == 0 && command && strncmp(command, "F_DUPFD", 7) == 0);
}

static void put_result(ent_text *out, const ent_normaliser *n, size_t i, const ent_syscall *s)
{
    const ent_trace_call *call = &n->trace->calls[i];
    const unsigned traits = s ? s->traits : 0;
    if (n->raw && !(traits & ENT_CALL_IO))
        return;
    ent_text_put(out, " = ");
    if (!call->returned)
        ent_text_put(out, "?");
    else if (call->error && !n->raw)
        ent_text_printf(out, "-%s", call->error);
    else if (ent_trace_failed(call))
        ent_text_printf(out, "%" PRId64, call->result);
    else if (traits & ENT_CALL_ADDRESS)
        ent_text_put(out, "ADDR");
    else if ((traits & ENT_CALL_PID) && call->result > 0)
        ent_text_put(out, "PID");
    else if (gives_descriptor(call, s) && n->raw)
        ent_text_put(out, "<fd>");
    else if (gives_descriptor(call, s))
        put_descriptor(out, n, i, call->result);
    else
        ent_text_printf(out, "%" PRId64, call->result);
}

void ent_normalise_put(ent_text *out, const ent_normaliser *n, size_t i, ent_normalise_form form)
{
    const ent_trace_call *call = &n->trace->calls[i];
    const ent_syscall *s = ent_syscall_of_name(call->name);
    ent_text_printf(out, "%s(", call->name);
    if (n->raw)
        put_raw_args(out, n, i, s);
    for (size_t k = 0; k < call->n_args && !n->raw; k++) {
        ent_text_put(out, k ? ", " : "");
        put_arg(out, n, i, k, form);
    }
    if (call->hash && !n->raw && !is_random(call)) {
        ent_text_put(out, call->n_args ? ", " : "");
        put_hash(out, call, form);
    }
    ent_text_put(out, ")");
    put_result(out, n, i, s);
}
