// From seccomp rules to a BPF program that finds a system call by binary search. libseccomp knows names; the
// program is ours, because the kernel checks and translates every instruction of it at every start:
// libseccomp's linear program of our profile takes 405 us to install, its tree 197, this one 93 (medians,
// reference host). Pure. Errors: Fault::bad_input when the rules make more than BPF_MAXINSNS (4096)
// instructions.
//
//   ld arch ; jeq A -> tree of A ... ; ret wrong_arch
//   tree:  ld nr ; jge middle -> right half, left half ... leaf
//   leaf:  ret ACTION, or argument tests that end in one
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace bailey::seccomp {

// Under AUDIT_ARCH_X86_64 these numbers are x32 calls. 0xffffffff is none: a tracer writes it to skip a call.
inline constexpr uint32_t kX32First = 0x40000000, kX32Last = 0xfffffffe;

enum class Comparison { equal, not_equal, less, less_or_equal, greater, greater_or_equal };

// (argument[index] & mask) COMPARISON value, unsigned, 64 bits wide. A mask of 0xffffffff compares what the
// kernel looks at when the parameter is an int: the high half is the caller's to choose (CVE-2019-10063).
struct Condition {
  uint32_t index = 0;
  Comparison comparison = Comparison::equal;
  uint64_t mask = ~uint64_t{0};  // with the ordering comparisons: this, or 0xffffffff
  uint64_t value = 0;
  friend auto operator<=>(const Condition&, const Condition&) = default;
};

// `action` is a SECCOMP_RET_* value with its data.
struct Branch {
  std::vector<Condition> all_of;
  uint32_t action = 0;
  friend auto operator<=>(const Branch&, const Branch&) = default;
};

// What one system call gets: the first branch whose conditions all hold, else `otherwise`.
struct CallRule {
  std::vector<Branch> branches;
  uint32_t otherwise = 0;
  friend auto operator<=>(const CallRule&, const CallRule&) = default;
};

// The rules of one architecture as a map of intervals: each holds from its number up to the next one's.
class ArchRules {
 public:
  ArchRules(uint32_t audit_arch, const CallRule& by_default) : audit_arch_(audit_arch), from_{{0, by_default}} {}
  void assign(uint32_t first, uint32_t last, const CallRule& rule);  // both included
  void assign(uint32_t number, const CallRule& rule) { assign(number, number, rule); }
  const CallRule& at(uint32_t number) const { return std::prev(from_.upper_bound(number))->second; }
  uint32_t audit_arch() const { return audit_arch_; }  // AUDIT_ARCH_*
  const std::map<uint32_t, CallRule>& intervals() const { return from_; }

 private:
  uint32_t audit_arch_;
  std::map<uint32_t, CallRule> from_;
};

struct FilterRules {
  std::vector<ArchRules> arches;
  uint32_t wrong_arch_action = 0;
};

Result<std::vector<sock_filter>> assemble(const FilterRules& rules);

// FNV-1a over the instructions, 16 hexadecimal digits: names a program in records and tests; no defence
// against collisions.
std::string hash_of(const std::vector<sock_filter>& program);

}  // namespace bailey::seccomp
