// Rule: an untrusted level never gets a hook, a device, a namespace that is not new, a capability, a user namespace of its own,
// a kernel parameter or a way out of the built-in seccomp profile; no policy lifts this. A profile of the caller's comes on top
// of the built-in one or in its place, as the level says. For the others this guard stops what would
// bypass another guard; what is left the backend enforces, or refuses when it plans.
#include <algorithm>

#include "dispatcher/guards/findings.h"

namespace bailey::dispatcher {

namespace {

const char* to_text(bundle::NamespaceType type) {
  switch (type) {
    case bundle::NamespaceType::pid: return "pid";
    case bundle::NamespaceType::network: return "network";
    case bundle::NamespaceType::mount: return "mount";
    case bundle::NamespaceType::ipc: return "ipc";
    case bundle::NamespaceType::uts: return "uts";
    case bundle::NamespaceType::user: return "user";
    case bundle::NamespaceType::cgroup: return "cgroup";
    case bundle::NamespaceType::time: return "time";
  }
  return "unknown";
}

// `sentry`: gVisor's own kernel gives the capabilities, and has no device of the host's. The hooks of an engine's configuration
// are the engine's.
void judge_untrusted(const bundle::Config& config, const std::string& level, bool sentry, Findings& findings) {
  const bundle::Linux& linux = config.linux;
  const bundle::Process process = config.process.value_or(bundle::Process{});
  const struct {
    bool asked;
    const char* what;
  } never[] = {
      {!config.hooks.empty() && !sentry, "hooks, which run on the host"},
      {!linux.devices.empty(), "devices"},
      {!process.capabilities.empty() && !sentry, "capabilities"},
      {!linux.uid_mappings.empty() || !linux.gid_mappings.empty(), "id mappings of its own"},
      {!linux.sysctl.empty(), "kernel parameters (sysctl)"},
      {!linux.rootfs_propagation.empty() && linux.rootfs_propagation != "private" && linux.rootfs_propagation != "rprivate",
       "mounts that reach the host (rootfsPropagation)"},
      {process.oom_score_adj.value_or(0) < 0, "an oomScoreAdj below 0, which would let others be killed first"},
      {linux.intel_rdt.has_value(), "intelRdt"},
      {linux.personality.has_value(), "another personality"},
      {!linux.mount_label.empty() || !process.apparmor_profile.empty() || !process.selinux_label.empty(),
       "security labels of its own"},
  };
  for (const auto& [asked, what] : never)
    if (asked)
      findings.add("the untrusted level '" + level + "' never gets " + what,
                   "leave it out, or a level for code that you trust");
}

void judge_namespaces(const Request& request, const Level& level, Findings& findings) {
  const bundle::Config& config = request.config;
  const bool engines = request.shape == Shape::complete;
  for (size_t i = 0; i < config.linux.namespaces.size(); ++i) {
    const bundle::Namespace& space = config.linux.namespaces[i];
    if (space.path.empty()) continue;
    // Whether it is the host's, which no engine gives a container by its path, guard_network decides.
    if (engines && (!level.untrusted || space.type == bundle::NamespaceType::network)) continue;
    const std::string what = std::string("the ") + to_text(space.type) + " namespace at " + space.path;
    if (level.untrusted)
      findings.add("the untrusted level '" + level.name + "' never joins " + what, "leave its path out: a new one is made");
    else if (space.type == bundle::NamespaceType::network)
      findings.add(what + " bypasses --net", "leave its path out, and use --net");
  }
}

void judge_seccomp(const Request& request, const Level& level, Findings& findings) {
  const bool given = request.config.linux.seccomp.has_value();
  if (given && level.seccomp == SeccompRule::builtin)
    findings.add("level '" + level.name + "' takes no seccomp profile of the caller's",
                 "leave --seccomp out, or \"seccomp\": \"narrow\" for the level in the policy");
  if (given && level.untrusted && level.seccomp == SeccompRule::replace)  // the policy file cannot say so; code could
    findings.add("the untrusted level '" + level.name + "' keeps the built-in seccomp profile", "leave --seccomp out");
  if (given && request.seccomp_log == SeccompLog::all)
    findings.add("counting every system call is for the built-in profile", "seccomp_log \"denied\", or no profile");
}

// Every sandbox of `run` has the standard devices and no others: a rule that says more or less would be ignored.
bool is_deny_all(const bundle::DeviceRule& rule) {
  return !rule.allow && (rule.type.empty() || rule.type == "a") && !rule.major && !rule.minor;
}

bool runs_in_gvisor(const Request& request, const Policy& policy) {
  const Result<BackendKind> backend = choose_backend(request, policy);
  return backend && *backend == BackendKind::gvisor;
}

}  // namespace

Verdict guard_privileges(const Request& request, const Policy& policy, const HostFacts&) {
  const Level& level = judged_level(request, policy);
  const bool engines = request.shape == Shape::complete;
  Findings findings;
  if (level.untrusted) judge_untrusted(request.config, level.name, engines && runs_in_gvisor(request, policy), findings);
  judge_namespaces(request, level, findings);
  if (!engines) judge_seccomp(request, level, findings);
  if (engines) return findings.verdict("privileges", "as the engine's configuration says");
  if (!request.config.linux.cgroups_path.empty())
    findings.add("linux.cgroupsPath: where the cgroup is, the policy says",
                 "leave it out; cgroup_parent in the policy sets the parent");
  if (!std::ranges::all_of(request.config.linux.resources.devices, is_deny_all))
    findings.add("linux.resources.devices: a sandbox has the standard devices, not more and not less", "leave the rules out");
  return findings.verdict("privileges",
                          level.untrusted ? "none, as for every untrusted level" : "the backend enforces or refuses the rest");
}

}  // namespace bailey::dispatcher
