// The kernel's view of a seccomp program, for tests: an interpreter of what seccomp accepts, and libseccomp's
// own program of the same rules to compare with.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <vector>

namespace bailey::tests {

// The verdict, or nothing when the kernel would have refused the program.
inline std::optional<uint32_t> run_bpf(const std::vector<sock_filter>& program, const seccomp_data& data) {
  uint32_t a = 0;
  for (size_t pc = 0; pc < program.size(); ++pc) {
    const sock_filter& in = program[pc];
    bool taken = false;
    switch (in.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (in.k % 4 != 0 || in.k >= sizeof data) return std::nullopt;
        memcpy(&a, reinterpret_cast<const char*>(&data) + in.k, 4);
        continue;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= in.k;
        continue;
      case BPF_JMP | BPF_JA:
        pc += in.k;
        continue;
      case BPF_JMP | BPF_JEQ | BPF_K:
        taken = a == in.k;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        taken = a > in.k;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        taken = a >= in.k;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        taken = (a & in.k) != 0;
        break;
      case BPF_RET | BPF_K:
        return in.k;
      default:
        return std::nullopt;
    }
    pc += taken ? in.jt : in.jf;
  }
  return std::nullopt;
}

// libseccomp's context; every answer of libseccomp is kept in `error`, the first that failed wins.
class Reference {
 public:
  Reference(uint32_t default_action, uint32_t bad_arch_action) : context_(seccomp_init(default_action)) {
    check(seccomp_attr_set(context_, SCMP_FLTATR_ACT_BADARCH, bad_arch_action));
  }
  ~Reference() { seccomp_release(context_); }
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

  void only(uint32_t arch) {  // instead of this machine's
    if (arch == seccomp_arch_native()) return;
    check(seccomp_arch_add(context_, arch));
    check(seccomp_arch_remove(context_, seccomp_arch_native()));
  }
  void also(uint32_t arch) { check(seccomp_arch_add(context_, arch)); }
  // Numbers are this machine's; libseccomp finds the other architectures' by name.
  void add(uint32_t action, int number, const std::vector<scmp_arg_cmp>& conditions = {}) {
    check(seccomp_rule_add_array(context_, action, number, static_cast<unsigned>(conditions.size()),
                                 conditions.data()));
  }
  std::vector<sock_filter> program() {
    const int fd = memfd_create("bpf", MFD_CLOEXEC);
    check(seccomp_export_bpf(context_, fd));
    std::vector<sock_filter> out(static_cast<size_t>(lseek(fd, 0, SEEK_END)) / sizeof(sock_filter));
    const auto bytes = static_cast<ssize_t>(out.size() * sizeof(sock_filter));
    if (pread(fd, out.data(), static_cast<size_t>(bytes), 0) != bytes) error = -1;
    close(fd);
    return out;
  }
  int error = 0;

 private:
  void check(int answer) {
    if (error == 0) error = answer;
  }
  scmp_filter_ctx context_;
};

}  // namespace bailey::tests
