// What resolv.conf(5) and hosts(5) of the host say to sandboxes.
#include "network/dns/host_names.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace bailey::network {
namespace {

using Strings = std::vector<std::string>;

class HostNames : public testing::Test {
 protected:
  ResolvConf conf(const std::string& text) { return read_resolv_conf(directory_.write("resolv.conf", text)).value(); }
  Hosts hosts(const std::string& text) {
    return read_hosts([](std::string_view name) { return name != "unwanted"; }, directory_.write("hosts", text)).value();
  }
  bailey::tests::TempDir directory_;
};

TEST_F(HostNames, NameServersAreThoseOfTheHost) {
  EXPECT_EQ(
      conf(
          "# x\nsearch example\nnameserver fe80::1%lo\nnameserver 127.0.0.53 # y\n nameserver\t192.0.2.1\nnameserver\nnameserver x\n")
          .servers,
      (Strings{"127.0.0.53", "192.0.2.1", "fe80::1%lo"}));
  EXPECT_EQ(conf("options edns0\n").servers, Strings{"127.0.0.1"});
  EXPECT_EQ(read_resolv_conf(directory_.file("none")).value().servers, Strings{"127.0.0.1"});
  EXPECT_EQ(conf("nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n").servers.size(),
            3u);
}

TEST_F(HostNames, SearchDomainsAreThoseOfTheLastLine) {
  EXPECT_EQ(conf("search a.example b.example\nsearch Corp.Example. lab.example # not.this\n").search,
            (Strings{"corp.example", "lab.example"}));
  EXPECT_EQ(conf("search a.example\ndomain b.example\n").search, Strings{"b.example"});
  EXPECT_EQ(conf("search .\n").search, Strings());
  EXPECT_EQ(conf("search a b c d e f g h\n").search.size(), 6u);
  // Each goes into a file of the sandbox's: nothing but names.
  EXPECT_EQ(conf("search a;b $(x) -a a..b \\\\010 good.example\n").search, Strings{"good.example"});
  EXPECT_EQ(conf("options edns0 ndots:5 timeout:1\n").ndots, 5u);
  EXPECT_EQ(conf("options ndots:99\n").ndots, 15u);
  for (const char* text : {"", "options ndots:\n", "options ndots:x\n", "options ndots:-1\n", "options ndots:2x\n"})
    EXPECT_EQ(conf(text).ndots, 1u) << text;
}

TEST_F(HostNames, HostsHaveAddressesByName) {
  const Hosts read = hosts(
      "# a comment\n203.0.113.2\tdb db.corp.example. # the database\n2001:db8::2 DB\n198.51.100.9 db\n203.0.113.2 db\n"
      "203.0.113.3 unwanted\n203.0.113.4\nnonsense db\n#203.0.113.5 db\n");
  ASSERT_EQ(read.size(), 2u);
  Strings db;
  for (const Address& address : read.at("db")) db.push_back(to_text(address));
  EXPECT_EQ(db, (Strings{"203.0.113.2", "2001:db8::2", "198.51.100.9"}));
  EXPECT_EQ(read.at("db.corp.example").size(), 1u);
  EXPECT_TRUE(read_hosts([](std::string_view) { return true; }, directory_.file("none")).value().empty());
}

// In a sandbox they would be its own, and here they must never be the host's.
TEST_F(HostNames, HostsThatAreTheHostItselfAreNone) {
  EXPECT_TRUE(hosts("127.0.0.1 localhost\n127.0.1.1 box\n::1 box\n0.0.0.0 blocked\nfe80::1 router\nfe80::1%eth0 router\n"
                    "::ffff:127.0.0.1 box\n::127.0.0.1 box\n224.0.0.1 all\n255.255.255.255 all\nff02::1 all\n")
                  .empty());
}

TEST_F(HostNames, HostsThatAreTooManyAreAnError) {
  const auto read =
      read_hosts([](std::string_view) { return true; }, directory_.write("hosts", std::string((1 << 20) + 1, '\n')));
  EXPECT_FALSE(read);
}

}  // namespace
}  // namespace bailey::network
