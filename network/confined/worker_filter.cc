#include "network/confined/worker_filter.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <span>
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

// Whatever their arguments are. Not bind() and listen(): what a worker listens on it is given.
constexpr int kFree[] = {
    // sockets and what passes between them
    SYS_splice,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_connect,
    SYS_accept4,
    SYS_shutdown,
    SYS_getsockname,
    SYS_getpeername,
    SYS_close,
    // waiting, time, chance
    SYS_ppoll,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_restart_syscall,
    SYS_clock_gettime,
    SYS_getrandom,
#ifdef __x86_64__
    SYS_poll,
    SYS_epoll_wait,
#endif
    // memory, the end
    SYS_brk,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_exit_group,
};

constexpr uint32_t kAll = ~uint32_t{0};

// An argument, of which the bits of `mask` are `value`.
struct Check {
  enum class Half { low, high };
  uint8_t argument;
  uint32_t mask, value;
  Half half = Half::low;  // the kernel looks at the low half of an int
};
constexpr Check is(uint8_t argument, uint32_t value) { return {argument, kAll, value}; }
constexpr Check has_only(uint8_t argument, uint32_t bits) { return {argument, ~bits, 0}; }
constexpr Check has_none(uint8_t argument, uint32_t bits) { return {argument, bits, 0}; }

// Allowed when all checks hold; of several rules for one call one is enough.
struct CallRule {
  int call;
  std::vector<Check> checks;
};

// TCP and UDP and nothing that is like them: Landlock looks at the ports of IPPROTO_TCP only (hook_socket_connect, Linux 6.18),
// and so does not see multipath TCP, SCTP or SMC. The families 2 and 10 differ in one bit.
std::vector<CallRule> socket_rules() {
  static_assert(AF_INET == 2 && AF_INET6 == 10);
  std::vector<CallRule> rules;
  for (const uint32_t type : {SOCK_STREAM, SOCK_DGRAM})
    rules.push_back({SYS_socket, {{0, ~uint32_t{8}, AF_INET}, {1, ~uint32_t{SOCK_CLOEXEC | SOCK_NONBLOCK}, type}, is(2, 0)}});
  return rules;
}

// By MSG_FASTOPEN a send connects, past Landlock. The kernel takes the flags of sendmsg() from this argument, not from the
// message (____sys_sendmsg, Linux 6.18).
std::vector<CallRule> send_rules() {
  constexpr uint32_t kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
  return {{SYS_sendto, {has_only(3, kFlags)}}, {SYS_sendmsg, {has_only(2, kFlags)}}};
}

// Those that are set, by relay_connection.cc and forwarder.cc. Others connect (TCP_FASTOPEN_CONNECT), or take memory of the
// whole host's (filters).
std::vector<CallRule> option_rules() {
  std::vector<CallRule> rules;
  for (const uint32_t option : {SO_SNDBUF, SO_KEEPALIVE, SO_LINGER})
    rules.push_back({SYS_setsockopt, {is(1, SOL_SOCKET), is(2, option)}});
  for (const uint32_t option : {TCP_NODELAY, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT})
    rules.push_back({SYS_setsockopt, {is(1, IPPROTO_TCP), is(2, option)}});
  rules.push_back({SYS_getsockopt, {is(1, SOL_SOCKET), is(2, SO_ERROR)}});
  return rules;
}

// No executable memory, no pages of the host's pool of huge ones; limits are read, and its own.
std::vector<CallRule> other_rules() {
  return {
      {SYS_mmap, {has_none(2, PROT_EXEC), has_none(3, MAP_HUGETLB)}},
      {SYS_mprotect, {has_none(2, PROT_EXEC)}},
      {SYS_pipe2, {has_only(1, O_CLOEXEC)}},
      {SYS_prlimit64, {is(0, 0), is(2, 0), {2, kAll, 0, Check::Half::high}}},
  };
}

class Program {
 public:
  Program() {
    add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)));
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0));
    add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    load_number();
    add(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kNumbers, 0, 1));
    add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    for (const int call : kFree) {
      add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1));
      add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    }
    for (const auto& rules : {socket_rules(), send_rules(), option_rules(), other_rules()})
      for (const CallRule& rule : rules) allow(rule);
    add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
  }
  sock_fprog view() { return {static_cast<unsigned short>(code_.size()), code_.data()}; }

 private:
  // A condition that does not hold leads behind the rule.
  void allow(const CallRule& rule) {
    constexpr size_t kPerCheck = 3;
    size_t left = 1 + rule.checks.size() * kPerCheck;  // behind the first condition, with the verdict
    load_number();
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(rule.call), 0, static_cast<uint8_t>(left)));
    for (const Check& check : rule.checks) {
      left -= kPerCheck;
      load_argument(check);
      add(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, check.mask));
      add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, check.value, 0, static_cast<uint8_t>(left)));
    }
    add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  void add(sock_filter instruction) { code_.push_back(instruction); }
  void load_number() { add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))); }
  void load_argument(const Check& check) {  // both architectures are little-endian
    const size_t half = check.half == Check::Half::high ? sizeof(uint32_t) : 0;
    const size_t at = offsetof(seccomp_data, args) + check.argument * sizeof(uint64_t) + half;
    add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(at)));
  }

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
