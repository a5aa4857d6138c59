// Job: what runs in a sandbox, admitted. Immutable; only admission can make one, whether it comes with the sandbox's own
// request or minutes later (JobRequest), so that the same guards judge it. What all jobs of a sandbox share (user, terminal,
// capabilities) is the Spec's.
#pragma once

#include "bundle/config.h"
#include "dispatcher/policy.h"

namespace bailey::dispatcher {

class Job {
 public:
  // Complete: command, environment, working directory, umask and limits are all in it.
  const bundle::Process& process() const { return process_; }
  // In force over it: wall_ms from its start, output_bytes of both its streams together (of a further job its caller sees to
  // them). The others are the sandbox's.
  const LimitValues& limits() const { return limits_; }
  // PID 1 becomes it, and no further job can come.
  bool as_pid_1() const { return as_pid_1_; }
  // Its request says that its output has no limit, rather than nothing.
  bool wants_unlimited_output() const { return wants_unlimited_output_; }

 private:
  friend class Admission;
  Job(bundle::Process process, LimitValues limits) : process_(std::move(process)), limits_(limits) {}
  bundle::Process process_;
  LimitValues limits_;
  bool as_pid_1_ = false, wants_unlimited_output_ = false;
};

}  // namespace bailey::dispatcher
