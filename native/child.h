// The new process, from clone to exec. Order is security: see run_child. Nothing here allocates, logs, locks or throws; the
// strings and descriptors are ready before clone.
//
//   parent                                   child (PID 1 of the new namespaces)
//   -------------------------------------------------------------------------------------------
//   clone3 (user, pid) --------------------> unshares all other namespaces but the cgroup's,
//   makes the cgroup, clones trees,          names the host, brings lo up, limits itself, waits
//   writes uid_map, gid_map, maps tree ids
//   descriptors <----------- SCM_RIGHTS ---> joins its cgroup, becomes inner root, builds the root,
//                                            pivots, drops everything
//   [pty master] <--------- SCM_RIGHTS ----- only with a terminal
//   SetupReport <--------------------------- error 0: the next act is exec of init
//   (job.h's protocol on the same socket) <> init
#pragma once

#include <linux/filter.h>
#include <sched.h>
#include <sys/types.h>

#include <cstdint>
#include <span>

#include "native/plan.h"
#include "native/root/trees.h"

namespace bailey::native {

// In order. to_text() gives the name that the record uses.
enum class ChildStep : uint32_t {
  namespaces,
  network,
  hostname,
  limits,
  handed,
  cgroup,
  identity,
  root,
  mounts,
  pivot,
  terminal,
  privileges,
  landlock,
  seccomp,
  count
};
const char* to_text(ChildStep step);

struct SetupReport {
  static constexpr uint32_t kMagic = 0x53525942;  // "BYRS"
  uint32_t magic = kMagic;
  ChildStep step = ChildStep::namespaces;                      // of the error
  int32_t error = 0;                                           // errno; 0: all steps done
  int32_t operation = -1;                                      // index into Plan::root.operations, of an error in `mounts`
  int32_t landlock_rule = -1;                                  // index into Plan::landlock.rules, of an error in `landlock`
  int64_t end_ns[static_cast<size_t>(ChildStep::count)] = {};  // CLOCK_MONOTONIC
};

// Of Plan::clone_flags, what clone3 has to do itself. The rest the child unshares: a network namespace alone takes as long as
// all that the parent does meanwhile.
inline constexpr uint64_t kCloneAtOnce = CLONE_NEWUSER | CLONE_NEWPID;

struct ChildInputs {
  const Plan* plan = nullptr;
  const sock_fprog* filter = nullptr;      // nullptr: none before the workload's own
  std::span<const int> joins;              // one for each of Plan::joins
  std::span<AdmittedTree> admitted_trees;  // for an ordinary user: opened by the child
  std::span<int> trees;                    // room for them
  std::span<int> handed;                   // room for all that the parent hands over (Child::take_what_is_handed)
  bool has_secrets = false;
  int socket = -1;         // to the parent, then init's job descriptor
  int parent_socket = -1;  // its other end, closed first: or the parent's death would not be seen
};

[[noreturn]] void run_child(const ChildInputs& inputs);

}  // namespace bailey::native
