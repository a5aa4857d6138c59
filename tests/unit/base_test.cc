#include <gtest/gtest.h>

#include <climits>

#include "base/clock.h"
#include "base/result.h"
#include "base/units.h"

namespace bailey {
namespace {

TEST(Units, ReadsSizesAsPowersOf1024) {
  const struct {
    const char* text;
    uint64_t bytes;
  } kGood[] = {{"0", 0},           {"4096", 4096},       {"64K", 64 << 10},  {"64kb", 64 << 10},
               {"1.5KiB", 1536},   {"256M", 256u << 20}, {"1G", 1ull << 30}, {"2TiB", 2ull << 40},
               {"7P", 7ull << 50}, {"10b", 10}};
  for (const auto& c : kGood) {
    const auto bytes = units::parse_bytes(c.text);
    ASSERT_TRUE(bytes) << c.text;
    EXPECT_EQ(*bytes, c.bytes) << c.text;
  }
  for (const char* text :
       {"", "-1", "+1", "10 M", " 1", "1 ", "M", "1X", "1MM", "0x10", "1e3", "inf", "nan", ".5", "9000P", "1iM"})
    EXPECT_FALSE(units::parse_bytes(text)) << text;
}

TEST(Units, ReadsTimes) {
  const struct {
    const char* text;
    int64_t ms;
  } kGood[] = {{"10", 10'000},  {"0.5", 500},      {"500ms", 500},     {"10s", 10'000},
               {"2m", 120'000}, {"1h", 3'600'000}, {"1.5H", 5'400'000}};
  for (const auto& c : kGood) {
    const auto ms = units::parse_milliseconds(c.text);
    ASSERT_TRUE(ms) << c.text;
    EXPECT_EQ(*ms, c.ms) << c.text;
  }
  for (const char* text : {"", "0", "0s", "-1", "1d", "1us", "10 s", "1e3", "99999999h", "inf"})
    EXPECT_FALSE(units::parse_milliseconds(text)) << text;
}

TEST(Units, ReadsCpusAndNumbers) {
  EXPECT_EQ(*units::parse_cpus("0.5"), 0.5);
  EXPECT_EQ(*units::parse_cpus("8192"), 8192);
  for (const char* text : {"", "0", "-1", "8193", "1c", "nan"}) EXPECT_FALSE(units::parse_cpus(text)) << text;
  EXPECT_EQ(*units::parse_unsigned("18446744073709551615"), UINT64_MAX);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "1x", "0x1", "1.0", "18446744073709551616"})
    EXPECT_FALSE(units::parse_unsigned(text)) << text;
}

TEST(Units, SaysWhatWouldDo) {
  const auto bad = units::parse_bytes("10 M");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "'10 M' is not a size");
  EXPECT_EQ(bad.error().remedy, "write one such as 4096, 64K, 256M or 1G");
  EXPECT_EQ(bad.error().fault, Fault::bad_input);
}

TEST(Units, WritesForPeople) {
  EXPECT_EQ(units::format_bytes(0), "0 B");
  EXPECT_EQ(units::format_bytes(256u << 20), "256 MiB");
  EXPECT_EQ(units::format_bytes(1536u << 20), "1.5 GiB");
  EXPECT_EQ(units::format_milliseconds(500), "500ms");
  EXPECT_EQ(units::format_milliseconds(10'000), "10s");
  EXPECT_EQ(units::format_milliseconds(90'000), "1m30s");
  EXPECT_EQ(units::format_milliseconds(120'000), "2m");
}

TEST(Units, ChecksNames) {
  for (const char* name : {"a", "_x", "0", "a.b+c-d_e", "A1"}) EXPECT_TRUE(units::check_name("name", name)) << name;
  EXPECT_TRUE(units::check_name("name", std::string(64, 'a')));
  for (const char* name : {"", ".", "..", ".a", "-a", "+a", "a/b", "../a", "a b", "a\n", "\xc3\xa4"})
    EXPECT_FALSE(units::check_name("name", name)) << name;
  EXPECT_FALSE(units::check_name("name", std::string(65, 'a')));
}

TEST(Clock, DeadlineCountsDownAndCanBeNever) {
  EXPECT_EQ(clock::Deadline().poll_ms(), -1);
  EXPECT_TRUE(clock::Deadline().never());
  EXPECT_FALSE(clock::Deadline().passed());
  const auto now = clock::Deadline::in_ms(0);
  EXPECT_TRUE(now.passed());
  EXPECT_EQ(now.poll_ms(), 0);
  const auto hour = clock::Deadline::in_ms(3'600'000);
  EXPECT_FALSE(hour.passed());
  EXPECT_GT(hour.poll_ms(), 0);
  EXPECT_LE(hour.poll_ms(), 3'600'000);
  EXPECT_EQ(clock::Deadline::in_ms(int64_t{1} << 40).poll_ms(), INT_MAX);
  EXPECT_TRUE(clock::Deadline::in_ms(INT64_MAX).never());
}

TEST(Clock, WritesWallTimeInUtc) {
  EXPECT_EQ(clock::wall_text(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(clock::wall_text(1'700'000'000'123'456'789), "2023-11-14T22:13:20.123456Z");
  EXPECT_EQ(clock::wall_text(951'782'400'000'000'000), "2000-02-29T00:00:00.000000Z");
  EXPECT_EQ(clock::wall_text(951'868'799'999'999'999), "2000-02-29T23:59:59.999999Z");
  EXPECT_EQ(clock::wall_text(-1), "1969-12-31T23:59:59.999999Z");
}

TEST(Result, NamesTheErrnoAndGainsContextOutward) {
  const auto inner = []() -> bailey::Result<> { return sys_error("mkdir /x", 28); };
  const auto outer = [&]() -> bailey::Result<> {
    TRY_WITH(inner(), "creating cgroup x");
    return {};
  };
  const auto result = outer();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "creating cgroup x: mkdir /x: No space left on device (ENOSPC)");
  EXPECT_EQ(result.error().sys, 28);
  EXPECT_STREQ(errno_name(99999), "unknown errno");
}

}  // namespace
}  // namespace bailey
