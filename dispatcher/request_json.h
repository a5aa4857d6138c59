// The request document (docs/request.md): a whole Request as strict JSON, so that a program never has to quote a command line.
// parse_request reads back what to_json writes. A document carries no as_pid_1, awaits_job, lifetime, shape or engine_mounts:
// those are a face's. Pure.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "dispatcher/request.h"

namespace bailey::dispatcher {

// Every fault with file, line and JSON path; unknown keys are faults. `name` is the file in messages.
Result<Request> parse_request(std::string_view text, std::string_view name);
// Leaves out what is as in a fresh Request, but for trust and config.
json::Value to_json(const Request& request);

}  // namespace bailey::dispatcher
