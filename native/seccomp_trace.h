// From the system calls that a command made to the least profile under which it makes them again (`bailey seccomp trace`).
// Pure.
#pragma once

#include "base/result.h"
#include "bundle/config.h"
#include "dispatcher/backend.h"

namespace bailey::native {

// Allows what is in `used`, with the conditions that the built-in profile has for it, and what every program makes (execve,
// exit_group and the like); all else gets EPERM, but ENOSYS where the built-in profile returns that, so that libraries take
// the older way again. Names are sorted.
Result<bundle::Seccomp> least_profile(const dispatcher::LoggedCalls& calls);

}  // namespace bailey::native
