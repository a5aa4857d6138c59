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
// workload once each time they come, the second TERM or INT kills the sandbox, WINCH resizes the pty. The
// workload lives in a session of its own, so the terminal's Ctrl-C reaches it through us only.
#pragma once

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "dispatcher/audit.h"
#include "dispatcher/backend.h"
#include "dispatcher/events.h"
#include "dispatcher/record.h"
#include "dispatcher/spec.h"
#include "dispatcher/state_store.h"
#include "dispatcher/step_timer.h"
#include "dispatcher/streams.h"
#include "dispatcher/terminal.h"

namespace bailey::dispatcher {

// The forwarded signals, blocked and read from a descriptor. Unblocked on destruction; what came until then
// is dropped.
class SignalInbox {
 public:
  SignalInbox() = default;
  static Result<SignalInbox> open();
  SignalInbox(SignalInbox&&) noexcept = default;
  SignalInbox& operator=(SignalInbox&&) noexcept = default;
  ~SignalInbox();
  int fd() const { return fd_.get(); }
  int next() const;  // a signal number, 0 when none waits

 private:
  Fd fd_;
  sigset_t before_{};
};

// What a Sandbox uses and does not own.
struct Surroundings {
  Backend& backend;
  StateStore& store;
  const Audit& audit;
  Events& events;
  std::string cgroup_parent;  // the policy's
  StreamOptions streams;      // the caller's side; terminal and cap are the spec's
};

class Sandbox {
 public:
  enum class Phase { admitted, created, running, stopped, released };

  // `timer` began with the process and has the laps up to admission.
  Sandbox(Spec spec, About about, Surroundings surroundings, StepTimer timer);

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
  Result<> live();
  Result<bool> wait_for_end();
  void drain();
  void stop(Stop why);
  void forward_signals();
  void notice_oom();
  void serve_names();
  Result<> reserve_network();
  Result<> connect_network();
  void measure();
  void measure_children();
  void judge(const Ending& ending);
  std::vector<pollfd> poll_set() const;

  Spec spec_;
  About about_;
  Surroundings around_;
  StepTimer timer_;
  Record record_;
  Phase phase_ = Phase::admitted;
  const char* step_ = "audit";  // what an error of the moment belongs to
  Stop stop_ = Stop::none;
  int stop_requests_ = 0;  // TERM and INT so far
  bool oom_told_ = false;
  int64_t started_ns_ = 0;
  clock::Deadline deadline_, kill_again_;

  // Held from create to release, in the order of making; release goes backwards.
  SignalInbox signals_;
  StateEntry entry_;
  Leases leases_;
  Streams streams_;
  RawTerminal caller_terminal_;
  std::unique_ptr<Instance> instance_;
};

}  // namespace bailey::dispatcher
