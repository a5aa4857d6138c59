// The caller's stdin when it is a regular file: programs that map, seek or measure their input need a file, and a sandbox must
// not hold the caller's own (it could lock it, or open it again for writing). It gets a sealed copy in memory.
//
// Needs no privileges. Not between clone and exec.
#pragma once

#include <cstdint>

#include "base/fd.h"
#include "base/result.h"

namespace bailey::dispatcher {

// What is larger goes through a pipe: the copy is memory of Bailey's, for as long as the sandbox lives.
inline constexpr uint64_t kInputCopyBytes = 64 << 20;

// Bad input: a descriptor that is open for writing only, or a directory.
Result<> check_input(int fd);

// From the caller's position to the end as it is now; the caller's position stays. Read-only, sealed, readable by every user of
// the sandbox, at its start. Empty: a pipe has to do, because this is no regular file, holds more than kInputCopyBytes,
// is a kernel's file (/proc), or cannot be copied.
Fd copy_input_file(int fd);

}  // namespace bailey::dispatcher
