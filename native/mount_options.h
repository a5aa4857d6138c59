// OCI mount options (runtime-spec config.md, "Mounts"; names of mount(8)) to what the kernel's mount calls take. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bailey::native {

struct MountOptions {
  uint64_t set = 0;              // MOUNT_ATTR_* for the mount itself
  uint64_t set_recursively = 0;  // ... for it and all below ("rro", "rnosuid", ...)
  bool bind = false;
  bool recursive = false;                                        // rbind
  std::vector<std::pair<std::string, std::string>> file_system;  // fsconfig keys; empty value = a flag
};

// Error: an option that is not known, or that Bailey refuses (propagation shared, suid in a user's mount is fine, ...).
Result<MountOptions> parse_mount_options(const std::vector<std::string>& options);

// "size=1,mode=0755": a file system's own options as mount(2) takes them. No value has a comma: parse_mount_options sees to it.
std::string mount_data(const std::vector<std::pair<std::string, std::string>>& options);

}  // namespace bailey::native
