/* Status codes and the one thread-local message.
 *
 * Every function that can fail returns an ent_status; ENT_OK is 0. The message is set where the fault is found, by
 * ent_fail, and passed up unchanged. It names the thing, what was found and what was expected, in one line.
 */
#ifndef ENT_BASE_STATUS_H
#define ENT_BASE_STATUS_H

typedef int ent_status;

enum {
    ENT_OK = 0,
    ENT_EINVAL,       /* an argument or a shape is wrong */
    ENT_ECONFIG,      /* a configuration key or value is wrong */
    ENT_EIO,          /* the system refused to read or write */
    ENT_EFORMAT,      /* a file's contents are malformed or don't fit */
    ENT_EUNSUPPORTED, /* well formed, but not something this program does */
    ENT_ENOMEM,       /* no memory */
    ENT_ENUMERIC,     /* a loss or gradient is not finite, or too large */
    ENT_ECOMM,        /* communication between ranks failed */
    ENT_ESTOPPED      /* stopped by a signal after saving */
};

/* Sets this thread's message (one line, no newline) and returns `code`. */
ent_status ent_fail(ent_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts `where` and a colon in front of this thread's message, for what was read doesn't know where it stands; returns
 * `code`. */
ent_status ent_fail_at(ent_status code, const char *where);

/* The message of the last fault on this thread; "" if there was none. Valid until the next ent_fail. */
const char *ent_message(void);

/* Returns from the calling function if `call` fails. */
#define ENT_TRY(call)                          \
    do {                                       \
        const ent_status ent_try_st_ = (call); \
        if (ent_try_st_ != ENT_OK)             \
            return ent_try_st_;                \
    } while (0)

/* Jumps to the label `done`, with the variable `st` set, if `call` fails. */
#define ENT_GO(call)      \
    do {                  \
        st = (call);      \
        if (st != ENT_OK) \
            goto done;    \
    } while (0)

#endif
