// Any bytes as a question and as an answer: what is decided on them keeps its promises, and what is made of them can be read.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "network/dns/dns_message.h"
#include "network/dns/name_rules.h"
#include "tests/fuzz/check.h"

using namespace bailey::network;

namespace {

const std::vector<Grant>& egress() {
  static const std::vector<Grant> grants = [] {
    std::vector<Grant> result;
    for (const char* text : {"a.example:443", "*.example", "10.0.0.0/24"}) result.push_back(*parse_grant(text));
    return result;
  }();
  return grants;
}

dns::Bytes bytes(const std::string& text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

void check_name(const std::string& name) {
  CHECK(name.size() <= 1024);
  CHECK(std::ranges::all_of(name, [](char c) { return c > ' ' && c <= '~' && (c < 'A' || c > 'Z'); }));
}

void check_records(const dns::Query& query, const std::vector<dns::Record>& records) {
  const auto chain = dns::follow(query.question.name, records);
  std::string current = query.question.name;
  for (const dns::Record& record : chain) {
    CHECK(record.owner == current);
    if (!record.address) current = record.alias_of;
  }
  for (const size_t room : {dns::kSmallest, query.room, dns::kLargest}) {
    const std::string message = dns::make_answer(query, dns::Rcode::no_error, chain, room);
    CHECK(message.size() <= room);
    const auto read = dns::parse_answer(bytes(message), query.question, query.id);
    CHECK(read.has_value());
    CHECK(read->truncated == (read->records.size() < chain.size()));
    for (size_t i = 0; i < read->records.size(); ++i)
      CHECK(read->records[i].owner == chain[i].owner && read->records[i].address == chain[i].address);
  }
}

void take_as_question(dns::Bytes message) {
  const auto query = dns::parse_query(message);
  if (!query) return;
  if (query->fault != dns::Rcode::no_error) {
    const size_t opt = query->edns ? 11 : 0;  // who spoke EDNS is answered with it (RFC 6891 6.1.1)
    CHECK(dns::make_answer(*query, query->fault, {}, dns::kSmallest).size() == dns::kHeader + opt);
    return;
  }
  check_name(query->question.name);
  const Verdict verdict = judge(query->question, egress(), true, {});
  if (verdict.kind == Verdict::Kind::refused) CHECK(verdict.grants.empty());
  for (const uint32_t grant : verdict.grants) CHECK(matches(egress().at(grant), query->question.name));
  // What was understood is what a server will understand.
  const auto again = dns::parse_query(bytes(dns::make_query(*query, 7)));
  CHECK(again && again->question.name == query->question.name && again->question.type == query->question.type);
  check_records(*query, {});
}

void take_as_answer(dns::Bytes message) {
  if (message.size() < dns::kHeader) return;
  const uint16_t id = static_cast<uint16_t>(message[0] << 8 | message[1]);
  dns::Query query;
  query.id = id;
  for (const uint16_t type : {dns::type::kA, dns::type::kAaaa}) {
    query.question = {"a.example", "a.eXample", type};
    const auto answer = dns::parse_answer(message, query.question, id);
    CHECK(!dns::parse_answer(message, query.question, static_cast<uint16_t>(id + 1)));
    if (!answer) continue;
    for (const dns::Record& record : answer->records) {
      check_name(record.owner);
      check_name(record.alias_of);
      CHECK(record.address.has_value() == record.alias_of.empty() || !record.address);
      CHECK(!record.address || (record.address->ip == Ip::v6) == (type == dns::type::kAaaa));
      if (record.address && may_open(*record.address)) CHECK(may_tell(*record.address, egress()));
      CHECK(open_seconds(record.seconds) <= kLongestOpen + kGrace);
    }
    check_records(query, answer->records);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  take_as_question({data, size});
  take_as_answer({data, size});
  return 0;
}
