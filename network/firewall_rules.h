// The names in a sandbox's nf_tables tables; the rules themselves are compile() of network/firewall.h. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "network/nftables.h"

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

}  // namespace bailey::network::rules
