#include "network/dns/host_names.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <sstream>

#include "base/files.h"
#include "network/filter/egress.h"

namespace bailey::network {

namespace {

// As resolv.conf(5) counts: MAXNS, and what was MAXDNSRCH.
constexpr size_t kMostServers = 3, kMostDomains = 6;
constexpr unsigned kMostDots = 15;
constexpr size_t kMostResolvConf = size_t{1} << 16, kMostHosts = size_t{1} << 20;

Result<std::string> read_or_nothing(const std::string& path, size_t cap) {
  auto text = files::read(path, cap);
  if (!text && text.error().sys == ENOENT) return std::string();
  return text;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::optional<std::string> domain_of(std::string word) {
  word = lower(std::move(word));
  if (word.ends_with('.')) word.pop_back();
  return is_host_name(word) ? std::optional(std::move(word)) : std::nullopt;
}

void take_option(std::string_view option, ResolvConf& conf) {
  constexpr std::string_view kDots = "ndots:";
  unsigned dots = 0;
  if (!option.starts_with(kDots)) return;
  option.remove_prefix(kDots.size());
  const auto [end, error] = std::from_chars(option.data(), option.data() + option.size(), dots);
  if (error == std::errc() && end == option.data() + option.size()) conf.ndots = std::min(dots, kMostDots);
}

void take_line(std::istringstream words, ResolvConf& conf) {
  std::string keyword, word;
  words >> keyword;
  if (keyword == "nameserver" && words >> word && parse_address(word.substr(0, word.find('%')))) conf.servers.push_back(word);
  if (keyword == "search" || keyword == "domain") {  // the last such line counts
    conf.search.clear();
    while (conf.search.size() < kMostDomains && words >> word && !word.starts_with('#') && !word.starts_with(';'))
      if (auto domain = domain_of(word)) conf.search.push_back(std::move(*domain));
  }
  if (keyword == "options")
    while (words >> word) take_option(word, conf);
}

}  // namespace

Result<ResolvConf> read_resolv_conf(const std::string& path) {
  std::istringstream lines(TRY_WITH(read_or_nothing(path, kMostResolvConf), "looking for name servers"));
  ResolvConf conf;
  for (std::string line; std::getline(lines, line);) take_line(std::istringstream(line), conf);
  std::ranges::stable_partition(conf.servers, [](const std::string& server) { return server.find(':') == server.npos; });
  if (conf.servers.empty()) conf.servers.emplace_back("127.0.0.1");
  if (conf.servers.size() > kMostServers) conf.servers.resize(kMostServers);
  return conf;
}

Result<Hosts> read_hosts(const std::function<bool(std::string_view name)>& wanted, const std::string& path) {
  std::istringstream lines(TRY_WITH(read_or_nothing(path, kMostHosts), "looking for the host's names"));
  Hosts hosts;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string word;
    if (!(words >> word)) continue;
    const auto address = parse_address(word);
    if (!address || lies_behind_no_gateway(*address)) continue;
    while (words >> word) {
      std::string name = lower(word);
      if (name.ends_with('.')) name.pop_back();
      if (!wanted(name)) continue;
      std::vector<Address>& known = hosts[std::move(name)];
      if (std::ranges::find(known, *address) == known.end()) known.push_back(*address);
    }
  }
  return hosts;
}

}  // namespace bailey::network
