// The program of PID 1 as a file that a sandbox can execute and not change.
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace bailey::native {

// A sealed memfd: what a sandbox executes as PID 1 cannot be written from inside it (CVE-2019-5736).
Result<Fd> create_init_image();

}  // namespace bailey::native
