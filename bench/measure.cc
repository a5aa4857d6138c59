#include "bench/measure.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "base/clock.h"
#include "base/command.h"
#include "base/fd.h"
#include "base/files.h"

namespace bailey::bench {

namespace {

constexpr size_t kOutputCap = 1 << 20;
constexpr int kReportFd = 3;
constexpr const char* kStrace = "/usr/bin/strace";

struct Started {
  pid_t pid = -1;
  Fd output;
};

// `report`, when given, becomes descriptor 3.
Result<Started> start(const std::vector<std::string>& command, const Fd* report) {
  Pipe input = TRY(create_pipe());
  Pipe output = TRY(create_pipe());
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input.read.get(), 0);
  ::posix_spawn_file_actions_adddup2(&actions, output.write.get(), 1);
  ::posix_spawn_file_actions_adddup2(&actions, output.write.get(), 2);
  if (report) ::posix_spawn_file_actions_adddup2(&actions, report->get(), kReportFd);
  std::vector<char*> argv;
  for (const std::string& argument : command) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  Started started;
  const int error = ::posix_spawn(&started.pid, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return sys_error("starting " + command[0], error);
  started.output = std::move(output.read);
  return started;
}

Result<> check(const std::string& name, int status, const Fd& output) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  const std::string said = files::read_fd(output.get(), kOutputCap, "the output").value_or("");
  return fail(Fault::failed, name + " ended with status " + std::to_string(status) + ": " + said);
}

}  // namespace

Result<Run> run_once(const std::string& runner, const Runtime& runtime) {
  Pipe report = TRY(create_pipe());
  std::vector<std::string> command{runner, std::to_string(kReportFd)};
  command.insert(command.end(), runtime.command.begin(), runtime.command.end());
  const Started started = TRY(start(command, &report.write));
  report.write.reset();
  int status = 0;
  while (::waitpid(started.pid, &status, 0) < 0)
    if (errno != EINTR) return sys_error("waiting for " + runtime.name, errno);
  TRY(check(runner, status, started.output));
  const std::string line = TRY(files::read_fd(report.read.get(), kOutputCap, "the runner's report"));
  Run run;
  if (!(std::istringstream(line) >> run.wall_ns >> run.peak_kib >> status))
    return fail(Fault::failed, "the runner reported '" + line + "'");
  TRY(check(runtime.name, status, started.output));
  return run;
}

Result<double> run_many(const Runtime& runtime, int total, int in_flight) {
  std::vector<Started> running;
  int begun = 0;
  const int64_t begin = clock::monotonic_ns();
  for (int done = 0; done < total;) {
    while (begun < total && static_cast<int>(running.size()) < in_flight) {
      running.push_back(TRY(start(runtime.command, nullptr)));
      ++begun;
    }
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, 0);
    if (pid < 0 && errno == EINTR) continue;
    if (pid < 0) return sys_error("waiting for " + runtime.name, errno);
    for (size_t i = 0; i < running.size(); ++i) {
      if (running[i].pid != pid) continue;
      TRY(check(runtime.name, status, running[i].output));
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
      ++done;
      break;
    }
  }
  return total * 1e9 / static_cast<double>(clock::monotonic_ns() - begin);
}

std::optional<int64_t> count_system_calls(const Runtime& runtime, const std::string& scratch) {
  if (::access(kStrace, X_OK) != 0) return {};
  const std::string summary = scratch + "/calls";
  Command strace;
  strace.program = kStrace;
  strace.arguments = {"-f", "-qq", "-c", "-U", "calls,name", "-o", summary, "--"};
  strace.arguments.insert(strace.arguments.end(), runtime.command.begin(), runtime.command.end());
  strace.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  const auto outcome = run_command(strace);
  if (!outcome || outcome->exit_code != 0) return {};
  const auto text = files::read(summary, kOutputCap);
  if (!text) return {};
  // The last line is "CALLS total".
  const size_t total = text->rfind("total"), line = text->rfind('\n', total);
  if (total == text->npos || line == text->npos) return {};
  return std::strtoll(text->c_str() + line, nullptr, 10);
}

}  // namespace bailey::bench
