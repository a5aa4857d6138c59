#include "network/address.h"

#include <gtest/gtest.h>

namespace bailey::network {
namespace {

TEST(Ipv4, IsReadInOneWayOnly) {
  EXPECT_EQ(parse_ipv4("10.1.2.255")->value, 0x0a0102ffu);
  EXPECT_EQ(to_text(*parse_ipv4("0.0.0.0")), "0.0.0.0");
  // Forms that other readers take for other addresses (inet_aton: octal, hexadecimal, fewer numbers).
  for (const char* text : {"", "10", "10.1", "10.1.2", "10.1.2.3.4", "010.1.2.3", "0x0a.1.2.3", "10.1.2.256", "10.1.2.-1",
                           " 10.1.2.3", "10.1.2.3 ", "10..2.3", "1.2.3.", "1.2.3.4\n", "+1.2.3.4", "1.2.3.0000", "::1"})
    EXPECT_FALSE(parse_ipv4(text)) << text;
}

TEST(Subnet, IsReadInOneWayOnly) {
  EXPECT_EQ(to_text(*parse_subnet("10.0.0.0/8")), "10.0.0.0/8");
  EXPECT_EQ(to_text(*parse_subnet("10.0.0.1")), "10.0.0.1");
  EXPECT_EQ(parse_subnet("0.0.0.0/0")->length, 0);
  for (const char* text :
       {"10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1", "/8", "10.0.0.0/8/8", "10.0.0.0/255.0.0.0"})
    EXPECT_FALSE(parse_subnet(text)) << text;
  const auto loose = parse_subnet("10.1.2.3/8");
  ASSERT_FALSE(loose);
  EXPECT_EQ(loose.error().remedy, "did you mean 10.0.0.0/8?");
}

TEST(Subnet, KnowsWhatItHolds) {
  const Subnet all = *parse_subnet("0.0.0.0/0"), ten = *parse_subnet("10.0.0.0/8"), one = *parse_subnet("10.255.255.255");
  EXPECT_TRUE(all.contains(ten) && ten.contains(one) && ten.contains(one.first) && all.contains(Ipv4{0xffffffff}));
  EXPECT_FALSE(ten.contains(all) || one.contains(ten) || ten.contains(Ipv4{0x0b000000}) || ten.contains(Ipv4{0x09ffffff}));
  EXPECT_TRUE(one.overlaps(ten) && ten.overlaps(one));
  EXPECT_FALSE(ten.overlaps(*parse_subnet("11.0.0.0/8")));
}

TEST(Mac, IsWrittenAsOthersDo) { EXPECT_EQ(to_text(Mac{2, 0xba, 0x11, 0, 0, 7}), "02:ba:11:00:00:07"); }

}  // namespace
}  // namespace bailey::network
