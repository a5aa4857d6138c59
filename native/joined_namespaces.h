// The namespaces of a sandbox that its maker has to enter, because they count for its children or cannot be entered from a new
// user namespace: those that are there already, and a new time namespace. The others the new process makes and enters itself.
#pragma once

#include <functional>
#include <span>

#include "base/result.h"
#include "native/plan.h"

namespace bailey::native {

// Calls `clone` with this thread in them, and comes back. `joins`: descriptors, one for each of plan.joins. Needs CAP_SYS_ADMIN
// over each and a process of one thread. Errors: one cannot be entered; clone's own. A way back that fails ends the process:
// what it did next would happen in the sandbox.
Result<> in_namespaces(const Plan& plan, std::span<const int> joins, const std::function<Result<>()>& clone);

// Entered by the new process instead.
bool is_entered_by_child(uint64_t flag);

}  // namespace bailey::native
