// Turns the `seccomp` object of an OCI configuration into a program, with the meaning that runc and libseccomp give it:
//
// clang-format off
//   - A rule whose action is the default one is left out.
//   - A rule without conditions decides its call, and the first such rule wins.
//   - Conditions of one rule must all hold; when two look at the same argument, each is a rule of its own.
//   - Of several rules that hold, the strictest action wins, as between the kernel's filters. (libseccomp leaves that to the
//     layout of its tree, and merges some overlapping rules wrongly: see the equality test.)
//   - Numbers above every call that the profile names get ENOSYS instead of a refusing default: its author could not know
//     them, and libraries fall back. runc does the same.
//   - Architectures: the named ones that this machine can run, and always its own.
// clang-format on
#include <errno.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <algorithm>
#include <set>

#include "base/json.h"
#include "dispatcher/seccomp_oci.h"
#include "seccomp/names.h"
#include "seccomp/program.h"
#include "seccomp/rules.h"

namespace bailey::dispatcher {

using namespace seccomp;
namespace {

// The kernel knows them from 3.17, 4.14, 4.17 and 5.19 on; an older one refuses to install.
constexpr std::pair<std::string_view, unsigned> kFlags[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    // About listeners, which are refused; without one the kernel refuses the flag.
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 0},
};

constexpr std::pair<std::string_view, Comparison> kOperators[] = {
    {"SCMP_CMP_NE", Comparison::not_equal},        {"SCMP_CMP_LT", Comparison::less},
    {"SCMP_CMP_LE", Comparison::less_or_equal},    {"SCMP_CMP_EQ", Comparison::equal},
    {"SCMP_CMP_GE", Comparison::greater_or_equal}, {"SCMP_CMP_GT", Comparison::greater},
    {"SCMP_CMP_MASKED_EQ", Comparison::equal},
};

// Of the runtime specification. This machine's kernel meets few of them; for the others there is nothing to
// compile.
constexpr std::string_view kSpecifiedArches[] = {
    "SCMP_ARCH_X86",         "SCMP_ARCH_X86_64", "SCMP_ARCH_X32",       "SCMP_ARCH_ARM",     "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_MIPS",        "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",    "SCMP_ARCH_PPC64",     "SCMP_ARCH_PPC64LE", "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",       "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64",  "SCMP_ARCH_RISCV64", "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",        "SCMP_ARCH_SH",     "SCMP_ARCH_SHEB",
};

bool runs_here(const Arch& arch) {
  const ArchFamily own = native_arch().family;
  if (own == ArchFamily::x86_64) return arch.family == own || arch.family == ArchFamily::i386 || arch.family == ArchFamily::x32;
  return arch.token == native_arch().token || arch.family == ArchFamily::other_32;
}

Result<uint32_t> action_of(const std::string& name, std::optional<uint32_t> errno_ret) {
  const uint32_t data = errno_ret.value_or(EPERM) & SECCOMP_RET_DATA;
  if (name == "SCMP_ACT_ALLOW") return SECCOMP_RET_ALLOW;
  if (name == "SCMP_ACT_ERRNO") return SECCOMP_RET_ERRNO | data;
  if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") return SECCOMP_RET_KILL_THREAD;
  if (name == "SCMP_ACT_KILL_PROCESS") return SECCOMP_RET_KILL_PROCESS;
  if (name == "SCMP_ACT_TRAP") return SECCOMP_RET_TRAP;
  if (name == "SCMP_ACT_TRACE") return SECCOMP_RET_TRACE | data;
  if (name == "SCMP_ACT_LOG") return SECCOMP_RET_LOG;
  if (name == "SCMP_ACT_NOTIFY")
    return fail(Fault::unavailable, "seccomp action SCMP_ACT_NOTIFY needs a listener, which Bailey does not offer",
                "use SCMP_ACT_ERRNO");
  return fail(Fault::bad_input, "unknown seccomp action '" + name + "'",
              "the OCI runtime specification lists the SCMP_ACT_ names");
}

bool lets_pass(uint32_t action) { return permits(action) || (action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_TRACE; }

// The kernel compares actions as signed numbers; the lowest is the strictest.
bool stricter(const Branch& a, const Branch& b) {
  return static_cast<int32_t>(a.action & SECCOMP_RET_ACTION_FULL) < static_cast<int32_t>(b.action & SECCOMP_RET_ACTION_FULL);
}

Result<Condition> condition_of(const bundle::SeccompArg& arg) {
  if (arg.index > 5) return fail(Fault::bad_input, "seccomp argument index " + std::to_string(arg.index) + " is above 5");
  for (const auto& [name, comparison] : kOperators) {
    if (name != arg.op) continue;
    if (arg.op == "SCMP_CMP_MASKED_EQ") return Condition{arg.index, comparison, arg.value, arg.value_two & arg.value};
    return Condition{arg.index, comparison, ~uint64_t{0}, arg.value};
  }
  return fail(Fault::bad_input, "unknown seccomp operator '" + arg.op + "'",
              "the OCI runtime specification lists the SCMP_CMP_ names");
}

// The rules of one call on one architecture, while they are collected.
struct Collected {
  std::optional<uint32_t> unconditional;
  std::vector<Branch> branches;
};

class ArchCompiler {
 public:
  explicit ArchCompiler(const Arch& arch) : arch_(arch) {}

  // One name of a rule with the branches that the rule makes; none when its action is the default one. False
  // when this architecture does not know the name.
  bool add(const std::string& name, const std::vector<Branch>& branches) {
    const std::vector<CallTarget> targets = call_targets(arch_, name);
    for (const CallTarget& target : targets) {
      newest_ = std::max(newest_, target.number);
      for (const Branch& branch : branches) add(target, branch);
    }
    return !targets.empty();
  }

  // Into the interval map of its AUDIT_ARCH; x32 shares x86_64's.
  void finish(ArchRules& out, uint32_t default_action) {
    const uint32_t last = arch_.family == ArchFamily::x86_64 ? kX32First - 1 : kX32Last;
    if (newest_ != 0 && newest_ < last && !lets_pass(default_action))
      out.assign(newest_ + 1, last, {{}, SECCOMP_RET_ERRNO | ENOSYS});
    for (auto& [number, rules] : calls_) {
      std::ranges::stable_sort(rules.branches, stricter);
      out.assign(number, rules.unconditional ? CallRule{{}, *rules.unconditional} : CallRule{rules.branches, default_action});
    }
  }

  const Arch& arch() const { return arch_; }

 private:
  void add(const CallTarget& target, Branch branch) {
    if (arch_.is_32_bit()) std::ranges::for_each(branch.all_of, narrow);
    if (target.selector) select(branch, *target.selector);
    std::erase_if(branch.all_of, [](const Condition& c) { return c.mask == 0 && c.comparison == Comparison::equal; });
    Collected& rules = calls_[target.number];
    if (!branch.all_of.empty()) rules.branches.push_back(std::move(branch));
    else if (!rules.unconditional) rules.unconditional = branch.action;
  }

  static void narrow(Condition& condition) {
    condition.mask &= UINT32_MAX;
    condition.value &= UINT32_MAX;
  }

  // The multiplexer's own first argument takes the place of what the profile says about the call's.
  static void select(Branch& branch, uint32_t selector) {
    std::erase_if(branch.all_of, [](const Condition& c) { return c.index == 0; });
    branch.all_of.insert(branch.all_of.begin(), {0, Comparison::equal, UINT32_MAX, selector});
  }

  Arch arch_;
  uint32_t newest_ = 0;
  std::map<uint32_t, Collected> calls_;
};

FilterRules join(std::vector<ArchCompiler>& compilers, uint32_t default_action) {
  FilterRules out{{}, SECCOMP_RET_KILL_THREAD};
  bool x32 = false;
  for (ArchCompiler& compiler : compilers) {
    const Arch& arch = compiler.arch();
    if (arch.family == ArchFamily::x32) {
      x32 = true;
      compiler.finish(out.arches.front(), default_action);  // x86_64 comes first: it is this machine's
      continue;
    }
    out.arches.emplace_back(arch.audit_arch, CallRule{{}, default_action});
    compiler.finish(out.arches.back(), default_action);
  }
  if (native_arch().family == ArchFamily::x86_64 && !x32)
    out.arches.front().assign(kX32First, kX32Last, {{}, out.wrong_arch_action});
  return out;
}

// Reads all of it, whatever is wrong on the way.
class Reader {
 public:
  Reader(const bundle::Seccomp& seccomp, std::vector<OciFault>& faults) : seccomp_(seccomp), faults_(faults) {}

  OciRules read() {
    OciRules out;
    if (!seccomp_.listener_path.empty() || !seccomp_.listener_metadata.empty())
      add(seccomp_.listener_path.empty() ? ".listenerMetadata" : ".listenerPath",
          {.message = "Bailey hands no listener on", .remedy = "leave it out", .fault = Fault::unavailable});
    for (size_t i = 0; i < seccomp_.flags.size(); ++i)
      out.flags |= take(json::element_path(".flags", i), flag(seccomp_.flags[i]));
    const uint32_t default_action = take(".defaultAction", action_of(seccomp_.default_action, seccomp_.default_errno_ret));
    std::vector<ArchCompiler> compilers{ArchCompiler(native_arch())};
    for (size_t i = 0; i < seccomp_.architectures.size(); ++i)
      take(json::element_path(".architectures", i), add_arch(compilers, seccomp_.architectures[i]));
    for (size_t i = 0; i < seccomp_.syscalls.size(); ++i) {
      const bundle::SeccompRule& rule = seccomp_.syscalls[i];
      const std::string path = json::element_path(".syscalls", i);
      const uint32_t action = take(path + ".action", action_of(rule.action, rule.errno_ret));
      std::vector<Branch> branches = branches_of(rule, action, path);
      if (action == default_action) branches.clear();
      for (const std::string& name : rule.names) {
        bool known = false;
        for (ArchCompiler& compiler : compilers) known |= compiler.add(name, branches);
        if (!known) out.ignored_names.push_back(name);
      }
    }
    if (faults_.empty()) out.rules = join(compilers, default_action);
    return out;
  }

 private:
  void add(std::string path, Error error) { faults_.push_back({std::move(path), std::move(error)}); }

  template <typename T>
  T take(const std::string& path, Result<T> value) {
    if (value) return *value;
    add(path, std::move(value).error());
    return T{};
  }

  static Result<unsigned> flag(const std::string& name) {
    const auto known = std::ranges::find(kFlags, std::string_view(name), &std::pair<std::string_view, unsigned>::first);
    if (known != std::end(kFlags)) return known->second;
    return fail(Fault::bad_input, "unknown seccomp flag '" + name + "'",
                "the OCI runtime specification lists the SECCOMP_FILTER_FLAG_ names");
  }

  static Result<bool> add_arch(std::vector<ArchCompiler>& compilers, const std::string& name) {
    if (std::ranges::find(kSpecifiedArches, name) == std::end(kSpecifiedArches))
      return fail(Fault::bad_input, "unknown seccomp architecture '" + name + "'",
                  "the OCI runtime specification lists the SCMP_ARCH_ names");
    const std::optional<Arch> arch = arch_named(name);
    if (!arch || !runs_here(*arch)) return false;
    if (std::ranges::any_of(compilers, [&](const ArchCompiler& known) { return known.arch().token == arch->token; }))
      return false;
    compilers.emplace_back(*arch);
    return true;
  }

  std::vector<Branch> branches_of(const bundle::SeccompRule& rule, uint32_t action, const std::string& path) {
    std::vector<Condition> conditions;
    std::set<uint32_t> indices;
    for (size_t i = 0; i < rule.args.size(); ++i) {
      conditions.push_back(take(json::element_path(path + ".args", i), condition_of(rule.args[i])));
      indices.insert(rule.args[i].index);
    }
    if (indices.size() == conditions.size()) return {{conditions, action}};
    std::vector<Branch> out;
    for (const Condition& condition : conditions) out.push_back({{condition}, action});
    return out;
  }

  const bundle::Seccomp& seccomp_;
  std::vector<OciFault>& faults_;
};

}  // namespace

std::optional<OciRules> read_oci_seccomp(const bundle::Seccomp& seccomp, std::vector<OciFault>& faults) {
  OciRules rules = Reader(seccomp, faults).read();
  if (!faults.empty()) return std::nullopt;
  return rules;
}

// A program that cannot start or end is of no use; and a new process between the filter and its exec can be sure of no other
// call (init/workload.cc).
Result<> check_usable(const FilterRules& rules) {
  for (const auto& [name, number] : {std::pair{"execve", SYS_execve}, {"exit_group", SYS_exit_group}})
    if (!always_permits(rules, native_arch().audit_arch, static_cast<uint32_t>(number)))
      return fail(Fault::bad_input,
                  std::string("the seccomp profile does not allow ") + name +
                      (number == SYS_execve ? ": no command could be started" : ": no command could end"),
                  std::string("add ") + name + " to the allowed calls, without conditions");
  return {};
}

Result<EngineFilter> compile_engine_filter(const std::optional<bundle::Seccomp>& profile) {
  EngineFilter filter;
  if (!profile) return filter;
  OciRules read = TRY(read_oci_seccomp(*profile));
  TRY(check_usable(read.rules));
  filter.program = TRY(assemble(read.rules));
  filter.flags = read.flags & ~unsigned{SECCOMP_FILTER_FLAG_TSYNC};  // one thread installs it
  filter.ignored_names = std::move(read.ignored_names);
  return filter;
}

Result<OciRules> read_oci_seccomp(const bundle::Seccomp& seccomp) {
  std::vector<OciFault> faults;
  if (auto rules = read_oci_seccomp(seccomp, faults)) return std::move(*rules);
  return std::unexpected(std::move(faults.front().error).with("seccomp" + faults.front().path));
}

}  // namespace bailey::dispatcher
