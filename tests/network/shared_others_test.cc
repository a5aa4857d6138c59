// What others can do to the members of a shared network who talk to each other: a third member, and whoever is beyond the host.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "network/bridge/link.h"
#include "tests/network/shared.h"

namespace bailey::network::tests {
namespace {

// Slots 0 and 1 talk, port 40000 to 90, which is what udp_frame() would forge; hears() when 0 is told of an error.
class ThirdPartyTest : public SharedTest {
 protected:
  void SetUp() override {
    SharedTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    write_sysctl("ipv4/conf/all/rp_filter", "0");
    write_sysctl("ipv4/conf/up0/rp_filter", "0");
    for (uint32_t slot = 0; slot < 3; ++slot) sandboxes_.push_back(guarded(member(slot)));
    for (uint32_t slot = 1; slot < 3; ++slot) EXPECT_TRUE(meet(0, slot));
    EXPECT_TRUE(meet(1, 2));
    talker_ = serve(sandboxes_[0].netns, "10.201.0.2", 40000, SOCK_DGRAM);
    answerer_ = serve(sandboxes_[1].netns, "10.201.0.3", 90, SOCK_DGRAM);
    const SocketAddress to = socket_address("10.201.0.3", 90);
    EXPECT_EQ(connect(talker_.get(), to.get(), to.size), 0);
    EXPECT_EQ(send(talker_.get(), "hello", 5, 0), 5);
    EXPECT_TRUE(answer_datagram(answerer_));
    EXPECT_TRUE(arrives(talker_, kSoonMs));
  }
  void TearDown() override {
    for (Fd* held : {&talker_, &answerer_}) held->reset();
    sandboxes_.clear();
    SharedTest::TearDown();
  }
  bool hears(int ms) {
    pollfd ready{talker_.get(), POLLIN, 0};
    return poll(&ready, 1, ms) == 1;
  }
  std::string said() const { return udp_frame({{}, {}, bridge_.address(0), bridge_.address(1), 90, "said"}); }
  // That the port which was spoken to is closed, from that slot.
  std::string closed(uint32_t slot) const {
    return unreachable_frame({bridge_.mac, Bridge::mac_of(slot), bridge_.address(slot), bridge_.address(0)}, said());
  }

  std::vector<Sandbox> sandboxes_;
  Fd talker_, answerer_;
};

// What does not concern it conntrack calls related all the same.
TEST_F(ThirdPartyTest, APeerTellsOfNoErrorsBetweenOthers) {
  send_frame(raw_socket(sandboxes_[2].netns, "eth0"), closed(2));
  EXPECT_FALSE(hears(kNothingMs));
  send_frame(raw_socket(sandboxes_[1].netns, "eth0"), closed(1));
  EXPECT_TRUE(hears(kSoonMs)) << "who was spoken to may";
}

TEST_F(SharedTest, APeerTellsOfNoErrorsBetweenOthersByIpv6) {
  add_ipv6();
  must(bridge_.add_ipv6(socket_, {}));
  std::vector<Sandbox> sandboxes;
  for (uint32_t slot = 0; slot < 3; ++slot) sandboxes.push_back(guarded(member(slot)));
  for (uint32_t slot = 1; slot < 3; ++slot) EXPECT_TRUE(meet(0, slot));
  EXPECT_TRUE(meet(1, 2));
  const Fd talker = serve(sandboxes[0].netns, "fdba:11e7:5a3c::2", 40000, SOCK_DGRAM);
  Fd answerer = serve(sandboxes[1].netns, "fdba:11e7:5a3c::3", 90, SOCK_DGRAM);
  const SocketAddress to = socket_address("fdba:11e7:5a3c::3", 90);
  const int on = 1;
  EXPECT_EQ(setsockopt(talker.get(), IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on), 0);  // each error
  EXPECT_EQ(connect(talker.get(), to.get(), to.size), 0);
  EXPECT_EQ(send(talker.get(), "hello", 5, 0), 5);
  EXPECT_TRUE(answer_datagram(answerer));
  EXPECT_TRUE(arrives(talker, kSoonMs));
  const auto hears = [&](int ms) {
    pollfd ready{talker.get(), POLLIN, 0};
    return poll(&ready, 1, ms) == 1;
  };
  const std::string said = udp_frame({{}, {}, bridge_.address(0, Ip::v6), bridge_.address(1, Ip::v6), 90, "said"}).substr(14);
  const auto unreachable = [&](uint32_t slot) {
    const Datagram sender{bridge_.mac, Bridge::mac_of(slot), bridge_.address(slot, Ip::v6), bridge_.address(0, Ip::v6)};
    return ipv6_frame(sender, IPPROTO_ICMPV6, icmpv6_of(sender, 1, std::string(4, '\0') + said));
  };
  send_frame(raw_socket(sandboxes[2].netns, "eth0"), unreachable(2));
  EXPECT_FALSE(hears(kNothingMs));
  send_frame(raw_socket(sandboxes[1].netns, "eth0"), unreachable(1));
  EXPECT_TRUE(hears(kSoonMs)) << "who was spoken to may";
}

// Somebody beyond the host with a way to the bridge, who guesses the ports.
TEST_F(ThirdPartyTest, NobodyOutsideEndsWhatPeersSay) {
  const Fd outside = raw_socket(outside_, "net0");
  const Mac up = must(link::find(socket_, "up0"))->mac;
  // Refused in that peer's name, the peer would be told.
  send_frame(outside, udp_frame({up, {2, 0, 0, 0, 0, 2}, bridge_.address(0), bridge_.address(1), 90, "forged"}));
  EXPECT_FALSE(hears(kNothingMs));
  EXPECT_FALSE(arrives(answerer_, 0));
  const std::string error =
      unreachable_frame({up, {2, 0, 0, 0, 0, 2}, *parse_address("203.0.113.2"), bridge_.address(0)}, said());
  send_frame(outside, error);
  EXPECT_FALSE(hears(kNothingMs));
  for (Firewall& firewall : firewalls_) must(firewall.reset());
  EXPECT_EQ(send(talker_.get(), "hello", 5, 0), 5);  // conntrack has forgotten
  EXPECT_TRUE(arrives(answerer_, kSoonMs));
  send_frame(outside, error);
  EXPECT_TRUE(hears(kSoonMs)) << "it was the firewall";
}

}  // namespace
}  // namespace bailey::network::tests
