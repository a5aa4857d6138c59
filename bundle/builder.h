// What `bailey run` adds to a caller's wish to make it a complete configuration: the standard mounts, masks, namespaces and
// rlimits. Idempotent: what is there already stays. OCI documents from an engine are complete and never come here. Pure.
#pragma once

#include "base/result.h"
#include "bundle/config.h"

namespace bailey::bundle {

struct RunDefaults {
  uint64_t tmpfs_bytes = 0;   // size= of /tmp, home and /dev/shm
  uint64_t tmpfs_inodes = 0;  // nr_inodes=: size= alone does not limit inodes
  bool host_network = false;  // no network namespace
  bool secrets = false;       // a /run for the secrets mount
};

// Mounts: /proc, /dev (tmpfs), /dev/pts, /dev/shm, /dev/mqueue, /tmp, /run, home (of HOME in env); the caller's mounts follow
// in the caller's order. Namespaces: pid, network, mount, ipc, uts, user, cgroup. maskedPaths and readonlyPaths (host/masks as
// in facts 7). noNewPrivileges. hostname "bailey". env gets PATH, HOME, LANG when absent. RLIMIT_CORE 0.
void add_run_defaults(Config& config, const RunDefaults& defaults);

}  // namespace bailey::bundle
