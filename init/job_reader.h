// A job's bytes to what execve takes. No libc, no memory of its own; never reads beyond the bytes it is given.
#pragma once

#include <stddef.h>

#include "init/job.h"

namespace bailey::init {

// Points into the bytes it was read from and into the caller's pointer array.
struct Job {
  const JobHeader* header = nullptr;
  const JobRlimit* rlimits = nullptr;
  const uint32_t* gids = nullptr;
  const char* cwd = nullptr;
  const char* const* argv = nullptr;  // ends with nullptr
  const char* const* env = nullptr;   // ends with nullptr
};

// True when a header of 8 bytes or more announces a job of a size that a job can have.
bool announces_job(const void* bytes);

// How many pointers read_job needs for a job of `size` bytes; 0: its counts cannot be true.
size_t pointers_of_job(const void* bytes, size_t size);

// `bytes` aligned to 8, `size` exactly the job's; `pointers` has pointers_of_job() places. False: malformed.
bool read_job(const void* bytes, size_t size, const char** pointers, Job& job);

// The value of `name` in an environment, nullptr when it has none. The first one counts, as in getenv.
const char* find_variable(const char* const* env, const char* name);

}  // namespace bailey::init
