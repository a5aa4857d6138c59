#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "dispatcher/admission.h"
#include "dispatcher/limits.h"
#include "tests/support/run_bailey.h"
#include "tests/unit/dispatcher_wishes.h"

namespace bailey::dispatcher {
namespace {

using tests::TempDir;

Admission::Decision judge(Request request, const Policy& policy = builtin_policy(true)) {
  HostFacts facts = std::move(*gather_host_facts(request));
  return std::move(*Admission(policy).judge(std::move(request), std::move(facts)));
}

const bundle::Mount* find_mount(const Spec& spec, std::string_view destination) {
  for (const bundle::Mount& mount : spec.config().mounts)
    if (mount.destination == destination) return &mount;
  return nullptr;
}

bool has(const bundle::Mount& mount, std::string_view option) {
  return std::ranges::find(mount.options, option) != mount.options.end();
}

TEST(Admission, DrawsAnIdThatIsNeverTheSame) {
  std::set<std::string> ids;
  for (int i = 0; i < 50; ++i) {
    const auto decision = judge(wish());
    ASSERT_TRUE(decision.spec);
    EXPECT_EQ(decision.spec->id().size(), 32u);
    EXPECT_EQ(decision.spec->id().find_first_not_of("0123456789abcdef"), std::string::npos);
    ids.insert(decision.spec->id());
  }
  EXPECT_EQ(ids.size(), 50u);
  Request named = wish();
  named.id = "job.7";
  EXPECT_EQ(judge(named).spec->id(), "job.7");
}

TEST(Admission, MakesNoSpecWhenAnyGuardRefuses) {
  Request request = wish();
  request.network = NetworkMode::host;
  request.secrets = {{.name = "db", .file = "f"}};
  request.config.process->cwd = "x";
  const auto decision = judge(request);
  EXPECT_FALSE(decision.spec);
  EXPECT_EQ(decision.verdicts.size(), guards().size()) << "all of them are shown";
  const Error error = refusal(decision.verdicts);
  EXPECT_EQ(error.fault, Fault::refused);
  for (const char* part : {"host's network", "secrets", "'x' is not absolute"})
    EXPECT_NE(error.message.find(part), std::string::npos) << error.message;
  EXPECT_NE(error.remedy.find("--net none"), std::string::npos) << error.remedy;
}

TEST(Admission, LowersADefaultAndNoWishToTheHardLimit) {
  const auto judge_below = [](Request request) {
    HostFacts facts;
    facts.hard_open_files = 256;
    facts.hard_file_bytes = 1 << 20;
    return std::move(*Admission(builtin_policy(true)).judge(std::move(request), std::move(facts)));
  };
  const auto limit_of = [](const Spec& spec, std::string_view type) {
    const auto& rlimits = spec.process().rlimits;
    const auto found = std::ranges::find(rlimits, type, &bundle::Rlimit::type);
    return found == rlimits.end() ? 0 : found->hard;
  };
  const auto unasked = judge_below(wish());
  ASSERT_TRUE(unasked.spec);
  EXPECT_EQ(unasked.spec->limits().open_files, 256u);
  EXPECT_EQ(limit_of(*unasked.spec, "RLIMIT_NOFILE"), 256u);
  if (builtin_policy(true).levels.at(wish().trust).defaults.file_bytes) {
    EXPECT_EQ(limit_of(*unasked.spec, "RLIMIT_FSIZE"), 1u << 20);
  }
  Request asks = wish();
  find_limit("open_files")->ask(asks, 512);
  EXPECT_EQ(limit_of(*judge_below(asks).spec, "RLIMIT_NOFILE"), 512u) << "who asks is told that it cannot be had";
}

TEST(Admission, CompletesTheConfiguration) {
  const auto decision = judge(wish());
  ASSERT_TRUE(decision.spec) << refusal(decision.verdicts).message;
  const Spec& spec = *decision.spec;
  EXPECT_EQ(spec.backend(), BackendKind::gvisor);
  EXPECT_NE(spec.why_backend().find("first runtime"), std::string::npos);
  EXPECT_TRUE(spec.process().no_new_privileges);
  EXPECT_EQ(spec.config().linux.namespaces.size(), 7u);
  EXPECT_TRUE(find_mount(spec, "/proc"));
  const auto& resources = spec.config().linux.resources;
  EXPECT_EQ(resources.memory.limit, 1 << 30);
  EXPECT_EQ(resources.memory.swap, 1 << 30) << "no swap: memory and swap together are the memory";
  EXPECT_EQ(resources.cpu.quota, 200'000);
  EXPECT_EQ(resources.cpu.period, 100'000u);
  EXPECT_EQ(resources.pids_limit, 256);
  EXPECT_TRUE(has(*find_mount(spec, "/tmp"), "size=268435456"));
  EXPECT_TRUE(has(*find_mount(spec, "/tmp"), "nr_inodes=65536"));
  std::map<std::string, uint64_t> rlimits;
  for (const bundle::Rlimit& rlimit : spec.process().rlimits) rlimits[rlimit.type] = rlimit.hard;
  EXPECT_EQ(rlimits, (std::map<std::string, uint64_t>{{"RLIMIT_CORE", 0}, {"RLIMIT_FSIZE", 1 << 30}, {"RLIMIT_NOFILE", 1024}}));
  EXPECT_TRUE(spec.host_rootfs());
  EXPECT_TRUE(spec.request().config.mounts.empty()) << "the request stays as asked";
}

TEST(Admission, HandsTheLimitsThatWereAskedForToTheConfiguration) {
  Request request = wish();
  for (const auto& [name, value] : {std::pair{"memory", uint64_t{64} << 20},
                                    {"swap", uint64_t{0}},
                                    {"cpus", uint64_t{500'000}},
                                    {"pids", uint64_t{20}},
                                    {"open_files", uint64_t{64}},
                                    {"tmpfs", uint64_t{1} << 20},
                                    {"timeout", uint64_t{1500}}})
    find_limit(name)->ask(request, value);
  const auto decision = judge(request);
  ASSERT_TRUE(decision.spec) << refusal(decision.verdicts).message;
  const auto& resources = decision.spec->config().linux.resources;
  EXPECT_EQ(resources.memory.limit, 64 << 20);
  EXPECT_EQ(resources.memory.swap, 64 << 20);
  EXPECT_EQ(resources.cpu.quota, 50'000);
  EXPECT_EQ(resources.pids_limit, 20);
  EXPECT_TRUE(has(*find_mount(*decision.spec, "/tmp"), "size=1048576"));
  EXPECT_EQ(decision.spec->limits().wall_ms, 1500);
}

TEST(Admission, LeavesOutWhatIsUnlimited) {
  Request request = wish("trusted");
  for (const char* name : {"memory", "pids", "cpus"}) find_limit(name)->ask(request, kUnlimited);
  const auto decision = judge(request);
  ASSERT_TRUE(decision.spec) << refusal(decision.verdicts).message;
  const auto& resources = decision.spec->config().linux.resources;
  EXPECT_EQ(resources.memory.limit, std::nullopt);
  EXPECT_EQ(resources.memory.swap, std::nullopt);
  EXPECT_EQ(resources.pids_limit, std::nullopt);
  EXPECT_EQ(resources.cpu.quota, std::nullopt);
}

TEST(Admission, KeepsVolumesLastAndWithTheirDescriptors) {
  const TempDir dir;
  ASSERT_EQ(::mkdir(dir.file("a").c_str(), 0755), 0);
  const std::string file = dir.write("b", "x");
  Request request = wish("trusted");
  bundle::Mount tmpfs;
  tmpfs.type = "tmpfs";
  tmpfs.destination = "/scratch";
  request.config.mounts = {volume(dir.file("a"), "/a", {"ro"}), tmpfs, volume(file, "/b", {"noexec"})};
  const auto decision = judge(request);
  ASSERT_TRUE(decision.spec) << refusal(decision.verdicts).message;
  const Spec& spec = *decision.spec;
  const auto& mounts = spec.config().mounts;
  ASSERT_GT(mounts.size(), 3u);
  const size_t first = mounts.size() - 3;
  EXPECT_EQ(mounts[first].destination, "/a");
  EXPECT_EQ(mounts[first + 1].destination, "/scratch");
  EXPECT_EQ(mounts[first + 2].destination, "/b");
  EXPECT_EQ(spec.source_of(first).real_path, dir.file("a"));
  EXPECT_FALSE(spec.source_of(first + 1).fd);
  EXPECT_EQ(spec.source_of(first + 2).real_path, file);
  EXPECT_FALSE(spec.source_of(0).fd);
  EXPECT_FALSE(spec.source_of(1000).fd);
  for (const char* option : {"rbind", "ro", "rro", "nosuid", "nodev"}) EXPECT_TRUE(has(mounts[first], option)) << option;
  EXPECT_TRUE(has(mounts[first + 1], "size=1073741824"));
  EXPECT_TRUE(has(mounts[first + 2], "noexec"));
  EXPECT_FALSE(has(mounts[first + 2], "ro"));
  EXPECT_EQ(mounts[first + 2].source, file);
}

TEST(Admission, GivesTheHostNetworkOnlyByLeavingTheNamespaceOut) {
  Request request = wish("trusted");
  request.network = NetworkMode::host;
  request.unsafe_opt_ins.host_network = true;
  const auto decision = judge(request);
  ASSERT_TRUE(decision.spec);
  for (const bundle::Namespace& space : decision.spec->config().linux.namespaces)
    EXPECT_NE(space.type, bundle::NamespaceType::network);
}

TEST(Admission, RunsUntrustedCodeNativelyOnlyWithBothConsents) {
  for (const bool policy_agrees : {false, true})
    for (const bool caller_agrees : {false, true}) {
      Policy policy = builtin_policy(true);
      policy.unsafe_native_for_untrusted = policy_agrees;
      Request request = wish();
      request.runtime = BackendKind::native;
      request.unsafe_opt_ins.native_for_untrusted = caller_agrees;
      const auto decision = judge(request, policy);
      EXPECT_EQ(decision.spec != nullptr, policy_agrees && caller_agrees);
      if (!decision.spec) continue;
      EXPECT_EQ(decision.spec->backend(), BackendKind::native);
      EXPECT_TRUE(decision.spec->why_backend().starts_with("UNSAFE"));
      EXPECT_TRUE(decision.spec->level().untrusted);
    }
}

TEST(Admission, ChecksWhatCameOutForUntrustedCode) {
  const auto decision = judge(wish());
  EXPECT_EQ(decision.verdicts.back().guard, "invariants");
  EXPECT_TRUE(decision.verdicts.back().allowed);
}

TEST(Admission, RefusesFactsOfAnotherRequest) {
  Request request = wish();
  request.config.mounts = {volume("/srv/x", "/work")};
  EXPECT_FALSE(Admission(builtin_policy(true)).judge(request, HostFacts{}));
}

// A sandbox that waits for its jobs.
std::shared_ptr<const Spec> waiting(Request request) {
  request.awaits_job = true;
  request.config.process->args.clear();
  const auto decision = judge(std::move(request));
  EXPECT_TRUE(decision.spec) << refusal(decision.verdicts).message;
  EXPECT_FALSE(decision.job);
  return decision.spec;
}

const Verdict* find_refusal(const Admission::JobDecision& decision) {
  const auto found = std::ranges::find(decision.verdicts, false, &Verdict::allowed);
  return found == decision.verdicts.end() ? nullptr : &*found;
}

TEST(Admission, SplitsARequestIntoASandboxAndAJob) {
  Request request = wish();
  request.config.process->args = {"/bin/echo", "hello"};
  request.config.process->env = {"A=1"};
  const auto decision = judge(request);
  ASSERT_TRUE(decision.job);
  EXPECT_EQ(decision.job->process().args, request.config.process->args);
  EXPECT_TRUE(decision.spec->process().args.empty());
  EXPECT_EQ(decision.spec->process().env, decision.job->process().env);
  EXPECT_TRUE(decision.job->limits() == decision.spec->limits());

  request.config.process->args.clear();
  EXPECT_FALSE(judge(request).spec) << "a request without a command has to say that one comes later";
}

TEST(Admission, CompletesALateJobAsOneThatComesWithItsSandbox) {
  Request request = wish();
  request.config.process->args = {"/bin/echo", "hello"};
  request.config.process->env = {"A=1", "AB=2"};
  request.config.process->cwd = "/tmp";
  request.limits.wall_ms = 7000;
  const auto at_once = judge(request);
  const auto spec = waiting(request);
  const Policy policy = builtin_policy(true);
  const auto late = Admission(policy).judge(*spec, {.args = request.config.process->args});
  ASSERT_TRUE(late.job);
  EXPECT_EQ(late.job->process(), at_once.job->process());
  EXPECT_TRUE(late.job->limits() == at_once.job->limits());
  EXPECT_EQ(late.verdicts.size(), guards().size() + 2) << "its sandbox's limits, and the invariants of an untrusted level";

  const auto other = Admission(policy).judge(*spec, {.args = {"/bin/true"},
                                                     .env = {"A=changed", "NEW=x"},
                                                     .cwd = "/usr",
                                                     .umask = 077,
                                                     .rlimits = {{"RLIMIT_NOFILE", 20, 30}},
                                                     .wall_ms = 100,
                                                     .output_bytes = 5});
  ASSERT_TRUE(other.job);
  const bundle::Process& process = other.job->process();
  EXPECT_EQ(process.cwd, "/usr");
  EXPECT_EQ(process.user.umask, 077u);
  const auto has_variable = [&](const char* entry) { return std::ranges::count(process.env, entry) == 1; };
  EXPECT_TRUE(has_variable("A=changed") && has_variable("AB=2") && has_variable("NEW=x") && !has_variable("A=1"));
  EXPECT_EQ(std::ranges::find(process.rlimits, "RLIMIT_NOFILE", &bundle::Rlimit::type)->hard, 30u);
  EXPECT_EQ(other.job->limits().wall_ms, 100);
  EXPECT_EQ(other.job->limits().output_bytes, 5u);
}

TEST(Admission, JudgesALateJobByEveryGuardAndByThePolicyOfNow) {
  const auto spec = waiting(wish());
  Policy policy = builtin_policy(true);
  const auto refused_by = [&](const JobRequest& wanted) -> std::string {
    const auto decision = Admission(policy).judge(*spec, wanted);
    const Verdict* refusal = find_refusal(decision);
    EXPECT_EQ(decision.job.has_value(), refusal == nullptr);
    return refusal ? refusal->guard : "";
  };
  EXPECT_EQ(refused_by({.args = {"/bin/true"}}), "");
  EXPECT_EQ(refused_by({}), "command");
  EXPECT_EQ(refused_by({.args = {"/bin/true"}, .env = {"no variable"}}), "command");
  EXPECT_EQ(refused_by({.args = {"/bin/true"}, .cwd = "/proc/self/fd/3"}), "command");
  EXPECT_EQ(refused_by({.args = {"/bin/true"}, .rlimits = {{"RLIMIT_CORE", 1, 1}}}), "limits");
  EXPECT_EQ(refused_by({.args = {"/bin/true"}, .wall_ms = 1'000'000'000}), "limits");
  const uint64_t own = std::ranges::find(spec->process().rlimits, "RLIMIT_NOFILE", &bundle::Rlimit::type)->hard;
  policy.levels["untrusted"].ceilings.open_files = 2 * own;
  EXPECT_EQ(refused_by({.args = {"/bin/true"}, .rlimits = {{"RLIMIT_NOFILE", own + 1, own + 1}}}), "sandbox");
  policy.levels["untrusted"].runtimes = {};
  EXPECT_EQ(refused_by({.args = {"/bin/true"}}), "trust");
}

// An engine's configuration, as far as the domain looks at it.
Request engines(const TempDir& root, std::string trust = "trusted") {
  Request request = wish(std::move(trust));
  request.shape = Shape::complete;
  request.config.root = bundle::Root{root.path(), false};
  request.config.mounts = {{"/proc", "proc", "proc", {}, {}, {}}, {"/dev", "tmpfs", "tmpfs", {"mode=755"}, {}, {}}};
  request.engine_mounts = {0, 1};
  using enum bundle::NamespaceType;
  for (const auto type : {pid, network, mount, ipc, uts, user, cgroup}) request.config.linux.namespaces.push_back({type, ""});
  request.config.annotations["io.kubernetes.cri.container-type"] = "container";
  return request;
}

TEST(Admission, AddsNothingToAnEnginesConfiguration) {
  const TempDir root;
  const Request request = engines(root);
  const auto decision = judge(request);
  ASSERT_TRUE(decision.spec) << refusal(decision.verdicts).message;
  bundle::Config expected = request.config;
  expected.process->args.clear();
  EXPECT_EQ(decision.spec->config(), expected);
  EXPECT_EQ(decision.job->process(), *request.config.process);
  EXPECT_TRUE(decision.spec->limits() == LimitValues{}) << "trusted has no ceilings for these, and defaults do not count";
}

TEST(Admission, AppliesCeilingsToAnEnginesConfigurationAndNoDefaults) {
  const TempDir root;
  Policy policy = builtin_policy(true);
  policy.levels["trusted"].defaults.pids = 10;
  policy.levels["trusted"].ceilings = {};
  policy.levels["trusted"].ceilings.memory_bytes = 1 << 30;
  const auto decision = judge(engines(root), policy);
  ASSERT_TRUE(decision.spec) << refusal(decision.verdicts).message;
  EXPECT_EQ(decision.spec->config().linux.resources.memory.limit, 1 << 30);
  EXPECT_FALSE(decision.spec->config().linux.resources.pids_limit);
  Request above = engines(root);
  above.config.linux.resources.memory.limit = int64_t{2} << 30;
  EXPECT_FALSE(judge(above, policy).spec);
}

TEST(Admission, RefusesWhatALevelForbidsInAnEnginesConfigurationRatherThanChangingIt) {
  const TempDir root;
  Policy policy = builtin_policy(true);
  const auto reason = [&](Request request) {
    const auto decision = judge(std::move(request), policy);
    EXPECT_FALSE(decision.spec);
    return refusal(decision.verdicts).message;
  };
  const Request request = engines(root, "untrusted");
  EXPECT_TRUE(judge(request).spec) << "gVisor's own kernel gives the privileges: " << refusal(judge(request).verdicts).message;
  Request device = request;
  device.config.linux.devices.push_back({.path = "/dev/kvm", .type = "c", .major = 10, .minor = 232});
  EXPECT_NE(reason(device).find("devices"), std::string::npos);
  Request host = request;
  std::erase_if(host.config.linux.namespaces, [](const auto& one) { return one.type == bundle::NamespaceType::network; });
  EXPECT_NE(reason(host).find("host's network"), std::string::npos);

  policy.unsafe_native_for_untrusted = true;
  Request native = request;
  native.runtime = BackendKind::native;
  native.unsafe_opt_ins.native_for_untrusted = true;
  EXPECT_NE(reason(native).find("privileges"), std::string::npos) << "without noNewPrivileges";
  native.config.process->no_new_privileges = true;
  EXPECT_TRUE(judge(native, policy).spec) << refusal(judge(native, policy).verdicts).message;
  native.config.linux.namespaces.pop_back();
  EXPECT_NE(reason(native).find("cgroup"), std::string::npos);
  Request rootless = engines(root);
  rootless.config.root.reset();
  EXPECT_NE(reason(rootless).find("without a root"), std::string::npos);
}

TEST(Admission, LetsAnEngineUseTheHostsNetworkWhereTheLevelListsIt) {
  const TempDir root;
  Policy policy = builtin_policy(true);
  Request request = engines(root);
  std::erase_if(request.config.linux.namespaces, [](const auto& one) { return one.type == bundle::NamespaceType::network; });
  EXPECT_TRUE(judge(request, policy).spec) << refusal(judge(request, policy).verdicts).message;
  std::erase(policy.levels["trusted"].networks, NetworkMode::host);
  EXPECT_FALSE(judge(request, policy).spec);
}

TEST(Admission, HoldsAnEnginesContainerToTheCeilingsOfItsCgroupAlone) {
  const TempDir root;
  Request request = engines(root, "untrusted");
  request.config.process->rlimits = {{"RLIMIT_NOFILE", 1 << 20, 1 << 20}};  // podman's default
  const auto decision = judge(request);
  ASSERT_TRUE(decision.spec) << refusal(decision.verdicts).message;
  EXPECT_EQ(decision.job->process().rlimits, request.config.process->rlimits);
  EXPECT_FALSE(decision.spec->limits().wall_ms || decision.spec->limits().output_bytes) << "nobody would watch them";
  EXPECT_TRUE(decision.spec->limits().memory_bytes && decision.spec->limits().pids);
}

TEST(Admission, TellsAnEnginesMountsFromThoseOfItsUser) {
  const TempDir root;
  Request request = engines(root);
  request.config.mounts.push_back(volume("/etc/passwd", "/etc/hosts"));  // which no volume of a user's may be
  EXPECT_FALSE(judge(request).spec);
  request.engine_mounts.push_back(2);
  EXPECT_TRUE(judge(request).spec) << refusal(judge(request).verdicts).message;
  request.config.mounts.push_back({"/sys", "sysfs", "sysfs", {}, {}, {}});
  EXPECT_FALSE(judge(request).spec) << "a user's volume is a bind or a tmpfs";
}

TEST(Admission, GivesALateJobNoHigherLimitThanItsSandboxHas) {
  const auto spec = waiting(wish());
  const auto own = std::ranges::find(spec->process().rlimits, "RLIMIT_NOFILE", &bundle::Rlimit::type)->hard;
  Policy policy = builtin_policy(true);
  policy.levels["untrusted"].defaults.open_files = 4 * own;
  policy.levels["untrusted"].ceilings.open_files = 4 * own;
  const auto late = Admission(policy).judge(*spec, {.args = {"/bin/true"}});
  ASSERT_TRUE(late.job);
  EXPECT_EQ(std::ranges::find(late.job->process().rlimits, "RLIMIT_NOFILE", &bundle::Rlimit::type)->hard, own);
}

TEST(Admission, RefusesAnIndependentSandboxWhatNeedsAnOwner) {
  const auto refused = [](const std::function<void(Request&)>& change) {
    Request request = wish("trusted");
    request.lifetime = Lifetime::independent;
    change(request);
    const auto decision = judge(request);
    const auto found = std::ranges::find(decision.verdicts, "lifetime", &Verdict::guard);
    return found == decision.verdicts.end() || !found->allowed;
  };
  EXPECT_FALSE(refused([](Request&) {}));
  EXPECT_TRUE(refused([](Request& request) { request.network = NetworkMode::bridge; }));
  EXPECT_TRUE(refused([](Request& request) { request.limits.wall_ms = 1000; }));
  EXPECT_TRUE(refused([](Request& request) { request.limits.output_bytes = 1000; }));
  EXPECT_TRUE(refused([](Request& request) { request.seccomp_log = SeccompLog::denied; }));
  EXPECT_TRUE(refused([](Request& request) { request.config.process->terminal = true; }));
}

}  // namespace
}  // namespace bailey::dispatcher
