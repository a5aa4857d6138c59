// A further process in an engine's container: joins its namespaces and cgroups and becomes a job, as `exec` of an OCI runtime
// has it. The new process is a child of this one.
//
//   this process            the first child                 the container's new process
//   --------------------------------------------------------------------------------------------
//   clone ----------------> setns(2) of all namespaces,
//                           clone with CLONE_PARENT ------> joins the cgroups, opens the terminal
//   pid <------------------ sends its number, exits         execs init out of a sealed memfd, undumpable from its first
//   terminal <------------------------------------------    instruction on, because its gids differ at the exec (execve(2))
//   job ----------------------------------------------->    init becomes the workload
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "dispatcher/backend.h"
#include "dispatcher/patience.h"

namespace bailey::native {

struct EnterInputs {
  int pidfd = -1;                    // of the container's first process, which lives
  std::vector<std::string> cgroups;  // whole paths, to be joined
  dispatcher::Stdio stdio;           // with `terminal` empty
  bool terminal = false;
  uint32_t terminal_owner = 0;
  bool new_keyring = true;
  std::string job;          // encoded, in place (init/encode.h)
  bundle::Process process;  // what it was encoded of, for messages
};

// Errors: a namespace or cgroup cannot be joined; the command cannot be executed (init::start_error); Patience's. On error
// nothing of it is left. Needs CAP_SYS_ADMIN over each namespace; not after threads exist.
Result<dispatcher::Entered> enter(EnterInputs inputs, dispatcher::Patience& patience);

}  // namespace bailey::native
