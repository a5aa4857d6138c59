// Names: asked by a sandbox, answered on the gateway, opened before they are answered.
#include "network/dns/resolver.h"

#include <signal.h>

#include <random>

#include "tests/network/resolver_fixture.h"

namespace bailey::network::tests {
namespace {

TEST_F(ResolverTest, AnswersGrantedNamesAndOpensThemFirst) {
  start_server();
  start({"198.51.100.0/24", "a.example:443", "*.example:80"});
  const Reply reply = ask({"A.exAmple"});
  EXPECT_EQ(reply.rcode, 0) << reply;
  EXPECT_EQ(reply.records, Strings{"A.exAmple A 198.51.100.9"}) << reply;
  EXPECT_EQ(reply.id, 0x1234);
  EXPECT_EQ(reply.seconds, std::vector<uint32_t>{300});
  EXPECT_EQ(opened_, (Strings{"1 198.51.100.9 330", "2 198.51.100.9 330"}));
  opened_.clear();
  EXPECT_EQ(ask({"b.a.example"}).addresses, Strings{"198.51.100.9"});
  EXPECT_EQ(opened_.size(), 1u) << "the wildcard only";
  EXPECT_EQ(ask({"nothing.example"}).rcode, 3);
  EXPECT_EQ(resolver_.denied().total, 0u);
}

TEST_F(ResolverTest, RefusesOtherNamesAndTellsThem) {
  start_server();
  start({"a.example"});
  for (const char* name : {"other.example", "example", "xa.example", "a.example.com", "b.a.example", "Other.Example"}) {
    const Reply reply = ask({name});
    EXPECT_EQ(reply.rcode, 5) << name << ": " << reply;
    EXPECT_TRUE(reply.addresses.empty()) << reply;
  }
  EXPECT_EQ(ask({"a.example", kAxfr}).rcode, 5);
  EXPECT_EQ(ask({.name = "version.bind", .type = kTxt, .kind = 3}).rcode, 5) << "class CH";
  settle();
  const DeniedNames denied = resolver_.denied();
  EXPECT_EQ(denied.total, 8u);
  EXPECT_EQ(denied.names,
            (Strings{"other.example", "example", "xa.example", "a.example.com", "b.a.example", "a.example", "version.bind"}));
  EXPECT_TRUE(opened_.empty());
}

TEST_F(ResolverTest, HoldsTimesWithinWhatTheSetHolds) {
  start_server();
  start({"*.example"});
  EXPECT_EQ(ask({"brief.example"}).seconds, std::vector<uint32_t>{1});
  EXPECT_EQ(ask({"long.example"}).seconds, std::vector<uint32_t>{3600});
  EXPECT_EQ(opened_, (Strings{"0 198.51.100.9 35", "0 198.51.100.9 3630"}));
}

TEST_F(ResolverTest, HasNoOtherTypesForGrantedNames) {
  start_server();
  start({"six.example", "a.example"});
  for (const int type : {kAaaa, kHttps, kTxt, kAny, 12345}) {
    const Reply reply = ask({"six.example", type});
    EXPECT_TRUE(reply.rcode == 0 && reply.records.empty() && !reply.truncated) << type << ": " << reply;
  }
  EXPECT_EQ(resolver_.denied().total, 0u);
}

TEST_F(ResolverTest, AnswersIpv6WhereTheSandboxHasIt) {
  start_server(
      std::string(kZone) +
      "host-record=ula.example,fd00:ec2::254\nhost-record=v4.example,64:ff9b::a9fe:a9fe\n"
      "host-record=both.example,2001:db8::7,300\nhost-record=both.example,fd77::2,300\ncname=sixth.example,six.example,60\n");
  start({"six.example", "ula.example", "v4.example", "sixth.example:443", "both.example", "fd77::2"}, {"203.0.113.2"}, true);
  EXPECT_EQ(ask({"six.example", kAaaa}).records, Strings{"six.example AAAA 2001:db8::1"});
  EXPECT_EQ(ask({"sixth.example", kAaaa, true}).records,
            (Strings{"sixth.example CNAME six.example", "six.example AAAA 2001:db8::1"}));
  EXPECT_EQ(ask({"six.example"}).addresses, Strings{"198.51.100.9"}) << "and IPv4 as ever";
  for (const char* closed : {"ula.example", "v4.example"}) {
    const Reply reply = ask({closed, kAaaa});
    EXPECT_TRUE(reply.rcode == 0 && reply.records.empty()) << closed << ": " << reply;
  }
  EXPECT_EQ(ask({"both.example", kAaaa, false, 1232}).addresses.size(), 2u) << "one of them was granted by itself";
  settle();
  EXPECT_EQ(opened_, (Strings{"0 2001:db8::1 35", "3 2001:db8::1 35", "0 198.51.100.9 35", "4 2001:db8::7 330"}));
  EXPECT_EQ(resolver_.denied().names, (Strings{"ula.example (fd00:ec2::254)", "v4.example (64:ff9b::a9fe:a9fe)"}));
}

// An answer may hold what nobody asked for: addresses of the other family are none.
TEST_F(ResolverTest, TakesAddressesOfTheTypeThatWasAskedOnly) {
  start_fake([](const std::string& asked) {
    const std::string aaaa =
        std::string("\xc0\x0c\0\x1c\0\x01\0\0\0\x3c\0\x10", 12) + std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09", 16);
    return Strings{answer(asked, {aaaa, a_record("a.example", "198.51.100.9")})};
  });
  start({"a.example"}, {"203.0.113.2"}, true);
  EXPECT_EQ(ask({"a.example"}).addresses, Strings{"198.51.100.9"});
  EXPECT_EQ(ask({"a.example", kAaaa}).addresses, Strings{"2001:db8::9"});
}

TEST_F(ResolverTest, FollowsAliasesOfTheNameThatWasAsked) {
  start_server();
  start({"www.example"});
  const Reply reply = ask({"www.example"});
  EXPECT_EQ(reply.records, (Strings{"www.example CNAME a.example", "a.example A 198.51.100.9"})) << reply;
  EXPECT_EQ(opened_, Strings{"0 198.51.100.9 330"});
  EXPECT_EQ(ask({"a.example"}).rcode, 5);
}

TEST_F(ResolverTest, ForwardsEverythingByTheGrantDns) {
  start_server();
  start({"dns", "a.example"});
  EXPECT_EQ(ask({"a.example", kTxt}).records, Strings{"a.example 16"});
  EXPECT_EQ(ask({"six.example", kAaaa}).records, Strings{"six.example AAAA 2001:db8::1"});
  EXPECT_EQ(ask({"inside.example"}).addresses, Strings{"10.77.0.2"}) << "it opens nothing, and hides nothing";
  EXPECT_EQ(ask({"nothing.example"}).rcode, 3);
  EXPECT_EQ(ask({"Six.Example", kA, true}).addresses, Strings{"198.51.100.9"});
  EXPECT_TRUE(opened_.empty());
  EXPECT_EQ(ask({"a.example"}).addresses, Strings{"198.51.100.9"});
  EXPECT_EQ(opened_.size(), 1u);
}

TEST_F(ResolverTest, TellsNoAddressThatIsClosed) {
  start_server();
  start({"*.example:80", "169.254.169.254:80"});
  for (const char* name : {"inside.example", "loop.example"}) {
    const Reply reply = ask({name});
    EXPECT_TRUE(reply.rcode == 0 && reply.records.empty()) << name << ": " << reply;
  }
  EXPECT_EQ(ask({"metadata.example"}).addresses, Strings{"169.254.169.254"}) << "that address was granted by itself";
  settle();
  EXPECT_TRUE(opened_.empty()) << "its own grant opens it";
  EXPECT_EQ(resolver_.denied().names, (Strings{"inside.example (10.77.0.2)", "loop.example (127.0.0.1)"}));
}

TEST_F(ResolverTest, TellsAndOpensWhatANameHasNow) {
  start_server();
  start({"*.example"});
  dnsmasq_->hosts("198.51.100.9 moving.example\n");
  EXPECT_EQ(ask({"moving.example"}).addresses, Strings{"198.51.100.9"});
  dnsmasq_->hosts("198.51.100.10 moving.example\n");
  EXPECT_EQ(ask({"moving.example"}).addresses, Strings{"198.51.100.10"});
  EXPECT_EQ(opened_.back(), "0 198.51.100.10 35");
}

TEST_F(ResolverTest, TakesTcpWhereADatagramIsTooSmall) {
  start_server();
  start({"*.example"});
  std::string lines;
  for (int i = 1; i <= 60; ++i) lines += "198.51.101." + std::to_string(i) + " many.example\n";
  dnsmasq_->hosts(lines);
  const Reply cut = ask({"many.example"});
  EXPECT_TRUE(cut.truncated && cut.size <= 512) << cut;
  EXPECT_TRUE(opened_.empty()) << "what the client cannot use";
  EXPECT_EQ(ask({"many.example", kA, false, 4096}).addresses.size(), 60u) << "EDNS";
  EXPECT_TRUE(ask({"many.example", kA, false, 4096}).edns);
  const Reply whole = ask({"many.example", kA, true});
  EXPECT_EQ(whole.addresses.size(), 60u) << whole;
  EXPECT_EQ(opened_.size(), 180u) << "three times";
}

TEST_F(ResolverTest, AnswersSeveralQuestionsOnAConnection) {
  start_server();
  start({"a.example"});
  const Fd socket = client(SOCK_STREAM);
  std::string all;
  for (const char* name : {"a.example", "other.example", "a.example"}) {
    const std::string message = question({name});
    all += std::string{'\0', static_cast<char>(message.size())} + message;
  }
  // In two pieces, cut within a length.
  const size_t cut = all.size() / 3 + 1;
  EXPECT_EQ(send(socket.get(), all.data(), cut, 0), static_cast<ssize_t>(cut));
  EXPECT_EQ(reply_of_stream(socket, 20'000).addresses.size(), 1u);
  EXPECT_EQ(send(socket.get(), all.data() + cut, all.size() - cut, 0), static_cast<ssize_t>(all.size() - cut));
  EXPECT_EQ(reply_of_stream(socket, 20'000).rcode, 5);
  EXPECT_EQ(reply_of_stream(socket, 20'000).addresses.size(), 1u);
}

TEST_F(ResolverTest, WritesNothingMoreToWhoDoesNotRead) {
  start({"a.example"});
  const Fd socket = client(SOCK_STREAM);
  const int small = 4096;
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  const std::string label(60, 'x'), asked = question({label + "." + label + "." + label + ".example"});
  constexpr size_t kQuestions = 450;
  std::string left;
  for (size_t i = 0; i < kQuestions; ++i) left += std::string{'\0', static_cast<char>(asked.size())} + asked;
  const auto send_more = [&] {
    const ssize_t sent = send(socket.get(), left.data(), left.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) left.erase(0, static_cast<size_t>(sent));
  };
  const Fd nobody = serve(host_, "127.0.0.1", 0, SOCK_DGRAM);
  for (uint64_t before = 1; before != resolver_.denied().total;) {
    before = resolver_.denied().total;
    const auto quiet = clock::Deadline::in_ms(500);
    while (!quiet.passed()) {
      send_more();
      turn(nobody, 10);
    }
  }
  EXPECT_LT(resolver_.denied().total, kQuestions) << "what was asked without reading";
  for (size_t i = 0; i < kQuestions; ++i) {
    send_more();
    ASSERT_EQ(reply_of_stream(socket, 20'000).rcode, 5) << i;
  }
}

TEST_F(ResolverTest, AsksServersOfIpv6) {
  Fd server(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 own{};
  own.sin6_family = AF_INET6;
  own.sin6_port = htons(53);
  own.sin6_addr = in6addr_loopback;
  if (!server || bind(server.get(), reinterpret_cast<sockaddr*>(&own), sizeof own) != 0) GTEST_SKIP() << "needs IPv6";
  start({"a.example"}, {"::1"});
  fake_ = std::move(server);
  answers_ = [](const std::string& one) -> Strings { return {answer(one, {a_record("a.example", "198.51.100.9")})}; };
  EXPECT_EQ(ask({"a.example"}).addresses, Strings{"198.51.100.9"});
}

TEST_F(ResolverTest, DropsWhatDoesNotBelongToTheAnswer) {
  start({"www.example"});
  start_fake([](const std::string& asked) -> Strings {
    return {answer(asked, {a_record("evil.example", "198.51.100.66"), a_record("a.example", "198.51.100.9"),
                           cname_record("www.example", "a.example"), cname_record("evil.example", "a.example"),
                           a_record("www.example", "198.51.100.67")})};
  });
  EXPECT_EQ(ask({"www.example"}).records, (Strings{"www.example CNAME a.example", "a.example A 198.51.100.9"}));
  EXPECT_EQ(opened_, Strings{"0 198.51.100.9 90"});
  // Aliases in a circle.
  answers_ = [](const std::string& asked) -> Strings {
    return {answer(asked, {cname_record("www.example", "a.example"), cname_record("a.example", "www.example")})};
  };
  EXPECT_TRUE(ask({"www.example"}).records.empty());
}

TEST_F(ResolverTest, BelievesOnlyTheAnswerToItsQuestion) {
  start({"a.example"});
  start_fake([](const std::string& asked) -> Strings {
    std::string other_id = answer(asked, {a_record("a.example", "198.51.100.66")}), no_answer = asked;
    other_id[0] = static_cast<char>(other_id[0] ^ 1);
    std::string other_name = asked;
    other_name[13] = 'b';
    std::string other_class = answer(asked, {a_record("a.example", "198.51.100.66")});
    other_class[asked.find('\0', 12) + 4] = 3;
    return {other_id,
            no_answer,
            answer(other_name, {a_record("b.example", "198.51.100.66")}),
            other_class,
            "x",
            std::string(4000, 'x'),
            answer(asked, {a_record("a.example", "198.51.100.9")}),
            answer(asked, {a_record("a.example", "198.51.100.66")})};
  });
  for (int i = 0; i < 8; ++i) EXPECT_EQ(ask({"a.example"}).addresses, Strings{"198.51.100.9"});
  EXPECT_EQ(opened_, Strings(8, "0 198.51.100.9 90"));
  std::ranges::sort(sources_);
  EXPECT_NE(sources_.front(), sources_.back()) << "each question comes from a port of its own";
}

TEST_F(ResolverTest, GoesOnToTheNextServer) {
  start_server();
  start({"*.example"}, {"198.51.100.9", "203.0.113.2"});  // nobody serves there: refused at once
  EXPECT_EQ(ask({"a.example"}).addresses, Strings{"198.51.100.9"});
  EXPECT_EQ(ask({"a.example", kA, true}).addresses, Strings{"198.51.100.9"});
}

TEST_F(ResolverTest, SaysThatNoServerAnswered) {
  start({"a.example"}, {"198.51.100.9"});
  EXPECT_EQ(ask({"a.example"}).rcode, 2);
  EXPECT_EQ(ask({"a.example", kA, true}).rcode, 2);
  start({"a.example"});
  start_fake([](const std::string&) { return Strings(); });  // silent
  EXPECT_EQ(ask({"a.example"}).rcode, 2);
  answers_ = [](const std::string& asked) -> Strings { return {answer(asked, {}, 2)}; };
  EXPECT_EQ(ask({"a.example"}).rcode, 2);
}

TEST_F(ResolverTest, AnswersNothingThatCouldNotBeOpened) {
  start_server();
  start({"a.example"});
  refuse_ = true;
  const Reply reply = ask({"a.example"});
  EXPECT_TRUE(reply.rcode == 2 && reply.records.empty()) << reply;
}

TEST_F(ResolverTest, AnswersNobodyElse) {
  start_server();
  start({"a.example"});
  const Fd stranger = serve(host_, "203.0.113.1", 0, SOCK_DGRAM);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(resolver_.port());
  to.sin_addr.s_addr = htonl(static_cast<uint32_t>(bridge_.gateway().value));
  const std::string asked = question({"a.example"});
  sendto(stranger.get(), asked.data(), asked.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
  EXPECT_EQ(ask({"a.example"}).addresses.size(), 1u) << "which came later";
  EXPECT_FALSE(turn(stranger, 0));
}

TEST_F(ResolverTest, OutlivesGarbage) {
  start_server();
  start({"a.example", "dns"});
  const Fd socket = client(SOCK_DGRAM);
  std::mt19937 random(7);
  const std::string good = question({"a.example", kA, false, 1400});
  for (int i = 0; i < 400; ++i) {
    std::string bytes = i % 2 ? good : std::string(random() % 900, '\0');
    for (char& c : bytes)
      if (i % 2 == 0 || random() % 16 == 0) c = static_cast<char>(random());
    send(socket.get(), bytes.data(), bytes.size(), 0);
    turn(Fd(), 0);
  }
  const Fd stream = client(SOCK_STREAM);
  const std::string endless = std::string("\xff\xff", 2) + std::string(2000, 'x');
  send(stream.get(), endless.data(), endless.size(), MSG_NOSIGNAL);
  Reply reply;
  const auto deadline = clock::Deadline::in_ms(60'000);
  do reply = ask({"a.example"});
  while (reply.rcode != 0 && !deadline.passed());  // too much may be under way still
  EXPECT_EQ(reply.addresses, Strings{"198.51.100.9"}) << reply << ended_;
}

TEST_F(ResolverTest, BoundsWhatIsUnderWay) {
  start({"a.example"});
  int asked = 0;
  start_fake([&](const std::string&) {
    ++asked;
    return Strings();
  });
  const Fd socket = client(SOCK_DGRAM);
  const std::string message = question({"a.example"});
  for (int i = 0; i < 200; ++i) send(socket.get(), message.data(), message.size(), 0);
  int failed = 0;
  const auto deadline = clock::Deadline::in_ms(30'000);
  while (failed < 136 && !deadline.passed()) {
    if (!turn(socket, 100)) continue;
    char buffer[512];
    const ssize_t got = recv(socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got > 0 && read_reply({buffer, static_cast<size_t>(got)}).rcode == 2) ++failed;
  }
  EXPECT_GE(failed, 136);
  EXPECT_LT(asked, 200);
  EXPECT_EQ(ask({"a.example", kAaaa}).rcode, 0);
}

TEST_F(ResolverTest, TellsSixtyFourNamesAndCountsAll) {
  start({"a.example"});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ask({"n" + std::to_string(i) + ".example"}).rcode, 5);
  settle();
  EXPECT_EQ(resolver_.denied().total, 100u);
  EXPECT_EQ(resolver_.denied().names.size(), 64u);
}

TEST_F(ResolverTest, NoticesThatItsWorkerHasEnded) {
  start({"a.example"});
  kill(resolver_.pid(), SIGKILL);
  const auto deadline = clock::Deadline::in_ms(30'000);
  while (ended_.empty() && !deadline.passed()) turn(Fd(), 100);
  EXPECT_NE(ended_.find("signal 9"), std::string::npos) << ended_;
  EXPECT_EQ(resolver_.fd(), -1);
  // Its port is still let by: nobody else gets it, and who asks is told at once.
  for (const int type : {SOCK_DGRAM, SOCK_STREAM}) {
    const Fd next(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    const sockaddr_in own{AF_INET, htons(resolver_.port()), {htonl(INADDR_ANY)}, {}};
    EXPECT_EQ(bind(next.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own), -1) << type;
    EXPECT_EQ(errno, EADDRINUSE) << type;
  }
  EXPECT_EQ(connect_to(sandbox_->netns, "10.201.0.1", resolver_.port()), ECONNREFUSED);
  const Fd asking = client(SOCK_DGRAM);
  EXPECT_EQ(send(asking.get(), "?", 1, 0), 1);
  pollfd told{asking.get(), POLLIN, 0};
  EXPECT_EQ(poll(&told, 1, 30'000), 1);
  char nothing;
  EXPECT_EQ(recv(asking.get(), &nothing, 1, MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
}

}  // namespace
}  // namespace bailey::network::tests
