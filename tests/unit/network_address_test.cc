#include "network/ip/address.h"

#include <gtest/gtest.h>

#include "network/ip/socket_address.h"

namespace bailey::network {
namespace {

TEST(Address, OfIpv4IsReadInOneWayOnly) {
  EXPECT_EQ(*parse_address("10.1.2.255"), Address::v4(0x0a0102ff));
  EXPECT_EQ(to_text(*parse_address("0.0.0.0")), "0.0.0.0");
  // Forms that other readers take for other addresses (inet_aton: octal, hexadecimal, fewer numbers).
  for (const char* text : {"", "10", "10.1", "10.1.2", "10.1.2.3.4", "010.1.2.3", "0x0a.1.2.3", "10.1.2.256", "10.1.2.-1",
                           " 10.1.2.3", "10.1.2.3 ", "10..2.3", "1.2.3.", "1.2.3.4\n", "+1.2.3.4", "1.2.3.0000"})
    EXPECT_FALSE(parse_address(text)) << text;
}

TEST(Address, OfIpv6IsReadAsOthersDo) {
  EXPECT_EQ(*parse_address("2001:DB8:0:0::7"), Address::v6(0x20010db800000000, 7));
  EXPECT_EQ(to_text(*parse_address("2001:0db8:0000::0007")), "2001:db8::7");
  EXPECT_EQ(to_text(*parse_address("64:ff9b::192.0.2.1")), "64:ff9b::c000:201");
  EXPECT_EQ(to_text(*parse_address("::")), "::");
  for (const char* text : {":", ":::", "1::2::3", "2001:db8", "2001:db8::g", "fe80::1%eth0", "[::1]", " ::1", "::1 ", "::1\n",
                           "1:2:3:4:5:6:7:8:9", "::12345", "2001:db8::1/64", "::1.2.3", "::256.0.0.1"})
    EXPECT_FALSE(parse_address(text)) << text;
  EXPECT_FALSE(parse_address(std::string_view("::1\0", 4)));
}

// Two ways to say one thing: a filter that knows one would be passed by the other.
TEST(Address, OfIpv4WithinIpv6IsRefused) {
  for (const char* text : {"::ffff:10.0.0.1", "::FFFF:a00:1", "0:0:0:0:0:ffff:0a00:0001"}) {
    const auto mapped = parse_address(text);
    ASSERT_FALSE(mapped) << text;
    EXPECT_EQ(mapped.error().remedy, "write it as 10.0.0.1");
  }
}

TEST(Address, IsReadFromTheWireAsItWasWritten) {
  for (const char* text : {"192.0.2.7", "255.255.255.255", "2001:db8::7", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::"}) {
    const WireAddress wire = to_wire(*parse_address(text));
    EXPECT_EQ(read_address({wire.data(), wire.size()}), *parse_address(text)) << text;
    EXPECT_FALSE(read_address({wire.data(), wire.size() - 1})) << text;
    const SocketAddress socket = socket_address(*parse_address(text), 4711);
    EXPECT_EQ(address_of(socket), *parse_address(text)) << text;
    EXPECT_EQ(port_of(socket), 4711) << text;
  }
  EXPECT_FALSE(address_of({}));
}

TEST(Subnet, IsReadInOneWayOnly) {
  EXPECT_EQ(to_text(*parse_subnet("10.0.0.0/8")), "10.0.0.0/8");
  EXPECT_EQ(to_text(*parse_subnet("10.0.0.1")), "10.0.0.1");
  EXPECT_EQ(parse_subnet("0.0.0.0/0")->length, 0);
  for (const char* text :
       {"10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1", "/8", "10.0.0.0/8/8", "10.0.0.0/255.0.0.0"})
    EXPECT_FALSE(parse_subnet(text)) << text;
  EXPECT_EQ(to_text(*parse_subnet("2001:db8::/32")), "2001:db8::/32");
  EXPECT_EQ(to_text(*parse_subnet("2001:db8::1")), "2001:db8::1");
  EXPECT_EQ(to_text(*parse_subnet("2001:db8::1/128")), "2001:db8::1");
  for (const char* text : {"2001:db8::/129", "2001:db8::/", "2001:db8::1/64", "2001:db8::/0032", "::/-0"})
    EXPECT_FALSE(parse_subnet(text)) << text;
  const auto loose = parse_subnet("10.1.2.3/8");
  ASSERT_FALSE(loose);
  EXPECT_EQ(loose.error().remedy, "did you mean 10.0.0.0/8?");
}

TEST(Subnet, KnowsWhatItHolds) {
  const Subnet all = *parse_subnet("0.0.0.0/0"), ten = *parse_subnet("10.0.0.0/8"), one = *parse_subnet("10.255.255.255");
  EXPECT_TRUE(all.contains(ten) && ten.contains(one) && ten.contains(one.first) && all.contains(Address::v4(0xffffffff)));
  EXPECT_FALSE(ten.contains(all) || one.contains(ten) || ten.contains(Address::v4(0x0b000000)) ||
               ten.contains(Address::v4(0x09ffffff)));
  EXPECT_TRUE(one.overlaps(ten) && ten.overlaps(one));
  EXPECT_FALSE(ten.overlaps(*parse_subnet("11.0.0.0/8")));
}

TEST(Subnet, OfOneFamilyHoldsNothingOfTheOther) {
  const Subnet all = *parse_subnet("::/0"), one = *parse_subnet("2001:db8::/33"), last = *parse_subnet("2001:db8:8000::/33");
  EXPECT_TRUE(all.contains(one) && all.contains(*parse_address("ffff::")) && !one.overlaps(last));
  EXPECT_EQ(to_text(last.last()), "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
  EXPECT_EQ(to_text(all.last()), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  EXPECT_EQ(to_text(parse_subnet("10.0.0.0/8")->last()), "10.255.255.255");
  EXPECT_FALSE(all.contains(Address::v4(1)) || all.overlaps(*parse_subnet("0.0.0.0/0")));
  EXPECT_FALSE(parse_subnet("0.0.0.0/0")->contains(Address::v6(0, 1)));
}

TEST(Mac, IsWrittenAsOthersDo) { EXPECT_EQ(to_text(Mac{2, 0xba, 0x11, 0, 0, 7}), "02:ba:11:00:00:07"); }

}  // namespace
}  // namespace bailey::network
