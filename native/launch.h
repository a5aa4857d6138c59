// Starts a sandbox in three steps: begin() makes a process that makes its namespaces and waits; finish() hands it what the
// sandbox is made with; await_setup() waits for its report. PID 1 is then our init. An error names the step.
#pragma once

#include <vector>

#include "base/fd.h"
#include "base/pidfd.h"
#include "base/result.h"
#include "dispatcher/backend.h"
#include "init/named_channel.h"
#include "native/child.h"
#include "native/identity/id_map.h"

namespace bailey::native {

struct Launched {
  Fd pidfd;
  int pid = -1;
  Fd socket;  // init's protocol (init/job.h), once await_setup has returned
};

struct BeginInputs {
  const Plan* plan = nullptr;  // stays the caller's, until await_setup has returned
  const IdMap* ids = nullptr;
  std::vector<AdmittedTree> admitted_trees;
  bool has_secrets = false;               // finish() will hand them over
  int cgroup = -1;                        // of version 2, to be made in; -1: it joins the one that finish() hands over
  const network::Netns* netns = nullptr;  // with plan.joins_network, to be made in
  std::vector<int> joins;                 // one for each of plan.joins
};

// A process that makes its namespaces and then waits; killed and reaped unless finish() takes it over. One that does not end
// within kEndMs (base/pidfd.h) is left to the kernel.
class PendingLaunch {
 public:
  // Steps gain what each part took. Not after threads exist: the child is a copy of this process.
  static Result<PendingLaunch> begin(BeginInputs inputs, dispatcher::Steps& steps);
  PendingLaunch(PendingLaunch&&) noexcept = default;
  ~PendingLaunch() { end_child(pidfd_.get()); }

  const BeginInputs& inputs() const { return inputs_; }
  int pid() const { return pid_; }
  int socket() const { return socket_.get(); }
  Launched release() { return {std::move(pidfd_), pid_, std::move(socket_)}; }

 private:
  PendingLaunch() = default;
  BeginInputs inputs_;
  int pid_ = -1;
  Fd pidfd_, socket_;
};

struct FinishInputs {
  dispatcher::Stdio stdio;
  const host::Cgroup* cgroup = nullptr;
  int secrets = -1;                             // -1: none
  const init::NamedChannel* channel = nullptr;  // with plan.independent: init's ends
};

// Lets the new process go to make the sandbox and does not wait for it; on error none is left. Steps as for begin.
Result<Launched> finish(PendingLaunch begun, FinishInputs inputs, dispatcher::Steps& steps);

// Waits until the sandbox is made. Returns the pty's master with plan.terminal. On error, Patience's too, the caller kills and
// reaps. Steps gain, for each step of the child, how long this waited for it: what was done while the parent was busy costs
// nothing.
Result<Fd> await_setup(const Launched& launched, const Plan& plan, dispatcher::Patience& patience, dispatcher::Steps& steps);

}  // namespace bailey::native
