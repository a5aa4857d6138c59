// Shared networks: who is on one together reach each other, and nobody else does, whoever dies and whoever comes next.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <tuple>

#include "network/bridge/link.h"
#include "network/lease.h"
#include "network/members.h"
#include "tests/network/shared.h"
#include "tests/support/temp_dir.h"

namespace bailey::network::tests {
namespace {

TEST_F(SharedTest, PeersReachEachOtherAndNobodyElseReachesThem) {
  const Sandbox one = guarded(member(0)), two = guarded(member(1)), other = guarded(member(2, {"any"})),
                plain = guarded(3, {"any", "private", "10.201.0.3"});
  listen(two.netns, {"10.201.0.3"}, {80, 53});
  listen(one.netns, {"10.201.0.2"}, {80});
  EXPECT_EQ(connect_to(one.netns, "10.201.0.3", 80), kShut);
  EXPECT_TRUE(meet(0, 1));
  for (const int port : {80, 53}) EXPECT_EQ(connect_to(one.netns, "10.201.0.3", port), kOpen) << port << ruleset();
  EXPECT_EQ(connect_to(two.netns, "10.201.0.2", 80), kOpen);
  EXPECT_EQ(connect_to(one.netns, "10.201.0.3", 81), kShut) << "nobody listens, and it learns so at once";
  EXPECT_TRUE(answers_ping(one.netns, "10.201.0.3"));
  const Fd server = serve(two.netns, "10.201.0.3", 90, SOCK_DGRAM);
  EXPECT_EQ(send_datagram(one.netns, "10.201.0.3", 90), 0);
  EXPECT_EQ(sender_of(server).value_or(Sender()).address, "10.201.0.2") << "it sees who talks";
  for (const Sandbox* from : {&other, &plain}) {
    EXPECT_EQ(connect_to(from->netns, "10.201.0.3", 80), kShut);
    EXPECT_EQ(send_datagram(from->netns, "10.201.0.3", 90), 0);
    EXPECT_FALSE(answers_ping(from->netns, "10.201.0.3", kNothingMs));
  }
  for (const Netns* from : {&host_, &outside_}) EXPECT_NE(connect_to(*from, "10.201.0.3", 80, kNothingMs), kOpen);
  EXPECT_FALSE(arrives(server, kNothingMs));
  for (const char* address : {"10.201.0.4", "10.201.0.5", "10.201.0.1", "203.0.113.1"})
    EXPECT_EQ(connect_to(one.netns, address, 22), kShut) << address;
  for (Firewall& firewall : firewalls_) EXPECT_EQ(must(firewall.denials()).frames, 0u);
}

TEST_F(SharedTest, PeersReachEachOtherByIpv6WhereBothHaveIt) {
  add_ipv6();
  must(bridge_.add_ipv6(socket_, {}));
  const Sandbox one = guarded(member(0)), two = guarded(member(1)), other = guarded(member(2));
  listen(two.netns, {"fdba:11e7:5a3c::3"}, {80});
  EXPECT_EQ(connect_to(one.netns, "fdba:11e7:5a3c::3", 80), kShut);
  EXPECT_TRUE(meet(0, 1));
  EXPECT_EQ(connect_to(one.netns, "fdba:11e7:5a3c::3", 80), kOpen) << ruleset();
  EXPECT_TRUE(answers_ping(one.netns, "fdba:11e7:5a3c::3"));
  const Fd server = serve(two.netns, "fdba:11e7:5a3c::3", 90, SOCK_DGRAM);
  EXPECT_EQ(send_large_datagram(one.netns, "fdba:11e7:5a3c::3", 90, 4000), 0) << "in fragments";
  EXPECT_TRUE(arrives(server, kSoonMs));
  EXPECT_EQ(connect_to(other.netns, "fdba:11e7:5a3c::3", 80), kShut);
  EXPECT_NE(connect_to(outside_, "fdba:11e7:5a3c::3", 80, kNothingMs), kOpen);
  FirewallSpec old = member(5);
  old.address6.reset();
  firewalls_.push_back(must(Firewall::create(old)));
  EXPECT_TRUE(must(firewalls_[0].meet(5, bridge_.address(0), bridge_.address(5))));
  EXPECT_FALSE(must(firewalls_[0].meet(5, bridge_.address(0, Ip::v6), bridge_.address(5, Ip::v6)))) << "it has none";
}

// One side is left with a stale peer, or was made to have one: that lets nobody in.
TEST_F(SharedTest, ItTakesTheConsentOfBoth) {
  const Sandbox one = guarded(member(0)), two = guarded(member(1)), plain = guarded(2, {"any"});
  EXPECT_FALSE(meet(0, 2)) << "on no shared network";
  EXPECT_FALSE(meet(0, 9)) << "nobody";
  EXPECT_EQ(run(host_, {"nft", "list", "set", "inet", "bailey-0", "peers_db"}).find("10.201.0.4"), std::string::npos);
  for (const std::string address : {"10.201.0.3", "10.201.0.4"}) nft("add element inet bailey-0 peers_db { " + address + " }");
  for (const auto& [from, to, address] : {std::tuple(&one, &two, "10.201.0.3"), std::tuple(&two, &one, "10.201.0.2"),
                                          std::tuple(&one, &plain, "10.201.0.4"), std::tuple(&plain, &one, "10.201.0.2")}) {
    const Fd server = serve(to->netns, address, 90, SOCK_DGRAM), stream = serve(to->netns, address, 80, SOCK_STREAM);
    EXPECT_EQ(send_datagram(from->netns, address, 90), 0);
    EXPECT_NE(connect_to(from->netns, address, 80, kNothingMs), kOpen) << address;
    EXPECT_FALSE(arrives(server, kNothingMs)) << address;
  }
  EXPECT_TRUE(meet(1, 0));
  listen(two.netns, {"10.201.0.3"}, {80});
  EXPECT_EQ(connect_to(one.netns, "10.201.0.3", 80), kOpen) << "it was the other's consent";
}

// Who was found as a member has ended before it is met, and somebody of another network has its slot.
TEST_F(SharedTest, WhoHasAMembersSlotMeanwhileIsNotMet) {
  FirewallSpec stranger = member(1);
  stranger.shared = "web";
  const Sandbox one = guarded(member(0)), two = guarded(stranger);
  EXPECT_FALSE(meet(0, 1));
  listen(two.netns, {"10.201.0.3"}, {80});
  EXPECT_EQ(connect_to(one.netns, "10.201.0.3", 80), kShut);
  EXPECT_EQ(connect_to(two.netns, "10.201.0.2", 80), kShut);
}

// The next in the slot of one that was killed has its address, and is on no network or on another one.
TEST_F(SharedTest, TheSuccessorOfAPeerIsNone) {
  for (const bool shares : {false, true}) {
    const Sandbox one = guarded(member(0)), two = guarded(member(1));
    EXPECT_TRUE(meet(0, 1));
    const Fd here = serve(one.netns, "10.201.0.2", 4000, SOCK_DGRAM), there = serve(two.netns, "10.201.0.3", 90, SOCK_DGRAM);
    const auto say = [](const Fd& from, const char* address, int port) {
      const SocketAddress to = socket_address(address, port);
      return sendto(from.get(), "probe", 5, 0, to.get(), to.size) == 5;
    };
    EXPECT_TRUE(say(here, "10.201.0.3", 90));
    EXPECT_TRUE(arrives(there, kSoonMs));
    EXPECT_TRUE(say(there, "10.201.0.2", 4000));
    EXPECT_TRUE(arrives(here, kSoonMs));
    // Worse than a death: the connection stands, and conntrack remembers it.
    for (const char* family : {"inet", "bridge"}) nft(std::string("delete table ") + family + " bailey-1");
    firewalls_[1].forget();
    FirewallSpec next = spec(1, {"any", "private"});
    next.shared = shares ? "web" : "";
    firewalls_.push_back(must(Firewall::create(next)));
    EXPECT_TRUE(say(here, "10.201.0.3", 90));
    EXPECT_FALSE(arrives(there, kNothingMs)) << shares;
    EXPECT_TRUE(say(there, "10.201.0.2", 4000));
    EXPECT_FALSE(arrives(here, kNothingMs)) << shares;
    firewalls_.clear();
    EXPECT_TRUE(say(there, "10.201.0.2", 4000));
    EXPECT_TRUE(arrives(here, kSoonMs)) << "it was the firewall";
  }
}

TEST_F(SharedTest, ConnectionsBetweenPeersEndWithEitherOne) {
  const auto known = [&] { return run(host_, {"cat", "/proc/net/nf_conntrack"}); };
  for (const size_t leaves : {0u, 1u}) {
    const Sandbox one = guarded(member(0)), two = guarded(member(1));
    EXPECT_TRUE(meet(0, 1));
    const Fd server = serve(two.netns, "10.201.0.3", 90, SOCK_DGRAM);
    EXPECT_EQ(send_datagram(one.netns, "10.201.0.3", 90), 0);
    EXPECT_TRUE(arrives(server, kSoonMs));
    EXPECT_NE(known().find("dst=10.201.0.3"), std::string::npos);
    must(firewalls_[leaves].reset());
    EXPECT_EQ(known().find("dst=10.201.0.3"), std::string::npos) << leaves;
    firewalls_.clear();
  }
}

TEST_F(SharedTest, NobodySpeaksInAPeersName) {
  write_sysctl("ipv4/conf/all/rp_filter", "0");
  write_sysctl("ipv4/conf/up0/rp_filter", "0");
  const Sandbox one = guarded(member(0)), two = guarded(member(1)), plain = guarded(2, {"any"});
  EXPECT_TRUE(meet(0, 1));
  const Fd server = serve(two.netns, "10.201.0.3", 90, SOCK_DGRAM);
  const Fd inside = raw_socket(plain.netns, "eth0"), outside = raw_socket(outside_, "net0");
  Datagram forged{bridge_.mac, Bridge::mac_of(2), bridge_.address(0), bridge_.address(1), 90, "probe"};
  send_frame(inside, udp_frame(forged));
  EXPECT_FALSE(arrives(server, kNothingMs));
  EXPECT_EQ(must(firewalls_[2].denials()).frames, 1u);
  const auto link = must(link::find(socket_, "up0"));
  ASSERT_TRUE(link);
  forged.to = link->mac;
  send_frame(outside, udp_frame(forged));
  EXPECT_FALSE(arrives(server, kNothingMs)) << "from beyond the host";
  must(firewalls_[1].reset());
  send_frame(outside, udp_frame(forged));
  EXPECT_TRUE(arrives(server, kSoonMs)) << "it was the firewall";
}

TEST_F(SharedTest, NobodyIsToldToGoPastTheGateway) {
  const Sandbox one = guarded(member(0)), two = guarded(member(1));
  EXPECT_TRUE(meet(0, 1));
  const Fd server = serve(two.netns, "10.201.0.3", 90, SOCK_DGRAM), seen = raw_socket(one.netns, "eth0");
  const std::string redirect("\x0a\xc9\x00\x03\x45\x00",
                             6);  // the other as the better gateway, and the packet that it is about
  EXPECT_EQ(send_datagram(one.netns, "10.201.0.3", 90), 0);
  EXPECT_TRUE(arrives(server, kSoonMs));
  EXPECT_FALSE(frame_arrives(seen, redirect, kNothingMs));
  for (Firewall& firewall : firewalls_) must(firewall.reset());
  EXPECT_EQ(send_datagram(one.netns, "10.201.0.3", 90), 0);
  EXPECT_TRUE(frame_arrives(seen, redirect, kSoonMs)) << "it was the firewall";
}

TEST_F(SharedTest, ALimitOfConnectionsIsForPeersToo) {
  FirewallSpec limited = member(0, {"any"});
  limited.connections = 2;
  const Sandbox one = guarded(limited), two = guarded(member(1));
  EXPECT_TRUE(meet(0, 1));
  listen(two.netns, {"10.201.0.3"}, {80});
  listen(one.netns, {"10.201.0.2"}, {80});
  listen(outside_, {"203.0.113.2"}, {80});
  const Fd first = connected(one.netns, "10.201.0.3", 80), second = connected(one.netns, "203.0.113.2", 80);
  EXPECT_TRUE(first && second);
  for (const char* address : {"10.201.0.3", "203.0.113.2"}) EXPECT_EQ(connect_to(one.netns, address, 80), kShut) << address;
  EXPECT_EQ(connect_to(two.netns, "10.201.0.2", 80), kOpen) << "that is the other's";
}

TEST_F(SharedTest, NeedsForwarding) {
  write_sysctl("ipv4/ip_forward", "0");
  const auto refused = Firewall::create(member(0));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().remedy.find("sysctl -w net.ipv4.ip_forward=1"), std::string::npos) << refused.error().remedy;
}

class JoiningTest : public SharedTest {
 protected:
  void SetUp() override {
    SharedTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    directory_ = Fd(::open(place_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  void TearDown() override {
    directory_.reset();
    SharedTest::TearDown();
  }
  static LeaseSpec wish(const std::string& shared) {
    LeaseSpec result;
    result.bridge.name = "joined0";
    result.shared = shared;
    return result;
  }
  static Lease joined(const std::string& shared, int directory) {
    Lease lease = must(Lease::reserve(wish(shared), directory));
    must(lease.connect(wish(shared)));
    return lease;
  }
  // How many peers that slot's filter knows.
  size_t peers_of(uint32_t slot, const std::string& network = "db") {
    const std::string set = run(host_, {"nft", "list", "set", "inet", "bailey-" + std::to_string(slot), "peers_" + network});
    const size_t begin = set.find("elements = {");
    return begin == set.npos ? 0 : 1 + static_cast<size_t>(std::ranges::count(set.substr(begin), ','));
  }
  // A child takes port and filter away.
  void wait_until_left(size_t firewalls) {
    const auto deadline = clock::Deadline::in_ms(60'000);
    while (must(Firewall::tables(nft_)).size() > 2 * firewalls && !deadline.passed()) ::poll(nullptr, 0, 10);
  }

  bailey::tests::TempDir place_;
  Fd directory_;
};

TEST_F(JoiningTest, ManyWhoJoinAtOnceAllMeet) {
  constexpr size_t kMany = 24;
  Pipe told = must(create_pipe()), held = must(create_pipe()), begin = must(create_pipe());
  std::vector<pid_t> children;
  for (size_t i = 0; i < kMany; ++i) {
    children.push_back(fork());
    if (children.back() != 0) continue;
    begin.write.reset();
    held.write.reset();
    auto lease = Lease::reserve(wish("db"), directory_.get());
    char byte = 0;
    (void)!read(begin.read.get(), &byte, 1);
    const uint32_t slot = lease ? lease->slot() : 0;
    const auto connected = lease ? lease->connect(wish("db")) : Result<>(std::unexpected(lease.error()));
    if (!connected) fprintf(stderr, "%s\n", connected.error().message.c_str());
    const uint32_t answer = connected ? slot : UINT32_MAX;
    (void)!write(told.write.get(), &answer, sizeof answer);
    (void)!read(held.read.get(), &byte, 1);
    _exit(lease && lease->reset() ? 0 : 1);
  }
  begin.write.reset();
  std::vector<uint32_t> slots(kMany);
  for (uint32_t& slot : slots) ASSERT_EQ(read(told.read.get(), &slot, sizeof slot), static_cast<ssize_t>(sizeof slot));
  for (const uint32_t slot : slots) {
    ASSERT_NE(slot, UINT32_MAX);
    EXPECT_EQ(peers_of(slot), kMany - 1) << slot;
  }
  held.write.reset();
  for (const pid_t child : children) {
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  wait_until_left(0);
}

TEST_F(JoiningTest, KnowsTheNamesOfWhoWasThereBefore) {
  const auto joined_as = [&](const std::string& shared, const std::string& host) {
    LeaseSpec spec = wish(shared);
    spec.host = host;
    Lease lease = must(Lease::reserve(spec, directory_.get()));
    must(lease.connect(spec));
    return lease;
  };
  const auto known = [](const Lease& lease) {
    std::string text;
    for (const Lease::Neighbour& one : lease.neighbours()) text += one.host + "=" + to_text(one.address) + " ";
    return text;
  };
  const Lease first = joined_as("db", "Db"), second = joined_as("db", "db"), nameless = joined_as("db", "a.b"),
              other = joined_as("web", "elsewhere"), last = joined_as("db", "client");
  EXPECT_EQ(known(first), "");
  EXPECT_EQ(known(second), "db=" + to_text(first.address()) + " ");
  EXPECT_EQ(known(last), "db=" + to_text(first.address()) + " ") << "the first one has the name";
  EXPECT_EQ(known(other), "");
}

TEST_F(JoiningTest, MeetsWhoLivesAndIsOfThatNetworkOnly) {
  Lease one = joined("db", directory_.get()), two = joined("web", directory_.get()), three = joined("db", directory_.get()),
        plain = joined("", directory_.get());
  EXPECT_EQ(peers_of(one.slot()), 1u);
  EXPECT_EQ(peers_of(two.slot(), "web"), 0u);
  EXPECT_EQ(peers_of(three.slot()), 1u);
  const Fd server = serve(three.netns(), to_text(three.address()), 80, SOCK_STREAM);
  EXPECT_EQ(connect_to(one.netns(), to_text(three.address()), 80), kOpen);
  for (const Lease* from : {&two, &plain}) EXPECT_EQ(connect_to(from->netns(), to_text(three.address()), 80), kShut);
  must(one.reset());  // a child has its slot for a while
  const Lease four = joined("db", directory_.get());
  EXPECT_EQ(peers_of(four.slot()), 1u) << "the one that ended is not met again";
  EXPECT_EQ(connect_to(four.netns(), to_text(three.address()), 80), kOpen);
  wait_until_left(4);
}

TEST(Members, AreCalledByNamesThatAreNothingElse) {
  for (const auto& [hostname, label] : {std::pair("db", "db"), {"Db-1", "db-1"}, {"x", "x"}, {"d0", "d0"}})
    EXPECT_EQ(label_of(hostname), label) << hostname;
  EXPECT_EQ(label_of(std::string(63, 'x')), std::string(63, 'x'));
  for (const char* none : {"", "db.example", "db.", "-db", "db-", "d_b", "10", "0x7f", "1db", "localhost", "LOCALHOST",
                           "ip6-localhost", "ip6-loopback", "bailey", "d b", "d\tb", "d\nb", "d#b", "d\xc3\xa4"})
    EXPECT_EQ(label_of(none), "") << none;
  EXPECT_EQ(label_of(std::string(64, 'x')), "");
}

TEST(Members, CountWhileTheirSlotIsHeld) {
  const bailey::tests::TempDir place;
  const Fd directory(::open(place.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_TRUE(Members::clear(directory.get(), 3)) << "there never was one";
  Members members = must(Members::open(directory.get(), "slots"));
  auto first = must(Slot::take_number(directory.get(), "slots", 3)),
       second = must(Slot::take_number(directory.get(), "slots", 9));
  must(members.enter(3, "bailey0/db", "db1"));
  must(members.enter(9, "bailey0/db", ""));
  must(members.enter(1000, "bailey0/db", "nobody has that slot"));
  const auto hosts = [&](const char* network, uint32_t self) {
    std::string text;
    for (const Member& one : must(members.others(network, self))) text += std::to_string(one.slot) + one.host + " ";
    return text;
  };
  EXPECT_EQ(hosts("bailey0/db", 5), "3db1 9 ");
  EXPECT_EQ(hosts("bailey0/db", 3), "9 ");
  for (const char* other : {"bailey0/d", "bailey0/db2", "bailey1/db", ""}) EXPECT_EQ(hosts(other, 5), "") << other;
  second.reset();
  EXPECT_EQ(hosts("bailey0/db", 5), "3db1 ");
  second = must(Slot::take_number(directory.get(), "slots", 9));
  must(Members::clear(directory.get(), 9));
  EXPECT_EQ(hosts("bailey0/db", 5), "3db1 ") << "another one has the slot now";
  must(members.enter(1, "bailey0/db", "later"));
  const auto third = must(Slot::take_number(directory.get(), "slots", 1));
  EXPECT_EQ(hosts("bailey0/db", 5), "3db1 1later ") << "who came first is first";
  must(Members::clear(directory.get(), 1));
  EXPECT_FALSE(members.enter(3, std::string(56, 'x'), ""));
  EXPECT_FALSE(members.enter(3, "bailey0/db", std::string(64, 'x')));
  EXPECT_EQ(hosts("bailey0/db", 5), "3db1 ");
}

}  // namespace
}  // namespace bailey::network::tests
