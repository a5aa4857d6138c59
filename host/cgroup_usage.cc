#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include "base/files.h"
#include "host/cgroup.h"
#include "host/cgroup_file.h"

namespace bailey::host {

namespace {

std::optional<int64_t> microseconds(std::optional<uint64_t> value, uint64_t per_microsecond) {
  if (!value) return std::nullopt;
  return static_cast<int64_t>(*value / per_microsecond);
}

}  // namespace

CgroupUsage Cgroup::usage() const {
  CgroupUsage usage;
  for (const Directory& directory : directories_) {
    const int fd = directory.fd.get();
    if (directory.v2) {
      usage.user_us = microseconds(read_cgroup_number(fd, "cpu.stat", "user_usec"), 1);
      usage.system_us = microseconds(read_cgroup_number(fd, "cpu.stat", "system_usec"), 1);
    } else if (directory.has("cpuacct")) {
      usage.user_us = microseconds(read_cgroup_number(fd, "cpuacct.usage_user"), 1000);
      usage.system_us = microseconds(read_cgroup_number(fd, "cpuacct.usage_sys"), 1000);
    }
    if (directory.has("memory")) {
      usage.peak_memory_bytes = read_cgroup_number(fd, directory.v2 ? "memory.peak" : "memory.max_usage_in_bytes");
      usage.oom_kills = read_cgroup_number(fd, directory.v2 ? "memory.events" : "memory.oom_control", "oom_kill");
    }
    if (directory.has("pids")) usage.pids_limit_hits = read_cgroup_number(fd, "pids.events", "max");
  }
  return usage;
}

int Cgroup::oom_fd() const {
  const Directory* memory = find("memory");
  if (oom_fd_ || !memory) return oom_fd_.get();
  if (memory->v2) {
    Fd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (fd && ::inotify_add_watch(fd.get(), (memory->path + "/memory.events").c_str(), IN_MODIFY) >= 0) oom_fd_ = std::move(fd);
    return oom_fd_.get();
  }
  Fd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const auto control = files::open_at(memory->fd.get(), "memory.oom_control", O_RDONLY);
  if (!fd || !control) return -1;
  const std::string request = std::to_string(fd.get()) + " " + std::to_string(control->get());
  if (write_cgroup_file(memory->fd.get(), "cgroup.event_control", request)) oom_fd_ = std::move(fd);
  return oom_fd_.get();
}

}  // namespace bailey::host
