#include "network/ip/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdio>

#include "base/units.h"

namespace bailey::network {

namespace {

constexpr Subnet kMapped = Subnet::v6(0, 0xffff'0000'0000, 96);

std::unexpected<Error> not_an_address(std::string_view text) {
  return fail(Fault::bad_input, "'" + std::string(text) + "' is no IPv4 or IPv6 address",
              "write it as 192.0.2.7 or 2001:db8::7");
}

std::optional<Address> parse_v4(std::string_view text) {
  uint32_t value = 0;
  for (int part = 0; part < 4; ++part) {
    const size_t dot = part < 3 ? text.find('.') : text.size();
    if (dot == text.npos) return std::nullopt;
    const std::string_view digits = text.substr(0, dot);
    const auto number = units::parse_unsigned(digits);
    if (!number || *number > 255 || digits.size() > 3 || (digits.size() > 1 && digits[0] == '0')) return std::nullopt;
    value = value << 8 | static_cast<uint32_t>(*number);
    text.remove_prefix(part < 3 ? dot + 1 : dot);
  }
  return Address::v4(value);
}

std::optional<Address> parse_v6(std::string_view text) {
  WireAddress wire{{}, 16};
  if (text.find_first_not_of("0123456789abcdefABCDEF:.") != text.npos) return std::nullopt;  // a NUL would end it
  if (::inet_pton(AF_INET6, std::string(text).c_str(), wire.bytes.data()) != 1) return std::nullopt;
  return read_address({wire.data(), wire.size()});
}

}  // namespace

std::string to_text(const Mac& mac) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  return text;
}

std::string_view to_text(Ip ip) { return ip == Ip::v4 ? "IPv4" : "IPv6"; }

std::string to_text(const Address& address) {
  char text[INET6_ADDRSTRLEN] = "";
  (void)::inet_ntop(address.ip == Ip::v4 ? AF_INET : AF_INET6, to_wire(address).data(), text, sizeof text);
  return text;
}

Result<Address> parse_address(std::string_view text) {
  const auto address = text.find(':') == text.npos ? parse_v4(text) : parse_v6(text);
  if (!address) return not_an_address(text);
  if (kMapped.contains(*address))
    return fail(Fault::bad_input, "'" + std::string(text) + "' is an IPv4 address within IPv6",
                "write it as " + to_text(Address::v4(static_cast<uint32_t>(address->value))));
  return *address;
}

WireAddress to_wire(const Address& address) {
  WireAddress wire;
  wire.length = bits(address.ip) / 8;
  for (size_t i = 0; i < wire.length; ++i) wire.bytes[i] = static_cast<uint8_t>(address.value >> (8 * (wire.length - 1 - i)));
  return wire;
}

std::optional<Address> read_address(std::span<const uint8_t> wire) {
  if (wire.size() != 4 && wire.size() != 16) return std::nullopt;
  Address address{wire.size() == 4 ? Ip::v4 : Ip::v6, 0};
  for (const uint8_t byte : wire) address.value = address.value << 8 | byte;
  return address;
}

std::string to_text(const Subnet& subnet) {
  return to_text(subnet.first) + (subnet.single() ? "" : "/" + std::to_string(subnet.length));
}

Result<Subnet> parse_subnet(std::string_view text) {
  const size_t slash = text.find('/');
  const Address address = TRY(parse_address(text.substr(0, slash)));
  const uint8_t most = bits(address.ip);
  if (slash == text.npos) return Subnet{address, most};
  const std::string_view digits = text.substr(slash + 1);
  const auto length = units::parse_unsigned(digits);
  if (!length || *length > most || digits.size() > 3 || (digits.size() > 1 && digits[0] == '0'))
    return fail(Fault::bad_input, "'" + std::string(text) + "': the length of an " + std::string(to_text(address.ip)) +
                                      " range is 0 to " + std::to_string(most));
  const Subnet meant = Subnet::around(address, static_cast<uint8_t>(*length));
  if (meant.first != address)
    return fail(Fault::bad_input, "'" + std::string(text) + "' has bits set behind its length",
                "did you mean " + to_text(meant) + "?");
  return meant;
}

}  // namespace bailey::network
