// Sandbox: the one lifecycle, whatever the backend. One process owns one Sandbox and is single-threaded.
//
// clang-format off
//   admitted --create--> created --start--> running --serve...--> draining --serve...--> stopped --finish--> released
//                           |                  ^
//                      await_ready           start
//                           v                  |
//                         ready --serve... ----+   for minutes, if need be
//
//   create     state entry, cgroup, pipes, the backend's sandbox        start    hands the job to PID 1
//   running    output, deadline, memory, network                        draining the rest of the output
//   finish     ends the instance, then gives back cgroup, network and state
// clang-format on
//
// After an error in any phase only finish() may follow; it takes down what was made until then.
//
// A sandbox whose job is there is started from `created`; one that waits for a job is served from `ready` on, so that its end
// is noticed. The caller has the poll loop, the signals and the terminal (dispatcher/foreground.h is one such caller):
//
//   while (!sandbox.is_settled()) { add_interest(set); poll(set, due()); serve(set) }
//
// The time limit holds for the making and for the workload, each counted alone. The making (5 seconds at least, 2 minutes at
// most) counts from the start of Bailey, or from start() for a job that comes late; the workload from its own start. What was
// killed and does not end within kEndMs (base/pidfd.h), because the kernel waits for a file system, is left to gc, and the
// record says so.
#pragma once

#include <poll.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/pidfd.h"
#include "base/result.h"
#include "dispatcher/audit.h"
#include "dispatcher/backend.h"
#include "dispatcher/events.h"
#include "dispatcher/job.h"
#include "dispatcher/outcome.h"
#include "dispatcher/patience.h"
#include "dispatcher/progress.h"
#include "dispatcher/record.h"
#include "dispatcher/spec.h"
#include "dispatcher/state_store.h"
#include "dispatcher/step_timer.h"
#include "dispatcher/streams.h"

namespace bailey::dispatcher {

// What a Sandbox uses and does not own.
struct SandboxContext {
  static constexpr int64_t kMostMakingMs = 120'000;
  Backend& backend;
  StateStore& store;
  const Audit& audit;
  Events& events;
  std::string cgroup_parent;          // the policy's
  StreamOptions streams;              // the caller's side; the spec sets `terminal`, the job sets `cap`
  int64_t making_ms = kMostMakingMs;  // how long the making may take, of a sandbox without a time limit
  Progress* progress = nullptr;       // for a watcher; nullptr: nobody watches
  std::function<void()> on_ready = {};
};

class Sandbox {
 public:
  enum class Phase { admitted, created, ready, running, draining, stopped, released };
  // How long the making may take, of a sandbox with that time limit.
  static int64_t making_ms(int64_t wall_ms);

  // `plan`: of `spec`, by the context's backend. `timer` began with the process and has the laps up to admission.
  Sandbox(std::shared_ptr<const Spec> spec, std::unique_ptr<SandboxPlan> plan, About about, SandboxContext context,
          StepTimer timer);

  // The making. A backend waits by `patience`, which ends the wait at due() or when somebody asks for the end, with the error
  // of end_making().
  Result<> create(Patience& patience);
  // For a job that comes later: PID 1 waits for it. A job that is there already needs no such wait.
  Result<> await_ready(Patience& patience);
  Result<> start(const Job& job, Patience& patience);
  // In place of start(), of an independent one whose workload is PID 1: the command is there and waits until somebody who has
  // attached begins it (dispatcher/attached.h).
  Result<> prepare(const Job& job, Patience& patience);
  std::unexpected<Error> end_making(Stop why, int signal = 0);  // timed_out or signal

  // From await_ready() or start() until is_settled(). add_interest appends entries to a set for poll(2); serve takes just these
  // afterwards. due(): when serve is wanted without an event; during the making, its time limit.
  void add_interest(std::vector<pollfd>& set) const;
  Result<> serve(std::span<const pollfd> set);
  clock::Deadline due() const;
  bool is_settled() const { return phase_ >= Phase::stopped; }

  // A further job, from ready on until the end of the sandbox, which is its end at the latest. serve() serves it. Its time and
  // its output are the caller's to watch. Errors: as Instance::exec; where the workload is PID 1.
  Result<std::unique_ptr<Task>> exec(const Job& job, Stdio streams);
  void signal(int number);    // to the workload; nothing happens when none is running
  void stop(Stop why);        // kills everything in it, from ready on; the first reason counts
  Result<> abandon_output();  // while draining: what was not passed on is lost
  int pid() const { return instance_ ? pid_of(instance_->exit_fd()) : 0; }  // of its first process; 0: it has none (any more)
  int state_directory() const { return entry_.directory(); }                // from create() on; the sandbox's
  Fd take_terminal() { return streams_.take_terminal(); }
  int terminal() const { return streams_.terminal(); }  // the pty's master, from create() on; -1: it has none

  // Releases it. `lived`: the first error, or none. Once.
  Record finish(Result<> lived);
  // In place of finish: an independent sandbox that is created, ready or running goes on without this process. Attached finds
  // it again by its id (dispatcher/attached.h). Error (refused): it needs this process.
  Result<> leave();

  Phase phase() const { return phase_; }
  uint64_t output_bytes() const { return streams_.out().taken() + streams_.err().taken(); }  // passed on so far

 private:
  // By PID 1's final report; by its exit; or given up, because it was killed and does not end.
  enum class SeenEnd { announced, ended, given_up };
  Result<> admit();
  void note_failed_making(Error error);
  void enter(const char* step);
  void expect_by(const clock::Deadline& due);
  void expect_release();
  Result<> begin_making();
  Result<> begin_making_again();
  Result<> reserve_network();
  Result<> connect_network();
  void begin_late_start(const Job& job);
  void limit(const Job& job);
  bool is_independent() const { return spec_->request().lifetime == Lifetime::independent; }
  bool lives() const { return phase_ == Phase::ready || phase_ == Phase::running; }
  std::optional<SeenEnd> see_end(std::span<const pollfd> set);
  bool ends_soon();
  Result<> begin_draining();
  Result<> go_on_draining();
  Result<> await_instance_end();
  Result<> settle();
  void notice_oom();
  void serve_names();
  void measure();
  Result<StateRecord> describe_state() const;
  Result<> write_state(Status status);
  void leave_behind();
  void release();

  std::shared_ptr<const Spec> spec_;
  std::unique_ptr<SandboxPlan> plan_;
  About about_;
  SandboxContext context_;
  StepTimer timer_;
  Record record_;
  StateRecord state_;
  Phase phase_ = Phase::admitted;
  const char* step_ = "audit";  // what an error of the moment belongs to
  Stop stop_ = Stop::none;
  bool oom_told_ = false;
  int64_t started_ns_ = 0;
  int ended_by_ = 0;  // the signal that ended the making
  clock::Deadline deadline_, kill_again_, give_up_, drained_by_;
  SeenEnd end_ = SeenEnd::ended;
  Ending ending_;

  // Held from create to release.
  StateEntry entry_;
  Leases leases_;
  Streams streams_;
  std::unique_ptr<Instance> instance_;
};

}  // namespace bailey::dispatcher
