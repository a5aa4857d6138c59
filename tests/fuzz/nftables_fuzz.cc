// Any bytes as the kernel's answer about nf_tables or connections: what is read lies within, and no element is read twice.
#include <linux/netfilter/nfnetlink.h>

#include <cstddef>
#include <cstdint>

#include "network/filter/conntrack.h"
#include "network/filter/firewall_rules.h"
#include "network/nftables/nftables.h"
#include "tests/fuzz/check.h"

using namespace bailey::network;

namespace {

void check_inside(Bytes outer, Bytes inner) {
  if (inner.empty()) return;
  CHECK(inner.data() >= outer.data() && inner.data() + inner.size() <= outer.data() + outer.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Messages messages(Bytes(data, size));
  while (const auto message = messages.next()) {
    if (const auto found = nft::read_table(*message)) {
      const auto& [table, handle, note] = *found;
      CHECK(table.name.size() + note.comment.size() + note.addresses.size() <= message->payload.size());
      if (const auto slot = rules::slot_of(table)) CHECK(rules::inet_table(*slot).name == table.name);
    }
    (void)nft::read_counter(*message);
    // An element holds at least its key: list element, key, value, 12 bytes of IPv4 or 24.
    CHECK(nft::read_destinations(*message).size() <= message->payload.size() / 24);
    if (const auto entry = conntrack::read_entry(*message)) {
      check_inside(message->payload, entry->tuple);
      check_inside(message->payload, entry->zone);
    }
  }
  return 0;
}
