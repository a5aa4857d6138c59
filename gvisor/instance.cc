#include "gvisor/instance.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "base/clock.h"
#include "base/units.h"
#include "gvisor/arguments.h"
#include "gvisor/attached.h"
#include "gvisor/failure.h"
#include "init/encode.h"

namespace bailey::gvisor {

namespace {

using dispatcher::Ending;

constexpr int64_t kKillRetryMs = 5'000;
constexpr long kChannelStepNs = 2'000'000;
constexpr size_t kLeastPipe = 64 * 1024;  // the kernel's default
constexpr int kKillRetryStepMs = 20;
constexpr int kSandboxKilled = 128 + SIGKILL;  // runsc's code when its sandbox was killed (docs/gvisor.md)

}  // namespace

SandboxInstance::SandboxInstance(Plan plan, OutputPipes relay, Launched launched)
    : plan_(std::move(plan)), relay_(relay), launched_(std::move(launched)) {
  talk_.open(launched_.job.get(), launched_.report.get());
}

bool SandboxInstance::end(clock::Deadline deadline) {
  if (reaped_ || !launched_.pidfd) return true;
  killed_ = reaped_ = true;
  talk_.end();
  return end_child(launched_.pidfd.get(), deadline);
}

Result<Fd> SandboxInstance::await_created(dispatcher::Patience& patience, dispatcher::Steps& steps) {
  int64_t begin = clock::monotonic_ns();
  const auto lap = [&](const char* name) {
    const int64_t now = clock::monotonic_ns();
    steps.push_back({name, now - begin});
    begin = now;
  };
  TRY(await_exec(launched_, patience));
  Fd terminal;
  if (plan_.terminal) terminal = TRY(receive_console(launched_, patience));
  lap("launch");
  TRY(await_report(patience));
  lap(dispatcher::kBootStep);
  if (!last_) return std::unexpected(boot_failure());
  return terminal;
}

Result<> SandboxInstance::start_process(bundle::Process process, bool as_pid_1, dispatcher::Patience& patience,
                                        dispatcher::Steps& steps) {
  const int64_t begin = clock::monotonic_ns();
  process_ = std::move(process);
  if (last_->kind != init::ReportKind::ready) return {};
  std::string job = TRY(encode_job(plan_, process_));
  if (as_pid_1) init::become_pid_1(job);
  else if (relay_ != OutputPipes::none) init::relay_output(job, relay_ == OutputPipes::merged);
  TRY(send_job(std::move(job)));
  TRY(await_report(patience));
  is_workload_ = as_pid_1;
  steps.push_back({"start", clock::monotonic_ns() - begin});
  return {};
}

Result<> SandboxInstance::prepare(const dispatcher::Job& job, dispatcher::Patience& patience, dispatcher::Steps& steps) {
  if (plan_.channel_directory)
    return fail(Fault::unavailable, "this build of runsc passes no descriptors to a sandbox, which an engine's container needs",
                "a newer runsc ('bailey doctor' names what is found), or a level that uses native");
  const int64_t begin = clock::monotonic_ns();
  process_ = job.process();
  std::string encoded = TRY(encode_job(plan_, process_));
  init::hold(encoded);
  talk_.send(encoded);
  const init::Report told = TRY(init::await_held(talk_, launched_.pidfd.get(), patience));
  steps.push_back({"prepare", clock::monotonic_ns() - begin});
  if (told.kind == init::ReportKind::failed) return std::unexpected(init::start_error(told, process_));
  holds_ = true;
  return {};
}

// It has ended without a word of init's.
Error SandboxInstance::boot_failure() {
  auto ended = reap();
  if (!ended) return std::move(ended).error();
  if (ended->kind == Ending::Kind::not_started) return std::move(ended->error);
  return Error{"gVisor was killed while it started", "raise --memory, or free memory of the host", Fault::failed, 0, "runsc"};
}

Result<> SandboxInstance::await_report(dispatcher::Patience& patience) {
  last_.reset();
  if (plan_.channel_directory) return await_channel_report(patience);
  const auto heard = TRY(talk_.await_report(patience, launched_.pidfd.get()));
  if (heard) last_ = heard->report;
  return {};
}

// The host gets no event when the file grows, and inotify watches are scarce: it is looked at by a timer.
Result<> SandboxInstance::await_channel_report(dispatcher::Patience& patience) {
  const Fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  const itimerspec often{{0, kChannelStepNs}, {0, kChannelStepNs}};
  if (!timer || ::timerfd_settime(timer.get(), 0, &often, nullptr) < 0) return sys_error("making a timer", errno);
  pollfd fds[2] = {{timer.get(), POLLIN, 0}, {launched_.pidfd.get(), POLLIN, 0}};
  for (;;) {
    TRY(hear_channel());
    if (last_ || fds[1].revents != 0) return {};
    TRY(patience.until_ready(fds));
    uint64_t ticks = 0;
    (void)!::read(timer.get(), &ticks, sizeof ticks);
  }
}

// A sandbox that has ended meanwhile is no error: exit_fd says so, and reap() knows why.
Result<> SandboxInstance::send_job(std::string job) {
  if (plan_.channel_directory) return put_job(launched_.root, plan_, job);
  talk_.send(job);
  return {};
}

Result<std::unique_ptr<dispatcher::Task>> SandboxInstance::exec(const dispatcher::Job& job, dispatcher::Stdio streams) {
  if (plan_.channel_directory)
    return fail(Fault::unavailable, "this build of runsc passes no descriptors to a sandbox, which further jobs need",
                "a newer runsc ('bailey doctor' names what is found), or --runtime native");
  return talk_.exec(job, TRY(encode_job(plan_, job.process())), std::move(streams));
}

Result<> SandboxInstance::serve(std::span<const pollfd> set) {
  TRY(talk_.serve(set));
  take_reports();
  return {};
}

void SandboxInstance::take_reports() {
  while (const auto heard = talk_.take_report()) last_ = heard->report;
}

Result<> SandboxInstance::signal(int number) {
  if (!plan_.channel_directory && !is_workload_) return talk_.send_signal(number), Result<>();
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

std::string SandboxInstance::handle() const {
  if (!plan_.independent) return {};
  if (holds_) return handle_of(SignalsBy::held, plan_.runsc_id);
  return handle_of(plan_.channel_directory || is_workload_ ? SignalsBy::runsc : SignalsBy::channel, plan_.runsc_id);
}

bool SandboxInstance::leave() {
  if (!talk_.is_idle()) return false;
  reaped_ = true;
  talk_.end();
  return true;
}

bool SandboxInstance::has_end() const {
  return last_ && (last_->kind == init::ReportKind::exited || last_->kind == init::ReportKind::signaled);
}

dispatcher::Account SandboxInstance::account() const {
  dispatcher::Account account;
  if (has_end()) init::fill_account(account, *last_);
  return account;
}

Result<> SandboxInstance::hear_channel() {
  constexpr size_t kSize = sizeof(init::Report);
  const std::string bytes = TRY(read_channel_reports(launched_.root));
  for (; (channel_reports_ + 1) * kSize <= bytes.size(); ++channel_reports_)
    last_ = TRY(init::parse_report(std::string_view(bytes).substr(channel_reports_ * kSize, kSize)));
  return {};
}

Result<> SandboxInstance::hear_all() {
  if (plan_.channel_directory) return hear_channel();
  TRY(talk_.hear_the_rest());
  take_reports();
  return {};
}

Result<Ending> SandboxInstance::reap() {
  const ExitStatus status = TRY(wait_for(launched_.pidfd.get()));
  reaped_ = true;
  const auto heard = hear_all();
  talk_.end();
  bool started = false;
  if (heard && last_) {
    switch (last_->kind) {
      case init::ReportKind::exited: return Ending{Ending::Kind::exited, last_->value, {}};
      case init::ReportKind::signaled: return Ending{Ending::Kind::signaled, last_->value, {}};
      case init::ReportKind::failed: return Ending{Ending::Kind::not_started, 0, init::start_error(*last_, process_)};
      case init::ReportKind::started: started = true; break;
      case init::ReportKind::ready:
      case init::ReportKind::held: break;
    }
  }
  return judge_runsc_end({.status = status,
                          .killed_by_us = killed_,
                          .workload_started = started,
                          .of_workload = started && is_workload_,
                          .words = read_last_words(launched_.root)});
}

Ending judge_runsc_end(const RunscEnd& end) {
  const ExitStatus& status = end.status;
  if (end.of_workload && !end.killed_by_us && !status.by_signal && end.words.empty())
    return {Ending::Kind::exited, status.value, {}};
  const bool sandbox_killed = status.by_signal ? status.value == SIGKILL : status.value == kSandboxKilled;
  if (end.killed_by_us || sandbox_killed) return {Ending::Kind::signaled, SIGKILL, {}};
  const std::string how =
      "runsc " + (status.by_signal ? "died of signal " : std::string("ended with ")) + std::to_string(status.value);
  const StartFailure failure = explain_failure(end.words);
  Error error{(end.workload_started ? "gVisor broke down while the command ran: " : "gVisor did not start: ") + failure.cause,
              failure.remedy, Fault::failed, 0, "runsc"};
  if (end.words.empty() || failure.cause == end.words)
    error.message = error.message.insert(error.message.find(": ") + 2, how + ": ");
  return {Ending::Kind::not_started, 0, std::move(error)};
}

}  // namespace bailey::gvisor
