#include "network/bridge.h"

#include <algorithm>

#include "network/link.h"
#include "network/netns.h"

namespace bailey::network {

namespace {

constexpr const char* kAlias = "bailey";  // whose it is
constexpr uint32_t kMaxPorts = 1023;      // BR_MAX_PORTS - 1

// Private ranges that few others take: not the first ones of any, not podman's 10.88, docker's 172.17-20 or libvirt's
// 192.168.122.
constexpr uint8_t kLength = 22;  // 1021 sandboxes: as many as a bridge has ports, nearly
constexpr Subnet kPools[] = {
    Subnet::v4(0x0ac90000, 16),  // 10.201.0.0/16
    Subnet::v4(0xac1d0000, 16),  // 172.29.0.0/16
    Subnet::v4(0xc0a8c000, 18),  // 192.168.192.0/18
};

const Subnet* first_overlap(const Subnet& wanted, const std::vector<Subnet>& routed) {
  const auto found = std::ranges::find_if(routed, [&](const Subnet& route) { return route.overlaps(wanted); });
  return found == routed.end() ? nullptr : &*found;
}

// The range of the bridge's own address; nothing when it has none yet.
Result<std::optional<Subnet>> subnet_of(NetlinkSocket& socket, const link::Link& bridge) {
  std::optional<Subnet> subnet;
  for (const link::OwnAddress& address : TRY(link::addresses(socket, Ip::v4))) {
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

Result<> check_ours(const link::Link& link) {
  if (link.kind == "bridge" && link.alias == kAlias) return {};
  return fail(Fault::unavailable, "link " + link.name + " is there and is no bridge of Bailey's",
              "another name for the bridge in the policy, or remove that link");
}

Result<> check_wanted(const BridgeSpec& spec, const std::optional<Subnet>& subnet) {
  if (!subnet || !spec.subnet || *subnet == *spec.subnet) return {};
  return fail(Fault::unavailable,
              "bridge " + spec.name + " has the range " + to_text(*subnet) + ", not " + to_text(*spec.subnet),
              "remove the bridge when no sandbox uses it: it is made anew");
}

Result<link::Link> find_or_create(NetlinkSocket& socket, const std::string& name) {
  auto found = TRY(link::find(socket, name));
  if (!found) {
    const Message making[] = {link::create_bridge(name, Mac{0x02, 0xba, 0x11, 0, 0, 1}), link::set_alias(name, kAlias)};
    TRY(socket.send(making));
    found = TRY(link::find(socket, name));
  }
  if (!found) return fail(Fault::failed, "bridge " + name + " went away while it was made");
  TRY(check_ours(*found));
  return *found;
}

}  // namespace

uint32_t Bridge::capacity() const { return std::min(kMaxPorts, (uint32_t{1} << (32 - subnet.length)) - 3); }

Mac Bridge::mac_of(uint32_t slot) {
  const uint32_t n = slot + 2;  // as the address; 1 is the bridge's
  return {0x02, 0xba, 0x11, static_cast<uint8_t>(n >> 16), static_cast<uint8_t>(n >> 8), static_cast<uint8_t>(n)};
}

Result<Subnet> free_subnet(const std::vector<Subnet>& routed) {
  for (const Subnet& pool : kPools)
    for (Subnet one{pool.first, kLength}; pool.contains(one); one.first.value += one.all() - one.mask() + 1)
      if (!first_overlap(one, routed)) return one;
  return fail(Fault::unavailable, "no IPv4 range is left for the bridge: the host has routes into all that Bailey would take",
              "name a free one in the policy");
}

Result<> check_subnet(const Subnet& wanted, const std::vector<Subnet>& routed) {
  if (wanted.length < 16 || wanted.length > 29)
    return fail(Fault::bad_input, "the bridge's range " + to_text(wanted) + " is too large or too small",
                "a length of 16 to 29");
  if (const Subnet* route = first_overlap(wanted, routed))
    return fail(Fault::unavailable,
                "the bridge's range " + to_text(wanted) + " overlaps the host's route to " + to_text(*route),
                "another range in the policy");
  return {};
}

Result<std::optional<Bridge>> Bridge::find(NetlinkSocket& socket, const BridgeSpec& spec) {
  const auto link = TRY(link::find(socket, spec.name));
  if (!link) return std::nullopt;
  TRY(check_ours(*link));
  const auto subnet = TRY(subnet_of(socket, *link));
  TRY(check_wanted(spec, subnet));
  if (!subnet) return std::nullopt;
  return Bridge{spec.name, link->index, link->mac, *subnet};
}

Result<Bridge> Bridge::ensure(NetlinkSocket& socket, const BridgeSpec& spec) {
  const link::Link link = TRY(find_or_create(socket, spec.name));
  auto subnet = TRY(subnet_of(socket, link));
  TRY(check_wanted(spec, subnet));
  if (!subnet) {
    const auto routed = TRY(link::routed(socket, Ip::v4));
    if (spec.subnet) TRY(check_subnet(*spec.subnet, routed));
    subnet = spec.subnet;
    if (!subnet) subnet = TRY(free_subnet(routed));
    TRY(disable_ipv6(spec.name));
    TRY(socket.send(link::address(link.index, spec.name, subnet->at(1), subnet->length)));
  }
  if (!link.up) {
    TRY(disable_ipv6(spec.name));  // again: a maker may have been killed between the address and this
    TRY(socket.send(link::up(link.index, spec.name)));
  }
  return Bridge{spec.name, link.index, link.mac, *subnet};
}

}  // namespace bailey::network
