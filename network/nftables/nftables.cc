#include "network/nftables/nftables.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <limits>
#include <utility>

namespace bailey::network::nft {

namespace {

constexpr uint16_t kSubsystem = NFNL_SUBSYS_NFTABLES << 8;

// nft(8)'s numbers for the types of keys: only nft's listings read them.
constexpr uint32_t kProtocolType = 12, kPortType = 13;

// What a set holds. Each part of a concatenation is padded to 4 bytes.
struct Key {
  std::string text;
  uint32_t type, size;
};
Key address_key(Ip ip) { return ip == Ip::v4 ? Key{"ipv4_addr", 7, 4} : Key{"ipv6_addr", 8, 16}; }
Key destination_key(Ip ip) {
  const Key address = address_key(ip);
  return {address.text + " . inet_proto . inet_service", address.type << 12 | kProtocolType << 6 | kPortType, address.size + 8};
}

constexpr uint8_t kComment = 0;  // NFTNL_UDATA_TABLE_COMMENT
constexpr uint8_t kAddresses = 0xba;

// A set needs a number within its batch, even when only its name is used.
constexpr uint32_t kAnyId = 1;

void put_note(std::vector<uint8_t>& to, uint8_t type, Bytes value) {
  if (value.empty() || value.size() > std::numeric_limits<uint8_t>::max()) return;
  to.push_back(type);
  to.push_back(static_cast<uint8_t>(value.size()));
  to.insert(to.end(), value.begin(), value.end());
}

std::vector<uint8_t> write_note(const Note& note) {
  std::vector<uint8_t> result;
  const auto* comment = reinterpret_cast<const uint8_t*>(note.comment.c_str());
  if (!note.comment.empty()) put_note(result, kComment, {comment, note.comment.size() + 1});
  put_note(result, kAddresses, note.addresses);
  return result;
}

// Somebody else's may be anything.
Note read_note(Bytes data) {
  Note note;
  while (data.size() >= 2 && data.size() - 2 >= data[1]) {
    const Bytes value = data.subspan(2, data[1]);
    const std::string_view text(reinterpret_cast<const char*>(value.data()), value.size());
    if (data[0] == kComment) note.comment = text.substr(0, text.find('\0'));
    if (data[0] == kAddresses) note.addresses.assign(value.begin(), value.end());
    data = data.subspan(2 + value.size());
  }
  return note;
}

Message batch_frame(uint16_t type, const char* object) {
  Message frame(type, 0, object);
  nfgenmsg header{};
  header.version = NFNETLINK_V0;
  header.res_id = htons(NFNL_SUBSYS_NFTABLES);
  frame.header(header).unanswered();
  return frame;
}

Message add_set(const Table& table, const std::string& name, const Key& key, const char* word, uint32_t flags, uint32_t size) {
  Message set = message(NFT_MSG_NEWSET, NLM_F_CREATE, table.family,
                        "add set " + to_text(table) + " " + name + " { type " + key.text + "; flags " + word + " }");
  set.text(NFTA_SET_TABLE, table.name).text(NFTA_SET_NAME, name).be32(NFTA_SET_FLAGS, flags);
  set.be32(NFTA_SET_KEY_TYPE, key.type).be32(NFTA_SET_KEY_LEN, key.size);
  set.be32(NFTA_SET_ID, kAnyId);
  if (size) set.begin(NFTA_SET_DESC).be32(NFTA_SET_DESC_SIZE, size).end();
  return set;
}

Message elements(uint8_t type, uint16_t flags, const Table& table, const std::string& name, std::string object) {
  Message list = message(type, flags, table.family, std::move(object));
  list.text(NFTA_SET_ELEM_LIST_TABLE, table.name).text(NFTA_SET_ELEM_LIST_SET, name);
  return list;
}

Message& put_key(Message& message, const Address& address) {
  const WireAddress wire = to_wire(address);
  return message.begin(NFTA_SET_ELEM_KEY).bytes(NFTA_DATA_VALUE, wire.data(), wire.size()).end();
}

// The nest of `type` in a message behind its nfgenmsg.
std::optional<Attribute> attribute_of(const Received& message, uint8_t kind, uint16_t type) {
  if (message.header.nlmsg_type != (kSubsystem | kind)) return std::nullopt;
  return Attributes::find(message.behind(sizeof(nfgenmsg)), type);
}

std::optional<uint64_t> packets_in(Bytes counter) {
  const auto packets = Attributes::find(counter, NFTA_COUNTER_PACKETS);
  return packets ? packets->be64() : std::nullopt;
}

// The counter among an element's expressions: a single one, or in a list of one since the kernel takes several (5.12).
uint64_t packets_of(Bytes element) {
  Bytes expression;
  if (const auto single = Attributes::find(element, NFTA_SET_ELEM_EXPR)) expression = single->data;
  if (const auto list = Attributes::find(element, NFTA_SET_ELEM_EXPRESSIONS))
    if (const auto first = Attributes::find(list->data, NFTA_LIST_ELEM)) expression = first->data;
  const auto name = Attributes::find(expression, NFTA_EXPR_NAME);
  const auto data = Attributes::find(expression, NFTA_EXPR_DATA);
  if (!name || name->text() != "counter" || !data) return 0;
  return packets_in(data->data).value_or(0);
}

std::optional<Destination> read_destination(Bytes element) {
  const auto key = Attributes::find(element, NFTA_SET_ELEM_KEY);
  const auto value = key ? Attributes::find(key->data, NFTA_DATA_VALUE) : std::nullopt;
  constexpr size_t kBehind = 8;  // protocol and port
  if (!value || value->data.size() < kBehind) return std::nullopt;
  const size_t size = value->data.size() - kBehind;
  const auto address = read_address(value->data.first(size));
  if (!address) return std::nullopt;
  const Bytes rest = value->data.subspan(size);
  Destination result{*address, rest[0], static_cast<uint16_t>(rest[4] << 8 | rest[5]), 0};
  result.packets = packets_of(element);
  return result;
}

}  // namespace

std::string to_text(const Table& table) { return (table.family == Family::inet ? "inet " : "bridge ") + table.name; }

Message message(uint8_t type, uint16_t flags, Family family, std::string object) {
  Message result(kSubsystem | type, flags, std::move(object));
  nfgenmsg header{};
  header.nfgen_family = static_cast<uint8_t>(family);
  header.version = NFNETLINK_V0;
  result.header(header);
  return result;
}

Message begin_batch() { return batch_frame(NFNL_MSG_BATCH_BEGIN, "beginning a change of nf_tables"); }
Message end_batch() { return batch_frame(NFNL_MSG_BATCH_END, "ending a change of nf_tables"); }

namespace {

Message table_message(uint8_t type, uint16_t flags, const Table& table, const char* verb) {
  Message result = message(type, flags, table.family, verb + to_text(table));
  result.text(NFTA_TABLE_NAME, table.name);
  return result;
}

}  // namespace

Message create_table(const Table& table, const Note& note) {
  Message result = table_message(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, table, "create table ");
  const std::vector<uint8_t> bytes = write_note(note);
  if (!bytes.empty()) result.bytes(NFTA_TABLE_USERDATA, bytes.data(), bytes.size());
  return result;
}

Message remove_table(const FoundTable& found) {
  Message result = message(NFT_MSG_DELTABLE, 0, found.table.family, "delete table " + to_text(found.table));
  return std::move(result.be64(NFTA_TABLE_HANDLE, found.handle));
}

Message add_chain(const Table& table, const std::string& name) {
  Message result = message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, table.family, "add chain " + to_text(table) + " " + name);
  result.text(NFTA_CHAIN_TABLE, table.name).text(NFTA_CHAIN_NAME, name);
  return result;
}

Message add_chain(const Table& table, const std::string& name, const Hook& hook) {
  Message result = add_chain(table, name);
  result.begin(NFTA_CHAIN_HOOK).be32(NFTA_HOOK_HOOKNUM, hook.number);
  result.be32(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(hook.priority)).end().text(NFTA_CHAIN_TYPE, hook.type);
  result.describe(std::string(" { type ") + hook.type + " priority " + std::to_string(hook.priority) + " }");
  return result;
}

Message add_counter(const Table& table, const std::string& name) {
  Message result = message(NFT_MSG_NEWOBJ, NLM_F_CREATE, table.family, "add counter " + to_text(table) + " " + name);
  result.text(NFTA_OBJ_TABLE, table.name).text(NFTA_OBJ_NAME, name).be32(NFTA_OBJ_TYPE, NFT_OBJECT_COUNTER);
  result.begin(NFTA_OBJ_DATA).end();
  return result;
}

Message add_ranges(const Table& table, const std::string& name, Ip ip) {
  return add_set(table, name, address_key(ip), "interval", NFT_SET_INTERVAL, 0);
}

Message fill_ranges(const Table& table, const std::string& name, std::span<const Subnet> ranges) {
  Message list = elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, table, name, "add element " + to_text(table) + " " + name + " {");
  list.begin(NFTA_SET_ELEM_LIST_ELEMENTS);
  for (const Subnet& range : ranges) {
    list.describe(" " + to_text(range));
    put_key(list.begin(NFTA_LIST_ELEM), range.first).end();
    Address behind = range.last();
    if (behind.value == range.all()) continue;  // the last address there is: it has no end
    ++behind.value;
    put_key(list.begin(NFTA_LIST_ELEM), behind).be32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END).end();
  }
  list.end().describe(" }");
  return list;
}

Message add_addresses(const Table& table, const std::string& name, Ip ip, uint32_t size) {
  return add_set(table, name, address_key(ip), "timeout", NFT_SET_TIMEOUT, size);
}

std::vector<Message> admit(const Table& table, const std::string& name, const Address& address, uint32_t seconds) {
  const std::string what = " element " + to_text(table) + " " + name + " { " + to_text(address) + " }";
  const auto one = [&](uint8_t type, uint16_t flags, const char* verb) {
    Message list = elements(type, flags, table, name, verb + what);
    put_key(list.begin(NFTA_SET_ELEM_LIST_ELEMENTS).begin(NFTA_LIST_ELEM), address);
    if (flags) list.be64(NFTA_SET_ELEM_TIMEOUT, uint64_t{seconds} * 1000);
    list.end().end();
    return list;
  };
  std::vector<Message> result;
  result.push_back(one(NFT_MSG_NEWSETELEM, NLM_F_CREATE, "add"));
  result.push_back(one(NFT_MSG_DELSETELEM, 0, "delete"));
  result.push_back(one(NFT_MSG_NEWSETELEM, NLM_F_CREATE, "add"));
  return result;
}

Message keep(const Table& table, const std::string& name, const Address& address) {
  Message list = elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, table, name,
                          "add element " + to_text(table) + " " + name + " { " + to_text(address) + " }");
  put_key(list.begin(NFTA_SET_ELEM_LIST_ELEMENTS).begin(NFTA_LIST_ELEM), address).end().end();
  return list;
}

Message add_destinations(const Table& table, const std::string& name, Ip ip, uint32_t size) {
  return add_set(table, name, destination_key(ip), "dynamic", NFT_SET_EVAL, size);
}

Message list_tables() { return message(NFT_MSG_GETTABLE, NLM_F_DUMP, Family::unspecified, "listing nf_tables' tables"); }

Message ask_table(const Table& table) { return table_message(NFT_MSG_GETTABLE, 0, table, "looking for table "); }

Message ask_counter(const Table& table, const std::string& name) {
  Message result = message(NFT_MSG_GETOBJ, 0, table.family, "reading counter " + to_text(table) + " " + name);
  result.text(NFTA_OBJ_TABLE, table.name).text(NFTA_OBJ_NAME, name).be32(NFTA_OBJ_TYPE, NFT_OBJECT_COUNTER);
  return result;
}

Message list_elements(const Table& table, const std::string& name) {
  return elements(NFT_MSG_GETSETELEM, NLM_F_DUMP, table, name, "listing set " + to_text(table) + " " + name);
}

std::optional<FoundTable> read_table(const Received& message) {
  const auto header = message.family<nfgenmsg>();
  const auto name = attribute_of(message, NFT_MSG_NEWTABLE, NFTA_TABLE_NAME);
  const auto handle = attribute_of(message, NFT_MSG_NEWTABLE, NFTA_TABLE_HANDLE);
  const auto note = attribute_of(message, NFT_MSG_NEWTABLE, NFTA_TABLE_USERDATA);
  if (!header || !name) return std::nullopt;
  FoundTable found{{Family{header->nfgen_family}, std::string(name->text())}, 0, {}};
  if (handle) found.handle = handle->be64().value_or(0);
  if (note) found.note = read_note(note->data);
  return found;
}

std::optional<uint64_t> read_counter(const Received& message) {
  const auto data = attribute_of(message, NFT_MSG_NEWOBJ, NFTA_OBJ_DATA);
  return data ? packets_in(data->data) : std::nullopt;
}

std::vector<Destination> read_destinations(const Received& message) {
  std::vector<Destination> result;
  const auto list = attribute_of(message, NFT_MSG_NEWSETELEM, NFTA_SET_ELEM_LIST_ELEMENTS);
  if (!list) return result;
  Attributes all(list->data);
  while (const auto element = all.next())
    if (const auto one = read_destination(element->data)) result.push_back(*one);
  return result;
}

}  // namespace bailey::network::nft
