// Links, addresses, routes and neighbours as rtnetlink messages, to be sent in batches, and the few questions about them.
// The functions that answer a Message only make it. Errors name the link. CAP_NET_ADMIN for what changes something.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "network/ip/address.h"
#include "network/netlink/netlink_socket.h"

namespace bailey::network::link {

constexpr int kLoopback = 1;  // in every network namespace

struct Veth {
  std::string name;  // the end in the socket's namespace; down
  Mac mac{};
  int master = 0;         // index of a bridge
  std::string peer_name;  // the other end; down
  Mac peer_mac{};
  int peer_netns = -1;
  uint32_t mtu = 0;  // of both ends; 0: the kernel's 1500
};
Message create_veth(const Veth& veth);
// A bridge with no spanning tree and no multicast snooping, down.
Message create_bridge(const std::string& name, const Mac& mac);
// Says whose a link is. The kernel takes no alias with a creation: send both in one batch, which nothing interrupts.
Message set_alias(const std::string& name, const std::string& alias);
Message remove(int index, const std::string& name);  // 0: whatever has that name
Message up(int index, const std::string& name);
// A port of a bridge that trusts nobody: talks to the bridge itself only (isolated), learns no address, gets no frame for
// unknown or many receivers, and no spanning tree from behind it. Frames to the bridge's own protocols (01:80:c2:00:00:0x) are
// bridged like others, that is, filtered: LLDP's (x = e) would reach the host on the port itself, past every hook of the bridge
// (net/bridge/br_input.c, br_handle_frame), whatever protocol is in them.
Message lock_port(int index, const std::string& name);
// A port that passes nothing any more.
Message silence_port(int index, const std::string& name);
// Where the bridge finds `mac`, for ever.
Message forward_to(int port, const std::string& name, const Mac& mac);
// Whose hardware address an address is, for ever: no ARP nor neighbour discovery.
Message neighbour(int index, const std::string& name, const Address& address, const Mac& mac);
// Nobody is asked for a hardware address on that link: what is not bound fails at once, and the kernel takes its entry back
// when it needs room. The table is one for all network namespaces (gc_thresh3: 1024 entries), and whoever names a link in a
// call can have an entry made for any address, as if it were on that link.
Message ask_nobody(int index, const std::string& name, Ip ip);
Message forget_neighbour(int index, const std::string& name, const Address& address);
// IPv6 without asking whether somebody else has it (RFC 4862 5.4): its range is Bailey's.
Message address(int index, const std::string& name, const Address& address, uint8_t length);
// The gateway is on that link whatever the addresses on it say.
Message default_route(int index, const std::string& name, const Address& gateway);

struct Link {
  int index = 0;
  std::string name, kind, alias;  // kind "" for hardware and lo
  Mac mac{};
  int master = 0;
  bool up = false;       // switched on
  bool carries = false;  // and what is sent goes out
};
// Nothing when there is none of that name.
Result<std::optional<Link>> find(NetlinkSocket& socket, const std::string& name);
Result<std::vector<Link>> all(NetlinkSocket& socket);
// In the namespace of this thread, by netdevice(7): what is asked like that does not wait for the kernel's lock on links, which
// somebody who takes one away holds for milliseconds. 0: there is none.
Result<int> index_of(const std::string& name);

struct OwnAddress {
  int index = 0;
  Address address;
  uint8_t length = 0;
};
Result<std::vector<OwnAddress>> addresses(NetlinkSocket& socket, Ip ip);  // link-local ones of IPv6 left out
// Are packets to that address this namespace's own to take?
Result<bool> takes(NetlinkSocket& socket, const Address& address);
// The namespace's own IPv4 addresses, and ranges of them, as its tables have them (RTN_LOCAL), 127.0.0.0/8 included.
Result<std::vector<Subnet>> local(NetlinkSocket& socket);
// The index of the link that a default route of IPv4 leaves by; 0: there is none.
Result<int> default_link(NetlinkSocket& socket);
// What every routing table has a way to, the default route and its halves (lengths 0 and 1) left out; of
// IPv6 also 2000::/3, which is every address that is given out.
Result<std::vector<Subnet>> routed(NetlinkSocket& socket, Ip ip);

}  // namespace bailey::network::link
