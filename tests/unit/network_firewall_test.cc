// The firewall's rules as text, without privileges. What they do is tried in tests/network/firewall_*_test.cc.
#include "network/filter/firewall.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "network/filter/firewall_rules.h"
#include "network/lease.h"

namespace bailey::network {
namespace {

FirewallSpec spec(const std::vector<std::string>& egress) {
  FirewallSpec result;
  result.slot = 7;
  result.port = "bly7";
  result.bridge = {"bailey0", 3, {0x02, 0xba, 0x11, 0, 0, 1}, *parse_subnet("10.201.0.0/22")};
  result.mac = Bridge::mac_of(7);
  result.address = result.bridge.address(7);
  for (const std::string& text : egress) result.egress.push_back(*parse_grant(text));
  return result;
}

std::vector<std::string> chain(const FirewallSpec& wanted, const std::string& name) {
  std::vector<std::string> rules;
  const std::string begin = "add rule " + name + " ";
  for (const std::string& line : explain(wanted))
    if (line.starts_with(begin)) rules.push_back(line.substr(begin.size()));
  return rules;
}

using Lines = std::vector<std::string>;

TEST(FirewallRules, EndInDenial) {
  EXPECT_EQ(chain(spec({}), "inet bailey-7 from"),
            (Lines{"ip daddr 10.201.0.0/22 goto denied", "ct state established accept", "ct state invalid drop",
                   "ct state related meta l4proto 1 drop", "goto denied"}));
  EXPECT_EQ(chain(spec({}), "inet bailey-7 to"),
            (Lines{"ct state established accept", "meta l4proto 1 icmp type 5-5 drop", "ct state related accept", "drop"}));
  for (const char* name : {"inet bailey-7 from", "inet bailey-7 to_host"})
    EXPECT_EQ(chain(spec({"any", "private", "dns"}), name).back(), "goto denied") << name;
  EXPECT_EQ(chain(spec({"any"}), "bridge bailey-7 prerouting").back(), "goto forged");
}

TEST(FirewallRules, StandInTheOrderThatKeepsClosedRangesClosed) {
  EXPECT_EQ(chain(spec({"any", "a.example:443", "0.0.0.0/0:22", "10.88.0.2:8080", "private", "dns"}), "inet bailey-7 from"),
            (Lines{"ip daddr 10.201.0.0/22 goto denied",  // other sandboxes, whatever conntrack remembers
                   "ct state established accept", "ct state invalid drop", "ct state related meta l4proto 1 drop",  //
                   "ip daddr 10.88.0.2 meta l4proto 6 th dport 8080 goto allowed",              // within a closed range
                   "ip daddr @private goto allowed_but_names", "ip daddr @closed goto denied",  //
                   "ip daddr 0.0.0.0/0 meta l4proto 6 th dport 22 goto allowed",                // wider
                   "ip daddr @name1 meta l4proto 6 th dport 443 goto allowed",                  // by the resolver
                   "goto allowed_but_names", "goto denied"}));
}

TEST(FirewallRules, AreTheSameOfIpv6WhenTheSandboxHasIt) {
  FirewallSpec wanted = spec({"any", "a.example:443", "[::/0]:22", "[fd00:1::2]:8080", "10.88.0.2", "private"});
  EXPECT_TRUE(chain(wanted, "inet bailey-7 from6").empty());
  wanted.bridge.subnet6 = *parse_subnet("fd00:9::/64");
  wanted.address6 = wanted.bridge.address(7, Ip::v6);
  EXPECT_EQ(chain(wanted, "inet bailey-7 from6"),
            (Lines{"ip6 daddr fd00:9::/64 goto denied", "ct state established accept", "ct state invalid drop",
                   "ct state related meta l4proto 58 drop", "ip6 daddr fd00:1::2 meta l4proto 6 th dport 8080 goto allowed",
                   "ip6 daddr @private6 goto allowed_but_names", "ip6 daddr @closed6 goto denied",
                   "ip6 daddr ::/0 meta l4proto 6 th dport 22 goto allowed",
                   "ip6 daddr @name1_6 meta l4proto 6 th dport 443 goto allowed", "goto allowed_but_names", "goto denied"}));
  EXPECT_EQ(chain(wanted, "inet bailey-7 to_host6"), Lines{"goto denied"});
  EXPECT_EQ(chain(wanted, "inet bailey-7 postrouting").size(), 2u);
  const Lines of_v4 = chain(wanted, "inet bailey-7 from");
  wanted.address6.reset();
  EXPECT_EQ(chain(wanted, "inet bailey-7 from"), of_v4);
}

TEST(FirewallRules, LetPeersByWhereANetworkIsShared) {
  FirewallSpec wanted = spec({});
  const Lines shut = chain(wanted, "inet bailey-7 forward");
  EXPECT_EQ(shut.size(), 5u);
  for (const std::string& line : shut) EXPECT_EQ(line.find("peers"), std::string::npos) << line;
  wanted.shared = "db";
  wanted.connections = 5;
  const Lines open = chain(wanted, "inet bailey-7 forward");
  ASSERT_EQ(open.size(), 7u);
  EXPECT_EQ(open[0],
            "meta nfproto ipv4 ip saddr 10.201.0.9 iifname \"bailey0\" oifname \"bailey0\" ip daddr @peers_db goto to_peers");
  EXPECT_EQ(
      open[1],
      "meta nfproto ipv4 ip daddr 10.201.0.9 oifname \"bailey0\" iifname \"bailey0\" ip saddr @peers_db counter name entered "
      "accept");
  EXPECT_EQ(Lines(open.begin() + 2, open.end()), shut);
  EXPECT_EQ(chain(wanted, "inet bailey-7 to_peers"),
            (Lines{"ct state established accept",
                   "meta nfproto ipv4 ct state related meta l4proto 1 icmp about ip daddr 10.201.0.9 accept",
                   "ct state related,invalid drop", "goto allowed"}));
  EXPECT_EQ(chain(wanted, "inet bailey-7 allowed"),
            (Lines{"ct count over 5 goto denied", "meta l4proto 6 limit rate over 100/second burst 100 packets goto denied",
                   "counter name begun accept"}));
}

TEST(FirewallRules, SendNamesToTheResolverWhenThereIsOne) {
  FirewallSpec wanted = spec({"dns"});
  EXPECT_TRUE(chain(wanted, "inet bailey-7 prerouting").empty());
  wanted.dns_port = 5353;
  EXPECT_EQ(chain(wanted, "inet bailey-7 prerouting").size(), 2u);
  EXPECT_TRUE(chain(wanted, "inet bailey-7 postrouting").empty()) << "nothing goes beyond the host";
  EXPECT_EQ(chain(wanted, "inet bailey-7 names"), Lines{"redirect to :5353"});
  wanted.connections = 5;
  EXPECT_EQ(chain(wanted, "inet bailey-7 names"),
            (Lines{"ct count over 16 accept", "meta l4proto 6 limit rate over 100/second burst 100 packets accept",
                   "redirect to :5353"}));
  EXPECT_EQ(chain(spec({"private"}), "inet bailey-7 postrouting"),
            Lines{"meta nfproto ipv4 ip saddr 10.201.0.9 oifname != \"bailey0\" masquerade to :32768-65535 fully-random"});
}

TEST(FirewallRules, AreToldBeforeAStart) {
  LeaseSpec wanted;
  wanted.egress = {*parse_grant("10.88.0.2:8080"), *parse_grant("dns")};
  const Lines told = *explain(wanted);
  const auto holds = [&](const char* rule) { return std::ranges::find(told, rule) != told.end(); };
  EXPECT_TRUE(holds("add rule inet bailey-0 from ip daddr 10.88.0.2 meta l4proto 6 th dport 8080 goto allowed"));
  EXPECT_TRUE(holds("add rule inet bailey-0 from ip daddr 10.201.0.0/22 goto denied"));
  EXPECT_TRUE(holds(
      "add rule inet bailey-0 to_host ip daddr 10.201.0.1 meta l4proto 17 th dport 53 ct status & dnat != 0 counter name begun accept"))
      << told.size();
  wanted.bridge.subnet = *parse_subnet("10.9.0.0/24");
  wanted.ipv6 = true;
  const Lines other = *explain(wanted);
  EXPECT_NE(std::ranges::find(other, "add rule inet bailey-0 from ip daddr 10.9.0.0/24 goto denied"), other.end());
  EXPECT_NE(std::ranges::find(other, "add rule inet bailey-0 to_host6 goto denied"), other.end());
}

TEST(FirewallRules, AreNamedBySlot) {
  const auto slot_of = [](const char* name) { return rules::slot_of({nft::Family::inet, name}); };
  EXPECT_EQ(slot_of("bailey-0"), 0u);
  EXPECT_EQ(slot_of("bailey-1020"), 1020u);
  EXPECT_EQ(rules::slot_of(rules::bridge_table(7)), 7u);
  EXPECT_FALSE(rules::slot_of({nft::Family{2}, "bailey-7"})) << "IPv4's tables are none of ours";
  for (const char* other : {"bailey-", "bailey-07", "bailey-7x", "bailey--7", "bailey- 7", "bailey-99999999999", "bailey", "7"})
    EXPECT_FALSE(slot_of(other)) << other;
}

}  // namespace
}  // namespace bailey::network
