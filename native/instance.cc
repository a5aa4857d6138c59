#include "native/instance.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/clock.h"
#include "base/log.h"
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
  talk_.end();
  return end_child(launched_.pidfd.get(), deadline);
}

Result<> NativeInstance::await_ready(dispatcher::Patience& patience) {
  const auto heard = TRY(talk_.await_report(patience, launched_.pidfd.get()));
  if (!heard) return fail(Fault::failed, "the sandbox ended before it was ready", "see the kernel log; was it the OOM killer?");
  if (heard->report.kind != init::ReportKind::ready) return std::unexpected(init::start_error(heard->report, {}));
  ready_ = true;
  return {};
}

Result<std::string> NativeInstance::encode(const dispatcher::Job& job) const {
  const init::JobFilter filter{plan_->seccomp.on_top, plan_->seccomp.on_top_flags};
  if (!plan_->complete) return init::encode_job(job.process(), init::UserChange::by_backend, filter);
  return init::encode_job(job.process(), init::UserChange::by_init, filter,
                          init::privileges_of(plan_->caps, plan_->no_new_privileges));
}

Result<> NativeInstance::prepare(const dispatcher::Job& job, dispatcher::Patience& patience, dispatcher::Steps& steps) {
  const int64_t begin = clock::monotonic_ns();
  std::string encoded = TRY(encode(job));
  init::hold(encoded);
  talk_.send(encoded);
  const auto heard = TRY(init::await_held(talk_, launched_.pidfd.get(), patience));
  steps.push_back({"prepare", clock::monotonic_ns() - begin});
  if (heard.kind == init::ReportKind::failed) return std::unexpected(init::start_error(heard, job.process()));
  holds_ = true;
  return {};
}

// Nothing: PID 1 was killed (OOM, kill_all, timeout); reap() tells how.
Result<std::optional<init::Conversation::Heard>> NativeInstance::await_start(bool as_pid_1, dispatcher::Patience& patience) {
  const auto next = [&] { return talk_.await_report(patience, launched_.pidfd.get()); };
  auto first = TRY(next());
  if (!ready_ && first && first->report.kind == init::ReportKind::ready) {
    ready_ = true;
    first = TRY(next());
  }
  if (!as_pid_1 || !first || first->report.kind != init::ReportKind::started) return first;
  // It says so right before its exec, which closes the socket; what comes instead is why that failed.
  auto failed = TRY(next());
  is_workload_ = !failed;
  return failed ? std::move(failed) : std::move(first);
}

// A job that is sent before init is ready is read as soon as it is.
Result<> NativeInstance::start(const dispatcher::Job& job, dispatcher::Patience& patience, dispatcher::Steps& steps) {
  const int64_t begin = clock::monotonic_ns();
  std::string encoded = TRY(encode(job));
  if (job.as_pid_1()) init::become_pid_1(encoded);
  talk_.send(encoded);
  auto heard = await_start(job.as_pid_1(), patience);
  steps.push_back({"start", clock::monotonic_ns() - begin});
  if (!heard) return std::unexpected(std::move(heard).error().in_step("start"));
  if (!heard->has_value()) return {};
  began_ = true;
  const init::Report& told = (*heard)->report;
  if (told.kind == init::ReportKind::failed) {
    not_started_ = init::start_error(told, job.process());
    return {};
  }
  started_ = told;
  if (const SeccompPlan& filters = plan_->seccomp; filters.verdicts) {  // calls are reported
    if (!(*heard)->descriptor) return fail(Fault::failed, "init gave no listener for the system calls that it was to report");
    log_ = TRY(SyscallLog::open(std::move((*heard)->descriptor), filters.verdicts, filters.log));
  }
  return {};
}

Result<std::unique_ptr<dispatcher::Task>> NativeInstance::exec(const dispatcher::Job& job, dispatcher::Stdio streams) {
  if (plan_->seccomp.verdicts)
    return fail(Fault::refused, "a sandbox whose system calls are reported takes no further job", "leave --seccomp-log out");
  return talk_.exec(job, TRY(encode(job)), std::move(streams));
}

Result<> NativeInstance::signal(int number) {
  if (!is_workload_) return talk_.send_signal(number), Result<>();
  if (::syscall(SYS_pidfd_send_signal, launched_.pidfd.get(), number, nullptr, 0) == 0 || errno == ESRCH) return {};
  return sys_error("sending a signal to the workload", errno);
}

void NativeInstance::add_interest(std::vector<pollfd>& set) const {
  set.push_back({log_ ? log_->fd() : -1, POLLIN, 0});
  talk_.add_interest(set);
}

Result<> NativeInstance::serve(std::span<const pollfd> set) {
  if (set.front().revents != 0) log_->serve();
  TRY(talk_.serve(set.subspan(1)));
  take_reports();
  return {};
}

std::string NativeInstance::handle() const {
  if (!plan_->independent) return {};
  if (holds_) return kHeldHandle;
  return is_workload_ ? kPid1Handle : kInitHandle;
}

bool NativeInstance::leave() {
  if (!talk_.is_idle()) return false;
  reaped_ = true;
  talk_.end();
  return true;
}

// The kernel kills everything in a pid namespace whose PID 1 ends (pid_namespaces(7)).
void NativeInstance::kill_all() { ::syscall(SYS_pidfd_send_signal, launched_.pidfd.get(), SIGKILL, nullptr, 0); }

Result<dispatcher::Ending> NativeInstance::reap() {
  const int status = TRY(wait_for(launched_.pid));
  reaped_ = true;
  if (auto heard = talk_.hear_the_rest(); !heard) log::debug(heard.error().message);
  take_reports();
  talk_.end();
  if (!began_ && WIFEXITED(status)) {
    not_started_.emplace();
    not_started_->message =
        "the sandbox's first process ended with " + std::to_string(WEXITSTATUS(status)) + " before it began the command";
  }
  if (not_started_) return dispatcher::Ending{Kind::not_started, 0, std::move(*not_started_)};
  return ending(status);
}

void NativeInstance::take_reports() {
  while (auto heard = talk_.take_report()) final_report_ = heard->report;
}

// Exited or signaled: init has killed and reaped all others. The end of the file, where it was killed itself, says nothing yet
// of them.
bool NativeInstance::has_announced_end() const { return final_report_ && is_end(*final_report_); }

dispatcher::Account NativeInstance::account() const {
  dispatcher::Account account;
  if (started_ && !is_workload_) account.own_cpu_us = static_cast<int64_t>(started_->own_cpu_us);
  if (final_report_ && is_end(*final_report_)) {
    account.own_cpu_us = static_cast<int64_t>(final_report_->own_cpu_us);
    init::fill_account(account, *final_report_);
  }
  return account;
}

// By init's report where there is one (it alone can tell exit 137 from SIGKILL), otherwise by how PID 1 itself ended.
dispatcher::Ending NativeInstance::ending(int status) {
  if (final_report_ && final_report_->kind == init::ReportKind::exited) return {Kind::exited, final_report_->value, {}};
  if (final_report_ && final_report_->kind == init::ReportKind::signaled) return {Kind::signaled, final_report_->value, {}};
  if (WIFSIGNALED(status)) return {Kind::signaled, WTERMSIG(status), {}};
  return {Kind::exited, WEXITSTATUS(status), {}};
}

}  // namespace bailey::native
