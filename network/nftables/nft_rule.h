// Rule: one rule of an nf_tables chain, written from left to right like in nft(8)'s language: conditions, then what to do. A
// condition that does not hold ends the rule, and the packet goes to the next one. Pure.
//
//   Rule(table, "input").link_in("bly7").field(ether_saddr, mac, Is::not_equal).drop()
#pragma once

#include <linux/netfilter/nf_tables.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "network/nftables/nftables.h"

namespace bailey::network::nft {

// Bytes of a packet, where its header begins.
struct Field {
  const char* name;
  uint8_t base, offset, size;
};
constexpr Field kEtherTo{"ether daddr", NFT_PAYLOAD_LL_HEADER, 0, 6}, kEtherFrom{"ether saddr", NFT_PAYLOAD_LL_HEADER, 6, 6};
// As it is in the frame: 0x8100 for a VLAN's, which `meta protocol` would look through.
constexpr Field kEtherType{"ether type", NFT_PAYLOAD_LL_HEADER, 12, 2};
constexpr Field kIpFrom{"ip saddr", NFT_PAYLOAD_NETWORK_HEADER, 12, 4}, kIpTo{"ip daddr", NFT_PAYLOAD_NETWORK_HEADER, 16, 4};
constexpr Field kIp6From{"ip6 saddr", NFT_PAYLOAD_NETWORK_HEADER, 8, 16},
    kIp6To{"ip6 daddr", NFT_PAYLOAD_NETWORK_HEADER, 24, 16};
constexpr Field from(Ip ip) { return ip == Ip::v4 ? kIpFrom : kIp6From; }
constexpr Field to(Ip ip) { return ip == Ip::v4 ? kIpTo : kIp6To; }
constexpr Field kIpLength{"ip version,ihl", NFT_PAYLOAD_NETWORK_HEADER, 0, 1};
constexpr Field kIpTotalLength{"ip length", NFT_PAYLOAD_NETWORK_HEADER, 2, 2},
    kIpFragment{"ip frag-off", NFT_PAYLOAD_NETWORK_HEADER, 6, 2};
constexpr Field kIp6Length{"ip6 length", NFT_PAYLOAD_NETWORK_HEADER, 4, 2},
    kIp6Next{"ip6 nexthdr", NFT_PAYLOAD_NETWORK_HEADER, 6, 1};
// Of a fragment's header that stands directly behind that of IPv6 (RFC 8200 4.5): what comes next, and its offset and flags.
constexpr Field kIp6FragmentNext{"frag nexthdr", NFT_PAYLOAD_NETWORK_HEADER, 40, 1},
    kIp6Fragment{"frag frag-off", NFT_PAYLOAD_NETWORK_HEADER, 40 + 2, 2};
// ARP for IPv4 over Ethernet (RFC 826): what it speaks of, what it wants, and the two pairs of addresses.
constexpr Field kArpKind{"arp htype..plen", NFT_PAYLOAD_NETWORK_HEADER, 0, 6};
constexpr Field kArpOperation{"arp operation", NFT_PAYLOAD_NETWORK_HEADER, 6, 2};
constexpr Field kArpFromMac{"arp saddr ether", NFT_PAYLOAD_NETWORK_HEADER, 8, 6};
constexpr Field kArpFromIp{"arp saddr ip", NFT_PAYLOAD_NETWORK_HEADER, 14, 4};
constexpr Field kArpToIp{"arp daddr ip", NFT_PAYLOAD_NETWORK_HEADER, 24, 4};
constexpr Field kPortTo{"th dport", NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2};
constexpr Field kIcmpKind{"icmp type", NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1};
// In an ICMP error, whom the packet was for that it is about: behind 8 bytes there is that packet's header (RFC 792, RFC
// 4443 3.1).
constexpr Field kIcmpAboutTo{"icmp about ip daddr", NFT_PAYLOAD_TRANSPORT_HEADER, 8 + 16, 4},
    kIcmp6AboutTo{"icmp about ip6 daddr", NFT_PAYLOAD_TRANSPORT_HEADER, 8 + 24, 16};
constexpr Field about_to(Ip ip) { return ip == Ip::v4 ? kIcmpAboutTo : kIcmp6AboutTo; }
constexpr Field kTcpFlags{"tcp flags", NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1};

enum class Is { equal, not_equal };

enum CtState : uint32_t { kInvalid = 1, kEstablished = 2, kRelated = 4, kNew = 8 };  // NF_CT_STATE_BIT()

class Rule {
 public:
  Rule(const Table& table, const std::string& chain);

  Rule& link_in(const std::string& name, Is is = Is::equal);
  Rule& link_out(const std::string& name, Is is = Is::equal);
  Rule& family(Ip ip);                                // in family inet, before a field of that family
  Rule& protocol(uint8_t number, Is is = Is::equal);  // IPPROTO_TCP
  Rule& field(const Field& field, const Mac& value, Is is = Is::equal);
  Rule& field(const Field& field, const Address& value, Is is = Is::equal);
  Rule& field(const Field& field, uint16_t value, Is is = Is::equal);
  Rule& byte(const Field& field, uint8_t value, Is is = Is::equal);
  Rule& field(const Field& field, std::span<const uint8_t> value, std::string_view text);
  Rule& field(const Field& field, const Subnet& range);
  Rule& masked(const Field& field, const Mac& mask, const Mac& value);
  Rule& masked(const Field& field, uint8_t mask, uint8_t value, Is is = Is::equal);
  Rule& masked(const Field& field, uint16_t mask, uint16_t value);
  Rule& between(const Field& field, uint16_t first, uint16_t last);  // of two bytes, or of one
  Rule& in_set(const Field& field, const std::string& set);
  Rule& state(uint32_t any_of);  // CtState
  Rule& answers();               // goes towards who began the connection
  Rule& redirected();            // of a connection that was led to another place than it was begun to
  Rule& untranslated();          // of a connection whose beginner is shown to the other end as what it is
  // More than that many bytes per second come by here; what comes at once, up to `burst`, is let by.
  Rule& over_rate(uint64_t bytes_per_second, uint32_t burst);
  // More than that many packets per second come by here; `burst` at once are let by.
  Rule& over_packets(uint32_t per_second, uint32_t burst);
  // More than that many connections came by here and are still there: not closed by TCP.
  Rule& over_connections(uint32_t count);

  Rule& count(const std::string& counter);
  // Puts the packet's destination into a set of add_destinations(); a condition that fails when the set is full.
  Rule& remember(const std::string& set, Ip ip, bool has_port);

  // The end of a rule.
  Message accept();
  Message drop();
  Message go_to(const std::string& chain);
  Message reject();                                   // ICMP: prohibited by the administrator
  Message reject_reset();                             // for TCP
  Message masquerade(uint16_t first, uint16_t last);  // the source port drawn at random from those
  Message redirect(uint16_t port);                    // to this host
  Message done();                                     // goes on with the next rule

 private:
  Rule& begin(const char* expression);
  Rule& load_port(uint32_t reg, uint16_t port);
  Rule& end();
  Rule& say(std::string_view text);
  Rule& load(const Field& field, uint32_t into);
  Rule& load_meta(uint32_t key, uint32_t into);
  Rule& put_data(uint16_t attribute, const void* data, size_t size);
  Rule& compare(Is is, const void* data, size_t size);
  Rule& status(std::string_view word, uint32_t bit, Is is);  // of conntrack, that bit being none
  Rule& mask(const void* bits, size_t size);
  Rule& link(uint32_t key, const char* word, const std::string& name, Is is);
  Message verdict(uint32_t code, const char* word, const std::string& chain);

  Message message_;
};

}  // namespace bailey::network::nft
