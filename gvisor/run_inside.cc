#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/pidfd.h"
#include "gvisor/launch.h"

namespace bailey::gvisor {

namespace {

constexpr int64_t kLimitMs = 5'000;

[[noreturn]] void enter_and_run(int pidfd, int stdio, const char* const* arguments) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  static const char* const kNoEnvironment[] = {nullptr};
  // All of both namespaces in one call (Linux 5.8); the pid namespace counts for children only.
  if (::setns(pidfd, CLONE_NEWNS | CLONE_NEWPID) < 0) ::_exit(125);
  const pid_t child = ::fork();
  if (child < 0) ::_exit(125);
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < 3; ++i)
      if (::dup2(stdio, i) < 0) ::_exit(125);
    if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0) ::_exit(125);
    ::execve("/runsc/runsc", const_cast<char* const*>(arguments), const_cast<char* const*>(kNoEnvironment));
    ::_exit(125);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) ::_exit(125);
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 125);
}

}  // namespace

Result<int> run_inside(int pidfd, const std::vector<std::string>& arguments) {
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  argv.push_back(nullptr);
  Pipe stdio = TRY(create_pipe());
  stdio.read.reset();  // what it prints to stays unread: SIGPIPE for it, an error code for us
  const pid_t child = ::fork();
  if (child < 0) return sys_error("fork", errno);
  if (child == 0) enter_and_run(pidfd, stdio.write.get(), argv.data());
  const Fd end(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  // The sandbox may be frozen and not react; then runsc kill is killed.
  if (!await_end(end.get(), clock::Deadline::in_ms(kLimitMs)) && !kill_and_await_end(end.get()))
    return fail(Fault::failed, "runsc kill does not end");
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return sys_error("waiting for runsc kill", errno);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace bailey::gvisor
