// The options of a mount in an engine's configuration: every one that the OCI runtime specification (config.md, "Linux mount
// options") names, with its meaning there. The options of volumes of `run`, which are fewer, are in mount_options.h. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bailey::bundle {

struct EngineMountOptions {
  bool bind = false;            // "bind" or "rbind"
  bool with_submounts = false;  // "rbind"
  bool remount = false;
  bool copy_up = false;                           // "tmpcopyup": what the root has there is copied into the new tmpfs
  bool id_map = false, id_map_submounts = false;  // "idmap", "ridmap"
  // MOUNT_ATTR_* (mount_setattr(2)) of the mount itself, and of it and all mounts below it.
  uint64_t set = 0, clear = 0;
  uint64_t set_below = 0, clear_below = 0;
  unsigned long file_system_flags = 0;  // MS_SYNCHRONOUS and other flags of mount(2) that are the file system's
  // MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE; 0: not said. In the order given; with MS_REC for all mounts below it.
  std::vector<unsigned long> propagation;
  std::string data;  // what only the file system knows: "size=64k,mode=755"
};

// Error (bad_input): an option with a comma, which would be two.
Result<EngineMountOptions> parse_engine_mount(const std::vector<std::string>& options);

}  // namespace bailey::bundle
