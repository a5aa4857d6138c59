#include "gvisor/host_filter.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace bailey::gvisor {

namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "which AUDIT_ARCH_ is this?"
#endif

constexpr uint32_t kFchmodat2 = 452;  // Linux 6.6, every architecture
constexpr uint32_t kSetId = S_ISUID | S_ISGID;
constexpr uint32_t kCreates = O_CREAT | (O_TMPFILE & ~O_DIRECTORY);  // without them the mode is garbage
constexpr uint32_t kRefuse = SECCOMP_RET_ERRNO | EPERM;

// The low half of an argument: modes and flags are ints. Both architectures are little-endian.
constexpr uint32_t argument(uint32_t index) {
  return static_cast<uint32_t>(offsetof(seccomp_data, args) + index * sizeof(uint64_t));
}

// One call each: what does not match goes on to the next, with the number still loaded; what matches is decided here.
#define BAILEY_NO_SET_ID(number, mode)                                                                     \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 4), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument(mode)), \
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kSetId, 0, 1), BPF_STMT(BPF_RET | BPF_K, kRefuse),              \
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define BAILEY_NO_SET_ID_CREATED(number, flags, mode)                                                           \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 6), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument(flags)),     \
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kCreates, 0, 3), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument(mode)), \
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kSetId, 0, 1), BPF_STMT(BPF_RET | BPF_K, kRefuse),                   \
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define BAILEY_NO_DEVICE(number, mode)                                                                        \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 7), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument(mode)),    \
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kSetId, 4, 0), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, S_IFMT),        \
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, S_IFCHR, 2, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, S_IFBLK, 1, 0), \
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW), BPF_STMT(BPF_RET | BPF_K, kRefuse)

constexpr sock_filter kRules[] = {
    // Calls of another architecture are the guest's, on their way into the sentry: runsc's own filters take them.
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
    BAILEY_NO_SET_ID(SYS_fchmod, 1),
    BAILEY_NO_SET_ID(SYS_fchmodat, 2),
    BAILEY_NO_SET_ID(kFchmodat2, 2),
    BAILEY_NO_SET_ID_CREATED(SYS_openat, 2, 3),
    BAILEY_NO_DEVICE(SYS_mknodat, 2),
#if defined(__x86_64__)
    BAILEY_NO_SET_ID(SYS_chmod, 1),
    BAILEY_NO_SET_ID(SYS_creat, 1),
    BAILEY_NO_SET_ID_CREATED(SYS_open, 1, 2),
    BAILEY_NO_DEVICE(SYS_mknod, 1),
#endif
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

}  // namespace

int install_host_filter() {
  const sock_fprog program{static_cast<unsigned short>(sizeof kRules / sizeof kRules[0]), const_cast<sock_filter*>(kRules)};
  // SPEC_ALLOW: this filter is no reason to slow the sentry down by speculation controls.
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) != 0) return errno;
  return 0;
}

}  // namespace bailey::gvisor
