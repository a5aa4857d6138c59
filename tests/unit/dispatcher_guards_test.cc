#include <gtest/gtest.h>

#include <algorithm>

#include "dispatcher/names.h"
#include "dispatcher/networks.h"
#include "tests/unit/dispatcher_wishes.h"

namespace bailey::dispatcher {
namespace {

// Every combination of level, runtime, network, opt-ins and policy that a request could come with, against the rule said anew.
struct Combination {
  Policy policy;
  Request request;
  const Level& level() const { return policy.levels.at(request.trust); }
};

std::vector<Combination> every_combination() {
  std::vector<Combination> all;
  Policy base = builtin_policy(true);
  Level lab = base.levels.at("trusted");  // trusted code, gVisor only, no host network
  lab.name = "lab";
  lab.runtimes = {BackendKind::gvisor};
  lab.networks = {NetworkMode::none, NetworkMode::bridge};
  Level trap = base.levels.at("untrusted");  // what no policy file could say: the invariants must hold all the same
  trap.name = "trap";
  trap.runtimes = {BackendKind::native, BackendKind::gvisor};
  trap.networks = {NetworkMode::none, NetworkMode::host, NetworkMode::bridge, NetworkMode::userspace};
  base.levels["lab"] = lab;
  base.levels["trap"] = trap;
  for (const bool policy_agrees : {false, true})
    for (const auto& [trust, unused] : base.levels)
      for (const auto& [runtime_name, runtime] : kRuntimeNames)
        for (const auto& [network_name, network] : kNetworkNames)
          for (int opt_ins = 0; opt_ins < 4; ++opt_ins) {
            Combination one{base, wish(trust)};
            one.policy.unsafe_native_for_untrusted = policy_agrees;
            one.request.runtime = runtime;
            one.request.network = network;
            one.request.unsafe_opt_ins = {.native_for_untrusted = (opt_ins & 1) != 0, .host_network = (opt_ins & 2) != 0};
            all.push_back(std::move(one));
          }
  return all;
}

BackendKind wanted_backend(const Combination& one) {
  if (one.request.runtime == BackendKind::native) return BackendKind::native;
  if (one.request.runtime == BackendKind::gvisor) return BackendKind::gvisor;
  return one.level().runtimes.front();
}

std::string describe(const Combination& one) {
  return one.request.trust + " runtime=" + name_of(one.request.runtime, kRuntimeNames) +
         " net=" + to_text(one.request.network) +
         " unsafe-native=" + std::to_string(one.request.unsafe_opt_ins.native_for_untrusted) +
         " allow-host-network=" + std::to_string(one.request.unsafe_opt_ins.host_network) +
         " policy=" + std::to_string(one.policy.unsafe_native_for_untrusted);
}

TEST(GuardTrust, HoldsItsRuleForEveryCombination) {
  int allowed = 0;
  for (const Combination& one : every_combination()) {
    SCOPED_TRACE(describe(one));
    const BackendKind wanted = wanted_backend(one);
    const auto& runtimes = one.level().runtimes;
    const bool listed = std::ranges::find(runtimes, wanted) != runtimes.end();
    const bool unsafe_agreed = one.policy.unsafe_native_for_untrusted && one.request.unsafe_opt_ins.native_for_untrusted;
    const bool expected = wanted == BackendKind::native && one.level().untrusted ? unsafe_agreed : listed;
    const Verdict verdict = guard_trust(one.request, one.policy, host());
    EXPECT_EQ(verdict.allowed, expected) << verdict.reason;
    EXPECT_EQ(verdict.remedy.empty(), expected);
    if (expected) {
      ++allowed;
      EXPECT_EQ(*choose_backend(one.request, one.policy), wanted);
    }
    if (expected && wanted == BackendKind::native && one.level().untrusted) {
      EXPECT_TRUE(verdict.reason.starts_with("UNSAFE")) << verdict.reason;
    }
  }
  EXPECT_GT(allowed, 0);
}

TEST(GuardNetwork, HoldsItsRuleForEveryCombination) {
  int allowed = 0;
  for (const Combination& one : every_combination()) {
    SCOPED_TRACE(describe(one));
    const bool listed = std::ranges::find(one.level().networks, one.request.network) != one.level().networks.end();
    bool expected = false;
    if (one.request.network == NetworkMode::none) expected = true;
    if (is_filtered(one.request.network)) expected = listed;
    if (one.request.network == NetworkMode::host)
      expected = !one.level().untrusted && listed && one.request.unsafe_opt_ins.host_network;
    const Verdict verdict = guard_network(one.request, one.policy, host());
    EXPECT_EQ(verdict.allowed, expected) << verdict.reason;
    EXPECT_EQ(verdict.remedy.empty(), expected);
    allowed += expected;
  }
  EXPECT_GT(allowed, 0);
}

TEST(GuardTrust, RefusesAnUnknownLevelAndNamesTheKnownOnes) {
  const Verdict verdict = guard_trust(wish("../trusted"), builtin_policy(true), host());
  EXPECT_FALSE(verdict.allowed);
  EXPECT_NE(verdict.reason.find("'../trusted'"), std::string::npos);
  EXPECT_NE(verdict.remedy.find("trusted, untrusted"), std::string::npos);
}

TEST(GuardTrust, JudgesAnUnknownLevelAsUntrustedInEveryGuard) {
  Request request = wish("nobody");
  request.network = NetworkMode::host;
  request.unsafe_opt_ins = {.native_for_untrusted = true, .host_network = true};
  request.secrets = {{.name = "a", .file = "f"}};
  request.config.hooks.prestart = {{}};
  for (const Guard guard : {guard_trust, guard_network, guard_secrets, guard_privileges})
    EXPECT_FALSE(guard(request, builtin_policy(true), host()).allowed);
}

TEST(GuardTrust, RefusesGvisorOptionsForNative) {
  Request request = wish("trusted");
  request.backend_settings["platform"] = "systrap";
  EXPECT_FALSE(guard_trust(request, builtin_policy(true), host()).allowed);
  request.runtime = BackendKind::gvisor;
  EXPECT_TRUE(guard_trust(request, builtin_policy(true), host()).allowed);
}

TEST(GuardTrust, KeepsTheRunscThatThePolicyNames) {
  Policy policy = builtin_policy(true);
  policy.backend_settings["runsc"] = "/usr/local/bin/runsc";
  Request request = wish();
  EXPECT_TRUE(guard_trust(request, policy, host()).allowed);
  request.backend_settings["runsc"] = "/usr/local/bin/runsc";
  EXPECT_TRUE(guard_trust(request, policy, host()).allowed);
  request.backend_settings["runsc"] = "/tmp/runsc";
  EXPECT_FALSE(guard_trust(request, policy, host()).allowed);
  EXPECT_TRUE(guard_trust(request, builtin_policy(true), host()).allowed) << "where the policy names none";
}

TEST(GuardPrivileges, RefusesDeviceRulesThatWouldBeIgnored) {
  Request request = wish("trusted");
  request.config.linux.resources.devices = {{.allow = false, .access = "rwm"}};
  EXPECT_TRUE(guard_privileges(request, builtin_policy(true), host()).allowed);
  for (const bundle::DeviceRule& rule :
       {bundle::DeviceRule{.allow = true}, {.allow = false, .type = "c", .major = 1, .minor = 3}}) {
    request.config.linux.resources.devices = {rule};
    EXPECT_FALSE(guard_privileges(request, builtin_policy(true), host()).allowed);
  }
}

TEST(GuardPrivileges, NeverGivesAnUntrustedLevelAny) {
  using Change = void (*)(bundle::Config&);
  const std::pair<const char*, Change> kPrivileges[] = {
      {"hook", [](bundle::Config& c) { c.hooks.poststop = {{.path = "/bin/sh"}}; }},
      {"device", [](bundle::Config& c) { c.linux.devices = {{.path = "/dev/kvm", .type = "c", .major = 10, .minor = 232}}; }},
      {"device rule", [](bundle::Config& c) { c.linux.resources.devices = {{.allow = true, .type = "a"}}; }},
      {"capability", [](bundle::Config& c) { c.process->capabilities.ambient = {"CAP_NET_RAW"}; }},
      {"bounding capability", [](bundle::Config& c) { c.process->capabilities.bounding = {"CAP_SYS_ADMIN"}; }},
      {"host pid namespace", [](bundle::Config& c) { c.linux.namespaces = {{bundle::NamespaceType::pid, "/proc/1/ns/pid"}}; }},
      {"host user namespace",
       [](bundle::Config& c) { c.linux.namespaces = {{bundle::NamespaceType::user, "/proc/1/ns/user"}}; }},
      {"host network namespace",
       [](bundle::Config& c) { c.linux.namespaces = {{bundle::NamespaceType::network, "/proc/1/ns/net"}}; }},
      {"id mapping", [](bundle::Config& c) { c.linux.uid_mappings = {{0, 0, 4294967295U}}; }},
      {"sysctl", [](bundle::Config& c) { c.linux.sysctl["user.max_user_namespaces"] = "100"; }},
      {"propagation", [](bundle::Config& c) { c.linux.rootfs_propagation = "rshared"; }},
      {"oom score", [](bundle::Config& c) { c.process->oom_score_adj = -1; }},
      {"personality", [](bundle::Config& c) { c.linux.personality = bundle::Personality{"LINUX32", {}}; }},
      {"label", [](bundle::Config& c) { c.process->apparmor_profile = "unconfined"; }},
      {"cgroup", [](bundle::Config& c) { c.linux.cgroups_path = "/"; }},
  };
  Policy policy = builtin_policy(true);
  policy.unsafe_native_for_untrusted = true;  // lifts none of this
  for (const auto& [name, change] : kPrivileges) {
    SCOPED_TRACE(name);
    Request request = wish();
    request.unsafe_opt_ins = {.native_for_untrusted = true, .host_network = true};
    EXPECT_TRUE(guard_privileges(request, policy, host()).allowed);
    change(request.config);
    const Verdict verdict = guard_privileges(request, policy, host());
    EXPECT_FALSE(verdict.allowed);
    EXPECT_FALSE(verdict.remedy.empty());
  }
}

TEST(GuardPrivileges, TakesASeccompProfileAsTheLevelSays) {
  using enum SeccompRule;
  for (const char* trust : {"trusted", "untrusted"}) {
    Policy policy = builtin_policy(true);
    EXPECT_EQ(policy.levels.at(trust).seccomp, std::string_view(trust) == "trusted" ? replace : narrow);
    Request request = wish(trust);
    for (const SeccompRule rule : {builtin, narrow, replace}) {
      policy.levels.at(trust).seccomp = rule;
      request.config.linux.seccomp.reset();
      EXPECT_TRUE(guard_privileges(request, policy, host()).allowed);
      request.config.linux.seccomp.emplace().default_action = "SCMP_ACT_ALLOW";
      const bool may = rule == narrow || (rule == replace && std::string_view(trust) == "trusted");
      EXPECT_EQ(guard_privileges(request, policy, host()).allowed, may) << trust;
      request.seccomp_log = SeccompLog::denied;
      EXPECT_EQ(guard_privileges(request, policy, host()).allowed, may) << trust;
      request.seccomp_log = SeccompLog::all;
      EXPECT_FALSE(guard_privileges(request, policy, host()).allowed) << trust;
      request.seccomp_log = SeccompLog::off;
    }
  }
}

TEST(GuardPrivileges, LeavesTrustedCodeToTheBackendButForTheNetworkAndTheCgroup) {
  Request request = wish("trusted");
  request.config.process->capabilities.bounding = {"CAP_NET_RAW"};
  request.config.linux.namespaces = {{bundle::NamespaceType::pid, "/proc/1/ns/pid"}};
  EXPECT_TRUE(guard_privileges(request, builtin_policy(true), host()).allowed);
  request.config.linux.namespaces = {{bundle::NamespaceType::network, "/proc/1/ns/net"}};
  EXPECT_FALSE(guard_privileges(request, builtin_policy(true), host()).allowed);
  request = wish("trusted");
  request.config.linux.cgroups_path = "/elsewhere";
  EXPECT_FALSE(guard_privileges(request, builtin_policy(true), host()).allowed);
}

TEST(GuardAnnotations, LetsOnlyOursThroughToGvisor) {
  for (const char* key : {"dev.gvisor.flag.overlay2", "dev.gvisor.spec.rootfs.source", "io.kubernetes.cri.sandbox-id",
                          "io.katacontainers.config", "org.example", "dev.baileyx", "dev.gvisor.internal.dev.bailey."}) {
    for (const char* trust : {"trusted", "untrusted"}) {
      Request request = wish(trust);
      request.runtime = BackendKind::gvisor;
      request.config.annotations = {{"dev.bailey.trust", "x"}, {key, "y"}};
      const Verdict verdict = guard_annotations(request, builtin_policy(true), host());
      EXPECT_FALSE(verdict.allowed) << key;
      EXPECT_NE(verdict.reason.find(key), std::string::npos);
      request.config.annotations.erase(key);
      EXPECT_TRUE(guard_annotations(request, builtin_policy(true), host()).allowed);
    }
  }
  Request native = wish("trusted");
  native.config.annotations = {{"org.example", "y"}};
  EXPECT_TRUE(guard_annotations(native, builtin_policy(true), host()).allowed);
}

TEST(GuardCommand, RefusesWhatIsNotWhatItSeems) {
  using Change = void (*)(Request&);
  const std::pair<const char*, Change> kBad[] = {
      {"no process", [](Request& r) { r.config.process.reset(); }},
      {"no command", [](Request& r) { r.config.process->args.clear(); }},
      {"empty command", [](Request& r) { r.config.process->args = {""}; }},
      {"NUL", [](Request& r) { r.config.process->args = {"/bin/true", std::string("a\0b", 3)}; }},
      {"no equals sign", [](Request& r) { r.config.process->env = {"PATH"}; }},
      {"no key", [](Request& r) { r.config.process->env = {"=x"}; }},
      {"relative directory", [](Request& r) { r.config.process->cwd = "work"; }},
      {"CVE-2024-21626", [](Request& r) { r.config.process->cwd = "/proc/self/fd/7"; }},
      {"dots", [](Request& r) { r.config.process->cwd = "/work/../proc/self/fd/7"; }},
      {"uid", [](Request& r) { r.config.process->user.uid = UINT32_MAX; }},
      {"gid", [](Request& r) { r.config.process->user.additional_gids = {UINT32_MAX}; }},
      {"umask", [](Request& r) { r.config.process->user.umask = 01000; }},
      {"id", [](Request& r) { r.id = "../x"; }},
      {"long id", [](Request& r) { r.id = std::string(65, 'a'); }},
      {"a host name of 65 bytes", [](Request& r) { r.config.hostname = std::string(65, 'a'); }},
      {"a host name of two lines", [](Request& r) { r.config.hostname = "a\n10.0.0.1 bank"; }},
      {"a domain name with a blank", [](Request& r) { r.config.domainname = "a b"; }},
  };
  for (const auto& [name, change] : kBad) {
    Request request = wish();
    EXPECT_TRUE(guard_command(request, builtin_policy(true), host()).allowed);
    change(request);
    EXPECT_FALSE(guard_command(request, builtin_policy(true), host()).allowed) << name;
  }
}

TEST(GuardSecrets, NeedALevelThatMayHaveThem) {
  Request request = wish();
  request.secrets = {{.name = "db", .file = "f"}};
  EXPECT_FALSE(guard_secrets(request, builtin_policy(true), host()).allowed);
  request.trust = "trusted";
  EXPECT_TRUE(guard_secrets(request, builtin_policy(true), host()).allowed);
}

TEST(GuardSecrets, RefuseBadNamesPlacesAndModes) {
  const std::vector<std::pair<const char*, std::vector<secrets::Request>>> kBad = {
      {"name with ..", {{.name = "../db", .file = "f"}}},
      {"empty name", {{.name = "", .file = "f"}}},
      {"no source", {{.name = "db"}}},
      {"two sources", {{.name = "db", .file = "f", .fd = 3}}},
      {"stdin", {{.name = "db", .fd = 0}}},
      {"set-id", {{.name = "db", .file = "f", .mode = 04400}}},
      {"writable by others", {{.name = "db", .file = "f", .mode = 0622}}},
      {"twice", {{.name = "db", .file = "f"}, {.name = "db", .file = "g", .destination = "/x"}}},
      {"same place", {{.name = "a", .file = "f"}, {.name = "b", .file = "g", .destination = "/run/secrets/a"}}},
      {"relative", {{.name = "db", .file = "f", .destination = "x"}}},
      {"root", {{.name = "db", .file = "f", .destination = "/"}}},
      {"proc", {{.name = "db", .file = "f", .destination = "/proc/x"}}},
      {"dots", {{.name = "db", .file = "f", .destination = "/work/../etc"}}},
      {"programs", {{.name = "db", .file = "f", .destination = "/usr/bin/sh"}}},
      {"the directory itself", {{.name = "db", .file = "f", .destination = "/run/secrets"}}},
      {"inside the directory", {{.name = "db", .file = "f", .destination = "/run/secrets/other"}}},
      {"above it", {{.name = "db", .file = "f", .destination = "/run"}}},
      {"in a volume", {{.name = "db", .file = "f", .destination = "/work/token"}}},
      {"no user", {{.name = "db", .file = "f", .uid = UINT32_MAX}}},
  };
  for (const auto& [name, secrets] : kBad) {
    Request request = wish("trusted");
    request.config.mounts = {volume("/srv/x", "/work")};
    request.secrets = {{.name = "good", .file = "f", .destination = "/etc/app/token", .mode = 0440, .uid = 1000}};
    EXPECT_TRUE(guard_secrets(request, builtin_policy(true), host()).allowed);
    request.secrets = secrets;
    const Verdict verdict = guard_secrets(request, builtin_policy(true), host());
    EXPECT_FALSE(verdict.allowed) << name;
    EXPECT_FALSE(verdict.remedy.empty()) << name;
  }
}

TEST(Guards, RepeatNoValueOfTheEnvironment) {
  for (const std::string& entry : {std::string("hunter2"), std::string("=hunter2"), std::string("NAME=hunter2\0", 13)}) {
    Request request = wish();
    request.config.process->env = {"FINE=1", entry};
    const Verdict verdict = guard_command(request, builtin_policy(true), host());
    EXPECT_FALSE(verdict.allowed);
    EXPECT_EQ(verdict.reason.find("hunter2"), std::string::npos) << verdict.reason;
    EXPECT_NE(verdict.reason.find(entry.starts_with("NAME") ? "'NAME'" : "entry 2"), std::string::npos) << verdict.reason;
  }
}

TEST(Guards, AreEachNamedOnceAndNameThemselves) {
  std::vector<std::string_view> names;
  for (const NamedGuard& guard : guards()) {
    EXPECT_EQ(guard.judge(wish(), builtin_policy(true), host()).guard, guard.name);
    EXPECT_EQ(std::ranges::find(names, guard.name), names.end());
    names.push_back(guard.name);
  }
  EXPECT_EQ(names.size(), 9u);
}

}  // namespace
}  // namespace bailey::dispatcher
