// ProcessId: a process that can be found again from another one, later. A pid alone may belong to somebody else by then; with
// the time of its start (field 22 of /proc/PID/stat, in ticks since boot) and the boot id (proc_sys_kernel(5)) it cannot.
#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace bailey {

struct ProcessId {
  int pid = 0;
  uint64_t start_time = 0;
  std::string boot_id;
  friend bool operator==(const ProcessId&, const ProcessId&) = default;

  // Of a process that runs, or is to be waited for. Error when there is none, or /proc does not show it. Allocates.
  static Result<ProcessId> of(int pid);
  // Its pidfd; empty when it has ended, a zombie included. Error: /proc cannot be read.
  Result<Fd> open() const;
};

}  // namespace bailey
