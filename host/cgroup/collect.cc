#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <unistd.h>

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

Result<std::vector<Cgroup::Directory>> open_all(const std::vector<std::string>& paths) {
  std::vector<Cgroup::Directory> found;
  for (const std::string& path : paths) {
    const size_t slash = path.rfind('/');
    if (slash == path.npos || slash == 0 || slash + 1 == path.size()) continue;
    Cgroup::Directory directory;
    directory.path = path;
    directory.name = path.substr(slash + 1);
    auto parent = files::open(path.substr(0, slash), O_PATH | O_DIRECTORY);
    auto own = parent ? files::open_at(parent->get(), directory.name, O_PATH | O_DIRECTORY | O_NOFOLLOW) : std::move(parent);
    if (!own && own.error().sys == ENOENT) continue;
    directory.fd = TRY(std::move(own));
    const uint64_t type = TRY(files::file_system_type(directory.fd.get()));
    if (type != CGROUP_SUPER_MAGIC && type != CGROUP2_SUPER_MAGIC) continue;  // an ordinary directory of that name
    directory.v2 = type == CGROUP2_SUPER_MAGIC;
    directory.parent = std::move(*parent);
    found.push_back(std::move(directory));
  }
  return found;
}

}  // namespace

Result<> signal_cgroups(const std::vector<std::string>& paths, int number) {
  const auto found = TRY(open_all(paths));
  for (const int pid : TRY(list_tasks(found)))
    if (pid > 0 && ::kill(pid, number) < 0 && errno != ESRCH)
      return sys_error("sending a signal to " + std::to_string(pid), errno);
  return {};
}

namespace {

struct Freezer {
  const Cgroup::Directory* directory = nullptr;
  const char* file;
};
// v1: the hierarchy with the controller; v2: every cgroup but the root.
Result<Freezer> find_freezer(const std::vector<Cgroup::Directory>& directories) {
  for (const auto& directory : directories)
    for (const char* file : {"freezer.state", "cgroup.freeze"})
      if (::faccessat(directory.fd.get(), file, W_OK, 0) == 0) return Freezer{&directory, file};
  return fail(Fault::unavailable, "this host has no freezer for the container's cgroup");
}

}  // namespace

Result<bool> is_frozen(const std::vector<std::string>& paths) {
  const auto found = TRY(open_all(paths));
  const auto freezer = find_freezer(found);
  if (!freezer) return false;
  const std::string state = TRY(read_cgroup_file(freezer->directory->fd.get(), freezer->file));
  return state.starts_with("FR") || state.starts_with("1");
}

Result<> freeze_cgroups(const std::vector<std::string>& paths, bool frozen) {
  const auto found = TRY(open_all(paths));
  const Freezer freezer = TRY(find_freezer(found));
  const bool v2 = freezer.directory->v2;
  const auto deadline = clock::Deadline::in_ms(kCollectMs);
  Backoff backoff;
  for (;;) {
    TRY(write_cgroup_file(freezer.directory->fd.get(), freezer.file,
                          v2 ? (frozen ? "1" : "0") : (frozen ? "FROZEN" : "THAWED")));
    const std::string state = TRY(read_cgroup_file(freezer.directory->fd.get(), v2 ? "cgroup.events" : freezer.file));
    if (v2 ? find_number(state, "frozen") == (frozen ? 1u : 0u) : state.starts_with(frozen ? "FROZEN" : "THAWED")) return {};
    if (deadline.passed()) return fail(Fault::failed, "the container's processes do not stop");
    backoff.wait();
  }
}

Result<std::vector<int>> processes_of(const std::vector<std::string>& paths) {
  const auto found = TRY(open_all(paths));
  return list_tasks(found);
}

Result<> remove_cgroups(const std::vector<std::string>& paths) {
  const auto found = TRY(open_all(paths));
  const auto deadline = clock::Deadline::in_ms(2 * kCollectMs);
  TRY(kill_tasks(found, deadline));
  for (const auto& directory : found) TRY(remove_soon(directory, deadline));
  return {};
}

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
