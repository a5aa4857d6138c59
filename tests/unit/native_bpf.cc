#include "tests/unit/native_bpf.h"

#include <gtest/gtest.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <map>

#include "base/fd.h"
#include "dispatcher/seccomp_oci.h"
#include "seccomp/program.h"

namespace bailey::native {

using namespace dispatcher;
using namespace seccomp;

Result<CompiledFilter> compile_seccomp(const bundle::Seccomp& seccomp) {
  OciRules read = TRY(read_oci_seccomp(seccomp));
  return CompiledFilter{TRY(assemble(read.rules)), read.flags, std::move(read.ignored_names)};
}

}  // namespace bailey::native

namespace bailey::tests {

int libseccomp_number(const std::string& name) { return seccomp_syscall_resolve_name(name.c_str()); }

Reference::Reference(uint32_t default_action, uint32_t wrong_arch_action) : context_(seccomp_init(default_action)) {
  EXPECT_EQ(seccomp_attr_set(context_, SCMP_FLTATR_ACT_BADARCH, wrong_arch_action), 0);
}

Reference::~Reference() { seccomp_release(context_); }

void Reference::only(uint32_t arch_token) {
  if (arch_token == seccomp_arch_native()) return;
  also(arch_token);
  EXPECT_EQ(seccomp_arch_remove(context_, seccomp_arch_native()), 0);
}

void Reference::also(uint32_t arch_token) { EXPECT_EQ(seccomp_arch_add(context_, arch_token), 0); }

void Reference::add(uint32_t action, int number, const std::vector<bundle::SeccompArg>& conditions) {
  static const std::map<std::string, scmp_compare> kOperators = {{"SCMP_CMP_NE", SCMP_CMP_NE},
                                                                 {"SCMP_CMP_LT", SCMP_CMP_LT},
                                                                 {"SCMP_CMP_LE", SCMP_CMP_LE},
                                                                 {"SCMP_CMP_EQ", SCMP_CMP_EQ},
                                                                 {"SCMP_CMP_GE", SCMP_CMP_GE},
                                                                 {"SCMP_CMP_GT", SCMP_CMP_GT},
                                                                 {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
  std::vector<scmp_arg_cmp> list;
  for (const bundle::SeccompArg& c : conditions) list.push_back({c.index, kOperators.at(c.op), c.value, c.value_two});
  EXPECT_EQ(seccomp_rule_add_array(context_, action, number, static_cast<unsigned>(list.size()), list.data()), 0);
}

std::vector<sock_filter> Reference::program() const {
  const Fd file(memfd_create("bpf", MFD_CLOEXEC));
  EXPECT_EQ(seccomp_export_bpf(context_, file.get()), 0);
  std::vector<sock_filter> out(static_cast<size_t>(lseek(file.get(), 0, SEEK_END)) / sizeof(sock_filter));
  const size_t bytes = out.size() * sizeof(sock_filter);
  EXPECT_EQ(pread(file.get(), out.data(), bytes, 0), static_cast<ssize_t>(bytes));
  return out;
}

}  // namespace bailey::tests
