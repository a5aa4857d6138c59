// Clients that speak TCP in their own ways, and names with more grants than most.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tests/network/resolver_fixture.h"

namespace bailey::network::tests {
namespace {

std::string framed(const Wish& wish) {
  const std::string message = question(wish);
  return std::string{static_cast<char>(message.size() >> 8), static_cast<char>(message.size())} + message;
}

class ResolverStreamTest : public ResolverTest {
 protected:
  static void say(const Fd& to, const std::string& bytes) {
    EXPECT_EQ(send(to.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  bool closed(const Fd& from) {
    const auto deadline = clock::Deadline::in_ms(20'000);
    char byte;
    while (!turn(from, deadline.poll_ms()))
      if (deadline.passed()) return false;
    return recv(from.get(), &byte, 1, MSG_DONTWAIT) == 0;
  }
};

TEST_F(ResolverStreamTest, AnswersAClientThatSendsNoMore) {
  start_server();
  start({"a.example:443", "b.a.example:443"});
  const Fd one = client(SOCK_STREAM);
  say(one, framed({.name = "a.example"}));
  shutdown(one.get(), SHUT_WR);
  EXPECT_EQ(reply_of_stream(one, 20'000).addresses, Strings{"198.51.100.9"});
  EXPECT_TRUE(closed(one)) << "when all is answered";
  const Fd three = client(SOCK_STREAM);
  say(three, framed({.name = "a.example"}) + framed({.name = "other.example"}) + framed({.name = "b.a.example"}));
  shutdown(three.get(), SHUT_WR);
  EXPECT_EQ(reply_of_stream(three, 20'000).name, "a.example");
  EXPECT_EQ(reply_of_stream(three, 20'000).rcode, 5);
  EXPECT_EQ(reply_of_stream(three, 20'000).name, "b.a.example");
  EXPECT_TRUE(closed(three));
}

TEST_F(ResolverStreamTest, EndsWithAClientThatSendsNothingOrHalfAQuestion) {
  start_server();
  start({"a.example:443"});
  const std::string message = framed({.name = "a.example"});
  for (const size_t size : {size_t{0}, size_t{1}, size_t{2}, message.size() - 1}) {
    const Fd half = client(SOCK_STREAM);
    say(half, message.substr(0, size));
    shutdown(half.get(), SHUT_WR);
    EXPECT_TRUE(closed(half)) << size;
  }
  // What was asked before is answered all the same.
  const Fd more = client(SOCK_STREAM);
  say(more, message + message.substr(0, 5));
  shutdown(more.get(), SHUT_WR);
  EXPECT_EQ(reply_of_stream(more, 20'000).addresses, Strings{"198.51.100.9"});
  EXPECT_TRUE(closed(more));
}

TEST_F(ResolverStreamTest, TakesAQuestionByteByByte) {
  start_server();
  start({"a.example:443"});
  const Fd slow = client(SOCK_STREAM);
  const int on = 1;
  setsockopt(slow.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  for (int round = 0; round < 2; ++round) {
    for (const char byte : framed({.name = "a.example"})) {
      say(slow, std::string(1, byte));
      turn(slow, 0);
    }
    EXPECT_EQ(reply_of_stream(slow, 20'000).addresses, Strings{"198.51.100.9"}) << round;
  }
}

TEST_F(ResolverStreamTest, HasRoomAgainWhenClientsHaveGone) {
  start_server();
  start({"a.example:443"});
  for (int round = 0; round < 4; ++round) {
    std::vector<Fd> eight;
    for (int i = 0; i < 8; ++i) {
      eight.push_back(client(SOCK_STREAM));
      say(eight.back(), framed({.name = "a.example"}));
      if (i % 2) shutdown(eight.back().get(), SHUT_WR);
    }
    for (const Fd& one : eight) EXPECT_EQ(reply_of_stream(one, 20'000).addresses, Strings{"198.51.100.9"}) << round;
  }
}

// Each question to a name server is a connection for the host's conntrack, whatever port of its own the client asks by.
TEST_F(ResolverStreamTest, AsksServersAsOftenAsItMayHaveConnections) {
  int asked = 0;
  start_fake([&](const std::string& message) {
    ++asked;
    return Strings{answer(message, {}, 3)};
  });
  connections_ = 20;
  start({"*.example:443"});
  EXPECT_EQ(ask({.name = "first.example"}).rcode, 3);  // the way is known from then on
  const int before = std::exchange(asked, 0);
  const int64_t begun = clock::monotonic_ns();
  const Fd one = client(SOCK_DGRAM);
  for (int i = 0; i < 60; ++i) {
    const std::string message = question({.name = "n" + std::to_string(i) + ".example"});
    send(one.get(), message.data(), message.size(), 0);
    turn(one, 5);
  }
  const auto deadline = clock::Deadline::in_ms(20'000);
  while (asked < 20 - before && !deadline.passed()) turn(one, 20);
  const auto quiet = clock::Deadline::in_ms(500);
  while (!quiet.passed()) turn(one, 20);
  const double seconds = static_cast<double>(clock::monotonic_ns() - begun) * 1e-9;
  EXPECT_GE(asked, 20 - before);
  EXPECT_LE(asked, 21 + static_cast<int>(seconds * 20 / 30));
}

// One name, many ports: the addresses of the name are opened once, for all of them.
TEST_F(ResolverStreamTest, ResolvesANameWithManyGrants) {
  start_server();
  Strings egress;
  for (int port = 1; port <= 200; ++port) egress.push_back("a.example:" + std::to_string(port));
  start(egress);
  EXPECT_EQ(ask({.name = "a.example"}).addresses, Strings{"198.51.100.9"});
  EXPECT_EQ(opened_, Strings{"0 198.51.100.9 330"});
}

TEST_F(ResolverStreamTest, ResolvesANameThatManyPatternsMatch) {
  std::string name = "a.example";
  Strings egress = {"*.example:443", "*.a.example:443"};
  while (name.size() + 2 <= 250) {
    name = "b." + name;
    egress.push_back("*." + name + ":443");
  }
  egress.back() = name + ":443";  // nothing is below the last one
  ASSERT_GT(egress.size(), 100u);
  start_server("address=/" + name + "/198.51.100.9\n");
  start(egress);
  EXPECT_EQ(ask({.name = name}).addresses, Strings{"198.51.100.9"});
  EXPECT_EQ(opened_.size(), egress.size());
}

}  // namespace
}  // namespace bailey::network::tests
