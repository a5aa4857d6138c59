// A sandbox of the native backend that another process has made and left.
#pragma once

#include <memory>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "dispatcher/backend.h"

namespace bailey::native {

// Implements Backend::attach.
Result<std::unique_ptr<dispatcher::Instance>> attach(const std::string& handle, Fd pidfd, int state);

}  // namespace bailey::native
