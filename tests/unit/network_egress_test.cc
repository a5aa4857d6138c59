#include <gtest/gtest.h>

#include <algorithm>

#include "network/filter/egress.h"

namespace bailey::network {
namespace {

Grant grant(const std::string& text) {
  const auto parsed = parse_grant(text);
  EXPECT_TRUE(parsed) << text << ": " << (parsed ? "" : parsed.error().message);
  return parsed.value_or(Grant{});
}

TEST(Egress, ReadsWhatItWrites) {
  for (const char* text : {"any",
                           "private",
                           "dns",
                           "10.88.0.2",
                           "10.88.0.2:8080/tcp",
                           "10.0.0.0/8:53/udp",
                           "0.0.0.0/0",
                           "192.0.2.0/24:8000-8999/tcp",
                           "192.0.2.1/icmp",
                           "192.0.2.0/24/udp",
                           "pypi.example:443/tcp",
                           "*.example",
                           "*.sub.example:1-65535/udp",
                           "_service.example",
                           "db:5432/tcp",
                           "db/udp",
                           "anything:80-90/tcp",
                           "2001:db8::1",
                           "2001:db8::/32/udp",
                           "[2001:db8::1]:443/tcp",
                           "[2001:db8::/32]:8000-8999/udp",
                           "::/0",
                           "fd00:1::/32/icmp",
                           "64:ff9b::/96"})
    EXPECT_EQ(to_text(grant(text)), text);
  EXPECT_EQ(grant("10.88.0.2:8080"), grant("10.88.0.2:8080/tcp"));  // a port alone means tcp
  EXPECT_EQ(grant("[2001:DB8:0::1]:443"), grant("[2001:db8::1]:443/tcp"));
  EXPECT_EQ(grant("[2001:db8::1]"), grant("2001:db8::1"));
  EXPECT_EQ(grant("PyPI.Example.:443"), grant("pypi.example:443/tcp"));
  EXPECT_EQ(grant("DB:5432"), grant("db:5432/tcp"));
}

TEST(Egress, NamesWhatIsWrong) {
  for (const auto& [text, word] : {std::pair{"", "neither"},
                                   {"everything", "no word"},
                                   {"localhost", "no word"},
                                   {"10.88.0.2:0", "port"},
                                   {"10.88.0.2:65536", "port"},
                                   {"10.88.0.2:90-80", "port"},
                                   {"10.88.0.2:080", "port"},
                                   {"10.88.0.2:", "port"},
                                   {"10.88.0.2:80/sctp", "port"},
                                   {"10.88.0.2:80/icmp", "no ports"},
                                   {"10.88.0.1/24", "bits set"},
                                   {"10.88.0.2/33", "0 to 32"},
                                   {"127.0.0.1:80", "no gateway"},
                                   {"224.0.0.1", "no gateway"},
                                   {"0.0.0.0", "no gateway"},
                                   {"255.255.255.255", "no gateway"},
                                   {"[::1]:80", "no gateway"},
                                   {"fe80::1", "no gateway"},
                                   {"ff02::1/udp", "no gateway"},
                                   {"::ffff:10.0.0.1", "within IPv6"},
                                   {"[::ffff:10.0.0.1]:80", "within IPv6"},
                                   {"::ffff:0:0/96", "within IPv6"},
                                   {"2001:db8::1/64", "bits set"},
                                   {"2001:db8::/129", "0 to 128"},
                                   {"fe80::1%eth0", "IPv6"},
                                   {"[2001:db8::1", "brackets"},
                                   {"[2001:db8::1]80", "brackets"},
                                   {"[2001:db8::1]:", "port"},
                                   {"[2001:db8::1]:80/icmp", "no ports"},
                                   {"[10.0.0.1]:80", "brackets"},
                                   {"[a.example]:80", "brackets"},
                                   {"[]:80", "brackets"},
                                   {"2001:db8::1]:80", "IPv6"},
                                   {"010.1.2.3", "IPv4"},
                                   {"10.1", "IPv4"},
                                   {"a..example", "neither"},
                                   {"-a.example", "neither"},
                                   {"a.0x7f", "neither"},
                                   {"a.1", "neither"},
                                   {"*", "neither"},
                                   {"*.*.example", "neither"},
                                   {"a example.org", "neither"},
                                   {"any:80", "no word"},
                                   {"private/tcp", "no word"},
                                   {"dns:53/udp", "no word"},
                                   {"LocalHost:80", "no word"},
                                   {"db", "without a dot"},
                                   {"ANY", "no word"},
                                   {"-db:80", "neither"},
                                   {"0x7f:80", "neither"},
                                   {"b.example/icmp", "tcp or udp"}}) {
    const auto parsed = parse_grant(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message.find(word), std::string::npos) << text << ": " << parsed.error().message;
    EXPECT_EQ(parsed.error().fault, Fault::bad_input);
    EXPECT_NE(parsed.error().message.find(std::string("'") + text), std::string::npos) << parsed.error().message;
  }
}

TEST(Egress, CeilingCoversWhatLiesBelow) {
  struct Case {
    const char *ceiling, *grant;
    bool covered;
  };
  for (const Case& c : {Case{"any", "any", true},
                        {"any", "203.0.113.2:80", true},
                        {"any", "name.example:1", true},
                        {"any", "10.88.0.2", false},
                        {"any", "169.254.169.254:80", false},
                        {"any", "dns", false},
                        {"any", "private", false},
                        {"private", "10.88.0.2:80", true},
                        {"private", "10.0.0.0/7", false},
                        {"private", "169.254.169.254", false},
                        {"private", "any", false},
                        {"private", "203.0.113.2", false},
                        {"10.0.0.0/8", "10.88.0.2:80", true},
                        {"10.0.0.0/8:80", "10.88.0.2:80", true},
                        {"10.0.0.0/8:80", "10.88.0.2", false},
                        {"10.0.0.0/8:80", "10.88.0.2:80/udp", false},
                        {"10.0.0.0/8:80-90", "10.88.0.2:85-91", false},
                        {"10.0.0.0/8/tcp", "10.88.0.2:9", true},
                        {"0.0.0.0/0", "any", false},
                        {"0.0.0.0/0", "2001:db8::1", false},
                        {"::/0", "2001:db8::1", true},
                        {"::/0", "10.88.0.2", false},
                        {"any", "[2001:db8::1]:80", true},
                        {"any", "64:ff9b::a00:1", false},
                        {"any", "fd00:ec2::254", false},
                        {"any", "2002:a00:1::", false},
                        {"private", "fd00:1::/32", true},
                        {"private", "2001:db8::1", false},
                        {"2001:db8::/32/tcp", "[2001:db8:1::/48]:443", true},
                        {"0.0.0.0/0", "10.88.0.2", true},
                        {"*.example", "a.example:443", true},
                        {"*.example", "*.a.example", true},
                        {"*.example", "*.example", true},
                        {"*.a.example", "*.example", false},
                        {"a.example", "*.a.example", false},
                        {"*.example", "example.org", false},
                        {"dns", "dns", true},
                        {"dns", "a.example", false},
                        {"a.example:443", "a.example:80", false}})
    EXPECT_EQ(covers(grant(c.ceiling), grant(c.grant)), c.covered) << c.ceiling << " over " << c.grant;
}

TEST(Egress, WildcardIsNotItsOwnParent) {
  EXPECT_TRUE(matches(grant("*.example"), "a.example"));
  EXPECT_TRUE(matches(grant("*.example"), "a.b.example"));
  for (const char* name : {"example", ".example", "aexample", "a.example.org", ""})
    EXPECT_FALSE(matches(grant("*.example"), name)) << name;
  EXPECT_TRUE(matches(grant("a.example"), "a.example"));
  EXPECT_FALSE(matches(grant("a.example"), "b.a.example"));
}

TEST(Egress, ClosedRangesDoNotOverlap) {
  for (const Subnet& one : closed_ranges())
    for (const Subnet& other : closed_ranges())
      EXPECT_TRUE(one == other || !one.overlaps(other)) << to_text(one) << to_text(other);
  for (const Subnet& one : private_ranges())
    EXPECT_TRUE(std::ranges::any_of(closed_ranges(), [&](const Subnet& closed) { return closed == one; }));
  for (const char* closed : {"::1", "::a00:1", "64:ff9b::/96", "64:ff9b:1::/48", "100::1", "2001::/32", "2002::/16", "fc00::/7",
                             "fd00:ec2::254", "fec0::/10"})
    EXPECT_TRUE(std::ranges::any_of(closed_ranges(), [&](const Subnet& range) {
      return range.contains(*parse_subnet(closed));
    })) << closed;
}

}  // namespace
}  // namespace bailey::network
