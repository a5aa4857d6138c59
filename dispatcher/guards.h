// Guards: pure functions over (Request, Policy, HostFacts). All run; all refusals are shown together. One file per guard in
// dispatcher/guards/, its rule in one comment at the top.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dispatcher/host_facts.h"
#include "dispatcher/policy.h"
#include "dispatcher/request.h"

namespace bailey::dispatcher {

struct Verdict {
  std::string guard;
  bool allowed = false;
  std::string reason;  // also when allowed: --explain prints it
  std::string remedy;  // what the caller or the operator could do; empty when allowed
};

using Guard = Verdict (*)(const Request&, const Policy&, const HostFacts&);
struct NamedGuard {
  std::string_view name;
  Guard judge;
};

Verdict guard_command(const Request&, const Policy&, const HostFacts&);  // id, command, environment, working directory
Verdict guard_trust(const Request&, const Policy&,
                    const HostFacts&);  // level known; backend allowed, natively for untrusted code only with both opt-ins
Verdict guard_network(const Request&, const Policy&, const HostFacts&);
Verdict guard_mounts(const Request&, const Policy&, const HostFacts&);  // volumes and rootfs
Verdict guard_limits(const Request&, const Policy&, const HostFacts&);
Verdict guard_secrets(const Request&, const Policy&, const HostFacts&);
Verdict guard_privileges(const Request&, const Policy&, const HostFacts&);  // namespaces, devices, hooks, capabilities, sysctl
Verdict guard_annotations(const Request&, const Policy&, const HostFacts&);
Verdict guard_lifetime(const Request&, const Policy&, const HostFacts&);  // what an independent sandbox cannot have

std::span<const NamedGuard> guards();  // every guard, in the order of --explain

// The level that a request is judged by: the one it names; an unknown one (which guard_trust refuses) counts as `untrusted`.
const Level& judged_level(const Request& request, const Policy& policy);

// Whether the engine wrote that mount of a complete request itself, and not its user.
bool is_engines_mount(const Request& request, size_t index);

// The secrets that the request names, and those of the directories that it names.
std::vector<secrets::Request> all_secrets(const Request& request, const HostFacts& facts);

// The backend that this request gets: the one it names, or the level's first. Error when the level is unknown or does not list
// it, but for native and an untrusted level, which guard_trust decides.
Result<BackendKind> choose_backend(const Request& request, const Policy& policy);

// The destinations that the sandbox may reach: those that the request names, otherwise the level's. Of a network that Bailey
// filters.
std::span<const network::Grant> resolve_egress(const Request& request, const Level& level);

}  // namespace bailey::dispatcher
