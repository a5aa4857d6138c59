#include "network/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <cerrno>

namespace bailey::network::conntrack {

namespace {

// Which parts of CTA_TUPLE_ORIG a listing is narrowed to (CTA_FILTER_F_CTA_IP_* of net/netfilter/nf_conntrack_netlink.c, Linux
// 5.8). An older kernel does not know CTA_FILTER and lists all.
constexpr uint32_t kBySource = 1, kByTarget = 2;

Message message(uint8_t type, uint16_t flags, std::string object) {
  Message result(NFNL_SUBSYS_CTNETLINK << 8 | type, flags, std::move(object));
  nfgenmsg header{};
  header.nfgen_family = AF_INET;
  header.version = NFNETLINK_V0;
  result.header(header);
  return result;
}

Message list(Ipv4 address, uint32_t by) {
  Message question = message(IPCTNL_MSG_CT_GET, NLM_F_DUMP, "listing the connections of " + to_text(address));
  question.begin(CTA_TUPLE_ORIG).begin(CTA_TUPLE_IP).be32(CTA_IP_V4_SRC, address.value).be32(CTA_IP_V4_DST, address.value);
  question.end().end().begin(CTA_FILTER).u32(CTA_FILTER_ORIG_FLAGS, by).u32(CTA_FILTER_REPLY_FLAGS, 0).end();
  return question;
}

Result<> forget_one(NetlinkSocket& socket, Ipv4 address, const Entry& entry) {
  Message gone = message(IPCTNL_MSG_CT_DELETE, 0, "forgetting a connection of " + to_text(address));
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
  const auto from = ip ? Attributes::find(ip->data, CTA_IP_V4_SRC) : std::nullopt;
  const auto to = ip ? Attributes::find(ip->data, CTA_IP_V4_DST) : std::nullopt;
  if (!from || !to || !from->be32() || !to->be32()) return std::nullopt;
  Entry entry{{*from->be32()}, {*to->be32()}, tuple->data, {}};
  if (const auto zone = Attributes::find(attributes, CTA_ZONE)) entry.zone = zone->data;
  return entry;
}

Result<> forget(NetlinkSocket& socket, Ipv4 address, Began began) {
  const auto replies = TRY(socket.ask(list(address, began == Began::by ? kBySource : kByTarget)));
  for (const auto& reply : replies) {
    const auto entry = read_entry(reply.view());
    if (entry && (began == Began::by ? entry->from : entry->to) == address) TRY(forget_one(socket, address, *entry));
  }
  return {};
}

}  // namespace bailey::network::conntrack
