// What we send is what the kernel would read, and what we read is never more than was sent.
#include "network/netlink/netlink.h"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>

#include <string>

namespace bailey::network {
namespace {

std::vector<uint8_t> finished(const Message& message) {
  auto result = message.finish(7, NLM_F_ACK);
  EXPECT_TRUE(result) << result.error().message;
  return result ? *result : std::vector<uint8_t>();
}

Bytes bytes_of(const std::string& text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

template <typename T>
void put(std::string& to, const T& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// A message as the kernel would send it; `length` as it claims.
std::string received(uint16_t type, uint16_t flags, const std::string& payload, uint32_t length) {
  std::string data;
  put(data, nlmsghdr{length, type, flags, 7, 0});
  return data + payload;
}
std::string received(uint16_t type, uint16_t flags, const std::string& payload) {
  return received(type, flags, payload, static_cast<uint32_t>(sizeof(nlmsghdr) + payload.size()));
}

std::string attribute(uint16_t type, const std::string& data, uint16_t length) {
  std::string result;
  put(result, nlattr{length, type});
  result += data;
  result.resize((result.size() + 3) & ~size_t{3});
  return result;
}

TEST(NetlinkMessage, IsReadBackAsItWasMade) {
  Message message(RTM_NEWLINK, NLM_F_CREATE, "a link");
  ifinfomsg header{};
  header.ifi_index = 5;
  message.header(header).text(IFLA_IFNAME, "bly7").begin(IFLA_LINKINFO).text(IFLA_INFO_KIND, "veth");
  message.begin(IFLA_INFO_DATA).u8(1, 9).be32(2, 0x01020304).end().end().u32(IFLA_MASTER, 77);
  const auto data = finished(message);

  Messages messages(data);
  const auto read = messages.next();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->header.nlmsg_type, RTM_NEWLINK);
  EXPECT_EQ(read->header.nlmsg_flags, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK);
  EXPECT_EQ(read->header.nlmsg_seq, 7u);
  EXPECT_EQ(read->family<ifinfomsg>()->ifi_index, 5);
  const Bytes all = read->behind(sizeof header);
  EXPECT_EQ(Attributes::find(all, IFLA_IFNAME)->text(), "bly7");
  EXPECT_EQ(Attributes::find(all, IFLA_MASTER)->u32(), 77u);
  const Bytes info = Attributes::find(all, IFLA_LINKINFO)->data;
  EXPECT_EQ(Attributes::find(info, IFLA_INFO_KIND)->text(), "veth");
  const Bytes inner = Attributes::find(info, IFLA_INFO_DATA)->data;
  EXPECT_EQ(Attributes::find(inner, 1)->u8(), 9);
  EXPECT_EQ(Attributes::find(inner, 2)->be32(), 0x01020304u);
  EXPECT_FALSE(Attributes::find(inner, 2)->u8());  // another size is another thing
  EXPECT_FALSE(messages.next());
  EXPECT_FALSE(messages.broken());
}

// CVE-2021-43784: a length that wrapped made the rest of the data into attributes.
TEST(NetlinkMessage, ThatIsLongerThanItsLengthsCanSayIsNeverMade) {
  const std::string longest(65535 - NLA_HDRLEN, 'x');
  Message fits(1, 0, "fits");
  fits.bytes(1, longest.data(), longest.size());
  EXPECT_TRUE(fits.finish(1, 0));

  Message one(1, 0, "one attribute");
  one.bytes(1, longest.data(), longest.size() + 1);
  const auto refused = one.finish(1, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message.find("one attribute: "), 0u) << refused.error().message;

  Message nest(1, 0, "a nest");
  nest.begin(1);
  for (int i = 0; i < 17; ++i) nest.bytes(2, longest.data(), 4096);
  nest.end();
  EXPECT_FALSE(nest.finish(1, 0));
}

TEST(NetlinkMessage, WithAFaultIsNeverMade) {
  Message open(1, 0, "x"), closed(1, 0, "x"), text(1, 0, "x");
  open.begin(1);
  closed.end();
  text.text(1, std::string_view("a\0b", 3));
  for (const Message* message : {&open, &closed, &text}) EXPECT_FALSE(message->finish(1, 0));
}

TEST(NetlinkReader, EndsAtALengthThatLies) {
  for (const int length : {0, 1, 3, 13, 4000, 65535}) {
    const std::string good = attribute(1, "abcd", 8), bad = attribute(2, "abcd", static_cast<uint16_t>(length));
    const std::string data = good + bad;
    Attributes attributes(bytes_of(data));
    const auto first = attributes.next();
    ASSERT_TRUE(first) << length;
    EXPECT_EQ(first->data.size(), 4u);
    EXPECT_FALSE(attributes.next()) << length;
    EXPECT_TRUE(attributes.broken()) << length;
  }
  for (const uint32_t length : {0u, 15u, 21u, 0xfffffff0u, 0xffffffffu}) {
    const std::string data = received(1, 0, "abcd", length);
    Messages messages(bytes_of(data));
    EXPECT_FALSE(messages.next()) << length;
    EXPECT_TRUE(messages.broken()) << length;
  }
}

TEST(NetlinkReader, TakesAnAnswersErrorAndItsText) {
  const nlmsghdr echo{100, RTM_NEWLINK, 0, 7, 0};
  std::string error;
  put(error, int32_t{-EEXIST});
  put(error, echo);
  const std::string text = attribute(NLMSGERR_ATTR_MSG, std::string("no\x1b such\0", 9), 13);

  const auto read = [](const std::string& data) {
    Messages messages(bytes_of(data));
    return read_answer(*messages.next());
  };
  const auto capped = read(received(NLMSG_ERROR, NLM_F_ACK_TLVS | NLM_F_CAPPED, error + text));
  ASSERT_TRUE(capped);
  EXPECT_EQ(capped->err, EEXIST);
  EXPECT_EQ(capped->text, "no? such");
  // Not capped: 84 bytes of what was asked stand before the text.
  EXPECT_EQ(read(received(NLMSG_ERROR, NLM_F_ACK_TLVS, error + std::string(84, 'q') + text))->text, "no? such");
  EXPECT_EQ(read(received(NLMSG_ERROR, NLM_F_ACK_TLVS, error + text))->text, "");  // the echo's length lies
  EXPECT_EQ(read(received(NLMSG_ERROR, 0, error))->err, EEXIST);
  EXPECT_EQ(read(received(NLMSG_DONE, 0, ""))->err, 0);
  EXPECT_FALSE(read(received(RTM_NEWLINK, 0, error)));
  std::string smallest;
  put(smallest, INT32_MIN);
  EXPECT_FALSE(read(received(NLMSG_ERROR, 0, smallest)));
  EXPECT_FALSE(read(received(NLMSG_ERROR, 0, "ab")));
}

}  // namespace
}  // namespace bailey::network
