// Any bytes as the kernel's answer: every message, attribute and text lies within what was read, in order, and the reader ends.
#include <cstddef>
#include <cstdint>

#include "network/netlink/netlink.h"
#include "tests/fuzz/check.h"

using namespace bailey::network;

namespace {

void check_inside(Bytes outer, Bytes inner) {
  if (inner.empty()) return;
  CHECK(inner.data() >= outer.data() && inner.data() + inner.size() <= outer.data() + outer.size());
}

void check_attributes(Bytes data, int depth) {
  Attributes all(data);
  const uint8_t* before = data.data();
  while (const auto attribute = all.next()) {
    check_inside(data, attribute->data);
    CHECK(attribute->data.data() > before);  // never the same place twice
    before = attribute->data.data();
    CHECK(attribute->text().size() <= attribute->data.size());
    (void)attribute->u8();
    (void)attribute->u32();
    (void)attribute->be64();
    CHECK(Attributes::find(data, attribute->type).has_value());
    if (depth < 4) check_attributes(attribute->data, depth + 1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes datagram(data, size);
  Messages messages(datagram);
  size_t count = 0;
  while (const auto message = messages.next()) {
    CHECK(++count <= size / sizeof(nlmsghdr));
    check_inside(datagram, message->payload);
    for (const size_t header : {0, 4, 12, 16}) check_attributes(message->behind(header), 0);
    const auto answer = read_answer(*message);
    if (!answer) continue;
    CHECK(answer->err >= 0 && answer->err <= 4095);
    for (const char c : answer->text) CHECK(c >= 0x20 && c <= 0x7e);
  }
  return 0;
}
