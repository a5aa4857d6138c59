// bench/: Bailey beside its peers, interleaved in one run, so that a machine's drift falls on all alike.
//
//   runtimes.h    what is compared: one command line per runtime, same root, same command
//   measure.h     one timed run, and many in flight
//   statistics.h  median, minimum, ratio          main.cc  the rounds and the table
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace bailey::bench {

struct Runtime {
  std::string name;
  std::vector<std::string> command;  // argv; argv[0] is a path
  std::string baseline;              // name of the runtime that its ratio is quoted against
};

struct Comparison {
  std::string bailey;     // path of the binary
  std::string runsc;      // path, empty: leave gVisor out
  std::string directory;  // scratch: bundles of the bare runtimes are made below it
};

// Every runtime that is installed here, in the order of the table. Makes the bare runtimes' bundles.
Result<std::vector<Runtime>> runtimes(const Comparison& comparison);

}  // namespace bailey::bench
