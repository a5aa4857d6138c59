// The kernel answers, and what it refuses says what it was about.
#include "network/netlink/netlink_socket.h"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>

#include "tests/support/leaks.h"
#include "tests/support/require.h"

namespace bailey::network {
namespace {

Message switch_on(const std::string& name) {
  Message message(RTM_NEWLINK, 0, "switching " + name + " on");
  ifinfomsg header{};
  header.ifi_flags = header.ifi_change = IFF_UP;
  message.header(header).text(IFLA_IFNAME, name);
  return message;
}

// The process of one test each: its namespace is its own from here on.
class NetlinkSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    BAILEY_REQUIRE("root");
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    auto opened = NetlinkSocket::open(NETLINK_ROUTE);
    ASSERT_TRUE(opened) << opened.error().message;
    socket_ = std::move(*opened);
  }
  NetlinkSocket socket_;
};

TEST_F(NetlinkSocketTest, DoesABatchAndNamesWhatFailed) {
  EXPECT_TRUE(socket_.send(switch_on("lo")));
  const std::vector<Message> batch = {switch_on("lo"), switch_on("nowhere"), switch_on("lo")};
  const auto failed = socket_.send(batch);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message.find("switching nowhere on: "), 0u) << failed.error().message;
  EXPECT_EQ(failed.error().sys, ENODEV);
  EXPECT_TRUE(socket_.send(switch_on("lo"))) << "an answer of the batch before was taken for this one's";
}

TEST_F(NetlinkSocketTest, GivesTheKernelsOwnWords) {
  Message nonsense(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "creating link x");
  nonsense.header(ifinfomsg{}).text(IFLA_IFNAME, "x").begin(IFLA_LINKINFO).text(IFLA_INFO_KIND, "no-such-kind").end();
  const auto failed = socket_.send(nonsense);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().sys, EOPNOTSUPP);
  EXPECT_NE(failed.error().message.find("Unknown device type"), std::string::npos) << failed.error().message;
}

TEST_F(NetlinkSocketTest, ReadsADumpToItsEnd) {
  // More than one datagram's worth.
  std::vector<Message> batch;
  for (int i = 0; i < 100; ++i) {
    const std::string name = "d" + std::to_string(i);
    Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "creating link " + name);
    message.header(ifinfomsg{}).text(IFLA_IFNAME, name).begin(IFLA_LINKINFO).text(IFLA_INFO_KIND, "bridge").end();
    batch.push_back(message);
  }
  ASSERT_TRUE(socket_.send(batch));
  Message question(RTM_GETLINK, NLM_F_DUMP, "listing links");
  question.header(ifinfomsg{});
  const auto replies = socket_.ask(question);
  ASSERT_TRUE(replies) << replies.error().message;
  EXPECT_EQ(replies->size(), 101u);
  for (const auto& reply : *replies) EXPECT_EQ(reply.header.nlmsg_type, RTM_NEWLINK);
}

}  // namespace
}  // namespace bailey::network
