// Names and numbers of system calls, architectures and errors. The one file behind it (seccomp_names.cc) is
// the only user of libseccomp in Bailey. Pure, may not run between clone and exec.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bailey::native {

enum class ArchFamily { x86_64, other_64, i386, x32, other_32 };

// One architecture as libseccomp counts them: x32 is its own, although it shares AUDIT_ARCH_X86_64.
struct Arch {
  uint32_t token = 0;       // SCMP_ARCH_*
  uint32_t audit_arch = 0;  // AUDIT_ARCH_* of seccomp_data.arch
  ArchFamily family = ArchFamily::other_64;
};

std::optional<Arch> arch_named(std::string_view name);  // "x86_64", "aarch64", ... or "SCMP_ARCH_X86_64"
Arch native_arch();

// The number of a call, or nothing when the architecture has no such call. Negative: a pseudo number of
// libseccomp (i386's socket calls behind socketcall, and the like).
std::optional<int> call_number(const Arch& arch, const std::string& name);
// Every call that the architecture has, as (number, name), in the order of the numbers.
std::vector<std::pair<uint32_t, std::string>> calls_of(const Arch& arch);

std::optional<int> errno_named(std::string_view name);  // "EPERM"; the ones a filter may sensibly answer

}  // namespace bailey::native
