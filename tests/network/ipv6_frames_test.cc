// IPv6 frames that a sandbox has no business to send: a workload with CAP_NET_RAW, or a sentry that was taken over, can.
#include <netinet/in.h>

#include "tests/network/firewalls.h"

namespace bailey::network::tests {
namespace {

constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestination = 60;
constexpr uint8_t kAuthentication = 51, kNothing = 59, kMobility = 135, kHip = 139, kShim6 = 140, kEsp = 50, kIpv6 = 41;
const Mac kAllNodes{0x33, 0x33, 0, 0, 0, 1};

// Headers of RFC 8200 4: options of eight bytes (of padding), a route by one address, and a fragment's.
std::string options_before(uint8_t next) {
  return std::string(1, static_cast<char>(next)) + std::string("\0\x01\x04\0\0\0\0", 7);
}
std::string route_before(uint8_t next, uint8_t type, uint8_t left) {
  const WireAddress by = to_wire(must(parse_address("2001:db8:9::9")));
  return std::string{static_cast<char>(next), 2, static_cast<char>(type), static_cast<char>(left), 0, 0, 0, 0} +
         std::string(by.data(), by.data() + by.size());
}
enum class More { no, yes };
std::string fragment_before(uint8_t next, uint16_t offset, More more, uint8_t id) {
  const uint16_t place = static_cast<uint16_t>(offset | (more == More::yes));
  return std::string{static_cast<char>(next), 0, static_cast<char>(place >> 8), static_cast<char>(place), 0, 0, 0,
                     static_cast<char>(id)};
}

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

// Neither in one fragment, nor where the first ends before what it is.
TEST_F(Ipv6FramesTest, AMessageAboutNeighboursInFragmentsIsDropped) {
  Datagram message = own_;
  message.target = bridge_.gateway(Ip::v6);
  const WireAddress gateway = to_wire(message.target);
  const std::string asked =
      std::string(4, '\0') + std::string(gateway.data(), gateway.data() + gateway.size()) + "\x01\x01" + mac_bytes(own_.from);
  const std::string whole = icmpv6_of(message, 135, asked);
  const auto fragment = [&](uint8_t next, uint16_t offset, More more, uint8_t id, const std::string& part) {
    return ipv6_frame(message, kFragment, fragment_before(next, offset, more, id) + part);
  };
  expect_dropped(fragment(IPPROTO_ICMPV6, 0, More::no, 1, whole), "the only one");
  expect_dropped(fragment(IPPROTO_ICMPV6, 0, More::yes, 2, whole.substr(0, 24)), "the first");
  expect_dropped(fragment(IPPROTO_ICMPV6, 0, More::yes, 3, whole.substr(0, 8)), "a short first");
  expect_dropped(fragment(kDestination, 0, More::yes, 4, options_before(IPPROTO_ICMPV6)), "options only");
  expect_dropped(fragment(kDestination, 8, More::no, 4, whole), "what comes behind them");
  expect_dropped(fragment(kDestination, 0, More::no, 5, options_before(IPPROTO_ICMPV6) + whole), "options and all");
}

TEST_F(Ipv6FramesTest, FragmentsOfWhatIsGrantedPassAndHideNothing) {
  send_frame(raw_, ipv6_frame(own_, kFragment, fragment_before(IPPROTO_UDP, 0, More::no, 1) + udp_of(own_)));
  EXPECT_TRUE(arrives(server_, kSoonMs)) << "the only fragment of what is granted";
  const auto send_in_two = [&](const Datagram& datagram, uint8_t id) {
    const std::string whole = udp_of(datagram);
    for (const More more : {More::yes, More::no}) {
      const std::string part = more == More::yes ? whole.substr(0, 24) : whole.substr(24);
      const uint16_t offset = more == More::yes ? 0 : 24;
      send_frame(raw_, ipv6_frame(datagram, kFragment, fragment_before(IPPROTO_UDP, offset, more, id) + part));
    }
  };
  Datagram longer = own_;
  longer.payload = std::string(100, 'x');
  send_in_two(longer, 2);
  EXPECT_TRUE(arrives(server_, kSoonMs)) << "in two";
  // Another port: judged as a whole.
  const Fd other = serve(outside_, "2001:db8:113::2", 91, SOCK_DGRAM);
  longer.port = 91;
  const uint64_t before = must(firewall_.denials()).packets;
  send_frame(raw_, ipv6_frame(longer, kFragment, fragment_before(IPPROTO_UDP, 0, More::no, 3) + udp_of(longer)));
  send_in_two(longer, 4);
  EXPECT_EQ(wait_for_denials(firewall_, before + 2).packets, before + 2);
  EXPECT_FALSE(arrives(other, kNothingMs));
  EXPECT_EQ(must(firewall_.denials()).frames, 0u);
}

// What a filter would judge by is all in the first one (RFC 7112).
TEST_F(Ipv6FramesTest, AFirstFragmentWithoutTheWholeHeaderIsDropped) {
  const std::string whole = udp_of(own_);
  const auto first = [&](uint8_t next, size_t size) {
    return ipv6_frame(own_, kFragment, fragment_before(next, 0, More::yes, 8) + whole.substr(0, size));
  };
  for (const uint8_t next : std::initializer_list<uint8_t>{IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMPV6})
    expect_dropped(first(next, 8), "eight bytes");
  // Bytes of the frame that are none of the packet's do not count.
  expect_dropped(first(IPPROTO_TCP, 8) + std::string(64, '\0'), "with something behind");
  send_frame(raw_, ipv6_frame(own_, kFragment, fragment_before(IPPROTO_UDP, 8, More::no, 8) + whole.substr(8)));
  EXPECT_FALSE(arrives(server_, kNothingMs)) << "the rest alone";
}

// A host that does as it is told would send the packet on. In every kind of fragment, too.
TEST_F(Ipv6FramesTest, RoutingHeadersAreDropped) {
  const std::string udp = udp_of(own_);
  uint8_t id = 16;
  for (const uint8_t type : std::initializer_list<uint8_t>{0, 2, 3, 4, 254})
    for (const uint8_t left : std::initializer_list<uint8_t>{0, 1}) {
      const std::string route = route_before(IPPROTO_UDP, type, left), text = std::to_string(type) + "/" + std::to_string(left);
      const auto drop = [&](uint8_t next, const std::string& behind, const char* what) {
        expect_dropped(ipv6_frame(own_, next, behind), (text + " " + what).c_str());
      };
      drop(kRouting, route + udp, "plain");
      drop(kDestination, options_before(kRouting) + route + udp, "behind options");
      drop(kFragment, fragment_before(kRouting, 0, More::no, ++id) + route + udp, "behind a fragment header");
      drop(kFragment, fragment_before(kRouting, 0, More::yes, ++id) + route, "in the first fragment");
      drop(kFragment, fragment_before(kRouting, 24, More::no, id) + udp, "and what comes behind");
      drop(kFragment, fragment_before(kRouting, 0, More::yes, ++id) + route.substr(0, 8), "cut by the first fragment");
      drop(kFragment, fragment_before(kRouting, 8, More::no, id) + route.substr(8) + udp, "and its rest");
      drop(kFragment, fragment_before(kDestination, 0, More::yes, ++id) + options_before(kRouting), "in the second fragment");
      drop(kFragment, fragment_before(kDestination, 8, More::no, id) + route + udp, "the second fragment");
      const std::string whole = fragment_before(kRouting, 0, More::no, ++id);
      drop(kFragment, fragment_before(kFragment, 0, More::no, id) + whole + route + udp, "behind two");
      // Where the fragments disagree, the first one's word counts for the whole.
      drop(kFragment, fragment_before(kRouting, 0, More::yes, ++id) + route, "only the first one says so");
    }
}

TEST_F(Ipv6FramesTest, ARoutingHeaderLeavesWithoutTheFirewall) {
  firewall_ = {};
  const Fd seen = raw_socket(outside_, "net0");
  const std::string route = route_before(IPPROTO_UDP, 4, 0);
  own_.payload = "with-a-route";
  send_frame(raw_, ipv6_frame(own_, kFragment, fragment_before(kRouting, 0, More::no, 5) + route + udp_of(own_)));
  EXPECT_TRUE(frame_arrives(seen, "with-a-route", kSoonMs));
}

// There is nothing to say in them for what a sandbox may do, and each is one more thing to look through.
TEST_F(Ipv6FramesTest, FurtherHeadersAndOtherProtocolsAreDropped) {
  const std::string udp = udp_of(own_), options = options_before(IPPROTO_UDP);
  const std::string jumbo = std::string(1, IPPROTO_UDP) + std::string("\0\xc2\x04\0\1\0\0", 7);
  for (const uint8_t header : {kHopByHop, kDestination, kAuthentication, kMobility, kHip, kShim6}) {
    expect_dropped(ipv6_frame(own_, header, options + udp), "before what is granted");
    expect_dropped(ipv6_frame(own_, kFragment, fragment_before(header, 0, More::no, header) + options + udp), "in a fragment");
    expect_dropped(ipv6_frame(own_, header, options_before(kFragment) + fragment_before(IPPROTO_UDP, 0, More::no, 9) + udp),
                   "before a fragment");
  }
  expect_dropped(ipv6_frame(own_, kHopByHop, jumbo + udp), "a jumbogram");
  std::string empty = ipv6_frame(own_, kHopByHop, jumbo + udp);
  empty[14 + 4] = empty[14 + 5] = 0;
  expect_dropped(empty, "a jumbogram without a length of its own");
  for (const uint8_t protocol : {kNothing, kEsp, kIpv6, uint8_t{4}, uint8_t{47}, uint8_t{132}, uint8_t{255}})
    expect_dropped(ipv6_frame(own_, protocol, udp), "another protocol");
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
