/* Names of flags and values of calls about memory, processes, signals and time. */
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <linux/membarrier.h>
#include <linux/mempolicy.h>
#include <linux/prctl.h>
#include <linux/rseq.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#ifdef __x86_64__
#include <asm/prctl.h>
#endif

#include "trace/flag_names.h"

/* clang-format off */
#define NAME(x) {#x, (uint64_t)(x)}
#define END {NULL, 0}
/* clang-format on */

/* memory */
const ent_bit_name ent_names_prot[] = {NAME(PROT_READ),      NAME(PROT_WRITE),   NAME(PROT_EXEC), {"PROT_SEM", 8},
                                       NAME(PROT_GROWSDOWN), NAME(PROT_GROWSUP), NAME(PROT_NONE), END};
const ent_bit_name ent_names_mmap[] = {
    NAME(MAP_SHARED_VALIDATE), NAME(MAP_SHARED),     NAME(MAP_PRIVATE),         NAME(MAP_FIXED),
    NAME(MAP_ANONYMOUS),
#ifdef MAP_32BIT
    NAME(MAP_32BIT),
#endif
    NAME(MAP_NORESERVE),       NAME(MAP_POPULATE),   NAME(MAP_NONBLOCK),        NAME(MAP_GROWSDOWN),
    NAME(MAP_DENYWRITE),       NAME(MAP_EXECUTABLE), NAME(MAP_LOCKED),          NAME(MAP_STACK),
    NAME(MAP_HUGETLB),         NAME(MAP_SYNC),       NAME(MAP_FIXED_NOREPLACE), END};
const ent_bit_name ent_names_mremap[] = {NAME(MREMAP_MAYMOVE), NAME(MREMAP_FIXED), NAME(MREMAP_DONTUNMAP), END};
const ent_bit_name ent_names_msync[] = {NAME(MS_ASYNC), NAME(MS_INVALIDATE), NAME(MS_SYNC), END};
const ent_bit_name ent_names_madvise[] = {NAME(MADV_NORMAL),
                                          NAME(MADV_RANDOM),
                                          NAME(MADV_SEQUENTIAL),
                                          NAME(MADV_WILLNEED),
                                          NAME(MADV_DONTNEED),
                                          NAME(MADV_FREE),
                                          NAME(MADV_REMOVE),
                                          NAME(MADV_DONTFORK),
                                          NAME(MADV_DOFORK),
                                          NAME(MADV_MERGEABLE),
                                          NAME(MADV_UNMERGEABLE),
                                          NAME(MADV_HUGEPAGE),
                                          NAME(MADV_NOHUGEPAGE),
                                          NAME(MADV_DONTDUMP),
                                          NAME(MADV_DODUMP),
                                          NAME(MADV_WIPEONFORK),
                                          NAME(MADV_KEEPONFORK),
                                          NAME(MADV_COLD),
                                          NAME(MADV_PAGEOUT),
                                          NAME(MADV_POPULATE_READ),
                                          NAME(MADV_POPULATE_WRITE),
                                          {"MADV_DONTNEED_LOCKED", 24},
                                          {"MADV_COLLAPSE", 25},
                                          NAME(MADV_HWPOISON),
                                          END};
const ent_bit_name ent_names_mlockall[] = {NAME(MCL_CURRENT), NAME(MCL_FUTURE), NAME(MCL_ONFAULT), END};
const ent_bit_name ent_names_mlock2[] = {NAME(MLOCK_ONFAULT), END};
const ent_bit_name ent_names_pkey[] = {NAME(PKEY_DISABLE_ACCESS), NAME(PKEY_DISABLE_WRITE), END};
const ent_bit_name ent_names_mempolicy[] = {NAME(MPOL_PREFERRED_MANY),   NAME(MPOL_LOCAL),
                                            NAME(MPOL_INTERLEAVE),       NAME(MPOL_BIND),
                                            NAME(MPOL_PREFERRED),        NAME(MPOL_DEFAULT),
                                            NAME(MPOL_F_STATIC_NODES),   NAME(MPOL_F_RELATIVE_NODES),
                                            NAME(MPOL_F_NUMA_BALANCING), END};
const ent_bit_name ent_names_get_mempolicy[] = {NAME(MPOL_F_NODE), NAME(MPOL_F_ADDR), NAME(MPOL_F_MEMS_ALLOWED), END};
const ent_bit_name ent_names_mbind[] = {NAME(MPOL_MF_STRICT), NAME(MPOL_MF_MOVE), NAME(MPOL_MF_MOVE_ALL), END};
const ent_bit_name ent_names_membarrier[] = {NAME(MEMBARRIER_CMD_QUERY),
                                             NAME(MEMBARRIER_CMD_GLOBAL),
                                             NAME(MEMBARRIER_CMD_GLOBAL_EXPEDITED),
                                             NAME(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED),
                                             NAME(MEMBARRIER_CMD_PRIVATE_EXPEDITED),
                                             NAME(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED),
                                             NAME(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE),
                                             NAME(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE),
                                             NAME(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ),
                                             NAME(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ),
                                             END};
const ent_bit_name ent_names_membarrier_flags[] = {NAME(MEMBARRIER_CMD_FLAG_CPU), END};

/* System V IPC */
const ent_bit_name ent_names_ipc_key[] = {NAME(IPC_PRIVATE), END};
const ent_bit_name ent_names_ipcget[] = {NAME(IPC_CREAT), NAME(IPC_EXCL), NAME(IPC_NOWAIT), END};
const ent_bit_name ent_names_shmget[] = {NAME(IPC_CREAT), NAME(IPC_EXCL), NAME(SHM_HUGETLB), NAME(SHM_NORESERVE), END};
const ent_bit_name ent_names_shmat[] = {NAME(SHM_RDONLY), NAME(SHM_RND), NAME(SHM_REMAP), NAME(SHM_EXEC), END};
const ent_bit_name ent_names_shmctl[] = {
    NAME(IPC_RMID),   NAME(IPC_SET),  NAME(IPC_STAT), NAME(IPC_INFO),     NAME(SHM_LOCK),
    NAME(SHM_UNLOCK), NAME(SHM_STAT), NAME(SHM_INFO), NAME(SHM_STAT_ANY), END};
const ent_bit_name ent_names_semctl[] = {
    NAME(IPC_RMID), NAME(IPC_SET),  NAME(IPC_STAT), NAME(IPC_INFO),     NAME(GETPID),
    NAME(GETVAL),   NAME(GETALL),   NAME(GETNCNT),  NAME(GETZCNT),      NAME(SETVAL),
    NAME(SETALL),   NAME(SEM_STAT), NAME(SEM_INFO), NAME(SEM_STAT_ANY), END};
const ent_bit_name ent_names_msgctl[] = {NAME(IPC_RMID), NAME(IPC_SET),  NAME(IPC_STAT),     NAME(IPC_INFO),
                                         NAME(MSG_STAT), NAME(MSG_INFO), NAME(MSG_STAT_ANY), END};
const ent_bit_name ent_names_msgrcv[] = {NAME(MSG_NOERROR), NAME(MSG_EXCEPT), NAME(MSG_COPY), NAME(IPC_NOWAIT), END};

/* processes */
const ent_bit_name ent_names_clone[] = {NAME(CLONE_VM),
                                        NAME(CLONE_FS),
                                        NAME(CLONE_FILES),
                                        NAME(CLONE_SIGHAND),
                                        NAME(CLONE_PIDFD),
                                        NAME(CLONE_PTRACE),
                                        NAME(CLONE_VFORK),
                                        NAME(CLONE_PARENT),
                                        NAME(CLONE_THREAD),
                                        NAME(CLONE_NEWNS),
                                        NAME(CLONE_SYSVSEM),
                                        NAME(CLONE_SETTLS),
                                        NAME(CLONE_PARENT_SETTID),
                                        NAME(CLONE_CHILD_CLEARTID),
                                        NAME(CLONE_DETACHED),
                                        NAME(CLONE_UNTRACED),
                                        NAME(CLONE_CHILD_SETTID),
                                        NAME(CLONE_NEWCGROUP),
                                        NAME(CLONE_NEWUTS),
                                        NAME(CLONE_NEWIPC),
                                        NAME(CLONE_NEWUSER),
                                        NAME(CLONE_NEWPID),
                                        NAME(CLONE_NEWNET),
                                        NAME(CLONE_IO),
                                        NAME(SIGCHLD),
                                        END};
const ent_bit_name ent_names_unshare[] = {
    NAME(CLONE_FILES),   NAME(CLONE_FS),      NAME(CLONE_VM),     NAME(CLONE_SIGHAND),   NAME(CLONE_THREAD),
    NAME(CLONE_SYSVSEM), NAME(CLONE_NEWTIME), NAME(CLONE_NEWNS),  NAME(CLONE_NEWCGROUP), NAME(CLONE_NEWUTS),
    NAME(CLONE_NEWIPC),  NAME(CLONE_NEWUSER), NAME(CLONE_NEWPID), NAME(CLONE_NEWNET),    END};
const ent_bit_name ent_names_wait[] = {NAME(WNOHANG),    NAME(WSTOPPED), NAME(WEXITED),
                                       NAME(WCONTINUED), NAME(WNOWAIT),  NAME(__WNOTHREAD),
                                       NAME(__WALL),     NAME(__WCLONE), END};
const ent_bit_name ent_names_idtype[] = {NAME(P_ALL), NAME(P_PID), NAME(P_PGID), NAME(P_PIDFD), END};
/* An operation is a number, so the greatest comes first. */
const ent_bit_name ent_names_futex[] = {NAME(FUTEX_LOCK_PI2_PRIVATE),
                                        NAME(FUTEX_CMP_REQUEUE_PI_PRIVATE),
                                        NAME(FUTEX_WAIT_REQUEUE_PI_PRIVATE),
                                        NAME(FUTEX_WAKE_BITSET_PRIVATE),
                                        NAME(FUTEX_WAIT_BITSET_PRIVATE),
                                        NAME(FUTEX_TRYLOCK_PI_PRIVATE),
                                        NAME(FUTEX_UNLOCK_PI_PRIVATE),
                                        NAME(FUTEX_LOCK_PI_PRIVATE),
                                        NAME(FUTEX_WAKE_OP_PRIVATE),
                                        NAME(FUTEX_CMP_REQUEUE_PRIVATE),
                                        NAME(FUTEX_REQUEUE_PRIVATE),
                                        NAME(FUTEX_WAKE_PRIVATE),
                                        NAME(FUTEX_WAIT_PRIVATE),
                                        NAME(FUTEX_LOCK_PI2),
                                        NAME(FUTEX_CMP_REQUEUE_PI),
                                        NAME(FUTEX_WAIT_REQUEUE_PI),
                                        NAME(FUTEX_WAKE_BITSET),
                                        NAME(FUTEX_WAIT_BITSET),
                                        NAME(FUTEX_TRYLOCK_PI),
                                        NAME(FUTEX_UNLOCK_PI),
                                        NAME(FUTEX_LOCK_PI),
                                        NAME(FUTEX_WAKE_OP),
                                        NAME(FUTEX_CMP_REQUEUE),
                                        NAME(FUTEX_REQUEUE),
                                        NAME(FUTEX_FD),
                                        NAME(FUTEX_WAKE),
                                        NAME(FUTEX_WAIT),
                                        NAME(FUTEX_CLOCK_REALTIME),
                                        END};
const ent_bit_name ent_names_sched[] = {
    NAME(SCHED_DEADLINE), NAME(SCHED_IDLE),  NAME(SCHED_BATCH),         NAME(SCHED_RR),
    NAME(SCHED_FIFO),     NAME(SCHED_OTHER), NAME(SCHED_RESET_ON_FORK), END};
const ent_bit_name ent_names_priority[] = {NAME(PRIO_PROCESS), NAME(PRIO_PGRP), NAME(PRIO_USER), END};
const ent_bit_name ent_names_ioprio[] = {
    {"IOPRIO_WHO_PROCESS", 1}, {"IOPRIO_WHO_PGRP", 2}, {"IOPRIO_WHO_USER", 3}, END};
const ent_bit_name ent_names_rlimit[] = {NAME(RLIMIT_CPU),
                                         NAME(RLIMIT_FSIZE),
                                         NAME(RLIMIT_DATA),
                                         NAME(RLIMIT_STACK),
                                         NAME(RLIMIT_CORE),
                                         NAME(RLIMIT_RSS),
                                         NAME(RLIMIT_NPROC),
                                         NAME(RLIMIT_NOFILE),
                                         NAME(RLIMIT_MEMLOCK),
                                         NAME(RLIMIT_AS),
                                         NAME(RLIMIT_LOCKS),
                                         NAME(RLIMIT_SIGPENDING),
                                         NAME(RLIMIT_MSGQUEUE),
                                         NAME(RLIMIT_NICE),
                                         NAME(RLIMIT_RTPRIO),
                                         NAME(RLIMIT_RTTIME),
                                         END};
const ent_bit_name ent_names_rusage[] = {NAME(RUSAGE_SELF), NAME(RUSAGE_CHILDREN), NAME(RUSAGE_THREAD), END};
const ent_bit_name ent_names_personality[] = {NAME(UNAME26),
                                              NAME(ADDR_NO_RANDOMIZE),
                                              NAME(FDPIC_FUNCPTRS),
                                              NAME(MMAP_PAGE_ZERO),
                                              NAME(ADDR_COMPAT_LAYOUT),
                                              NAME(READ_IMPLIES_EXEC),
                                              NAME(ADDR_LIMIT_32BIT),
                                              NAME(SHORT_INODE),
                                              NAME(WHOLE_SECONDS),
                                              NAME(STICKY_TIMEOUTS),
                                              NAME(ADDR_LIMIT_3GB),
                                              NAME(PER_LINUX32),
                                              NAME(PER_LINUX),
                                              END};
const ent_bit_name ent_names_ptrace[] = {NAME(PTRACE_TRACEME),
                                         NAME(PTRACE_PEEKTEXT),
                                         NAME(PTRACE_PEEKDATA),
                                         NAME(PTRACE_PEEKUSER),
                                         NAME(PTRACE_POKETEXT),
                                         NAME(PTRACE_POKEDATA),
                                         NAME(PTRACE_POKEUSER),
                                         NAME(PTRACE_CONT),
                                         NAME(PTRACE_KILL),
                                         NAME(PTRACE_SINGLESTEP),
                                         NAME(PTRACE_ATTACH),
                                         NAME(PTRACE_DETACH),
                                         NAME(PTRACE_SYSCALL),
                                         NAME(PTRACE_SETOPTIONS),
                                         NAME(PTRACE_GETEVENTMSG),
                                         NAME(PTRACE_GETSIGINFO),
                                         NAME(PTRACE_SETSIGINFO),
                                         NAME(PTRACE_GETREGSET),
                                         NAME(PTRACE_SETREGSET),
                                         NAME(PTRACE_SEIZE),
                                         NAME(PTRACE_INTERRUPT),
                                         NAME(PTRACE_LISTEN),
                                         NAME(PTRACE_PEEKSIGINFO),
                                         NAME(PTRACE_GETSIGMASK),
                                         NAME(PTRACE_SETSIGMASK),
                                         NAME(PTRACE_GET_SYSCALL_INFO),
#ifdef __x86_64__
                                         NAME(PTRACE_GETREGS),
                                         NAME(PTRACE_SETREGS),
                                         NAME(PTRACE_GETFPREGS),
                                         NAME(PTRACE_SETFPREGS),
#endif
                                         END};
const ent_bit_name ent_names_prctl[] = {NAME(PR_SET_PDEATHSIG),
                                        NAME(PR_GET_PDEATHSIG),
                                        NAME(PR_GET_DUMPABLE),
                                        NAME(PR_SET_DUMPABLE),
                                        NAME(PR_GET_KEEPCAPS),
                                        NAME(PR_SET_KEEPCAPS),
                                        NAME(PR_GET_TIMING),
                                        NAME(PR_SET_TIMING),
                                        NAME(PR_SET_NAME),
                                        NAME(PR_GET_NAME),
                                        NAME(PR_GET_SECCOMP),
                                        NAME(PR_SET_SECCOMP),
                                        NAME(PR_CAPBSET_READ),
                                        NAME(PR_CAPBSET_DROP),
                                        NAME(PR_GET_TSC),
                                        NAME(PR_SET_TSC),
                                        NAME(PR_GET_SECUREBITS),
                                        NAME(PR_SET_SECUREBITS),
                                        NAME(PR_SET_TIMERSLACK),
                                        NAME(PR_GET_TIMERSLACK),
                                        NAME(PR_MCE_KILL),
                                        NAME(PR_MCE_KILL_GET),
                                        NAME(PR_SET_MM),
                                        NAME(PR_SET_PTRACER),
                                        NAME(PR_SET_CHILD_SUBREAPER),
                                        NAME(PR_GET_CHILD_SUBREAPER),
                                        NAME(PR_SET_NO_NEW_PRIVS),
                                        NAME(PR_GET_NO_NEW_PRIVS),
                                        NAME(PR_GET_TID_ADDRESS),
                                        NAME(PR_SET_THP_DISABLE),
                                        NAME(PR_GET_THP_DISABLE),
                                        NAME(PR_CAP_AMBIENT),
                                        NAME(PR_SVE_SET_VL),
                                        NAME(PR_SVE_GET_VL),
                                        NAME(PR_GET_SPECULATION_CTRL),
                                        NAME(PR_SET_SPECULATION_CTRL),
                                        NAME(PR_SET_IO_FLUSHER),
                                        NAME(PR_GET_IO_FLUSHER),
                                        NAME(PR_SCHED_CORE),
                                        NAME(PR_SET_VMA),
                                        END};
#ifdef __x86_64__
const ent_bit_name ent_names_arch_prctl[] = {NAME(ARCH_SET_GS),
                                             NAME(ARCH_SET_FS),
                                             NAME(ARCH_GET_FS),
                                             NAME(ARCH_GET_GS),
                                             NAME(ARCH_GET_CPUID),
                                             NAME(ARCH_SET_CPUID),
                                             NAME(ARCH_GET_XCOMP_SUPP),
                                             NAME(ARCH_GET_XCOMP_PERM),
                                             NAME(ARCH_REQ_XCOMP_PERM),
                                             NAME(ARCH_GET_XCOMP_GUEST_PERM),
                                             NAME(ARCH_REQ_XCOMP_GUEST_PERM),
                                             NAME(ARCH_MAP_VDSO_X32),
                                             NAME(ARCH_MAP_VDSO_32),
                                             NAME(ARCH_MAP_VDSO_64),
                                             {"ARCH_CET_STATUS", 0x3001},
                                             {"ARCH_CET_DISABLE", 0x3002},
                                             {"ARCH_SHSTK_ENABLE", 0x5001},
                                             {"ARCH_SHSTK_DISABLE", 0x5002},
                                             END};
#endif
const ent_bit_name ent_names_seccomp[] = {NAME(SECCOMP_SET_MODE_STRICT), NAME(SECCOMP_SET_MODE_FILTER),
                                          NAME(SECCOMP_GET_ACTION_AVAIL), NAME(SECCOMP_GET_NOTIF_SIZES), END};
const ent_bit_name ent_names_kcmp[] = {NAME(KCMP_FILE),    NAME(KCMP_VM),        NAME(KCMP_FILES),
                                       NAME(KCMP_FS),      NAME(KCMP_SIGHAND),   NAME(KCMP_IO),
                                       NAME(KCMP_SYSVSEM), NAME(KCMP_EPOLL_TFD), END};
const ent_bit_name ent_names_rseq[] = {NAME(RSEQ_FLAG_UNREGISTER), END};

/* signals and time */
const ent_bit_name ent_names_sigmask[] = {NAME(SIG_BLOCK), NAME(SIG_UNBLOCK), NAME(SIG_SETMASK), END};
const ent_bit_name ent_names_clock[] = {
    NAME(CLOCK_REALTIME),          NAME(CLOCK_MONOTONIC),     NAME(CLOCK_PROCESS_CPUTIME_ID),
    NAME(CLOCK_THREAD_CPUTIME_ID), NAME(CLOCK_MONOTONIC_RAW), NAME(CLOCK_REALTIME_COARSE),
    NAME(CLOCK_MONOTONIC_COARSE),  NAME(CLOCK_BOOTTIME),      NAME(CLOCK_REALTIME_ALARM),
    NAME(CLOCK_BOOTTIME_ALARM),    NAME(CLOCK_TAI),           END};
const ent_bit_name ent_names_timer[] = {NAME(TIMER_ABSTIME), END};
const ent_bit_name ent_names_itimer[] = {NAME(ITIMER_REAL), NAME(ITIMER_VIRTUAL), NAME(ITIMER_PROF), END};
