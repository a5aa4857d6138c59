#include "base/pidfd.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <string>

#include "base/files.h"

namespace bailey {

bool await_end(int pidfd, clock::Deadline deadline) {
  if (pidfd < 0) return true;
  for (;;) {
    pollfd end{pidfd, POLLIN, 0};
    const int ready = ::poll(&end, 1, deadline.poll_ms());
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

int pid_of(int pidfd) {
  constexpr size_t kMostBytes = 4096;
  const auto info = files::read("/proc/self/fdinfo/" + std::to_string(pidfd), kMostBytes);
  const size_t at = info ? info->find("\nPid:\t") : std::string::npos;
  int pid = 0;
  if (at != std::string::npos) std::from_chars(info->data() + at + 6, info->data() + info->size(), pid);
  return pid > 0 ? pid : 0;
}

bool kill_and_await_end(int pidfd, clock::Deadline deadline) {
  if (pidfd < 0) return true;
  ::syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
  return await_end(pidfd, deadline);
}

bool end_child(int pidfd, clock::Deadline deadline) {
  if (!kill_and_await_end(pidfd, deadline)) return false;
  siginfo_t info{};
  while (pidfd >= 0 && ::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | __WALL) < 0 && errno == EINTR) {}
  return true;
}

}  // namespace bailey
