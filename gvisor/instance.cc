#include "gvisor/instance.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "gvisor/arguments.h"
#include "init/channel.h"
#include "init/encode.h"

namespace bailey::gvisor {

namespace {

using dispatcher::Ending;

constexpr int64_t kKillRetryMs = 5'000;
constexpr size_t kLeastPipe = 64 * 1024;  // the kernel's default
constexpr int kKillRetryStepMs = 20;
constexpr int kSandboxKilled = 128 + SIGKILL;  // runsc's code when its sandbox was killed (docs/gvisor.md)

}  // namespace

SandboxInstance::SandboxInstance(Plan plan, bundle::Process process, Launched launched)
    : plan_(std::move(plan)), process_(std::move(process)), launched_(std::move(launched)) {}

bool SandboxInstance::end(clock::Deadline deadline) {
  if (reaped_ || !launched_.pidfd) return true;
  killed_ = reaped_ = true;
  return end_child(launched_.pidfd.get(), deadline);
}

// runsc is executed; that it has made a sandbox shows when init takes the job. A held child with a terminal cannot wait until
// start(): runsc makes the terminal.
Result<Fd> SandboxInstance::await_created(dispatcher::Patience& patience, dispatcher::Steps& steps) {
  if (launched_.go && !plan_.terminal) return Fd();
  const int64_t begin = clock::monotonic_ns();
  TRY(release(launched_, patience));
  Fd terminal;
  if (plan_.terminal) terminal = TRY(receive_console(launched_, patience));
  steps.push_back({"launch", clock::monotonic_ns() - begin});
  return terminal;
}

Result<> SandboxInstance::start(dispatcher::Patience& patience, dispatcher::Steps& steps) {
  const int64_t begin = clock::monotonic_ns();
  if (plan_.channel_directory) {
    TRY(release(launched_, patience));
  } else {
    TRY(send_job(patience));
  }
  steps.push_back({"start", clock::monotonic_ns() - begin});
  return {};
}

// Returns at once for a job that the pipe holds. A larger one is taken as soon as init runs; a sandbox that has ended meanwhile
// is no error: exit_fd says so, and reap() knows why.
Result<> SandboxInstance::send_job(dispatcher::Patience& patience) {
  const int pipe = launched_.job.get();
  (void)::fcntl(pipe, F_SETPIPE_SZ,
                static_cast<int>(std::max<size_t>(plan_.job.size(), kLeastPipe)));  // may be above the user's cap
  if (::fcntl(pipe, F_SETFL, O_NONBLOCK) < 0) return sys_error("preparing init's pipe", errno);
  std::string_view rest = plan_.job;
  while (!rest.empty()) {
    const ssize_t sent = ::write(pipe, rest.data(), rest.size());
    if (sent >= 0) rest.remove_prefix(static_cast<size_t>(sent));
    else if (errno == EPIPE) return {};
    else if (errno != EAGAIN && errno != EINTR) return sys_error("sending the job to init", errno);
    if (rest.empty()) break;
    pollfd fds[2] = {{pipe, POLLOUT, 0}, {launched_.pidfd.get(), POLLIN, 0}};
    TRY(patience.until_ready(fds));
    if (fds[1].revents) return {};
  }
  return {};
}

Result<> SandboxInstance::signal(int number) {
  if (!plan_.channel_directory) return init::send_signal(launched_.job.get(), number);
  const clock::Deadline deadline = clock::Deadline::in_ms(kKillRetryMs);
  for (;;) {
    if (TRY(run_inside(launched_.pidfd.get(), kill_arguments(plan_.runsc_id, number))) == 0) return {};
    if (await_end(launched_.pidfd.get(), clock::Deadline::in_ms(kKillRetryStepMs))) return {};
    if (deadline.passed()) return fail(Fault::failed, "runsc does not deliver signal " + std::to_string(number));
  }
}

void SandboxInstance::kill_all() {
  killed_ = true;
  if (!reaped_ && launched_.pidfd) send_signal(launched_.pidfd.get(), SIGKILL);
}

Result<std::optional<init::Report>> SandboxInstance::last_report() {
  std::optional<init::Report> last;
  if (plan_.channel_directory) {
    const std::string bytes = TRY(read_channel_report(launched_.root));
    for (size_t at = 0; at + sizeof(init::Report) <= bytes.size(); at += sizeof(init::Report))
      last = TRY(init::parse_report(std::string_view(bytes).substr(at, sizeof(init::Report))));
    return last;
  }
  for (;;) {
    const std::optional<init::Report> next = TRY(init::receive_report(launched_.report.get()));
    if (!next) return last;
    last = next;
  }
}

Result<Ending> SandboxInstance::reap() {
  const ExitStatus status = TRY(wait_for(launched_.pidfd.get()));
  reaped_ = true;
  const auto report = last_report();  // every writer is gone: this does not block
  bool started = false;
  if (report && *report) {
    switch ((*report)->kind) {
      case init::ReportKind::exited: return Ending{Ending::Kind::exited, (*report)->value, {}};
      case init::ReportKind::signaled: return Ending{Ending::Kind::signaled, (*report)->value, {}};
      case init::ReportKind::failed: return Ending{Ending::Kind::not_started, 0, init::start_error(**report, process_)};
      case init::ReportKind::started: started = true; break;
    }
  }
  return judge_runsc_end({status, killed_, started, read_last_words(launched_.root)});
}

Ending judge_runsc_end(const RunscEnd& end) {
  const ExitStatus& status = end.status;
  const bool sandbox_killed = status.by_signal ? status.value == SIGKILL : status.value == kSandboxKilled;
  if (end.killed_by_us || sandbox_killed) return {Ending::Kind::signaled, SIGKILL, {}};
  std::string message = end.workload_started ? "gVisor broke down while the command ran" : "gVisor did not start";
  message += ": runsc " + (status.by_signal ? "died of signal " : std::string("ended with ")) + std::to_string(status.value);
  message += end.words.empty() ? " and left no word in its log" : ": " + end.words;
  return {Ending::Kind::not_started, 0,
          Error{std::move(message), "run 'bailey doctor'; a limit that is too small for gVisor itself is one cause",
                Fault::failed, 0, "runsc"}};
}

}  // namespace bailey::gvisor
