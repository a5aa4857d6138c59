// The system calls of a worker (worker.h): sockets of the internet that it has or makes, waiting, memory, its end. Everything
// else answers EPERM: no file, no process, no signal, no other kind of socket (a unix one, netlink, a raw packet), no
// executable memory. What belongs to another architecture, x32 included, ends the worker (seccomp(2), "Caveats").
#pragma once

#include "base/result.h"

namespace bailey::network {

// For the calling thread, for good; it needs no_new_privs. Allocates.
Result<> install_worker_filter();

}  // namespace bailey::network
