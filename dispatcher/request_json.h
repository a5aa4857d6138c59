// The request document (docs/request.md): a whole Request as strict JSON, so that a program never has to quote a command line.
// What to_json makes, parse_request reads back as an equal Request. Pure.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "dispatcher/request.h"

namespace bailey::dispatcher {

// Every fault with file, line and JSON path; unknown keys are faults. `name` is the file in messages.
Result<Request> parse_request(std::string_view text, std::string_view name);
// What is as a fresh Request has it is left out.
json::Value to_json(const Request& request);

}  // namespace bailey::dispatcher
