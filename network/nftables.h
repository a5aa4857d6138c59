// nf_tables: tables, chains, sets, counters and their elements as netlink messages, and what the kernel answers about them.
// Rules are made by network/nft_rule.h. What answers a Message only makes it; its object reads like nft(8)'s language, so that
// an error, or a list of the messages, says what is meant. CAP_NET_ADMIN for all that is sent.
//
// Changes go in a batch, begin_batch() first and end_batch() last: the kernel takes all of it or nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "network/address.h"
#include "network/netlink.h"

namespace bailey::network::nft {

enum class Family : uint8_t { unspecified = 0, inet = 1, bridge = 7 };  // NFPROTO_*

struct Table {
  Family family = Family::inet;
  std::string name;
};
std::string to_text(const Table& table);  // inet bailey-7

// `type` is the low byte of the message's type: NFT_MSG_NEWRULE.
Message message(uint8_t type, uint16_t flags, Family family, std::string object);
Message begin_batch();
Message end_batch();

Message add_table(const Table& table);  // fine when it is there
// EEXIST when it is there. `note`, if not empty, is kept with it, for read_note() (Linux 5.10; older kernels forget it).
Message create_table(const Table& table, Bytes note = {});
Message remove_table(const Table& table);

// Where a base chain hangs; what reaches its end is accepted. Priorities: linux/netfilter_ipv4.h, linux/netfilter_bridge.h.
struct Hook {
  const char* type = "filter";
  uint32_t number = 0;
  int32_t priority = 0;
};
Message add_chain(const Table& table, const std::string& name);
Message add_chain(const Table& table, const std::string& name, const Hook& hook);

Message add_counter(const Table& table, const std::string& name);

// Ranges of one family that do not change.
Message add_ranges(const Table& table, const std::string& name, Ip ip);
Message fill_ranges(const Table& table, const std::string& name, std::span<const Subnet> ranges);
// Addresses of one family that each go away by themselves. To let one in takes three messages, which give one that is there its
// new time as well: before Linux 6.12 the kernel keeps the old time of an element that is added again.
Message add_addresses(const Table& table, const std::string& name, Ip ip, uint32_t size);
std::vector<Message> admit(const Table& table, const std::string& name, const Address& address, uint32_t seconds);
// What rules put in: address . protocol . port, each counted. When it is full, what is new is left out.
Message add_destinations(const Table& table, const std::string& name, Ip ip, uint32_t size);

Message list_tables();
Message ask_table(const Table& table);  // ENOENT
Message ask_counter(const Table& table, const std::string& name);
Message list_elements(const Table& table, const std::string& name);

// The answers to those; nothing when it is another message or makes no sense.
struct Destination {
  Address address;
  uint8_t protocol = 0;  // IPPROTO_TCP
  uint16_t port = 0;     // 0: it has none
  uint64_t packets = 0;
};
std::optional<Table> read_table(const Received& message);             // of any family
std::optional<Bytes> read_note(const Received& message);              // points into the message
std::optional<uint64_t> read_counter(const Received& message);        // packets
std::vector<Destination> read_destinations(const Received& message);  // what makes no sense is left out

}  // namespace bailey::network::nft
