// Rule: `none` is for everybody. `bridge` is for the levels that list it, when root asks, `userspace` for those that list it,
// whoever asks; a shared one (bridge:NAME) takes a listing of its own; what they let through stays below the level's ceiling of
// egress, and ports are published where the level says. The host's network is never for an untrusted level, and for the others
// only when the level lists `host` and the caller says
// --allow-host-network. Egress and limits go with a network that Bailey filters, IPv6 with `bridge`.
#include <algorithm>
#include <optional>

#include "dispatcher/guards.h"
#include "dispatcher/networks.h"

namespace bailey::dispatcher {

namespace {

constexpr const char* kName = "network";

std::string joined(std::span<const network::Grant> grants) {
  std::string text;
  for (const network::Grant& grant : grants) text.append(text.empty() ? "" : ", ").append(network::to_text(grant));
  return text;
}

Verdict refuse_unlisted(const Request& request, const Level& level, const Policy& policy) {
  const std::string word = network_of(request);
  const std::string every = request.shared_network.empty() ? "" : " or \"bridge:*\"";
  return {kName, false, "level '" + level.name + "' does not list the network '" + word + "'",
          "--net none, or \"" + word + "\"" + every + " among the level's networks (levels." + level.name +
              ".networks) in the policy (" + policy.source + ")"};
}

// A Request that was built in code has not gone through parse_network(): the shared name is checked again.
std::optional<Verdict> refuse_shared(const Request& request) {
  if (request.shared_network.empty()) return std::nullopt;
  const auto word = parse_network(network_of(request), false);
  if (word) return std::nullopt;
  return Verdict{kName, false, word.error().message, word.error().remedy};
}

bool is_listed(const Request& request, const Level& level) {
  if (!request.shared_network.empty()) return lists_shared(level, request.shared_network);
  return std::ranges::find(level.networks, request.network) != level.networks.end();
}

// Ports of the host that the sandbox would have; empty: none is refused.
std::optional<Verdict> refuse_published(const Request& request, const Level& level, const Policy& policy) {
  for (const network::Publish& one : request.publish) {
    constexpr network::Subnet kLoopback = network::Subnet::v4(0x7f000000, 8), kLoopback6 = network::Subnet::v6(0, 1, 128);
    const bool loopback = kLoopback.contains(one.address) || kLoopback6.contains(one.address);
    if (level.publish == PublishRule::any || (level.publish == PublishRule::loopback && loopback)) continue;
    const bool none = level.publish == PublishRule::none;
    return Verdict{kName, false,
                   "level '" + level.name + "' may not publish '" + network::to_text(one) + "'" +
                       (none ? ": it publishes no port" : ", only on the host's loopback"),
                   (none ? "leave it out" : "127.0.0.1 as its address") +
                       std::string(", or \"publish\" of the level in the policy (") + policy.source + ")"};
  }
  return std::nullopt;
}

Verdict judge_filtered(const Request& request, const Level& level, const Policy& policy, const HostFacts& facts) {
  const bool bridge = request.network == NetworkMode::bridge;
  if (bridge && facts.euid != 0)
    return {kName, false, "the network 'bridge' requires root: it makes links and packet filters on the host",
            "--net userspace or none, or run as root"};
  const std::span<const network::Grant> egress = resolve_egress(request, level);
  for (const network::Grant& grant : egress)
    if (level.egress_ceiling && !network::covers(*level.egress_ceiling, grant))
      return {
          kName, false,
          "level '" + level.name + "' may not reach '" + network::to_text(grant) + "', only: " + joined(*level.egress_ceiling),
          "leave it out, or raise the level's egress ceiling in the policy (" + policy.source + ")"};
  for (const network::Grant& grant : egress)
    if (request.egress && !request.ipv6 && grant.kind == network::Grant::Kind::addresses &&
        grant.to.first.ip == network::Ip::v6)
      return {kName, false, "'" + network::to_text(grant) + "' is of IPv6, and the sandbox has IPv4 only",
              bridge ? "--ipv6 as well" : "leave it out, or --net bridge --ipv6"};
  if (auto refused = refuse_published(request, level, policy)) return std::move(*refused);
  std::string what = request.ipv6 ? "a bridge with IPv6"
                     : bridge     ? "a bridge"
                                  : "a bridge of its own behind a userspace uplink";
  if (!request.shared_network.empty()) what += ", shared with all who are on '" + network_of(request) + "',";
  if (egress.empty()) return {kName, true, what + " that lets nothing out", {}};
  return {kName, true, what + " that lets out to: " + joined(egress), {}};
}

Verdict judge_host(const Request& request, const Level& level) {
  if (!request.unsafe_opt_ins.host_network)
    return {kName, false, "the host's network reaches everything that this host reaches, its own services included",
            "--net none, or say --allow-host-network as well"};
  return {kName, true, "UNSAFE: the host's network, as level '" + level.name + "' and --allow-host-network agree", {}};
}

// The engine makes the network of its containers. Without a namespace, or with the one that Bailey is in, that is the host's,
// which the engine's user has asked for by name.
Verdict judge_engines(const Request& request, const Policy& policy, const HostFacts& facts) {
  const Level& level = judged_level(request, policy);
  const auto& spaces = request.config.linux.namespaces;
  bool own = false;
  for (size_t i = 0; i < spaces.size(); ++i)
    own |= spaces[i].type == bundle::NamespaceType::network && !(i < facts.namespaces.size() && facts.namespaces[i].is_ours);
  if (own) return {kName, true, "the network namespace that the engine has made", {}};
  if (level.untrusted)
    return {kName, false, "the untrusted level '" + level.name + "' never gets the host's network, whatever the policy says",
            "a network namespace of its own, or a trusted level"};
  if (std::ranges::find(level.networks, NetworkMode::host) == level.networks.end())
    return {kName, false, "level '" + level.name + "' does not list the network 'host'",
            "a network namespace of its own, or \"host\" among the level's networks in the policy (" + policy.source + ")"};
  return {kName, true, "UNSAFE: the host's network, as level '" + level.name + "' and the engine's configuration agree", {}};
}

}  // namespace

Verdict guard_network(const Request& request, const Policy& policy, const HostFacts& facts) {
  if (request.shape == Shape::complete) return judge_engines(request, policy, facts);
  const Level& level = judged_level(request, policy);
  const NetworkMode mode = request.network;
  const bool filtered = is_filtered(mode);
  if (auto refused = refuse_shared(request)) return std::move(*refused);
  if (!filtered && (request.egress || request.limits.network_rate_bytes || request.limits.network_connections))
    return {kName, false,
            "egress or a limit of the network is given, and nothing filters the network '" + std::string(to_text(mode)) + "'",
            "--net bridge or userspace, or neither --egress nor --network-rate and --network-connections"};
  if (mode != NetworkMode::bridge && request.ipv6)
    return {kName, false, "IPv6 is asked for, and only the network 'bridge' gives it", "--net bridge, or no --ipv6"};
  if (!filtered && !request.publish.empty())
    return {kName, false, "a port is published, and the network '" + std::string(to_text(mode)) + "' has none to publish",
            "--net bridge or userspace, or no --publish"};
  if (mode == NetworkMode::none) return {kName, true, "no network but the sandbox's own loopback", {}};
  if (mode == NetworkMode::host && level.untrusted)
    return {kName, false, "the untrusted level '" + level.name + "' never gets the host's network, whatever the policy says",
            "--net none, --net bridge with --egress, or a trusted level"};
  if (!is_listed(request, level)) return refuse_unlisted(request, level, policy);
  return filtered ? judge_filtered(request, level, policy, facts) : judge_host(request, level);
}

}  // namespace bailey::dispatcher
