// Timed runs of whole commands, start to exit, with the kernel's own accounting of each (wait4).
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "bench/runtimes.h"

namespace bailey::bench {

struct Run {
  int64_t wall_ns = 0;
  int64_t peak_kib = 0;  // largest single process of those that were waited for (ru_maxrss)
};

// One run through `runner` (bench/runner.c), and the end of all that it left: what a runtime puts off falls on nobody else.
// stdio are pipes, as a caller's would be. Errors: a non-zero exit, with what the command said.
Result<Run> run_once(const std::string& runner, const Runtime& runtime);

// `total` runs with `in_flight` at a time; returns starts per second.
Result<double> run_many(const Runtime& runtime, int total, int in_flight);

// System calls of one run with all its processes, counted by strace. Empty without strace, or when it cannot trace this
// runtime.
std::optional<int64_t> count_system_calls(const Runtime& runtime, const std::string& scratch);

}  // namespace bailey::bench
