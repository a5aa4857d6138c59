#include "native/joined_namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "base/fd.h"
#include "base/files.h"
#include "base/log.h"

namespace bailey::native {

namespace {

// The files of the namespaces that new children of this process get (namespaces(7)).
const char* own_file(uint64_t flag) {
  switch (flag) {
    case CLONE_NEWPID: return "/proc/self/ns/pid_for_children";
    case CLONE_NEWTIME: return "/proc/self/ns/time";
    case CLONE_NEWNET: return "/proc/self/ns/net";
    case CLONE_NEWIPC: return "/proc/self/ns/ipc";
    case CLONE_NEWUTS: return "/proc/self/ns/uts";
    case CLONE_NEWCGROUP: return "/proc/self/ns/cgroup";
    default: return "";
  }
}

// Goes back at its end, the last one entered first.
class Visit {
 public:
  Visit() = default;
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  ~Visit() {
    for (auto way = ways_back_.rbegin(); way != ways_back_.rend(); ++way) {
      if (::setns(way->fd.get(), static_cast<int>(way->flag)) == 0) continue;
      log::error("coming back from a sandbox's namespaces: setns failed");
      std::abort();
    }
  }
  Result<> enter(uint64_t flag, int fd) {
    TRY(remember(flag));
    if (::setns(fd, static_cast<int>(flag)) == 0) return {};
    ways_back_.pop_back();
    return sys_error(std::string("joining a namespace (") + (own_file(flag) + sizeof "/proc/self/ns/" - 1) + ")", errno);
  }
  Result<> make_time(const std::string& offsets) {
    TRY(remember(CLONE_NEWTIME));
    if (::unshare(CLONE_NEWTIME) < 0) {
      ways_back_.pop_back();
      return sys_error("creating a time namespace", errno);
    }
    return offsets.empty() ? Result<>() : files::write_existing(AT_FDCWD, "/proc/self/timens_offsets", offsets);
  }

 private:
  struct WayBack {
    uint64_t flag;
    Fd fd;
  };
  Result<> remember(uint64_t flag) {
    ways_back_.push_back({flag, TRY(files::open(own_file(flag), O_RDONLY))});
    return {};
  }
  std::vector<WayBack> ways_back_;
};

}  // namespace

bool is_entered_by_child(uint64_t flag) { return flag == CLONE_NEWUSER || flag == CLONE_NEWNS; }

Result<> in_namespaces(const Plan& plan, std::span<const int> joins, const std::function<Result<>()>& clone) {
  Visit visit;
  for (size_t i = 0; i < plan.joins.size(); ++i)
    if (!is_entered_by_child(plan.joins[i].flag)) TRY(visit.enter(plan.joins[i].flag, joins[i]));
  if (plan.clone_flags & CLONE_NEWTIME) TRY(visit.make_time(plan.time_offsets));
  return clone();
}

}  // namespace bailey::native
