#include "native/seccomp_plan.h"

#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <algorithm>
#include <iterator>

#include "dispatcher/names.h"
#include "dispatcher/record.h"
#include "dispatcher/seccomp_oci.h"
#include "seccomp/builtin.h"
#include "seccomp/names.h"
#include "seccomp/profile.h"
#include "seccomp/rules.h"

namespace bailey::native {

using namespace seccomp;
namespace {

using dispatcher::check_usable;
using dispatcher::OciRules;
using dispatcher::read_oci_seccomp;
using dispatcher::SeccompLog;
using dispatcher::SeccompRule;

uint32_t kind_of(uint32_t action) { return action & SECCOMP_RET_ACTION_FULL; }

FilterRules with_call(FilterRules rules, uint32_t number, uint32_t action) {
  for (ArchRules& arch : rules.arches)
    if (arch.audit_arch() == native_arch().audit_arch) arch.assign(number, {{}, action});
  return rules;
}

std::vector<std::string> allowed_beyond(const FilterRules& rules, const FilterRules& builtin) {
  std::vector<std::string> out;
  const uint32_t arch = native_arch().audit_arch;
  for (const auto& [number, name] : calls_of(native_arch())) {
    if (never_permits(builtin, arch, number) && !never_permits(rules, arch, number)) out.push_back(name);
    else if (!always_permits(builtin, arch, number) && always_permits(rules, arch, number))
      out.push_back(name + " with any arguments");
  }
  std::ranges::sort(out);
  return out;
}

// Calls without which no program goes on, and none that somebody would want to count: they pass unreported, because a process
// between the filter and its exec has nobody yet who would answer, and because a call that a signal interrupts is restarted.
constexpr int kUnreported[] = {SYS_execve, SYS_exit_group, SYS_exit, SYS_rt_sigreturn, SYS_restart_syscall};

FilterRules reporting(const FilterRules& rules, SeccompLog log) {
  FilterRules out = map_actions(rules, [log](uint32_t action) -> uint32_t {
    const bool reported = kind_of(action) == SECCOMP_RET_ERRNO || (log == SeccompLog::all && permits(action));
    return reported ? SECCOMP_RET_USER_NOTIF : action;
  });
  if (log != SeccompLog::all) return out;
  for (const int number : kUnreported) {
    const auto call = static_cast<uint32_t>(number);
    if (always_permits(rules, native_arch().audit_arch, call)) out = with_call(std::move(out), call, SECCOMP_RET_ALLOW);
  }
  return out;
}

// No profile lets the workload install a filter (seccomp/profiles/floor.seccomp), and the new process has to install the one on
// top. So the base allows it, which only PID 1 could use, and the filter on top refuses it.
FilterRules base_below_another(const FilterRules& rules) { return with_call(rules, SYS_seccomp, SECCOMP_RET_ALLOW); }

FilterRules on_top_of(const FilterRules& below, const FilterRules& callers) {
  FilterRules no_filters{{ArchRules(native_arch().audit_arch, {{}, SECCOMP_RET_ALLOW})}, SECCOMP_RET_ALLOW};
  for (const ArchRules& arch : below.arches)
    if (arch.audit_arch() == native_arch().audit_arch) no_filters.arches.front().assign(SYS_seccomp, arch.at(SYS_seccomp));
  return strictest(no_filters, callers);
}

// Refusals as RET_TRACE.
FilterRules base_of_reporting(const FilterRules& rules) {
  return base_below_another(map_actions(
      rules, [](uint32_t action) -> uint32_t { return kind_of(action) == SECCOMP_RET_ERRNO ? SECCOMP_RET_TRACE : action; }));
}

Result<FilterRules> rules_of(const char* text, const char* name) { return parse_profile(text, name, native_arch()); }

}  // namespace

Result<FilterRules> builtin_rules() { return rules_of(kWorkload.text, "default.seccomp"); }
Result<FilterRules> floor_rules() { return rules_of(kFloor.text, "floor.seccomp"); }

sock_fprog SeccompPlan::base_program() const {
  if (base.empty()) return *compiled_base;
  return {static_cast<unsigned short>(base.size()), const_cast<sock_filter*>(base.data())};
}

Result<SeccompPlan> compile_seccomp_plan(const std::optional<bundle::Seccomp>& profile, SeccompRule rule, SeccompLog log) {
  SeccompPlan plan;
  plan.log = log;
  const bool replaces = profile && rule == SeccompRule::replace;
  plan.compiled_base = replaces ? &kFloor.program : &kWorkload.program;
  plan.about.profile = !profile ? "builtin" : replaces ? "replaced" : "narrowed";
  plan.about.hash = kWorkload.hash;
  if (!profile && log == SeccompLog::off) return plan;

  const FilterRules builtin = TRY(builtin_rules());
  const FilterRules below = replaces ? TRY(floor_rules()) : builtin;
  FilterRules holds = builtin;
  if (profile) {
    OciRules read = TRY(read_oci_seccomp(*profile));
    holds = strictest(below, read.rules);
    plan.unknown_calls = std::move(read.ignored_names);
    TRY(check_usable(holds));
    plan.base = TRY(assemble(base_below_another(below)));
    plan.on_top = TRY(assemble(on_top_of(below, read.rules)));
    // One thread installs it; with a listener the kernel refuses the flag.
    plan.on_top_flags = read.flags & ~unsigned{SECCOMP_FILTER_FLAG_TSYNC};
    const std::vector<sock_filter> whole = TRY(assemble(holds));
    plan.about.hash = hash_of(whole);
    plan.about.allows_more = allowed_beyond(holds, builtin);
  }
  if (log == SeccompLog::off) return plan;
  plan.base = TRY(assemble(base_of_reporting(below)));
  plan.on_top = TRY(assemble(reporting(holds, log)));
  plan.on_top_flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
  plan.verdicts = std::make_shared<const FilterRules>(std::move(holds));
  return plan;
}

SeccompPlan engine_seccomp_plan(dispatcher::EngineFilter filter) {
  SeccompPlan plan;
  plan.filters_init = false;
  plan.about.profile = filter.program.empty() ? "none" : "the engine's";
  plan.about.hash = filter.program.empty() ? "" : hash_of(filter.program);
  plan.on_top = std::move(filter.program);
  plan.on_top_flags = filter.flags;
  plan.unknown_calls = std::move(filter.ignored_names);
  return plan;
}

json::Object to_json(const SeccompPlan& plan) {
  json::Object object = dispatcher::to_json(plan.about);
  if (plan.log != SeccompLog::off) object.set("log", dispatcher::name_of(plan.log, dispatcher::kSeccompLogNames));
  if (!plan.unknown_calls.empty())
    object.set("unknown_calls", json::Array(plan.unknown_calls.begin(), plan.unknown_calls.end()));
  return object;
}

}  // namespace bailey::native
