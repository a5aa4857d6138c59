// Builds the sandbox's file tree inside its new mount namespace and makes it the root. Runs between clone and exec: nothing
// here allocates, logs or throws; every destination that is not of our own making is resolved by
// openat2(RESOLVE_IN_ROOT) and mounted onto the descriptor.
//
//   old "/"  <-- new root stacked on it (tmpfs, or overlay of --rootfs)     pivot_root(".", "."), old root detached
//     |            |- operations of the plan, in order                         with everything below it
//     |- old "/proc" <-- stage: a tmpfs with what masks are cloned from, and the layers of an overlay
#pragma once

#include "native/root/root_plan.h"

namespace bailey::native {

struct RootInputs {
  const RootPlan* plan = nullptr;
  const int* trees = nullptr;  // detached mounts, one per plan.trees
  int secrets = -1;            // the staged secrets' mount
  int terminal_master = -1;    // out: the pty's master after a `pty` operation
  int terminal_slave = -1;     // out
};

// `operation`: which of plan.operations failed, -1 when it was none. 0 or an errno.
struct RootResult {
  int error = 0;
  int operation = -1;
};

// Descriptors, O_PATH; closed by exec.
struct NewRoot {
  int root = -1;
  int stage = -1;
};

int enter_root(RootInputs& inputs, NewRoot* root);  // makes and stacks the new root
RootResult build_root(RootInputs& inputs, const NewRoot& root);
int leave_old_root(int root, const RootPlan& plan);  // pivots, detaches the old root, seals the new one, chdir("/")

}  // namespace bailey::native
