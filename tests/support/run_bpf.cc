#include "tests/support/run_bpf.h"

#include <cstring>

namespace bailey::tests {

std::optional<uint32_t> run_bpf(const std::vector<sock_filter>& program, const seccomp_data& data) {
  uint32_t a = 0;
  for (size_t pc = 0; pc < program.size(); ++pc) {
    const sock_filter& in = program[pc];
    bool taken = false;
    switch (in.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (in.k % 4 != 0 || in.k >= sizeof data) return std::nullopt;
        memcpy(&a, reinterpret_cast<const char*>(&data) + in.k, 4);
        continue;
      case BPF_ALU | BPF_AND | BPF_K: a &= in.k; continue;
      case BPF_JMP | BPF_JA: pc += in.k; continue;
      case BPF_JMP | BPF_JEQ | BPF_K: taken = a == in.k; break;
      case BPF_JMP | BPF_JGT | BPF_K: taken = a > in.k; break;
      case BPF_JMP | BPF_JGE | BPF_K: taken = a >= in.k; break;
      case BPF_JMP | BPF_JSET | BPF_K: taken = (a & in.k) != 0; break;
      case BPF_RET | BPF_K: return in.k;
      default: return std::nullopt;
    }
    pc += taken ? in.jt : in.jf;
  }
  return std::nullopt;
}

}  // namespace bailey::tests
