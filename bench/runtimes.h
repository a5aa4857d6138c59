// bench/: Bailey and its peers, interleaved in one run, so that a machine's drift falls on all alike.
//
//   runtimes.h    what is compared: one command line per runtime, same root, same command
//   bundles.h     the roots and bundles that those commands name
//   measure.h     one timed run, and many in flight          runner.c  the small process that times one
//   statistics.h  median, minimum, ratio          main.cc  the rounds and the table
//   floor.c       a sandbox like Bailey's by the fewest calls: what the kernel takes of a start
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace bailey::bench {

struct Runtime {
  std::string name;
  std::vector<std::string> command;         // argv; argv[0] is a path
  std::vector<std::string> baselines = {};  // names of the runtimes that its ratios are quoted against
};

struct Comparison {
  std::string bailey;     // path of the binary
  std::string floor;      // path of floor.c's
  std::string runsc;      // path, empty: leave gVisor out
  std::string busybox;    // a static one, path, empty: everything runs in the host's root
  bool bridge = false;    // Bailey on its bridge as well, in the network namespace of this process
  std::string directory;  // scratch: bundles of the bare runtimes are made below it
};

// The namespace runtimes that are installed here, in the order of the table; makes their bundles. With a busybox root the
// floor is among them, on cgroup version 1, and crun and runc, bare and with everything that engines ask for.
Result<std::vector<Runtime>> native_runtimes(const Comparison& comparison);
// Bare runsc and Bailey with gVisor, on the host's root.
Result<std::vector<Runtime>> gvisor_runtimes(const Comparison& comparison);

}  // namespace bailey::bench
