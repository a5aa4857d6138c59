// Sandbox: the one lifecycle, whatever the backend. One process owns one Sandbox and is single-threaded.
//
//   admitted --create--> created --start--> running --supervise--> stopped --release--> released
//             state entry,          job handed       poll loop: output,       everything taken down
//             cgroup, pipes,        to PID 1         signals, deadline, oom   in reverse order
//             backend's sandbox
//
// An error in any phase goes straight to release, and what was made until then is unmade.
//
// From create to its destruction it owns the process's signals: TERM, INT, HUP, QUIT, USR1 and USR2 go to the
// workload once each time they come, the second TERM or INT kills the sandbox, WINCH resizes the pty. Before
// the workload has started the first TERM, INT, HUP or QUIT ends the making. The workload lives in a session of its own,
// so the terminal's Ctrl-C reaches it through us only.
//
// The time limit holds twice: once for the making, counted from the start of Bailey (5 seconds at least, 2 minutes
// at most), once for the workload, counted from its start. What was killed and does not end within kEndMs
// (base/pidfd.h), because the kernel waits for a file system, is left to gc, and the record says so.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "dispatcher/audit.h"
#include "dispatcher/backend.h"
#include "dispatcher/events.h"
#include "dispatcher/progress.h"
#include "dispatcher/record.h"
#include "dispatcher/signal_inbox.h"
#include "dispatcher/spec.h"
#include "dispatcher/state_store.h"
#include "dispatcher/step_timer.h"
#include "dispatcher/streams.h"
#include "dispatcher/terminal.h"

namespace bailey::dispatcher {

// What a Sandbox uses and does not own.
struct SandboxContext {
  static constexpr int64_t kMostMakingMs = 120'000;
  Backend& backend;
  StateStore& store;
  const Audit& audit;
  Events& events;
  std::string cgroup_parent;          // the policy's
  StreamOptions streams;              // the caller's side; terminal and cap are the spec's
  int64_t making_ms = kMostMakingMs;  // how long the making may take, of a sandbox without a time limit
  int signals = -1;                   // from a watcher; -1: this process's own
  Progress* progress = nullptr;       // for a watcher; nullptr: nobody watches
};

class Sandbox : private Patience {
 public:
  enum class Phase { admitted, created, running, stopped, released };
  // How long the making may take, of a sandbox with that time limit.
  static int64_t making_ms(int64_t wall_ms);

  // `timer` began with the process and has the laps up to admission.
  Sandbox(Spec spec, About about, SandboxContext surroundings, StepTimer timer);

  // The whole life. What went wrong stands in the record; the sandbox is released in every case.
  Record run();

  // Its parts, in this order.
  Result<> create();
  Result<> start();
  Result<> supervise();
  void release();

  Phase phase() const { return phase_; }

 private:
  enum class Stop { none, timed_out, output_limit, signal };
  enum class End { announced, ended, unending };  // announced: by PID 1's final report
  Result<> live();
  Result<> until_ready(std::span<pollfd> fds) override;
  Result<End> wait_for_end();
  bool ends_soon();
  void notice_early_signals();
  void blame(Error error);
  void enter(const char* step);
  void expect_by(const clock::Deadline& due);
  void expect_release();
  void leave_behind();
  void drain();
  void stop(Stop why);
  void forward_signals();
  void forward(int number);
  void notice_oom();
  void serve_names();
  Result<> begin_making();
  Result<> begin_making_again();
  Result<> reserve_network();
  Result<> connect_network();
  void measure();
  void measure_cpu(const host::CgroupUsage& usage);
  void measure_children();
  void judge(const Ending& ending);
  std::vector<pollfd> poll_set() const;

  Spec spec_;
  About about_;
  SandboxContext around_;
  StepTimer timer_;
  Record record_;
  Phase phase_ = Phase::admitted;
  const char* step_ = "audit";  // what an error of the moment belongs to
  Stop stop_ = Stop::none;
  int stop_requests_ = 0;  // TERM and INT so far
  bool oom_told_ = false;
  int64_t started_ns_ = 0;
  int ended_by_ = 0;                // the signal that ended the making
  std::vector<int> early_signals_;  // for the workload, from before its start
  clock::Deadline deadline_, kill_again_, give_up_;

  // Held from create to release, in the order of making; release goes backwards.
  SignalInbox signals_;
  StateEntry entry_;
  Leases leases_;
  Streams streams_;
  RawTerminal caller_terminal_;
  std::unique_ptr<Instance> instance_;
};

}  // namespace bailey::dispatcher
