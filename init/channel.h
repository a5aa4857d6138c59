// The backend's end of the channel to init. A socket pair for native, two pipes for gVisor; both kinds work
// everywhere here. Errors name init; EPIPE and an end of file mean that it has ended. Never raises SIGPIPE on
// a socket; on a pipe the caller has to ignore that signal.
#pragma once

#include <optional>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "init/job.h"

namespace bailey::init {

// Writes the whole job; blocks while init has not read it. init reads as soon as it runs.
Result<> send_job(int fd, std::string_view job);

// `signal` to the workload's first process, also before the job was sent. That init has ended is not an
// error.
Result<> send_signal(int fd, int signal);

// The next report; nothing at the end of file. Blocks until there is one.
Result<std::optional<Report>> receive_report(int fd);

// The same from a socket, with the descriptor that came along, if one did.
struct ReportWithDescriptor {
  Report report;
  Fd descriptor;
};
Result<std::optional<ReportWithDescriptor>> receive_report_and_descriptor(int socket);

}  // namespace bailey::init
