#include "network/dns/dns_message.h"

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>

#include <algorithm>

namespace bailey::network::dns {

namespace {

// Bits of the second word of the header (RFC 1035 4.1.1, RFC 2535 6.1 for AD and CD).
constexpr uint16_t kResponse = 0x8000, kOpcode = 0x7800, kTruncated = 0x0200, kRecursionDesired = 0x0100,
                   kRecursionAvailable = 0x0080, kAuthentic = 0x0020, kCheckingDisabled = 0x0010, kRcode = 0x000f;
constexpr uint32_t kDnssecOk = 0x8000;  // in the TTL of an OPT record
constexpr int kMostAliases = 16;

uint16_t word(Bytes message, size_t at) { return static_cast<uint16_t>(message[at] << 8 | message[at + 1]); }

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

bool open(Bytes message, ns_msg& parsed) {
  return message.size() <= kLargest && ns_initparse(message.data(), static_cast<int>(message.size()), &parsed) == 0;
}

std::optional<Question> read_question(ns_msg& message) {
  ns_rr question;
  if (ns_msg_count(message, ns_s_qd) != 1 || ns_parserr(&message, ns_s_qd, 0, &question) != 0) return std::nullopt;
  std::string spelled = question.name;
  if (spelled == ".") spelled.clear();
  return Question{lower(spelled), spelled, static_cast<uint16_t>(ns_rr_type(question)), ns_rr_class(question) == ns_c_in};
}

std::optional<Record> read_record(const ns_msg& message, const ns_rr& record, uint16_t asked) {
  if (ns_rr_class(record) != ns_c_in) return std::nullopt;
  Record result{lower(record.name), ns_rr_ttl(record), std::nullopt, {}};
  if (result.seconds > INT32_MAX) result.seconds = 0;  // RFC 2181 8
  const size_t length = ns_rr_type(record) == ns_t_a ? NS_INADDRSZ : ns_rr_type(record) == ns_t_aaaa ? NS_IN6ADDRSZ : 0;
  if (length) {
    if (ns_rr_type(record) != asked || ns_rr_rdlen(record) != length) return std::nullopt;
    result.address = read_address({ns_rr_rdata(record), length});
    return result;
  }
  if (ns_rr_type(record) != ns_t_cname) return std::nullopt;
  char target[NS_MAXDNAME];
  const int used = dn_expand(ns_msg_base(message), ns_msg_end(message), ns_rr_rdata(record), target, sizeof target);
  if (used != ns_rr_rdlen(record)) return std::nullopt;
  result.alias_of = lower(target);
  return result;
}

// A message as it grows. What does not fit is not there at all, and `full` says so.
class Writer {
 public:
  explicit Writer(size_t room) : room_(std::min(room, kLargest)) {
    bytes_.resize(room_);
    compressed_[0] = at(0);
  }
  void u16(uint32_t value) {
    if (!fits(2)) return;
    ns_put16(value & 0xffff, at(size_));
    size_ += 2;
  }
  void u32(uint32_t value) {
    u16(value >> 16);
    u16(value & 0xffff);
  }
  void address(const Address& value) {
    const WireAddress wire = to_wire(value);
    if (!fits(wire.size())) return;
    std::copy_n(wire.data(), wire.size(), at(size_));
    size_ += wire.size();
  }
  void name(const std::string& text) {
    if (full_) return;
    const int used =
        dn_comp(text.c_str(), at(size_), static_cast<int>(room_ - size_), compressed_, compressed_ + std::size(compressed_));
    if (used < 0) full_ = true;
    else size_ += static_cast<size_t>(used);
  }
  // Undone when it does not fit: true when it did.
  bool record(const std::string& owner, const Record& from) {
    const size_t before = size_;
    name(owner);
    u16(!from.address ? type::kCname : from.address->ip == Ip::v4 ? type::kA : type::kAaaa);
    u16(ns_c_in);
    u32(from.seconds);
    const size_t length = size_;
    u16(0);
    if (from.address) address(*from.address);
    else name(from.alias_of);
    if (full_) {
      size_ = before;
      return false;
    }
    set16(length, size_ - length - 2);
    return true;
  }
  void set16(size_t offset, size_t value) { ns_put16(static_cast<unsigned>(value), at(offset)); }
  size_t size() const { return size_; }
  std::string take() {
    bytes_.resize(size_);
    return std::move(bytes_);
  }

 private:
  unsigned char* at(size_t offset) { return reinterpret_cast<unsigned char*>(bytes_.data()) + offset; }
  bool fits(size_t more) {
    if (room_ - size_ < more) full_ = true;
    return !full_;
  }

  std::string bytes_;
  size_t room_, size_ = 0;
  bool full_ = false;
  unsigned char* compressed_[64] = {};  // dn_comp's: where names begin that later ones may point to
};

void begin(Writer& writer, uint16_t id, uint32_t flags, const Question* question, bool edns) {
  writer.u16(id);
  writer.u16(flags);
  writer.u16(question != nullptr);
  writer.u16(0);
  writer.u16(0);
  writer.u16(edns);
  if (!question) return;
  writer.name(question->spelled);
  writer.u16(question->type);
  writer.u16(ns_c_in);
}

// RFC 6891 6.1.2: the root, OPT, the size of UDP in the class, flags in the TTL, no options.
constexpr size_t kOptSize = 11;
void add_opt(Writer& writer, size_t room, bool dnssec_ok) {
  writer.name("");
  writer.u16(type::kOpt);
  writer.u16(static_cast<uint32_t>(room));
  writer.u32(dnssec_ok ? kDnssecOk : 0);
  writer.u16(0);
}

std::string make_reply(const Query& query, uint32_t flags, std::span<const Record> records, size_t room) {
  const bool asked = query.fault == Rcode::no_error;
  const size_t reserved = query.edns ? kOptSize : 0;
  Writer writer(std::max(room, kSmallest) - reserved);
  begin(writer, query.id, kResponse | kRecursionAvailable | (query.flags & kRecursionDesired) | flags,
        asked ? &query.question : nullptr, query.edns);
  size_t count = 0;
  for (const Record& record : records) {
    // The first name is the one that was asked for: spelled as there.
    if (!writer.record(record.owner == query.question.name ? query.question.spelled : record.owner, record)) break;
    ++count;
  }
  writer.set16(6, count);
  if (count < records.size())
    writer.set16(2, kResponse | kRecursionAvailable | kTruncated | (query.flags & kRecursionDesired) | flags);
  std::string message = writer.take();
  if (query.edns) {
    Writer opt(kOptSize);
    add_opt(opt, kEdns, false);
    message += opt.take();
  }
  return message;
}

}  // namespace

std::optional<Query> parse_query(Bytes message) {
  if (message.size() < kHeader || (word(message, 2) & kResponse)) return std::nullopt;
  Query query;
  query.id = word(message, 0);
  query.flags = word(message, 2) & (kRecursionDesired | kAuthentic | kCheckingDisabled);
  query.fault = Rcode::format_error;
  if (word(message, 2) & kOpcode) {
    query.fault = Rcode::not_done;
    return query;
  }
  ns_msg parsed;
  if (!open(message, parsed) || ns_msg_count(parsed, ns_s_an) || ns_msg_count(parsed, ns_s_ns)) return query;
  const auto question = read_question(parsed);
  if (!question) return query;
  for (int i = 0; i < ns_msg_count(parsed, ns_s_ar); ++i) {
    ns_rr extra;
    if (ns_parserr(&parsed, ns_s_ar, i, &extra) != 0) return query;
    if (ns_rr_type(extra) != ns_t_opt) continue;
    query.edns = true;
    query.dnssec_ok = ns_rr_ttl(extra) & kDnssecOk;
    query.room = std::clamp<size_t>(ns_rr_class(extra), kSmallest, kEdns);
  }
  query.question = *question;
  query.fault = question->internet ? Rcode::no_error : Rcode::refused;
  return query;
}

std::optional<Answer> parse_answer(Bytes message, const Question& asked, uint16_t id) {
  if (message.size() < kHeader || word(message, 0) != id) return std::nullopt;
  const uint16_t flags = word(message, 2);
  if (!(flags & kResponse) || (flags & kOpcode)) return std::nullopt;
  ns_msg parsed;
  if (!open(message, parsed)) return std::nullopt;
  const auto question = read_question(parsed);
  if (!question || question->name != asked.name || question->type != asked.type || !question->internet) return std::nullopt;
  Answer answer{static_cast<Rcode>(flags & kRcode), (flags & kTruncated) != 0, {}};
  for (int i = 0; i < ns_msg_count(parsed, ns_s_an); ++i) {
    ns_rr record;
    if (ns_parserr(&parsed, ns_s_an, i, &record) != 0) return std::nullopt;
    if (auto read = read_record(parsed, record, asked.type)) answer.records.push_back(std::move(*read));
  }
  return answer;
}

std::vector<Record> follow(const std::string& name, const std::vector<Record>& records) {
  std::vector<Record> chain;
  std::string current = name;
  for (int aliases = 0; aliases <= kMostAliases; ++aliases) {
    const auto alias =
        std::ranges::find_if(records, [&](const Record& record) { return !record.address && record.owner == current; });
    if (alias == records.end()) break;
    if (aliases == kMostAliases) return {};
    chain.push_back(*alias);
    current = alias->alias_of;
  }
  for (const Record& record : records)
    if (record.address && record.owner == current) chain.push_back(record);
  return chain;
}

std::string make_query(const Query& query, uint16_t id) {
  Writer writer(kSmallest);
  begin(writer, id, query.flags | kRecursionDesired, &query.question, query.edns);
  if (query.edns) add_opt(writer, query.room, query.dnssec_ok);
  return writer.take();
}

std::string make_answer(const Query& query, Rcode rcode, std::span<const Record> records, size_t room) {
  return make_reply(query, static_cast<uint32_t>(rcode), records, room);
}

std::string make_truncated(const Query& query) { return make_reply(query, kTruncated, {}, kSmallest); }

void set_id(std::string& message, uint16_t id) {
  message[0] = static_cast<char>(id >> 8);
  message[1] = static_cast<char>(id);
}

}  // namespace bailey::network::dns
