#include "base/detached_mount.h"

#include <sys/mount.h>

#include <cerrno>

#include "base/fd.h"

namespace bailey {

int create_detached_mount(const char* type, std::span<const MountOption> options, unsigned attributes) {
  const Fd fs(::fsopen(type, FSOPEN_CLOEXEC));
  if (!fs) return -errno;
  for (const MountOption& option : options) {
    const unsigned command = option.value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
    if (::fsconfig(fs.get(), command, option.key, option.value, 0) < 0) return -errno;
  }
  if (::fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) return -errno;
  const int mount = ::fsmount(fs.get(), FSMOUNT_CLOEXEC, attributes);
  return mount < 0 ? -errno : mount;
}

}  // namespace bailey
