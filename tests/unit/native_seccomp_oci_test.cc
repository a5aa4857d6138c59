// OCI seccomp objects: what they mean, and what they may not say.
#include <gtest/gtest.h>

#include <algorithm>

#include "dispatcher/seccomp_oci.h"
#include "seccomp/builtin.h"
#include "seccomp/names.h"
#include "seccomp/program.h"
#include "tests/unit/native_bpf.h"
#include "tests/unit/native_child.h"

namespace bailey::native {

using namespace dispatcher;
using namespace seccomp;
namespace {

using bundle::Seccomp;
using bundle::SeccompRule;
using tests::libseccomp_number;
using tests::Reference;
using tests::run_bpf;

constexpr uint32_t kEperm = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t kEnosys = SECCOMP_RET_ERRNO | ENOSYS;
constexpr const char* kAllow = "SCMP_ACT_ALLOW";
constexpr const char* kErrno = "SCMP_ACT_ERRNO";

Seccomp over(const char* default_action, std::vector<SeccompRule> rules) {
  Seccomp out;
  out.default_action = default_action;
  out.syscalls = std::move(rules);
  return out;
}

// The verdict on this machine's architecture.
uint32_t verdict(const Seccomp& seccomp, const char* call, std::initializer_list<uint64_t> args = {}) {
  const auto filter = compile_seccomp(seccomp);
  EXPECT_TRUE(filter) << filter.error().message;
  if (!filter) return 0;
  const auto targets = call_targets(native_arch(), call);
  seccomp_data data = {static_cast<int>(targets.at(0).number), native_arch().audit_arch, 0, {}};
  std::copy(args.begin(), args.end(), data.args);
  return run_bpf(filter->program, data).value_or(1);
}

TEST(OciSeccomp, MapsEveryAction) {
  const auto action = [](const char* name, std::optional<uint32_t> errno_ret = {}) {
    Seccomp s = over(kAllow, {{{"read"}, name, errno_ret, {}}});
    return verdict(s, "read");
  };
  EXPECT_EQ(action("SCMP_ACT_KILL"), SECCOMP_RET_KILL_THREAD);
  EXPECT_EQ(action("SCMP_ACT_KILL_THREAD"), SECCOMP_RET_KILL_THREAD);
  EXPECT_EQ(action("SCMP_ACT_KILL_PROCESS"), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(action("SCMP_ACT_TRAP"), SECCOMP_RET_TRAP);
  EXPECT_EQ(action("SCMP_ACT_ERRNO"), kEperm);
  EXPECT_EQ(action("SCMP_ACT_ERRNO", 38), kEnosys);
  EXPECT_EQ(action("SCMP_ACT_TRACE", 7), SECCOMP_RET_TRACE | 7);
  EXPECT_EQ(action("SCMP_ACT_LOG"), SECCOMP_RET_LOG);
  EXPECT_EQ(action("SCMP_ACT_ALLOW"), SECCOMP_RET_ALLOW);
}

TEST(OciSeccomp, DefaultActionTakesItsErrno) {
  Seccomp s = over(kErrno, {{{"read", "openat2"}, kAllow, {}, {}}});
  EXPECT_EQ(verdict(s, "close"), SECCOMP_RET_ERRNO | EPERM);
  s.default_errno_ret = EACCES;
  EXPECT_EQ(verdict(s, "close"), SECCOMP_RET_ERRNO | EACCES);
}

TEST(OciSeccomp, FirstUnconditionalRuleWinsOverEverything) {
  const SeccompRule allow = {{"ioctl"}, kAllow, {}, {}};
  const SeccompRule refuse = {{"ioctl"}, kErrno, EACCES, {}};
  const SeccompRule refuse_one = {{"ioctl"}, kErrno, EACCES, {{1, 5, 0, "SCMP_CMP_EQ"}}};
  EXPECT_EQ(verdict(over("SCMP_ACT_KILL_PROCESS", {allow, refuse}), "ioctl"), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(over("SCMP_ACT_KILL_PROCESS", {refuse, allow}), "ioctl"), SECCOMP_RET_ERRNO | EACCES);
  EXPECT_EQ(verdict(over("SCMP_ACT_KILL_PROCESS", {refuse_one, allow}), "ioctl", {0, 5}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(over("SCMP_ACT_KILL_PROCESS", {allow, refuse_one}), "ioctl", {0, 5}), SECCOMP_RET_ALLOW);
  // A rule that only repeats the default is none: it cannot shadow the condition.
  EXPECT_EQ(verdict(over(kAllow, {allow, refuse_one}), "ioctl", {0, 5}), SECCOMP_RET_ERRNO | EACCES);
}

TEST(OciSeccomp, StrictestOfSeveralHoldingRulesWins) {
  const Seccomp s = over("SCMP_ACT_LOG", {{{"ioctl"}, kAllow, {}, {{1, 10, 0, "SCMP_CMP_LT"}}},
                                          {{"ioctl"}, "SCMP_ACT_KILL_PROCESS", {}, {{1, 5, 0, "SCMP_CMP_EQ"}}},
                                          {{"ioctl"}, kErrno, {}, {{1, 4, 0, "SCMP_CMP_GE"}}}});
  EXPECT_EQ(verdict(s, "ioctl", {0, 3}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(s, "ioctl", {0, 4}), kEperm);
  EXPECT_EQ(verdict(s, "ioctl", {0, 5}), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(verdict(s, "ioctl", {0, 10}), kEperm);
}

TEST(OciSeccomp, ConditionsHoldTogetherUnlessTheyShareAnArgument) {
  const Seccomp both = over(kErrno, {{{"socket"}, kAllow, {}, {{0, 1, 0, "SCMP_CMP_EQ"}, {1, 2, 0, "SCMP_CMP_EQ"}}}});
  EXPECT_EQ(verdict(both, "socket", {1, 2}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(both, "socket", {1, 3}), kEperm);
  EXPECT_EQ(verdict(both, "socket", {2, 2}), kEperm);
  const Seccomp either = over(kErrno, {{{"socket"}, kAllow, {}, {{0, 1, 0, "SCMP_CMP_EQ"}, {0, 2, 0, "SCMP_CMP_EQ"}}}});
  EXPECT_EQ(verdict(either, "socket", {1}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(either, "socket", {2}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(either, "socket", {3}), kEperm);
}

TEST(OciSeccomp, CallsNewerThanTheProfileAnswerEnosysUnlessItAllowsByDefault) {
  const auto at = [](const Seccomp& s, uint32_t number) {
    return run_bpf(compile_seccomp(s)->program, {static_cast<int>(number), native_arch().audit_arch, 0, {}});
  };
  const Seccomp refusing = over(kErrno, {{{"read", "openat2"}, kAllow, {}, {}}});  // openat2 is 437 everywhere
  EXPECT_EQ(at(refusing, 436), kEperm);
  EXPECT_EQ(at(refusing, 438), kEnosys);
  EXPECT_EQ(at(refusing, 1u << 20), kEnosys);
  EXPECT_EQ(at(refusing, UINT32_MAX), kEperm) << "a skipped call";
  EXPECT_EQ(at(over("SCMP_ACT_KILL_PROCESS", {{{"read", "openat2"}, kAllow, {}, {}}}), 438), kEnosys);
  // Named, though with the default action: the author knew it.
  EXPECT_EQ(at(over(kErrno, {{{"read"}, kAllow, {}, {}}, {{"openat2"}, kErrno, {}, {}}}), 437), kEperm);
  EXPECT_EQ(at(over(kAllow, {{{"openat2"}, kErrno, {}, {}}}), 438), SECCOMP_RET_ALLOW);
  EXPECT_EQ(at(over("SCMP_ACT_LOG", {{{"openat2"}, kErrno, {}, {}}}), 438), SECCOMP_RET_LOG);
}

TEST(OciSeccomp, UnknownCallsAreIgnoredAndTold) {
  const auto filter = compile_seccomp(over(kErrno, {{{"read", "no_such_call", "write"}, kAllow, {}, {}}}));
  ASSERT_TRUE(filter);
  EXPECT_EQ(filter->ignored_names, std::vector<std::string>{"no_such_call"});
}

TEST(OciSeccomp, RefusesWhatItCannotMean) {
  const auto error = [](auto change) {
    Seccomp s = over(kErrno, {{{"read"}, kAllow, {}, {{0, 1, 0, "SCMP_CMP_EQ"}}}});
    change(s);
    const auto filter = compile_seccomp(s);
    return filter ? std::string() : filter.error().message;
  };
  EXPECT_EQ(error([](Seccomp&) {}), "");
  EXPECT_NE(error([](Seccomp& s) { s.default_action = ""; }), "");
  EXPECT_NE(error([](Seccomp& s) { s.default_action = "SCMP_ACT_PERMIT"; }).find("'SCMP_ACT_PERMIT'"), std::string::npos);
  EXPECT_NE(error([](Seccomp& s) { s.syscalls[0].action = "allow"; }).find("'allow'"), std::string::npos);
  EXPECT_NE(error([](Seccomp& s) { s.syscalls[0].action = "SCMP_ACT_NOTIFY"; }).find("NOTIFY"), std::string::npos);
  EXPECT_NE(error([](Seccomp& s) { s.syscalls[0].args[0].op = "=="; }).find("'=='"), std::string::npos);
  EXPECT_NE(error([](Seccomp& s) { s.syscalls[0].args[0].index = 6; }).find("6"), std::string::npos);
  EXPECT_NE(error([](Seccomp& s) { s.architectures = {"x86"}; }).find("'x86'"), std::string::npos);
  EXPECT_NE(error([](Seccomp& s) { s.flags = {"SECCOMP_FILTER_FLAG_NEW_LISTENER"}; }), "");
  EXPECT_EQ(error([](Seccomp& s) { s.architectures = {"SCMP_ARCH_S390X", "SCMP_ARCH_MIPS"}; }), "");
  EXPECT_EQ(error([](Seccomp& s) { s.flags = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"}; }), "");
}

TEST(OciSeccomp, NamesThePlaceOfEachFault) {
  Seccomp s = over("SCMP_ACT_PERMIT",
                   {{{"read"}, kAllow, {}, {}}, {{"write"}, "allow", {}, {{0, 1, 0, "=="}, {6, 1, 0, "SCMP_CMP_EQ"}}}});
  s.flags = {"SECCOMP_FILTER_FLAG_LOG", "LOG"};
  s.architectures = {"SCMP_ARCH_X86_64", "amd64"};
  s.listener_path = "/run/listener";
  std::vector<OciFault> faults;
  EXPECT_FALSE(read_oci_seccomp(s, faults));
  std::vector<std::string> paths;
  for (const OciFault& fault : faults) paths.push_back(fault.path);
  EXPECT_EQ(paths, (std::vector<std::string>{".listenerPath", ".flags[1]", ".defaultAction", ".architectures[1]",
                                             ".syscalls[1].action", ".syscalls[1].args[0]", ".syscalls[1].args[1]"}));
  EXPECT_EQ(faults[0].error.fault, Fault::unavailable);
}

TEST(OciSeccomp, RefusesAProgramLongerThanTheKernelTakes) {
  Seccomp s = over(kErrno, {});
  for (uint64_t value = 0; value < 2000; ++value)
    s.syscalls.push_back({{"ioctl"}, kAllow, {}, {{1, value * 3, 0, "SCMP_CMP_EQ"}}});
  const auto filter = compile_seccomp(s);
  ASSERT_FALSE(filter);
  EXPECT_NE(filter.error().message.find("4096"), std::string::npos);
  s.syscalls.resize(600);  // jumps far beyond 255 instructions
  EXPECT_EQ(verdict(s, "ioctl", {0, 599 * 3}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(s, "ioctl", {0, 599 * 3 + 1}), kEperm);
  EXPECT_EQ(verdict(s, "ioctl", {0, 0}), SECCOMP_RET_ALLOW);
}

#if defined(__x86_64__)
// As engines send it: hundreds of names, conditions, and the two other architectures of an x86_64 machine.
Seccomp engine_profile() {
  Seccomp out = over(kErrno, {});
  out.default_errno_ret = ENOSYS;
  out.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  out.syscalls.push_back({{"bdflush", "kexec_load", "mbind", "nfsservctl", "umount", "ustat"}, kErrno, EPERM, {}});
  SeccompRule all = {{"socketcall", "stat64", "_llseek", "mmap2", "send", "semtimedop", "ugetrlimit"}, kAllow, {}, {}};
  for (const auto& [number, name] : calls_of(native_arch()))
    for (const bool special : {std::ranges::count(out.syscalls[0].names, name) != 0 || name == "socket" ||
                               name == "personality" || name == "clone" || libseccomp_number(name) < 0})
      if (!special) all.names.push_back(name);
  out.syscalls.push_back(all);
  for (const uint64_t persona : {0u, 8u, 0x20000u, 0x20008u, 0xffffffffu})
    out.syscalls.push_back({{"personality"}, kAllow, {}, {{0, persona, 0, "SCMP_CMP_EQ"}}});
  out.syscalls.push_back({{"clone"}, kAllow, {}, {{0, 0x7e020000, 0, "SCMP_CMP_MASKED_EQ"}}});
  out.syscalls.push_back({{"socket"}, kErrno, EINVAL, {{0, 16, 0, "SCMP_CMP_EQ"}, {2, 9, 0, "SCMP_CMP_EQ"}}});
  out.syscalls.push_back({{"socket"}, kAllow, {}, {{2, 9, 0, "SCMP_CMP_NE"}}});
  out.syscalls.push_back({{"socket"}, kAllow, {}, {{0, 16, 0, "SCMP_CMP_NE"}}});
  return out;
}

std::vector<sock_filter> reference_of(const Seccomp& seccomp) {
  Reference reference(kEnosys, SECCOMP_RET_KILL_THREAD);
  for (const std::string& arch : seccomp.architectures)
    if (arch != "SCMP_ARCH_X86_64") reference.also(arch_named(arch)->token);
  for (const SeccompRule& rule : seccomp.syscalls) {
    const uint32_t action = rule.action == kAllow ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | *rule.errno_ret;
    for (const std::string& name : rule.names) reference.add(action, libseccomp_number(name), rule.args);
  }
  return reference.program();
}

TEST(OciSeccomp, GivesTheVerdictsThatLibseccompGivesForAnEnginesProfile) {
  const Seccomp profile = engine_profile();
  const auto ours = compile_seccomp(profile);
  ASSERT_TRUE(ours) << ours.error().message;
  const std::vector<sock_filter> theirs = reference_of(profile);
  EXPECT_LT(ours->program.size() * 3, theirs.size()) << "the point of a generator of our own";
  std::vector<uint32_t> numbers;
  for (uint32_t number = 0; number <= 1023; ++number) numbers.insert(numbers.end(), {number, kX32First | number});
  numbers.insert(numbers.end(), {0x3fffffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff});
  const std::vector<uint64_t> values = {0,  1,  2,  7,       8,       9,          10,         15,
                                        16, 17, 40, 0x20000, 0x20008, 0x7e020000, 0x10000000, 0xffffffff};
  size_t compared = 0;
  for (const char* arch : {"x86_64", "i386", "aarch64"})
    for (const uint32_t number : numbers)
      for (const uint64_t first : values)
        for (const uint64_t third : {uint64_t{0}, uint64_t{9}, uint64_t{10}})
          for (const uint64_t high : {uint64_t{0}, uint64_t{1} << 32}) {
            if (high != 0 && std::string_view(arch) == "i386") continue;  // the kernel has no high halves there
            const seccomp_data data = {static_cast<int>(number), arch_named(arch)->audit_arch, 0, {first | high, 0, third}};
            ++compared;
            ASSERT_EQ(run_bpf(ours->program, data), run_bpf(theirs, data))
                << arch << " call " << std::hex << number << " args " << data.args[0] << " " << third;
          }
  EXPECT_GT(compared, 300'000u);
}

TEST(OciSeccomp, InstallsAnEnginesProfile) {
  const auto filter = compile_seccomp(engine_profile());
  ASSERT_TRUE(filter);
  const std::string report = tests::in_child([&](int out) {
    if (syscall(SYS_prctl, 38 /* PR_SET_NO_NEW_PRIVS */, 1, 0, 0, 0) != 0) return;
    dprintf(out, "%d ", install_filter(filter->view(), filter->flags));
    dprintf(out, "%d", syscall(SYS_socket, 16, 3, 9) == -1 && errno == EINVAL);
  });
  EXPECT_EQ(report, "0 1");
}
#endif

}  // namespace
}  // namespace bailey::native
