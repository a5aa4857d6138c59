#include "host/cgroup/tasks.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string>

#include "base/files.h"
#include "host/cgroup/file.h"

namespace bailey::host {

namespace {

constexpr size_t kPidfdsAtOnce = 64;
constexpr long kLongestPauseUs = 5000;

// A directory that vanishes meanwhile holds nobody.
Result<> add_tasks(int directory, std::vector<int>& pids) {
  auto text = read_cgroup_file(directory, "cgroup.procs");
  if (!text) {
    if (text.error().sys == ENOENT || text.error().sys == ENODEV) return {};
    return std::unexpected(std::move(text).error());
  }
  const char* at = text->data();
  const char* const end = at + text->size();
  while (at < end) {
    int pid = 0;
    const auto [next, error] = std::from_chars(at, end, pid);
    if (error != std::errc{}) break;
    pids.push_back(pid);
    at = next + 1;
  }
  auto below = child_cgroups(directory);
  if (!below) return {};
  for (const std::string& name : *below)
    if (auto fd = files::open_at(directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW)) TRY(add_tasks(fd->get(), pids));
  return {};
}

void write_if_there(const Cgroup::Directory& directory, const char* file, std::string_view value) {
  (void)write_cgroup_file(directory.fd.get(), file, value);
}

// The number of a process that has ended may already be another's. A pidfd opened before a second look at the
// cgroup is safe: when the second look still lists the number, the pidfd is of that process, or of one that
// has ended.
Result<> kill_once(std::span<const Cgroup::Directory> directories, const std::vector<int>& pids) {
  for (size_t begin = 0; begin < pids.size(); begin += kPidfdsAtOnce) {
    std::vector<std::pair<int, Fd>> opened;
    for (size_t i = begin; i < std::min(pids.size(), begin + kPidfdsAtOnce); ++i)
      if (pids[i] > 0) opened.emplace_back(pids[i], Fd(static_cast<int>(::syscall(SYS_pidfd_open, pids[i], 0))));
    const std::vector<int> still = TRY(list_tasks(directories));
    for (const auto& [pid, pidfd] : opened)
      if (pidfd && std::ranges::binary_search(still, pid))
        (void)::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
  }
  return {};
}

// By name: the id in it is drawn anew for each sandbox.
bool holds_this_process(std::span<const Cgroup::Directory> directories) {
  const auto own = files::read("/proc/self/cgroup", 1 << 20);
  if (!own) return false;
  const std::string text = *own + "\n";
  return std::ranges::any_of(directories, [&](const Cgroup::Directory& directory) {
    return text.contains("/" + directory.name + "\n") || text.contains("/" + directory.name + "/");
  });
}

// Also keeps new processes from being born, and thaws. Returns whether the kernel has killed all of them.
bool end_all_at_once(std::span<const Cgroup::Directory> directories) {
  bool killed = true;
  for (const auto& directory : directories) {
    if (!directory.v2 || !write_cgroup_file(directory.fd.get(), "cgroup.kill", "1")) killed = false;  // Linux 5.14
    if (directory.v2) write_if_there(directory, "cgroup.freeze", "0");
    if (directory.has("pids")) write_if_there(directory, "pids.max", "0");
    if (directory.has("freezer")) write_if_there(directory, "freezer.state", "THAWED");
  }
  return killed;
}

// v2, those below it included. One that is gone is not.
bool is_populated(const Cgroup::Directory& directory) {
  return read_cgroup_number(directory.fd.get(), "cgroup.events", "populated").value_or(0) != 0;
}

Result<> remove_tree(int parent, const std::string& name) {
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  const int err = errno;
  if (err != EBUSY && err != ENOTEMPTY) return sys_error("rmdir " + name, err);
  const Fd fd = TRY(files::open_at(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  const auto below = TRY(child_cgroups(fd.get()));
  if (below.empty()) return sys_error("rmdir " + name, EBUSY);
  for (const std::string& child : below) TRY(remove_tree(fd.get(), child));
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  return sys_error("rmdir " + name, errno);
}

}  // namespace

Result<std::vector<std::string>> child_cgroups(int directory) {
  std::vector<std::string> found;
  for (std::string& name : TRY(files::list(directory))) {
    struct stat st{};
    if (::fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
      found.push_back(std::move(name));
  }
  return found;
}

void Backoff::wait() {
  const timespec pause{0, pause_us_ * 1000};
  ::nanosleep(&pause, nullptr);
  pause_us_ = std::min(pause_us_ * 2, kLongestPauseUs);
}

Result<std::vector<int>> list_tasks(std::span<const Cgroup::Directory> directories) {
  std::vector<int> pids;
  for (const auto& directory : directories) TRY_WITH(add_tasks(directory.fd.get(), pids), "listing " + directory.path);
  std::ranges::sort(pids);
  const auto rest = std::ranges::unique(pids);
  pids.erase(rest.begin(), rest.end());
  return pids;
}

Result<> kill_tasks(std::span<const Cgroup::Directory> directories, clock::Deadline deadline) {
  if (directories.empty()) return {};
  auto failed = [&](const std::string& why) {
    return fail(Fault::failed, "killing cgroup " + directories.front().path + ": " + why);
  };
  if (holds_this_process(directories)) return failed("this process is in it");
  Backoff backoff;
  for (bool first = true;; first = false) {
    const bool late = !first && deadline.passed();
    // The kernel's own way first: it needs no list, which may be long, or not be readable.
    if (end_all_at_once(directories)) {
      if (std::ranges::none_of(directories, is_populated)) return {};
      if (late) return failed("processes are left");
    } else {
      const std::vector<int> pids = TRY(list_tasks(directories));
      if (pids.empty()) return {};
      if (std::ranges::binary_search(pids, ::getpid())) return failed("this process is in it");
      if (late)
        return failed(std::to_string(pids.size()) + " processes are left" +
                      (pids.front() == 0 ? ", some of another pid namespace" : ""));
      TRY(kill_once(directories, pids));
    }
    backoff.wait();
  }
}

Result<> remove_directory(const Cgroup::Directory& directory) { return remove_tree(directory.parent.get(), directory.name); }

}  // namespace bailey::host
