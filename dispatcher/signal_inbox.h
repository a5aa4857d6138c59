// SignalInbox: the signals of a run, taken from this process or from one that watches it.
#pragma once

#include <csignal>

#include "base/fd.h"
#include "base/result.h"

namespace bailey::dispatcher {

// Whether a signal ends a run whose command has not started: TERM, INT, HUP and QUIT do, the others wait for the command.
bool ends_the_making(int number);

// The forwarded signals, blocked and read from a descriptor, but for those that the caller ignores (nohup, trap ''): these stay
// ignored. Unblocked on destruction, which drops those that were not read. In a process that is watched (cli/watch.h) they come
// from the watcher, a byte each, and its own stay blocked: a terminal's Ctrl-C goes to both.
class SignalInbox {
 public:
  SignalInbox() = default;
  static Result<SignalInbox> open(int from_watcher = -1);  // the read end; stays the caller's
  SignalInbox(SignalInbox&&) noexcept = default;
  SignalInbox& operator=(SignalInbox&&) noexcept = default;
  ~SignalInbox();
  int fd() const { return fd_.get(); }
  int next() const;  // a signal number, 0 when none waits

 private:
  Fd fd_;
  bool own_ = true;  // not the watcher's
  sigset_t before_{};
};

}  // namespace bailey::dispatcher
