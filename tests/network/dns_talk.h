// DNS as a test speaks it, independent of network/dns/dns_message.h: questions and answers put together by hand, replies read
// by glibc's resolver library.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "network/ip/netns.h"
#include "tests/network/networks.h"
#include "tests/support/temp_dir.h"

namespace bailey::network::tests {

constexpr int kA = 1, kCname = 5, kTxt = 16, kAaaa = 28, kHttps = 65, kAxfr = 252, kAny = 255;

struct Wish {
  std::string name;
  int type = kA;
  bool tcp = false;
  int room = 0;  // EDNS with that size
  int id = 0x1234;
  int kind = 1;  // class: IN
};
std::string question(const Wish& wish);

// A record for an answer; `owner` as text.
std::string a_record(const std::string& owner, const std::string& address, uint32_t seconds = 60);
std::string cname_record(const std::string& owner, const std::string& target, uint32_t seconds = 60);
// The answer to `asked` (a whole question, its EDNS left out) with these records.
std::string answer(const std::string& asked, const std::vector<std::string>& records, int rcode = 0);

struct Reply {
  bool came = false;  // nothing else is set without it
  int id = 0, rcode = -1;
  bool truncated = false, edns = false;
  std::string name;                  // of the question
  std::vector<std::string> records;  // "www.example CNAME a.example", "a.example A 198.51.100.9", "info.example 16"
  std::vector<std::string> addresses;
  std::vector<uint32_t> seconds;  // of each record
  size_t size = 0;
};
Reply read_reply(const std::string& message);
std::ostream& operator<<(std::ostream& stream, const Reply& reply);

// dnsmasq on an address, in the foreground; ended by its destructor.
class Dnsmasq {
 public:
  Dnsmasq(const Netns& where, const std::string& address, const std::string& lines);
  ~Dnsmasq();
  Dnsmasq(const Dnsmasq&) = delete;
  void hosts(const std::string& lines);  // "198.51.100.9 a.example"; read again, and then answered

 private:
  void wait_for_marker();
  bailey::tests::TempDir directory_;
  const Netns& where_;
  std::string address_;
  int marker_ = 0;
  pid_t pid_ = -1;
};

}  // namespace bailey::network::tests
