// Reads seccomp/profiles/*.seccomp, the profiles that people write and review (default.seccomp describes the format), and
// decides every system call that the architecture has. Runs when Bailey is built, and in tests. Pure.
//
// Errors (Fault::bad_input), each with file and line: a name that no architecture knows, a call decided
// twice, a condition that cannot be read, and a call of the architecture that nobody decided: new ones are a
// person's decision.
#pragma once

#include <string_view>

#include "base/result.h"
#include "seccomp/names.h"
#include "seccomp/program.h"

namespace bailey::seccomp {

Result<FilterRules> parse_profile(std::string_view text, std::string_view file, const Arch& arch);

}  // namespace bailey::seccomp
