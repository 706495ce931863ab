/* Names of the flags and values that system calls take, for trace/syscalls.def: ent_names_<what>, ended by one without
 * a name. Where they are flags (ENT_ARG_FLAGS), a name of several bits stands before the names of its bits, and a name
 * of 0 stands for none of those before it: O_RDONLY behind O_RDWR and O_WRONLY. */
#ifndef ENT_TRACE_FLAG_NAMES_H
#define ENT_TRACE_FLAG_NAMES_H

#include "trace/syscalls.h"

/* files and sockets: flag_names_files.c */
extern const ent_bit_name ent_names_open[], ent_names_fd[], ent_names_fd_cloexec[], ent_names_at[],
    ent_names_at_remove[], ent_names_at_access[], ent_names_access[], ent_names_whence[], ent_names_statx[],
    ent_names_rename[], ent_names_fallocate[], ent_names_splice[], ent_names_rwf[], ent_names_flock[],
    ent_names_xattr[], ent_names_fadvise[], ent_names_sync_range[], ent_names_umount[], ent_names_mount[],
    ent_names_memfd[], ent_names_seals[], ent_names_eventfd[], ent_names_epoll_create[], ent_names_epoll_ctl[],
    ent_names_inotify_init[], ent_names_inotify[], ent_names_timerfd[], ent_names_timerfd_set[], ent_names_signalfd[],
    ent_names_close_range[], ent_names_getrandom[], ent_names_userfaultfd[], ent_names_fcntl[], ent_names_lock[],
    ent_names_ioctl[], ent_names_domain[], ent_names_socket[], ent_names_sock[], ent_names_ipproto[], ent_names_msg[],
    ent_names_shutdown[], ent_names_sol[], ent_names_so[], ent_names_tcp[];

/* memory, processes, signals, time: flag_names_process.c */
extern const ent_bit_name ent_names_prot[], ent_names_mmap[], ent_names_mremap[], ent_names_msync[],
    ent_names_madvise[], ent_names_mlockall[], ent_names_mlock2[], ent_names_pkey[], ent_names_mempolicy[],
    ent_names_get_mempolicy[], ent_names_mbind[], ent_names_membarrier[], ent_names_membarrier_flags[],
    ent_names_ipc_key[], ent_names_ipcget[], ent_names_shmget[], ent_names_shmat[], ent_names_shmctl[],
    ent_names_semctl[], ent_names_msgctl[], ent_names_msgrcv[], ent_names_clone[], ent_names_unshare[],
    ent_names_wait[], ent_names_idtype[], ent_names_futex[], ent_names_sched[], ent_names_priority[],
    ent_names_ioprio[], ent_names_rlimit[], ent_names_rusage[], ent_names_personality[], ent_names_ptrace[],
    ent_names_prctl[], ent_names_arch_prctl[], ent_names_seccomp[], ent_names_kcmp[], ent_names_rseq[],
    ent_names_sigmask[], ent_names_clock[], ent_names_timer[], ent_names_itimer[];

#endif
