// Why a sandbox of gVisor's did not start, from what runsc said about it. Pure.
#pragma once

#include <string>
#include <string_view>

namespace bailey::gvisor {

struct StartFailure {
  std::string cause;   // what to tell: a known cause in our words, else runsc's own
  std::string remedy;  // never empty
};
// `words`: read_last_words (private_root.h).
StartFailure explain_failure(std::string_view words);

// Whether this message of runsc's log only says that another one ended the start.
bool is_noise(std::string_view message);

}  // namespace bailey::gvisor
