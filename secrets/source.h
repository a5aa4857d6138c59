// Reads what --secret names. The file is opened once and judged on its descriptor: a link, a FIFO, a device
// or a directory is refused, and nothing blocks. A descriptor of the caller may be a regular file, read from
// where it stands, or a pipe, read to its end: whoever writes it has kPipeMs to close it.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "secrets/request.h"
#include "secrets/secret.h"

namespace bailey::secrets {

inline constexpr int64_t kPipeMs = 10'000;

// Errors (bad_input, but for a failing read) name the secret and its source, never the contents. More than
// kMaxSecretBytes is an error. Needs the right to read the file: call it before any change of user.
Result<Secret> read_source(const Request& request, int64_t pipe_ms = kPipeMs);

// Error (bad_input) when `request` names a descriptor that is not open for reading. To be asked before this
// process opens files to read: later, a number that the caller has not opened could be one of ours.
Result<> check_descriptor(const Request& request);

}  // namespace bailey::secrets
