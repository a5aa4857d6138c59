// DNS messages (RFC 1035, EDNS of RFC 6891) as values: what a client asked, what a server answered, and both to be sent. The
// wire is read and written by glibc's resolver library (docs/decisions/dns-messages.md); any bytes are fine as input. Pure.
//
// Names are text as glibc writes it: no dot at the end, "" the root, a byte that is no printable ASCII as \DDD, a dot within a
// label as \. ; `name` is in lower case, `spelled` as it came (clients compare it with what they sent).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "network/ip/address.h"

namespace bailey::network::dns {

using Bytes = std::span<const uint8_t>;

enum class Rcode : uint8_t { no_error = 0, format_error = 1, server_failure = 2, no_such_name = 3, not_done = 4, refused = 5 };

namespace type {
constexpr uint16_t kA = 1, kCname = 5, kAaaa = 28, kOpt = 41, kIxfr = 251, kAxfr = 252;
}

constexpr size_t kHeader = 12;
constexpr size_t kSmallest = 512;  // of RFC 1035: what every client takes by UDP
constexpr size_t kEdns = 1232;     // what crosses every path unfragmented (DNS flag day 2020)
constexpr size_t kLargest = 65535;

struct Question {
  std::string name, spelled;
  uint16_t type = type::kA;
  bool internet = true;  // class IN, the only one that is answered
};

struct Query {
  uint16_t id = 0;
  uint16_t flags = 0;             // RD, AD and CD of what came
  Rcode fault = Rcode::no_error;  // else: what to answer at once; `question` only with `refused`
  Question question;
  bool edns = false, dnssec_ok = false;
  size_t room = kSmallest;  // the largest answer by UDP, at most kEdns
};
// Nothing: no answer is owed to that (shorter than a header, or an answer itself).
std::optional<Query> parse_query(Bytes message);

struct Record {
  std::string owner;  // lower case
  uint32_t seconds = 0;
  std::optional<Address> address;  // type A or AAAA
  std::string alias_of;            // type CNAME, lower case
};

struct Answer {
  Rcode rcode = Rcode::no_error;
  bool truncated = false;
  std::vector<Record> records;  // of the answer section, as they came: CNAME, and A or AAAA, whichever was asked for
};
// Nothing: it is no answer to that question with that id.
std::optional<Answer> parse_answer(Bytes message, const Question& asked, uint16_t id);

// Those records that lead from `name` to addresses, in order: CNAMEs (at most 16), then the addresses of the last name.
std::vector<Record> follow(const std::string& name, const std::vector<Record>& records);

// What to ask a server with.
std::string make_query(const Query& query, uint16_t id);
// An answer of at most `room` bytes; records that do not fit are left out and the answer is marked as truncated.
std::string make_answer(const Query& query, Rcode rcode, std::span<const Record> records, size_t room);
// An empty one that makes the client ask again by TCP.
std::string make_truncated(const Query& query);
void set_id(std::string& message, uint16_t id);  // of at least two bytes

}  // namespace bailey::network::dns
