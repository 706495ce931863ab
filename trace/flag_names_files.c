/* Names of flags and values of calls about files and sockets. */
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "trace/flag_names.h"

/* clang-format off */
#define NAME(x) {#x, (uint64_t)(x)}
#define END {NULL, 0}
/* clang-format on */

#ifdef __aarch64__
#define KERNEL_O_LARGEFILE 0400000
#else
#define KERNEL_O_LARGEFILE 0100000 /* the C library's O_LARGEFILE is 0 on 64 bits */
#endif

const ent_bit_name ent_names_open[] = {NAME(O_ACCMODE),
                                       NAME(O_RDWR),
                                       NAME(O_WRONLY),
                                       NAME(O_RDONLY),
                                       NAME(O_CREAT),
                                       NAME(O_EXCL),
                                       NAME(O_NOCTTY),
                                       NAME(O_TRUNC),
                                       NAME(O_APPEND),
                                       NAME(O_NONBLOCK),
                                       NAME(O_SYNC),
                                       NAME(O_DSYNC),
                                       NAME(O_ASYNC),
                                       NAME(O_DIRECT),
                                       NAME(O_NOFOLLOW),
                                       NAME(O_NOATIME),
                                       NAME(O_CLOEXEC),
                                       NAME(O_PATH),
                                       NAME(O_TMPFILE),
                                       NAME(O_DIRECTORY),
                                       {"O_LARGEFILE", KERNEL_O_LARGEFILE},
                                       END};
const ent_bit_name ent_names_fd[] = {NAME(O_NONBLOCK), NAME(O_DIRECT), NAME(O_CLOEXEC),
                                     NAME(O_TRUNC),    NAME(O_EXCL),   END};
const ent_bit_name ent_names_fd_cloexec[] = {NAME(FD_CLOEXEC), END};
const ent_bit_name ent_names_at[] = {NAME(AT_SYMLINK_NOFOLLOW), NAME(AT_REMOVEDIR),  NAME(AT_SYMLINK_FOLLOW),
                                     NAME(AT_NO_AUTOMOUNT),     NAME(AT_EMPTY_PATH), NAME(AT_STATX_FORCE_SYNC),
                                     NAME(AT_STATX_DONT_SYNC),  NAME(AT_RECURSIVE),  END};
const ent_bit_name ent_names_at_remove[] = {NAME(AT_REMOVEDIR), END};
const ent_bit_name ent_names_at_access[] = {NAME(AT_EACCESS), NAME(AT_SYMLINK_NOFOLLOW), NAME(AT_EMPTY_PATH), END};
const ent_bit_name ent_names_access[] = {NAME(R_OK), NAME(W_OK), NAME(X_OK), NAME(F_OK), END};
const ent_bit_name ent_names_whence[] = {NAME(SEEK_SET),  NAME(SEEK_CUR),  NAME(SEEK_END),
                                         NAME(SEEK_DATA), NAME(SEEK_HOLE), END};
const ent_bit_name ent_names_statx[] = {NAME(STATX_ALL),
                                        NAME(STATX_BASIC_STATS),
                                        NAME(STATX_TYPE),
                                        NAME(STATX_MODE),
                                        NAME(STATX_NLINK),
                                        NAME(STATX_UID),
                                        NAME(STATX_GID),
                                        NAME(STATX_ATIME),
                                        NAME(STATX_MTIME),
                                        NAME(STATX_CTIME),
                                        NAME(STATX_INO),
                                        NAME(STATX_SIZE),
                                        NAME(STATX_BLOCKS),
                                        NAME(STATX_BTIME),
                                        {"STATX_MNT_ID", 0x1000},
                                        {"STATX_DIOALIGN", 0x2000},
                                        END};
const ent_bit_name ent_names_rename[] = {NAME(RENAME_NOREPLACE), NAME(RENAME_EXCHANGE), NAME(RENAME_WHITEOUT), END};
const ent_bit_name ent_names_fallocate[] = {NAME(FALLOC_FL_KEEP_SIZE),     NAME(FALLOC_FL_PUNCH_HOLE),
                                            NAME(FALLOC_FL_NO_HIDE_STALE), NAME(FALLOC_FL_COLLAPSE_RANGE),
                                            NAME(FALLOC_FL_ZERO_RANGE),    NAME(FALLOC_FL_INSERT_RANGE),
                                            NAME(FALLOC_FL_UNSHARE_RANGE), END};
const ent_bit_name ent_names_splice[] = {NAME(SPLICE_F_MOVE), NAME(SPLICE_F_NONBLOCK), NAME(SPLICE_F_MORE),
                                         NAME(SPLICE_F_GIFT), END};
const ent_bit_name ent_names_rwf[] = {NAME(RWF_HIPRI),  NAME(RWF_DSYNC),  NAME(RWF_SYNC),
                                      NAME(RWF_NOWAIT), NAME(RWF_APPEND), END};
const ent_bit_name ent_names_flock[] = {NAME(LOCK_UN), NAME(LOCK_EX), NAME(LOCK_SH), NAME(LOCK_NB), END};
const ent_bit_name ent_names_xattr[] = {NAME(XATTR_CREATE), NAME(XATTR_REPLACE), END};
const ent_bit_name ent_names_fadvise[] = {NAME(POSIX_FADV_NORMAL),
                                          NAME(POSIX_FADV_RANDOM),
                                          NAME(POSIX_FADV_SEQUENTIAL),
                                          NAME(POSIX_FADV_WILLNEED),
                                          NAME(POSIX_FADV_DONTNEED),
                                          NAME(POSIX_FADV_NOREUSE),
                                          END};
const ent_bit_name ent_names_sync_range[] = {NAME(SYNC_FILE_RANGE_WAIT_BEFORE), NAME(SYNC_FILE_RANGE_WRITE),
                                             NAME(SYNC_FILE_RANGE_WAIT_AFTER), END};
const ent_bit_name ent_names_umount[] = {NAME(MNT_FORCE), NAME(MNT_DETACH), NAME(MNT_EXPIRE), NAME(UMOUNT_NOFOLLOW),
                                         END};
const ent_bit_name ent_names_mount[] = {
    NAME(MS_RDONLY),     NAME(MS_NOSUID),    NAME(MS_NODEV),       NAME(MS_NOEXEC),   NAME(MS_SYNCHRONOUS),
    NAME(MS_REMOUNT),    NAME(MS_MANDLOCK),  NAME(MS_DIRSYNC),     NAME(MS_NOATIME),  NAME(MS_NODIRATIME),
    NAME(MS_BIND),       NAME(MS_MOVE),      NAME(MS_REC),         NAME(MS_SILENT),   NAME(MS_POSIXACL),
    NAME(MS_UNBINDABLE), NAME(MS_PRIVATE),   NAME(MS_SLAVE),       NAME(MS_SHARED),   NAME(MS_RELATIME),
    NAME(MS_KERNMOUNT),  NAME(MS_I_VERSION), NAME(MS_STRICTATIME), NAME(MS_LAZYTIME), END};
const ent_bit_name ent_names_memfd[] = {NAME(MFD_CLOEXEC), NAME(MFD_ALLOW_SEALING), NAME(MFD_HUGETLB), END};
const ent_bit_name ent_names_seals[] = {NAME(F_SEAL_SEAL),  NAME(F_SEAL_SHRINK),       NAME(F_SEAL_GROW),
                                        NAME(F_SEAL_WRITE), NAME(F_SEAL_FUTURE_WRITE), END};
const ent_bit_name ent_names_eventfd[] = {NAME(EFD_SEMAPHORE), NAME(EFD_NONBLOCK), NAME(EFD_CLOEXEC), END};
const ent_bit_name ent_names_epoll_create[] = {NAME(EPOLL_CLOEXEC), END};
const ent_bit_name ent_names_epoll_ctl[] = {NAME(EPOLL_CTL_ADD), NAME(EPOLL_CTL_DEL), NAME(EPOLL_CTL_MOD), END};
const ent_bit_name ent_names_inotify_init[] = {NAME(IN_NONBLOCK), NAME(IN_CLOEXEC), END};
const ent_bit_name ent_names_inotify[] = {NAME(IN_ALL_EVENTS),    NAME(IN_ACCESS),
                                          NAME(IN_MODIFY),        NAME(IN_ATTRIB),
                                          NAME(IN_CLOSE),         NAME(IN_CLOSE_WRITE),
                                          NAME(IN_CLOSE_NOWRITE), NAME(IN_OPEN),
                                          NAME(IN_MOVE),          NAME(IN_MOVED_FROM),
                                          NAME(IN_MOVED_TO),      NAME(IN_CREATE),
                                          NAME(IN_DELETE),        NAME(IN_DELETE_SELF),
                                          NAME(IN_MOVE_SELF),     NAME(IN_ONLYDIR),
                                          NAME(IN_DONT_FOLLOW),   NAME(IN_EXCL_UNLINK),
                                          NAME(IN_MASK_CREATE),   NAME(IN_MASK_ADD),
                                          NAME(IN_ONESHOT),       END};
const ent_bit_name ent_names_timerfd[] = {NAME(TFD_NONBLOCK), NAME(TFD_CLOEXEC), END};
const ent_bit_name ent_names_timerfd_set[] = {NAME(TFD_TIMER_ABSTIME), NAME(TFD_TIMER_CANCEL_ON_SET), END};
const ent_bit_name ent_names_signalfd[] = {NAME(SFD_NONBLOCK), NAME(SFD_CLOEXEC), END};
const ent_bit_name ent_names_close_range[] = {NAME(CLOSE_RANGE_UNSHARE), NAME(CLOSE_RANGE_CLOEXEC), END};
const ent_bit_name ent_names_getrandom[] = {NAME(GRND_NONBLOCK), NAME(GRND_RANDOM), NAME(GRND_INSECURE), END};
const ent_bit_name ent_names_userfaultfd[] = {NAME(O_NONBLOCK), NAME(O_CLOEXEC), {"UFFD_USER_MODE_ONLY", 1}, END};
const ent_bit_name ent_names_fcntl[] = {NAME(F_DUPFD),
                                        NAME(F_GETFD),
                                        NAME(F_SETFD),
                                        NAME(F_GETFL),
                                        NAME(F_SETFL),
                                        NAME(F_GETLK),
                                        NAME(F_SETLK),
                                        NAME(F_SETLKW),
                                        NAME(F_SETOWN),
                                        NAME(F_GETOWN),
                                        NAME(F_SETSIG),
                                        NAME(F_GETSIG),
                                        NAME(F_SETOWN_EX),
                                        NAME(F_GETOWN_EX),
                                        NAME(F_OFD_GETLK),
                                        NAME(F_OFD_SETLK),
                                        NAME(F_OFD_SETLKW),
                                        NAME(F_SETLEASE),
                                        NAME(F_GETLEASE),
                                        NAME(F_NOTIFY),
                                        NAME(F_DUPFD_CLOEXEC),
                                        NAME(F_SETPIPE_SZ),
                                        NAME(F_GETPIPE_SZ),
                                        NAME(F_ADD_SEALS),
                                        NAME(F_GET_SEALS),
                                        NAME(F_GET_RW_HINT),
                                        NAME(F_SET_RW_HINT),
                                        NAME(F_GET_FILE_RW_HINT),
                                        NAME(F_SET_FILE_RW_HINT),
                                        END};
const ent_bit_name ent_names_lock[] = {NAME(F_RDLCK), NAME(F_WRLCK), NAME(F_UNLCK), END};
const ent_bit_name ent_names_ioctl[] = {NAME(TCGETS),
                                        NAME(TCSETS),
                                        NAME(TCSETSW),
                                        NAME(TCSETSF),
                                        NAME(TCSBRK),
                                        NAME(TCXONC),
                                        NAME(TCFLSH),
                                        {"TCGETS2", 0x802c542a},
                                        {"TCSETS2", 0x402c542b},
                                        {"TCSETSW2", 0x402c542c},
                                        {"TCSETSF2", 0x402c542d},
                                        NAME(TIOCEXCL),
                                        NAME(TIOCNXCL),
                                        NAME(TIOCSCTTY),
                                        NAME(TIOCNOTTY),
                                        NAME(TIOCGPGRP),
                                        NAME(TIOCSPGRP),
                                        NAME(TIOCGSID),
                                        NAME(TIOCOUTQ),
                                        NAME(TIOCSTI),
                                        NAME(TIOCGWINSZ),
                                        NAME(TIOCSWINSZ),
                                        NAME(TIOCGPTN),
                                        NAME(TIOCSPTLCK),
                                        NAME(TIOCGPTPEER),
                                        NAME(FIONREAD),
                                        NAME(FIONBIO),
                                        NAME(FIOASYNC),
                                        NAME(FIOCLEX),
                                        NAME(FIONCLEX),
                                        NAME(FIOQSIZE),
                                        NAME(FIBMAP),
                                        NAME(FIGETBSZ),
                                        NAME(FIFREEZE),
                                        NAME(FITHAW),
                                        NAME(FICLONE),
                                        NAME(FICLONERANGE),
                                        NAME(FIDEDUPERANGE),
                                        NAME(FS_IOC_GETFLAGS),
                                        NAME(FS_IOC_SETFLAGS),
                                        NAME(FS_IOC_FIEMAP),
                                        NAME(BLKROGET),
                                        NAME(BLKGETSIZE),
                                        NAME(BLKFLSBUF),
                                        NAME(BLKSSZGET),
                                        NAME(BLKBSZGET),
                                        NAME(BLKGETSIZE64),
                                        NAME(BLKDISCARD),
                                        NAME(SIOCATMARK),
                                        NAME(SIOCGIFNAME),
                                        NAME(SIOCGIFCONF),
                                        NAME(SIOCGIFFLAGS),
                                        NAME(SIOCGIFADDR),
                                        NAME(SIOCGIFBRDADDR),
                                        NAME(SIOCGIFNETMASK),
                                        NAME(SIOCGIFMTU),
                                        NAME(SIOCGIFHWADDR),
                                        NAME(SIOCGIFINDEX),
                                        NAME(SIOCETHTOOL),
                                        END};

/* sockets */
const ent_bit_name ent_names_domain[] = {NAME(AF_UNSPEC),
                                         NAME(AF_UNIX),
                                         NAME(AF_INET),
                                         NAME(AF_INET6),
                                         NAME(AF_NETLINK),
                                         NAME(AF_PACKET),
                                         NAME(AF_KEY),
                                         NAME(AF_ALG),
                                         NAME(AF_CAN),
                                         NAME(AF_RDS),
                                         NAME(AF_IB),
                                         NAME(AF_TIPC),
                                         NAME(AF_BLUETOOTH),
                                         NAME(AF_VSOCK),
                                         NAME(AF_KCM),
                                         NAME(AF_QIPCRTR),
                                         NAME(AF_SMC),
                                         NAME(AF_XDP),
                                         END};
const ent_bit_name ent_names_socket[] = {
    NAME(SOCK_PACKET), NAME(SOCK_DCCP),   NAME(SOCK_SEQPACKET), NAME(SOCK_RDM),      NAME(SOCK_RAW),
    NAME(SOCK_DGRAM),  NAME(SOCK_STREAM), NAME(SOCK_CLOEXEC),   NAME(SOCK_NONBLOCK), END};
const ent_bit_name ent_names_sock[] = {NAME(SOCK_CLOEXEC), NAME(SOCK_NONBLOCK), END};
const ent_bit_name ent_names_ipproto[] = {NAME(IPPROTO_IP),     NAME(IPPROTO_ICMP),  NAME(IPPROTO_TCP),
                                          NAME(IPPROTO_UDP),    NAME(IPPROTO_DCCP),  NAME(IPPROTO_IPV6),
                                          NAME(IPPROTO_ICMPV6), NAME(IPPROTO_SCTP),  NAME(IPPROTO_UDPLITE),
                                          NAME(IPPROTO_RAW),    NAME(IPPROTO_MPTCP), END};
const ent_bit_name ent_names_msg[] = {NAME(MSG_OOB),          NAME(MSG_PEEK),
                                      NAME(MSG_DONTROUTE),    NAME(MSG_CTRUNC),
                                      NAME(MSG_PROXY),        NAME(MSG_TRUNC),
                                      NAME(MSG_DONTWAIT),     NAME(MSG_EOR),
                                      NAME(MSG_WAITALL),      NAME(MSG_FIN),
                                      NAME(MSG_SYN),          NAME(MSG_CONFIRM),
                                      NAME(MSG_RST),          NAME(MSG_ERRQUEUE),
                                      NAME(MSG_NOSIGNAL),     NAME(MSG_MORE),
                                      NAME(MSG_WAITFORONE),   NAME(MSG_BATCH),
                                      NAME(MSG_ZEROCOPY),     NAME(MSG_FASTOPEN),
                                      NAME(MSG_CMSG_CLOEXEC), END};
const ent_bit_name ent_names_shutdown[] = {NAME(SHUT_RD), NAME(SHUT_WR), NAME(SHUT_RDWR), END};
const ent_bit_name ent_names_sol[] = {NAME(SOL_SOCKET),
                                      NAME(SOL_IP),
                                      {"SOL_TCP", IPPROTO_TCP},
                                      {"SOL_UDP", IPPROTO_UDP},
                                      NAME(SOL_IPV6),
                                      NAME(SOL_ICMPV6),
                                      NAME(SOL_RAW),
                                      NAME(SOL_PACKET),
                                      {"SOL_NETLINK", 270},
                                      {"SOL_SCTP", IPPROTO_SCTP},
                                      END};
const ent_bit_name ent_names_so[] = {NAME(SO_DEBUG),        NAME(SO_REUSEADDR),     NAME(SO_TYPE),
                                     NAME(SO_ERROR),        NAME(SO_DONTROUTE),     NAME(SO_BROADCAST),
                                     NAME(SO_SNDBUF),       NAME(SO_RCVBUF),        NAME(SO_KEEPALIVE),
                                     NAME(SO_OOBINLINE),    NAME(SO_NO_CHECK),      NAME(SO_PRIORITY),
                                     NAME(SO_LINGER),       NAME(SO_BSDCOMPAT),     NAME(SO_REUSEPORT),
                                     NAME(SO_PASSCRED),     NAME(SO_PEERCRED),      NAME(SO_RCVLOWAT),
                                     NAME(SO_SNDLOWAT),     NAME(SO_RCVTIMEO),      NAME(SO_SNDTIMEO),
                                     NAME(SO_BINDTODEVICE), NAME(SO_ATTACH_FILTER), NAME(SO_DETACH_FILTER),
                                     NAME(SO_PEERNAME),     NAME(SO_TIMESTAMP),     NAME(SO_ACCEPTCONN),
                                     NAME(SO_PEERSEC),      NAME(SO_SNDBUFFORCE),   NAME(SO_RCVBUFFORCE),
                                     NAME(SO_MARK),         NAME(SO_PROTOCOL),      NAME(SO_DOMAIN),
                                     NAME(SO_BUSY_POLL),    NAME(SO_INCOMING_CPU),  NAME(SO_ZEROCOPY),
                                     NAME(SO_PEERGROUPS),   NAME(SO_COOKIE),        END};
const ent_bit_name ent_names_tcp[] = {NAME(TCP_NODELAY),      NAME(TCP_MAXSEG),        NAME(TCP_CORK),
                                      NAME(TCP_KEEPIDLE),     NAME(TCP_KEEPINTVL),     NAME(TCP_KEEPCNT),
                                      NAME(TCP_SYNCNT),       NAME(TCP_LINGER2),       NAME(TCP_DEFER_ACCEPT),
                                      NAME(TCP_WINDOW_CLAMP), NAME(TCP_INFO),          NAME(TCP_QUICKACK),
                                      NAME(TCP_CONGESTION),   NAME(TCP_USER_TIMEOUT),  NAME(TCP_FASTOPEN),
                                      NAME(TCP_TIMESTAMP),    NAME(TCP_NOTSENT_LOWAT), NAME(TCP_ZEROCOPY_RECEIVE),
                                      NAME(TCP_ULP),          NAME(TCP_MD5SIG),        END};
