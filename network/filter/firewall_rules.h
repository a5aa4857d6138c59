// The names in a sandbox's nf_tables tables, and what both tables' rules are about. The rules themselves: compile() of
// network/filter/firewall.h, of which frame_rules.h has the table of the family bridge. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "network/filter/firewall.h"
#include "network/nftables/nftables.h"

namespace bailey::network::rules {

constexpr const char* kDenied = "denied";  // in inet: chain and counter
constexpr const char* kForged = "forged";  // in bridge: counter and chain
// Counters in inet: connections that the sandbox began, and that the host began to it.
constexpr const char *kBegun = "begun", *kEntered = "entered";

nft::Table inet_table(uint32_t slot);
nft::Table bridge_table(uint32_t slot);
std::optional<uint32_t> slot_of(const nft::Table& table);  // nothing for one that is not named so
// One of each family.
std::string name_set(size_t grant, Ip ip);
std::string denied_set(Ip ip);
std::string peers_set(const std::string& network, Ip ip);  // who is on that shared network

// What the sandbox has of one family.
struct Side {
  Ip ip = Ip::v4;
  Address address;
  Subnet subnet;
};
std::vector<Side> sides_of(const FirewallSpec& spec);  // IPv4, then IPv6 when it has that

}  // namespace bailey::network::rules
