// A job's bytes to what execve takes. No libc, no memory of its own; never reads beyond the bytes it is
// given.
#pragma once

#include <stddef.h>

#include "init/job.h"

namespace bailey::init {

// Points into the bytes it was read from and into the caller's pointer array.
struct Job {
  const JobHeader* header = nullptr;
  const JobPrivileges* privileges = nullptr;  // nullptr: it has none
  const JobRlimit* rlimits = nullptr;
  const uint32_t* gids = nullptr;
  const JobInstruction* filter = nullptr;
  const char* cwd = nullptr;
  const char* const* argv = nullptr;  // ends with nullptr
  const char* const* env = nullptr;   // ends with nullptr
};

// What stands at the front of the bytes that have come so far, from the backend. Any alignment.
struct Frame {
  enum class Kind { incomplete, malformed, order, begin, job, data, room };
  Kind kind = Kind::incomplete;
  uint32_t size = 0;             // when it is whole: of header and all that belongs to it
  uint32_t value = 0;            // order: the signal; data: how many bytes; room: so many
  uint32_t job = 0, stream = 0;  // order, data, room
};
Frame next_frame(const void* bytes, size_t size);

// How many pointers read_job needs for a job of `size` bytes; 0: its counts cannot be true.
size_t pointers_of_job(const void* bytes, size_t size);

// `bytes` aligned to 8, `size` exactly the job's; `pointers` has pointers_of_job() places. False: malformed.
bool read_job(const void* bytes, size_t size, const char** pointers, Job& job);

// The value of `name` in an environment, nullptr when it has none. The first one counts, as in getenv.
const char* find_variable(const char* const* env, const char* name);

}  // namespace bailey::init
