// What a sandbox reaches through its firewall, for each kind of grant, and who reaches the sandbox.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "tests/network/firewalls.h"

namespace bailey::network::tests {
namespace {

using ReachTest = FirewallTest;

constexpr int kOpen = 0, kShut = ECONNREFUSED;

TEST_F(ReachTest, AnyOpensAllButTheClosedRanges) {
  const std::vector<std::string> closed = {"10.77.0.2", "192.168.5.5", "172.16.9.9", "169.254.169.254"};
  listen(outside_, {"203.0.113.2", "198.51.100.9"}, {80, 9999});
  listen(outside_, closed, {80});
  const Sandbox one = guarded(0, {"any"});
  for (const char* address : {"203.0.113.2", "198.51.100.9"})
    for (const int port : {80, 9999}) EXPECT_EQ(connect_to(one.netns, address, port), kOpen) << address << ":" << port;
  for (const std::string& address : closed) EXPECT_EQ(connect_to(one.netns, address, 80), kShut) << address;
}

TEST_F(ReachTest, PrivateOpensThePrivateRangesOnly) {
  listen(outside_, {"203.0.113.2", "10.77.0.2", "192.168.5.5", "172.16.9.9", "169.254.169.254"}, {80});
  const Sandbox one = guarded(0, {"private"});
  for (const char* address : {"10.77.0.2", "192.168.5.5", "172.16.9.9"})
    EXPECT_EQ(connect_to(one.netns, address, 80), kOpen) << address;
  for (const char* address : {"203.0.113.2", "169.254.169.254"})
    EXPECT_EQ(connect_to(one.netns, address, 80), kShut) << address;
}

TEST_F(ReachTest, AGrantWithinAClosedRangeOpensItAndAWiderOneDoesNot) {
  listen(outside_, {"203.0.113.2", "10.77.0.2", "192.168.5.5", "169.254.169.254"}, {80, 81});
  const Sandbox one = guarded(0, {"0.0.0.0/0:80", "10.77.0.0/16:81", "169.254.169.254:80/tcp"});
  EXPECT_EQ(connect_to(one.netns, "203.0.113.2", 80), kOpen);
  EXPECT_EQ(connect_to(one.netns, "203.0.113.2", 81), kShut);
  EXPECT_EQ(connect_to(one.netns, "10.77.0.2", 81), kOpen);
  EXPECT_EQ(connect_to(one.netns, "10.77.0.2", 80), kShut) << "only the wider grant has this port";
  EXPECT_EQ(connect_to(one.netns, "169.254.169.254", 80), kOpen);
  EXPECT_EQ(connect_to(one.netns, "169.254.169.254", 81), kShut);
  EXPECT_EQ(connect_to(one.netns, "192.168.5.5", 80), kShut);
}

TEST_F(ReachTest, AGrantIsForItsProtocolAndPortsOnly) {
  listen(outside_, {"203.0.113.2"}, {79, 80, 85, 90, 91, 443});
  const Sandbox one = guarded(0, {"203.0.113.2:80-90", "203.0.113.2:443/udp"});
  for (const int port : {80, 85, 90}) EXPECT_EQ(connect_to(one.netns, "203.0.113.2", port), kOpen) << port;
  for (const int port : {79, 91, 443}) EXPECT_EQ(connect_to(one.netns, "203.0.113.2", port), kShut) << port;
  const Fd granted = serve(outside_, "203.0.113.2", 443, SOCK_DGRAM), other = serve(outside_, "203.0.113.2", 80, SOCK_DGRAM);
  EXPECT_EQ(send_datagram(one.netns, "203.0.113.2", 80), 0);
  EXPECT_EQ(send_datagram(one.netns, "203.0.113.2", 443), 0);
  EXPECT_TRUE(arrives(granted, kSoonMs));
  EXPECT_FALSE(arrives(other, kNothingMs));
  EXPECT_FALSE(answers_ping(one.netns, "203.0.113.2", kNothingMs));
}

TEST_F(ReachTest, IcmpIsAGrantOfItsOwn) {
  listen(outside_, {"203.0.113.2", "198.51.100.9"}, {80});
  const Sandbox one = guarded(0, {"203.0.113.2/icmp", "198.51.100.9"});
  EXPECT_TRUE(answers_ping(one.netns, "203.0.113.2"));
  EXPECT_EQ(connect_to(one.netns, "203.0.113.2", 80), kShut);
  EXPECT_TRUE(answers_ping(one.netns, "198.51.100.9")) << "without a protocol all are meant";
  EXPECT_EQ(connect_to(one.netns, "198.51.100.9", 80), kOpen);
  EXPECT_FALSE(answers_ping(one.netns, "10.201.0.1", kNothingMs)) << "the gateway";
}

TEST_F(ReachTest, ANameOpensWhatTheResolverFoundForAWhile) {
  listen(outside_, {"203.0.113.2", "198.51.100.9", "10.77.0.2"}, {80, 443});
  const Sandbox one = guarded(0, {"203.0.113.2:80", "a.example:443", "b.example"});
  Firewall& firewall = firewalls_[0];
  const auto reached = [&](const char* address, int port) { return connect_to(one.netns, address, port); };
  EXPECT_EQ(reached("198.51.100.9", 443), kShut);
  must(firewall.admit({{Opening{1, *parse_address("198.51.100.9"), 600}}}));
  EXPECT_EQ(reached("198.51.100.9", 443), kOpen);
  EXPECT_EQ(reached("198.51.100.9", 80), kShut) << "the name was granted with one port";
  must(firewall.admit({{Opening{2, *parse_address("10.77.0.2"), 600}}}));
  EXPECT_EQ(reached("10.77.0.2", 80), kShut) << "a name opens no closed range";
  // What was said last counts, longer or shorter.
  must(firewall.admit({{Opening{1, *parse_address("198.51.100.9"), 1}}}));
  const auto shuts = [&] {
    const auto deadline = clock::Deadline::in_ms(kSoonMs);
    while (!deadline.passed()) {
      if (reached("198.51.100.9", 443) == kShut) return true;
      ::poll(nullptr, 0, 200);  // nobody accepts, and the queue is short
    }
    return false;
  };
  EXPECT_TRUE(shuts());
  must(firewall.admit({{Opening{1, *parse_address("198.51.100.9"), 600}}}));
  EXPECT_EQ(reached("198.51.100.9", 443), kOpen);
  EXPECT_FALSE(firewall.admit({{Opening{0, *parse_address("198.51.100.9"), 600}}})) << "that grant is no name";
}

// More ports of one name than an answer of the resolver could name one by one.
TEST_F(ReachTest, ANameOpensAllOfItsPortsAtOnce) {
  listen(outside_, {"198.51.100.9"}, {1, 100, 200, 201});
  std::vector<std::string> egress = {"203.0.113.2:80"};
  for (int port = 1; port <= 200; ++port) egress.push_back("a.example:" + std::to_string(port));
  const Sandbox one = guarded(0, egress);
  must(firewalls_[0].admit({{Opening{1, *parse_address("198.51.100.9"), 600}}}));
  for (const int port : {1, 100, 200}) EXPECT_EQ(connect_to(one.netns, "198.51.100.9", port), kOpen) << port;
  EXPECT_EQ(connect_to(one.netns, "198.51.100.9", 201), kShut);
}

TEST_F(ReachTest, TheHostItselfIsClosedWhateverWasGranted) {
  servers_.push_back(serve(host_, "0.0.0.0", 22, SOCK_STREAM));
  servers_.push_back(serve(host_, "127.0.0.1", 6379, SOCK_STREAM));
  const Fd datagrams = serve(host_, "0.0.0.0", 53, SOCK_DGRAM);
  const Sandbox one = guarded(0, {"any", "private", "203.0.113.1", "10.201.0.1", "10.201.0.0/22"});
  for (const char* address : {"10.201.0.1", "203.0.113.1"}) {
    EXPECT_EQ(connect_to(one.netns, address, 22), kShut) << address;
    EXPECT_EQ(connect_to(one.netns, address, 6379), kShut) << address;
    EXPECT_EQ(send_datagram(one.netns, address, 53), 0);
    EXPECT_FALSE(answers_ping(one.netns, address, kNothingMs)) << address;
  }
  EXPECT_FALSE(arrives(datagrams, kNothingMs));
}

TEST_F(ReachTest, OnlyTheResolverAnswersOnTheGateway) {
  FirewallSpec wanted = spec(0, {"dns"});
  wanted.dns_port = 5353;
  servers_.push_back(serve(host_, "10.201.0.1", 5353, SOCK_STREAM));
  servers_.push_back(serve(host_, "203.0.113.1", 5353, SOCK_STREAM));
  servers_.push_back(serve(host_, "203.0.113.1", 53, SOCK_STREAM));
  listen(outside_, {"203.0.113.2"}, {53, 5353});
  const Fd resolver = serve(host_, "10.201.0.1", 5353, SOCK_DGRAM), outside = serve(outside_, "203.0.113.2", 53, SOCK_DGRAM);
  const Sandbox one = guarded(wanted);
  EXPECT_EQ(connect_to(one.netns, "10.201.0.1", 53), kOpen);
  EXPECT_EQ(send_datagram(one.netns, "10.201.0.1", 53), 0);
  EXPECT_EQ(sender_of(resolver).value_or(Sender()).address, "10.201.0.2") << "it sees who asks";
  for (const char* address : {"203.0.113.1", "203.0.113.2"})
    for (const int port : {53, 5353}) EXPECT_EQ(connect_to(one.netns, address, port), kShut) << address << ":" << port;
  EXPECT_EQ(send_datagram(one.netns, "203.0.113.2", 53), 0);
  EXPECT_FALSE(arrives(outside, kNothingMs));
}

TEST_F(ReachTest, NamesAreResolvedByNobodyElseUnlessGrantedByAddress) {
  listen(outside_, {"203.0.113.2", "198.51.100.9", "10.77.0.2"}, {53, 54});
  const Sandbox one = guarded(0, {"any", "private", "198.51.100.9:53"});
  for (const char* address : {"203.0.113.2", "10.77.0.2"}) {
    EXPECT_EQ(connect_to(one.netns, address, 54), kOpen) << address;
    EXPECT_EQ(connect_to(one.netns, address, 53), kShut) << address;
  }
  EXPECT_EQ(connect_to(one.netns, "198.51.100.9", 53), kOpen);
}

TEST_F(ReachTest, NobodyBeginsToTalkToASandbox) {
  FirewallSpec wanted = spec(0, {"any"});
  wanted.published = {{Protocol::tcp, 80}, {Protocol::udp, 90}};
  const Sandbox one = guarded(wanted), two = guarded(1, {"any", "private", "10.201.0.2"});
  for (const int port : {80, 81}) servers_.push_back(serve(one.netns, "10.201.0.2", port, SOCK_STREAM));
  const Fd datagrams = serve(one.netns, "10.201.0.2", 90, SOCK_DGRAM), other = serve(one.netns, "10.201.0.2", 91, SOCK_DGRAM);
  EXPECT_EQ(connect_to(host_, "10.201.0.2", 80), kOpen) << "published";
  EXPECT_NE(connect_to(host_, "10.201.0.2", 81, kNothingMs), kOpen);
  EXPECT_EQ(send_datagram(host_, "10.201.0.2", 90), 0);
  EXPECT_TRUE(arrives(datagrams, kSoonMs));
  EXPECT_EQ(send_datagram(host_, "10.201.0.2", 91), EPERM) << "the host's own rules drop it";
  EXPECT_EQ(connect_to(outside_, "10.201.0.2", 80, kNothingMs), ETIMEDOUT) << "from beyond the host";
  // From another sandbox: by the gateway, as if the other were far away. Isolation of the ports does not stop that.
  EXPECT_EQ(connect_to(two.netns, "10.201.0.2", 80), kShut);
  EXPECT_FALSE(arrives(other, kNothingMs));
}

// The host began to connect and gave up; its port is now a listener's. A SYN from the sandbox belongs to what the host began.
TEST_F(ReachTest, NobodyOpensAConnectionOfTheHostsFromTheOtherEnd) {
  FirewallSpec wanted = spec(0, {});
  wanted.published = {{Protocol::tcp, 80}};
  const Sandbox one = guarded(wanted);
  run(one.netns, {"nft",
                  "add table inet t; add chain inet t i { type filter hook input priority 0; }; "
                  "add rule inet t i tcp flags & (syn | ack) == syn drop"});
  const auto begin = [](const Netns& from, const char* address, uint16_t port, const char* to, uint16_t to_port) {
    Fd socket;
    must(from.run([&]() -> Result<> {
      socket = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      const sockaddr_in own{AF_INET, htons(port), {htonl(static_cast<uint32_t>(parse_address(address)->value))}, {}};
      const sockaddr_in peer{AF_INET, htons(to_port), {htonl(static_cast<uint32_t>(parse_address(to)->value))}, {}};
      EXPECT_EQ(bind(socket.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own), 0);
      EXPECT_NE(connect(socket.get(), reinterpret_cast<const sockaddr*>(&peer), sizeof peer), 0);
      return {};
    }));
    return socket;
  };
  begin(host_, "10.201.0.1", 40000, "10.201.0.2", 80).reset();
  servers_.push_back(serve(host_, "0.0.0.0", 40000, SOCK_STREAM));
  const Fd attack = begin(one.netns, "10.201.0.2", 80, "10.201.0.1", 40000);
  pollfd opened{servers_[0].get(), POLLIN, 0};
  EXPECT_EQ(::poll(&opened, 1, kNothingMs), 0);
}

// The neighbour has no firewall of its own, or one that lets everything by: the sandbox's own still stands.
TEST_F(ReachTest, ASandboxIsClosedByItsOwnFirewallToo) {
  const Sandbox one = guarded(0, {"any"}), two = sandbox(1);
  const Fd server = serve(one.netns, "10.201.0.2", 90, SOCK_DGRAM);
  EXPECT_EQ(send_datagram(two.netns, "10.201.0.2", 90), 0);
  EXPECT_FALSE(arrives(server, kNothingMs));
  must(firewalls_[0].reset());
  EXPECT_EQ(send_datagram(two.netns, "10.201.0.2", 90), 0);
  EXPECT_TRUE(arrives(server, kSoonMs)) << "it was the firewall";
}

// The address is given to the next sandbox of that slot, and conntrack remembers for minutes.
TEST_F(ReachTest, ConnectionsEndWithTheirFirewall) {
  const Fd server = serve(outside_, "203.0.113.2", 90, SOCK_DGRAM);
  const auto say = [&](const Netns& from) { return send_datagram(from, "203.0.113.2", 90, 4000); };
  const auto establish = [&](const Netns& from) {
    EXPECT_EQ(say(from), 0);
    EXPECT_TRUE(answer_datagram(server));
    EXPECT_EQ(say(from), 0);
    EXPECT_TRUE(arrives(server, kSoonMs));
  };
  for (const bool killed : {false, true}) {
    if (killed) {
      leave_behind(spec(0, {"203.0.113.2"}));
      establish(sandbox(0).netns);
    } else {
      establish(guarded(0, {"203.0.113.2"}).netns);
      must(firewalls_.back().reset());
    }
    const Sandbox next = guarded(0, {});
    EXPECT_EQ(say(next.netns), 0);
    EXPECT_FALSE(arrives(server, kNothingMs)) << (killed ? "left by a killed one" : "ended");
    firewalls_.clear();
  }
}

TEST_F(ReachTest, OneSandboxesGrantsAreNotAnothers) {
  listen(outside_, {"203.0.113.2"}, {80, 81});
  const Sandbox one = guarded(0, {"203.0.113.2:80"}), two = guarded(1, {"203.0.113.2:81"});
  const auto check = [&](const char* when) {
    EXPECT_EQ(connect_to(one.netns, "203.0.113.2", 80), kOpen) << when;
    EXPECT_EQ(connect_to(one.netns, "203.0.113.2", 81), kShut) << when;
  };
  check("beside the other");
  EXPECT_EQ(connect_to(two.netns, "203.0.113.2", 81), kOpen);
  EXPECT_EQ(connect_to(two.netns, "203.0.113.2", 80), kShut);
  EXPECT_EQ(must(firewalls_[1].denials()).packets, 1u);
  must(firewalls_[1].reset());
  check("when the other is gone");
}

TEST_F(ReachTest, AFirewallOfTheHostsStillCounts) {
  listen(outside_, {"203.0.113.2"}, {80});
  const Sandbox one = guarded(0, {"any"});
  EXPECT_EQ(connect_to(one.netns, "203.0.113.2", 80), kOpen);
  run(host_, {"nft", "add table inet host; add chain inet host f { type filter hook forward priority 10; policy drop; }"});
  EXPECT_EQ(connect_to(one.netns, "203.0.113.2", 80, kNothingMs), ETIMEDOUT);
}

TEST_F(ReachTest, WorksWhereBridgedFramesPassTheHostsPacketFilter) {
  listen(outside_, {"203.0.113.2", "10.77.0.2"}, {80});
  for (const char* value : {"1", "0"}) {
    write_sysctl("bridge/bridge-nf-call-iptables", value);
    const Sandbox one = guarded(0, {"any"});
    EXPECT_EQ(connect_to(one.netns, "203.0.113.2", 80), kOpen) << value;
    EXPECT_EQ(connect_to(one.netns, "10.77.0.2", 80), kShut) << value;
    firewalls_.clear();
  }
}

TEST_F(ReachTest, ALimitOfConnectionsRefusesTheNextOne) {
  listen(outside_, {"203.0.113.2"}, {80});
  FirewallSpec wanted = spec(0, {"203.0.113.2:80"});
  wanted.connections = 2;
  const Sandbox one = guarded(wanted);
  const auto held = [&] { return connected(one.netns, "203.0.113.2", 80); };
  std::vector<Fd> two;
  two.push_back(held());
  two.push_back(held());
  EXPECT_TRUE(two[0] && two[1]);
  EXPECT_EQ(connect_to(one.netns, "203.0.113.2", 80), kShut);
}

// Each question from a port of its own is a connection for conntrack.
TEST_F(ReachTest, ALimitOfConnectionsHoldsForTheResolverAsWell) {
  constexpr int kMost = 20;
  servers_.push_back(serve(host_, "10.201.0.1", 5353, SOCK_STREAM));
  const Fd resolver = serve(host_, "10.201.0.1", 5353, SOCK_DGRAM);
  listen(outside_, {"203.0.113.2"}, {80});
  const auto questions_taken = [&](const Sandbox& from) {
    int taken = 0;
    for (int i = 0; i < 2 * kMost; ++i) {
      send_datagram(from.netns, "10.201.0.1", 53);
      if (arrives(resolver, i < kMost ? kSoonMs : kNothingMs)) ++taken;
    }
    return taken;
  };
  FirewallSpec wanted = spec(0, {"203.0.113.2:80", "dns"});
  wanted.dns_port = 5353;
  wanted.connections = kMost;
  {
    const Sandbox one = guarded(wanted);
    EXPECT_EQ(questions_taken(one), kMost);
    EXPECT_EQ(must(firewalls_[0].denials()).packets, uint64_t{kMost});
    EXPECT_EQ(connect_to(one.netns, "10.201.0.1", 53), kShut) << "TCP and UDP together";
    EXPECT_EQ(connect_to(one.netns, "203.0.113.2", 80), kOpen) << "connections are counted apart";
    const Denials denials = must(firewalls_[0].denials());
    ASSERT_EQ(denials.first.size(), 2u);
    for (const nft::Destination& refused : denials.first) EXPECT_EQ(refused.port, 53) << to_text(refused.address);
    EXPECT_EQ(connect_to(one.netns, "10.201.0.1", 5353), kShut) << "the resolver's own port";
    send_datagram(one.netns, "10.201.0.1", 5353);
    EXPECT_FALSE(arrives(resolver, kNothingMs));
  }
  firewalls_.clear();
  {
    constexpr int kFew = 16;  // and no fewer for names
    wanted.connections = 2;
    const Sandbox one = guarded(wanted);
    std::vector<Fd> held;
    for (int i = 0; i < kFew; ++i) held.push_back(connected(one.netns, "10.201.0.1", 53));
    for (const Fd& socket : held) EXPECT_TRUE(socket);
    EXPECT_EQ(connect_to(one.netns, "10.201.0.1", 53), kShut) << "by TCP alone";
  }
  firewalls_.clear();
  wanted.connections = std::nullopt;
  EXPECT_EQ(questions_taken(guarded(wanted)), 2 * kMost) << "it was the limit";
}

// Closed ones are not counted, and stay in the host's table for two minutes.
TEST_F(ReachTest, ALimitOfConnectionsHoldsForThoseThatAreOverSoonAsWell) {
  FirewallSpec wanted = spec(0, {"203.0.113.2:80"});
  wanted.connections = 60;  // the kernel looks once a tick which are closed
  const Sandbox one = guarded(wanted);
  const Fd listener = serve(outside_, "203.0.113.2", 80, SOCK_STREAM);
  int open = 0, refused = 0;
  const clock::Deadline begun = clock::Deadline::in_ms(0);
  for (int i = 0; i < 400; ++i) {
    const Fd socket = connected(one.netns, "203.0.113.2", 80);
    if (socket) ++open;
    else ++refused;
    if (socket) Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)).reset();
  }
  const int64_t seconds = (clock::monotonic_ns() - begun.at_ns()) / 1'000'000'000 + 1;
  EXPECT_GE(open, 100) << "at once";
  EXPECT_LE(open, 100 + 100 * seconds + 1);
  EXPECT_TRUE(seconds > 2 || refused > 0);
}

TEST_F(ReachTest, ALimitOfBytesDropsWhatIsMore) {
  const auto passed = [&](std::optional<uint64_t> limit) {
    FirewallSpec wanted = spec(0, {"203.0.113.2:90/udp"});
    wanted.bytes_per_second = limit;
    const Sandbox one = guarded(wanted);
    const Fd server = serve(outside_, "203.0.113.2", 90, SOCK_DGRAM);
    int count = 0;
    // 1 MiB at once, of which 128 KiB and what the time allows may go.
    for (int i = 0; i < 1024; ++i) {
      EXPECT_EQ(send_large_datagram(one.netns, "203.0.113.2", 90, 1024), 0);
      while (arrives(server, 0)) ++count;
    }
    while (arrives(server, kNothingMs)) ++count;
    firewalls_.clear();
    return count;
  };
  const int free = passed(std::nullopt), limited = passed(1000);
  EXPECT_GT(free, 900);
  EXPECT_GT(limited, 50);
  EXPECT_LT(limited, 250);
}

}  // namespace
}  // namespace bailey::network::tests
