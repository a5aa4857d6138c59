// The gVisor backend: dispatcher::Backend over runsc. Root, or an ordinary user who may make user namespaces. docs/gvisor.md
// says what runsc does not honour and what is done about each.
#pragma once

#include <memory>
#include <string>

#include "dispatcher/backend.h"

namespace bailey::gvisor {

struct BackendOptions {
  std::string runsc;              // --runsc or the policy's; empty: searched
  std::string search_path;        // PATH
  std::string platform;           // --platform; empty: the best that works
  std::string runtime_directory;  // /run/bailey or $XDG_RUNTIME_DIR/bailey: where answers of runsc are remembered, and where
                                  // the default root's copy of the host's files is
  bool tries_platforms = true;    // false: one that has never run is taken to work, and about() says so
  bundle::HostScanInputs root_files;  // files of the host that the policy adds to the default root, and takes from it
};

// Does no work: runsc is looked for by the first call that needs it.
std::unique_ptr<dispatcher::Backend> create_backend(BackendOptions options);

}  // namespace bailey::gvisor
