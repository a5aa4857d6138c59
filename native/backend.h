// The native backend: Linux namespaces around trusted code, with a user namespace always.
#pragma once

#include <memory>
#include <string>

#include "dispatcher/backend.h"

namespace bailey::native {

// `runtime_directory`: where the user id ranges are reserved (dispatcher::StateStore::path()); opened by create.
std::unique_ptr<dispatcher::Backend> make_backend(std::string runtime_directory);

}  // namespace bailey::native
