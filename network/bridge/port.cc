#include "network/bridge/port.h"

#include <linux/netlink.h>
#include <net/if.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "network/bridge/link.h"

namespace bailey::network {

namespace {

constexpr int64_t kDoneMs = 10'000;  // a bound only
constexpr int kAwaitEndMs = 128;     // the last of a row of waits, each twice the one before: 252 together

constexpr std::string_view kPrefix = "bly";

// Of the host's end: another address than the sandbox's, still one of local making. That a port is ours shows by it, because it
// goes with the creation, which an alias cannot.
Mac outer_mac(uint32_t slot) {
  Mac mac = Bridge::mac_of(slot);
  mac[0] = 0x06;
  return mac;
}

// By its index, which no other link gets soon, whereas a name is anybody's. It may be gone.
Result<> remove_link(NetlinkSocket& socket, int index, const std::string& name) {
  auto removed = socket.send(link::remove(index, name));
  if (!removed && removed.error().sys == ENODEV) return {};
  return removed;
}

Result<int> index_of(const std::string& name) {
  const int index = TRY(link::index_of(name));
  if (index == 0) return fail(Fault::failed, "link " + name + " went away while it was set up");
  return index;
}

Result<> wait_until(const std::function<Result<bool>()>& done, const std::string& or_else) {
  const auto deadline = clock::Deadline::in_ms(kDoneMs);
  while (!TRY(done())) {
    if (deadline.passed()) return fail(Fault::failed, or_else);
    ::poll(nullptr, 0, 1);
  }
  return {};
}

// A veth that was switched on before its peer sends nothing until a worker of the kernel has noticed that it has a carrier, and
// a port of a bridge lets nothing by until then: the first packets would be lost, and a connection takes a second longer.
// RTM_GETLINK does that work itself since Linux 6.14; before, it is a matter of a moment.
Result<> wait_until_it_carries(NetlinkSocket& socket, const std::string& name) {
  const auto carries = [&]() -> Result<bool> {
    const auto found = TRY(link::find(socket, name));
    if (!found) return fail(Fault::failed, "link " + name + " went away while it was set up");
    return found->carries;
  };
  return wait_until(carries, "link " + name + " is on and carries nothing");
}

// What comes for an IPv6 address is taken when a worker of the kernel has made the address a route (addrconf_dad_work, whether
// or not duplicates are looked for): the first answers would be lost.
Result<> wait_until_it_takes(NetlinkSocket& socket, const Address& address) {
  return wait_until([&] { return link::takes(socket, address); },
                    "the address " + to_text(address) + " is there and takes nothing");
}

}  // namespace

std::string port_name(uint32_t slot) { return std::string(kPrefix) + std::to_string(slot); }

std::optional<uint32_t> slot_of_port(std::string_view link_name) { return slot_in(link_name, kPrefix); }

Port::Port(Port&& other) noexcept { *this = std::move(other); }

Port& Port::operator=(Port&& other) noexcept {
  if (this == &other) return *this;
  (void)reset();
  socket_ = std::move(other.socket_);
  name_ = std::exchange(other.name_, {});
  index_ = std::exchange(other.index_, 0);
  bridge_ = other.bridge_;
  address_ = other.address_;
  address6_ = other.address6_;
  return *this;
}

Port::~Port() { (void)reset(); }

Result<> Port::reset() {
  if (name_.empty()) return {};
  const std::string name = std::exchange(name_, {});
  // It is bound to the bridge, not to the port, and would stay; harmless, because a slot's binding never changes.
  (void)socket_.send(link::forget_neighbour(bridge_, name, address_));
  if (address6_) (void)socket_.send(link::forget_neighbour(bridge_, name, *address6_));
  return remove_link(socket_, index_, name);
}

void Port::await_end() const {
  for (int ms = 4; ms <= kAwaitEndMs; ms *= 2) {
    const auto index = link::index_of(name_);
    if (!index || *index == 0) return;
    ::poll(nullptr, 0, ms);
  }
}

bool Port::is_of(const Owner& owner, const link::Link& port, std::span<const link::Link> links) {
  const auto slot = slot_of_port(port.name);
  if (!slot || port.kind != "veth" || port.mac != outer_mac(*slot)) return false;
  const auto bridge = std::ranges::find(links, port.master, &link::Link::index);
  return bridge == links.end() || owner.made(bridge->alias);
}

Result<> Port::remove(NetlinkSocket& socket, uint32_t slot, const Owner& owner) {
  const std::string name = port_name(slot);
  const auto links = TRY(link::all(socket));
  const auto found = std::ranges::find(links, name, &link::Link::name);
  if (found == links.end()) return {};
  if (!is_of(owner, *found, links)) return in_the_way("link " + name, "ip link delete " + name);
  return remove_link(socket, found->index, name);
}

Result<Port> Port::create(const Bridge& bridge, const PortSpec& spec, const Netns& inside) {
  if (spec.name.empty() || spec.name.size() >= IFNAMSIZ || spec.slot >= bridge.capacity())
    return fail(Fault::failed,
                "port '" + spec.name + "' with slot " + std::to_string(spec.slot) + " cannot be on bridge " + bridge.name);
  const Netns here = TRY(Netns::of_this_thread());
  if (TRY(here.same_as(inside))) return fail(Fault::failed, "port " + spec.name + ": the sandbox's namespace is this one");

  Port port;
  port.socket_ = TRY(NetlinkSocket::open(NETLINK_ROUTE));
  const Mac mac = Bridge::mac_of(spec.slot);
  // The inner end must be born without IPv6.
  TRY(inside.run([] { return disable_ipv6("default"); }));
  link::Veth veth{spec.name, {}, bridge.index, spec.inner, mac, inside.fd()};
  veth.mtu = spec.mtu;
  veth.mac = outer_mac(spec.slot);
  TRY(port.socket_.send(link::create_veth(veth)));
  port.name_ = spec.name;
  port.address_ = bridge.address(spec.slot);
  if (spec.ipv6) port.address6_ = bridge.address(spec.slot, Ip::v6);
  port.bridge_ = bridge.index;
  TRY(port.wire_host(bridge, mac));
  NetlinkSocket inner_socket;
  const auto wire_inside = [&]() -> Result<> {
    inner_socket = TRY(NetlinkSocket::open(NETLINK_ROUTE));
    return port.wire_inside(inner_socket, bridge, spec.inner);
  };
  TRY(inside.run(wire_inside));
  TRY(port.socket_.send(link::up(port.index_, port.name_)));
  TRY(wait_until_it_carries(inner_socket, spec.inner));
  TRY(wait_until_it_carries(port.socket_, port.name_));
  TRY(wait_until_it_carries(port.socket_, bridge.name));  // without a port that does, neither does it
  if (port.address6_) TRY(wait_until_it_takes(inner_socket, *port.address6_));
  return port;
}

Result<> Port::wire_host(const Bridge& bridge, const Mac& mac) {
  TRY(disable_ipv6(name_));
  index_ = TRY(index_of(name_));
  std::vector<Message> wiring;
  wiring.push_back(link::lock_port(index_, name_));
  wiring.push_back(link::forward_to(index_, name_, mac));
  wiring.push_back(link::neighbour(bridge.index, bridge.name, address_, mac));
  if (address6_) wiring.push_back(link::neighbour(bridge.index, bridge.name, *address6_, mac));
  return socket_.send(wiring);
}

Result<> Port::wire_inside(NetlinkSocket& socket, const Bridge& bridge, const std::string& inner) {
  TRY(switch_loopback_on(socket));
  const int index = TRY(index_of(inner));
  const Message wiring[] = {
      link::ask_nobody(index, inner, Ip::v4),
      link::address(index, inner, address_, bits(Ip::v4)),
      link::up(index, inner),
      link::neighbour(index, inner, bridge.gateway(), bridge.mac),
      link::default_route(index, inner, bridge.gateway()),
  };
  TRY(socket.send(wiring));
  return address6_ ? wire_ipv6(socket, bridge, inner) : Result<>();
}

// Behind the link's switching on, which would take the neighbour away.
Result<> Port::wire_ipv6(NetlinkSocket& socket, const Bridge& bridge, const std::string& inner) {
  TRY(enable_ipv6(inner));
  const int index = TRY(index_of(inner));
  const Message wiring[] = {
      link::ask_nobody(index, inner, Ip::v6),
      link::address(index, inner, *address6_, bits(Ip::v6)),
      link::neighbour(index, inner, bridge.gateway(Ip::v6), bridge.mac),
      link::default_route(index, inner, bridge.gateway(Ip::v6)),
  };
  return socket.send(wiring);
}

Result<> switch_loopback_on(NetlinkSocket& socket) { return socket.send(link::up(link::kLoopback, "lo")); }

}  // namespace bailey::network
