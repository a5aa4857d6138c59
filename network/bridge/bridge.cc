#include "network/bridge/bridge.h"

#include <algorithm>
#include <span>

#include "network/bridge/link.h"
#include "network/ip/netns.h"

namespace bailey::network {

namespace {

constexpr uint32_t kMaxPorts = 1023;  // BR_MAX_PORTS - 1

// Private ranges that few others take: not the first ones of any, not podman's 10.88, docker's 172.17-20 or libvirt's
// 192.168.122.
constexpr Subnet kPools[] = {
    Subnet::v4(0x0ac90000, 16),  // 10.201.0.0/16
    Subnet::v4(0xac1d0000, 16),  // 172.29.0.0/16
    Subnet::v4(0xc0a8c000, 18),  // 192.168.192.0/18
};
// A unique local one (RFC 4193, its 40 bits drawn once for all hosts: it is translated, nobody else sees it).
constexpr Subnet kPools6[] = {Subnet::v6(0xfdba'11e7'5a3cull << 16, 0, 48)};

// What ranges of a family are like: of which length ours are, and which ones fit.
struct Shape {
  uint8_t length, shortest, longest;
  std::span<const Subnet> pools;
};
Shape shape_of(Ip ip) {
  // 1021 sandboxes: as many as a bridge has ports, nearly. Of IPv6 what one link has by custom.
  return ip == Ip::v4 ? Shape{22, 16, 29, kPools} : Shape{64, 48, 112, kPools6};
}

const Subnet* first_overlap(const Subnet& wanted, const std::vector<Subnet>& routed) {
  const auto found = std::ranges::find_if(routed, [&](const Subnet& route) { return route.overlaps(wanted); });
  return found == routed.end() ? nullptr : &*found;
}

// The range of the bridge's own address of that family; nothing when it has none yet.
Result<std::optional<Subnet>> subnet_of(NetlinkSocket& socket, const link::Link& bridge, Ip ip) {
  std::optional<Subnet> subnet;
  for (const link::OwnAddress& address : TRY(link::addresses(socket, ip))) {
    if (address.index != bridge.index) continue;
    const Subnet found = Subnet::around(address.address, address.length);
    if (subnet || address.address != found.at(1))
      return fail(Fault::unavailable,
                  "bridge " + bridge.name + " has the address " + to_text(address.address) + "/" +
                      std::to_string(address.length) + ", which Bailey did not give it",
                  "remove that address, or the bridge");
    subnet = found;
  }
  return subnet;
}

Result<> check_ours(const link::Link& link, const Owner& owner) {
  if (link.kind == "bridge" && owner.made(link.alias)) return {};
  if (link.kind == "bridge" && made_by_bailey(link.alias))
    return fail(Fault::unavailable,
                "bridge " + link.name + " belongs to Baileys with another runtime directory (" +
                    std::string(directory_in(link.alias)) + " to them): addresses and names would be given out twice",
                "another network namespace for these; or, when that directory is no more, `ip link delete " + link.name + "`");
  return fail(Fault::unavailable, "link " + link.name + " is there and is no bridge of Bailey's",
              "another name for the bridge in the policy, or remove that link");
}

// The range that the bridge has, or the one that it is to have.
Result<Subnet> choose_subnet(NetlinkSocket& socket, const BridgeSpec& spec, const std::optional<Subnet>& has, Ip ip) {
  const std::optional<Subnet>& wanted = ip == Ip::v4 ? spec.subnet : spec.subnet6;
  if (has && wanted && *has != *wanted)
    return fail(Fault::unavailable, "bridge " + spec.name + " has the range " + to_text(*has) + ", not " + to_text(*wanted),
                "remove the bridge when no sandbox uses it: it is made anew");
  if (has) return *has;
  const auto routed = TRY(link::routed(socket, ip));
  if (!wanted) return free_subnet(routed, ip);
  TRY(check_subnet(*wanted, routed));
  return *wanted;
}

Result<link::Link> find_or_create(NetlinkSocket& socket, const std::string& name, const Owner& owner) {
  auto found = TRY(link::find(socket, name));
  if (!found) {
    const Message making[] = {link::create_bridge(name, Bridge::kMac), link::set_alias(name, owner.words())};
    TRY(socket.send(making));
    found = TRY(link::find(socket, name));
  }
  if (!found) return fail(Fault::failed, "bridge " + name + " went away while it was made");
  TRY(check_ours(*found, owner));
  return *found;
}

}  // namespace

uint32_t Bridge::capacity() const { return std::min(kMaxPorts, (uint32_t{1} << (32 - subnet.length)) - 3); }

Mac Bridge::mac_of(uint32_t slot) {
  const uint32_t n = slot + 2;  // as the address; 1 is the bridge's
  return {0x02, 0xba, 0x11, static_cast<uint8_t>(n >> 16), static_cast<uint8_t>(n >> 8), static_cast<uint8_t>(n)};
}

Result<Subnet> free_subnet(const std::vector<Subnet>& routed, Ip ip) {
  const Shape shape = shape_of(ip);
  for (const Subnet& pool : shape.pools)
    for (Subnet one{pool.first, shape.length}; pool.contains(one); one.first.value += one.all() - one.mask() + 1)
      if (!first_overlap(one, routed)) return one;
  return fail(
      Fault::unavailable,
      "no " + std::string(to_text(ip)) + " range is left for the bridge: the host has routes into all that Bailey would take",
      "name a free one in the policy");
}

Result<> check_subnet(const Subnet& wanted, const std::vector<Subnet>& routed) {
  const Shape shape = shape_of(wanted.first.ip);
  if (wanted.length < shape.shortest || wanted.length > shape.longest)
    return fail(Fault::bad_input, "the bridge's range " + to_text(wanted) + " is too large or too small",
                "a length of " + std::to_string(shape.shortest) + " to " + std::to_string(shape.longest));
  constexpr Subnet kGlobal = Subnet::v6(0x2000ull << 48, 0, 3), kUniqueLocal = Subnet::v6(0xfc00ull << 48, 0, 7);
  if (wanted.first.ip == Ip::v6 && !kGlobal.contains(wanted) && !kUniqueLocal.contains(wanted))
    return fail(Fault::bad_input, "the bridge's range " + to_text(wanted) + " is neither global nor unique local",
                "one within fd00::/8");
  if (const Subnet* route = first_overlap(wanted, routed))
    return fail(Fault::unavailable,
                "the bridge's range " + to_text(wanted) + " overlaps the host's route to " + to_text(*route),
                "another range in the policy");
  return {};
}

Result<std::optional<Bridge>> Bridge::find(NetlinkSocket& socket, const BridgeSpec& spec, const Owner& owner, bool ipv6) {
  const auto link = TRY(link::find(socket, spec.name));
  if (!link) return std::nullopt;
  TRY(check_ours(*link, owner));
  std::optional<Subnet> has[2];
  for (const Ip ip : {Ip::v4, Ip::v6}) {
    if (ip == Ip::v6 && !ipv6) break;
    auto& subnet = has[static_cast<size_t>(ip)] = TRY(subnet_of(socket, *link, ip));
    if (subnet) TRY(choose_subnet(socket, spec, subnet, ip));
  }
  if (!has[0] || !link->up) return std::nullopt;
  return Bridge{spec.name, link->index, link->mac, *has[0], has[1], owner.mark};
}

Result<Bridge> Bridge::ensure(NetlinkSocket& socket, const BridgeSpec& spec, const Owner& owner) {
  const link::Link link = TRY(find_or_create(socket, spec.name, owner));
  const auto has = TRY(subnet_of(socket, link, Ip::v4));
  const Subnet subnet = TRY(choose_subnet(socket, spec, has, Ip::v4));
  if (!has) {
    TRY(disable_ipv6(spec.name));
    TRY(socket.send(link::address(link.index, spec.name, subnet.at(1), subnet.length)));
  }
  if (!link.up) {
    TRY(disable_ipv6(spec.name));  // again: a maker may have been killed between the address and this
    TRY(socket.send(link::up(link.index, spec.name)));
  }
  return Bridge{spec.name, link.index, link.mac, subnet, {}, owner.mark};
}

Result<> Bridge::add_ipv6(NetlinkSocket& socket, const BridgeSpec& spec) {
  const auto has = TRY(subnet_of(socket, {index, name, {}, {}, {}, 0, true, true}, Ip::v6));
  subnet6 = TRY(choose_subnet(socket, spec, has, Ip::v6));
  if (has) return {};
  TRY(enable_ipv6(name));
  return socket.send(link::address(index, name, subnet6->at(1), subnet6->length));
}

}  // namespace bailey::network
