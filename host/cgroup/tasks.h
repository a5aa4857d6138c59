// The processes of a cgroup directory, those of its children included, and its end.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "host/cgroup/cgroup.h"

namespace bailey::host {

// Names of the cgroups directly below one.
Result<std::vector<std::string>> child_cgroups(int directory);

// Process ids as this pid namespace knows them; 0 stands for one that it does not know. Sorted, each once.
Result<std::vector<int>> list_tasks(std::span<const Cgroup::Directory> directories);

// SIGKILL until nobody is left. Refuses to kill this process.
Result<> kill_tasks(std::span<const Cgroup::Directory> directories, clock::Deadline deadline);

// rmdir, children first. The error's `sys` is EBUSY while processes are left; a directory that is gone is a
// success.
Result<> remove_directory(const Cgroup::Directory& directory);

// A pause between two looks, longer each time: 0.1 ms to 5 ms.
class Backoff {
 public:
  void wait();

 private:
  long pause_us_ = 100;
};

}  // namespace bailey::host
