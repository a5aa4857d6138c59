// The firewall as an object on the real kernel: made, removed, left over, and what it counts.
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "network/filter/firewall_rules.h"
#include "tests/network/firewalls.h"

namespace bailey::network::tests {
namespace {

bool denied(const Denials& denials, const std::string& address, uint8_t protocol, uint16_t port, uint64_t packets) {
  return std::ranges::any_of(denials.first, [&](const nft::Destination& one) {
    return to_text(one.address) == address && one.protocol == protocol && one.port == port && one.packets == packets;
  });
}

std::set<uint32_t> slots_of(NetlinkSocket& nft) {
  std::set<uint32_t> slots;
  for (const auto& found : must(Firewall::tables(nft))) slots.insert(*rules::slot_of(found.table));
  return slots;
}

TEST_F(FirewallTest, ReachesAnAddressThatWasGrantedAndNoOther) {
  const Firewall firewall = must(Firewall::create(spec(0, {"203.0.113.2:80"})));
  const Sandbox one = sandbox(0);
  const Fd granted = serve(outside_, "203.0.113.2", 80, SOCK_STREAM);
  const Fd other_port = serve(outside_, "203.0.113.2", 81, SOCK_STREAM);
  const Fd other = serve(outside_, "198.51.100.9", 80, SOCK_STREAM);
  EXPECT_EQ(connect_to(one.netns, "203.0.113.2", 80), 0) << ruleset();
  EXPECT_EQ(connect_to(one.netns, "203.0.113.2", 81), ECONNREFUSED);
  EXPECT_EQ(connect_to(one.netns, "198.51.100.9", 80), ECONNREFUSED);
}

TEST_F(FirewallTest, ClosesAllWhenNothingWasGranted) {
  Firewall firewall = must(Firewall::create(spec(0, {})));
  const Sandbox one = sandbox(0);
  const Fd outside = serve(outside_, "203.0.113.2", 80, SOCK_STREAM),
           datagrams = serve(outside_, "203.0.113.2", 90, SOCK_DGRAM);
  const Fd gateway = serve(host_, "10.201.0.1", 80, SOCK_STREAM), up = serve(host_, "203.0.113.1", 80, SOCK_STREAM);
  for (const char* address : {"203.0.113.2", "10.201.0.1", "203.0.113.1", "169.254.169.254"})
    EXPECT_EQ(connect_to(one.netns, address, 80), ECONNREFUSED) << address;
  EXPECT_EQ(send_datagram(one.netns, "203.0.113.2", 90), 0);
  EXPECT_FALSE(arrives(datagrams, kNothingMs));
  // The same, when the firewall is gone: it was what closed them.
  must(firewall.reset());
  for (const char* address : {"203.0.113.2", "10.201.0.1", "203.0.113.1"})
    EXPECT_EQ(connect_to(one.netns, address, 80), 0) << address;
  EXPECT_EQ(send_datagram(one.netns, "203.0.113.2", 90), 0);
  EXPECT_TRUE(arrives(datagrams, kSoonMs));
}

TEST_F(FirewallTest, ShowsTheOutsideTheHostsAddressOnly) {
  const Firewall firewall = must(Firewall::create(spec(0, {"any"})));
  const Sandbox one = sandbox(0);
  const Fd server = serve(outside_, "203.0.113.2", 90, SOCK_DGRAM);
  // Never from a port of a service of the host's: what answers that port later would be the sandbox's.
  for (const int port : {53, 123, 4500, 31'000, 51'820}) {
    EXPECT_EQ(send_datagram(one.netns, "203.0.113.2", 90, port), 0);
    const Sender seen = sender_of(server).value_or(Sender());
    EXPECT_EQ(seen.address, "203.0.113.1");
    EXPECT_GE(seen.port, 32'768) << ruleset();
    EXPECT_NE(seen.port, port) << "one in 32768, and the sandbox's wish: " << ruleset();
  }
}

TEST_F(FirewallTest, ListsWhatItDenied) {
  Firewall firewall = must(Firewall::create(spec(0, {"203.0.113.2:80"})));
  const Sandbox one = sandbox(0);
  const Denials none = must(firewall.denials());
  EXPECT_EQ(none.packets, 0u);
  EXPECT_TRUE(none.first.empty());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(connect_to(one.netns, "198.51.100.9", 443), ECONNREFUSED);
  EXPECT_EQ(connect_to(one.netns, "203.0.113.1", 22), ECONNREFUSED);
  EXPECT_EQ(send_datagram(one.netns, "192.168.5.5", 53), 0);
  const Denials denials = wait_for_denials(firewall, 5);
  EXPECT_EQ(denials.packets, 5u);
  EXPECT_EQ(denials.first.size(), 3u);
  EXPECT_TRUE(denied(denials, "198.51.100.9", IPPROTO_TCP, 443, 3)) << ruleset();
  EXPECT_TRUE(denied(denials, "203.0.113.1", IPPROTO_TCP, 22, 1)) << ruleset();
  EXPECT_TRUE(denied(denials, "192.168.5.5", IPPROTO_UDP, 53, 1)) << ruleset();
}

TEST_F(FirewallTest, KeepsTheFirst64AndCountsTheRest) {
  Firewall firewall = must(Firewall::create(spec(0, {})));
  const Sandbox one = sandbox(0);
  for (int port = 1; port <= 100; ++port) EXPECT_EQ(connect_to(one.netns, "198.51.100.9", port), ECONNREFUSED);
  const Denials denials = wait_for_denials(firewall, 100);
  EXPECT_EQ(denials.packets, 100u);
  EXPECT_EQ(denials.first.size(), 64u);
  EXPECT_TRUE(denied(denials, "198.51.100.9", IPPROTO_TCP, 1, 1));
}

TEST_F(FirewallTest, LeavesNothing) {
  EXPECT_EQ(ruleset(), "");
  {
    Firewall one = must(Firewall::create(spec(0, {"any", "private", "example.org:443"})));
    const Firewall other = must(Firewall::create(spec(7, {})));
    EXPECT_EQ(slots_of(nft_), (std::set<uint32_t>{0, 7}));
    must(one.reset());
    must(one.reset());
    EXPECT_EQ(slots_of(nft_), std::set<uint32_t>{7});
  }
  EXPECT_EQ(ruleset(), "");
}

TEST_F(FirewallTest, RemovesWhatAKilledBaileyLeft) {
  leave_behind(spec(3, {"any"}));
  run(host_, {"nft", "add", "table", "inet", "bailey-x"});  // somebody else's
  run(host_, {"nft", "add", "table", "inet", "bailey-03"});
  EXPECT_EQ(slots_of(nft_), std::set<uint32_t>{3});
  must(Firewall::remove(nft_, 3, owner_));
  must(Firewall::remove(nft_, 3, owner_));
  EXPECT_TRUE(slots_of(nft_).empty());
  EXPECT_EQ(run(host_, {"nft", "list", "tables"}), "table inet bailey-x\ntable inet bailey-03\n");
}

TEST_F(FirewallTest, ReplacesWhatAKilledBaileyLeft) {
  leave_behind(spec(0, {"any"}));
  Firewall firewall = must(Firewall::create(spec(0, {})));
  const Sandbox one = sandbox(0);
  const Fd server = serve(outside_, "203.0.113.2", 80, SOCK_STREAM);
  EXPECT_EQ(connect_to(one.netns, "203.0.113.2", 80), ECONNREFUSED);
  must(firewall.reset());
  EXPECT_EQ(ruleset(), "");
}

TEST_F(FirewallTest, SaysWhoseItIsToNftAsWell) {
  const Firewall firewall = must(Firewall::create(spec(3, {"any"})));
  for (const char* family : {"inet", "bridge"})
    EXPECT_NE(run(host_, {"nft", "list", "table", family, "bailey-3"}).find("\tcomment \"bailey 0:1:2\"\n"), std::string::npos)
        << ruleset();
  EXPECT_NE(run(host_, {"nft", "-j", "list", "ruleset"}).find("bailey-3"), std::string::npos);
}

// Of one family, without a word or with another owner's: the other family is not taken either, and connections are left alone.
TEST_F(FirewallTest, LeavesATableThatBaileyDidNotMake) {
  for (const std::string words : {"", "mine", "bailey 0:1:22", "bailey 0:1:2x", "a bailey 0:1:2"})
    for (const std::string family : {"inet", "bridge"}) {
      const std::string comment = words.empty() ? "" : "comment \"" + words + "\";";
      run(host_, {"nft", "add table " + family + " bailey-0 { " + comment + " }; add chain " + family + " bailey-0 theirs"});
      const std::string before = ruleset();
      const auto refused = Firewall::create(spec(0, {"any"}));
      ASSERT_FALSE(refused) << before;
      EXPECT_EQ(refused.error().fault, Fault::unavailable);
      EXPECT_NE(refused.error().message.find("table " + family + " bailey-0 is in the way"), std::string::npos)
          << refused.error().message;
      EXPECT_NE(refused.error().remedy.find("nft delete table " + family + " bailey-0`"), std::string::npos);
      EXPECT_TRUE(Firewall::remove(nft_, 0, owner_)) << "there is nothing of ours";
      EXPECT_EQ(ruleset(), before);
      run(host_, {"nft", "delete", "table", family, "bailey-0"});
    }
  EXPECT_TRUE(Firewall::create(spec(0, {"any"})));
}

// One of the two tables is a killed Bailey's and the other one is not: neither is half replaced.
TEST_F(FirewallTest, RemovesOnlyWhatIsItsOwnOfASlot) {
  leave_behind(spec(0, {"any"}));
  run(host_, {"nft", "delete", "table", "bridge", "bailey-0"});
  run(host_, {"nft", "add", "table", "bridge", "bailey-0"});
  const std::string before = ruleset();
  EXPECT_FALSE(Firewall::create(spec(0, {})));
  EXPECT_EQ(ruleset(), before);
  must(Firewall::remove(nft_, 0, owner_));
  EXPECT_EQ(run(host_, {"nft", "list", "tables"}), "table bridge bailey-0\n");
}

// Somebody has removed ours and made another of its name meanwhile.
TEST_F(FirewallTest, DoesNotTakeAwayWhatCameInItsPlace) {
  Firewall firewall = must(Firewall::create(spec(0, {})));
  run(host_, {"nft", "flush", "ruleset"});
  run(host_, {"nft", "add", "table", "inet", "bailey-0"});
  EXPECT_TRUE(firewall.reset());
  EXPECT_EQ(run(host_, {"nft", "list", "tables"}), "table inet bailey-0\n");
}

TEST_F(FirewallTest, RefusesMoreGrantsThanTheKernelTakesAtOnce) {
  std::vector<std::string> many;
  for (int port = 1; port <= 2000; ++port) many.push_back("203.0.113.2:" + std::to_string(port));
  const auto refused = Firewall::create(spec(0, many));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::bad_input);
  EXPECT_NE(refused.error().remedy.find("2000 are too many"), std::string::npos) << refused.error().remedy;
  EXPECT_EQ(ruleset(), "");
  many.resize(300);
  EXPECT_TRUE(Firewall::create(spec(0, many)));
}

TEST_F(FirewallTest, NeedsForwardingForWhatLiesBeyondTheHost) {
  write_sysctl("ipv4/ip_forward", "0");
  const auto refused = Firewall::create(spec(0, {"203.0.113.2:80"}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::unavailable);
  EXPECT_NE(refused.error().remedy.find("sysctl -w net.ipv4.ip_forward=1"), std::string::npos) << refused.error().remedy;
  EXPECT_EQ(ruleset(), "");
  EXPECT_TRUE(Firewall::create(spec(0, {})));
  EXPECT_TRUE(Firewall::create(spec(0, {"dns"})));
}

TEST_F(FirewallTest, RefusesABridgeThatRoutesLoopbackAddresses) {
  for (const std::string link : {"bailey0", "all"}) {
    write_sysctl("ipv4/conf/" + link + "/route_localnet", "1");
    const auto refused = Firewall::create(spec(0, {}));
    ASSERT_FALSE(refused) << link;
    EXPECT_NE(refused.error().message.find("route_localnet"), std::string::npos) << refused.error().message;
    write_sysctl("ipv4/conf/" + link + "/route_localnet", "0");
  }
  EXPECT_TRUE(Firewall::create(spec(0, {})));
}

}  // namespace
}  // namespace bailey::network::tests
