// What the host itself is told about names: resolv.conf(5) and hosts(5), as far as it holds for sandboxes as well. Read when a
// sandbox is made. No privileges.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "network/ip/address.h"

namespace bailey::network {

struct ResolvConf {
  std::vector<std::string> servers;  // addresses, IPv4 first, three at most; 127.0.0.1 where there is none, as resolv.conf(5)
  std::vector<std::string> search;   // domains, lower case, no dot at the end, six at most
  unsigned ndots = 1;                // within 0 and 15
};
// A file that is missing is an empty one. What is neither an address nor a domain is left out.
Result<ResolvConf> read_resolv_conf(const std::string& path = "/etc/resolv.conf");

// Addresses by name, lower case, in the order of the file.
using Hosts = std::map<std::string, std::vector<Address>, std::less<>>;
// Of the names that `wanted` says. What lies behind no gateway (loopback, as 127.0.1.1 is a Debian host's own, and 0.0.0.0) is
// left out: it would be the sandbox's own there. So is what has a zone. A file of more than 1 MiB is an error; one that is
// missing is an empty one.
Result<Hosts> read_hosts(const std::function<bool(std::string_view name)>& wanted, const std::string& path = "/etc/hosts");

}  // namespace bailey::network
