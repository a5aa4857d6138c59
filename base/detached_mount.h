// A new file system as a detached mount (fsopen(2), fsmount(2); Linux 5.2): no directory shows it, and it ends with its
// descriptor and its last attachment.
#pragma once

#include <span>

namespace bailey {

struct MountOption {
  const char* key;
  const char* value;  // nullptr: a flag
};

// A descriptor with CLOEXEC, or -errno. `attributes`: MOUNT_ATTR_*. Requires CAP_SYS_ADMIN in the user namespace that owns this
// mount namespace. Allocates nothing; may run between clone and exec.
int create_detached_mount(const char* type, std::span<const MountOption> options, unsigned attributes);

}  // namespace bailey
