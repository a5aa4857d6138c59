// The defaults that `bailey run` adds to a caller's configuration to complete it: standard mounts, masks, namespaces and
// rlimits. Idempotent: an existing value stays. OCI documents from an engine are complete and never come here. Pure.
#pragma once

#include <cstdint>

#include "bundle/config.h"

namespace bailey::bundle {

struct RunDefaults {
  uint64_t tmpfs_bytes = 0;   // size= of /tmp, home and /dev/shm; 0: no limit but the memory's
  uint64_t tmpfs_inodes = 0;  // nr_inodes=: size= alone does not limit inodes
  bool host_network = false;  // no network namespace
  bool secrets = false;       // a /run for the secrets mount
};

// clang-format off
// mounts        /proc, /dev (tmpfs, which the backend fills), /dev/pts, /dev/shm, /dev/mqueue, /tmp, /run, the directory in
//               HOME; then the caller's, in the caller's order. No standard mount where the caller has one, and no home
//               inside a volume. Each nosuid, nodev; only /tmp and the home may hold programs.
// namespaces    pid, mount, ipc, uts, user, cgroup, network
// process       PATH, HOME, LANG and a umask of 022 when absent; noNewPrivileges; RLIMIT_CORE 0; oomScoreAdj 500
// linux         maskedPaths, readonlyPaths (of /proc; run mounts no /sys)
// hostname      "bailey"
// clang-format on
void add_run_defaults(Config& config, const RunDefaults& defaults);

}  // namespace bailey::bundle
