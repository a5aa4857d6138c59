// Watch: a run as a process of its own, which the called one watches. A process that asks a hung FUSE or NFS server sleeps
// uninterruptibly, and not even SIGKILL ends it before the server responds: so the process that the caller waits for must not
// be the one that touches files.
//
//   bailey: touches no file                                    worker: the whole run
//   -------------------------------------------------------------------------------------------------
//   TERM, INT, HUP, QUIT, USR1, USR2, WINCH -- pipe, a byte --> SignalInbox
//          <------ shared memory: step, id, when it is due ---- Progress
//          <------------------------------ exit code ---------- ends
//   overdue, or asked to stop and not ended: SIGKILL, kEndMs of waiting, then another child tells what happened
//
// A second process costs a fork, so it is made only where something that may hang is mounted and the run names a file.
// The worker dies with its watcher (PR_SET_PDEATHSIG), and the sandbox with the worker. A worker that cannot die keeps the
// sandbox, so the watcher kills that by itself.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dispatcher/mount_table.h"
#include "dispatcher/progress.h"
#include "dispatcher/record.h"

namespace bailey::cli {

// Whether a file system of this type cannot keep a process waiting for another machine or process. Unknown types may.
bool responds_by_itself(std::string_view type);

// Whether one that may hang is among them.
bool may_hang(const std::vector<dispatcher::MountEntry>& mounts);

// The worker's side of the connection to its watcher.
struct Watcher {
  int signals = -1;                          // read end: numbers of signals, a byte each; -1: nobody watches
  dispatcher::Progress* progress = nullptr;  // never null in a worker
};

// A run that did not end by itself.
struct Stuck {
  dispatcher::Outcome outcome = dispatcher::Outcome::timed_out;  // or signaled, or setup_failed when the worker was killed
  int signal = 0;                                                // of signaled: what asked for the end
  bool ended = false;                                            // all of it ended when it was killed
  std::string id, step;
  std::optional<int64_t> wall_ms;  // the time limit
};

// Runs `work` in a worker and returns what it returned; where it is stuck, what `tell` returns, which runs in a process of its
// own and may hang as well. Not after threads exist. Errors: of pipes and forks.
Result<int> watch(const std::function<int(const Watcher&)>& work, const std::function<int(const Stuck&)>& tell);

}  // namespace bailey::cli
