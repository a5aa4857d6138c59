// The table of backends: the one place that knows all of them.
#pragma once

#include <memory>

#include "base/result.h"
#include "dispatcher/backend.h"
#include "dispatcher/policy.h"
#include "dispatcher/request.h"

namespace bailey::cli {

// What a backend may want to know before there is a Spec.
struct BackendContext {
  const dispatcher::Policy& policy;
  const dispatcher::Request& request;  // its runsc and platform
  bool may_start_sandboxes = true;     // to find out what works here
};

// Fault::unavailable when this build has no such backend.
Result<std::unique_ptr<dispatcher::Backend>> make_backend(dispatcher::BackendKind kind, const BackendContext& context);

}  // namespace bailey::cli
