// SharedTest: FirewallTest with members of a shared network.
#pragma once

#include <cerrno>
#include <string>
#include <vector>

#include "tests/network/firewalls.h"

namespace bailey::network::tests {

inline constexpr int kOpen = 0, kShut = ECONNREFUSED;

class SharedTest : public FirewallTest {
 protected:
  FirewallSpec member(uint32_t slot, const std::vector<std::string>& egress = {}) const {
    FirewallSpec result = spec(slot, egress);
    result.shared = "db";
    return result;
  }
  // The firewall at that place of firewalls_, and the one of that slot. The sandboxes' slots are their places.
  bool meet(size_t one, uint32_t other) {
    bool met = true;
    for (const Ip ip : {Ip::v4, Ip::v6}) {
      if (ip == Ip::v6 && !bridge_.subnet6) break;
      const auto slot = static_cast<uint32_t>(one);
      met = must(firewalls_[one].meet(other, bridge_.address(slot, ip), bridge_.address(other, ip))) && met;
    }
    return met;
  }
  void nft(const std::string& command) { run(host_, {"nft", command}); }
};

}  // namespace bailey::network::tests
