#include "network/publish/publish.h"

#include <gtest/gtest.h>

namespace bailey::network {
namespace {

TEST(Publish, IsReadAndWritten) {
  const auto same = [](const char* text, const char* full) {
    const auto publish = parse_publish(text);
    ASSERT_TRUE(publish) << publish.error().message;
    EXPECT_EQ(to_text(*publish), full);
    const auto again = parse_publish(full);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(*again, *publish);
  };
  same("80", "127.0.0.1::80/tcp");
  same(":80", "127.0.0.1::80/tcp");
  same("8080:80", "127.0.0.1:8080:80/tcp");
  same("0.0.0.0:8080:80/tcp", "0.0.0.0:8080:80/tcp");
  same("192.0.2.1::53/udp", "192.0.2.1::53/udp");
  same("65535:65535", "127.0.0.1:65535:65535/tcp");
  same("[::1]:8080:80", "[::1]:8080:80/tcp");
  same("[::]::53/udp", "[::]::53/udp");
  EXPECT_EQ(host_end(*parse_publish("[2001:DB8::1]:8080:80")), "[2001:db8::1]:8080/tcp");
  EXPECT_EQ(host_end(*parse_publish("8080:80")), "127.0.0.1:8080/tcp");
}

TEST(Publish, ThatIsWrongIsNamed) {
  const auto refused = [](const char* text, const char* why) {
    const auto publish = parse_publish(text);
    ASSERT_FALSE(publish) << text;
    EXPECT_EQ(publish.error().fault, Fault::bad_input);
    EXPECT_NE(publish.error().message.find(why), std::string::npos) << publish.error().message;
    EXPECT_NE(publish.error().message.find(text), std::string::npos) << publish.error().message;
    EXPECT_FALSE(publish.error().remedy.empty());
  };
  for (const char* text : {"", "0", "8080:", "8080:0", "8080:65536", "8080:080", "8080:80-90", "8080: 80", "8080:+80", "http"})
    refused(text, "is no port");
  for (const char* text : {"0:80", "65536:80", "127.0.0.1:80", "08:80", "127.0.0.1:0:80"}) refused(text, "is no port");
  for (const char* text : {"localhost:8080:80", ":8080:80", "127.1:8080:80", "300.0.0.1::80"}) refused(text, "is no address");
  refused("1:2:3:4", "too many parts");
  for (const char* text : {"[127.0.0.1]:8080:80", "[localhost]:8080:80", "[::ffff:127.0.0.1]:8080:80", "[fe80::1%lo]:8080:80"})
    refused(text, "is no address");
  for (const char* text : {"::1:8080:80", "2001:db8::1:8080:80"}) refused(text, "too many parts");
  refused("[::1]8080:80", "brackets");
  refused("[::1]:80", "behind the address");
  refused("[::1]:1:2:3", "too many parts");
  for (const char* text : {"8080:80/icmp", "8080:80/", "8080:80/TCP", "8080:80/tcp/udp"}) refused(text, "neither tcp nor udp");
}

}  // namespace
}  // namespace bailey::network
