// What another process has in its memory, for tests which say that something is not there. As root.
#pragma once

#include <sys/types.h>

#include <string>

namespace bailey::tests {

// Every writable mapping of less than 64 MiB, one after the other; "" when the process cannot be read.
std::string memory_of(pid_t pid);

}  // namespace bailey::tests
