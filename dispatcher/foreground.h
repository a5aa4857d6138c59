// Foreground: runs a sandbox in the foreground of this process: its signals, the caller's terminal, the poll loop.
//
// From its construction to its destruction TERM, INT, HUP, QUIT, USR1 and USR2 go to the workload once each time they come, the
// second TERM or INT kills the sandbox, WINCH resizes the pty. Before the workload has started the first TERM, INT, HUP or QUIT
// ends the making; the others wait for the workload. The workload lives in a session of its own, so the terminal's Ctrl-C
// reaches it through us only.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "dispatcher/patience.h"
#include "dispatcher/sandbox.h"
#include "dispatcher/signal_inbox.h"
#include "dispatcher/streams.h"
#include "dispatcher/terminal.h"

namespace bailey::dispatcher {

class Foreground : private Patience {
 public:
  // Takes the signals: this process's own, or those of a watcher (SignalInbox::open).
  static Result<Foreground> open(int signals_from_watcher = -1);

  // The whole life of a sandbox that was made with these streams and runs this job; it is released in every case.
  Record run(Sandbox& sandbox, const Job& job, const StreamOptions& streams);

 private:
  Result<> until_ready(std::span<pollfd> fds) override;
  Result<> live(const Job& job, const StreamOptions& streams);
  Result<> watch();
  void notice_early_signals();
  Result<> pass_signals_on();
  Result<> pass_on(int number);

  SignalInbox signals_;
  RawTerminal terminal_;
  Sandbox* sandbox_ = nullptr;      // while run() runs
  int ended_by_ = 0;                // the signal that ends the making
  int stop_requests_ = 0;           // TERM and INT so far
  std::vector<int> early_signals_;  // for the workload, from before its start
};

}  // namespace bailey::dispatcher
