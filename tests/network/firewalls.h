// FirewallTest: NetworkTest with firewalls for its sandboxes.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "network/filter/firewall.h"
#include "tests/network/networks.h"

namespace bailey::network::tests {

// A time in which a packet that is let through has long come; nothing is claimed about how long it takes.
constexpr int kNothingMs = 300;
constexpr int kSoonMs = 10'000;

class FirewallTest : public NetworkTest {
 protected:
  void SetUp() override;
  void TearDown() override;

  // For the port and the address that sandbox(slot) has; `egress` as on the command line.
  FirewallSpec spec(uint32_t slot, const std::vector<std::string>& egress) const;
  std::string ruleset() const { return run(host_, {"nft", "list", "ruleset"}); }
  // A sandbox with those grants; its firewall was there before its port, and is until the end of the test.
  Sandbox guarded(const FirewallSpec& wanted);
  Sandbox guarded(uint32_t slot, const std::vector<std::string>& egress) { return guarded(spec(slot, egress)); }
  // Servers until the end of the test.
  void listen(const Netns& where, const std::vector<std::string>& addresses, const std::vector<int>& ports);
  // What is sent is judged by the kernel a little later.
  static Denials wait_for_denials(Firewall& firewall, uint64_t packets);
  // A firewall whose maker was killed.
  static void leave_behind(const FirewallSpec& spec);

  NetlinkSocket nft_;  // of the host
  std::vector<Firewall> firewalls_;
  std::vector<Fd> servers_;
};

}  // namespace bailey::network::tests
