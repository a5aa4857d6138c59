// IPv6 of the bridge: who has it, what is reached through the firewall, and who reaches a sandbox by it.
#include <netinet/in.h>

#include <cerrno>

#include "network/bridge/link.h"
#include "tests/network/firewalls.h"

namespace bailey::network::tests {
namespace {

bool has(const std::string& text, const std::string& needle) { return text.find(needle) != std::string::npos; }

constexpr int kOpen = 0, kShut = ECONNREFUSED;
constexpr const char *kGateway = "fdba:11e7:5a3c::1", *kFirst = "fdba:11e7:5a3c::2", *kOutside = "2001:db8:113::2";

TEST(BridgeSubnet, OfIpv6IsChosenLikeIpv4s) {
  EXPECT_EQ(to_text(*free_subnet({}, Ip::v6)), "fdba:11e7:5a3c::/64");
  EXPECT_EQ(to_text(*free_subnet({*parse_subnet("fdba:11e7:5a3c::/63"), *parse_subnet("10.0.0.0/8")}, Ip::v6)),
            "fdba:11e7:5a3c:2::/64");
  EXPECT_FALSE(free_subnet({*parse_subnet("fd00::/8")}, Ip::v6));
  for (const char* fit : {"fd00:1::/64", "2001:db8::/48", "2001:db8::/112"})
    EXPECT_TRUE(check_subnet(*parse_subnet(fit), {})) << fit;
  for (const char* unfit : {"fd00::/32", "fd00:1::/120", "fe80::/64", "ff05::/64", "64:ff9b::/96", "::/64"})
    EXPECT_FALSE(check_subnet(*parse_subnet(unfit), {})) << unfit;
  EXPECT_FALSE(check_subnet(*parse_subnet("fd00:1::/64"), {*parse_subnet("fd00:1::/32")}));
}

class Ipv6Test : public FirewallTest {
 protected:
  void SetUp() override {
    FirewallTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    add_ipv6();
    must(bridge_.add_ipv6(socket_, {}));
  }
};

TEST_F(Ipv6Test, IsGivenToTheBridgeOnce) {
  EXPECT_EQ(to_text(*bridge_.subnet6), "fdba:11e7:5a3c::/64");
  const std::string link = run(host_, {"ip", "-6", "address", "show", "dev", "bailey0"});
  EXPECT_TRUE(has(link, "inet6 fdba:11e7:5a3c::1/64 scope global")) << link;
  for (const char* word : {"fe80", "tentative"}) EXPECT_FALSE(has(link, word)) << word << " in " << link;
  Bridge again = must(Bridge::ensure(socket_, {}, owner_));
  EXPECT_FALSE(again.subnet6) << "who does not ask for it has none";
  must(again.add_ipv6(socket_, {}));
  EXPECT_EQ(again.subnet6, bridge_.subnet6);
  EXPECT_EQ(must(Bridge::find(socket_, {}, owner_))->subnet6, bridge_.subnet6);
  EXPECT_FALSE(again.add_ipv6(socket_, {.subnet6 = *parse_subnet("fd00:1::/64")})) << "it has another range";
  Bridge other = must(Bridge::ensure(socket_, {"other0", {}, {}}, owner_));
  must(other.add_ipv6(socket_, {"other0", {}, {}}));
  EXPECT_EQ(to_text(*other.subnet6), "fdba:11e7:5a3c:1::/64");
}

TEST_F(Ipv6Test, NeedsNoNeighbourDiscoveryAndLearnsNothing) {
  const Fd listener = raw_socket(host_, "bailey0");
  const Sandbox one = sandbox(0);
  const std::string inside = run(one.netns, {"ip", "-6", "address", "show", "dev", "eth0"});
  EXPECT_TRUE(has(inside, "inet6 fdba:11e7:5a3c::2/128 scope global")) << inside;
  for (const char* word : {"fe80", "tentative", "dynamic"}) EXPECT_FALSE(has(inside, word)) << word << " in " << inside;
  EXPECT_TRUE(has(run(one.netns, {"ip", "-6", "route", "show"}), "default via fdba:11e7:5a3c::1 dev eth0"));
  for (const Netns* end : {static_cast<const Netns*>(&host_), &one.netns})
    EXPECT_TRUE(has(run(*end, {"ip", "-6", "neighbour", "show"}), " PERMANENT")) << "each end knows the other";
  EXPECT_FALSE(has(run(host_, {"ip", "-6", "address", "show", "dev", "bly0"}), "inet6"));
  listen(host_, {kGateway}, {8080});
  listen(one.netns, {kFirst}, {80});
  EXPECT_EQ(connect_to(one.netns, kGateway, 8080), kOpen);
  EXPECT_EQ(connect_to(host_, kFirst, 80), kOpen);
  std::string seen;
  EXPECT_FALSE(frame_arrives(listener, "nothing has this in it", kNothingMs, &seen));
  // Ethernet's type, then IPv6 with what comes next in its 7th byte, and ICMPv6's type behind its 40 bytes.
  for (size_t at = seen.find("\x86\xdd\x60"); at != seen.npos; at = seen.find("\x86\xdd\x60", at + 1)) {
    const int type = static_cast<uint8_t>(seen.at(at + 42));
    EXPECT_FALSE(seen.at(at + 8) == IPPROTO_ICMPV6 && type >= 133 && type <= 137) << type;
  }
}

TEST_F(Ipv6Test, IsNotThereForWhoDidNotAskForIt) {
  bridge_.subnet6.reset();  // as Bridge::ensure() answers
  const Sandbox one = guarded(0, {"any"});
  EXPECT_FALSE(has(run(one.netns, {"ip", "-6", "address", "show", "dev", "eth0"}), "inet6"));
  EXPECT_EQ(connect_to(one.netns, kOutside, 80), ENETUNREACH);
}

TEST_F(Ipv6Test, AnyOpensAllButTheClosedRanges) {
  const std::vector<std::string> closed = {"fd77::2", "fd00:ec2::254", "64:ff9b::a4d:2", "2002:a4d:2::1"};
  listen(outside_, {kOutside, "2001:db8:9::9", "203.0.113.2"}, {80, 9999});
  listen(outside_, closed, {80});
  const Sandbox one = guarded(0, {"any"});
  for (const char* address : {kOutside, "2001:db8:9::9", "203.0.113.2"})
    for (const int port : {80, 9999}) EXPECT_EQ(connect_to(one.netns, address, port), kOpen) << address << ":" << port;
  for (const std::string& address : closed) EXPECT_EQ(connect_to(one.netns, address, 80), kShut) << address;
  EXPECT_EQ(connect_to(one.netns, kOutside, 53), kShut) << "names are the resolver's";
  const Denials denials = must(firewalls_[0].denials());
  EXPECT_EQ(denials.packets, 5u);
  EXPECT_EQ(denials.frames, 0u) << "what its kernel tells of itself is no forgery";
  std::string told;
  for (const auto& one_of : denials.first) told += to_text(one_of.address) + " " + std::to_string(one_of.port) + "\n";
  EXPECT_TRUE(has(told, "fd00:ec2::254 80\n") && has(told, "2001:db8:113::2 53\n")) << told;
}

TEST_F(Ipv6Test, PrivateOpensUniqueLocalAddressesButTheBridges) {
  listen(outside_, {kOutside, "fd77::2", "10.77.0.2"}, {80});
  const Sandbox one = guarded(0, {"private"}), two = guarded(1, {});
  listen(two.netns, {"fdba:11e7:5a3c::3"}, {80});
  EXPECT_EQ(connect_to(one.netns, "fd77::2", 80), kOpen);
  EXPECT_EQ(connect_to(one.netns, "10.77.0.2", 80), kOpen);
  EXPECT_EQ(connect_to(one.netns, kOutside, 80), kShut);
  EXPECT_NE(connect_to(one.netns, "fdba:11e7:5a3c::3", 80, kNothingMs), kOpen) << "another sandbox, by way of the gateway";
}

TEST_F(Ipv6Test, AGrantWithinAClosedRangeOpensItAndAWiderOneDoesNot) {
  listen(outside_, {kOutside, "fd77::2", "64:ff9b::a4d:2"}, {80, 81});
  const Sandbox one = guarded(0, {"[::/0]:80", "[fd77::/64]:81", "64:ff9b::a4d:2", "0.0.0.0/0"});
  EXPECT_EQ(connect_to(one.netns, kOutside, 80), kOpen);
  EXPECT_EQ(connect_to(one.netns, kOutside, 81), kShut) << "0.0.0.0/0 is of IPv4";
  EXPECT_EQ(connect_to(one.netns, "fd77::2", 81), kOpen);
  EXPECT_EQ(connect_to(one.netns, "fd77::2", 80), kShut);
  EXPECT_EQ(connect_to(one.netns, "64:ff9b::a4d:2", 81), kOpen);
}

TEST_F(Ipv6Test, AGrantIsForItsProtocolAndPortsOnly) {
  listen(outside_, {kOutside, "2001:db8:9::9"}, {80, 81});
  const Fd granted = serve(outside_, kOutside, 443, SOCK_DGRAM), other = serve(outside_, kOutside, 444, SOCK_DGRAM);
  const Sandbox one = guarded(0, {"[2001:db8:113::2]:80", "[2001:db8:113::2]:443/udp", "2001:db8:9::9/icmp"});
  EXPECT_EQ(connect_to(one.netns, kOutside, 80), kOpen);
  EXPECT_EQ(connect_to(one.netns, kOutside, 81), kShut);
  EXPECT_EQ(send_datagram(one.netns, kOutside, 443), 0);
  EXPECT_EQ(send_datagram(one.netns, kOutside, 444), 0);
  EXPECT_EQ(sender_of(granted).value_or(Sender{}).address, "2001:db8:113::1") << "the outside sees the host";
  EXPECT_FALSE(arrives(other, kNothingMs));
  EXPECT_TRUE(answers_ping(one.netns, "2001:db8:9::9"));
  EXPECT_FALSE(answers_ping(one.netns, kOutside, kNothingMs));
  EXPECT_EQ(connect_to(one.netns, "2001:db8:9::9", 80), kShut);
}

TEST_F(Ipv6Test, ANameOpensWhatTheResolverFound) {
  listen(outside_, {"2001:db8:9::9", "fd77::2", "198.51.100.9"}, {443});
  const Sandbox one = guarded(0, {"a.example:443"});
  EXPECT_EQ(connect_to(one.netns, "2001:db8:9::9", 443), kShut);
  for (const char* address : {"2001:db8:9::9", "198.51.100.9", "fd77::2"})
    must(firewalls_[0].admit({{Opening{0, *parse_address(address), 600}}}));
  for (const char* address : {"2001:db8:9::9", "198.51.100.9"})
    EXPECT_EQ(connect_to(one.netns, address, 443), kOpen) << address;
  EXPECT_EQ(connect_to(one.netns, "fd77::2", 443), kShut) << "a name opens no closed range";
}

TEST_F(Ipv6Test, TheHostItselfIsClosedWhateverWasGranted) {
  listen(host_, {"::"}, {22});
  const Fd datagrams = serve(host_, "::", 5353, SOCK_DGRAM);
  const std::vector<std::string> addresses = {kGateway, "fdba:11e7:5a3c::", "2001:db8:113::1"};
  const Sandbox one =
      guarded(0, {"any", "private", "2001:db8:113::1", "fdba:11e7:5a3c::1", "fdba:11e7:5a3c::/64", "2001:db8::/32"});
  for (const std::string& address : addresses) {
    EXPECT_EQ(connect_to(one.netns, address, 22), kShut) << address;
    EXPECT_EQ(send_datagram(one.netns, address, 5353), 0) << address;
    EXPECT_FALSE(answers_ping(one.netns, address, kNothingMs)) << address;
  }
  EXPECT_FALSE(arrives(datagrams, kNothingMs));
  must(firewalls_[0].reset());
  for (const char* address : {kGateway, "2001:db8:113::1"})
    EXPECT_EQ(connect_to(one.netns, address, 22), kOpen) << "it was the firewall";
}

TEST_F(Ipv6Test, NobodyBeginsToTalkToASandbox) {
  FirewallSpec wanted = spec(0, {"any"});
  wanted.published = {{Protocol::tcp, 80}};
  const Sandbox one = guarded(wanted), two = guarded(1, {"any", "private", kFirst});
  listen(one.netns, {kFirst, "10.201.0.2"}, {80});
  EXPECT_EQ(connect_to(host_, "10.201.0.2", 80), kOpen) << "published, and the relay comes by IPv4";
  EXPECT_NE(connect_to(host_, kFirst, 80, kNothingMs), kOpen);
  EXPECT_EQ(send_datagram(host_, kFirst, 91), EPERM) << "the host's own rules drop it";
  EXPECT_EQ(connect_to(outside_, kFirst, 80, kNothingMs), ETIMEDOUT);
  EXPECT_EQ(connect_to(two.netns, kFirst, 80), kShut);
  EXPECT_FALSE(answers_ping(host_, kFirst, kNothingMs));
  for (Firewall& firewall : firewalls_) must(firewall.reset());
  EXPECT_EQ(connect_to(outside_, kFirst, 80), kOpen) << "it was the firewall";
}

// The next sandbox of that slot has the address as well, and conntrack remembers.
TEST_F(Ipv6Test, ConnectionsEndWithTheirFirewall) {
  const Fd server = serve(outside_, kOutside, 90, SOCK_DGRAM);
  const auto say = [&](const Netns& from) { return send_datagram(from, kOutside, 90, 4000); };
  for (const bool killed : {false, true}) {
    if (killed) leave_behind(spec(0, {kOutside}));
    {
      const Sandbox one = killed ? sandbox(0) : guarded(0, {kOutside});
      EXPECT_EQ(say(one.netns), 0);
      EXPECT_TRUE(answer_datagram(server));
      EXPECT_EQ(say(one.netns), 0);
      EXPECT_TRUE(arrives(server, kSoonMs));
    }
    if (!killed) must(firewalls_.back().reset());
    firewalls_.clear();
    const Sandbox next = guarded(0, {});
    EXPECT_EQ(say(next.netns), 0);
    EXPECT_FALSE(arrives(server, kNothingMs)) << (killed ? "left by a killed one" : "ended");
    firewalls_.clear();
  }
}

TEST_F(Ipv6Test, WorksWhereBridgedFramesPassTheHostsPacketFilter) {
  listen(outside_, {kOutside, "fd77::2"}, {80});
  for (const char* value : {"1", "0"}) {
    write_sysctl("bridge/bridge-nf-call-ip6tables", value);
    const Sandbox one = guarded(0, {"any"});
    EXPECT_EQ(connect_to(one.netns, kOutside, 80), kOpen) << value;
    EXPECT_EQ(connect_to(one.netns, "fd77::2", 80), kShut) << value;
    firewalls_.clear();
  }
}

TEST_F(Ipv6Test, ALimitOfConnectionsIsForBothFamilies) {
  listen(outside_, {kOutside, "203.0.113.2"}, {80});
  FirewallSpec wanted = spec(0, {"any"});
  wanted.connections = 2;
  const Sandbox one = guarded(wanted);
  const Fd first = connected(one.netns, kOutside, 80), second = connected(one.netns, "203.0.113.2", 80);
  EXPECT_TRUE(first && second);
  for (const char* address : {kOutside, "203.0.113.2"}) EXPECT_EQ(connect_to(one.netns, address, 80), kShut) << address;
}

TEST_F(Ipv6Test, ThatTheHostDoesNotForwardIsRefusedWithTheRemedy) {
  write_sysctl("ipv6/conf/all/forwarding", "0");
  for (const char* word : {"any", "private", "a.example", "2001:db8::1"}) {
    const auto refused = Firewall::create(spec(0, {word}));
    ASSERT_FALSE(refused) << word;
    EXPECT_TRUE(has(refused.error().message, "net.ipv6.conf.all.forwarding is off")) << refused.error().message;
    EXPECT_TRUE(has(refused.error().remedy, "sysctl -w net.ipv6.conf.all.forwarding=1")) << refused.error().remedy;
  }
  for (const char* word : {"dns", "203.0.113.2"}) EXPECT_TRUE(Firewall::create(spec(0, {word}))) << word;
}

}  // namespace
}  // namespace bailey::network::tests
