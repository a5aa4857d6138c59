#include "network/netlink/netlink.h"

#include <arpa/inet.h>
#include <endian.h>

#include <algorithm>
#include <limits>

namespace bailey::network {

namespace {

constexpr size_t kMaxAttribute = std::numeric_limits<uint16_t>::max();
constexpr size_t kMaxText = 512;
constexpr size_t kUsualSize = 384;  // most messages fit: one allocation

size_t padded(size_t size) { return (size + 3) & ~size_t{3}; }

template <typename T>
std::optional<T> number(Bytes data) {
  if (data.size() != sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, data.data(), sizeof value);
  return value;
}

// The kernel's text may quote names that others have chosen.
std::string printable(std::string_view text) {
  std::string result(text.substr(0, kMaxText));
  std::ranges::replace_if(result, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return result;
}

}  // namespace

Message::Message(uint16_t type, uint16_t flags, std::string object) : object_(std::move(object)) {
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = flags | NLM_F_REQUEST;
  data_.reserve(kUsualSize);
  append(&header, sizeof header);
}

Message& Message::append(const void* data, size_t size) {
  const auto* from = static_cast<const uint8_t*>(data);
  data_.insert(data_.end(), from, from + size);
  data_.resize(padded(data_.size()));
  return *this;
}

Message& Message::bytes(uint16_t attribute, const void* data, size_t size) {
  if (size > kMaxAttribute - NLA_HDRLEN) {
    fault_ = "an attribute is longer than its 16-bit length can say";
    return *this;
  }
  const nlattr header{static_cast<uint16_t>(NLA_HDRLEN + size), attribute};
  append(&header, sizeof header);
  return append(data, size);
}

Message& Message::text(uint16_t attribute, std::string_view value) {
  if (value.find('\0') != value.npos) fault_ = "a text has a NUL in it";
  return bytes(attribute, std::string(value).c_str(), value.size() + 1);
}

Message& Message::be16(uint16_t attribute, uint16_t value) {
  const uint16_t swapped = htons(value);
  return bytes(attribute, &swapped, sizeof swapped);
}

Message& Message::be32(uint16_t attribute, uint32_t value) { return u32(attribute, htonl(value)); }

Message& Message::be64(uint16_t attribute, uint64_t value) {
  const uint64_t swapped = htobe64(value);
  return bytes(attribute, &swapped, sizeof swapped);
}

Message& Message::begin(uint16_t attribute) {
  open_.push_back(data_.size());
  const nlattr header{NLA_HDRLEN, static_cast<uint16_t>(attribute | NLA_F_NESTED)};
  return append(&header, sizeof header);
}

Message& Message::end() {
  if (open_.empty()) {
    fault_ = "a nest ends that never began";
    return *this;
  }
  const size_t begin = open_.back();
  open_.pop_back();
  const size_t size = data_.size() - begin;
  if (size > kMaxAttribute) {
    fault_ = "a nest is longer than its 16-bit length can say";
    return *this;
  }
  const auto length = static_cast<uint16_t>(size);
  std::memcpy(data_.data() + begin, &length, sizeof length);
  return *this;
}

Result<std::vector<uint8_t>> Message::finish(uint32_t sequence, uint16_t more_flags) const {
  const char* fault = fault_ ? fault_ : !open_.empty() ? "a nest has no end" : nullptr;
  if (fault) return fail(Fault::bad_input, object_ + ": the netlink message cannot be made: " + fault);
  std::vector<uint8_t> result = data_;
  nlmsghdr header;
  std::memcpy(&header, result.data(), sizeof header);
  header.nlmsg_len = static_cast<uint32_t>(result.size());
  header.nlmsg_seq = sequence;
  header.nlmsg_flags |= more_flags;
  std::memcpy(result.data(), &header, sizeof header);
  return result;
}

std::optional<uint8_t> Attribute::u8() const { return number<uint8_t>(data); }
std::optional<uint32_t> Attribute::u32() const { return number<uint32_t>(data); }

std::optional<uint32_t> Attribute::be32() const {
  const auto value = number<uint32_t>(data);
  return value ? std::optional(ntohl(*value)) : std::nullopt;
}

std::optional<uint64_t> Attribute::be64() const {
  const auto value = number<uint64_t>(data);
  return value ? std::optional(be64toh(*value)) : std::nullopt;
}

std::string_view Attribute::text() const {
  const std::string_view all(reinterpret_cast<const char*>(data.data()), data.size());
  return all.substr(0, all.find('\0'));
}

std::optional<Attribute> Attributes::next() {
  if (rest_.empty()) return std::nullopt;
  nlattr header;
  if (rest_.size() < sizeof header) {
    // Padding behind the last attribute is no attribute; anything else is a lie.
    broken_ = std::ranges::any_of(rest_, [](uint8_t byte) { return byte != 0; });
    rest_ = {};
    return std::nullopt;
  }
  std::memcpy(&header, rest_.data(), sizeof header);
  if (header.nla_len < sizeof header || header.nla_len > rest_.size()) {
    broken_ = true;
    rest_ = {};
    return std::nullopt;
  }
  const Bytes data = rest_.subspan(sizeof header, header.nla_len - sizeof header);
  rest_ = rest_.subspan(std::min(padded(header.nla_len), rest_.size()));
  return Attribute{static_cast<uint16_t>(header.nla_type & NLA_TYPE_MASK), data};
}

std::optional<Attribute> Attributes::find(Bytes data, uint16_t type) {
  Attributes all(data);
  std::optional<Attribute> found;
  while (auto attribute = all.next())
    if (attribute->type == type) found = attribute;
  return found;
}

Bytes Received::behind(size_t family_header) const {
  const size_t at = padded(family_header);
  return at <= payload.size() ? payload.subspan(at) : Bytes();
}

std::optional<Received> Messages::next() {
  if (rest_.empty()) return std::nullopt;
  Received message;
  const bool whole = rest_.size() >= sizeof message.header;
  if (whole) std::memcpy(&message.header, rest_.data(), sizeof message.header);
  if (!whole || message.header.nlmsg_len < sizeof message.header || message.header.nlmsg_len > rest_.size()) {
    broken_ = true;
    rest_ = {};
    return std::nullopt;
  }
  message.payload = rest_.subspan(sizeof message.header, message.header.nlmsg_len - sizeof message.header);
  rest_ = rest_.subspan(std::min(padded(message.header.nlmsg_len), rest_.size()));
  return message;
}

std::optional<Answer> read_answer(const Received& message) {
  const bool done = message.header.nlmsg_type == NLMSG_DONE;
  if (!done && message.header.nlmsg_type != NLMSG_ERROR) return std::nullopt;
  const auto err = message.family<int32_t>();
  if (!err) return done ? std::optional(Answer{}) : std::nullopt;
  if (*err > 0 || *err < -4095) return std::nullopt;  // an errno, negated; INT_MIN has no negation
  Answer answer{-*err, {}};
  if (!(message.header.nlmsg_flags & NLM_F_ACK_TLVS)) return answer;
  // errno · (errors only) the header of what it answers · its payload, unless capped · attributes
  size_t skip = sizeof(int32_t);
  if (!done) {
    const auto echo = message.family<nlmsgerr>();
    if (!echo) return std::nullopt;
    skip = sizeof(nlmsgerr);
    if (!(message.header.nlmsg_flags & NLM_F_CAPPED)) {
      if (echo->msg.nlmsg_len < sizeof(nlmsghdr) || echo->msg.nlmsg_len > message.payload.size()) return answer;
      skip += padded(echo->msg.nlmsg_len) - sizeof(nlmsghdr);
    }
  }
  if (const auto text = Attributes::find(message.behind(skip), NLMSGERR_ATTR_MSG)) answer.text = printable(text->text());
  return answer;
}

}  // namespace bailey::network
