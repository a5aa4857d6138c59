// Bridge: the one bridge that sandboxes' ports hang on, and its subnets. The first address is the host's (the gateway), IPv4's
// last the broadcast address; those between are the sandboxes'. It has IPv6 when somebody has asked for it once. It stays when
// the last port goes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "network/ip/address.h"
#include "network/ip/owner.h"
#include "network/netlink/netlink_socket.h"

namespace bailey::network {

struct BridgeSpec {
  std::string name = "bailey0";
  std::optional<Subnet> subnet;   // absent: the first of ours that is free
  std::optional<Subnet> subnet6;  // the same of IPv6
  friend bool operator==(const BridgeSpec&, const BridgeSpec&) = default;
};

struct Bridge {
  std::string name;
  int index = 0;
  Mac mac{};
  Subnet subnet;
  std::optional<Subnet> subnet6;
  std::string mark{};  // of its owner, and of what hangs on it (network/ip/owner.h)

  static constexpr Mac kMac{0x02, 0xba, 0x11, 0, 0, 1};  // that it is made with
  const Subnet& range(Ip ip) const { return ip == Ip::v4 ? subnet : *subnet6; }
  Address gateway(Ip ip = Ip::v4) const { return range(ip).at(1); }
  // How many ports it can have: as many as there are addresses, at most the kernel's 1023 for one bridge.
  uint32_t capacity() const;
  // Of the port `slot` (from 0, below the capacity). One slot has one hardware address for ever.
  Address address(uint32_t slot, Ip ip = Ip::v4) const { return range(ip).at(slot + 2); }
  static Mac mac_of(uint32_t slot);

  // As it is, without `ipv6` without a look at that; nothing when there is none or it is half made. Refused as by ensure().
  // Changes nothing.
  static Result<std::optional<Bridge>> find(NetlinkSocket& socket, const BridgeSpec& spec, const Owner& owner,
                                            bool ipv6 = true);
  // Finds or makes it in the namespace of `socket`, which has to be this thread's, and switches it on. What a killed maker
  // left half done is completed: the caller keeps others out (one lock for all). Refused: a link of that name that
  // `owner` did not make, a subnet that overlaps a route of the host, another subnet than the bridge has already.
  static Result<Bridge> ensure(NetlinkSocket& socket, const BridgeSpec& spec, const Owner& owner);
  // Gives it IPv6 when it has none, likewise: static addresses only, nothing is learned from or told to anybody.
  Result<> add_ipv6(NetlinkSocket& socket, const BridgeSpec& spec);
};

// The first of our ranges of that family that overlaps none of `routed`; pure. Error when none is left.
Result<Subnet> free_subnet(const std::vector<Subnet>& routed, Ip ip = Ip::v4);
// Is `wanted` fit for a bridge beside those routes? Sizes /16 to /29; of IPv6 /48 to /112, unicast. The error names the route.
// Pure.
Result<> check_subnet(const Subnet& wanted, const std::vector<Subnet>& routed);

}  // namespace bailey::network
