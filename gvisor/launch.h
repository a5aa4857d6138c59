// Launch: the private root, the clone, and the wait until runsc has been executed. One call; either a running runsc or an error
// that names the step, and no process left.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "dispatcher/backend.h"
#include "gvisor/spawn.h"

namespace bailey::gvisor {

struct Launched {
  Fd pidfd;       // of runsc, PID 1 of its namespace: readable when every process of the sandbox is gone
  Fd job;         // write end to init (init/channel.h); empty with plan.channel_directory
  Fd report;      // read end; empty likewise
  Fd go, status;  // with plan.channel_directory: the child is held before exec until release()
  Fd terminal;    // pty master, with plan.terminal
  PrivateRoot root;
};

// Steps gain "private_root" and "launch". The child is a copy of this process: not after threads exist.
Result<Launched> launch(LaunchInputs inputs, dispatcher::Steps& steps);

// Lets a held child go on to exec, once; nothing to do for one that was not held.
Result<> release(Launched& launched);

// runsc with `arguments` in the namespaces of the sandbox, waited for at most 5 seconds. The exit code.
Result<int> run_inside(int pidfd, const std::vector<std::string>& arguments);

// SIGKILL; EINTR-safe wait for the end. The status as of waitid: si_code and si_status.
struct ExitStatus {
  bool by_signal = false;
  int value = 0;
};
void send_signal(int pidfd, int number);
Result<ExitStatus> wait_for(int pidfd);

}  // namespace bailey::gvisor
