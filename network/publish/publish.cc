#include "network/publish/publish.h"

#include <charconv>
#include <optional>
#include <vector>

namespace bailey::network {

namespace {

std::unexpected<Error> bad(std::string_view text, const std::string& why) {
  return fail(Fault::bad_input, "publish '" + std::string(text) + "': " + why,
              "write [[ADDRESS:][HOST_PORT]:]PORT[/tcp|/udp], as in 8080:80, 80 or 127.0.0.1:5353:53/udp");
}

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0 || text[0] == '0') return std::nullopt;
  return port;
}

}  // namespace

Result<Publish> parse_publish(std::string_view text) {
  Publish publish;
  std::string_view rest = text;
  if (const size_t slash = rest.find('/'); slash != rest.npos) {
    const std::string_view protocol = rest.substr(slash + 1);
    if (protocol != "tcp" && protocol != "udp") return bad(text, "'" + std::string(protocol) + "' is neither tcp nor udp");
    publish.protocol = protocol == "udp" ? Protocol::udp : Protocol::tcp;
    rest = rest.substr(0, slash);
  }
  std::vector<std::string_view> parts;
  const bool brackets = rest.starts_with('[');
  if (brackets) {
    const size_t end = rest.find("]:");
    if (end == rest.npos) return bad(text, "an IPv6 address is in brackets, and a colon behind them");
    parts.push_back(rest.substr(1, end - 1));
    rest.remove_prefix(end + 2);
  }
  for (size_t colon; (colon = rest.find(':')) != rest.npos; rest.remove_prefix(colon + 1))
    parts.push_back(rest.substr(0, colon));
  if (parts.size() > 2) return bad(text, "that has too many parts");
  if (brackets && parts.size() < 2) return bad(text, "a host port, or nothing and a colon, comes behind the address");
  const auto port = parse_port(rest);
  if (!port) return bad(text, "'" + std::string(rest) + "' is no port (1 to 65535)");
  publish.port = *port;
  if (!parts.empty() && !parts.back().empty()) {
    const auto host_port = parse_port(parts.back());
    if (!host_port)
      return bad(text, "'" + std::string(parts.back()) + "' is no port (1 to 65535; none at all for one that is free)");
    publish.host_port = *host_port;
  }
  if (parts.size() == 2) {
    const auto address = parse_address(parts[0]);
    if (!address || brackets != (address->ip == Ip::v6)) return bad(text, "'" + std::string(parts[0]) + "' is no address");
    publish.address = *address;
  }
  return publish;
}

namespace {

std::string host_address(const Publish& publish) {
  const std::string text = to_text(publish.address);
  return publish.address.ip == Ip::v6 ? "[" + text + "]" : text;
}

}  // namespace

std::string to_text(const Publish& publish) {
  const std::string host = publish.host_port ? std::to_string(publish.host_port) : "";
  return host_address(publish) + ":" + host + ":" + std::to_string(publish.port) + "/" + std::string(to_text(publish.protocol));
}

std::string host_end(const Publish& publish) {
  return host_address(publish) + ":" + std::to_string(publish.host_port) + "/" + std::string(to_text(publish.protocol));
}

}  // namespace bailey::network
