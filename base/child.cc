#include "base/child.h"

#include <sys/wait.h>

#include <cerrno>
#include <csignal>

namespace bailey {

Result<int> await_child(pid_t pid) {
  if (pid < 1) return sys_error("waiting for child " + std::to_string(pid), ECHILD);
  for (;;) {
    int status = 0;
    if (::waitpid(pid, &status, __WALL) == pid) return status;
    if (errno != EINTR) return sys_error("waiting for child " + std::to_string(pid), errno);
  }
}

void reset_signals() {
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) (void)::sigaction(number, &standard, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

std::string describe_status(int status) {
  return WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                             : "exit code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace bailey
