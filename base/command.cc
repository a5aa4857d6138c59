#include "base/command.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/process/child.hpp>
#include <boost/process/error.hpp>
#include <boost/process/exe.hpp>
#include <boost/process/extend.hpp>
#include <cerrno>
#include <csignal>
#include <optional>

#include "base/child.h"
#include "base/clock.h"
#include "base/fd.h"

namespace bailey {

namespace {

namespace process = boost::process;

constexpr int64_t kKillGraceMs = 10'000;  // for a killed program to leave the kernel
constexpr size_t kReadChunk = 64 * 1024;  // a pipe's default capacity

// The child's ends of the three pipes, by the number that they get there.
using Stdio = std::array<Fd, 3>;

// Between fork and exec: only system calls.
void set_up_child(const Stdio& stdio) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody else would end it
  for (int number = 0; number < 3; ++number) ::dup2(stdio[number].get(), number);
  // CLOEXEC and not closed: Boost reports a failed exec through a descriptor of its own, and `program` may be
  // /proc/self/fd/N.
  ::syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
  reset_signals();
}

// Numbers 3 and above, so that no dup2 of set_up_child overwrites an end that it still needs.
Result<Pipe> create_high_pipe() {
  Pipe pipe = TRY(create_pipe());
  for (Fd* end : {&pipe.read, &pipe.write})
    if (end->get() < 3) *end = TRY(end->duplicate());
  return pipe;
}

// A started program. The destructor kills its group and reaps it.
class Program {
 public:
  explicit Program(pid_t pid) : pid_(pid) {}
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    if (reaped_) return;
    kill_group();
    (void)reap();
  }

  Result<> open_pidfd() {
    const long fd = ::syscall(SYS_pidfd_open, pid_, 0);
    if (fd < 0) return sys_error("opening a pidfd", errno);
    pidfd_ = Fd(static_cast<int>(fd));
    return {};
  }
  int pidfd() const { return pidfd_.get(); }

  // Its number is still its own: it has not been reaped.
  void kill_group() const { ::kill(-pid_, SIGKILL); }

  // Waits for its end at most kKillGraceMs; the caller has seen it end or has killed it.
  Result<siginfo_t> reap() {
    const auto deadline = clock::Deadline::in_ms(kKillGraceMs);
    siginfo_t info{};
    pollfd end{pidfd_.get(), POLLIN, 0};
    while (pidfd_ && end.revents == 0 && !deadline.passed()) ::poll(&end, 1, deadline.poll_ms());
    if (pidfd_ && end.revents == 0) return fail(Fault::failed, "does not end, though it was killed");
    reaped_ = true;
    while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) < 0)
      if (errno != EINTR) return sys_error("waiting for its end", errno);
    return info;
  }

 private:
  pid_t pid_;
  Fd pidfd_;
  bool reaped_ = false;
};

// Takes what is there now. False when the stream has ended.
Result<bool> drain(int fd, std::string& kept, size_t cap) {
  char chunk[kReadChunk];
  const ssize_t got = ::read(fd, chunk, sizeof chunk);
  if (got < 0) return errno == EAGAIN || errno == EINTR ? Result<bool>(true) : sys_error("reading its output", errno);
  kept.append(chunk, std::min(static_cast<size_t>(got), cap - kept.size()));
  return got > 0;
}

// Reads both streams until the program has ended or the deadline has passed.
Result<> pump(const Program& program, std::array<Fd, 2>& streams, clock::Deadline deadline, size_t cap,
              CommandOutcome& outcome) {
  const std::array<std::string*, 2> kept = {&outcome.out, &outcome.err};
  for (bool ended = false; !ended;) {
    pollfd fds[3] = {{streams[0].get(), POLLIN, 0}, {streams[1].get(), POLLIN, 0}, {program.pidfd(), POLLIN, 0}};
    if (::poll(fds, 3, deadline.poll_ms()) < 0 && errno != EINTR) return sys_error("waiting for its output", errno);
    ended = fds[2].revents != 0;
    for (size_t i = 0; i < 2; ++i)
      if (fds[i].revents != 0 && !TRY(drain(streams[i].get(), *kept[i], cap))) streams[i].reset();
    if (!ended && deadline.passed()) {
      outcome.timed_out = true;
      return {};
    }
  }
  return {};
}

// What the ended program left in its pipes. Whoever still holds their other ends is not waited for.
Result<> drain_rest(std::array<Fd, 2>& streams, size_t cap, CommandOutcome& outcome) {
  const std::array<std::string*, 2> kept = {&outcome.out, &outcome.err};
  for (size_t i = 0; i < 2; ++i) {
    int available = 0;
    if (!streams[i] || ::ioctl(streams[i].get(), FIONREAD, &available) < 0) continue;
    for (int left = available; left > 0; left -= static_cast<int>(kReadChunk)) TRY(drain(streams[i].get(), *kept[i], cap));
  }
  return {};
}

// Forks and executes; it has succeeded when exec has.
Result<pid_t> start(const Command& command, const Stdio& stdio) {
  // Not by process::args: Boost 1.74 takes the first character of each argument, and an empty one has none.
  std::vector<char*> arguments{const_cast<char*>(command.program.c_str())};
  for (const std::string& argument : command.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  std::vector<char*> environment;
  for (const std::string& entry : command.environment) environment.push_back(const_cast<char*>(entry.c_str()));
  environment.push_back(nullptr);

  pid_t forked = -1;
  std::error_code error;
  try {
    process::child child(
        process::exe = command.program, error,
        process::extend::on_setup =
            [&](auto& executor) {
              executor.cmd_line = arguments.data();
              executor.env = environment.data();
            },
        process::extend::on_exec_setup = [&](auto&) { set_up_child(stdio); },
        process::extend::on_error = [&](auto& executor, const std::error_code&) { forked = executor.pid; });
    child.detach();  // waited for here: Boost's own waits with a time limit lose signals
    if (!error && child.id() > 0) return child.id();
    if (!error) error.assign(errno, std::generic_category());  // Boost does not say that it could make no pipe
  } catch (const std::exception& problem) {
    return fail(Fault::failed, problem.what());
  }
  if (forked > 0) (void)await_child(forked);  // Boost does not
  return sys_error("executing it", error.value());
}

Result<CommandOutcome> run(const Command& command) {
  if (!command.program.starts_with('/')) return fail(Fault::bad_input, "is not an absolute path");
  Pipe in = TRY(create_high_pipe());
  Pipe out = TRY(create_high_pipe());
  Pipe err = TRY(create_high_pipe());
  for (const Fd* end : {&out.read, &err.read})
    if (::fcntl(end->get(), F_SETFL, O_NONBLOCK) < 0) return sys_error("setting O_NONBLOCK", errno);
  in.write.reset();

  const auto deadline = clock::Deadline::in_ms(command.timeout_ms);
  std::optional<Program> program;
  {
    const Stdio theirs = {std::move(in.read), std::move(out.write), std::move(err.write)};
    program.emplace(TRY(start(command, theirs)));
  }
  TRY(program->open_pidfd());

  CommandOutcome outcome;
  std::array<Fd, 2> streams = {std::move(out.read), std::move(err.read)};
  TRY(pump(*program, streams, deadline, command.output_cap, outcome));
  program->kill_group();  // at the deadline all of it; else what an ended program left in its group
  const siginfo_t end = TRY(program->reap());
  TRY(drain_rest(streams, command.output_cap, outcome));
  if (end.si_code == CLD_EXITED) outcome.exit_code = end.si_status;
  else outcome.signal = end.si_status;
  return outcome;
}

}  // namespace

Result<CommandOutcome> run_command(const Command& command) {
  return TRY_WITH(run(command), "running '" + command.program + "'");
}

}  // namespace bailey
