// The channel to init as a test wants it: whole jobs and whole reports, waiting for each (init/conversation.h waits for
// nothing).
#pragma once

#include <optional>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "init/job.h"

namespace bailey::tests {

// Writes the whole job; blocks while init has not read it. init reads as soon as it runs.
Result<> send_job(int fd, std::string_view job);

// `signal` to the workload's first process, also before the job was sent. That init has ended is not an
// error.
Result<> send_signal(int fd, int signal);

// The next report; nothing at the end of file. Blocks until there is one.
Result<std::optional<init::Report>> receive_report(int fd);

}  // namespace bailey::tests
