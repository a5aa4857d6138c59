// Timed runs of whole commands, start to exit, with the kernel's own accounting of each (wait4).
#pragma once

#include <cstdint>

#include "base/result.h"
#include "bench/runtimes.h"

namespace bailey::bench {

struct Run {
  int64_t wall_us = 0;
  int64_t peak_kib = 0;  // largest single process of the tree that was waited for (ru_maxrss)
};

// stdio are pipes, as a caller's would be. A non-zero exit is an error with what the command said.
Result<Run> run_once(const Runtime& runtime);
// `total` runs with `in_flight` at a time; answers starts per second.
Result<double> run_many(const Runtime& runtime, int total, int in_flight);

}  // namespace bailey::bench
