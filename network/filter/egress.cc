#include "network/filter/egress.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <utility>

namespace bailey::network {

namespace {

constexpr Subnet kTen = Subnet::v4(0x0a000000, 8), kTwelve = Subnet::v4(0xac100000, 12), kSixteen = Subnet::v4(0xc0a80000, 16);
constexpr Subnet kUniqueLocal = Subnet::v6(0xfc00ull << 48, 0, 7);  // RFC 4193; fd00:ec2::254 (Amazon's metadata) is one
constexpr Subnet kPrivate[] = {kTen, kTwelve, kSixteen, kUniqueLocal};
// RFC 6890 and what is known of clouds: 169.254.169.254 (most), 100.100.100.200 (Alibaba), 192.0.0.192 (Oracle), 168.63.129.16
// (Azure).
// Of IPv6 also what leads to an IPv4 address by a translator or a tunnel: 64:ff9b::/96 and 64:ff9b:1::/48 (NAT64, both in
// ::/8), 2001::/23 (Teredo among others), 2002::/16 (6to4).
constexpr Subnet kClosed[] = {
    kTen,
    kTwelve,
    kSixteen,
    Subnet::v4(0x64400000, 10),
    Subnet::v4(0xa9fe0000, 16),
    Subnet::v4(0xc0000000, 24),
    Subnet::v4(0xc6120000, 15),
    Subnet::v4(0xa83f8110, 32),
    Subnet::v6(0, 0, 8),
    Subnet::v6(0x0100ull << 48, 0, 64),  // discarded
    Subnet::v6(0x2001ull << 48, 0, 23),
    Subnet::v6(0x2002ull << 48, 0, 16),
    Subnet::v6(0x5f00ull << 48, 0, 16),  // segment identifiers
    kUniqueLocal,
    Subnet::v6(0xfec0ull << 48, 0, 10),  // site-local, as it was once
};
// What is no destination beyond a gateway: this network, loopback, multicast, what is reserved; of IPv6 ::/96 and mapped IPv4
// (both within a closed range), link-local and multicast addresses.
constexpr Subnet kNever[] = {Subnet::v4(0x00000000, 8),          Subnet::v4(0x7f000000, 8),
                             Subnet::v4(0xe0000000, 3),          Subnet::v6(0, 0, 96),
                             Subnet::v6(0, 0xffffull << 32, 96), Subnet::v6(0xfe80ull << 48, 0, 10),
                             Subnet::v6(0xff00ull << 48, 0, 8)};

constexpr std::pair<std::string_view, Grant::Kind> kWords[] = {
    {"any", Grant::Kind::any}, {"private", Grant::Kind::private_ranges}, {"dns", Grant::Kind::dns}};
constexpr std::pair<std::string_view, Protocol> kProtocols[] = {
    {"tcp", Protocol::tcp}, {"udp", Protocol::udp}, {"icmp", Protocol::icmp}};

constexpr const char* kForms =
    "write any, private, dns, ADDRESS[/LENGTH][:PORT[-PORT]][/tcp|/udp|/icmp] (IPv6 before a port in brackets, as in "
    "[2001:db8::1]:443) or NAME[:PORT[-PORT]][/tcp|/udp]";

std::unexpected<Error> bad(std::string_view text, const std::string& why, std::string remedy = kForms) {
  return fail(Fault::bad_input, "egress '" + std::string(text) + "': " + why, std::move(remedy));
}

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0 || text[0] == '0') return std::nullopt;
  return port;
}

bool letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// Where the port's colon is: behind the brackets, if there are any; else an IPv6 address has more than one, none of them a
// port's.
Result<size_t> find_port(std::string_view text, std::string_view rest) {
  if (!rest.starts_with('[')) return std::ranges::count(rest, ':') > 1 ? rest.npos : rest.find(':');
  const size_t end = rest.find(']');
  const bool last = end == rest.npos || end + 1 == rest.size();
  if (end == rest.npos || rest.find(':') > end || (!last && rest[end + 1] != ':'))
    return bad(text, "brackets are for an IPv6 address, and a port may come behind them");
  return last ? rest.npos : end + 1;
}

// Takes "/tcp" and ":80" or ":80-90" off the end of `rest`, and the brackets around an address.
Result<> take_ports(std::string_view text, std::string_view& rest, Grant& grant) {
  bool given = false;
  for (const auto& [word, protocol] : kProtocols)
    if (rest.size() > word.size() && rest.ends_with(word) && rest[rest.size() - word.size() - 1] == '/') {
      grant.protocol = protocol;
      rest.remove_suffix(word.size() + 1);
      given = true;
      break;
    }
  const size_t colon = TRY(find_port(text, rest));
  const std::string_view ports = colon == rest.npos ? "" : rest.substr(colon + 1);
  rest = rest.substr(0, colon);
  if (rest.starts_with('[')) rest = rest.substr(1, rest.size() - 2);
  if (colon == rest.npos) return {};
  const size_t dash = ports.find('-');
  const auto first = parse_port(ports.substr(0, dash));
  const auto last = dash == ports.npos ? first : parse_port(ports.substr(dash + 1));
  if (!first || !last || *first > *last)
    return bad(text, "'" + std::string(ports) + "' is no port (1 to 65535) nor range of ports");
  if (grant.protocol == Protocol::icmp) return bad(text, "icmp has no ports");
  if (!given) grant.protocol = Protocol::tcp;
  grant.first_port = *first;
  grant.last_port = *last;
  return {};
}

// A name that /etc/hosts or a search domain of the host makes one of. A word that was misspelled would be one as well, and
// `any:443` is no host's.
Result<> check_one_label(std::string_view text, const Grant& grant) {
  const std::string word = "'" + grant.name + "'";
  if (grant.name == "localhost")
    return bad(text, word + " is no word of egress: it is the sandbox itself, to which nothing has to be granted");
  for (const auto& [name, kind] : kWords)
    if (grant.name == name)
      return bad(text, word + " is no word of egress with a port or protocol",
                 "write " + std::string(name) + " alone, or the addresses with the port: 0.0.0.0/0:443 is that of every host");
  if (grant.protocol == Protocol::all)
    return bad(
        text, word + " is no word of egress, and a host name without a dot needs a port or protocol",
        "write any, private or dns, or name what is wanted of that host: " + grant.name + ":443 or " + grant.name + "/udp");
  return {};
}

bool covers_ports(const Grant& ceiling, const Grant& grant) {
  if (ceiling.protocol != Protocol::all && ceiling.protocol != grant.protocol) return false;
  if (ceiling.first_port == 0) return true;
  return grant.first_port >= ceiling.first_port && grant.last_port <= ceiling.last_port;
}

bool covers_addresses(const Grant& ceiling, const Subnet& to) {
  const auto holds = [&](const Subnet& range) { return range.contains(to); };
  switch (ceiling.kind) {
    case Grant::Kind::any: return std::ranges::none_of(kClosed, holds);
    case Grant::Kind::private_ranges: return std::ranges::any_of(kPrivate, holds);
    case Grant::Kind::addresses: return ceiling.to.contains(to);
    case Grant::Kind::dns:
    case Grant::Kind::name: return false;
  }
  return false;
}

bool covers_name(const Grant& ceiling, const std::string& name) {
  if (ceiling.kind == Grant::Kind::any) return true;
  if (ceiling.kind != Grant::Kind::name) return false;
  if (!name.starts_with("*.")) return matches(ceiling, name);
  return ceiling.name == name || (ceiling.name.starts_with("*.") && matches(ceiling, name.substr(2)));
}

}  // namespace

std::string_view to_text(Protocol protocol) {
  for (const auto& [word, value] : kProtocols)
    if (value == protocol) return word;
  return "all";
}

Result<Grant> parse_grant(std::string_view text) {
  Grant grant;
  for (const auto& [word, kind] : kWords)
    if (text == word) {
      grant.kind = kind;
      return grant;
    }
  std::string_view rest = text;
  TRY(take_ports(text, rest, grant));
  const size_t slash = rest.find('/');
  const bool number =
      !rest.empty() && (rest.find_first_not_of("0123456789.") >= std::min(slash, rest.size()) || rest.find(':') != rest.npos);
  if (number) {
    grant.kind = Grant::Kind::addresses;
    grant.to = TRY_WITH(parse_subnet(rest), "egress '" + std::string(text) + "'");
    const auto never = std::ranges::find_if(kNever, [&](const Subnet& range) { return range.contains(grant.to); });
    if (never != std::end(kNever))
      return bad(text, to_text(*never) + " lies behind no gateway (loopback, multicast or reserved)",
                 "name an address of another host");
    return grant;
  }
  grant.kind = Grant::Kind::name;
  grant.name = std::string(rest);
  for (char& c : grant.name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (grant.name.ends_with('.')) grant.name.pop_back();
  std::string_view host = grant.name;
  if (host.starts_with("*.")) host.remove_prefix(2);
  if (!is_host_name(host)) return bad(text, "'" + std::string(rest) + "' is neither an address nor a host name");
  if (host.find('.') == host.npos && !grant.name.starts_with("*.")) TRY(check_one_label(text, grant));
  // The last label of a host name is never a number (RFC 1123 2.1): 010.1 and 0x7f.1 would be addresses to some.
  const std::string_view last = host.substr(host.rfind('.') + 1);
  if (last.find_first_not_of("0123456789") == last.npos || last.starts_with("0x"))
    return bad(text, "'" + std::string(rest) + "' is neither an address nor a host name");
  if (grant.protocol == Protocol::icmp) return bad(text, "a name goes with tcp or udp");
  return grant;
}

std::string to_text(const Grant& grant) {
  for (const auto& [word, kind] : kWords)
    if (kind == grant.kind) return std::string(word);
  std::string text = grant.kind == Grant::Kind::name ? grant.name : to_text(grant.to);
  if (grant.first_port != 0 && text.find(':') != text.npos) text = "[" + text + "]";
  if (grant.first_port != 0) text += ":" + std::to_string(grant.first_port);
  if (grant.last_port != grant.first_port) text += "-" + std::to_string(grant.last_port);
  if (grant.protocol != Protocol::all) text += "/" + std::string(to_text(grant.protocol));
  return text;
}

bool covers(const Grant& ceiling, const Grant& grant) {
  switch (grant.kind) {
    case Grant::Kind::any: return ceiling.kind == Grant::Kind::any;
    case Grant::Kind::dns: return ceiling.kind == Grant::Kind::dns;
    case Grant::Kind::private_ranges: return ceiling.kind == Grant::Kind::private_ranges;
    case Grant::Kind::addresses: return covers_addresses(ceiling, grant.to) && covers_ports(ceiling, grant);
    case Grant::Kind::name: return covers_name(ceiling, grant.name) && covers_ports(ceiling, grant);
  }
  return false;
}

bool covers(std::span<const Grant> ceiling, const Grant& grant) {
  return std::ranges::any_of(ceiling, [&](const Grant& one) { return covers(one, grant); });
}

bool leads_out(const Grant& grant, Ip ip) {
  return grant.kind != Grant::Kind::dns && (grant.kind != Grant::Kind::addresses || grant.to.first.ip == ip);
}

bool matches(const Grant& grant, std::string_view name) {
  if (!grant.name.starts_with("*.")) return grant.name == name;
  const std::string_view below = std::string_view(grant.name).substr(1);  // ".example"
  return name.size() > below.size() && name.ends_with(below);
}

size_t first_of_name(std::span<const Grant> grants, size_t index) {
  const auto same = [&](const Grant& grant) { return grant.kind == Grant::Kind::name && grant.name == grants[index].name; };
  return static_cast<size_t>(std::ranges::find_if(grants, same) - grants.begin());
}

bool is_host_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  while (true) {
    const size_t dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    if (!std::ranges::all_of(label, [](char c) { return letter_or_digit(c) || c == '-' || c == '_'; })) return false;
    if (dot == name.npos) return true;
    name.remove_prefix(dot + 1);
  }
}

bool lies_behind_no_gateway(const Address& address) {
  return std::ranges::any_of(kNever, [&](const Subnet& range) { return range.contains(address); });
}

std::span<const Subnet> private_ranges() { return kPrivate; }
std::span<const Subnet> closed_ranges() { return kClosed; }
std::span<const Subnet> never_ranges() { return kNever; }

}  // namespace bailey::network
