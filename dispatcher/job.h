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
  // In force over it: wall_ms from its start, output_bytes of both its streams together. The others are the sandbox's.
  const LimitValues& limits() const { return limits_; }
  // Its request says that its output has no limit, rather than nothing.
  bool wants_unlimited_output() const { return wants_unlimited_output_; }

 private:
  friend class Admission;
  Job(bundle::Process process, LimitValues limits, bool wants_unlimited_output)
      : process_(std::move(process)), limits_(std::move(limits)), wants_unlimited_output_(wants_unlimited_output) {}
  bundle::Process process_;
  LimitValues limits_;
  bool wants_unlimited_output_;
};

}  // namespace bailey::dispatcher
