#include "dispatcher/foreground.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

namespace bailey::dispatcher {

Result<Foreground> Foreground::open(int signals_from_watcher) {
  Foreground foreground;
  foreground.signals_ = TRY(SignalInbox::open(signals_from_watcher));
  return foreground;
}

Record Foreground::run(Sandbox& sandbox, const Job& job, const StreamOptions& streams) {
  sandbox_ = &sandbox;
  Result<> lived = live(job, streams);
  terminal_ = RawTerminal();
  sandbox_ = nullptr;
  return sandbox.finish(std::move(lived));
}

Result<> Foreground::live(const Job& job, const StreamOptions& streams) {
  TRY(sandbox_->create(*this));
  if (sandbox_->terminal() >= 0) {
    copy_terminal_size(sandbox_->terminal());
    if (streams.attach_stdin) terminal_ = TRY(RawTerminal::enter(streams.in));
  }
  TRY(sandbox_->start(job, *this));
  for (const int number : std::exchange(early_signals_, {})) TRY(pass_on(number));
  return watch();
}

// While the sandbox is made.
Result<> Foreground::until_ready(std::span<pollfd> fds) {
  std::vector<pollfd> set(fds.begin(), fds.end());
  set.push_back({signals_.fd(), POLLIN, 0});
  const auto is_ready = [](const pollfd& one) { return one.revents != 0; };
  for (;;) {
    if (::poll(set.data(), set.size(), sandbox_->due().poll_ms()) < 0 && errno != EINTR) return sys_error("poll", errno);
    if (is_ready(set.back())) notice_early_signals();
    if (ended_by_ != 0) return sandbox_->end_making(Stop::signal, ended_by_);
    std::copy_n(set.begin(), fds.size(), fds.begin());
    if (std::ranges::any_of(fds, is_ready)) return {};
    if (sandbox_->due().passed()) return sandbox_->end_making(Stop::timed_out);
  }
}

// The first request to stop ends the making; the rest waits for the workload.
void Foreground::notice_early_signals() {
  while (const int number = signals_.next()) {
    if (!ends_the_making(number)) early_signals_.push_back(number);
    else if (ended_by_ == 0) ended_by_ = number;
  }
}

Result<> Foreground::watch() {
  std::vector<pollfd> set;
  while (!sandbox_->is_settled()) {
    set.assign(1, {signals_.fd(), POLLIN, 0});
    sandbox_->add_interest(set);
    if (::poll(set.data(), set.size(), sandbox_->due().poll_ms()) < 0 && errno != EINTR) return sys_error("poll", errno);
    // The end comes first: a signal that comes with it is for a process that is gone.
    TRY(sandbox_->serve(std::span(set).subspan(1)));
    if (set.front().revents != 0 && !sandbox_->is_settled()) TRY(pass_signals_on());
  }
  return {};
}

Result<> Foreground::pass_signals_on() {
  while (const int number = signals_.next()) TRY(pass_on(number));
  return {};
}

Result<> Foreground::pass_on(int number) {
  const bool request_to_stop = number == SIGTERM || number == SIGINT;
  if (sandbox_->phase() != Sandbox::Phase::running) return request_to_stop ? sandbox_->abandon_output() : Result<>();
  if (request_to_stop && ++stop_requests_ > 1) {
    sandbox_->stop(Stop::signal);
  } else if (number == SIGWINCH) {
    if (sandbox_->terminal() >= 0) copy_terminal_size(sandbox_->terminal());
  } else {
    sandbox_->signal(number);
  }
  return {};
}

}  // namespace bailey::dispatcher
