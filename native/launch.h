// Launch: clone3 with every namespace, id maps, and the wait for the child's set-up report. One call; either a sandbox whose
// PID 1 is our init waiting for its job, or an error that names the step, and no process left.
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
  Fd socket;    // init's protocol (init/job.h)
  Fd terminal;  // pty master, with plan.terminal
};

// Steps gain what each part took. Not after threads exist: the child is a copy of this process.
Result<Launched> launch(LaunchInputs inputs, dispatcher::Steps& steps);

}  // namespace bailey::native
