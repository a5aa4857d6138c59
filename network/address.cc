#include "network/address.h"

#include <cstdio>

#include "base/units.h"

namespace bailey::network {

namespace {

std::unexpected<Error> not_an_address(std::string_view text) {
  return fail(Fault::bad_input, "'" + std::string(text) + "' is no IPv4 address", "write it as 192.0.2.7");
}

}  // namespace

std::string to_text(const Mac& mac) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  return text;
}

std::string to_text(Ipv4 address) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    text += std::to_string((address.value >> shift) & 0xff);
    if (shift) text += '.';
  }
  return text;
}

Result<Ipv4> parse_ipv4(std::string_view text) {
  std::string_view rest = text;
  Ipv4 address;
  for (int part = 0; part < 4; ++part) {
    const size_t dot = part < 3 ? rest.find('.') : rest.size();
    if (dot == rest.npos) return not_an_address(text);
    const std::string_view digits = rest.substr(0, dot);
    const auto value = units::parse_unsigned(digits);
    if (!value || *value > 255 || digits.size() > 3 || (digits.size() > 1 && digits[0] == '0')) return not_an_address(text);
    address.value = address.value << 8 | static_cast<uint32_t>(*value);
    rest.remove_prefix(part < 3 ? dot + 1 : dot);
  }
  return address;
}

std::string to_text(const Subnet& subnet) {
  return to_text(subnet.first) + (subnet.length == 32 ? "" : "/" + std::to_string(subnet.length));
}

Result<Subnet> parse_subnet(std::string_view text) {
  const size_t slash = text.find('/');
  Subnet subnet{TRY(parse_ipv4(text.substr(0, slash)))};
  if (slash == text.npos) return subnet;
  const std::string_view digits = text.substr(slash + 1);
  const auto length = units::parse_unsigned(digits);
  if (!length || *length > 32 || digits.size() > 2 || (digits.size() > 1 && digits[0] == '0'))
    return fail(Fault::bad_input, "'" + std::string(text) + "': the length of an IPv4 range is 0 to 32");
  subnet.length = static_cast<uint8_t>(*length);
  if (!subnet.contains(subnet.first)) {
    const Subnet meant{{subnet.first.value & subnet.mask()}, subnet.length};
    return fail(Fault::bad_input, "'" + std::string(text) + "' has bits set behind its length",
                "did you mean " + to_text(meant) + "?");
  }
  return subnet;
}

}  // namespace bailey::network
