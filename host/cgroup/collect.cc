#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "base/files.h"
#include "host/cgroup/cgroup.h"
#include "host/cgroup/file.h"
#include "host/cgroup/parent.h"
#include "host/cgroup/tasks.h"

namespace bailey::host {

namespace {

constexpr int64_t kCollectMs = 5'000;
constexpr int kDeepest = 32;

// Every directory of that name below `at`, which is opened O_PATH. What may not be listed is another user's, and so is
// all below it.
Result<> search(int at, const std::string& path, const std::string& wanted, bool v2, int depth,
                std::vector<Cgroup::Directory>& found) {
  const auto below = child_cgroups(at);
  if (!below && below.error().sys == EACCES) return {};
  if (!below) return std::unexpected(below.error());
  for (const std::string& name : *below) {
    auto fd = files::open_at(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (!fd) continue;  // gone meanwhile
    if (name != wanted) {
      if (depth < kDeepest) TRY(search(fd->get(), path + "/" + name, wanted, v2, depth + 1, found));
      continue;
    }
    Cgroup::Directory directory;
    directory.parent = TRY(files::open_at(at, ".", O_PATH | O_DIRECTORY));
    directory.fd = std::move(*fd);
    directory.path = path + "/" + name;
    directory.name = name;
    directory.v2 = v2;
    directory.controllers = {"pids", "freezer"};  // whichever it is: kill_tasks tries the files of both
    found.push_back(std::move(directory));
  }
  return {};
}

Result<> remove_soon(const Cgroup::Directory& directory, clock::Deadline deadline) {
  for (Backoff backoff;; backoff.wait()) {
    auto gone = remove_directory(directory);
    if (gone || gone.error().sys != EBUSY) return gone;
    if (deadline.passed()) return std::unexpected(std::move(gone).error().with(directory.path));
  }
}

}  // namespace

Result<int> collect_cgroups(const CgroupMounts& mounts, const std::string& parent, const std::string& id) {
  std::vector<std::string> searched;
  std::vector<Cgroup::Directory> ours, elsewhere;
  auto search_mount = [&](const CgroupMounts::Controller& where) -> Result<> {
    if (std::ranges::find(searched, where.directory) != searched.end()) return {};
    searched.push_back(where.directory);
    const auto top = open_cgroup(where.directory, where.v2);
    if (!top) return {};  // covered by another mount
    std::vector<Cgroup::Directory> found;
    TRY(search(top->get(), where.directory, "bailey-" + id, where.v2, 0, found));
    const auto parents = TRY(candidate_parents(where, parent));
    for (auto& directory : found) {
      const std::string above = directory.path.substr(0, directory.path.rfind('/'));
      const bool would_be_here = std::ranges::find(parents, above) != parents.end();
      (would_be_here ? ours : elsewhere).push_back(std::move(directory));
    }
    return {};
  };
  for (const auto& where : mounts.controllers) TRY(search_mount(where));
  if (mounts.unified) TRY(search_mount(*mounts.unified));

  const auto deadline = clock::Deadline::in_ms(kCollectMs);
  TRY(kill_tasks(ours, deadline));
  int removed = 0;
  for (const auto* list : {&ours, &elsewhere})
    for (const auto& directory : *list) {
      auto gone = remove_soon(directory, deadline);
      const bool foreign = !gone && (gone.error().sys == EACCES || gone.error().sys == EPERM);
      if (foreign) continue;  // another user's sandbox of that name
      if (!gone) return std::unexpected(std::move(gone).error());
      ++removed;
    }
  return removed;
}

}  // namespace bailey::host
