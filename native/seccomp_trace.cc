#include "native/seccomp_trace.h"

#include <errno.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <set>

#include "native/seccomp_plan.h"
#include "seccomp/names.h"
#include "seccomp/rules.h"

namespace bailey::native {

using namespace seccomp;
namespace {

// What a trace does not report (native/seccomp_plan.cc).
constexpr const char* kEveryProgram[] = {"execve", "exit", "exit_group", "restart_syscall", "rt_sigreturn"};

// As OCI says it: SCMP_CMP_MASKED_EQ has the mask in `value`.
bundle::SeccompArg condition_of(const Condition& c) {
  if (c.mask == ~uint64_t{0}) return {c.index, c.value, 0, "SCMP_CMP_EQ"};
  return {c.index, c.mask, c.value, "SCMP_CMP_MASKED_EQ"};
}

// "allowed when ..." can be said in OCI, one rule for each way to hold; "allowed unless ..." cannot, and a caller's profile has
// the same refusals below it anyway (seccomp/profiles/floor.seccomp).
bool has_allowing_branches(const CallRule& rule) {
  return !rule.branches.empty() && !permits(rule.otherwise) &&
         std::ranges::all_of(rule.branches, [](const Branch& branch) { return permits(branch.action); });
}

void add_conditional(const std::string& name, const CallRule& rule, std::vector<bundle::SeccompRule>& out) {
  for (const Branch& branch : rule.branches) {
    bundle::SeccompRule one{{name}, "SCMP_ACT_ALLOW", {}, {}};
    for (const Condition& c : branch.all_of) one.args.push_back(condition_of(c));
    out.push_back(std::move(one));
  }
}

}  // namespace

Result<bundle::Seccomp> least_profile(const dispatcher::LoggedCalls& calls) {
  const FilterRules builtin = TRY(builtin_rules());
  const ArchRules& arch = builtin.arches.front();
  std::set<std::string> used(std::begin(kEveryProgram), std::end(kEveryProgram)), missing;
  for (const dispatcher::CallCount& call : calls.used) used.insert(call.name);
  bundle::SeccompRule allowed{{}, "SCMP_ACT_ALLOW", {}, {}};
  std::vector<bundle::SeccompRule> conditional;
  for (const std::string& name : used) {
    const std::vector<CallTarget> targets = call_targets(native_arch(), name);
    if (targets.empty()) continue;
    const CallRule& rule = arch.at(targets.front().number);
    if (has_allowing_branches(rule)) add_conditional(name, rule, conditional);
    else allowed.names.push_back(name);
  }
  bundle::SeccompRule older_way{{}, "SCMP_ACT_ERRNO", ENOSYS, {}};
  for (const dispatcher::CallCount& call : calls.denied) {
    const std::vector<CallTarget> targets = call_targets(native_arch(), call.name);
    if (!targets.empty() && arch.at(targets.front().number) == CallRule{{}, SECCOMP_RET_ERRNO | ENOSYS})
      older_way.names.push_back(call.name);
  }
  bundle::Seccomp out;
  out.default_action = "SCMP_ACT_ERRNO";
  out.default_errno_ret = EPERM;
  out.architectures = {native_arch().family == ArchFamily::x86_64 ? "SCMP_ARCH_X86_64" : "SCMP_ARCH_AARCH64"};
  out.syscalls.push_back(std::move(allowed));
  out.syscalls.insert(out.syscalls.end(), conditional.begin(), conditional.end());
  if (!older_way.names.empty()) out.syscalls.push_back(std::move(older_way));
  return out;
}

}  // namespace bailey::native
