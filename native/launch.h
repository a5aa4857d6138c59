// Launch: clone3, the id maps, then the wait for the child's set-up report: a sandbox whose PID 1 is our init waiting for its
// job. An error names the step.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "dispatcher/backend.h"
#include "native/child.h"
#include "native/id_map.h"

namespace bailey::native {

struct LaunchInputs {
  const Plan* plan = nullptr;
  dispatcher::Stdio stdio;
  std::span<TreeTarget> tree_targets;
  const host::Cgroup* cgroup = nullptr;
  int secrets = -1;
  const IdMap* ids = nullptr;
};

struct Launched {
  Fd pidfd;
  int pid = -1;
  Fd socket;  // init's protocol (init/job.h), once await_setup has answered
};

// Lets the new process go to make the sandbox and does not wait for it; on error none is left. Steps gain what each part took.
// Not after threads exist: the child is a copy of this process.
Result<Launched> launch(LaunchInputs inputs, dispatcher::Steps& steps);

// Waits until the sandbox is made. Answers the pty's master with plan.terminal. On error the caller kills and reaps. Steps
// gain, for each step of the child, how long this waited for it: what was done while the parent was busy costs nothing.
Result<Fd> await_setup(const Launched& launched, const Plan& plan, dispatcher::Steps& steps);

}  // namespace bailey::native
