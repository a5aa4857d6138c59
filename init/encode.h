// Encodes jobs for init and decodes its reports. init/ is PID 1 of both backends:
//
//   the program   main.cc         PID 1: its job, signals, orders, end
//                 tasks.cc        further jobs, and their streams
//                 inbox.cc        frames as they come
//                 workload.cc     from fork to execve
//                 job_reader.cc   the parser
//                 relay.cc        stdout and stderr of the sandbox's own job, under gVisor
//                 kernel.cc       system calls without a libc
//   between them  job.h           the protocol
//   the library   encode.h        jobs and reports
//                 conversation.h  the channel, and the jobs that run over it
//                 named_channel.h, attached_instance.h   an independent sandbox: its FIFOs, and its next owner
//                 image.h         the program as bytes
//
// Needs no privileges. Allocates: not between clone and exec (encode before the clone).
#pragma once

#include <linux/filter.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "bundle/capabilities.h"
#include "bundle/config.h"
#include "init/job.h"

namespace bailey::init {

// Which side changes to process.user: the backend before init starts (init then runs as that user, too), or init for the
// workload.
enum class UserChange { by_backend, by_init };

// A seccomp filter for the workload alone; no instructions: none.
struct JobFilter {
  std::span<const sock_filter> program;
  unsigned flags = 0;  // SECCOMP_FILTER_FLAG_*
};

// The privileges that init gives to the workload of an engine's container.
JobPrivileges privileges_of(const bundle::CapabilitySets& sets, bool no_new_privileges);

// The job for `process`: args, env, cwd, umask, rlimits, terminal, and the user when init is to change to it.
// `privileges`: of the workload, when init changes to its user and has them itself; none: it has no capability.
// Errors (bad_input): no args, a NUL in a string, an unknown limit, too large for kMaxJobBytes.
Result<std::string> encode_job(const bundle::Process& process, UserChange user_change, const JobFilter& filter = {},
                               const std::optional<JobPrivileges>& privileges = {});

// The encoded job asks init to relay the workload's stdout and stderr (relay.h); `merged`: through one pipe.
void relay_output(std::string& job, bool merged);

// The encoded job makes PID 1 the workload itself.
void become_pid_1(std::string& job);

// Likewise, and not before encode_begin() is sent. Report{held} comes first.
void hold(std::string& job);
std::string encode_begin();

// The encoded job gets a number of its own (job.h).
void number_job(std::string& job, uint32_t number);

// RLIMIT_* number of "RLIMIT_NOFILE". Error (bad_input) names the value.
Result<uint32_t> parse_rlimit(std::string_view name);

// Exactly one Report. Error: wrong size, wrong magic, unknown kind.
Result<Report> parse_report(std::string_view bytes);

// Copies wall time, CPU time and peak memory of a final report into a dispatcher::Account.
template <typename Account>
void fill_account(Account& account, const Report& end) {
  account.wall_us = static_cast<int64_t>(end.wall_us);
  account.user_us = static_cast<int64_t>(end.user_us);
  account.system_us = static_cast<int64_t>(end.system_us);
  if (end.max_rss_bytes != 0) account.max_rss_bytes = end.max_rss_bytes;
}

// Report{failed} as the error of the start. Fault::not_found (127) and not_executable (126) are about the
// command, the rest is 125. The message names the command, the directory or the limit; the step is
// Error::step.
Error start_error(const Report& report, const bundle::Process& process);

}  // namespace bailey::init
