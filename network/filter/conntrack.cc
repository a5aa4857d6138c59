#include "network/filter/conntrack.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <cerrno>

#include "network/ip/socket_address.h"

namespace bailey::network::conntrack {

namespace {

// Which parts of CTA_TUPLE_ORIG a listing is narrowed to (CTA_FILTER_F_CTA_IP_* of net/netfilter/nf_conntrack_netlink.c, Linux
// 5.8). An older kernel does not know CTA_FILTER and lists all. Of IPv6 all are asked for: Linux 6.18 then lists those that do
// not match, and leaves out the ones that do.
constexpr uint32_t kBySource = 1, kByTarget = 2;

constexpr uint16_t source(Ip ip) { return ip == Ip::v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC; }
constexpr uint16_t target(Ip ip) { return ip == Ip::v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST; }

Message message(uint8_t type, uint16_t flags, Ip ip, std::string object) {
  Message result(NFNL_SUBSYS_CTNETLINK << 8 | type, flags, std::move(object));
  nfgenmsg header{};
  header.nfgen_family = static_cast<uint8_t>(family_of(ip));
  header.version = NFNETLINK_V0;
  result.header(header);
  return result;
}

Message list(const Address& address, uint32_t by) {
  Message question = message(IPCTNL_MSG_CT_GET, NLM_F_DUMP, address.ip, "listing the connections of " + to_text(address));
  if (address.ip == Ip::v6) return question;
  const WireAddress wire = to_wire(address);
  question.begin(CTA_TUPLE_ORIG).begin(CTA_TUPLE_IP);
  for (const uint16_t end : {CTA_IP_V4_SRC, CTA_IP_V4_DST}) question.bytes(end, wire.data(), wire.size());
  question.end().end().begin(CTA_FILTER).u32(CTA_FILTER_ORIG_FLAGS, by).u32(CTA_FILTER_REPLY_FLAGS, 0).end();
  return question;
}

Result<> forget_one(NetlinkSocket& socket, const Address& address, const Entry& entry) {
  Message gone = message(IPCTNL_MSG_CT_DELETE, 0, address.ip, "forgetting a connection of " + to_text(address));
  gone.bytes(CTA_TUPLE_ORIG | NLA_F_NESTED, entry.tuple.data(), entry.tuple.size());
  if (!entry.zone.empty()) gone.bytes(CTA_ZONE, entry.zone.data(), entry.zone.size());
  const auto done = socket.send(gone);
  if (!done && done.error().sys != ENOENT) return done;  // it may end by itself meanwhile
  return {};
}

}  // namespace

std::optional<Entry> read_entry(const Received& message) {
  if (message.header.nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW)) return std::nullopt;
  const Bytes attributes = message.behind(sizeof(nfgenmsg));
  const auto tuple = Attributes::find(attributes, CTA_TUPLE_ORIG);
  const auto ip = tuple ? Attributes::find(tuple->data, CTA_TUPLE_IP) : std::nullopt;
  if (!ip) return std::nullopt;
  const auto find = [&](uint16_t type) -> std::optional<Address> {
    const auto found = Attributes::find(ip->data, type);
    return found ? read_address(found->data) : std::nullopt;
  };
  const Ip family = find(source(Ip::v4)) ? Ip::v4 : Ip::v6;
  const auto from = find(source(family)), to = find(target(family));
  if (!from || !to || from->ip != family || to->ip != family) return std::nullopt;
  Entry entry{*from, *to, tuple->data, {}};
  if (const auto zone = Attributes::find(attributes, CTA_ZONE)) entry.zone = zone->data;
  return entry;
}

Result<> forget(NetlinkSocket& socket, const Address& address, Began began) {
  const auto replies = TRY(socket.ask(list(address, began == Began::by ? kBySource : kByTarget)));
  for (const auto& reply : replies) {
    const auto entry = read_entry(reply.view());
    if (entry && (began == Began::by ? entry->from : entry->to) == address) TRY(forget_one(socket, address, *entry));
  }
  return {};
}

}  // namespace bailey::network::conntrack
