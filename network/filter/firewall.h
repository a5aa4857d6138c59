// Firewall: what one sandbox of the bridge may send and get, as two nf_tables tables of its own, `bailey-SLOT` of the families
// bridge and inet. What is not granted is closed. It has to stand before the port does (network/bridge/port.h): rules match the
// port's and the bridge's names, so that the first packet meets them.
//
//   bridge   frames on the port: our hardware and IP addresses only, to the bridge only; IPv4, ARP for the gateway, and IPv6
//            where the sandbox has it; no neighbour discovery, VLAN or anything else; between two ports nothing; as many bytes
//            as the limit allows
//   inet     to the host: only its resolver · to the sandbox: answers, and from the host to published ports
//            to others of the bridge: its peers only, when it is on a shared network, and only who has it for a peer, too
//            beyond the host: the bridge's own range is closed · grants within a closed range · private ranges where granted ·
//            the closed ranges (network/filter/egress.h) · wider grants · names, by the addresses that the resolver found · any
//
// `any` and `private` open no port 53: names are resolved by the host's resolver, or by an address that was granted. An accept
// here ends no other table: a host's own firewall that drops what is forwarded also drops this. One sandbox's marks, tables or
// chains are no other's, and nothing else of the host's is touched.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "network/bridge/bridge.h"
#include "network/filter/egress.h"
#include "network/netlink/netlink_socket.h"
#include "network/nftables/nftables.h"

namespace bailey::network {

struct Published {
  Protocol protocol = Protocol::tcp;  // or udp
  uint16_t port = 0;                  // the sandbox's
};

struct FirewallSpec {
  uint32_t slot = 0;
  std::string port;  // the host's link
  Mac mac{};         // of the sandbox's end
  Address address;
  std::optional<Address> address6;  // none: it has no IPv6
  Bridge bridge;
  std::vector<Grant> egress;
  std::vector<Subnet> closed;  // opened by no grant, beside the bridge's range; no two overlap
  uint16_t dns_port = 0;       // where a resolver listens on the gateway, UDP and TCP; port 53 leads there. 0: there is none
  std::vector<Published> published;
  std::optional<uint64_t> bytes_per_second;  // each way
  std::optional<uint32_t> connections;       // beyond the host or to peers, at one time; as many more to the resolver
  std::string shared;                        // the name of its shared network, where it may have peers, by meet()
};

struct Denials {
  uint64_t packets = 0;                 // to where nothing was granted
  uint64_t frames = 0;                  // forged, or of protocols that are not let in
  std::vector<nft::Destination> first;  // of `packets`: at most 64 different ones of each family, in no order
};

// Move-only; the tables go when it goes. They belong to the network namespace in which it was made, wherever the thread is.
class Firewall {
 public:
  Firewall() = default;
  Firewall(Firewall&& other) noexcept;
  Firewall& operator=(Firewall&& other) noexcept;
  ~Firewall();

  // In the namespace of this thread, all of it or nothing; what a killed Bailey left of that slot is replaced in the same
  // instant. Fault::unavailable: a table of that name that the bridge's owner did not make, which stays; forwarding is off, the
  // bridge routes loopback addresses, the kernel lacks a part.
  static Result<Firewall> create(const FirewallSpec& spec);
  // That of a slot, made by another process (network/wiring_process.h): nothing goes when this object goes.
  static Result<Firewall> of(uint32_t slot, bool has_ipv6);
  // All of them or none.
  Result<> admit(std::span<const Opening> openings);
  // Both sides of a shared network's two let each other in, in the same instant: this one, whose address is `ours`, and the one
  // of that other slot. False: that one is on no network of that name, or gone.
  Result<bool> meet(uint32_t other, const Address& ours, const Address& theirs);
  Result<Denials> denials();
  // What the destructor does, with its error. The port goes before, and the connections that were let by go with the tables.
  Result<> reset();
  void forget() { is_ours_ = false; }  // somebody else removes it

  // What `owner` made of that slot, and nothing else; fine when there is nothing.
  static Result<> remove(NetlinkSocket& socket, uint32_t slot, const Owner& owner);
  // Every table that is named as ours are (network/filter/firewall_rules.h), whoever made it.
  static Result<std::vector<nft::FoundTable>> tables(NetlinkSocket& socket);

 private:
  NetlinkSocket socket_;
  std::optional<uint32_t> slot_;
  bool is_ours_ = false;  // to remove
  Owner owner_;
  std::string shared_;
  bool has_ipv6_ = false;
};

// Does this thread's namespace forward that family at all? We never switch that on: it is the whole host's.
Result<> check_forwarding(Ip ip);

// The batch that create() sends: the objects of the messages are the rules as text. Pure.
std::vector<Message> compile(const FirewallSpec& spec);
// That text, one line each.
std::vector<std::string> explain(const FirewallSpec& spec);

}  // namespace bailey::network
