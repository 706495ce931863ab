#include "trace/arguments.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "trace/flag_names.h"

enum { NONE = -1, ALL = -1, CREATES = O_CREAT | (O_TMPFILE & ~O_DIRECTORY) };

/* Where `mask` of the argument `by` is `value`, the argument `arg` is of this kind. */
typedef struct rule {
    int call, arg, by, mask, value, kind;
    const ent_bit_name *names;
} rule;

#ifdef __x86_64__
enum { CLONE_CHILD_TID = 3, CLONE_TLS = 4 };
#else
enum { CLONE_CHILD_TID = 4, CLONE_TLS = 3 };
#endif

static const rule rules[] = {
#ifdef __x86_64__
    {SYS_open, 2, 1, CREATES, 0, NONE, NULL},
#endif
    {SYS_openat, 3, 2, CREATES, 0, NONE, NULL},
    {SYS_mq_open, 2, 1, O_CREAT, 0, NONE, NULL},
    {SYS_mq_open, 3, 1, O_CREAT, 0, NONE, NULL},
    {SYS_mremap, 4, 3, MREMAP_FIXED | MREMAP_DONTUNMAP, 0, NONE, NULL},

    {SYS_clone, 2, 0, CLONE_PARENT_SETTID | CLONE_PIDFD, 0, NONE, NULL},
    {SYS_clone, CLONE_CHILD_TID, 0, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID, 0, NONE, NULL},
    {SYS_clone, CLONE_TLS, 0, CLONE_SETTLS, 0, NONE, NULL},

    {SYS_preadv2, 4, 4, 0, 0, NONE, NULL}, /* always: half of an offset, of 32-bit processors */
    {SYS_pwritev2, 4, 4, 0, 0, NONE, NULL},
    {SYS_ioctl, 2, 1, ALL, FIOCLEX, NONE, NULL},
    {SYS_ioctl, 2, 1, ALL, FIONCLEX, NONE, NULL},

    {SYS_fcntl, 2, 1, ALL, F_GETFD, NONE, NULL},
    {SYS_fcntl, 2, 1, ALL, F_GETFL, NONE, NULL},
    {SYS_fcntl, 2, 1, ALL, F_GETOWN, NONE, NULL},
    {SYS_fcntl, 2, 1, ALL, F_GETSIG, NONE, NULL},
    {SYS_fcntl, 2, 1, ALL, F_GETLEASE, NONE, NULL},
    {SYS_fcntl, 2, 1, ALL, F_GETPIPE_SZ, NONE, NULL},
    {SYS_fcntl, 2, 1, ALL, F_GET_SEALS, NONE, NULL},
    {SYS_fcntl, 2, 1, ALL, F_DUPFD, ENT_ARG_INT, NULL},
    {SYS_fcntl, 2, 1, ALL, F_DUPFD_CLOEXEC, ENT_ARG_INT, NULL},
    {SYS_fcntl, 2, 1, ALL, F_SETPIPE_SZ, ENT_ARG_INT, NULL},
    {SYS_fcntl, 2, 1, ALL, F_SETFD, ENT_ARG_FLAGS, ent_names_fd_cloexec},
    {SYS_fcntl, 2, 1, ALL, F_SETFL, ENT_ARG_FLAGS, ent_names_open},
    {SYS_fcntl, 2, 1, ALL, F_ADD_SEALS, ENT_ARG_FLAGS, ent_names_seals},
    {SYS_fcntl, 2, 1, ALL, F_SETLEASE, ENT_ARG_ENUM, ent_names_lock},
    {SYS_fcntl, 2, 1, ALL, F_NOTIFY, ENT_ARG_HEX, NULL},
    {SYS_fcntl, 2, 1, ALL, F_SETSIG, ENT_ARG_SIGNAL, NULL},
    {SYS_fcntl, 2, 1, ALL, F_SETOWN, ENT_ARG_PID, NULL},

    {SYS_futex, 3, 1, FUTEX_CMD_MASK, FUTEX_WAKE, NONE, NULL},
    {SYS_futex, 4, 1, FUTEX_CMD_MASK, FUTEX_WAKE, NONE, NULL},
    {SYS_futex, 5, 1, FUTEX_CMD_MASK, FUTEX_WAKE, NONE, NULL},
    {SYS_futex, 4, 1, FUTEX_CMD_MASK, FUTEX_WAIT, NONE, NULL},
    {SYS_futex, 5, 1, FUTEX_CMD_MASK, FUTEX_WAIT, NONE, NULL},
    {SYS_futex, 4, 1, FUTEX_CMD_MASK, FUTEX_WAIT_BITSET, NONE, NULL},
    {SYS_futex, 3, 1, FUTEX_CMD_MASK, FUTEX_WAKE_BITSET, NONE, NULL},
    {SYS_futex, 4, 1, FUTEX_CMD_MASK, FUTEX_WAKE_BITSET, NONE, NULL},
    {SYS_futex, 3, 1, FUTEX_CMD_MASK, FUTEX_REQUEUE, ENT_ARG_SIZE, NULL},
    {SYS_futex, 3, 1, FUTEX_CMD_MASK, FUTEX_CMP_REQUEUE, ENT_ARG_SIZE, NULL},
    {SYS_futex, 3, 1, FUTEX_CMD_MASK, FUTEX_WAKE_OP, ENT_ARG_SIZE, NULL},

    {SYS_prctl, 1, 0, ALL, PR_SET_NAME, ENT_ARG_STRING, NULL},
    {SYS_prctl, 2, 0, ALL, PR_SET_NAME, NONE, NULL},
    {SYS_prctl, 3, 0, ALL, PR_SET_NAME, NONE, NULL},
    {SYS_prctl, 4, 0, ALL, PR_SET_NAME, NONE, NULL},
    {SYS_prctl, 2, 0, ALL, PR_GET_NAME, NONE, NULL},
    {SYS_prctl, 3, 0, ALL, PR_GET_NAME, NONE, NULL},
    {SYS_prctl, 4, 0, ALL, PR_GET_NAME, NONE, NULL},
    {SYS_prctl, 1, 0, ALL, PR_SET_PDEATHSIG, ENT_ARG_SIGNAL, NULL},
    {SYS_prctl, 2, 0, ALL, PR_SET_PDEATHSIG, NONE, NULL},
    {SYS_prctl, 3, 0, ALL, PR_SET_PDEATHSIG, NONE, NULL},
    {SYS_prctl, 4, 0, ALL, PR_SET_PDEATHSIG, NONE, NULL},

    {SYS_socket, 2, 0, ALL, AF_INET, ENT_ARG_ENUM, ent_names_ipproto},
    {SYS_socket, 2, 0, ALL, AF_INET6, ENT_ARG_ENUM, ent_names_ipproto},
    {SYS_setsockopt, 2, 1, ALL, SOL_SOCKET, ENT_ARG_ENUM, ent_names_so},
    {SYS_setsockopt, 2, 1, ALL, IPPROTO_TCP, ENT_ARG_ENUM, ent_names_tcp},
    {SYS_getsockopt, 2, 1, ALL, SOL_SOCKET, ENT_ARG_ENUM, ent_names_so},
    {SYS_getsockopt, 2, 1, ALL, IPPROTO_TCP, ENT_ARG_ENUM, ent_names_tcp},
};

bool ent_argument(ent_syscall_arg *out, const ent_syscall *s, size_t i, const uint64_t args[6])
{
    if (i >= 6 || s->args[i].name == NULL)
        return false;
    *out = s->args[i];
    for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
        const rule *at = &rules[r];
        if (at->call != s->number || at->arg != (int)i || ((int)args[at->by] & at->mask) != at->value)
            continue;
        if (at->kind == NONE)
            return false;
        out->kind = (ent_arg_kind)at->kind;
        out->names = at->names;
    }
    return true;
}
