// kernel table        every family of system calls that the native profile refuses, one harmless use of each: "mount: EFAULT"
// kernel namespaces   "unshare user", "clone net", "clone3 pid", "setns uts of 1", ...
// kernel entry        "i386" and "x32": the other two doors into an x86-64 kernel
// kernel sockets      each address family, "done" when any type of it opens; some by numbers with bits above the 32nd
// kernel terminal     requests that reach beyond a terminal, with and without bits above the 32nd; "typed" when TIOCSTI worked
// Each call in a process of its own, in a session of its own: none of them can spoil the next.
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#include "verdict.h"

// The errno of `work`, 0 when it succeeded, or -N when signal N ended it.
static int in_child(int (*work)(const void*), const void* argument) {
  fflush(stdout);
  int* shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const pid_t child = fork();
  if (child == 0) {
    setsid();
    *shared = work(argument);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  const int error = WIFSIGNALED(status) ? -WTERMSIG(status) : *shared;
  munmap(shared, 4096);
  return error;
}

static void say(const char* kind, const char* name, int error) {
  printf("%s%s%s: %s%s\n", kind, *kind ? " " : "", name, error < 0 ? "SIG" : "",
         error == 0  ? "done"
         : error < 0 ? sigabbrev_np(-error)
                     : errno_name(error));
}

// --- table -----------------------------------------------------------------------------------------------------------------

struct call {
  const char* name;
  long number;
  uint64_t arguments[6];
};

static int make_call(const void* argument) {
  const struct call* call = argument;
  const uint64_t* a = call->arguments;
  return syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]) < 0 ? errno : 0;
}

#define BAD_FD ((uint64_t)-1)
#define BAD_POINTER 1

// Arguments that a kernel which takes the call refuses for another reason, or that change nothing.
static const struct call kTable[] = {
    {"process_madvise", SYS_process_madvise, {BAD_FD}},
    {"pidfd_getfd", SYS_pidfd_getfd, {BAD_FD}},
    {"kcmp", SYS_kcmp, {0}},
    {"setns", SYS_setns, {BAD_FD}},
    {"mount", SYS_mount, {0}},
    {"umount2", SYS_umount2, {0}},
    {"pivot_root", SYS_pivot_root, {0}},
    {"chroot", SYS_chroot, {0}},
    {"fsopen", SYS_fsopen, {0}},
    {"fsconfig", SYS_fsconfig, {BAD_FD}},
    {"fsmount", SYS_fsmount, {BAD_FD}},
    {"fspick", SYS_fspick, {BAD_FD}},
    {"move_mount", SYS_move_mount, {BAD_FD, 0, BAD_FD}},
    {"open_tree", SYS_open_tree, {BAD_FD}},
    {"mount_setattr", SYS_mount_setattr, {BAD_FD}},
    {"open_tree_attr", 467, {BAD_FD}},
    {"name_to_handle_at", SYS_name_to_handle_at, {BAD_FD}},
    {"open_by_handle_at", SYS_open_by_handle_at, {BAD_FD}},
    {"bpf", SYS_bpf, {0}},
    {"perf_event_open", SYS_perf_event_open, {0}},
    {"userfaultfd", SYS_userfaultfd, {0xffff0000}},
    {"io_uring_setup", SYS_io_uring_setup, {1}},
    {"io_uring_enter", SYS_io_uring_enter, {BAD_FD}},
    {"io_uring_register", SYS_io_uring_register, {BAD_FD}},
    {"memfd_secret", 447, {0xff}},
    {"fanotify_init", SYS_fanotify_init, {0xffffffff}},
    {"fanotify_mark", SYS_fanotify_mark, {BAD_FD}},
    {"add_key", SYS_add_key, {0}},
    {"request_key", SYS_request_key, {0}},
    {"keyctl", SYS_keyctl, {0, (uint64_t)-3}},
    {"mbind", SYS_mbind, {0}},
    {"set_mempolicy", SYS_set_mempolicy, {0}},
    {"migrate_pages", SYS_migrate_pages, {0}},
    {"move_pages", SYS_move_pages, {0}},
    {"init_module", SYS_init_module, {BAD_POINTER, 1}},
    {"finit_module", SYS_finit_module, {BAD_FD}},
    {"delete_module", SYS_delete_module, {0}},
    {"kexec_load", SYS_kexec_load, {0, 0, 0, 0xdead}},
    {"kexec_file_load", SYS_kexec_file_load, {BAD_FD, BAD_FD, 0, 0, 0xffff}},
    {"reboot", SYS_reboot, {0}},
    {"clock_settime", SYS_clock_settime, {0}},
    {"settimeofday", SYS_settimeofday, {BAD_POINTER}},
    {"adjtimex", SYS_adjtimex, {0}},
    {"clock_adjtime", SYS_clock_adjtime, {0}},
    {"sethostname", SYS_sethostname, {0, (uint64_t)-1}},
    {"setdomainname", SYS_setdomainname, {0, (uint64_t)-1}},
    {"swapon", SYS_swapon, {0}},
    {"swapoff", SYS_swapoff, {0}},
    {"quotactl", SYS_quotactl, {0}},
    {"quotactl_fd", 443, {BAD_FD}},
    {"acct", SYS_acct, {BAD_POINTER}},
    {"syslog", SYS_syslog, {99}},
    {"vhangup", SYS_vhangup, {0}},
    {"personality", SYS_personality, {0x0400000}},
    {"ptrace of a filter", SYS_ptrace, {0x420c}},
    {"lease", SYS_fcntl, {BAD_FD, F_SETLEASE, F_WRLCK}},
    {"lease with high bits", SYS_fcntl, {BAD_FD, 0x700000000 | F_SETLEASE, F_WRLCK}},
    {"notification", SYS_fcntl, {BAD_FD, F_NOTIFY, 0}},
    {"write hint", SYS_fcntl, {BAD_FD, F_SET_RW_HINT, BAD_POINTER}},
    {"filter of a socket", SYS_setsockopt, {BAD_FD, 1, 26}},
    {"filter with high bits", SYS_setsockopt, {BAD_FD, 0x700000001, 0x70000001a}},
    {"bpf of a socket", SYS_setsockopt, {BAD_FD, 1, 50}},
    {"filter of a group", SYS_setsockopt, {BAD_FD, 1, 51}},
    {"bpf of a group", SYS_setsockopt, {BAD_FD, 1, 52}},
    {"flow label", SYS_setsockopt, {BAD_FD, 41, 32}},
    {"hash algorithm of tcp", SYS_setsockopt, {BAD_FD, 6, 38}},
    {"protocol above tcp", SYS_setsockopt, {BAD_FD, 6, 31}},
    {"seccomp filter", SYS_seccomp, {1, 0, BAD_POINTER}},
    {"seccomp listener", SYS_seccomp, {1, 8, BAD_POINTER}},
    {"seccomp filter by prctl", SYS_prctl, {22, 2, BAD_POINTER}},
    {"clone3", SYS_clone3, {0}},
    {"openat2", SYS_openat2, {BAD_FD}},
    {"io_setup", SYS_io_setup, {1}},
    {"mmap of huge pages", SYS_mmap, {0, 4096, 0, 0x40000 | MAP_PRIVATE, BAD_FD}},
    {"memfd_create of huge pages", SYS_memfd_create, {0, 4}},
    {"shmget of huge pages", SYS_shmget, {0, 0, 04000}},
    {"statmount", 457, {0}},
    {"listmount", 458, {0}},
    {"lsm_list_modules", 461, {0}},
#ifdef __x86_64__
    {"modify_ldt", SYS_modify_ldt, {0}},
    {"iopl", SYS_iopl, {0}},
    {"ioperm", SYS_ioperm, {0}},
    {"sysfs", SYS_sysfs, {99}},
    {"ustat", SYS_ustat, {0}},
#endif
};

static void say_table(void) {
  for (size_t i = 0; i < sizeof kTable / sizeof *kTable; i++) say("", kTable[i].name, in_child(make_call, &kTable[i]));
}

// --- namespaces ------------------------------------------------------------------------------------------------------------

static const struct kind {
  const char* name;
  uint64_t flag;
} kKinds[] = {{"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS},  {"pid", CLONE_NEWPID},       {"net", CLONE_NEWNET},
              {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP}, {"time", 0x80}};

static int do_unshare(const void* kind) { return unshare((int)((const struct kind*)kind)->flag) < 0 ? errno : 0; }

static int do_clone(const void* kind) {
  const long child = syscall(SYS_clone, ((const struct kind*)kind)->flag | SIGCHLD, 0, 0, 0, 0);
  if (child == 0) _exit(0);
  return child < 0 ? errno : 0;
}

static int do_clone3(const void* kind) {
  struct clone_args arguments = {.flags = ((const struct kind*)kind)->flag, .exit_signal = SIGCHLD};
  const long child = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (child == 0) _exit(0);
  return child < 0 ? errno : 0;
}

static int do_setns(const void* path) {
  const int fd = open(path, O_RDONLY);
  return fd < 0 || setns(fd, 0) < 0 ? errno : 0;
}

static void say_namespaces(void) {
  for (size_t i = 0; i < sizeof kKinds / sizeof *kKinds; i++) {
    const struct kind* kind = &kKinds[i];
    say("unshare", kind->name, in_child(do_unshare, kind));
    if (strcmp(kind->name, "time") != 0) say("clone", kind->name, in_child(do_clone, kind));  // 0x80 is a signal bit there
    say("clone3", kind->name, in_child(do_clone3, kind));
    char path[64];
    for (int pid = 0; pid < 2; pid++) {
      snprintf(path, sizeof path, pid ? "/proc/1/ns/%s" : "/proc/self/ns/%s", kind->name);
      say("setns", path, in_child(do_setns, path));
    }
  }
}

// --- entry -----------------------------------------------------------------------------------------------------------------

#ifdef __x86_64__
static int enter_i386(const void* unused) {
  (void)unused;
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "r8", "r9", "r10", "r11", "memory");  // 20: getpid
  return result == getpid() ? 0 : result < 0 && result > -4096 ? (int)-result : EPROTO;
}

static int enter_x32(const void* unused) {
  (void)unused;
  return syscall(0x40000000 | SYS_getpid) < 0 ? errno : 0;
}

static void say_entry(void) {
  say("", "i386", in_child(enter_i386, NULL));
  say("", "x32", in_child(enter_x32, NULL));
}
#else
static void say_entry(void) {}
#endif

// --- sockets ---------------------------------------------------------------------------------------------------------------

struct family {
  const char* name;
  uint64_t number;
  uint64_t protocol;
};

static int open_socket(const void* argument) {
  const struct family* family = argument;
  static const int kTypes[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW};
  int error = 0;
  for (size_t i = 0; i < sizeof kTypes / sizeof *kTypes; i++) {
    if (syscall(SYS_socket, family->number, kTypes[i], family->protocol) >= 0) return 0;
    if (error == 0 || errno == EPERM) error = errno;
  }
  return error;
}

static int open_raw(const void* family) {
  return socket((int)((const struct family*)family)->number, SOCK_RAW, 255) < 0 ? errno : 0;
}

static int open_seqpacket(const void* family) {
  return socket((int)((const struct family*)family)->number, SOCK_SEQPACKET, 0) < 0 ? errno : 0;
}

static int open_pair(const void* family) {
  int pair[2];
  return socketpair((int)((const struct family*)family)->number, SOCK_STREAM, 0, pair) < 0 ? errno : 0;
}

static void say_sockets(void) {
  const uint64_t high = (uint64_t)1 << 32;
  const struct family families[] = {
      {"unix", AF_UNIX, 0},
      {"inet", AF_INET, 0},
      {"inet6", AF_INET6, 0},
      {"inet tcp", AF_INET, 6},
      {"inet udp", AF_INET, 17},
      {"inet6 tcp", AF_INET6, 6},
      {"inet6 udp", AF_INET6, 17},
      {"inet sctp", AF_INET, 132},
      {"inet6 sctp", AF_INET6, 132},
      {"inet dccp", AF_INET, 33},
      {"inet l2tp", AF_INET, 115},
      {"inet udplite", AF_INET, 136},
      {"inet smc", AF_INET, 256},
      {"inet sctp with high bits", high | AF_INET, high | 132},
      {"netlink route", AF_NETLINK, 0},
      {"netlink sock_diag", AF_NETLINK, 4},
      {"netlink xfrm", AF_NETLINK, 6},
      {"netlink audit", AF_NETLINK, 9},
      {"netlink netfilter", AF_NETLINK, 12},
      {"netlink uevent", AF_NETLINK, 15},
      {"netlink generic", AF_NETLINK, 16},
      {"netlink crypto", AF_NETLINK, 21},
      {"ax25", 3, 0},
      {"ipx", 4, 0},
      {"appletalk", 5, 0},
      {"x25", 9, 0},
      {"key", 15, 2},
      {"packet", AF_PACKET, 0},
      {"rds", 21, 0},
      {"irda", 23, 0},
      {"pppox", 24, 0},
      {"llc", 26, 0},
      {"can", 29, 1},
      {"tipc", 30, 0},
      {"bluetooth", 31, 1},
      {"rxrpc", 33, 0},
      {"phonet", 35, 0},
      {"ieee802154", 36, 0},
      {"alg", 38, 0},
      {"nfc", 39, 0},
      {"vsock", 40, 0},
      {"kcm", 41, 0},
      {"qipcrtr", 42, 0},
      {"smc", 43, 0},
      {"xdp", 44, 0},
      {"mctp", 45, 0},
      {"vsock with high bits", high | 40, 0},
      {"packet with high bits", high | AF_PACKET, 0},
      {"netlink audit with high bits", high | AF_NETLINK, high | 9},
      {"netlink audit above route", AF_NETLINK, ((uint64_t)9 << 32)},  // the low half is ROUTE: allowed, and ROUTE it is
  };
  for (size_t i = 0; i < sizeof families / sizeof *families; i++)
    say("", families[i].name, in_child(open_socket, &families[i]));
  const struct family seqpacket = {"inet", AF_INET, 0};
  say("seqpacket", seqpacket.name, in_child(open_seqpacket, &seqpacket));
  for (int i = 1; i < 3; i++) say("raw", families[i].name, in_child(open_raw, &families[i]));
  for (int i = 0; i < 3; i++) say("pair", families[i].name, in_child(open_pair, &families[i]));
}

// --- terminal --------------------------------------------------------------------------------------------------------------

struct request {
  const char* name;
  uint64_t number;
};

static int on_no_file(const void* request) {
  return syscall(SYS_ioctl, BAD_FD, ((const struct request*)request)->number, 0) < 0 ? errno : 0;
}

// Types "x" into a terminal of our own and looks whether it can be read there.
static int type_into_terminal(const void* argument) {
  const int master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  if (master < 0 || unlockpt(master) < 0) return errno;
  const int slave = open(ptsname(master), O_RDWR);
  if (slave < 0) return errno;
  struct termios raw;
  tcgetattr(slave, &raw);
  cfmakeraw(&raw);
  tcsetattr(slave, TCSANOW, &raw);
  ioctl(slave, TIOCSCTTY, 0);
  char letter = 'x';
  if (syscall(SYS_ioctl, slave, ((const struct request*)argument)->number, &letter) < 0) return errno;
  fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
  letter = 0;
  return read(slave, &letter, 1) == 1 && letter == 'x' ? 0 : ENODATA;
}

static void say_terminal(void) {
  static const struct request requests[] = {{"TIOCSTI", TIOCSTI},
                                            {"TIOCLINUX", TIOCLINUX},
                                            {"TIOCCONS", TIOCCONS},
                                            {"TIOCSETD", TIOCSETD},
                                            {"TIOCGWINSZ", TIOCGWINSZ}};
  static const struct {
    const char* name;
    uint64_t bits;
  } above[] = {
      {"plain", 0}, {"bit 32", (uint64_t)1 << 32}, {"all high bits", 0xffffffff00000000}, {"bit 63", (uint64_t)1 << 63}};
  for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
    for (size_t bits = 0; bits < sizeof above / sizeof *above; bits++) {
      const struct request request = {requests[i].name, requests[i].number | above[bits].bits};
      say(request.name, above[bits].name, in_child(on_no_file, &request));
      if (i == 0) say("typed", above[bits].name, in_child(type_into_terminal, &request));
    }
  }
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "table") == 0) say_table();
  else if (strcmp(what, "namespaces") == 0) say_namespaces();
  else if (strcmp(what, "entry") == 0) say_entry();
  else if (strcmp(what, "sockets") == 0) say_sockets();
  else if (strcmp(what, "terminal") == 0) say_terminal();
  else return 2;
  return 0;
}
