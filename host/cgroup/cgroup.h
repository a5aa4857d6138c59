// Cgroup: one sandbox's control group, whatever the host has: v1 (one directory per controller), v2 (one
// directory) or hybrid. Every directory is checked by statfs (CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC) before
// mkdir or write: on a v1 host /sys/fs/cgroup is a plain tmpfs where a missing controller's directory would
// hold limits that do nothing. Found again from its name by gc: <parent>/bailey-<id>. Root, or a delegated
// subtree. Decisions and what was run where: docs/cgroups.md. host/ in short:
//
//   cgroup.h           this                            cgroup_mounts.cc   where the controllers are
//   cgroup_settings.h  resources -> file writes        cgroup_parent.h    below which cgroup ours is made
//   cgroup_tasks.h     listing and killing processes   cgroup_file.h      one file of one cgroup
//   probe.h            what this host can do, each thing tried            trial.h  trying it in a child
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "bundle/config.h"

namespace bailey::host {

struct CgroupParent;   // cgroup_parent.h
struct CgroupSetting;  // cgroup_settings.h

enum class CgroupLayout { none, v1, v2, hybrid };
const char* to_text(CgroupLayout layout);

// Where the controllers are on this host. What is found here is believed only by create, which checks each
// directory that it uses.
struct CgroupMounts {
  struct Controller {
    std::string name;       // "memory", "pids", "cpu", "cpuacct", "blkio" (v1) / "io" (v2), "freezer", ...
    std::string directory;  // mount point
    std::string own_path;   // this process's cgroup below it, "/" or "/a/b"; empty: it lies outside the mount
    bool v2 = false;
  };
  CgroupLayout layout = CgroupLayout::none;
  // Why there is less than the kernel has, for messages; "" when nothing is known.
  std::string missing_remedy;
  // Mounted writable; a co-mounted pair ("cpu,cpuacct") shares its directory. Hybrid: v1's, until those of v2
  // are added.
  std::vector<Controller> controllers;
  // The v2 hierarchy itself, with or without controllers; name is empty.
  std::optional<Controller> unified;

  const Controller* find(std::string_view name) const;
  void add_unified_controllers(std::string_view list);  // the text of cgroup.controllers
  void set_layout();
};
// Cheap: /proc/self/cgroup and a look at the usual places; /proc/self/mountinfo where those do not fit.
Result<CgroupMounts> find_cgroups();
// Whether /sys/fs/cgroup is version 2, as on most hosts: one system call, for who only wants to know what is worth doing.
bool has_unified_cgroups_only();
// Adds what cgroup.controllers at the v2 mount lists. Needed in a hybrid layout only, where few hosts have
// any.
CgroupMounts read_unified_controllers(CgroupMounts mounts);
// From the texts of /proc/self/mountinfo and /proc/self/cgroup. Pure.
CgroupMounts parse_cgroup_mounts(std::string_view mountinfo, std::string_view proc_cgroup);

struct CgroupUsage {
  std::optional<int64_t> cpu_us;                     // exact to the microsecond
  std::optional<int64_t> user_us, system_us;         // v1: in ticks of the kernel's clock (4 ms), so that they only say a ratio
  std::optional<uint64_t> peak_memory_bytes;         // v2: Linux 5.19, socket buffers included
  std::optional<uint64_t> peak_socket_memory_bytes;  // v1, where they have a limit and a count of their own
  std::optional<uint64_t> oom_kills;
  std::optional<uint64_t> pids_limit_hits;
};

// "bailey-ID".
std::string cgroup_name(const std::string& id);

// Where an engine wants the cgroup of its container (linux.cgroupsPath, cgroupfs notation).
struct CgroupPlace {
  std::string parent;  // "/libpod_parent"; empty: as for create
  std::string name;    // "libpod-ID"
  bool may_exist = false;
};

class Cgroup {
 public:
  Cgroup() = default;  // none
  Cgroup(Cgroup&&) noexcept = default;
  Cgroup& operator=(Cgroup&& other) noexcept;
  ~Cgroup();  // remove(); a failure is logged

  // mkdir in each controller that a limit or the record needs, limits written and read back. A limit whose
  // controller is missing is an error (Fault::unavailable, with the remedy), never dropped. Undoes all of it
  // on error. `parent` empty: below this process's own cgroup where that may have children, else /bailey (see
  // cgroup_parent.h). Without any limit, what only the record needs is left out where it cannot be made; the
  // result may be empty(). resources.devices is not judged here: a user namespace cannot make device nodes,
  // the backend binds the ones allowed.
  static Result<Cgroup> create(const CgroupMounts& mounts, const std::string& parent, const std::string& id,
                               const bundle::Resources& resources);

  // Of an engine's container: in every hierarchy that there is, because the engine looks there for what the container uses, and
  // with resources.devices. One that is there already is taken where it may be (the engine has made it), and removed with the
  // container all the same. Error: it is frozen, and whoever enters it would be, too.
  static Result<Cgroup> create_for_engine(const CgroupMounts& mounts, const CgroupPlace& place,
                                          const bundle::Resources& resources);

  bool empty() const { return directories_.empty(); }
  // v1: descriptors of each controller's `tasks`, to which the child itself writes "0" (30 us each; writing
  // cgroup.procs from outside waits 6-14 ms for an RCU grace period). v2: empty; use clone_into_fd with
  // CLONE_INTO_CGROUP (Linux 5.7). `tasks` moves the writing thread only: the child writes while it has one
  // thread. The order does not matter.
  const std::vector<Fd>& join_fds() const { return join_fds_; }
  int clone_into_fd() const;       // -1 when there is no v2 directory of ours
  Result<> attach(int pid) const;  // the slow way, with all its threads, for what is running already

  CgroupUsage usage() const;
  // What was used until now belongs to the making of the sandbox. The peaks begin anew at what is in use (v2: since Linux 6.12;
  // on older ones the peak is that of the whole life). `all`: usage() leaves out the CPU time so far.
  // Once; some 10 us for `peaks`.
  enum class LeaveOut { peaks, all };
  void begin_account(LeaveOut what);
  // Before that: what a sandbox used that was made in vain.
  void leave_out_cpu_time();
  // Before that: what is in use now is left out of the peak.
  void leave_out_memory_in_use();
  // Made at the first call. Readable: an OOM may have happened, ask usage().oom_kills (v1: eventfd on
  // memory.oom_control; v2: inotify on memory.events). Never drained by us; -1 where the kernel does not
  // offer it. Owned by the Cgroup.
  int oom_fd() const;
  // SIGKILL to every process in it, again and again, until it is empty; error when the deadline passes first.
  // New forks are stopped first (v2: cgroup.kill; v1: pids.max 0), a frozen one is thawed. Afterwards nothing
  // can be started in it.
  Result<> kill(clock::Deadline deadline) const;
  // v1: makes the freezer directory at the first call and moves the processes into it.
  Result<> freeze();
  Result<> thaw();
  Result<std::vector<int>> processes() const;
  Result<> update(const bundle::Resources& resources);
  std::vector<std::string> paths() const;  // for the state record and gc

  // Kills what is left, removes the directories, waiting for both no longer than 10 s. empty() afterwards
  // when it returns success. The ordinary end costs one rmdir per directory.
  Result<> remove();
  void leave();  // empty() afterwards, and all of it is still there: for gc

  // One directory of ours: in v1 of one hierarchy (one controller, or several mounted together).
  struct Directory {
    std::vector<std::string> controllers;  // v2: those that were asked for
    std::string path;
    std::string name;  // the last part of path
    Fd parent;         // O_PATH
    Fd fd;             // O_PATH
    bool v2 = false;
    bool has(std::string_view controller) const;
  };

 private:
  static Result<Cgroup> build(Cgroup made, CgroupMounts mounts, const bundle::Resources& resources);
  Result<> add_directories(const CgroupMounts& mounts, const std::vector<CgroupSetting>& settings);
  Result<> add_all_v1(const CgroupMounts& mounts);
  Result<> apply_devices(const std::vector<bundle::DeviceRule>& rules);
  Result<> add_v1(const CgroupMounts& mounts, const CgroupMounts::Controller& where);
  Result<> add_v2(const CgroupMounts& mounts, const std::vector<std::string>& controllers);
  Result<> add(CgroupParent below, std::vector<std::string> controllers, bool v2);
  Result<> apply(const std::vector<CgroupSetting>& settings);
  Result<> enable_v2(const CgroupSetting& setting);
  Result<> move_all_into(const Directory& target);
  const Directory* find(std::string_view controller) const;
  const Directory* find_v2() const;

  std::string parent_;  // as given to create
  std::string name_;    // bailey-<id>, or the engine's
  bool is_engines_ = false, may_exist_ = false;
  std::vector<Directory> directories_;
  std::vector<Fd> join_fds_;
  mutable Fd oom_fd_;
  CgroupUsage before_;          // what is left out
  uint64_t memory_before_ = 0;  // of the peak
  Fd peak_;                     // v2: the descriptor through which memory.peak began anew
};

// `total` in the ratio of the two; all of it is user time where both are 0. Pure.
struct CpuSplit {
  int64_t user_us, system_us;
};
CpuSplit split_cpu_time(int64_t total_us, int64_t user_us, int64_t system_us);

// To every process in them and below them.
Result<> signal_cgroups(const std::vector<std::string>& paths, int number);

// Stops all that runs in them, or lets it go on; waits until it has stopped. Error: no freezer among them.
Result<> freeze_cgroups(const std::vector<std::string>& paths, bool frozen);
Result<bool> is_frozen(const std::vector<std::string>& paths);
Result<std::vector<int>> processes_of(const std::vector<std::string>& paths);

// Removes cgroups of the host by their whole paths, what still runs in them and what is below them included; one that is gone
// is no error. Error when one is still in use after 10 s.
Result<> remove_cgroups(const std::vector<std::string>& paths);

// Removes the cgroups of a sandbox whose Bailey died, wherever on this host they were made. What still runs in
// them is killed where this process would have made them (`parent` as for create); elsewhere, where a living
// sandbox of another user could have the same name, they go only when empty. Returns how many directories went
// away; error when one is still in use after 5 s.
Result<int> collect_cgroups(const CgroupMounts& mounts, const std::string& parent, const std::string& id);

}  // namespace bailey::host
