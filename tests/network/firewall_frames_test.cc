// Frames that a sandbox has no business to send: a workload with CAP_NET_RAW, or a sentry that was taken over, can.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/files.h"
#include "tests/network/firewalls.h"

namespace bailey::network::tests {
namespace {

const Mac kBroadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

// The attacker in slot 0, its neighbour in slot 1, both with firewalls; a listener on the host that asks for port 53.
class FramesTest : public FirewallTest {
 protected:
  void SetUp() override {
    FirewallTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    FirewallSpec wanted = spec(0, {"dns"});
    wanted.dns_port = 5353;
    firewall_ = must(Firewall::create(wanted));
    other_firewall_ = must(Firewall::create(spec(1, {})));
    attacker_ = sandbox(0);
    neighbour_ = sandbox(1);
    raw_ = raw_socket(attacker_.netns, "eth0");
    resolver_ = serve(host_, "10.201.0.1", 5353, SOCK_DGRAM);
    own_ = {bridge_.mac, Bridge::mac_of(0), bridge_.address(0), bridge_.gateway(), 53, "probe"};
  }
  void TearDown() override {
    for (Fd* held : {&raw_, &resolver_}) held->reset();
    for (Sandbox* held : {&attacker_, &neighbour_}) *held = {};
    for (Firewall* held : {&firewall_, &other_firewall_}) *held = {};
    FirewallTest::TearDown();
  }

  // The frame goes nowhere and is counted; one of the attacker's own goes, before and after.
  void expect_dropped(const std::string& frame, const char* what) {
    const uint64_t before = must(firewall_.denials()).frames;
    send_frame(raw_, frame);
    send_frame(raw_, udp_frame(own_));  // in order: when this has come, that would have
    EXPECT_TRUE(arrives(resolver_, kSoonMs)) << what << ": the frame behind it";
    EXPECT_FALSE(arrives(resolver_, 0)) << what;
    EXPECT_EQ(must(firewall_.denials()).frames, before + 1) << what;
  }
  std::string frame(const Mac& to, uint16_t type, const std::string& payload) const {
    std::string result = mac_bytes(to) + mac_bytes(own_.from);
    result += static_cast<char>(type >> 8);
    result += static_cast<char>(type);
    result += payload;
    result.resize(std::max<size_t>(result.size(), 60));
    return result;
  }

  Firewall firewall_, other_firewall_;
  Sandbox attacker_, neighbour_;
  Fd raw_, resolver_;
  Datagram own_;
};

TEST_F(FramesTest, OnesOwnFramesPass) {
  send_frame(raw_, udp_frame(own_));
  EXPECT_EQ(sender_of(resolver_).value_or(Sender()).address, "10.201.0.2");
  EXPECT_EQ(must(firewall_.denials()).frames, 0u);
}

TEST_F(FramesTest, AnotherHardwareAddressIsDropped) {
  Datagram forged = own_;
  forged.from = Bridge::mac_of(1);
  expect_dropped(udp_frame(forged), "the neighbour's");
  forged.from = bridge_.mac;
  expect_dropped(udp_frame(forged), "the bridge's");
  forged.from = {0x02, 1, 2, 3, 4, 5};
  expect_dropped(udp_frame(forged), "anybody's");
  EXPECT_NE(run(host_, {"bridge", "fdb", "show", "br", "bailey0"}).find("02:ba:11:00:00:03 dev bly1 master bailey0 static"),
            std::string::npos)
      << "the bridge still knows where the neighbour is";
}

TEST_F(FramesTest, AnotherSourceAddressIsDropped) {
  Datagram forged = own_;
  for (const char* source : {"10.201.0.3", "10.201.0.1", "127.0.0.1", "203.0.113.2", "0.0.0.0"}) {
    forged.source = *parse_address(source);
    expect_dropped(udp_frame(forged), source);
  }
}

// A list of addresses to go by: where host and who is granted do as they are told (net.ipv4.conf.*.accept_source_route), the
// packet goes on to where nobody looked. No capability is needed for it (ip(7), IP_OPTIONS).
TEST_F(FramesTest, AWayOfTheSendersChoiceIsDropped) {
  firewall_ = {};
  firewall_ = must(Firewall::create(spec(0, {"203.0.113.2:90/udp"})));
  const Fd granted = serve(outside_, "203.0.113.2", 90, SOCK_DGRAM), other = serve(outside_, "198.51.100.9", 90, SOCK_DGRAM);
  for (const char* link : {"all", "bailey0"}) write_sysctl(std::string("ipv4/conf/") + link + "/accept_source_route", "1");
  must(outside_.run([]() -> Result<> {
    for (const char* link : {"all", "net0"})
      TRY(files::write_existing(AT_FDCWD, std::string("/proc/sys/net/ipv4/conf/") + link + "/accept_source_route", "1"));
    return {};
  }));
  const Fd sender = serve(attacker_.netns, "10.201.0.2", 4000, SOCK_DGRAM);
  const auto say = [&](const char* address) {
    const SocketAddress to = socket_address(address, 90);
    EXPECT_EQ(sendto(sender.get(), "probe", 5, 0, to.get(), to.size), 5);
  };
  say("203.0.113.2");
  EXPECT_TRUE(arrives(granted, kSoonMs));
  const uint8_t by_granted[] = {IPOPT_LSRR, 7, 4, 203, 0, 113, 2, IPOPT_END};
  ASSERT_EQ(setsockopt(sender.get(), IPPROTO_IP, IP_OPTIONS, by_granted, sizeof by_granted), 0);
  say("198.51.100.9");
  EXPECT_FALSE(arrives(other, kNothingMs));
  EXPECT_EQ(must(firewall_.denials()).frames, 1u);
  must(firewall_.reset());
  say("198.51.100.9");
  EXPECT_TRUE(arrives(other, kSoonMs)) << "it was the firewall";
}

// The receiver's kernel puts fragments together, and so does conntrack before it judges: those that are cut to hide something
// (RFC 1858) are forged.
TEST_F(FramesTest, ShortFirstFragmentsAndOptionsInFragmentsAreDropped) {
  Datagram longer = own_;
  longer.payload = std::string(100, 'x');
  const std::string udp = udp_frame(longer).substr(14 + 20);
  enum class More { no, yes };
  const auto fragment = [&](size_t first, size_t size, More more, uint16_t id, uint8_t protocol = IPPROTO_UDP,
                            const std::string& options = "") {
    const uint16_t place = static_cast<uint16_t>(first / 8 | (more == More::yes ? IP_MF : 0));
    return ipv4_frame(own_, {protocol, id, place, options}, udp.substr(first, size));
  };
  send_frame(raw_, fragment(0, 24, More::yes, 1));
  send_frame(raw_, fragment(24, std::string::npos, More::no, 1));
  EXPECT_TRUE(arrives(resolver_, kSoonMs)) << "two whole ones";
  for (const uint8_t protocol : std::initializer_list<uint8_t>{IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP}) {
    expect_dropped(fragment(0, 8, More::yes, 2, protocol), "a short first one");
    expect_dropped(fragment(0, 16, More::yes, 3, protocol) + std::string(64, '\0'), "with something behind");
  }
  const std::string no_op(4, '\1');
  expect_dropped(fragment(0, 24, More::yes, 4, IPPROTO_UDP, no_op), "options in the first");
  expect_dropped(fragment(24, std::string::npos, More::no, 4, IPPROTO_UDP, no_op), "options in the second");
  expect_dropped(fragment(0, std::string::npos, More::no, 5, IPPROTO_UDP, no_op), "options in the only one");
}

TEST_F(FramesTest, NothingGoesToTheNeighbour) {
  // Without the isolation of the ports, which would be enough: the firewall is enough as well.
  for (const char* port : {"bly0", "bly1"}) run(host_, {"bridge", "link", "set", "dev", port, "isolated", "off"});
  const Fd server = serve(neighbour_.netns, "10.201.0.3", 53, SOCK_DGRAM);
  Datagram direct = own_;
  direct.to = Bridge::mac_of(1);
  direct.target = bridge_.address(1);
  expect_dropped(udp_frame(direct), "to its hardware address");
  direct.to = kBroadcast;
  expect_dropped(udp_frame(direct), "to all");
  expect_dropped(arp_frame(Bridge::mac_of(1), own_.from, 2, own_.from, bridge_.gateway(), bridge_.address(1)),
                 "an ARP answer that makes the attacker the gateway");
  EXPECT_FALSE(arrives(server, kNothingMs));
  // And the positive: it is the firewalls that stop it.
  firewall_ = {};
  other_firewall_ = {};
  direct.to = Bridge::mac_of(1);
  send_frame(raw_, udp_frame(direct));
  EXPECT_TRUE(arrives(server, kSoonMs));
}

TEST_F(FramesTest, ArpIsForTheGatewayInOnesOwnName) {
  const Fd listener = raw_socket(attacker_.netns, "eth0");
  const std::string answer("\x08\x06\x00\x01\x08\x00\x06\x04\x00\x02", 10);
  send_frame(raw_, arp_frame(kBroadcast, own_.from, 1, own_.from, own_.source, bridge_.gateway()));
  EXPECT_TRUE(frame_arrives(listener, answer, kSoonMs)) << "one may ask for the gateway";
  EXPECT_EQ(must(firewall_.denials()).frames, 0u);
  expect_dropped(arp_frame(kBroadcast, own_.from, 1, own_.from, own_.source, bridge_.address(1)), "asking for the neighbour");
  expect_dropped(arp_frame(kBroadcast, own_.from, 1, own_.from, bridge_.address(1), bridge_.gateway()), "as the neighbour");
  expect_dropped(arp_frame(kBroadcast, own_.from, 2, own_.from, bridge_.gateway(), bridge_.gateway()), "as the gateway");
  expect_dropped(arp_frame(bridge_.mac, own_.from, 2, Bridge::mac_of(1), own_.source, bridge_.gateway()), "for the neighbour");
  expect_dropped(arp_frame(bridge_.mac, own_.from, 8, own_.from, own_.source, bridge_.gateway()), "InARP");
}

TEST_F(FramesTest, OtherProtocolsAreDropped) {
  const std::string inner = udp_frame(own_).substr(14);
  expect_dropped(frame(bridge_.mac, 0x8100, std::string("\0\1\x08\0", 4) + inner), "in a VLAN");
  expect_dropped(frame(bridge_.mac, 0x8100, std::string("\0\0\x08\0", 4) + inner), "with a priority tag, which is VLAN 0");
  expect_dropped(frame(bridge_.mac, 0x88a8, std::string("\0\1\x81\0\0\1\x08\0", 8) + inner), "in two VLANs");
  // A router advertisement: it would make the attacker a router for whoever listens.
  const std::string advertisement = std::string("\x60\0\0\0\0\x10\x3a\xff", 8) + std::string(32, '\1') + "\x86";
  expect_dropped(frame({0x33, 0x33, 0, 0, 0, 1}, 0x86dd, advertisement), "IPv6");
  expect_dropped(frame(bridge_.mac, 0x86dd, advertisement), "IPv6 to the bridge");
  expect_dropped(frame(bridge_.mac, 0x8863, "pppoe"), "PPPoE");
  expect_dropped(frame(bridge_.mac, 0x0026, "llc"), "802.3 with a length");
}

// These go to the port itself, past the hook that the others pass.
TEST_F(FramesTest, FramesForTheBridgesOwnProtocolsAreDropped) {
  for (const uint8_t last : std::initializer_list<uint8_t>{0x00, 0x02, 0x03, 0x0e}) {
    const Mac to{0x01, 0x80, 0xc2, 0, 0, last};
    expect_dropped(frame(to, 0x88cc, "lldp"), "LLDP");
    expect_dropped(frame(to, 0x0800, udp_frame(own_).substr(14)), "IPv4");
    expect_dropped(frame(to, 0x0806, arp_frame(to, own_.from, 1, own_.from, own_.source, bridge_.gateway()).substr(14)), "ARP");
  }
}

// Where the bridge lets LLDP's group by to the port itself, as it does by default, no packet comes to the host that way.
TEST_F(FramesTest, PacketsInFramesForLldpAreDropped) {
  run(host_, {"ip", "link", "set", "bly0", "type", "bridge_slave", "group_fwd_mask", "0"});
  Datagram hidden = own_;
  hidden.to = {0x01, 0x80, 0xc2, 0, 0, 0x0e};
  hidden.port = 5353;
  send_frame(raw_, udp_frame(hidden));
  EXPECT_FALSE(arrives(resolver_, kNothingMs));
  firewall_ = {};
  send_frame(raw_, udp_frame(hidden));
  EXPECT_TRUE(arrives(resolver_, kSoonMs)) << "it was the firewall";
}

// ICMP errors belong to the connection that they tell of, whoever sends them: here one of the host's own.
TEST_F(FramesTest, ErrorsAboutTheConnectionsOfOthersAreDropped) {
  firewall_ = {};
  firewall_ = must(Firewall::create(spec(0, {"any"})));
  const Fd server = serve(outside_, "203.0.113.2", 91, SOCK_DGRAM), victim = serve(host_, "0.0.0.0", 40000, SOCK_DGRAM);
  const sockaddr_in to{AF_INET, htons(91), {htonl(static_cast<uint32_t>(parse_address("203.0.113.2")->value))}, {}};
  EXPECT_EQ(connect(victim.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  EXPECT_EQ(send(victim.get(), "hello", 5, 0), 5);
  EXPECT_TRUE(answer_datagram(server));
  EXPECT_TRUE(arrives(victim, kSoonMs));
  Datagram error = own_;
  error.target = *parse_address("203.0.113.1");
  const std::string told =
      unreachable_frame(error, udp_frame({{}, {}, error.target, *parse_address("203.0.113.2"), 91, "told"}));
  const auto hears = [&](int ms) {
    pollfd ready{victim.get(), POLLIN, 0};
    return poll(&ready, 1, ms) == 1;
  };
  send_frame(raw_, told);
  EXPECT_FALSE(hears(kNothingMs));
  must(firewall_.reset());
  send_frame(raw_, told);
  EXPECT_TRUE(hears(kSoonMs)) << "it was the firewall";
}

TEST_F(FramesTest, OnesOwnFramesGoOnlyToTheSandbox) {
  const Fd listener = raw_socket(neighbour_.netns, "eth0");
  // What the host sends to all, and to the attacker, does not come to the neighbour, even where the bridge would flood it.
  for (const char* option : {"flood", "bcast_flood", "mcast_flood"})
    run(host_, {"bridge", "link", "set", "dev", "bly1", option, "on"});
  const Fd host = raw_socket(host_, "bailey0");
  Datagram sent{kBroadcast, bridge_.mac, bridge_.gateway(), *parse_address("255.255.255.255"), 90, "to-all"};
  send_frame(host, udp_frame(sent));
  sent = {{0x02, 9, 9, 9, 9, 9}, bridge_.mac, bridge_.gateway(), bridge_.address(1), 90, "to-nobody"};
  send_frame(host, udp_frame(sent));
  sent = {Bridge::mac_of(1), bridge_.mac, bridge_.gateway(), bridge_.address(0), 90, "to-another-address"};
  send_frame(host, udp_frame(sent));
  sent = {Bridge::mac_of(1), bridge_.mac, bridge_.gateway(), bridge_.address(1), 90, "its-own"};
  send_frame(host, udp_frame(sent));
  std::string seen;
  EXPECT_TRUE(frame_arrives(listener, "its-own", kSoonMs, &seen));
  for (const char* other : {"to-all", "to-nobody", "to-another-address"}) EXPECT_EQ(seen.find(other), seen.npos) << other;
}

}  // namespace
}  // namespace bailey::network::tests
