// Port: a veth pair between a bridge and a sandbox's network namespace, with all that both ends need.
//
//   host:     bridge bailey0 10.201.0.1/22 --- port bly7 (isolated, no learning, no flooding; static fdb and neighbour)
//                                                |
//   sandbox:  lo (up)          eth0 10.201.0.9/32, default route and static neighbour: the bridge's address
//                              with IPv6 also fdba:11e7:5a3c::9/128
//
// All others, sandboxes among them, are behind the gateway: the host judges what is sent to one, and refuses it at once.
// No ARP and no neighbour discovery is needed. IPv6 is there only when it was asked for, and never on the host's end. A port
// alone filters nothing of what goes to the host and beyond it: a filter has to stand before create(), which ends with both
// ends up.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "network/bridge/bridge.h"
#include "network/bridge/link.h"
#include "network/ip/netns.h"

namespace bailey::network {

std::string port_name(uint32_t slot);                              // bly7
std::optional<uint32_t> slot_of_port(std::string_view link_name);  // nothing for one that is not named so

struct PortSpec {
  std::string name;  // of the host's end
  std::string inner = "eth0";
  uint32_t slot = 0;  // below the bridge's capacity
  bool ipv6 = false;  // the bridge has it
  uint32_t mtu = 0;   // of both ends, and so of the bridge; 0: 1500
};

// Move-only; removes the pair when it goes. It would go with the sandbox's namespace, but that may live on in a descriptor.
class Port {
 public:
  Port() = default;
  Port(Port&& other) noexcept;
  Port& operator=(Port&& other) noexcept;
  ~Port();

  // In the namespace of this thread; `inside` is another one, without a link of that name. When this returns, a packet goes
  // through. On error nothing is left.
  static Result<Port> create(const Bridge& bridge, const PortSpec& spec, const Netns& inside);
  // Removes what a killed Bailey left of that slot's port; fine when there is nothing. Fault::unavailable: a link of that name
  // that `owner` did not make; it stays.
  static Result<> remove(NetlinkSocket& socket, uint32_t slot, const Owner& owner);
  // Did `owner` make that link, the port of a slot by its name? It bears the slot's hardware address and hangs on a bridge of
  // the owner's, or on none because that was removed. `links`: all there are.
  static bool is_of(const Owner& owner, const link::Link& port, std::span<const link::Link> links);

  const std::string& name() const { return name_; }
  Address address() const { return address_; }
  Result<> reset();  // what the destructor does, with its error
  // The kernel removes the pair with the sandbox's namespace, that of many sandboxes at the price of one; a link that is
  // removed by itself has the lock on all links while every processor is waited for, some ten milliseconds. Waits for that, up
  // to a bound.
  void await_end() const;
  void forget() { name_.clear(); }  // somebody else removes it

 private:
  Result<> wire_host(const Bridge& bridge, const Mac& mac);
  Result<> wire_inside(NetlinkSocket& socket, const Bridge& bridge, const std::string& inner);
  Result<> wire_ipv6(NetlinkSocket& socket, const Bridge& bridge, const std::string& inner);

  NetlinkSocket socket_;  // of the namespace that the host's end is in
  std::string name_;      // empty: nothing to remove
  int index_ = 0;         // 0: not known yet
  int bridge_ = 0;
  Address address_;
  std::optional<Address> address6_;
};

// In the namespace of this thread: its loopback on.
Result<> switch_loopback_on(NetlinkSocket& socket);

}  // namespace bailey::network
