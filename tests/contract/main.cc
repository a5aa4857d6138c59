// The suite's own main: as whom it runs is decided before the first test (ordinary_user.h).
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>

#include "tests/contract/ordinary_user.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    constexpr std::string_view kUser = "--user=";  // for ctest, in place of the variable
    if (!std::string_view(argv[i]).starts_with(kUser)) return std::fprintf(stderr, "%s: not known\n", argv[i]), 1;
    ::setenv("BAILEY_CONTRACT_USER", argv[i] + kUser.size(), 1);
  }
  const auto tests = [] { return RUN_ALL_TESTS(); };
  const bool becomes_user = bailey::tests::caller() != bailey::tests::Caller::root && ::geteuid() == 0;
  if (!becomes_user || GTEST_FLAG_GET(list_tests)) return tests();
  return bailey::tests::run_as_ordinary_user(tests);
}
