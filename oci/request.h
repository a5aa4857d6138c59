// A bundle -> dispatcher::Request: the configuration as it is, at the level that its annotation asks for and the policy allows.
#pragma once

#include <string>

#include "base/result.h"
#include "dispatcher/policy.h"
#include "dispatcher/request.h"
#include "oci/arguments.h"

namespace bailey::oci {

inline constexpr const char* kTrustAnnotation = "dev.bailey.trust";

// The bundle's directory as an absolute path: that of --bundle, or the current one.
Result<std::string> bundle_of(const Call& call);

// Errors (bad_input): config.json cannot be read, or is at fault; its level is not one that the policy gives to engines
// (refused);
// --console-socket and process.terminal do not go together.
Result<dispatcher::Request> make_request(const Call& call, const std::string& bundle, const dispatcher::Policy& policy);

// The two go together, unless the terminal is the caller's own (run without --detach). Errors: bad_input, in runc's words.
Result<> check_terminal(const Call& call, bool terminal);

}  // namespace bailey::oci
