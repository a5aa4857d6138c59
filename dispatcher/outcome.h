// Writes into a record how its sandbox ended and what it used, from what the backend, the kernel and Bailey know.
#pragma once

#include "dispatcher/backend.h"
#include "dispatcher/record.h"

namespace bailey::dispatcher {

// Why Bailey ended it; none: it ended by itself.
enum class Stop { none, timed_out, output_limit, signal };

struct HowItEnded {
  const Ending& ending;
  Stop stopped = Stop::none;
  bool had_a_job = true;  // its job had been started
};
// Sets the outcome. Bailey's own reason comes before the kernel's, and that before the workload's. Record::oom_kills is set
// already.
void set_outcome(Record& record, const HowItEnded& end);

// CPU time: the cgroup counts the whole exactly, and PID 1, which is in that count, knows its own part.
void count_cpu(Record& record, const host::CgroupUsage& usage, const Account& account);
// Where no cgroup has counted: the time that PID 1 has reported, otherwise that of all children of this process.
void count_cpu_of_children(Record& record);

}  // namespace bailey::dispatcher
