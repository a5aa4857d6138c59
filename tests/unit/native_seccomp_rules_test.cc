// Rules before they are a program: the verdict that is asked of them is the program's, and two joined sets are what the kernel
// makes of two filters.
#include <errno.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <algorithm>
#include <random>

#include "dispatcher/seccomp_oci.h"
#include "native/seccomp_plan.h"
#include "native/seccomp_trace.h"
#include "seccomp/builtin.h"
#include "seccomp/names.h"
#include "seccomp/rules.h"
#include "tests/unit/native_bpf.h"

namespace bailey::native {

using namespace dispatcher;
using namespace seccomp;
namespace {

using tests::run_bpf;

constexpr uint32_t kX86 = 0x40000003;  // AUDIT_ARCH_I386
const uint32_t kHere = native_arch().audit_arch;

// seccomp(2): the strictest action wins; of equally strict ones, the filter that was installed last.
uint32_t kernels_choice(uint32_t older, uint32_t newer) {
  const auto order = [](uint32_t action) { return static_cast<int32_t>(action & SECCOMP_RET_ACTION_FULL); };
  return order(newer) <= order(older) ? newer : older;
}

class RandomRules {
 public:
  explicit RandomRules(unsigned seed) : random_(seed) {}
  uint64_t below(uint64_t n) { return random_() % n; }

  uint32_t action() {
    static constexpr uint32_t kActions[] = {SECCOMP_RET_KILL_PROCESS,   SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP,
                                            SECCOMP_RET_ERRNO | EPERM,  SECCOMP_RET_TRACE | 3,   SECCOMP_RET_LOG,
                                            SECCOMP_RET_ERRNO | ENOSYS, SECCOMP_RET_ALLOW,       SECCOMP_RET_ALLOW,
                                            SECCOMP_RET_USER_NOTIF};
    return kActions[below(std::size(kActions))];
  }
  uint64_t value() {
    static constexpr uint64_t kValues[] = {0,         1, 2, 3, 0x5412, UINT32_MAX, uint64_t{1} << 32, (uint64_t{1} << 32) | 1,
                                           UINT64_MAX};
    return kValues[below(std::size(kValues))];
  }
  Condition condition() {
    Condition c{static_cast<uint32_t>(below(3)), static_cast<Comparison>(below(6)), ~uint64_t{0}, value()};
    if (below(3) == 0) {
      c.mask = UINT32_MAX;
      c.value &= c.mask;
    } else if (c.comparison == Comparison::equal && below(2) == 0) {
      c.mask = value();
      c.value &= c.mask;
    }
    return c;
  }
  CallRule rule() {
    CallRule out{{}, action()};
    for (uint64_t branches = below(4); branches > 0; --branches) {
      Branch branch{{}, action()};
      for (uint64_t conditions = 1 + below(2); conditions > 0; --conditions) branch.all_of.push_back(condition());
      out.branches.push_back(branch);
    }
    return out;
  }
  FilterRules rules() {
    FilterRules out{{}, action()};
    for (const uint32_t arch : {kHere, kX86}) {
      if (arch == kX86 && below(2) == 0) continue;
      ArchRules& one = out.arches.emplace_back(arch, rule());
      for (int i = 0; i < 6; ++i) {
        const auto first = static_cast<uint32_t>(below(20));
        one.assign(first, first + static_cast<uint32_t>(below(5)), rule());
      }
      if (below(2) == 0) one.assign(kX32First, kX32Last, {{}, SECCOMP_RET_KILL_PROCESS});
    }
    return out;
  }

 private:
  std::mt19937 random_;
};

TEST(SeccompRules, AnswerWhatTheirProgramAnswersAndTheKernelOfTwo) {
  size_t compared = 0, differing = 0;
  for (unsigned seed = 1; seed <= 200; ++seed) {
    RandomRules random(seed);
    const FilterRules older = random.rules(), newer = random.rules();
    const auto first = assemble(older), second = assemble(newer), both = assemble(strictest(older, newer));
    ASSERT_TRUE(first && second && both);
    const FilterRules joined = strictest(older, newer);
    for (int i = 0; i < 1500; ++i) {
      seccomp_data call{static_cast<int>(random.below(26)), random.below(8) == 0 ? kX86 : kHere, 0, {}};
      if (random.below(20) == 0) call.arch = 7;
      if (random.below(20) == 0) call.nr = static_cast<int>(kX32First + random.below(30));
      for (auto& argument : call.args) argument = random.value();
      const uint32_t a = run_bpf(*first, call).value(), b = run_bpf(*second, call).value();
      ++compared;
      differing += a != b;
      ASSERT_EQ(verdict_of(older, call), a) << "seed " << seed;
      ASSERT_EQ(run_bpf(*both, call).value(), kernels_choice(a, b)) << "seed " << seed << " call " << call.nr;
      ASSERT_EQ(verdict_of(joined, call), kernels_choice(a, b)) << "seed " << seed << " call " << call.nr;
    }
  }
  EXPECT_GT(differing, compared / 4);
}

TEST(SeccompRules, MapEveryAction) {
  RandomRules random(5);
  const FilterRules rules = random.rules();
  const FilterRules mapped = map_actions(rules, [](uint32_t action) { return action ^ 1; });
  for (int i = 0; i < 5000; ++i) {
    seccomp_data call{static_cast<int>(random.below(30)), random.below(3) == 0 ? kX86 : kHere, 0, {}};
    for (auto& argument : call.args) argument = random.value();
    ASSERT_EQ(verdict_of(mapped, call), verdict_of(rules, call) ^ 1);
  }
}

bundle::Seccomp allow_all() {
  bundle::Seccomp out;
  out.default_action = "SCMP_ACT_ALLOW";
  return out;
}

// Every call of the machine, with arguments around what the profiles look at.
template <typename Check>
void for_each_call(Check&& check) {
  RandomRules random(9);
  for (int number = 0; number <= 600; ++number)
    for (int i = 0; i < 60; ++i) {
      seccomp_data call{number, kHere, 0, {}};
      for (auto& argument : call.args) {
        static constexpr uint64_t kSeen[] = {1,     2,      8,     10,      16,      40,     0x40,       0x5412,   0x541c,
                                             04755, 020600, 06000, 0x80000, 0100000, 060000, 0x10000000, 0x400040, 0x7e020000};
        argument = random.below(2) == 0 ? random.value() : kSeen[random.below(std::size(kSeen))];
      }
      check(call);
    }
}

// The floor is below the built-in profile as well: nothing that it refuses does the other one allow.
TEST(SeccompFloor, AllowsWhateverTheBuiltInProfileAllows) {
  const FilterRules builtin = builtin_rules().value(), floor = floor_rules().value();
  size_t refused = 0;
  for_each_call([&](const seccomp_data& call) {
    const bool open = permits(verdict_of(floor, call));
    refused += !open;
    ASSERT_TRUE(open || !permits(verdict_of(builtin, call))) << call_name(native_arch(), static_cast<uint32_t>(call.nr));
  });
  EXPECT_GT(refused, 1000u);
  for (const uint32_t arch : {kX86, arch_named("arm")->audit_arch, 0u})
    EXPECT_EQ(verdict_of(floor, {1, arch, 0, {}}), SECCOMP_RET_KILL_PROCESS);
  if (native_arch().family == ArchFamily::x86_64) {
    EXPECT_EQ(verdict_of(floor, {static_cast<int>(kX32First | 39), kHere, 0, {}}), SECCOMP_RET_KILL_PROCESS);
  }
}

TEST(SeccompPlan, IsTheCompiledProfileWhenNothingIsAsked) {
  const SeccompPlan plan = compile_seccomp_plan({}, dispatcher::SeccompRule::replace, dispatcher::SeccompLog::off).value();
  EXPECT_EQ(plan.base_program().filter, kWorkload.program.filter);
  EXPECT_TRUE(plan.on_top.empty());
  EXPECT_EQ(plan.about.profile, "builtin");
  EXPECT_EQ(plan.about.hash, kWorkload.hash);
}

// What the workload's two programs answer together, as the kernel puts them together.
uint32_t answer_of(const SeccompPlan& plan, const seccomp_data& call) {
  const sock_fprog base = plan.base_program();
  const uint32_t below = run_bpf({base.filter, base.filter + base.len}, call).value();
  return plan.on_top.empty() ? below : kernels_choice(below, run_bpf(plan.on_top, call).value());
}

TEST(SeccompPlan, NarrowsOrReplacesAsTheLevelSays) {
  using dispatcher::SeccompRule;
  const auto plan_of = [](dispatcher::SeccompRule rule) {
    return compile_seccomp_plan(allow_all(), rule, dispatcher::SeccompLog::off).value();
  };
  const SeccompPlan narrowed = plan_of(SeccompRule::narrow), replaced = plan_of(SeccompRule::replace);
  const FilterRules builtin = builtin_rules().value(), floor = floor_rules().value();
  for_each_call([&](const seccomp_data& call) {
    ASSERT_EQ(answer_of(narrowed, call), verdict_of(builtin, call));
    ASSERT_EQ(answer_of(replaced, call), verdict_of(floor, call));
  });
  EXPECT_TRUE(narrowed.about.allows_more.empty());
  EXPECT_NE(std::ranges::find(replaced.about.allows_more, "kcmp"), replaced.about.allows_more.end());
  EXPECT_EQ(std::ranges::find(replaced.about.allows_more, "keyctl"), replaced.about.allows_more.end());
  EXPECT_NE(narrowed.about.hash, replaced.about.hash);
}

// With reports the kernel asks the listener exactly where it would have refused, lets pass what it would have let pass, and
// what is not reported is answered as before. Without the filter on top the base would refuse all the same.
TEST(SeccompPlan, ReportsEveryRefusalAndNothingElse) {
  bundle::Seccomp profile = allow_all();
  profile.syscalls.push_back({{"uname"}, "SCMP_ACT_ERRNO", 13, {}});
  profile.syscalls.push_back({{"sync"}, "SCMP_ACT_KILL_PROCESS", {}, {}});
  const std::optional<bundle::Seccomp> profiles[] = {std::nullopt, profile};
  for (const auto& given : profiles)
    for (const auto rule : {dispatcher::SeccompRule::narrow, dispatcher::SeccompRule::replace}) {
      const SeccompPlan plain = compile_seccomp_plan(given, rule, dispatcher::SeccompLog::off).value();
      const SeccompPlan logged = compile_seccomp_plan(given, rule, dispatcher::SeccompLog::denied).value();
      EXPECT_EQ(plain.about.hash, logged.about.hash);
      EXPECT_TRUE(logged.on_top_flags & SECCOMP_FILTER_FLAG_NEW_LISTENER);
      size_t reported = 0;
      for_each_call([&](const seccomp_data& call) {
        const uint32_t before = answer_of(plain, call), now = answer_of(logged, call);
        if ((before & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO) {
          ++reported;
          ASSERT_EQ(now, SECCOMP_RET_USER_NOTIF);
          ASSERT_EQ(verdict_of(*logged.verdicts, call), before);
        } else {
          ASSERT_EQ(now, before);
        }
        const sock_fprog base = logged.base_program(), usual = plain.base_program();
        const uint32_t below = run_bpf({base.filter, base.filter + base.len}, call).value();
        const uint32_t below_before = run_bpf({usual.filter, usual.filter + usual.len}, call).value();
        ASSERT_TRUE(permits(below) == permits(below_before) || call.nr == SYS_seccomp);
      });
      EXPECT_GT(reported, 1000u);
    }
}

TEST(SeccompPlan, RefusesAProfileThatLetsNothingStartOrEnd) {
  bundle::Seccomp profile;
  profile.default_action = "SCMP_ACT_ERRNO";
  const auto error = [&] {
    const auto plan = compile_seccomp_plan(profile, dispatcher::SeccompRule::replace, dispatcher::SeccompLog::off);
    return plan ? std::string() : plan.error().message;
  };
  EXPECT_NE(error().find("execve"), std::string::npos);
  profile.syscalls.push_back({{"execve"}, "SCMP_ACT_ALLOW", {}, {}});
  EXPECT_NE(error().find("exit_group"), std::string::npos);
  profile.syscalls.push_back({{"exit_group"}, "SCMP_ACT_ALLOW", {}, {{0, 0, 0, "SCMP_CMP_EQ"}}});
  EXPECT_NE(error().find("exit_group"), std::string::npos) << "with a condition it may fail";
  profile.syscalls.back().args.clear();
  EXPECT_EQ(error(), "");
}

TEST(SeccompTrace, MakesTheLeastProfileThatLetsTheSameThrough) {
  dispatcher::LoggedCalls calls;
  for (const char* name : {"write", "socket", "clone", "read", "ioctl", "syscall_1000"}) calls.used.push_back({name, 3});
  calls.denied = {{"clone3", 1}, {"keyctl", 1}, {"socket", 1}};
  const auto profile = least_profile(calls);
  ASSERT_TRUE(profile);
  EXPECT_EQ(profile->syscalls[0].names, (std::vector<std::string>{"execve", "exit", "exit_group", "ioctl", "read",
                                                                  "restart_syscall", "rt_sigreturn", "write"}));
  EXPECT_EQ(profile->syscalls.back().names, std::vector<std::string>{"clone3"});
  const FilterRules builtin = builtin_rules().value();
  for (const auto rule : {dispatcher::SeccompRule::narrow, dispatcher::SeccompRule::replace}) {
    const SeccompPlan plan = compile_seccomp_plan(*profile, rule, dispatcher::SeccompLog::off).value();
    EXPECT_TRUE(plan.about.allows_more.empty());
    const std::vector<std::string> open = {"execve", "exit", "exit_group", "restart_syscall", "rt_sigreturn", "write", "socket",
                                           "clone",  "read", "ioctl"};
    for_each_call([&](const seccomp_data& call) {
      const std::string name = call_name(native_arch(), static_cast<uint32_t>(call.nr));
      const uint32_t verdict = answer_of(plan, call);
      if (std::ranges::find(open, name) != open.end()) {
        ASSERT_EQ(permits(verdict), permits(verdict_of(builtin, call))) << name;
      } else {
        ASSERT_FALSE(permits(verdict)) << name;
      }
      if (name == "clone3") {
        ASSERT_EQ(verdict, SECCOMP_RET_ERRNO | ENOSYS);
      }
    });
  }
}

// What a trace lets go on is exactly what the built-in profile allows; what it refuses is refused as there.
TEST(SeccompTrace, RunsUnderTheBuiltInProfile) {
  const SeccompPlan plan = compile_seccomp_plan({}, dispatcher::SeccompRule::replace, dispatcher::SeccompLog::all).value();
  size_t unreported = 0;
  for_each_call([&](const seccomp_data& call) {
    const uint32_t answer = answer_of(plan, call);
    if (answer == SECCOMP_RET_USER_NOTIF) return;
    ++unreported;
    ASSERT_EQ(answer, SECCOMP_RET_ALLOW);
  });
  EXPECT_EQ(unreported, 5 * 60u);
  EXPECT_EQ(plan.about.hash, kWorkload.hash);
}

}  // namespace
}  // namespace bailey::native
