// A sandbox under gVisor that another process has made and left, and the handle by which it is found again.
#pragma once

#include <memory>
#include <string>

#include "dispatcher/backend.h"

namespace bailey::gvisor {

// How a signal comes to the workload: through init, or by `runsc kill` (where PID 1 is the workload, and on builds without a
// channel).
enum class SignalsBy { channel, runsc, held };  // held: init waits for begin()

std::string handle_of(SignalsBy way, const std::string& runsc_id);
std::string handle_of_begun(const std::string& held);
// Implements Backend::attach.
Result<std::unique_ptr<dispatcher::Instance>> attach(const std::string& handle, Fd pidfd, int state);

}  // namespace bailey::gvisor
