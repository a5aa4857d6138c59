#include "network/filter/frame_rules.h"

#include <linux/if_ether.h>
#include <linux/netfilter_bridge.h>

#include <utility>

#include "network/nftables/nft_rule.h"

namespace bailey::network {

namespace {

using nft::Is;
using nft::Rule;
using rules::kForged;
using rules::Side;

// What is let by at once under a limit, beside a second's worth of it, which nf_tables always adds (nft_limit_init,
// Linux 6.18): twice the largest packet that the kernel hands around before it cuts it (64 KiB).
constexpr uint32_t kBurst = 128 * 1024;

// IEEE 802.1D: frames to 01:80:c2:00:00:0x are for the bridge's port itself. They come past prerouting.
constexpr Mac kLinkLocal{0x01, 0x80, 0xc2, 0, 0, 0}, kLinkLocalMask{0xff, 0xff, 0xff, 0xff, 0xff, 0xf0};

constexpr uint8_t kIhl = 0x0f, kIhlWithoutOptions = 5;    // words of four bytes (RFC 791 3.1)
constexpr uint8_t kArpForIpv4[] = {0, 1, 0x08, 0, 6, 4};  // Ethernet, IPv4, lengths of both

// A fragment behind which others come and before which none does: IPv4 with "more" and offset 0, IPv6 the same (RFC 791 3.1,
// RFC 8200 4.5). What of it is judged has to be in it, 20 bytes for TCP: a path that carries fragments carries longer ones.
constexpr uint16_t kIpFragmentMask = 0x3fff, kIpFirst = 0x2000, kIp6FragmentMask = 0xfff9, kIp6First = 0x0001;
constexpr uint16_t kIpShortest = 20 + 20, kIp6Shortest = 8 + 20;

// Of IPv6, what may stand behind its header: no further header but a fragment's, and behind that one none either.
constexpr uint8_t kIp6Protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6};

// What neighbour discovery and its like have for types (MLD, routers, neighbours, redirects), and MLDv2's reports.
constexpr uint8_t kFirstOfLink = 130, kLastOfLink = 137, kGroupReport = 143;

uint16_t ether_type(Ip ip) { return ip == Ip::v4 ? ETH_P_IP : ETH_P_IPV6; }

class Frames {
 public:
  Frames(const FirewallSpec& spec, std::span<const Side> sides, std::vector<Message>& batch)
      : spec_(spec), sides_(sides), batch_(batch) {}
  void compile();

 private:
  void add(Message message) { batch_.push_back(std::move(message)); }
  Rule bridge(const char* chain) const { return {bridge_, chain}; }
  void compile_forged();
  Message arp_to_gateway() const;
  Rule packet(const Side& side) const;  // of that family
  Rule own(const Side& side) const;     // the sandbox's own, to the bridge
  void compile_v4(const Side& side);
  void compile_v6(const Side& side);
  void compile_sent();

  const FirewallSpec& spec_;
  const std::span<const Side> sides_;
  const nft::Table bridge_ = rules::bridge_table(spec_.slot);
  std::vector<Message>& batch_;
};

void Frames::compile_forged() {
  add(nft::add_counter(bridge_, kForged));
  add(nft::add_chain(bridge_, kForged));
  add(bridge(kForged).count(kForged).drop());
}

// The sandbox asks for the gateway and answers it, in its own name only.
Message Frames::arp_to_gateway() const {
  Rule rule = bridge("prerouting");
  rule.field(nft::kEtherType, ETH_P_ARP).field(nft::kArpKind, kArpForIpv4, "ethernet ipv4").between(nft::kArpOperation, 1, 2);
  rule.field(nft::kArpFromMac, spec_.mac).field(nft::kArpFromIp, spec_.address);
  rule.field(nft::kArpToIp, spec_.bridge.gateway());
  return rule.accept();
}

Rule Frames::packet(const Side& side) const {
  Rule rule = bridge("prerouting");
  rule.field(nft::kEtherType, ether_type(side.ip));
  return rule;
}

Rule Frames::own(const Side& side) const {
  Rule rule = packet(side);
  rule.field(nft::kEtherTo, spec_.bridge.mac).field(nft::from(side.ip), side.address);
  return rule;
}

void Frames::compile_v4(const Side& side) {
  add(packet(side).masked(nft::kIpLength, kIhl, kIhlWithoutOptions, Is::not_equal).go_to(kForged));
  Rule first = packet(side);
  first.masked(nft::kIpFragment, kIpFragmentMask, kIpFirst).between(nft::kIpTotalLength, 0, kIpShortest - 1);
  add(first.go_to(kForged));
  add(own(side).accept());
}

// What is between neighbours only has no business here: both ends know each other (network/bridge/port.h). The kernel inside
// reports its multicast groups nevertheless, which is no forgery. Further headers have no use for what a sandbox may do. One of
// them (routing) would have another host send the packet on, to where nobody looked; each has been a way to hide what stands
// behind it. Every fragment says what the whole begins with: where they disagree the first one counts (RFC 8200 4.5), so all
// are asked.
void Frames::compile_v6(const Side& side) {
  add(packet(side).protocol(IPPROTO_ICMPV6).between(nft::kIcmpKind, kGroupReport, kGroupReport).drop());
  add(packet(side).protocol(IPPROTO_ICMPV6).between(nft::kIcmpKind, kFirstOfLink, kLastOfLink).go_to(kForged));
  for (const uint8_t protocol : kIp6Protocols) add(own(side).byte(nft::kIp6Next, protocol).accept());
  add(packet(side).byte(nft::kIp6Next, IPPROTO_FRAGMENT, Is::not_equal).go_to(kForged));
  Rule first = packet(side);
  first.masked(nft::kIp6Fragment, kIp6FragmentMask, kIp6First).between(nft::kIp6Length, 0, kIp6Shortest - 1);
  add(first.go_to(kForged));
  for (const uint8_t protocol : kIp6Protocols) add(own(side).byte(nft::kIp6FragmentNext, protocol).accept());
}

// IPv4's options, of which two are lists of addresses to go by, are dropped like routing headers.
void Frames::compile_sent() {
  const char* sent = "prerouting";
  add(bridge(sent).link_in(spec_.port, Is::not_equal).accept());
  add(bridge(sent).field(nft::kEtherFrom, spec_.mac, Is::not_equal).go_to(kForged));
  if (spec_.bytes_per_second) add(bridge(sent).over_rate(*spec_.bytes_per_second, kBurst).drop());
  for (const Side& side : sides_) {
    if (side.ip == Ip::v4) compile_v4(side);
    else compile_v6(side);
  }
  add(arp_to_gateway());
  add(bridge(sent).go_to(kForged));
}

void Frames::compile() {
  add(nft::create_table(bridge_, {spec_.bridge.mark, {}}));
  compile_forged();
  const int32_t first = NF_BR_PRI_FIRST + 1;
  add(nft::add_chain(bridge_, "prerouting", {"filter", NF_BR_PRE_ROUTING, first}));
  compile_sent();

  add(nft::add_chain(bridge_, "input", {"filter", NF_BR_LOCAL_IN, first}));
  add(bridge("input").link_in(spec_.port, Is::not_equal).accept());
  add(bridge("input").masked(nft::kEtherTo, kLinkLocalMask, kLinkLocal).go_to(kForged));

  // The ports are isolated as well; this holds when somebody changes that.
  add(nft::add_chain(bridge_, "forward", {"filter", NF_BR_FORWARD, first}));
  add(bridge("forward").link_in(spec_.port).drop());
  add(bridge("forward").link_out(spec_.port).drop());

  add(nft::add_chain(bridge_, "postrouting", {"filter", NF_BR_POST_ROUTING, first}));
  add(bridge("postrouting").link_out(spec_.port, Is::not_equal).accept());
  add(bridge("postrouting").field(nft::kEtherTo, spec_.mac, Is::not_equal).drop());
  if (spec_.bytes_per_second) add(bridge("postrouting").over_rate(*spec_.bytes_per_second, kBurst).drop());
  for (const Side& side : sides_)
    add(bridge("postrouting").field(nft::kEtherType, ether_type(side.ip)).field(nft::to(side.ip), side.address).accept());
  add(bridge("postrouting").field(nft::kEtherType, ETH_P_ARP).field(nft::kArpToIp, spec_.address).accept());
  add(bridge("postrouting").drop());
}

}  // namespace

void add_frame_rules(const FirewallSpec& spec, std::span<const Side> sides, std::vector<Message>& batch) {
  Frames(spec, sides, batch).compile();
}

}  // namespace bailey::network
