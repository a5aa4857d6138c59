#include "network/bridge/link.h"

#include <arpa/inet.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"
#include "network/ip/socket_address.h"

namespace bailey::network::link {

namespace {

constexpr uint8_t kOperUp = 6;  // IF_OPER_UP; <linux/if.h> and <net/if.h> do not go together
// Frames to 01:80:c2:00:00:0x, all but x = 1, which the kernel drops and takes no bit for.
constexpr uint16_t kGroups = 0xfffd;
constexpr uint16_t kNew = NLM_F_CREATE | NLM_F_EXCL;
constexpr uint16_t kSet = NLM_F_CREATE | NLM_F_REPLACE;

ifinfomsg link_header(int family, int index) {
  ifinfomsg header{};
  header.ifi_family = static_cast<unsigned char>(family);
  header.ifi_index = index;
  return header;
}

Message& put(Message& message, uint16_t attribute, const Mac& mac) { return message.bytes(attribute, mac.data(), mac.size()); }

Message& put(Message& message, uint16_t attribute, const Address& address) {
  const WireAddress wire = to_wire(address);
  return message.bytes(attribute, wire.data(), wire.size());
}

Message neighbour_message(uint16_t type, uint16_t flags, int family, int index, std::string object) {
  Message message(type, flags, std::move(object));
  ndmsg header{};
  header.ndm_family = static_cast<unsigned char>(family);
  header.ndm_ifindex = index;
  header.ndm_state = family == AF_BRIDGE ? NUD_NOARP : NUD_PERMANENT;
  header.ndm_flags = family == AF_BRIDGE ? NTF_MASTER : 0;
  message.header(header);
  return message;
}

Link read_link(const NetlinkSocket::Reply& reply, const ifinfomsg& header) {
  Link link;
  link.index = header.ifi_index;
  link.up = header.ifi_flags & IFF_UP;
  Attributes attributes(reply.view().behind(sizeof header));
  while (const auto attribute = attributes.next()) switch (attribute->type) {
      case IFLA_IFNAME: link.name = attribute->text(); break;
      case IFLA_IFALIAS: link.alias = attribute->text(); break;
      case IFLA_MASTER: link.master = static_cast<int>(attribute->u32().value_or(0)); break;
      case IFLA_OPERSTATE: link.carries = attribute->u8() == kOperUp; break;
      case IFLA_ADDRESS:
        if (attribute->data.size() == link.mac.size()) std::ranges::copy(attribute->data, link.mac.begin());
        break;
      case IFLA_LINKINFO:
        if (const auto kind = Attributes::find(attribute->data, IFLA_INFO_KIND)) link.kind = kind->text();
        break;
      default: break;
    }
  return link;
}

}  // namespace

Message create_veth(const Veth& veth) {
  Message message(RTM_NEWLINK, kNew, "creating link " + veth.name);
  message.header(link_header(AF_UNSPEC, 0)).text(IFLA_IFNAME, veth.name);
  put(message, IFLA_ADDRESS, veth.mac);
  if (veth.master) message.u32(IFLA_MASTER, static_cast<uint32_t>(veth.master));
  if (veth.mtu) message.u32(IFLA_MTU, veth.mtu);
  message.begin(IFLA_LINKINFO).text(IFLA_INFO_KIND, "veth").begin(IFLA_INFO_DATA).begin(VETH_INFO_PEER);
  message.header(link_header(AF_UNSPEC, 0)).text(IFLA_IFNAME, veth.peer_name);
  put(message, IFLA_ADDRESS, veth.peer_mac).u32(IFLA_NET_NS_FD, static_cast<uint32_t>(veth.peer_netns));
  if (veth.mtu) message.u32(IFLA_MTU, veth.mtu);
  message.end().end().end();
  return message;
}

Message create_bridge(const std::string& name, const Mac& mac) {
  Message message(RTM_NEWLINK, kNew, "creating bridge " + name);
  message.header(link_header(AF_UNSPEC, 0)).text(IFLA_IFNAME, name);
  put(message, IFLA_ADDRESS, mac).begin(IFLA_LINKINFO).text(IFLA_INFO_KIND, "bridge").begin(IFLA_INFO_DATA);
  message.u32(IFLA_BR_STP_STATE, 0).u8(IFLA_BR_MCAST_SNOOPING, 0).end().end();
  return message;
}

Message set_alias(const std::string& name, const std::string& alias) {
  Message message(RTM_NEWLINK, 0, "naming the owner of link " + name);
  message.header(link_header(AF_UNSPEC, 0)).text(IFLA_IFNAME, name).text(IFLA_IFALIAS, alias);
  return message;
}

Message remove(int index, const std::string& name) {
  Message message(RTM_DELLINK, 0, "removing link " + name);
  message.header(link_header(AF_UNSPEC, index));
  if (index == 0) message.text(IFLA_IFNAME, name);
  return message;
}

Message up(int index, const std::string& name) {
  Message message(RTM_NEWLINK, 0, "switching link " + name + " on");
  ifinfomsg header = link_header(AF_UNSPEC, index);
  header.ifi_flags = IFF_UP;
  header.ifi_change = IFF_UP;
  message.header(header);
  return message;
}

Message lock_port(int index, const std::string& name) {
  Message message(RTM_NEWLINK, 0, "locking bridge port " + name);
  message.header(link_header(AF_UNSPEC, index)).begin(IFLA_LINKINFO).text(IFLA_INFO_SLAVE_KIND, "bridge");
  message.begin(IFLA_INFO_SLAVE_DATA).u8(IFLA_BRPORT_ISOLATED, 1).u8(IFLA_BRPORT_LEARNING, 0).u8(IFLA_BRPORT_UNICAST_FLOOD, 0);
  message.u8(IFLA_BRPORT_MCAST_FLOOD, 0).u8(IFLA_BRPORT_BCAST_FLOOD, 0).u8(IFLA_BRPORT_GUARD, 1);
  message.bytes(IFLA_BRPORT_GROUP_FWD_MASK, &kGroups, sizeof kGroups).end().end();
  return message;
}

// Not by IFLA_INFO_SLAVE_DATA, as above: that announces a change of the link, whereupon the bridge looks at the carrier and
// opens the port again (net/bridge/br_if.c, br_port_carrier_check).
Message silence_port(int index, const std::string& name) {
  Message message(RTM_SETLINK, 0, "silencing bridge port " + name);
  message.header(link_header(AF_BRIDGE, index)).begin(IFLA_PROTINFO).u8(IFLA_BRPORT_STATE, BR_STATE_DISABLED).end();
  return message;
}

Message forward_to(int port, const std::string& name, const Mac& mac) {
  Message message = neighbour_message(RTM_NEWNEIGH, kSet, AF_BRIDGE, port, "binding " + to_text(mac) + " to port " + name);
  put(message, NDA_LLADDR, mac);
  return message;
}

Message neighbour(int index, const std::string& name, const Address& address, const Mac& mac) {
  Message message = neighbour_message(RTM_NEWNEIGH, kSet, family_of(address.ip), index,
                                      "binding " + to_text(address) + " to " + to_text(mac) + " on " + name);
  put(message, NDA_DST, address);
  put(message, NDA_LLADDR, mac);
  return message;
}

Message ask_nobody(int index, const std::string& name, Ip ip) {
  Message message(RTM_SETNEIGHTBL, 0, "switching the search for neighbours off on " + name);
  ndtmsg header{};
  header.ndtm_family = static_cast<unsigned char>(family_of(ip));
  message.header(header).text(NDTA_NAME, ip == Ip::v4 ? "arp_cache" : "ndisc_cache").begin(NDTA_PARMS);
  message.u32(NDTPA_IFINDEX, static_cast<uint32_t>(index));
  for (const uint16_t probes : {NDTPA_MCAST_PROBES, NDTPA_UCAST_PROBES, NDTPA_APP_PROBES}) message.u32(probes, 0);
  message.end();
  return message;
}

Message forget_neighbour(int index, const std::string& name, const Address& address) {
  Message message =
      neighbour_message(RTM_DELNEIGH, 0, family_of(address.ip), index, "forgetting " + to_text(address) + " on " + name);
  put(message, NDA_DST, address);
  return message;
}

Message address(int index, const std::string& name, const Address& address, uint8_t length) {
  Message message(RTM_NEWADDR, kNew, "adding " + to_text(address) + "/" + std::to_string(length) + " to " + name);
  ifaddrmsg header{};
  header.ifa_family = static_cast<unsigned char>(family_of(address.ip));
  header.ifa_prefixlen = length;
  header.ifa_flags = address.ip == Ip::v6 ? IFA_F_NODAD : 0;
  header.ifa_index = static_cast<uint32_t>(index);
  message.header(header);
  put(message, IFA_LOCAL, address);
  put(message, IFA_ADDRESS, address);
  return message;
}

Message default_route(int index, const std::string& name, const Address& gateway) {
  Message message(RTM_NEWROUTE, kNew, "adding the route by " + to_text(gateway) + " on " + name);
  rtmsg header{};
  header.rtm_family = static_cast<unsigned char>(family_of(gateway.ip));
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_UNICAST;
  header.rtm_flags = RTNH_F_ONLINK;
  message.header(header);
  put(message, RTA_GATEWAY, gateway).u32(RTA_OIF, static_cast<uint32_t>(index));
  return message;
}

Result<std::optional<Link>> find(NetlinkSocket& socket, const std::string& name) {
  Message question(RTM_GETLINK, 0, "looking for link " + name);
  question.header(link_header(AF_UNSPEC, 0)).text(IFLA_IFNAME, name);
  const auto replies = socket.ask(question);
  if (!replies && replies.error().sys == ENODEV) return std::nullopt;
  if (!replies) return std::unexpected(replies.error());
  for (const auto& reply : *replies)
    if (const auto header = reply.view().family<ifinfomsg>()) return read_link(reply, *header);
  return fail(Fault::failed, "looking for link " + name + ": the kernel's answer makes no sense");
}

Result<int> index_of(const std::string& name) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return sys_error("opening a socket", errno);
  ifreq device{};
  name.copy(device.ifr_name, IFNAMSIZ - 1);
  if (::ioctl(socket.get(), SIOCGIFINDEX, &device) == 0) return device.ifr_ifindex;
  if (errno == ENODEV) return 0;
  return sys_error("looking for link " + name, errno);
}

namespace {

// Asks for all of a kind, given by a header that names the family, and hands each answer to `each`.
template <typename Header, typename Each>
Result<> list(NetlinkSocket& socket, uint16_t type, const char* what, const Header& wanted, Each each) {
  Message question(type, NLM_F_DUMP, what);
  question.header(wanted);
  const auto replies = TRY(socket.ask(question));
  for (const auto& reply : replies)
    if (const auto header = reply.view().template family<Header>()) each(reply, *header);
  return {};
}

}  // namespace

Result<std::vector<Link>> all(NetlinkSocket& socket) {
  std::vector<Link> links;
  TRY(list(socket, RTM_GETLINK, "listing links", link_header(AF_UNSPEC, 0),
           [&](const auto& reply, const ifinfomsg& header) { links.push_back(read_link(reply, header)); }));
  return links;
}

Result<std::vector<OwnAddress>> addresses(NetlinkSocket& socket, Ip ip) {
  std::vector<OwnAddress> result;
  ifaddrmsg wanted{};
  wanted.ifa_family = static_cast<unsigned char>(family_of(ip));
  TRY(list(socket, RTM_GETADDR, "listing addresses", wanted, [&](const auto& reply, const ifaddrmsg& header) {
    // Of IPv6 the kernel tells the address as IFA_ADDRESS, and IFA_LOCAL only where there is a peer (inet6_fill_ifaddr).
    auto local = Attributes::find(reply.view().behind(sizeof header), IFA_LOCAL);
    if (!local) local = Attributes::find(reply.view().behind(sizeof header), IFA_ADDRESS);
    const auto address = local ? read_address(local->data) : std::nullopt;
    if (!address || address->ip != ip || (ip == Ip::v6 && header.ifa_scope == RT_SCOPE_LINK)) return;
    result.push_back({static_cast<int>(header.ifa_index), *address, header.ifa_prefixlen});
  }));
  return result;
}

Result<bool> takes(NetlinkSocket& socket, const Address& address) {
  Message question(RTM_GETROUTE, 0, "looking for the way to " + to_text(address));
  rtmsg header{};
  header.rtm_family = static_cast<unsigned char>(family_of(address.ip));
  header.rtm_dst_len = bits(address.ip);
  question.header(header);
  put(question, RTA_DST, address);
  for (const auto& reply : TRY(socket.ask(question)))
    if (const auto way = reply.view().family<rtmsg>()) return way->rtm_type == RTN_LOCAL;
  return fail(Fault::failed, "looking for the way to " + to_text(address) + ": the kernel's answer makes no sense");
}

Result<std::vector<Subnet>> local(NetlinkSocket& socket) {
  std::vector<Subnet> result;
  rtmsg wanted{};
  wanted.rtm_family = AF_INET;
  TRY(list(socket, RTM_GETROUTE, "listing the host's addresses", wanted, [&](const auto& reply, const rtmsg& header) {
    const auto to = Attributes::find(reply.view().behind(sizeof header), RTA_DST);
    const auto first = to ? read_address(to->data) : std::nullopt;
    if (!first || first->ip != Ip::v4 || header.rtm_type != RTN_LOCAL || header.rtm_dst_len > bits(Ip::v4)) return;
    result.push_back(Subnet::around(*first, header.rtm_dst_len));
  }));
  return result;
}

Result<int> default_link(NetlinkSocket& socket) {
  int index = 0;
  rtmsg wanted{};
  wanted.rtm_family = AF_INET;
  TRY(list(socket, RTM_GETROUTE, "looking for a default route", wanted, [&](const auto& reply, const rtmsg& header) {
    const auto by = Attributes::find(reply.view().behind(sizeof header), RTA_OIF);
    if (header.rtm_family != AF_INET || header.rtm_type != RTN_UNICAST || header.rtm_dst_len != 0 || !by || !by->u32()) return;
    if (index == 0) index = static_cast<int>(*by->u32());
  }));
  return index;
}

Result<std::vector<Subnet>> routed(NetlinkSocket& socket, Ip ip) {
  std::vector<Subnet> result;
  rtmsg wanted{};
  wanted.rtm_family = static_cast<unsigned char>(family_of(ip));
  const uint8_t shortest = ip == Ip::v4 ? 2 : 4;
  TRY(list(socket, RTM_GETROUTE, "listing routes", wanted, [&](const auto& reply, const rtmsg& header) {
    const auto to = Attributes::find(reply.view().behind(sizeof header), RTA_DST);
    const auto first = to ? read_address(to->data) : std::nullopt;
    if (!first || first->ip != ip || header.rtm_dst_len < shortest || header.rtm_dst_len > bits(ip)) return;
    result.push_back(Subnet::around(*first, header.rtm_dst_len));
  }));
  return result;
}

}  // namespace bailey::network::link
