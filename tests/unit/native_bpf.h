// What seccomp programs are compared with in tests: libseccomp's own program of the same rules.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "bundle/config.h"
#include "tests/support/run_bpf.h"

namespace bailey::native {

// The program of an OCI profile alone, without what Bailey puts below it.
struct CompiledFilter {
  std::vector<sock_filter> program;
  unsigned flags = 0;
  std::vector<std::string> ignored_names;
  sock_fprog view() const { return {static_cast<unsigned short>(program.size()), const_cast<sock_filter*>(program.data())}; }
};
Result<CompiledFilter> compile_seccomp(const bundle::Seccomp& seccomp);

}  // namespace bailey::native

namespace bailey::tests {

// This machine's number as libseccomp knows it; below 0 when it has none here, or at all (-1).
int libseccomp_number(const std::string& name);

// What libseccomp makes of rules. A refusal of libseccomp's fails the test.
class Reference {
 public:
  Reference(uint32_t default_action, uint32_t wrong_arch_action);
  ~Reference();
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

  void only(uint32_t arch_token);  // instead of this machine's architecture
  void also(uint32_t arch_token);
  // The number is this machine's; libseccomp finds the other architectures' by name.
  void add(uint32_t action, int number, const std::vector<bundle::SeccompArg>& conditions = {});
  std::vector<sock_filter> program() const;

 private:
  void* context_;
};

}  // namespace bailey::tests
