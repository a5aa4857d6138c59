// What `bailey doctor` says about gVisor on this host: the binary, what its build can do, and whether its platforms work. Runs
// one sandbox per platform (never kvm, whose first use may hang: name it with --platform to try it).
#pragma once

#include <vector>

#include "gvisor/backend.h"
#include "host/probe/probe.h"

namespace bailey::gvisor {

// "runsc", then, when it can be used, "runsc descriptors", "gVisor systrap" and, without systrap, "gVisor ptrace".
std::vector<host::Probe> probe_for_doctor(const BackendOptions& options);

}  // namespace bailey::gvisor
