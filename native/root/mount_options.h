// OCI mount options to what the kernel's mount calls take: those of bundle/mount_options.h, and the keys of file systems that
// Bailey mounts itself. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bailey::native {

struct MountOptions {
  uint64_t set = 0, clear = 0;  // MOUNT_ATTR_*, of the mount and of all below it
  bool bind = false;
  std::vector<std::pair<std::string, std::string>> file_system;  // fsconfig keys; empty value = a flag
};

// Error: an option that is not known. Guards have refused the options that no volume may have.
Result<MountOptions> parse_mount_options(const std::vector<std::string>& options);

// "size=1,mode=0755": a file system's own options as mount(2) takes them. No value has a comma: parse_mount_options sees to it.
std::string mount_data(const std::vector<std::pair<std::string, std::string>>& options);

}  // namespace bailey::native
