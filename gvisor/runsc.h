// Runsc: the binary that a sandbox is started with. Found, checked, opened once; from then on only the descriptor counts, so
// that what runs is what was checked. Never a copy: it has 83 MB.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "gvisor/traits.h"

namespace bailey::gvisor {

// Identifies one runsc on one kernel: when a field changes, it is asked again. A replaced binary has another inode or another
// ctime.
struct Identity {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t modified_ns = 0, changed_ns = 0;
  std::string kernel;  // release and boot id: a platform that works is a property of the running kernel, too
  friend bool operator==(const Identity&, const Identity&) = default;
};

struct Binary {
  std::string path;  // as found, for messages
  Fd file;           // O_PATH
  Fd sidecars;       // O_PATH of gvisor-bin/ beside it, where newer builds keep their parts; empty when there is none
  Identity identity;
};

// `wanted`: a path given by the caller or the policy; it is taken or refused, never replaced by another. Empty: PATH of
// `search_path`, then the usual places; the first that exists is taken.
// Refuses as open_program() does (base/program.h).
Result<Binary> open_runsc(const std::string& wanted, std::string_view search_path);

// Asks the binary itself: --version, flags, run -h. A time limit each; environment empty. Fault::unavailable with the path.
inline constexpr int64_t kAnswerMs = 10'000;
Result<Traits> ask_traits(const Binary& binary, int64_t limit_ms = kAnswerMs);

}  // namespace bailey::gvisor
