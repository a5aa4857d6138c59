// IPv6 frames that a sandbox has no business to send: a workload with CAP_NET_RAW, or a sentry that was taken over, can.
#include <netinet/in.h>

#include "tests/network/firewalls.h"

namespace bailey::network::tests {
namespace {

constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestination = 60;
const Mac kAllNodes{0x33, 0x33, 0, 0, 0, 1};

// The attacker in slot 0 may send datagrams to one place outside, its neighbour in slot 1 nothing.
class Ipv6FramesTest : public FirewallTest {
 protected:
  void SetUp() override {
    FirewallTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    add_ipv6();
    must(bridge_.add_ipv6(socket_, {}));
    firewall_ = must(Firewall::create(spec(0, {"[2001:db8:113::2]:90/udp"})));
    other_firewall_ = must(Firewall::create(spec(1, {})));
    attacker_ = sandbox(0);
    neighbour_ = sandbox(1);
    raw_ = raw_socket(attacker_.netns, "eth0");
    server_ = serve(outside_, "2001:db8:113::2", 90, SOCK_DGRAM);
    own_ = {bridge_.mac, Bridge::mac_of(0), bridge_.address(0, Ip::v6), must(parse_address("2001:db8:113::2")), 90, "probe"};
  }
  void TearDown() override {
    for (Fd* held : {&raw_, &server_}) held->reset();
    for (Sandbox* held : {&attacker_, &neighbour_}) *held = {};
    for (Firewall* held : {&firewall_, &other_firewall_}) *held = {};
    FirewallTest::TearDown();
  }
  // The frame goes nowhere and is counted so often; one of the attacker's own goes behind it.
  void expect_dropped(const std::string& frame, const char* what, uint64_t counted = 1) {
    const uint64_t before = must(firewall_.denials()).frames;
    send_frame(raw_, frame);
    send_frame(raw_, udp_frame(own_));  // in order: when this has come, that would have
    EXPECT_TRUE(arrives(server_, kSoonMs)) << what << ": the frame behind it";
    EXPECT_FALSE(arrives(server_, 0)) << what;
    EXPECT_EQ(must(firewall_.denials()).frames, before + counted) << what;
  }
  std::string neighbours_known() const { return run(host_, {"ip", "-6", "neighbour", "show", "dev", "bailey0"}); }

  Firewall firewall_, other_firewall_;
  Sandbox attacker_, neighbour_;
  Fd raw_, server_;
  Datagram own_;
};

TEST_F(Ipv6FramesTest, OnesOwnFramesPass) {
  send_frame(raw_, udp_frame(own_));
  EXPECT_EQ(sender_of(server_).value_or(Sender{}).address, "2001:db8:113::1");
  EXPECT_EQ(must(firewall_.denials()).frames, 0u);
}

TEST_F(Ipv6FramesTest, AnotherSourceAddressIsDropped) {
  for (const char* source : {"fdba:11e7:5a3c::3", "fdba:11e7:5a3c::1", "fe80::1", "::", "::1", "2001:db8:9::9"}) {
    Datagram forged = own_;
    forged.source = must(parse_address(source));
    expect_dropped(udp_frame(forged), source);
  }
}

TEST_F(Ipv6FramesTest, AnotherHardwareAddressIsDropped) {
  for (const Mac& from : {Bridge::mac_of(1), bridge_.mac, Mac{0x02, 1, 2, 3, 4, 5}}) {
    Datagram forged = own_;
    forged.from = from;
    expect_dropped(udp_frame(forged), to_text(from).c_str());
  }
}

TEST_F(Ipv6FramesTest, NothingGoesToTheNeighbour) {
  // Without the isolation of the ports, which would be enough: the firewall is enough as well.
  for (const char* port : {"bly0", "bly1"}) run(host_, {"bridge", "link", "set", "dev", port, "isolated", "off"});
  const Fd server = serve(neighbour_.netns, "fdba:11e7:5a3c::3", 90, SOCK_DGRAM);
  Datagram direct = own_;
  direct.target = bridge_.address(1, Ip::v6);
  direct.to = kAllNodes;
  expect_dropped(udp_frame(direct), "to all");
  direct.to = Bridge::mac_of(1);
  expect_dropped(udp_frame(direct), "to its hardware address");
  EXPECT_FALSE(arrives(server, kNothingMs));
  firewall_ = {};
  other_firewall_ = {};
  send_frame(raw_, udp_frame(direct));
  EXPECT_TRUE(arrives(server, kSoonMs)) << "it was the firewalls";
}

// Each way to say something about neighbours, routers and groups; to all and to the bridge alone, in one's own name.
TEST_F(Ipv6FramesTest, NothingIsSaidAboutTheLink) {
  struct Said {
    const char* what;
    uint8_t type;
    std::string body;
  };
  const auto wire = [](const char* address) {
    const WireAddress bytes = to_wire(must(parse_address(address)));
    return std::string(bytes.data(), bytes.data() + bytes.size());
  };
  const std::string own_mac = mac_bytes(own_.from), zero(4, '\0');
  const Said all[] = {
      {"a router solicitation", 133, zero},
      {"a router advertisement", 134, std::string("\x40\0\x07\x08\0\0\0\0\0\0\0\0", 12) + "\x01\x01" + own_mac},
      {"a neighbour solicitation", 135, zero + wire("fdba:11e7:5a3c::1") + "\x01\x01" + own_mac},
      {"an advertisement for the neighbour", 136, "\x60" + zero.substr(1) + wire("fdba:11e7:5a3c::3") + "\x02\x01" + own_mac},
      {"an advertisement for the gateway", 136, "\x60" + zero.substr(1) + wire("fdba:11e7:5a3c::1") + "\x02\x01" + own_mac},
      {"a redirect", 137, zero + wire("fdba:11e7:5a3c::2") + wire("2001:db8:9::9")},
      {"MLD", 131, zero + wire("ff02::1:ff00:3")},
  };
  const std::string before = neighbours_known();
  for (const Said& said : all)
    for (const bool to_all : {true, false}) {
      Datagram message = own_;
      message.target = must(parse_address(to_all ? "ff02::1" : "fdba:11e7:5a3c::1"));
      if (to_all) message.to = kAllNodes;
      const std::string icmp = icmpv6_of(message, said.type, said.body);
      expect_dropped(ipv6_frame(message, IPPROTO_ICMPV6, icmp), said.what);
      // Behind other headers, which a filter would have to look through.
      const std::string options = std::string(1, IPPROTO_ICMPV6) + std::string("\0\x01\x04\0\0\0\0", 7);
      for (const uint8_t header : {kHopByHop, kDestination})
        expect_dropped(ipv6_frame(message, header, options + icmp), said.what);
      const std::string fragment = std::string(1, IPPROTO_ICMPV6) + std::string("\0\0\0\0\0\0\x07", 7);
      expect_dropped(ipv6_frame(message, kFragment, fragment + icmp), said.what);
    }
  EXPECT_EQ(neighbours_known(), before);
  // Duplicate address detection is from no address at all.
  Datagram probe = own_;
  probe.source = must(parse_address("::"));
  probe.target = must(parse_address("ff02::1:ff00:1"));
  probe.to = {0x33, 0x33, 0xff, 0, 0, 1};
  expect_dropped(ipv6_frame(probe, IPPROTO_ICMPV6, icmpv6_of(probe, 135, zero + wire("fdba:11e7:5a3c::1"))), "DAD");
  // What the kernel inside says of its groups by itself goes nowhere either, and is no forgery.
  expect_dropped(
      ipv6_frame(probe, IPPROTO_ICMPV6, icmpv6_of(probe, 143, std::string("\0\0\0\x01\x04\0\0\0", 8) + wire("ff02::1"))),
      "MLDv2", 0);
}

TEST_F(Ipv6FramesTest, AMessageAboutNeighboursIsTakenWithoutTheFirewall) {
  firewall_ = {};
  Datagram message = own_;
  message.target = bridge_.gateway(Ip::v6);
  const auto wire = [](const Address& address) {
    const WireAddress bytes = to_wire(address);
    return std::string(bytes.data(), bytes.data() + bytes.size());
  };
  const Fd listener = raw_socket(attacker_.netns, "eth0");
  const std::string asked = std::string(4, '\0') + wire(message.target) + "\x01\x01" + mac_bytes(own_.from);
  send_frame(raw_, ipv6_frame(message, IPPROTO_ICMPV6, icmpv6_of(message, 135, asked)));
  EXPECT_TRUE(frame_arrives(listener, wire(message.target) + wire(own_.source) + "\x88", kSoonMs)) << "an advertisement";
}

// The first fragment ends before what it is: the bridge lets both by, and the host's end looks at the whole.
TEST_F(Ipv6FramesTest, AMessageAboutNeighboursInFragmentsIsDenied) {
  Datagram message = own_;
  message.target = bridge_.gateway(Ip::v6);
  const WireAddress gateway = to_wire(message.target);
  const std::string asked =
      std::string(4, '\0') + std::string(gateway.data(), gateway.data() + gateway.size()) + "\x01\x01" + mac_bytes(own_.from);
  const std::string options = std::string(1, IPPROTO_ICMPV6) + std::string("\0\x01\x04\0\0\0\0", 7);
  const std::string first = std::string(1, kDestination) + std::string("\0\0\x01\0\0\0\x09", 7);
  const std::string second = std::string(1, kDestination) + std::string("\0\0\x08\0\0\0\x09", 7);
  const uint64_t before = must(firewall_.denials()).packets;
  send_frame(raw_, ipv6_frame(message, kFragment, first + options));
  send_frame(raw_, ipv6_frame(message, kFragment, second + icmpv6_of(message, 135, asked)));
  const Denials denials = wait_for_denials(firewall_, before + 1);
  EXPECT_EQ(denials.packets, before + 1);
  ASSERT_EQ(denials.first.size(), 1u);
  EXPECT_EQ(to_text(denials.first[0].address) + " " + std::to_string(denials.first[0].protocol), "fdba:11e7:5a3c::1 58");
}

TEST_F(Ipv6FramesTest, FurtherHeadersHideNothing) {
  const std::string udp = udp_of(own_);
  const std::string options = std::string(1, IPPROTO_UDP) + std::string("\0\x01\x04\0\0\0\0", 7);
  send_frame(raw_, ipv6_frame(own_, kDestination, options + udp));
  EXPECT_TRUE(arrives(server_, kSoonMs)) << "options before what is granted";
  const std::string fragment = std::string(1, IPPROTO_UDP) + std::string("\0\0\0\0\0\0\x07", 7);
  send_frame(raw_, ipv6_frame(own_, kFragment, fragment + udp));
  EXPECT_TRUE(arrives(server_, kSoonMs)) << "the only fragment of what is granted";
  // Another port behind the same headers.
  const Fd other = serve(outside_, "2001:db8:113::2", 91, SOCK_DGRAM);
  Datagram closed = own_;
  closed.port = 91;
  const uint64_t before = must(firewall_.denials()).packets;
  send_frame(raw_, ipv6_frame(closed, kDestination, options + udp_of(closed)));
  send_frame(raw_, ipv6_frame(closed, kFragment, fragment + udp_of(closed)));
  EXPECT_EQ(wait_for_denials(firewall_, before + 2).packets, before + 2);
  EXPECT_FALSE(arrives(other, kNothingMs));
  // Two fragments, the first too short for a port.
  const std::string whole = udp_of(closed);
  const std::string first = std::string(1, IPPROTO_UDP) + std::string("\0\0\x01\0\0\0\x08", 7);
  const std::string second = std::string(1, IPPROTO_UDP) + std::string("\0\0\x08\0\0\0\x08", 7);
  send_frame(raw_, ipv6_frame(closed, kFragment, first + whole.substr(0, 8)));
  send_frame(raw_, ipv6_frame(closed, kFragment, second + whole.substr(8)));
  EXPECT_EQ(wait_for_denials(firewall_, before + 3).packets, before + 3);
  EXPECT_FALSE(arrives(other, kNothingMs));
}

TEST_F(Ipv6FramesTest, RoutingHeadersAreDropped) {
  const WireAddress next = to_wire(must(parse_address("2001:db8:9::9")));
  const std::string address(next.data(), next.data() + next.size()), zero(4, '\0');
  for (const char type : {'\0', '\2', '\3', '\4'}) {
    const std::string route = std::string(1, IPPROTO_UDP) + "\x02" + type + "\x01" + zero + address;
    expect_dropped(ipv6_frame(own_, kRouting, route + udp_of(own_)), "a routing header");
    const std::string options = std::string(1, kRouting) + std::string("\0\x01\x04\0\0\0\0", 7);
    expect_dropped(ipv6_frame(own_, kDestination, options + route + udp_of(own_)), "behind options");
  }
}

TEST_F(Ipv6FramesTest, OtherWaysToSendItAreDropped) {
  const std::string packet = udp_frame(own_).substr(14);
  const auto frame = [&](const Mac& to, const std::string& rest) { return mac_bytes(to) + mac_bytes(own_.from) + rest; };
  expect_dropped(frame(bridge_.mac, std::string("\x81\0\0\x01\x86\xdd", 6) + packet), "in a VLAN");
  expect_dropped(frame({0x01, 0x80, 0xc2, 0, 0, 0x0e}, "\x86\xdd" + packet), "in a frame for LLDP");
  expect_dropped(frame(bridge_.mac, std::string("\x08\0", 2) + packet), "as IPv4");
  // A packet of IPv4 that says it is IPv6 is none of either.
  Datagram v4{own_.to, own_.from, bridge_.address(0), must(parse_address("203.0.113.2")), 90, "probe"};
  expect_dropped(frame(bridge_.mac, "\x86\xdd" + udp_frame(v4).substr(14)), "IPv4 as IPv6");
}

}  // namespace
}  // namespace bailey::network::tests
