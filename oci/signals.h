// Names of signals as clients write them. Pure.
#pragma once

#include <string_view>

#include "base/result.h"

namespace bailey::oci {

// "15", "TERM", "SIGTERM", "sigterm", "SIGRTMIN+3". Error (bad_input): none of that name.
Result<int> parse_signal(std::string_view text);

}  // namespace bailey::oci
