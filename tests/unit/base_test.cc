#include <gtest/gtest.h>

#include "base/units.h"

namespace bailey {
namespace {

TEST(Units, ReadsSizesAsPowersOf1024) {
  EXPECT_EQ(*units::parse_bytes("256M"), 256u << 20);
  EXPECT_EQ(*units::parse_bytes("1.5KiB"), 1536u);
  EXPECT_FALSE(units::parse_bytes("-1"));
  EXPECT_FALSE(units::parse_bytes("10 M"));
}

}  // namespace
}  // namespace bailey
