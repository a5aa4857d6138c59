#include "cli/network_trial.h"

#include <linux/netlink.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "dispatcher/state_store.h"
#include "network/lease.h"
#include "network/link.h"

namespace bailey::cli {

namespace {

using host::Probe;

Probe judged(const char* name, const Result<std::string>& outcome, const char* cost) {
  if (outcome) return {name, Probe::State::ok, *outcome, "", ""};
  return {name, Probe::State::degraded, outcome.error().message, cost, outcome.error().remedy};
}

// All that a sandbox needs, where it shows nowhere.
Result<std::string> try_lease() {
  const dispatcher::StateStore store = TRY(dispatcher::StateStore::open());
  const network::Netns aside = TRY(network::Netns::create());
  TRY(aside.run([&]() -> Result<> {
    network::LeaseSpec spec;
    spec.connections = 1;
    spec.bytes_per_second = 1 << 20;
    network::Lease lease = TRY(network::Lease::reserve(spec, store.directory()));
    return lease.connect(spec);  // and back
  }));
  return "namespaces, veth, bridge and nf_tables work";
}

Result<std::string> find_range(const network::BridgeSpec& bridge) {
  auto socket = TRY(network::NetlinkSocket::open(NETLINK_ROUTE));
  if (const auto there = TRY(network::Bridge::find(socket, bridge)))
    return bridge.name + " is there, with " + network::to_text(there->subnet);
  const auto routed = TRY(network::link::routed(socket, network::Ip::v4));
  if (bridge.subnet) TRY(network::check_subnet(*bridge.subnet, routed));
  const network::Subnet range = bridge.subnet ? *bridge.subnet : TRY(network::free_subnet(routed));
  return bridge.name + " would get " + network::to_text(range);
}

Result<std::string> try_forwarding() {
  TRY(network::check_forwarding(network::Ip::v4));
  return "net.ipv4.ip_forward is on";
}

}  // namespace

std::vector<Probe> try_network(const dispatcher::Policy& policy) {
  if (::geteuid() != 0)
    return {{"bridge network", Probe::State::degraded, "it takes root", "no `--net bridge`", "run as root"}};
  return {judged("bridge network", try_lease(), "no `--net bridge`"),
          judged("bridge's range", find_range(policy.bridge), "no `--net bridge`"),
          judged("forwarding", try_forwarding(), "`--net bridge` reaches nothing beyond this host")};
}

}  // namespace bailey::cli
