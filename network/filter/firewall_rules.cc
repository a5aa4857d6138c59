// The order of rules is told in docs/decisions/firewall.md. Each base chain begins with what is cheap and true for all packets
// but this sandbox's, because every packet of the host passes the chains of every sandbox.
#include "network/filter/firewall_rules.h"

#include <linux/netfilter_ipv4.h>

#include <algorithm>
#include <span>

#include "network/filter/frame_rules.h"
#include "network/ip/owner.h"
#include "network/nftables/nft_rule.h"

namespace bailey::network {

namespace rules {

namespace {
constexpr std::string_view kPrefix = "bailey-";
std::string table_name(uint32_t slot) { return std::string(kPrefix) + std::to_string(slot); }
}  // namespace

nft::Table inet_table(uint32_t slot) { return {nft::Family::inet, table_name(slot)}; }
nft::Table bridge_table(uint32_t slot) { return {nft::Family::bridge, table_name(slot)}; }
std::string name_set(size_t grant, Ip ip) { return "name" + std::to_string(grant) + (ip == Ip::v4 ? "" : "_6"); }
std::string denied_set(Ip ip) { return ip == Ip::v4 ? "denied" : "denied6"; }
// By the network's name: who has taken the slot of one that was found as a member has no such set (network/lease.cc, join()).
std::string peers_set(const std::string& network, Ip ip) { return (ip == Ip::v4 ? "peers_" : "peers6_") + network; }

std::vector<Side> sides_of(const FirewallSpec& spec) {
  std::vector<Side> sides{{Ip::v4, spec.address, spec.bridge.subnet}};
  if (spec.address6 && spec.bridge.subnet6) sides.push_back({Ip::v6, *spec.address6, *spec.bridge.subnet6});
  return sides;
}

std::optional<uint32_t> slot_of(const nft::Table& table) {
  if (table.family != nft::Family::inet && table.family != nft::Family::bridge) return std::nullopt;
  return slot_in(table.name, kPrefix);
}

}  // namespace rules

namespace {

using nft::Is;
using nft::Rule;
using nft::Table;
using rules::kBegun;
using rules::kDenied;
using rules::kEntered;
using rules::Side;

constexpr uint32_t kDestinations = 64;     // in the record of what was denied
constexpr uint32_t kNameAddresses = 4096;  // of one name at one time

// Of the host's ports, those that a sandbox's packets seem to come from. Who answers a packet may write to that port of the
// host until conntrack forgets: no port of a service of the host's, and none that the sandbox chose.
constexpr uint16_t kFirstPortOutside = 32768, kLastPortOutside = 65535;

constexpr uint16_t kRedirect = 5;  // of ICMP
constexpr uint8_t kSyn = 0x02, kAck = 0x10;

// Chains of the inet table besides the base chains: of both families, and of IPv4. Those of IPv6 have a 6 behind the name.
constexpr const char *kTo = "to", *kToPeers = "to_peers", *kAllowed = "allowed", *kNotNames = "allowed_but_names";
constexpr const char *kFrom = "from", *kToHost = "to_host", *kClosed = "closed", *kPrivate = "private", *kNever = "never";
constexpr const char* kNames = "names";  // type nat

// Of TCP, a second: an eighth of the limit on connections, and so many in any case.
constexpr uint32_t kFewestBegun = 100;

std::string named(const char* name, Ip ip) { return ip == Ip::v4 ? name : name + std::string("6"); }

uint8_t icmp_of(Ip ip) { return ip == Ip::v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6; }

class Compiler {
 public:
  explicit Compiler(const FirewallSpec& spec) : spec_(spec), sides_(rules::sides_of(spec)) {}
  std::vector<Message> compile();

 private:
  void add(Message message) { batch_.push_back(std::move(message)); }
  Rule inet(const std::string& chain) const { return {inet_, chain}; }
  Rule ours(const char* chain, const Side& side) const;    // a packet of the sandbox's, in a base chain
  Rule for_us(const char* chain, const Side& side) const;  // a packet to it
  Rule begun_too_often(const char* chain) const;           // of a connection's first

  void compile_chains();
  void compile_denied();
  void compile_to_host();
  void compile_forward(const Side& side);
  void compile_peers();
  void compile_to();
  void compile_nat();
  void compile_from(const Side& side);
  void compile_allowed();
  void compile_ranges(const std::string& name, Ip ip, std::span<const Subnet> ranges);
  void compile_grant(const Grant& grant, size_t index, Ip ip);
  void follow(const std::string& chain, Ip ip);

  bool has(Grant::Kind kind) const {
    return std::ranges::any_of(spec_.egress, [&](const Grant& grant) { return grant.kind == kind; });
  }
  bool beyond(const Side& side) const {
    return std::ranges::any_of(spec_.egress, [&](const Grant& grant) { return leads_out(grant, side.ip); });
  }

  const FirewallSpec& spec_;
  const std::vector<Side> sides_;
  const Table inet_ = rules::inet_table(spec_.slot);
  std::vector<Message> batch_;
};

Rule Compiler::ours(const char* chain, const Side& side) const {
  Rule rule = inet(chain);
  rule.family(side.ip).field(nft::from(side.ip), side.address).link_in(spec_.bridge.name);
  return rule;
}

Rule Compiler::for_us(const char* chain, const Side& side) const {
  Rule rule = inet(chain);
  rule.family(side.ip).field(nft::to(side.ip), side.address).link_out(spec_.bridge.name);
  return rule;
}

// A connection that TCP has closed is counted no more (already_closed() of nf_conncount.c, Linux 6.18) and stays in the host's
// table for two minutes: whoever opens and closes as fast as it can would fill that within its limit.
Rule Compiler::begun_too_often(const char* chain) const {
  const uint32_t most = *spec_.connections;
  Rule rule = inet(chain);
  rule.protocol(IPPROTO_TCP).over_packets(std::max(most / 8, kFewestBegun), std::max(most, kFewestBegun));
  return rule;
}

// What belongs to a connection that was let in goes on; what conntrack cannot make sense of ends. So does an ICMP error of the
// sandbox's: conntrack asks whether there is such a connection, not whose it is (nf_conntrack_inet_error, Linux 6.18), and a
// sandbox would speak to the host, to its neighbours and into closed ranges about theirs. Nobody misses one: TCP has resets.
void Compiler::follow(const std::string& chain, Ip ip) {
  add(inet(chain).state(nft::kEstablished).accept());
  add(inet(chain).state(nft::kInvalid).drop());
  add(inet(chain).state(nft::kRelated).protocol(icmp_of(ip)).drop());
}

void Compiler::compile_chains() {
  for (const char* chain : {kTo, kDenied}) add(nft::add_chain(inet_, chain));
  for (const Side& side : sides_)
    for (const char* chain : {kFrom, kToHost}) add(nft::add_chain(inet_, named(chain, side.ip)));
  if (!spec_.shared.empty()) {
    add(nft::add_chain(inet_, kToPeers));
    for (const Side& side : sides_) add(nft::add_addresses(inet_, rules::peers_set(spec_.shared, side.ip), side.ip, 0));
  }
  // What comes in on the port itself and not on the bridge has passed the bridge's hooks by (network/bridge/link.h,
  // lock_port()).
  add(nft::add_chain(inet_, "strays", {"filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW}));
  add(inet("strays").link_in(spec_.port).drop());
  add(nft::add_chain(inet_, "input", {"filter", NF_INET_LOCAL_IN, NF_IP_PRI_FILTER}));
  for (const Side& side : sides_) add(ours("input", side).go_to(named(kToHost, side.ip)));
  add(nft::add_chain(inet_, "forward", {"filter", NF_INET_FORWARD, NF_IP_PRI_FILTER}));
  for (const Side& side : sides_) compile_forward(side);
  add(nft::add_chain(inet_, "output", {"filter", NF_INET_LOCAL_OUT, NF_IP_PRI_FILTER}));
  for (const Published& one : spec_.published) {
    Rule rule = for_us("output", sides_[0]);  // the relay comes by IPv4
    rule.state(nft::kNew).protocol(one.protocol == Protocol::udp ? IPPROTO_UDP : IPPROTO_TCP);
    add(rule.field(nft::kPortTo, one.port).count(kEntered).accept());
  }
  for (const Side& side : sides_) add(for_us("output", side).go_to(kTo));
}

// Between sandboxes both have to agree, whatever conntrack remembers: what is not among the peers is closed before anything
// that is established goes on, or the next holder of a peer's address would inherit its connections. Who begins is counted by
// its own limit of connections.
void Compiler::compile_forward(const Side& side) {
  const std::string peers = rules::peers_set(spec_.shared, side.ip);
  if (!spec_.shared.empty()) {
    // By the bridge both ways: there, and nowhere else, an address is its owner's.
    add(ours("forward", side).link_out(spec_.bridge.name).in_set(nft::to(side.ip), peers).go_to(kToPeers));
    Rule rule = for_us("forward", side);
    add(rule.link_in(spec_.bridge.name).in_set(nft::from(side.ip), peers).count(kEntered).accept());
  }
  add(ours("forward", side).go_to(named(kFrom, side.ip)));
  // From beyond the host come only answers to what went out translated, and errors about it: whoever has a way to the bridge
  // would speak, in a peer's name or by errors, into connections with peers and with the host, if it guessed their ports.
  add(for_us("forward", side).link_in(spec_.bridge.name, Is::not_equal).untranslated().drop());
  // The kernel asks the tables in no order that we could choose: refused by ours, its sender learns so at once as by its own.
  add(for_us("forward", side).field(nft::from(side.ip), side.subnet).protocol(IPPROTO_TCP).reject_reset());
  add(for_us("forward", side).field(nft::from(side.ip), side.subnet).reject());
  add(for_us("forward", side).go_to(kTo));
}

void Compiler::compile_peers() {
  add(inet(kToPeers).state(nft::kEstablished).accept());
  // An error about what was sent to it, and not about what others say to each other (see follow()).
  for (const Side& side : sides_)
    add(inet(kToPeers)
            .family(side.ip)
            .state(nft::kRelated)
            .protocol(icmp_of(side.ip))
            .field(nft::about_to(side.ip), side.address)
            .accept());
  add(inet(kToPeers).state(nft::kInvalid | nft::kRelated).drop());
  add(inet(kToPeers).go_to(kAllowed));
}

// Counted, remembered and refused, so that a program fails at once and need not wait. TCP by a reset: the kernel sends few
// ICMP errors per second to one address (net.ipv4.icmp_ratelimit), and connect() would wait when they are used up.
void Compiler::compile_denied() {
  add(inet(kDenied).count(kDenied).done());
  const auto remember = [&](uint8_t protocol, Is is, bool has_port) {
    for (const Side& side : sides_)
      add(inet(kDenied).family(side.ip).protocol(protocol, is).remember(rules::denied_set(side.ip), side.ip, has_port).done());
  };
  remember(IPPROTO_TCP, Is::equal, true);
  add(inet(kDenied).protocol(IPPROTO_TCP).reject_reset());
  remember(IPPROTO_UDP, Is::equal, true);
  remember(IPPROTO_UDP, Is::not_equal, false);
  add(inet(kDenied).reject());
}

void Compiler::compile_to_host() {
  // Where the host's own SYN had no answer, one from the sandbox opens the connection from the other end (RFC 9293 3.5, state
  // SYN_SENT2 of conntrack): by then the port may be a listener's.
  add(inet(kToHost).protocol(IPPROTO_TCP).masked(nft::kTcpFlags, kSyn | kAck, kSyn).answers().drop());
  follow(kToHost, Ip::v4);
  // By port 53 alone, whatever the resolver's own is: what comes that way was counted (compile_nat()).
  if (spec_.dns_port)
    for (const uint8_t protocol : {IPPROTO_UDP, IPPROTO_TCP})
      add(inet(kToHost)
              .field(nft::kIpTo, spec_.bridge.gateway())
              .protocol(protocol)
              .field(nft::kPortTo, spec_.dns_port)
              .redirected()
              .count(kBegun)
              .accept());
  // By IPv6 the host has nothing for a sandbox, and begins nothing.
  for (const Side& side : sides_) add(inet(named(kToHost, side.ip)).go_to(kDenied));
}

void Compiler::compile_to() {
  add(inet(kTo).state(nft::kEstablished).accept());
  // The host tells whoever sends to another sandbox by way of it to send there directly, which leads nowhere (RFC 792).
  add(inet(kTo).protocol(IPPROTO_ICMP).between(nft::kIcmpKind, kRedirect, kRedirect).drop());
  add(inet(kTo).state(nft::kRelated).accept());
  add(inet(kTo).drop());
}

// Questions fill the host's table of connections like anything else, each for half a minute. They have a limit of their own, so
// that names can be asked for while there are as many connections as there may be; UDP and TCP are counted by one expression.
// What is over it is not led to the resolver, so that it is refused as what it was, at port 53: refused behind the translation,
// the reset would come from another port.
void Compiler::compile_nat() {
  if (spec_.dns_port) {
    add(nft::add_chain(inet_, kNames));
    if (spec_.connections) {
      add(inet(kNames).over_connections(std::max(*spec_.connections, kFewestForNames)).accept());
      add(begun_too_often(kNames).accept());
    }
    add(inet(kNames).redirect(spec_.dns_port));
    add(nft::add_chain(inet_, "prerouting", {"nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST}));
    for (const uint8_t protocol : {IPPROTO_UDP, IPPROTO_TCP}) {
      Rule rule = ours("prerouting", sides_[0]);
      rule.field(nft::kIpTo, spec_.bridge.gateway()).protocol(protocol).field(nft::kPortTo, uint16_t{53});
      add(rule.go_to(kNames));
    }
  }
  if (std::ranges::none_of(sides_, [&](const Side& side) { return beyond(side); })) return;
  add(nft::add_chain(inet_, "postrouting", {"nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC}));
  for (const Side& side : sides_) {
    Rule rule = inet("postrouting");
    rule.family(side.ip).field(nft::from(side.ip), side.address).link_out(spec_.bridge.name, Is::not_equal);
    add(rule.masquerade(kFirstPortOutside, kLastPortOutside));
  }
}

// Those of `ranges` that are of that family; none of them lies within another (the kernel takes no overlaps).
void Compiler::compile_ranges(const std::string& name, Ip ip, std::span<const Subnet> ranges) {
  std::vector<Subnet> taken;
  for (const Subnet& range : ranges) {
    const auto holds = [&](const Subnet& other) { return other != range && other.contains(range); };
    if (range.first.ip == ip && std::ranges::none_of(ranges, holds)) taken.push_back(range);
  }
  add(nft::add_ranges(inet_, name, ip));
  add(nft::fill_ranges(inet_, name, taken));
}

void Compiler::compile_grant(const Grant& grant, size_t index, Ip ip) {
  Rule rule = inet(named(kFrom, ip));
  if (grant.kind == Grant::Kind::name) {
    const size_t first = first_of_name(spec_.egress, index);
    if (first == index) add(nft::add_addresses(inet_, rules::name_set(index, ip), ip, kNameAddresses));
    rule.in_set(nft::to(ip), rules::name_set(first, ip));
  } else {
    rule.field(nft::to(ip), grant.to);
  }
  switch (grant.protocol) {
    case Protocol::tcp: rule.protocol(IPPROTO_TCP); break;
    case Protocol::udp: rule.protocol(IPPROTO_UDP); break;
    case Protocol::icmp: rule.protocol(icmp_of(ip)); break;
    case Protocol::all: break;
  }
  if (grant.first_port) rule.between(nft::kPortTo, grant.first_port, grant.last_port);
  add(rule.go_to(kAllowed));
}

void Compiler::compile_allowed() {
  add(nft::add_chain(inet_, kAllowed));
  if (spec_.connections) {
    add(inet(kAllowed).over_connections(*spec_.connections).go_to(kDenied));
    add(begun_too_often(kAllowed).go_to(kDenied));
  }
  add(inet(kAllowed).count(kBegun).accept());
  if (!has(Grant::Kind::any) && !has(Grant::Kind::private_ranges)) return;
  add(nft::add_chain(inet_, kNotNames));
  for (const uint8_t protocol : {IPPROTO_UDP, IPPROTO_TCP})
    add(inet(kNotNames).protocol(protocol).field(nft::kPortTo, uint16_t{53}).go_to(kDenied));
  add(inet(kNotNames).go_to(kAllowed));
}

void Compiler::compile_from(const Side& side) {
  const std::string from = named(kFrom, side.ip), ours = named(kPrivate, side.ip), shut = named(kClosed, side.ip);
  add(inet(from).field(nft::to(side.ip), side.subnet).go_to(kDenied));
  follow(from, side.ip);
  if (!beyond(side)) return add(inet(from).go_to(kDenied));
  const auto in_closed = [](const Grant& grant) {
    return std::ranges::any_of(closed_ranges(), [&](const Subnet& range) { return range.contains(grant.to); });
  };
  const auto each = [&](Grant::Kind kind, bool closed) {
    for (size_t i = 0; i < spec_.egress.size(); ++i) {
      const Grant& grant = spec_.egress[i];
      if (grant.kind != kind || !leads_out(grant, side.ip)) continue;
      if (kind == Grant::Kind::name || in_closed(grant) == closed) compile_grant(grant, i, side.ip);
    }
  };
  if (!spec_.closed.empty()) {
    const std::string never = named(kNever, side.ip);
    compile_ranges(never, side.ip, spec_.closed);
    add(inet(from).in_set(nft::to(side.ip), never).go_to(kDenied));
  }
  each(Grant::Kind::addresses, true);
  if (has(Grant::Kind::private_ranges)) {
    compile_ranges(ours, side.ip, private_ranges());
    add(inet(from).in_set(nft::to(side.ip), ours).go_to(kNotNames));
  }
  std::vector<Subnet> closed(closed_ranges().begin(), closed_ranges().end());
  closed.insert(closed.end(), never_ranges().begin(), never_ranges().end());
  compile_ranges(shut, side.ip, closed);
  add(inet(from).in_set(nft::to(side.ip), shut).go_to(kDenied));
  each(Grant::Kind::addresses, false);
  each(Grant::Kind::name, false);
  if (has(Grant::Kind::any)) add(inet(from).go_to(kNotNames));
  add(inet(from).go_to(kDenied));
}

std::vector<Message> Compiler::compile() {
  batch_.reserve(96);
  add(nft::begin_batch());
  add_frame_rules(spec_, sides_, batch_);
  nft::Note note{spec_.bridge.mark, {}};
  for (const Side& side : sides_) {  // whose connections end with the table
    const WireAddress wire = to_wire(side.address);
    note.addresses.insert(note.addresses.end(), wire.data(), wire.data() + wire.size());
  }
  add(nft::create_table(inet_, note));
  for (const char* counter : {kDenied, kBegun, kEntered}) add(nft::add_counter(inet_, counter));
  for (const Side& side : sides_) add(nft::add_destinations(inet_, rules::denied_set(side.ip), side.ip, kDestinations));
  compile_chains();
  compile_denied();
  compile_to_host();
  compile_to();
  if (!spec_.shared.empty() || std::ranges::any_of(sides_, [&](const Side& side) { return beyond(side); })) compile_allowed();
  if (!spec_.shared.empty()) compile_peers();
  for (const Side& side : sides_) compile_from(side);
  compile_nat();
  add(nft::end_batch());
  return std::move(batch_);
}

}  // namespace

std::vector<Message> compile(const FirewallSpec& spec) { return Compiler(spec).compile(); }

}  // namespace bailey::network
