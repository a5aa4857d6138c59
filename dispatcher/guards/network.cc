// Rule: `none` is for everybody. The host's network is never for an untrusted level, and for the others only when the level
// lists `host` and the caller says --allow-host-network. `bridge` and `userspace` are not there yet.
#include <algorithm>

#include "dispatcher/guards.h"

namespace bailey::dispatcher {

Verdict guard_network(const Request& request, const Policy& policy, const HostFacts&) {
  constexpr const char* kName = "network";
  const Level& level = judged_level(request, policy);
  const bool listed = std::ranges::find(level.networks, request.network) != level.networks.end();
  switch (request.network) {
    case NetworkMode::none: return {kName, true, "no network but the sandbox's own loopback", {}};
    case NetworkMode::bridge:
    case NetworkMode::userspace:
      return {kName, false, "network '" + std::string(to_text(request.network)) + "' is not there yet",
              level.untrusted ? "--net none" : "--net none, or --net host --allow-host-network"};
    case NetworkMode::host: break;
  }
  if (level.untrusted)
    return {kName, false, "the untrusted level '" + level.name + "' never gets the host's network, whatever the policy says",
            "--net none; or a level for code that you trust (--trust trusted)"};
  if (!listed)
    return {kName, false, "level '" + level.name + "' does not list the network 'host'",
            "--net none, or \"host\" among the level's networks in the policy (" + policy.source + ")"};
  if (!request.unsafe_opt_ins.host_network)
    return {kName, false, "the host's network reaches everything that this host reaches, its own services included",
            "--net none, or say --allow-host-network as well"};
  return {kName, true, "UNSAFE: the host's network, as level '" + level.name + "' and --allow-host-network agree", {}};
}

}  // namespace bailey::dispatcher
