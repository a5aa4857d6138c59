// Cgroup: one sandbox's control group, whatever the host has: v1 (one directory per controller), v2 (one directory) or hybrid.
// Every directory is checked by statfs (CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC) before mkdir or write: on a v1 host
// /sys/fs/cgroup is a plain tmpfs where a missing controller's directory would hold limits that do nothing.
// Found again from its name by gc: <parent>/bailey-<id>. Root, or a delegated subtree.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "bundle/config.h"

namespace bailey::host {

enum class CgroupLayout { none, v1, v2, hybrid };

// Where the controllers are on this host, found by trying. A cheap read of /proc/self/mountinfo and /proc/self/cgroup.
struct CgroupMounts {
  struct Controller {
    std::string name;       // "memory", "pids", "cpu", "cpuacct", "cpuset", "blkio" (v1) / "io" (v2), "freezer", ...
    std::string directory;  // mount point
    std::string own_path;   // this process's path below it
    bool v2 = false;
  };
  CgroupLayout layout = CgroupLayout::none;
  std::vector<Controller> controllers;  // usable ones only
  const Controller* find(std::string_view name) const;
};
Result<CgroupMounts> find_cgroups();

struct CgroupUsage {
  std::optional<int64_t> user_us, system_us;
  std::optional<uint64_t> peak_memory_bytes;
  std::optional<uint64_t> oom_kills;
  std::optional<uint64_t> pids_limit_hits;
};

class Cgroup {
 public:
  Cgroup() = default;  // none
  Cgroup(Cgroup&&) noexcept = default;
  Cgroup& operator=(Cgroup&& other) noexcept;
  ~Cgroup();  // kills what is left in it and removes it, waiting a bounded time

  // mkdir in each controller that a limit or the record needs, limits written and read back. A limit whose controller is
  // missing is an error (Fault::unavailable, with the remedy), never dropped. Undoes all of it on error.
  // `parent` empty: below this process's own cgroup where that may have children, else /bailey.
  static Result<Cgroup> create(const CgroupMounts& mounts, const std::string& parent, const std::string& id,
                               const bundle::Resources& resources);

  bool empty() const { return directories_.empty(); }
  // v1: descriptors of each controller's `tasks`, to which the child itself writes "0" (30 us each; writing cgroup.procs from
  // outside waits 6-14 ms for an RCU grace period). v2: empty; use clone_into_fd with CLONE_INTO_CGROUP (Linux 5.7).
  const std::vector<Fd>& join_fds() const { return join_fds_; }
  int clone_into_fd() const { return clone_into_.get(); }  // -1 when there is no v2 directory of ours
  Result<> attach(int pid) const;  // the slow way, for what is running already

  CgroupUsage usage() const;
  // Becomes readable/POLLPRI on an OOM kill where the kernel offers it (v1: eventfd on memory.oom_control; v2: memory.events
  // through inotify); -1 otherwise. Owned by the Cgroup.
  int oom_fd() const { return oom_fd_.get(); }
  // SIGKILL to every process in it until it is empty or the deadline has passed. v2: cgroup.kill; v1: freezer + loop, thawing
  // first (a SIGKILLed task of a frozen v1 cgroup stays until it is thawed).
  Result<> kill(clock::Deadline deadline) const;
  Result<> freeze() const;
  Result<> thaw() const;
  Result<std::vector<int>> processes() const;
  Result<> update(const bundle::Resources& resources);
  std::vector<std::string> paths() const;  // for the state record and gc

 private:
  struct Directory {
    std::string controllers;
    std::string path;
    Fd fd;
    bool v2 = false;
  };
  std::vector<Directory> directories_;
  std::vector<Fd> join_fds_;
  Fd clone_into_;
  Fd oom_fd_;
};

// Removes cgroups left by sandboxes whose process died: `ids` are the dead ones. Answers how many directories went away.
Result<int> collect_cgroups(const CgroupMounts& mounts, const std::string& parent, const std::vector<std::string>& ids);

}  // namespace bailey::host
