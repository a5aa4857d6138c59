#include "network/worker_filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <vector>

namespace bailey::network {

namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
constexpr uint32_t kNumbers = 0x4000'0000;  // x32 begins here
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
constexpr uint32_t kNumbers = 0x8000'0000;
#else
#error "which AUDIT_ARCH_ is this?"
#endif

constexpr int kFree[] = {
    // sockets and what passes between them
    SYS_bind,
    SYS_listen,
    SYS_connect,
    SYS_accept4,
    SYS_shutdown,
    SYS_getsockname,
    SYS_getpeername,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_sendto,
    SYS_sendmsg,
    SYS_sendmmsg,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_recvmmsg,
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_splice,
    SYS_pipe2,
    SYS_close,
    SYS_dup,
    SYS_fcntl,
    // waiting, time, chance
    SYS_ppoll,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_futex,
    SYS_restart_syscall,
    SYS_getrandom,
    // memory, limits, itself, the end
    SYS_brk,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_prlimit64,
    SYS_getpid,
    SYS_getppid,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_exit,
    SYS_exit_group,
#ifdef __x86_64__
    SYS_poll,
    SYS_epoll_wait,
    SYS_time,
    SYS_pause,
#endif
};

class Program {
 public:
  Program() {
    add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)));
    unless_equal(kArchitecture, SECCOMP_RET_KILL_PROCESS);
    load_number();
    add(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kNumbers, 0, 1));
    add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    for (const int call : kFree) {
      add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1));
      add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    }
    // socket(): the first argument is one of the internet's families.
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 5));
    load_argument(0);
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0));
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1));
    add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    refuse();
    // mmap(), mprotect(): the third has no PROT_EXEC.
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 1, 0));
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3));
    load_argument(2);
    add(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0));
    add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    refuse();
  }
  sock_fprog view() { return {static_cast<unsigned short>(code_.size()), code_.data()}; }

 private:
  void add(sock_filter instruction) { code_.push_back(instruction); }
  void load_number() { add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))); }
  // The low half: both architectures are little-endian, and the kernel looks at an int there.
  void load_argument(size_t which) {
    add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offsetof(seccomp_data, args) + which * sizeof(uint64_t))));
  }
  void unless_equal(uint32_t value, uint32_t verdict) {
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
    add(BPF_STMT(BPF_RET | BPF_K, verdict));
  }
  void refuse() { add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)); }

  std::vector<sock_filter> code_;
};

}  // namespace

Result<> install_worker_filter() {
  Program program;
  const sock_fprog filter = program.view();
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
    return sys_error("installing a worker's seccomp filter", errno);
  return {};
}

}  // namespace bailey::network
