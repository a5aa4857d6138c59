#include "dispatcher/signal_inbox.h"

#include <fcntl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace bailey::dispatcher {

namespace {

constexpr int kForwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

bool is_ignored(int number) {
  struct sigaction action{};
  return ::sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

bool ends_the_making(int number) { return number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT; }

Result<SignalInbox> SignalInbox::open(int from_watcher) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : kForwarded)
    if (!is_ignored(number)) sigaddset(&set, number);
  SignalInbox inbox;
  inbox.own_ = from_watcher < 0;
  Fd fd(inbox.own_ ? ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK) : ::fcntl(from_watcher, F_DUPFD_CLOEXEC, 3));
  if (!fd) return sys_error("opening the way of signals", errno);
  if (!inbox.own_ && ::fcntl(fd.get(), F_SETFL, O_NONBLOCK) < 0) return sys_error("fcntl", errno);
  if (::sigprocmask(SIG_BLOCK, &set, &inbox.before_) != 0) return sys_error("sigprocmask", errno);
  inbox.fd_ = std::move(fd);
  return inbox;
}

SignalInbox::~SignalInbox() {
  if (!fd_) return;
  while (next() != 0) {}
  ::sigprocmask(SIG_SETMASK, &before_, nullptr);
}

int SignalInbox::next() const {
  if (!own_) {
    unsigned char number = 0;
    return ::read(fd_.get(), &number, 1) == 1 ? number : 0;
  }
  signalfd_siginfo info{};
  return ::read(fd_.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

}  // namespace bailey::dispatcher
