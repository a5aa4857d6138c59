// UserspaceNetwork: a network namespace of ours whose way out is a program in the host's (network/userspace/uplink.h) in place
// of the host's forwarding. A bridge, its ports and filters are in it as they would be on the host, so the same rules hold, and
// the host has no link, rule or setting of ours.
//
// clang-format off
//   sandbox --- port [bridge  forward: the grants] uplink (tap) --- pasta or slirp4netns --- sockets of the host
//               '---------- userspace network -----------------'     '------ the host's network ------'
// clang-format on
//
// The process that made it moves in for good. It first opens everything that needs the host's network (published ports,
// questions to name servers). An ordinary user's process also enters a user namespace, in which it has every capability and
// its own ids, no others; it stays there. So one process has one userspace network, in all its life.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "network/bridge/bridge.h"
#include "network/dns/resolver.h"
#include "network/ip/netns.h"
#include "network/netlink/netlink_socket.h"
#include "network/userspace/uplink.h"

namespace bailey::network {

struct UserspaceNetworkSpec {
  UplinkSpec uplink;
  BridgeSpec bridge;
  bool names = false;  // sockets for a resolver are wanted
};

// Move-only; the uplink ends with it, and with this process however that ends. The namespace goes with its last process.
class UserspaceNetwork {
 public:
  UserspaceNetwork() = default;
  UserspaceNetwork(UserspaceNetwork&& other) noexcept { *this = std::move(other); }
  UserspaceNetwork& operator=(UserspaceNetwork&& other) noexcept;
  ~UserspaceNetwork() { reset(); }

  // In the host's namespace, with one thread. The uplink is being started when it returns. Fault::unavailable: no program for
  // it, no user namespaces, no tun device.
  static Result<UserspaceNetwork> create(const UserspaceNetworkSpec& spec);

  // The bridge that is to be made in it: its range is settled, and lies beside all that the host has routes to.
  const BridgeSpec& bridge() const { return bridge_; }
  // What no grant may open: the host's own addresses as they are now, and the uplink's range. No two overlap.
  const std::vector<Subnet>& closed() const { return closed_; }
  NameSockets take_names() { return std::move(names_); }
  // This thread's network namespace from now on.
  Result<> enter();
  // Waits until the uplink has configured its link. Its error has the uplink's own words.
  Result<> await_uplink();

  explicit operator bool() const { return static_cast<bool>(netns_); }
  const std::string& uplink() const { return uplink_; }  // "pasta"
  int fd() const { return pidfd_.get(); }                // readable: the uplink has ended; -1 after end()
  std::string end();                                     // ends it; how it had ended before, with its last words
  // Ends it and does not wait: the kernel takes some 25 ms for its namespaces, and whoever reaps our children reaps it.
  void reset();

 private:
  Result<> start(const UplinkProgram& program, const UplinkArguments& arguments, bool names);
  Result<> receive(bool names);
  std::string words();  // of the uplink so far

  BridgeSpec bridge_;
  std::vector<Subnet> closed_;
  NameSockets names_;
  std::string uplink_;
  Fd channel_, output_, pidfd_;
  pid_t pid_ = -1;
  Netns netns_;
  NetlinkSocket routes_;  // of the userspace network
};

// An ordinary user's sandbox: a user namespace below this process's, in which uid and gid 0 are the caller's, and a network
// namespace that it owns: runsc takes over none that another one owns. This process has every capability over both.
struct OwnedNetns {
  Fd owner;
  Netns netns;
};
Result<OwnedNetns> create_owned_netns();

// The smallest list of ranges that hold the same addresses, none within another. Pure.
std::vector<Subnet> without_overlaps(std::vector<Subnet> ranges);

}  // namespace bailey::network
