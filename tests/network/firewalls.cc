#include "tests/network/firewalls.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

namespace bailey::network::tests {

void FirewallTest::SetUp() {
  NetworkTest::SetUp();
  if (IsSkipped() || HasFatalFailure()) return;
  BAILEY_REQUIRE("nft");
  nft_ = must(NetlinkSocket::open(NETLINK_NETFILTER));
}

void FirewallTest::TearDown() {
  firewalls_.clear();
  servers_.clear();
  nft_ = NetlinkSocket();
  NetworkTest::TearDown();
}

FirewallSpec FirewallTest::spec(uint32_t slot, const std::vector<std::string>& egress) const {
  FirewallSpec result;
  result.slot = slot;
  result.port = "bly" + std::to_string(slot);
  result.mac = Bridge::mac_of(slot);
  result.address = bridge_.address(slot);
  result.bridge = bridge_;
  if (bridge_.subnet6) result.address6 = bridge_.address(slot, Ip::v6);
  for (const std::string& text : egress) result.egress.push_back(must(parse_grant(text)));
  return result;
}

NetworkTest::Sandbox FirewallTest::guarded(const FirewallSpec& wanted) {
  firewalls_.push_back(must(Firewall::create(wanted)));
  return sandbox(wanted.slot);
}

void FirewallTest::listen(const Netns& where, const std::vector<std::string>& addresses, const std::vector<int>& ports) {
  for (const std::string& address : addresses)
    for (const int port : ports) servers_.push_back(serve(where, address, port, SOCK_STREAM));
}

Denials FirewallTest::wait_for_denials(Firewall& firewall, uint64_t packets) {
  const auto deadline = clock::Deadline::in_ms(kSoonMs);
  for (;;) {
    Denials denials = must(firewall.denials());
    if (denials.packets >= packets || deadline.passed()) return denials;
  }
}

void FirewallTest::leave_behind(const FirewallSpec& spec) {
  const pid_t child = fork();
  if (child == 0) {
    const auto made = Firewall::create(spec);
    _exit(made ? 0 : 1);  // no destructor runs
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
}

}  // namespace bailey::network::tests
