// The generator's programs against libseccomp's of the same rules, verdict by verdict: every number, and
// around every value that a condition names.
#include <gtest/gtest.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>

#include "base/files.h"
#include "seccomp/builtin.h"
#include "seccomp/names.h"
#include "seccomp/profile.h"
#include "seccomp/program.h"
#include "seccomp/rules.h"
#include "tests/unit/native_bpf.h"

namespace bailey::native {

using namespace seccomp;
namespace {

using tests::libseccomp_number;
using tests::Reference;
using tests::run_bpf;

constexpr uint32_t kEnosys = SECCOMP_RET_ERRNO | ENOSYS;
constexpr uint32_t kEperm = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t kHighestNumber = 1023;

FilterRules rules_of(const char* profile, const char* arch) {
  const auto text = files::read(profile, 1 << 20);
  const auto rules = parse_profile(text.value(), profile, *arch_named(arch));
  EXPECT_TRUE(rules) << rules.error().message;
  return rules.value();
}

bundle::SeccompArg to_oci(const Condition& c) {
  switch (c.comparison) {
    case Comparison::equal: return {c.index, c.mask, c.value, "SCMP_CMP_MASKED_EQ"};
    case Comparison::not_equal: return {c.index, c.value, 0, "SCMP_CMP_NE"};
    case Comparison::less: return {c.index, c.value, 0, "SCMP_CMP_LT"};
    case Comparison::less_or_equal: return {c.index, c.value, 0, "SCMP_CMP_LE"};
    case Comparison::greater: return {c.index, c.value, 0, "SCMP_CMP_GT"};
    case Comparison::greater_or_equal: return {c.index, c.value, 0, "SCMP_CMP_GE"};
  }
  return {};
}

// Values of an argument at which a condition could change its mind.
std::set<uint64_t> edges(const Condition& c) {
  std::set<uint64_t> out = {0, 1, UINT32_MAX, UINT64_MAX, uint64_t{1} << 32, uint64_t{1} << 63};
  for (const uint64_t near : {c.value - 1, c.value, c.value + 1})
    for (const uint64_t with :
         {near, near | ~c.mask, near ^ (uint64_t{1} << 32), near ^ (uint64_t{1} << 63), near | (uint64_t{UINT32_MAX} << 32)})
      out.insert(with);
  return out;
}

// Calls check(data) for every combination of edges of the arguments that the rule looks at.
template <typename Check>
void for_each_edge(const CallRule& rule, seccomp_data data, Check&& check) {
  std::map<uint32_t, std::set<uint64_t>> values;
  for (const Branch& branch : rule.branches)
    for (const Condition& c : branch.all_of) values[c.index].merge(edges(c));
  if (values.size() <= 2)
    for (const Branch& branch : rule.branches)
      for (const Condition& c : branch.all_of)
        for (int bit = 0; bit < 64; ++bit) values[c.index].insert(c.value ^ (uint64_t{1} << bit));
  std::vector<std::pair<uint32_t, std::vector<uint64_t>>> axes;
  for (const auto& [index, set] : values) axes.emplace_back(index, std::vector<uint64_t>(set.begin(), set.end()));
  std::vector<size_t> at(axes.size(), 0);
  for (;;) {
    for (size_t i = 0; i < axes.size(); ++i) data.args[axes[i].first] = axes[i].second[at[i]];
    check(data);
    size_t i = 0;
    while (i < axes.size() && ++at[i] == axes[i].second.size()) at[i++] = 0;
    if (i == axes.size()) return;
  }
}

// One libseccomp program per default action: `when` rules are allow rules over EPERM, `unless` rules the
// reverse, the rest stands over what calls without a verdict get.
class ProfileReference {
 public:
  ProfileReference(const FilterRules& rules, const Arch& arch) : rest_(rules.arches[0].at(kHighestNumber).otherwise) {
    for (const uint32_t action : {kEnosys, kEperm, SECCOMP_RET_ALLOW}) {
      contexts_[action] = std::make_unique<Reference>(action, rules.wrong_arch_action);
      contexts_[action]->only(arch.token);
    }
    for (const auto& [number, name] : calls_of(arch)) {
      int here = libseccomp_number(name);
      if (here < 0 && arch.token == native_arch().token) here = static_cast<int>(number);  // newer than libseccomp
      if (here < 0) continue;
      covered_.insert(number);
      const CallRule& rule = rules.arches[0].at(number);
      if (rule.branches.empty() && rule.otherwise != rest_) contexts_[rest_]->add(rule.otherwise, here);
      for (const Branch& branch : rule.branches) {
        std::vector<bundle::SeccompArg> conditions;
        for (const Condition& c : branch.all_of) conditions.push_back(to_oci(c));
        contexts_.at(rule.otherwise)->add(branch.action, here, conditions);
      }
    }
    for (const auto& [action, context] : contexts_) programs_[action] = context->program();
  }
  bool covers(uint32_t number) const { return covered_.contains(number); }
  std::optional<uint32_t> verdict(const CallRule& rule, const seccomp_data& data) const {
    return run_bpf(programs_.at(rule.branches.empty() ? rest_ : rule.otherwise), data);
  }
  uint32_t rest() const { return rest_; }

 private:
  uint32_t rest_;
  std::map<uint32_t, std::unique_ptr<Reference>> contexts_;
  std::map<uint32_t, std::vector<sock_filter>> programs_;
  std::set<uint32_t> covered_;
};

struct OurProfile {
  const char* name;
  const char* file;
  const char* arch;
  size_t conditional;  // calls with conditions, at least
  uint32_t foreign = SECCOMP_RET_KILL_PROCESS;
};

class OurProfiles : public testing::TestWithParam<OurProfile> {};

TEST_P(OurProfiles, GiveTheVerdictsThatLibseccompGives) {
  const Arch arch = *arch_named(GetParam().arch);
  const FilterRules rules = rules_of(GetParam().file, GetParam().arch);
  const auto program = assemble(rules);
  ASSERT_TRUE(program) << program.error().message;
  const ProfileReference reference(rules, arch);
  size_t compared = 0, conditional = 0;
  for (uint32_t number = 0; number <= kHighestNumber; ++number) {
    const CallRule& rule = rules.arches[0].at(number);
    const bool named = !rule.branches.empty() || rule.otherwise != reference.rest();
    if (named && !reference.covers(number)) continue;  // a call that this libseccomp cannot be told about
    conditional += !rule.branches.empty();
    for_each_edge(rule, {static_cast<int>(number), arch.audit_arch, 0, {}}, [&](const seccomp_data& data) {
      ++compared;
      const auto ours = run_bpf(*program, data);
      ASSERT_TRUE(ours);
      ASSERT_EQ(*ours, verdict_of(rules, data));
      ASSERT_EQ(*ours, reference.verdict(rule, data)) << "call " << number << " args " << std::hex << data.args[0] << " "
                                                      << data.args[1] << " " << data.args[2] << " " << data.args[3];
    });
  }
  EXPECT_GT(compared, 5000u);
  EXPECT_GE(conditional, GetParam().conditional);
  RecordProperty("compared", static_cast<int>(compared));
}

TEST_P(OurProfiles, TreatForeignArchitecturesAndX32Alike) {
  const Arch arch = *arch_named(GetParam().arch);
  const FilterRules rules = rules_of(GetParam().file, GetParam().arch);
  const auto program = assemble(rules);
  ASSERT_TRUE(program);
  const ProfileReference reference(rules, arch);
  std::vector<uint32_t> foreign = {0, 1, UINT32_MAX, arch.audit_arch + 1, arch.audit_arch ^ 0x80000000u};
  for (const char* other : {"x86_64", "i386", "aarch64", "arm", "riscv64"}) foreign.push_back(arch_named(other)->audit_arch);
  for (const uint32_t audit_arch : foreign) {
    if (audit_arch == arch.audit_arch) continue;
    for (const int number : {0, 1, 59, 102, 435, 1023, -1, 0x40000000})
      EXPECT_EQ(run_bpf(*program, {number, audit_arch, 0, {}}), GetParam().foreign) << audit_arch << " " << number;
  }
  for (const uint32_t number : {1024u, 0x3fffffffu, 0x40000000u, 0x40000001u, 0x400001ffu, 0x40000220u, 0x7fffffffu,
                                0x80000000u, 0xfffffffeu, 0xffffffffu}) {
    const seccomp_data data = {static_cast<int>(number), arch.audit_arch, 0, {}};
    EXPECT_EQ(run_bpf(*program, data), reference.verdict({}, data)) << std::hex << number;
  }
}

INSTANTIATE_TEST_SUITE_P(Arch, OurProfiles,
                         testing::Values(OurProfile{"Default", BAILEY_DEFAULT_PROFILE, "x86_64", 17},
                                         OurProfile{"Default", BAILEY_DEFAULT_PROFILE, "aarch64", 13},
                                         OurProfile{"Floor", BAILEY_FLOOR_PROFILE, "x86_64", 15},
                                         OurProfile{"Floor", BAILEY_FLOOR_PROFILE, "aarch64", 10},
                                         OurProfile{"Worker", BAILEY_WORKER_PROFILE, "x86_64", 9},
                                         OurProfile{"Worker", BAILEY_WORKER_PROFILE, "aarch64", 9},
                                         OurProfile{"Host", BAILEY_HOST_PROFILE, "x86_64", 9, SECCOMP_RET_ALLOW},
                                         OurProfile{"Host", BAILEY_HOST_PROFILE, "aarch64", 5, SECCOMP_RET_ALLOW}),
                         [](const auto& value) { return std::string(value.param.name) + "_" + value.param.arch; });

TEST(OurProfile, IsWhatIsBuiltIn) {
  const char* arch = native_arch().family == ArchFamily::x86_64 ? "x86_64" : "aarch64";
  const std::tuple<const char*, sock_fprog, const char*> kBuilt[] = {
      {BAILEY_DEFAULT_PROFILE, kWorkload.program, kWorkload.hash},
      {BAILEY_FLOOR_PROFILE, kFloor.program, kFloor.hash},
      {BAILEY_WORKER_PROFILE, kWorker.program, kWorker.hash},
      {BAILEY_HOST_PROFILE, kHost.program, kHost.hash}};
  for (const auto& [file, built, hash] : kBuilt) {
    const auto program = assemble(rules_of(file, arch));
    ASSERT_TRUE(program);
    ASSERT_EQ(built.len, program->size());
    EXPECT_EQ(memcmp(built.filter, program->data(), program->size() * sizeof(sock_filter)), 0);
    EXPECT_EQ(hash, hash_of(*program));
  }
}

// Random OCI profiles. One action for all rules of a profile, so that libseccomp's own order among
// conflicting rules, which depends on its tree, plays no part; the mixture of calls, conditions and
// architectures is free.
class RandomProfile {
 public:
  explicit RandomProfile(unsigned seed) : random_(seed) {}

  uint64_t number(uint64_t below) { return random_() % below; }

  bundle::SeccompArg condition(uint32_t index) {
    static constexpr const char* kOps[] = {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",       "SCMP_CMP_EQ",
                                           "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
    static constexpr uint64_t kValues[] = {
        0, 1, 2, 40, 0x5412, 0x7e020000, UINT32_MAX, uint64_t{1} << 32, (uint64_t{5} << 32) | 7, UINT64_MAX};
    bundle::SeccompArg out{index, kValues[number(std::size(kValues))], 0, kOps[number(std::size(kOps))]};
    if (out.op == "SCMP_CMP_MASKED_EQ") out.value_two = kValues[number(std::size(kValues))];
    return out;
  }

  bundle::Seccomp profile() {
    static constexpr const char* kNames[] = {"read",   "clone", "socket", "ioctl", "personality",
                                             "openat", "futex", "mmap",   "kill",  "prctl"};
    bundle::Seccomp out;
    out.default_action = "SCMP_ACT_ERRNO";
    out.default_errno_ret = ENOSYS;  // so that the numbers above the profile's get the same from both
    for (uint64_t rules = 1 + number(6); rules > 0; --rules) {
      bundle::SeccompRule rule{{kNames[number(std::size(kNames))]}, "SCMP_ACT_ALLOW", {}, {}};
      for (uint32_t index = 0; index < 3; ++index)
        if (number(2) == 0) rule.args.push_back(condition(index));
      out.syscalls.push_back(rule);
    }
    return out;
  }

 private:
  std::mt19937 random_;
};

// What libseccomp makes of one rule alone. Of several rules of one call it makes a shared tree, and 2.5.4
// gets some of those wrong: of "arg0 >= 1<<32 and arg1 == 1<<32" and "arg1 != 1<<32" it refuses arg0 = arg1 =
// 1<<32; of "arg1 < ~0" and "arg0 > 0x28 and arg1 >= 0x7e020000 and arg2 > 0x7e020000" it allows 0, ~0,
// 0x7e020001.
struct OneRule {
  uint32_t number;
  std::vector<sock_filter> program;
  CallRule edges;
};

OneRule compile_alone(const bundle::SeccompRule& rule) {
  OneRule out{static_cast<uint32_t>(libseccomp_number(rule.names[0])), {}, {}};
  Branch branch;
  for (const bundle::SeccompArg& arg : rule.args) {
    const bool masked = arg.op == "SCMP_CMP_MASKED_EQ";
    branch.all_of.push_back(
        {arg.index, Comparison::equal, masked ? arg.value : UINT64_MAX, masked ? arg.value_two & arg.value : arg.value});
  }
  out.edges.branches.push_back(branch);
  Reference reference(kEnosys, SECCOMP_RET_KILL_THREAD);
  reference.add(SECCOMP_RET_ALLOW, static_cast<int>(out.number), rule.args);
  out.program = reference.program();
  return out;
}

TEST(OciSeccomp, AllowsWhatLibseccompAllowsByAnyRuleOfRandomProfiles) {
  size_t compared = 0, allowed = 0;
  for (unsigned seed = 1; seed <= 300; ++seed) {
    const bundle::Seccomp profile = RandomProfile(seed).profile();
    const auto ours = compile_seccomp(profile);
    ASSERT_TRUE(ours) << ours.error().message;
    std::vector<OneRule> theirs;
    for (const bundle::SeccompRule& rule : profile.syscalls) theirs.push_back(compile_alone(rule));
    const auto compare = [&](const seccomp_data& data) {
      const bool any =
          std::ranges::any_of(theirs, [&](const OneRule& rule) { return run_bpf(rule.program, data) == SECCOMP_RET_ALLOW; });
      ++compared;
      allowed += any;
      ASSERT_EQ(run_bpf(ours->program, data), any ? SECCOMP_RET_ALLOW : kEnosys)
          << "seed " << seed << " call " << data.nr << std::hex << " args " << data.args[0] << " " << data.args[1] << " "
          << data.args[2];
    };
    for (const OneRule& rule : theirs)
      for_each_edge(rule.edges, {static_cast<int>(rule.number), native_arch().audit_arch, 0, {}}, compare);
    for (int number = 0; number <= 1023; ++number) compare({number, native_arch().audit_arch, 0, {}});
  }
  EXPECT_GT(compared, 1'000'000u);
  EXPECT_GT(allowed, compared / 20);
}

}  // namespace
}  // namespace bailey::native
