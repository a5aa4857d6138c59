// Starts the workload's first process from a job, or becomes it.
#pragma once

#include "init/job_reader.h"
#include "init/kernel.h"

namespace bailey::init {

struct Start {
  int pid = -1;              // of the workload, also when it failed after the fork (it has exited then, and is not yet reaped)
  Step failed = Step::none;  // none: the program is running, or was killed on its way there
  int error = 0;
  uint32_t detail = 0;
  int listener = -1;  // of the filter, when its flags ask for one; PID 1 alone has it
};

// Whether the program of a job is there, by the rules of the exec that will follow, as far as PID 1 can see: 0 or an errno.
int look_for_program(const Job& job);

// The new process gets: its own session (or its own group, where a runtime has given init the terminal), so that kill(0,
// SIGKILL) by it harms nobody else; the terminal, limits, groups and user, umask, working directory, its filter, signals all
// default and unblocked, no descriptor but 0-2. Every signal is blocked here. `streams`: three descriptors above 2 that become
// its 0, 1 and 2; nullptr: it gets ours.
Start start_workload(const Job& job, const int* streams = nullptr);

// The same in this process, which is PID 1 and stays it: returns only when it failed. It keeps its descriptors above 2 until
// then, all of which have to be closed on exec, and its session. `announce` is called right before the exec.
Start become_workload(const Job& job, void (*announce)(void* argument), void* argument);

}  // namespace bailey::init
