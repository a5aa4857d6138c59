// What a test needs of its machine. Missing: the test is skipped and says what was missing. Named in the environment variable
// BAILEY_TEST_REQUIRE (a comma list; "all,-kvm" is everything but kvm): it fails instead, so that a run which is meant to be
// complete cannot quietly skip.
//
//   TEST(Cgroup, KillsAll) {
//     BAILEY_REQUIRE("root", "cgroup");
//
// Names: root · userns (an unprivileged user namespace) · landlock · cgroup (memory, pids and cpu controllers that we may use)
// · runsc (BAILEY_RUNSC, else in PATH) · runsc-2022 (BAILEY_RUNSC_2022: Debian 12's build) · any other name: a program in PATH.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

namespace bailey::tests {

struct Missing {
  std::string what;       // empty: nothing is missing
  bool demanded = false;  // BAILEY_TEST_REQUIRE names one of them
};
Missing find_missing(std::initializer_list<std::string_view> names);

// The runsc under test ("" when there is none) and Debian 12's 2022 build ("" when BAILEY_RUNSC_2022 is not set).
std::string runsc_path();
std::string runsc_2022_path();
// Absolute path of a program in PATH, or "".
std::string find_program(std::string_view name);

}  // namespace bailey::tests

// In a TEST body or a SetUp; both endings return from it.
#define BAILEY_REQUIRE(...)                                                                                    \
  if (const auto bailey_missing = ::bailey::tests::find_missing({__VA_ARGS__}); bailey_missing.what.empty()) { \
  } else if (bailey_missing.demanded) {                                                                        \
    GTEST_FAIL() << "needs " << bailey_missing.what << " (demanded by BAILEY_TEST_REQUIRE)";                   \
  } else GTEST_SKIP() << "needs " << bailey_missing.what
