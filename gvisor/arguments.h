// runsc's command line. Pure. Every optional flag is given only when `runsc flags` lists it: an unknown one ends runsc with 2.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dispatcher/request.h"
#include "gvisor/traits.h"

namespace bailey::gvisor {

struct RunscOptions {
  std::string platform;
  dispatcher::NetworkMode network = dispatcher::NetworkMode::none;
  bool directfs = true;
  bool root_in_memory = false;                // writes to the root stay in the sandbox's memory
  std::optional<uint64_t> root_memory_bytes;  // their cap, where the build takes one
  bool console = false;
  std::string id;
};

// "runsc", global flags, "run", its flags, the id.
std::vector<std::string> runsc_arguments(const Traits& traits, const RunscOptions& options);
// `runsc exec` of the process that the document describes, with init's two descriptors.
std::vector<std::string> exec_arguments(const std::string& id, const std::string& document);
// `runsc kill ID SIGNAL` in the same private root.
std::vector<std::string> kill_arguments(const std::string& id, int signal);

}  // namespace bailey::gvisor
