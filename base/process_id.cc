#include "base/process_id.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "base/clock.h"
#include "base/files.h"
#include "base/pidfd.h"

namespace bailey {

namespace {

Result<std::string> read_boot_id() {
  std::string id = TRY(files::read("/proc/sys/kernel/random/boot_id", 64));
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

Result<uint64_t> read_start_time(int pid) {
  const std::string name = "/proc/" + std::to_string(pid) + "/stat";
  const std::string stat = TRY(files::read(name, 4096));
  // Field 2 is the name in parentheses and may hold blanks and parentheses of its own.
  size_t at = stat.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = stat.find(' ', at + 1);
  uint64_t ticks = 0;
  if (at == std::string::npos || std::from_chars(stat.data() + at + 1, stat.data() + stat.size(), ticks).ec != std::errc())
    return fail(Fault::failed, name + " has no start time");
  return ticks;
}

}  // namespace

Result<ProcessId> ProcessId::of(int pid) {
  ProcessId id;
  id.pid = pid;
  id.start_time = TRY(read_start_time(pid));
  id.boot_id = TRY(read_boot_id());
  return id;
}

Result<Fd> ProcessId::open() const {
  const std::string boot = TRY(read_boot_id());
  if (pid <= 0 || boot_id != boot) return Fd();
  // Looked at after the pidfd was taken: from then on the number cannot become another's unnoticed.
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return errno == ESRCH || errno == EINVAL ? Result<Fd>(Fd()) : sys_error("pidfd_open", errno);
  const auto start = read_start_time(pid);
  if (!start && start.error().sys != ENOENT && start.error().sys != ESRCH) return std::unexpected(start.error());
  if (!start || *start != start_time || await_end(pidfd.get(), clock::Deadline::in_ms(0))) return Fd();
  return pidfd;
}

}  // namespace bailey
