// Netlink messages: an encoder for the ones we send and a bounds-checked reader for the ones we get. Pure: no sockets.
//
//   0          4      6       8      12      16
//   | length   | type | flags | seq  | port  | family header | attribute | attribute | ...      (linux/netlink.h)
//                                                             0        2      4
//                                                             | length | type | data | padding to 4
//
// An attribute's length is a 16-bit number that counts its own header and, in a nest, all that it holds. Whoever wraps it lets
// data pass for attributes (CVE-2021-43784): here a message that does not fit is never sent. The reader believes no length.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace bailey::network {

using Bytes = std::span<const uint8_t>;

// A message to send. `object` names what it is about in errors: "creating link bly7".
class Message {
 public:
  Message(uint16_t type, uint16_t flags, std::string object);

  template <typename T>
  Message& header(const T& family_header) {  // ifinfomsg, nfgenmsg, ...: first, before every attribute
    static_assert(std::is_trivially_copyable_v<T>);
    return append(&family_header, sizeof family_header);
  }
  Message& bytes(uint16_t attribute, const void* data, size_t size);
  Message& text(uint16_t attribute, std::string_view value);  // with a NUL behind it; one inside is a fault
  Message& u8(uint16_t attribute, uint8_t value) { return bytes(attribute, &value, sizeof value); }
  Message& u32(uint16_t attribute, uint32_t value) { return bytes(attribute, &value, sizeof value); }
  Message& be16(uint16_t attribute, uint16_t value);
  Message& be32(uint16_t attribute, uint32_t value);
  Message& be64(uint16_t attribute, uint64_t value);
  Message& begin(uint16_t attribute);  // a nest, until its end()
  Message& end();

  Message& unanswered() {  // a frame around others, which the kernel does not acknowledge
    answered_ = false;
    return *this;
  }

  Message& describe(std::string_view more) {  // adds to the object
    object_ += more;
    return *this;
  }

  const std::string& object() const { return object_; }
  bool answered() const { return answered_; }
  // The finished message with its number and flags. Error: too long for its attributes, an open nest, a NUL in a text.
  Result<std::vector<uint8_t>> finish(uint32_t sequence, uint16_t more_flags) const;

 private:
  Message& append(const void* data, size_t size);
  std::string object_;
  std::vector<uint8_t> data_;
  std::vector<size_t> open_;  // where each open nest begins
  const char* fault_ = nullptr;
  bool answered_ = true;
};

// One attribute as it was read; `data` points into what was read from.
struct Attribute {
  uint16_t type = 0;  // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
  Bytes data;
  std::optional<uint8_t> u8() const;  // nothing unless the size is exactly right
  std::optional<uint32_t> u32() const;
  std::optional<uint32_t> be32() const;
  std::optional<uint64_t> be64() const;
  std::string_view text() const;  // up to its first NUL or its end
};

// The attributes of a message or nest, one after the other. A length that lies ends it, and broken() is true.
class Attributes {
 public:
  explicit Attributes(Bytes data) : rest_(data) {}
  std::optional<Attribute> next();
  bool broken() const { return broken_; }
  // The last one of that type, as the kernel reads them.
  static std::optional<Attribute> find(Bytes data, uint16_t type);

 private:
  Bytes rest_;
  bool broken_ = false;
};

struct Received {
  nlmsghdr header{};
  Bytes payload;
  // The attributes behind a family header of that size; empty when it is not there.
  Bytes behind(size_t family_header) const;
  template <typename T>
  std::optional<T> family() const {
    static_assert(std::is_trivially_copyable_v<T>);
    if (payload.size() < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, payload.data(), sizeof value);
    return value;
  }
};

// The messages of one datagram.
class Messages {
 public:
  explicit Messages(Bytes datagram) : rest_(datagram) {}
  std::optional<Received> next();
  bool broken() const { return broken_; }

 private:
  Bytes rest_;
  bool broken_ = false;
};

// NLMSG_ERROR: an error, or with err 0 an acknowledgement; and NLMSG_DONE, which may carry one.
struct Answer {
  int err = 0;       // a positive errno
  std::string text;  // the kernel's own words (NETLINK_EXT_ACK), printable; mostly empty
};
std::optional<Answer> read_answer(const Received& message);

}  // namespace bailey::network
