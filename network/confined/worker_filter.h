// The system calls of a worker (worker.h): TCP and UDP on sockets that it has or makes, waiting, memory, its end. Everything
// else fails with EPERM: files, processes, signals, listening, every other kind of socket (a Unix one, netlink, raw packets,
// multipath TCP, SCTP, SMC), sending that connects (MSG_FASTOPEN), socket options and flags that no worker uses, executable
// memory. A call of another architecture, x32 included, ends the worker (seccomp(2), "Caveats").
#pragma once

#include "base/result.h"

namespace bailey::network {

// For the calling thread, for good; it needs no_new_privs. Allocates.
Result<> install_worker_filter();

}  // namespace bailey::network
