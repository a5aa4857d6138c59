// Names and numbers of system calls, architectures and errors. names.cc is the only user of libseccomp in
// Bailey. Pure, may not run between clone and exec.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bailey::seccomp {

enum class ArchFamily { x86_64, other_64, i386, x32, other_32 };

// One architecture as libseccomp counts them: x32 is its own, although it shares AUDIT_ARCH_X86_64.
struct Arch {
  uint32_t token = 0;       // SCMP_ARCH_*
  uint32_t audit_arch = 0;  // AUDIT_ARCH_* of seccomp_data.arch
  ArchFamily family = ArchFamily::other_64;
  // Arguments count by their low halves, x32's too: its registers are wide, its types are not.
  bool is_32_bit() const { return family == ArchFamily::i386 || family == ArchFamily::x32 || family == ArchFamily::other_32; }
};

std::optional<Arch> arch_named(std::string_view name);  // "x86_64", "aarch64", ... or "SCMP_ARCH_X86_64"
Arch native_arch();

// Where a call of that name arrives. i386 has older calls that multiplex others (socketcall, ipc): their
// first argument is then `selector`, and the call's own arguments are in memory or moved.
struct CallTarget {
  uint32_t number = 0;
  std::optional<uint32_t> selector;
};
// Empty when the architecture has no such call; two for a multiplexed call that has its own number as well.
std::vector<CallTarget> call_targets(const Arch& arch, const std::string& name);
// The calls of a 64-bit architecture as (number, name) in the order of the numbers, up to the newest that was
// reviewed for our profile (Linux 6.18).
std::vector<std::pair<uint32_t, std::string>> calls_of(const Arch& arch);
std::string call_name(const Arch& arch, uint32_t number);  // "syscall_1023" when it has none

std::optional<int> errno_named(std::string_view name);  // "EPERM"; the ones a filter may sensibly answer

}  // namespace bailey::seccomp
