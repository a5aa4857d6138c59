// Addresses as values: hardware (Mac), IPv4 (Ipv4) and ranges of it (Subnet). Host byte order inside. Pure.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bailey::network {

using Mac = std::array<uint8_t, 6>;
std::string to_text(const Mac& mac);  // 02:ba:11:00:00:07

struct Ipv4 {
  uint32_t value = 0;
  auto operator<=>(const Ipv4&) const = default;
};
std::string to_text(Ipv4 address);
Result<Ipv4> parse_ipv4(std::string_view text);  // four decimal numbers: no leading zero (octal elsewhere), nothing around it

// first/length; `first` has no bit set behind the length.
struct Subnet {
  Ipv4 first;
  uint8_t length = 32;
  uint32_t mask() const { return length == 0 ? 0 : ~uint32_t{0} << (32 - length); }
  bool contains(Ipv4 address) const { return (address.value & mask()) == first.value; }
  bool contains(const Subnet& other) const { return other.length >= length && contains(other.first); }
  bool overlaps(const Subnet& other) const { return contains(other) || other.contains(*this); }
  Ipv4 at(uint32_t offset) const { return {first.value + offset}; }
  auto operator<=>(const Subnet&) const = default;
};
std::string to_text(const Subnet& subnet);           // 10.0.0.0/8; a single address without /32
Result<Subnet> parse_subnet(std::string_view text);  // ADDRESS or ADDRESS/LENGTH; bits behind the length are an error

}  // namespace bailey::network
