// Helper programs (newuidmap, runsc's own questions) run to their end with a deadline and captured output. The one user of
// Boost.Process. The start path of a sandbox never comes here: see native/launch.h and gvisor/launch.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace bailey {

struct Command {
  std::string program;  // absolute path, or /proc/self/fd/N of a descriptor that was checked; never searched in PATH
  std::vector<std::string> arguments;    // without argv[0]
  std::vector<std::string> environment;  // KEY=VALUE, exactly these: nothing is inherited
  int64_t timeout_ms = 10'000;
  size_t output_cap = 1 << 20;  // bytes kept of each stream; the rest is read and dropped
};

struct CommandOutcome {
  bool timed_out = false;  // it was killed by SIGKILL, with its process group
  int exit_code = -1;      // -1 when a signal ended it
  int signal = 0;
  std::string out;
  std::string err;
};

// stdin is an empty pipe, stdout and stderr are pipes (never /dev/null: old runsc builds chown it). No descriptor but 0-2, no
// blocked or ignored signal reaches the program. It leads a process group of its own, which is killed when the program has
// ended, at the deadline and when the calling thread ends. Processes that left the group may go on; they are not waited for.
// Errors: it could not be started. A non-zero exit is an outcome, not an error. Allocates; waits for what it starts.
Result<CommandOutcome> run_command(const Command& command);

}  // namespace bailey
