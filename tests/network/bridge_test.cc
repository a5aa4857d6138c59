// The bridge and its ports on the real kernel, looked at with `ip` and `bridge`, which know nothing of how they were made.
#include "network/bridge/bridge.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/files.h"
#include "base/json.h"
#include "network/bridge/link.h"
#include "tests/network/networks.h"
#include "tests/support/temp_dir.h"

namespace bailey::network::tests {
namespace {

using Subnets = std::vector<Subnet>;

bool has(const std::string& text, const std::string& needle) { return text.find(needle) != std::string::npos; }

TEST(BridgeSubnet, IsTheFirstThatTheHostHasNoRouteInto) {
  EXPECT_EQ(to_text(*free_subnet({})), "10.201.0.0/22");
  EXPECT_EQ(to_text(*free_subnet({*parse_subnet("10.201.3.7"), *parse_subnet("10.201.4.0/24")})), "10.201.8.0/22");
  EXPECT_EQ(to_text(*free_subnet({*parse_subnet("10.0.0.0/8")})), "172.29.0.0/22");
  EXPECT_EQ(to_text(*free_subnet({*parse_subnet("10.0.0.0/8"), *parse_subnet("172.16.0.0/12")})), "192.168.192.0/22");
  EXPECT_FALSE(free_subnet({*parse_subnet("10.0.0.0/8"), *parse_subnet("172.16.0.0/12"), *parse_subnet("192.168.0.0/16")}));
  EXPECT_TRUE(check_subnet(*parse_subnet("10.9.0.0/24"), {*parse_subnet("10.8.0.0/16")}));
  const auto taken = check_subnet(*parse_subnet("10.9.0.0/24"), {*parse_subnet("10.9.0.128/25")});
  ASSERT_FALSE(taken);
  EXPECT_TRUE(has(taken.error().message, "10.9.0.0/24 overlaps the host's route to 10.9.0.128/25")) << taken.error().message;
  for (const char* size : {"10.0.0.0/15", "10.9.0.0/30"}) EXPECT_FALSE(check_subnet(*parse_subnet(size), {})) << size;
}

TEST(BridgeSubnet, GivesEachSlotAnAddressOfItsOwnWithinTheRange) {
  for (const char* text : {"10.9.0.0/29", "10.9.0.0/22", "10.9.0.0/16"}) {
    const Bridge bridge{"b", 1, {}, *parse_subnet(text)};
    const uint32_t last = bridge.capacity() - 1;
    EXPECT_TRUE(bridge.subnet.contains(bridge.address(0)) && bridge.subnet.contains(bridge.address(last + 1))) << text;
    EXPECT_NE(bridge.address(0), bridge.gateway());
    EXPECT_NE(Bridge::mac_of(0), Bridge::mac_of(last));
    EXPECT_EQ(Bridge::mac_of(last)[0] & 3, 2);  // of local making, for one receiver
  }
}

class BridgeTest : public NetworkTest {};

TEST_F(BridgeTest, IsMadeOnceAndFoundAgain) {
  EXPECT_EQ(to_text(bridge_.subnet), "10.201.0.0/22");
  const auto again = Bridge::ensure(socket_, {}, owner_);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->index, bridge_.index);
  EXPECT_EQ(again->subnet, bridge_.subnet);
  const std::string link = run(host_, {"ip", "-d", "address", "show", "bailey0"});
  for (const char* word :
       {"inet 10.201.0.1/22", "stp_state 0", "mcast_snooping 0", "02:ba:11:00:00:01", "alias bailey 0:1:2\n", ",UP"})
    EXPECT_TRUE(has(link, word)) << word << " in " << link;
  EXPECT_FALSE(has(link, "inet6")) << link;
  EXPECT_FALSE(Bridge::ensure(socket_, {"bailey0", *parse_subnet("10.9.0.0/24")}, owner_)) << "it has another range";
}

TEST_F(BridgeTest, RefusesARangeThatTheHostHasARouteInto) {
  const auto refused = Bridge::ensure(socket_, {"other0", *parse_subnet("203.0.113.128/25")}, owner_);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(has(refused.error().message, "203.0.113.0/24")) << refused.error().message;
  // And by itself it goes around them, its own first bridge included.
  const auto other = Bridge::ensure(socket_, {"other1", {}}, owner_);
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ(to_text(other->subnet), "10.201.4.0/22");
}

TEST_F(BridgeTest, TouchesNoLinkThatBaileyDidNotMake) {
  run(host_, {"ip", "link", "add", "theirs", "type", "bridge"});
  const auto refused = Bridge::ensure(socket_, {"theirs", {}}, owner_);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(has(refused.error().message, "is no bridge of Bailey's")) << refused.error().message;
  EXPECT_FALSE(has(run(host_, {"ip", "address", "show", "theirs"}), "inet "));
}

// Their locks say nothing about each other: both would give out the same slots.
TEST_F(BridgeTest, IsTheOneRuntimeDirectorysThatMadeIt) {
  const bailey::tests::TempDir first, second;
  const Fd one = must(files::open(first.path(), O_RDONLY | O_DIRECTORY)),
           two = must(files::open(second.path(), O_RDONLY | O_DIRECTORY));
  const Fd again =
      must(files::open(first.path() + "/../" + first.path().substr(first.path().rfind('/')), O_RDONLY | O_DIRECTORY));
  const Bridge bridge = must(Bridge::ensure(socket_, {"shared0", {}}, must(Owner::of(one.get()))));
  EXPECT_TRUE(has(run(host_, {"ip", "link", "show", "shared0"}), "alias " + bridge.mark + " " + first.path() + "\n"));
  EXPECT_TRUE(Bridge::ensure(socket_, {"shared0", {}}, must(Owner::of(again.get())))) << "the same by another path";
  const Owner other = must(Owner::of(two.get()));
  const auto refused = Bridge::ensure(socket_, {"shared0", {}}, other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::unavailable);
  EXPECT_TRUE(has(refused.error().message, "another runtime directory (" + first.path() + " to them)"))
      << refused.error().message;
  EXPECT_TRUE(has(refused.error().remedy, "ip link delete shared0")) << refused.error().remedy;
  EXPECT_FALSE(Bridge::find(socket_, {"shared0", {}}, other));
}

TEST_F(BridgeTest, CompletesWhatAKilledMakerLeft) {
  must(socket_.send(link::create_bridge("half0", {2, 0, 0, 0, 0, 9})));
  must(socket_.send(link::set_alias("half0", owner_.mark)));
  const auto half = Bridge::ensure(socket_, {"half0", {}}, owner_);
  ASSERT_TRUE(half) << half.error().message;
  const std::string link = run(host_, {"ip", "address", "show", "half0"});
  EXPECT_TRUE(has(link, "inet " + to_text(half->gateway())) && has(link, ",UP")) << link;
  EXPECT_FALSE(has(link, "inet6")) << link;
}

TEST_F(BridgeTest, APortTrustsNobodyAndNeedsNoArp) {
  const Sandbox one = sandbox(0);
  const std::string port = run(host_, {"bridge", "-d", "link", "show", "dev", "bly0"});
  for (const char* word : {"isolated on", "learning off", " flood off", "mcast_flood off", "bcast_flood off", "guard on"})
    EXPECT_TRUE(has(port, word)) << word << " in " << port;
  EXPECT_TRUE(has(run(host_, {"bridge", "fdb", "show", "dev", "bly0"}), "02:ba:11:00:00:02 master bailey0 static"));
  EXPECT_TRUE(has(run(host_, {"ip", "neighbour", "show"}), "10.201.0.2 dev bailey0 lladdr 02:ba:11:00:00:02 PERMANENT"));
  EXPECT_FALSE(has(run(host_, {"ip", "-6", "address", "show", "dev", "bly0"}), "inet6"));

  const std::string inside = run(one.netns, {"ip", "address", "show"});
  EXPECT_TRUE(has(inside, "inet 10.201.0.2/32") && has(inside, "127.0.0.1/8") && has(inside, "02:ba:11:00:00:02")) << inside;
  EXPECT_FALSE(has(run(one.netns, {"ip", "-6", "address", "show", "dev", "eth0"}), "inet6"));
  EXPECT_TRUE(has(run(one.netns, {"ip", "route", "show"}), "default via 10.201.0.1 dev eth0"));
  EXPECT_TRUE(has(run(one.netns, {"ip", "neighbour", "show"}), "10.201.0.1 dev eth0 lladdr 02:ba:11:00:00:01 PERMANENT"));

  const Fd server = serve(host_, "10.201.0.1", 8080, SOCK_STREAM), reached = serve(one.netns, "10.201.0.2", 80, SOCK_STREAM);
  const Fd listener = raw_socket(host_, "bailey0");
  EXPECT_EQ(connect_to(one.netns, "10.201.0.1", 8080), 0);
  EXPECT_EQ(connect_to(host_, "10.201.0.2", 80), 0);
  EXPECT_EQ(connect_to(one.netns, "127.0.0.1", 80), ECONNREFUSED) << "lo is up";
  EXPECT_FALSE(frame_arrives(listener, std::string("\x08\x06\x00\x01", 4), 50)) << "somebody asked by ARP";
}

// What a workload may: name the link and no way, and every address counts as one on the link.
void send_past_the_routes(const Netns& from, int count) {
  must(from.run([count]() -> Result<> {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    EXPECT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, "eth0", 5), 0);
    EXPECT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_DONTROUTE, &on, sizeof on), 0);
    for (int i = 1; i <= count; ++i) {
      const SocketAddress to = socket_address("192.0.2." + std::to_string(i), 9);
      (void)::sendto(socket.get(), "x", 1, 0, to.get(), to.size);
    }
    return {};
  }));
}

// The kernel has one table of neighbours for all namespaces, and what is still being asked for cannot be taken back when it is
// full: the host would find no neighbours of its own.
TEST_F(BridgeTest, ASandboxFillsNoTableOfNeighbours) {
  const Sandbox one = sandbox(0);
  send_past_the_routes(one.netns, 20);
  const std::string entries = run(one.netns, {"ip", "neighbour", "show"});
  EXPECT_FALSE(has(entries, "INCOMPLETE")) << entries;
  EXPECT_TRUE(has(entries, "10.201.0.1 dev eth0 lladdr 02:ba:11:00:00:01 PERMANENT")) << entries;
  // The same, with the search switched on again.
  run(one.netns, {"ip", "ntable", "change", "name", "arp_cache", "dev", "eth0", "mcast_probes", "3"});
  run(one.netns, {"ip", "neighbour", "flush", "dev", "eth0", "nud", "failed"});
  send_past_the_routes(one.netns, 20);
  EXPECT_TRUE(has(run(one.netns, {"ip", "neighbour", "show"}), "INCOMPLETE")) << "control";
}

TEST_F(BridgeTest, PortsDoNotReachEachOther) {
  const Sandbox one = sandbox(0), two = sandbox(1);
  const Fd server = serve(two.netns, "10.201.0.3", 80, SOCK_DGRAM);
  // One knows the other's hardware address, and that it is not behind the gateway only, as an attacker would.
  run(one.netns, {"ip", "route", "add", "10.201.0.3", "dev", "eth0"});
  run(one.netns, {"ip", "neighbour", "add", "10.201.0.3", "lladdr", "02:ba:11:00:00:03", "dev", "eth0", "nud", "permanent"});
  EXPECT_EQ(send_datagram(one.netns, "10.201.0.3", 80), 0);
  EXPECT_FALSE(arrives(server, 200));
  // The same, with the lock taken off: it was the lock.
  for (const char* port : {"bly0", "bly1"}) run(host_, {"bridge", "link", "set", "dev", port, "isolated", "off"});
  EXPECT_EQ(send_datagram(one.netns, "10.201.0.3", 80), 0);
  EXPECT_TRUE(arrives(server, 10'000));
}

// Without a wait in create() six of ten are lost, and a connection then takes a second.
TEST_F(BridgeTest, APortLetsTheFirstPacketThrough) {
  const Fd server = serve(host_, "10.201.0.1", 90, SOCK_DGRAM);
  for (int round = 0; round < 10; ++round) {
    const Sandbox one = sandbox(0);
    EXPECT_EQ(send_datagram(one.netns, "10.201.0.1", 90), 0);
    EXPECT_TRUE(arrives(server, 2000)) << round;
  }
}

// An IPv6 address is there at once, and takes what comes a moment later.
TEST_F(BridgeTest, APortLetsTheFirstPacketThroughByIpv6) {
  must(bridge_.add_ipv6(socket_, {}));
  for (int round = 0; round < 10; ++round) {
    const Sandbox one = sandbox(0);
    const Fd server = serve(one.netns, "fdba:11e7:5a3c::2", 90, SOCK_DGRAM);
    EXPECT_EQ(send_datagram(host_, "fdba:11e7:5a3c::2", 90), 0);
    EXPECT_TRUE(arrives(server, 2000)) << round;
  }
}

TEST_F(BridgeTest, APortGoesWithItsOwnerOrItsSandbox) {
  {
    const Sandbox one = sandbox(0);
    EXPECT_TRUE(must(link::find(socket_, "bly0")));
  }
  EXPECT_FALSE(must(link::find(socket_, "bly0")));
  Sandbox two = sandbox(0);
  Port moved = std::move(two.port);
  EXPECT_TRUE(must(link::find(socket_, "bly0"))) << "moving it removed it";
  run(host_, {"ip", "link", "delete", "bly0"});
  EXPECT_TRUE(moved.reset()) << "somebody else removed it: that is fine";
  EXPECT_TRUE(Port::remove(socket_, 0, owner_));
}

TEST_F(BridgeTest, APortOfAKilledBaileyIsKnownByWhatMadeIt) {
  const auto leave = [this] {
    Sandbox killed = sandbox(0);
    killed.port.forget();
    return std::move(killed.netns);
  };
  {
    const Netns held = leave();
    must(Port::remove(socket_, 0, owner_));
    EXPECT_FALSE(must(link::find(socket_, "bly0")));
  }
  // Its bridge was removed.
  {
    const Netns held = leave();
    run(host_, {"ip", "link", "delete", "bailey0"});
    must(Port::remove(socket_, 0, owner_));
    EXPECT_FALSE(must(link::find(socket_, "bly0")));
    bridge_ = must(Bridge::ensure(socket_, {}, owner_));
  }
  // Another runtime directory's, which may be alive.
  const Netns held = leave();
  EXPECT_FALSE(Port::remove(socket_, 0, {"bailey 0:1:3"}));
  EXPECT_TRUE(must(link::find(socket_, "bly0")));
}

TEST_F(BridgeTest, ALinkThatBaileyDidNotMakeStays) {
  run(host_, {"ip", "link", "add", "theirs", "type", "bridge"});
  const std::vector<std::vector<std::string>> links = {
      {"type", "bridge"},
      {"type", "veth", "peer", "name", "peer0"},
      {"address", "06:ba:11:00:00:02", "type", "bridge"},
      {"address", "06:ba:11:00:00:03", "type", "veth", "peer", "name", "peer0"},  // as of another slot
      {"master", "theirs", "address", "06:ba:11:00:00:02", "type", "veth", "peer", "name", "peer0"},
  };
  for (const auto& what : links) {
    std::vector<std::string> add = {"ip", "link", "add", "bly0"};
    add.insert(add.end(), what.begin(), what.end());
    run(host_, add);
    const auto refused = Port::remove(socket_, 0, owner_);
    ASSERT_FALSE(refused) << what.back();
    EXPECT_EQ(refused.error().fault, Fault::unavailable);
    EXPECT_TRUE(has(refused.error().message, "link bly0 is in the way")) << refused.error().message;
    EXPECT_TRUE(has(refused.error().remedy, "ip link delete bly0")) << refused.error().remedy;
    EXPECT_TRUE(must(link::find(socket_, "bly0")));
    run(host_, {"ip", "link", "delete", "bly0"});
  }
}

// Somebody has removed ours and made another of its name meanwhile.
TEST_F(BridgeTest, APortTakesAwayNothingThatCameInItsPlace) {
  Sandbox one = sandbox(0);
  run(host_, {"ip", "link", "delete", "bly0"});
  run(host_, {"ip", "link", "add", "bly0", "type", "bridge"});
  EXPECT_TRUE(one.port.reset());
  EXPECT_TRUE(must(link::find(socket_, "bly0")));
}

TEST_F(BridgeTest, APortThatCannotBeMadeLeavesNothing) {
  const Netns inside = must(Netns::create());
  run(inside, {"ip", "link", "add", "eth0", "type", "bridge"});
  const auto taken = Port::create(bridge_, {"bly0", "eth0", 0}, inside);
  ASSERT_FALSE(taken);
  EXPECT_TRUE(has(taken.error().message, "creating link bly0")) << taken.error().message;
  EXPECT_FALSE(must(link::find(socket_, "bly0")));
  EXPECT_FALSE(Port::create(bridge_, {"bly0", "eth0", 0}, host_)) << "the host's own namespace";
  EXPECT_FALSE(Port::create(bridge_, {"a-name-too-long-for-a-link", "eth1", 0}, inside));
  EXPECT_FALSE(Port::create(bridge_, {"bly0", "eth1", bridge_.capacity()}, inside));
  // The pair is made and its wiring fails, at its very end: the pair goes as well.
  const Netns routed = must(Netns::create());
  run(routed, {"ip", "link", "add", "other", "type", "bridge"});
  run(routed, {"ip", "link", "set", "other", "up"});
  run(routed, {"ip", "route", "add", "default", "dev", "other"});
  const auto unrouted = Port::create(bridge_, {"bly0", "eth0", 0}, routed);
  ASSERT_FALSE(unrouted);
  EXPECT_TRUE(has(unrouted.error().message, "adding the route by 10.201.0.1 on eth0")) << unrouted.error().message;
  EXPECT_FALSE(must(link::find(socket_, "bly0")));
  Bridge gone = bridge_;
  gone.index = 9999;
  EXPECT_FALSE(Port::create(gone, {"bly0", "eth1", 0}, inside));
  EXPECT_FALSE(must(link::find(socket_, "bly0")));
}

class NetnsTest : public NetworkTest {};

TEST_F(NetnsTest, IsNewAndTheThreadIsBackInItsOwn) {
  const Netns one = must(Netns::create()), two = must(Netns::create());
  EXPECT_FALSE(must(one.same_as(two)));
  EXPECT_TRUE(must(host_.same_as(must(Netns::of_this_thread()))));
  const auto failed = one.run([]() -> Result<> { return fail(Fault::failed, "inside"); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "inside");
  EXPECT_TRUE(must(host_.same_as(must(Netns::of_this_thread()))));
  EXPECT_FALSE(Netns(Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC))).run([]() -> Result<> { return {}; }));
  EXPECT_TRUE(has(run(one, {"ip", "link"}), "lo: <LOOPBACK>")) << "it is empty but for a loopback that is off";
}

}  // namespace
}  // namespace bailey::network::tests
