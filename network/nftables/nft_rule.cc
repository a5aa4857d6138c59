#include "network/nftables/nft_rule.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>

#include <algorithm>
#include <array>

namespace bailey::network::nft {

namespace {

constexpr size_t kLinkName = 16;           // IFNAMSIZ; <net/if.h> and <linux/netfilter.h> do not go together
constexpr uint32_t kRegister = NFT_REG_1;  // 16 bytes; every condition uses it anew
constexpr uint32_t kOtherRegister = NFT_REG_2;
// The parts of a destination, in a row: what a key of several parts is read from.
constexpr uint32_t kKeyAddress = NFT_REG32_00;
constexpr uint32_t key_protocol(Ip ip) { return kKeyAddress + bits(ip) / 32u; }
constexpr uint32_t key_port(Ip ip) { return key_protocol(ip) + 1; }

std::string hex(std::span<const uint8_t> bytes) {
  std::string text = "0x";
  for (const uint8_t byte : bytes)
    for (const int half : {byte >> 4, byte & 15}) text += "0123456789abcdef"[half];
  return text;
}

const char* sign(Is is) { return is == Is::equal ? "" : "!= "; }

std::array<uint8_t, 2> big_endian(uint16_t value) { return {static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)}; }

}  // namespace

Rule::Rule(const Table& table, const std::string& chain)
    : message_(
          message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, table.family, "add rule " + to_text(table) + " " + chain)) {
  message_.text(NFTA_RULE_TABLE, table.name).text(NFTA_RULE_CHAIN, chain).begin(NFTA_RULE_EXPRESSIONS);
}

Rule& Rule::begin(const char* expression) {
  message_.begin(NFTA_LIST_ELEM).text(NFTA_EXPR_NAME, expression).begin(NFTA_EXPR_DATA);
  return *this;
}

Rule& Rule::end() {
  message_.end().end();
  return *this;
}

Rule& Rule::say(std::string_view text) {
  message_.describe(" ").describe(text);
  return *this;
}

Rule& Rule::put_data(uint16_t attribute, const void* data, size_t size) {
  message_.begin(attribute).bytes(NFTA_DATA_VALUE, data, size).end();
  return *this;
}

Rule& Rule::load(const Field& field, uint32_t into) {
  begin("payload");
  message_.be32(NFTA_PAYLOAD_DREG, into).be32(NFTA_PAYLOAD_BASE, field.base);
  message_.be32(NFTA_PAYLOAD_OFFSET, field.offset).be32(NFTA_PAYLOAD_LEN, field.size);
  return end();
}

Rule& Rule::load_meta(uint32_t key, uint32_t into) {
  begin("meta");
  message_.be32(NFTA_META_DREG, into).be32(NFTA_META_KEY, key);
  return end();
}

Rule& Rule::compare(Is is, const void* data, size_t size) {
  begin("cmp");
  message_.be32(NFTA_CMP_SREG, kRegister).be32(NFTA_CMP_OP, is == Is::equal ? NFT_CMP_EQ : NFT_CMP_NEQ);
  return put_data(NFTA_CMP_DATA, data, size).end();
}

Rule& Rule::mask(const void* bits, size_t size) {
  const std::array<uint8_t, NFT_REG_SIZE> zero{};
  begin("bitwise");
  message_.be32(NFTA_BITWISE_SREG, kRegister).be32(NFTA_BITWISE_DREG, kRegister);
  message_.be32(NFTA_BITWISE_LEN, static_cast<uint32_t>(size));
  return put_data(NFTA_BITWISE_MASK, bits, size).put_data(NFTA_BITWISE_XOR, zero.data(), size).end();
}

Rule& Rule::link(uint32_t key, const char* word, const std::string& name, Is is) {
  std::array<char, kLinkName> padded{};  // a longer name never matches: its last byte is no NUL
  std::ranges::copy(name.substr(0, padded.size()), padded.begin());
  return say(word).say(sign(is) + ("\"" + name + "\"")).load_meta(key, kRegister).compare(is, padded.data(), padded.size());
}

Rule& Rule::link_in(const std::string& name, Is is) { return link(NFT_META_IIFNAME, "iifname", name, is); }
Rule& Rule::link_out(const std::string& name, Is is) { return link(NFT_META_OIFNAME, "oifname", name, is); }

Rule& Rule::family(Ip ip) {
  const uint8_t family = ip == Ip::v4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
  return say(ip == Ip::v4 ? "meta nfproto ipv4" : "meta nfproto ipv6")
      .load_meta(NFT_META_NFPROTO, kRegister)
      .compare(Is::equal, &family, sizeof family);
}

Rule& Rule::protocol(uint8_t number, Is is) {
  say("meta l4proto").say(sign(is) + std::to_string(number));
  return load_meta(NFT_META_L4PROTO, kRegister).compare(is, &number, sizeof number);
}

Rule& Rule::field(const Field& field, const Mac& value, Is is) {
  say(field.name).say(sign(is) + network::to_text(value));
  return load(field, kRegister).compare(is, value.data(), value.size());
}

Rule& Rule::field(const Field& field, const Address& value, Is is) {
  const WireAddress wire = to_wire(value);
  return say(field.name).say(sign(is) + network::to_text(value)).load(field, kRegister).compare(is, wire.data(), wire.size());
}

Rule& Rule::field(const Field& field, uint16_t value, Is is) {
  const auto wire = big_endian(value);
  say(field.name).say(sign(is) + (field.base == NFT_PAYLOAD_LL_HEADER ? hex(wire) : std::to_string(value)));
  return load(field, kRegister).compare(is, wire.data(), wire.size());
}

Rule& Rule::byte(const Field& field, uint8_t value, Is is) {
  say(field.name).say(sign(is) + std::to_string(value));
  return load(field, kRegister).compare(is, &value, sizeof value);
}

Rule& Rule::field(const Field& field, std::span<const uint8_t> value, std::string_view text) {
  return say(field.name).say(text).load(field, kRegister).compare(Is::equal, value.data(), value.size());
}

Rule& Rule::field(const Field& field, const Subnet& range) {
  say(field.name).say(network::to_text(range));
  if (range.length == 0) return *this;
  const WireAddress bits = to_wire({range.first.ip, range.mask()}), first = to_wire(range.first);
  load(field, kRegister);
  if (!range.single()) mask(bits.data(), bits.size());
  return compare(Is::equal, first.data(), first.size());
}

Rule& Rule::masked(const Field& field, const Mac& bits, const Mac& value) {
  say(field.name).say("& " + network::to_text(bits) + " == " + network::to_text(value));
  return load(field, kRegister).mask(bits.data(), bits.size()).compare(Is::equal, value.data(), value.size());
}

Rule& Rule::masked(const Field& field, uint8_t bits, uint8_t value, Is is) {
  say(field.name).say("& " + hex({&bits, 1}) + (is == Is::equal ? " == " : " != ") + hex({&value, 1}));
  return load(field, kRegister).mask(&bits, sizeof bits).compare(is, &value, sizeof value);
}

Rule& Rule::masked(const Field& field, uint16_t bits, uint16_t value) {
  const auto wire_bits = big_endian(bits), wire = big_endian(value);
  say(field.name).say("& " + hex(wire_bits) + " == " + hex(wire));
  return load(field, kRegister).mask(wire_bits.data(), wire_bits.size()).compare(Is::equal, wire.data(), wire.size());
}

Rule& Rule::between(const Field& field, uint16_t first, uint16_t last) {
  if (first == last && field.size == 2) return this->field(field, first);
  const auto from = big_endian(first), to = big_endian(last);
  const size_t skip = from.size() - field.size;
  say(field.name).say(std::to_string(first) + "-" + std::to_string(last)).load(field, kRegister).begin("range");
  message_.be32(NFTA_RANGE_SREG, kRegister).be32(NFTA_RANGE_OP, NFT_RANGE_EQ);
  return put_data(NFTA_RANGE_FROM_DATA, from.data() + skip, field.size)
      .put_data(NFTA_RANGE_TO_DATA, to.data() + skip, field.size)
      .end();
}

Rule& Rule::in_set(const Field& field, const std::string& set) {
  say(field.name).say("@" + set).load(field, kRegister).begin("lookup");
  message_.text(NFTA_LOOKUP_SET, set).be32(NFTA_LOOKUP_SREG, kRegister);
  return end();
}

Rule& Rule::state(uint32_t any_of) {
  std::string words;
  for (const auto& [bit, word] :
       {std::pair(kEstablished, "established"), {kRelated, "related"}, {kNew, "new"}, {kInvalid, "invalid"}})
    if (any_of & bit) words += (words.empty() ? "" : ",") + std::string(word);
  say("ct state").say(words).begin("ct");
  message_.be32(NFTA_CT_DREG, kRegister).be32(NFTA_CT_KEY, NFT_CT_STATE);
  const uint32_t none = 0;
  return end().mask(&any_of, sizeof any_of).compare(Is::not_equal, &none, sizeof none);  // in the host's byte order
}

Rule& Rule::answers() {
  const uint8_t reply = 1;  // IP_CT_DIR_REPLY
  say("ct direction reply").begin("ct");
  message_.be32(NFTA_CT_DREG, kRegister).be32(NFTA_CT_KEY, NFT_CT_DIRECTION);
  return end().compare(Is::equal, &reply, sizeof reply);
}

Rule& Rule::status(std::string_view word, uint32_t bit, Is is) {
  const uint32_t none = 0;
  say("ct status &").say(word).say(is == Is::equal ? "== 0" : "!= 0").begin("ct");
  message_.be32(NFTA_CT_DREG, kRegister).be32(NFTA_CT_KEY, NFT_CT_STATUS);
  return end().mask(&bit, sizeof bit).compare(is, &none, sizeof none);
}

Rule& Rule::redirected() { return status("dnat", IPS_DST_NAT, Is::not_equal); }
Rule& Rule::untranslated() { return status("snat", IPS_SRC_NAT, Is::equal); }

Rule& Rule::over_rate(uint64_t bytes_per_second, uint32_t burst) {
  say("limit rate over " + std::to_string(bytes_per_second) + " bytes/second burst " + std::to_string(burst) + " bytes");
  begin("limit");
  message_.be64(NFTA_LIMIT_RATE, bytes_per_second).be64(NFTA_LIMIT_UNIT, 1).be32(NFTA_LIMIT_BURST, burst);
  message_.be32(NFTA_LIMIT_TYPE, NFT_LIMIT_PKT_BYTES).be32(NFTA_LIMIT_FLAGS, NFT_LIMIT_F_INV);
  return end();
}

Rule& Rule::over_packets(uint32_t per_second, uint32_t burst) {
  say("limit rate over " + std::to_string(per_second) + "/second burst " + std::to_string(burst) + " packets").begin("limit");
  message_.be64(NFTA_LIMIT_RATE, per_second).be64(NFTA_LIMIT_UNIT, 1).be32(NFTA_LIMIT_BURST, burst);
  message_.be32(NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS).be32(NFTA_LIMIT_FLAGS, NFT_LIMIT_F_INV);
  return end();
}

Rule& Rule::over_connections(uint32_t count) {
  say("ct count over " + std::to_string(count)).begin("connlimit");
  message_.be32(NFTA_CONNLIMIT_COUNT, count).be32(NFTA_CONNLIMIT_FLAGS, NFT_CONNLIMIT_F_INV);
  return end();
}

Rule& Rule::count(const std::string& counter) {
  say("counter name " + counter).begin("objref");
  message_.be32(NFTA_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER).text(NFTA_OBJREF_IMM_NAME, counter);
  return end();
}

Rule& Rule::remember(const std::string& set, Ip ip, bool has_port) {
  say("add @" + set + " { " + to(ip).name + " . meta l4proto . " + (has_port ? "th dport" : "0") + " counter }");
  load(to(ip), kKeyAddress).load_meta(NFT_META_L4PROTO, key_protocol(ip));
  if (has_port) {
    load(kPortTo, key_port(ip));
  } else {
    const uint32_t none = 0;
    begin("immediate");
    message_.be32(NFTA_IMMEDIATE_DREG, key_port(ip));
    put_data(NFTA_IMMEDIATE_DATA, &none, sizeof none).end();
  }
  begin("dynset");
  message_.text(NFTA_DYNSET_SET_NAME, set).be32(NFTA_DYNSET_OP, NFT_DYNSET_OP_ADD).be32(NFTA_DYNSET_SREG_KEY, kKeyAddress);
  message_.begin(NFTA_DYNSET_EXPR).text(NFTA_EXPR_NAME, "counter").begin(NFTA_EXPR_DATA).end().end();
  return end();
}

Message Rule::verdict(uint32_t code, const char* word, const std::string& chain) {
  say(word).begin("immediate");
  message_.be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT).begin(NFTA_IMMEDIATE_DATA).begin(NFTA_DATA_VERDICT);
  message_.be32(NFTA_VERDICT_CODE, code);
  if (!chain.empty()) {
    message_.text(NFTA_VERDICT_CHAIN, chain);
    say(chain);
  }
  message_.end().end();
  return end().done();
}

Message Rule::accept() { return verdict(NF_ACCEPT, "accept", ""); }
Message Rule::drop() { return verdict(NF_DROP, "drop", ""); }
Message Rule::go_to(const std::string& chain) { return verdict(static_cast<uint32_t>(NFT_GOTO), "goto", chain); }

Message Rule::reject() {
  say("reject with icmpx admin-prohibited").begin("reject");
  message_.be32(NFTA_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH).u8(NFTA_REJECT_ICMP_CODE, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
  return end().done();
}

Message Rule::reject_reset() {
  say("reject with tcp reset").begin("reject");
  message_.be32(NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST);
  return end().done();
}

// The port is loaded into `reg` as it is on the wire.
Rule& Rule::load_port(uint32_t reg, uint16_t port) {
  const auto wire = big_endian(port);
  begin("immediate");
  message_.be32(NFTA_IMMEDIATE_DREG, reg);
  return put_data(NFTA_IMMEDIATE_DATA, wire.data(), wire.size()).end();
}

Message Rule::masquerade(uint16_t first, uint16_t last) {
  say("masquerade to :" + std::to_string(first) + "-" + std::to_string(last) + " fully-random");
  load_port(kRegister, first).load_port(kOtherRegister, last).begin("masq");
  // Unlike redir, masq does not conclude from the registers that there is a range (nft_masq.c, Linux 6.18).
  message_.be32(NFTA_MASQ_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED | NF_NAT_RANGE_PROTO_RANDOM_FULLY);
  message_.be32(NFTA_MASQ_REG_PROTO_MIN, kRegister);
  message_.be32(NFTA_MASQ_REG_PROTO_MAX, kOtherRegister);
  return end().done();
}

Message Rule::redirect(uint16_t port) {
  say("redirect to :" + std::to_string(port));
  load_port(kRegister, port).begin("redir");
  message_.be32(NFTA_REDIR_REG_PROTO_MIN, kRegister);
  return end().done();
}

Message Rule::done() {
  message_.end();
  return std::move(message_);
}

}  // namespace bailey::network::nft
