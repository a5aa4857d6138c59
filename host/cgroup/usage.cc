#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "base/files.h"
#include "host/cgroup/cgroup.h"
#include "host/cgroup/file.h"

namespace bailey::host {

namespace {

std::optional<int64_t> microseconds(std::optional<uint64_t> value, uint64_t per_microsecond) {
  if (!value) return std::nullopt;
  return static_cast<int64_t>(*value / per_microsecond);
}

void leave_out(std::optional<int64_t>& value, const std::optional<int64_t>& before) {
  if (value) *value = std::max<int64_t>(0, *value - before.value_or(0));
}

void add_cpu_time(const Cgroup::Directory& directory, CgroupUsage& usage) {
  const int fd = directory.fd.get();
  if (directory.v2) {
    const auto stat = read_cgroup_file(fd, "cpu.stat");
    if (!stat) return;
    usage.cpu_us = microseconds(find_number(*stat, "usage_usec"), 1);
    usage.user_us = microseconds(find_number(*stat, "user_usec"), 1);
    usage.system_us = microseconds(find_number(*stat, "system_usec"), 1);
  } else if (directory.has("cpuacct")) {
    usage.cpu_us = microseconds(read_cgroup_number(fd, "cpuacct.usage"), 1000);
    usage.user_us = microseconds(read_cgroup_number(fd, "cpuacct.usage_user"), 1000);
    usage.system_us = microseconds(read_cgroup_number(fd, "cpuacct.usage_sys"), 1000);
  }
}

std::optional<uint64_t> read_own_peak(const Fd& peak) {
  char text[64];
  const ssize_t length = ::pread(peak.get(), text, sizeof text, 0);
  if (length <= 0) return std::nullopt;
  return find_number({text, static_cast<size_t>(length)}, {});
}

}  // namespace

CgroupUsage Cgroup::usage() const {
  CgroupUsage usage;
  for (const Directory& directory : directories_) {
    const int fd = directory.fd.get();
    add_cpu_time(directory, usage);
    if (directory.has("memory")) {
      usage.peak_memory_bytes =
          peak_ ? read_own_peak(peak_) : read_cgroup_number(fd, directory.v2 ? "memory.peak" : "memory.max_usage_in_bytes");
      if (usage.peak_memory_bytes) *usage.peak_memory_bytes -= std::min(memory_before_, *usage.peak_memory_bytes);
      usage.oom_kills = read_cgroup_number(fd, directory.v2 ? "memory.events" : "memory.oom_control", "oom_kill");
      if (!directory.v2) usage.peak_socket_memory_bytes = read_cgroup_number(fd, "memory.kmem.tcp.max_usage_in_bytes");
    }
    if (directory.has("pids")) usage.pids_limit_hits = read_cgroup_number(fd, "pids.events", "max");
  }
  leave_out(usage.cpu_us, before_.cpu_us);
  leave_out(usage.user_us, before_.user_us);
  leave_out(usage.system_us, before_.system_us);
  return usage;
}

void Cgroup::begin_account(LeaveOut what) {
  const Directory* memory = find("memory");
  if (memory && memory->v2) {
    // Linux 6.12: a write through a descriptor begins a peak of that descriptor's own.
    auto peak = files::open_at(memory->fd.get(), "memory.peak", O_RDWR);
    if (peak && ::write(peak->get(), "0", 1) == 1) peak_ = std::move(*peak);
  } else if (memory) {
    (void)write_cgroup_file(memory->fd.get(), "memory.max_usage_in_bytes", "0");
  }
  if (what == LeaveOut::peaks) return;
  leave_out_cpu_time();
  if (memory && memory->v2 && !peak_) memory_before_ = 0;
}

void Cgroup::leave_out_cpu_time() {
  for (const Directory& directory : directories_) add_cpu_time(directory, before_);
}

void Cgroup::leave_out_memory_in_use() {
  const Directory* memory = find("memory");
  if (!memory) return;
  const char* file = memory->v2 ? "memory.current" : "memory.usage_in_bytes";
  memory_before_ = read_cgroup_number(memory->fd.get(), file).value_or(0);
}

CpuSplit split_cpu_time(int64_t total_us, int64_t user_us, int64_t system_us) {
  const int64_t both = user_us + system_us;
  if (both <= 0) return {total_us, 0};
  const auto system = static_cast<int64_t>(
      std::llround(static_cast<double>(total_us) * static_cast<double>(system_us) / static_cast<double>(both)));
  return {total_us - system, system};
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
