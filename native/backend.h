// The native backend: Linux namespaces around trusted code, with a user namespace always.
#pragma once

#include <memory>
#include <string>

#include "dispatcher/backend.h"

namespace bailey::native {

// `runtime_directory`: where the user id ranges are reserved (dispatcher::StateStore::path()), and where the default root's
// copy of the host's files is; opened when it is needed. `root_files`: what the policy adds to the host's files of the default
// root and takes from them.
std::unique_ptr<dispatcher::Backend> make_backend(std::string runtime_directory, bundle::HostScanInputs root_files);

}  // namespace bailey::native
