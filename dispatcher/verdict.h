// What became of a sandbox, from what its backend, the kernel and Bailey itself know, into its record.
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
// The verdict: what we did to it comes first, then what the kernel did, then what it did itself. After the counts of the
// record.
void judge(Record& record, const HowItEnded& end);

// CPU time, of which the cgroup counts the whole exactly and PID 1, which is in that count, knows its own part.
void count_cpu(Record& record, const host::CgroupUsage& usage, const Account& account);
// Where no cgroup has told: of what PID 1 waited for, otherwise of all that was waited for here, PID 1 included.
void count_cpu_of_children(Record& record);

}  // namespace bailey::dispatcher
