#include <algorithm>
#include <cerrno>

#include "host/cgroup/cgroup.h"
#include "host/cgroup/file.h"
#include "host/cgroup/tasks.h"

namespace bailey::host {

namespace {

constexpr int64_t kFreezeMs = 10'000;

}  // namespace

Result<> Cgroup::freeze() {
  if (empty()) return fail(Fault::failed, "freezing: the sandbox has no cgroup");
  if (!find_v2() && !find("freezer")) {
    const CgroupMounts mounts = TRY(find_cgroups());
    const auto* where = mounts.find("freezer");
    if (!where) return fail(Fault::unavailable, "freezing: this host has no freezer controller", "mount it, or use cgroup v2");
    TRY(add_v1(mounts, *where));
    TRY(move_all_into(directories_.back()));
  }
  const Directory& directory = find_v2() ? *find_v2() : *find("freezer");
  const int fd = directory.fd.get();
  TRY_WITH(directory.v2 ? write_cgroup_file(fd, "cgroup.freeze", "1") : write_cgroup_file(fd, "freezer.state", "FROZEN"),
           "freezing " + directory.path);
  const auto deadline = clock::Deadline::in_ms(kFreezeMs);
  for (Backoff backoff;; backoff.wait()) {
    const bool frozen = directory.v2 ? read_cgroup_number(fd, "cgroup.events", "frozen") == 1u
                                     : TRY(read_cgroup_file(fd, "freezer.state")) == "FROZEN\n";
    if (frozen) return {};
    if (deadline.passed()) {
      (void)thaw();
      return fail(Fault::failed, "freezing " + directory.path + ": not every process could be stopped in time");
    }
  }
}

Result<> Cgroup::thaw() {
  if (const Directory* v2 = find_v2()) return write_cgroup_file(v2->fd.get(), "cgroup.freeze", "0");
  if (const Directory* v1 = find("freezer")) return write_cgroup_file(v1->fd.get(), "freezer.state", "THAWED");
  return {};  // never frozen
}

// A process may fork while it is moved: until everybody listed is in.
Result<> Cgroup::move_all_into(const Directory& target) {
  const auto deadline = clock::Deadline::in_ms(kFreezeMs);
  for (Backoff backoff;; backoff.wait()) {
    const std::vector<int> all = TRY(list_tasks(directories_));
    const std::vector<int> in = TRY(list_tasks({&target, 1}));
    if (std::ranges::includes(in, all)) return {};
    if (deadline.passed())
      return fail(Fault::failed, "moving processes to " + target.path + ": they fork faster than they can be moved");
    for (const int pid : all) {
      if (pid <= 0 || std::ranges::binary_search(in, pid)) continue;
      auto moved = write_cgroup_file(target.fd.get(), "cgroup.procs", std::to_string(pid));
      if (!moved && moved.error().sys != ESRCH) return moved;
    }
  }
}

}  // namespace bailey::host
