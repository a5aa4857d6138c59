#include "bench/measure.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "base/fd.h"
#include "base/files.h"

namespace bailey::bench {

namespace {

constexpr size_t kOutputCap = 1 << 20;

struct Started {
  pid_t pid = -1;
  Fd output;
};

Result<Started> start(const Runtime& runtime) {
  Pipe input = TRY(create_pipe());
  Pipe output = TRY(create_pipe());
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input.read.get(), 0);
  ::posix_spawn_file_actions_adddup2(&actions, output.write.get(), 1);
  ::posix_spawn_file_actions_adddup2(&actions, output.write.get(), 2);
  std::vector<char*> argv;
  for (const std::string& argument : runtime.command) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  Started started;
  const int error = ::posix_spawn(&started.pid, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return sys_error("starting " + runtime.command[0], error);
  started.output = std::move(output.read);
  return started;
}

Result<> check(const Runtime& runtime, int status, const Fd& output) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  const std::string said = files::read_fd(output.get(), kOutputCap, "the output").value_or("");
  return fail(Fault::failed, runtime.name + " ended with status " + std::to_string(status) + ": " + said);
}

}  // namespace

Result<Run> run_once(const Runtime& runtime) {
  const int64_t begin = clock::monotonic_ns();
  const Started started = TRY(start(runtime));
  int status = 0;
  rusage usage{};
  while (::wait4(started.pid, &status, 0, &usage) < 0)
    if (errno != EINTR) return sys_error("waiting for " + runtime.name, errno);
  const Run run{(clock::monotonic_ns() - begin) / 1000, usage.ru_maxrss};
  TRY(check(runtime, status, started.output));
  return run;
}

Result<double> run_many(const Runtime& runtime, int total, int in_flight) {
  std::vector<Started> running;
  int begun = 0;
  const int64_t begin = clock::monotonic_ns();
  for (int done = 0; done < total;) {
    while (begun < total && static_cast<int>(running.size()) < in_flight) {
      running.push_back(TRY(start(runtime)));
      ++begun;
    }
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, 0);
    if (pid < 0 && errno == EINTR) continue;
    if (pid < 0) return sys_error("waiting for " + runtime.name, errno);
    for (size_t i = 0; i < running.size(); ++i) {
      if (running[i].pid != pid) continue;
      TRY(check(runtime, status, running[i].output));
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
      ++done;
      break;
    }
  }
  return total * 1e9 / static_cast<double>(clock::monotonic_ns() - begin);
}

}  // namespace bailey::bench
