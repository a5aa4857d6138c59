#include <gtest/gtest.h>

#include "tests/contract/differences.h"

namespace bailey::tests {

// A row of a test that was renamed would be dead, and the test would fail or, worse, pass without asking.
TEST(ContractDifferences, NameTestsThatExist) {
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  for (const Difference& row : differences()) {
    bool found = false;
    for (int i = 0; i < all.total_test_suite_count(); ++i)
      for (int k = 0; k < all.GetTestSuite(i)->total_test_count(); ++k)
        found |= row.test == std::string(all.GetTestSuite(i)->name()) + "." + all.GetTestSuite(i)->GetTestInfo(k)->name();
    EXPECT_TRUE(found) << row.test;
    EXPECT_NE(row.who, Caller::root) << row.test;
  }
}

}  // namespace bailey::tests
