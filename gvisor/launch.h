// Makes the pipes, builds and clones by spawn(), and waits until runsc has been executed. On an error, which names the step, no
// process is left.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "dispatcher/backend.h"
#include "gvisor/spawn.h"

namespace bailey::gvisor {

struct Launched {
  Fd pidfd;   // of runsc, PID 1 of its namespace: readable when every process of the sandbox is gone
  Fd job;     // write end to init (init/conversation.h); empty with plan.channel_directory
  Fd report;  // read end; empty likewise
  Fd status;  // says how its exec went
  PrivateRoot root;
};

// Steps gain "private_root and clone". The child is a copy of this process: not after threads exist.
Result<Launched> launch(LaunchInputs inputs, dispatcher::Steps& steps);

// Waits until the child has executed runsc; once. Errors: Patience's too.
Result<> await_exec(Launched& launched, dispatcher::Patience& patience);

// The pty's master, which runsc sends when the sandbox exists. Error when runsc ends before; Patience's too.
Result<Fd> receive_console(const Launched& launched, dispatcher::Patience& patience);

// runsc with `arguments` in the namespaces of the sandbox, waited for at most 5 seconds. The exit code.
Result<int> run_inside(int pidfd, const std::vector<std::string>& arguments);

// send_signal sends `number`. wait_for reaps the process, and is safe against EINTR; the status is that of waitid(2).
struct ExitStatus {
  bool by_signal = false;
  int value = 0;
};
void send_signal(int pidfd, int number);
Result<ExitStatus> wait_for(int pidfd);

// A further process in an engine's container: Instance::enter. Not after threads exist.
Result<dispatcher::Entered> enter(int pidfd, const std::string& runsc_id, const bundle::Process& process,
                                  dispatcher::EntryOptions options, dispatcher::Patience& patience);

}  // namespace bailey::gvisor
