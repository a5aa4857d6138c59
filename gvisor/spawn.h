// Builds the private root and clones runsc: as root in this process, as an ordinary user in a user namespace.
//
//   root        this process builds the private root and clones               launch.h
//   others      this process clones a builder; the builder enters a user namespace in which its caller is 0, builds the
//               private root there, clones the future runsc as a child of this process, hands over and ends
//
// Either way runsc becomes a child of this process. It dies with it, unless the sandbox is independent.
#pragma once

#include <functional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "dispatcher/backend.h"
#include "gvisor/child.h"
#include "gvisor/private_root.h"
#include "secrets/stage.h"

namespace bailey::gvisor {

struct LaunchInputs {
  const Plan* plan = nullptr;
  const Binary* binary = nullptr;
  Sources sources;                                        // `secrets` is filled by spawn
  std::function<Result<secrets::Stage>()> stage_secrets;  // empty: none
  int user_namespace = -1;                                // of an ordinary user's network; -1: the builder makes one
  dispatcher::Stdio stdio;
  const host::Cgroup* cgroup = nullptr;  // nullptr: this process's
  int state = -1;                        // with plan.independent: where the channel to init is made
};

// The child's ends, all above kLastTarget.
struct ChildEnds {
  Fd in, out, err;
  Fd job, report;  // empty with plan.channel_directory
  Fd status;
  Fd spare;
};

struct Spawned {
  Fd pidfd;
  PrivateRoot root;  // attachments are for messages only
};

// `parents_status`: the number of the status pipe's read end, which the child closes.
Result<Spawned> spawn(const LaunchInputs& inputs, const ChildEnds& ends, int parents_status);

}  // namespace bailey::gvisor
