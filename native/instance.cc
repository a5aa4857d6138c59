#include "native/instance.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/clock.h"
#include "init/channel.h"
#include "init/encode.h"

namespace bailey::native {

namespace {

using Kind = dispatcher::Ending::Kind;

Result<int> wait_for(int pid) {
  int status = 0;
  for (;;) {
    if (::waitpid(pid, &status, __WALL) == pid) return status;
    if (errno != EINTR) return sys_error("waiting for the sandbox's first process", errno);
  }
}

bool is_end(const init::Report& report) {
  return report.kind == init::ReportKind::exited || report.kind == init::ReportKind::signaled;
}

}  // namespace

bool NativeInstance::end(clock::Deadline deadline) {
  if (reaped_ || launched_.pid < 0) return true;
  reaped_ = true;
  return end_child(launched_.pidfd.get(), deadline);
}

Result<std::optional<init::ReportWithDescriptor>> NativeInstance::await_report(dispatcher::Patience& patience) {
  pollfd report_comes{launched_.socket.get(), POLLIN, 0};
  TRY(patience.until_ready({&report_comes, 1}));
  return init::receive_report_and_descriptor(launched_.socket.get());
}

Result<> NativeInstance::await_ready(dispatcher::Patience& patience) {
  const auto report = TRY(await_report(patience));
  if (!report)
    return fail(Fault::failed, "the sandbox ended before it was ready", "see the kernel log; was it the OOM killer?");
  if (report->report.kind != init::ReportKind::ready) return std::unexpected(init::start_error(report->report, {}));
  ready_ = true;
  return {};
}

Result<> NativeInstance::start(const dispatcher::Job& job, dispatcher::Patience& patience, dispatcher::Steps& steps) {
  const int64_t begin = clock::monotonic_ns();
  const SeccompPlan& filters = plan_->seccomp;
  std::string encoded =
      TRY(init::encode_job(job.process(), init::UserChange::by_backend, {filters.on_top, filters.on_top_flags}));
  if (job.as_pid_1()) init::become_pid_1(encoded);
  auto report = [&]() -> Result<std::optional<init::ReportWithDescriptor>> {
    TRY(init::send_job(launched_.socket.get(), encoded));
    auto first = TRY(await_report(patience));
    if (!ready_ && first && first->report.kind == init::ReportKind::ready) {
      ready_ = true;
      first = TRY(await_report(patience));
    }
    if (!job.as_pid_1() || !first || first->report.kind != init::ReportKind::started) return first;
    // It says so right before its exec, which closes the socket; what comes instead is why that failed.
    auto failed = TRY(await_report(patience));
    is_workload_ = heard_ = !failed;
    return failed ? std::move(failed) : std::move(first);
  }();
  steps.push_back({"start", clock::monotonic_ns() - begin});
  if (!report) return std::unexpected(std::move(report).error().in_step("start"));
  // No report: PID 1 was killed (OOM, kill_all, timeout); reap() tells how.
  if (!report->has_value()) return {};
  began_ = true;
  const init::Report& told = (*report)->report;
  if (told.kind == init::ReportKind::failed) {
    not_started_ = init::start_error(told, job.process());
    return {};
  }
  started_ = told;
  if (filters.verdicts) {  // calls are reported
    if (!(*report)->descriptor) return fail(Fault::failed, "init gave no listener for the system calls that it was to report");
    log_ = TRY(SyscallLog::open(std::move((*report)->descriptor), filters.verdicts, filters.log));
  }
  return {};
}

Result<> NativeInstance::signal(int number) {
  if (!is_workload_) return init::send_signal(launched_.socket.get(), number);
  if (::syscall(SYS_pidfd_send_signal, launched_.pidfd.get(), number, nullptr, 0) == 0 || errno == ESRCH) return {};
  return sys_error("sending a signal to the workload", errno);
}

// The kernel kills everything in a pid namespace whose PID 1 ends (pid_namespaces(7)).
void NativeInstance::kill_all() { ::syscall(SYS_pidfd_send_signal, launched_.pidfd.get(), SIGKILL, nullptr, 0); }

Result<dispatcher::Ending> NativeInstance::reap() {
  const int status = TRY(wait_for(launched_.pid));
  reaped_ = true;
  if (!began_ && WIFEXITED(status)) {
    not_started_.emplace();
    not_started_->message =
        "the sandbox's first process ended with " + std::to_string(WEXITSTATUS(status)) + " before it began the command";
  }
  if (not_started_) return dispatcher::Ending{Kind::not_started, 0, std::move(*not_started_)};
  return ending(status);
}

// Exited or signaled: init has killed and reaped all others. The end of the file, where it was killed itself, says nothing yet
// of them.
bool NativeInstance::take_final_report() {
  heard_ = true;
  if (auto report = init::receive_report(launched_.socket.get()); report && report->has_value()) final_report_ = **report;
  return final_report_ && is_end(*final_report_);
}

dispatcher::Account NativeInstance::account() const {
  dispatcher::Account account;
  if (started_ && !is_workload_) account.own_cpu_us = static_cast<int64_t>(started_->own_cpu_us);
  if (final_report_ && is_end(*final_report_)) {
    account.own_cpu_us = static_cast<int64_t>(final_report_->own_cpu_us);
    init::fill_account(account, *final_report_);
  }
  return account;
}

// Init's own word where it could give one (it alone can tell exit 137 from SIGKILL), else how PID 1 itself ended.
dispatcher::Ending NativeInstance::ending(int status) {
  if (!heard_) take_final_report();
  if (final_report_ && final_report_->kind == init::ReportKind::exited) return {Kind::exited, final_report_->value, {}};
  if (final_report_ && final_report_->kind == init::ReportKind::signaled) return {Kind::signaled, final_report_->value, {}};
  if (WIFSIGNALED(status)) return {Kind::signaled, WTERMSIG(status), {}};
  return {Kind::exited, WEXITSTATUS(status), {}};
}

}  // namespace bailey::native
