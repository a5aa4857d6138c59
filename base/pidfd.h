// Waiting for a process by its pidfd (pidfd_open(2), Linux 5.3), never longer than a deadline. A process that was killed and
// sleeps uninterruptibly (a hung FUSE or NFS server) ends when the file system lets it: nobody may wait for that without one.
#pragma once

#include "base/clock.h"

namespace bailey {

// How long a process may take to end once it was killed, in milliseconds. One that takes longer is left to the kernel.
inline constexpr int64_t kEndMs = 3'000;

// Whether the process has ended by then; waits for it if need be. It is still to be reaped. An empty descriptor (-1) has ended.
// EINTR-safe; what does not say so allocates nothing.
bool await_end(int pidfd, clock::Deadline deadline);

// The number of its process, as /proc/self/fdinfo has it; 0: it has ended and was reaped, or nobody can say. Allocates.
int pid_of(int pidfd);

// SIGKILL, then await_end. False: it does not end, and the caller must not wait for it.
bool kill_and_await_end(int pidfd, clock::Deadline deadline = clock::Deadline::in_ms(kEndMs));

// The same with a child of ours, which is reaped when it has ended.
bool end_child(int pidfd, clock::Deadline deadline = clock::Deadline::in_ms(kEndMs));

}  // namespace bailey
