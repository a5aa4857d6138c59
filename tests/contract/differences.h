// What an ordinary user cannot have by nature: the one place where it is decided, with the reason. docs/rootless.md says the
// same to users.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tests/contract/ordinary_user.h"

namespace bailey::tests {

struct Difference {
  const char* test;  // "Suite.Test"; it asks differs_here()
  Caller who;
  const char* backend;  // "native", "gvisor"; empty: both
  const char* reason;
  std::vector<std::string> flags;  // `run` with these is refused ...; none: the test has a branch for it
  std::vector<std::string> says;   // ... in these words
};

std::span<const Difference> differences();
// Of the running test, this caller and this backend; nullptr: the contract holds as it is for root.
const Difference* find_difference(const std::string& backend);

}  // namespace bailey::tests
