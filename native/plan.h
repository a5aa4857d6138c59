// Plan: everything the native backend will do, as plain data, compiled from a Spec before anything is made. native/ in the
// order in which a start runs through it:
//
//   plan.h           Spec -> Plan (pure; --explain prints it)      mount_options.h   OCI option strings -> mount API
//   backend.h        create: leases, trees, launch                 uid_range.h       the sandbox's own 65536 host ids
//   tree.h           host ends of bind mounts, opened and cloned   launch.h          clone3, id maps, the set-up report
//   child.h          the new process: order of set-up, to exec     root_builder.h    its mounts
//   id_map.h wanted_ids.h  which host ids the inner users are      places.h          where they go
//   caps.h  landlock.h  seccomp.h                                  kernel_abi.h      raw system calls
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "dispatcher/spec.h"
#include "native/caps.h"
#include "native/id_map.h"
#include "native/landlock.h"
#include "native/seccomp_plan.h"

namespace bailey::native {

// The host's end of a bind mount: cloned into a detached mount before the child exists (root) or by the child itself.
struct TreeSource {
  enum class Kind { path, volume, rootfs, device };
  Kind kind = Kind::path;
  std::string path;         // real path on the host
  size_t mount_index = 0;   // volume: which of config.mounts
  uint64_t attributes = 0;  // MOUNT_ATTR_* for the mount and everything below it
  uint64_t cleared = 0;     // MOUNT_ATTR_* taken away first
  bool recursive = true;
  bool id_mapped = false;  // on-disk ids are seen as the sandbox's own (open_tree_attr: needs root and a willing file system)
  unsigned device_major = 0, device_minor = 0;  // device: what fstat must say
};

// One step of building the root, relative to it. Executed in order after clone; strings are ready, nothing is allocated then.
struct RootOperation {
  enum class Kind {
    directory,    // mkdir -p
    symlink,      // path -> text
    file,         // contents text
    attach_tree,  // trees[tree] onto path (made when missing: a directory, or a file for a tree that is one)
    file_system,  // a new file system of type `text` with `options` onto path
    mask,         // an empty read-only file or directory onto path, when it exists
    read_only,    // path becomes a read-only mount of itself, when it exists
    seal,         // the mount at path becomes read-only
    secrets,      // the staged secrets onto path
    file_over,    // contents text, onto the file that an earlier mount shows at path
    bind_inside,  // what lies at `text` in the new root onto path as well
    pty,          // makes the terminal in path (devpts)
  };
  // Where `path` is looked up. Foreign: each component is resolved inside the root by openat2. The others hold nothing but what
  // we made ourselves, so that one plain call with the rest of the path, name(), cannot be led elsewhere.
  enum class Within { foreign, own_root, own_dev, own_proc };
  Kind kind = Kind::directory;
  std::string path;
  std::string text;
  mode_t mode = 0755;
  bool no_links = false;  // a link on the way is an error: what later operations find by this name must stay there
  size_t tree = 0;
  uint64_t attributes = 0;  // MOUNT_ATTR_*
  std::vector<std::pair<std::string, std::string>> options;
  std::string data = {};  // the options as mount(2) takes them
  Within within = Within::foreign;
  Within keep = Within::foreign;  // file_system: its root is own_dev or own_proc from now on
  const char* name() const;
};

struct Plan {
  uint64_t clone_flags = 0;  // CLONE_NEW*; the cgroup namespace is unshared later, inside the cgroup
  bool new_cgroup_namespace = true;
  bool privileged = true;      // made by root: trees are cloned before the child exists, ids of volumes are mapped
  bool many_ids = true;        // more than the workload's own id is mapped
  bool loopback_up = false;    // a new network namespace starts with lo down
  bool joins_network = false;  // a namespace that was made ready before: BeginInputs::netns
  std::string hostname, domainname;
  std::vector<TreeSource> trees;
  int root_tree = -1;         // trees index of --rootfs; -1: a tmpfs of our own
  bool root_overlay = false;  // an in-memory layer over root_tree
  std::string root_data;      // options of the tmpfs root
  std::string stage_data;     // options of the stage, which has the overlay's upper layer
  bool root_read_only = true;
  std::vector<RootOperation> operations;
  bundle::User user;
  WantedIds ids;
  bool terminal = false;
  uint32_t console_rows = 0, console_columns = 0;
  int oom_score_adj = 0;
  CapsPlan caps;
  LandlockPlan landlock;
  SeccompPlan seccomp;
};

// What the plan depends on of this host.
struct HostTraits {
  IdMapKind ids = IdMapKind::own_range;
  int landlock_abi = 0;
  int own_oom_score = 0;                   // of this process
  const bundle::HostTree* tree = nullptr;  // of the host's files for the default root; none: it has none of them
};

// Error: every field of the Spec that native could not enforce, all in one (Backend::check).
// `names`: on a network with addresses, once they are known.
Result<Plan> compile(const dispatcher::Spec& spec, const HostTraits& host, const bundle::NetworkNames& names = {});
json::Value to_json(const Plan& plan);

}  // namespace bailey::native
