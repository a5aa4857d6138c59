// Published ports: what comes out at the other end is what went in, and no more is held than is said.
#include "network/publish/relay.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <filesystem>
#include <numeric>
#include <thread>

#include "base/clock.h"
#include "tests/network/networks.h"

namespace bailey::network::tests {
namespace {

bool readable(int fd, int ms) {
  pollfd ready{fd, POLLIN, 0};
  return poll(&ready, 1, ms) == 1;
}

// Blocking sockets that give up at last, so that a failure is a failure and not a test that hangs.
void patient(const Fd& socket) {
  const timeval limit{60, 0};
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) setsockopt(socket.get(), SOL_SOCKET, option, &limit, sizeof limit);
}

Fd dial(const std::string& address, int port, int type = SOCK_STREAM) {
  const SocketAddress to = socket_address(address, port);
  Fd socket(::socket(to.storage.ss_family, type | SOCK_CLOEXEC, 0));
  patient(socket);
  if (connect(socket.get(), to.get(), to.size) != 0) socket.reset();
  return socket;
}

Fd accept_from(const Fd& listener, int ms = 60'000) {
  if (!readable(listener.get(), ms)) return Fd();
  Fd socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  patient(socket);
  return socket;
}

std::string read_all(const Fd& from) {
  std::string all;
  char buffer[65536];
  ssize_t got;
  while ((got = recv(from.get(), buffer, sizeof buffer, 0)) > 0) all.append(buffer, static_cast<size_t>(got));
  return got == 0 ? all : all + " and then " + strerror(errno);
}

void send_all(const Fd& to, std::string_view data) {
  while (!data.empty()) {
    const ssize_t sent = send(to.get(), data.data(), data.size(), MSG_NOSIGNAL);
    ASSERT_GT(sent, 0) << strerror(errno);
    data.remove_prefix(static_cast<size_t>(sent));
  }
}

std::string pattern(size_t size, uint32_t seed) {
  std::string data(size, '\0');
  for (char& c : data) c = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return data;
}

class RelayTest : public NetworkTest {
 protected:
  void SetUp() override {
    NetworkTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    sandbox_.emplace(sandbox(0));
    address_ = to_text(bridge_.address(0));
  }
  void TearDown() override {
    relay_ = Relay();
    sandbox_.reset();
    NetworkTest::TearDown();
  }
  void publish(const std::vector<std::string>& texts) {
    std::vector<Publish> ports;
    for (const std::string& text : texts) ports.push_back(must(parse_publish(text)));
    relay_ = must(Relay::begin(must(bind_ports(ports)), bridge_.address(0)));
    must(relay_.await_confined());
  }
  int port(size_t index = 0) const { return relay_.ports().at(index).host_port; }
  size_t descriptors() const {
    const std::string directory = "/proc/" + std::to_string(relay_.pid()) + "/fd";
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
  }

  std::optional<Sandbox> sandbox_;
  std::string address_;
  Relay relay_;
};

TEST_F(RelayTest, PassesBothWaysWithTheEndOfEach) {
  publish({"80", "0.0.0.0:8080:80"});
  EXPECT_EQ(to_text(relay_.ports()[1]), "0.0.0.0:8080:80/tcp");
  EXPECT_GT(port(), 0) << "the one that was chosen is told";
  const Fd listener = serve(sandbox_->netns, address_, 80, SOCK_STREAM);
  for (const auto& [to, number] :
       {std::pair<const char*, int>{"127.0.0.1", port()}, {"203.0.113.1", 8080}, {"10.201.0.1", 8080}}) {
    const Fd client = dial(to, number);
    ASSERT_TRUE(client) << to << ": " << strerror(errno);
    const Fd server = accept_from(listener);
    ASSERT_TRUE(server);
    send_all(client, "question");
    shutdown(client.get(), SHUT_WR);
    EXPECT_EQ(read_all(server), "question");
    send_all(server, "answer");  // after the end of the other direction
    shutdown(server.get(), SHUT_WR);
    EXPECT_EQ(read_all(client), "answer");
  }
}

TEST_F(RelayTest, IsReachedFromOutside) {
  publish({"203.0.113.1:8080:80"});
  const Fd listener = serve(sandbox_->netns, address_, 80, SOCK_STREAM);
  EXPECT_EQ(connect_to(outside_, "203.0.113.1", 8080), 0);
  EXPECT_TRUE(accept_from(listener));
  EXPECT_EQ(connect_to(host_, "127.0.0.1", 8080), ECONNREFUSED) << "another address of the host";
}

// The sandbox has IPv4 only: what comes by IPv6 goes on by that.
TEST_F(RelayTest, IsReachedByIpv6) {
  add_ipv6();
  publish({"[::1]:8080:80", "[2001:db8:113::1]:8081:80", "[::]:5353:53/udp"});
  const Fd server = serve(sandbox_->netns, address_, 80, SOCK_STREAM),
           datagrams = serve(sandbox_->netns, address_, 53, SOCK_DGRAM);
  const auto greeted = [&](const Fd& client) {
    if (!client) return std::string("not connected");
    const Fd inside = accept_from(server);
    send_all(inside, "hello");
    shutdown(inside.get(), SHUT_WR);
    return read_all(client);
  };
  EXPECT_EQ(greeted(dial("::1", 8080)), "hello");
  EXPECT_EQ(greeted(dial("2001:db8:113::1", 8081)), "hello");
  EXPECT_FALSE(dial("127.0.0.1", 8080)) << "each family is published for itself";
  EXPECT_EQ(connect_to(outside_, "2001:db8:113::1", 8081), 0);
  EXPECT_EQ(connect_to(outside_, "2001:db8:113::1", 8080), ECONNREFUSED);
  // Connected: an answer from another address than was asked would not be taken.
  run(host_, {"ip", "address", "add", "2001:db8:113::7/64", "dev", "up0", "nodad"});
  // The kernel gives an IPv6 address its local route a moment later (addrconf_dad_work, Linux 6.18).
  while (run(host_, {"ip", "-6", "route", "get", "2001:db8:113::7"}).find("local ") != 0) usleep(1000);
  for (const char* address : {"::1", "2001:db8:113::7"}) {
    const Fd client = dial(address, 5353, SOCK_DGRAM);
    send_all(client, "question");
    EXPECT_TRUE(answer_datagram(datagrams)) << address;
    char buffer[16] = "";
    EXPECT_EQ(recv(client.get(), buffer, sizeof buffer, 0), 6) << address;
    EXPECT_STREQ(buffer, "answer");
  }
  EXPECT_FALSE(dial("127.0.0.1", 8081));
}

TEST_F(RelayTest, KeepsEveryByteInOrder) {
  publish({"80"});
  const Fd listener = serve(sandbox_->netns, address_, 80, SOCK_STREAM);
  const Fd client = dial("127.0.0.1", port()), server = accept_from(listener);
  ASSERT_TRUE(client && server);
  const std::string up = pattern(48 << 20, 1), down = pattern(48 << 20, 2);
  const auto write = [](const Fd& to, const std::string& data) {
    send_all(to, data);
    shutdown(to.get(), SHUT_WR);
  };
  std::string got_up, got_down;
  std::thread threads[] = {std::thread([&] { write(client, up); }), std::thread([&] { write(server, down); }),
                           std::thread([&] { got_up = read_all(server); })};
  got_down = read_all(client);
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(got_up == up) << got_up.size();
  EXPECT_TRUE(got_down == down) << got_down.size();
}

TEST_F(RelayTest, HoldsASenderUpWhileTheOtherSideDoesNotRead) {
  publish({"80"});
  const Fd listener = serve(sandbox_->netns, address_, 80, SOCK_STREAM);
  const Fd client = dial("127.0.0.1", port()), server = accept_from(listener), other = dial("127.0.0.1", port());
  ASSERT_TRUE(client && server && other);
  const std::string piece = pattern(1 << 20, 3);
  size_t sent = 0;
  for (pollfd ready{client.get(), POLLOUT, 0}; poll(&ready, 1, 500) == 1 && sent < (size_t{256} << 20);) {
    const ssize_t now = send(client.get(), piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (now > 0) sent += static_cast<size_t>(now);
  }
  EXPECT_LT(sent, size_t{64} << 20) << "buffers of two connections and a pipe";
  const Fd second = accept_from(listener);
  send_all(other, "not held up");
  shutdown(other.get(), SHUT_WR);
  EXPECT_EQ(read_all(second), "not held up");
  shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(read_all(server).size(), sent);
}

TEST_F(RelayTest, RefusesWhatTheSandboxRefuses) {
  publish({"80"});
  const Fd client = dial("127.0.0.1", port());
  ASSERT_TRUE(client);
  EXPECT_EQ(read_all(client), std::string(" and then ") + strerror(ECONNRESET)) << "an end of the data it must not look like";
}

TEST_F(RelayTest, PassesAResetOn) {
  publish({"80"});
  const Fd listener = serve(sandbox_->netns, address_, 80, SOCK_STREAM);
  const Fd client = dial("127.0.0.1", port());
  Fd server = accept_from(listener);
  ASSERT_TRUE(client && server);
  const linger at_once{1, 0};
  setsockopt(server.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  server.reset();
  EXPECT_EQ(read_all(client), std::string(" and then ") + strerror(ECONNRESET));
}

TEST_F(RelayTest, ServesSoManyAtOnceAndTheNextAfterThem) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < 4096) GTEST_SKIP() << "needs 4096 descriptors";
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  publish({"80"});
  const size_t before = descriptors();
  const Fd listener = serve(sandbox_->netns, address_, 80, SOCK_STREAM);
  ASSERT_EQ(listen(listener.get(), 1024), 0);
  std::vector<Fd> clients, servers;
  for (int i = 0; i < 520; ++i) {
    clients.push_back(dial("127.0.0.1", port()));
    ASSERT_TRUE(clients.back()) << i;
  }
  for (int i = 0; i < 512; ++i) {
    servers.push_back(accept_from(listener));
    ASSERT_TRUE(servers.back()) << i;
  }
  EXPECT_FALSE(accept_from(listener, 200)) << "more than so many";
  servers.clear();
  clients.erase(clients.begin(), clients.begin() + 512);
  for (const Fd& client : clients) {
    const Fd server = accept_from(listener);
    ASSERT_TRUE(server);
    send_all(server, "late");
    shutdown(server.get(), SHUT_WR);
    char buffer[4];
    EXPECT_EQ(recv(client.get(), buffer, 4, MSG_WAITALL), 4);
  }
  clients.clear();
  const auto deadline = clock::Deadline::in_ms(60'000);
  while (descriptors() > before + 16 && !deadline.passed()) std::this_thread::yield();  // some pipes are kept
  EXPECT_LE(descriptors(), before + 16);
}

TEST_F(RelayTest, PassesDatagramsBackToWhoAsked) {
  publish({"0.0.0.0:5353:53/udp"});
  const Fd server = serve(sandbox_->netns, address_, 53, SOCK_DGRAM);
  patient(server);
  // Connected: an answer from another address than was asked would not be taken, and by itself the host would answer the second
  // from 203.0.113.1.
  const Fd one = dial("127.0.0.1", 5353, SOCK_DGRAM);
  Fd two;
  must(outside_.run([&]() -> Result<> {
    two = dial("10.201.0.1", 5353, SOCK_DGRAM);
    return {};
  }));
  send_all(one, "one");
  send_all(two, "two");
  for (int i = 0; i < 2; ++i) {
    char buffer[16];
    SocketAddress from;
    const ssize_t got = recvfrom(server.get(), buffer, sizeof buffer, 0, from.get(), &from.size);
    ASSERT_GT(got, 0);
    EXPECT_EQ(address_of(from), bridge_.gateway());
    sendto(server.get(), buffer, static_cast<size_t>(got), 0, from.get(), from.size);
  }
  for (const auto& [client, text] : {std::pair<const Fd*, const char*>{&one, "one"}, {&two, "two"}}) {
    char buffer[16] = "";
    EXPECT_EQ(recv(client->get(), buffer, sizeof buffer, 0), 3);
    EXPECT_STREQ(buffer, text);
  }
}

TEST_F(RelayTest, ForgetsTheSenderThatWasSilentForLongest) {
  publish({"5353:53/udp"});
  const Fd server = serve(sandbox_->netns, address_, 53, SOCK_DGRAM);
  patient(server);
  const size_t before = descriptors();
  std::vector<Fd> clients;
  std::vector<sockaddr_in> senders;
  const auto speak = [&](int count) {
    for (int i = 0; i < count; ++i) {
      clients.push_back(dial("127.0.0.1", 5353, SOCK_DGRAM));
      send_all(clients.back(), "x");
      char buffer[16];
      socklen_t size = sizeof(sockaddr_in);
      ASSERT_EQ(recvfrom(server.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&senders.emplace_back()), &size),
                1);
    }
  };
  speak(300);
  sendto(server.get(), "late", 4, 0, reinterpret_cast<sockaddr*>(&senders.front()), sizeof senders.front());
  sendto(server.get(), "known", 5, 0, reinterpret_cast<sockaddr*>(&senders.back()), sizeof senders.back());
  char buffer[16];
  EXPECT_EQ(recv(clients.back().get(), buffer, sizeof buffer, 0), 5);
  EXPECT_FALSE(readable(clients.front().get(), 0));
  // Its port is nobody else's on the host: the kernel still lets the sandbox speak to it.
  must(host_.run([&]() -> Result<> {
    const Fd other(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const sockaddr_in same = senders.front();
    sockaddr_in any{.sin_family = AF_INET, .sin_port = same.sin_port, .sin_addr = {}, .sin_zero = {}};
    EXPECT_EQ(bind(other.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), -1);
    return {};
  }));
  speak(300);
  EXPECT_LE(descriptors(), before + 520) << "of 600, and what it had not opened yet before";
  std::set<uint16_t> ports;
  for (const sockaddr_in& one : senders) ports.insert(one.sin_port);
  EXPECT_EQ(ports.size(), 512u) << "then those are used again";
}

TEST_F(RelayTest, SaysWhichPortIsTaken) {
  const Fd taken = serve(host_, "127.0.0.1", 8081, SOCK_STREAM);
  const std::vector<Publish> ports = {must(parse_publish("8080:80")), must(parse_publish("8081:80"))};
  const auto refused = bind_ports(ports);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::unavailable);
  EXPECT_EQ(refused.error().message.find("publishing 127.0.0.1:8081/tcp: "), 0u) << refused.error().message;
  EXPECT_NE(refused.error().remedy.find("127.0.0.1::80"), std::string::npos) << refused.error().remedy;
  EXPECT_EQ(connect_to(host_, "127.0.0.1", 8080), ECONNREFUSED) << "the other one is free again";
  const std::vector<Publish> twice = {must(parse_publish("8080:80/udp")), must(parse_publish("8080:81/udp"))};
  EXPECT_FALSE(bind_ports(twice));
  const std::vector<Publish> foreign = {must(parse_publish("192.0.2.1:8080:80"))};
  EXPECT_FALSE(bind_ports(foreign));
  EXPECT_TRUE(must(Relay::begin({}, bridge_.address(0))).ports().empty());
}

TEST_F(RelayTest, GivesItsPortsBackWhenItEnds) {
  publish({"8080:80"});
  const Fd listener = serve(sandbox_->netns, address_, 80, SOCK_STREAM);
  const Fd client = dial("127.0.0.1", 8080), server = accept_from(listener);
  ASSERT_TRUE(client && server);
  EXPECT_FALSE(readable(relay_.fd(), 0));
  kill(relay_.pid(), SIGKILL);
  EXPECT_TRUE(readable(relay_.fd(), 60'000)) << "its end is noticed";
  EXPECT_EQ(relay_.end(), "signal 9");
  publish({"8080:80"});  // connections of the first may linger
  EXPECT_EQ(connect_to(host_, "127.0.0.1", 8080), 0);
  relay_.reset();
  EXPECT_EQ(connect_to(host_, "127.0.0.1", 8080), ECONNREFUSED);
}

}  // namespace
}  // namespace bailey::network::tests
