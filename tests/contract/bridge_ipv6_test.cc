// The bridge's IPv6: the same promises as for IPv4, when it was asked for.
#include <set>

#include "tests/contract/bridge_contract.h"

namespace bailey::tests {
namespace {

TEST_F(BridgeContract, ReachesByIpv6WhatIsGrantedAndNothingElse) {
  add_ipv6();
  for (const char* port : {"listen:8080", "listen:8081", "echo:7"}) serve(outside_, port);
  serve(host_, "listen:22");
  const Answers got = try_from_inside(
      {"--ipv6", "--egress", "[2001:db8:113::2]:8080", "--egress", "[2001:db8:113::2]:7/udp", "--egress", "[fd77::2]:8080",
       "--egress", "203.0.113.2:8080"},
      {"tcp:[2001:db8:113::2]:8080", "tcp:[2001:db8:113::2]:8081", "tcp:[2001:db8:9::9]:8080", "udp:[2001:db8:113::2]:7",
       "udp:[2001:db8:9::9]:7", "tcp:[fd77::2]:8080", "tcp:[fd77::2]:8081", "tcp:[2001:db8:113::1]:22",
       "tcp:[fdba:11e7:5a3c::1]:22", "ping:[2001:db8:113::2]", "tcp:[fd00:ec2::254]:8080", "tcp:203.0.113.2:8080"});
  const std::set<std::string> open = {"tcp:[2001:db8:113::2]:8080", "udp:[2001:db8:113::2]:7", "tcp:[fd77::2]:8080",
                                      "tcp:203.0.113.2:8080"};
  for (const auto& [what, answer] : got) EXPECT_EQ(reached(got, what), open.contains(what)) << what << " " << answer;
  EXPECT_EQ(got.size(), 12u) << last_;
  EXPECT_EQ(last_.text("network_address6").find("fdba:11e7:5a3c::"), 0u) << last_;
  EXPECT_EQ(last_.number("network_denied.frames"), 0) << last_;
  const std::string record = json::write(*last_.find("network_denied"));
  for (const char* denied :
       {R"("address":"2001:db8:113::2","protocol":"tcp","port":8081)", R"("address":"2001:db8:9::9","protocol":"udp","port":7)",
        R"("address":"fd00:ec2::254","protocol":"tcp","port":8080)"})
    EXPECT_NE(record.find(denied), std::string::npos) << denied << " is not in " << record;
  // The next one did not ask for it, on the same bridge.
  const Answers without = try_from_inside({"--egress", "any"}, {"tcp:[2001:db8:113::2]:8080", "tcp:203.0.113.2:8080"});
  EXPECT_FALSE(reached(without, "tcp:[2001:db8:113::2]:8080"));
  EXPECT_TRUE(reached(without, "tcp:203.0.113.2:8080"));
  EXPECT_EQ(last_.text("network_address6"), "");
}

TEST_F(BridgeContract, LetsAnyOutByIpv6ToNoClosedRange) {
  add_ipv6();
  for (const char* what : {"listen:80", "echo:7"}) serve(outside_, what);
  serve(host_, "listen:80");
  const Answers got = try_from_inside(
      {"--ipv6", "--egress", "any"},
      {"tcp:[2001:db8:113::2]:80", "tcp:[2001:db8:9::9]:80", "udp:[2001:db8:113::2]:7", "ping:[2001:db8:113::2]",
       "tcp:[fd77::2]:80", "tcp:[fd00:ec2::254]:80", "tcp:[64:ff9b::a4d:2]:80", "tcp:[2002:a4d:2::1]:80", "udp:[fd77::2]:7",
       "ping:[fd77::2]", "tcp:[2001:db8:113::1]:80", "tcp:[fdba:11e7:5a3c::1]:80"});
  const std::set<std::string> open = {"tcp:[2001:db8:113::2]:80", "tcp:[2001:db8:9::9]:80", "udp:[2001:db8:113::2]:7",
                                      "ping:[2001:db8:113::2]"};
  for (const auto& [what, answer] : got) EXPECT_EQ(reached(got, what), open.contains(what)) << what << " " << answer;
  EXPECT_EQ(got.size(), 12u) << last_;
}

TEST_F(BridgeContract, KeepsSandboxesApartByIpv6) {
  add_ipv6();
  const std::string name = "bailey-contract-server";
  const std::string address = start_server(name, {"--ipv6", "--egress", "any", "-p", "[::1]:8080:80"}, "listen:80");
  const auto record = json::parse(read_file("/run/bailey/" + name + "/record.json"), name);
  const std::string theirs = record ? text_of(*record, "address6") : "";
  ASSERT_EQ(theirs.find("fdba:11e7:5a3c::"), 0u) << theirs;
  const Outcome shown = run_bailey({.arguments = {"network", "show"}});
  EXPECT_NE(shown.out.find(" " + address + " " + theirs + " [::1]:8080:80/tcp\n"), std::string::npos) << shown;
  EXPECT_EQ(network::tests::connect_to(host_, "::1", 8080), 0) << "published, on the host's end";
  const Answers got = try_from_inside({"--ipv6", "--egress", "any", "--egress", "private", "--egress", "fdba:11e7::/32"},
                                      {"tcp:[" + theirs + "]:80", "udp:[" + theirs + "]:80", "ping:[" + theirs + "]"});
  for (const auto& [what, answer] : got) EXPECT_FALSE(reached(got, what)) << what << " " << answer;
  EXPECT_EQ(got.size(), 3u) << last_;
  EXPECT_NE(last_.text("network_address6"), theirs);
  for (const network::Netns* from : {&host_, &outside_}) EXPECT_NE(network::tests::connect_to(*from, theirs, 80, 2000), 0);
}

TEST_F(BridgeContract, ReachesNamesByIpv6) {
  add_ipv6();
  serve(outside_, "listen:80");
  start_names("host-record=good.example,2001:db8:9::9,300\nhost-record=ula.example,fd77::2,300\n");
  const std::string script =
      "for name in good.example ula.example; do"
      " python3 -c 'import socket, sys; s = socket.create_connection((sys.argv[1], 80), 20); print(sys.argv[1], s.recv(9).decode().strip())' $name"
      " 2>&1 | tail -n 1; done; cat /etc/hosts";
  const Outcome got = run_with_names({"--ipv6", "--hostname", "job", "--egress", "*.example:80"}, script);
  EXPECT_NE(got.out.find("good.example hello\n"), std::string::npos) << got;
  EXPECT_EQ(got.out.find("ula.example hello"), std::string::npos) << got;
  EXPECT_NE(got.out.find("\n" + got.text("network_address6") + "\tjob\n"), std::string::npos) << got;
  const Outcome without = run_with_names({"--egress", "*.example:80"}, script);
  EXPECT_EQ(without.out.find("good.example hello"), std::string::npos) << without;
}

TEST_F(BridgeContract, RefusesIpv6ThatTheHostDoesNotForward) {
  for (const bool any : {true, false}) {
    const Outcome got = run({"--net", "bridge", "--ipv6", "--egress", any ? "any" : "203.0.113.2"}, {"/bin/true"});
    EXPECT_EQ(got.exit_code, any ? 125 : 0) << got;
    EXPECT_EQ(got.err.find("net.ipv6.conf.all.forwarding") != std::string::npos, any) << got;
  }
  const Outcome none = run({"--ipv6"}, {"/bin/true"});
  EXPECT_EQ(none.exit_code, 125) << none;
  EXPECT_NE(none.err.find("--net bridge"), std::string::npos) << none;
}

}  // namespace
}  // namespace bailey::tests
