// Answers: what one runsc was found to be and able to do, kept between runs. Asking costs three starts of runsc and one sandbox
// per platform (about 250 ms); reading the file costs 0.1 ms.
//
//   <runtime directory>/.runsc/<device>-<inode>.json   0600 in a 0700 directory of this user's; written whole or not at all
//
// Only good news and "this build has no such platform" are kept: everything else may be different next time. A file that is
// not exactly what this version writes, or whose identity is another, counts as absent and is written anew. That nothing can
// be kept is no error.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "gvisor/runsc.h"

namespace bailey::gvisor {

// That one did not work is not kept: it may later.
enum class PlatformAnswer { works, no_such_platform };

struct Answers {
  Traits traits;
  std::map<std::string, PlatformAnswer, std::less<>> platforms;
  friend bool operator==(const Answers&, const Answers&) = default;
};

std::optional<Answers> load_answers(const std::string& runtime_directory, const Identity& identity);
Result<> keep_answers(const std::string& runtime_directory, const Identity& identity, const Answers& answers);

}  // namespace bailey::gvisor
