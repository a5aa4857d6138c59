// Task: a further job in a sandbox, from Instance::exec on. Its sandbox's loop serves it; it ends with its sandbox at the
// latest.
#pragma once

#include <optional>

#include "base/result.h"

namespace bailey::dispatcher {

// How a job ended. `not_started`: init could not execute the command; `error` says why (Fault::not_found, not_executable, ...).
struct Ending {
  enum class Kind { exited, signaled, not_started };
  Kind kind = Kind::exited;
  int value = 0;  // exit code or signal number
  Error error;
};

// What a job used, as PID 1 reports it. Absent: it could not say so, or it did not live to.
struct Account {
  // CPU time in the cgroup's count that PID 1 and the making have used, not the command. Absent also where a runtime's own
  // processes are in that count: then counting begins with the command. Only for the sandbox's own job.
  std::optional<int64_t> own_cpu_us;
  std::optional<int64_t> wall_us;             // from the command's start to its end
  std::optional<int64_t> user_us, system_us;  // of what was waited for
  std::optional<uint64_t> max_rss_bytes;      // largest of one process
};

class Task {
 public:
  virtual ~Task() = default;  // SIGKILL to it, if it runs
  // Its command runs, or has run.
  virtual bool has_begun() const = 0;
  // It has ended, or could not begin, and all that it wrote has reached its streams.
  virtual bool has_ended() const = 0;
  virtual const Ending& ending() const = 0;    // of one that has ended
  virtual const Account& account() const = 0;  // likewise
  // To its first process; one that has ended is no error.
  virtual Result<> signal(int number) = 0;
};

}  // namespace bailey::dispatcher
