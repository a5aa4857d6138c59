// Grant: one thing that a sandbox may reach. Words of --egress and of a level's policy:
//
//   any                      every address but the closed ranges below
//   private                  10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7
//   dns                      the resolver on the gateway, for every name
//   10.88.0.2:8080/tcp       ADDRESS or ADDRESS/LENGTH, then perhaps :PORT or :FIRST-LAST, then perhaps /tcp, /udp or /icmp
//   [2001:db8::/32]:443      the same of IPv6: in brackets when a port comes behind it; icmp is ICMPv6
//   pypi.example:443         a name; *.example: every name below it. The resolver answers it and opens what it answered
//   db:5432                  a name of one label, with a port or a protocol: a word that is misspelled has neither
//
// A port without a protocol means tcp; without a port every protocol and port are meant. The closed ranges (private ones, what
// clouds give out metadata from, special purposes of RFC 6890, IPv6 that carries IPv4) are opened only by a grant that lies
// inside one, never by a wider one nor by a name that leads there. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "network/ip/address.h"

namespace bailey::network {

enum class Protocol : uint8_t { all, tcp, udp, icmp };
std::string_view to_text(Protocol protocol);

struct Grant {
  enum class Kind { any, private_ranges, dns, addresses, name };
  Kind kind = Kind::any;
  Subnet to;         // addresses
  std::string name;  // name: lower case, no dot at the end; "*.example" as written
  Protocol protocol = Protocol::all;
  uint16_t first_port = 0, last_port = 0;  // 0: every port
  friend bool operator==(const Grant&, const Grant&) = default;
};

// The error names the text, what is wrong with it and how it is written.
Result<Grant> parse_grant(std::string_view text);
std::string to_text(const Grant& grant);

// May `grant` be given where `ceiling` is what may be given at most?
bool covers(const Grant& ceiling, const Grant& grant);
bool covers(std::span<const Grant> ceiling, const Grant& grant);

// Can it let out by IPv4, or by IPv6, beyond the host? A name, `any` and `private` by both.
bool leads_out(const Grant& grant, Ip ip);

// Does a name (lower case, no dot at the end) match a grant of Kind::name?
bool matches(const Grant& grant, std::string_view name);

// RFC 1035 2.3.4 sizes; letters in lower case, digits, - and _ (which services use), no label that begins or ends with a dash.
bool is_host_name(std::string_view name);
bool lies_behind_no_gateway(const Address& address);  // is in one of never_ranges()

std::span<const Subnet> private_ranges();
std::span<const Subnet> closed_ranges();  // the private ones among them; no two overlap
std::span<const Subnet> never_ranges();   // behind no gateway: this network, loopback, multicast, reserved; no grant opens them

// A limit on connections is no smaller for the resolver's: a program that has one of them asks for two addresses first.
inline constexpr uint32_t kFewestForNames = 16;

// Of the grants that have the same name as the one at `index` (Kind::name), which: they open the same addresses.
size_t first_of_name(std::span<const Grant> grants, size_t index);

// An address that a name led to: the grants of the name of the one at that index, which is the first of them, open it for so
// long from now, whatever was said before.
struct Opening {
  size_t grant = 0;
  Address address;
  uint32_t seconds = 0;
};

}  // namespace bailey::network
