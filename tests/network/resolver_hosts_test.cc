// Names of the host's /etc/hosts and its search domains, under the grants of a sandbox.
#include "tests/network/resolver_fixture.h"

namespace bailey::network::tests {
namespace {

class ResolverHostsTest : public ResolverTest {
 protected:
  void add_host(const std::string& name, const Strings& addresses) {
    for (const std::string& text : addresses) hosts_[name].push_back(must(parse_address(text)));
  }
};

TEST_F(ResolverHostsTest, AnswersByThemAndOpensWhatIsGranted) {
  start_server("host-record=db,198.51.100.66\nhost-record=web,198.51.100.9\n");
  add_host("db", {"203.0.113.2", "198.51.100.9", "2001:db8::2"});
  start({"db:5432", "web:80"}, {"203.0.113.2"}, true);
  EXPECT_EQ(ask({.name = "DB"}).records, (Strings{"DB A 203.0.113.2", "DB A 198.51.100.9"}));
  EXPECT_EQ(opened_, (Strings{"0 203.0.113.2 330", "0 198.51.100.9 330"}));
  EXPECT_EQ(ask({.name = "db", .type = kAaaa}).addresses, Strings{"2001:db8::2"});
  EXPECT_EQ(ask({.name = "db", .tcp = true}).addresses.size(), 2u);
  EXPECT_EQ(ask({.name = "web"}).addresses, Strings{"198.51.100.9"}) << "it is in no file: the name server is asked";
  EXPECT_EQ(ask({.name = "db", .type = kTxt}).records, Strings());
}

TEST_F(ResolverHostsTest, LeadToNothingThatIsClosed) {
  add_host("inner", {"10.77.0.2"});
  add_host("metadata", {"169.254.169.254"});
  add_host("mapped", {"64:ff9b::a9fe:a9fe", "fd00:ec2::254"});
  add_host("granted", {"10.77.0.3"});
  start({"inner:80", "metadata:80", "mapped:80", "granted:80", "10.77.0.3:80"}, {"203.0.113.2"}, true);
  for (const char* name : {"inner", "metadata", "mapped"})
    for (const int type : {kA, kAaaa}) {
      const Reply reply = ask({.name = name, .type = type});
      EXPECT_TRUE(reply.rcode == 0 && reply.records.empty()) << name << " " << reply;
    }
  EXPECT_EQ(ask({.name = "granted"}).addresses, Strings{"10.77.0.3"}) << "an address grant opens it anyway";
  EXPECT_EQ(opened_, Strings());
  settle();
  EXPECT_EQ(resolver_.denied().names, (Strings{"inner (10.77.0.2)", "metadata (169.254.169.254)", "mapped (fd00:ec2::254)"}));
}

TEST_F(ResolverHostsTest, AreRefusedWithoutAGrant) {
  start_server();
  add_host("db", {"203.0.113.2"});
  start({"a.example:443"});
  EXPECT_EQ(ask({.name = "db"}).rcode, 5);
  EXPECT_EQ(resolver_.denied().total, 1u);
}

TEST_F(ResolverHostsTest, AreToldByTheGrantDnsAndOpenNothing) {
  start_server();
  add_host("db", {"10.77.0.2"});
  start({"dns"});
  EXPECT_EQ(ask({.name = "db"}).addresses, Strings{"10.77.0.2"});
  EXPECT_EQ(ask({.name = "db", .type = kAaaa}).records, Strings());
  EXPECT_EQ(ask({.name = "a.example"}).addresses, Strings{"198.51.100.9"});
  EXPECT_EQ(opened_, Strings());
}

TEST_F(ResolverHostsTest, ANameOfOneLabelIsGrantedInEachSearchDomain) {
  start_server(
      "local=/db/\nhost-record=db.corp.example,198.51.100.9,300\nhost-record=db.lab.example,203.0.113.2,300\n"
      "host-record=other.corp.example,198.51.100.9,300\nhost-record=db.else.example,198.51.100.9\n");
  search_ = {"corp.example", "lab.example"};
  start({"db:5432"});
  EXPECT_EQ(ask({.name = "db.corp.example"}).addresses, Strings{"198.51.100.9"});
  EXPECT_EQ(ask({.name = "db.lab.example"}).addresses, Strings{"203.0.113.2"});
  EXPECT_EQ(opened_, (Strings{"0 198.51.100.9 330", "0 203.0.113.2 330"}));
  EXPECT_EQ(ask({.name = "db"}).rcode, 3) << "asked, and not there";
  EXPECT_EQ(resolver_.denied().total, 0u);
  for (const char* name : {"other.corp.example", "db.else.example", "corp.example", "x.db.corp.example", "dbcorp.example"})
    EXPECT_EQ(ask({.name = name}).rcode, 5) << name;
  EXPECT_EQ(resolver_.denied().total, 5u);
}

// Clients go through their search domains until a name is there, and some stop at a refusal.
TEST_F(ResolverHostsTest, AStepOfASearchIsNoRefusal) {
  start_server();
  search_ = {"corp.example", "lab.example"};
  start({"a.example:443", "*.wild.example:443", "db:80"});
  for (const char* name : {"a.example.corp.example", "x.wild.example.lab.example", "db.corp.example.lab.example"})
    for (const int type : {kA, kAaaa}) EXPECT_EQ(ask({.name = name, .type = type}).rcode, 3) << name;
  EXPECT_EQ(resolver_.denied().total, 0u);
  for (const char* name : {"b.example.corp.example", "a.example.else.example"}) EXPECT_EQ(ask({.name = name}).rcode, 5) << name;
  EXPECT_EQ(ask({.name = "a.example.corp.example", .type = kAxfr, .tcp = true}).rcode, 5);
  EXPECT_EQ(resolver_.denied().total, 3u);
}

}  // namespace
}  // namespace bailey::network::tests
