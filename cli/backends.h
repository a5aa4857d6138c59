// The table of backends: the one place that knows all of them.
#pragma once

#include <memory>

#include "base/result.h"
#include "dispatcher/dispatcher.h"

namespace bailey::cli {

// A dispatcher::BackendFactory. Fault::unavailable when this build has no such backend.
Result<std::unique_ptr<dispatcher::Backend>> make_backend(dispatcher::BackendKind kind,
                                                          const dispatcher::BackendContext& context);

}  // namespace bailey::cli
