// Addresses as values: hardware (Mac), IPv4 and IPv6 (Address), and ranges of them (Subnet). Pure.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bailey::network {

using Mac = std::array<uint8_t, 6>;
std::string to_text(const Mac& mac);  // 02:ba:11:00:00:07

enum class Ip : uint8_t { v4, v6 };
constexpr uint8_t bits(Ip ip) { return ip == Ip::v4 ? 32 : 128; }
std::string_view to_text(Ip ip);  // IPv4

__extension__ using uint128 = unsigned __int128;

struct Address {
  Ip ip = Ip::v4;
  uint128 value = 0;  // below 2^32 for IPv4

  static constexpr Address v4(uint32_t value) { return {Ip::v4, value}; }
  static constexpr Address v6(uint64_t high, uint64_t low) { return {Ip::v6, uint128{high} << 64 | low}; }
  auto operator<=>(const Address&) const = default;
};
std::string to_text(const Address& address);  // 192.0.2.7, 2001:db8::7
// IPv4: four decimal numbers, no leading zero (octal elsewhere). IPv6: RFC 4291 2.2, no zone; IPv4 within IPv6 (::ffff:0:0/96)
// is refused, as two ways to say one thing. Nothing around either.
Result<Address> parse_address(std::string_view text);

// As it is in packets and messages: 4 or 16 bytes.
struct WireAddress {
  std::array<uint8_t, 16> bytes{};
  uint8_t length = 4;
  const uint8_t* data() const { return bytes.data(); }
  size_t size() const { return length; }
};
WireAddress to_wire(const Address& address);
std::optional<Address> read_address(std::span<const uint8_t> wire);  // nothing unless there are 4 or 16 bytes

// first/length; `first` has no bit set behind the length.
struct Subnet {
  Address first;
  uint8_t length = 32;

  static constexpr Subnet v4(uint32_t first, uint8_t length) { return {Address::v4(first), length}; }
  static constexpr Subnet v6(uint64_t high, uint64_t low, uint8_t length) { return {Address::v6(high, low), length}; }
  static constexpr Subnet around(const Address& address, uint8_t length) {
    return {{address.ip, address.value & Subnet{address, length}.mask()}, length};
  }
  constexpr uint128 all() const { return ~uint128{0} >> (128 - bits(first.ip)); }  // the mask of a single address
  constexpr uint128 mask() const { return single() ? all() : all() ^ (all() >> length); }
  constexpr bool contains(const Address& address) const {
    return address.ip == first.ip && (address.value & mask()) == first.value;
  }
  constexpr bool contains(const Subnet& other) const { return other.length >= length && contains(other.first); }
  constexpr bool overlaps(const Subnet& other) const { return contains(other) || other.contains(*this); }
  constexpr bool single() const { return length == bits(first.ip); }
  constexpr Address at(uint32_t offset) const { return {first.ip, first.value + offset}; }
  constexpr Address last() const { return {first.ip, first.value | (all() ^ mask())}; }
  auto operator<=>(const Subnet&) const = default;
};
std::string to_text(const Subnet& subnet);           // 10.0.0.0/8; a single address without its length
Result<Subnet> parse_subnet(std::string_view text);  // ADDRESS or ADDRESS/LENGTH; bits behind the length are an error

}  // namespace bailey::network
