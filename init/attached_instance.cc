#include "init/attached_instance.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "init/encode.h"

namespace bailey::init {

using Kind = dispatcher::Ending::Kind;

AttachedInstance::AttachedInstance(Fd pidfd, NamedChannel channel, Phase phase)
    : pidfd_(std::move(pidfd)), channel_(std::move(channel)), phase_(phase) {
  if (channel_.to_init) talk_.open(channel_.to_init.get(), channel_.from_init.get());
}

Result<> AttachedInstance::start(const dispatcher::Job&, dispatcher::Patience&, dispatcher::Steps&) {
  return fail(Fault::unavailable, "a sandbox is started by the process that made it");
}

// Its report comes right before its exec, which closes its ends of the channel; what comes behind it is why that failed.
Result<> AttachedInstance::begin(dispatcher::Patience& patience) {
  if (phase_ == Phase::running) return fail(Fault::refused, "its command has begun already");
  if (!channel_.to_init) return fail(Fault::failed, "the sandbox has ended");
  talk_.send(encode_begin());
  std::optional<Report> last;
  while (const auto heard = TRY(talk_.await_report(patience, pidfd_.get()))) {
    last = heard->report;
    if (phase_ == Phase::held_in_sentry) break;
  }
  if (!last) return fail(Fault::failed, "the sandbox ended before its command began");
  if (last->kind == ReportKind::failed) return std::unexpected(start_error(*last, {}));
  phase_ = Phase::running;
  talk_.end();
  channel_ = NamedChannel();
  return {};
}

Result<> AttachedInstance::signal(int number) {
  if (channel_.to_init && phase_ == Phase::running) return talk_.send_signal(number), Result<>();
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) == 0 || errno == ESRCH) return {};
  return sys_error("sending a signal to the workload", errno);
}

void AttachedInstance::kill_all() { ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0); }

Result<> AttachedInstance::serve(std::span<const pollfd> set) {
  TRY(talk_.serve(set));
  take_reports();
  return {};
}

void AttachedInstance::take_reports() {
  while (const auto heard = talk_.take_report())
    if (heard->report.kind == ReportKind::exited || heard->report.kind == ReportKind::signaled) final_report_ = heard->report;
}

bool AttachedInstance::has_announced_end() const { return final_report_.has_value(); }

dispatcher::Account AttachedInstance::account() const {
  dispatcher::Account account;
  if (final_report_) fill_account(account, *final_report_);
  return account;
}

Result<dispatcher::Ending> AttachedInstance::reap() {
  if (!await_end(pidfd_.get(), clock::Deadline::in_ms(kEndMs)) && !kill_and_await_end(pidfd_.get()))
    return fail(Fault::failed, "the sandbox's first process does not end", "'bailey gc' removes the rest when it has");
  TRY(talk_.hear_the_rest());
  take_reports();
  if (!final_report_)
    return fail(Fault::failed, "how the sandbox ended was told to the parent of its first process alone",
                "ask whoever waits for that process");
  return dispatcher::Ending{
      final_report_->kind == ReportKind::exited ? Kind::exited : Kind::signaled, final_report_->value, {}};
}

bool AttachedInstance::end(clock::Deadline deadline) { return kill_and_await_end(pidfd_.get(), deadline); }

}  // namespace bailey::init
