#include "network/nftables/nftables.h"

#include <gtest/gtest.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "network/filter/conntrack.h"
#include "network/nftables/nft_rule.h"

namespace bailey::network::nft {
namespace {

const Table kTable{Family::inet, "bailey-7"};

// A message as the kernel would send it back.
struct Sent {
  explicit Sent(const Message& message) : data(*message.finish(1, 0)), received(*Messages(data).next()) {}
  std::vector<uint8_t> data;
  Received received;
};

TEST(Nftables, RulesReadLikeNft) {
  const auto text = [](const Message& rule) {
    return rule.object().substr(std::string("add rule inet bailey-7 from ").size());
  };
  const auto rule = [] { return Rule(kTable, "from"); };
  EXPECT_EQ(Rule(kTable, "from").accept().object(), "add rule inet bailey-7 from accept");
  EXPECT_EQ(text(rule().family(Ip::v4).field(kIpFrom, Address::v4(0x0ac90009)).link_in("bailey0").go_to("x")),
            "meta nfproto ipv4 ip saddr 10.201.0.9 iifname \"bailey0\" goto x");
  EXPECT_EQ(text(rule().field(kIpTo, Subnet::v4(0x0a000000, 8)).protocol(6).between(kPortTo, 80, 90).drop()),
            "ip daddr 10.0.0.0/8 meta l4proto 6 th dport 80-90 drop");
  EXPECT_EQ(text(rule().state(kEstablished | kRelated).accept()), "ct state established,related accept");
  EXPECT_EQ(text(rule().field(kEtherType, uint16_t{0x0806}).drop()), "ether type 0x0806 drop");
  EXPECT_EQ(text(rule().over_rate(1000, 64).drop()), "limit rate over 1000 bytes/second burst 64 bytes drop");
}

TEST(Nftables, EveryMessageFitsItsLengths) {
  std::vector<Message> all = admit(kTable, "name0", Address::v4(0x08080808), 60);
  const Subnet ranges[] = {Subnet::v4(0x0a000000, 8), Subnet::v4(0xe0000000, 3)};
  all.push_back(fill_ranges(kTable, "closed", ranges));
  all.push_back(add_destinations(kTable, "denied", Ip::v6, 64));
  all.push_back(add_chain(kTable, "input", {"filter", 1, -300}));
  all.push_back(Rule(kTable, "x").remember("denied", Ip::v6, false).reject());
  for (const Message& message : all) {
    const auto data = message.finish(1, 0);
    ASSERT_TRUE(data) << message.object();
    Messages messages(*data);
    const auto one = messages.next();
    ASSERT_TRUE(one && !messages.next() && !messages.broken()) << message.object();
    EXPECT_EQ(one->header.nlmsg_type >> 8, NFNL_SUBSYS_NFTABLES);
    Attributes attributes(one->behind(sizeof(nfgenmsg)));
    while (attributes.next()) {}
    EXPECT_FALSE(attributes.broken()) << message.object();
  }
}

TEST(Nftables, AnIntervalHasAnEndUnlessItIsTheLast) {
  const Subnet ranges[] = {Subnet::v4(0x0a000000, 8), Subnet::v4(0xe0000000, 3)};
  const Sent sent(fill_ranges(kTable, "closed", ranges));
  const auto list = Attributes::find(sent.received.behind(sizeof(nfgenmsg)), NFTA_SET_ELEM_LIST_ELEMENTS);
  ASSERT_TRUE(list);
  std::vector<std::pair<uint32_t, bool>> bounds;
  Attributes all(list->data);
  while (const auto element = all.next()) {
    const auto key = Attributes::find(element->data, NFTA_SET_ELEM_KEY);
    bounds.emplace_back(*Attributes::find(key->data, NFTA_DATA_VALUE)->be32(),
                        Attributes::find(element->data, NFTA_SET_ELEM_FLAGS).has_value());
  }
  EXPECT_EQ(bounds, (std::vector<std::pair<uint32_t, bool>>{{0x0a000000, false}, {0x0b000000, true}, {0xe0000000, false}}));
}

TEST(Nftables, RulesOfIpv6ReadLikeNft) {
  EXPECT_EQ(Rule(kTable, "x").family(Ip::v6).field(to(Ip::v6), *parse_subnet("2001:db8::/32")).drop().object(),
            "add rule inet bailey-7 x meta nfproto ipv6 ip6 daddr 2001:db8::/32 drop");
  EXPECT_EQ(
      Rule(kTable, "x").field(from(Ip::v6), *parse_address("2001:db8::1")).remember("denied6", Ip::v6, true).done().object(),
      "add rule inet bailey-7 x ip6 saddr 2001:db8::1 add @denied6 { ip6 daddr . meta l4proto . th dport counter }");
  const Subnet ranges[] = {*parse_subnet("fc00::/7"), *parse_subnet("ff00::/8")};
  const Sent sent(fill_ranges(kTable, "closed6", ranges));
  const auto list = Attributes::find(sent.received.behind(sizeof(nfgenmsg)), NFTA_SET_ELEM_LIST_ELEMENTS);
  ASSERT_TRUE(list);
  std::vector<std::string> bounds;
  Attributes all(list->data);
  while (const auto element = all.next())
    bounds.push_back(to_text(
        *read_address(Attributes::find(Attributes::find(element->data, NFTA_SET_ELEM_KEY)->data, NFTA_DATA_VALUE)->data)));
  EXPECT_EQ(bounds, (std::vector<std::string>{"fc00::", "fe00::", "ff00::"}));
}

TEST(Conntrack, ReadsConnectionsOfOneFamilyAtATime) {
  const auto entry = [](uint16_t source, const char* from, uint16_t target, const char* to) {
    Message message(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW, 0, "connection");
    const WireAddress first = to_wire(*parse_address(from)), second = to_wire(*parse_address(to));
    message.header(nfgenmsg{}).begin(CTA_TUPLE_ORIG).begin(CTA_TUPLE_IP);
    message.bytes(source, first.data(), first.size()).bytes(target, second.data(), second.size()).end().end();
    const auto read = conntrack::read_entry(Sent(message).received);
    return read ? to_text(read->from) + " to " + to_text(read->to) : "none";
  };
  EXPECT_EQ(entry(CTA_IP_V4_SRC, "10.0.0.1", CTA_IP_V4_DST, "10.0.0.2"), "10.0.0.1 to 10.0.0.2");
  EXPECT_EQ(entry(CTA_IP_V6_SRC, "fd00::1", CTA_IP_V6_DST, "2001:db8::1"), "fd00::1 to 2001:db8::1");
  EXPECT_EQ(entry(CTA_IP_V6_SRC, "fd00::1", CTA_IP_V4_DST, "10.0.0.2"), "none");
  EXPECT_EQ(entry(CTA_IP_V6_SRC, "10.0.0.1", CTA_IP_V6_DST, "10.0.0.2"), "none") << "the lengths lie";
}

TEST(Nftables, ReadsTablesCountersAndDestinations) {
  const auto found = read_table(Sent(create_table(kTable, {"bailey 0:1:2", {10, 0, 0, 1}})).received);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->table.name, "bailey-7");
  EXPECT_EQ(found->table.family, Family::inet);
  EXPECT_EQ(found->note.comment, "bailey 0:1:2");
  EXPECT_EQ(found->note.addresses, (std::vector<uint8_t>{10, 0, 0, 1}));
  EXPECT_EQ(read_table(Sent(create_table(kTable)).received)->note.comment, "");
  Message theirs = message(NFT_MSG_NEWTABLE, 0, Family::inet, "whose note is no such list");
  theirs.text(NFTA_TABLE_NAME, "t")
      .bytes(NFTA_TABLE_USERDATA,
             "\0\x03"
             "ab\0\0\x09"
             "cd",
             9);
  EXPECT_EQ(read_table(Sent(theirs).received)->note.comment, "ab");
  EXPECT_FALSE(read_table(Sent(remove_table(*found)).received)) << "another kind of message";

  Message counter = message(NFT_MSG_NEWOBJ, 0, Family::inet, "counter");
  counter.begin(NFTA_OBJ_DATA).be64(NFTA_COUNTER_BYTES, 9).be64(NFTA_COUNTER_PACKETS, 5).end();
  EXPECT_EQ(read_counter(Sent(counter).received), 5u);
  EXPECT_FALSE(read_counter(Sent(create_table(kTable)).received));

  const uint8_t key[12] = {10, 0, 0, 1, 6, 0, 0, 0, 1, 187, 0, 0};
  Message list = message(NFT_MSG_NEWSETELEM, 0, Family::inet, "elements");
  list.begin(NFTA_SET_ELEM_LIST_ELEMENTS);
  for (const size_t size : {sizeof key, sizeof key - 4}) {  // the second makes no sense
    list.begin(NFTA_LIST_ELEM).begin(NFTA_SET_ELEM_KEY).bytes(NFTA_DATA_VALUE, key, size).end();
    list.begin(NFTA_SET_ELEM_EXPR)
        .text(NFTA_EXPR_NAME, "counter")
        .begin(NFTA_EXPR_DATA)
        .be64(NFTA_COUNTER_PACKETS, 3)
        .end()
        .end();
    list.end();
  }
  list.end();
  const auto destinations = read_destinations(Sent(list).received);
  ASSERT_EQ(destinations.size(), 1u);
  EXPECT_EQ(to_text(destinations[0].address), "10.0.0.1");
  EXPECT_EQ(destinations[0].protocol, 6);
  EXPECT_EQ(destinations[0].port, 443);
  EXPECT_EQ(destinations[0].packets, 3u);
}

}  // namespace
}  // namespace bailey::network::nft
