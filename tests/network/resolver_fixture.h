// A sandbox, a resolver for it, and name servers outside: dnsmasq, or one of the test's own that may lie.
#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "network/dns/resolver.h"
#include "tests/network/dns_talk.h"

namespace bailey::network::tests {

using Strings = std::vector<std::string>;

inline constexpr const char* kZone =
    "host-record=a.example,198.51.100.9,300\n"
    "host-record=brief.example,198.51.100.9,1\n"
    "host-record=long.example,198.51.100.9,200000\n"
    "host-record=b.a.example,198.51.100.9\n"
    "host-record=six.example,198.51.100.9,2001:db8::1\n"
    "host-record=other.example,198.51.100.9\n"
    "host-record=inside.example,10.77.0.2\n"
    "host-record=metadata.example,169.254.169.254\n"
    "host-record=loop.example,127.0.0.1\n"
    "cname=www.example,a.example,60\n"
    "txt-record=a.example,hello\n";

class ResolverTest : public NetworkTest {
 protected:
  void SetUp() override {
    NetworkTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    BAILEY_REQUIRE("dnsmasq");
    sandbox_.emplace(sandbox(0));
  }
  void TearDown() override {
    resolver_ = Resolver();
    dnsmasq_.reset();
    fake_ = Fd();
    sandbox_.reset();
    NetworkTest::TearDown();
  }
  void start(const Strings& egress, const Strings& servers = {"203.0.113.2"}, bool ipv6 = false) {
    ResolverSpec spec{bridge_.gateway(), bridge_.address(0), {}, servers, ipv6, search_, hosts_, connections_};
    for (const std::string& text : egress) spec.egress.push_back(must(parse_grant(text)));
    resolver_ = must(Resolver::begin(spec, must(bind_names(spec.listen))));
    must(resolver_.await_confined());
  }
  void start_server(const std::string& zone = kZone) { dnsmasq_ = std::make_unique<Dnsmasq>(outside_, "203.0.113.2", zone); }
  // A server of the test's own: answers every datagram with what `answers` makes of it.
  void start_fake(std::function<Strings(const std::string&)> answers) {
    fake_ = serve(outside_, "203.0.113.2", 53, SOCK_DGRAM);
    answers_ = std::move(answers);
  }

  // One round of the dispatcher's loop, of the fake server, and of waiting for `client`: true when it is readable.
  bool turn(const Fd& client, int ms) {
    pollfd polls[] = {{client.get(), POLLIN, 0}, {resolver_.fd(), POLLIN, 0}, {fake_.get(), POLLIN, 0}};
    if (poll(polls, 3, ms) <= 0) return false;
    if (polls[1].revents) {
      const auto served = resolver_.serve([this](std::span<const Opening> openings) -> Result<> {
        for (const auto& [grant, address, seconds] : openings)
          opened_.push_back(std::to_string(grant) + " " + to_text(address) + " " + std::to_string(seconds));
        return refuse_ ? fail(Fault::failed, "the set is full") : Result<>();
      });
      if (!served) ended_ = served.error().message;
    }
    if (polls[2].revents) {
      char buffer[2048];
      sockaddr_storage from{};  // the port is at the same place in both families
      socklen_t size = sizeof from;
      const ssize_t got = recvfrom(fake_.get(), buffer, sizeof buffer, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &size);
      sources_.push_back(ntohs(reinterpret_cast<sockaddr_in*>(&from)->sin_port));
      for (const std::string& one : answers_({buffer, static_cast<size_t>(got)}))
        sendto(fake_.get(), one.data(), one.size(), 0, reinterpret_cast<const sockaddr*>(&from), size);
    }
    return polls[0].revents != 0;
  }
  Fd client(int type) {
    Fd socket;
    must(sandbox_->netns.run([&]() -> Result<> {
      socket = Fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(resolver_.port());
      to.sin_addr.s_addr = htonl(static_cast<uint32_t>(bridge_.gateway().value));
      if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return sys_error("connect", errno);
      return {};
    }));
    return socket;
  }
  std::string read_some(const Fd& from, size_t room, int ms) {
    const auto deadline = clock::Deadline::in_ms(ms);
    while (!turn(from, deadline.poll_ms()))
      if (deadline.passed()) return "";
    std::string buffer(room, '\0');
    const ssize_t got = recv(from.get(), buffer.data(), room, MSG_DONTWAIT);
    buffer.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return buffer;
  }
  Reply reply_of_stream(const Fd& from, int ms) {
    std::string all;
    while (all.size() < 2 || all.size() < 2 + (static_cast<uint8_t>(all[0]) * 256u + static_cast<uint8_t>(all[1]))) {
      const std::string more = read_some(from, 2 - std::min<size_t>(all.size(), 1), ms);
      if (more.empty()) return {};
      all += more;
    }
    return read_reply(all.substr(2));
  }
  Reply ask(const Wish& wish, int ms = 20'000) {
    const Fd socket = client(wish.tcp ? SOCK_STREAM : SOCK_DGRAM);
    std::string message = question(wish);
    if (wish.tcp) message = std::string{static_cast<char>(message.size() >> 8), static_cast<char>(message.size())} + message;
    const auto deadline = clock::Deadline::in_ms(ms);
    do {  // a datagram may be lost: as every client does
      send(socket.get(), message.data(), message.size(), 0);
      if (wish.tcp) return reply_of_stream(socket, ms);
      const std::string got = read_some(socket, 65536, 3000);
      if (!got.empty()) return read_reply(got);
    } while (!deadline.passed());
    return {};
  }
  // Until the parent has heard all of what the worker said before.
  void settle() {
    const Fd nobody = serve(host_, "127.0.0.1", 0, SOCK_DGRAM);
    while (resolver_.fd() >= 0) {
      pollfd ready{resolver_.fd(), POLLIN, 0};
      if (poll(&ready, 1, 0) != 1) return;
      turn(nobody, 0);
    }
  }

  Strings search_;  // before start()
  Hosts hosts_;     // likewise
  std::optional<uint32_t> connections_;
  std::optional<Sandbox> sandbox_;
  Resolver resolver_;
  std::unique_ptr<Dnsmasq> dnsmasq_;
  Fd fake_;
  std::function<Strings(const std::string&)> answers_;
  std::vector<int> sources_;
  Strings opened_;
  bool refuse_ = false;
  std::string ended_;
};

}  // namespace bailey::network::tests
