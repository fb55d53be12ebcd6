"""System calls of x86-64: name of the tracepoint (and of the kernel's function), number, arguments as its record declares them.

Facts of syscall_64.tbl and of the events/syscalls/sys_enter_*/format files (Linux 6.18), compared with this kernel's by a test.
"""

from __future__ import annotations

_ROWS = """\
0 read: unsigned int fd, char * buf, size_t count
1 write: unsigned int fd, const char * buf, size_t count
2 open: const char * filename, int flags, umode_t mode
3 close: unsigned int fd
4 newstat: const char * filename, struct stat * statbuf
5 newfstat: unsigned int fd, struct stat * statbuf
6 newlstat: const char * filename, struct stat * statbuf
7 poll: struct pollfd * ufds, unsigned int nfds, int timeout_msecs
8 lseek: unsigned int fd, off_t offset, unsigned int whence
9 mmap: unsigned long addr, unsigned long len, unsigned long prot, unsigned long flags, unsigned long fd, unsigned long off
10 mprotect: unsigned long start, size_t len, unsigned long prot
11 munmap: unsigned long addr, size_t len
12 brk: unsigned long brk
13 rt_sigaction: int sig, const struct sigaction * act, struct sigaction * oact, size_t sigsetsize
14 rt_sigprocmask: int how, sigset_t * nset, sigset_t * oset, size_t sigsetsize
15 rt_sigreturn
16 ioctl: unsigned int fd, unsigned int cmd, unsigned long arg
17 pread64: unsigned int fd, char * buf, size_t count, loff_t pos
18 pwrite64: unsigned int fd, const char * buf, size_t count, loff_t pos
19 readv: unsigned long fd, const struct iovec * vec, unsigned long vlen
20 writev: unsigned long fd, const struct iovec * vec, unsigned long vlen
21 access: const char * filename, int mode
22 pipe: int * fildes
23 select: int n, fd_set * inp, fd_set * outp, fd_set * exp, struct __kernel_old_timeval * tvp
24 sched_yield
25 mremap: unsigned long addr, unsigned long old_len, unsigned long new_len, unsigned long flags, unsigned long new_addr
26 msync: unsigned long start, size_t len, int flags
27 mincore: unsigned long start, size_t len, unsigned char * vec
28 madvise: unsigned long start, size_t len_in, int behavior
29 shmget: key_t key, size_t size, int shmflg
30 shmat: int shmid, char * shmaddr, int shmflg
31 shmctl: int shmid, int cmd, struct shmid_ds * buf
32 dup: unsigned int fildes
33 dup2: unsigned int oldfd, unsigned int newfd
34 pause
35 nanosleep: struct __kernel_timespec * rqtp, struct __kernel_timespec * rmtp
36 getitimer: int which, struct __kernel_old_itimerval * value
37 alarm: unsigned int seconds
38 setitimer: int which, struct __kernel_old_itimerval * value, struct __kernel_old_itimerval * ovalue
39 getpid
40 sendfile64: int out_fd, int in_fd, loff_t * offset, size_t count
41 socket: int family, int type, int protocol
42 connect: int fd, struct sockaddr * uservaddr, int addrlen
43 accept: int fd, struct sockaddr * upeer_sockaddr, int * upeer_addrlen
44 sendto: int fd, void * buff, size_t len, unsigned int flags, struct sockaddr * addr, int addr_len
45 recvfrom: int fd, void * ubuf, size_t size, unsigned int flags, struct sockaddr * addr, int * addr_len
46 sendmsg: int fd, struct user_msghdr * msg, unsigned int flags
47 recvmsg: int fd, struct user_msghdr * msg, unsigned int flags
48 shutdown: int fd, int how
49 bind: int fd, struct sockaddr * umyaddr, int addrlen
50 listen: int fd, int backlog
51 getsockname: int fd, struct sockaddr * usockaddr, int * usockaddr_len
52 getpeername: int fd, struct sockaddr * usockaddr, int * usockaddr_len
53 socketpair: int family, int type, int protocol, int * usockvec
54 setsockopt: int fd, int level, int optname, char * optval, int optlen
55 getsockopt: int fd, int level, int optname, char * optval, int * optlen
56 clone: unsigned long clone_flags, unsigned long newsp, int * parent_tidptr, int * child_tidptr, unsigned long tls
57 fork
58 vfork
59 execve: const char * filename, const char *const * argv, const char *const * envp
60 exit: int error_code
61 wait4: pid_t upid, int * stat_addr, int options, struct rusage * ru
62 kill: pid_t pid, int sig
63 newuname: struct new_utsname * name
64 semget: key_t key, int nsems, int semflg
65 semop: int semid, struct sembuf * tsops, unsigned nsops
66 semctl: int semid, int semnum, int cmd, unsigned long arg
67 shmdt: char * shmaddr
68 msgget: key_t key, int msgflg
69 msgsnd: int msqid, struct msgbuf * msgp, size_t msgsz, int msgflg
70 msgrcv: int msqid, struct msgbuf * msgp, size_t msgsz, long msgtyp, int msgflg
71 msgctl: int msqid, int cmd, struct msqid_ds * buf
72 fcntl: unsigned int fd, unsigned int cmd, unsigned long arg
73 flock: unsigned int fd, unsigned int cmd
74 fsync: unsigned int fd
75 fdatasync: unsigned int fd
76 truncate: const char * path, long length
77 ftruncate: unsigned int fd, off_t length
78 getdents: unsigned int fd, struct linux_dirent * dirent, unsigned int count
79 getcwd: char * buf, unsigned long size
80 chdir: const char * filename
81 fchdir: unsigned int fd
82 rename: const char * oldname, const char * newname
83 mkdir: const char * pathname, umode_t mode
84 rmdir: const char * pathname
85 creat: const char * pathname, umode_t mode
86 link: const char * oldname, const char * newname
87 unlink: const char * pathname
88 symlink: const char * oldname, const char * newname
89 readlink: const char * path, char * buf, int bufsiz
90 chmod: const char * filename, umode_t mode
91 fchmod: unsigned int fd, umode_t mode
92 chown: const char * filename, uid_t user, gid_t group
93 fchown: unsigned int fd, uid_t user, gid_t group
94 lchown: const char * filename, uid_t user, gid_t group
95 umask: int mask
96 gettimeofday: struct __kernel_old_timeval * tv, struct timezone * tz
97 getrlimit: unsigned int resource, struct rlimit * rlim
98 getrusage: int who, struct rusage * ru
99 sysinfo: struct sysinfo * info
100 times: struct tms * tbuf
101 ptrace: long request, long pid, unsigned long addr, unsigned long data
102 getuid
103 syslog: int type, char * buf, int len
104 getgid
105 setuid: uid_t uid
106 setgid: gid_t gid
107 geteuid
108 getegid
109 setpgid: pid_t pid, pid_t pgid
110 getppid
111 getpgrp
112 setsid
113 setreuid: uid_t ruid, uid_t euid
114 setregid: gid_t rgid, gid_t egid
115 getgroups: int gidsetsize, gid_t * grouplist
116 setgroups: int gidsetsize, gid_t * grouplist
117 setresuid: uid_t ruid, uid_t euid, uid_t suid
118 getresuid: uid_t * ruidp, uid_t * euidp, uid_t * suidp
119 setresgid: gid_t rgid, gid_t egid, gid_t sgid
120 getresgid: gid_t * rgidp, gid_t * egidp, gid_t * sgidp
121 getpgid: pid_t pid
122 setfsuid: uid_t uid
123 setfsgid: gid_t gid
124 getsid: pid_t pid
125 capget: cap_user_header_t header, cap_user_data_t dataptr
126 capset: cap_user_header_t header, const cap_user_data_t data
127 rt_sigpending: sigset_t * uset, size_t sigsetsize
128 rt_sigtimedwait: const sigset_t * uthese, siginfo_t * uinfo, const struct __kernel_timespec * uts, size_t sigsetsize
129 rt_sigqueueinfo: pid_t pid, int sig, siginfo_t * uinfo
130 rt_sigsuspend: sigset_t * unewset, size_t sigsetsize
131 sigaltstack: const stack_t * uss, stack_t * uoss
132 utime: char * filename, struct utimbuf * times
133 mknod: const char * filename, umode_t mode, unsigned dev
134 uselib: const char * library
135 personality: unsigned int personality
136 ustat: unsigned dev, struct ustat * ubuf
137 statfs: const char * pathname, struct statfs * buf
138 fstatfs: unsigned int fd, struct statfs * buf
139 sysfs: int option, unsigned long arg1, unsigned long arg2
140 getpriority: int which, int who
141 setpriority: int which, int who, int niceval
142 sched_setparam: pid_t pid, struct sched_param * param
143 sched_getparam: pid_t pid, struct sched_param * param
144 sched_setscheduler: pid_t pid, int policy, struct sched_param * param
145 sched_getscheduler: pid_t pid
146 sched_get_priority_max: int policy
147 sched_get_priority_min: int policy
148 sched_rr_get_interval: pid_t pid, struct __kernel_timespec * interval
149 mlock: unsigned long start, size_t len
150 munlock: unsigned long start, size_t len
151 mlockall: int flags
152 munlockall
153 vhangup
154 modify_ldt: int func, void * ptr, unsigned long bytecount
155 pivot_root: const char * new_root, const char * put_old
157 prctl: int option, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5
158 arch_prctl: int option, unsigned long arg2
159 adjtimex: struct __kernel_timex * txc_p
160 setrlimit: unsigned int resource, struct rlimit * rlim
161 chroot: const char * filename
162 sync
163 acct: const char * name
164 settimeofday: struct __kernel_old_timeval * tv, struct timezone * tz
165 mount: char * dev_name, char * dir_name, char * type, unsigned long flags, void * data
166 umount: char * name, int flags
167 swapon: const char * specialfile, int swap_flags
168 swapoff: const char * specialfile
169 reboot: int magic1, int magic2, unsigned int cmd, void * arg
170 sethostname: char * name, int len
171 setdomainname: char * name, int len
172 iopl: unsigned int level
173 ioperm: unsigned long from, unsigned long num, int turn_on
175 init_module: void * umod, unsigned long len, const char * uargs
176 delete_module: const char * name_user, unsigned int flags
179 quotactl: unsigned int cmd, const char * special, qid_t id, void * addr
186 gettid
187 readahead: int fd, loff_t offset, size_t count
188 setxattr: const char * pathname, const char * name, const void * value, size_t size, int flags
189 lsetxattr: const char * pathname, const char * name, const void * value, size_t size, int flags
190 fsetxattr: int fd, const char * name, const void * value, size_t size, int flags
191 getxattr: const char * pathname, const char * name, void * value, size_t size
192 lgetxattr: const char * pathname, const char * name, void * value, size_t size
193 fgetxattr: int fd, const char * name, void * value, size_t size
194 listxattr: const char * pathname, char * list, size_t size
195 llistxattr: const char * pathname, char * list, size_t size
196 flistxattr: int fd, char * list, size_t size
197 removexattr: const char * pathname, const char * name
198 lremovexattr: const char * pathname, const char * name
199 fremovexattr: int fd, const char * name
200 tkill: pid_t pid, int sig
201 time: __kernel_old_time_t * tloc
202 futex: u32 * uaddr, int op, u32 val, const struct __kernel_timespec * utime, u32 * uaddr2, u32 val3
203 sched_setaffinity: pid_t pid, unsigned int len, unsigned long * user_mask_ptr
204 sched_getaffinity: pid_t pid, unsigned int len, unsigned long * user_mask_ptr
206 io_setup: unsigned nr_events, aio_context_t * ctxp
207 io_destroy: aio_context_t ctx
208 io_getevents: aio_context_t ctx_id, long min_nr, long nr, struct io_event * events, struct __kernel_timespec * timeout
209 io_submit: aio_context_t ctx_id, long nr, struct iocb * * iocbpp
210 io_cancel: aio_context_t ctx_id, struct iocb * iocb, struct io_event * result
213 epoll_create: int size
216 remap_file_pages: unsigned long start, unsigned long size, unsigned long prot, unsigned long pgoff, unsigned long flags
217 getdents64: unsigned int fd, struct linux_dirent64 * dirent, unsigned int count
218 set_tid_address: int * tidptr
219 restart_syscall
220 semtimedop: int semid, struct sembuf * tsops, unsigned int nsops, const struct __kernel_timespec * timeout
221 fadvise64: int fd, loff_t offset, size_t len, int advice
222 timer_create: const clockid_t which_clock, struct sigevent * timer_event_spec, timer_t * created_timer_id
223 timer_settime: timer_t timer_id, int flags, const struct __kernel_itimerspec * new_setting,
 struct __kernel_itimerspec * old_setting
224 timer_gettime: timer_t timer_id, struct __kernel_itimerspec * setting
225 timer_getoverrun: timer_t timer_id
226 timer_delete: timer_t timer_id
227 clock_settime: const clockid_t which_clock, const struct __kernel_timespec * tp
228 clock_gettime: const clockid_t which_clock, struct __kernel_timespec * tp
229 clock_getres: const clockid_t which_clock, struct __kernel_timespec * tp
230 clock_nanosleep: const clockid_t which_clock, int flags, const struct __kernel_timespec * rqtp,
 struct __kernel_timespec * rmtp
231 exit_group: int error_code
232 epoll_wait: int epfd, struct epoll_event * events, int maxevents, int timeout
233 epoll_ctl: int epfd, int op, int fd, struct epoll_event * event
234 tgkill: pid_t tgid, pid_t pid, int sig
235 utimes: char * filename, struct __kernel_old_timeval * utimes
237 mbind: unsigned long start, unsigned long len, unsigned long mode, const unsigned long * nmask, unsigned long maxnode,
 unsigned int flags
238 set_mempolicy: int mode, const unsigned long * nmask, unsigned long maxnode
239 get_mempolicy: int * policy, unsigned long * nmask, unsigned long maxnode, unsigned long addr, unsigned long flags
240 mq_open: const char * u_name, int oflag, umode_t mode, struct mq_attr * u_attr
241 mq_unlink: const char * u_name
242 mq_timedsend: mqd_t mqdes, const char * u_msg_ptr, size_t msg_len, unsigned int msg_prio,
 const struct __kernel_timespec * u_abs_timeout
243 mq_timedreceive: mqd_t mqdes, char * u_msg_ptr, size_t msg_len, unsigned int * u_msg_prio,
 const struct __kernel_timespec * u_abs_timeout
244 mq_notify: mqd_t mqdes, const struct sigevent * u_notification
245 mq_getsetattr: mqd_t mqdes, const struct mq_attr * u_mqstat, struct mq_attr * u_omqstat
246 kexec_load: unsigned long entry, unsigned long nr_segments, struct kexec_segment * segments, unsigned long flags
247 waitid: int which, pid_t upid, struct siginfo * infop, int options, struct rusage * ru
248 add_key: const char * _type, const char * _description, const void * _payload, size_t plen, key_serial_t ringid
249 request_key: const char * _type, const char * _description, const char * _callout_info, key_serial_t destringid
250 keyctl: int option, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5
251 ioprio_set: int which, int who, int ioprio
252 ioprio_get: int which, int who
253 inotify_init
254 inotify_add_watch: int fd, const char * pathname, u32 mask
255 inotify_rm_watch: int fd, __s32 wd
256 migrate_pages: pid_t pid, unsigned long maxnode, const unsigned long * old_nodes, const unsigned long * new_nodes
257 openat: int dfd, const char * filename, int flags, umode_t mode
258 mkdirat: int dfd, const char * pathname, umode_t mode
259 mknodat: int dfd, const char * filename, umode_t mode, unsigned int dev
260 fchownat: int dfd, const char * filename, uid_t user, gid_t group, int flag
261 futimesat: int dfd, const char * filename, struct __kernel_old_timeval * utimes
262 newfstatat: int dfd, const char * filename, struct stat * statbuf, int flag
263 unlinkat: int dfd, const char * pathname, int flag
264 renameat: int olddfd, const char * oldname, int newdfd, const char * newname
265 linkat: int olddfd, const char * oldname, int newdfd, const char * newname, int flags
266 symlinkat: const char * oldname, int newdfd, const char * newname
267 readlinkat: int dfd, const char * pathname, char * buf, int bufsiz
268 fchmodat: int dfd, const char * filename, umode_t mode
269 faccessat: int dfd, const char * filename, int mode
270 pselect6: int n, fd_set * inp, fd_set * outp, fd_set * exp, struct __kernel_timespec * tsp, void * sig
271 ppoll: struct pollfd * ufds, unsigned int nfds, struct __kernel_timespec * tsp, const sigset_t * sigmask,
 size_t sigsetsize
272 unshare: unsigned long unshare_flags
273 set_robust_list: struct robust_list_head * head, size_t len
274 get_robust_list: int pid, struct robust_list_head * * head_ptr, size_t * len_ptr
275 splice: int fd_in, loff_t * off_in, int fd_out, loff_t * off_out, size_t len, unsigned int flags
276 tee: int fdin, int fdout, size_t len, unsigned int flags
277 sync_file_range: int fd, loff_t offset, loff_t nbytes, unsigned int flags
278 vmsplice: int fd, const struct iovec * uiov, unsigned long nr_segs, unsigned int flags
279 move_pages: pid_t pid, unsigned long nr_pages, const void * * pages, const int * nodes, int * status, int flags
280 utimensat: int dfd, const char * filename, struct __kernel_timespec * utimes, int flags
281 epoll_pwait: int epfd, struct epoll_event * events, int maxevents, int timeout, const sigset_t * sigmask,
 size_t sigsetsize
282 signalfd: int ufd, sigset_t * user_mask, size_t sizemask
283 timerfd_create: int clockid, int flags
284 eventfd: unsigned int count
285 fallocate: int fd, int mode, loff_t offset, loff_t len
286 timerfd_settime: int ufd, int flags, const struct __kernel_itimerspec * utmr, struct __kernel_itimerspec * otmr
287 timerfd_gettime: int ufd, struct __kernel_itimerspec * otmr
288 accept4: int fd, struct sockaddr * upeer_sockaddr, int * upeer_addrlen, int flags
289 signalfd4: int ufd, sigset_t * user_mask, size_t sizemask, int flags
290 eventfd2: unsigned int count, int flags
291 epoll_create1: int flags
292 dup3: unsigned int oldfd, unsigned int newfd, int flags
293 pipe2: int * fildes, int flags
294 inotify_init1: int flags
295 preadv: unsigned long fd, const struct iovec * vec, unsigned long vlen, unsigned long pos_l, unsigned long pos_h
296 pwritev: unsigned long fd, const struct iovec * vec, unsigned long vlen, unsigned long pos_l, unsigned long pos_h
297 rt_tgsigqueueinfo: pid_t tgid, pid_t pid, int sig, siginfo_t * uinfo
298 perf_event_open: struct perf_event_attr * attr_uptr, pid_t pid, int cpu, int group_fd, unsigned long flags
299 recvmmsg: int fd, struct mmsghdr * mmsg, unsigned int vlen, unsigned int flags, struct __kernel_timespec * timeout
300 fanotify_init: unsigned int flags, unsigned int event_f_flags
301 fanotify_mark: int fanotify_fd, unsigned int flags, __u64 mask, int dfd, const char * pathname
302 prlimit64: pid_t pid, unsigned int resource, const struct rlimit64 * new_rlim, struct rlimit64 * old_rlim
303 name_to_handle_at: int dfd, const char * name, struct file_handle * handle, void * mnt_id, int flag
304 open_by_handle_at: int mountdirfd, struct file_handle * handle, int flags
305 clock_adjtime: const clockid_t which_clock, struct __kernel_timex * utx
306 syncfs: int fd
307 sendmmsg: int fd, struct mmsghdr * mmsg, unsigned int vlen, unsigned int flags
308 setns: int fd, int flags
309 getcpu: unsigned * cpup, unsigned * nodep, struct getcpu_cache * unused
310 process_vm_readv: pid_t pid, const struct iovec * lvec, unsigned long liovcnt, const struct iovec * rvec,
 unsigned long riovcnt, unsigned long flags
311 process_vm_writev: pid_t pid, const struct iovec * lvec, unsigned long liovcnt, const struct iovec * rvec,
 unsigned long riovcnt, unsigned long flags
312 kcmp: pid_t pid1, pid_t pid2, int type, unsigned long idx1, unsigned long idx2
313 finit_module: int fd, const char * uargs, int flags
314 sched_setattr: pid_t pid, struct sched_attr * uattr, unsigned int flags
315 sched_getattr: pid_t pid, struct sched_attr * uattr, unsigned int usize, unsigned int flags
316 renameat2: int olddfd, const char * oldname, int newdfd, const char * newname, unsigned int flags
317 seccomp: unsigned int op, unsigned int flags, void * uargs
318 getrandom: char * ubuf, size_t len, unsigned int flags
319 memfd_create: const char * uname, unsigned int flags
320 kexec_file_load: int kernel_fd, int initrd_fd, unsigned long cmdline_len, const char * cmdline_ptr, unsigned long flags
321 bpf: int cmd, union bpf_attr * uattr, unsigned int size
322 execveat: int fd, const char * filename, const char *const * argv, const char *const * envp, int flags
323 userfaultfd: int flags
324 membarrier: int cmd, unsigned int flags, int cpu_id
325 mlock2: unsigned long start, size_t len, int flags
326 copy_file_range: int fd_in, loff_t * off_in, int fd_out, loff_t * off_out, size_t len, unsigned int flags
327 preadv2: unsigned long fd, const struct iovec * vec, unsigned long vlen, unsigned long pos_l, unsigned long pos_h,
 rwf_t flags
328 pwritev2: unsigned long fd, const struct iovec * vec, unsigned long vlen, unsigned long pos_l, unsigned long pos_h,
 rwf_t flags
329 pkey_mprotect: unsigned long start, size_t len, unsigned long prot, int pkey
330 pkey_alloc: unsigned long flags, unsigned long init_val
331 pkey_free: int pkey
332 statx: int dfd, const char * filename, unsigned flags, unsigned int mask, struct statx * buffer
333 io_pgetevents: aio_context_t ctx_id, long min_nr, long nr, struct io_event * events, struct __kernel_timespec * timeout,
 const struct __aio_sigset * usig
334 rseq: struct rseq * rseq, u32 rseq_len, int flags, u32 sig
335 uretprobe
336 uprobe
424 pidfd_send_signal: int pidfd, int sig, siginfo_t * info, unsigned int flags
425 io_uring_setup: u32 entries, struct io_uring_params * params
426 io_uring_enter: unsigned int fd, u32 to_submit, u32 min_complete, u32 flags, const void * argp, size_t argsz
427 io_uring_register: unsigned int fd, unsigned int opcode, void * arg, unsigned int nr_args
428 open_tree: int dfd, const char * filename, unsigned flags
429 move_mount: int from_dfd, const char * from_pathname, int to_dfd, const char * to_pathname, unsigned int flags
430 fsopen: const char * _fs_name, unsigned int flags
431 fsconfig: int fd, unsigned int cmd, const char * _key, const void * _value, int aux
432 fsmount: int fs_fd, unsigned int flags, unsigned int attr_flags
433 fspick: int dfd, const char * path, unsigned int flags
434 pidfd_open: pid_t pid, unsigned int flags
435 clone3: struct clone_args * uargs, size_t size
436 close_range: unsigned int fd, unsigned int max_fd, unsigned int flags
437 openat2: int dfd, const char * filename, struct open_how * how, size_t usize
438 pidfd_getfd: int pidfd, int fd, unsigned int flags
439 faccessat2: int dfd, const char * filename, int mode, int flags
440 process_madvise: int pidfd, const struct iovec * vec, size_t vlen, int behavior, unsigned int flags
441 epoll_pwait2: int epfd, struct epoll_event * events, int maxevents, const struct __kernel_timespec * timeout,
 const sigset_t * sigmask, size_t sigsetsize
442 mount_setattr: int dfd, const char * path, unsigned int flags, struct mount_attr * uattr, size_t usize
443 quotactl_fd: unsigned int fd, unsigned int cmd, qid_t id, void * addr
444 landlock_create_ruleset: const struct landlock_ruleset_attr *const attr, const size_t size, const __u32 flags
445 landlock_add_rule: const int ruleset_fd, const enum landlock_rule_type rule_type, const void *const rule_attr,
 const __u32 flags
446 landlock_restrict_self: const int ruleset_fd, const __u32 flags
447 memfd_secret: unsigned int flags
448 process_mrelease: int pidfd, unsigned int flags
449 futex_waitv: struct futex_waitv * waiters, unsigned int nr_futexes, unsigned int flags,
 struct __kernel_timespec * timeout, clockid_t clockid
450 set_mempolicy_home_node: unsigned long start, unsigned long len, unsigned long home_node, unsigned long flags
451 cachestat: unsigned int fd, struct cachestat_range * cstat_range, struct cachestat * cstat, unsigned int flags
452 fchmodat2: int dfd, const char * filename, umode_t mode, unsigned int flags
453 map_shadow_stack: unsigned long addr, unsigned long size, unsigned int flags
454 futex_wake: void * uaddr, unsigned long mask, int nr, unsigned int flags
455 futex_wait: void * uaddr, unsigned long val, unsigned long mask, unsigned int flags, struct __kernel_timespec * timeout,
 clockid_t clockid
456 futex_requeue: struct futex_waitv * waiters, unsigned int flags, int nr_wake, int nr_requeue
457 statmount: const struct mnt_id_req * req, struct statmount * buf, size_t bufsize, unsigned int flags
458 listmount: const struct mnt_id_req * req, u64 * mnt_ids, size_t nr_mnt_ids, unsigned int flags
459 lsm_get_self_attr: unsigned int attr, struct lsm_ctx * ctx, u32 * size, u32 flags
460 lsm_set_self_attr: unsigned int attr, struct lsm_ctx * ctx, u32 size, u32 flags
461 lsm_list_modules: u64 * ids, u32 * size, u32 flags
462 mseal: unsigned long start, size_t len, unsigned long flags
463 setxattrat: int dfd, const char * pathname, unsigned int at_flags, const char * name, const struct xattr_args * uargs,
 size_t usize
464 getxattrat: int dfd, const char * pathname, unsigned int at_flags, const char * name, struct xattr_args * uargs,
 size_t usize
465 listxattrat: int dfd, const char * pathname, unsigned int at_flags, char * list, size_t size
466 removexattrat: int dfd, const char * pathname, unsigned int at_flags, const char * name
467 open_tree_attr: int dfd, const char * filename, unsigned flags, struct mount_attr * uattr, size_t usize
468 file_getattr: int dfd, const char * filename, struct file_attr * ufattr, size_t usize, unsigned int at_flags
469 file_setattr: int dfd, const char * filename, struct file_attr * ufattr, size_t usize, unsigned int at_flags
"""


def system_calls() -> dict[str, tuple[int, tuple[str, ...]]]:
    """Number and declarations of the arguments of each system call, by name."""
    calls = {}
    for row in _ROWS.replace("\n ", " ").splitlines():
        head, _, arguments = row.partition(": ")
        number, _, name = head.partition(" ")
        calls[name] = (int(number), tuple(arguments.split(", ")) if arguments else ())
    return calls
