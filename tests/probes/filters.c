// Asks the kernel for memory that it has once for the whole machine, the smallest piece of each, and gives it back at once.
// Never more than one: a host whose memory for compiled filters is used up is lost.
//
//   "socket filter", "socket bpf", "group filter", "group bpf"    setsockopt of one socket; bpf with a descriptor that is none
//   "... high bits"                                               the same with bits that the kernel does not read
//   "flow label"                                                  one of IPv6's, of which all network namespaces share 4096
//   "seccomp", "seccomp listener", "prctl"                        a filter that allows everything, in a child
#include <linux/filter.h>
#include <linux/in6.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "verdict.h"

static struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, 0x7fffffff};
static struct sock_fprog smallest = {1, &allow};

// A new socket each time: its filter goes with it.
static void set(const char* name, uint64_t level, uint64_t option, const void* value, size_t size) {
  const int fd = socket(AF_INET6, SOCK_DGRAM, 0), one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  tell(name, syscall(SYS_setsockopt, fd, level, option, value, size));
  close(fd);
}

static void in_child(const char* name, long (*install)(void)) {
  int* error = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    *error = install() < 0 ? errno : 0;
    _exit(0);
  }
  waitpid(child, NULL, 0);
  errno = *error;
  tell(name, *error == 0 ? 0 : -1);
}

static long by_seccomp(void) { return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &smallest); }
static long by_listener(void) {
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &smallest);
}
static long by_prctl(void) { return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &smallest, 0, 0); }

int main(void) {
  const uint64_t high = (uint64_t)7 << 32;
  const int no_descriptor = -1;
  const struct in6_flowlabel_req label = {.flr_dst = {.s6_addr = {[15] = 1}},
                                          .flr_label = 0,
                                          .flr_action = IPV6_FL_A_GET,
                                          .flr_share = IPV6_FL_S_ANY,
                                          .flr_flags = IPV6_FL_F_CREATE};
  set("socket filter", SOL_SOCKET, SO_ATTACH_FILTER, &smallest, sizeof smallest);
  set("socket filter high bits", high | SOL_SOCKET, high | SO_ATTACH_FILTER, &smallest, sizeof smallest);
  set("group filter", SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &smallest, sizeof smallest);
  set("socket bpf", SOL_SOCKET, SO_ATTACH_BPF, &no_descriptor, sizeof no_descriptor);
  set("group bpf", SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &no_descriptor, sizeof no_descriptor);
  set("flow label", SOL_IPV6, IPV6_FLOWLABEL_MGR, &label, sizeof label);
  in_child("seccomp", by_seccomp);
  in_child("seccomp listener", by_listener);
  in_child("prctl", by_prctl);
  return 0;
}
