// Lease: what one sandbox holds of a bridge network, taken as a whole and given back as a whole:
//
// clang-format off
//   userspace network  with LeaseSpec::uplink: a namespace that holds everything below, in place of the host's
//                      (network/userspace/userspace_network.h)
//   slot               a number, by a lock that ends with its holder; port (bly7) and filter (bailey-7) are named after it, and
//                      the address follows from it
//   netns              the sandbox's network namespace, used once
//   resolver           answers the sandbox's questions about names, when a grant needs it
//   relay              has the host's published ports, which lead to the sandbox's own
//   firewall           what the sandbox may reach; in place before the port
//   port               the veth pair
//   wiring process     makes firewall and port while this process goes on, and removes them afterwards, also when this process
//                      was killed; not in a userspace network, where they end with the namespace (network/wiring_process.h)
// clang-format on
//
// If the wiring process was killed too, collect() and the next holder of the slot remove the remains: they find them by the
// slots whose locks are free. CAP_NET_ADMIN and CAP_SYS_ADMIN; the host's end is in the network namespace of the calling
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "base/slot.h"
#include "network/bridge/bridge.h"
#include "network/dns/resolver.h"
#include "network/filter/egress.h"
#include "network/filter/firewall.h"
#include "network/ip/netns.h"
#include "network/members.h"
#include "network/publish/relay.h"
#include "network/userspace/userspace_network.h"
#include "network/wiring_process.h"

namespace bailey::network {

struct LeaseSpec {
  BridgeSpec bridge;
  bool ipv6 = false;   // an address of that as well
  std::string shared;  // the name of the network that it shares with others of the bridge; empty: none
  std::string host;    // its host name, by which they may call it
  std::vector<Grant> egress;
  std::vector<Publish> publish;
  std::optional<uint64_t> bytes_per_second;  // each way
  std::optional<uint32_t> connections;       // beyond the host or to others of the shared network, at one time
  std::optional<UplinkSpec> uplink;          // no rights on the host are taken, nor is anything made there
};

struct Refused {
  Denials packets;
  DeniedNames names;
};

// Member order is teardown order from the last to the first.
class Lease {
 public:
  Lease() = default;
  // The address, the namespace and the children; the way out is being made when it returns. `directory`: the runtime
  // directory's descriptor, where the locks are. On error nothing is left. Not after threads exist. With an uplink this process
  // has moved into the userspace network when it returns, for good, and an ordinary user's into a user namespace
  // (network/userspace/userspace_network.h).
  static Result<Lease> reserve(const LeaseSpec& spec, int directory);
  // Waits until the filter stands and the port behind it: links are there and up when it returns. Once, with the same spec.
  Result<> connect(const LeaseSpec& spec);

  explicit operator bool() const { return static_cast<bool>(slot_); }
  uint32_t slot() const { return slot_.number(); }
  const Netns& netns() const { return netns_; }
  // The user namespace that owns it, an ordinary user's in a userspace network; -1: it is this process's own.
  int netns_owner() const { return netns_owner_.get(); }
  const Bridge& bridge() const { return bridge_; }
  Address address() const { return bridge_.address(slot()); }
  std::optional<Address> address6() const;
  // Who of the shared network was there before it and has a name, each name once.
  struct Neighbour {
    std::string host;
    Address address;
  };
  const std::vector<Neighbour>& neighbours() const { return neighbours_; }
  // Where names are asked for; nothing when no grant needs any.
  std::optional<Address> resolver() const;
  // The host's search domains and ndots, for the sandbox's resolv.conf; of a lease that has a resolver.
  const std::vector<std::string>& search() const { return conf_.search; }
  unsigned ndots() const { return conf_.ndots; }
  // Readable: call serve_names(); -1: there is nothing to serve. Its error ends the service of names, not the network.
  int names_fd() const { return resolver_ ? resolver_->fd() : -1; }
  Result<> serve_names();
  // Readable: the relay has ended; end_relay() tells how. -1: there is none.
  int relay_fd() const { return relay_ ? relay_.fd() : -1; }
  std::string end_relay() { return relay_.end(); }
  // Readable: the way out has ended; end_uplink() tells how. -1: there is none, or it is the host's own.
  int uplink_fd() const { return userspace_.fd(); }
  std::string end_uplink() { return userspace_.uplink() + " ended with " + userspace_.end(); }
  const std::vector<Publish>& published() const { return relay_.ports(); }  // with the host's ports as they were bound
  // What was refused so far. Asks the kernel.
  Result<Refused> refused();
  // Nobody asks any more: its end goes on while this process works, and reset() finds it done.
  void end_names();
  // Gives all of it back: the wiring process does, and outlives this process if need be, with the slot in its hand. What it
  // cannot remove is left to collect() and to the slot's next holder.
  Result<> reset();

 private:
  Result<> enter_userspace_network(const LeaseSpec& spec, int directory);
  Result<Wiring> wire(const LeaseSpec& spec, int directory) const;
  Result<> learn_names(const std::string& shared);
  Result<> join(const LeaseSpec& spec, int directory, Firewall& firewall) const;
  Result<> take_slot(int directory, const char* locks);
  Result<> begin_resolver(const LeaseSpec& spec, NameSockets sockets);

  UserspaceNetwork userspace_;
  Slot slot_;
  Members members_;  // with LeaseSpec::shared
  std::vector<Neighbour> neighbours_;
  Bridge bridge_;
  bool ipv6_ = false;
  Fd netns_owner_;
  Netns netns_;
  ResolvConf conf_;
  std::optional<Resolver> resolver_;
  Relay relay_;
  Wiring wiring_;  // with a wiring process: its firewall as we see it, and no port
  WiringProcess wiring_process_;
};

// The rules of the filter that connect() would make, one line each. What only a start finds out is left at its first value:
// slot 0, the range that a host without routes would give, port 53 for the resolver. Of a userspace network the host's own
// addresses are missing, which are closed as well. Pure.
Result<std::vector<std::string>> explain(const LeaseSpec& spec);

struct Remains {
  std::vector<uint32_t> slots;
  std::vector<std::string> foreign;  // "link bly7", "table inet bailey-7": in the way of that slot, and not ours
};
// In the namespace of this thread: the slots with ports and filters of this runtime directory's, in use or not.
Result<Remains> look_around(int directory);
// Removes those of slots that nobody holds, and returns which; leaves what is foreign.
Result<Remains> collect(int directory);

}  // namespace bailey::network
