// Child: the end of a process that this one forked. waitpid(2) itself takes -1 for whatever child ends next, 0 and other
// negative numbers for a group's: a number that was never set, or was taken back when its child was reaped, would reap somebody
// else's child and wait for it. No privileges.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"

namespace bailey {

// Waits for its end, however it was cloned, and reaps it: the status of waitpid(2). Error: no child of ours has that number
// (ECHILD), which is so for every number below 1; nothing was waited for then.
Result<int> await_child(pid_t pid);

// In a process that will exec: every signal has its default action and none is blocked. Our own ignored and blocked ones
// (SIGPIPE, those of a signalfd) would be inherited. Async-signal-safe, for between clone and exec.
void reset_signals();

// Of such a status: "exit code 0", "signal 11".
std::string describe_status(int status);

}  // namespace bailey
