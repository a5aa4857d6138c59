// nf_tables: tables, chains, sets, counters and their elements as netlink messages, and what the kernel answers about them.
// Rules are made by network/nftables/nft_rule.h. What returns a Message only makes it; its object reads like nft(8)'s language,
// so that an error, or a list of the messages, says what is meant. CAP_NET_ADMIN for all that is sent.
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
#include "network/ip/address.h"
#include "network/netlink/netlink.h"

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

// What is kept with a table (Linux 5.10), in nft(8)'s form of it (libnftnl, udata.h): | type | length | value | type | ...
struct Note {
  std::string comment;             // nft lists it: type 0, with a NUL
  std::vector<uint8_t> addresses;  // ours, a type that nft passes over
};
Message create_table(const Table& table, const Note& note = {});  // EEXIST when it is there
struct FoundTable {
  Table table;
  uint64_t handle = 0;  // no other table of the namespace ever has it
  Note note;
};
Message remove_table(const FoundTable& table);  // that one and no other of its name. ENOENT

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
Message keep(const Table& table, const std::string& name, const Address& address);  // there, for good; fine when it is there
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
std::optional<FoundTable> read_table(const Received& message);        // of any family
std::optional<uint64_t> read_counter(const Received& message);        // packets
std::vector<Destination> read_destinations(const Received& message);  // what makes no sense is left out

}  // namespace bailey::network::nft
